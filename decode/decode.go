// Package decode is the contract of the decoders: a raw block in, its transactions out.
package decode

import "github.com/spoor-dev/spoor/flow"

// A Decoder turns raw blocks into transactions. It is pure: the same input gives the same output, it knows no store,
// clock or network, and it may be used by several goroutines at once.
type Decoder interface {
	// Decode reads one raw block. at and parent are what the source said about it; where the raw block says so itself,
	// the two must agree. A block that is damaged, or that fails one of its own roots, is an error and yields nothing. A
	// row that is refused in a block of rows becomes a note of the block. Spent outputs whose value is not in the block
	// stay open: In legs with a zero Account, to be filled from the store.
	Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error)
}
