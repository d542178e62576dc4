package quality

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/detect"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A RuleRate says how often a rule was right about a case. A finding is right if all its subjects belong to the truth. A
// crowd, the behaviour by which a trace takes an account for a service, is right unless the account hands the loot on.
type RuleRate struct {
	Rule  string `json:"rule"` // with its version
	True  int    `json:"true"`
	False int    `json:"false"`
}

// rules measures all rules that spoke in an answer; nil where the truth does not say who hands the loot on.
func (c *Case) rules(a *engine.Answer) ([]RuleRate, error) {
	t := &c.Truth
	if len(t.Passes) == 0 {
		return nil, nil
	}
	known := func(a flow.Account) bool { return t.Find[c.home(a)] || t.Given[c.home(a)] }
	rates, err := detect.Measure(engine.PatternEvents(c.Labels, a.Report), detect.Options{}, known)
	if err != nil {
		return nil, err
	}
	var all []RuleRate
	for _, r := range rates {
		if r.True+r.False > 0 {
			all = append(all, RuleRate{fmt.Sprintf("%s/%d", r.Rule, r.Version), r.True, r.False})
		}
	}
	crowd := RuleRate{Rule: trace.CrowdRule}
	seen := map[flow.Account]bool{}
	for _, r := range a.Report.Results {
		for _, k := range r.Sinks {
			switch at := c.home(k.Account); {
			case k.Rule != trace.CrowdRule || seen[at]:
				continue
			case t.Passes[at]:
				crowd.False++
			default:
				crowd.True++
			}
			seen[c.home(k.Account)] = true
		}
	}
	if len(seen) > 0 {
		all = append(all, crowd)
	}
	slices.SortFunc(all, func(a, b RuleRate) int { return cmp.Compare(a.Rule, b.Rule) })
	return all, nil
}
