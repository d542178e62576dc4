package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A book is the decoder of blocks whose raw bytes are their hash. Spent outputs are open in what it gives.
type book map[flow.Hash]flow.Block

var errPage = errors.New("no such page")

func (k book) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	b, ok := k[flow.Hash(raw)]
	if !ok {
		return flow.Block{}, errPage
	}
	b.Txs = slices.Clone(b.Txs)
	for i, tx := range b.Txs {
		b.Txs[i].Movements = slices.Clone(tx.Movements)
		for k, m := range tx.Movements {
			if len(m.Spent) > 0 {
				b.Txs[i].Movements[k].In = make([]flow.Leg, len(m.In))
			}
		}
	}
	b.Notes = slices.Clone(b.Notes)
	return b, nil
}

func (k book) add(b flow.Block) source.Step {
	k[b.Point.Hash] = b
	return source.Step{Op: source.Add, Block: source.Block{Point: b.Point, Parent: b.Parent, Raw: b.Point.Hash[:]}}
}

func step(op source.Op, p flow.Point) source.Step {
	return source.Step{Op: op, Block: source.Block{Point: p}}
}

// A script is a source that yields fixed steps, whatever the reader knows, and then fails if it has an error.
type script struct {
	chain flow.Chain
	steps []source.Step
	err   error
}

func (s script) Chain() flow.Chain { return s.chain }

func (s script) Steps(context.Context, []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		for _, st := range s.steps {
			if !yield(st, nil) {
				return
			}
		}
		if s.err != nil {
			yield(source.Step{}, s.err)
		}
	}
}

// A branch is a source that holds one branch and leads any reader to it.
type branch struct {
	chain  flow.Chain
	blocks []source.Step
}

func (s branch) Chain() flow.Chain { return s.chain }

func (s branch) Steps(_ context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		next := 0
		for _, p := range known {
			i := slices.IndexFunc(s.blocks, func(b source.Step) bool { return b.Block.Point == p })
			if i >= 0 {
				next = i + 1
				break
			}
			if !yield(step(source.Undo, p), nil) {
				return
			}
		}
		for _, b := range s.blocks[next:] {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// dump is all that st holds.
func dump(t interface {
	Context() context.Context
	Fatalf(string, ...any)
}, st store.Store) string {
	s, err := st.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	text, err := storetest.Dump(t.Context(), s)
	if err != nil {
		t.Fatalf("dump: %v", err)
	}
	return text
}

// next makes a block on top of c that has a hash, since the book is looked up by it.
func next(m *storetest.Maker, c flow.Chain) flow.Block {
	for {
		if b := m.Propose(c); !b.Point.Hash.IsZero() {
			m.Push(b)
			return b
		}
	}
}

var errCut = errors.New("the line was cut")

// TestRunFromAnywhere: whatever steps a reader has seen when its run ended, the next run leads it to the same state as a
// run on the winning branch alone, however the blocks were batched.
func TestRunFromAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]flow.Chain{storetest.Regtest, storetest.Ethereum}).Draw(t, "chain")
		maker := storetest.NewMaker(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		known := book{}
		var steps []source.Step
		sealed := 0 // so many blocks are final
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			made := maker.Blocks(c)
			switch n := rapid.IntRange(0, 5).Draw(t, "step"); {
			case n == 0 && len(made) > sealed:
				p, _ := maker.Pop(c)
				steps = append(steps, step(source.Undo, p))
			case n == 1 && len(made) > 0:
				i := rapid.IntRange(0, len(made)-1).Draw(t, "final")
				sealed = max(sealed, i+1)
				steps = append(steps, step(source.Final, made[i].Point))
			default:
				steps = append(steps, known.add(next(maker, c)))
			}
		}
		winner := branch{chain: c}
		for _, b := range maker.Blocks(c) {
			winner.blocks = append(winner.blocks, known.add(b))
		}
		direct := memstore.New()
		if _, err := ingest.Run(t.Context(), winner, known, direct, ingest.Config{}); err != nil {
			t.Fatalf("direct run: %v", err)
		}
		want := dump(t, direct)

		cut := rapid.IntRange(0, len(steps)).Draw(t, "cut")
		cfg := ingest.Config{Batch: rapid.IntRange(1, 20).Draw(t, "batch"), Ahead: rapid.IntRange(1, 3).Draw(t, "ahead")}
		st := memstore.New()
		if _, err := ingest.Run(t.Context(), script{c, steps[:cut], errCut}, known, st, cfg); !errors.Is(err, errCut) {
			t.Fatalf("run that is cut: %v; want the source's error", err)
		}
		whole := memstore.New()
		if _, err := ingest.Run(t.Context(), script{c, steps, nil}, known, whole, cfg); err != nil {
			t.Fatalf("run of all steps: %v", err)
		}
		if got := dump(t, whole); got != want {
			t.Fatalf("all steps lead elsewhere than the winning branch alone: %s", storetest.Difference(want, got))
		}
		// What is cut may be on a branch whose blocks were not final yet, so that the winner can be followed.
		if _, err := ingest.Run(t.Context(), winner, known, st, cfg); err != nil {
			t.Fatalf("run after the cut: %v", err)
		}
		if got := dump(t, st); got != want {
			t.Fatalf("a run in two parts leads elsewhere than one in one part: %s", storetest.Difference(want, got))
		}
		stats, err := ingest.Run(t.Context(), winner, known, st, cfg)
		stats.Seconds = 0
		if err != nil || stats != (ingest.Stats{}) {
			t.Fatalf("a run with nothing to do = %+v, %v", stats, err)
		}
	})
}

