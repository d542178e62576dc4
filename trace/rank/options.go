package rank

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// Options say how to explore. The zero value is valid.
type Options struct {
	// Alpha is the part of what comes to an account that stays there as its score; 0.05 if 0. The smaller, the deeper.
	Alpha float64
	// Beta is the part of the rest that goes forward in time; 1 if 0. What remains goes back to who funded the account: it
	// needs a trace.BackGraph.
	Beta float64
	// Epsilon is how much must wait at an account for a visit, as a part of all; 0.00001 if 0.
	Epsilon float64
	// Visits bounds how many accounts are read; 1000 if 0. Together with Payments it bounds the memory: some 250 bytes for
	// each payment that is read.
	Visits int
	// Payments bounds how many payments of one account are read in one direction; 4096 if 0. A transaction without any
	// counts as one, and the one at hand is finished. An account with more is marked Cut.
	Payments int
	// Page is the most movements of one account that are asked for at once; 1024 if 0. It changes no answer.
	Page int
	// Weight is how payments share what goes on.
	Weight Weight
	// Stop says which accounts end the walk. They are ranked, but not read. It must answer the same for ever.
	Stop func(flow.Account) (trace.Stop, bool)
	// Swaps lead through exchanges inside one transaction, as in trace.Options.
	Swaps trace.Swaps
}

// withDefaults fills in what is zero.
func (o Options) withDefaults(g trace.Graph) (Options, error) {
	if err := fill(&o.Alpha, "alpha", 0.05); err != nil {
		return o, err
	}
	if err := fill(&o.Epsilon, "epsilon", 1e-5); err != nil {
		return o, err
	}
	if o.Beta == 0 {
		o.Beta = 1
	}
	if !(o.Beta > 0 && o.Beta <= 1) {
		return o, fmt.Errorf("options: beta is %g, want more than 0 and at most 1", o.Beta)
	}
	if _, ok := g.(trace.BackGraph); !ok && o.Beta < 1 {
		return o, fmt.Errorf("options: beta is %g, but this graph cannot be read backward", o.Beta)
	}
	if o.Weight > Log {
		return o, fmt.Errorf("options: %s is not known", o.Weight)
	}
	for _, n := range []struct {
		value *int
		name  string
		zero  int
	}{{&o.Visits, "budget of visits", 1000}, {&o.Payments, "payments of an account", 4096}, {&o.Page, "page", 1024}} {
		if *n.value < 0 {
			return o, fmt.Errorf("options: %s is %d", n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.zero
		}
	}
	return o, nil
}
