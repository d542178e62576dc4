package trace

import (
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

func unitsOf(segs []Segment) (stolen, all flow.Amount) {
	for _, g := range segs {
		all = addCapped(all, g.Units)
		if g.taints() {
			stolen = addCapped(stolen, g.Units)
		}
	}
	return stolen, all
}

// For one account with fixed receipts and payments, what clean-first lets go is at every moment the least, and what
// dirty-first lets go is the most.
func TestEnvelopeOfOneAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := []Policy{CleanFirst, Haircut, FIFO, LIFO, DirtyFirst}
		states := make([]State, len(order))
		left := make([]int, len(order))
		balance := 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if balance == 0 || rapid.Bool().Draw(t, "receipt") {
				v := rapid.IntRange(1, 50).Draw(t, "units")
				g := Segment{Units: num(uint64(v))}
				if rapid.Bool().Draw(t, "stolen") {
					g = Segment{1, g.Units, g.Units}
				}
				balance += v
				for i, p := range order {
					p.Put(&states[i], []Segment{g})
				}
				continue
			}
			v := rapid.IntRange(1, balance).Draw(t, "payment")
			balance -= v
			for i, p := range order {
				out, short := p.Pay(&states[i], num(uint64(v)), nil)
				stolen, all := unitsOf(out)
				if !short.IsZero() || all != num(uint64(v)) {
					t.Fatalf("%s: paid %s and %s short of %d", p, all, short, v)
				}
				left[i] += small(stolen)
			}
			for i := 1; i < len(order)-1; i++ {
				if left[i] < left[0] || left[i] > left[len(order)-1] {
					t.Fatalf("%s let %d go; clean-first %d, dirty-first %d", order[i], left[i], left[0], left[len(order)-1])
				}
			}
		}
	})
}

// Two payments are as good as one of their sum, but for one unit; and ten times the money gives ten times the answer.
func TestHaircutSplitsAndScales(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stolen, clean := rapid.Uint64Range(1, 1<<50).Draw(t, "stolen"), rapid.Uint64Range(0, 1<<50).Draw(t, "clean")
		a := rapid.Uint64Range(0, stolen+clean).Draw(t, "first")
		b := rapid.Uint64Range(0, stolen+clean-a).Draw(t, "second")
		k := rapid.Uint64Range(2, 1000).Draw(t, "scale")
		pay := func(k uint64, vs ...uint64) uint64 {
			s := State{}
			Haircut.Put(&s, []Segment{{Units: num(clean * k)}, {1, num(stolen * k), num(stolen * k)}})
			sum := uint64(0)
			for _, v := range vs {
				out, _ := Haircut.Pay(&s, num(v*k), nil)
				x, _ := unitsOf(out)
				n, _ := x.Uint64()
				sum += n
			}
			return sum
		}
		one, two := pay(1, a+b), pay(1, a, b)
		if two > one || one-two > 1 {
			t.Errorf("%d at once, %d in two", one, two)
		}
		if big := pay(k, a+b); big < one*k || big >= (one+1)*k {
			t.Errorf("%d, scaled by %d it is %d", one, k, big)
		}
	})
}

// Fill loses nothing, overfills nobody, and gives nobody less when more is stolen; haircut gives nobody less than the
// exact share rounded down.
func TestFillIsFairAndMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 8).Draw(t, "takers")
		takers := make([]flow.Amount, len(amounts))
		all := 0
		for i, a := range amounts {
			takers[i] = num(uint64(a))
			all += a
		}
		stolen := rapid.IntRange(0, all).Draw(t, "stolen")
		lines := rapid.IntRange(1, 3).Draw(t, "lines")
		fill := func(p Policy, stolen int) []int {
			given := []Segment{{Units: num(uint64(all - stolen))}}
			for i := range lines {
				n := stolen / lines
				if i == 0 {
					n = stolen - n*(lines-1)
				}
				given = append(given, Segment{i + 1, num(uint64(n)), num(uint64(3 * n))})
			}
			got, full, claim := make([]int, len(takers)), make([]int, len(takers)), 0
			p.Fill(given, takers, func(i int, g Segment) {
				full[i] += small(g.Units)
				claim += small(g.Claim)
				if g.taints() {
					got[i] += small(g.Units)
				}
			})
			sum := 0
			for i := range got {
				sum += got[i]
				if full[i] != amounts[i] {
					t.Fatalf("%s: taker %d of %d got %d", p, i, amounts[i], full[i])
				}
			}
			if sum != stolen || claim != 3*stolen {
				t.Fatalf("%s: %d stolen, %d laid out with a claim of %d", p, stolen, sum, claim)
			}
			return got
		}
		for _, p := range []Policy{Haircut, DirtyFirst, CleanFirst, FIFO, LIFO} {
			got := fill(p, stolen)
			if p == Haircut {
				for i := range got {
					if all > 0 && got[i] < stolen*amounts[i]/all {
						t.Errorf("taker %d of %d got %d of %d stolen in %d", i, amounts[i], got[i], stolen, all)
					}
				}
			}
			if _, ok := p.(pool); !ok || stolen == all {
				continue
			}
			for i, more := range fill(p, stolen+1) {
				if more < got[i] {
					t.Errorf("%s: taker %d got %d of %d stolen, but %d of one more", p, i, got[i], stolen, more)
				}
			}
		}
	})
}

