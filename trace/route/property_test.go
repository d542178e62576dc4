package route

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

// A failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func answer(t failer, w *world, g trace.Graph, o Options) *Result {
	t.Helper()
	r, err := Find(context.Background(), g, w.q, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tooMuch reports whether more than 2^256-1 units leave the giver, which is refused.
func tooMuch(w *world) bool {
	_, err := Find(context.Background(), &memGraph{txs: w.txs}, w.q, w.options())
	return errors.Is(err, ErrSize)
}

// The maximum is that of an oracle which leaves nothing out beforehand, and the cut proves it.
func TestMaximumAgreesWithTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawAny(t)
		want := w.most()
		r, err := Find(context.Background(), &memGraph{txs: w.txs, whole: rapid.Bool().Draw(t, "whole")}, w.q, w.options())
		if errors.Is(err, ErrSize) {
			if sum := r; sum != nil || !w.q.Amount.IsZero() {
				t.Fatalf("refused with an amount or a result: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Max.Big().Cmp(want) != 0 || r.Partial || r.AtLeast != *r.Max || r.AtMost.Big().Cmp(want) != 0 {
			t.Fatalf("max %s, at least %s, at most %s, partial %t; want %s", r.Max, r.AtLeast, r.AtMost, r.Partial, want)
		}
		cut := new(big.Int)
		for _, s := range r.Cut {
			cut.Add(cut, s.Amount.Big())
		}
		if len(r.Cut) == 0 {
			cut = w.q.Amount.Big()
		}
		if !(r.Max.IsZero() && len(r.Cut) == 0) && cut.Cmp(want) != 0 {
			t.Fatalf("the cut sums to %s: %+v; want %s", cut, r.Cut, want)
		}
	})
}

// Greedy is at most the maximum, and that is at most what left the one end and came to the other.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawAny(t)
		if tooMuch(w) {
			return
		}
		r := answer(t, w, &memGraph{txs: w.txs}, w.options())
		sum := func(a flow.Amount) flow.Sum { return flow.Sum{}.Plus(a) }
		chain := []flow.Sum{sum(r.Greedy), sum(*r.Max)}
		for _, most := range []flow.Sum{r.Out.Sum, r.In.Sum} {
			if chain[0].Compare(chain[1]) > 0 || chain[1].Compare(most) > 0 {
				t.Fatalf("greedy %s, max %s, at most %s", r.Greedy, r.Max, most)
			}
		}
		if r.Out.Compare(r.Sent.Sum) > 0 || r.In.Compare(r.Received.Sum) > 0 {
			t.Fatalf("out %s of %s, in %s of %s", r.Out, r.Sent, r.In, r.Received)
		}
		if !w.q.Amount.IsZero() && w.q.Amount.Less(*r.Max) {
			t.Fatalf("max %s of %s", r.Max, w.q.Amount)
		}
	})
}

