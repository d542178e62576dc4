package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/engine/verdicts"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/store"
)

func findings(t testing.TB, all iter.Seq2[finding.Finding, error]) (out []finding.Finding) {
	t.Helper()
	for f, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func recorded(t testing.TB) *verdicts.Record {
	t.Helper()
	r, err := verdicts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// TestRescreenChangedFindsWhatRescreenFinds changes labels at random and holds the few questions against all of them.
func TestRescreenChangedFindsWhatRescreenFinds(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	st := storyStore(t, screenChain)
	words := []string{"bad", "bad2", "mixer", "exchange", "alice", "middle", "shop", "friend", "rich", "payee", "stranger"}
	accounts := make([]flow.Account, len(words))
	for i, w := range words {
		accounts[i] = who(t, st, w)
	}
	categories := []attribute.Category{attribute.Sanction, attribute.Mixing, attribute.Exchange, attribute.Scam, "shop"}
	clock := int64(screenNow)
	now := func() time.Time { return time.Unix(clock, 0) }
	draw := func() []attribute.Label {
		labels := []attribute.Label{listed(accounts[0], "Bad", attribute.Sanction)} // so that the age of the lists stays
		for _, a := range accounts[1:] {
			if rng.IntN(2) == 0 {
				labels = append(labels, listed(a, "Name", categories[rng.IntN(len(categories))]))
			}
		}
		return labels
	}
	told := 0
	for round := range 6 {
		few, all := recorded(t), recorded(t)
		first := book(t, draw()...)
		config := func(r *verdicts.Record) ScreenConfig { return ScreenConfig{Store: st, Record: r, Now: now} }
		a, b := NewScreener(config(few), first), NewScreener(config(all), first)
		for _, account := range accounts {
			q := screen.Question{Account: account}
			if round%3 == 0 {
				q = screen.Question{Account: account, Counterparties: []flow.Account{accounts[rng.IntN(len(accounts))]}, Direct: true}
			}
			for _, s := range []*Screener{a, b} {
				if _, err := s.Screen(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
		}
		clock += 10
		for step := range 3 {
			next := book(t, draw()...)
			a.SetLabels(next)
			b.SetLabels(next)
			got, want := findings(t, a.RescreenChanged(t.Context())), findings(t, b.Rescreen(t.Context()))
			titles := func(all []finding.Finding) (out []string) {
				for _, f := range all {
					out = append(out, f.Title+f.Sentence)
				}
				slices.Sort(out)
				return out
			}
			if !slices.Equal(titles(got), titles(want)) {
				t.Fatalf("round %d, step %d: the few questions found\n%q\nall of them\n%q", round, step, titles(got), titles(want))
			}
			told += len(got)
			clock++
		}
		if again := findings(t, a.RescreenChanged(t.Context())); len(again) != 0 {
			t.Errorf("told twice: %+v", again)
		}
	}
	if told < 15 {
		t.Errorf("only %d changes: the test shows nothing", told)
	}
}

func TestRescreenChangedAsksOnlyWhomItConcerns(t *testing.T) {
	st := storyStore(t, screenChain)
	record := recorded(t)
	asked := 0
	clock := func() time.Time { return time.Unix(screenNow, 0) }
	labels := screenBook(t, st)
	s := NewScreener(ScreenConfig{Store: countedStore{st, &asked}, Record: record, Now: clock}, labels)
	for _, w := range []string{"shop", "payee", "rich", "stranger", "middle"} {
		if _, err := s.Screen(t.Context(), screen.Question{Account: who(t, st, w)}); err != nil {
			t.Fatal(err)
		}
	}
	friend := listed(who(t, st, "friend"), "Friend", attribute.Sanction)
	asked = 0
	s.SetLabels(labels, book(t, friend))
	all := findings(t, s.RescreenChanged(t.Context()))
	// Only payee's money came over friend; and bad, of whom friend had it, was asked about by nobody.
	if len(all) != 1 || all[0].Subjects[0] != who(t, st, "payee") || asked != 1 {
		t.Errorf("%d accounts were asked about, findings %+v; want payee alone", asked, all)
	}
	// No labels at all, and there is a rule for that: everybody is concerned.
	asked = 0
	s.SetLabels()
	findings(t, s.RescreenChanged(t.Context()))
	if asked != 5 {
		t.Errorf("%d accounts were asked about without labels; want 5", asked)
	}
	// What is broken off is done again.
	s.SetLabels(labels)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, err := range s.RescreenChanged(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	}
	if all := findings(t, s.RescreenChanged(t.Context())); len(all) == 0 {
		t.Error("what was broken off is not done again")
	}
}

// countedStore counts snapshots: each question about exposure takes one.
type countedStore struct {
	store.Store
	n *int
}

func (c countedStore) Snapshot() (store.Snapshot, error) { *c.n++; return c.Store.Snapshot() }

func TestRescreenSince(t *testing.T) {
	st := storyStore(t, screenChain)
	record := recorded(t)
	clock := int64(screenNow)
	s := NewScreener(ScreenConfig{Store: st, Record: record, Now: func() time.Time { return time.Unix(clock, 0) }}, screenBook(t, st))
	stranger := who(t, st, "stranger")
	if _, err := s.Screen(t.Context(), screen.Question{Account: stranger}); err != nil {
		t.Fatal(err)
	}
	late := listed(stranger, "Stranger", attribute.Sanction)
	late.Seen = screenNow + 5
	s.SetLabels(screenBook(t, st), book(t, late))
	clock += 10
	if all := findings(t, s.RescreenSince(t.Context(), screenNow+5)); len(all) != 0 {
		t.Errorf("a label that was known before: %+v", all)
	}
	if all := findings(t, s.RescreenSince(t.Context(), screenNow+4)); len(all) != 1 {
		t.Errorf("a label that is new: %+v", all)
	}
}

func TestRescreenThroughClusters(t *testing.T) {
	st := storyStore(t, walletChain)
	c := NewClusters()
	buildClusters(t, c, st, ClusterConfig{})
	record := recorded(t)
	cold, thief := named(t, "regtest", "cold"), named(t, "regtest", "thief")
	elsewhere := book(t, listed(named(t, "regtest", "nobody"), "Nobody", attribute.Sanction))
	s := NewScreener(ScreenConfig{Store: st, Record: record, Clusters: c, Now: func() time.Time { return time.Unix(screenNow, 0) }}, elsewhere)
	if _, err := s.Screen(t.Context(), screen.Question{Account: cold, Direct: true}); err != nil {
		t.Fatal(err)
	}
	s.SetLabels(elsewhere, book(t, listed(thief, "Thief", attribute.Sanction)))
	all := findings(t, s.RescreenChanged(t.Context()))
	if len(all) != 1 || all[0].Subjects[0] != cold || all[0].Severity != finding.High {
		t.Errorf("%+v; want that cold is held", all)
	}
	if !s.asked.view.clusters.Hash().IsZero() {
		t.Error("the clusters were not written, and have a name")
	}
	if err := c.writeTo(io.Discard); err != nil {
		t.Fatal(err)
	}
	s.SetClusters(c)
	if all := findings(t, s.RescreenChanged(t.Context())); len(all) != 0 {
		t.Errorf("%+v; want nothing: the clusters say the same", all)
	}
	s.SetClusters(nil)
	if all := findings(t, s.RescreenChanged(t.Context())); len(all) != 1 || all[0].Severity != finding.Medium {
		t.Errorf("%+v; want that cold is held no more", all)
	}
}

func TestRescreenCarriesWhatAVendorSaid(t *testing.T) {
	st := storyStore(t, screenChain)
	record := recorded(t)
	labels := screenBook(t, st)
	s := NewScreener(ScreenConfig{Store: st, Record: record, Now: func() time.Time { return time.Unix(screenNow, 0) }}, labels)
	stranger := who(t, st, "stranger")
	v, err := s.Screen(t.Context(), screen.Question{Account: stranger})
	if err != nil {
		t.Fatal(err)
	}
	v.Reasons = append([]screen.Reason{{Rule: screen.RuleVendor, Decision: screen.Hold, Source: "trm", Sentence: "trm says High"}}, v.Reasons...)
	v.Decision = screen.Hold
	if v, err = screen.Seal(v); err == nil {
		err = record.Append(t.Context(), v)
	}
	if err != nil {
		t.Fatal(err)
	}
	if all := findings(t, s.Rescreen(t.Context())); len(all) != 0 {
		t.Errorf("the vendor's word is lost: %+v", all)
	}
	s.SetLabels(labels, book(t, listed(stranger, "Stranger", attribute.Sanction)))
	if all := findings(t, s.RescreenChanged(t.Context())); len(all) != 1 || all[0].Severity != finding.Critical {
		t.Errorf("%+v; want a block", all)
	}
	last, err := record.Find(t.Context(), stranger, screenNow, 1)
	if err != nil || len(last) != 1 || last[0].Decision != screen.Block || !slices.ContainsFunc(last[0].Reasons, func(r screen.Reason) bool { return r.Rule == screen.RuleVendor }) {
		t.Errorf("%+v, %v", last, err)
	}
}

// BenchmarkRescreenChanged asks again after a change of 10 labels with 100,000 verdicts on record, each of which looked at
// 50 others.
func BenchmarkRescreenChanged(b *testing.B) {
	const subjects, others = 100_000, 50
	record := recorded(b)
	account := func(n int) flow.Account {
		return flow.EVMAccount(flow.Ethereum, [20]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), 1})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var labels []attribute.Label
	for n := range 100_000 {
		labels = append(labels, listed(account(10_000_000+n), fmt.Sprint("L", n), attribute.Sanction))
	}
	first := book(b, labels...)
	s := NewScreener(ScreenConfig{Record: record, Now: func() time.Time { return time.Unix(screenNow, 0) }}, first)
	for n := 0; n < subjects; {
		var batch []screen.Verdict
		for range 1000 {
			v, err := s.Answer(b.Context(), screen.Question{Account: account(n), Direct: true})
			if err != nil {
				b.Fatal(err)
			}
			for range others {
				v.Touched = append(v.Touched, account(rng.IntN(5_000_000)))
			}
			batch = append(batch, v)
			n++
		}
		if err := record.Append(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 10 {
		labels = append(labels, listed(account(i*1000+5), "New", attribute.Sanction))
	}
	second := book(b, labels...)
	b.Run("all", func(b *testing.B) {
		for range b.N {
			for _, err := range s.Rescreen(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("changed", func(b *testing.B) {
		for i := range b.N {
			s.SetLabels([]*attribute.Book{second, first}[i%2])
			n := len(findings(b, s.RescreenChanged(b.Context())))
			b.ReportMetric(float64(n), "changes")
		}
	})
}
