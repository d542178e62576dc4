package sink

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// forms are all that leaves for a receiver about one alert.
func forms(t testing.TB, a alert.Alert) map[string][]byte {
	t.Helper()
	group := []alert.Alert{a}
	w := &Webhook{config: WebhookConfig{Source: "/spoor"}}
	m := &Alertmanager{config: AlertmanagerConfig{Lasts: 1e9 * 3600 * 24 * 7, GeneratorURL: "https://spoor.example"}}
	p := &PagerDuty{config: PagerDutyConfig{Source: "spoor"}}
	from := must(parseMailbox("Spoor <spoor@example.org>"))
	to := []*mail.Address{must(parseMailbox("Desk <desk@example.org>")), must(parseMailbox("second@example.org"))}
	event, _, err := w.groupBody(group)
	if err != nil {
		t.Fatal(err)
	}
	w.config.CloudEvents = true
	cloud, _, err := w.body(a)
	if err != nil {
		t.Fatal(err)
	}
	title, lines := Render(a)
	return map[string][]byte{
		"words":        []byte(title + "\n" + strings.Join(lines, "\n") + "\n"),
		"json":         must(marshal(a)),
		"group":        event,
		"cloudevent":   cloud,
		"alertmanager": must(encode(m.alert(a))),
		"slack":        must(encode(slackForm(group))),
		"pagerduty":    must(encode(p.event(a))),
		"telegram":     []byte(telegramForm(a)),
		"mail":         must(compose(group, from, to, noon())),
	}
}

func TestGolden(t *testing.T) {
	for _, form := range []string{"words", "json", "group", "cloudevent", "alertmanager", "slack", "pagerduty", "telegram", "mail"} {
		var b strings.Builder
		for _, kind := range slices.Sorted(maps.Keys(kinds())) {
			text := forms(t, kinds()[kind])[form]
			if json.Valid(text) {
				text = must(json.MarshalIndent(json.RawMessage(text), "", "  "))
			}
			fmt.Fprintf(&b, "== %s ==\n%s\n", kind, strings.ReplaceAll(string(text), "\r\n", "\n"))
		}
		golden(t, form+".txt", []byte(b.String()))
	}
}

func TestRenderMarksWhatIsNotAPlainFact(t *testing.T) {
	for kind, want := range map[string]string{"found": "CRITICAL: ", "correction": "CORRECTION, ", "again": "SO AFTER ALL, ", "provisional": "NOT YET ON THE CHAIN, ", "state": "SPOOR ITSELF, "} {
		title, _ := Render(kinds()[kind])
		if !strings.HasPrefix(title, want) {
			t.Errorf("%s: %q; want %q first", kind, title, want)
		}
	}
}

func TestRenderCutsBetweenWords(t *testing.T) {
	address := "eip155:1:0x00000000000000000000000000000000000abcde"
	for n := range 60 {
		a := alert.Alert{Key: "k", Title: strings.Repeat("a ", 50+n) + address + " after", Text: strings.Repeat("word ", 360+n) + address + strings.Repeat(" more", 40)}
		title, lines := Render(a)
		text := title + "\n" + strings.Join(lines, "\n")
		for at := range strings.SplitSeq(strings.ReplaceAll(text, "\n", " "), " ") {
			if strings.HasPrefix(at, "eip155:1:") && at != must(flow.ParseAccount(address)).String() && at != address {
				t.Fatalf("%d: an account was cut: %q", n, at)
			}
		}
		if whole := strings.Contains(title, "after"); !whole && !strings.HasSuffix(title, " …") {
			t.Errorf("%d: the title was cut without a mark: %q", n, title)
		}
	}
}

func TestDisarm(t *testing.T) {
	for in, want := range map[string]string{
		"visit https://claim.evil.example/x now": "visit https[:]//claim[.]evil[.]example/x now",
		"t.me/x":                                 "t[.]me/x", "1.5 ETH. Then 2.": "1.5 ETH. Then 2.", "e.g. this": "e.g. this", "a。com": "a[.]com",
		"join @freedrop": "join [@]freedrop", "@ 5": "@ 5", "1.2inch.io": "1.2inch[.]io",
	} {
		if got := disarm(in); got != want {
			t.Errorf("disarm(%q) = %q; want %q", in, got, want)
		}
	}
}

var (
	slackMarkup = regexp.MustCompile("[<>`]")
	ourTags     = regexp.MustCompile(`</?(b|code)>`)
	ourHTML     = regexp.MustCompile(`</?(html|body|h3|p)>|<!DOCTYPE html>`)
	entity      = regexp.MustCompile(`&(amp|lt|gt|#34|#39);`)
)

