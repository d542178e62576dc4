package trace

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/link"
	"pgregory.net/rapid"
)

// netSwaps follows what link finds.
var netSwaps = Swaps{Rule: "net/test", Of: func(tx flow.Tx) []Pass {
	var all []Pass
	for _, c := range link.Conversions(tx) {
		for _, p := range c.Passes() {
			all = append(all, Pass(p))
		}
	}
	return all
}}

// wildSwaps says what is not so: anybody who gives exchanges with anybody, at any rate.
var wildSwaps = Swaps{Rule: "wild/test", Of: func(tx flow.Tx) []Pass {
	var all []Pass
	seed := binary.BigEndian.Uint64(tx.ID[:])
	dice := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	amount := func() flow.Amount {
		if dice(10) == 0 {
			return most
		}
		return num(uint64(dice(12)))
	}
	account := func(side []flow.Leg) flow.Account {
		if len(side) == 0 {
			return flow.Account{}
		}
		return side[0].Account
	}
	for range dice(5) {
		m, n := &tx.Movements[dice(len(tx.Movements))], &tx.Movements[dice(len(tx.Movements))]
		all = append(all, Pass{account(m.In), account(n.Out), m.Asset, n.Asset, amount(), amount()})
	}
	return all
}}

// graph is a graph of the world that shows what the options need.
func (w *world) graph(o Options) *memGraph {
	g := newGraph(w.txs)
	g.full = o.Swaps.Of != nil
	return g
}

// openMarket gives everybody some of both assets.
func (w *world) openMarket(has map[accountKey]int) {
	tx := flow.Tx{ID: txID("market"), Point: flow.Point{Chain: textChain, Height: 1, Time: 1}}
	for i, n := range w.names {
		for j, a := range []flow.Asset{coinAsset, tokenAsset} {
			v := 7 + 3*i + 5*j
			has[accountKey{n, a}] += v
			tx.Movements = append(tx.Movements, flow.In1Out1(flow.TokenMove, a, uint32(2*i+j), flow.Account{}, n, num(uint64(v))))
		}
	}
	w.txs = append(w.txs, tx)
}

// drawSwap adds an exchange over a pool to a transaction, all whose parts somebody has. It returns who pays, and how much
// that is of what it had; nothing if nobody can.
func (w *world) drawSwap(t *rapid.T, tx *flow.Tx, has map[accountKey]int) (payer accountKey, had int) {
	names := rapid.Permutation(w.names).Draw(t, "names")
	from, pool, to := names[0], names[1], names[0]
	if rapid.IntRange(0, 2).Draw(t, "for another") == 2 {
		to = names[2]
	}
	x, y := coinAsset, tokenAsset
	if rapid.Bool().Draw(t, "other way") {
		x, y = y, x
	}
	v, got := has[accountKey{from, x}], has[accountKey{pool, y}]
	if v == 0 || got == 0 {
		return payer, 0
	}
	payer, had = accountKey{from, x}, v
	v, got = rapid.IntRange(1, v).Draw(t, "paid"), rapid.IntRange(1, got).Draw(t, "got")
	if rapid.Bool().Draw(t, "even") {
		v = min(v, got)
		got = v
	}
	add := func(asset flow.Asset, from, to flow.Account, n int) {
		tx.Movements = append(tx.Movements, flow.In1Out1(flow.TokenMove, asset, uint32(len(tx.Movements)), from, to, num(uint64(n))))
		has[accountKey{from, asset}] -= n
		has[accountKey{to, asset}] += n
	}
	late := rapid.IntRange(0, 3).Draw(t, "paid last") == 3
	if late {
		add(y, pool, to, got)
	}
	switch more := rapid.IntRange(0, 4).Draw(t, "more"); {
	case more == 4 && has[accountKey{from, x}] > v: // and some back
		k := rapid.IntRange(1, has[accountKey{from, x}]-v).Draw(t, "back")
		add(x, from, pool, v+k)
		add(x, pool, from, k)
	default:
		add(x, from, pool, v)
	}
	if !late {
		add(y, pool, to, got)
	}
	return payer, had
}

