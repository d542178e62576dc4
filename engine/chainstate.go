package engine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A ChainState is one chain of the store as a question saw it.
type ChainState struct {
	First      flow.Point   `json:"first"`       // the first block of the store
	Tip        flow.Point   `json:"tip"`         // its newest
	Covers     []string     `json:"covers"`      // what the blocks of the theft hold and prove, see flow.Coverage
	HoleBlocks uint64       `json:"hole_blocks"` // heights between the two which the store does not hold
	HoleRuns   int          `json:"hole_runs"`
	Holes      []store.Hole `json:"holes"` // the first runs of them
}

// keptHoles bounds ChainState.Holes.
const keptHoles = 100

// describeChain is the state of a chain, with the coverage of the block at a height and of the tip; ok is false for a
// chain without blocks.
func describeChain(ctx context.Context, s store.Snapshot, c flow.Chain, from uint64) (state ChainState, ok bool, err error) {
	tip, ok := s.Tip(c)
	if !ok {
		return state, false, nil
	}
	state = ChainState{Tip: tip, Covers: []string{}, Holes: []store.Hole{}}
	if state.First, err = s.FirstAt(ctx, c, math.MinInt64); err != nil {
		return state, false, fmt.Errorf("first block of %s: %w", c, err)
	}
	newest, err := s.Block(ctx, c, tip.Height)
	if err != nil {
		return state, false, fmt.Errorf("newest block of %s: %w", c, err)
	}
	covers := newest.Coverage
	b, err := s.Block(ctx, c, max(from, state.First.Height))
	switch {
	case err == nil:
		covers &= b.Coverage
	case !isNotFound(err):
		return state, false, err
	}
	state.Covers = append(state.Covers, covers.Names()...)
	holes, err := s.Holes(ctx, c)
	if err != nil {
		return state, false, err
	}
	state.HoleRuns = len(holes)
	for _, h := range holes {
		state.HoleBlocks += h.To - h.From + 1
	}
	state.Holes = append(state.Holes, holes[:min(len(holes), keptHoles)]...)
	return state, true, nil
}

// notKnown says in sentences what the blocks of a chain do not show.
func (c ChainState) notKnown() (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if c.First.Height > 1 {
		say("Nothing before %s%s.", c.First, when(c.First))
	}
	say("Nothing after %s%s.", c.Tip, when(c.Tip))
	if c.HoleRuns > 0 {
		say("%s missing below it, in %s: movements there are not seen.", Count(c.HoleBlocks, "block"), Count(c.HoleRuns, "run"))
	}
	if !c.Tip.Chain.IsEVM() {
		return all
	}
	for _, m := range []struct{ covers, what string }{
		{"logs", "that its movements of tokens are complete"},
		{"traces", "every coin that was moved by a call inside a transaction"},
		{"fees", "every fee that a holder paid"},
		{"transactions-proved", "whether the source left out transactions: no root could be recomputed"},
	} {
		if !slices.Contains(c.Covers, m.covers) {
			say("On %s the source does not show %s.", c.Tip.Chain, m.what)
		}
	}
	return all
}

func when(p flow.Point) string {
	if p.Time == 0 {
		return ""
	}
	return p.When().Format(" of 2006-01-02 15:04:05 UTC")
}
