package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// resolveTx turns a named transaction (or one output of it, "id:index") into the sources of a theft. On UTXO chains every
// output that can be spent is stolen; on account chains what each receiver gained in it, after netting, is.
func resolveTx(ctx context.Context, s store.Snapshot, text string, chain flow.Chain, thieves map[flow.Account]bool, labels *Labels) ([]trace.Source, error) {
	if text, id, ok := cutChain(text); ok {
		c, err := flow.ParseChain(text)
		if err != nil {
			return nil, err
		}
		return resolveTx(ctx, s, id, c, thieves, labels)
	}
	var only *uint32
	id, index, hasIndex := strings.Cut(text, ":")
	if hasIndex {
		o, err := flow.ParseOutpoint(text)
		if err != nil {
			return nil, err
		}
		only = &o.Index
	} else {
		index = ""
	}
	h, err := flow.ParseHash(id)
	if err != nil {
		return nil, err
	}
	tx, err := findTx(ctx, s, h, chain)
	if err != nil {
		return nil, err
	}
	if !tx.Point.Chain.IsUTXO() {
		if only != nil {
			return nil, fmt.Errorf("%s: %s has no outputs to choose from", index, tx.Point.Chain)
		}
		return gains(tx, thieves, labels)
	}
	var sources []trace.Source
	for _, m := range tx.Movements {
		for i, l := range m.Out {
			if only != nil && uint32(i) != *only || l.Amount.IsZero() || len(thieves) > 0 && !thieves[l.Account] {
				continue
			}
			sources = append(sources, trace.Coin{Outpoint: flow.Outpoint{Tx: tx.ID, Index: uint32(i)}, Account: l.Account, Asset: m.Asset, Amount: l.Amount})
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%w: it has no such output with a value", store.ErrNotFound)
	}
	return sources, nil
}

// cutChain splits "eip155:1:0x…" into chain and the rest.
func cutChain(text string) (chain, rest string, ok bool) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 3 {
		return "", text, false
	}
	return parts[0] + ":" + parts[1], parts[2], true
}

// findTx looks for a transaction on one chain, or on all that the store holds.
func findTx(ctx context.Context, s store.Snapshot, h flow.Hash, chain flow.Chain) (flow.Tx, error) {
	chains := s.Chains()
	if !chain.IsZero() {
		chains = []flow.Chain{chain}
	}
	for _, c := range chains {
		tx, err := s.Tx(ctx, c, h)
		if isNotFound(err) {
			continue
		}
		return tx, err
	}
	return flow.Tx{}, store.ErrNotFound
}

// gains nets a transaction per account and asset, and returns what the gainers gained, fees and rewards not counted.
// Labelled services are left out unless they are named as thieves.
func gains(tx flow.Tx, thieves map[flow.Account]bool, labels *Labels) ([]trace.Source, error) {
	type key struct {
		account flow.Account
		asset   flow.Asset
	}
	in, out := map[key]flow.Sum{}, map[key]flow.Sum{}
	for _, m := range tx.Movements {
		if m.Kind == flow.Fee || m.Kind == flow.Reward {
			continue
		}
		for _, l := range m.In {
			k := key{l.Account, m.Asset}
			out[k] = out[k].Plus(l.Amount)
		}
		for _, l := range m.Out {
			k := key{l.Account, m.Asset}
			in[k] = in[k].Plus(l.Amount)
		}
	}
	var holdings []trace.Holding
	for k, sum := range in {
		gain, ok := sum.Minus(out[k])
		_, service := labels.Stop(k.account)
		if !ok || gain.IsZero() || len(thieves) > 0 && !thieves[k.account] || service && !thieves[k.account] {
			continue
		}
		holdings = append(holdings, trace.Holding{Account: k.account, Asset: k.asset, Amount: gain,
			At: flow.Pos{Height: tx.Point.Height, Tx: tx.Index + 1}})
	}
	if len(holdings) == 0 {
		return nil, fmt.Errorf("%w: nobody who is not a labelled service gained anything in it", store.ErrNotFound)
	}
	slices.SortFunc(holdings, func(a, b trace.Holding) int {
		return cmp.Or(a.Asset.Compare(b.Asset), b.Amount.Compare(a.Amount), a.Account.Compare(b.Account))
	})
	sources := make([]trace.Source, len(holdings))
	for i, h := range holdings {
		sources[i] = h
	}
	return sources, nil
}
