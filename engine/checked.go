package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// checked is a decoder that has already read what a source has checked: each block is decoded once, although the
// source asks whether it is what its header says before ingest asks what is in it.
type checked struct {
	decode.Decoder
	want flow.Coverage // what must have been proved of a block

	mu    sync.Mutex
	kept  map[*byte]flow.Block // by where the raw block lies
	order []*byte              // the oldest first
}

// mostKept bounds the blocks that are decoded and not asked for; a block that was forgotten is decoded again.
const mostKept = 64

// proofs are what must be proved of the blocks of a chain: without them a node can leave transactions or logs out.
func proofs(c flow.Chain, unproved bool) flow.Coverage {
	switch {
	case unproved:
		return 0
	case c.IsEVM():
		return flow.ProvedHash | flow.ProvedTxs | flow.ProvedReceipts | flow.ProvedBloom
	case c.IsUTXO():
		return flow.ProvedHash | flow.ProvedTxs
	}
	return 0
}

func newChecked(d decode.Decoder, want flow.Coverage) *checked {
	return &checked{Decoder: d, want: want, kept: map[*byte]flow.Block{}}
}

// check decodes a block, which recomputes its roots, and says what is wrong with it.
func (c *checked) check(_ context.Context, b source.Block) error {
	block, err := c.Decoder.Decode(b.Point, b.Parent, b.Raw)
	if err != nil {
		return err
	}
	if !block.Coverage.Has(c.want) {
		missing := c.want &^ block.Coverage
		return fmt.Errorf("%s: what the node gives does not prove itself: %v is missing", b.Point, missing.Names())
	}
	if len(b.Raw) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := &b.Raw[0]
	if _, there := c.kept[key]; !there {
		if len(c.order) >= mostKept {
			delete(c.kept, c.order[0])
			c.order = c.order[1:]
		}
		c.order = append(c.order, key)
	}
	c.kept[key] = block
	return nil
}

// Decode implements decode.Decoder.
func (c *checked) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	if len(raw) > 0 {
		c.mu.Lock()
		block, there := c.kept[&raw[0]]
		if there {
			delete(c.kept, &raw[0])
			for i, k := range c.order {
				if k == &raw[0] {
					c.order = append(c.order[:i], c.order[i+1:]...)
					break
				}
			}
		}
		c.mu.Unlock()
		if there && block.Point.Hash == at.Hash && block.Point.Height == at.Height {
			return block, nil
		}
	}
	return c.Decoder.Decode(at, parent, raw)
}
