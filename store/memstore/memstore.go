// Package memstore is the reference implementation of a store: plain slices and maps in memory, made to be obviously right.
package memstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A Store keeps chains in memory. Its whole state is the blocks of each chain; everything that it answers is derived
// from them. It is safe for several goroutines.
type Store struct {
	mu     sync.Mutex
	chains map[flow.Chain]*chain      // guarded by mu; a *chain never changes, it is replaced
	names  map[flow.Chain]*dictionary // guarded by mu
	closed bool                       // guarded by mu
}

// A chain is one state of one chain.
type chain struct {
	blocks []flow.Block // rising heights, at least one
	final  uint64       // height of the newest block that was declared final
	sealed bool         // whether there is one
	index  func() *index
}

var errClosed = errors.New("the store is closed")

// New is an empty store.
func New() *Store {
	return &Store{chains: map[flow.Chain]*chain{}, names: map[flow.Chain]*dictionary{}}
}

// setLocked gives a chain other blocks.
func (s *Store) setLocked(c flow.Chain, blocks []flow.Block) {
	names := s.names[c]
	if names == nil {
		names = &dictionary{ids: map[flow.Account]store.ID{}}
		s.names[c] = names
	}
	n := &chain{blocks: blocks}
	if old := s.chains[c]; old != nil {
		n.final, n.sealed = old.final, old.sealed
	}
	n.index = sync.OnceValue(func() *index { return newIndex(blocks, names) })
	s.chains[c] = n
}

func (c *chain) tip() flow.Point { return c.blocks[len(c.blocks)-1].Point }

// find is the place of the block at that height; ok is false where there is none.
func (c *chain) find(height uint64) (i int, ok bool) {
	if c == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(c.blocks, height, func(b flow.Block, h uint64) int {
		switch {
		case b.Point.Height < h:
			return -1
		case b.Point.Height > h:
			return 1
		}
		return 0
	})
}

// Append puts blocks on top of their chains; see store.Store.
func (s *Store) Append(ctx context.Context, blocks []flow.Block) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	for _, b := range blocks {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		c := s.chains[b.Point.Chain]
		put, err := fits(c, b)
		if err != nil {
			return n, fmt.Errorf("append %s: %w", b.Point, err)
		}
		if put {
			var below []flow.Block
			if c != nil {
				below = c.blocks
			}
			s.setLocked(b.Point.Chain, append(below, b))
			n++
		}
	}
	return n, nil
}

// check says what is wrong with b itself, wherever it goes.
func check(b flow.Block) error {
	if b.Point.Chain.IsZero() {
		return errors.New("a block of no chain")
	}
	for i, tx := range b.Txs {
		if tx.Point != b.Point {
			return fmt.Errorf("transaction %d says that it is in %s", tx.Index, tx.Point)
		}
		if i > 0 && tx.Index <= b.Txs[i-1].Index {
			return fmt.Errorf("transaction %d stands behind transaction %d", tx.Index, b.Txs[i-1].Index)
		}
		for k, m := range tx.Movements {
			for _, l := range slices.Concat(m.In, m.Out) {
				if !l.Account.IsZero() && l.Account.Chain() != b.Point.Chain {
					return fmt.Errorf("transaction %d: movement %d: %s is not of this chain", tx.Index, k, l.Account)
				}
			}
		}
		for k, l := range tx.Logs {
			if l.Contract.IsZero() || l.Contract.Chain() != b.Point.Chain {
				return fmt.Errorf("transaction %d: log %d: %q is no contract of this chain", tx.Index, k, l.Contract)
			}
		}
	}
	return nil
}

// fits says whether b has to be put on top of c, or is there already.
func fits(c *chain, b flow.Block) (put bool, err error) {
	if err := check(b); err != nil {
		return false, err
	}
	if c == nil {
		return true, nil
	}
	tip := c.tip()
	switch {
	case isBlock(tip, b.Point):
		return false, nil
	case b.Point.Height <= tip.Height:
		return false, fmt.Errorf("%w: the tip is %s", store.ErrNotHead, tip)
	case b.Point.Height == tip.Height+1 && !b.Parent.IsZero() && !tip.Hash.IsZero() && b.Parent != tip.Hash:
		return false, fmt.Errorf("%w: its parent is %.12s…, the tip is %s", store.ErrNotHead, b.Parent, tip)
	}
	return true, nil
}

