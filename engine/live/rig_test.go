package live_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/alert/sink"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// patience is how long something may take that has to happen, on a machine that is busy.
const patience = 60 * time.Second

// leaveNothing fails the test if goroutines are left when all that it cleans up afterwards is gone. It is called first.
func leaveNothing(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				buf := make([]byte, 256<<10)
				t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

// A told is a message as its receiver reads it.
type told struct {
	ID string `json:"id"`
	alert.Alert
}

// rule is the rule of the judgement, or the kind where there is none.
func (m told) rule() string {
	if m.Finding == nil {
		return string(m.Kind)
	}
	return m.Finding.Rule
}

// A receiver takes signed messages, each once: one with an ID that it knows is answered and not taken again.
type receiver struct {
	t      *testing.T
	server *httptest.Server
	secret string

	mu      sync.Mutex
	told    []told
	bodies  map[string]string
	repeats int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("thirty-two bytes that nobody has")), bodies: map[string]string{}}
	r.server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
	})
	return r
}

func (r *receiver) take(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	if err != nil {
		return // who sent it has gone
	}
	if err := sink.Verify(q.Header, body, []string{r.secret}, time.Now()); err != nil {
		r.t.Errorf("a message that is not signed: %v", err)
	}
	var m told
	if err := json.Unmarshal(body, &m); err != nil || !utf8.Valid(body) || len(body) > 100<<10 {
		r.t.Errorf("%d bytes, not a message: %v: %.200q", len(body), err, body)
		return
	}
	id := q.Header.Get("Webhook-Id")
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, known := r.bodies[id]; known {
		r.repeats++
		if was != string(body) {
			r.t.Errorf("two messages are called %s:\n%s\n%s", id, was, body)
		}
		return
	}
	r.bodies[id] = string(body)
	r.told = append(r.told, m)
}

// all are the messages so far for which which is true, in their order.
func (r *receiver) all(which func(told) bool) []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.told), func(m told) bool { return !which(m) })
}

// of are the messages of one case or list that speak of a transaction by one rule.
func (r *receiver) of(owner, rule, tx string) []told {
	return r.all(func(m told) bool { return m.Case == owner && m.rule() == rule && m.Tx.String() == bare(tx) })
}

// config is the receiver as a sink of the configuration.
func (r *receiver) config(name string) string {
	path := filepath.Join(r.t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(r.secret), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("  - {name: %s, webhook: {url: %q, secret_file: %q, private: true}}\n", name, r.server.URL, path)
}

func bare(hash string) string { return strings.TrimPrefix(strings.ToLower(hash), "0x") }

// A setup is the changing parts of a configuration, in YAML.
type setup struct {
	chains, cases, lists, sinks, contacts string
	routes                                string // all sinks, at once, if empty
}

// A rig is a Live on a folder of its own, which can be ended and begun again.
type rig struct {
	*live.Live
	t       *testing.T
	dir     string
	setup   setup
	hook    *receiver
	labels  string // a CSV
	options live.Options
	log     logged

	inMemory bool // the store, which stays as it is from one start to the next

	st   store.Store
	stop context.CancelFunc
	done chan error
}

// logged keeps what was logged, for when a test fails.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// newRig prepares a Live; start begins it.
func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), setup: s, hook: newReceiver(t)}
	r.setup.sinks = r.hook.config("hook") + s.sinks
	r.options.Log = slog.New(slog.NewTextHandler(&r.log, nil))
	r.options.Follow = follow.Config{Bench: 200 * time.Millisecond, Patience: 300 * time.Millisecond}
	r.options.Labels = func() (*engine.Labels, error) {
		l := &engine.Labels{}
		return l, l.ReadLabels("labels.csv", strings.NewReader("address,label,category,is_service\n"+r.labels))
	}
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Logf("the log:\n%s\ntold:", r.log.text.String())
			for _, m := range r.hook.all(func(told) bool { return true }) {
				t.Logf("%s %s %s %s: %s", m.ID, m.Kind, m.rule(), m.Tx, m.Text)
			}
		}
	})
	return r
}

