package engine

import (
	"context"
	"fmt"

	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/trace/rank"
)

// ExploreVersion is the version of the rule by which Explore chooses: it rises when the same facts and parameters can
// give another choice.
const ExploreVersion = 1

// Explore chooses whom a trace shall follow that cannot follow everybody: the first accounts that a ranked exploration
// visits, at most so many. It never goes through a service; stops and swaps are those of the options and the labels.
func Explore(ctx context.Context, s store.Snapshot, theft trace.Theft, o trace.Options, labels *Labels, visits int) (trace.Choice, error) {
	if o.Stop == nil && labels != nil {
		o.Stop = labels.Stop
	}
	if o.Swaps.Of == nil {
		o.Swaps = NetSwaps()
	}
	theft, _, err := vouch(ctx, s, theft, o.Backward)
	if err != nil {
		return trace.Choice{}, err
	}
	ranking, err := rank.Explore(ctx, NewGraph(s), theft, rank.Options{Visits: visits, Stop: o.Stop, Swaps: o.Swaps})
	if err != nil {
		return trace.Choice{}, fmt.Errorf("explore: %w", err)
	}
	return trace.Choice{Rule: fmt.Sprintf("rank/%d, %d visits", ExploreVersion, visits), Of: ranking.Follow(visits)}, nil
}
