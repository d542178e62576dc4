package bitcoin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

func TestOutOfOrder(t *testing.T) {
	chain := grow(t, genesis(t), 40, "a")
	mixed := slices.Clone(chain)
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	dir := t.TempDir()
	write(t, dir, "blk00000.dat", append(frame(mixed[:20]...), make([]byte, 5000)...))
	write(t, dir, "blk00001.dat", frame(mixed[15:]...)) // some stand in both
	write(t, dir, "blk00002.dat", make([]byte, 1<<17))  // set aside for later
	write(t, dir, "rev00000.dat", []byte("not blocks"))
	s := mustOpen(t, Config{}, dir)
	if s.Chain() != flow.BitcoinRegtest {
		t.Errorf("chain %s; want regtest", s.Chain())
	}
	var r reader
	if err := r.follow(t, s); err != nil {
		t.Fatal(err)
	}
	r.holds(t, chain)
	if read, total := s.Size(); read != total || total == 0 {
		t.Errorf("%d of %d bytes read at the end", read, total)
	}
}

// Bitcoin Core's parent folder is as good as its folder of blocks, and zeros may stand between frames.
func TestFolderOfCoreAndZerosBetween(t *testing.T) {
	chain := grow(t, genesis(t), 3, "a")
	dir := t.TempDir()
	blocks := dir + "/blocks"
	mkdir(t, blocks)
	write(t, dir, "peers.dat", []byte("no blocks"))
	write(t, blocks, "blk00000.dat", slices.Concat(frame(chain[:2]...), make([]byte, 40_000), frame(chain[2:]...), []byte{0, 0, 0}))
	var r reader
	if err := r.follow(t, mustOpen(t, Config{}, dir)); err != nil {
		t.Fatal(err)
	}
	r.holds(t, chain)
}

func TestStaleBranches(t *testing.T) {
	trunk := grow(t, genesis(t), 10, "trunk")
	short := grow(t, trunk[5], 3, "short")[1:]
	dir := t.TempDir()
	write(t, dir, "blk00000.dat", slices.Concat(frame(trunk[:6]...), frame(short...), frame(trunk[6:]...)))
	var r reader
	if err := r.follow(t, mustOpen(t, Config{}, dir)); err != nil {
		t.Fatal(err)
	}
	r.holds(t, trunk)

	t.Run("reader-on-stale-branch", func(t *testing.T) {
		r := readerOf(slices.Concat(trunk[:6], short))
		if err := r.follow(t, mustOpen(t, Config{}, dir)); err != nil {
			t.Fatal(err)
		}
		if r.undone != 3 {
			t.Errorf("%d undone; want 3", r.undone)
		}
		r.holds(t, trunk)
	})
	t.Run("reader-on-branch-not-in-files", func(t *testing.T) {
		r := readerOf(slices.Concat(trunk[:8], grow(t, trunk[7], 2, "elsewhere")[1:]))
		if err := r.follow(t, mustOpen(t, Config{}, dir)); err != nil {
			t.Fatal(err)
		}
		if r.undone != 2 {
			t.Errorf("%d undone; want 2", r.undone)
		}
		r.holds(t, trunk)
	})
	t.Run("reader-as-high-on-branch-not-in-files", func(t *testing.T) {
		elsewhere := slices.Concat(trunk[:8], grow(t, trunk[7], 3, "elsewhere")[1:])
		r := readerOf(elsewhere)
		if err := r.follow(t, mustOpen(t, Config{}, dir)); err != nil {
			t.Fatal(err)
		}
		r.holds(t, elsewhere)
	})
	t.Run("tie-goes-to-first-seen-or-to-reader", func(t *testing.T) {
		even := grow(t, trunk[8], 2, "even")[1:]
		path := write(t, t.TempDir(), "b.dat", slices.Concat(frame(trunk...), frame(even...)))
		var r reader
		if err := r.follow(t, mustOpen(t, Config{}, path)); err != nil {
			t.Fatal(err)
		}
		r.holds(t, trunk)
		other := readerOf(slices.Concat(trunk[:9], even[:1]))
		if err := other.follow(t, mustOpen(t, Config{}, path)); err != nil {
			t.Fatal(err)
		}
		other.holds(t, slices.Concat(trunk[:9], even))
	})
}

// readerOf is a reader that already holds these blocks.
func readerOf(blocks []made) *reader {
	r := &reader{}
	for _, b := range blocks {
		r.points = append(r.points, b.point())
		r.raws = append(r.raws, nil)
	}
	return r
}

