// Package storetest is the conformance suite of the contract in store: every store that passes gives the same answers.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// Run holds a store against its contract. open opens a new, empty store that is durable without a Sync; the suite
// closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		test func(t *testing.T, st store.Store)
	}{
		{"empty", testEmpty},
		{"append", testAppend},
		{"append-several-chains", testAppendSeveral},
		{"undo", testUndo},
		{"undo-takes-everything-along", testUndoAll},
		{"undo-where-names-are-alike", testUndoAlike},
		{"final", testFinal},
		{"final-far", testFinalFar},
		{"wide-numbers", testWide},
		{"lowest-and-highest", testEdges},
		{"empty-blocks", testEmptyBlocks},
		{"twins", testTwins},
		{"refused", testRefused},
		{"large-block", testLarge},
		{"ids-stay", testIDsStay},
		{"visit", testVisit},
		{"snapshots", testSnapshots},
		{"readers-beside-the-writer", testReaders},
		{"fill", testFill},
		{"fill-in-any-order", testFillWhole},
		{"fill-keeps-ids", testFillIDs},
		{"fill-snapshots", testFillSnapshots},
		{"fill-beside-the-head", testFillBeside},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := open(t)
			tt.test(t, st)
			if err := st.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		})
	}
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("whole-blocks/seed-%d", seed), func(t *testing.T) {
			st := open(t)
			testWhole(t, st, seed)
			if err := st.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		})
	}
}

// put appends blocks, all of which must go on.
func put(t *testing.T, st store.Store, blocks ...flow.Block) {
	t.Helper()
	if n, err := st.Append(t.Context(), blocks); err != nil || n != len(blocks) {
		t.Fatalf("append of %d blocks from %s on = %d, %v", len(blocks), blocks[0].Point, n, err)
	}
}

// look runs f on a snapshot of now.
func look(t *testing.T, st store.Store, f func(ctx context.Context, s store.Snapshot)) {
	t.Helper()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	f(t.Context(), s)
	if err := s.Close(); err != nil {
		t.Fatalf("close the snapshot: %v", err)
	}
}

func testEmpty(t *testing.T, st store.Store) {
	if n, err := st.Append(t.Context(), nil); n != 0 || err != nil {
		t.Fatalf("append of nothing = %d, %v", n, err)
	}
	verifyNow(t.Context(), t, st, NewSeededMaker(1))
	for _, f := range []func(context.Context) error{st.Sync, st.Compact} {
		if err := f(t.Context()); err != nil {
			t.Fatalf("sync or compact of nothing: %v", err)
		}
	}
	if err := st.Undo(t.Context(), flow.Point{Chain: Ethereum, Height: 1}); !errors.Is(err, store.ErrNotHead) {
		t.Fatalf("undo of nothing: error %v; want ErrNotHead", err)
	}
	if err := st.Final(t.Context(), flow.Point{Chain: Ethereum, Height: 1}); err == nil {
		t.Fatalf("final of a block that is not there: no error")
	}
	verifyNow(t.Context(), t, st, NewSeededMaker(1))
}

// row is an empty block of Ethereum.
func row(height uint64, hash, parent uint64) flow.Block {
	b := flow.Block{Point: flow.Point{Chain: Ethereum, Height: height, Hash: numbered(hash), Time: int64(1000 + height)}}
	if parent != 0 {
		b.Parent = numbered(parent)
	}
	return b
}

