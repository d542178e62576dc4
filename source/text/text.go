// Package text reads chains that are written down by hand, for tests and stories; docs/formats/text-chain.md is the form.
package text

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// ErrSyntax is returned for a line that the form does not know, and for blocks that cannot stand where they do.
var ErrSyntax = errors.New("not a text chain")

// MaxSize is how many bytes a file may have: the form is for what people write.
const MaxSize = 64 << 20

// A Source is a text chain: a list of events, each of which puts a block on, takes one off, or declares one final. A
// reader that holds nothing sees all of them, with the forks; one that was there before sees those after its own last.
type Source struct {
	name   string
	chain  flow.Chain
	data   []byte
	events []event
	last   map[place]int    // the last event after which that block was the newest
	at     map[uint64][]int // the events that put a block at a height
	final  int              // the event which declares the highest block final, or -1
	winner []int            // the events that put the blocks of the branch that is left in the end
	read   atomic.Int64
}

// An event is one step. The block of an Add is data[start:end].
type event struct {
	op         source.Op
	point      flow.Point
	parent     flow.Hash
	below      place    // the block that this one was put on
	line       int      // of the block
	start, end int      // of the block's lines; end is also how far the file was read
	rows       [32]byte // a digest of the block's rows
}

// A place names a block.
type place struct {
	height uint64
	hash   flow.Hash
}

func placeOf(p flow.Point) place { return place{p.Height, p.Hash} }

// Open reads a text chain from a file.
func Open(path string) (*Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := Parse(filepath.Base(path), f)
	return s, errors.Join(err, f.Close())
}

// Parse reads a text chain. name stands for it in messages and notes. Errors name the line and, unless they are of r
// itself, wrap ErrSyntax.
func Parse(name string, r io.Reader) (*Source, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(data) > MaxSize:
		return nil, fmt.Errorf("%s: longer than %d bytes: %w: use a table for large chains", name, MaxSize, ErrSyntax)
	}
	p := newParser(name, data)
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.src, nil
}

// Chain is the chain that the file names.
func (s *Source) Chain() flow.Chain { return s.chain }

// Size is how many bytes there are and how many of them the steps so far have covered.
func (s *Source) Size() (read, total int64) { return s.read.Load(), int64(len(s.data)) }

// Steps yields what leads from the reader's state to that after the last line. See source.Source.
func (s *Source) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		undo, events := s.resume(known)
		for _, p := range undo {
			if !yield(source.Step{Op: source.Undo, Block: source.Block{Point: p}}, nil) {
				return
			}
		}
		for _, i := range events {
			if err := ctx.Err(); err != nil {
				yield(source.Step{}, err)
				return
			}
			s.read.Store(int64(s.events[i].end))
			if !yield(s.step(s.events[i]), nil) {
				return
			}
		}
		s.read.Store(int64(len(s.data)))
	}
}

// step is an event as the reader gets it.
func (s *Source) step(e event) source.Step {
	st := source.Step{Op: e.op, Block: source.Block{Point: e.point}}
	if e.op == source.Add {
		st.Block.Parent = e.parent
		st.Block.Raw = fmt.Appendf(nil, "%d %s\n%s", e.line, s.name, bytes.TrimRight(s.data[e.start:e.end], "\r\n"))
	}
	return st
}

// resume finds the blocks that a reader must take off, and the events that it has to see then.
func (s *Source) resume(known []flow.Point) (undo []flow.Point, events []int) {
	for i, p := range known {
		if k, ok := s.last[placeOf(p)]; ok {
			return known[:i], s.since(k + 1)
		}
		if !s.contradicts(p) {
			// A block that this file says nothing about: it may be one that comes before all of this.
			return known[:i], s.above(p.Height)
		}
	}
	return known, s.since(0)
}

// since are the events from the k-th on.
func (s *Source) since(k int) []int {
	var all []int
	for ; k < len(s.events); k++ {
		all = append(all, k)
	}
	return all
}

// above are the events that put the blocks on which are left in the end, above a height.
func (s *Source) above(height uint64) []int {
	var all []int
	for _, k := range s.winner {
		if s.events[k].point.Height > height {
			all = append(all, k)
		}
	}
	if s.final >= 0 {
		all = append(all, s.final)
	}
	return all
}

// contradicts reports whether the file has another block in the place of p.
func (s *Source) contradicts(p flow.Point) bool {
	for _, k := range s.at[p.Height] {
		if q := s.events[k].point; !p.Hash.IsZero() && !q.Hash.IsZero() && p.Hash != q.Hash {
			return true
		}
	}
	return false
}
