package storetest

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// foldAll declares the tip of c final and folds it.
func foldAll(t *testing.T, st store.Store, m *Maker, c flow.Chain) {
	t.Helper()
	made := m.Blocks(c)
	if err := st.Final(t.Context(), made[len(made)-1].Point); err != nil {
		t.Fatalf("final: %v", err)
	}
	if err := st.Compact(t.Context()); err != nil {
		t.Fatalf("compact: %v", err)
	}
}

// testEdges: the lowest and the highest numbers, with what is folded and with what is not.
func testEdges(t *testing.T, st store.Store) {
	m := NewSeededMaker(16)
	pay := func(p flow.Point, index uint32, moves int) flow.Tx {
		tx := flow.Tx{ID: numbered(p.Height + uint64(index)), Point: p, Index: index}
		for i := range moves {
			tx.Movements = append(tx.Movements, flow.In1Out1(flow.Transfer, Ethereum.Native(), uint32(i), holder(Ethereum, i%3), holder(Ethereum, 1+i%5), flow.NewAmount(uint64(i))))
		}
		return tx
	}
	blocks := []flow.Block{
		{Point: flow.Point{Chain: Ethereum, Height: 0, Hash: numbered(1), Time: math.MinInt64}},
		{Point: flow.Point{Chain: Ethereum, Height: 1, Hash: numbered(2), Time: -5}},
		{Point: flow.Point{Chain: Ethereum, Height: math.MaxUint64 - 1, Hash: numbered(3), Time: 0}},
		{Point: flow.Point{Chain: Ethereum, Height: math.MaxUint64, Hash: numbered(4), Time: math.MaxInt64}},
	}
	for i, b := range blocks {
		switch i {
		case 0:
			b.Txs = []flow.Tx{pay(b.Point, math.MaxUint32, 2)}
		case 1:
			b.Txs = []flow.Tx{pay(b.Point, 0, 70), pay(b.Point, math.MaxUint32-1, 0), pay(b.Point, math.MaxUint32, 64)}
		case 3:
			for n := range uint32(130) {
				b.Txs = append(b.Txs, pay(b.Point, n, 1))
			}
			b.Txs = append(b.Txs, pay(b.Point, math.MaxUint32, 3))
		}
		put(t, st, b)
		m.Push(b)
		verifyNow(t.Context(), t, st, m)
		if i%2 == 1 {
			foldAll(t, st, m, Ethereum)
			verifyNow(t.Context(), t, st, m)
		}
	}
	if n, err := st.Append(t.Context(), []flow.Block{row(0, 9, 4)}); n != 0 || !errors.Is(err, store.ErrNotHead) {
		t.Fatalf("append above the highest height = %d, %v; want ErrNotHead", n, err)
	}
}

// testEmptyBlocks: blocks of nothing are blocks, in segments and out of them.
func testEmptyBlocks(t *testing.T, st store.Store) {
	m := NewSeededMaker(17)
	for i := range uint64(12) {
		b := row(2*i, 10+i, 0)
		put(t, st, b)
		m.Push(b)
		if i == 2 || i == 6 {
			foldAll(t, st, m, Ethereum)
		}
		verifyNow(t.Context(), t, st, m)
	}
	for range 3 { // above the last that was folded
		undo(t, st, m, Ethereum)
		verifyNow(t.Context(), t, st, m)
	}
}

// testTwins: of several transactions with one id, as the coinbases of two early pairs of Bitcoin blocks, the newest is
// found by it, and undoing it brings the one before back. All are found by place.
func testTwins(t *testing.T, st store.Store) {
	id := numbered(77)
	coin := flow.Outpoint{Tx: id}
	block := func(height uint64, to int, spent ...flow.Outpoint) flow.Block {
		p := flow.Point{Chain: Regtest, Height: height, Hash: numbered(100 + height), Time: int64(height)}
		v := flow.Movement{Kind: flow.Reward, Asset: Regtest.Native(), Out: []flow.Leg{{Account: holder(Regtest, to), Amount: flow.NewAmount(height)}}}
		txs := []flow.Tx{{ID: id, Point: p, Movements: []flow.Movement{v}}}
		if len(spent) > 0 {
			v.Kind, v.Spent, v.In = flow.Transfer, spent, make([]flow.Leg, len(spent))
			txs[0].ID, txs[0].Movements = numbered(200+height), []flow.Movement{v}
		}
		return flow.Block{Point: p, Txs: txs}
	}
	check := func(newest uint64, spender uint64) {
		t.Helper()
		look(t, st, func(ctx context.Context, s store.Snapshot) {
			tx, err := s.Tx(ctx, Regtest, id)
			if err != nil || tx.Point.Height != newest {
				t.Fatalf("transaction with the id of several = %+v, %v; want that of block %d", tx, err, newest)
			}
			legs, err := s.Outputs(ctx, Regtest, []flow.Outpoint{coin})
			if err != nil || legs[0].Amount != flow.NewAmount(newest) {
				t.Fatalf("output of several = %v, %v; want that of block %d", legs, err, newest)
			}
			at, ok, err := s.Spends(ctx, Regtest, []flow.Outpoint{coin})
			if err != nil || ok[0] != (spender > 0) || at[0].Height != spender {
				t.Fatalf("spend of several = %v, %v, %v; want block %d", at, ok, err, spender)
			}
			for h := range newest + 1 {
				if txs, err := s.TxAt(ctx, Regtest, []flow.Pos{{Height: h}}); err != nil || txs[0].Point.Height != h {
					t.Fatalf("transaction of block %d = %+v, %v", h, txs, err)
				}
			}
		})
	}
	m := NewSeededMaker(0)
	for _, b := range []flow.Block{block(0, 0), block(1, 1, coin), block(2, 2)} {
		put(t, st, b)
		m.Push(b)
	}
	check(2, 1)
	foldAll(t, st, m, Regtest)
	check(2, 1)
	put(t, st, block(3, 3), block(4, 4, coin))
	look(t, st, func(ctx context.Context, s store.Snapshot) {
		if at, ok, err := s.Spends(ctx, Regtest, []flow.Outpoint{coin}); err != nil || !ok[0] || at[0].Height != 4 {
			t.Fatalf("second spend of several = %v, %v, %v; want block 4", at, ok, err)
		}
	})
	for _, h := range []uint64{4, 3} {
		if err := st.Undo(t.Context(), block(h, 0).Point); err != nil {
			t.Fatalf("undo: %v", err)
		}
	}
	check(2, 1)
}

