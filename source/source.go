// Package source is the contract of everything that blocks come from: a stream of steps which can resume anywhere.
package source

import (
	"context"
	"iter"

	"github.com/spoor-dev/spoor/flow"
)

// An Op says what a Step does to the chain that its reader holds.
type Op uint8

const (
	// Add puts the block on top. Heights rise; a jump over heights means that the source does not hold them.
	Add Op = iota + 1
	// Undo takes the top block, which is Block.Point, off again.
	Undo
	// Final says that Block.Point and everything below it will never be undone.
	Final
)

// A Block is one block as the source has it: a place in a chain and raw bytes that the decoder of the same kind reads.
type Block struct {
	Point  flow.Point
	Parent flow.Hash // zero where the source does not say
	Raw    []byte    // empty in Undo and Final; the receiver owns it
}

// A Step is one move of the chain as the source sees it.
type Step struct {
	Op    Op
	Block Block
}

// A Source is a chain that can be read from any place on. Implementations are read by one goroutine at a time.
type Source interface {
	// Chain is the chain whose blocks the source yields.
	Chain() flow.Chain
	// Steps yields what leads from the reader's state to the source's. known are the reader's own recent blocks, newest
	// first, empty for a reader that holds nothing. Where the source can tell that the newest are not on its branch, it
	// first yields Undo for each of them. A block that the reader has is not yielded again. Files end after their last
	// block; nodes go on until ctx is done. The stream ends after the first error; damaged input is an error that names
	// the place, and the steps before it stay good.
	Steps(ctx context.Context, known []flow.Point) iter.Seq2[Step, error]
}

// A Sizer is a Source that knows how much there is to read, for progress bars.
type Sizer interface {
	// Size is how many bytes the source has in all and how many were read so far. It may be called at any time from any
	// goroutine.
	Size() (read, total int64)
}
