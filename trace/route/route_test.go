package route

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

// tale makes a world from rows "FROM TO AMOUNT", each a transaction in a block of its own from 1 on. The question is the
// way from a to b.
func tale(rows ...string) *world {
	w := &world{q: Question{From: who(story, "a"), To: who(story, "b"), Asset: gold}, stop: map[flow.Account]bool{}}
	for i, row := range rows {
		var from, to, amount string
		if _, err := fmt.Sscan(row, &from, &to, &amount); err != nil {
			panic(err)
		}
		w.txs = append(w.txs, flow.Tx{ID: flow.Hash{31: byte(i + 1)}, Point: flow.Point{Chain: story, Height: uint64(i + 1)},
			Movements: []flow.Movement{flow.In1Out1(flow.TokenMove, gold, 0, who(story, from), who(story, to), must(flow.ParseAmount(amount)))}})
	}
	return w
}

func peel() *world { return tale("a c 10", "c d 4", "c b 6", "d b 4") }

func TestWays(t *testing.T) {
	for _, c := range []struct {
		name        string
		rows        []string
		greedy, max uint64
		paths       string
	}{
		{"straight", []string{"a b 5"}, 5, 5, "5: a b"},
		{"peel", []string{"a c 10", "c d 4", "c b 6", "d b 4"}, 10, 10, "6: a c b; 4: a c d b"},
		{"too-early", []string{"c b 5", "a c 5"}, 0, 0, ""},
		{"waiting", []string{"a c 5", "e c 50", "c b 3", "c b 3"}, 5, 5, "3: a c b; 2: a c b"},
		{"narrow", []string{"a c 5", "c d 5", "d b 2"}, 2, 2, "2: a c d b"},
		{"greed-is-wrong", []string{"a c 5", "c d 5", "c b 5", "d b 1"}, 1, 5, "4: a c b; 1: a c d b"},
		{"back-and-forth", []string{"a c 5", "c d 5", "d c 5", "c b 5"}, 5, 5, "5: a c b"},
		{"two-loops", []string{"a c 5", "c d 5", "d e 5", "e d 5", "d c 5", "c d 5", "d b 5"}, 5, 5, "5: a c d b"},
		{"through-the-giver", []string{"a c 5", "c a 5", "a b 5"}, 5, 5, "5: a b"},
		{"through-the-taker", []string{"a b 5", "b c 5", "c b 5"}, 5, 5, "5: a b"},
		{"opening-balance", []string{"e c 9", "a c 1", "c b 10"}, 1, 1, "1: a c b"},
		{"nothing-moved", []string{"a c 0", "c b 5"}, 0, 0, ""},
		{"nobody", []string{"d c 3"}, 0, 0, ""},
	} {
		r := find(t, tale(c.rows...), Options{Exact: true})
		var paths []string
		for _, p := range r.Paths {
			text := p.Amount.String() + ": a"
			for _, s := range p.Steps {
				text += " " + s.To.Address()
			}
			paths = append(paths, text)
		}
		if r.Greedy != num(c.greedy) || *r.Max != num(c.max) || strings.Join(paths, "; ") != c.paths {
			t.Errorf("%s: greedy %s, max %s, %v; want %d, %d, %s", c.name, r.Greedy, r.Max, paths, c.greedy, c.max, c.paths)
		}
	}
}

func TestServicesEndWays(t *testing.T) {
	w := tale("a x 7", "x b 7", "a c 3", "c b 3")
	for _, name := range []string{"x", "a", "b"} { // of the ends it does not matter
		w.stop[who(story, name)] = true
	}
	r := find(t, w, w.options())
	if *r.Max != num(3) || len(r.Stops) != 1 || r.Stops[0] != (Stopped{who(story, "x"), trace.Service, "a service"}) {
		t.Errorf("max %s, stops %v; want 3 past x", r.Max, r.Stops)
	}
	if r.Sent.String() != "10" || r.Out.String() != "3" || r.Received.String() != "10" || r.In.String() != "3" {
		t.Errorf("out %s of %s, in %s of %s; want 3 of 10 on both sides", r.Out, r.Sent, r.In, r.Received)
	}
}

