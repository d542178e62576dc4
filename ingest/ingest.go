// Package ingest keeps a store in step with a source, forward and back.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/store"
)

// Config is the configuration of a Run. The zero value is valid.
type Config struct {
	// Batch is how many movements are given to the store at once; 100,000 if 0. A movement counts once for every two of
	// its legs.
	Batch int
	// Delay is how long a block may wait for others to be given to the store with it, while they come one after the other;
	// 100 ms if 0. Where none comes at once none is waited for.
	Delay time.Duration
	// Ahead is how many blocks may be decoded at once; one for each processor if 0.
	Ahead int
	// Known is how many of its newest blocks the store shows to the source: a fork that is deeper cannot be followed;
	// 1,000 if 0.
	Known int
	// Progress, if any, is told how far the run is: at most ten times a second and once at the end, by the goroutine that
	// called Run. read and total are bytes of the source, 0 where it does not know.
	Progress func(s Stats, read, total int64)
	// Note, if any, is told every note of a block that the store took, by the goroutine that called Run.
	Note func(at flow.Point, n flow.Note)
	// Stage, if any, goes forward and back with the store.
	Stage Stage
	// Room, if any, is called before the store is written to. It may wait until there is room; its error ends the run.
	Room func(ctx context.Context) error
}

// A Stage goes with a store, right behind it: it is told of everything that the store did, after it did it, in that
// order, by the goroutine that called Run. Its first error ends the run; the store then keeps what it has, so a Stage that begins again has
// to ask the store for what it missed.
type Stage interface {
	// Forward is told of blocks that the store has put on, in their order. They are the stage's to read until it returns.
	Forward(ctx context.Context, blocks []flow.Block) error
	// Back is told of a block that the store has taken off.
	Back(ctx context.Context, top flow.Point) error
	// Final is told of a block which, with all below it, will never be undone.
	Final(ctx context.Context, p flow.Point) error
}

func (c Config) withDefaults() Config {
	if c.Batch <= 0 {
		c.Batch = 100_000
	}
	if c.Delay <= 0 {
		c.Delay = 100 * time.Millisecond
	}
	if c.Ahead <= 0 {
		c.Ahead = runtime.GOMAXPROCS(0)
	}
	if c.Known <= 0 {
		c.Known = 1000
	}
	return c
}

// Stats counts what a Run did. What the store took is counted, even if it was undone later.
type Stats struct {
	Blocks       int64   `json:"blocks"`
	Duplicates   int64   `json:"duplicates"` // blocks that the store had already
	Transactions int64   `json:"transactions"`
	Movements    int64   `json:"movements"`
	Quarantined  int64   `json:"quarantined"` // rows that were refused, each with a note
	Missing      int64   `json:"missing"`     // inputs whose output the store has never seen
	Undone       int64   `json:"undone"`      // blocks that were taken off again
	Seconds      float64 `json:"seconds"`
}

// progressEvery is the shortest time between two calls of Progress.
const progressEvery = 100 * time.Millisecond

// Run reads what the store does not have yet from the source, decodes it and puts it into the store, until the source
// ends or ctx is done. Steps are taken in the source's order, whole blocks each, so that a run may end anywhere and the
// next one goes on from there; blocks may be decoded ahead. Inputs that spend an output which is not in the block are
// filled from the store; where the store has never seen it they stay open, with a note.
//
// Whatever ends the run, the steps before it are in the store and synced when Run returns. Errors: those of the source
// and the decoder; store.ErrNotHead for a block that does not go on top; store.ErrFinal for a fork below a final block;
// ctx's own.
func Run(ctx context.Context, src source.Source, dec decode.Decoder, st store.Store, cfg Config) (Stats, error) {
	cfg = cfg.withDefaults()
	r := &run{st: st, chain: src.Chain(), cfg: cfg, began: time.Now()}
	known, err := r.known(ctx)
	if err != nil {
		return r.stats, fmt.Errorf("ingest %s: %w", r.chain, err)
	}
	r.size = func() (read, total int64) { return 0, 0 }
	if s, ok := src.(source.Sizer); ok {
		r.size = s.Size
	}
	err = r.follow(ctx, src, dec, known)
	// A run that was told to stop still finishes what it began.
	after := context.WithoutCancel(ctx)
	if flushErr := r.flush(after); err == nil {
		err = flushErr
	}
	if syncErr := st.Sync(after); err == nil {
		err = syncErr
	}
	if err == nil {
		err = ctx.Err()
	}
	r.progress(true)
	if err != nil {
		return r.stats, fmt.Errorf("ingest %s: %w", r.chain, err)
	}
	return r.stats, nil
}