// checkForms is what holds for every form of every alert.
func checkForms(t *testing.T, a alert.Alert) {
	t.Helper()
	all := forms(t, a)
	for form, b := range all {
		if !utf8.Valid(b) {
			t.Errorf("%s is not UTF-8: %q", form, b)
		}
		if len(b) > 128<<10 {
			t.Errorf("%s has %d bytes", form, len(b))
		}
		for _, r := range string(b) {
			if !unicode.IsPrint(r) && r != '\n' && (r != '\r' || form != "mail") {
				t.Errorf("%s has the character %U", form, r)
			}
		}
	}
	for _, form := range []string{"json", "group", "cloudevent", "alertmanager", "slack", "pagerduty"} {
		if !json.Valid(all[form]) || strings.ContainsRune(string(all[form]), '\n') {
			t.Errorf("%s is not JSON on one line: %s", form, all[form])
		}
	}
	var back struct{ Key string }
	if err := json.Unmarshal(all["json"], &back); err != nil || back.Key != strings.ToValidUTF8(a.Key, "\ufffd") && utf8.ValidString(a.Key) {
		t.Errorf("json: key %q, %v; want %q", back.Key, err, a.Key)
	}
	var slack slackMessage
	if err := json.Unmarshal(all["slack"], &slack); err != nil {
		t.Error(err)
	}
	for _, text := range append([]string{slack.Text}, sections(slack)...) {
		if slackMarkup.MatchString(text) || strings.Contains(entity.ReplaceAllString(text, ""), "&") || len(text) > 3000 {
			t.Errorf("slack: markup in, or too long: %q", text)
		}
	}
	if len(slack.Blocks) > 50 {
		t.Errorf("slack: %d blocks", len(slack.Blocks))
	}
	telegram := string(all["telegram"])
	bare := ourTags.ReplaceAllString(telegram, "")
	if strings.ContainsAny(bare, "<>") || strings.Contains(entity.ReplaceAllString(bare, ""), "&") || len([]rune(html.UnescapeString(bare))) > 4096 {
		t.Errorf("telegram: tags that are not ours, or too long: %q", telegram)
	}
	checkNesting(t, telegram)
	checkMail(t, a, all["mail"])
}

func sections(m slackMessage) []string {
	var s []string
	for _, b := range m.Blocks {
		if b.Text != nil {
			s = append(s, b.Text.Text)
		}
	}
	return s
}

// checkNesting checks that every tag is closed before the next one opens.
func checkNesting(t *testing.T, s string) {
	t.Helper()
	open := ""
	for _, tag := range ourTags.FindAllString(s, -1) {
		switch {
		case open == "" && tag[1] != '/':
			open = tag
		case open != "" && tag == "</"+open[1:]:
			open = ""
		default:
			t.Errorf("tag %s while %q is open: %q", tag, open, s)
			return
		}
	}
	if open != "" {
		t.Errorf("%s is never closed: %q", open, s)
	}
}

// checkMail reads a mail as a mail program would.
func checkMail(t *testing.T, a alert.Alert, b []byte) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(string(b)))
	if err != nil {
		t.Errorf("mail: %v", err)
		return
	}
	allowed := []string{"From", "To", "Subject", "Date", "Message-Id", "References", "In-Reply-To", "Auto-Submitted", "X-Spoor-Severity", "Importance", "Mime-Version", "Content-Type"}
	for name := range m.Header {
		if !slices.Contains(allowed, name) {
			t.Errorf("mail: a header %q, which is not ours", name)
		}
	}
	head, _, _ := strings.Cut(string(b), "\r\n\r\n")
	for line := range strings.SplitSeq(string(b), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("mail: a line of %d bytes, or a bare end of line: %.100q", len(line), line)
		}
	}
	if strings.ContainsFunc(head, func(r rune) bool { return r > 0x7e }) {
		t.Errorf("mail: the header is not ASCII: %q", head)
	}
	parts := mailParts(t, m)
	if len(parts) != 2 {
		t.Fatalf("mail: %d parts", len(parts))
	}
	if rest := ourHTML.ReplaceAllString(parts[1], ""); strings.ContainsAny(rest, "<>") {
		t.Errorf("mail: tags that are not ours: %q", rest)
	}
	title, _ := Render(a)
	if subject := decodeHeader(t, m.Header.Get("Subject")); subject != title {
		t.Errorf("mail: subject %q; want %q", subject, title)
	}
}

func TestFormsOfEveryKind(t *testing.T) {
	for kind, a := range kinds() {
		t.Run(kind, func(t *testing.T) { checkForms(t, a) })
	}
	long := arrival()
	long.Title, long.Text, long.Contact = strings.Repeat("&<é", 9000), strings.Repeat("<&>\n", 9000)+strings.Repeat("𝐔𝐒𝐃𝐂 ", 9000), strings.Repeat("& ", 9000)
	t.Run("long", func(t *testing.T) { checkForms(t, long) })
}

func FuzzForms(f *testing.F) {
	for _, a := range kinds() {
		f.Add(a.Key, string(a.Kind), uint8(a.Severity), a.Case, a.Title, a.Text, a.Contact, 0)
	}
	f.Add("k", "finding", uint8(200), strings.Repeat("&", 999), "\n\n*", "a: b\n<b>: c\n\r\n", "…", 7)
	f.Fuzz(func(t *testing.T, key, kind string, severity uint8, name, title, text, contact string, serial int) {
		a := arrival()
		a.Key, a.Kind, a.Severity, a.Case, a.Title, a.Text, a.Contact, a.Serial = limit(key, 500), alert.Kind(limit(kind, 100)), finding.Severity(severity), limit(name, 500), title, text, limit(contact, 1000), serial
		checkForms(t, a)
	})
}