// Wherever a reader stops, and however often, it ends with the same blocks.
func TestResumeAnywhere(t *testing.T) {
	chain := grow(t, genesis(t), 30, "a")
	path := write(t, t.TempDir(), "b.dat", frame(chain...))
	rapid.Check(t, func(rt *rapid.T) {
		var r reader
		for len(r.points) < len(chain) {
			n := rapid.IntRange(1, 12).Draw(rt, "steps")
			for step, err := range mustOpen(t, Config{Confirmations: 5}, path).Steps(t.Context(), r.known()) {
				if err != nil {
					rt.Fatal(err)
				}
				r.take(t, step)
				if n--; n == 0 {
					break
				}
			}
			if n > 0 && len(r.points) < len(chain) {
				rt.Fatalf("ended at %d blocks", len(r.points))
			}
		}
		r.holds(t, chain)
	})
}

// Two readers that follow the same files as they grow, one from the start and one at the end, hold the same.
func TestGrowingFilesWithForks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		tree := []made{genesis(t)}
		var live reader
		s := mustOpenWith(t, dir, tree)
		for round := range rapid.IntRange(1, 5).Draw(rt, "rounds") {
			for n := range rapid.IntRange(1, 6).Draw(rt, "blocks") {
				low := max(0, len(tree)-4)
				parent := tree[rapid.IntRange(low, len(tree)-1).Draw(rt, "parent")]
				tree = append(tree, on(t, parent, fmt.Sprint(round, n)))
			}
			write(t, dir, "blk00000.dat", frame(tree...))
			if err := live.follow(t, s); err != nil {
				rt.Fatal(err)
			}
		}
		top := uint64(0)
		for _, b := range tree {
			top = max(top, b.height)
		}
		if got := live.points[len(live.points)-1].Height; got != top || len(live.points) != int(top)+1 {
			rt.Fatalf("the reader is at %d with %d blocks; the files go to %d", got, len(live.points), top)
		}
		late := reader{}
		for step, err := range s.Steps(t.Context(), nil) {
			if err != nil {
				rt.Fatal(err)
			}
			late.take(t, step)
		}
		if len(late.points) != len(live.points) {
			rt.Fatalf("%d blocks; the other reader has %d", len(late.points), len(live.points))
		}
	})
}

func mustOpenWith(t *testing.T, dir string, blocks []made) *Source {
	t.Helper()
	write(t, dir, "blk00000.dat", frame(blocks...))
	return mustOpen(t, Config{}, dir)
}

func TestFinal(t *testing.T) {
	chain := grow(t, genesis(t), 200, "a")
	path := write(t, t.TempDir(), "b.dat", frame(chain...))
	for _, tt := range []struct {
		name string
		cfg  Config
		held int
		want string
	}{
		{"default", Config{}, 0, "[63 101]"},
		{"ten", Config{Confirmations: 10}, 0, "[63 127 191]"},
		{"settled", Config{Settled: true}, 0, "[63 101 200]"},
		{"more-than-there-are", Config{Confirmations: 1000}, 0, "[]"},
		{"resumed-above", Config{}, 150, "[101]"},
		{"resumed-below", Config{}, 100, "[101]"},
		{"nothing-new", Config{Settled: true}, 201, "[200]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := readerOf(chain[:tt.held])
			if err := r.follow(t, mustOpen(t, tt.cfg, path)); err != nil {
				t.Fatal(err)
			}
			r.holds(t, chain)
			if got := fmt.Sprint(r.finals); got != tt.want {
				t.Errorf("final at %s; want %s", got, tt.want)
			}
		})
	}
}

