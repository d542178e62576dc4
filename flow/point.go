package flow

import (
	"cmp"
	"fmt"
	"time"
)

// A Point is a block of a chain: the moment up to which something is true.
type Point struct {
	Chain  Chain  `json:"chain"`
	Height uint64 `json:"height"`
	Hash   Hash   `json:"hash"` // zero where the source does not say
	Time   int64  `json:"time"` // seconds since 1970 UTC, as the block says; 0 where the source does not say
}

// IsZero reports whether p is no block at all.
func (p Point) IsZero() bool { return p == Point{} }

// When is the block's time in UTC.
func (p Point) When() time.Time { return time.Unix(p.Time, 0).UTC() }

// String is for people: chain, height and the first digits of the hash.
func (p Point) String() string {
	if p.Hash.IsZero() {
		return fmt.Sprintf("%s block %d", p.Chain, p.Height)
	}
	return fmt.Sprintf("%s block %d (%.12s…)", p.Chain, p.Height, p.Hash)
}

// A Pos is the place of a movement in its chain. Pos orders the events of one chain strictly.
type Pos struct {
	Height   uint64 `json:"height"`
	Tx       uint32 `json:"tx"`       // index of the transaction in its block
	Movement uint32 `json:"movement"` // index of the movement in its transaction
}

// Compare is -1, 0 or 1 as p is before, at, or after q.
func (p Pos) Compare(q Pos) int {
	if c := cmp.Compare(p.Height, q.Height); c != 0 {
		return c
	}
	if c := cmp.Compare(p.Tx, q.Tx); c != 0 {
		return c
	}
	return cmp.Compare(p.Movement, q.Movement)
}

// String is "height/tx/movement".
func (p Pos) String() string { return fmt.Sprintf("%d/%d/%d", p.Height, p.Tx, p.Movement) }