// The two ends meet: what can be reached from the one but leads only past the other is not read.
func TestSearchMeetsInTheMiddle(t *testing.T) {
	rows := []string{"a c 100"}
	for i := range 300 {
		rows = append(rows, fmt.Sprintf("c n%d 1", i))
	}
	rows = append(rows, "c b 100")
	for i := range 300 {
		rows = append(rows, fmt.Sprintf("n%d d 1", i), fmt.Sprintf("d m%d 1", i))
	}
	w := tale(rows...)
	both := find(t, w, Options{Exact: true})
	one, err := Find(t.Context(), forwardGraph{&memGraph{txs: w.txs}}, w.q, Options{Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	if *both.Max != num(100) || *one.Max != num(100) || both.Transactions > 310 || one.Transactions < 900 {
		t.Errorf("max %s over %d transactions from both ends, %s over %d from one; want 100, at most 310 and at least 900",
			both.Max, both.Transactions, one.Max, one.Transactions)
	}
}

func TestErrors(t *testing.T) {
	other := must(flow.TextChain("other"))
	for _, c := range []struct {
		name   string
		change func(q *Question, o *Options)
		want   string
	}{
		{"no-end", func(q *Question, _ *Options) { q.To = flow.Account{} }, "an account is missing"},
		{"one-account", func(q *Question, _ *Options) { q.To = q.From }, "to itself"},
		{"two-chains", func(q *Question, _ *Options) { q.To = who(other, "b") }, "on two chains"},
		{"no-asset", func(q *Question, _ *Options) { q.Asset = flow.Asset{} }, "of no asset"},
		{"other-asset", func(q *Question, _ *Options) { q.Asset = other.Native() }, "on another chain"},
		{"backward", func(q *Question, _ *Options) { q.Start.Height, q.End.Height = 2, 1 }, "ends before it begins"},
		{"negative", func(_ *Question, o *Options) { o.Budget.Holders = -1 }, "budget of holders is -1"},
		{"transfers", func(_ *Question, o *Options) { o.Transfers = 3 }, "4 transfers of 2 accounts, at most 3 of 100000"},
		{"accounts", func(_ *Question, o *Options) { o.Accounts = 1 }, "4 transfers of 2 accounts, at most 1000000 of 1"},
	} {
		w := peel()
		o := Options{Exact: true}
		c.change(&w.q, &o)
		if r, err := Find(t.Context(), &memGraph{txs: w.txs}, w.q, o); err == nil || r != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.name, r, err, c.want)
		}
	}
}

// A token of which more than 2^256-1 units left the giver is refused, unless the question says how much counts.
func TestHostileToken(t *testing.T) {
	all := most.String()
	w := tale("a c "+all, "a c "+all, "c b "+all, "c b "+all)
	if _, err := Find(t.Context(), &memGraph{txs: w.txs}, w.q, Options{}); !errors.Is(err, ErrSize) || !strings.Contains(err.Error(), "name an amount") {
		t.Errorf("error %v; want ErrSize", err)
	}
	w.q.Amount = most
	if r := find(t, w, Options{Exact: true}); *r.Max != most || r.Out.Big().BitLen() != 257 || len(r.Cut) != 0 {
		t.Errorf("max %s, out %s, cut %v; want %s, twice that, none", r.Max, r.Out, r.Cut, most)
	}
}

// liar breaks the contract of a graph.
type liar struct {
	*memGraph
	pages []trace.Page
}

func (l liar) After(context.Context, []trace.Ask) ([]trace.Page, error) { return l.pages, nil }

func TestGraphsThatBreakTheirWord(t *testing.T) {
	w := peel()
	view := func(i int) trace.View { return trace.View{Tx: w.txs[i]} }
	empty := view(0)
	empty.Tx.Movements = nil
	for name, pages := range map[string][]trace.Page{
		"no-answer":    nil,
		"no-movements": {{Txs: []trace.View{empty}}},
		"endless":      {{More: true}},
		"backward":     {{Txs: []trace.View{view(2), view(0)}}},
		"places":       {{Txs: []trace.View{{Tx: w.txs[0], Places: []uint32{1, 2}}}}},
	} {
		g := liar{&memGraph{txs: w.txs}, pages}
		if _, err := Find(t.Context(), g, w.q, Options{}); !errors.Is(err, trace.ErrGraph) {
			t.Errorf("%s: error %v; want ErrGraph", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ctx, &memGraph{txs: w.txs}, w.q, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want canceled", err)
	}
}

// A graph that shows nonsense gets an error or some answer: never a panic, never an endless search.
func TestNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawAny(t)
		g := &scrambled{memGraph: &memGraph{txs: w.txs}, t: t}
		r, err := Find(t.Context(), g, w.q, w.options())
		if err == nil && r.Max.Less(r.Greedy) {
			t.Fatalf("greedy %s, max %s", r.Greedy, r.Max)
		}
	})
}

// scrambled answers with parts of other answers. It answers with more only so often, as every store is finite.
type scrambled struct {
	*memGraph
	t     *rapid.T
	pages int
}

func (g *scrambled) scramble(pages []trace.Page) []trace.Page {
	for i := range pages {
		p := &pages[i]
		if g.pages++; g.pages > 30 {
			return pages
		}
		switch rapid.IntRange(0, 5).Draw(g.t, "page") {
		case 0:
			p.Txs = append(p.Txs, trace.View{Tx: rapid.SampledFrom(g.txs).Draw(g.t, "tx")})
		case 1:
			p.Txs = p.Txs[:len(p.Txs)/2]
		case 2:
			p.More = !p.More
		case 3:
			for k := range p.Txs {
				p.Txs[k].Places = nil
			}
		}
	}
	return pages
}

func (g *scrambled) After(ctx context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages, err := g.memGraph.After(ctx, asks)
	return g.scramble(pages), err
}

func (g *scrambled) Before(ctx context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages, err := g.memGraph.Before(ctx, asks)
	return g.scramble(pages), err
}

func (g *scrambled) Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs, err := g.memGraph.Spends(ctx, c, of)
	if rapid.IntRange(0, 3).Draw(g.t, "spends") == 0 {
		txs[0] = rapid.SampledFrom(g.txs).Draw(g.t, "spender")
	}
	return txs, err
}
