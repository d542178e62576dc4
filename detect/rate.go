package detect

import (
	"iter"
	"slices"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// A Rate is how often a rule was right about known events.
type Rate struct {
	Rule    string
	Version int
	True    int // findings whose subjects all belong to the truth
	False   int // the others
}

// Measure runs the rules over events whose truth is known and counts for each rule the findings that stand at the end.
func Measure(events iter.Seq2[Event, error], o Options, truth func(flow.Account) bool) ([]Rate, error) {
	if len(o.Rules) == 0 {
		o.Rules = Rules()
	}
	found, err := Run(events, o)
	if err != nil {
		return nil, err
	}
	rates := make([]Rate, len(o.Rules))
	for i, r := range o.Rules {
		rates[i] = Rate{Rule: r.ID, Version: r.Version}
	}
	for _, f := range finding.Standing(found) {
		r := &rates[slices.IndexFunc(rates, func(r Rate) bool { return r.Rule == f.Rule })]
		if slices.ContainsFunc(f.Subjects, func(a flow.Account) bool { return !truth(a) }) {
			r.False++
		} else {
			r.True++
		}
	}
	return rates, nil
}
