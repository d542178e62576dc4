package pebblestore

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A journey is a random life of a store on a file system that crashes.
type journey struct {
	t     *testing.T
	rnd   *rand.Rand
	maker *storetest.Maker
	o     Options
	s     *Store
	final map[flow.Chain]uint64
	fills []flow.Block       // what the step at hand fills in, in this order
	floor map[flow.Chain]int // this many blocks were made durable

	mu      sync.Mutex
	mem     *vfs.MemFS
	rate    int        // guarded by mu: a crash at one of so many writes, 0 for none
	opening bool       // guarded by mu
	crashes []crash    // guarded by mu
	chance  *rand.Rand // guarded by mu
}

// A crash is what the disk would hold if the power went at a moment, and what readers were shown then.
type crash struct {
	fs    *vfs.MemFS
	shown map[flow.Chain]flow.Point // tips; nil where no reader could look
}

type chains = map[flow.Chain][]flow.Block

func (j *journey) state() chains {
	all := chains{}
	for _, c := range storetest.Chains() {
		all[c] = j.maker.Blocks(c)
	}
	return all
}

// strike may take a copy of what the disk would hold if the power went now.
func (j *journey) strike(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rate > 0 && j.chance.IntN(j.rate) == 0 {
		percent := j.chance.IntN(3) * 50
		if percent == 50 && j.opening {
			// Pebble names a new manifest in a marker and syncs the folder once for both, so it relies on a file system
			// that does not keep the younger of two new files and lose the older.
			percent = 100
		}
		c := crash{fs: j.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: j.chance})}
		if !j.opening && j.s.mu.TryLock() { // it is held where a fold is taken in
			c.shown = map[flow.Chain]flow.Point{}
			for name, v := range j.s.shown {
				c.shown[name] = v.tip
			}
			j.s.mu.Unlock()
		}
		j.crashes = append(j.crashes, c)
	}
	return nil
}

func (j *journey) open() {
	opening := func(yes bool) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.opening = yes
	}
	opening(true)
	defer opening(false)
	s, err := Open("store", j.o)
	if err != nil {
		j.t.Fatalf("open: %v", err)
	}
	j.s = s
}

// step does something to the store and its record, and returns what it was.
func (j *journey) step() string {
	ctx := j.t.Context()
	c := storetest.Chains()[j.rnd.IntN(4)]
	check := func(what string, err error) string {
		if err != nil {
			j.t.Fatalf("%s: %v", what, err)
		}
		return what
	}
	dice := j.rnd.IntN(20)
	switch n := dice; {
	case n < 3:
		blocks := j.maker.Blocks(c)
		if len(blocks) == 0 {
			return "nothing"
		}
		final, sealed := j.final[c]
		if top := blocks[len(blocks)-1].Point; !sealed || top.Height > final {
			j.maker.Pop(c)
			j.floor[c] = min(j.floor[c], len(blocks)-1)
			return check("undo", j.s.Undo(ctx, top))
		}
		return "nothing"
	case n < 6:
		blocks := j.maker.Blocks(c)
		if len(blocks) == 0 {
			return "nothing"
		}
		p := blocks[j.rnd.IntN(len(blocks))].Point
		j.final[c] = max(j.final[c], p.Height)
		return check("final", j.s.Final(ctx, p))
	case n < 7:
		check("compact", j.s.Compact(ctx))
		j.synced()
		return "compact"
	case n < 8:
		check("sync", j.s.Sync(ctx))
		j.synced()
		return "sync"
	case n < 9:
		check("close", j.s.Close())
		j.synced()
		j.open()
		return "reopen"
	}
	var batch []flow.Block
	if dice >= 16 {
		for range 1 + j.rnd.IntN(6) {
			c := storetest.Chains()[j.rnd.IntN(4)]
			if b, ok := j.maker.Missing(c); ok && b.Point.Height < j.final[c] {
				batch = append(batch, b)
				j.maker.Insert(b)
			}
		}
		j.fills = batch
		n, err := j.s.Fill(ctx, batch)
		if n != len(batch) {
			j.t.Fatalf("fill of %d = %d, %v", len(batch), n, err)
		}
		if n > 0 {
			j.synced()
		}
		return check("fill", err)
	}
	for range 1 + j.rnd.IntN(6) {
		batch = append(batch, j.maker.Next(storetest.Chains()[j.rnd.IntN(4)]))
	}
	n, err := j.s.Append(ctx, batch)
	if n != len(batch) {
		j.t.Fatalf("append of %d = %d, %v", len(batch), n, err)
	}
	if !j.o.Bulk {
		j.synced()
	}
	return check("append", err)
}