// checkPaths fails unless the ways sum to value, each leads from end to end in the order of the chain over movements
// that are there, and no leg is used beyond its amount.
func checkPaths(t *rapid.T, w *world, r *Result, value flow.Amount) {
	used := map[any]flow.Amount{}
	use := func(key any, v, limit flow.Amount) {
		used[key] = plus(used[key], v)
		if limit.Less(used[key]) {
			t.Fatalf("%v carries %s of %s", key, used[key], limit)
		}
	}
	type key struct {
		at    flow.Pos
		taker bool
		place int
		name  string
	}
	movements := map[flow.Pos]flow.Movement{}
	for _, tx := range w.txs {
		for i, m := range tx.Movements {
			at := tx.At()
			at.Movement = uint32(i)
			movements[at] = m
		}
	}
	sum := r.Rest
	for i, p := range r.Paths {
		sum = plus(sum, p.Amount)
		if p.Amount.IsZero() || i > 0 && r.Paths[i-1].Amount.Less(p.Amount) {
			t.Fatalf("path %d carries %s, the one before it %+v", i, p.Amount, r.Paths[max(i-1, 0)])
		}
		first, end := p.Steps[0], p.Steps[len(p.Steps)-1]
		if first.From != w.q.From || end.To != w.q.To || first.At.Compare(w.q.Start) < 0 || w.q.End != (flow.Pos{}) && end.At.Compare(w.q.End) > 0 {
			t.Fatalf("path %+v", p)
		}
		been := map[holder]bool{{first.From, first.FromCoin}: true}
		for k, s := range p.Steps {
			to := holder{s.To, s.ToCoin}
			if been[to] {
				t.Fatalf("a way twice at %s: %+v", s.To, p.Steps)
			}
			been[to] = true
			if k > 0 {
				before := p.Steps[k-1]
				if before.At.Compare(s.At) >= 0 || before.To != s.From || before.ToCoin != s.FromCoin {
					t.Fatalf("step %+v after %+v", s, before)
				}
				if w.stop[s.From] || s.From == w.q.From || s.From == w.q.To {
					t.Fatalf("a way through %s", s.From)
				}
			}
			m, ok := movements[s.At]
			if !ok || m.Asset != w.q.Asset || m.Kind == flow.Fee {
				t.Fatalf("step %+v of movement %+v", s, m)
			}
			// Legs of one account in one movement count together.
			leg := func(legs []flow.Leg, a flow.Account, coin flow.Outpoint, coins func(int) flow.Outpoint, taker bool) {
				limit := flow.Amount{}
				for place, l := range legs {
					if l.Account == a && (coin.IsZero() || coins(place) == coin) {
						limit, _ = limit.Add(l.Amount)
					}
				}
				use(key{s.At, taker, 0, a.String() + coin.String()}, p.Amount, limit)
			}
			leg(m.In, s.From, s.FromCoin, func(i int) flow.Outpoint { return m.Spent[i] }, false)
			leg(m.Out, s.To, s.ToCoin, func(i int) flow.Outpoint { return flow.Outpoint{Tx: s.Tx, Index: uint32(i)} }, true)
		}
	}
	if sum != value {
		t.Fatalf("paths sum to %s; want %s", sum, value)
	}
}

func TestPathsAreWaysAndSumUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawAny(t)
		if tooMuch(w) {
			return
		}
		o := w.options()
		r := answer(t, w, &memGraph{txs: w.txs}, o)
		if !r.Rest.IsZero() {
			t.Fatalf("rest %s", r.Rest)
		}
		checkPaths(t, w, r, *r.Max)
		o.Exact = false
		greedy := answer(t, w, &memGraph{txs: w.txs}, o)
		if greedy.Max != nil || greedy.Greedy != r.Greedy {
			t.Fatalf("greedy is %s, beside the maximum %s", greedy.Greedy, r.Greedy)
		}
		checkPaths(t, w, greedy, greedy.Greedy)
		o.Paths = 1
		checkPaths(t, w, answer(t, w, &memGraph{txs: w.txs}, o), greedy.Greedy)
	})
}

// legs lists the legs on ways, found by trying every time-respecting way from every movement.
func (w *world) relevant() map[flow.Pos]bool {
	type step struct {
		at  flow.Pos
		in  []string
		out []string
	}
	var steps []step
	name := func(a flow.Account, coin flow.Outpoint) string {
		if a == w.q.From || a == w.q.To || !a.Chain().IsUTXO() {
			return a.String()
		}
		return a.String() + coin.String()
	}
	for _, tx := range w.txs {
		for i, m := range tx.Movements {
			s := step{at: tx.At()}
			s.at.Movement = uint32(i)
			if m.Asset != w.q.Asset || m.Kind == flow.Fee || s.at.Compare(w.q.Start) < 0 || w.q.End != (flow.Pos{}) && s.at.Compare(w.q.End) > 0 {
				continue
			}
			good := func(l flow.Leg, wrong flow.Account) bool {
				return !l.Account.IsZero() && !l.Amount.IsZero() && l.Account != wrong && (!w.stop[l.Account] || l.Account == w.q.From || l.Account == w.q.To)
			}
			for k, l := range m.In {
				var coin flow.Outpoint
				if k < len(m.Spent) {
					coin = m.Spent[k]
				}
				if good(l, w.q.To) {
					s.in = append(s.in, name(l.Account, coin))
				}
			}
			for k, l := range m.Out {
				if good(l, w.q.From) {
					s.out = append(s.out, name(l.Account, flow.Outpoint{Tx: tx.ID, Index: uint32(k)}))
				}
			}
			steps = append(steps, s)
		}
	}
	leads := make([]bool, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		leads[i] = slices.Contains(steps[i].out, w.q.To.String())
		for j := i + 1; j < len(steps) && !leads[i]; j++ {
			leads[i] = leads[j] && slices.ContainsFunc(steps[i].out, func(h string) bool { return slices.Contains(steps[j].in, h) })
		}
	}
	reached := make([]bool, len(steps))
	on := map[flow.Pos]bool{}
	for i := range steps {
		reached[i] = slices.Contains(steps[i].in, w.q.From.String())
		for j := 0; j < i && !reached[i]; j++ {
			reached[i] = reached[j] && slices.ContainsFunc(steps[i].in, func(h string) bool { return slices.Contains(steps[j].out, h) })
		}
		on[steps[i].at] = reached[i] && leads[i]
	}
	return on
}

