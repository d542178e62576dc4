package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

// player makes blocks of a small world in which thieves pay, swap dust and rest.
type player struct {
	t    *rapid.T
	made int
	old  [][]flow.Movement // transactions that were seen on some branch, by number
}

// amounts are what is paid; the last is the most that a token can say.
var amounts = []flow.Amount{
	{}, flow.NewAmount(1), flow.NewAmount(5), flow.NewAmount(5), flow.NewAmount(60), flow.NewAmount(60), flow.NewAmount(100), flow.NewAmount(100), flow.NewAmount(700),
	flow.AmountFromWords([4]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}),
}

var people = []string{"victim", "a", "b", "c", "d", "e", "f", "exchange1", "bridge1", "mixer1"}

func (p *player) movement() flow.Movement {
	who := func() flow.Account { return text(rapid.SampledFrom(people).Draw(p.t, "who")) }
	asset := token(rapid.SampledFrom([]string{"ETH", "ETH", "ETH", "DAI", "FAKE"}).Draw(p.t, "asset"))
	from, to := who(), who()
	switch rapid.IntRange(0, 15).Draw(p.t, "end") {
	case 0:
		from = flow.Account{}
	case 1:
		to = flow.Account{}
	}
	if from.IsZero() && to.IsZero() {
		to = text("a")
	}
	kind := rapid.SampledFrom([]flow.Kind{flow.Transfer, flow.TokenMove, flow.TokenMove, flow.Fee}).Draw(p.t, "kind")
	return flow.In1Out1(kind, asset, 0, from, to, rapid.SampledFrom(amounts).Draw(p.t, "amount"))
}

// block makes the block on top of those of a world. Its transactions are new, or some of another branch.
func (p *player) block(below []flow.Block) flow.Block {
	p.made++
	b := flow.Block{Point: flow.Point{Chain: textEth, Height: 1, Hash: sha256.Sum256(fmt.Append(nil, "block", p.made)), Time: dayZero}}
	used := map[flow.Hash]bool{}
	if n := len(below); n > 0 {
		last := below[n-1].Point
		b.Parent, b.Point.Height = last.Hash, last.Height+1
		b.Point.Time = last.Time + rapid.SampledFrom([]int64{12, 3600, 40 * 86400}).Draw(p.t, "wait")
	}
	for _, other := range below {
		for _, tx := range other.Txs {
			used[tx.ID] = true
		}
	}
	for range rapid.IntRange(0, 4).Draw(p.t, "transactions") {
		n := len(p.old)
		if rapid.Bool().Draw(p.t, "old") && n > 0 {
			n = rapid.IntRange(0, n-1).Draw(p.t, "which")
		} else {
			p.old = append(p.old, nil)
			for range rapid.IntRange(1, 3).Draw(p.t, "movements") {
				p.old[n] = append(p.old[n], p.movement())
			}
		}
		tx := flow.Tx{ID: sha256.Sum256(fmt.Append(nil, "tx", n)), Point: b.Point, Index: uint32(len(b.Txs)), Movements: p.old[n]}
		if !used[tx.ID] {
			used[tx.ID] = true
			b.Txs = append(b.Txs, tx)
		}
	}
	return b
}

func smallWorld(bs ...flow.Block) *world {
	g := newWorld(bs...)
	g.fakes[token("FAKE")] = true
	g.parties[text("exchange1")] = Party{"Exchange", "exchange", "call@exchange"}
	return g
}

func smallLists() []List {
	return []List{
		{Name: "gang", Accounts: []flow.Account{text("b"), text("c")}, Dormant: 30 * 24 * time.Hour, Least: map[flow.Asset]flow.Amount{token("ETH"): flow.NewAmount(50)}},
		{Name: "ours", Accounts: []flow.Account{text("c"), text("victim")}},
	}
}

func smallCases() []Case {
	o := options()
	o.DustShare = 0
	return []Case{
		{ID: "heist", Theft: outflow(), Options: options(), All: []flow.Account{text("victim")}},
		{ID: "old", Options: o, Theft: trace.Theft{Sources: []trace.Source{
			trace.Holding{Account: text("d"), Asset: token("DAI"), Amount: flow.NewAmount(300), At: flow.Pos{Height: 2}},
			trace.Outflow{Account: text("e"), Asset: token("ETH"), From: flow.Pos{Height: 3}},
		}}, Since: dayZero},
	}
}

