package engine

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"sync/atomic"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
)

// An upTo is a live node as an input that ends: at a height.
type upTo struct {
	*follow.Source
	to    uint64
	hash  flow.Hash     // of the block at to; zero if it is not known
	from  atomic.Uint64 // the first block of this reading, and one more
	given atomic.Uint64 // the last, and one more
}

// openLive opens a live node as an input that ends at its head, or at InputConfig.To.
func openLive(ctx context.Context, spec string, c InputConfig) (Input, error) {
	chain, err := NodeChain(ctx, spec)
	if err != nil {
		return Input{}, err
	}
	if !c.Chain.IsZero() && c.Chain != chain.Chain {
		return Input{}, fmt.Errorf("the node serves %s and not %s", chain.Chain, c.Chain)
	}
	chain.From, chain.Unproved = strconv.FormatUint(c.Height, 10), c.Unproved
	nodes, err := OpenNodes(chain, follow.Config{})
	if err != nil {
		return Input{}, err
	}
	s := &upTo{Source: nodes.Source, to: c.To}
	if s.to == 0 {
		ctx, cancel := context.WithTimeout(ctx, askFor)
		defer cancel()
		head, err := nodes.nodes[0].Head(ctx)
		if err != nil {
			nodes.Close()
			return Input{}, fmt.Errorf("head of %s: %w", nodes.nodes[0].Name(), err)
		}
		s.to, s.hash = head.Point.Height, head.Point.Hash
	}
	return Input{Name: spec[:len(spec)-len(afterKind(spec))] + nodes.nodes[0].Name(), Source: s, Decoder: nodes.Decoder, Close: nodes.Close}, nil
}

// afterKind is what stands behind the kind: it may hold a password.
func afterKind(spec string) string {
	for i := range spec {
		if spec[i] == ':' {
			return spec[i+1:]
		}
	}
	return spec
}

// Steps implements source.Source: up to the last height, and no further.
func (s *upTo) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		if len(known) > 0 && (known[0].Height > s.to || known[0].Height == s.to && (s.hash.IsZero() || known[0].Hash == s.hash)) {
			return
		}
		for step, err := range s.Source.Steps(ctx, known) {
			if err == nil && step.Op == source.Add {
				h := step.Block.Point.Height
				if h > s.to {
					return
				}
				s.from.CompareAndSwap(0, h+1)
				s.given.Store(h + 1)
			}
			if !yield(step, err) || err != nil {
				return
			}
			if s.given.Load() == s.to+1 && step.Op == source.Add {
				return
			}
		}
	}
}

// Size implements source.Sizer, in blocks.
func (s *upTo) Size() (read, total int64) {
	from := s.from.Load()
	if from == 0 {
		return 0, 0
	}
	return int64(s.given.Load() - from + 1), int64(s.to + 2 - from)
}
