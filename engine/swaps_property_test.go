package engine

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// Over markets whose pools tell what they do, or lie: nothing of a claim is made or lost under any rule, forward and back.
func TestClaimThroughEventsAddsUp(t *testing.T) {
	through := 0
	rapid.Check(t, func(r *rapid.T) {
		rows := "1 chain.txt\nblock 1 b\n- a X 500\n- b X 300\n- r Y 50\n"
		index := 0
		line := func(format string, args ...any) {
			rows += fmt.Sprintf(format, args...) + fmt.Sprintf(" index=%d\n", index)
			index++
		}
		for n := range rapid.IntRange(1, 3).Draw(r, "transactions") {
			rows += fmt.Sprintf("tx t%d\n", n)
			for range rapid.IntRange(1, 3).Draw(r, "swaps") {
				payer := rapid.SampledFrom([]string{"a", "b", "r"}).Draw(r, "payer")
				taker := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "taker")
				asset, v := "X", rapid.IntRange(1, 90).Draw(r, "paid")
				for hop := range rapid.IntRange(1, 3).Draw(r, "hops") {
					pool, got, w := []string{"p", "q", "s"}[hop], []string{"Y", "Z", "X"}[hop], rapid.IntRange(1, 90).Draw(r, "got")
					line("%s %s %s %d token", payer, pool, asset, v)
					line("%s %s %s %d token", pool, taker, got, w)
					lie := 0
					if rapid.IntRange(0, 4).Draw(r, "lies") == 0 {
						lie = 1
					}
					line("emit %s 0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822 0 0 : %d 0 0 %d", pool, v+lie, w)
					payer, asset, v = taker, got, w
				}
			}
			if rapid.Bool().Draw(r, "paid out") {
				line("a c X %d token", rapid.IntRange(1, 40).Draw(r, "payment"))
			}
		}
		chain, err := flow.TextChain("eth")
		if err != nil {
			r.Fatal(err)
		}
		block, err := text.New().Decode(flow.Point{Chain: chain, Height: 1, Hash: sha256.Sum256([]byte("b"))}, flow.Hash{}, []byte(rows))
		if err != nil || len(block.Notes) > 0 {
			r.Fatalf("%v %v", err, block.Notes)
		}
		st := memstore.New()
		if _, err := st.Append(r.Context(), []flow.Block{block}); err != nil {
			r.Fatal(err)
		}
		s, err := st.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		back := rapid.Bool().Draw(r, "back")
		who := block.Txs[0].Movements[0].Out[0].Account
		asset := block.Txs[0].Movements[0].Asset
		at := flow.Pos{Height: 1, Tx: 1}
		if back {
			at = flow.Pos{Height: 2}
		}
		theft := trace.Theft{Name: "market", Sources: []trace.Source{trace.Holding{Account: who, Asset: asset, Amount: flow.NewAmount(uint64(rapid.IntRange(1, 400).Draw(r, "stolen"))), At: at}}}
		a, err := Trace(r.Context(), s, theft, trace.Options{Policies: []trace.Policy{trace.Haircut, trace.FIFO, trace.LIFO, trace.DirtyFirst, trace.CleanFirst, trace.Poison}, Backward: back}, &Labels{}, nil)
		if err != nil {
			r.Fatalf("%s\n%v", rows, err)
		}
		if broken := Broken(a.Report); len(broken) > 0 {
			r.Errorf("%s\n%v", rows, broken)
		}
		for _, result := range a.Report.Results {
			var in, out flow.Sum
			for _, e := range result.Edges {
				switch e.Swap {
				case trace.IntoSwap:
					in = in.Plus(e.Claim)
				case trace.OutOfSwap:
					out = out.Plus(e.Claim)
				}
			}
			if in != (flow.Sum{}) {
				through++
			}
			if result.Policy != trace.Poison.String() && in.Compare(out) != 0 {
				r.Errorf("%s\n%s: %s into swaps, %s out of them", rows, result.Policy, in, out)
			}
		}
	})
	if through < 20 {
		t.Errorf("claim went through exchanges only %d times", through)
	}
}
