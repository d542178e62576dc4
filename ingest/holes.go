package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"time"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/store"
)

// A Ranger is where Fill gets blocks from.
type Ranger interface {
	// Chain is the chain whose blocks it yields.
	Chain() flow.Chain
	// Range yields the blocks from one height to another, both included, at rising heights; those that it does not have
	// are left out. The stream ends after the first error.
	Range(ctx context.Context, from, to uint64) iter.Seq2[source.Block, error]
}

// FillConfig is the configuration of a Fill. The zero value is valid.
type FillConfig struct {
	// Below says that the heights below the chain's first block are wanted, too.
	Below bool
	// From is the lowest height that is wanted.
	From uint64
	// Batch is how many movements are given to the store at once, about; 100,000 if 0. Small ones keep nobody waiting and
	// make later look-ups slower.
	Batch int
	// Ahead is how many blocks may be decoded at once; one for each processor if 0.
	Ahead int
	// Progress, if any, is told how far the fill is, and how many heights are left: after every batch, by the goroutine
	// that called Fill.
	Progress func(s Stats, left uint64)
	// Note, if any, is told every note of a block that the store took, by the goroutine that called Fill.
	Note func(at flow.Point, n flow.Note)
	// Room, if any, is called before the store is written to. It may wait until there is room; its error ends the fill.
	Room func(ctx context.Context) error
}

func (c FillConfig) withDefaults() FillConfig {
	if c.Batch <= 0 {
		c.Batch = 100_000
	}
	if c.Ahead <= 0 {
		c.Ahead = runtime.GOMAXPROCS(0)
	}
	return c
}

// Fill gets the blocks of the heights that the store does not hold, as far as a final block is above them, and puts them
// in: the newest first, because a trace asks for these first; on a chain of outpoints the oldest first, because an input
// finds its owner and amount in what is older. What the source does not have stays missing. Fill may run beside a Run of
// the same store, and may end anywhere: the next one goes on from there. Inputs of blocks which the store held before stay
// as they are.
//
// Errors: those of the source and the decoder; store.ErrFinal for a block that does not link to what is held around it:
// the source is on another branch, or lies; ctx's own.
func Fill(ctx context.Context, src Ranger, dec decode.Decoder, st store.Store, cfg FillConfig) (Stats, error) {
	f := &fill{run: run{st: st, chain: src.Chain(), began: time.Now()}, src: src, dec: dec, cfg: cfg.withDefaults()}
	f.run.cfg.Note = cfg.Note
	err := f.holes(ctx)
	if err == nil {
		err = ctx.Err()
	}
	f.tell()
	if err != nil {
		return f.stats, fmt.Errorf("fill %s: %w", f.chain, err)
	}
	return f.stats, nil
}

// A fill is the state of one Fill. It belongs to one goroutine.
type fill struct {
	run
	src  Ranger
	dec  decode.Decoder
	cfg  FillConfig
	left uint64 // heights
}

// errAbove ends the filling of a hole that has no final block above it.
var errAbove = errors.New("no final block above")

// holes fills all of them.
func (f *fill) holes(ctx context.Context) error {
	all, err := f.list(ctx)
	if err != nil {
		return err
	}
	for _, h := range all {
		f.left += h.To - h.From + 1
	}
	for i := range all {
		h := all[i]
		one := f.upwards
		if !f.chain.IsUTXO() {
			h, one = all[len(all)-1-i], f.downwards
		}
		left := f.left
		if err := one(ctx, h); err != nil && !errors.Is(err, errAbove) {
			return err
		}
		f.left = left - (h.To - h.From + 1)
	}
	return nil
}

// list is what is missing, lowest first.
func (f *fill) list(ctx context.Context) (all []store.Hole, err error) {
	s, err := f.st.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	holes, err := s.Holes(ctx, f.chain)
	if err != nil {
		return nil, err
	}
	if f.cfg.Below {
		first, err := firstHeight(ctx, s, f.chain)
		if err != nil {
			return nil, err
		}
		if first > 0 {
			holes = append([]store.Hole{{From: 0, To: first - 1}}, holes...)
		}
	}
	for _, h := range holes {
		if h.From = max(h.From, f.cfg.From); h.From <= h.To {
			all = append(all, h)
		}
	}
	return all, nil
}

