package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// Dump writes all that a snapshot holds as text, one fact per line: points, blocks, holes, entries by account, outputs
// and spends. Two stores whose dumps are equal hold the same. IDs do not appear in it, since they are a store's own.
func Dump(ctx context.Context, s store.Snapshot) (string, error) {
	var w strings.Builder
	chains := withBlocks(s)
	slices.SortFunc(chains, flow.Chain.Compare)
	for _, c := range chains {
		if err := dumpChain(ctx, &w, s, c); err != nil {
			return "", fmt.Errorf("dump %s: %w", c, err)
		}
	}
	return w.String(), nil
}

func dumpChain(ctx context.Context, w *strings.Builder, s store.Snapshot, c flow.Chain) error {
	points, err := s.Recent(ctx, c, 1<<30)
	if err != nil {
		return err
	}
	slices.Reverse(points)
	fmt.Fprintf(w, "chain %s\n", c)
	var accounts []flow.Account
	var coins []flow.Outpoint
	seen := map[flow.Account]bool{{}: true}
	for _, p := range points {
		b, err := s.Block(ctx, c, p.Height)
		if err != nil {
			return err
		}
		line, err := json.Marshal(plain(b))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "block %s\n", line)
		for _, n := range b.Notes {
			fmt.Fprintf(w, "note %q\n", n)
		}
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				for _, l := range slices.Concat(m.In, m.Out) {
					if !seen[l.Account] {
						seen[l.Account] = true
						accounts = append(accounts, l.Account)
					}
				}
				for i := range m.Out {
					coins = append(coins, flow.Outpoint{Tx: tx.ID, Index: uint32(i)})
				}
				coins = append(coins, m.Spent...)
			}
		}
	}
	holes, err := s.Holes(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "holes %v\n", holes)
	if err := dumpEntries(ctx, w, s, c, accounts); err != nil {
		return err
	}
	if c.IsUTXO() {
		return dumpCoins(ctx, w, s, c, coins)
	}
	return nil
}

func dumpEntries(ctx context.Context, w *strings.Builder, s store.Snapshot, c flow.Chain, accounts []flow.Account) error {
	slices.SortFunc(accounts, flow.Account.Compare)
	ids, err := s.IDs(ctx, c, accounts)
	if err != nil {
		return err
	}
	for i, id := range ids {
		lines, err := entryLines(ctx, s, c, store.Ask{Holder: id})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "account %s\n%s", accounts[i], lines)
	}
	return nil
}

// entryLines is the answer to one question in words.
func entryLines(ctx context.Context, s store.Snapshot, c flow.Chain, ask store.Ask) (string, error) {
	var entries []store.Entry
	err := s.Entries(ctx, c, []store.Ask{ask}, func(_ int, found []store.Entry) error {
		entries = slices.Clone(found)
		return nil
	})
	if err != nil {
		return "", err
	}
	others := make([]store.ID, len(entries))
	for i, e := range entries {
		others[i] = e.Other
	}
	names, err := s.Accounts(ctx, c, others)
	if err != nil {
		return "", err
	}
	var w strings.Builder
	for i, e := range entries {
		fmt.Fprintf(&w, "entry %s %s %s leg %d index %d gives %v many %v %s other %s\n", e.Pos, e.Kind, e.Amount, e.Leg, e.Index, e.Gives, e.Many, e.Asset, names[i])
	}
	return w.String(), nil
}

func dumpCoins(ctx context.Context, w *strings.Builder, s store.Snapshot, c flow.Chain, coins []flow.Outpoint) error {
	slices.SortFunc(coins, flow.Outpoint.Compare)
	coins = slices.Compact(coins)
	legs, err := s.Outputs(ctx, c, coins)
	if err != nil {
		return err
	}
	at, ok, err := s.Spends(ctx, c, coins)
	if err != nil {
		return err
	}
	for i, o := range coins {
		at[i].Movement = 0
		fmt.Fprintf(w, "coin %s %s %s spent %v %s\n", o, legs[i].Account, legs[i].Amount, ok[i], at[i])
	}
	return nil
}
