package evmrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
)

// A Pool counts what Pending met since the node was opened.
type Pool struct {
	By      string // how the node is asked; empty before Pending
	Seen    int64  // transactions that the node told of, each once
	Visited int64
	Dropped int64 // the queue was full, or the node did not say what they hold
	Refused int64 // what they say is not what they are: of another layer, forged or damaged
	Late    int64 // in a block already, or gone, when they were looked at
}

type poolCounts struct {
	by                                    atomic.Value // string
	seen, visited, dropped, refused, late atomic.Int64
}

// Pool is what Pending met. It may be called at any time.
func (n *Node) Pool() Pool {
	by, _ := n.pool.by.Load().(string)
	return Pool{by, n.pool.seen.Load(), n.pool.visited.Load(), n.pool.dropped.Load(), n.pool.refused.Load(), n.pool.late.Load()}
}

// Pending calls visit for each transaction that waits for a block, as the node hears of it, until ctx is done or the node
// is lost. Its hash and its signature are proved; whether it will ever be in a block is not known, and what a contract will
// do about it is not seen: the movements are those that the transaction itself asks for, and its Point is its chain alone. visit
// is called by the caller's goroutine. While it works new ones wait in a queue of Config.Queue; what does not fit is dropped and
// counted. The pool of another node holds others. The error is never nil.
func (n *Node) Pending(ctx context.Context, visit func(flow.Tx)) error {
	c, err := n.served(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	q := &pendingQueue{waiting: make(chan json.RawMessage, n.cfg.Queue), counts: &n.pool}
	var wait sync.WaitGroup
	var lost error
	wait.Go(func() {
		defer close(q.waiting)
		lost = n.feed(ctx, q)
	})
	err = n.visitAll(ctx, q, evm.New(c), visit)
	cancel()
	wait.Wait()
	if err != nil {
		return err
	}
	return lost
}

// A pendingQueue is between the node, which tells, and the visitor. Each element is a whole transaction, or its hash as text.
type pendingQueue struct {
	waiting chan json.RawMessage
	bytes   atomic.Int64 // that wait
	counts  *poolCounts

	young, old map[flow.Hash]bool // those that were put in; for the goroutine that tells
}

const (
	mostWaiting = 64 << 20 // bytes in the queue
	generation  = 1 << 16  // transactions that are remembered, at least, so that none is visited twice
	mostAsked   = 100      // hashes that are asked for together
)

// put takes one that the node told of. It does not wait.
func (q *pendingQueue) put(raw json.RawMessage) {
	id, err := idOf(raw)
	if err != nil {
		q.counts.seen.Add(1)
		q.counts.refused.Add(1)
		return
	}
	if q.young[id] || q.old[id] {
		return
	}
	q.counts.seen.Add(1)
	if q.bytes.Load()+int64(len(raw)) > mostWaiting {
		q.counts.dropped.Add(1)
		return
	}
	select {
	case q.waiting <- raw:
		q.bytes.Add(int64(len(raw)))
	default:
		q.counts.dropped.Add(1)
		return
	}
	if q.young == nil || len(q.young) >= generation {
		q.young, q.old = make(map[flow.Hash]bool), q.young
	}
	q.young[id] = true
}

// idOf is the hash of a transaction that is there whole, or as its hash.
func idOf(raw json.RawMessage) (flow.Hash, error) {
	var id *flow.Hash
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &id); err != nil {
			return flow.Hash{}, err
		}
		return *id, nil
	}
	var tx struct {
		Hash *flow.Hash `json:"hash"`
	}
	if err := json.Unmarshal(raw, &tx); err != nil {
		return flow.Hash{}, err
	}
	if tx.Hash == nil {
		return flow.Hash{}, errors.New("a transaction without a hash")
	}
	return *tx.Hash, nil
}

// visitAll empties the queue until it is closed.
func (n *Node) visitAll(ctx context.Context, q *pendingQueue, d *evm.Decoder, visit func(flow.Tx)) error {
	for first := range q.waiting {
		group := []json.RawMessage{first}
		for more := true; more && len(group) < mostAsked; {
			select {
			case raw, ok := <-q.waiting:
				if more = ok; ok {
					group = append(group, raw)
				}
			default:
				more = false
			}
		}
		for _, raw := range group {
			q.bytes.Add(-int64(len(raw)))
		}
		if err := n.askWhole(ctx, group); err != nil {
			return err
		}
		for _, raw := range group {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			n.visitOne(raw, d, visit)
		}
	}
	return nil
}

