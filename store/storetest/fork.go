package storetest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// undo takes the top block of c off the store and of the maker's record.
func undo(t *testing.T, st store.Store, m *Maker, c flow.Chain) {
	t.Helper()
	p, ok := m.Pop(c)
	if !ok {
		return
	}
	p.Time = 0 // who undoes knows height and hash
	if err := st.Undo(t.Context(), p); err != nil {
		t.Fatalf("undo %s: %v", p, err)
	}
}

func testUndo(t *testing.T, st store.Store) {
	m := NewSeededMaker(10)
	for range 3 {
		put(t, st, m.Next(Regtest), m.Next(Ethereum))
	}
	blocks := m.Blocks(Ethereum)
	tip := blocks[2].Point
	wrong := tip
	wrong.Hash[31] ^= 1
	higher := tip
	higher.Height++
	elsewhere := tip
	elsewhere.Chain = BSC
	for _, p := range []flow.Point{blocks[1].Point, blocks[0].Point, wrong, higher, elsewhere} {
		if err := st.Undo(t.Context(), p); !errors.Is(err, store.ErrNotHead) {
			t.Fatalf("undo %s where the tip is %s: error %v; want ErrNotHead", p, tip, err)
		}
	}
	verifyNow(t.Context(), t, st, m)
	for range 3 {
		undo(t, st, m, Ethereum)
		verifyNow(t.Context(), t, st, m)
	}
	put(t, st, m.Next(Ethereum)) // a chain that was emptied begins again, anywhere
	verifyNow(t.Context(), t, st, m)
}

// testUndoAll: what only an undone block brought is gone with it, and comes back when it comes back.
func testUndoAll(t *testing.T, st store.Store) {
	m := NewSeededMaker(11)
	first := flow.Block{Point: flow.Point{Chain: Regtest, Height: 1, Hash: numbered(1), Time: 5}}
	pay := func(p flow.Point, id uint64, spent []flow.Outpoint, in []flow.Leg, to int) flow.Tx {
		return flow.Tx{ID: numbered(id), Point: p, Index: uint32(id), Movements: []flow.Movement{{Kind: flow.Transfer, Asset: Regtest.Native(),
			In: in, Spent: spent, Out: []flow.Leg{{Account: holder(Regtest, to), Amount: flow.NewAmount(7)}}}}}
	}
	first.Txs = []flow.Tx{pay(first.Point, 10, nil, nil, 0)}
	second := flow.Block{Point: flow.Point{Chain: Regtest, Height: 2, Hash: numbered(2), Time: 6}, Parent: first.Point.Hash}
	coin := flow.Outpoint{Tx: numbered(10)}
	second.Txs = []flow.Tx{pay(second.Point, 20, []flow.Outpoint{coin}, first.Txs[0].Movements[0].Out, 1)}
	put(t, st, first)
	m.Push(first)
	for range 3 {
		put(t, st, second)
		m.Push(second)
		verifyNow(t.Context(), t, st, m)
		var id store.ID
		look(t, st, func(ctx context.Context, s store.Snapshot) {
			ids, err := s.IDs(ctx, Regtest, []flow.Account{holder(Regtest, 1)})
			if err != nil || ids[0] == 0 {
				t.Fatalf("id of the second holder = %v, %v", ids, err)
			}
			id = ids[0]
		})
		undo(t, st, m, Regtest)
		verifyNow(t.Context(), t, st, m)
		look(t, st, func(ctx context.Context, s store.Snapshot) {
			if _, err := s.Tx(ctx, Regtest, numbered(20)); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("an undone transaction: error %v; want ErrNotFound", err)
			}
			if legs, err := s.Outputs(ctx, Regtest, []flow.Outpoint{{Tx: numbered(20)}}); err != nil || legs[0] != (flow.Leg{}) {
				t.Fatalf("an undone output = %v, %v; want a zero Leg", legs, err)
			}
			if _, ok, err := s.Spends(ctx, Regtest, []flow.Outpoint{coin}); err != nil || ok[0] {
				t.Fatalf("an undone spend is still there: %v", err)
			}
			if _, err := s.Accounts(ctx, Regtest, []store.ID{id}); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("the id of an undone account: error %v; want ErrNotFound", err)
			}
		})
	}
}