// Greedy is what a plain run through time gives, over the movements that are on ways. (Movements with one leg on either
// side, so that the plain run stays plain.)
func TestGreedyAgreesWithAPlainRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for i := range w.txs {
			for k := range w.txs[i].Movements {
				m := &w.txs[i].Movements[k]
				m.In, m.Out = m.In[:min(1, len(m.In))], m.Out[:min(1, len(m.Out))]
				if len(m.In) > 0 && len(m.Out) > 0 {
					m.Out[0].Amount = m.In[0].Amount
					if m.In[0].Account == m.Out[0].Account {
						m.In = nil
					}
				}
			}
		}
		t.Log(w)
		if tooMuch(w) {
			return
		}
		on := w.relevant()
		has := map[flow.Account]*big.Int{}
		of := func(a flow.Account) *big.Int {
			if has[a] == nil {
				has[a] = new(big.Int)
			}
			return has[a]
		}
		of(w.q.From).Set(endless)
		if !w.q.Amount.IsZero() {
			of(w.q.From).Set(w.q.Amount.Big())
		}
		transfers := 0
		for _, tx := range w.txs {
			for i, m := range tx.Movements {
				at := tx.At()
				at.Movement = uint32(i)
				if !on[at] {
					continue
				}
				transfers++
				v := m.In[0].Amount.Big()
				if from := of(m.In[0].Account); from.Cmp(v) < 0 {
					v.Set(from)
				}
				of(m.In[0].Account).Sub(of(m.In[0].Account), v)
				of(m.Out[0].Account).Add(of(m.Out[0].Account), v)
			}
		}
		r := answer(t, w, &memGraph{txs: w.txs}, w.options())
		if r.Greedy.Big().Cmp(of(w.q.To)) != 0 || r.Transfers != transfers {
			t.Fatalf("greedy %s over %d transfers; want %s over %d", r.Greedy, r.Transfers, of(w.q.To), transfers)
		}
	})
}

// One transfer more never lowers the maximum.
func TestOneTransferMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		t.Log(w)
		before := w.most()
		if tooMuch(w) {
			return
		}
		names := []string{"a", "b", "c", "d", "e", "f"}
		i := rapid.IntRange(0, len(w.txs)-1).Draw(t, "where")
		more := flow.In1Out1(flow.TokenMove, gold, 9, who(story, rapid.SampledFrom(names).Draw(t, "from")), who(story, rapid.SampledFrom(names).Draw(t, "to")), num(rapid.Uint64Range(1, 9).Draw(t, "v")))
		w.txs[i].Movements = slices.Insert(w.txs[i].Movements, rapid.IntRange(0, len(w.txs[i].Movements)).Draw(t, "place"), more)
		w.q.End.Movement = max(w.q.End.Movement, 9)
		if w.q.End.Height == 0 {
			w.q.End = flow.Pos{}
		}
		r, err := Find(context.Background(), &memGraph{txs: w.txs}, w.q, w.options())
		if errors.Is(err, ErrSize) {
			return
		}
		if err != nil || r.Max.Big().Cmp(before) < 0 {
			t.Fatalf("max %v, %v; before %s", r, err, before)
		}
	})
}

