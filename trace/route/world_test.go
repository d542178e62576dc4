package route

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strings"
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
	story = must(flow.TextChain("story"))
	gold  = must(flow.NamedAsset(story, "GOLD"))
	iron  = must(flow.NamedAsset(story, "IRON"))
)

func num(n uint64) flow.Amount { return flow.NewAmount(n) }

func who(c flow.Chain, name string) flow.Account {
	if c.IsUTXO() {
		sum := sha256.Sum256([]byte(name))
		return must(flow.UTXOAccount(c, flow.PayToScript, sum[:]))
	}
	return must(flow.NewAccount(c, name))
}

// A memGraph is a BackGraph over a list of transactions, which shows the movements of the account asked for alone, or
// whole transactions.
type memGraph struct {
	txs   []flow.Tx
	whole bool
}

func (g *memGraph) pages(asks []trace.Ask, back bool) []trace.Page {
	pages := make([]trace.Page, len(asks))
	for k, ask := range asks {
		touches := func(l flow.Leg) bool { return l.Account == ask.Account }
		n := 0
		txs := slices.Clone(g.txs)
		if back {
			slices.Reverse(txs)
		}
	scan:
		for _, tx := range txs {
			v := trace.View{Tx: tx}
			v.Tx.Movements = nil
			order := make([]int, len(tx.Movements))
			for i := range order {
				order[i] = i
			}
			if back {
				slices.Reverse(order)
			}
			for _, i := range order {
				m := tx.Movements[i]
				at := tx.At()
				at.Movement = uint32(i)
				if c := at.Compare(ask.From); c < 0 && !back || c > 0 && back || !slices.ContainsFunc(slices.Concat(m.In, m.Out), touches) {
					continue
				}
				if n == ask.Limit {
					pages[k].More = true
					break
				}
				n++
				v.Tx.Movements = append(v.Tx.Movements, m)
				v.Places = append(v.Places, uint32(i))
			}
			if len(v.Places) > 0 {
				if back {
					slices.Reverse(v.Tx.Movements)
					slices.Reverse(v.Places)
				}
				if g.whole {
					v = trace.View{Tx: tx}
				}
				pages[k].Txs = append(pages[k].Txs, v)
			}
			if pages[k].More {
				break scan
			}
		}
	}
	return pages
}

func (g *memGraph) After(_ context.Context, asks []trace.Ask) ([]trace.Page, error) {
	return g.pages(asks, false), nil
}

func (g *memGraph) Before(_ context.Context, asks []trace.Ask) ([]trace.Page, error) {
	return g.pages(asks, true), nil
}

func (g *memGraph) find(of []flow.Outpoint, hit func(tx flow.Tx, o flow.Outpoint) bool) []flow.Tx {
	txs := make([]flow.Tx, len(of))
	for i, o := range of {
		for _, tx := range g.txs {
			if hit(tx, o) {
				txs[i] = tx
			}
		}
	}
	return txs
}

func (g *memGraph) Spends(_ context.Context, _ flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	return g.find(of, func(tx flow.Tx, o flow.Outpoint) bool {
		return slices.ContainsFunc(tx.Movements, func(m flow.Movement) bool { return slices.Contains(m.Spent, o) })
	}), nil
}

func (g *memGraph) Makers(_ context.Context, _ flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	return g.find(of, func(tx flow.Tx, o flow.Outpoint) bool { return tx.ID == o.Tx }), nil
}

func (g *memGraph) Balances(_ context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	all := make([]trace.Balance, len(of))
	for i, ask := range of {
		for _, tx := range g.txs {
			for j, m := range tx.Movements {
				at := tx.At()
				at.Movement = uint32(j)
				if at.Compare(ask.Before) >= 0 || m.Asset != ask.Asset {
					continue
				}
				for _, l := range m.In {
					if l.Account == ask.Account {
						all[i].Out = all[i].Out.Plus(l.Amount)
					}
				}
				for _, l := range m.Out {
					if l.Account == ask.Account {
						all[i].In = all[i].In.Plus(l.Amount)
					}
				}
			}
		}
	}
	return all, nil
}