// firstHeight is that of the chain's first block, 0 if there is none.
func firstHeight(ctx context.Context, s store.Snapshot, c flow.Chain) (uint64, error) {
	p, err := s.FirstAt(ctx, c, -1<<62)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return p.Height, err
}

// upwards fills a hole from its lowest height on.
func (f *fill) upwards(ctx context.Context, h store.Hole) error { return f.rows(ctx, h) }

// downwards fills a hole from its highest height on, in spans of about a batch.
func (f *fill) downwards(ctx context.Context, h store.Hole) error {
	const first, most = 16, 1 << 16 // blocks
	for n := uint64(first); ; {
		span := store.Hole{From: h.From, To: h.To}
		if h.To-h.From >= n {
			span.From = h.To - n + 1
		}
		before := f.stats
		if err := f.rows(ctx, span); err != nil || span.From == h.From {
			return err
		}
		h.To = span.From - 1
		// The next span is as long as to make a batch if blocks go on like these.
		moves := f.stats.Movements - before.Movements
		n = min(max(n*uint64(f.cfg.Batch)/uint64(max(moves, 1)), first), 4*n, most)
	}
}

// rows puts in what the source has of a hole, from its lowest height on.
func (f *fill) rows(ctx context.Context, h store.Hole) (err error) {
	ctx, stop := context.WithCancel(ctx)
	line := startPipeline(ctx, ranged{f.src, h}, f.dec, nil, f.cfg.Ahead)
	defer line.wait()
	defer stop()
	next := h.From
	for j := range line.jobs {
		<-j.done
		if err = j.err; err != nil {
			break
		}
		p := j.block.Point
		if p.Chain != f.chain || p.Height < next || p.Height > h.To {
			err = fmt.Errorf("the source yields %s where a block from %d to %d was asked for", p, next, h.To)
			break
		}
		next = p.Height + 1
		f.batch = append(f.batch, j.block)
		if f.weigh(j.block); f.weight >= 2*f.cfg.Batch {
			if err = f.put(ctx, p.Height-h.From+1); err != nil {
				break
			}
			h.From = next
		}
	}
	stop()
	if errors.Is(err, errAbove) {
		return err
	}
	// What came before an error is good, and done with even if the caller has no more time.
	if putErr := f.put(context.WithoutCancel(ctx), h.To-h.From+1); err == nil {
		err = putErr
	}
	return err
}

// put gives the batch to the store. heights is how far it goes.
func (f *fill) put(ctx context.Context, heights uint64) error {
	defer func() {
		clear(f.batch)
		f.batch, f.weight = f.batch[:0], 0
	}()
	if len(f.batch) == 0 {
		return nil
	}
	if f.cfg.Room != nil {
		if err := f.cfg.Room(ctx); err != nil {
			return err
		}
	}
	missing, err := fillInputs(ctx, f.st, f.chain, f.batch)
	if err != nil {
		return err
	}
	n, err := f.st.Fill(ctx, f.batch)
	if err != nil {
		f.count(f.batch[:n], missing)
		if errors.Is(err, store.ErrNotFound) {
			return errAbove
		}
		return err
	}
	f.count(f.batch, missing)
	passed := int64(len(f.batch) - n) // over: somebody else filled the same hole
	f.stats.Duplicates, f.stats.Blocks = f.stats.Duplicates+passed, f.stats.Blocks-passed
	f.left -= min(f.left, heights)
	f.tell()
	return nil
}

func (f *fill) tell() {
	f.stats.Seconds = time.Since(f.began).Seconds()
	if f.cfg.Progress != nil {
		f.cfg.Progress(f.stats, f.left)
	}
}

// A ranged is a hole as a source.
type ranged struct {
	Ranger
	hole store.Hole
}

// Steps yields the blocks of the hole.
func (r ranged) Steps(ctx context.Context, _ []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		for b, err := range r.Range(ctx, r.hole.From, r.hole.To) {
			if !yield(source.Step{Op: source.Add, Block: b}, err) {
				return
			}
		}
	}
}
