package rank

import (
	"context"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	story  = must(flow.TextChain("story"))
	coin   = must(flow.NamedAsset(story, "COIN"))
	dollar = must(flow.NamedAsset(story, "DOLLAR"))
)

func who(name string) flow.Account {
	if name == "" {
		return flow.Account{}
	}
	return must(flow.NewAccount(story, name))
}

func num(n uint64) flow.Amount { return flow.NewAmount(n) }

// tx is a transaction of its own block.
func tx(height uint64, moves ...flow.Movement) flow.Tx {
	t := flow.Tx{Point: flow.Point{Chain: story, Height: height}, Movements: moves}
	t.ID[0], t.ID[1], t.ID[31] = byte(height>>8), byte(height), 1
	return t
}

func move(from, to string, asset flow.Asset, v uint64) flow.Movement {
	return flow.In1Out1(flow.TokenMove, asset, 0, who(from), who(to), num(v))
}

func fee(from, to string, v uint64) flow.Movement {
	m := move(from, to, coin, v)
	m.Kind = flow.Fee
	return m
}

// A world is a BackGraph over a list of transactions. It remembers who was read.
type world struct {
	txs   []flow.Tx
	page  int  // movements per page; the Ask's limit if 0
	whole bool // show whole transactions
	read  map[flow.Account]bool
	fail  error
}

func touches(m *flow.Movement, a flow.Account) bool {
	is := func(l flow.Leg) bool { return l.Account == a }
	return slices.ContainsFunc(m.In, is) || slices.ContainsFunc(m.Out, is)
}

func (w *world) pages(asks []trace.Ask, back bool) ([]trace.Page, error) {
	pages := make([]trace.Page, len(asks))
	for i, ask := range asks {
		if w.read == nil {
			w.read = map[flow.Account]bool{}
		}
		w.read[ask.Account] = true
		limit, n := ask.Limit, 0
		if w.page > 0 {
			limit = w.page
		}
		txs := slices.Clone(w.txs)
		if back {
			slices.Reverse(txs)
		}
		for _, t := range txs {
			var places []uint32
			for j := range t.Movements {
				at := t.At()
				at.Movement = uint32(j)
				if c := at.Compare(ask.From); touches(&t.Movements[j], ask.Account) && (c == 0 || c > 0 != back) {
					places = append(places, uint32(j))
				}
			}
			if len(places) == 0 {
				continue
			}
			if n >= limit {
				pages[i].More = true
				break
			}
			if w.whole {
				n += len(places)
				pages[i].Txs = append(pages[i].Txs, trace.View{Tx: t})
				continue
			}
			if room := limit - n; len(places) > room {
				pages[i].More = true
				if back {
					places = places[len(places)-room:]
				} else {
					places = places[:room]
				}
			}
			n += len(places)
			v := trace.View{Tx: t, Places: places}
			v.Tx.Movements = nil
			for _, p := range places {
				v.Tx.Movements = append(v.Tx.Movements, t.Movements[p])
			}
			pages[i].Txs = append(pages[i].Txs, v)
			if pages[i].More {
				break
			}
		}
	}
	return pages, w.fail
}

func (w *world) After(_ context.Context, asks []trace.Ask) ([]trace.Page, error) {
	return w.pages(asks, false)
}

func (w *world) Before(_ context.Context, asks []trace.Ask) ([]trace.Page, error) {
	return w.pages(asks, true)
}

func (w *world) Makers(context.Context, flow.Chain, []flow.Outpoint) ([]flow.Tx, error) {
	panic("rank asks for no makers")
}

func (w *world) Spends(_ context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(of))
	for i, o := range of {
		for _, t := range w.txs {
			for _, m := range t.Movements {
				if t.Point.Chain == c && slices.Contains(m.Spent, o) {
					txs[i] = t
				}
			}
		}
	}
	return txs, nil
}

func (w *world) Balances(context.Context, []trace.BalanceAsk) ([]trace.Balance, error) {
	panic("rank asks for no balances")
}

// huge is an amount that only a lying token has.
var huge = must(flow.ParseAmount("0xefffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"))

var names = []string{"thief", "a", "b", "c", "d", "e", "shop"}