func testAppend(t *testing.T, st store.Store) {
	m := NewSeededMaker(2)
	steps := []struct {
		name   string
		blocks []flow.Block
		n      int // this many go on
		bad    bool
	}{
		{"first-at-any-height", []flow.Block{row(7, 70, 60)}, 1, false},
		{"duplicate", []flow.Block{row(7, 70, 60)}, 0, false},
		{"duplicate-with-another-parent-is-the-same-block", []flow.Block{row(7, 70, 61)}, 0, false},
		{"other-block-at-the-same-height", []flow.Block{row(7, 71, 60)}, 0, true},
		{"lower", []flow.Block{row(6, 60, 50)}, 0, true},
		{"not-a-child", []flow.Block{row(8, 80, 71)}, 0, true},
		{"child", []flow.Block{row(8, 80, 70)}, 1, false},
		{"child-without-parent", []flow.Block{row(9, 90, 0)}, 1, false},
		{"over-a-hole", []flow.Block{row(12, 120, 110)}, 1, false},
		{"into-the-hole", []flow.Block{row(11, 110, 0)}, 0, true},
		{"duplicates-in-a-row", []flow.Block{row(12, 120, 110), row(13, 130, 120), row(13, 130, 120), row(14, 140, 130)}, 2, false},
		{"stops-at-the-first-bad", []flow.Block{row(15, 150, 140), row(16, 160, 151), row(17, 170, 0)}, 1, true},
		{"goes-on-after-it", []flow.Block{row(16, 160, 150)}, 1, false},
		{"an-old-block-is-no-duplicate", []flow.Block{row(15, 150, 140)}, 0, true},
	}
	for _, step := range steps {
		n, err := st.Append(t.Context(), step.blocks)
		if n != step.n || errors.Is(err, store.ErrNotHead) != step.bad || !step.bad && err != nil {
			t.Fatalf("%s: append = %d, %v; want %d, ErrNotHead: %v", step.name, n, err, step.n, step.bad)
		}
		for _, b := range step.blocks {
			made := m.Blocks(Ethereum)
			if n > 0 && (len(made) == 0 || b.Point.Height > made[len(made)-1].Point.Height) {
				m.Push(b)
				n--
			}
		}
		verifyNow(t.Context(), t, st, m)
	}
	// A parent that the tip cannot be compared with is not held against the block.
	b := row(17, 0, 160)
	b.Point.Hash = flow.Hash{}
	put(t, st, b, row(18, 180, 171))
}

func testAppendSeveral(t *testing.T, st store.Store) {
	m := NewSeededMaker(3)
	var batch []flow.Block
	for range 5 {
		for _, c := range Chains() {
			batch = append(batch, m.Next(c))
		}
	}
	put(t, st, batch...)
	verifyNow(t.Context(), t, st, m)
	stranger := m.Propose(BSC)
	stranger.Point.Height, stranger.Txs = 0, nil
	fits := m.Next(Ethereum)
	if n, err := st.Append(t.Context(), []flow.Block{fits, stranger, m.Propose(Regtest)}); n != 1 || !errors.Is(err, store.ErrNotHead) {
		t.Fatalf("append with a block that does not fit in the middle = %d, %v; want 1, ErrNotHead", n, err)
	}
	verifyNow(t.Context(), t, st, m)
}

func testWhole(t *testing.T, st store.Store, seed uint64) {
	m := NewSeededMaker(seed)
	for round := range 8 {
		var batch []flow.Block
		for _, c := range Chains() {
			for range m.pick(5) {
				batch = append(batch, m.Next(c))
			}
		}
		put(t, st, batch...)
		if round%3 == 2 {
			c := Chains()[m.pick(4)]
			blocks := m.Blocks(c)
			if len(blocks) > 0 {
				if err := st.Final(t.Context(), blocks[m.pick(len(blocks))].Point); err != nil {
					t.Fatalf("final: %v", err)
				}
			}
			verifyNow(t.Context(), t, st, m)
			if err := st.Compact(t.Context()); err != nil {
				t.Fatalf("compact: %v", err)
			}
		}
		verifyNow(t.Context(), t, st, m)
	}
}

func testWide(t *testing.T, st store.Store) {
	c := Ethereum
	most := flow.AmountFromWords([4]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1})
	p := flow.Point{Chain: c, Height: 1 << 40, Hash: numbered(1), Time: 1 << 40}
	b := flow.Block{Point: p, Coverage: 1<<10 - 1}
	for _, index := range []uint32{0, 1<<16 - 1, 1 << 16, 1<<24 + 1, 1<<32 - 1} {
		tx := flow.Tx{ID: numbered(uint64(index) + 10), Point: p, Index: index}
		for _, i := range []uint32{0, 1<<32 - 1} {
			tx.Movements = append(tx.Movements, flow.In1Out1(flow.TokenMove, flow.Token(holder(c, 0)), i, holder(c, 1), holder(c, 2), most))
		}
		b.Txs = append(b.Txs, tx)
	}
	m := NewSeededMaker(4)
	m.Push(b)
	put(t, st, b)
	verifyNow(t.Context(), t, st, m)
}

