package bitcoinrpc

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/decode/bitcoin"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// A Pool counts what Pending met since the node was opened.
type Pool struct {
	Polls   int64 // looks at what is pending
	Seen    int64 // transactions that the node told of, each once for as long as it waits
	Visited int64
	Refused int64 // what they say is not what they are: forged or damaged
	Late    int64 // in a block already, or gone, when they were looked at
	Waiting int64 // at the last look, those that had to wait for the next
}

type poolCounts struct{ polls, seen, visited, refused, late, waiting atomic.Int64 }

// Pool is what Pending met. It may be called at any time.
func (n *Node) Pool() Pool {
	p := &n.pool
	return Pool{p.polls.Load(), p.seen.Load(), p.visited.Load(), p.refused.Load(), p.late.Load(), p.waiting.Load()}
}

// mostAsked is how many transactions are asked for together. Each has at most 400 kB, so that what a batch holds is bounded by
// Endpoint.MaxAnswer before anything else.
const mostAsked = 100

// Pending calls visit for each transaction that waits for a block, as the node hears of it and once for as long as it waits,
// until ctx is done or the node is lost. It is proved to hash to its ID; its inputs are open, for whom it spends from is not
// in it; its Point is its chain alone. Whether it will ever be in a block is not known. visit is called by the caller's goroutine.
// The pool of another node holds others. The error is never nil.
func (n *Node) Pending(ctx context.Context, visit func(flow.Tx)) error {
	c, err := n.served(ctx)
	if err != nil {
		return err
	}
	d := bitcoin.New(c)
	known := map[flow.Hash]bool{} // those of the last look that were dealt with
	tick := time.NewTicker(n.cfg.Poll)
	defer tick.Stop()
	for {
		var ids []flow.Hash
		err := n.rpc.CallMost(ctx, mostPool, "getrawmempool", nil, &ids)
		if err != nil && !errors.Is(err, rpc.ErrBusy) {
			return err
		}
		if err == nil {
			n.pool.polls.Add(1)
			if known, err = n.visitNew(ctx, d, ids, known, visit); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// visitNew visits those of ids which are not known. It returns which of ids are known now.
func (n *Node) visitNew(ctx context.Context, d *bitcoin.Decoder, ids []flow.Hash, known map[flow.Hash]bool, visit func(flow.Tx)) (map[flow.Hash]bool, error) {
	now := make(map[flow.Hash]bool, len(ids))
	var fresh []flow.Hash
	var waiting int64
	for _, id := range ids {
		switch {
		case known[id]:
			now[id] = true
		case now[id]: // told twice
		case len(fresh) < n.cfg.Queue:
			now[id] = true
			fresh = append(fresh, id)
		default:
			waiting++
		}
	}
	n.pool.waiting.Store(waiting)
	n.pool.seen.Add(int64(len(fresh)))
	for len(fresh) > 0 {
		group := fresh[:min(len(fresh), mostAsked)]
		fresh = fresh[len(group):]
		again, err := n.visitGroup(ctx, d, group, visit)
		if err != nil {
			return nil, err
		}
		for _, id := range again {
			delete(now, id)
		}
	}
	return now, nil
}

// visitGroup asks for transactions and visits them. again are those that the node had no time for.
func (n *Node) visitGroup(ctx context.Context, d *bitcoin.Decoder, group []flow.Hash, visit func(flow.Tx)) (again []flow.Hash, err error) {
	raws := make([]octets, len(group))
	calls := make([]rpc.Call, len(group))
	for i, id := range group {
		calls[i] = rpc.Call{Method: "getrawtransaction", Params: []any{id}, Result: &raws[i]}
	}
	if err := n.rpc.Batch(ctx, calls); err != nil && !errors.Is(err, rpc.ErrBusy) {
		return nil, err
	}
	for i, id := range group {
		switch err := said(calls[i].Err); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			n.visitOne(d, id, raws[i], visit)
		case errors.Is(err, follow.ErrNotFound):
			n.pool.late.Add(1)
		case errors.Is(err, rpc.ErrBusy):
			n.pool.seen.Add(-1)
			again = append(again, id)
		default:
			n.pool.refused.Add(1)
		}
	}
	return again, nil
}

func (n *Node) visitOne(d *bitcoin.Decoder, id flow.Hash, raw []byte, visit func(flow.Tx)) {
	tx, err := d.Pending(raw)
	if err != nil || tx.ID != id {
		n.pool.refused.Add(1)
		return
	}
	n.pool.visited.Add(1)
	visit(tx)
}