// isBlock reports whether p and q name the same block: times are not compared.
func isBlock(p, q flow.Point) bool {
	return p.Chain == q.Chain && p.Height == q.Height && p.Hash == q.Hash
}

// Fill puts blocks into holes and below the first block; see store.Store.
func (s *Store) Fill(ctx context.Context, blocks []flow.Block) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	for _, b := range blocks {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		c := s.chains[b.Point.Chain]
		i, put, err := gap(c, b)
		if err != nil {
			return n, fmt.Errorf("fill %s: %w", b.Point, err)
		}
		if put {
			s.setLocked(b.Point.Chain, slices.Insert(slices.Clone(c.blocks), i, b))
			n++
		}
	}
	return n, nil
}

// gap says where b has to be put among the blocks of c, or that it is there already.
func gap(c *chain, b flow.Block) (i int, put bool, err error) {
	if err := check(b); err != nil {
		return 0, false, err
	}
	p := b.Point
	i, held := c.find(p.Height)
	switch {
	case held && isBlock(c.blocks[i].Point, p):
		return 0, false, nil
	case c == nil || !c.sealed || p.Height >= c.final:
		return 0, false, fmt.Errorf("a final block above it is %w", store.ErrNotFound)
	case held:
		return 0, false, fmt.Errorf("another block, %s, is there, %w", c.blocks[i].Point, store.ErrFinal)
	}
	if i > 0 {
		below := c.blocks[i-1].Point
		if below.Height+1 == p.Height && !b.Parent.IsZero() && !below.Hash.IsZero() && b.Parent != below.Hash {
			return 0, false, fmt.Errorf("its parent is %.12s…, and %s is %w", b.Parent, below, store.ErrFinal)
		}
	}
	above := c.blocks[i] // there is one: the final block
	if p.Height+1 == above.Point.Height && !above.Parent.IsZero() && !p.Hash.IsZero() && above.Parent != p.Hash {
		return 0, false, fmt.Errorf("the parent of %s is %.12s…, which is %w", above.Point, above.Parent, store.ErrFinal)
	}
	return i, true, nil
}

// Undo takes the tip off; see store.Store.
func (s *Store) Undo(_ context.Context, top flow.Point) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.chains[top.Chain]
	switch {
	case s.closed:
		return errClosed
	case c == nil:
		return fmt.Errorf("undo %s: %w: the chain has no blocks", top, store.ErrNotHead)
	case !isBlock(c.tip(), top):
		return fmt.Errorf("undo %s: %w: the tip is %s", top, store.ErrNotHead, c.tip())
	case c.sealed && top.Height <= c.final:
		return fmt.Errorf("undo %s: %w: block %d is final", top, store.ErrFinal, c.final)
	}
	n := len(c.blocks) - 1
	if n == 0 {
		delete(s.chains, top.Chain)
		return nil
	}
	// The capacity is cut so that the next block is not written over the undone one, which a snapshot may still show.
	s.setLocked(top.Chain, c.blocks[:n:n])
	return nil
}

// Final declares a block past undoing; see store.Store. A block that the store does not hold gives store.ErrNotFound.
func (s *Store) Final(_ context.Context, p flow.Point) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	c := s.chains[p.Chain]
	i, ok := c.find(p.Height)
	if !ok || !isBlock(c.blocks[i].Point, p) {
		return fmt.Errorf("final %s: %w", p, store.ErrNotFound)
	}
	if c.sealed && c.final >= p.Height {
		return nil
	}
	n := *c
	n.final, n.sealed = p.Height, true
	s.chains[p.Chain] = &n
	return nil
}

// Sync does nothing: the store ends with the process.
func (s *Store) Sync(ctx context.Context) error { return ctx.Err() }

// Compact does nothing.
func (s *Store) Compact(ctx context.Context) error { return ctx.Err() }

// Snapshot is the state of now.
func (s *Store) Snapshot() (store.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	return &snapshot{maps.Clone(s.chains)}, nil
}

// Close closes the store and forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.chains = true, nil
	return nil
}
