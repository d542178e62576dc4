package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// fill puts blocks in, all of which must go in.
func fill(t *testing.T, st store.Store, m *Maker, blocks ...flow.Block) {
	t.Helper()
	if n, err := st.Fill(t.Context(), blocks); err != nil || n != len(blocks) {
		t.Fatalf("fill of %d blocks from %s on = %d, %v", len(blocks), blocks[0].Point, n, err)
	}
	for _, b := range blocks {
		m.Insert(b)
	}
}

// testFill: what goes in, what is there already, and what is refused.
func testFill(t *testing.T, st store.Store) {
	m := NewSeededMaker(30)
	if n, err := st.Fill(t.Context(), nil); n != 0 || err != nil {
		t.Fatalf("fill of nothing = %d, %v", n, err)
	}
	if n, err := st.Fill(t.Context(), []flow.Block{row(5, 50, 40)}); n != 0 || !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("fill of a chain without blocks = %d, %v; want ErrNotFound", n, err)
	}
	for _, b := range []flow.Block{row(10, 100, 90), row(20, 200, 190), row(21, 210, 200), row(30, 300, 0)} {
		put(t, st, b)
		m.Push(b)
	}
	if n, err := st.Fill(t.Context(), []flow.Block{row(9, 90, 80)}); n != 0 || !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("fill where nothing is final = %d, %v; want ErrNotFound", n, err)
	}
	if err := st.Final(t.Context(), m.Blocks(Ethereum)[2].Point); err != nil {
		t.Fatalf("final: %v", err)
	}
	foreign := row(15, 150, 140)
	foreign.Txs = []flow.Tx{{Point: row(14, 140, 130).Point}}
	stranger := row(15, 150, 140)
	stranger.Txs = []flow.Tx{{Point: stranger.Point, Movements: []flow.Movement{flow.In1Out1(flow.Transfer, Ethereum.Native(), 0, holder(BSC, 0), holder(BSC, 1), flow.NewAmount(1))}}}
	nowhere := row(9, 90, 80)
	nowhere.Point.Chain = Text
	other := errors.New("another error")
	steps := []struct {
		name   string
		blocks []flow.Block
		n      int // this many go in
		err    error
	}{
		{"above-the-final-block", []flow.Block{row(25, 250, 240)}, 0, store.ErrNotFound},
		{"the-tip-is-passed-over", []flow.Block{row(30, 300, 0)}, 0, nil},
		{"another-block-at-the-tip", []flow.Block{row(30, 301, 0)}, 0, store.ErrNotFound},
		{"a-chain-without-blocks", []flow.Block{nowhere}, 0, store.ErrNotFound},
		{"held", []flow.Block{row(20, 200, 191)}, 0, nil},
		{"another-in-its-place", []flow.Block{row(20, 201, 190)}, 0, store.ErrFinal},
		{"not-the-parent-of-the-one-above", []flow.Block{row(19, 191, 180)}, 0, store.ErrFinal},
		{"not-a-child-of-the-one-below", []flow.Block{row(11, 110, 101)}, 0, store.ErrFinal},
		{"transaction-of-another-block", []flow.Block{foreign}, 0, other},
		{"account-of-another-chain", []flow.Block{stranger}, 0, other},
		{"right-below", []flow.Block{row(19, 190, 180)}, 1, nil},
		{"right-above", []flow.Block{row(11, 110, 100)}, 1, nil},
		{"in-the-middle", []flow.Block{row(15, 150, 141)}, 1, nil},
		{"below-the-first", []flow.Block{row(9, 90, 80)}, 1, nil},
		{"far-below", []flow.Block{row(3, 30, 20)}, 1, nil},
		{"without-parent", []flow.Block{row(8, 80, 0)}, 1, nil},
		{"not-the-parent-of-a-filled-one", []flow.Block{row(14, 140, 130)}, 0, store.ErrFinal},
		{"in-any-order", []flow.Block{row(17, 170, 160), row(16, 160, 150), row(18, 180, 170)}, 3, nil},
		{"children-in-one-batch", []flow.Block{row(5, 50, 40), row(6, 60, 51), row(7, 70, 60)}, 1, store.ErrFinal},
		{"goes-on-after-it", []flow.Block{row(5, 50, 40), row(6, 60, 50), row(6, 60, 50), row(4, 40, 30)}, 2, nil},
		{"stops-at-the-first", []flow.Block{row(13, 130, 120), row(14, 141, 130), row(25, 250, 240), row(12, 120, 110)}, 2, store.ErrNotFound},
	}
	for _, step := range steps {
		n, err := st.Fill(t.Context(), step.blocks)
		if n != step.n || step.err == other && class(err) != "another error" || step.err != other && !errors.Is(err, step.err) {
			t.Fatalf("%s: fill = %d, %v; want %d, %v", step.name, n, err, step.n, step.err)
		}
		for _, b := range step.blocks {
			if n > 0 && !m.holds(b.Point) {
				m.Insert(b)
				n--
			}
		}
		verifyNow(t.Context(), t, st, m)
	}
	put(t, st, row(31, 310, 300))
}

