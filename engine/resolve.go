package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// Resolve looks a theft up in a store: times become places, transactions become what their receivers gained. chain says
// where bare transaction ids and EVM addresses without a chain are, if the store holds several chains; zero means the
// only chain of its kind. A source that is named twice counts once. gainers are the accounts that a named transaction gave
// a net gain, for the user to see.
func Resolve(ctx context.Context, s store.Snapshot, f TheftFile, chain flow.Chain, labels *Labels) (t trace.Theft, gainers []trace.Holding, err error) {
	if err := f.Check(); err != nil {
		return t, nil, fmt.Errorf("theft: %w", err)
	}
	t.Name = f.Name
	seen := map[trace.Source]bool{}
	add := func(src trace.Source) bool {
		if seen[src] {
			return false
		}
		seen[src] = true
		t.Sources = append(t.Sources, src)
		return true
	}
	for _, src := range f.Sources {
		resolved, err := resolveSource(ctx, s, src, chain)
		if err != nil {
			return t, nil, fmt.Errorf("source %s: %w", src.Account, err)
		}
		add(resolved)
	}
	thieves := map[flow.Account]bool{}
	for _, text := range f.Thieves {
		a, err := accountIn(s, text, chain)
		if err != nil {
			return t, nil, err
		}
		thieves[a] = true
	}
	for _, id := range f.Transactions {
		sources, err := resolveTx(ctx, s, id, chain, thieves, labels)
		if err != nil {
			return t, nil, fmt.Errorf("transaction %s: %w", id, err)
		}
		for _, src := range sources {
			if h, ok := src.(trace.Holding); add(src) && ok {
				gainers = append(gainers, h)
			}
		}
	}
	return t, gainers, nil
}

// accountIn parses an account and, where it was written without a chain, moves it to the chain of its family which the
// store holds.
func accountIn(s store.Snapshot, text string, chain flow.Chain) (flow.Account, error) {
	a, err := flow.ParseAccount(text)
	if err != nil || strings.Count(text, ":") > 0 {
		return a, err
	}
	if !chain.IsZero() {
		if moved, err := a.On(chain); err == nil {
			return moved, nil
		}
	}
	var fits []flow.Account
	for _, c := range s.Chains() {
		if moved, err := a.On(c); err == nil {
			if c == a.Chain() {
				return a, nil
			}
			fits = append(fits, moved)
		}
	}
	if len(fits) == 1 {
		return fits[0], nil
	}
	return a, nil
}

func resolveSource(ctx context.Context, s store.Snapshot, src TheftSource, chain flow.Chain) (trace.Source, error) {
	a, err := accountIn(s, src.Account, chain)
	if err != nil {
		return nil, err
	}
	c := a.Chain()
	if src.Amount != "" && c.IsUTXO() {
		return nil, fmt.Errorf("%w: on %s an account has coins, no balance", ErrCoins, c)
	}
	asset, err := ParseAsset(c, src.Asset)
	if err != nil {
		return nil, err
	}
	if _, ok := s.Tip(c); !ok {
		if src.Amount != "" {
			return nil, missingChain(s, c)
		}
		return trace.Outflow{Account: a, Asset: asset}, nil // other sources may be there: Trace says that this one is not
	}
	from, err := resolvePlace(ctx, s, c, src)
	if err != nil {
		return nil, err
	}
	if src.Amount == "" {
		return trace.Outflow{Account: a, Asset: asset, From: from}, nil
	}
	if asset.IsZero() {
		asset = c.Native()
	}
	amount, err := flow.ParseAmount(string(src.Amount))
	if err != nil {
		return nil, err
	}
	if src.Time == "" && src.Block == "" {
		if from, err = firstHeld(ctx, s, a, asset, amount); err != nil {
			return nil, err
		}
	}
	return trace.Holding{Account: a, Asset: asset, Amount: amount, At: from}, nil
}

// ParseAsset reads an asset of a chain as people write it: CAIP-19, a token contract, or the ticker of the chain's coin. Empty
// text is the zero Asset. Errors wrap flow.ErrAddress where a ticker could be that of any token.
func ParseAsset(c flow.Chain, text string) (flow.Asset, error) {
	switch {
	case text == "":
		return flow.Asset{}, nil
	case strings.Contains(text, "/") && strings.Contains(text, ":"):
		return flow.ParseAsset(text)
	case c.Namespace() != "text" && strings.EqualFold(text, NameOf(c.Native()).Symbol), c.IsUTXO() && strings.EqualFold(text, "BTC"):
		return c.Native(), nil
	}
	a, err := flow.ParseAssetOn(c, text)
	if errors.Is(err, flow.ErrAddress) && !strings.HasPrefix(text, "0x") {
		err = fmt.Errorf("asset %.80q on %s: name a token by its contract, a ticker can be forged: %w", text, c, flow.ErrAddress)
	}
	return a, err
}

// resolvePlace turns a time or a block height into the first place of that block, right behind the newest block for a time
// after it; neither means the chain's beginning. The store must hold blocks of the chain.
func resolvePlace(ctx context.Context, s store.Snapshot, c flow.Chain, src TheftSource) (flow.Pos, error) {
	if src.Block != "" {
		h, err := parseHeight(string(src.Block))
		return flow.Pos{Height: h}, err
	}
	if src.Time == "" {
		return flow.Pos{}, nil
	}
	t, err := ParseTime(string(src.Time))
	if err != nil {
		return flow.Pos{}, err
	}
	return placeAt(ctx, s, c, t)
}

