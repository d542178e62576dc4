package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

var errSick = errors.New("sick")

func sick([]alert.Alert) error { return errSick }

// add puts in alerts of one severity, and lets everybody do what there is to do now.
func add(t *testing.T, o *Outbox, s finding.Severity, keys ...string) {
	t.Helper()
	var all []alert.Alert
	for _, k := range keys {
		all = append(all, found(k, s))
	}
	must(t, o.Add(t.Context(), at(7), all))
	synctest.Wait()
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// sink is the state of the only sink, or of the one of that name.
func sink(t *testing.T, o *Outbox, name string) SinkSummary {
	t.Helper()
	s, err := o.State(t.Context())
	must(t, err)
	for _, one := range s.Sinks {
		if one.Name == name {
			return one
		}
	}
	t.Fatalf("no sink %s in %+v", name, s)
	return SinkSummary{}
}

func TestWhatIsNotUrgentWaitsForCompany(t *testing.T) {
	r := &receiver{name: "desk"}
	c := to(r)
	c.Routes[0].Group = 3
	live(t, c, func(t *testing.T, o *Outbox) {
		add(t, o, finding.Medium, "a")
		pass(4 * time.Second)
		r.want(t, "too early", "")
		add(t, o, finding.Medium, "b")
		add(t, o, finding.High, "urgent")
		r.want(t, "urgent at once", "urgent")
		pass(time.Second)
		r.want(t, "five seconds after the first", "urgent|a b")
		add(t, o, finding.Medium, "c", "d", "e", "f")
		r.want(t, "a full group does not wait", "urgent|a b|c d e")
		pass(5 * time.Second)
		r.want(t, "the rest", "urgent|a b|c d e|f")
	})
}

func TestRoutes(t *testing.T) {
	desk, pager, log := &receiver{name: "desk"}, &receiver{name: "pager"}, &receiver{name: "log"}
	c := to(desk, pager, log)
	c.Routes = []Route{
		{Name: "log", Sinks: []string{"log"}, Continue: true, Wait: -1},
		{Name: "state", Kinds: []alert.Kind{alert.State}, Sinks: []string{"desk"}, Wait: -1},
		{Name: "treasury", Case: "treasury-*", Least: finding.High, Sinks: []string{"pager", "desk", "log"}},
		{Name: "elsewhere", Chains: chains("eip155:10"), Sinks: []string{"desk"}, Wait: -1},
	}
	live(t, c, func(t *testing.T, o *Outbox) {
		for _, one := range []struct {
			key, of, chain string
			kind           alert.Kind
			s              finding.Severity
		}{
			{"s", "", "eip155:1", alert.State, finding.Info}, {"t", "treasury-1", "eip155:1", alert.Found, finding.High},
			{"u", "treasury-1", "eip155:1", alert.Found, finding.Low}, {"v", "other", "eip155:10", alert.Found, finding.Low},
			{"w", "other", "eip155:1", alert.Found, finding.Critical},
		} {
			a := found(one.key, one.s)
			a.Case, a.Kind, a.Chain = one.of, one.kind, chains(one.chain)[0]
			must(t, o.Add(t.Context(), at(1), []alert.Alert{a}))
			synctest.Wait()
		}
		desk.want(t, "desk", "s|t|v")
		pager.want(t, "pager", "t")
		log.want(t, "log", "s|t|u|v|w")
		// A correction goes where the alert went, whatever the routes are by then.
		must(t, o.Reload(nil, c.Sinks))
		must(t, o.Back(t.Context(), chain, 1))
		must(t, o.Settle(t.Context(), chain, 1))
		pass(time.Minute)
		pager.want(t, "pager", "t|t#1")
		if got := log.ids(); !strings.HasSuffix(got, "t#1|u#1 v#1|w#1") && strings.Count(got, "#1") != 4 {
			t.Errorf("the log took %q", got)
		}
		must(t, o.Add(t.Context(), at(2), []alert.Alert{found("z", finding.High)}))
		if s, err := o.State(t.Context()); err != nil || s.Unrouted != 1 {
			t.Errorf("%d alerts went nowhere, %v; want 1", s.Unrouted, err)
		}
	})
}

func TestQuietHours(t *testing.T) {
	r := &receiver{name: "desk"}
	c := to(r)
	berlin := time.FixedZone("here", 3600)
	c.Sinks[0].Quiet = []Quiet{{From: 22 * time.Hour, To: 2 * time.Hour, Zone: berlin}, {From: 3 * time.Hour, To: 4 * time.Hour, Zone: berlin}}
	live(t, c, func(t *testing.T, o *Outbox) { // the bubble begins at midnight UTC: 1:00 there
		add(t, o, finding.High, "a")
		add(t, o, finding.Medium, "b")
		add(t, o, finding.Critical, "c")
		r.want(t, "at night", "c")
		pass(59 * time.Minute)
		r.want(t, "just before two", "c")
		pass(time.Minute)
		r.want(t, "in the morning", "c|a|b")
		pass(59 * time.Minute)
		add(t, o, finding.High, "d")
		r.want(t, "before the siesta", "c|a|b|d")
		pass(time.Minute)
		add(t, o, finding.High, "e")
		r.want(t, "at three", "c|a|b|d")
		if s := sink(t, o, "desk"); s.Queued != 1 {
			t.Errorf("%d are held; want 1", s.Queued)
		}
	})
}

func TestQuietHolds(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("absent: time zone data: %v", err)
	}
	night := Quiet{From: 22 * time.Hour, To: 6 * time.Hour, Zone: zone, Days: []time.Weekday{time.Friday, time.Saturday}}
	noon := Quiet{From: 12 * time.Hour, To: 13 * time.Hour, Least: finding.Medium}
	always := Quiet{}
	for _, c := range []struct {
		q     Quiet
		s     finding.Severity
		now   string
		until string // empty: it is not held
	}{
		{night, finding.High, "2026-03-28T23:00:00+01:00", "2026-03-29T06:00:00+02:00"}, // the clocks are put forward in it
		{night, finding.High, "2026-03-29T05:59:59+02:00", "2026-03-29T06:00:00+02:00"},
		{night, finding.High, "2026-03-29T06:00:00+02:00", ""},
		{night, finding.High, "2026-03-29T23:00:00+02:00", ""}, // a Sunday
		{night, finding.Critical, "2026-03-28T23:00:00+01:00", ""},
		{night, finding.High, "2026-03-27T21:59:59+01:00", ""},
		{noon, finding.Low, "2026-01-01T12:59:59Z", "2026-01-01T13:00:00Z"},
		{noon, finding.Medium, "2026-01-01T12:30:00Z", ""},
		{always, finding.High, "2026-01-01T12:30:00Z", "2026-01-02T00:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		must(t, err)
		until, held := c.q.holds(c.s, now)
		got := ""
		if held {
			got = until.Format(time.RFC3339)
		}
		want := c.until
		if want != "" {
			w, err := time.Parse(time.RFC3339, want)
			must(t, err)
			if held && until.Equal(w) {
				continue
			}
		}
		if got != want {
			t.Errorf("%s at %s is held until %q; want %q", c.s, c.now, got, want)
		}
	}
}

func TestRateLimitLetsTheMostSevereGoFirst(t *testing.T) {
	r := &receiver{name: "desk"}
	c := to(r)
	c.Sinks[0].PerMinute, c.Sinks[0].Burst, c.Routes[0].Wait = 6, 2, -1
	live(t, c, func(t *testing.T, o *Outbox) {
		for _, k := range []string{"a", "b", "c", "d"} {
			add(t, o, finding.Medium, k)
		}
		r.want(t, "two at once", "a|b")
		add(t, o, finding.Critical, "z")
		pass(10 * time.Second)
		r.want(t, "one in ten seconds", "a|b|z")
		pass(10 * time.Second)
		r.want(t, "and the others together", "a|b|z|c d")
	})
}

func TestRetry(t *testing.T) {
	r, other := &receiver{name: "desk"}, &receiver{name: "pager"}
	live(t, to(r, other), func(t *testing.T, o *Outbox) {
		r.set(sick)
		add(t, o, finding.High, "a")
		for i, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			if r.tried() != i+1 {
				t.Fatalf("%d tries after %d waits", r.tried(), i)
			}
			pass(wait*time.Second - time.Millisecond)
			if r.tried() != i+1 {
				t.Fatalf("wait %d was shorter than %d s", i, wait)
			}
			pass(time.Millisecond)
		}
		add(t, o, finding.High, "b")
		other.want(t, "a sick sink delays nobody", "a|b")
		if s := sink(t, o, "desk"); s.Error != "sick" || s.Queued != 2 || s.Retried == 0 || s.Oldest < 3*time.Minute || !s.Success.IsZero() || s.Rests.IsZero() {
			t.Errorf("the sick sink is %+v", s)
		}
		r.set(nil)
		pass(3 * time.Minute)
		if s := sink(t, o, "desk"); s.Queued != 0 || s.Sent != 2 || s.Oldest != 0 || s.Success.IsZero() || !s.Rests.IsZero() {
			t.Errorf("the sink that was sick is %+v", s)
		}
		r.set(func([]alert.Alert) error { return alert.RetryAfter{After: 17 * time.Second, Err: errSick} })
		tries := r.tried()
		add(t, o, finding.High, "c")
		r.set(nil)
		pass(17*time.Second - time.Millisecond)
		if r.tried() != tries+1 {
			t.Errorf("%d tries; it said when to come back", r.tried()-tries)
		}
		pass(time.Millisecond)
		if !strings.HasSuffix(r.ids(), "|c") {
			t.Errorf("it took %q; want c in the end", r.ids())
		}
		r.set(func([]alert.Alert) error { return alert.RetryAfter{After: 1e6 * time.Hour, Err: errSick} })
		add(t, o, finding.High, "d")
		r.set(nil)
		pass(maxRest)
		if !strings.HasSuffix(r.ids(), "|c|d") {
			t.Errorf("it took %q; a receiver may not silence us for ever", r.ids())
		}
	})
}

