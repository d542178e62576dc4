package evmnode_test

import (
	"testing"

	"github.com/spoor-dev/spoor/bench/evmnode"
	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source/follow"
)

// BenchmarkRead is what one block of 300 transactions costs from the first question to the node until it is proved.
func BenchmarkRead(b *testing.B) {
	n, err := evmnode.Start(b.TempDir(), 2)
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	c := evmnode.NewChain(evmnode.Shape{Seed: 1})
	var last *evmnode.Block
	for _, last = range append(c.Begin(), c.Next(0)) {
		if err := n.Hold(last); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := n.Push(last.Point.Height); err != nil {
		b.Fatal(err)
	}
	r, d, h := reader(b, n), evm.New(flow.Ethereum), follow.Header{Point: last.Point, Parent: last.Parent}
	raw, err := r.Block(b.Context(), h)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("fetch", func(b *testing.B) {
		b.SetBytes(int64(len(raw.Raw)))
		for b.Loop() {
			if _, err := r.Block(b.Context(), h); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(raw.Raw)))
		for b.Loop() {
			if _, err := d.Decode(raw.Point, raw.Parent, raw.Raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