// A run is the state of one Run. It belongs to one goroutine.
type run struct {
	st    store.Store
	chain flow.Chain
	cfg   Config
	size  func() (read, total int64)

	tip   flow.Point // the newest block of the store and of batch
	empty bool       // there is none
	// batch are blocks on their way to the store. final, unless it is zero, is a block to be declared final once they
	// are in.
	batch  []flow.Block
	weight int // legs, notes and blocks in batch, about twice the movements
	final  flow.Point

	stats Stats
	began time.Time
	told  time.Time // when Progress was called last
}

// known are the newest blocks of the store, newest first.
func (r *run) known(ctx context.Context) ([]flow.Point, error) {
	s, err := r.st.Snapshot()
	if err != nil {
		return nil, err
	}
	tip, ok := s.Tip(r.chain)
	r.tip, r.empty = tip, !ok
	known, err := s.Recent(ctx, r.chain, r.cfg.Known)
	return known, errors.Join(err, s.Close())
}

// follow takes the source's steps one after the other. It returns when the source ends, ctx is done, or a step fails,
// after all goroutines of the pipeline have ended.
func (r *run) follow(ctx context.Context, src source.Source, dec decode.Decoder, known []flow.Point) error {
	ctx, stop := context.WithCancel(ctx)
	line := startPipeline(ctx, src, dec, known, r.cfg.Ahead)
	defer line.wait()
	defer stop()
	late := time.NewTimer(r.cfg.Delay)
	defer late.Stop()
	var first time.Time // when the first step of the batch came
	for {
		since := time.Now()
		select {
		case <-late.C: // runs while there is something in the batch
			if err := r.flush(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		case j, more := <-line.jobs:
			if !more {
				return nil
			}
			<-j.done
			if j.err != nil {
				return j.err
			}
			now := time.Now()
			if r.idle() {
				first = now
			}
			if err := r.take(context.WithoutCancel(ctx), j); err != nil {
				return err
			}
			switch {
			case r.idle():
			case now.Sub(since) >= calm && len(line.jobs) == 0: // it was waited for, and so would the next be
				if err := r.flush(context.WithoutCancel(ctx)); err != nil {
					return err
				}
			default:
				late.Reset(min(calm, r.cfg.Delay-now.Sub(first)))
			}
		}
		r.progress(false)
	}
}

// calm is how long nothing has to come from a source until it is taken to have no more for now.
const calm = time.Millisecond

// idle reports whether nothing is on its way to the store.
func (r *run) idle() bool { return len(r.batch) == 0 && r.final.IsZero() }

// take does one step.
func (r *run) take(ctx context.Context, j *job) error {
	p := j.step.Block.Point
	if p.Chain != r.chain {
		return fmt.Errorf("the source yields a block of another chain: %s", p)
	}
	switch j.step.Op {
	case source.Add:
		return r.add(ctx, j.block)
	case source.Undo:
		return r.undo(ctx, p)
	case source.Final:
		// What is above the newest block is not there to be declared, and must not take the place of what is.
		if !r.empty && p.Height <= r.tip.Height && (r.final.IsZero() || p.Height > r.final.Height) {
			r.final = p
		}
		return nil
	}
	return fmt.Errorf("the source yields a step of unknown kind %d at %s", j.step.Op, p)
}

// add puts a block into the batch.
func (r *run) add(ctx context.Context, b flow.Block) error {
	p := b.Point
	if !r.empty && p.Height <= r.tip.Height {
		have, err := r.has(ctx, p)
		if err != nil {
			return err
		}
		if have {
			r.stats.Duplicates++
			return nil
		}
	}
	if err := r.fits(b); err != nil {
		return err
	}
	r.batch = append(r.batch, b)
	r.tip, r.empty = p, false
	if r.weigh(b); r.weight >= 2*r.cfg.Batch {
		return r.flush(ctx)
	}
	return nil
}

// weigh adds the weight of a block.
func (r *run) weigh(b flow.Block) {
	r.weight += 1 + len(b.Notes)
	for _, tx := range b.Txs {
		for _, m := range tx.Movements {
			r.weight += len(m.In) + len(m.Out)
		}
	}
}

// has reports whether the store or the batch already holds that block, which is no higher than the tip. Below the tip a
// block without a hash is never taken for one that is there: its rows might be others.
func (r *run) has(ctx context.Context, p flow.Point) (bool, error) {
	if p.Height == r.tip.Height {
		return p.Hash == r.tip.Hash, nil
	}
	if p.Hash.IsZero() {
		return false, nil
	}
	for _, b := range r.batch {
		if b.Point.Height == p.Height {
			return b.Point.Hash == p.Hash, nil
		}
	}
	held, ok, err := r.point(ctx, p.Height)
	return ok && held.Hash == p.Hash, err
}

// point is the block that the store holds at a height; ok is false where it holds none.
func (r *run) point(ctx context.Context, height uint64) (p flow.Point, ok bool, err error) {
	s, err := r.st.Snapshot()
	if err != nil {
		return flow.Point{}, false, err
	}
	p, err = s.Point(ctx, r.chain, height)
	closeErr := s.Close()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return flow.Point{}, false, closeErr
	case err != nil:
		return flow.Point{}, false, err
	}
	return p, true, closeErr
}

