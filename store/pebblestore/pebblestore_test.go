package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

func openMem(t *testing.T, o Options) *Store {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	o.CacheBytes = 1 << 20
	s, err := Open("store", o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openMem(t, Options{}) })
}

// With segments of a few movements every answer is put together from many segments and a head.
func TestStoreOfSmallSegments(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return openMem(t, Options{SegmentMovements: 3, fewMoves: 2}) })
}

func TestSame(t *testing.T) {
	t.Parallel()
	storetest.RunSame(t, func(*testing.T) store.Store { return memstore.New() }, func(t *testing.T) store.Store {
		return openMem(t, Options{SegmentMovements: 5, fewMoves: 3}) // what is filled in goes both ways: through the log, and as tables
	})
}

func TestDurable(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{SegmentMovements: 5}, {SegmentMovements: 5, fewMoves: 2}, {Bulk: true, SegmentMovements: 5}} {
		fs := vfs.NewMem()
		storetest.RunDurable(t, func(t *testing.T, dir string) store.Store {
			o := o
			o.FS, o.CacheBytes = fs, 1<<20
			s, err := Open(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
	}
}

func TestFormat(t *testing.T) {
	fs := vfs.NewMem()
	s := openMem(t, Options{FS: fs})
	if err := s.db.Set([]byte{keyFormat}, append(binary.AppendUvarint(nil, formatVersion+6), make([]byte, 32)...), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open("store", Options{FS: fs})
	if !errors.Is(err, store.ErrFormat) || !strings.Contains(err.Error(), fmt.Sprintf("has version %d, this program reads versions %d and %d", formatVersion+6, formatVersion, filledVersion)) {
		t.Fatalf("open of another format: %v", err)
	}
	if _, err := Open("store", Options{FS: fs}); !errors.Is(err, store.ErrFormat) {
		t.Fatalf("the failed open kept the lock: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{CacheBytes: 1 << 20, MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("second open of %s: %v; want that it is in use", dir, err)
	}
	if n, err := s.Append(t.Context(), []flow.Block{storetest.NewSeededMaker(1).Next(storetest.Ethereum)}); n != 1 || err != nil {
		t.Fatalf("append on a real disk = %d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatalf("open after close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), nil); err == nil {
		t.Fatal("append to a closed store: no error")
	}
	if _, err := s.Snapshot(); err == nil {
		t.Fatal("snapshot of a closed store: no error")
	}
}

// A disk that fills up stops the store before anything is half-written, and it goes on when there is room again.
func TestFull(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		free := uint64(1 << 40)
		s := openMem(t, Options{Bulk: bulk, SegmentMovements: 40, MinFreeBytes: 1 << 20, freeSpace: func() (uint64, error) { return free, nil }})
		m := storetest.NewSeededMaker(3)
		want := memstore.New()
		put := func(final bool) {
			t.Helper()
			b := m.Next(storetest.Ethereum)
			if n, err := s.Append(t.Context(), []flow.Block{b}); n != 1 || err != nil {
				t.Fatalf("append = %d, %v", n, err)
			}
			if _, err := want.Append(t.Context(), []flow.Block{b}); err != nil {
				t.Fatal(err)
			}
			if final {
				if err := s.Final(t.Context(), b.Point); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 30 {
			put(false)
		}
		free = 1<<20 - 1
		next := m.Propose(storetest.Ethereum)
		if n, err := s.Append(t.Context(), []flow.Block{next}); n != 0 || !errors.Is(err, store.ErrFull) {
			t.Fatalf("append to a full disk = %d, %v; want ErrFull", n, err)
		}
		blocks := m.Blocks(storetest.Ethereum)
		if err := s.Final(t.Context(), blocks[20].Point); err != nil && !errors.Is(err, store.ErrFull) {
			t.Fatalf("final on a full disk: %v", err)
		}
		if err := s.Compact(t.Context()); !errors.Is(err, store.ErrFull) {
			t.Fatalf("compact on a full disk: %v; want ErrFull", err)
		}
		if err := s.Final(t.Context(), blocks[29].Point); err != nil && !errors.Is(err, store.ErrFull) {
			t.Fatalf("final on a full disk: %v", err)
		}
		missing, ok := m.Missing(storetest.Ethereum)
		if n, err := s.Fill(t.Context(), []flow.Block{missing}); !ok || n != 0 || !errors.Is(err, store.ErrFull) {
			t.Fatalf("fill on a full disk = %d, %v; want ErrFull", n, err)
		}
		compare(t, "full", s, want)
		free = 1 << 40
		put(true)
		if err := s.Compact(t.Context()); err != nil {
			t.Fatalf("compact with room again: %v", err)
		}
		compare(t, "room again", s, want)
		if st, err := s.Stats(); err != nil || st.Segments == 0 || st.Blocks != 31 {
			t.Fatalf("stats = %+v, %v; want 31 blocks, some in segments", st, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that is full at any moment changes nothing of what is there: what was put on is put on, what was not is not, and
// both are found again when the store is opened.
func TestFullAnywhere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		rate := 0 // of moments without room
		free := func() (uint64, error) {
			if rate > 0 && rnd.IntN(rate) == 0 {
				return 0, nil
			}
			return 1 << 40, nil
		}
		o := Options{Bulk: seed%2 == 1, SegmentMovements: 8, MinFreeBytes: 1, freeSpace: free, FS: vfs.NewMem()}
		s, m, c := openMem(t, o), storetest.NewSeededMaker(seed), storetest.Ethereum
		rate = 3
		final, full := uint64(0), 0
		check := func(what string, err error) bool {
			t.Helper()
			if err != nil && !errors.Is(err, store.ErrFull) {
				t.Fatalf("seed %d: %s: %v", seed, what, err)
			}
			if err != nil {
				full++
			}
			return err == nil
		}
		for range 120 {
			made := m.Blocks(c)
			switch n := rnd.IntN(8); {
			case n == 0 && len(made) > 0:
				final = max(final, made[rnd.IntN(len(made))].Point.Height)
				for _, b := range made {
					if b.Point.Height == final {
						check("final", s.Final(t.Context(), b.Point))
					}
				}
			case n == 1 && len(made) > 0 && made[len(made)-1].Point.Height > final:
				if p, _ := m.Pop(c); !check("undo", s.Undo(t.Context(), p)) {
					t.Fatalf("seed %d: undo on a full disk: it needs no room", seed)
				}
			case n == 2:
				check("compact", s.Compact(t.Context()))
			case n == 3:
				check("sync", s.Sync(t.Context()))
			default:
				batch := []flow.Block{m.Next(c), m.Next(c), m.Next(c)}
				n, err := s.Append(t.Context(), batch)
				if check("append", err) != (n == len(batch)) {
					t.Fatalf("seed %d: append = %d, %v", seed, n, err)
				}
				for range len(batch) - n {
					m.Pop(c)
				}
			}
		}
		if full < 5 {
			t.Fatalf("seed %d: the disk was full only %d times", seed, full)
		}
		rate = 0
		want := chains{c: m.Blocks(c)}
		compare(t, fmt.Sprintf("seed %d", seed), s, replayed(t, want))
		s = reopen(t, s)
		compare(t, fmt.Sprintf("seed %d: opened again", seed), s, replayed(t, want))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// In a bulk load depth makes final, so that memory stays bounded, and the newest blocks can still be undone.
func TestBulk(t *testing.T) {
	s := openMem(t, Options{Bulk: true, SegmentMovements: 1000})
	w := newWorkload(500)
	var all []flow.Block
	for range bulkUndo + 600 {
		all = append(all, w.next(4))
	}
	if n, err := s.Append(t.Context(), all); n != len(all) || err != nil {
		t.Fatalf("append = %d, %v", n, err)
	}
	st, err := s.Stats()
	if err != nil || st.Segments == 0 || st.HeadBlocks < bulkUndo || st.HeadBlocks > bulkUndo+300 {
		t.Fatalf("stats = %+v, %v; want about %d blocks in the head", st, err, bulkUndo)
	}
	for range 10 {
		top := all[len(all)-1].Point
		if err := s.Undo(t.Context(), top); err != nil {
			t.Fatalf("undo %s: %v", top, err)
		}
		all = all[:len(all)-1]
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openMem(t, Options{FS: s.o.FS})
	want := memstore.New()
	if _, err := want.Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	compare(t, "bulk", s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A hub's entries stand in several parts, but for a segment in which it was quiet; a question from a place on, or back from
// it, reads only some of them.
func TestHub(t *testing.T) {
	t.Parallel()
	s := openMem(t, Options{SegmentMovements: 30_000})
	c := flow.Ethereum
	w := newWorkload(50)
	hub, other := w.accounts[0], w.accounts[1]
	var blocks []flow.Block
	entries := 0
	for h := range uint64(300) {
		p := flow.Point{Chain: c, Height: 2 * h, Hash: w.hash(), Time: int64(h)}
		b := flow.Block{Point: p}
		for i := range uint32(250) {
			tx := flow.Tx{ID: w.hash(), Point: p, Index: i}
			a := w.accounts[2+int(i)%48]
			giver := hub
			if 115 < h && h < 245 && i != 3 {
				giver = w.accounts[2+int(h+uint64(i))%48]
			} else {
				entries++
			}
			tx.Movements = []flow.Movement{flow.In1Out1(flow.Transfer, c.Native(), i, giver, a, flow.NewAmount(h<<32|uint64(i)))}
			if i == 7 && h%50 == 0 {
				tx.Movements = append(tx.Movements, flow.In1Out1(flow.Transfer, c.Native(), 9, hub, other, flow.NewAmount(1)))
				entries++
			}
			b.Txs = append(b.Txs, tx)
		}
		blocks = append(blocks, b)
	}
	if n, err := s.Append(t.Context(), blocks); n != len(blocks) || err != nil {
		t.Fatalf("append = %d, %v", n, err)
	}
	if err := s.Final(t.Context(), blocks[289].Point); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := snap.IDs(t.Context(), c, []flow.Account{hub, other})
	if err != nil {
		t.Fatal(err)
	}
	var all []store.Entry
	ask := func(a store.Ask) (found []store.Entry) {
		if err := snap.Entries(t.Context(), c, []store.Ask{a}, func(_ int, e []store.Entry) error { found = slices.Clone(e); return nil }); err != nil {
			t.Fatalf("entries %+v: %v", a, err)
		}
		return found
	}
	if all = ask(store.Ask{Holder: ids[0]}); len(all) != entries {
		t.Fatalf("the hub has %d entries; want %d", len(all), entries)
	}
	if got := len(ask(store.Ask{Holder: ids[1]})); got != 6 {
		t.Fatalf("the other has %d entries; want 6", got)
	}
	if h := all[29_010].Pos.Height; h < 2*120 || h > 2*239 {
		t.Fatalf("the hub's entry 29,010 is in block %d, not in the quiet segment", h)
	}
	for i := 0; i < len(all); i += 2901 {
		for _, from := range []flow.Pos{all[i].Pos, {Height: all[i].Pos.Height, Tx: all[i].Pos.Tx, Movement: 1}, {Height: max(all[i].Pos.Height, 1) - 1}} {
			first := slices.IndexFunc(all, func(e store.Entry) bool { return e.Pos.Compare(from) >= 0 })
			want := all[max(first, 0):]
			if got := ask(store.Ask{Holder: ids[0], From: from}); !slices.Equal(got, want) {
				t.Fatalf("from %v: %d entries; want %d", from, len(got), len(want))
			}
			if got := ask(store.Ask{Holder: ids[0], From: from, Limit: 3}); !slices.Equal(got, want[:min(3, len(want))]) {
				t.Fatalf("3 from %v: %v; want %v", from, got, want[:min(3, len(want))])
			}
			if from == (flow.Pos{}) {
				continue // back from the zero place is back from the end
			}
			var back []store.Entry
			for _, e := range slices.Backward(all) {
				if e.Pos.Compare(from) <= 0 {
					back = append(back, e)
				}
			}
			for _, limit := range []int{0, 3, 4000} {
				want := back
				if limit > 0 {
					want = back[:min(limit, len(back))]
				}
				if got := ask(store.Ask{Holder: ids[0], From: from, Back: true, Limit: limit}); !slices.Equal(got, want) {
					t.Fatalf("%d back from %v: %d entries; want %d", limit, from, len(got), len(want))
				}
			}
		}
	}
	v := snap.(*snapshot).views[c]
	e, err := snap.(*snapshot).entryLooker(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.frozenBack(&store.Ask{Holder: ids[0], Back: true, Limit: 10}); err != nil || len(e.entries) != 10 || cap(e.piece) > 8000 {
		t.Fatalf("the last 10 entries of %d in the segments: %d, read among %d, %v", len(all), len(e.entries), cap(e.piece), err)
	}
	if err := errors.Join(e.r.close(), snap.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenWithoutRoom(t *testing.T) {
	free := uint64(1 << 40)
	o := Options{MinFreeBytes: 1, freeSpace: func() (uint64, error) { return free, nil }, FS: vfs.NewMem()}
	s, m := openMem(t, o), storetest.NewSeededMaker(4)
	if n, err := s.Append(t.Context(), []flow.Block{m.Next(storetest.Ethereum)}); n != 1 || err != nil {
		t.Fatalf("append = %d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	free = 1 << 19
	if _, err := Open("store", o); !errors.Is(err, store.ErrFull) {
		t.Fatalf("open on a full disk: %v; want ErrFull, and not to wait for ever", err)
	}
	free = 1 << 40
	s = openMem(t, o)
	compare(t, "with room again", s, replayed(t, chains{storetest.Ethereum: m.Blocks(storetest.Ethereum)}))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
