package trace

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// drawOptions makes options with everything that changes an answer.
func drawOptions(t *rapid.T, w *world) Options {
	o := Options{Policies: everyPolicy, Stop: w.stop, DustShare: -1}
	if rapid.Bool().Draw(t, "dust") {
		o.DustShare = int64(rapid.IntRange(1, billion/3).Draw(t, "dust share"))
		o.Dust = map[flow.Asset]flow.Amount{coinAsset: num(uint64(rapid.IntRange(0, 3).Draw(t, "dust floor")))}
	}
	if rapid.IntRange(0, 2).Draw(t, "budget") == 0 {
		o.Budget = Budget{
			Holders:      rapid.IntRange(0, 4).Draw(t, "holders"),
			Transactions: rapid.IntRange(0, 6).Draw(t, "transactions"),
			Hops:         rapid.IntRange(0, 3).Draw(t, "hops"),
		}
	}
	o.Crowd = drawCrowd(t)
	if rapid.IntRange(0, 3).Draw(t, "choice") == 0 {
		left := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "left out")
		o.Follow = Choice{"all but " + left, func(a flow.Account) bool { return a != who(textChain, left) && a != who(utxoChain, left) }}
	}
	switch rapid.IntRange(0, 3).Draw(t, "swaps") {
	case 0, 1:
		o.Swaps = netSwaps
	case 2:
		o.Swaps = wildSwaps
	}
	return o
}

// drawCrowd draws a judgement that comes easily, as worlds are small.
func drawCrowd(t *rapid.T) Crowd {
	return Crowd{Parties: rapid.IntRange(-1, 2).Draw(t, "parties"), Stolen: int64(rapid.IntRange(0, 2).Draw(t, "stolen")) * billion / 2}
}

// hostile blows amounts up to sizes that only a lying token has, so that nobody has what he pays.
func hostile(t *rapid.T, w *world) {
	factor := must(flow.ParseAmount("0x0fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"))
	grow := func(a flow.Amount) flow.Amount {
		if a.IsZero() || rapid.Bool().Draw(t, "small") {
			return a
		}
		n := small(a)
		sum := flow.Amount{}
		for range min(n, 16) {
			sum = addCapped(sum, factor)
		}
		return addCapped(sum, num(uint64(n)))
	}
	for i := range w.txs {
		for j := range w.txs[i].Movements {
			m := &w.txs[i].Movements[j]
			if isCoins(m) {
				continue
			}
			v := grow(slices.Concat(m.In, m.Out)[0].Amount)
			if m.Kind == flow.Fee {
				continue
			}
			m.In, m.Out = slices.Clone(m.In), slices.Clone(m.Out)
			for _, side := range [][]flow.Leg{m.In, m.Out} {
				for k := range side {
					side[k].Amount = v
				}
			}
		}
	}
	for i, s := range w.theft.Sources {
		if h, ok := s.(Holding); ok && len(w.theft.Sources) == 1 {
			h.Amount = grow(h.Amount)
			w.theft.Sources[i] = h
		}
	}
}

// forget drops transactions and owners of inputs, so that the facts are incomplete.
func forget(t *rapid.T, w *world) {
	w.txs = slices.DeleteFunc(w.txs, func(flow.Tx) bool { return rapid.IntRange(0, 5).Draw(t, "lost") == 0 })
	for i := range w.txs {
		for j := range w.txs[i].Movements {
			m := &w.txs[i].Movements[j]
			if len(m.Spent) > 0 && rapid.IntRange(0, 5).Draw(t, "unknown") == 0 {
				m.In = slices.Clone(m.In)
				m.In[rapid.IntRange(0, len(m.In)-1).Draw(t, "which")] = flow.Leg{}
			}
		}
	}
}

func drawRough(t *rapid.T) *world {
	w := draw(t)
	switch rapid.IntRange(0, 3).Draw(t, "rough") {
	case 0:
		hostile(t, w)
	case 1:
		forget(t, w)
	}
	t.Log(w)
	return w
}

