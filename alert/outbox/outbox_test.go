package outbox

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// A receiver takes what it is sent, unless fail says otherwise.
type receiver struct {
	name string

	mu     sync.Mutex
	fail   func(group []alert.Alert) error // guarded by mu
	groups [][]alert.Alert                 // guarded by mu: what was taken
	when   []time.Time                     // guarded by mu
	tries  int                             // guarded by mu
}

func (r *receiver) Name() string { return r.name }

func (r *receiver) Send(ctx context.Context, group []alert.Alert) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.fail != nil {
		if err := r.fail(group); err != nil {
			return err
		}
	}
	r.groups = append(r.groups, slices.Clone(group))
	r.when = append(r.when, time.Now())
	return ctx.Err()
}

func (r *receiver) set(fail func(group []alert.Alert) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

// tried is how often something was sent to it.
func (r *receiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

// ids are those of the groups that were taken, as "a b|c".
func (r *receiver) ids() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, g := range r.groups {
		var ids []string
		for _, a := range g {
			ids = append(ids, a.ID())
		}
		all = append(all, strings.Join(ids, " "))
	}
	return strings.Join(all, "|")
}

func (r *receiver) want(t *testing.T, what, ids string) {
	t.Helper()
	if got := r.ids(); got != ids {
		t.Errorf("%s: %s took %q; want %q", what, r.name, got, ids)
	}
}

var chain = flow.Ethereum

func at(height uint64) flow.Point {
	return flow.Point{Chain: chain, Height: height, Hash: flow.Hash{byte(height)}}
}

func found(key string, s finding.Severity) alert.Alert {
	return alert.Alert{Key: key, Kind: alert.Found, Severity: s, Case: "theft", Title: "it moved", Text: "10 ETH moved.", Tx: flow.Hash{1, key[0]}, Seen: time.Now(), Made: time.Now()}
}

func to(sinks ...alert.Sink) Config {
	c := Config{Jitter: func() float64 { return 0 }, FS: vfs.NewMem(), Routes: []Route{{Name: "all"}}}
	for _, s := range sinks {
		c.Sinks = append(c.Sinks, Receiver{Sink: s})
		c.Routes[0].Sinks = append(c.Routes[0].Sinks, s.Name())
	}
	return c
}

func open(t testing.TB, c Config) *Outbox {
	t.Helper()
	o, err := Open("outbox", c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// live opens an outbox in a bubble of time and delivers while f runs.
func live(t *testing.T, c Config, f func(t *testing.T, o *Outbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, c)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- o.Deliver(ctx) }()
		synctest.Wait()
		defer func() {
			stop()
			if err := errors.Join(<-done, o.Close()); err != nil {
				t.Errorf("deliver and close: %v", err)
			}
		}()
		f(t, o)
	})
}

func TestTellCorrectAndTellAgain(t *testing.T) {
	r := &receiver{name: "desk"}
	live(t, to(r), func(t *testing.T, o *Outbox) {
		ctx := t.Context()
		step := func(what, ids string, err error) {
			t.Helper()
			must(t, err)
			synctest.Wait()
			r.want(t, what, ids)
		}
		step("new", "a b", o.Add(ctx, at(7), []alert.Alert{found("a", finding.High), found("b", finding.High)}))
		step("the same", "a b", o.Add(ctx, at(7), []alert.Alert{found("a", finding.High)}))
		step("undone", "a b", o.Back(ctx, chain, 7))
		step("on the other branch", "a b", o.Add(ctx, at(8), []alert.Alert{found("a", finding.High)}))
		step("at rest below", "a b", o.Settle(ctx, chain, 6))
		step("at rest", "a b|b#1", o.Settle(ctx, chain, 8))
		step("at rest once more", "a b|b#1", o.Settle(ctx, chain, 8))
		step("so after all", "a b|b#1|b#2", o.Add(ctx, at(9), []alert.Alert{found("b", finding.High)}))
		step("undone again", "a b|b#1|b#2", o.Back(ctx, chain, 9))
		step("gone again", "a b|b#1|b#2|b#3", o.Settle(ctx, chain, 20))
		correction := r.groups[1][0]
		want := "This is not so any more: block 7 of eip155:1 was reorganised away; the transaction is not on the branch that won. It was said: 10 ETH moved."
		if correction.Kind != alert.Correction || correction.Text != want || r.groups[2][0].Kind != alert.Again {
			t.Errorf("correction %s %q, then %s; want %q", correction.Kind, correction.Text, r.groups[2][0].Kind, want)
		}
		for e, err := range o.List(ctx, Filter{}) {
			must(t, err)
			want := map[string]State{"a": Standing, "b#3": Withdrawn}[e.Alert.ID()]
			if e.State != want || !slices.Equal(e.Taken, []string{"desk"}) {
				t.Errorf("%s is %s, taken by %v; want %s", e.Alert.ID(), e.State, e.Taken, want)
			}
		}
	})
}

func chains(names ...string) (all []flow.Chain) {
	for _, n := range names {
		c, err := flow.ParseChain(n)
		if err != nil {
			panic(err)
		}
		all = append(all, c)
	}
	return all
}

func TestMemory(t *testing.T) {
	c := to()
	o, err := Open("outbox", c)
	must(t, err)
	m, err := o.Memory()
	if m != nil || err != nil {
		t.Fatalf("at first: %q, %v", m, err)
	}
	must(t, o.Remember(t.Context(), []byte("one")))
	must(t, o.Remember(t.Context(), []byte("two")))
	must(t, o.Close())
	if _, err := o.Memory(); err == nil {
		t.Error("a closed outbox remembers")
	}
	o, err = Open("outbox", c)
	must(t, err)
	m, err = o.Memory()
	if string(m) != "two" || err != nil {
		t.Errorf("after a restart: %q, %v; want two", m, err)
	}
	must(t, o.Close())
}

func TestWorseOnTheOtherBranch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &receiver{name: "pager"}
		c := to(pager)
		c.Routes = []Route{{Name: "loud", Least: finding.High, Sinks: []string{"pager"}}}
		o := open(t, c)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.Deliver(ctx) }()
		must(t, o.Add(ctx, at(5), []alert.Alert{found("k", finding.Medium)}))
		must(t, o.Back(ctx, chain, 5))
		must(t, o.Add(ctx, at(6), []alert.Alert{found("k", finding.High)}))
		time.Sleep(time.Minute)
		pager.want(t, "worse", "k#1")
		must(t, o.Back(ctx, chain, 6))
		must(t, o.Add(ctx, at(7), []alert.Alert{found("k", finding.Medium)}))
		time.Sleep(time.Minute)
		pager.want(t, "better", "k#1")
		stop()
		must(t, <-done)
		must(t, o.Close())
	})
}
