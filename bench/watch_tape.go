package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// A tape is a chain of generated blocks, from one height to another, as a source and its decoder: raw blocks are heights.
type tape struct {
	from, to uint64 // both included; nothing if from is above to
	block    func(height uint64) flow.Block
}

// Chain implements source.Source.
func (tape) Chain() flow.Chain { return flow.Ethereum }

// Steps implements source.Source.
func (t tape) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		from := t.from
		if len(known) > 0 {
			from = max(from, known[0].Height+1)
		}
		for h := from; h <= t.to; h++ {
			if ctx.Err() != nil {
				yield(source.Step{}, ctx.Err())
				return
			}
			p := flow.Point{Chain: flow.Ethereum, Height: h}
			if !yield(source.Step{Op: source.Add, Block: source.Block{Point: p, Raw: binary.BigEndian.AppendUint64(nil, h)}}, nil) {
				return
			}
			if h >= final && h%32 == 0 {
				if !yield(source.Step{Op: source.Final, Block: source.Block{Point: flow.Point{Chain: flow.Ethereum, Height: h - final}}}, nil) {
					return
				}
			}
		}
	}
}

// Decode implements decode.Decoder.
func (t tape) Decode(at flow.Point, _ flow.Hash, raw []byte) (flow.Block, error) {
	if len(raw) != 8 || binary.BigEndian.Uint64(raw) != at.Height {
		return flow.Block{}, fmt.Errorf("block %d is not on the tape", at.Height)
	}
	return t.block(at.Height), nil
}