var tokenAsset = must(flow.NamedAsset(textChain, "TOKEN"))

func swapRun(t *testing.T, story string, theft Theft, o Options) *Report {
	t.Helper()
	g := newGraph(accountStory(story))
	g.full, o.Swaps = true, netSwaps
	return run(t, g, theft, o)
}

func stolenAt(name string, v uint64, height uint64) Theft {
	return Theft{Sources: []Source{Holding{who(textChain, name), coinAsset, num(v), flow.Pos{Height: height}}}}
}

func TestSwapScenarios(t *testing.T) {
	names := namesOf(nil, textChain, "thief", "pool", "router", "next", "shop", "friend", "clean")
	for _, c := range []struct {
		name, story string
		stolen      uint64
		stop        []flow.Account
		want        string
	}{
		{"swap", ">thief 100; >pool 7 TOKEN\nthief>pool 100; pool>thief 7 TOKEN\nthief>next 7 TOKEN", 100, nil, "next=100"},
		{"labelled-pool", ">thief 100; >pool 7 TOKEN\nthief>pool 100; pool>thief 7 TOKEN", 100, []flow.Account{who(textChain, "pool")}, "thief=100"},
		{"to-a-service", ">thief 100; >pool 7 TOKEN\nthief>pool 100; pool>shop 7 TOKEN", 100, []flow.Account{who(textChain, "shop")}, "service:shop=100"},
		{"half-is-clean", ">thief 50\n>thief 50; >pool 70 TOKEN\nthief>pool 100; pool>thief 70 TOKEN\nthief>next 30 TOKEN", 50, nil, "thief=29 next=21"},
		{"refund", ">thief 100; >pool 7 TOKEN\nthief>router 100; router>pool 75; pool>thief 7 TOKEN; router>thief 25", 100, nil, "thief=75 thief=25"},
		{"payment-beside", ">thief 100; >pool 7 TOKEN\nthief>router 100; router>friend 75; router>pool 25; pool>thief 7 TOKEN", 100, nil, "friend=75 thief=25"},
		{"pool-stays-clean", ">thief 100; >pool 7 TOKEN; >clean 9 TOKEN\nthief>pool 100; pool>thief 7 TOKEN\nclean>pool 9 TOKEN; pool>clean 90", 100, nil, "thief=100"},
		{"given-last", ">thief 100; >pool 7 TOKEN\npool>thief 7 TOKEN; thief>pool 100\nthief>next 7 TOKEN", 100, nil, "next=100"},
		{"two-outputs", ">thief 100; >pool 7 TOKEN\nthief>pool 100; pool>thief 7 TOKEN; pool>next 9 OTHER", 100, nil, "thief=100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := exact(Haircut)
			o.Stop = stopAt(c.stop...)
			r := swapRun(t, c.story, stolenAt("thief", c.stolen, 2), o)
			if got := claims(&r.Results[0], names); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if r.Swaps != netSwaps.Rule {
				t.Errorf("the report records the rule %q", r.Swaps)
			}
		})
	}
}

// An exchange without its inside, as a source without traces shows it, and a rate other than one.
func TestSwapUnits(t *testing.T) {
	r := swapRun(t, ">thief 100; >pool 1000000 TOKEN\n>thief 300\nthief>pool 200; pool>thief 1000000 TOKEN\nthief>next 600000 TOKEN",
		stolenAt("thief", 100, 2), exact(FIFO))
	want := map[string][2]uint64{"next": {100000, 20}, "thief": {400000, 80}} // the stolen part of an output is its newest
	for _, h := range r.Results[0].Holders {
		if w := want[h.Account.Address()]; h.Asset == tokenAsset && (h.Units != num(w[0]) || h.Claim != num(w[1])) {
			t.Errorf("%s holds %s units for %s, want %v", h.Account.Address(), h.Units, h.Claim, w)
		}
	}
	var sides []SwapSide
	for _, e := range r.Results[0].Edges {
		sides = append(sides, e.Swap)
	}
	if !slices.Equal(sides, []SwapSide{IntoSwap, OutOfSwap, ""}) {
		t.Errorf("edges %v", sides)
	}
}

