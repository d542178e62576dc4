package trace

import (
	"context"
	"fmt"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// indexGraph is a Graph over an index by account, so that a benchmark measures the trace and not the graph.
type indexGraph struct {
	*memGraph
	views map[flow.Account][]View
}

func newIndexGraph(txs []flow.Tx) *indexGraph {
	g := &indexGraph{newGraph(txs), map[flow.Account][]View{}}
	for _, tx := range txs {
		for _, m := range tx.Movements {
			for _, l := range append(m.In[:len(m.In):len(m.In)], m.Out...) {
				v := g.views[l.Account]
				if n := len(v); n == 0 || v[n-1].Tx.ID != tx.ID {
					g.views[l.Account] = append(v, View{Tx: tx})
				}
			}
		}
	}
	return g
}

func (g *indexGraph) After(_ context.Context, asks []Ask) ([]Page, error) {
	pages := make([]Page, len(asks))
	for i, a := range asks {
		for j, v := range g.views[a.Account] {
			if end := v.Tx.At(); end.Height < a.From.Height || end.Height == a.From.Height && end.Tx < a.From.Tx {
				continue
			}
			rest := g.views[a.Account][j:]
			n := min(len(rest), a.Limit)
			pages[i] = Page{rest[:n], n < len(rest)}
			break
		}
	}
	return pages, nil
}

func (g *indexGraph) Balances(_ context.Context, of []BalanceAsk) ([]Balance, error) {
	all := make([]Balance, len(of))
	for i, ask := range of {
		for _, v := range g.views[ask.Account] {
			if v.Tx.At().Compare(ask.Before) >= 0 {
				break
			}
			for j, m := range v.Tx.Movements {
				at := v.Tx.At()
				at.Movement = uint32(j)
				if at.Compare(ask.Before) >= 0 || m.Asset != ask.Asset {
					continue
				}
				all[i].add(&ask, &m)
			}
		}
	}
	return all, nil
}

// peelTree is a theft of 50 million split over 10 chains of 60 hops: at each hop 2 to 4 % goes to a fresh deposit address
// that forwards it to a hub, the rest to a fresh address which has a little money of its own. 1,810 transfers carry claim.
func peelTree() (txs []flow.Tx, theft Theft, hub flow.Account) {
	move := func(from, to string, v uint64) {
		h := uint64(len(txs) + 1)
		txs = append(txs, flow.Tx{
			ID: txID(fmt.Sprint(h)), Point: flow.Point{Chain: textChain, Height: h, Time: int64(h)},
			Movements: []flow.Movement{flow.In1Out1(flow.TokenMove, coinAsset, 0, who(textChain, from), who(textChain, to), num(v))},
		})
	}
	const whole = 50_000_000_000_000
	move("", "thief", whole)
	theft = Theft{"peel tree", []Source{Holding{who(textChain, "thief"), coinAsset, num(whole), flow.Pos{Height: 2}}}}
	left := [10]uint64{}
	for i := range left {
		left[i] = whole / 10
		move("thief", fmt.Sprintf("chain%d-0", i), left[i])
	}
	for hop := range 60 {
		for i := range left {
			from, to, deposit := fmt.Sprintf("chain%d-%d", i, hop), fmt.Sprintf("chain%d-%d", i, hop+1), fmt.Sprintf("deposit%d-%d", i, hop)
			piece := left[i] / 100 * uint64(2+(hop+i)%3)
			left[i] -= piece
			move("", from, 1_000)
			move(from, deposit, piece)
			move(deposit, "hub", piece)
			move(from, to, left[i])
		}
	}
	return txs, theft, who(textChain, "hub")
}

func TestPeelTreeIsFoundWhole(t *testing.T) {
	txs, theft, hub := peelTree()
	r := run(t, newIndexGraph(txs), theft, Options{Stop: stopAt(hub)})
	for _, res := range r.Results {
		carried := map[flow.Hash]bool{}
		for _, e := range res.Edges {
			carried[e.Tx] = true
		}
		// FIFO and clean-first owe 1,000 clean units at each hop: deposits are stolen money under every rule all the same.
		if res.Partial || len(carried) != 1810 || len(res.Sinks) != 1 || res.Sinks[0].Sink != Service {
			t.Errorf("%s: partial %t, %d transfers, sinks %v", res.Policy, res.Partial, len(carried), res.Lines)
		}
	}
}

func BenchmarkPeelTree(b *testing.B) {
	txs, theft, hub := peelTree()
	g := newIndexGraph(txs)
	for _, swaps := range []Swaps{{}, netSwaps} {
		b.Run("swaps="+swaps.Rule, func(b *testing.B) {
			for b.Loop() {
				if _, err := Run(b.Context(), g, theft, Options{Stop: stopAt(hub), Swaps: swaps}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(txs)), "transfers")
		})
	}
}

func BenchmarkPeelTreeWalk(b *testing.B) {
	txs, theft, hub := peelTree()
	g := newIndexGraph(txs)
	for b.Loop() {
		c, err := New(theft, Options{Stop: stopAt(hub)})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Walk(b.Context(), g); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApplyElsewhere is the price of a movement that touches no holder, for one policy.
func BenchmarkApplyElsewhere(b *testing.B) {
	txs, _, _ := peelTree()
	c, err := New(Theft{"t", []Source{Holding{who(textChain, "nobody"), coinAsset, num(5), flow.Pos{}}}}, Options{Policies: []Policy{FIFO}})
	if err != nil {
		b.Fatal(err)
	}
	l := c.Ledgers(textChain)[0]
	i := 0
	for b.Loop() {
		if err := l.applyAlone(b.Context(), nil, txs[i]); err != nil {
			b.Fatal(err)
		}
		i = (i + 1) % len(txs)
	}
}

// BenchmarkApplyTouching is the price of a movement between holders.
func BenchmarkApplyTouching(b *testing.B) {
	for _, p := range everyPolicy {
		b.Run(p.String(), func(b *testing.B) {
			o := exact(p)
			o.Budget.Transactions = 1 << 40
			a, z := who(textChain, "a"), who(textChain, "z")
			c, err := New(Theft{"t", []Source{Holding{a, coinAsset, num(1 << 40), flow.Pos{}}}}, o)
			if err != nil {
				b.Fatal(err)
			}
			l := c.Ledgers(textChain)[0]
			h := uint64(0)
			for b.Loop() {
				h++
				tx := flow.Tx{Point: flow.Point{Chain: textChain, Height: h}, Movements: []flow.Movement{flow.In1Out1(flow.Transfer, coinAsset, 0, a, z, num(1<<20))}}
				a, z = z, a
				if err := l.applyAlone(b.Context(), nil, tx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDeskClean is the price of clean money from strangers, by what it is and on whom it falls: on nobody who is
// followed, or on one of the 5,000 holders of 100 cases under four rules.
func BenchmarkDeskClean(b *testing.B) {
	const cases, holders = 100, 50
	for _, kind := range []struct {
		name     string
		followed bool
		v        uint64
	}{{"elsewhere", false, 1000}, {"nothing", true, 0}, {"below-floor", true, 1}, {"counts", true, 1000}} {
		b.Run(kind.name, func(b *testing.B) {
			d := NewDesk()
			var strangers, followed []flow.Account
			for i := range cases {
				theft := Theft{Name: "clean"}
				for n := range holders {
					a := who(textChain, fmt.Sprintf("thief%d-%d", i, n))
					followed = append(followed, a)
					theft.Sources = append(theft.Sources, Holding{a, coinAsset, num(1 << 40), flow.Pos{}})
				}
				c, err := New(theft, Options{Dust: map[flow.Asset]flow.Amount{coinAsset: num(10)}, UndoDepth: 128, Budget: Budget{Transactions: 1 << 40}})
				if err != nil {
					b.Fatal(err)
				}
				if err := d.Add(fmt.Sprint(i), c); err != nil {
					b.Fatal(err)
				}
			}
			for i := range 1000 {
				strangers = append(strangers, who(textChain, fmt.Sprint("stranger", i)))
			}
			to := strangers
			if kind.followed {
				to = followed
			}
			h := uint64(0)
			for b.Loop() {
				h++
				tx := flow.Tx{Point: flow.Point{Chain: textChain, Height: h}}
				tx.Movements = []flow.Movement{flow.In1Out1(flow.Transfer, coinAsset, 0, strangers[h*7%1000], to[h*4099%uint64(len(to))], num(kind.v))}
				if _, err := d.Apply(b.Context(), nil, tx); err != nil {
					b.Fatal(err)
				}
				if h%64 == 0 {
					d.Final(textChain, flow.Pos{Height: h - 64})
				}
			}
		})
	}
}
