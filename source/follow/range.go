package follow

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// Range yields the blocks of the branch that the nodes agree on now, from one height to another, both included, in order
// and checked. It ends after the first error: a block that no node gives within Config.GiveUp is one. It needs no Steps
// beside it, and does not disturb one.
func (s *Source) Range(ctx context.Context, from, to uint64) iter.Seq2[source.Block, error] {
	return func(yield func(source.Block, error) bool) {
		v := view{ring: newRing(s.cfg.Chain, nil, 1)}
		kept := newShelf()
		moved, ended, parent := time.Now(), false, flow.Hash{}
		add := func(b source.Block) bool {
			moved, from, parent = time.Now(), b.Point.Height+1, b.Point.Hash
			ended = !yield(b, nil)
			return !ended
		}
		for from <= to {
			s.lookAtIdle(ctx)
			if t, ok := s.choose(ctx, &v); ok && t.head.Point.Height >= to {
				l := &lane{s: s, shelf: kept, t: t, next: from, parent: parent, last: to, add: add}
				if l.run(ctx) == forked {
					yield(source.Block{}, fmt.Errorf("%s: the branch changed below block %d", s.cfg.Chain, from))
					return
				}
			}
			switch {
			case ended || from > to:
				return
			case ctx.Err() != nil:
				yield(source.Block{}, ctx.Err())
				return
			case s.cfg.GiveUp > 0 && time.Since(moved) >= s.cfg.GiveUp:
				yield(source.Block{}, fmt.Errorf("%s: no node gives block %d: %s", s.cfg.Chain, from, kept.lastReason()))
				return
			}
			pause(ctx, s.jitter(s.cfg.Poll))
		}
	}
}

// lookAtIdle asks those nodes for their heads whose heads are not known, and which do not sit on the bench.
func (s *Source) lookAtIdle(ctx context.Context) {
	var looking sync.WaitGroup
	for _, m := range s.nodes {
		s.mu.Lock()
		isIdle := !m.usable && !time.Now().Before(m.until)
		s.mu.Unlock()
		if isIdle {
			looking.Go(func() { s.look(ctx, m) })
		}
	}
	looking.Wait()
}

// lastReason is why the block that was missed last was not given.
func (f *shelf) lastReason() string {
	var last *trouble
	for _, t := range f.troubles {
		if last == nil || t.since.After(last.since) {
			last = t
		}
	}
	if last == nil {
		return "none that answers has it"
	}
	return last.reason
}
