package pebblestore

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// compare holds every answer of a store against those of a memstore that was given the same blocks.
func compare(t *testing.T, what string, got, want store.Store) {
	t.Helper()
	a, err := got.Snapshot()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	b, err := want.Snapshot()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !slices.Equal(a.Chains(), b.Chains()) {
		t.Fatalf("%s: chains = %v; want %v", what, a.Chains(), b.Chains())
	}
	for _, c := range b.Chains() {
		if err := compareChain(t.Context(), c, a, b); err != nil {
			t.Fatalf("%s: %s: %v", what, c, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatalf("%s: close: %v", what, err)
	}
}

func compareChain(ctx context.Context, c flow.Chain, got, want store.Snapshot) error {
	a, err := got.Recent(ctx, c, 1e6)
	if err != nil {
		return err
	}
	b, _ := want.Recent(ctx, c, 1e6)
	if !slices.Equal(a, b) {
		return fmt.Errorf("blocks are %v; want %v", a, b)
	}
	holesA, err := got.Holes(ctx, c)
	holesB, _ := want.Holes(ctx, c)
	if err != nil || !slices.Equal(holesA, holesB) {
		return fmt.Errorf("holes = %v, %v; want %v", holesA, err, holesB)
	}
	var accounts []flow.Account
	var outpoints []flow.Outpoint
	for _, p := range b {
		x, err := got.Block(ctx, c, p.Height)
		y, _ := want.Block(ctx, c, p.Height)
		if err != nil || !storetest.Same(x, y) {
			return fmt.Errorf("block %d = %+v, %v; want %+v", p.Height, x, err, y)
		}
		for _, tx := range y.Txs {
			t1, err1 := got.Tx(ctx, c, tx.ID)
			t2, err2 := want.Tx(ctx, c, tx.ID)
			if (err1 == nil) != (err2 == nil) || tx.ID != p.Hash && (t1.Point != t2.Point || t1.Index != t2.Index) {
				return fmt.Errorf("transaction %s = %+v, %v; want %+v, %v", tx.ID, t1, err1, t2, err2)
			}
			for _, m := range tx.Movements {
				for _, l := range slices.Concat(m.In, m.Out) {
					accounts = append(accounts, l.Account)
				}
				outpoints = append(append(outpoints, m.Spent...), flow.Outpoint{Tx: tx.ID, Index: uint32(len(m.Out)) - 1})
			}
		}
	}
	slices.SortFunc(accounts, flow.Account.Compare)
	accounts = slices.Compact(accounts)
	legsA, err := got.Outputs(ctx, c, outpoints)
	legsB, _ := want.Outputs(ctx, c, outpoints)
	if err != nil || !slices.Equal(legsA, legsB) {
		return fmt.Errorf("outputs = %v, %v; want %v", legsA, err, legsB)
	}
	atA, okA, err := got.Spends(ctx, c, outpoints)
	atB, okB, _ := want.Spends(ctx, c, outpoints)
	if err != nil || !slices.Equal(atA, atB) || !slices.Equal(okA, okB) {
		return fmt.Errorf("spends = %v, %v, %v; want %v, %v", atA, okA, err, atB, okB)
	}
	for _, from := range []flow.Pos{{}, {Height: b[len(b)/2].Height, Tx: 1}, {Height: b[0].Height}} {
		for _, limit := range []int{0, 2} {
			x, err := allEntries(ctx, c, got, accounts, from, limit)
			if err != nil {
				return err
			}
			y, err := allEntries(ctx, c, want, accounts, from, limit)
			if err != nil {
				return err
			}
			if !reflect.DeepEqual(x, y) {
				return fmt.Errorf("entries from %v, at most %d =\n%v\nwant\n%v", from, limit, x, y)
			}
		}
	}
	return nil
}

// allEntries are the entries of accounts with the other side by name.
func allEntries(ctx context.Context, c flow.Chain, s store.Snapshot, accounts []flow.Account, from flow.Pos, limit int) ([]string, error) {
	ids, err := s.IDs(ctx, c, accounts)
	if err != nil {
		return nil, err
	}
	var asks []store.Ask
	for _, id := range ids {
		asks = append(asks, store.Ask{Holder: id, From: from, Limit: limit})
	}
	all := make([]string, len(asks))
	var mu sync.Mutex
	err = s.Entries(ctx, c, asks, func(i int, entries []store.Entry) error {
		mu.Lock()
		defer mu.Unlock()
		all[i] = fmt.Sprint(accounts[i], len(entries))
		for _, e := range entries {
			other, err := s.Accounts(ctx, c, []store.ID{e.Other})
			if err != nil {
				return err
			}
			e.Other = 0
			all[i] += fmt.Sprintf(" %+v %v;", e, other[0])
		}
		return nil
	})
	return all, err
}

// replayed is a memstore with these blocks.
func replayed(t *testing.T, chains map[flow.Chain][]flow.Block) store.Store {
	t.Helper()
	m := memstore.New()
	for _, blocks := range chains {
		if _, err := m.Append(t.Context(), blocks); err != nil {
			t.Fatal(err)
		}
	}
	return m
}
