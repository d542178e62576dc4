package evm

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
)

// A piece says where a part lies.
type piece struct {
	file         int32
	part         int32 // of the document
	offset, size int64
	kind         kind
	count        int32
	height       uint64
	hash, parent flow.Hash
	time         int64
}

// An index knows all pieces of all files, by height.
type index struct {
	pieces  []piece
	blocks  []found
	skipped int
}

// found is a block whose pieces are pieces[from:to].
type found struct {
	point    flow.Point // without the chain
	parent   flow.Hash
	from, to int
}

// sort orders the pieces and checks that those of one height are of one block.
func (x *index) sort(files []packed.File) error {
	slices.SortStableFunc(x.pieces, func(a, b piece) int {
		if c := cmp.Compare(a.height, b.height); c != 0 {
			return c
		}
		return cmp.Compare(a.kind, b.kind)
	})
	for from := 0; from < len(x.pieces); {
		b := found{point: flow.Point{Height: x.pieces[from].height}, from: from, to: from}
		var who piece // the piece that told the hash
		for ; b.to < len(x.pieces) && x.pieces[b.to].height == b.point.Height; b.to++ {
			p := x.pieces[b.to]
			switch {
			case p.hash.IsZero():
			case b.point.Hash.IsZero():
				b.point.Hash, who = p.hash, p
			case b.point.Hash != p.hash:
				return fmt.Errorf("block %d: %w: %s in %s (byte %d), %s in %s (byte %d)", b.point.Height, ErrBranches,
					b.point.Hash, files[who.file].Path, who.offset, p.hash, files[p.file].Path, p.offset)
			}
			if b.parent.IsZero() {
				b.parent = p.parent
			}
			if b.point.Time == 0 {
				b.point.Time = p.time
			}
		}
		x.blocks = append(x.blocks, b)
		from = b.to
	}
	return nil
}

// at is the block of that height, if the files hold it.
func (x *index) at(height uint64) (found, bool) {
	i, ok := slices.BinarySearchFunc(x.blocks, height, func(b found, h uint64) int { return cmp.Compare(b.point.Height, h) })
	if !ok {
		return found{}, false
	}
	return x.blocks[i], true
}

// contradicts reports whether the files show that p is not on their branch.
func (x *index) contradicts(p flow.Point) bool {
	if p.Hash.IsZero() {
		return false
	}
	if b, ok := x.at(p.Height); ok && !b.point.Hash.IsZero() && b.point.Hash != p.Hash {
		return true
	}
	next, ok := x.at(p.Height + 1)
	return ok && !next.parent.IsZero() && next.parent != p.Hash
}