func TestOneMessageThatFailsHoldsNobodyUp(t *testing.T) {
	r := &receiver{name: "desk"}
	r.set(func(g []alert.Alert) error {
		if slices.ContainsFunc(g, func(a alert.Alert) bool { return a.Key == "poison" }) {
			return errSick
		}
		return nil
	})
	c := to(r)
	c.MaxAge = 2 * time.Hour
	live(t, c, func(t *testing.T, o *Outbox) {
		add(t, o, finding.High, "poison", "a", "b")
		add(t, o, finding.High, "c")
		pass(time.Minute)
		for _, k := range []string{"a", "b", "c"} {
			if !strings.Contains(r.ids(), k) {
				t.Errorf("after a minute it took %q; want %s as well", r.ids(), k)
			}
		}
		add(t, o, finding.High, "d")
		pass(5 * time.Second)
		if !strings.HasSuffix(r.ids(), "d") {
			t.Errorf("it took %q; want d in the end", r.ids())
		}
		if s := sink(t, o, "desk"); s.Queued != 1 {
			t.Errorf("%d are queued; want the one that fails", s.Queued)
		}
		tries := r.tried()
		pass(time.Hour)
		if n := r.tried() - tries; n < 50 || n > 70 {
			t.Errorf("it was tried %d times in an hour", n)
		}
		pass(time.Hour)
		if s := sink(t, o, "desk"); s.Queued != 0 || s.Dead != 1 {
			t.Errorf("%d queued, %d dead; it is too old by now", s.Queued, s.Dead)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	r := &receiver{name: "desk"}
	r.set(func(g []alert.Alert) error {
		for _, a := range g {
			if a.Key == "x" || a.Key == "y" {
				return fmt.Errorf("no %s: %w", a.Key, alert.ErrRefused)
			}
		}
		return nil
	})
	live(t, to(r), func(t *testing.T, o *Outbox) {
		ctx := t.Context()
		add(t, o, finding.High, "a", "x", "b", "y")
		r.want(t, "what is refused is found out", "a|b")
		dead := func() (ids string) {
			for l, err := range o.Dead(ctx, "desk") {
				must(t, err)
				ids += l.Alert.ID() + ": " + l.Reason + "; "
			}
			return ids
		}
		if got, want := dead(), "x: no x: refused for good; y: no y: refused for good; "; got != want {
			t.Errorf("dead letters %q; want %q", got, want)
		}
		// What was said later is not overtaken.
		must(t, o.Back(ctx, chain, 7))
		must(t, o.Add(ctx, at(8), []alert.Alert{found("a", finding.High), found("b", finding.High), found("y", finding.High)}))
		r.set(nil)
		must(t, o.Settle(ctx, chain, 9))
		synctest.Wait()
		r.want(t, "the correction", "a|b|x#1")
		n, err := o.Redeliver(ctx, "desk")
		synctest.Wait()
		if n != 1 || err != nil || dead() != "" {
			t.Errorf("%d are sent again, %v; dead are %q", n, err, dead())
		}
		r.want(t, "once more", "a|b|x#1|y")
		if s := sink(t, o, "desk"); s.Dead != 0 || s.Queued != 0 || s.Sent != 4 {
			t.Errorf("%+v", s)
		}
	})
}

func TestReload(t *testing.T) {
	desk, pager := &receiver{name: "desk"}, &receiver{name: "pager"}
	one, both := to(desk), to(desk, pager)
	live(t, one, func(t *testing.T, o *Outbox) {
		ctx := t.Context()
		desk.set(sick)
		add(t, o, finding.High, "a")
		must(t, o.Reload(both.Routes, both.Sinks))
		add(t, o, finding.High, "b")
		pager.want(t, "a new sink is told what is new", "b")
		pager.set(sick)
		add(t, o, finding.High, "c")
		must(t, o.Reload(one.Routes, one.Sinks))
		add(t, o, finding.High, "d")
		if s := sink(t, o, "pager"); s.Configured || s.Queued != 1 {
			t.Errorf("the sink that went is %+v", s)
		}
		if err := o.Forget(ctx, "desk"); err == nil {
			t.Error("a sink that is configured is forgotten")
		}
		desk.set(nil)
		pass(time.Minute)
		desk.want(t, "nothing is lost", "a b c d")
		pager.set(nil)
		must(t, o.Reload(both.Routes, both.Sinks))
		synctest.Wait()
		pager.want(t, "it came back", "b|c")
		must(t, o.Reload(one.Routes, one.Sinks))
		must(t, o.Back(ctx, chain, 7))
		must(t, o.Settle(ctx, chain, 7))
		must(t, o.Forget(ctx, "pager"))
		if s, err := o.State(ctx); err != nil || len(s.Sinks) != 1 {
			t.Errorf("after Forget: %+v, %v", s, err)
		}
		for _, bad := range [][]Receiver{{{Sink: desk}, {Sink: desk}}, {{}}, {{Sink: &receiver{}}}} {
			if err := o.Reload(nil, bad); err == nil {
				t.Errorf("%v is taken", bad)
			}
		}
		for _, bad := range []Route{{}, {Name: "r", Sinks: []string{"nobody"}}, {Name: "r", Case: "["}, {Name: "r", Group: -1}, {Name: "r", Least: 9}} {
			if err := o.Reload([]Route{bad}, one.Sinks); err == nil {
				t.Errorf("route %+v is taken", bad)
			}
		}
		add(t, o, finding.High, "e")
		if !strings.HasSuffix(desk.ids(), "e") {
			t.Errorf("desk took %q; want e in the end", desk.ids())
		}
	})
}

// A message that is more severe than the one before it takes that one along.
func TestACorrectionOvertakesNothing(t *testing.T) {
	r := &receiver{name: "desk"}
	live(t, to(r), func(t *testing.T, o *Outbox) {
		ctx := t.Context()
		add(t, o, finding.Low, "a", "b")
		must(t, o.Back(ctx, chain, 7))
		must(t, o.Settle(ctx, chain, 7))
		synctest.Wait()
		r.want(t, "nothing is urgent", "")
		add(t, o, finding.Critical, "a")
		r.want(t, "it is urgent by now", "a a#1 a#2")
		pass(5 * time.Second)
		r.want(t, "the other one", "a a#1 a#2|b b#1")
		if s := sink(t, o, "desk"); s.Queued != 0 {
			t.Errorf("%d are queued", s.Queued)
		}
	})
}

func TestLeadTime(t *testing.T) {
	r := &receiver{name: "desk"}
	c := to(r)
	var leads []string
	c.Sent = func(sink string, a alert.Alert, lead time.Duration) {
		leads = append(leads, fmt.Sprintf("%s %s %s", sink, a.ID(), lead))
	}
	live(t, c, func(t *testing.T, o *Outbox) {
		add(t, o, finding.High, "a")
		add(t, o, finding.Medium, "b")
		pass(5 * time.Second)
		must(t, o.Back(t.Context(), chain, 7))
		pass(time.Minute)
		must(t, o.Settle(t.Context(), chain, 7))
		synctest.Wait()
		if got, want := strings.Join(leads, ", "), "desk a 0s, desk b 5s, desk a#1 0s"; got != want {
			t.Errorf("lead times are %q; want %q", got, want)
		}
	})
}

// hung is a sink that answers only when it is told to stop.
type hung struct{}

func (hung) Name() string { return "hung" }

func (hung) Send(ctx context.Context, _ []alert.Alert) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	r := &receiver{name: "desk"}
	live(t, to(r, hung{}), func(t *testing.T, o *Outbox) {
		add(t, o, finding.High, "a")
		if err := o.Deliver(t.Context()); err == nil {
			t.Error("two of them deliver")
		}
		pass(time.Minute)
		r.want(t, "beside one that hangs", "a")
		if s := sink(t, o, "hung"); s.Queued != 1 || !strings.Contains(s.Error, "deadline") {
			t.Errorf("the sink that hangs is %+v", s)
		}
		must(t, o.Reload(nil, []Receiver{{Sink: hung{}}}))
	})
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i > 1000 {
			t.Fatalf("%d goroutines, and %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}