// forwardGraph hides Before and Makers.
type forwardGraph struct{ trace.Graph }

// A world is a chain and a question about it.
type world struct {
	txs  []flow.Tx
	q    Question
	stop map[flow.Account]bool
}

func (w *world) options() Options {
	return Options{Exact: true, Stop: func(a flow.Account) (trace.Stop, bool) { return trace.Stop{Reason: "a service"}, w.stop[a] }}
}

func (w *world) String() string {
	var b strings.Builder
	name := func(a flow.Account) string {
		if a.IsZero() {
			return "-"
		}
		return a.Address()[max(0, len(a.Address())-4):]
	}
	fmt.Fprintf(&b, "%s to %s, amount %s, %s to %s\n", name(w.q.From), name(w.q.To), w.q.Amount, w.q.Start, w.q.End)
	for a := range w.stop {
		fmt.Fprintf(&b, "service %s\n", name(a))
	}
	for _, tx := range w.txs {
		for i, m := range tx.Movements {
			fmt.Fprintf(&b, "%s/%d %s", tx.At(), i, m.Kind)
			for k, l := range m.In {
				fmt.Fprintf(&b, " %s:%s", name(l.Account), l.Amount)
				if k < len(m.Spent) {
					fmt.Fprintf(&b, "(%.4s:%d)", m.Spent[k].Tx, m.Spent[k].Index)
				}
			}
			fmt.Fprintf(&b, " -> ")
			for _, l := range m.Out {
				fmt.Fprintf(&b, " %s:%s", name(l.Account), l.Amount)
			}
			fmt.Fprintf(&b, "  %.4s\n", tx.ID)
		}
	}
	return b.String()
}

// drawAmount draws small amounts, now and then those that only a lying token has.
func drawAmount(t *rapid.T, hostile bool) flow.Amount {
	n := rapid.Uint64Range(0, 9).Draw(t, "amount")
	if hostile && n > 4 {
		return minus(most, num(n))
	}
	return num(n)
}

func drawPlaces(t *rapid.T, w *world) {
	if rapid.IntRange(0, 3).Draw(t, "bounded") == 0 {
		w.q.Start.Height = rapid.Uint64Range(0, 4).Draw(t, "start")
		w.q.End = flow.Pos{Height: w.q.Start.Height + rapid.Uint64Range(0, 6).Draw(t, "length"), Tx: 1, Movement: 1}
	}
	if rapid.IntRange(0, 3).Draw(t, "limited") == 0 {
		w.q.Amount = num(rapid.Uint64Range(1, 30).Draw(t, "limit"))
	}
}

// drawWorld makes an account chain with few holders, so that they meet often: several assets, fees, issues and burns,
// movements of several legs, and now and then a service.
func drawWorld(t *rapid.T) *world {
	w := &world{stop: map[flow.Account]bool{}}
	names := []string{"a", "b", "c", "d", "e", "f"}
	account := func(what string) flow.Account { return who(story, rapid.SampledFrom(names).Draw(t, what)) }
	w.q = Question{From: who(story, "a"), To: who(story, "b"), Asset: gold}
	hostile := rapid.IntRange(0, 4).Draw(t, "hostile") == 0
	if rapid.IntRange(0, 3).Draw(t, "service") == 0 {
		w.stop[account("service")] = true
	}
	height := uint64(0)
	for i := range rapid.IntRange(1, 14).Draw(t, "transactions") {
		tx := flow.Tx{ID: sha256.Sum256([]byte{byte(i)}), Index: 1}
		if step := rapid.Uint64Range(0, 1).Draw(t, "step"); step > 0 || i == 0 {
			height++
		} else {
			tx.Index = w.txs[i-1].Index + 1
		}
		tx.Point = flow.Point{Chain: story, Height: height, Time: int64(1000 * height)}
		for k := range rapid.IntRange(1, 3).Draw(t, "movements") {
			v := drawAmount(t, hostile)
			m := flow.In1Out1(flow.TokenMove, gold, uint32(k), account("from"), account("to"), v)
			switch rapid.IntRange(0, 11).Draw(t, "kind") {
			case 0:
				m.Asset = iron
			case 1:
				m.Kind = flow.Fee
			case 2:
				m.In = nil
			case 3:
				m.Out = nil
			case 4, 5: // of several legs
				m.In, m.Out = nil, nil
				for range rapid.IntRange(1, 3).Draw(t, "givers") {
					m.In = append(m.In, flow.Leg{Account: account("giver"), Amount: num(rapid.Uint64Range(0, 9).Draw(t, "gives"))})
				}
				for range rapid.IntRange(1, 3).Draw(t, "takers") {
					m.Out = append(m.Out, flow.Leg{Account: account("taker"), Amount: num(rapid.Uint64Range(0, 9).Draw(t, "takes"))})
				}
			}
			tx.Movements = append(tx.Movements, m)
		}
		w.txs = append(w.txs, tx)
	}
	drawPlaces(t, w)
	return w
}