// config is the whole configuration.
func (r *rig) config() config.Config {
	r.t.Helper()
	routes := r.setup.routes
	if routes == "" && r.setup.sinks != "" {
		routes = fmt.Sprintf("  - {sinks: [%s], wait: 0s}\n", strings.Join(names(r.setup.sinks), ", "))
	}
	text := fmt.Sprintf("store: %q\ndisk: {low: 1MiB, ballast: 0}\nchains:\n%scases:\n%slists:\n%scontacts:\n%salerts:\n  margin: 1\n  sinks:\n%s  routes:\n%s",
		r.dir, r.setup.chains, r.setup.cases, r.setup.lists, r.setup.contacts, r.setup.sinks, routes)
	c, err := config.Parse([]byte(text), r.dir)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// names are the names of sinks.
func names(sinks string) (all []string) {
	for line := range strings.Lines(sinks) {
		if _, rest, ok := strings.Cut(line, "name: "); ok {
			name, _, _ := strings.Cut(rest, ",")
			all = append(all, name)
		}
	}
	return all
}

// start begins it, with all that its folder holds.
func (r *rig) start() {
	r.t.Helper()
	if r.inMemory && r.st == nil {
		r.st = memstore.New()
	}
	if !r.inMemory {
		st, err := pebblestore.Open(r.dir, pebblestore.Options{})
		if err != nil {
			r.t.Fatal(err)
		}
		r.st = st
	}
	o := r.options
	o.Store = r.st
	var err error
	if r.Live, err = live.New(r.config(), o); err != nil {
		r.t.Fatal(errors.Join(err, r.st.Close()))
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan error, 1)
	go func(l *live.Live) { r.done <- l.Run(ctx) }(r.Live)
}

// end ends it as a signal would; what it holds is closed.
func (r *rig) end() {
	r.t.Helper()
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	err := errors.Join(<-r.done, r.Close())
	if !r.inMemory {
		err = errors.Join(err, r.st.Close())
	}
	if err != nil {
		r.t.Errorf("the end: %v", err)
	}
}

// until waits until something is so, and fails the test if it is not in time.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		select {
		case err := <-r.done:
			r.done <- err
			r.t.Fatalf("it has ended: %v; waiting for %s", err, what)
		case <-time.After(3 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s, _ := json.MarshalIndent(r.state(), "", " ")
			r.t.Fatalf("not in %s: %s\n%s", patience, what, s)
		}
	}
}