// Backward an exchange is its mirror: the units that came were the units that went.
func TestSwapBackward(t *testing.T) {
	o := exact(FIFO)
	o.Backward = true
	r := swapRun(t, ">victim 100; >pool 7 TOKEN\nvictim>thief 100\nthief>pool 100; pool>thief 7 TOKEN\nthief>next 7 TOKEN",
		Theft{Sources: []Source{Holding{who(textChain, "next"), tokenAsset, num(7), flow.Pos{}}}}, o)
	res := &r.Results[0]
	if len(res.Sinks) != 1 || res.Sinks[0].Sink != Issued || res.Sinks[0].Claim != num(7) || res.Sinks[0].Units != num(100) || res.Sinks[0].Asset != coinAsset {
		t.Errorf("sinks %+v", res.Sinks)
	}
}

// A graph that shows transactions in part knows no exchange: the trace is as without.
func TestSwapInPartAbstains(t *testing.T) {
	txs := accountStory(">thief 100; >pool 7 TOKEN\nthief>pool 100; pool>thief 7 TOKEN")
	o := exact(FIFO)
	o.Swaps = netSwaps
	got := run(t, newGraph(txs), stolenAt("thief", 100, 2), o)
	if s := claims(&got.Results[0], namesOf(txs, textChain)); s != "pool=100" {
		t.Errorf("got %s", s)
	}
	o.Swaps.Rule = ""
	if _, err := New(stolenAt("thief", 1, 1), o); err == nil {
		t.Error("a rule without a name")
	}
}

// Two claims on the same money divide its units without one too many.
func TestSwapOfTwoLines(t *testing.T) {
	theft := stolenAt("thief", 5, 2)
	theft.Sources = append(theft.Sources, Holding{who(textChain, "thief"), tokenAsset, num(5), flow.Pos{Height: 2}})
	r := swapRun(t, ">thief 5; >thief 5 TOKEN; >pool 10 C; >pool 7 D\n"+
		"thief>pool 5; thief>pool 5 TOKEN; pool>thief 10 C\nthief>pool 10 C; pool>thief 7 D\nthief>next 7 D", theft, exact(Haircut, FIFO, DirtyFirst))
	for _, res := range r.Results {
		var units flow.Amount
		for _, h := range res.Holders {
			if h.Account == who(textChain, "next") {
				units = addCapped(units, h.Units)
			}
		}
		if units != num(7) || len(res.Assumed) > 0 || res.Lines[0].Held != num(5) || res.Lines[1].Held != num(5) {
			t.Errorf("%s: %s units at the end, assumed %v, lines %v", res.Policy, units, res.Assumed, res.Lines)
		}
	}
}

// A feigned swap misleads every rule but poison, which marks both ways.
func TestPoisonGoesBothWays(t *testing.T) {
	r := swapRun(t, ">thief 100; >friend 7 JUNK\nthief>friend 100; friend>thief 7 JUNK\nfriend>shop 100", stolenAt("thief", 100, 2), exact(Poison, FIFO))
	marked := reached(&r.Results[0])
	junk := must(flow.NamedAsset(textChain, "JUNK"))
	for _, h := range []Holder{{Account: who(textChain, "shop"), Asset: coinAsset}, {Account: who(textChain, "thief"), Asset: junk}} {
		if !marked[h] {
			t.Errorf("poison does not reach %s", h)
		}
	}
	if reached(&r.Results[1])[Holder{Account: who(textChain, "shop"), Asset: coinAsset}] {
		t.Error("FIFO follows what was paid for the junk")
	}
}
