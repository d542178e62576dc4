package pebblestore

import (
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A hub whose long pieces of many parts lie in folds, in the head and in late segments between their blocks is read in
// order from anywhere, forwards and back, with and without a limit.
func TestHubFilled(t *testing.T) {
	t.Parallel()
	s := openMem(t, Options{SegmentMovements: 10_000})
	c := flow.Ethereum
	w := newWorkload(50)
	var held, late []flow.Block
	for h := range uint64(200) {
		p := flow.Point{Chain: c, Height: h, Hash: w.hash(), Time: int64(h)}
		b := flow.Block{Point: p}
		for i := range uint32(200) {
			b.Txs = append(b.Txs, flow.Tx{ID: w.hash(), Point: p, Index: i, Movements: []flow.Movement{
				flow.In1Out1(flow.Transfer, c.Native(), i, w.accounts[0], w.accounts[1+i%40], flow.NewAmount(h<<32|uint64(i)))}})
		}
		if h < 199 && (h < 20 || h%3 == 1 || 100 <= h && h < 150) {
			late = append(late, b)
		} else {
			held = append(held, b)
		}
	}
	if n, err := s.Append(t.Context(), held); n != len(held) || err != nil {
		t.Fatalf("append = %d, %v", n, err)
	}
	if err := s.Final(t.Context(), held[len(held)-1].Point); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]flow.Block{late[40:], late[:25], late[25:40]} { // two as tables, one through the log
		if n, err := s.Fill(t.Context(), part); n != len(part) || err != nil {
			t.Fatalf("fill = %d, %v; want %d", n, err, len(part))
		}
	}
	st, err := s.Stats()
	if err != nil || st.Segments < 5 || st.HeadBlocks == 0 || st.Blocks != 200 {
		t.Fatalf("stats = %+v, %v; want several segments, and a head", st, err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := snap.IDs(t.Context(), c, w.accounts[:1])
	if err != nil {
		t.Fatal(err)
	}
	ask := func(a store.Ask) (found []store.Entry) {
		a.Holder = ids[0]
		if err := snap.Entries(t.Context(), c, []store.Ask{a}, func(_ int, e []store.Entry) error { found = slices.Clone(e); return nil }); err != nil {
			t.Fatalf("entries %+v: %v", a, err)
		}
		return found
	}
	all := ask(store.Ask{})
	for i, e := range all {
		if want := (flow.Pos{Height: uint64(i) / 200, Tx: uint32(i) % 200}); e.Pos != want || e.Amount != flow.NewAmount(want.Height<<32|uint64(want.Tx)) {
			t.Fatalf("entry %d is %+v; want that at %v", i, e, want)
		}
	}
	if len(all) != 200*200 {
		t.Fatalf("the hub has %d entries; want %d", len(all), 200*200)
	}
	back := slices.Clone(all)
	slices.Reverse(back)
	if got := ask(store.Ask{Back: true}); !slices.Equal(got, back) {
		t.Fatalf("%d entries going back; want the same %d, reversed", len(got), len(back))
	}
	for i := 1; i < len(all); i += 997 { // back from the zero place is back from the end
		for _, limit := range []int{1, 300, 7000} {
			from := all[i].Pos
			if got, want := ask(store.Ask{From: from, Limit: limit}), all[i:min(i+limit, len(all))]; !slices.Equal(got, want) {
				t.Fatalf("%d entries from %v on are %d; want %d", limit, from, len(got), len(want))
			}
			k := len(all) - 1 - i
			if got, want := ask(store.Ask{From: from, Limit: limit, Back: true}), back[k:min(k+limit, len(all))]; !slices.Equal(got, want) {
				t.Fatalf("%d entries from %v back are %d; want %d", limit, from, len(got), len(want))
			}
		}
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
