package ingest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A shelf is a Ranger of fixed blocks, which remembers what it was asked for.
type shelf struct {
	chain  flow.Chain
	blocks []source.Step
	stop   int // end with errPage after so many blocks, if it is not 0
	asked  *[]store.Hole
	given  *int
}

func newShelf(c flow.Chain, blocks ...source.Step) shelf {
	return shelf{chain: c, blocks: blocks, asked: new([]store.Hole), given: new(int)}
}

func (s shelf) Chain() flow.Chain { return s.chain }

func (s shelf) Range(_ context.Context, from, to uint64) iter.Seq2[source.Block, error] {
	*s.asked = append(*s.asked, store.Hole{From: from, To: to})
	return func(yield func(source.Block, error) bool) {
		for _, b := range s.blocks {
			if h := b.Block.Point.Height; h < from || h > to {
				continue
			}
			if *s.given++; s.stop > 0 && *s.given > s.stop {
				yield(source.Block{}, errPage)
				return
			}
			if !yield(b.Block, nil) {
				return
			}
		}
	}
}

// TestFill: holes and what is below are filled as far as a block above is final and the source has them, newest first.
func TestFill(t *testing.T) {
	known := book{}
	var all []source.Step
	for i := range byte(40) {
		b := plainBlock(uint64(i)+1, i+1, i)
		if b.Point.Height == 20 {
			b.Notes = []flow.Note{{Kind: flow.Quarantined, Where: "row 7", Reason: "Not a number."}}
		}
		all = append(all, known.add(b))
	}
	st := memstore.New()
	held := slices.Concat(all[9:12], all[24:25], all[34:36], all[39:])
	held = append(held, step(source.Final, all[34].Block.Point)) // block 35
	if _, err := ingest.Run(t.Context(), script{chain: flow.Ethereum, steps: held}, known, st, ingest.Config{}); err != nil {
		t.Fatal(err)
	}
	src := newShelf(flow.Ethereum, slices.Concat(all[:15], all[16:])...) // without block 16
	var lefts []uint64
	notes, rooms := 0, 0
	cfg := ingest.FillConfig{Below: true, From: 3, Batch: 4,
		Progress: func(_ ingest.Stats, left uint64) { lefts = append(lefts, left) },
		Note:     func(flow.Point, flow.Note) { notes++ },
		Room:     func(context.Context) error { rooms++; return nil },
	}
	stats, err := ingest.Fill(t.Context(), src, known, st, cfg)
	stats.Seconds = 0
	// Blocks 26 to 34, 13 to 24 without 16, 3 to 9; those from 37 on are not below a final block.
	if want := (ingest.Stats{Blocks: 9 + 11 + 7, Quarantined: 1}); err != nil || stats != want || notes != 1 || rooms < 3 {
		t.Fatalf("fill = %+v, %v, %d notes, %d batches; want %+v", stats, err, notes, rooms, want)
	}
	if !slices.IsSortedFunc(lefts, func(a, b uint64) int { return int(b) - int(a) }) || lefts[len(lefts)-1] != 0 {
		t.Fatalf("heights left were %v; want them to fall to 0", lefts)
	}
	for i, h := range *src.asked {
		if i > 0 && h.To >= (*src.asked)[i-1].From {
			t.Fatalf("asked for %v; want the newest first", *src.asked)
		}
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	holes, err := s.Holes(t.Context(), flow.Ethereum)
	if want := []store.Hole{{From: 16, To: 16}, {From: 37, To: 39}}; err != nil || !slices.Equal(holes, want) {
		t.Fatalf("holes = %v, %v; want %v", holes, err, want)
	}
	if p, err := s.FirstAt(t.Context(), flow.Ethereum, -1); err != nil || p.Height != 3 {
		t.Fatalf("the first block is %v, %v; want block 3", p, err)
	}
}

// TestFillStops: an error ends it, what came before is kept, and the next fill goes on.
func TestFillStops(t *testing.T) {
	known := book{}
	var all []source.Step
	for i := range byte(60) {
		all = append(all, known.add(plainBlock(uint64(i)+1, i+1, i)))
	}
	stranger := known.add(plainBlock(59, 99, 98))
	foreign := all[57]
	foreign.Block.Point.Chain = flow.Bitcoin
	lost := known.add(plainBlock(59, 97, 58))
	delete(known, lost.Block.Point.Hash)
	cut := newShelf(flow.Ethereum, all...)
	cut.stop = 30
	full := errors.New("no room")
	tests := []struct {
		name   string
		src    shelf
		cfg    ingest.FillConfig
		err    error  // nil: any
		reason string // if not ""
		least  int64  // blocks that are kept
	}{
		{"source-ends-with-an-error", cut, ingest.FillConfig{Batch: 5}, errPage, "", 30},
		{"another-branch", newShelf(flow.Ethereum, append(slices.Clone(all[:58]), stranger)...), ingest.FillConfig{}, store.ErrFinal, "block 59", 0},
		{"another-chain", newShelf(flow.Ethereum, append(slices.Clone(all[:57]), foreign)...), ingest.FillConfig{}, nil, "takes it for", 14},
		{"not-in-order", newShelf(flow.Ethereum, append(slices.Clone(all[:57]), all[58], all[57])...), ingest.FillConfig{}, nil, "was asked for", 15},
		{"damaged", newShelf(flow.Ethereum, append(slices.Clone(all[:58]), lost)...), ingest.FillConfig{}, errPage, "decode", 14},
		{"no-room", newShelf(flow.Ethereum, all...), ingest.FillConfig{Room: func(context.Context) error { return full }}, full, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := memstore.New()
			held := []source.Step{all[0], all[59], step(source.Final, all[59].Block.Point)}
			if _, err := ingest.Run(t.Context(), script{chain: flow.Ethereum, steps: held}, known, st, ingest.Config{}); err != nil {
				t.Fatal(err)
			}
			stats, err := ingest.Fill(t.Context(), tt.src, known, st, tt.cfg)
			if err == nil || tt.err != nil && !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.reason) || stats.Blocks < tt.least {
				t.Fatalf("fill = %+v, %v; want %v %q and at least %d blocks", stats, err, tt.err, tt.reason, tt.least)
			}
			rest, err := ingest.Fill(t.Context(), newShelf(flow.Ethereum, all...), known, st, ingest.FillConfig{})
			if err != nil || stats.Blocks+rest.Blocks != 58 {
				t.Fatalf("the next fill = %+v, %v after %d blocks; want 58 in all", rest, err, stats.Blocks)
			}
		})
	}
}

