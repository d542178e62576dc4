package follow

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A ring is the newest blocks of a reader, points only.
type ring struct {
	points []flow.Point // heights rise
	depth  int          // how many are remembered at least
	cut    bool         // older ones were forgotten
}

// newRing remembers all known blocks, newest first, of a chain.
func newRing(c flow.Chain, known []flow.Point, depth int) *ring {
	r := &ring{depth: max(depth, len(known))}
	for _, p := range slices.Backward(known) {
		if p.Chain == c {
			r.points = append(r.points, p)
		}
	}
	return r
}

// tip is the newest block; ok is false for a reader that holds nothing.
func (r *ring) tip() (p flow.Point, ok bool) {
	if len(r.points) == 0 {
		return flow.Point{}, false
	}
	return r.points[len(r.points)-1], true
}

// upTo is how many of the blocks are at that height or below.
func (r *ring) upTo(height uint64) int {
	i, found := slices.BinarySearchFunc(r.points, height, func(p flow.Point, h uint64) int {
		switch {
		case p.Height < h:
			return -1
		case p.Height > h:
			return 1
		}
		return 0
	})
	if found {
		i++
	}
	return i
}

// at is the block at a height; ok is false where none is remembered.
func (r *ring) at(height uint64) (p flow.Point, ok bool) {
	if i := r.upTo(height); i > 0 && r.points[i-1].Height == height {
		return r.points[i-1], true
	}
	return flow.Point{}, false
}

// push puts a block on top.
func (r *ring) push(p flow.Point) {
	if len(r.points) >= 2*r.depth {
		r.points = append(r.points[:0], r.points[len(r.points)-r.depth:]...)
		r.cut = true
	}
	r.points = append(r.points, p)
}

// pop takes the top block off.
func (r *ring) pop() { r.points = r.points[:len(r.points)-1] }

// same reports whether a hash that a node says is that of a remembered block, whose hash may not be known.
func same(p flow.Point, h flow.Hash) bool { return p.Hash == h || p.Hash.IsZero() }
