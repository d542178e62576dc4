package bitcoinrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// Watch implements follow.Node: by btcd's notifyblocks where there is a socket, else by waitfornewblock, which answers when
// there is something new, and which many who offer Bitcoin Core to others do not let through; it holds one of the node's RPC threads.
func (n *Node) Watch(ctx context.Context, wake func()) error {
	if n.cfg.Endpoint.Socket == "" {
		return n.waitAgain(ctx, wake)
	}
	err := n.rpc.Subscribe(ctx, "notifyblocks", nil, func(json.RawMessage) { wake() }, func(method string, _ json.RawMessage) error {
		switch method {
		case "blockconnected", "blockdisconnected": // each comes with its filtered form
			wake()
		}
		return nil
	})
	if errors.Is(err, rpc.ErrMethod) {
		return fmt.Errorf("%w: %w", follow.ErrNoPush, err)
	}
	return err
}

// waitAgain asks for something new until ctx is done. The node is told which block is known, so that none slips through
// between two questions; where it is too old to be told that, a block that does is seen at the end of the next wait.
func (n *Node) waitAgain(ctx context.Context, wake func()) error {
	var last flow.Hash
	wait := n.cfg.Wait.Milliseconds()
	tells := true
	for {
		params := []any{wait}
		if tells && !last.IsZero() {
			params = append(params, last)
		}
		var tip struct {
			Hash flow.Hash `json:"hash"`
		}
		begun := time.Now()
		err := n.rpc.CallMost(ctx, mostSmall, "waitfornewblock", params, &tip)
		var e *rpc.Error
		switch {
		case err == nil && !tip.Hash.IsZero():
		case err == nil:
			return fmt.Errorf("%s: waitfornewblock: %w: no hash", n.Name(), rpc.ErrAnswer)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, rpc.ErrMethod):
			return fmt.Errorf("%w: %w", follow.ErrNoPush, err)
		case errors.As(err, &e) && tells && len(params) > 1 && !errors.Is(err, rpc.ErrBusy): // it takes one parameter only
			tells = false
			continue
		default:
			return err
		}
		if tip.Hash != last {
			last = tip.Hash
			wake()
			continue
		}
		if time.Since(begun) < n.cfg.Wait/2 { // it does not wait: asking again at once would be a storm
			return fmt.Errorf("%w: %s does not wait for a block", follow.ErrNoPush, n.Name())
		}
	}
}
