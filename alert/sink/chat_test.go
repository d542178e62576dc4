package sink

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

func TestPagerDutyResolvesWhatIsCorrected(t *testing.T) {
	r := newReceiver(t, nil)
	p := posters(t, r.URL, true)["pagerduty"]
	all := kinds()
	long := arrival()
	long.Key = strings.Repeat("long ", 100)
	if err := p.Send(t.Context(), []alert.Alert{all["found"], all["correction"], all["again"], long, all["state"]}); err != nil {
		t.Fatal(err)
	}
	var events []pagerEvent
	for _, q := range r.got() {
		var e pagerEvent
		if err := json.Unmarshal(q.body, &e); err != nil {
			t.Fatal(err)
		}
		if len(e.DedupKey) > 255 || len(e.Payload.Summary) > 1024 || e.Payload.Source == "" || e.RoutingKey != testPager {
			t.Errorf("not to PagerDuty's bounds: %+v", e)
		}
		events = append(events, e)
	}
	if len(events) != 5 {
		t.Fatalf("%d events", len(events))
	}
	for i, want := range []string{"trigger", "resolve", "trigger", "trigger", "trigger"} {
		if events[i].Action != want || (events[i].DedupKey == events[0].DedupKey) != (i < 3) {
			t.Errorf("event %d: %s of %s; want %s", i, events[i].Action, events[i].DedupKey, want)
		}
	}
}

func TestPagerDutySeverity(t *testing.T) {
	for s, want := range map[finding.Severity]string{0: "info", finding.Info: "info", finding.Low: "info", finding.Medium: "warning", finding.High: "error", finding.Critical: "critical", 9: "critical"} {
		if got := pagerSeverity(s); got != want {
			t.Errorf("pagerSeverity(%s) = %s; want %s", s, got, want)
		}
	}
}

func TestSlackMentionsNobody(t *testing.T) {
	m := slackForm([]alert.Alert{hostile(), hostile()})
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<!channel>", "<!here", "<@U", `\u003c!`, `"link_names":true`, `"verbatim":false`} {
		if strings.Contains(string(b), bad) {
			t.Errorf("%s is in %s", bad, b)
		}
	}
	for _, s := range append(sections(m), m.Text) {
		if strings.ContainsAny(s, "<>") || !strings.Contains(s, "&lt;!") {
			t.Errorf("not escaped: %q", s)
		}
	}
	if len(m.Blocks) != 5 || m.Blocks[2].Type != "divider" || !strings.HasSuffix(m.Text, " (and 1 more)") {
		t.Errorf("two alerts: %+v", m)
	}
}

// TestSlackTakesALongText sends groups of the longest texts, which come whole in as few messages as Slack takes.
func TestSlackTakesALongText(t *testing.T) {
	r := newReceiver(t, nil)
	s := posters(t, r.URL, true)["slack"]
	group := many(20)
	for i := range group {
		group[i].Text = strings.TrimSpace(strings.Repeat("some of it is here, ", 149)) + " end"
	}
	if err := s.Send(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	ends := 0
	for _, q := range r.got() {
		var m slackMessage
		if err := json.Unmarshal(q.body, &m); err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, text := range sections(m) {
			size += len(text)
			ends += strings.Count(text, " end\n")
		}
		if size > 13_000 || len(m.Blocks) > 50 {
			t.Errorf("a message of %d bytes, %d blocks", size, len(m.Blocks))
		}
	}
	if ends != len(group) {
		t.Errorf("%d of %d texts are whole", ends, len(group))
	}
}

func TestJoinLeavesOutWholeLines(t *testing.T) {
	lines := strings.Split(strings.Repeat("0123456789\n", 20), "\n")
	same := func(s string) string { return s }
	if got := join(lines[:20], 1000, same); strings.Count(got, "\n") != 19 {
		t.Errorf("all fit: %q", got)
	}
	got := join(lines[:20], 100, same)
	if len(got) > 100 || !strings.HasSuffix(got, "\n… and 14 more lines") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