// askWhole puts transactions in the places of those that are hashes alone; nil where the node does not say.
func (n *Node) askWhole(ctx context.Context, group []json.RawMessage) error {
	var calls []rpc.Call
	for i := range group {
		if group[i][0] == '"' {
			calls = append(calls, rpc.Call{Method: "eth_getTransactionByHash", Params: []any{group[i]}, Result: &group[i]})
		}
	}
	if len(calls) == 0 {
		return nil
	}
	err := n.rpc.Batch(ctx, calls)
	if err != nil && !errors.Is(err, rpc.ErrBusy) {
		return err
	}
	for _, call := range calls {
		if call.Err != nil {
			*call.Result.(*json.RawMessage) = nil
		}
	}
	return nil
}

func (n *Node) visitOne(raw json.RawMessage, d *evm.Decoder, visit func(flow.Tx)) {
	var in struct {
		Block *string `json:"blockHash"`
	}
	switch {
	case raw == nil:
		n.pool.dropped.Add(1)
		return
	case isNull(raw):
		n.pool.late.Add(1)
		return
	case json.Unmarshal(raw, &in) != nil:
		n.pool.refused.Add(1)
		return
	case in.Block != nil:
		n.pool.late.Add(1)
		return
	}
	tx, err := d.Pending(raw)
	if err != nil {
		n.pool.refused.Add(1)
		return
	}
	n.pool.visited.Add(1)
	visit(tx)
}

// feed fills the queue in the best way that the node knows.
func (n *Node) feed(ctx context.Context, q *pendingQueue) error {
	err := n.feedPushed(ctx, q, []any{"newPendingTransactions", true})
	var said *rpc.Error
	if errors.As(err, &said) && !errors.Is(err, rpc.ErrMethod) && !errors.Is(err, rpc.ErrBusy) { // the flag is not known everywhere
		err = n.feedPushed(ctx, q, []any{"newPendingTransactions"})
	}
	if !errors.Is(err, rpc.ErrNoSocket) && !errors.As(err, &said) {
		return err
	}
	if err = n.feedFilter(ctx, q); !notOffered(err) {
		return err
	}
	return n.feedPool(ctx, q)
}

// feedPushed subscribes: whole transactions or their hashes, as the node likes.
func (n *Node) feedPushed(ctx context.Context, q *pendingQueue, what []any) error {
	return n.rpc.Subscribe(ctx, "eth_subscribe", what, func(json.RawMessage) { n.pool.by.Store("eth_subscribe") }, func(_ string, params json.RawMessage) error {
		var notice struct {
			Result json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal(params, &notice); err != nil {
			return fmt.Errorf("%s: a notice: %w: %w", n.Name(), rpc.ErrAnswer, err)
		}
		q.put(notice.Result)
		return nil
	})
}

// feedFilter polls a filter, and makes it again where the node has forgotten it.
func (n *Node) feedFilter(ctx context.Context, q *pendingQueue) error {
	var id json.RawMessage
	for {
		if id == nil {
			if err := n.rpc.CallMost(ctx, mostSmall, "eth_newPendingTransactionFilter", nil, &id); err != nil {
				return err
			}
			n.pool.by.Store("eth_getFilterChanges")
		}
		if err := n.pause(ctx); err != nil {
			return err
		}
		var list []json.RawMessage
		err := n.rpc.CallMost(ctx, mostPooled, "eth_getFilterChanges", []any{id}, &list)
		var said *rpc.Error
		switch {
		case err == nil, errors.Is(err, rpc.ErrBusy):
		case errors.As(err, &said):
			id = nil
		default:
			return err
		}
		for _, raw := range list {
			q.put(raw)
		}
	}
}

// feedPool asks for the whole pool again and again.
func (n *Node) feedPool(ctx context.Context, q *pendingQueue) error {
	for {
		var pool struct {
			Pending map[string]map[string]json.RawMessage `json:"pending"`
		}
		err := n.rpc.CallMost(ctx, mostPooled, "txpool_content", nil, &pool)
		if err != nil && !errors.Is(err, rpc.ErrBusy) {
			return err
		}
		n.pool.by.Store("txpool_content")
		for _, of := range pool.Pending {
			for _, raw := range of {
				q.put(raw)
			}
		}
		if err := n.pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits for the next poll.
func (n *Node) pause(ctx context.Context) error {
	t := time.NewTimer(n.cfg.Poll)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