func newCase(t *rapid.T, w *world, o Options) *Case {
	c, err := New(w.theft, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func feed(t *rapid.T, c *Case, g Graph, txs []flow.Tx) {
	for _, tx := range txs {
		if err := c.Apply(t.Context(), g, tx); err != nil {
			t.Fatal(err)
		}
		for _, chain := range c.Chains() {
			for _, l := range c.Ledgers(chain) {
				if err := l.Check(); err != nil {
					t.Fatalf("after %s: %v", tx.At(), err)
				}
			}
		}
	}
}

// applyAlone lets one ledger of a case eat a transaction, and not the others.
func (l *Ledger) applyAlone(ctx context.Context, g Balancer, tx flow.Tx) error {
	if err := l.follows(&tx); err != nil {
		return err
	}
	_, err := new(feeder).eat(ctx, g, &tx, []*Ledger{l}, nil)
	return err
}

// finish begins the sources that lie behind the last transaction, as a walk does.
func finish(t *rapid.T, c *Case, g Graph) {
	for _, chain := range c.Chains() {
		for _, l := range c.Ledgers(chain) {
			for _, s := range l.sources {
				l.begin(s.at)
				if err := new(feeder).settle(t.Context(), g, []*Ledger{l}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func report(t *rapid.T, c *Case) *Report {
	r, err := c.Report()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Nothing is made or lost after any event, and eating all blocks one by one leads where the walk leads.
func TestBatchIsLive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawRough(t)
		o := drawOptions(t, w)
		g := w.graph(o)
		live := newCase(t, w, o)
		feed(t, live, g, w.txs)
		finish(t, live, g)
		batch, err := Run(t.Context(), g, w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		got := report(t, live)
		for i := range got.Results {
			if got.Results[i].Hash != batch.Results[i].Hash {
				t.Errorf("%s: live %+v\nbatch %+v", got.Results[i].Policy, got.Results[i], batch.Results[i])
			}
		}
		if got.Hash != batch.Hash {
			t.Error("the report's hash differs")
		}
	})
}

// A case that is stored and read again at any place, or walked part of the way, goes on as if nothing had happened.
func TestResumeAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawRough(t)
		o := drawOptions(t, w)
		g := w.graph(o)
		n := rapid.IntRange(0, len(w.txs)).Draw(t, "place")
		a := newCase(t, w, o)
		feed(t, a, g, w.txs[:n])
		bytesA := a.Snapshot()
		b, err := Restore(w.theft, o, bytesA)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Snapshot(), bytesA) {
			t.Fatal("a restored case has another snapshot")
		}
		feed(t, a, g, w.txs[n:])
		feed(t, b, g, w.txs[n:])
		if !bytes.Equal(a.Snapshot(), b.Snapshot()) {
			t.Fatal("after a restore the case went on differently")
		}
		c, err := Restore(w.theft, o, bytesA)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Walk(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		finish(t, a, g)
		if report(t, a).Hash != report(t, c).Hash {
			t.Fatal("walking on from a snapshot leads elsewhere")
		}
	})
}

// A trace that stopped for its budget of transactions, or at the last place to read, goes on from a snapshot.
func TestBudgetThatGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawRough(t)
		o := drawOptions(t, w)
		o.Budget.Transactions = 0
		g := w.graph(o)
		want, err := Run(t.Context(), g, w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		little := o
		if rapid.Bool().Draw(t, "until") {
			little.Budget.Until = flow.Pos{Height: uint64(rapid.IntRange(1, len(w.txs)+1).Draw(t, "height")), Movement: 1}
		} else {
			little.Budget.Transactions = rapid.IntRange(1, 5).Draw(t, "little")
		}
		c := newCase(t, w, little)
		if err := c.Walk(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		part := report(t, c)
		for i := range part.Results {
			if p := &part.Results[i]; !p.Partial && p.Hash != want.Results[i].Hash && little.Budget.Until == (flow.Pos{}) {
				t.Errorf("%s: not the whole answer, and not said to be partial", p.Policy)
			}
		}
		c, err = Restore(w.theft, o, c.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Walk(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if got := report(t, c); got.Hash != want.Hash {
			t.Errorf("it does not arrive where the whole trace does")
		}
	})
}

// Apply and Undo is nothing, at any depth that the log holds, and deeper than that is refused.
func TestUndoIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawRough(t)
		o := drawOptions(t, w)
		o.UndoDepth = rapid.IntRange(1, 10).Draw(t, "depth")
		g := w.graph(o)
		n := rapid.IntRange(0, len(w.txs)).Draw(t, "place")
		c := newCase(t, w, o)
		feed(t, c, g, w.txs[:n])
		before := c.Snapshot()
		k := rapid.IntRange(0, min(o.UndoDepth, len(w.txs)-n)).Draw(t, "steps")
		feed(t, c, g, w.txs[n:n+k])
		if k == 0 {
			return
		}
		after := c.Snapshot()
		from := w.txs[n].At()
		for range 2 {
			if err := c.Undo(w.chain, from); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.Snapshot(), before) {
				t.Fatalf("undo from %s does not lead back", from)
			}
			for _, l := range c.Ledgers(w.chain) {
				live := map[*owner]int{}
				for r := range l.accounts() {
					if r.isLive() {
						live[r.owner]++
					}
				}
				for a, o := range l.book.owners {
					if o.live[l.column] != live[o] {
						t.Fatalf("%s has %d live records; %d are counted", a, live[o], o.live[l.column])
					}
				}
			}
			feed(t, c, g, w.txs[n:n+k])
			if !bytes.Equal(c.Snapshot(), after) {
				t.Fatal("doing it again leads elsewhere")
			}
		}
		feed(t, c, g, w.txs[n+k:])
		direct := newCase(t, w, o)
		feed(t, direct, g, w.txs)
		if !bytes.Equal(direct.Snapshot(), c.Snapshot()) {
			t.Fatal("going on after an undo leads elsewhere")
		}
		if firm := c.Ledgers(w.chain)[0].log.firm; c.Undo(w.chain, flow.Pos{}) == nil && firm {
			t.Fatal("undid more than the log holds")
		}
	})
}