// TestFillsInputs: what the maker knew of its inputs is found again, and what it did not is noted.
func TestFillsInputs(t *testing.T) {
	for _, batch := range []int{1, 3, 1000} {
		t.Run(fmt.Sprintf("batch-%d", batch), func(t *testing.T) {
			c := storetest.Regtest
			maker, known := storetest.NewSeededMaker(uint64(batch)), book{}
			var steps []source.Step
			for range 40 {
				steps = append(steps, known.add(next(maker, c)))
			}
			st := memstore.New()
			stats, err := ingest.Run(t.Context(), script{chain: c, steps: steps}, known, st, ingest.Config{Batch: batch})
			if err != nil {
				t.Fatal(err)
			}
			s, err := st.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			var want ingest.Stats
			for _, b := range maker.Blocks(c) {
				missing := int64(0)
				want.Blocks++
				for _, tx := range b.Txs {
					want.Transactions++
					want.Movements += int64(len(tx.Movements))
					for _, l := range tx.Movements[0].In {
						if l.Account.IsZero() {
							missing++
						}
					}
				}
				for _, n := range b.Notes {
					if n.Kind == flow.Quarantined {
						want.Quarantined++
					}
				}
				want.Missing += missing
				got, err := s.Block(t.Context(), c, b.Point.Height)
				if err != nil {
					t.Fatal(err)
				}
				if missing > 0 {
					if len(got.Notes) != len(b.Notes)+1 || got.Notes[len(b.Notes)].Kind != flow.DataMissing {
						t.Fatalf("notes of %s with %d open inputs = %+v", b.Point, missing, got.Notes)
					}
					got.Notes = got.Notes[:len(b.Notes)]
				}
				if !storetest.Same(got, b) {
					t.Fatalf("block %s = %+v; want %+v", b.Point, got, b)
				}
			}
			stats.Seconds = 0
			if stats != want || want.Missing == 0 {
				t.Fatalf("stats = %+v; want %+v with some missing", stats, want)
			}
		})
	}
}

// TestForwardAndBack: blocks that were added and undone leave nothing behind.
func TestForwardAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]flow.Chain{storetest.Regtest, storetest.Ethereum}).Draw(t, "chain")
		maker := storetest.NewMaker(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		known, st := book{}, memstore.New()
		var base, steps []source.Step
		for range rapid.IntRange(0, 6).Draw(t, "base") {
			base = append(base, known.add(next(maker, c)))
		}
		if _, err := ingest.Run(t.Context(), script{chain: c, steps: base}, known, st, ingest.Config{}); err != nil {
			t.Fatalf("base: %v", err)
		}
		want := dump(t, st)
		n := rapid.IntRange(1, 6).Draw(t, "more")
		for range n {
			steps = append(steps, known.add(next(maker, c)))
		}
		for range n {
			p, _ := maker.Pop(c)
			steps = append(steps, step(source.Undo, p))
		}
		cfg := ingest.Config{Batch: rapid.IntRange(1, 10).Draw(t, "batch")}
		stats, err := ingest.Run(t.Context(), script{chain: c, steps: steps}, known, st, cfg)
		if err != nil || stats.Undone != int64(n) || stats.Blocks != int64(n) {
			t.Fatalf("run = %+v, %v; want %d blocks, all undone", stats, err, n)
		}
		if got := dump(t, st); got != want {
			t.Fatalf("forward and back is not nothing: %s", storetest.Difference(want, got))
		}
	})
}
