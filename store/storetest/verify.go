package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Same reports whether two blocks are equal in every field; an empty list is the same as none.
func Same(a, b flow.Block) bool { return reflect.DeepEqual(plain(a), plain(b)) }

// plain is b with nil for every empty list.
func plain(b flow.Block) flow.Block {
	b.Txs = orNil(slices.Clone(b.Txs))
	b.Notes = orNil(b.Notes)
	for i := range b.Txs {
		b.Txs[i] = plainTx(b.Txs[i])
	}
	return b
}

func plainTx(tx flow.Tx) flow.Tx {
	tx.Movements = orNil(slices.Clone(tx.Movements))
	for i, m := range tx.Movements {
		m.In, m.Out, m.Spent = orNil(m.In), orNil(m.Out), orNil(m.Spent)
		tx.Movements[i] = m
	}
	tx.Logs = orNil(slices.Clone(tx.Logs))
	for i, l := range tx.Logs {
		l.Topics, l.Data = orNil(l.Topics), orNil(l.Data)
		tx.Logs[i] = l
	}
	return tx
}

func orNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

// verify holds every answer that a snapshot gives about a chain against the blocks that it must hold.
func verify(ctx context.Context, t tb, s store.Snapshot, c flow.Chain, want []flow.Block) {
	t.Helper()
	verifyBlocks(ctx, t, s, c, want)
	verifyTxs(ctx, t, s, c, want)
	ids := verifyIDs(ctx, t, s, c, want)
	verifyEntries(ctx, t, s, c, want, ids)
	verifyCoins(ctx, t, s, c, want)
}

// verifyNow takes a snapshot of st and verifies all that m made.
func verifyNow(ctx context.Context, t tb, st store.Store, m *Maker) {
	t.Helper()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	verifyAll(ctx, t, s, m)
	if err := s.Close(); err != nil {
		t.Fatalf("close the snapshot: %v", err)
	}
}

// verifyAll verifies all that m made.
func verifyAll(ctx context.Context, t tb, s store.Snapshot, m *Maker) {
	t.Helper()
	var want []flow.Chain
	for _, c := range Chains() {
		blocks := m.Blocks(c)
		verify(ctx, t, s, c, blocks)
		if len(blocks) > 0 {
			want = append(want, c)
		}
	}
	slices.SortFunc(want, flow.Chain.Compare)
	if got := withBlocks(s); !slices.Equal(got, want) {
		t.Fatalf("chains with blocks = %v; want %v", got, want)
	}
}

// withBlocks are the chains that have a tip. (Whether a chain whose blocks were all undone is listed is the store's
// choice.)
func withBlocks(s store.Snapshot) []flow.Chain {
	return slices.DeleteFunc(slices.Clone(s.Chains()), func(c flow.Chain) bool {
		_, ok := s.Tip(c)
		return !ok
	})
}

func verifyBlocks(ctx context.Context, t tb, s store.Snapshot, c flow.Chain, want []flow.Block) {
	t.Helper()
	if p, ok := s.Tip(c); ok != (len(want) > 0) || ok && p != want[len(want)-1].Point {
		t.Fatalf("tip of %s = %v, %v; want that of %d blocks", c, p, ok, len(want))
	}
	var points []flow.Point
	var holes []store.Hole
	for i, b := range want {
		points = append(points, b.Point)
		got, err := s.Block(ctx, c, b.Point.Height)
		if err != nil {
			t.Fatalf("block of %s: %v", b.Point, err)
		}
		if !Same(got, b) {
			t.Fatalf("block of %s = %+v; want %+v", b.Point, got, b)
		}
		if p, err := s.Point(ctx, c, b.Point.Height); err != nil || p != b.Point {
			t.Fatalf("point at %d of %s = %v, %v; want %v", b.Point.Height, c, p, err, b.Point)
		}
		if i > 0 && b.Point.Height > points[i-1].Height+1 {
			holes = append(holes, store.Hole{From: points[i-1].Height + 1, To: b.Point.Height - 1})
		}
	}
	missing := []uint64{1 << 60}
	for _, h := range holes {
		missing = append(missing, h.From, h.To)
	}
	if n := len(points); n > 0 && points[n-1].Height < math.MaxUint64 {
		missing = append(missing, points[n-1].Height+1)
	}
	for _, h := range missing {
		if _, err := s.Block(ctx, c, h); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("block at %d of %s: error %v; want ErrNotFound", h, c, err)
		}
		if _, err := s.Point(ctx, c, h); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("point at %d of %s: error %v; want ErrNotFound", h, c, err)
		}
	}
	if got, err := s.Holes(ctx, c); err != nil || !slices.Equal(got, holes) {
		t.Fatalf("holes of %s = %v, %v; want %v", c, got, err, holes)
	}
	verifyPoints(ctx, t, s, c, points)
}

