package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/link"
	"github.com/spoor-dev/spoor/trace"
)

// noSwaps is the rule of NoSwaps.
const noSwaps = "none"

// NetSwaps lets a trace pass through the exchanges that link finds: by the events of pools, by the net of a transaction,
// and by what can have flowed.
func NetSwaps() trace.Swaps {
	return trace.Swaps{Rule: fmt.Sprintf("net/%d", link.Version), Of: func(tx flow.Tx) []trace.Pass {
		var passes []trace.Pass
		for _, c := range link.Conversions(tx) {
			for _, p := range c.Passes() {
				passes = append(passes, trace.Pass(p))
			}
		}
		return passes
	}}
}

// NoSwaps lets claim that enters an exchange stay with who took it.
func NoSwaps() trace.Swaps {
	return trace.Swaps{Rule: noSwaps, Of: func(flow.Tx) []trace.Pass { return nil }}
}

// doubtsAtOnce is how many transactions are read at a time to see whether their exchanges are in doubt.
const doubtsAtOnce = 256

// swapDoubts says, in the order of the chain, what speaks against the exchanges that claim of the report went into. They
// are judged again from the facts, so that the trace itself need not carry words.
func swapDoubts(ctx context.Context, g *Graph, r *trace.Report) ([]string, error) {
	doubts := []string{}
	if r.Swaps != NetSwaps().Rule {
		return doubts, nil
	}
	type payer struct {
		at      flow.Pos
		account flow.Account
	}
	used := map[payer]bool{}
	txs := map[flow.Chain][]flow.Pos{}
	for i := range r.Results {
		for k := range r.Results[i].Edges {
			e := &r.Results[i].Edges[k]
			p := payer{flow.Pos{Height: e.At.Height, Tx: e.At.Tx}, e.From}
			if e.Swap == trace.IntoSwap && !used[p] {
				used[p] = true
				txs[e.From.Chain()] = append(txs[e.From.Chain()], p.at)
			}
		}
	}
	chains := make([]flow.Chain, 0, len(txs))
	for c := range txs {
		chains = append(chains, c)
	}
	slices.SortFunc(chains, flow.Chain.Compare)
	for _, c := range chains {
		all := txs[c]
		slices.SortFunc(all, flow.Pos.Compare)
		for part := range slices.Chunk(slices.Compact(all), doubtsAtOnce) {
			found, err := g.transactions(ctx, c, part)
			if err != nil {
				return nil, fmt.Errorf("exchanges of %s: %w", c, err)
			}
			for i, tx := range found {
				for _, v := range link.Conversions(tx) {
					if v.Doubt != "" && used[payer{part[i], v.Account}] {
						doubts = append(doubts, fmt.Sprintf("%s (block %d), %s by %s: %s", c.FormatHash(tx.ID), tx.Point.Height, v.Account.Address(), v.Rule, v.Doubt))
					}
				}
			}
		}
	}
	return doubts, nil
}

// saySwapDoubts puts the first doubts among what is not known.
func (a *Answer) saySwapDoubts() {
	for _, d := range a.Doubts[:min(len(a.Doubts), saidOfEach)] {
		a.DoesNotKnow = append(a.DoesNotKnow, "Doubtful exchange in "+d+".")
	}
	if n := len(a.Doubts) - saidOfEach; n > 0 {
		a.DoesNotKnow = append(a.DoesNotKnow, fmt.Sprintf("Doubtful exchanges: %d more.", n))
	}
}