// drawCoins makes a UTXO chain in which few owners pay each other.
func drawCoins(t *rapid.T) *world {
	c := flow.BitcoinRegtest
	names := []string{"a", "b", "c", "d", "e", "f"}
	w := &world{stop: map[flow.Account]bool{}, q: Question{From: who(c, "a"), To: who(c, "b"), Asset: c.Native()}}
	account := func(what string) flow.Account { return who(c, rapid.SampledFrom(names).Draw(t, what)) }
	if rapid.IntRange(0, 3).Draw(t, "service") == 0 {
		w.stop[account("service")] = true
	}
	type coin struct {
		flow.Leg
		at flow.Outpoint
	}
	var unspent []coin
	for i := range rapid.IntRange(2, 12).Draw(t, "transactions") {
		tx := flow.Tx{ID: sha256.Sum256([]byte{byte(i)}), Index: uint32(i % 2), Point: flow.Point{Chain: c, Height: uint64(1 + i/2)}}
		m := flow.Movement{Kind: flow.Transfer, Asset: c.Native()}
		sum := uint64(0)
		for range min(rapid.IntRange(0, 3).Draw(t, "inputs"), len(unspent)) {
			k := rapid.IntRange(0, len(unspent)-1).Draw(t, "coin")
			m.In, m.Spent = append(m.In, unspent[k].Leg), append(m.Spent, unspent[k].at)
			v, _ := unspent[k].Amount.Uint64()
			sum += v
			unspent = slices.Delete(unspent, k, k+1)
		}
		if len(m.In) == 0 {
			m.Kind, sum = flow.Reward, 20
		} else if rapid.IntRange(0, 7).Draw(t, "unknown") == 0 {
			m.In[0] = flow.Leg{}
		}
		for k := range rapid.IntRange(1, 3).Draw(t, "outputs") {
			v := rapid.Uint64Range(0, sum).Draw(t, "value")
			sum -= v
			l := flow.Leg{Account: account("owner"), Amount: num(v)}
			m.Out = append(m.Out, l)
			unspent = append(unspent, coin{l, flow.Outpoint{Tx: tx.ID, Index: uint32(k)}})
		}
		tx.Movements = []flow.Movement{m}
		w.txs = append(w.txs, tx)
	}
	drawPlaces(t, w)
	return w
}

func drawAny(t *rapid.T) *world {
	var w *world
	if rapid.IntRange(0, 2).Draw(t, "chain") == 0 {
		w = drawCoins(t)
	} else {
		w = drawWorld(t)
	}
	t.Log(w)
	return w
}

// An oracle is a plain maximum flow over a graph that has a node for every holder after every movement: Ford and
// Fulkerson's method with big.Int. It knows nothing of what the package leaves out beforehand.
type oracle struct {
	ids   map[any]int
	edges []oracleEdge
	from  [][]int
}

type oracleEdge struct {
	to   int
	left *big.Int
}

func (o *oracle) node(key any) int {
	n, ok := o.ids[key]
	if !ok {
		n = len(o.from)
		o.ids[key] = n
		o.from = append(o.from, nil)
	}
	return n
}