func verifyPoints(ctx context.Context, t tb, s store.Snapshot, c flow.Chain, points []flow.Point) {
	t.Helper()
	newest := slices.Clone(points)
	slices.Reverse(newest)
	for _, n := range []int{0, 1, 2, 3, len(points), len(points) + 5} {
		if got, err := s.Recent(ctx, c, n); err != nil || !slices.Equal(got, newest[:min(n, len(newest))]) {
			t.Fatalf("the %d most recent of %s = %v, %v; want %v", n, c, got, err, newest[:min(n, len(newest))])
		}
	}
	times := []int64{0, 1, 1 << 60}
	for _, p := range points {
		times = append(times, p.Time-1, p.Time, p.Time+1)
	}
	for _, at := range times {
		i := slices.IndexFunc(points, func(p flow.Point) bool { return p.Time >= at })
		got, err := s.FirstAt(ctx, c, at)
		if i < 0 {
			if !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("first of %s at %d = %v, %v; want ErrNotFound", c, at, got, err)
			}
		} else if err != nil || got != points[i] {
			t.Fatalf("first of %s at %d = %v, %v; want %v", c, at, got, err, points[i])
		}
	}
}

func verifyTxs(ctx context.Context, t tb, s store.Snapshot, c flow.Chain, want []flow.Block) {
	t.Helper()
	var at []flow.Pos
	var txs []flow.Tx
	named := map[flow.Hash]int{}
	for _, b := range want {
		for _, tx := range b.Txs {
			named[tx.ID]++
		}
	}
	for _, b := range want {
		for _, tx := range b.Txs {
			place := tx.At()
			place.Movement = uint32(len(at) % 3) // must be ignored
			at, txs = append(at, place), append(txs, tx)
			if tx.ID.IsZero() || named[tx.ID] > 1 {
				continue
			}
			got, err := s.Tx(ctx, c, tx.ID)
			if err != nil || !reflect.DeepEqual(plainTx(got), plainTx(tx)) {
				t.Fatalf("transaction %s = %+v, %v; want %+v", tx.ID, got, err, tx)
			}
			other := tx.ID
			other[31] ^= 0x80
			if _, err := s.Tx(ctx, c, other); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("transaction %s, which does not exist: error %v; want ErrNotFound", other, err)
			}
		}
	}
	slices.Reverse(at)
	slices.Reverse(txs)
	if len(at) > 0 {
		at, txs = append(at, at[0]), append(txs, txs[0])
	}
	got, err := s.TxAt(ctx, c, at)
	if err != nil || len(got) != len(txs) {
		t.Fatalf("transactions of %s at %v = %d of them, %v; want %d", c, at, len(got), err, len(txs))
	}
	for i := range got {
		if !reflect.DeepEqual(plainTx(got[i]), plainTx(txs[i])) {
			t.Fatalf("transaction of %s at %v = %+v; want %+v", c, at[i], got[i], txs[i])
		}
	}
	for _, b := range want {
		next := uint32(0)
		for _, tx := range b.Txs {
			if tx.Index > next {
				break
			}
			next = tx.Index + 1
		}
		nowhere := flow.Pos{Height: b.Point.Height, Tx: next}
		if _, err := s.TxAt(ctx, c, []flow.Pos{nowhere}); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("transaction of %s at %v, which does not exist: error %v; want ErrNotFound", c, nowhere, err)
		}
	}
}

