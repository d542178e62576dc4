package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// RunDurable holds a store that lives in a folder against what it must still know after it was closed and opened again.
// open opens the store of that folder, new where the folder is empty; the suite closes it.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("reopen/seed-%d", seed), func(t *testing.T) { testReopen(t, open, seed) })
	}
	t.Run("two-folders", func(t *testing.T) {
		one, two := open(t, t.TempDir()), open(t, t.TempDir())
		m := NewSeededMaker(20)
		put(t, one, m.Next(Ethereum))
		verifyNow(t.Context(), t, one, m)
		verifyNow(t.Context(), t, two, NewSeededMaker(0))
		closeStore(t, one)
		closeStore(t, two)
	})
}

func closeStore(t *testing.T, st store.Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// testReopen appends, takes back, declares final, folds and closes, again and again.
func testReopen(t *testing.T, open func(t *testing.T, dir string) store.Store, seed uint64) {
	dir := t.TempDir()
	m := NewSeededMaker(seed)
	known := map[flow.Account]store.ID{}
	var sealed flow.Point
	for range 7 {
		st := open(t, dir)
		verifyNow(t.Context(), t, st, m)
		look(t, st, func(ctx context.Context, s store.Snapshot) {
			ids := map[flow.Account]store.ID{}
			for _, c := range Chains() {
				for id, a := range verifyIDs(ctx, t, s, c, m.Blocks(c)) {
					ids[a] = id
				}
			}
			for a, id := range known {
				if ids[a] != id {
					t.Fatalf("the id of %s was %d before the store was closed and is %d", a, id, ids[a])
				}
			}
		})
		if !sealed.IsZero() {
			made := m.Blocks(sealed.Chain)
			for made[len(made)-1].Point != sealed {
				undo(t, st, m, sealed.Chain)
				made = m.Blocks(sealed.Chain)
			}
			if err := st.Undo(t.Context(), sealed); !errors.Is(err, store.ErrFinal) {
				t.Fatalf("undo of a block that was final when the store was closed: error %v; want ErrFinal", err)
			}
		}
		for range 3 {
			for _, c := range Chains() {
				put(t, st, m.Next(c), m.Next(c))
				if m.pick(3) == 0 {
					undo(t, st, m, c)
				}
			}
			for b, ok := m.Missing(sealed.Chain); ok && b.Point.Height < sealed.Height && m.pick(3) > 0; b, ok = m.Missing(sealed.Chain) {
				fill(t, st, m, b)
			}
		}
		if m.pick(2) == 0 {
			c := Chains()[m.pick(4)]
			made := m.Blocks(c)
			p := made[len(made)-1-m.pick(2)].Point
			if err := st.Final(t.Context(), p); err != nil {
				t.Fatalf("final %s: %v", p, err)
			}
			if sealed.IsZero() || c == sealed.Chain {
				sealed = p
			}
		}
		if m.pick(2) == 0 {
			if err := st.Compact(t.Context()); err != nil {
				t.Fatalf("compact: %v", err)
			}
		}
		if m.pick(2) == 0 {
			if err := st.Sync(t.Context()); err != nil {
				t.Fatalf("sync: %v", err)
			}
		}
		known = map[flow.Account]store.ID{}
		look(t, st, func(ctx context.Context, s store.Snapshot) {
			for _, c := range Chains() {
				made := m.Blocks(c)
				// Blocks above the sealed one are undone next, and take their accounts' IDs along.
				for i, b := range made {
					if c == sealed.Chain && b.Point.Height > sealed.Height {
						made = made[:i]
						break
					}
				}
				for id, a := range verifyIDs(ctx, t, s, c, m.Blocks(c)) {
					if len(entriesOf(a, made)) > 0 {
						known[a] = id
					}
				}
			}
		})
		closeStore(t, st)
	}
}
