// Package followtest is a network of invented nodes, which lag, fail and lie as a test tells them to.
package followtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
)

// Interval is the seconds between two blocks of a Branch.
const Interval = 12

// A Branch is a chain of blocks from height 0 on. Its blocks name their content: the hash is that of the raw bytes.
type Branch struct {
	chain  flow.Chain
	blocks []source.Block
}

// NewBranch is a branch of n blocks of that chain. name tells its blocks from those of other branches.
func NewBranch(c flow.Chain, name string, n int) Branch { return Branch{chain: c}.Grow(name, n) }

// Grow is b with n more blocks on top.
func (b Branch) Grow(name string, n int) Branch {
	blocks := slices.Clip(b.blocks)
	for range n {
		var parent flow.Hash
		if len(blocks) > 0 {
			parent = blocks[len(blocks)-1].Point.Hash
		}
		raw := fmt.Appendf(nil, "%d %s %s", len(blocks), parent, name)
		at := flow.Point{Chain: b.chain, Height: uint64(len(blocks)), Hash: sha256.Sum256(raw), Time: int64(len(blocks)) * Interval}
		blocks = append(blocks, source.Block{Point: at, Parent: parent, Raw: raw})
	}
	return Branch{b.chain, blocks}
}

// Cut is the lowest n blocks of b.
func (b Branch) Cut(n int) Branch { return Branch{b.chain, b.blocks[:n:n]} }

// Len is how many blocks there are: one more than the height of the newest.
func (b Branch) Len() int { return len(b.blocks) }

// Head is the newest block.
func (b Branch) Head() follow.Header { return header(b.blocks[len(b.blocks)-1]) }

// At is the block at a height.
func (b Branch) At(height int) flow.Point { return b.blocks[height].Point }

// Known are at most n of the newest blocks, newest first, as a reader shows them.
func (b Branch) Known(n int) []flow.Point {
	var known []flow.Point
	for _, block := range slices.Backward(b.blocks) {
		if len(known) == n {
			break
		}
		known = append(known, block.Point)
	}
	return known
}

func header(b source.Block) follow.Header { return follow.Header{Point: b.Point, Parent: b.Parent} }

// Check is a Config.Check for the blocks of branches: their content names them.
func Check(_ context.Context, b source.Block) error {
	if got := flow.Hash(sha256.Sum256(b.Raw)); got != b.Point.Hash {
		return fmt.Errorf("the content's hash is %.12s…", got)
	}
	if want := fmt.Sprintf("%d %s ", b.Point.Height, b.Parent); len(b.Raw) < len(want) || string(b.Raw[:len(want)]) != want {
		return fmt.Errorf("the content begins with %.80q, not %q", b.Raw, want)
	}
	return nil
}

// A Decoder reads the blocks of branches, which hold no transactions.
type Decoder struct{}

// Decode implements decode.Decoder.
func (Decoder) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	if err := Check(context.Background(), source.Block{Point: at, Parent: parent, Raw: raw}); err != nil {
		return flow.Block{}, err
	}
	return flow.Block{Point: at, Parent: parent}, nil
}