// verifyIDs returns the account of every ID.
func verifyIDs(ctx context.Context, t tb, s store.Snapshot, c flow.Chain, want []flow.Block) map[store.ID]flow.Account {
	t.Helper()
	seen := map[flow.Account]bool{}
	for _, b := range want {
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				for _, l := range slices.Concat(m.In, m.Out) {
					seen[l.Account] = true
				}
			}
		}
	}
	accounts := []flow.Account{{}}
	for n := range holders {
		accounts = append(accounts, holder(c, n))
	}
	for a := range seen {
		if !slices.Contains(accounts, a) {
			accounts = append(accounts, a)
		}
	}
	ids, err := s.IDs(ctx, c, accounts)
	if err != nil || len(ids) != len(accounts) {
		t.Fatalf("ids of %s: %d, %v; want %d", c, len(ids), err, len(accounts))
	}
	names := map[store.ID]flow.Account{}
	var given []store.ID
	var of []flow.Account
	for i, a := range accounts {
		if known := !a.IsZero() && seen[a]; known != (ids[i] != 0) {
			t.Fatalf("id of %s = %d; want one other than 0: %v", a, ids[i], known)
		}
		if ids[i] == 0 {
			continue
		}
		if b, twice := names[ids[i]]; twice {
			t.Fatalf("%s and %s both have the id %d", a, b, ids[i])
		}
		names[ids[i]] = a
		given, of = append(given, ids[i]), append(of, a)
	}
	given, of = append(given, 0), append(of, flow.Account{}) // 0 is nobody
	if got, err := s.Accounts(ctx, c, given); err != nil || !slices.Equal(got, of) {
		t.Fatalf("accounts %v of %s = %v, %v; want %v", given, c, got, err, of)
	}
	if got, err := s.Accounts(ctx, c, []store.ID{1 << 62}); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("account with an id that was never given out = %v, %v; want ErrNotFound", got, err)
	}
	return names
}

// A named entry is an entry of one account with the account of the other side instead of its ID.
type namedEntry struct {
	store.Entry
	Across flow.Account
}

// entriesOf are the entries that a store must have for a.
func entriesOf(a flow.Account, blocks []flow.Block) []namedEntry {
	var all []namedEntry
	for _, b := range blocks {
		for _, tx := range b.Txs {
			for i, m := range tx.Movements {
				e := store.Entry{Pos: flow.Pos{Height: b.Point.Height, Tx: tx.Index, Movement: uint32(i)}, Asset: m.Asset, Index: m.Index, Kind: m.Kind}
				e.Many = len(m.In) > 1 || len(m.Out) > 1 || len(m.In) == 1 && m.In[0].Account.IsZero()
				simple := !e.Many && len(m.In) == 1 && len(m.Out) == 1
				for k, l := range m.In {
					if l.Account == a {
						n := namedEntry{Entry: e}
						n.Amount, n.Leg, n.Gives = l.Amount, uint32(k), true
						if simple {
							n.Across = m.Out[0].Account
						}
						all = append(all, n)
					}
				}
				for k, l := range m.Out {
					if l.Account == a {
						n := namedEntry{Entry: e}
						n.Amount, n.Leg = l.Amount, uint32(k)
						if simple {
							n.Across = m.In[0].Account
						}
						all = append(all, n)
					}
				}
			}
		}
	}
	return all
}