func (o *oracle) edge(from, to int, limit *big.Int) {
	o.from[from] = append(o.from[from], len(o.edges))
	o.edges = append(o.edges, oracleEdge{to, new(big.Int).Set(limit)})
	o.from[to] = append(o.from[to], len(o.edges))
	o.edges = append(o.edges, oracleEdge{from, new(big.Int)})
}

var endless = new(big.Int).Lsh(big.NewInt(1), 300)

type oracleKey struct {
	who  string
	time int
}

// most is the maximum of a world.
func (w *world) most() *big.Int {
	o := &oracle{ids: map[any]int{}}
	source, sink := o.node("source"), o.node("sink")
	holders := map[string]bool{}
	limit := endless
	if !w.q.Amount.IsZero() {
		limit = w.q.Amount.Big()
	}
	o.edge(source, o.node("giver"), limit)
	name := func(a flow.Account, coin flow.Outpoint) string {
		switch {
		case a == w.q.To:
			return "taker"
		case a == w.q.From:
			return "giver"
		}
		if a.Chain().IsUTXO() {
			return a.String() + coin.String()
		}
		return a.String()
	}
	time := 0
	for _, tx := range w.txs {
		for i, m := range tx.Movements {
			at := tx.At()
			at.Movement = uint32(i)
			if m.Asset != w.q.Asset || m.Kind == flow.Fee || at.Compare(w.q.Start) < 0 || w.q.End != (flow.Pos{}) && at.Compare(w.q.End) > 0 {
				continue
			}
			time++
			for h := range holders { // everybody waits
				o.edge(o.node(oracleKey{h, time - 1}), o.node(oracleKey{h, time}), endless)
			}
			middle := o.node(time)
			for k, l := range m.In {
				if l.Account.IsZero() || w.stop[l.Account] && l.Account != w.q.From && l.Account != w.q.To {
					continue
				}
				var coin flow.Outpoint
				if k < len(m.Spent) {
					coin = m.Spent[k]
				}
				h := name(l.Account, coin)
				if h == "giver" {
					o.edge(o.node("giver"), middle, l.Amount.Big())
				} else {
					o.edge(o.node(oracleKey{h, time - 1}), middle, l.Amount.Big())
				}
			}
			for k, l := range m.Out {
				if w.stop[l.Account] && l.Account != w.q.From && l.Account != w.q.To {
					continue
				}
				h := name(l.Account, flow.Outpoint{Tx: tx.ID, Index: uint32(k)})
				holders[h] = true
				to := o.node(oracleKey{h, time})
				if h == "giver" {
					to = o.node("giver") // it comes back to the account, which may pay it again
				}
				o.edge(middle, to, l.Amount.Big())
			}
		}
	}
	if holders["taker"] {
		o.edge(o.node(oracleKey{"taker", time}), sink, endless)
	}
	sum := new(big.Int)
	for {
		into := make([]int, len(o.from))
		for v := range into {
			into[v] = -1
		}
		stack := []int{source}
		for len(stack) > 0 && into[sink] < 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for _, e := range o.from[v] {
				if to := o.edges[e].to; o.edges[e].left.Sign() > 0 && into[to] < 0 && to != source {
					into[to] = e
					stack = append(stack, to)
				}
			}
		}
		if into[sink] < 0 {
			return sum
		}
		push := endless
		for v := sink; v != source; v = o.edges[into[v]^1].to {
			if left := o.edges[into[v]].left; left.Cmp(push) < 0 {
				push = left
			}
		}
		push = new(big.Int).Set(push)
		for v := sink; v != source; v = o.edges[into[v]^1].to {
			o.edges[into[v]].left.Sub(o.edges[into[v]].left, push)
			o.edges[into[v]^1].left.Add(o.edges[into[v]^1].left, push)
		}
		sum.Add(sum, push)
	}
}

func find(t testing.TB, w *world, o Options) *Result {
	t.Helper()
	r, err := Find(context.Background(), &memGraph{txs: w.txs}, w.q, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
