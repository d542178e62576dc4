package watch

import (
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A theft on two chains is one case: each chain goes its own way, forward and back.
func TestOneTheftOnTwoChains(t *testing.T) {
	eth := blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 100
block 2 bb time=1700000060
eth:thief eth:next ETH 100
`)
	coins := blocks(t, `
chain regtest
block 1 aa time=1700000000
tx mint
- -> victim 100
block 2 bb time=1700000030
tx theft
mint:0 victim 100 -> thief 99
block 3 cc time=1700000090
tx split
theft:0 thief 99 -> a 60 thief 38
block 4 dd time=1700000120
tx dust
split:1 thief 38 -> exchangeX 37
`)
	g := newWorld(append(append([]flow.Block{}, eth...), coins...)...)
	c := heist()
	c.Options.Stop = func(a flow.Account) (trace.Stop, bool) { return trace.Stop{}, a == script("exchangeX") }
	c.Theft.Sources = append(c.Theft.Sources, trace.Coin{
		Outpoint: flow.Outpoint{Tx: coins[1].Txs[0].ID}, Account: script("thief"), Asset: flow.BitcoinRegtest.Native(), Amount: flow.NewAmount(99),
	})
	w := New(Config{})
	o, err := w.Open(t.Context(), g, c, Start{Chain: textEth, Rest: seq(eth[:1])}, Start{Final: coins[1].Point})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Stolen) != 2 || len(o.Holders) != 2 || len(w.Tips()) != 2 {
		t.Errorf("%+v", o)
	}
	for _, b := range []flow.Block{coins[2], eth[1], coins[3]} {
		first := forward(t, w, g, b)
		w.Back(b.Point)
		if again := forward(t, w, g, b); len(first.Alerts) == 0 || lines(again.Alerts) != lines(first.Alerts) {
			t.Errorf("%v: %s then %s", b.Point, lines(first.Alerts), lines(again.Alerts))
		}
		switch got := lines(first.Alerts); b.Point {
		case coins[2].Point: // change is no new holder
			if len(first.Alerts) != 1 || len(first.Alerts[0].Finding.Subjects) != 1 || first.Alerts[0].Finding.Subjects[0] != script("a") {
				t.Error(got)
			}
		case coins[3].Point:
			if !strings.HasPrefix(got, "critical live-arrival: 37 ") {
				t.Error(got)
			}
		}
	}
	r, err := Restore(Config{}, w.Snapshot(), []Case{c}, nil)
	if err != nil || len(r.Cases()) != 1 {
		t.Fatalf("%v, %v", r, err)
	}
	if string(r.Snapshot()) != string(w.Snapshot()) {
		t.Error("another state")
	}
}

func TestBlocksWithHoles(t *testing.T) {
	g := newWorld(blocks(t, "block 10 aa time=1\neth:victim eth:thief ETH 100\nblock 20 bb time=2\neth:thief eth:a ETH 1\nblock 30 cc time=3\neth:thief eth:b ETH 1\n")...)
	w := New(Config{})
	opens(t, w, g, heist())
	for _, b := range g.blocks {
		forward(t, w, g, b)
	}
	w.Back(flow.Point{Chain: textEth, Height: 25}) // everything from there on
	if tips := w.Tips(); tips[0] != g.blocks[1].Point {
		t.Errorf("stands at %v", tips)
	}
	second := Case{ID: "second", Theft: outflow(), Options: options()}
	if _, err := w.Open(t.Context(), g, second, Start{Final: g.blocks[0].Point, Rest: seq(g.blocks[1:2])}); err != nil {
		t.Fatal(err)
	}
	w.Back(flow.Point{Chain: textEth, Height: 40}) // nothing is there
	if n := forward(t, w, g, g.blocks[2]); len(of(n.Alerts, "live-move")) != 2 {
		t.Error(lines(n.Alerts))
	}
}

func TestTheLogOfBlocksIsBounded(t *testing.T) {
	w := New(Config{UndoDepth: 10})
	g := newWorld()
	for h := range uint64(100) {
		forward(t, w, g, flow.Block{Point: flow.Point{Chain: textEth, Height: h, Time: 1}})
		if n := len(w.chains[textEth].log); n > 20 {
			t.Fatalf("%d blocks are kept", n)
		}
	}
	w.Final(flow.Point{Chain: textEth, Height: 98})
	if n := len(w.chains[textEth].log); n > 2 {
		t.Errorf("%d blocks are kept below a final one", n)
	}
	w.Back(flow.Point{Chain: textEth, Height: 50})
	if tips := w.Tips(); tips[0].Height != 49 {
		t.Errorf("stands at %v", tips)
	}
}

func TestRulesAreWrittenDown(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules() {
		if r.ID == "" || seen[r.ID] || r.Version < 1 || r.Title == "" || r.Meaning == "" || r.Wrong == "" || r.Severity == 0 {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
}
