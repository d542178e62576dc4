package quality

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

// A payment is one movement of a small chain, alone in its transaction.
type payment struct {
	block    int
	from, to string
	amount   uint64
}

// chainOf is a case of payments, with the thief's outflow from a block on stolen.
func chainOf(t testing.TB, payments []payment, from int) *Case {
	t.Helper()
	chain, err := flow.ParseChain("text:eth")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []flow.Block
	for i, p := range payments {
		if n := len(blocks); n == 0 || blocks[n-1].Point.Height != uint64(p.block) {
			blocks = append(blocks, flow.Block{Point: flow.Point{Chain: chain, Height: uint64(p.block), Hash: flow.Hash{1, byte(p.block)}}})
		}
		b := &blocks[len(blocks)-1]
		b.Txs = append(b.Txs, flow.Tx{ID: flow.Hash{2, byte(i >> 8), byte(i)}, Point: b.Point, Index: uint32(len(b.Txs)), Movements: []flow.Movement{
			flow.In1Out1(flow.Transfer, coin(t, "ETH"), 0, named(t, p.from), named(t, p.to), flow.NewAmount(p.amount))}})
	}
	st := memstore.New()
	if _, err := st.Append(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return &Case{Name: "small", Store: s, Theft: trace.Theft{Sources: []trace.Source{
		trace.Outflow{Account: named(t, "thief"), From: flow.Pos{Height: uint64(from)}}}}}
}

func addresses(of []flow.Account) []string {
	var all []string
	for _, a := range of {
		all = append(all, a.Address())
	}
	return all
}

func TestReach(t *testing.T) {
	c := chainOf(t, []payment{
		{1, "thief", "early", 5}, // before the theft
		{2, "a", "tooearly", 5},  // before a got anything
		{3, "thief", "far", 5},
		{4, "thief", "a", 5},
		{4, "a", "b", 0}, // nothing
		{4, "a", "c", 5},
		{5, "c", "shop", 5},
		{5, "b", "e", 5},
		{6, "shop", "customer", 5},
		{7, "c", "thief", 5},
	}, 2)
	for _, x := range []struct {
		stop string
		want string
	}{
		{"", "[thief far a c shop customer]"},
		{"shop", "[thief far a c shop]"},
		{"thief", "[thief far a c shop customer]"}, // the source is followed whatever is said of it
	} {
		f, err := reach(t.Context(), c, func(a flow.Account) bool { return a.Address() == x.stop })
		if err != nil || fmt.Sprint(addresses(f.Addresses)) != x.want {
			t.Errorf("stop at %q: %v, %v; want %s", x.stop, addresses(f.Addresses), err, x.want)
		}
		if n := len(f.Addresses); f.Visited != n || f.Hash.IsZero() || len(f.Transfers) != n {
			t.Errorf("stop at %q: visited %d, %d transfers, hash %s; want %d of both", x.stop, f.Visited, len(f.Transfers), f.Hash, n)
		}
	}
	c.Theft.Sources = []trace.Source{trace.Coin{}}
	if _, err := reach(t.Context(), c, func(flow.Account) bool { return false }); err == nil {
		t.Error("reachability from a coin: no error")
	}
}

// A plain pass over all payments in their order reaches the same accounts by the same payments.
func TestReachAgreesWithOnePass(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"thief", "a", "b", "c", "d", "e", "f", "g"})
		var payments []payment
		block := 1
		for range rapid.IntRange(1, 40).Draw(rt, "payments") {
			block += rapid.IntRange(0, 1).Draw(rt, "later")
			payments = append(payments, payment{block, name.Draw(rt, "from"), name.Draw(rt, "to"), rapid.Uint64Range(0, 2).Draw(rt, "amount")})
		}
		from := rapid.IntRange(0, block).Draw(rt, "from block")
		stop := name.Draw(rt, "stop")
		reached, count := map[string]bool{"thief": true}, 0
		for _, p := range payments {
			if p.amount > 0 && reached[p.from] && (p.from != stop || stop == "thief") && p.block >= from {
				reached[p.to] = true
				count++
			}
		}
		c := chainOf(t, payments, from)
		f, err := reach(t.Context(), c, func(a flow.Account) bool { return a.Address() == stop })
		got := addresses(f.Addresses)
		slices.Sort(got)
		if want := slices.Sorted(maps.Keys(reached)); err != nil || !slices.Equal(got, want) || len(f.Transfers) != count {
			rt.Fatalf("%v, %d transfers, %v; want %v, %d", got, len(f.Transfers), err, want, count)
		}
	})
}