// The size of the pages and what else they show do not matter, and nobody is read who never held a part.
func TestPagesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawRough(t)
		o := drawOptions(t, w)
		o.Backward = rapid.Bool().Draw(t, "backward")
		want, err := Run(t.Context(), w.graph(o), w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		g := w.graph(o)
		g.page, g.whole = rapid.IntRange(1, 5).Draw(t, "page"), rapid.Bool().Draw(t, "whole")
		got, err := Run(t.Context(), g, w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Hash != want.Hash {
			t.Errorf("pages of %d change the answer: %+v\n%+v", g.page, got.Results, want.Results)
		}
		touched := map[flow.Account]bool{}
		for _, s := range w.theft.Sources {
			touched[s.plain().account] = true
		}
		for _, r := range got.Results {
			for _, s := range r.Holders {
				touched[s.Account] = true
			}
		}
		for a := range g.read {
			if !touched[a] {
				t.Errorf("read %s, which never held anything", a)
			}
		}
	})
}

// Each policy answers the same alone as beside others, whatever the budget.
func TestPoliciesDoNotMixUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawRough(t)
		o := drawOptions(t, w)
		o.Backward = rapid.Bool().Draw(t, "backward")
		all, err := Run(t.Context(), w.graph(o), w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range everyPolicy {
			o.Policies = []Policy{p}
			one, err := Run(t.Context(), w.graph(o), w.theft, o)
			if err != nil {
				t.Fatal(err)
			}
			if one.Results[0].Hash != all.Results[i].Hash {
				t.Errorf("%s alone: %+v\nbeside others: %+v", p, one.Results[0], all.Results[i])
			}
		}
	})
}

func reached(r *Result) map[Holder]bool {
	set := map[Holder]bool{}
	for _, s := range r.Holders {
		if s.Pieces > 0 { // of stolen units: where a swap made many of few, some are worth less than a unit of claim
			set[s.Holder] = true
		}
	}
	return set
}

