package sink

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

var update = flag.Bool("update", false, "rewrite the golden files; then read the diff")

// golden compares got with a file in testdata, or rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has changed; -update rewrites it. It is now\n%s", path, got)
	}
}

// noon is the clock of all tests.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// arrival is an alert about money that came to an exchange.
func arrival() alert.Alert {
	thief := must(flow.ParseAccount("eip155:1:0x00000000000000000000000000000000000abcde"))
	shop := must(flow.ParseAccount("eip155:1:0x000000000000000000000000000000000000feed"))
	tx := must(flow.ParseHash(strings.Repeat("ab", 32)))
	f := must(finding.New(finding.Finding{
		Rule: "live-arrival", Version: 1, Severity: finding.Critical, Chain: flow.Ethereum, Subjects: []flow.Account{shop, thief},
		Holds: flow.Pos{Height: 20_000_000, Tx: 7}, Time: noon().Unix() - 20, Title: "stolen money came to a service", Sentence: "100 ETH came to Example Exchange.",
		Evidence:   []finding.Fact{{Tx: tx, At: flow.Pos{Height: 20_000_000, Tx: 7}, From: thief, To: shop, Asset: must(flow.ParseAsset("eip155:1/slip44:60")), Amount: must(flow.ParseAmount("100000000000000000000"))}},
		Confidence: finding.Confidence{Reason: "not measured: nobody knows the truth of live thefts"},
	}))
	return alert.Alert{
		Key: "heist-1/live-arrival/" + f.ID.String(), Kind: alert.Found, Severity: finding.Critical, Case: "heist-1",
		Title: "stolen money came to Example Exchange",
		Text:  "100 ETH of the theft came to Example Exchange at " + shop.String() + ", between 80 and 100 ETH of it under every rule.\nMinutes count: they can still stop it.",
		Chain: flow.Ethereum, At: flow.Point{Chain: flow.Ethereum, Height: 20_000_000, Hash: tx, Time: noon().Unix() - 20}, Tx: tx,
		Finding: &f, Contact: "compliance@exchange.example, +41 00 000 00 00", Seen: noon().Add(-2 * time.Second), Made: noon().Add(-time.Second),
	}
}

// hostile is an alert with what a thief can make others print.
func hostile() alert.Alert {
	return alert.Alert{
		Key: "heist \"1\"\r\nX-Evil: 1/list-got/.\u202e<b>", Kind: alert.Provisional, Severity: finding.Low, Case: "case\r\nBcc: all@example.org",
		Title: "<!channel> <@U123> *bold* `code` token </b><script>alert(1)</script> \u202egnp.exe\r\nBcc: all@example.org visit https://claim.evil.example & @freedrop\x1b[31m\x00\xff",
		Text:  "<a href=\"http://evil.example\">click</a>\n<!here|here> claim at evil.example\u200b.\n</code></pre>=2+5+cmd|' /C calc'!A0",
		Chain: flow.Ethereum, Contact: "\u2066<img src=x onerror=alert(1)>\x07", Seen: noon(), Made: noon(),
	}
}

// kinds are one alert of every kind.
func kinds() map[string]alert.Alert {
	correction := arrival()
	correction.Serial, correction.Kind, correction.Text = 1, alert.Correction, "Block 20000000 was reorganised away; the transaction is not on the branch that won."
	again := arrival()
	again.Serial, again.Kind = 2, alert.Again
	pending := arrival()
	pending.Key, pending.Kind, pending.At.Hash = "pending/heist-1/"+strings.Repeat("ab", 32), alert.Provisional, flow.Hash{}
	return map[string]alert.Alert{"found": arrival(), "correction": correction, "again": again, "provisional": pending, "state": Trial(noon()), "hostile": hostile()}
}

// file writes a file of its own.
func file(t testing.TB, text string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// A receiver is a server that keeps what it gets, and answers what it is told to.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request                          // guarded by mu
	answer   func(w http.ResponseWriter, n int) // guarded by mu; n counts the requests from 0
}

type request struct {
	path   string
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T, answer func(w http.ResponseWriter, n int)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var b bytes.Buffer
		if _, err := b.ReadFrom(q.Body); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, request{q.URL.Path, q.Header, b.Bytes()})
		if r.answer != nil {
			r.answer(w, len(r.requests)-1)
			return
		}
		_, _ = w.Write([]byte(`{"ok":true}`))
	}))
	t.Cleanup(r.Close)
	return r
}

// got are the requests so far.
func (r *receiver) got() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request{}, r.requests...)
}

const (
	testKey   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	testToken = "123456:AAAA-secret_token_of_a_bot"
	testPager = "0123456789abcdef0123456789abcdef"
	testPath  = "/services/T000/B000/secretpath"
)

// A closer is a sink that keeps connections.
type closer interface {
	alert.Sink
	Close()
}

