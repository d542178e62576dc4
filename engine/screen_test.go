package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/engine/verdicts"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
)

// screenChain: a sanctioned account pays a middle man, who pays shop; an exchange pays shop, too; a mixer sends dust.
const screenChain = `
chain eip155:1
block 1 aa time=1700000000
exchange alice native 1000000000000000000000
bad middle native 100000000000000000000
block 2 bb time=1700000100
middle shop native 100000000000000000000
alice shop native 900000000000000000000
block 3 cc time=1700000200
bad friend native 500000000000000000
mixer shop native 1000000000000000
exchange rich native 5000000000000000000
block 4 dd time=1700000300
friend payee native 400000000000000000
shop bad2 native 1000000000000000000
rich mixer native 1000000000000000000
mixer rich native 1000000000000000
`

// storyStore is a store with a text chain.
func storyStore(t testing.TB, chain string) store.Store {
	t.Helper()
	st := memstore.New()
	addBlocks(t, st, chain)
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func addBlocks(t testing.TB, st store.Store, chain string) {
	t.Helper()
	src, err := text.Parse("chain.txt", strings.NewReader(chain))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := Ingest(t.Context(), st, []Input{{Name: "text:chain.txt", Source: src, Decoder: dectext.New()}}, Watcher{})
	if err != nil || stats.Quarantined > 0 {
		t.Fatalf("ingest: %d rows refused, %v", stats.Quarantined, err)
	}
}

// who is the account that a word stands for on the chain of the tests.
func who(t testing.TB, st store.Store, word string) flow.Account {
	t.Helper()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// The decoder knows the names: a chain of one row says which account a word is.
	one := memstore.New()
	defer one.Close()
	addBlocks(t, one, "chain eip155:1\nblock 1 aa\n"+word+" - native 1\n")
	o, err := one.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := o.Block(t.Context(), flow.Ethereum, 1)
	if err != nil {
		t.Fatal(err)
	}
	return b.Txs[0].Movements[0].In[0].Account
}

func book(t testing.TB, labels ...attribute.Label) *attribute.Book {
	t.Helper()
	b, err := attribute.NewBook(labels)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listed is a label of a list from 1699999000 on.
func listed(a flow.Account, name string, c attribute.Category) attribute.Label {
	return attribute.Label{Subject: attribute.OfAnyEVM(a), Name: name, Category: c, Service: c.IsService(), Confidence: attribute.AuthorityData,
		Source: attribute.Source{ID: "test-list", Date: 1699999000}, Seen: 1699999000, ValidFrom: 1699999000}
}

func screenBook(t testing.TB, st store.Store) *attribute.Book {
	return book(t,
		listed(who(t, st, "bad"), "Bad", attribute.Sanction),
		listed(who(t, st, "bad2"), "Bad too", attribute.Sanction),
		listed(who(t, st, "mixer"), "Mixer", attribute.Mixing),
		listed(who(t, st, "exchange"), "Exchange", attribute.Exchange))
}

const screenNow = 1700001000

func screener(t testing.TB, st store.Store, record *verdicts.Record, books ...*attribute.Book) *Screener {
	return NewScreener(ScreenConfig{Store: st, Record: record, Now: func() time.Time { return time.Unix(screenNow, 0) }}, books...)
}

func reasonOf(v screen.Verdict, rule string) (screen.Reason, bool) {
	for _, r := range v.Reasons {
		if r.Rule == rule {
			return r, true
		}
	}
	return screen.Reason{}, false
}

func TestScreenDecides(t *testing.T) {
	st := storyStore(t, screenChain)
	s := screener(t, st, nil, screenBook(t, st))
	for _, c := range []struct {
		name     string
		question screen.Question
		decision screen.Decision
		rule     string
		unknown  bool
		hops     int
	}{
		{"listed", screen.Question{Account: who(t, st, "bad")}, screen.Block, "severe-itself", false, 0},
		{"listed-direct", screen.Question{Account: who(t, st, "bad"), Direct: true}, screen.Block, "severe-itself", false, 0},
		{"paid-by-the-listed", screen.Question{Account: who(t, st, "friend")}, screen.Block, "severe-direct", true, 1},
		{"asks-only-what-left", screen.Question{Account: who(t, st, "friend"), Direction: screen.Out}, screen.Attention, "unknown", true, 0},
		{"one-further", screen.Question{Account: who(t, st, "payee")}, screen.Hold, "severe-indirect", true, 2},
		{"in-alone-is-indirect", screen.Question{Account: who(t, st, "shop"), Direction: screen.In}, screen.Hold, "severe-indirect", true, 2},
		{"paid-the-listed", screen.Question{Account: who(t, st, "shop"), Direction: screen.Out}, screen.Block, "severe-direct", true, 1},
		{"dust-decides-nothing", screen.Question{Account: who(t, st, "shop"), Direction: screen.In}, screen.Hold, "dusting-guard", true, 1},
		{"asked-for-is-no-dust", screen.Question{Account: who(t, st, "rich"), Direction: screen.Out}, screen.Hold, "mixer-direct", true, 1},
		{"service", screen.Question{Account: who(t, st, "exchange"), Direct: true}, screen.Allow, "nothing", false, 0},
		{"nobody", screen.Question{Account: who(t, st, "stranger")}, screen.Attention, "unknown", true, 0},
		{"counterparty", screen.Question{Account: who(t, st, "exchange"), Direct: true, Counterparties: []flow.Account{who(t, st, "bad")}},
			screen.Block, "severe-itself", false, 1},
		{"before-it-was-listed", screen.Question{Account: who(t, st, "bad"), AsOf: 1699998999}, screen.Attention, "unknown", true, 0},
		{"before-it-was-paid", screen.Question{Account: who(t, st, "friend"), AsOf: 1700000150}, screen.Attention, "unknown", true, 0},
		{"after-it-was-paid", screen.Question{Account: who(t, st, "friend"), AsOf: 1700000200}, screen.Block, "severe-direct", true, 1},
		{"other-chain", screen.Question{Account: onChain(t, who(t, st, "bad"), "eip155:137")}, screen.Block, "severe-itself", false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := s.Screen(t.Context(), c.question)
			if err != nil {
				t.Fatal(err)
			}
			r, ok := reasonOf(v, c.rule)
			if v.Decision != c.decision || !ok || v.Unknown != c.unknown || r.Hops != c.hops {
				t.Errorf("%s (%+v), unknown %v, %s over %d hops; want %s by %s, unknown %v, %d hops", v.Decision, v.Reasons, v.Unknown, c.rule, r.Hops, c.decision, c.rule, c.unknown, c.hops)
			}
			if err := v.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func onChain(t testing.TB, a flow.Account, chain string) flow.Account {
	t.Helper()
	c, err := flow.ParseChain(chain)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.On(c); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestExposureIsExact(t *testing.T) {
	st := storyStore(t, screenChain)
	s := screener(t, st, nil, screenBook(t, st))
	shop := who(t, st, "shop")
	v, err := s.Screen(t.Context(), screen.Question{Account: shop, Direction: screen.In})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		value  string
		share  int64
		direct bool
		path   []flow.Account
		dust   bool
	}{
		"sanction":       {"100000000000000000000", 99999900, false, []flow.Account{who(t, st, "bad"), who(t, st, "middle"), shop}, false},
		"exchange":       {"900000000000000000000", 899999100, false, []flow.Account{who(t, st, "exchange"), who(t, st, "alice"), shop}, false},
		"mixing_service": {"1000000000000000", 999, true, []flow.Account{who(t, st, "mixer"), shop}, true},
	}
	if len(v.Exposure) != len(want) {
		t.Errorf("%d exposures, want %d: %+v", len(v.Exposure), len(want), v.Exposure)
	}
	for _, e := range v.Exposure {
		w := want[e.Category]
		if e.Value.String() != w.value || e.Share != w.share || e.Direct != w.direct || e.Dust != w.dust || e.Interval.Low != e.Value || e.Interval.High != e.Value {
			t.Errorf("%s: %s (%d), between %s and %s, direct %v, dust %v; want %+v", e.Category, e.Value, e.Share, e.Interval.Low, e.Interval.High, e.Direct, e.Dust, w)
		}
		if len(e.TopPaths) == 0 || len(e.TopPaths[0].Accounts) != len(w.path) || len(e.TopPaths[0].Txs) != len(w.path)-1 {
			t.Fatalf("%s: paths %+v; want %v", e.Category, e.TopPaths, w.path)
		}
		for i, a := range e.TopPaths[0].Accounts {
			if a != w.path[i] {
				t.Errorf("%s: place %d of the path is %s; want %s", e.Category, i, a, w.path[i])
			}
		}
	}
	if len(v.Covered) != 1 || v.Covered[0].Total.String() != "1000001000000000000000" || v.Covered[0].Named != v.Covered[0].Total || v.Partial {
		t.Errorf("covered %+v, partial %v", v.Covered, v.Partial)
	}
}

// Money that goes in circles does not make the bad part of it smaller.
func TestCirclesDoNotDilute(t *testing.T) {
	for _, circle := range []string{"me me native 100000000000000000000\n", "me you native 100000000000000000000\nyou me native 100000000000000000000\n"} {
		st := storyStore(t, "chain eip155:1\nblock 1 aa time=1700000000\nbad me native 100000000000000000000\n"+strings.Repeat(circle, 9))
		s := screener(t, st, nil, screenBook(t, st))
		v, err := s.Screen(t.Context(), screen.Question{Account: who(t, st, "me"), Direction: screen.In})
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Exposure) != 1 || v.Exposure[0].Share != 1_000_000_000 || v.Exposure[0].Value != v.Covered[0].Total || v.Decision != screen.Block {
			t.Errorf("after %q: %s, %+v", circle, v.Decision, v.Exposure)
		}
	}
}

func TestTransferSaysWhatOfItIsTainted(t *testing.T) {
	st := storyStore(t, screenChain)
	s := screener(t, st, nil, screenBook(t, st))
	v, err := s.Screen(t.Context(), screen.Question{Account: who(t, st, "shop"), Direction: screen.In, Asset: flow.Ethereum.Native(), Amount: flow.NewAmount(1_000_000_000)})
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := reasonOf(v, "severe-indirect"); !ok || r.Amount != flow.NewAmount(99_999_900) {
		t.Errorf("of the transfer %s is tainted (%v); want 99999900", r.Amount, ok)
	}
}

// brokenStore cannot be read.
type brokenStore struct{ store.Store }

var errBroken = errors.New("the disk is gone")

func (brokenStore) Snapshot() (store.Snapshot, error) { return nil, errBroken }

func TestBlindIsNeverAllow(t *testing.T) {
	st := storyStore(t, screenChain)
	exchange := who(t, st, "exchange")
	s := screener(t, brokenStore{st}, nil, screenBook(t, st))
	v, err := s.Screen(t.Context(), screen.Question{Account: exchange})
	if !errors.Is(err, screen.ErrBlind) || !errors.Is(err, errBroken) || v.Decision != 0 {
		t.Errorf("a store that cannot be read: %v, %v", v.Decision, err)
	}
	record, err := verdicts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s = screener(t, st, record, screenBook(t, st))
	if v, err := s.Screen(gone, screen.Question{Account: exchange, Direct: true}); !errors.Is(err, screen.ErrBlind) || v.Decision != 0 {
		t.Errorf("a verdict that cannot be kept: %v, %v", v.Decision, err)
	}
	all, errs := s.ScreenAll(gone, []screen.Question{{Account: exchange, Direct: true}, {}})
	if !errors.Is(errs[0], screen.ErrBlind) || !errors.Is(errs[1], screen.ErrQuestion) || all[0].Decision != 0 {
		t.Errorf("verdicts that cannot be kept: %v", errs)
	}
}

func TestNewBlocksAndLabelsInvalidate(t *testing.T) {
	st := storyStore(t, screenChain)
	labels := screenBook(t, st)
	s := screener(t, st, nil, labels)
	payee, friend := who(t, st, "payee"), who(t, st, "friend")
	ask := func(a flow.Account) screen.Verdict {
		t.Helper()
		first, err := s.Screen(t.Context(), screen.Question{Account: a, Direction: screen.In})
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Screen(t.Context(), screen.Question{Account: a, Direction: screen.In})
		if err != nil || again.ID != first.ID {
			t.Fatalf("the same question has another answer: %v", err)
		}
		return first
	}
	if v := ask(who(t, st, "alice")); v.Decision != screen.Attention {
		t.Fatalf("alice: %s", v.Decision)
	}
	if v := ask(payee); v.Decision != screen.Hold {
		t.Fatalf("payee: %s", v.Decision)
	}
	addBlocks(t, st, screenChain+"block 5 ee time=1700000400\nbad alice native 1000000000000000000\n")
	if v := ask(who(t, st, "alice")); v.Decision != screen.Block {
		t.Errorf("after a new block alice is %s", v.Decision)
	}
	l := listed(friend, "Friend", attribute.Sanction)
	s.SetLabels(labels, book(t, l))
	if v := ask(payee); v.Decision != screen.Block {
		t.Errorf("after a new label payee is %s", v.Decision)
	}
}

func TestRescreenTellsWhatChanged(t *testing.T) {
	st := storyStore(t, screenChain)
	record, err := verdicts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	labels := screenBook(t, st)
	s := screener(t, st, record, labels)
	stranger, payee := who(t, st, "stranger"), who(t, st, "payee")
	for _, a := range []flow.Account{stranger, payee, who(t, st, "exchange"), stranger} {
		if _, err := s.Screen(t.Context(), screen.Question{Account: a}); err != nil {
			t.Fatal(err)
		}
	}
	rescreen := func() (all []finding.Finding) {
		for f, err := range s.Rescreen(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, f)
		}
		return all
	}
	if all := rescreen(); len(all) != 0 {
		t.Fatalf("nothing changed, and there are findings: %+v", all)
	}
	s.SetLabels(labels, book(t, listed(stranger, "Stranger", attribute.Sanction)))
	s.now = func() time.Time { return time.Unix(screenNow+10, 0) }
	all := rescreen()
	if len(all) != 1 || all[0].Rule != screen.RuleChange || all[0].Severity != finding.Critical || all[0].Subjects[0] != stranger {
		t.Fatalf("findings %+v; want one about %s", all, stranger)
	}
	if again := rescreen(); len(again) != 0 {
		t.Errorf("told twice: %+v", again)
	}
	history, err := s.History(t.Context(), stranger, screenNow+10, 10)
	if err != nil || len(history) != 3 || history[0].Decision != screen.Block || history[1].Decision != screen.Attention || history[1].ID != history[2].ID {
		t.Errorf("history %v, %d verdicts, %+v", err, len(history), history)
	}
	if then, err := s.History(t.Context(), stranger, screenNow, 10); err != nil || len(then) != 2 || then[0].Decision != screen.Attention {
		t.Errorf("history of then: %v, %+v", err, then)
	}
}

// Questions, new labels and rescreening go on at once, and every answer is from one state of the labels.
func TestScreenersAreShared(t *testing.T) {
	st := storyStore(t, screenChain)
	record, err := verdicts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	stranger := who(t, st, "stranger")
	without := screenBook(t, st)
	with := book(t, listed(stranger, "Stranger", attribute.Sanction))
	s := screener(t, st, record, without)
	var group sync.WaitGroup
	answers := make(chan screen.Verdict, 200)
	for range 4 {
		group.Go(func() {
			for range 50 {
				v, err := s.Screen(t.Context(), screen.Question{Account: stranger})
				if err != nil {
					t.Error(err)
				}
				answers <- v
			}
		})
	}
	for i := range 20 {
		s.SetLabels(without, with)
		if i%2 == 0 {
			s.SetLabels(without)
		}
		for _, err := range s.Rescreen(t.Context()) {
			if err != nil {
				t.Error(err)
			}
		}
	}
	group.Wait()
	close(answers)
	decisions := map[flow.Hash]screen.Decision{}
	for v := range answers {
		if before, ok := decisions[v.LabelHash]; ok && before != v.Decision {
			t.Errorf("the same labels gave %s and %s", before, v.Decision)
		}
		decisions[v.LabelHash] = v.Decision
	}
	if len(decisions) > 2 {
		t.Errorf("%d states of the labels were seen, there are two", len(decisions))
	}
}

// A fresh list of exchanges does not make an old list of sanctions fresh: the age that can clear whom it should not is the
// age of the sanctions.
func TestListAgeIsThatOfSanctions(t *testing.T) {
	st := storyStore(t, screenChain)
	label := func(word, source string, date int64, category attribute.Category) attribute.Label {
		return attribute.Label{Subject: attribute.OfAccount(who(t, st, word)), Name: word, Category: category,
			Source: attribute.Source{ID: source, Date: date}, Seen: 1}
	}
	state := func(labels ...attribute.Label) int64 {
		s, err := newBookLabels([]*attribute.Book{book(t, labels...)}).LabelState(5000)
		if err != nil {
			t.Fatal(err)
		}
		return s.Newest
	}
	old, fresh := label("bad", "ofac", 1000, attribute.Sanction), label("exchange", "names", 4000, attribute.Exchange)
	tagged := label("mixer", "names", 4000, attribute.Sanction)
	if got := state(old, fresh, tagged); got != 1000 {
		t.Errorf("beside a fresh list of names the labels are of %d; want 1000", got)
	}
	if got := state(fresh); got != 4000 {
		t.Errorf("without a list of sanctions the labels are of %d; want 4000", got)
	}
	if got := state(old, label("bad2", "eu", 3000, attribute.Sanction), label("friend", "later", 6000, attribute.Sanction)); got != 3000 {
		t.Errorf("of several lists of sanctions the newest known one is of %d; want 3000", got)
	}
}
