package bitcoin

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// The values of block.parent that are no index.
const (
	noParent = -1 // the files do not hold it
	noBlock  = -2 // the block itself stands in the files a second time
)

func (w weight) plus(o weight) weight {
	low, carry := bits.Add64(w[1], o[1], 0)
	high, over := bits.Add64(w[0], o[0], carry)
	if over > 0 {
		return weight{1<<64 - 1, 1<<64 - 1}
	}
	return weight{high, low}
}

func (w weight) compare(o weight) int {
	return cmp.Or(cmp.Compare(w[0], o[0]), cmp.Compare(w[1], o[1]))
}

// An index finds blocks by hash.
type index struct {
	blocks []block
	order  []int32 // sorted by hash, then by place
}

func newIndex(blocks []block) index {
	x := index{blocks, make([]int32, len(blocks))}
	for i := range x.order {
		x.order[i] = int32(i)
	}
	slices.SortFunc(x.order, func(a, b int32) int {
		return cmp.Or(blocks[a].hash.Compare(blocks[b].hash), cmp.Compare(a, b))
	})
	return x
}

// find is the first block with that hash, or noParent.
func (x index) find(h flow.Hash) int32 {
	at, ok := slices.BinarySearchFunc(x.order, h, func(i int32, h flow.Hash) int { return x.blocks[i].hash.Compare(h) })
	if !ok {
		return noParent
	}
	return x.order[at]
}

// link finds every block's parent, and with it its tree, its depth in the tree, and the work up to it.
func (x index) link() {
	for n, i := range x.order {
		b := &x.blocks[i]
		if n > 0 && x.blocks[x.order[n-1]].hash == b.hash {
			b.parent = noBlock
			continue
		}
		b.parent = x.find(b.prev)
	}
	var path []int32 // from a block down to the first that is linked
	for i := range x.blocks {
		path = path[:0]
		at := int32(i)
		for at >= 0 && x.blocks[at].parent != noBlock && x.blocks[at].depth < 0 {
			path = append(path, at)
			at = x.blocks[at].parent
		}
		for _, i := range slices.Backward(path) {
			b := &x.blocks[i]
			if b.parent == noParent {
				b.depth, b.root = 0, i
				continue
			}
			p := &x.blocks[b.parent]
			b.depth, b.root, b.work = p.depth+1, p.root, p.work.plus(b.work)
		}
	}
}

// A branch is the best branch of one tree: from its first block up.
type branch struct {
	height uint64  // of blocks[0]
	blocks []int32 // each the parent of the next
	work   weight
}

// branches are the best branches of all trees, the one with the most work first. Where two tips of a tree have the same
// work the one above the block known wins, then the one that stands first in the files.
func (x index) branches(known int32) []branch {
	tips := map[int32]int32{} // by root
	for i := range x.blocks {
		b := &x.blocks[i]
		if b.parent == noBlock {
			continue
		}
		tip, ok := tips[b.root]
		if !ok {
			tips[b.root] = int32(i)
			continue
		}
		switch c := b.work.compare(x.blocks[tip].work); {
		case c > 0, c == 0 && x.isAbove(int32(i), known) && !x.isAbove(tip, known):
			tips[b.root] = int32(i)
		}
	}
	list := make([]branch, 0, len(tips))
	for _, tip := range tips {
		b := branch{blocks: make([]int32, x.blocks[tip].depth+1), work: x.blocks[tip].work}
		for at, n := tip, len(b.blocks)-1; n >= 0; n-- {
			b.blocks[n] = at
			at = x.blocks[at].parent
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b branch) int {
		return cmp.Or(b.work.compare(a.work), cmp.Compare(a.blocks[0], b.blocks[0]))
	})
	return list
}

// isAbove reports whether the block known is tip or one of its ancestors.
func (x index) isAbove(tip, known int32) bool {
	if known < 0 || x.blocks[known].root != x.blocks[tip].root {
		return false
	}
	for x.blocks[tip].depth > x.blocks[known].depth {
		tip = x.blocks[tip].parent
	}
	return tip == known
}

// place finds the height of every branch. Those that have none are left out, and the first of them is the error.
func (x *scan) place(all []branch) (placed []branch, err error) {
	var lost []branch
	for _, b := range all {
		height, ok, err := x.heightOf(b)
		if err != nil {
			return nil, err
		}
		if !ok {
			lost = append(lost, b)
			continue
		}
		b.height = height
		placed = append(placed, b)
	}
	if len(lost) == 1 && x.s.cfg.Height > 0 {
		lost[0].height = x.s.cfg.Height
		return append(placed, lost[0]), nil
	}
	if len(lost) > 0 {
		b := x.blocks[lost[0].blocks[0]]
		return placed, fmt.Errorf("%s: block %s at byte %d, whose parent %s is not there: %w", x.s.files[b.file].path, b.hash, b.off, b.prev, ErrHeight)
	}
	return placed, nil
}

// heightOf is the height of a branch's first block: by the genesis block, else by what the coinbases say, else by the
// name of a file that holds one of its blocks alone.
func (x *scan) heightOf(b branch) (uint64, bool, error) {
	root := x.blocks[b.blocks[0]]
	if !x.s.net.genesis.IsZero() {
		switch x.s.net.genesis {
		case root.hash:
			return 0, true, nil
		case root.prev:
			return 1, true, nil
		}
	}
	// The upper blocks are the surer ones: before BIP 34 was a rule a miner could write anything. Most votes win.
	const enough = 8
	votes := map[uint64]int{}
	best, cast := uint64(0), 0
	for n, i := range slices.Backward(b.blocks) {
		height, ok, err := x.coinbaseHeight(&x.blocks[i])
		if err != nil {
			return 0, false, err
		}
		if !ok || height < uint64(n) {
			continue
		}
		first := height - uint64(n)
		votes[first]++
		if cast++; cast == 1 || votes[first] > votes[best] {
			best = first
		}
		if cast == enough {
			break
		}
	}
	if cast > 0 {
		return best, true, nil
	}
	for n, i := range b.blocks {
		f := x.s.files[x.blocks[i].file]
		if !f.lone {
			continue
		}
		if height, ok := numberIn(f.path); ok && height >= uint64(n) {
			return height - uint64(n), true, nil
		}
	}
	return 0, false, nil
}

// A chain is the branches that the source yields, joined: its blocks in order of height.
type chain struct {
	blocks  []int32
	heights []uint64
}

// join lays the branches over each other. One that has a height in common with a branch of more work is stale, and so
// are the upper blocks of a branch that ends right below another but is not what that one stands on.
func (x index) join(branches []branch) chain {
	var taken []branch // no two share a height
	for _, b := range branches {
		if !slices.ContainsFunc(taken, b.overlaps) {
			taken = append(taken, b)
		}
	}
	slices.SortFunc(taken, func(a, b branch) int { return cmp.Compare(a.height, b.height) })
	var c chain
	for _, b := range taken {
		top := len(c.blocks) - 1
		if top >= 0 && c.heights[top]+1 == b.height { // the parent would be there if it were this one
			c.blocks, c.heights = c.blocks[:top], c.heights[:top]
		}
		for n, i := range b.blocks {
			c.blocks = append(c.blocks, i)
			c.heights = append(c.heights, b.height+uint64(n))
		}
	}
	return c
}

func (b branch) overlaps(o branch) bool {
	return b.height < o.height+uint64(len(o.blocks)) && o.height < b.height+uint64(len(b.blocks))
}

// at is the place of the first block of that height or above, and whether it is of that height.
func (c chain) at(height uint64) (int, bool) { return slices.BinarySearch(c.heights, height) }