// testFillWhole: chains of which every block but the last comes in any order, some in one batch, hold what they would.
func testFillWhole(t *testing.T, st store.Store) {
	m, whole := NewSeededMaker(31), NewSeededMaker(32)
	var rest []flow.Block
	for _, c := range Chains() {
		for range 12 {
			rest = append(rest, whole.Next(c))
		}
		last := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		put(t, st, last)
		m.Push(last)
		if err := st.Final(t.Context(), last.Point); err != nil {
			t.Fatalf("final: %v", err)
		}
	}
	for len(rest) > 0 {
		var batch []flow.Block
		for range min(1+m.pick(5), len(rest)) {
			i, n := m.pick(len(rest)), len(rest)-1
			batch = append(batch, rest[i])
			rest[i], rest = rest[n], rest[:n]
		}
		fill(t, st, m, batch...)
		verifyNow(t.Context(), t, st, m)
	}
	if err := st.Compact(t.Context()); err != nil {
		t.Fatalf("compact: %v", err)
	}
	verifyNow(t.Context(), t, st, m)
}

// testFillIDs: an account keeps its ID whatever is filled in, and also when the block that brought it is undone and a
// filled one has it; what only undone blocks brought goes.
func testFillIDs(t *testing.T, st store.Store) {
	m := NewSeededMaker(33)
	pay := func(height, id uint64, from, to int) flow.Block {
		b := row(height, id, 0)
		b.Txs = []flow.Tx{{ID: numbered(1000 + id), Point: b.Point, Movements: []flow.Movement{
			flow.In1Out1(flow.TokenMove, flow.Token(holder(Ethereum, to)), 0, holder(Ethereum, from), holder(Ethereum, to), flow.NewAmount(id))}}}
		return b
	}
	ids := func() (all []store.ID) {
		look(t, st, func(ctx context.Context, s store.Snapshot) {
			var accounts []flow.Account
			for n := range 8 {
				accounts = append(accounts, holder(Ethereum, n))
			}
			var err error
			if all, err = s.IDs(ctx, Ethereum, accounts); err != nil {
				t.Fatalf("ids: %v", err)
			}
		})
		return all
	}
	for _, b := range []flow.Block{pay(10, 1, 0, 1), pay(20, 2, 1, 2), pay(21, 3, 2, 3), pay(22, 4, 4, 5)} {
		put(t, st, b)
		m.Push(b)
	}
	if err := st.Final(t.Context(), m.Blocks(Ethereum)[1].Point); err != nil {
		t.Fatalf("final: %v", err)
	}
	before := ids()
	fill(t, st, m, pay(15, 5, 4, 6), pay(16, 6, 6, 3)) // 3 and 4 are of blocks that can be undone, 6 is new
	verifyNow(t.Context(), t, st, m)
	after := ids()
	for n, id := range before {
		if id != 0 && after[n] != id {
			t.Fatalf("the ids were %v before the fill and are %v", before, after)
		}
	}
	for _, compact := range []bool{false, true} {
		if compact {
			if err := st.Compact(t.Context()); err != nil {
				t.Fatalf("compact: %v", err)
			}
		}
		undo(t, st, m, Ethereum)
		undo(t, st, m, Ethereum)
		verifyNow(t.Context(), t, st, m)
		for n, id := range ids() {
			if n != 5 && id != after[n] || n == 5 && id != 0 {
				t.Fatalf("the ids were %v and are %v after what brought 3, 4 and 5 was undone; want the same without that of 5", after, ids())
			}
		}
		for _, b := range []flow.Block{pay(21, 7, 5, 7), pay(22, 8, 4, 3)} {
			put(t, st, b)
			m.Push(b)
		}
		verifyNow(t.Context(), t, st, m)
	}
}

// testFillSnapshots: a snapshot does not see what is filled in later.
func testFillSnapshots(t *testing.T, st store.Store) {
	m := NewSeededMaker(34)
	for range 12 {
		put(t, st, m.Next(Regtest))
	}
	tip := m.Blocks(Regtest)[11].Point
	if err := st.Final(t.Context(), tip); err != nil {
		t.Fatalf("final: %v", err)
	}
	for range 6 {
		b, ok := m.Missing(Regtest)
		if !ok {
			break
		}
		s, err := st.Snapshot()
		if err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		then := m.Blocks(Regtest)
		fill(t, st, m, b)
		verify(t.Context(), t, s, Regtest, then)
		if err := s.Close(); err != nil {
			t.Fatalf("close the snapshot: %v", err)
		}
		verifyNow(t.Context(), t, st, m)
	}
}

// testFillBeside: one goroutine fills while another goes forward and back.
func testFillBeside(t *testing.T, st store.Store) {
	m, old := NewSeededMaker(35), NewSeededMaker(36)
	var below []flow.Block
	for range 20 {
		b := old.Next(Ethereum)
		below = append(below, b)
	}
	first := row(1000, 9_000, 0)
	first.Point.Time = 1_600_000_000
	put(t, st, first)
	m.Push(first)
	if err := st.Final(t.Context(), first.Point); err != nil {
		t.Fatalf("final: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range below {
			b := below[len(below)-1-i]
			if n, err := st.Fill(t.Context(), []flow.Block{b}); n != 1 || err != nil {
				done <- errors.Join(err, errors.New("not filled: "+b.Point.String()))
				return
			}
		}
		done <- nil
	}()
	for i := range 20 {
		put(t, st, m.Next(Ethereum), m.Next(Ethereum))
		if i%3 == 0 {
			undo(t, st, m, Ethereum)
		}
		if i%5 == 0 {
			made := m.Blocks(Ethereum)
			if err := st.Final(t.Context(), made[len(made)/2].Point); err != nil {
				t.Fatalf("final: %v", err)
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, b := range below {
		m.Insert(b)
	}
	verifyNow(t.Context(), t, st, m)
}
