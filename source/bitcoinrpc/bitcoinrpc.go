// Package bitcoinrpc reads a chain from a live Bitcoin node, Bitcoin Core or btcd, over JSON-RPC.
package bitcoinrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// Config is a node and how it is asked. Its Endpoint must be set; all else works as zero.
type Config struct {
	// Endpoint is where the node is. With a Socket it is btcd, which pushes there. Without one a node which knows
	// waitfornewblock, as Bitcoin Core does, is asked to answer when there is something new.
	Endpoint rpc.Config
	Chain    flow.Chain    // which chain the node must serve; any UTXO chain if zero
	Poll     time.Duration // how often the node is asked what is pending; 1 s if 0
	// Queue is how many pending transactions are read between two looks at what is pending; those beyond have to wait
	// for the next. 4,096 if 0.
	Queue int
	// Wait is how long the node may let a question for something new wait, which is less than Endpoint.Timeout; half of
	// that if 0.
	Wait time.Duration
}

// Bounds of answers, in bytes.
const (
	mostSmall = 1 << 20              // a number, a hash, a header, the state of the chain with its warnings
	mostBlock = 2*4_000_000 + 64<<10 // the hexadecimal digits of the largest block, and what is around them
	mostPool  = 64 << 20             // the hashes of all that is pending
)

// A Node is one endpoint. It implements follow.Node, is safe for several goroutines and has none of its own.
type Node struct {
	cfg Config
	rpc *rpc.Client

	mu    sync.Mutex
	chain flow.Chain // zero before it was asked; guarded by mu
	old   bool       // the node takes no number for the form of a block; guarded by mu

	pool poolCounts
}

var _ follow.Node = (*Node)(nil)

// Open makes a node. Nothing is asked of it yet. Errors are about the configuration.
func Open(c Config) (*Node, error) {
	if !c.Chain.IsZero() && !c.Chain.IsUTXO() {
		return nil, fmt.Errorf("a node of %s: not a Bitcoin network", c.Chain)
	}
	if c.Endpoint.Timeout <= 0 {
		c.Endpoint.Timeout = 30 * time.Second
	}
	if c.Wait <= 0 {
		c.Wait = c.Endpoint.Timeout / 2
	}
	if c.Wait >= c.Endpoint.Timeout {
		return nil, fmt.Errorf("a wait of %s for something new: want less than the timeout of %s", c.Wait, c.Endpoint.Timeout)
	}
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.Queue <= 0 {
		c.Queue = 4096
	}
	client, err := rpc.New(c.Endpoint)
	if err != nil {
		return nil, err
	}
	return &Node{cfg: c, rpc: client}, nil
}

// Close ends the idle connections.
func (n *Node) Close() { n.rpc.Close() }

// Name implements follow.Node.
func (n *Node) Name() string { return n.rpc.Name() }

// Chain implements follow.Node: the network is told by the hash of its genesis block. Where Config.Chain says another than
// the node, it returns the node's: the caller compares.
func (n *Node) Chain(ctx context.Context) (flow.Chain, error) {
	h, err := n.hash(ctx, 0)
	if err != nil {
		return flow.Chain{}, err
	}
	const digits = 32 // of the hash, in CAIP-2
	c, err := flow.ParseChain("bip122:" + h.String()[:digits])
	if err != nil {
		return flow.Chain{}, fmt.Errorf("%s: %w", n.Name(), err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chain = c
	return c, nil
}

// served is the chain that the node serves, asked once; it must be the configured one.
func (n *Node) served(ctx context.Context) (flow.Chain, error) {
	n.mu.Lock()
	c := n.chain
	n.mu.Unlock()
	if c.IsZero() {
		var err error
		if c, err = n.Chain(ctx); err != nil {
			return c, err
		}
	}
	if want := n.cfg.Chain; !want.IsZero() && c != want {
		return c, fmt.Errorf("%s: it serves %s, not %s", n.Name(), c, want)
	}
	return c, nil
}

// Final implements follow.Node: on these chains no node says it.
func (n *Node) Final(context.Context) (p flow.Point, ok bool, err error) {
	return flow.Point{}, false, nil
}

// hash is that of the block at a height of the node's branch.
func (n *Node) hash(ctx context.Context, height uint64) (flow.Hash, error) {
	var h flow.Hash
	if err := n.rpc.CallMost(ctx, mostSmall, "getblockhash", []any{height}, &h); err != nil {
		return h, fmt.Errorf("block %d: %w", height, said(err))
	}
	if h.IsZero() {
		return h, fmt.Errorf("%s: block %d: %w: a hash of zeros", n.Name(), height, rpc.ErrAnswer)
	}
	return h, nil
}

// said makes an error that wraps follow.ErrNotFound, with the node's own words, of one that says that the node does not
// have it: -5 for a hash, -8 (Bitcoin Core) or -1 (btcd) for a height; and -1 for a block whose bytes it has thrown away
// or not yet received.
func said(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	text := strings.ToLower(e.Message)
	switch {
	case e.Code == -5, e.Code == -8 && strings.Contains(text, "out of range"):
	case e.Code == -1 && (strings.Contains(text, "out of range") || strings.Contains(text, "not available") || strings.Contains(text, "not found")):
	default:
		return err
	}
	return fmt.Errorf("%w: %w", follow.ErrNotFound, err)
}
