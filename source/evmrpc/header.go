package evmrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// headerJSON is the part of a block that says where it stands.
type headerJSON struct {
	Number *quantity  `json:"number"`
	Hash   *flow.Hash `json:"hash"`
	Parent *flow.Hash `json:"parentHash"`
	Time   *quantity  `json:"timestamp"`
}

// header reads where a block stands. Errors wrap rpc.ErrAnswer.
func (j headerJSON) header(c flow.Chain) (follow.Header, error) {
	switch {
	case j.Number == nil || j.Hash == nil || j.Parent == nil || j.Time == nil:
		return follow.Header{}, fmt.Errorf("%w: a block without its number, hash, parentHash or timestamp", rpc.ErrAnswer)
	case j.Hash.IsZero():
		return follow.Header{}, fmt.Errorf("%w: a block without a hash", rpc.ErrAnswer)
	case *j.Time > 1<<62:
		return follow.Header{}, fmt.Errorf("%w: timestamp %d", rpc.ErrAnswer, *j.Time)
	}
	return follow.Header{Point: flow.Point{Chain: c, Height: uint64(*j.Number), Hash: *j.Hash, Time: int64(*j.Time)}, Parent: *j.Parent}, nil
}

// Head implements follow.Node.
func (n *Node) Head(ctx context.Context) (follow.Header, error) { return n.tagged(ctx, "latest") }

// tagged is the block of a tag.
func (n *Node) tagged(ctx context.Context, tag string) (follow.Header, error) {
	c, err := n.served(ctx)
	if err != nil {
		return follow.Header{}, err
	}
	var j *headerJSON
	if err := n.rpc.CallMost(ctx, mostHead, "eth_getBlockByNumber", []any{tag, false}, &j); err != nil {
		return follow.Header{}, err
	}
	if j == nil {
		return follow.Header{}, fmt.Errorf("%s: the %s block: %w", n.Name(), tag, follow.ErrNotFound)
	}
	h, err := j.header(c)
	if err != nil {
		return h, fmt.Errorf("%s: the %s block: %w", n.Name(), tag, err)
	}
	return h, nil
}

// Headers implements follow.Node. They come in batches of the size that the node bears. The head is asked for with them, and
// nothing above it is given: geth answers by number with blocks above its head that it had before a crash.
func (n *Node) Headers(ctx context.Context, from uint64, count int) ([]follow.Header, error) {
	c, err := n.served(ctx)
	if err != nil {
		return nil, err
	}
	if count <= 0 {
		return nil, nil
	}
	var head quantity
	found := make([]*headerJSON, count)
	calls := make([]rpc.Call, count, count+1)
	for i := range calls {
		calls[i] = rpc.Call{Method: "eth_getBlockByNumber", Params: []any{hexOf(from + uint64(i)), false}, Result: &found[i]}
	}
	calls = append(calls, rpc.Call{Method: "eth_blockNumber", Result: &head})
	if err := n.rpc.Batch(ctx, calls); err != nil {
		return nil, err
	}
	if err := calls[count].Err; err != nil {
		return nil, err
	}
	var out []follow.Header
	for i, j := range found {
		height := from + uint64(i)
		if err := calls[i].Err; err != nil {
			return nil, fmt.Errorf("header %d: %w", height, err)
		}
		if j == nil || height > uint64(head) {
			break
		}
		h, err := j.header(c)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: header %d: %w", n.Name(), height, err)
		case h.Point.Height != height:
			return nil, fmt.Errorf("%s: header %d: %w: it is of block %d", n.Name(), height, rpc.ErrAnswer, h.Point.Height)
		}
		out = append(out, h)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: header %d: %w", n.Name(), from, follow.ErrNotFound)
	}
	return out, nil
}

// Final implements follow.Node: the block of the tag Config.Final. A node that does not know the tag, or has no such block
// yet, does not say.
func (n *Node) Final(ctx context.Context) (p flow.Point, ok bool, err error) {
	h, err := n.tagged(ctx, n.cfg.Final)
	var said *rpc.Error
	switch {
	case err == nil:
		n.settle(&n.final, offered)
		return h.Point, true, nil
	case errors.Is(err, rpc.ErrBusy), errors.Is(err, rpc.ErrTooLarge):
		return p, false, err
	case errors.Is(err, follow.ErrNotFound), errors.As(err, &said):
		n.settle(&n.final, absent)
		return p, false, nil
	}
	return p, false, err
}

// Watch implements follow.Node, by a subscription to new heads.
func (n *Node) Watch(ctx context.Context, wake func()) error {
	err := n.rpc.Subscribe(ctx, "eth_subscribe", []any{"newHeads"}, func(json.RawMessage) { wake() }, func(string, json.RawMessage) error {
		wake()
		return nil
	})
	return noPush(err)
}

// noPush tells a node that cannot push from a connection that was lost.
func noPush(err error) error {
	if errors.Is(err, rpc.ErrNoSocket) || errors.Is(err, rpc.ErrMethod) {
		return fmt.Errorf("%w: %w", follow.ErrNoPush, err)
	}
	return err
}