// fits returns the error that the store would give for b, before other blocks go in with it.
func (r *run) fits(b flow.Block) error {
	p := b.Point
	switch {
	case r.empty:
		return nil
	case p.Height <= r.tip.Height:
		return fmt.Errorf("add %s where the newest block is %s: %w: go on with a source that begins above block %d, or start with an empty store",
			p, r.tip, store.ErrNotHead, r.tip.Height)
	case p.Height == r.tip.Height+1 && !b.Parent.IsZero() && !r.tip.Hash.IsZero() && b.Parent != r.tip.Hash:
		return fmt.Errorf("add %s, whose parent is %.12s…, where the newest block is %s: %w: the two are of different branches; "+
			"go on with a source that holds the fork, or start with an empty store", p, b.Parent, r.tip, store.ErrNotHead)
	}
	return nil
}

// undo takes the newest block off again.
func (r *run) undo(ctx context.Context, p flow.Point) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := r.st.Undo(ctx, p); err != nil {
		if errors.Is(err, store.ErrFinal) {
			return fmt.Errorf("the source's branch leaves the store's at or below block %d, the newest block is %d: %w", p.Height, r.tip.Height, err)
		}
		return err
	}
	r.stats.Undone++
	s, err := r.st.Snapshot()
	if err != nil {
		return err
	}
	tip, ok := s.Tip(r.chain)
	r.tip, r.empty = tip, !ok
	if err := s.Close(); err != nil {
		return err
	}
	if r.cfg.Stage != nil {
		return r.cfg.Stage.Back(ctx, p)
	}
	return nil
}

// flush gives the batch to the store, then declares final what is.
func (r *run) flush(ctx context.Context) error {
	if err := r.append(ctx); err != nil {
		return err
	}
	return r.seal(ctx)
}

func (r *run) append(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	if r.cfg.Room != nil {
		if err := r.cfg.Room(ctx); err != nil {
			return err
		}
	}
	missing, err := fillInputs(ctx, r.st, r.chain, r.batch)
	if err != nil {
		return err
	}
	n, err := r.st.Append(ctx, r.batch)
	if n = min(n, len(r.batch)); n > 0 && r.cfg.Stage != nil {
		if stageErr := r.cfg.Stage.Forward(ctx, r.batch[:n]); err == nil {
			err = stageErr
		}
	}
	r.count(r.batch[:n], missing)
	clear(r.batch) // lets the blocks go
	r.batch, r.weight = r.batch[:0], 0
	return err
}

// count counts blocks that the store took, and tells their notes.
func (r *run) count(blocks []flow.Block, missing []int64) {
	for i, b := range blocks {
		r.stats.Blocks++
		r.stats.Missing += missing[i]
		r.stats.Transactions += int64(len(b.Txs))
		for _, tx := range b.Txs {
			r.stats.Movements += int64(len(tx.Movements))
		}
		for _, note := range b.Notes {
			if note.Kind == flow.Quarantined {
				r.stats.Quarantined++
			}
			if r.cfg.Note != nil {
				r.cfg.Note(b.Point, note)
			}
		}
	}
}

// seal declares r.final, if any, in the store. A block in a hole or below those that the store holds has nothing to declare.
func (r *run) seal(ctx context.Context) error {
	p := r.final
	if p.IsZero() {
		return nil
	}
	r.final = flow.Point{}
	held, ok, err := r.point(ctx, p.Height)
	switch {
	case err != nil:
		return err
	case !ok:
		return nil
	case !p.Hash.IsZero() && !held.Hash.IsZero() && p.Hash != held.Hash:
		return fmt.Errorf("the source declares %s final, the store holds %s there and the newest block is %d: %w: the store is on a branch that lost; "+
			"start with an empty store", p, held, r.tip.Height, store.ErrFinal)
	}
	if err := r.st.Final(ctx, held); err != nil || r.cfg.Stage == nil {
		return err
	}
	return r.cfg.Stage.Final(ctx, held)
}

// progress tells how far the run is, unless it has done so a moment ago.
func (r *run) progress(end bool) {
	now := time.Now()
	r.stats.Seconds = now.Sub(r.began).Seconds()
	if r.cfg.Progress == nil || !end && now.Sub(r.told) < progressEvery {
		return
	}
	r.told = now
	read, total := r.size()
	r.cfg.Progress(r.stats, read, total)
}

// Plus is what two runs counted together.
func (s Stats) Plus(o Stats) Stats {
	s.Blocks += o.Blocks
	s.Duplicates += o.Duplicates
	s.Transactions += o.Transactions
	s.Movements += o.Movements
	s.Quarantined += o.Quarantined
	s.Missing += o.Missing
	s.Undone += o.Undone
	s.Seconds += o.Seconds
	return s
}