// One stop more never lets the theft reach further, and poison reaches whatever any other policy reaches.
func TestReach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		t.Log(w)
		o := exact(everyPolicy...)
		o.Crowd = drawCrowd(t)
		if rapid.Bool().Draw(t, "swaps") {
			o.Swaps = netSwaps
		}
		few, err := Run(t.Context(), w.graph(o), w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		poisoned := reached(&few.Results[4])
		for i := range few.Results {
			for h := range reached(&few.Results[i]) {
				if !poisoned[h] {
					t.Errorf("%s reaches %s, poison does not", few.Results[i].Policy, h)
				}
			}
		}
		o.Stop = w.stop
		if rapid.Bool().Draw(t, "dust") {
			o.Dust = map[flow.Asset]flow.Amount{coinAsset: num(2), utxoChain.Native(): num(2)}
			o.Stop = nil
			if few, err = Run(t.Context(), w.graph(o), w.theft, o); err != nil {
				t.Fatal(err)
			}
			o.Stop = w.stop
		}
		more, err := Run(t.Context(), w.graph(o), w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range few.Results {
			before := reached(&few.Results[i])
			if len(few.Results[i].Assumed)+len(more.Results[i].Assumed) > 0 {
				continue // with gaps in the facts balances are guesses
			}
			for h := range reached(&more.Results[i]) {
				if !before[h] {
					t.Errorf("%s: with more stops it reaches %s, too", few.Results[i].Policy, h)
				}
			}
		}
	})
}

// The edges account for every unit: what came in by edges and sources, less what left by edges, is what is there.
func TestEdgesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		t.Log(w)
		o := drawOptions(t, w)
		o.Backward = rapid.Bool().Draw(t, "backward")
		r, err := Run(t.Context(), w.graph(o), w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range r.Results {
			if res.Policy == Poison.String() {
				continue
			}
			type book struct {
				Holder
				line int
			}
			in, out := map[book]int{}, map[book]int{}
			sunk := map[Sink]int{}
			inside := map[flow.Hash]int{}
			for _, e := range res.Edges {
				from, to := book{Holder{e.From, e.Asset, e.FromCoin}, e.Line}, book{Holder{e.To, e.Asset, e.ToCoin}, e.Line}
				if o.Backward {
					from, to = to, from
				}
				switch into := o.Backward != (e.Swap == IntoSwap); {
				case e.Swap == "":
					out[from] += small(e.Claim)
				case into:
					out[from] += small(e.Claim)
					inside[e.Tx] += small(e.Claim)
					continue
				default:
					inside[e.Tx] -= small(e.Claim)
				}
				if e.Sink == "" {
					in[to] += small(e.Claim)
				} else {
					sunk[e.Sink] += small(e.Claim)
				}
			}
			for tx, n := range inside {
				if n != 0 {
					t.Errorf("%s: %d more claim goes into the exchanges of %s than comes out", res.Policy, n, tx)
				}
			}
			stolen, crowded := 0, map[book]bool{}
			for _, s := range res.Sinks {
				k := book{Holder{Account: s.Account, Asset: s.Asset}, s.Line}
				crowded[k] = crowded[k] || s.Rule == CrowdRule
			}
			for _, s := range res.Holders {
				k := book{s.Holder, s.Line}
				own := small(s.Received) - in[k]
				if own != 0 && !s.Source {
					t.Errorf("%s: %s received %s, edges bring %d", res.Policy, s.Holder, s.Received, in[k])
				}
				got := small(s.Received) - out[k]
				if crowded[k] { // what had come to rest there
					sunk[Service] += got - small(s.Claim)
					got = small(s.Claim)
				}
				if got != small(s.Claim) {
					t.Errorf("%s: %s received %s and edges take %d, but %s is there", res.Policy, s.Holder, s.Received, out[k], s.Claim)
				}
				stolen += own
			}
			for _, n := range res.Lines {
				stolen -= small(n.Stolen)
				for _, k := range n.Sinks {
					sunk[k.Sink] -= small(k.Claim)
				}
			}
			if stolen != 0 {
				t.Errorf("%s: sources are %d off", res.Policy, stolen)
			}
			for k, n := range sunk {
				if n != 0 {
					t.Errorf("%s: edges into sink %s are %d off", res.Policy, k, n)
				}
			}
		}
	})
}