// placeAt is the first place of the first block whose time is t or later, right behind the newest block if there is none.
func placeAt(ctx context.Context, s store.Snapshot, c flow.Chain, t int64) (flow.Pos, error) {
	tip, ok := s.Tip(c)
	if !ok {
		return flow.Pos{}, missingChain(s, c)
	}
	if tip.Time == 0 {
		return flow.Pos{}, fmt.Errorf("the blocks of %s say no times: write block:HEIGHT for a time", c)
	}
	p, err := s.FirstAt(ctx, c, t)
	if isNotFound(err) {
		return flow.Pos{Height: tip.Height + 1}, nil
	}
	return flow.Pos{Height: p.Height}, err
}

// firstHeld is the first place before which the account held that amount. What it paid beyond its known income is taken to
// be money that it had before the store begins.
func firstHeld(ctx context.Context, s store.Snapshot, a flow.Account, asset flow.Asset, amount flow.Amount) (flow.Pos, error) {
	ids, err := s.IDs(ctx, a.Chain(), []flow.Account{a})
	if err != nil {
		return flow.Pos{}, err
	}
	if ids[0] == 0 {
		return flow.Pos{}, fmt.Errorf("%s: %w", unseen(ctx, s, a), ErrAbsent)
	}
	at, found := flow.Pos{}, false
	var held flow.Amount
	err = s.Entries(ctx, a.Chain(), []store.Ask{{Holder: ids[0]}}, func(_ int, es []store.Entry) error {
		for _, e := range es {
			switch {
			case e.Asset != asset || found:
			case e.Gives:
				held, _ = held.Sub(e.Amount.Min(held))
			default:
				sum, ok := held.Add(e.Amount)
				if held = sum; !ok || !held.Less(amount) { // a sum beyond 256 bits is enough, too
					at, found = after(e.Pos), true
				}
			}
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%s never held %s of %s at once in what the store holds: %w", a, amount, asset, ErrAbsent)
	}
	return at, err
}

// after is the place right behind a movement.
func after(p flow.Pos) flow.Pos {
	if p.Movement < math.MaxUint32 {
		p.Movement++
		return p
	}
	return flow.Pos{Height: p.Height, Tx: p.Tx + 1}
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// ParseDust reads dust floors "AMOUNT ASSET"; an asset without a chain is on the chain of the theft.
func ParseDust(texts []string, theft trace.Theft) (map[flow.Asset]flow.Amount, error) {
	floors := map[flow.Asset]flow.Amount{}
	for _, text := range texts {
		amount, name, _ := strings.Cut(strings.TrimSpace(text), " ")
		v, err := flow.ParseAmount(amount)
		if err != nil {
			return nil, fmt.Errorf("dust %q: %w", text, err)
		}
		for _, c := range chainsOf(theft) {
			asset, err := ParseAsset(c, strings.TrimSpace(name))
			if err != nil {
				return nil, fmt.Errorf("dust %q: %w", text, err)
			}
			if asset.IsZero() {
				asset = c.Native()
			}
			floors[asset] = v
		}
	}
	return floors, nil
}

// Until is the place that bounds a trace by a time, which counts itself: the last place to read, or backward the first. It
// is the zero Pos for an empty text. The theft must be on one chain.
func Until(ctx context.Context, s store.Snapshot, text string, theft trace.Theft, backward bool) (flow.Pos, error) {
	if text == "" {
		return flow.Pos{}, nil
	}
	chains := chainsOf(theft)
	if len(chains) != 1 {
		return flow.Pos{}, fmt.Errorf("a last time needs a theft on one chain, not on %d", len(chains))
	}
	c := chains[0]
	var bound flow.Pos // the first place that is not read
	if height, ok := strings.CutPrefix(text, "block:"); ok {
		h, err := parseHeight(height)
		if err != nil {
			return flow.Pos{}, err
		}
		if bound.Height = h; !backward && h < math.MaxUint64 {
			bound.Height++
		}
	} else {
		t, err := ParseTime(text)
		if err != nil {
			return flow.Pos{}, err
		}
		if !backward {
			t++
		}
		if bound, err = placeAt(ctx, s, c, t); err != nil {
			return flow.Pos{}, err
		}
	}
	switch {
	case backward && bound.Height == 0:
		return flow.Pos{}, nil // everything
	case backward:
		return bound, nil
	case bound.Height == 0:
		return flow.Pos{}, fmt.Errorf("until %s: %s begins after it", text, c)
	}
	return flow.Pos{Height: bound.Height - 1, Tx: math.MaxUint32, Movement: math.MaxUint32}, nil
}

// chainsOf lists the chains that the sources of a theft are on, in the order of the sources.
func chainsOf(theft trace.Theft) []flow.Chain {
	var chains []flow.Chain
	for _, src := range theft.Sources {
		a, _ := sourceOf(src)
		c := a.Chain()
		if !slices.Contains(chains, c) {
			chains = append(chains, c)
		}
	}
	return chains
}