// A transfer in two parts, one right behind the other, changes nothing.
func TestSplitTransferChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		if tooMuch(w) {
			return
		}
		w.q.Start, w.q.End = flow.Pos{}, flow.Pos{}
		t.Log(w)
		if tooMuch(w) {
			return
		}
		before := answer(t, w, &memGraph{txs: w.txs}, w.options())
		for i := range w.txs {
			var parts []flow.Movement
			for _, m := range w.txs[i].Movements {
				if len(m.In) != 1 || len(m.Out) != 1 || m.In[0].Amount != m.Out[0].Amount {
					parts = append(parts, m)
					continue
				}
				v := m.In[0].Amount
				first := v.Min(num(rapid.Uint64Range(0, 9).Draw(t, "first")))
				parts = append(parts,
					flow.In1Out1(m.Kind, m.Asset, m.Index, m.In[0].Account, m.Out[0].Account, first),
					flow.In1Out1(m.Kind, m.Asset, m.Index, m.In[0].Account, m.Out[0].Account, minus(v, first)))
			}
			w.txs[i].Movements = parts
		}
		after := answer(t, w, &memGraph{txs: w.txs}, w.options())
		if *after.Max != *before.Max || after.Greedy != before.Greedy || after.Out != before.Out || after.In != before.In {
			t.Fatalf("greedy %s, max %s; before %s, %s", after.Greedy, after.Max, before.Greedy, before.Max)
		}
	})
}

// The same facts give the same bytes, whatever the pages; and reading from one end alone gives the same values.
func TestPagesAndDirectionsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawAny(t)
		if tooMuch(w) {
			return
		}
		text := func(r *Result) string { return string(must(json.Marshal(r))) }
		o := w.options()
		first := answer(t, w, &memGraph{txs: w.txs}, o)
		o.Page = rapid.IntRange(2, 5).Draw(t, "page")
		for _, whole := range []bool{false, true} {
			if again := answer(t, w, &memGraph{txs: w.txs, whole: whole}, o); text(again) != text(first) {
				t.Fatalf("pages of %d, whole transactions %t: %s; want %s", o.Page, whole, text(again), text(first))
			}
		}
		one := answer(t, w, forwardGraph{&memGraph{txs: w.txs}}, o)
		one.Holders, one.Transactions, one.Stops, one.Unknown, one.Hash = first.Holders, first.Transactions, first.Stops, first.Unknown, first.Hash
		if text(one) != text(first) {
			t.Fatalf("forward alone: %s; want %s", text(one), text(first))
		}
	})
}

// A budget makes an answer smaller and says so; the bounds stay true.
func TestBudget(t *testing.T) {
	partial := 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawAny(t)
		if tooMuch(w) {
			return
		}
		o := w.options()
		want := *answer(t, w, &memGraph{txs: w.txs}, o).Max
		o.Budget = Budget{Holders: rapid.IntRange(0, 4).Draw(t, "holders"), Transactions: rapid.IntRange(0, 6).Draw(t, "transactions")}
		var g trace.Graph = &memGraph{txs: w.txs}
		if rapid.Bool().Draw(t, "forward alone") {
			g = forwardGraph{g}
		}
		r := answer(t, w, g, o)
		if r.Partial {
			partial++
		}
		if r.Partial != (len(r.Continue) == 1) || r.Partial != (r.Unread != nil) {
			t.Fatalf("partial %t, unread %v, %q", r.Partial, r.Unread, r.Continue)
		}
		if want.Less(r.AtLeast) || r.AtMost.Compare(flow.Sum{}.Plus(want)) < 0 || !r.Partial && r.AtLeast != want {
			t.Fatalf("between %s and %s, partial %t; want %s", r.AtLeast, r.AtMost, r.Partial, want)
		}
		checkPaths(t, w, r, *r.Max)
	})
	if partial == 0 {
		t.Error("no budget was ever used up")
	}
}

// A result can be checked by its own bytes.
func TestHash(t *testing.T) {
	w := peel()
	r := find(t, w, w.options())
	c := *r
	c.Hash, c.Continue = flow.Hash{}, nil
	if got := flow.Hash(sha256.Sum256(must(json.Marshal(c)))); got != r.Hash {
		t.Errorf("hash %s; want %s", got, r.Hash)
	}
	w.q.Amount = num(3)
	if other := find(t, w, w.options()); other.Hash == r.Hash {
		t.Error("another question has the same hash")
	}
}
