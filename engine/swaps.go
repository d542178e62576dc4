package engine

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/link"
	"github.com/spoor-dev/spoor/trace"
)

// noSwaps is the rule of NoSwaps.
const noSwaps = "none"

// NetSwaps lets a trace pass through the exchanges that link finds in the net of a transaction.
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