// testRefused: a block that names accounts of another chain is no block of this one, and leaves nothing behind.
func testRefused(t *testing.T, st store.Store) {
	m := NewSeededMaker(18)
	put(t, st, m.Next(Ethereum))
	good := m.Next(Ethereum)
	bad := row(good.Point.Height+1, 900, 0)
	bad.Txs = []flow.Tx{{ID: numbered(901), Point: bad.Point, Movements: []flow.Movement{
		flow.In1Out1(flow.Transfer, Ethereum.Native(), 0, must(flow.ParseAccountOn(Ethereum, "0x00000000000000000000000000000000000000aa")), holder(Ethereum, 1), flow.NewAmount(1)),
		flow.In1Out1(flow.Transfer, Ethereum.Native(), 0, holder(Ethereum, 0), holder(BSC, 1), flow.NewAmount(1))}}}
	for range 2 {
		if n, err := st.Append(t.Context(), []flow.Block{good, bad, m.Propose(Ethereum)}); err == nil || n > 1 {
			t.Fatalf("append with an account of another chain = %d, %v; want an error", n, err)
		}
		verifyNow(t.Context(), t, st, m)
	}
	unplaced := row(good.Point.Height+1, 900, 0)
	unplaced.Txs = []flow.Tx{{ID: numbered(901)}}
	unsorted := row(good.Point.Height+1, 900, 0)
	unsorted.Txs = []flow.Tx{{Point: unsorted.Point, Index: 3}, {Point: unsorted.Point, Index: 3}}
	stranger, nobody := row(good.Point.Height+1, 900, 0), row(good.Point.Height+1, 900, 0)
	stranger.Txs = []flow.Tx{{ID: numbered(901), Point: stranger.Point, Logs: []flow.Log{{Contract: holder(BSC, 1)}}}}
	nobody.Txs = []flow.Tx{{ID: numbered(901), Point: nobody.Point, Logs: []flow.Log{{}}}}
	for _, b := range []flow.Block{unplaced, unsorted, stranger, nobody, {}} {
		if n, err := st.Append(t.Context(), []flow.Block{b}); err == nil || n != 0 {
			t.Fatalf("append of %+v = %d, %v; want an error", b, n, err)
		}
	}
	verifyNow(t.Context(), t, st, m)
}

// testFinalFar: finality far below and above what is held.
func testFinalFar(t *testing.T, st store.Store) {
	m := NewSeededMaker(19)
	for i := range uint64(5) {
		b := row(10+10*i, 10+i, 0)
		put(t, st, b)
		m.Push(b)
	}
	for _, h := range []uint64{0, 9, 15, 51, math.MaxUint64} {
		p := flow.Point{Chain: Ethereum, Height: h, Hash: numbered(10)}
		if err := st.Final(t.Context(), p); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("final of block %d, which is not held: error %v; want ErrNotFound", h, err)
		}
	}
	for range 2 { // nothing of that was taken for said
		undo(t, st, m, Ethereum)
	}
	foldAll(t, st, m, Ethereum)
	if err := st.Final(t.Context(), m.Blocks(Ethereum)[0].Point); err != nil {
		t.Fatalf("final of a block far below: %v", err)
	}
	b := row(31, 900, 0)
	put(t, st, b)
	m.Push(b)
	undo(t, st, m, Ethereum)
	top := m.Blocks(Ethereum)[2].Point
	if err := st.Undo(t.Context(), top); !errors.Is(err, store.ErrFinal) {
		t.Fatalf("undo of %s, which is final: error %v; want ErrFinal", top, err)
	}
	verifyNow(t.Context(), t, st, m)
}
