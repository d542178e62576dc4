package bitcoin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

var _ interface {
	source.Source
	source.Sizer
} = (*Source)(nil)

// finalEvery is the number of heights between two Final steps in the depth of the chain.
const finalEvery = 64

// Steps yields the best branch of the files: it reads all headers first, then the blocks in order of height. Best is
// the branch with the most work; among equals the one that the reader is on, then the one that stands first.
//
// Of a known block Steps says Undo if the files have another one at its height, or one above it with another parent,
// and the reader's branch is in the files or the files go higher than the reader. Where something is damaged or cannot
// be placed, the steps go on only as far as no height is missing, and then the error comes: once the files are put
// right, the reader can go on where it was.
func (s *Source) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		w := walk{s: s, ctx: ctx, yield: yield, shelf: &shelf{}}
		err := w.run(known)
		if e := w.shelf.close(); err == nil {
			err = e
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(source.Step{}, fmt.Errorf("read blocks: %w", err))
		}
	}
}

// errStopped ends a walk whose consumer has had enough.
var errStopped = errors.New("stopped")

// A walk is one run of Steps.
type walk struct {
	s       *Source
	ctx     context.Context
	yield   func(source.Step, error) bool
	shelf   *shelf
	index   index
	chain   chain
	trouble error
}

func (w *walk) run(known []flow.Point) error {
	for _, k := range known {
		if !k.Chain.IsZero() && k.Chain != w.s.net.chain {
			return fmt.Errorf("go on from %s: %w", k, ErrChain)
		}
	}
	if err := w.look(known); err != nil {
		return err
	}
	from, joined, err := w.undo(known)
	if err != nil {
		return err
	}
	if err := w.add(from, joined, len(known) > 0); err != nil {
		return err
	}
	return w.trouble
}

// look reads the headers and finds the chain in them.
func (w *walk) look(known []flow.Point) error {
	var err error
	if w.s.files, err = find(w.s.paths); err != nil {
		return err
	}
	w.shelf = &shelf{files: w.s.files, most: w.s.cfg.MaxUnpacked}
	x := scan{s: w.s, shelf: w.shelf}
	if err := x.files(w.ctx); err != nil {
		return err
	}
	w.trouble = x.trouble
	w.index = newIndex(x.blocks)
	w.index.link()
	on := int32(noParent)
	for _, k := range known {
		if on = w.index.find(k.Hash); on >= 0 {
			break
		}
	}
	placed, err := x.place(w.index.branches(on))
	if err != nil && w.trouble == nil {
		w.trouble = err
	}
	w.chain = w.index.join(placed)
	if err := w.doubt(); err != nil {
		return err
	}
	var total int64
	for _, i := range w.chain.blocks {
		total += int64(w.index.blocks[i].size)
	}
	w.s.read.Store(0)
	w.s.total.Store(total)
	return nil
}

// doubt refuses single blocks that were taken to be of the main network and cannot be: since BIP 34 is a rule there, the
// targets of its blocks have begun with at least six zero bytes.
func (w *walk) doubt() error {
	if w.s.known {
		return nil
	}
	for n, i := range w.chain.blocks {
		b := w.index.blocks[i]
		target, _ := targetOf(b.bits)
		if w.chain.heights[n] >= w.s.net.bip34 && !isZero(target[:6]) {
			return fmt.Errorf("%s: too easy a block for Bitcoin's main network at height %d; the network must be named: %w", w.s.files[b.file].path, w.chain.heights[n], ErrChain)
		}
	}
	return nil
}

// undo takes back the known blocks that are not on the chain. from is the height from which on blocks are to be added;
// joined says that the block below it is one that the chain has, or that there is none.
func (w *walk) undo(known []flow.Point) (from uint64, joined bool, err error) {
	if len(known) == 0 {
		return 0, true, nil
	}
	goesHigher := len(w.chain.heights) > 0 && w.chain.heights[len(w.chain.heights)-1] > known[0].Height
	for _, k := range known {
		same, stale := w.compare(k)
		if same || !stale {
			return k.Height + 1, same, nil
		}
		if !goesHigher && w.index.find(k.Hash) < 0 { // the reader may well be the one who is right
			return known[0].Height + 1, false, nil
		}
		if err := w.step(source.Undo, k, source.Block{}); err != nil {
			return 0, false, err
		}
	}
	return known[len(known)-1].Height, false, nil
}

// compare tells whether a known block is on the chain, or whether the chain has another in its place. It is neither
// where the chain says nothing about its height.
func (w *walk) compare(k flow.Point) (same, stale bool) {
	var want flow.Hash
	at, ok := w.chain.at(k.Height)
	switch {
	case ok:
		want = w.index.blocks[w.chain.blocks[at]].hash
	case at < len(w.chain.blocks) && w.chain.heights[at] == k.Height+1:
		want = w.index.blocks[w.chain.blocks[at]].prev
	default:
		return false, false
	}
	same = k.Hash.IsZero() || k.Hash == want
	return same, !same
}

// add yields the blocks from a height on, and what of them is final.
func (w *walk) add(from uint64, joined, held bool) error {
	c := w.chain
	at, _ := c.at(from)
	for _, i := range c.blocks[:at] {
		w.s.read.Add(int64(w.index.blocks[i].size))
	}
	top, start := len(c.blocks)-1, at
	final := -1 // the place of the highest block with enough confirmations
	if top >= 0 && c.heights[top]+1 >= w.s.cfg.Confirmations {
		if n, ok := c.at(c.heights[top] + 1 - w.s.cfg.Confirmations); ok {
			final = n
		} else {
			final = n - 1
		}
	}
	said := -1
	for ; at <= top; at++ {
		gap := at > 0 && c.heights[at-1]+1 != c.heights[at]
		if at == start {
			gap = held && c.heights[at] != from
		}
		if gap && w.trouble != nil {
			break
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		point, err := w.addOne(at)
		if err != nil {
			return err
		}
		if at == final || at < final && (at+1)%finalEvery == 0 {
			said = at
			if err := w.step(source.Final, point, source.Block{}); err != nil {
				return err
			}
		}
	}
	if w.s.cfg.Settled && w.trouble == nil {
		final = top
	}
	final = min(final, at-1)
	if final > said && (joined || final >= start) {
		return w.step(source.Final, w.pointOf(final), source.Block{})
	}
	return nil
}

// addOne reads the block at a place of the chain and yields it.
func (w *walk) addOne(at int) (flow.Point, error) {
	b := w.index.blocks[w.chain.blocks[at]]
	raw, err := w.shelf.readAt(b.file, b.off, int(b.size))
	if err != nil {
		return flow.Point{}, err
	}
	first := sha256.Sum256(raw[:headerSize])
	if printed(sha256.Sum256(first[:])) != b.hash {
		return flow.Point{}, fmt.Errorf("%s: byte %d: %w: the block changed while it was read", w.s.files[b.file].path, b.off, ErrDamaged)
	}
	w.s.read.Add(int64(b.size))
	point := w.pointOf(at)
	return point, w.step(source.Add, point, source.Block{Parent: b.prev, Raw: raw})
}

func (w *walk) pointOf(at int) flow.Point {
	b := w.index.blocks[w.chain.blocks[at]]
	return flow.Point{Chain: w.s.net.chain, Height: w.chain.heights[at], Hash: b.hash, Time: int64(b.time)}
}

func (w *walk) step(op source.Op, p flow.Point, b source.Block) error {
	b.Point = p
	if !w.yield(source.Step{Op: op, Block: b}, nil) {
		return errStopped
	}
	return nil
}
