package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// A token's log says whatever its contract wants: that a thief sent away what he never had, too. So what is said to leave
// an account in every asset is taken to be the coin, well-known tokens, and of all others those of which the account is
// known to have received at least what it gave. A token that forges receipts as well passes; name the assets then.

// vouch writes the outflows of every asset as outflows of those assets that are vouched for, and names the others.
func vouch(ctx context.Context, s store.Snapshot, theft trace.Theft, backward bool) (trace.Theft, []string, error) {
	if backward {
		return theft, nil, nil
	}
	var sources []trace.Source
	var doubted []string
	for _, src := range theft.Sources {
		out, ok := src.(trace.Outflow)
		if !ok || !out.Asset.IsZero() || !out.Account.Chain().IsEVM() {
			sources = append(sources, src)
			continue
		}
		assets, bad, err := given(ctx, s, out)
		if err != nil {
			return theft, nil, fmt.Errorf("assets that leave %s: %w", out.Account, err)
		}
		for _, a := range assets {
			sources = append(sources, trace.Outflow{Account: out.Account, Asset: a, From: out.From})
		}
		for _, a := range bad {
			doubted = append(doubted, fmt.Sprintf("%s is said to leave %s, which is not known to have received as much of it: a token can forge that (name the asset to trace it)",
				NameOf(a).Symbol, out.Account.Address()))
		}
	}
	theft.Sources = sources
	return theft, doubted, nil
}

// given are the assets that an account gave from a place on: those that are vouched for, the coin always among them, and
// the others.
func given(ctx context.Context, s store.Snapshot, out trace.Outflow) (vouched, doubted []flow.Asset, err error) {
	c := out.Account.Chain()
	vouched = []flow.Asset{c.Native()}
	ids, err := s.IDs(ctx, c, []flow.Account{out.Account})
	if err != nil || ids[0] == 0 {
		return vouched, nil, err
	}
	type book struct {
		in, out flow.Sum
		leaves  bool
	}
	books := map[flow.Asset]*book{}
	err = store.EachEntry(ctx, s, c, ids[0], func(e *store.Entry) error {
		b := books[e.Asset]
		if b == nil {
			if len(books) >= maxGiven {
				return errTooManyAssets
			}
			b = &book{}
			books[e.Asset] = b
		}
		if !e.Gives {
			b.in = b.in.Plus(e.Amount)
			return nil
		}
		b.out = b.out.Plus(e.Amount)
		b.leaves = b.leaves || e.Pos.Compare(out.From) >= 0 && !e.Amount.IsZero()
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for a, b := range books {
		switch _, known := contracts[a.String()]; {
		case !b.leaves || a.IsNative():
		case known || b.in.Compare(b.out) >= 0:
			vouched = append(vouched, a)
		default:
			doubted = append(doubted, a)
		}
	}
	slices.SortFunc(vouched, flow.Asset.Compare)
	slices.SortFunc(doubted, flow.Asset.Compare)
	return vouched, doubted, nil
}

// maxGiven bounds the assets of one account.
const maxGiven = 1 << 20

var errTooManyAssets = errors.New("more than a million tokens claim it: name the assets")
