package ingest

import (
	"context"
	"fmt"
	"sync"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// A job is one step on its way through the pipeline. Its other fields may be read once done is closed.
type job struct {
	step  source.Step
	block flow.Block // the decoded block of an Add
	err   error      // of the source or the decoder
	done  chan struct{}
}

// A pipeline reads a source in one goroutine and decodes in several, in bounded number, and hands the steps on in the
// source's order.
type pipeline struct {
	jobs   chan *job // in order; closed when the source has ended
	ending sync.WaitGroup
}

// startPipeline starts the goroutines. They end when the source does or ctx is done; wait waits for that.
func startPipeline(ctx context.Context, src source.Source, dec decode.Decoder, known []flow.Point, ahead int) *pipeline {
	l := &pipeline{jobs: make(chan *job, 2*ahead)}
	work := make(chan *job)
	l.ending.Go(func() {
		defer close(l.jobs)
		defer close(work)
		l.read(ctx, src, known, work)
	})
	for range ahead {
		l.ending.Go(func() {
			for j := range work {
				j.decode(dec)
			}
		})
	}
	return l
}

// wait returns when all goroutines have ended; jobs that nobody took are dropped.
func (l *pipeline) wait() {
	for range l.jobs {
	}
	l.ending.Wait()
}

// read yields the source's steps to jobs, and those which have to be decoded to work.
func (l *pipeline) read(ctx context.Context, src source.Source, known []flow.Point, work chan<- *job) {
	for step, err := range src.Steps(ctx, known) {
		j := &job{step: step, err: err, done: make(chan struct{})}
		select {
		case l.jobs <- j:
		case <-ctx.Done():
			return
		}
		if err != nil || step.Op != source.Add {
			close(j.done)
		} else {
			work <- j // a decoder always comes back: it is pure
		}
		if err != nil {
			return
		}
	}
}

// decode decodes the block of an Add.
func (j *job) decode(dec decode.Decoder) {
	defer close(j.done)
	in := j.step.Block
	b, err := dec.Decode(in.Point, in.Parent, in.Raw)
	switch {
	case err != nil:
		j.err = fmt.Errorf("decode %s: %w", in.Point, err)
	case b.Point.Chain != in.Point.Chain || b.Point.Height != in.Point.Height:
		j.err = fmt.Errorf("decode %s: the decoder takes it for %s", in.Point, b.Point)
	}
	j.block, j.step.Block.Raw = b, nil
}