func (r *rig) state() live.State {
	r.t.Helper()
	s, err := r.State()
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// at waits until the cases have seen the newest block. geth may put one on top at any time.
func (r *rig) at(head func() string) {
	r.t.Helper()
	r.until("the newest block", func() bool { return r.state().Chains[0].Tip.Hash.String() == bare(head()) })
}

// followed waits until so many cases are open, and asks for it at once.
func (r *rig) followed(n int) {
	r.t.Helper()
	r.reload()
	r.until(fmt.Sprintf("%d open cases", n), func() bool {
		s := r.state()
		return len(s.Cases) == n && !slices.ContainsFunc(s.Cases, func(c live.CaseState) bool { return !c.Open })
	})
}

func (r *rig) reload() {
	r.t.Helper()
	if err := r.Reload(r.t.Context(), r.config()); err != nil {
		r.t.Fatal(err)
	}
}

// told waits for exactly one message of a case or list by a rule about a transaction, the first under its key.
func (r *rig) told(owner, rule, tx string) told {
	r.t.Helper()
	r.until(fmt.Sprintf("%s of %s about %s", rule, owner, tx), func() bool { return len(r.hook.of(owner, rule, tx)) > 0 })
	all := r.hook.of(owner, rule, tx)
	if len(all) != 1 || all[0].Serial != 0 || all[0].Kind != alert.Found {
		r.t.Errorf("%s of %s about %s: %d messages, the first %s; want one finding", rule, owner, tx, len(all), all[0].ID)
	}
	return all[0]
}

// said waits for the message of a kind that is the n-th under the key of a finding.
func (r *rig) said(first told, kind alert.Kind, serial int) {
	r.t.Helper()
	isIt := func(m told) bool { return m.Key == first.Key && m.Serial == serial }
	r.until(fmt.Sprintf("%s %d of %s", kind, serial, first.Key), func() bool { return len(r.hook.all(isIt)) > 0 })
	if m := r.hook.all(isIt)[0]; m.Kind != kind || m.Case != first.Case || m.Severity != first.Severity {
		r.t.Errorf("message %s is %s of %s, %s; want %s of %s, %s", m.ID, m.Kind, m.Case, m.Severity, kind, first.Case, first.Severity)
	}
}

// onlyFindings are all judgements so far, as case, rule and transaction; corrections and the like fail the test.
func (r *rig) onlyFindings(rules ...string) (all []string) {
	r.t.Helper()
	for _, m := range r.hook.all(func(m told) bool { return m.Kind != alert.State }) {
		if m.Kind != alert.Found || m.Serial != 0 {
			r.t.Errorf("%s is a %s; want findings only", m.ID, m.Kind)
		}
		if slices.Contains(rules, m.rule()) {
			all = append(all, m.Case+" "+m.rule()+" "+m.Tx.String())
		}
	}
	slices.Sort(all)
	return all
}

// file writes a file beside the store, and returns its path.
func (r *rig) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// theft adds a case to the configuration.
func (r *rig) theft(id, text string) {
	r.t.Helper()
	r.setup.cases += fmt.Sprintf("  - {id: %s, theft: %q}\n", id, r.file("thefts/"+id+".json", text))
}

// dump is all that a store holds.
func dump(t testing.TB, st store.Store) string {
	t.Helper()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := storetest.Dump(t.Context(), s)
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return text
}

// isAsFresh checks that the store holds what a new one does that is filled from these nodes alone.
func (r *rig) isAsFresh(chains string, head func() string, when string) {
	r.t.Helper()
	for range 5 {
		r.at(head)
		want, tip := r.fresh(chains, head)
		got := dump(r.t, r.st)
		switch {
		case got == want:
			return
		case tipOf(r.t, r.st, tip.Chain).Hash == tip.Hash:
			r.t.Errorf("%s: %s", when, storetest.Difference(got, want))
			return
		}
	}
	r.t.Errorf("%s: the node never rests", when)
}

// fresh is what a new store holds that is filled from these nodes.
func (r *rig) fresh(chains string, head func() string) (string, flow.Point) {
	r.t.Helper()
	was := r.setup.chains
	r.setup.chains = chains
	c := r.config()
	r.setup.chains = was
	nodes, err := engine.OpenNodes(c.Chains[0], follow.Config{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer nodes.Close()
	ctx, stop := context.WithCancel(r.t.Context())
	defer stop()
	st := memstore.New()
	done := make(chan error, 1)
	go func() {
		_, err := ingest.Run(ctx, nodes.Source, nodes.Decoder, st, ingest.Config{Delay: time.Millisecond})
		done <- err
	}()
	chain := c.Chains[0].Chain
	r.until("a fresh store", func() bool { return tipOf(r.t, st, chain).Hash.String() == bare(head()) })
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		r.t.Fatal(err)
	}
	return dump(r.t, st), tipOf(r.t, st, chain)
}

func tipOf(t *testing.T, st store.Store, c flow.Chain) flow.Point {
	t.Helper()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, _ := s.Tip(c)
	return p
}

// standing are the alerts that hold now, by their keys, those about Spoor itself left out.
func (r *rig) standing() []string {
	r.t.Helper()
	var keys []string
	for _, e := range r.listed() {
		if e.State == outbox.Standing && e.Alert.Kind != alert.State {
			keys = append(keys, e.Alert.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// listed are all alerts, as /v1/alerts gives them.
func (r *rig) listed() (all []outbox.Entry) {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.Handler(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/alerts", nil))
	for d := json.NewDecoder(w.Body); ; {
		var e outbox.Entry
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, e)
	}
}
