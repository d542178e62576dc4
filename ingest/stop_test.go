package ingest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A watched store counts its syncs and can refuse blocks.
type watched struct {
	*memstore.Store
	syncs  int
	refuse error
}

func (w *watched) Sync(ctx context.Context) error {
	w.syncs++
	return w.Store.Sync(ctx)
}

func (w *watched) Append(ctx context.Context, blocks []flow.Block) (int, error) {
	if w.refuse != nil {
		return 0, w.refuse
	}
	return w.Store.Append(ctx, blocks)
}

// plainBlock is an empty block of Ethereum.
func plainBlock(height uint64, hash, parent byte) flow.Block {
	b := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: height, Hash: flow.Hash{0: 1, 1: hash}}}
	if parent != 0 {
		b.Parent = flow.Hash{0: 1, 1: parent}
	}
	return b
}

// TestErrors: each ends the run with an error that can be told apart, keeps the blocks before it, and syncs them.
func TestErrors(t *testing.T) {
	known := book{}
	one, two, three := known.add(plainBlock(1, 1, 0)), known.add(plainBlock(2, 2, 1)), known.add(plainBlock(3, 3, 2))
	fork := known.add(plainBlock(3, 33, 22))
	lost := known.add(plainBlock(3, 34, 2))
	delete(known, lost.Block.Point.Hash)
	foreign := step(source.Undo, flow.Point{Chain: flow.Bitcoin, Height: 2})
	final := step(source.Final, one.Block.Point)
	otherFinal := step(source.Final, plainBlock(1, 11, 0).Point)
	ahead := step(source.Final, plainBlock(1000, 99, 0).Point)
	undo := func(s source.Step) source.Step { return step(source.Undo, s.Block.Point) }
	tests := []struct {
		name  string
		steps []source.Step
		err   error // nil: any
		kept  uint64
	}{
		{"not-a-child", []source.Step{one, two, fork}, store.ErrNotHead, 2},
		{"lower", []source.Step{two, three, one}, store.ErrNotHead, 3},
		{"other-block-at-the-tip", []source.Step{one, two, three, fork}, store.ErrNotHead, 3},
		{"undo-of-another", []source.Step{one, two, undo(one)}, store.ErrNotHead, 2},
		{"undo-of-final", []source.Step{one, two, final, undo(two), undo(one)}, store.ErrFinal, 1},
		{"undo-of-final-with-one-far-above", []source.Step{one, two, final, ahead, undo(two), undo(one)}, store.ErrFinal, 1},
		{"final-on-another-branch", []source.Step{one, two, otherFinal}, store.ErrFinal, 2},
		{"damaged", []source.Step{one, two, lost, three}, errPage, 2},
		{"another-chain", []source.Step{one, foreign}, nil, 1},
		{"unknown-step", []source.Step{one, step(9, two.Block.Point)}, nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := &watched{Store: memstore.New()}
			_, err := ingest.Run(t.Context(), script{chain: flow.Ethereum, steps: tt.steps}, known, st, ingest.Config{})
			if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
				t.Fatalf("error %v; want %v", err, tt.err)
			}
			s, err := st.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			if tip, _ := s.Tip(flow.Ethereum); tip.Height != tt.kept || st.syncs != 1 {
				t.Fatalf("tip %s after %d syncs; want block %d and one sync", tip, st.syncs, tt.kept)
			}
		})
	}
}

// TestRefused: what the store says ends the run, and is said once.
func TestRefused(t *testing.T) {
	known := book{}
	steps := []source.Step{known.add(plainBlock(1, 1, 0)), known.add(plainBlock(2, 2, 1))}
	st := &watched{Store: memstore.New(), refuse: store.ErrFull}
	stats, err := ingest.Run(t.Context(), script{chain: flow.Ethereum, steps: steps}, known, st, ingest.Config{Batch: 1})
	if !errors.Is(err, store.ErrFull) || stats.Blocks != 0 || st.syncs != 1 {
		t.Fatalf("run on a full disk = %+v, %v, %d syncs", stats, err, st.syncs)
	}
}

// TestDuplicates: blocks that the store has are counted and passed over; finality below the store's first block is
// nothing to it.
func TestDuplicates(t *testing.T) {
	known := book{}
	one, two, three := known.add(plainBlock(5, 1, 0)), known.add(plainBlock(6, 2, 1)), known.add(plainBlock(7, 3, 2))
	early := step(source.Final, plainBlock(2, 9, 0).Point)
	st := memstore.New()
	for i, want := range []ingest.Stats{{Blocks: 2, Duplicates: 2}, {Blocks: 1, Duplicates: 4}} {
		steps := [][]source.Step{{one, one, two, early, one}, {one, two, two, three, one}}[i]
		stats, err := ingest.Run(t.Context(), script{chain: flow.Ethereum, steps: steps}, known, st, ingest.Config{})
		stats.Seconds = 0
		if err != nil || stats != want {
			t.Fatalf("run %d = %+v, %v; want %+v", i, stats, err, want)
		}
	}
}

// A live source yields its steps, with a pause before the last, and then waits for the end, as a node does.
type live struct {
	script
	pause time.Duration
}

func (l live) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		n := 0
		for s, err := range l.script.Steps(ctx, known) {
			if n++; n == len(l.steps) {
				time.Sleep(l.pause)
			}
			if !yield(s, err) {
				return
			}
		}
		<-ctx.Done()
	}
}