func testLarge(t *testing.T, st store.Store) {
	m := NewSeededMaker(5)
	p := flow.Point{Chain: Regtest, Height: 3, Hash: numbered(1), Time: 1000}
	b := flow.Block{Point: p}
	wide := flow.Movement{Kind: flow.Reward, Asset: Regtest.Native()}
	for i := range 1500 {
		wide.Out = append(wide.Out, flow.Leg{Account: holder(Regtest, i%400), Amount: flow.NewAmount(uint64(i))})
	}
	b.Txs = append(b.Txs, flow.Tx{ID: numbered(2), Point: p, Movements: []flow.Movement{wide}})
	narrow := flow.Movement{Kind: flow.Transfer, Asset: Regtest.Native(), Out: []flow.Leg{{Account: holder(Regtest, 3), Amount: flow.NewAmount(9)}}}
	for i := range 700 {
		narrow.In = append(narrow.In, wide.Out[2*i])
		narrow.Spent = append(narrow.Spent, flow.Outpoint{Tx: numbered(2), Index: uint32(2 * i)})
	}
	b.Txs = append(b.Txs, flow.Tx{ID: numbered(3), Point: p, Index: 1, Movements: []flow.Movement{narrow}})
	m.Push(b)
	put(t, st, b)
	look(t, st, func(ctx context.Context, s store.Snapshot) {
		verifyBlocks(ctx, t, s, Regtest, m.Blocks(Regtest))
		verifyTxs(ctx, t, s, Regtest, m.Blocks(Regtest))
		verifyIDs(ctx, t, s, Regtest, m.Blocks(Regtest))
		verifyCoins(ctx, t, s, Regtest, m.Blocks(Regtest))
	})
}

// testIDsStay: what a reader has learned of an ID stays true while blocks arrive and are folded.
func testIDsStay(t *testing.T, st store.Store) {
	m := NewSeededMaker(6)
	known := map[flow.Account]store.ID{}
	for round := range 12 {
		for _, c := range Chains() {
			put(t, st, m.Next(c))
		}
		if round%4 == 3 {
			if err := st.Compact(t.Context()); err != nil {
				t.Fatalf("compact: %v", err)
			}
		}
		look(t, st, func(ctx context.Context, s store.Snapshot) {
			for _, c := range Chains() {
				for id, a := range verifyIDs(ctx, t, s, c, m.Blocks(c)) {
					if known[a] != 0 && known[a] != id {
						t.Fatalf("the id of %s was %d and is %d", a, known[a], id)
					}
					known[a] = id
				}
			}
		})
	}
}

func testVisit(t *testing.T, st store.Store) {
	m := NewSeededMaker(7)
	for range 20 {
		put(t, st, m.Next(BSC))
	}
	look(t, st, func(ctx context.Context, s store.Snapshot) {
		var asks []store.Ask
		for id := range verifyIDs(ctx, t, s, BSC, m.Blocks(BSC)) {
			asks = append(asks, store.Ask{Holder: id})
		}
		stop := errors.New("stop")
		if err := s.Entries(ctx, BSC, asks, func(int, []store.Entry) error { return stop }); !errors.Is(err, stop) {
			t.Fatalf("entries whose visitor fails: error %v; want the visitor's", err)
		}
		if err := s.Entries(ctx, BSC, nil, func(int, []store.Entry) error { return stop }); err != nil {
			t.Fatalf("entries of nobody: %v", err)
		}
		many := make([]store.Ask, 0, 5000)
		for i := range 5000 {
			many = append(many, asks[i%len(asks)])
		}
		var mu sync.Mutex
		seen := map[int]int{}
		err := s.Entries(ctx, BSC, many, func(i int, _ []store.Entry) error {
			mu.Lock()
			defer mu.Unlock()
			seen[i]++
			return nil
		})
		if err != nil || len(seen) != len(many) {
			t.Fatalf("entries of %d holders: %d visited, %v", len(many), len(seen), err)
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("question %d was answered %d times", i, n)
			}
		}
	})
}