// posters makes one of every sink that speaks HTTP, all with that receiver.
func posters(t *testing.T, url string, private bool) map[string]closer {
	t.Helper()
	sinks := map[string]closer{
		"webhook":      must(NewWebhook(WebhookConfig{Name: "hook", URLFile: file(t, url+testPath), SecretFile: file(t, testKey), BearerFile: file(t, "bearer-secret"), Private: private, Now: noon})),
		"webhookgroup": must(NewWebhook(WebhookConfig{Name: "hooks", URL: url, SecretFile: file(t, testKey), Private: private, Now: noon, Group: true})),
		"alertmanager": must(NewAlertmanager(AlertmanagerConfig{Name: "am", URL: url, User: "spoor", PasswordFile: file(t, "secret-password"), Private: private, Now: noon})),
		"slack":        must(NewSlack(SlackConfig{Name: "slack", URLFile: file(t, url+testPath), Private: private, Now: noon})),
		"pagerduty":    must(NewPagerDuty(PagerDutyConfig{Name: "pager", URL: url, RoutingKeyFile: file(t, testPager), Private: private, Now: noon})),
		"telegram":     must(NewTelegram(TelegramConfig{Name: "chat", URL: url, TokenFile: file(t, testToken), Chat: "-100123", Private: private, Now: noon})),
	}
	for _, s := range sinks {
		t.Cleanup(s.Close)
	}
	return sinks
}

func TestTrial(t *testing.T) {
	a, b := Trial(noon()), Trial(noon().Add(1))
	if a.Kind != alert.State || a.ID() == b.ID() || !strings.Contains(a.Title, "test") {
		t.Errorf("Trial: %+v, then %+v", a, b)
	}
	r := newReceiver(t, nil)
	for name, s := range posters(t, r.URL, true) {
		if err := s.Send(t.Context(), []alert.Alert{Trial(noon())}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(r.got()); n != 6 {
		t.Errorf("%d messages came; want 6", n)
	}
}

func TestSafeID(t *testing.T) {
	for in, want := range map[string]string{
		"heist-1/live-move/ab12#1":  "heist-1/live-move/ab12#1",
		"a.b":                       "a~2eb",
		"a~2eb":                     "a~7e2eb",
		"\r\n":                      "~0d~0a",
		"é":                         "~c3~a9",
		"":                          "sha256~" + digest([]string{""}),
		strings.Repeat("x", 201):    "sha256~" + digest([]string{strings.Repeat("x", 201)}),
		strings.Repeat("x", 200):    strings.Repeat("x", 200),
		"sha256~" + digest(nil)[:3]: "sha256~7e" + digest(nil)[:3],
	} {
		if got := safeID(in); got != want {
			t.Errorf("safeID(%q) = %q; want %q", in, got, want)
		}
	}
	a, b := alert.Alert{Key: "a"}, alert.Alert{Key: "b"}
	if groupID([]alert.Alert{a, b}) == groupID([]alert.Alert{b, a}) || groupID([]alert.Alert{a}) != "a" {
		t.Error("the ID of a group is not that of its alerts in their order")
	}
}

func TestPartlySendsNothingTwice(t *testing.T) {
	var p partly
	var sent []int
	fails := map[int]error{1: alert.ErrRefused, 3: errors.New("later")}
	send := func(i int) error {
		sent = append(sent, i)
		return fails[i]
	}
	ids := []string{"a", "b", "c", "d", "e"}
	if err := p.each(ids, send); err == nil || errors.Is(err, alert.ErrRefused) {
		t.Errorf("error %v; want the one of d", err)
	}
	delete(fails, 3)
	if err := p.each(ids, send); !errors.Is(err, alert.ErrRefused) {
		t.Errorf("error %v; want %v", err, alert.ErrRefused)
	}
	if want := []int{0, 1, 2, 3, 3, 4}; !equal(sent, want) {
		t.Errorf("sent %v; want %v", sent, want)
	}
	sent = nil
	delete(fails, 1)
	if err := p.each(ids[:1], send); err != nil || !equal(sent, []int{0}) {
		t.Errorf("after the group was done: sent %v, %v; want it sent anew", sent, err)
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	key, url := file(t, testKey), "https://example.org/x"
	for name, make := range map[string]func() (alert.Sink, error){
		"webhook-no-name":   func() (alert.Sink, error) { return NewWebhook(WebhookConfig{URL: url, SecretFile: key}) },
		"webhook-no-secret": func() (alert.Sink, error) { return NewWebhook(WebhookConfig{Name: "w", URL: url}) },
		"webhook-no-url":    func() (alert.Sink, error) { return NewWebhook(WebhookConfig{Name: "w", SecretFile: key}) },
		"webhook-http": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: "http://example.org", SecretFile: key})
		},
		"webhook-file": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: "file:///etc/passwd", SecretFile: key})
		},
		"webhook-user": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: "https://u:p@example.org", SecretFile: key})
		},
		"webhook-short-secret": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: url, SecretFile: file(t, "whsec_c2VjcmV0")})
		},
		"webhook-empty-secret": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: url, SecretFile: file(t, "# nothing\n")})
		},
		"webhook-binary-secret": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: url, SecretFile: file(t, "whsec_\x00\x01")})
		},
		"webhook-large-secret": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: url, SecretFile: file(t, strings.Repeat("x", 70_000))})
		},
		"webhook-absent-secret": func() (alert.Sink, error) {
			return NewWebhook(WebhookConfig{Name: "w", URL: url, SecretFile: key + ".absent"})
		},
		"alertmanager-label": func() (alert.Sink, error) {
			return NewAlertmanager(AlertmanagerConfig{Name: "a", URL: url, Labels: map[string]string{"a-b": "c"}})
		},
		"alertmanager-user": func() (alert.Sink, error) { return NewAlertmanager(AlertmanagerConfig{Name: "a", URL: url, User: "u"}) },
		"slack-no-file":     func() (alert.Sink, error) { return NewSlack(SlackConfig{Name: "s"}) },
		"pagerduty-no-key":  func() (alert.Sink, error) { return NewPagerDuty(PagerDutyConfig{Name: "p"}) },
		"telegram-token": func() (alert.Sink, error) {
			return NewTelegram(TelegramConfig{Name: "t", Chat: "1", TokenFile: file(t, "x/../y")})
		},
		"telegram-chat": func() (alert.Sink, error) {
			return NewTelegram(TelegramConfig{Name: "t", Chat: "a b", TokenFile: file(t, testToken)})
		},
		"mail-server": func() (alert.Sink, error) {
			return NewMail(MailConfig{Name: "m", Server: "example.org", From: "a@b.c", To: []string{"a@b.c"}})
		},
		"mail-from": func() (alert.Sink, error) {
			return NewMail(MailConfig{Name: "m", Server: "example.org:25", From: "a@b\r\nBcc: x@y.z", To: []string{"a@b.c"}})
		},
		"mail-to": func() (alert.Sink, error) {
			return NewMail(MailConfig{Name: "m", Server: "example.org:25", From: "a@b.c"})
		},
		"mail-clear": func() (alert.Sink, error) {
			return NewMail(MailConfig{Name: "m", Server: "example.org:25", TLS: NoTLS, From: "a@b.c", To: []string{"a@b.c"}})
		},
		"mail-clear-password": func() (alert.Sink, error) {
			return NewMail(MailConfig{Name: "m", Server: "example.org:25", TLS: NoTLS, Private: true, User: "u", PasswordFile: file(t, "p"), From: "a@b.c", To: []string{"a@b.c"}})
		},
		"file-folder": func() (alert.Sink, error) { return NewFile(FileConfig{Name: "f", Path: t.TempDir() + "/absent/file"}) },
		"stream-name": func() (alert.Sink, error) { return NewStream(StreamConfig{Name: "a\nb"}, nil) },
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "c2VjcmV0") || strings.Contains(err.Error(), "u:p@") {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
}