// testUndoAlike: undoing one transaction leaves another alone whose id, block and holders have the same first bytes.
func testUndoAlike(t *testing.T, st store.Store) {
	m := NewSeededMaker(12)
	var below flow.Hash
	for i := range uint64(6) {
		same := func(n uint64) flow.Hash {
			h := flow.Hash{0: 's', 7: 's', 31: byte(n)}
			return h
		}
		p := flow.Point{Chain: Regtest, Height: i, Hash: same(i), Time: int64(i)}
		b := flow.Block{Point: p, Parent: below}
		below = p.Hash
		for k := range uint32(3) {
			v := flow.Movement{Kind: flow.Transfer, Asset: Regtest.Native(),
				Spent: []flow.Outpoint{{Tx: same(100 + i), Index: k}}, In: []flow.Leg{{}},
				Out: []flow.Leg{{Account: must(flow.UTXOAccount(Regtest, flow.PayToScript, append(make([]byte, 31), byte(i))))}}}
			b.Txs = append(b.Txs, flow.Tx{ID: same(50 + 3*i + uint64(k)), Point: p, Index: k, Movements: []flow.Movement{v}})
		}
		put(t, st, b)
		m.Push(b)
	}
	for range 6 {
		verifyNow(t.Context(), t, st, m)
		undo(t, st, m, Regtest)
	}
	verifyNow(t.Context(), t, st, m)
}

func testFinal(t *testing.T, st store.Store) {
	m := NewSeededMaker(13)
	for range 5 {
		put(t, st, m.Next(Ethereum), m.Next(BSC))
	}
	blocks := m.Blocks(Ethereum)
	wrong := blocks[4].Point
	wrong.Hash[31] ^= 1
	higher := blocks[4].Point
	higher.Height++
	for _, p := range []flow.Point{wrong, higher} {
		if err := st.Final(t.Context(), p); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("final %s, which is not there: error %v; want ErrNotFound", p, err)
		}
	}
	for _, i := range []int{1, 2, 2, 0} { // the same and an older block again change nothing
		if err := st.Final(t.Context(), blocks[i].Point); err != nil {
			t.Fatalf("final %s: %v", blocks[i].Point, err)
		}
	}
	undo(t, st, m, Ethereum)
	undo(t, st, m, Ethereum)
	verifyNow(t.Context(), t, st, m)
	if err := st.Undo(t.Context(), blocks[2].Point); !errors.Is(err, store.ErrFinal) {
		t.Fatalf("undo of a final block: error %v; want ErrFinal", err)
	}
	for range 5 {
		undo(t, st, m, BSC) // another chain's finality is its own
	}
	verifyNow(t.Context(), t, st, m)
	put(t, st, m.Next(Ethereum), m.Next(BSC))
	if err := st.Compact(t.Context()); err != nil {
		t.Fatalf("compact: %v", err)
	}
	verifyNow(t.Context(), t, st, m)
	undo(t, st, m, Ethereum) // compaction declares nothing final
	if err := st.Undo(t.Context(), blocks[2].Point); !errors.Is(err, store.ErrFinal) {
		t.Fatalf("undo of a final block after compaction: error %v; want ErrFinal", err)
	}
	verifyNow(t.Context(), t, st, m)
}

// testSnapshots: a snapshot shows what was there when it was taken, whatever happens later.
func testSnapshots(t *testing.T, st store.Store) {
	m := NewSeededMaker(14)
	type view struct {
		s store.Snapshot
		m Maker
	}
	var views []view
	for round := range 12 {
		for _, c := range Chains() {
			if round%4 == 3 {
				undo(t, st, m, c)
				undo(t, st, m, c)
			}
			put(t, st, m.Next(c))
		}
		if round == 6 {
			if err := st.Final(t.Context(), m.Blocks(BSC)[1].Point); err != nil {
				t.Fatalf("final: %v", err)
			}
			if err := st.Compact(t.Context()); err != nil {
				t.Fatalf("compact: %v", err)
			}
		}
		s, err := st.Snapshot()
		if err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		then := NewSeededMaker(0)
		for _, c := range Chains() {
			then.made[c] = m.Blocks(c)
		}
		views = append(views, view{s, *then})
	}
	for _, v := range views {
		verifyAll(t.Context(), t, v.s, &v.m)
		if err := v.s.Close(); err != nil {
			t.Fatalf("close the snapshot: %v", err)
		}
	}
}

// testReaders: any number read while one writes, and each sees one state only.
func testReaders(t *testing.T, st store.Store) {
	m := NewSeededMaker(15)
	var wait sync.WaitGroup
	for round := range 6 {
		for _, c := range Chains() {
			put(t, st, m.Next(c))
		}
		s, err := st.Snapshot()
		if err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		want := m.Blocks(Regtest)
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() { verify(t.Context(), reporter{t}, s, Regtest, want) })
		}
		wait.Go(func() {
			readers.Wait()
			if err := s.Close(); err != nil {
				t.Errorf("close the snapshot: %v", err)
			}
		})
		if round%2 == 1 {
			undo(t, st, m, Regtest)
		}
	}
	wait.Wait()
	verifyNow(t.Context(), t, st, m)
}

// A reporter reports the failure of a goroutine that may not end the test, and ends the goroutine.
type reporter struct{ t *testing.T }

func (r reporter) Helper() {}

func (r reporter) Fatalf(format string, args ...any) {
	r.t.Errorf(format, args...)
	runtime.Goexit()
}