func verifyEntries(ctx context.Context, t tb, s store.Snapshot, c flow.Chain, blocks []flow.Block, names map[store.ID]flow.Account) {
	t.Helper()
	asks := []store.Ask{{Holder: 0}, {Holder: 0, Back: true}}
	want := [][]namedEntry{nil, nil}
	for id, a := range names {
		all := entriesOf(a, blocks)
		asks, want = append(asks, store.Ask{Holder: id}), append(want, all)
		turned := slices.Clone(all)
		slices.Reverse(turned)
		asks, want = append(asks, store.Ask{Holder: id, Back: true}), append(want, turned)
		for limit := 1; limit <= len(all)+1; limit += 1 + limit/2 {
			asks = append(asks, store.Ask{Holder: id, Back: true, Limit: limit})
			want = append(want, turned[:min(limit, len(turned))])
		}
		for i, e := range all {
			after := e.Pos
			after.Movement++
			rest := slices.IndexFunc(all, func(o namedEntry) bool { return o.Pos.Compare(after) >= 0 })
			if rest < 0 {
				rest = len(all)
			}
			first := slices.IndexFunc(all, func(o namedEntry) bool { return o.Pos == e.Pos })
			asks = append(asks,
				store.Ask{Holder: id, From: e.Pos},
				store.Ask{Holder: id, From: after},
				store.Ask{Holder: id, From: e.Pos, Limit: 1 + i%3})
			want = append(want, all[first:], all[rest:], all[first:min(first+1+i%3, len(all))])
			if e.Pos.Height < math.MaxUint64 {
				next := slices.IndexFunc(all, func(o namedEntry) bool { return o.Pos.Height > e.Pos.Height })
				var one []namedEntry
				if next >= 0 {
					one = all[next : next+1]
				}
				asks, want = append(asks, store.Ask{Holder: id, From: flow.Pos{Height: e.Pos.Height + 1}, Limit: 1}), append(want, one)
			}
			for _, from := range []flow.Pos{e.Pos, after, {Height: e.Pos.Height, Tx: math.MaxUint32, Movement: math.MaxUint32}} {
				if from == (flow.Pos{}) {
					continue // back from the zero place is back from the end
				}
				at := slices.IndexFunc(turned, func(o namedEntry) bool { return o.Pos.Compare(from) <= 0 })
				asks = append(asks, store.Ask{Holder: id, From: from, Back: true}, store.Ask{Holder: id, From: from, Back: true, Limit: 1 + i%3})
				want = append(want, turned[at:], turned[at:min(at+1+i%3, len(turned))])
			}
		}
	}
	got := make([][]namedEntry, len(asks))
	times := make([]int, len(asks))
	var mu sync.Mutex
	err := s.Entries(ctx, c, asks, func(i int, entries []store.Entry) error {
		mu.Lock()
		defer mu.Unlock()
		times[i]++
		for _, e := range entries {
			across := names[e.Other]
			if e.Other != 0 && across.IsZero() {
				return fmt.Errorf("entry %+v: the other side is nobody's id", e)
			}
			e.Other = 0
			got[i] = append(got[i], namedEntry{e, across})
		}
		return nil
	})
	if err != nil {
		t.Fatalf("entries of %s: %v", c, err)
	}
	for i, ask := range asks {
		if times[i] != 1 || !slices.Equal(got[i], want[i]) {
			t.Fatalf("entries of %s for %+v, visited %d times =\n%+v\nwant\n%+v", names[ask.Holder], ask, times[i], got[i], want[i])
		}
	}
}

func verifyCoins(ctx context.Context, t tb, s store.Snapshot, c flow.Chain, blocks []flow.Block) {
	t.Helper()
	if !c.IsUTXO() {
		return
	}
	var of []flow.Outpoint
	legs := map[flow.Outpoint]flow.Leg{}
	spent := map[flow.Outpoint]flow.Pos{}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			for i, l := range tx.Movements[0].Out {
				o := flow.Outpoint{Tx: tx.ID, Index: uint32(i)}
				of, legs[o] = append(of, o), l
			}
			beyond := flow.Outpoint{Tx: tx.ID, Index: uint32(len(tx.Movements[0].Out))}
			other := flow.Outpoint{Tx: tx.ID}
			other.Tx[31] ^= 0x80
			of = append(of, beyond, other)
			for _, o := range tx.Movements[0].Spent {
				of, spent[o] = append(of, o), tx.At()
			}
		}
	}
	got, err := s.Outputs(ctx, c, of)
	if err != nil || len(got) != len(of) {
		t.Fatalf("outputs of %s: %d, %v; want %d", c, len(got), err, len(of))
	}
	at, ok, err := s.Spends(ctx, c, of)
	if err != nil || len(at) != len(of) || len(ok) != len(of) {
		t.Fatalf("spends of %s: %d and %d, %v; want %d", c, len(at), len(ok), err, len(of))
	}
	for i, o := range of {
		if got[i] != legs[o] {
			t.Fatalf("output %s = %v; want %v", o, got[i], legs[o])
		}
		want, known := spent[o]
		if ok[i] != known || known && (at[i].Height != want.Height || at[i].Tx != want.Tx) {
			t.Fatalf("spend of %s = %v, %v; want %v, %v", o, at[i], ok[i], want, known)
		}
	}
}
