package quality

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/trace/rank"
)

// defaultMethod is the answer of "spoor trace" without options.
const defaultMethod = "default"

// Methods are the methods that are measured. Each has one line here, and one set of parameters for all cases.
func Methods() []Method {
	swaps := engine.NetSwaps()
	stops := "stops at labelled services"
	rest := fmt.Sprintf("swaps %s; %s; all else as spoor trace has it, rules %d", swaps.Rule, stops, engine.TraceVersion)
	one := func(p trace.Policy) trace.Options { return trace.Options{Swaps: swaps, Policies: []trace.Policy{p}} }
	return []Method{
		ledger(defaultMethod, "union of haircut, fifo, dirty-first and clean-first, score their mean, accounts that all reach, or two with a fifty-thousandth; "+rest, trace.Options{Swaps: swaps}),
		ledger("haircut", rest, one(trace.Haircut)),
		ledger("fifo", rest, one(trace.FIFO)),
		ledger("lifo", rest, one(trace.LIFO)),
		ledger("dirty-first", rest, one(trace.DirtyFirst)),
		ledger("clean-first", rest, one(trace.CleanFirst)),
		ledger("poison", "ranked by hops; "+rest, one(trace.Poison)),
		ledger("haircut-no-swaps", "as haircut, without swaps", trace.Options{Swaps: engine.NoSwaps(), Policies: []trace.Policy{trace.Haircut}}),
		{"rank", "exploration by what waits most, as it is without options; accounts only; swaps " + swaps.Rule + "; " + stops, explore},
		{"reach-stops", "all that is reachable in the order of time, ranked by hops; " + stops, reachUpToServices},
		{"reach", "all that is reachable in the order of time, ranked by hops; no stops", reachAll},
	}
}

// ledger is a trace as "spoor trace" makes it, with these options.
func ledger(name, parameters string, o trace.Options) Method {
	return Method{name, parameters, func(ctx context.Context, c *Case) (Found, error) {
		a, err := engine.Trace(ctx, c.Store, c.Theft, o, c.Labels, nil)
		if err != nil {
			return Found{}, err
		}
		return fromAnswer(a), nil
	}}
}

// fromAnswer reads an answer as its files show it: the rows of transfers.csv and addresses.csv, in their order.
func fromAnswer(a *engine.Answer) Found {
	f := Found{answer: a, Partial: a.Partial, Hash: a.Report.Hash, Transfers: []Carried{}, Places: []Place{}}
	rules := claiming(a.Report)
	marked := map[TransferID]bool{}
	for _, e := range engine.EdgeRows(a.Report) {
		id := TransferID{e.Tx, e.Index}
		switch {
		case len(rules) > 0:
			f.Transfers = append(f.Transfers, Carried{id, e.Stolen, mean(e.Claims, rules)})
		case !marked[id]: // poison: the whole of it, once
			marked[id] = true
			f.Transfers = append(f.Transfers, Carried{id, e.Asset, e.Amount})
		}
	}
	rows := engine.AddressRows(a.Report)
	if len(rules) == 0 {
		f.Places = nil
		slices.SortStableFunc(rows, func(x, y engine.AddressRow) int { return nearer(x.Hops, y.Hops) })
	}
	agreed, _ := engine.Agreed(a.Report, rows)
	for _, r := range agreed {
		f.Addresses = append(f.Addresses, r.Account)
	}
	visited := map[flow.Account]bool{}
	for _, r := range rows {
		visited[r.Account] = true
		f.Depth = max(f.Depth, r.Hops)
		if there := mean(r.There, rules); !there.IsZero() {
			f.Places = append(f.Places, Place{r.Account, r.Stolen, there})
		}
	}
	f.Visited = len(visited)
	return f
}

// claiming are the numbers of the rules that say amounts: all but poison.
func claiming(r *trace.Report) []int {
	var rules []int
	for i, result := range r.Results {
		if result.Policy != trace.Poison.String() {
			rules = append(rules, i)
		}
	}
	return rules
}

// mean is the mean of the amounts of these rules, rounded down.
func mean(of []flow.Amount, rules []int) flow.Amount {
	if len(rules) == 0 {
		return flow.Amount{}
	}
	var sum flow.Sum
	for _, i := range rules {
		sum = sum.Plus(of[i])
	}
	v, err := flow.AmountFromBig(new(big.Int).Quo(sum.Big(), big.NewInt(int64(len(rules)))))
	if err != nil {
		panic(fmt.Sprintf("quality: a mean larger than all of its parts: %v", err))
	}
	return v
}

// nearer orders hops; accounts where the trace ended without holding anything have none and come last.
func nearer(x, y int) int {
	switch {
	case x == y:
		return 0
	case x < 0:
		return 1
	case y < 0:
		return -1
	}
	return x - y
}

// explore ranks accounts by how much of the stolen money's ways leads to them.
func explore(ctx context.Context, c *Case) (Found, error) {
	r, err := rank.Explore(ctx, engine.NewGraph(c.Store), c.Theft, rank.Options{Stop: c.Labels.Stop, Swaps: engine.NetSwaps()})
	if err != nil {
		return Found{}, err
	}
	f := Found{Visited: len(r.Accounts), Partial: r.Partial}
	h := sha256.New()
	for _, a := range r.Accounts {
		f.Addresses = append(f.Addresses, a.Account)
		f.Depth = max(f.Depth, a.Hops)
		h.Write([]byte(a.Account.String()))
	}
	f.Hash = flow.Hash(h.Sum(nil))
	return f, nil
}

func reachAll(ctx context.Context, c *Case) (Found, error) {
	return reach(ctx, c, func(flow.Account) bool { return false })
}

func reachUpToServices(ctx context.Context, c *Case) (Found, error) {
	return reach(ctx, c, func(a flow.Account) bool {
		_, ok := c.Labels.Stop(a)
		return ok
	})
}