// drawWorld makes transactions with everything that occurs: nobody, self-payments, nothing, huge amounts, several legs.
func drawWorld(t *rapid.T) *world {
	w := &world{page: rapid.IntRange(0, 5).Draw(t, "page"), whole: rapid.Bool().Draw(t, "whole")}
	leg := func() flow.Leg {
		l := flow.Leg{Account: who(rapid.SampledFrom(names).Draw(t, "who"))}
		switch rapid.IntRange(0, 9).Draw(t, "size") {
		case 0:
		case 1:
			l.Amount = huge
		default:
			l.Amount = num(uint64(rapid.IntRange(1, 1000).Draw(t, "amount")))
		}
		return l
	}
	for h := range rapid.IntRange(1, 30).Draw(t, "blocks") {
		var moves []flow.Movement
		for range rapid.IntRange(1, 3).Draw(t, "movements") {
			asset := rapid.SampledFrom([]flow.Asset{coin, coin, dollar}).Draw(t, "asset")
			from, to := leg(), leg()
			m := flow.In1Out1(flow.TokenMove, asset, 0, from.Account, to.Account, from.Amount)
			switch rapid.IntRange(0, 11).Draw(t, "kind") {
			case 0:
				m.Kind = flow.Fee
			case 1:
				m = flow.In1Out1(flow.TokenMove, asset, 0, flow.Account{}, to.Account, to.Amount)
			case 2:
				m = flow.In1Out1(flow.TokenMove, asset, 0, from.Account, flow.Account{}, from.Amount)
			case 3:
				m.In, m.Out = []flow.Leg{from, leg()}, []flow.Leg{to, leg(), leg()}
			}
			moves = append(moves, m)
		}
		w.txs = append(w.txs, tx(uint64(h+1), moves...))
	}
	return w
}

// wildSwaps answers anything, and always the same for one transaction.
var wildSwaps = trace.Swaps{Rule: "wild", Of: func(t flow.Tx) []trace.Pass {
	var passes []trace.Pass
	for i := range t.Movements {
		a, b := t.Movements[i], t.Movements[len(t.Movements)-1-i]
		if len(a.In) > 0 && len(b.Out) > 0 && t.Point.Height%3 == 0 {
			passes = append(passes, trace.Pass{From: a.In[0].Account, To: b.Out[0].Account, FromAsset: a.Asset, ToAsset: b.Asset,
				FromAmount: a.In[0].Amount, ToAmount: b.Out[0].Amount})
		}
	}
	return passes
}}

func shop(a flow.Account) (trace.Stop, bool) { return trace.Stop{Reason: "a shop"}, a == who("shop") }

func drawOptions(t *rapid.T) Options {
	o := Options{
		Alpha:    rapid.SampledFrom([]float64{0, 0.05, 0.15, 0.5}).Draw(t, "alpha"),
		Beta:     rapid.SampledFrom([]float64{0, 0.7, 1}).Draw(t, "beta"),
		Epsilon:  rapid.SampledFrom([]float64{0.1, 1e-3, 1e-6}).Draw(t, "epsilon"),
		Visits:   rapid.IntRange(0, 6).Draw(t, "visits"),
		Payments: rapid.IntRange(0, 6).Draw(t, "payments"),
		Weight:   rapid.SampledFrom([]Weight{Linear, Log}).Draw(t, "weight"),
		Stop:     shop,
	}
	if rapid.Bool().Draw(t, "swaps") {
		o.Swaps = wildSwaps
	}
	return o
}

func drawTheft(t *rapid.T) trace.Theft {
	from := flow.Pos{Height: uint64(rapid.IntRange(0, 5).Draw(t, "from"))}
	theft := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: who("thief"), From: from}}}
	if rapid.Bool().Draw(t, "holding") {
		theft.Sources = append(theft.Sources, trace.Holding{Account: who("a"), Asset: coin, Amount: num(500), At: from})
	}
	if rapid.Bool().Draw(t, "shop") {
		theft.Sources = append(theft.Sources, trace.Outflow{Account: who("shop"), Asset: coin, From: from})
	}
	return theft
}

func explore(t testing.TB, g trace.Graph, theft trace.Theft, o Options) *Ranking {
	t.Helper()
	r, err := Explore(context.Background(), g, theft, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// indexed is a Graph that looks accounts up, so that a benchmark measures the walk.
type indexed struct {
	trace.Graph
	views map[flow.Account][]trace.View
}

func (g *indexed) After(_ context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages := make([]trace.Page, len(asks))
	for i, a := range asks {
		rest := g.views[a.Account]
		for len(rest) > 0 && rest[0].Tx.At().Compare(a.From) < 0 {
			rest = rest[1:]
		}
		n := min(len(rest), a.Limit)
		pages[i] = trace.Page{Txs: rest[:n], More: n < len(rest)}
	}
	return pages, nil
}
