package evmnode_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/bench/evmnode"
	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/evmrpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// held is a node with the first blocks of a chain and two hops.
func held(t *testing.T) (*evmnode.Node, *evmnode.Chain, []*evmnode.Block) {
	t.Helper()
	n, err := evmnode.Start(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	c := evmnode.NewChain(evmnode.Shape{Seed: 1, Txs: 20, Thieves: 3})
	blocks := append(c.Begin(), c.Next(0), c.Next(1, 2))
	for _, b := range blocks {
		if err := n.Hold(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Push(uint64(len(blocks) - 1)); err != nil {
		t.Fatal(err)
	}
	return n, c, blocks
}

func reader(t testing.TB, n *evmnode.Node) *evmrpc.Node {
	t.Helper()
	r, err := evmrpc.Open(evmrpc.Config{Endpoint: rpc.Config{URL: n.URL(), Socket: n.WS(), Private: true}, Chain: flow.Ethereum, Traces: evmrpc.TracesDemanded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// Every block is taken for a whole and proved one by who reads from real nodes, and moves what it says.
func TestBlocksProveThemselves(t *testing.T) {
	n, _, blocks := held(t)
	r := reader(t, n)
	var last flow.Block
	for i, b := range blocks {
		raw, err := r.Block(t.Context(), follow.Header{Point: b.Point, Parent: b.Parent})
		if err != nil {
			t.Fatal(err)
		}
		got, err := evm.New(flow.Ethereum).Decode(raw.Point, raw.Parent, raw.Raw)
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		if want := flow.ProvedHash | flow.ProvedTxs | flow.ProvedReceipts | flow.ProvedBloom; !got.Coverage.Has(want) || len(got.Notes) > 0 {
			t.Errorf("block %d proves %v, notes %v", i, got.Coverage.Names(), got.Notes)
		}
		last = got
	}
	if len(last.Txs) != 20 || len(blocks[4].Hops) != 2 || last.Txs[0].ID != blocks[4].Hops[0].Tx {
		t.Errorf("block 4 has %d transactions and the hops %v; want 20 and two at the front", len(last.Txs), blocks[4].Hops)
	}
	if p, ok, err := r.Final(t.Context()); err != nil || !ok || p.Height != 2 {
		t.Errorf("final is %v, %t, %v; want block 2", p, ok, err)
	}
}

// A branch that was taken back is replaced, and what it kept comes again.
func TestForks(t *testing.T) {
	n, c, blocks := held(t)
	r := reader(t, n)
	c.Back(2, true)
	other := c.Next()
	if err := n.Hold(other); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Push(other.Point.Height); err != nil {
		t.Fatal(err)
	}
	if h, err := r.Head(t.Context()); err != nil || h.Point.Hash != other.Point.Hash || other.Parent != blocks[2].Point.Hash {
		t.Errorf("head %v, %v; want %v on %v", h, err, other.Point, blocks[2].Point)
	}
	if len(other.Hops) != 3 || other.Hops[0] != blocks[3].Hops[0] || other.Hops[2] != blocks[4].Hops[1] {
		t.Errorf("hops %v; want those of %v and %v", other.Hops, blocks[3].Hops, blocks[4].Hops)
	}
	holder := c.Thief(0)
	c.Back(1, false)
	if c.Thief(0) == holder {
		t.Error("a hop that never happened has moved the loot")
	}
}

func TestPushes(t *testing.T) {
	n, c, _ := held(t)
	r := reader(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	woken := make(chan bool, 8)
	done := make(chan error, 1)
	go func() { done <- r.Watch(ctx, func() { woken <- true }) }()
	<-woken // it has subscribed
	b := c.Next(0)
	if err := n.Hold(b); err != nil {
		t.Fatal(err)
	}
	at, err := n.Push(b.Point.Height)
	if err != nil {
		t.Fatal(err)
	}
	<-woken
	if pushed, _ := n.Times(b.Point.Hash); pushed != at {
		t.Errorf("pushed at %v; want %v", pushed, at)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
