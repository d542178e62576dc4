package live_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/sink"
	"github.com/spoor-dev/spoor/config"
	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/internal/nodes"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store/memstore"
)

// exposition is /metrics of a Live that follows a chain, has told somebody something, and has a node that is down.
func exposition(t *testing.T) string {
	t.Helper()
	return get(t, smallLive(t), "/metrics").Body.String()
}

// get asks a Live as a browser does.
func get(t *testing.T, l *live.Live, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	l.Handler(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// smallLive follows a small chain, has told somebody about it, and has a node of another chain that is down.
func smallLive(t *testing.T) *live.Live {
	t.Helper()
	leaveNothing(t)
	dir := t.TempDir()
	c, err := config.Parse([]byte(`store: .
disk: {ballast: 0}
chains: [{chain: "eip155:1", nodes: [{url: "http://127.0.0.1:1", private: true}]}]
lists: [{name: treasury, accounts: ["text:eth:treasury"], severity: high}]
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	source, err := text.Parse("chain.txt", strings.NewReader("block 1 aa\neth:miner eth:treasury native 100\nblock 2 bb\neth:treasury eth:thief native 100\n"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := sink.NewStream(sink.StreamConfig{Name: "stdout"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	st := memstore.New()
	l, err := live.New(c, live.Options{Store: st, Log: slog.New(slog.DiscardHandler), Sinks: []alert.Sink{out},
		Labels:  func() (*engine.Labels, error) { return &engine.Labels{}, nil },
		Sources: []live.Source{{Source: source, Decoder: dectext.New(), Confirmations: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text := get(t, l, "/metrics").Body.String()
		if strings.Contains(text, "spoor_alert_lead_seconds_bucket") && strings.Contains(text, `spoor_node_up{chain="eip155:1",node="127.0.0.1:1"} 0`) {
			return l
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody was told, or the node that is down is up:\n%s", text)
		}
	}
}

var (
	metricName = regexp.MustCompile(`\b(spoor|go|process)_[a-z0-9_]+`)
	suffix     = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// namesIn are the names of metrics in a text; of a histogram the name of the whole.
func namesIn(text string) []string {
	all := metricName.FindAllString(text, -1)
	for i := range all {
		all[i] = suffix.ReplaceAllString(all[i], "")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A dashboard is what the test needs to know of one of Grafana.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
		GridPos struct{ X, Y, W, H int }
	}
	Templating struct {
		List []struct{ Name, Type string }
	}
}

// TestDeployedMetricsAreThere: rules and panels about numbers that nobody gives are silent for ever.
func TestDeployedMetricsAreThere(t *testing.T) {
	var given []string
	for line := range strings.Lines(exposition(t)) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			given = append(given, strings.Fields(name)[0])
		}
	}
	rules := deployed(t, "prometheus-rules.yaml")
	var d dashboard
	if err := json.Unmarshal([]byte(deployed(t, "grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for i, p := range d.Panels {
		for _, q := range p.Targets {
			shown.WriteString(q.Expr + "\n")
			if !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("panel %q does not heed the variables: %s", p.Title, q.Expr)
			}
		}
		for _, o := range d.Panels[:i] {
			a, b := p.GridPos, o.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q lie on each other", p.Title, o.Title)
			}
		}
	}
	for _, name := range namesIn(shown.String() + rules) {
		if !slices.Contains(given, name) {
			t.Errorf("%s is asked for and not given", name)
		}
	}
	for _, name := range given {
		if strings.HasPrefix(name, "spoor_") && !slices.Contains(namesIn(shown.String()), name) {
			t.Errorf("%s has no panel", name)
		}
	}
	if len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" {
		t.Error("the dashboard has no variable for its data source")
	}
}

// TestEveryRuleHasItsPage: who is woken up by an alert is told what to do.
func TestEveryRuleHasItsPage(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "watch.md"))
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.Split(deployed(t, "prometheus-rules.yaml"), "- alert: ")[1:]
	if len(rules) < 9 {
		t.Fatalf("%d rules", len(rules))
	}
	for _, r := range rules {
		name, _, _ := strings.Cut(r, "\n")
		if !strings.Contains(r, "runbook: docs/watch.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("%s names no page of its own", name)
		}
		if !strings.Contains(string(guide), "\n### "+name+"\n") {
			t.Errorf("docs/watch.md does not say what to do about %s", name)
		}
	}
}

// TestPromtoolLikesIt: Prometheus's own tool reads the rules, tries them, and finds nothing odd in the metrics.
func TestPromtoolLikesIt(t *testing.T) {
	promtool := nodes.Program(t, "promtool")
	run := func(in string, args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), promtool, args...)
		c.Stdin = strings.NewReader(in)
		c.Dir = filepath.Join("..", "..", "deploy")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("", "check", "rules", "prometheus-rules.yaml")
	run("", "test", "rules", "prometheus-rules.test.yaml")
	run(exposition(t), "check", "metrics")
}

// TestSystemdLikesTheUnit: systemd reads the unit without a word, but for programs that are not on this machine.
func TestSystemdLikesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("absent: systemd-analyze")
	}
	unit := deployed(t, "spoor-watch.service")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "spoor-watch.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(unit, "/usr/local/bin/spoor", binary)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "spoor-watch.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, secret := range regexp.MustCompile(`/run/credentials/spoor-watch\.service/([a-z-]+)`).FindAllStringSubmatch(deployed(t, "spoor.yaml"), -1) {
		if !strings.Contains(unit, "\nLoadCredential="+secret[1]+":") {
			t.Errorf("the unit does not load the secret %s of spoor.yaml", secret[1])
		}
	}
}

// deployed is a file of the folder deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
