package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

var (
	// ErrAbsent is returned for a theft of which the store holds nothing: an answer from it would look like "clean".
	ErrAbsent = errors.New("nothing of this theft is in the store")
	// ErrNoGain is returned for a transaction that made nobody richer of those who count.
	ErrNoGain = errors.New("what was stolen in it cannot be told")
	// ErrCoins is returned for an amount that an account of a UTXO chain is said to have held.
	ErrCoins = errors.New("an amount can only be stolen from a balance")
)

// missingChain is the error for a chain of which the store has no block.
func missingChain(s store.Snapshot, c flow.Chain) error {
	if len(s.Chains()) == 0 {
		return fmt.Errorf("the store is empty: %w", ErrAbsent)
	}
	return fmt.Errorf("the store has no block of %s, it holds %s: %w", c, namesOf(s.Chains()), ErrAbsent)
}

func namesOf(chains []flow.Chain) string {
	names := make([]string, len(chains))
	for i, c := range chains {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}

// absent says of every source of a theft that the store does not hold why not. If it holds none of them, the error wraps
// ErrAbsent.
func absent(ctx context.Context, s store.Snapshot, theft trace.Theft, backward bool) ([]string, error) {
	var all []string
	said := map[string]bool{}
	missing := 0
	for _, src := range theft.Sources {
		why, err := whyAbsent(ctx, s, src, backward)
		if err != nil {
			return nil, err
		}
		if why == "" {
			continue
		}
		if missing++; !said[why] {
			said[why] = true
			all = append(all, why)
		}
	}
	if missing == 0 || missing < len(theft.Sources) {
		return all, nil
	}
	if len(all) > 1 {
		return nil, fmt.Errorf("%s, and the same of %d more: %w", all[0], len(all)-1, ErrAbsent)
	}
	return nil, fmt.Errorf("%s: %w", all[0], ErrAbsent)
}

// whyAbsent says why the store holds nothing of a source, "" if it does hold something.
func whyAbsent(ctx context.Context, s store.Snapshot, src trace.Source, backward bool) (string, error) {
	a, from := sourceOf(src)
	c := a.Chain()
	if c.IsZero() {
		return "", nil // not a source at all: trace says so
	}
	tip, ok := s.Tip(c)
	if !ok {
		return fmt.Sprintf("the store has no block of %s", c), nil
	}
	ids, err := s.IDs(ctx, c, []flow.Account{a})
	if err != nil {
		return "", err
	}
	switch {
	case ids[0] == 0:
		return unseen(ctx, s, a), nil
	case !backward && from.Height > tip.Height:
		return fmt.Sprintf("what %s does from block %d on is behind the newest block, %s", a.Address(), from.Height, tip), nil
	}
	return "", nil
}

// unshown says of every stolen amount which its account is not known to have held how much the store shows of it.
func unshown(ctx context.Context, g *Graph, theft trace.Theft) ([]string, error) {
	var asks []trace.BalanceAsk
	var holdings []trace.Holding
	for _, src := range theft.Sources {
		if h, ok := src.(trace.Holding); ok && h.At != (flow.Pos{}) {
			holdings = append(holdings, h)
			asks = append(asks, trace.BalanceAsk{Account: h.Account, Asset: h.Asset, Before: h.At})
		}
	}
	balances, err := g.Balances(ctx, asks)
	if err != nil {
		return nil, err
	}
	var all []string
	for i, h := range holdings {
		held, positive := balances[i].In.Minus(balances[i].Out)
		if !positive && balances[i].In.Compare(balances[i].Out) > 0 || !held.Less(h.Amount) {
			continue // more than 256 bits, or enough
		}
		name := NameOf(h.Asset)
		all = append(all, fmt.Sprintf("%s is taken to have held %s before %s; what the store shows that it received and paid leaves it %s",
			h.Account.Address(), name.Format(h.Amount), h.At, name.Format(held)))
	}
	return all, nil
}

// unseen says that the store never saw an account. The address of a public key may be there under the key's own name.
func unseen(ctx context.Context, s store.Snapshot, a flow.Account) string {
	text := fmt.Sprintf("the store has never seen %s", a)
	twin, err := flow.ParseAccountOn(a.Chain(), "p2pk-"+a.Address())
	if err != nil {
		return text
	}
	if ids, err := s.IDs(ctx, a.Chain(), []flow.Account{twin}); err != nil || ids[0] == 0 {
		return text
	}
	return text + ", but the bare public key behind it, " + twin.Address()
}

// sourceOf is the account of a source and the place from which it counts.
func sourceOf(src trace.Source) (flow.Account, flow.Pos) {
	switch src := src.(type) {
	case trace.Holding:
		return src.Account, src.At
	case trace.Coin:
		return src.Account, flow.Pos{}
	case trace.Outflow:
		return src.Account, src.From
	}
	return flow.Account{}, flow.Pos{}
}