func TestPack(t *testing.T) {
	for _, c := range []struct {
		sizes        []int
		most, number int
		want         string
	}{
		{nil, 10, 10, "[]"}, {[]int{5, 5, 1}, 10, 10, "[[0 2] [2 3]]"}, {[]int{50, 5, 5, 50}, 10, 10, "[[0 1] [1 3] [3 4]]"},
		{[]int{1, 1, 1, 1, 1}, 10, 2, "[[0 2] [2 4] [4 5]]"}, {[]int{0, 0}, 0, 9, "[[0 2]]"},
	} {
		if got := fmt.Sprint(pack(c.sizes, c.most, c.number)); got != c.want {
			t.Errorf("pack(%v, %d, %d) = %s; want %s", c.sizes, c.most, c.number, got, c.want)
		}
	}
}

func TestConfigurationsAreRead(t *testing.T) {
	var c struct {
		Webhook      WebhookConfig
		Alertmanager AlertmanagerConfig
		Slack        SlackConfig
		PagerDuty    PagerDutyConfig
		Telegram     TelegramConfig
		Mail         MailConfig
		File         FileConfig
		Stream       StreamConfig
	}
	d := yaml.NewDecoder(strings.NewReader(`
webhook: {name: a, url: u, url_file: u, secret_file: s, bearer_file: b, group: true, cloudevents: true, source: /s, private: true, timeout: 5s}
alertmanager: {name: a, url: u, url_file: u, user: u, password_file: p, bearer_file: b, labels: {team: blue}, generator_url: g, lasts: 48h, private: true, timeout: 5s}
slack: {name: a, url_file: u, private: true, timeout: 5s}
pagerduty: {name: a, routing_key_file: r, url: u, source: s, client_url: c, private: true, timeout: 5s}
telegram: {name: a, token_file: t, chat: "-100", thread: 7, url: u, private: true, timeout: 5s}
mail: {name: a, server: h:25, tls: starttls, ca_file: c, user: u, password_file: p, from: f, to: [t], private: true, timeout: 5s}
file: {name: a, path: p, max: 5, keep: 6}
stream: {name: a, words: true}
`))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.Webhook.Timeout != 5*time.Second || c.Alertmanager.Lasts != 48*time.Hour || c.Mail.To[0] != "t" || c.Telegram.Thread != 7 || !c.Stream.Words || c.File.Keep != 6 || c.PagerDuty.RoutingKeyFile != "r" || !c.Slack.Private {
		t.Errorf("%+v", c)
	}
}