// Cut anywhere, a file yields all blocks before the cut, and an error that names the place; at the end of a frame it is
// simply shorter.
func TestCutAtEveryByte(t *testing.T) {
	chain := grow(t, genesis(t), 3, "a")
	whole := frame(chain...)
	ends := map[int]int{}
	for n := range chain {
		ends[len(frame(chain[:n+1]...))] = n + 1
	}
	dir := t.TempDir()
	for cut := range whole {
		path := write(t, dir, "b.dat", whole[:cut])
		s, err := Open([]string{path}, Config{Chain: flow.BitcoinRegtest})
		if err != nil {
			t.Fatal(cut, err)
		}
		var r reader
		err = r.follow(t, s)
		blocks := 0
		for end, n := range ends {
			if end <= cut {
				blocks = max(blocks, n)
			}
		}
		r.holds(t, chain[:blocks])
		switch _, even := ends[cut]; {
		case even && err != nil:
			t.Errorf("cut at %d, the end of a frame: %v", cut, err)
		case cut == 0 && !errors.Is(err, ErrForm):
			t.Errorf("an empty file: %v", err)
		case cut > 0 && !even && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForm):
			t.Errorf("cut at %d: %v; want ErrDamaged", cut, err)
		case cut > 0 && !even && !strings.Contains(err.Error(), path):
			t.Errorf("cut at %d: %v does not name the file", cut, err)
		}
		last := len(frame(chain[:blocks]...))
		if blocks > 0 && err != nil && !strings.Contains(err.Error(), fmt.Sprintf("byte %d:", last)) {
			t.Errorf("cut at %d: %v does not name byte %d", cut, err, last)
		}
	}
}

// A wrong byte in a frame's head ends the file there. One in a header makes it another block, which on regtest often
// still shows the little work that it claims: then that one comes out, and never the one that was there.
func TestWrongByte(t *testing.T) {
	chain := grow(t, genesis(t), 3, "a")
	whole := frame(chain...)
	dir := t.TempDir()
	second := len(frame(chain[:1]...))
	for at := second; at < second+frameHead+headerSize; at++ {
		broken := slices.Clone(whole)
		broken[at] ^= 0x80
		var r reader
		err := r.follow(t, mustOpen(t, Config{Chain: flow.BitcoinRegtest}, write(t, dir, "b.dat", broken)))
		if err != nil && !errors.Is(err, ErrDamaged) || at < second+frameHead && err == nil {
			t.Errorf("byte %d is wrong: %v; want ErrDamaged", at, err)
		}
		if err != nil {
			r.holds(t, chain[:1])
		}
		for _, p := range r.points {
			if p.Hash == printed(chain[1].hash) {
				t.Errorf("byte %d is wrong: %v came out all the same", at, p)
			}
		}
	}
}

// Behind damage no height is jumped over, so that the reader can go on once the file is whole.
func TestDamageNeverLeavesAGap(t *testing.T) {
	chain := grow(t, genesis(t), 20, "a")
	dir := t.TempDir()
	first := frame(chain[:10]...)
	write(t, dir, "blk00000.dat", first[:len(first)-7])
	write(t, dir, "blk00001.dat", frame(chain[10:]...))
	s := mustOpen(t, Config{}, dir)
	var r reader
	if err := r.follow(t, s); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "blk00000.dat: byte ") {
		t.Fatalf("%v; want ErrDamaged in blk00000.dat", err)
	}
	r.holds(t, chain[:9])
	write(t, dir, "blk00000.dat", first)
	if err := r.follow(t, s); err != nil {
		t.Fatal(err)
	}
	if len(r.points) != len(chain) || r.undone > 0 {
		t.Errorf("%d blocks, %d undone; want %d, 0", len(r.points), r.undone, len(chain))
	}
}

// Blocks that are missing, and nothing damaged, are a gap in the heights.
func TestMissingBlocksAreAGap(t *testing.T) {
	chain := grow(t, genesis(t), 20, "a")
	path := write(t, t.TempDir(), "b.dat", frame(slices.Concat(chain[15:], chain[:6], chain[9:12])...))
	var r reader
	if err := r.follow(t, mustOpen(t, Config{}, path)); err != nil {
		t.Fatal(err)
	}
	r.holds(t, slices.Concat(chain[:6], chain[9:12], chain[15:]))
	// A reader in the middle of a gap goes on above it.
	r = *readerOf(chain[:8])
	if err := r.follow(t, mustOpen(t, Config{}, path)); err != nil {
		t.Fatal(err)
	}
	r.holds(t, slices.Concat(chain[:8], chain[9:12], chain[15:]))
}

func TestStopAndCancel(t *testing.T) {
	path := write(t, t.TempDir(), "b.dat", frame(grow(t, genesis(t), 5, "a")...))
	s := mustOpen(t, Config{}, path)
	for range s.Steps(t.Context(), nil) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for step, err := range s.Steps(ctx, nil) {
		last = err
		if err == nil && step.Op == source.Add {
			n++
		}
		cancel()
	}
	if n != 1 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d blocks, then %v; want 1, then context.Canceled", n, last)
	}
}
