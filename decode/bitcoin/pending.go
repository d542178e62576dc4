package bitcoin

import (
	"fmt"

	"github.com/btcsuite/btcd/chainhash/v2"

	"github.com/spoor-dev/spoor/flow"
)

// Pending reads one serialised transaction that waits for a block, and not a byte more. It becomes what Decode makes of it
// in a block; its ID is what its bytes hash to. It has no place yet and may never have one: its Point is its chain alone.
// Errors wrap ErrForm, with the byte offset.
func (d *Decoder) Pending(raw []byte) (flow.Tx, error) {
	if len(raw) > maxBlock {
		return flow.Tx{}, fmt.Errorf("pending transaction: %w: %d bytes, and a block has at most %d", ErrForm, len(raw), maxBlock)
	}
	const place = 1 // as if behind a coinbase, which it cannot be itself
	p := parser{chain: d.chain, point: flow.Point{Chain: d.chain}, raw: raw, txids: make([]chainhash.Hash, 2), wtxids: make([]chainhash.Hash, 2)}
	w, m := newWalk(raw, 0), make([]flow.Movement, 1)
	m[0].Asset = d.chain.Native()
	if err := p.transaction(place, w, &m[0]); err != nil {
		return flow.Tx{}, fmt.Errorf("pending transaction: %w", err)
	}
	if left := w.r.Len(); left != 0 {
		return flow.Tx{}, fmt.Errorf("pending transaction: %w: byte %d: %d bytes after it", ErrForm, w.off(), left)
	}
	return flow.Tx{ID: printed(p.txids[place]), Point: p.point, Movements: m}, nil
}