func (l live) Size() (read, total int64) { return 40, 50 }

// A brisk source pauses before every step, and is never calm.
type brisk struct {
	script
	pause time.Duration
}

func (b brisk) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		for s, err := range b.script.Steps(ctx, known) {
			if time.Sleep(b.pause); !yield(s, err) {
				return
			}
		}
	}
}

// TestBatches: a source that goes on yielding is read in batches, none of which waits longer than Delay.
func TestBatches(t *testing.T) {
	tests := []struct {
		name    string
		pause   time.Duration
		batches int
	}{
		{"brisk", 100 * time.Microsecond, 10}, // of 10 blocks
		{"slow", 2 * time.Millisecond, 100},   // each was waited for
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				known := book{}
				var steps []source.Step
				for i := range byte(100) {
					steps = append(steps, known.add(plainBlock(uint64(i)+1, i+1, i)))
				}
				batches := 0
				cfg := ingest.Config{Delay: time.Millisecond - time.Microsecond, Room: func(context.Context) error { batches++; return nil }}
				src := brisk{script{chain: flow.Ethereum, steps: steps}, tt.pause}
				stats, err := ingest.Run(t.Context(), src, known, memstore.New(), cfg)
				if err != nil || stats.Blocks != 100 || batches != tt.batches {
					t.Fatalf("run = %+v, %v in %d batches; want 100 blocks in %d", stats, err, batches, tt.batches)
				}
			})
		})
	}
}

// TestLive: blocks that come together are one batch, and one that was waited for is in the store at once, although the
// source waits for the next; a cancelled run ends, synced, and leaves no goroutine behind (synctest would say so).
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		maker, known := storetest.NewSeededMaker(1), book{}
		var steps []source.Step
		for range 5 {
			steps = append(steps, known.add(next(maker, storetest.Ethereum)))
		}
		steps = slices.Insert(steps, 4, step(source.Final, maker.Blocks(storetest.Ethereum)[3].Point))
		st := &watched{Store: memstore.New()}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		calls := 0
		cfg := ingest.Config{Delay: time.Second, Progress: func(s ingest.Stats, read, total int64) {
			calls++
			if read != 40 || total != 50 {
				t.Errorf("progress of %d of %d bytes; want 40 of 50", read, total)
			}
		}}
		go func() {
			_, err := ingest.Run(ctx, live{script{chain: storetest.Ethereum, steps: steps}, 10 * time.Second}, known, st, cfg)
			ended <- err
		}()
		tip := func() uint64 {
			s, err := st.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			p, _ := s.Tip(storetest.Ethereum)
			return p.Height
		}
		top := steps[5].Block.Point
		synctest.Wait()
		if tip() == steps[3].Block.Point.Height {
			t.Fatalf("block %d came before the source was calm; want it batched with others", tip())
		}
		for _, s := range []struct {
			after time.Duration
			want  uint64
		}{{2 * time.Millisecond, steps[3].Block.Point.Height}, {10*time.Second - 2*time.Millisecond + time.Microsecond, top.Height}} {
			time.Sleep(s.after)
			synctest.Wait()
			if tip() != s.want {
				t.Fatalf("tip %d %v later; want %d", tip(), s.after, s.want)
			}
		}
		if err := st.Undo(t.Context(), top); err != nil {
			t.Fatalf("undo above the final block: %v", err)
		}
		if err := st.Undo(t.Context(), steps[3].Block.Point); !errors.Is(err, store.ErrFinal) {
			t.Fatalf("undo of the final block: %v; want ErrFinal", err)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) || st.syncs != 1 || calls < 2 {
			t.Fatalf("run = %v after %d syncs and %d calls of Progress; want cancelled, one sync, at least 2", err, st.syncs, calls)
		}
	})
}

// TestCancelInTheMiddle: what was read when the run was cancelled is kept.
func TestCancelInTheMiddle(t *testing.T) {
	maker, known := storetest.NewSeededMaker(2), book{}
	var steps []source.Step
	for range 100 {
		steps = append(steps, known.add(next(maker, storetest.Regtest)))
	}
	ctx, stop := context.WithCancel(t.Context())
	st := &watched{Store: memstore.New()}
	cfg := ingest.Config{Progress: func(ingest.Stats, int64, int64) { stop() }}
	stats, err := ingest.Run(ctx, live{script{chain: storetest.Regtest, steps: steps}, 0}, known, st, cfg)
	if !errors.Is(err, context.Canceled) || st.syncs != 1 {
		t.Fatalf("run = %v, %d syncs; want cancelled and one", err, st.syncs)
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	held, err := s.Recent(t.Context(), storetest.Regtest, 1000)
	if err != nil || int64(len(held)) != stats.Blocks || len(held) == 0 {
		t.Fatalf("the store holds %d blocks, %v; stats say %d, want some", len(held), err, stats.Blocks)
	}
	if _, err := ingest.Run(t.Context(), branch{storetest.Regtest, steps}, known, st, ingest.Config{}); err != nil {
		t.Fatal(err)
	}
	whole := memstore.New()
	if _, err := ingest.Run(t.Context(), branch{storetest.Regtest, steps}, known, whole, ingest.Config{}); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, st), dump(t, whole); got != want {
		t.Fatalf("a cancelled run and the next lead elsewhere than one: %s", storetest.Difference(want, got))
	}
}