func (j *journey) synced() {
	for _, c := range storetest.Chains() {
		j.floor[c] = len(j.maker.Blocks(c))
	}
}

// survive opens what a crash has left, and holds it against the record: nothing that was acknowledged is lost, and
// nothing is there that was not given. before is the record when the step began.
func (j *journey) survive(what string, struck crash, before chains, floor map[flow.Chain]int) {
	t := j.t
	o := j.o
	o.FS = struck.fs
	s, err := Open("store", o)
	if err != nil {
		t.Fatalf("%s: open after the crash: %v", what, err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	want := chains{}
	unfilled := false
	for _, b := range j.fills {
		_, err := snap.Point(t.Context(), b.Point.Chain, b.Point.Height)
		if err == nil && unfilled {
			t.Fatalf("%s: %s was filled in and one before it was not", what, b.Point)
		}
		unfilled = unfilled || err != nil
	}
	for c, blocks := range before {
		after := j.maker.Blocks(c)
		if len(after) > len(blocks) {
			blocks = slices.DeleteFunc(after, func(b flow.Block) bool {
				_, err := snap.Point(t.Context(), c, b.Point.Height)
				return err != nil && slices.ContainsFunc(j.fills, func(f flow.Block) bool { return f.Point == b.Point })
			})
		}
		points, err := snap.Recent(t.Context(), c, len(blocks)+1)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if least := min(floor[c], j.floor[c]); len(points) < least || len(points) > len(blocks) {
			t.Fatalf("%s: %s has %d blocks after the crash; want %d to %d", what, c, len(points), least, len(blocks))
		}
		if p := struck.shown[c]; !o.Bulk && len(after) >= len(before[c]) && !p.IsZero() && !slices.Contains(points, p) {
			t.Fatalf("%s: %s was shown before the crash and is not there after it", what, p)
		}
		if len(points) > 0 {
			want[c] = blocks[:len(points)]
		}
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	compare(t, what, s, replayed(t, want))
	// It goes on from there.
	m := storetest.NewSeededMaker(1 << 40)
	for _, b := range want[storetest.Ethereum] {
		m.Push(b)
	}
	if n, err := s.Append(t.Context(), []flow.Block{m.Next(storetest.Ethereum)}); n != 1 || err != nil {
		t.Fatalf("%s: append after the crash = %d, %v", what, n, err)
	}
	// And back, as far as it can be.
	left := m.Blocks(storetest.Ethereum)
	for len(left) > 0 && err == nil {
		if err = s.Undo(t.Context(), left[len(left)-1].Point); err == nil {
			left = left[:len(left)-1]
		}
	}
	if want[storetest.Ethereum] = left; err != nil && !errors.Is(err, store.ErrFinal) {
		t.Fatalf("%s: undo after the crash: %v", what, err)
	}
	compare(t, what+", and back", s, replayed(t, nonEmpty(want)))
	if err := s.Close(); err != nil {
		t.Fatalf("%s: close after the crash: %v", what, err)
	}
}

// travel makes a journey of so many steps.
func travel(t *testing.T, seed uint64, steps, rate int, bulk bool) (crashes int) {
	mem := vfs.NewCrashableMem()
	j := &journey{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), maker: storetest.NewSeededMaker(seed), mem: mem,
		final: map[flow.Chain]uint64{}, floor: map[flow.Chain]int{}, chance: rand.New(rand.NewPCG(seed, 8))}
	j.o = Options{Bulk: bulk, SegmentMovements: 8, fewMoves: 3, CacheBytes: 1 << 20, MinFreeBytes: 1, FS: errorfs.Wrap(mem, errorfs.InjectorFunc(j.strike))}
	j.open()
	for i := range steps {
		before, floor := j.state(), maps.Clone(j.floor)
		j.mu.Lock()
		j.rate = rate
		j.mu.Unlock()
		j.fills = nil
		what := j.step()
		j.mu.Lock()
		struck := j.crashes
		j.crashes, j.rate = nil, 0
		j.mu.Unlock()
		for _, c := range struck {
			j.survive(fmt.Sprintf("seed %d: step %d: %s", seed, i, what), c, before, floor)
		}
		crashes += len(struck)
	}
	compare(t, fmt.Sprintf("seed %d: in the end", seed), j.s, replayed(t, nonEmpty(j.state())))
	if err := j.s.Close(); err != nil {
		t.Fatal(err)
	}
	return crashes
}

// In a bulk load a block may be declared final before it is durable. If a crash takes it, it is not final any more.
func TestCrashTakesFinalBlocks(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openMem(t, Options{FS: mem, Bulk: true, MinFreeBytes: 1})
	m := storetest.NewSeededMaker(9)
	c := storetest.Ethereum
	put := func(s *Store, m *storetest.Maker, c flow.Chain) flow.Point {
		b := m.Next(c)
		if n, err := s.Append(t.Context(), []flow.Block{b}); n != 1 || err != nil {
			t.Fatalf("append = %d, %v", n, err)
		}
		return b.Point
	}
	first := put(s, m, c)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		put(s, m, c)
	}
	if err := s.Final(t.Context(), put(s, m, c)); err != nil {
		t.Fatal(err)
	}
	put(s, m, storetest.BSC) // which makes durable all that was written
	after := openMem(t, Options{FS: mem.CrashClone(vfs.CrashCloneCfg{}), MinFreeBytes: 1})
	m = storetest.NewSeededMaker(9)
	m.Next(c)
	for range 2 {
		top := put(after, m, c)
		if err := after.Undo(t.Context(), top); err != nil {
			t.Fatalf("undo of a block that nobody declared final: %v", err)
		}
		m.Pop(c)
		after = reopen(t, after)
	}
	if err := after.Undo(t.Context(), first); !errors.Is(err, store.ErrFinal) {
		t.Fatalf("undo of a block below one that was final: %v; want ErrFinal", err)
	}
	if err := errors.Join(after.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openMem(t, Options{FS: s.o.FS, Bulk: s.o.Bulk, SegmentMovements: s.o.SegmentMovements, MinFreeBytes: s.o.MinFreeBytes})
}

func nonEmpty(all chains) chains {
	maps.DeleteFunc(all, func(_ flow.Chain, blocks []flow.Block) bool { return len(blocks) == 0 })
	return all
}

// SPOOR_CRASH_SEEDS makes more journeys than the few of a usual run.
func TestCrash(t *testing.T) {
	t.Parallel()
	seeds := 4
	if n, err := strconv.Atoi(os.Getenv("SPOOR_CRASH_SEEDS")); err == nil {
		seeds = n
	}
	for _, bulk := range []bool{false, true} {
		crashes := 0
		for seed := range uint64(seeds) {
			crashes += travel(t, seed, 40, 12, bulk)
		}
		if crashes < 5*seeds {
			t.Fatalf("only %d crashes in %d journeys: the test tests nothing", crashes, seeds)
		}
		t.Logf("bulk %v: %d crashes survived", bulk, crashes)
	}
}

// Whatever is done to a store, folded and opened again, it answers like the plainest one.
func TestJourneys(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		travel(t, 100+seed, 120, 0, seed%2 == 1)
	}
}

func TestNewFoldersSurviveACrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s, err := Open("a/new/folder", Options{FS: mem, MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := storetest.NewSeededMaker(3).Next(storetest.Ethereum)
	if n, err := s.Append(t.Context(), []flow.Block{b}); n != 1 || err != nil {
		t.Fatalf("append = %d, %v", n, err)
	}
	after, err := Open("a/new/folder", Options{FS: mem.CrashClone(vfs.CrashCloneCfg{}), MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := after.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if tip, ok := snap.Tip(storetest.Ethereum); !ok || tip != b.Point {
		t.Errorf("the tip after the crash is %s, %v; want %s", tip, ok, b.Point)
	}
	if err := errors.Join(snap.Close(), after.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}
