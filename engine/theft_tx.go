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

// A txName is a transaction as people name it.
type txName struct {
	chain flow.Chain // zero if it was named without one
	id    flow.Hash
	only  *uint32 // the output that is meant, of a UTXO transaction; nil for all of it
}

// parseTxName reads HASH, HASH:INDEX, and both with a chain before it ("eip155:1:0x…").
func parseTxName(text string) (n txName, err error) {
	if parts := strings.SplitN(text, ":", 3); len(parts) == 3 {
		if n.chain, err = flow.ParseChain(parts[0] + ":" + parts[1]); err != nil {
			return n, err
		}
		text = parts[2]
	}
	if !strings.Contains(text, ":") {
		n.id, err = flow.ParseHash(text)
		return n, err
	}
	o, err := flow.ParseOutpoint(text)
	n.id, n.only = o.Tx, &o.Index
	return n, err
}

// resolveTx turns a named transaction (or one output of it) into the sources of a theft. On UTXO chains every output that
// can be spent is stolen; on account chains what each receiver gained in it, after netting, is. Where thieves are named,
// only what is theirs is.
func resolveTx(ctx context.Context, s store.Snapshot, text string, chain flow.Chain, thieves map[flow.Account]bool, labels *Labels) ([]trace.Source, error) {
	name, err := parseTxName(text)
	if err != nil {
		return nil, err
	}
	if !name.chain.IsZero() {
		chain = name.chain
	}
	tx, err := findTx(ctx, s, name.id, chain)
	if err != nil {
		return nil, err
	}
	if !tx.Point.Chain.IsUTXO() {
		if name.only != nil {
			return nil, fmt.Errorf("%s has no outputs to choose from: leave out \":%d\", or choose with --thief", tx.Point.Chain, *name.only)
		}
		return gains(tx, thieves, labels)
	}
	var sources []trace.Source
	for _, m := range tx.Movements {
		for i, l := range m.Out {
			if name.only != nil && uint32(i) != *name.only || l.Amount.IsZero() || len(thieves) > 0 && !thieves[l.Account] {
				continue
			}
			sources = append(sources, trace.Coin{Outpoint: flow.Outpoint{Tx: tx.ID, Index: uint32(i)}, Account: l.Account, Asset: m.Asset, Amount: l.Amount})
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("it has no such output with a value: %w", ErrAbsent)
	}
	return sources, nil
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
	if len(chains) == 1 {
		if _, ok := s.Tip(chains[0]); !ok {
			return flow.Tx{}, missingChain(s, chains[0])
		}
	}
	return flow.Tx{}, fmt.Errorf("no chain of the store (%s) holds it: %w", namesOf(s.Chains()), ErrAbsent)
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
	switch {
	case len(holdings) > 0:
	case tx.Failed:
		return nil, fmt.Errorf("it failed and moved nothing: %w", ErrNoGain)
	case len(thieves) > 0:
		return nil, fmt.Errorf("none of the named thieves gained anything in it: %w", ErrNoGain)
	default:
		return nil, fmt.Errorf("nobody who is not a labelled service gained anything in it: %w", ErrNoGain)
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
