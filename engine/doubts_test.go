package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// What speaks against an exchange reaches the answer if claim went into it, once for all rules, and not otherwise.
func TestDoubtsReachTheAnswer(t *testing.T) {
	chain, err := flow.TextChain("doubts")
	if err != nil {
		t.Fatal(err)
	}
	who := func(name string) flow.Account {
		a, err := flow.NewAccount(chain, name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	gold, err := flow.NamedAsset(chain, "GOLD")
	if err != nil {
		t.Fatal(err)
	}
	pay := func(asset flow.Asset, i uint32, from, to string, v uint64) flow.Movement {
		return flow.In1Out1(flow.TokenMove, asset, i, who(from), who(to), flow.NewAmount(v))
	}
	lie := flow.Log{Index: 9, Contract: who("pool"), Topics: make([]flow.Hash, 3), Data: make([]byte, 128)}
	lie.Topics[0], err = flow.ParseHash("0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822")
	if err != nil {
		t.Fatal(err)
	}
	lie.Data[31], lie.Data[127] = 77, 5
	block := func(height uint64, txs ...flow.Tx) flow.Block {
		p := flow.Point{Chain: chain, Height: height, Hash: flow.Hash{31: byte(height)}, Time: int64(height)}
		for i := range txs {
			txs[i].Point, txs[i].Index, txs[i].ID = p, uint32(i), flow.Hash{0: byte(height), 1: byte(i) + 1}
		}
		return flow.Block{Point: p, Txs: txs}
	}
	swap := func(by string) flow.Tx {
		return flow.Tx{Logs: []flow.Log{lie}, Movements: []flow.Movement{pay(chain.Native(), 0, by, "pool", 100), pay(gold, 1, "pool", by, 5)}}
	}
	st := memstore.New()
	blocks := []flow.Block{
		block(1, flow.Tx{Movements: []flow.Movement{pay(chain.Native(), 0, "victim", "thief", 100), pay(chain.Native(), 1, "bank", "honest", 100)}}),
		block(2, swap("honest"), swap("thief")),
	}
	if _, err := st.Append(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	theft := trace.Theft{Name: "doubts", Sources: []trace.Source{trace.Holding{Account: who("thief"), Asset: chain.Native(), Amount: flow.NewAmount(100), At: flow.Pos{Height: 2}}}}
	ask := func(swaps trace.Swaps) *Answer {
		a, err := Trace(t.Context(), s, theft, trace.Options{Swaps: swaps}, &Labels{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := ask(NetSwaps())
	id := chain.FormatHash(blocks[1].Txs[1].ID)
	if len(a.Doubts) != 1 || !strings.Contains(a.Doubts[0], id) || !strings.Contains(a.Doubts[0], "thief by own-gain") || !strings.Contains(a.Doubts[0], "log 9") {
		t.Errorf("doubts %q; want one, of %s", a.Doubts, id)
	}
	if said := slices.ContainsFunc(a.DoesNotKnow, func(s string) bool { return strings.HasPrefix(s, "Doubtful exchange in "+id) }); !said {
		t.Errorf("not said: %q", a.DoesNotKnow)
	}
	if again := ask(NetSwaps()); fmt.Sprint(again.Doubts) != fmt.Sprint(a.Doubts) || again.Report.Hash != a.Report.Hash {
		t.Errorf("the same trace, other doubts: %q", again.Doubts)
	}
	if a := ask(NoSwaps()); a.Doubts == nil || len(a.Doubts) != 0 {
		t.Errorf("doubts about exchanges that were not followed: %#v", a.Doubts)
	}
}