// What an account has, and the way back, do not depend on how the state is stored.
func TestStateKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := &journal{depth: 1, turn: 1}
		s := State{log: log}
		var plain []Segment
		var history [][]Segment
		var marks []int
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			history, marks = append(history, append([]Segment{}, plain...)), append(marks, len(log.steps))
			g := Segment{i % 3, num(uint64(i)), num(0)}
			switch op := rapid.IntRange(0, 5).Draw(t, "op"); {
			case op == 0:
				s.PushHead(g)
				plain = append([]Segment{g}, plain...)
			case op == 1 && len(plain) > 0:
				if got := s.PopHead(); got != plain[0] {
					t.Fatalf("head is %v; want %v", got, plain[0])
				}
				plain = append([]Segment{}, plain[1:]...)
			case op == 2 && len(plain) > 0:
				if got := s.PopTail(); got != plain[len(plain)-1] {
					t.Fatalf("tail is %v; want %v", got, plain[len(plain)-1])
				}
				plain = append([]Segment{}, plain[:len(plain)-1]...)
			case op == 3 && len(plain) > 0:
				j := rapid.IntRange(0, len(plain)-1).Draw(t, "which")
				s.Set(j, g)
				plain = append([]Segment{}, plain...)
				plain[j] = g
			case op == 4 && i%11 == 0:
				s.clear()
				plain = nil
			default:
				s.Push(g)
				plain = append(append([]Segment{}, plain...), g)
			}
		}
		same := func(want []Segment) {
			tainted := false
			if s.Len() != len(want) {
				t.Fatalf("%d segments; want %d", s.Len(), len(want))
			}
			for i, g := range want {
				if s.At(i) != g {
					t.Fatalf("segment %d is %v; want %v", i, s.At(i), g)
				}
				tainted = tainted || g.taints()
			}
			if s.IsTainted() != tainted {
				t.Fatalf("tainted %t; want %t", s.IsTainted(), tainted)
			}
		}
		same(plain)
		for i := len(history) - 1; i >= 0; i-- {
			for len(log.steps) > marks[i] {
				old := pop(&log.segments)
				s.back(pop(&log.steps), old.i, old.segment)
			}
			same(history[i])
		}
	})
}

// A trace backward from where FIFO left every unit arrives at the theft, to the unit: FIFO loses nothing.
func TestFIFOBackwardFindsTheTheft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawAccounts(t, false)
		h, ok := w.theft.Sources[0].(Holding)
		if !ok {
			t.Skip("no holding")
		}
		w.theft.Sources, w.stop = w.theft.Sources[:1], nil
		for _, tx := range w.txs {
			for i := range tx.Movements { // what is burned cannot come back
				switch m := &tx.Movements[i]; {
				case len(m.Out) == 0:
					*m = flow.In1Out1(flow.TokenMove, m.Asset, 0, w.names[0], w.names[1], num(0))
				case m.Kind == flow.Fee:
					*m = flow.In1Out1(flow.TokenMove, m.Asset, 0, m.In[0].Account, m.Out[0].Account, m.In[0].Amount)
				}
			}
		}
		t.Log(w)
		g := newGraph(w.txs)
		forward := newCase(t, w, exact(FIFO))
		if err := forward.Walk(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		o := exact(FIFO)
		o.Backward = true
		back := newCase(t, &world{theft: Theft{"back", []Source{Outflow{Account: who(textChain, "nobody")}}}}, o).ledgers[textChain][0]
		back.lines = []line{{asset: h.Asset, stolen: h.Amount}}
		for _, r := range forward.ledgers[textChain][0].records() {
			b := back.record(r.holder, 0, flow.Pos{}, 0)
			for i := r.state.Len() - 1; i >= 0; i-- {
				b.state.Push(r.state.At(i))
			}
			back.relive(b, false, flow.Pos{})
		}
		back.fresh = nil
		var feed feeder
		for i := len(w.txs) - 1; i >= 0; i-- {
			for j := len(w.txs[i].Movements) - 1; j >= 0; j-- {
				at := w.txs[i].At()
				at.Movement = uint32(j)
				if at.Compare(h.At) < 0 {
					continue
				}
				if err := feed.event.set(&w.txs[i], at, &w.txs[i].Movements[j], true); err != nil {
					t.Fatal(err)
				}
				if err := back.move(&feed.event); err != nil {
					t.Fatal(err)
				}
				if err := feed.settle(t.Context(), g, []*Ledger{back}); err != nil {
					t.Fatal(err)
				}
				if err := back.Check(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range back.records() {
			var stolen flow.Amount
			for i := range r.state.Len() {
				if s := r.state.At(i); s.taints() {
					stolen, _ = stolen.Add(s.Claim)
				}
			}
			want := flow.Amount{}
			if r.holder.Account == h.Account && r.holder.Asset == h.Asset {
				want = h.Amount
			}
			if stolen != want {
				t.Errorf("going back, %s had %s of the theft; want %s", r.holder, stolen, want)
			}
		}
	})
}