// begun is a watch that has eaten nothing.
func begun(t testing.TB, g *world) *Watch {
	t.Helper()
	w := New(Config{PerBlock: 3})
	if err := w.SetLists(smallLists()); err != nil {
		t.Fatal(err)
	}
	for _, c := range smallCases() {
		if _, err := w.Open(context.Background(), g, c, Start{Chain: textEth}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func text2json(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestForksLeaveNoTrace(t *testing.T) {
	tt := t
	rapid.Check(t, func(t *rapid.T) {
		p := &player{t: t}
		g := smallWorld()
		w := begun(tt, g)
		var said []News
		var final uint64
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := len(g.blocks)
			switch {
			case n > int(final) && rapid.IntRange(0, 3).Draw(t, "back") == 0:
				w.Back(g.blocks[n-1].Point)
				g.blocks, said = slices.Clone(g.blocks[:n-1]), said[:n-1]
			case n > int(final) && rapid.IntRange(0, 9).Draw(t, "final") == 0:
				final = uint64(rapid.IntRange(int(final), n-1).Draw(t, "height"))
				if final > 0 {
					w.Final(g.blocks[final-1].Point)
				}
			default:
				g.blocks = append(g.blocks, p.block(g.blocks))
				said = append(said, forward(tt, w, g, g.blocks[n]))
			}
		}
		straight := smallWorld(g.blocks...)
		w2 := begun(tt, straight)
		for i, b := range g.blocks {
			got, want := text2json(tt, said[i]), text2json(tt, forward(tt, w2, straight, b))
			if got != want {
				t.Fatalf("block %d: with forks\n%s\nwithout\n%s", i+1, got, want)
			}
		}
		if len(g.blocks) == 0 { // it stands before the first block now, and the other nowhere
			return
		}
		if !bytes.Equal(w.Snapshot(), w2.Snapshot()) {
			t.Fatal("another state")
		}
		if !slices.ContainsFunc(g.blocks, func(b flow.Block) bool { return b.Point.Height >= 3 && len(b.Txs) > 0 }) {
			return // a walk begins all sources, a desk those that a transaction has come for
		}
		for _, c := range smallCases() {
			r, err := trace.Run(context.Background(), straight, c.Theft, c.Options)
			if err != nil {
				t.Fatal(err)
			}
			live, err := w.Case(c.ID, textEth).Report()
			if err != nil {
				t.Fatal(err)
			}
			for i := range r.Results {
				if got, want := text2json(tt, live.Results[i]), text2json(tt, r.Results[i]); got != want {
					t.Fatalf("case %s live\n%s\nas a trace\n%s", c.ID, got, want)
				}
			}
		}
	})
}

func TestForwardAndBackIsNothing(t *testing.T) {
	tt := t
	rapid.Check(t, func(t *rapid.T) {
		p := &player{t: t}
		g := smallWorld()
		w := begun(tt, g)
		for range rapid.IntRange(0, 8).Draw(t, "before") {
			g.blocks = append(g.blocks, p.block(g.blocks))
			forward(tt, w, g, g.blocks[len(g.blocks)-1])
		}
		n := len(g.blocks)
		before := w.Snapshot()
		for range rapid.IntRange(1, 5).Draw(t, "above") {
			g.blocks = append(g.blocks, p.block(g.blocks))
			forward(tt, w, g, g.blocks[len(g.blocks)-1])
		}
		above := g.blocks[n:]
		if rapid.Bool().Draw(t, "at once") {
			above = above[:1]
		}
		for _, b := range slices.Backward(above) {
			w.Back(b.Point)
		}
		after := w.Snapshot()
		if n == 0 { // it stands before the first block now, and stood nowhere
			return
		}
		if !bytes.Equal(before, after) {
			t.Fatal("forward and back is something")
		}
	})
}

func TestARestoredWatchGoesOn(t *testing.T) {
	tt := t
	rapid.Check(t, func(t *rapid.T) {
		p := &player{t: t}
		g := smallWorld()
		w := begun(tt, g)
		whole := begun(tt, g)
		for i := range rapid.IntRange(1, 15).Draw(t, "blocks") {
			g.blocks = append(g.blocks, p.block(g.blocks))
			got, want := text2json(tt, forward(tt, w, g, g.blocks[i])), text2json(tt, forward(tt, whole, g, g.blocks[i]))
			if got != want {
				t.Fatalf("block %d: restored\n%s\nuninterrupted\n%s", i+1, got, want)
			}
			if rapid.Bool().Draw(t, "restore") {
				b := w.Snapshot()
				var err error
				if w, err = Restore(Config{PerBlock: 3}, b, smallCases(), smallLists()); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(w.Snapshot(), b) {
					t.Fatal("another state")
				}
			}
		}
		if !bytes.Equal(w.Snapshot(), whole.Snapshot()) {
			t.Fatal("another state in the end")
		}
	})
}

func TestOpenedLaterSaysTheSameFromThenOn(t *testing.T) {
	tt := t
	rapid.Check(t, func(t *rapid.T) {
		p := &player{t: t}
		g := smallWorld()
		w := begun(tt, g)
		n := rapid.IntRange(1, 10).Draw(t, "before")
		for i := range n {
			g.blocks = append(g.blocks, p.block(g.blocks))
			forward(tt, w, g, g.blocks[i])
		}
		late := New(Config{PerBlock: 3})
		if err := late.SetLists(smallLists()); err != nil {
			t.Fatal(err)
		}
		final := rapid.IntRange(0, n).Draw(t, "final")
		s := Start{Chain: textEth, Rest: seq(g.blocks[final:])}
		if final > 0 {
			s.Final = g.blocks[final-1].Point
		}
		for _, c := range smallCases() {
			if _, err := late.Open(context.Background(), g, c, s); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "after") {
			g.blocks = append(g.blocks, p.block(g.blocks))
			b := g.blocks[len(g.blocks)-1]
			got, want := ofCases(forward(tt, late, g, b)), ofCases(forward(tt, w, g, b))
			if a, b := text2json(tt, got), text2json(tt, want); a != b {
				t.Fatalf("opened later\n%s\nfrom the start\n%s", a, b)
			}
			if above := len(g.blocks) - final; rapid.Bool().Draw(t, "back") && above > 1 {
				for range rapid.IntRange(1, above-1).Draw(t, "depth") {
					last := len(g.blocks) - 1
					late.Back(g.blocks[last].Point)
					w.Back(g.blocks[last].Point)
					g.blocks = slices.Clone(g.blocks[:last])
				}
			}
		}
	})
}

// ofCases leaves out what is said of lists, whose counts began at other times.
func ofCases(n News) News {
	n.Alerts = slices.Clone(n.Alerts)
	n.Alerts = slices.DeleteFunc(n.Alerts, func(a alert.Alert) bool { return a.Case == "gang" || a.Case == "ours" })
	return n
}