// TestFillCancelled: a fill that is told to stop keeps what it has, and says so.
func TestFillCancelled(t *testing.T) {
	known := book{}
	var all []source.Step
	for i := range byte(200) {
		all = append(all, known.add(plainBlock(uint64(i)+1, i+1, i)))
	}
	st := memstore.New()
	held := []source.Step{all[199], step(source.Final, all[199].Block.Point)}
	if _, err := ingest.Run(t.Context(), script{chain: flow.Ethereum, steps: held}, known, st, ingest.Config{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	cfg := ingest.FillConfig{Below: true, Batch: 1, Progress: func(ingest.Stats, uint64) { stop() }}
	stats, err := ingest.Fill(ctx, newShelf(flow.Ethereum, all...), known, st, cfg)
	if !errors.Is(err, context.Canceled) || stats.Blocks == 0 || stats.Blocks == 199 {
		t.Fatalf("fill = %+v, %v; want some blocks and that it was cancelled", stats, err)
	}
	rest, err := ingest.Fill(t.Context(), newShelf(flow.Ethereum, all...), known, st, ingest.FillConfig{Below: true})
	if err != nil || stats.Blocks+rest.Blocks != 199 {
		t.Fatalf("the next fill = %+v, %v after %d blocks; want 199 in all", rest, err, stats.Blocks)
	}
}

// TestFillStory: an input whose output was in a hole is filled if its own block comes later than that, and stays as it is, with
// its note, if its block was there before.
func TestFillStory(t *testing.T) {
	const story = `chain regtest
block 1 aa time=10
a: - -> victim 50, other 7
block 2 bb time=20
b: a:0 -> thief 50
block 3 cc time=30
c: b:0 -> hidden 49
block 4 dd time=40
d: c:0 -> shop 48
`
	parsed, err := text.Parse("chain.txt", strings.NewReader(story))
	if err != nil {
		t.Fatal(err)
	}
	known := dectext.New()
	var all []source.Step
	for s, err := range parsed.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Op == source.Add {
			all = append(all, s)
		}
	}
	st := memstore.New()
	held := []source.Step{all[3], step(source.Final, all[3].Block.Point)}
	stats, err := ingest.Run(t.Context(), script{chain: flow.BitcoinRegtest, steps: held}, known, st, ingest.Config{})
	if err != nil || stats.Missing != 1 {
		t.Fatalf("run = %+v, %v; want one open input", stats, err)
	}
	stats, err = ingest.Fill(t.Context(), newShelf(flow.BitcoinRegtest, all...), known, st, ingest.FillConfig{Below: true, Batch: 1})
	if err != nil || stats.Blocks != 3 || stats.Missing != 0 {
		t.Fatalf("fill = %+v, %v; want three blocks and no open input", stats, err)
	}
	state := dump(t, st)
	if n := strings.Count(state, `{"account":""`); n != 1 || !strings.Contains(state, "never seen the spent output") {
		t.Fatalf("%d inputs are open; want that of the block which was there, with its note:\n%s", n, state)
	}
}

// TestFillIsInOrder: a chain that came in any order, with forks, finality and fills that were cut short, is the same as one
// that came from the lowest block to the highest.
func TestFillIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := storetest.Ethereum
		maker := storetest.NewMaker(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		known := book{}
		var all []source.Step
		for range rapid.IntRange(2, 25).Draw(t, "blocks") {
			all = append(all, known.add(next(maker, c)))
		}
		st := memstore.New()
		var steps []source.Step
		for i, s := range all {
			if i < len(all)-1 && rapid.IntRange(0, 2).Draw(t, "leave out") == 0 {
				continue
			}
			steps = append(steps, s)
		}
		if _, err := ingest.Run(t.Context(), script{chain: c, steps: steps}, known, st, ingest.Config{}); err != nil {
			t.Fatalf("run: %v", err)
		}
		for end := false; !end; {
			final := rapid.SampledFrom(steps).Draw(t, "final").Block.Point
			if err := st.Final(t.Context(), final); err != nil {
				t.Fatalf("final: %v", err)
			}
			src := newShelf(c, all...)
			src.stop = rapid.IntRange(0, 5).Draw(t, "stop")
			cfg := ingest.FillConfig{Below: true, Batch: rapid.IntRange(1, 9).Draw(t, "batch")}
			if _, err := ingest.Fill(t.Context(), src, known, st, cfg); err != nil && !(src.stop > 0 && errors.Is(err, errPage)) {
				t.Fatalf("fill: %v", err)
			}
			end = rapid.IntRange(0, 2).Draw(t, "end") == 0
		}
		if err := st.Final(t.Context(), all[len(all)-1].Block.Point); err != nil {
			t.Fatalf("final: %v", err)
		}
		if _, err := ingest.Fill(t.Context(), newShelf(c, all...), known, st, ingest.FillConfig{Below: true}); err != nil {
			t.Fatalf("fill: %v", err)
		}
		direct := memstore.New()
		if _, err := ingest.Run(t.Context(), script{chain: c, steps: all}, known, direct, ingest.Config{}); err != nil {
			t.Fatalf("run: %v", err)
		}
		if got, want := dump(t, st), dump(t, direct); got != want {
			t.Fatalf("the stores differ: %s", storetest.Difference(want, got))
		}
	})
}
