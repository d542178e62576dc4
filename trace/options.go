package trace

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// Options say how to trace. The zero value is valid.
type Options struct {
	// Policies are the rules to run, each with its own result; haircut, FIFO, dirty-first and clean-first if empty.
	Policies []Policy
	// Backward asks for the source of funds: the same ledger with time reversed and givers and takers exchanged.
	Backward bool
	// Stop says which accounts end the trace, and why. It must answer the same for ever.
	Stop func(flow.Account) (Stop, bool)
	// Swaps follow claim through exchanges inside one transaction. They need a Graph that shows whole transactions: of a
	// transaction that a View shows in part, no exchange is known. With it, Budget.Until counts whole transactions.
	Swaps Swaps
	// Dust is a floor for each asset: where the stolen part of a payment is smaller, its claim goes to the sink "dust"
	// instead of to its taker.
	Dust map[flow.Asset]flow.Amount
	// DustShare is a floor for all assets, in billionths of what was stolen so far; 2,000 (two millionths) if 0, none if
	// negative. The larger of the two floors counts. Poison knows no dust.
	DustShare int64
	// Crowd is the behaviour by which an account is taken for a service although Stop knows nothing of it.
	Crowd Crowd
	// Follow chooses whom to follow, where a theft is too large to follow everybody.
	Follow Choice
	// Budget bounds the work.
	Budget Budget
	// Page is the most movements of one account that are asked for at once; 1024 if 0.
	Page int
	// UndoDepth is how many of the last transactions that mattered to a Case can be taken back; none if 0. Final forgets them sooner.
	UndoDepth int
}

// A Stop is why a trace ends at an account.
type Stop struct {
	Sink   Sink   // Service, Mixer or Bridge; Service if empty
	Reason string // "X (exchange)"
}

func (c Choice) check() error {
	if (c.Of == nil) != (c.Rule == "") {
		return fmt.Errorf("options: a choice needs a name and a function (rule %.80q)", c.Rule)
	}
	return nil
}

func (s Stop) sink() Sink {
	if s.Sink == "" {
		return Service
	}
	return s.Sink
}

// A Choice is whom a trace follows besides its sources: the others keep what they get, and the result is partial. The zero
// value follows everybody.
type Choice struct {
	// Rule names Of, its version and its parameters; it is recorded in reports and binds snapshots.
	Rule string
	// Of must answer the same for ever.
	Of func(flow.Account) bool
}

// A Budget bounds the work for each policy by itself, so that a result does not depend on which others run beside it.
type Budget struct {
	Holders      int      // how many holders are followed; 100,000 if 0. Later ones keep what they get
	Transactions int      // how many transactions of followed holders are read; 1,000,000 if 0. The trace stands still there
	Hops         int      // how far a holder may be from the theft and still be followed; 10,000 if 0
	Until        flow.Pos // the last place that is read (backward the first); no bound if zero. Only for a theft on one chain
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() (Options, error) {
	if len(o.Policies) == 0 {
		o.Policies = []Policy{Haircut, FIFO, DirtyFirst, CleanFirst}
	}
	seen := map[string]bool{}
	for _, p := range o.Policies {
		if p == nil {
			return o, errors.New("options: a policy is missing")
		}
		if seen[p.String()] {
			return o, fmt.Errorf("options: policy %s is named twice", p)
		}
		seen[p.String()] = true
	}
	if o.DustShare == 0 {
		o.DustShare = 2_000
	}
	if o.DustShare > billion {
		return o, fmt.Errorf("options: a dust share of %d is more than all (%d)", o.DustShare, int64(billion))
	}
	var err error
	if o.Crowd, err = o.Crowd.withDefaults(); err != nil {
		return o, err
	}
	fill := func(n *int, name string, d int) error {
		if *n < 0 {
			return fmt.Errorf("options: %s is %d", name, *n)
		}
		if *n == 0 {
			*n = d
		}
		return nil
	}
	return o, errors.Join(
		o.checkSwaps(),
		o.Follow.check(),
		fill(&o.Budget.Holders, "budget of holders", 100_000),
		fill(&o.Budget.Transactions, "budget of transactions", 1_000_000),
		fill(&o.Budget.Hops, "budget of hops", 10_000),
		fill(&o.Page, "page", 1024),
		fill(&o.UndoDepth, "undo depth", 0),
	)
}

const billion = 1_000_000_000

// floors lists the dust floors in the order of their assets.
func (o Options) floors() []flow.Asset {
	var assets []flow.Asset
	for a := range o.Dust {
		assets = append(assets, a)
	}
	slices.SortFunc(assets, flow.Asset.Compare)
	return assets
}
