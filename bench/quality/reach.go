package quality

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// reach follows everything that leaves an account after something came to it, in the order of time, whatever the amount:
// all that the theft can have touched. Nearer accounts are ranked first, of two equally near the one that was reached
// first. Where stop says so, it does not go on.
func reach(ctx context.Context, c *Case, stop func(flow.Account) bool) (Found, error) {
	w := &reaching{graph: engine.NewGraph(c.Store), reached: map[flow.Account]*arrival{}, seen: map[TransferID]bool{}, transfers: []Carried{}}
	for _, src := range c.Theft.Sources {
		switch src := src.(type) {
		case trace.Outflow:
			w.come(src.Account, src.From, 0)
		case trace.Holding:
			w.come(src.Account, src.At, 0)
		default:
			return Found{}, fmt.Errorf("reachability cannot begin at a %T", src)
		}
	}
	for len(w.queue) > 0 {
		a := heap.Pop(&w.queue).(*arrival)
		if w.reached[a.account] != a || a.hops > 0 && stop(a.account) {
			continue // it was reached earlier than this, or the way ends here
		}
		if err := w.leave(ctx, a); err != nil {
			return Found{}, err
		}
	}
	found := Found{Transfers: w.transfers, Visited: len(w.reached)}
	all := make([]*arrival, 0, len(w.reached))
	for _, a := range w.reached {
		all = append(all, a)
	}
	slices.SortFunc(all, func(x, y *arrival) int {
		return cmp.Or(cmp.Compare(x.hops, y.hops), x.at.Compare(y.at), x.account.Compare(y.account))
	})
	h := sha256.New()
	for _, a := range all {
		found.Addresses = append(found.Addresses, a.account)
		found.Depth = max(found.Depth, a.hops)
		h.Write([]byte(a.account.String()))
	}
	slices.SortFunc(found.Transfers, func(x, y Carried) int {
		return cmp.Or(x.ID.Tx.Compare(y.ID.Tx), cmp.Compare(x.ID.Index, y.ID.Index))
	})
	for _, t := range found.Transfers {
		h.Write(binary.BigEndian.AppendUint32(t.ID.Tx[:], t.ID.Index))
	}
	found.Hash = flow.Hash(h.Sum(nil))
	return found, nil
}

// An arrival is the first time that something came to an account.
type arrival struct {
	account flow.Account
	at      flow.Pos // what leaves from here on counts
	hops    int      // on the way by which it came first
}

type reaching struct {
	graph     *engine.Graph
	reached   map[flow.Account]*arrival
	queue     arrivals
	seen      map[TransferID]bool
	transfers []Carried
}

// come says that something came to an account. What came earlier counts; accounts are taken in the order of time, so that
// nothing earlier can come to one that was taken.
func (w *reaching) come(a flow.Account, at flow.Pos, hops int) {
	if x, ok := w.reached[a]; ok && x.at.Compare(at) <= 0 {
		return
	}
	x := &arrival{a, at, hops}
	w.reached[a] = x
	heap.Push(&w.queue, x)
}

// reachPage is how many movements of an account are asked for at once.
const reachPage = 1024

// leave follows all that leaves an account.
func (w *reaching) leave(ctx context.Context, a *arrival) error {
	ask := trace.Ask{Account: a.account, From: a.at, Limit: reachPage}
	for {
		pages, err := w.graph.After(ctx, []trace.Ask{ask})
		if err != nil {
			return err
		}
		for _, v := range pages[0].Txs {
			for i, m := range v.Tx.Movements {
				at := v.Tx.At()
				at.Movement = uint32(i)
				if at.Compare(a.at) < 0 || !slices.ContainsFunc(m.In, func(l flow.Leg) bool { return l.Account == a.account }) {
					continue
				}
				w.pay(v.Tx, m, at, a.hops+1)
			}
			ask.From = flow.Pos{Height: v.Tx.Point.Height, Tx: v.Tx.Index + 1}
		}
		if !pages[0].More {
			return nil
		}
	}
}

// pay follows one movement to everybody whom it gives something.
func (w *reaching) pay(tx flow.Tx, m flow.Movement, at flow.Pos, hops int) {
	id := TransferID{tx.ID, m.Index}
	for _, l := range m.Out {
		if l.Amount.IsZero() {
			continue
		}
		if !w.seen[id] {
			w.seen[id] = true
			w.transfers = append(w.transfers, Carried{id, m.Asset, l.Amount})
		}
		w.come(l.Account, at, hops)
	}
}

// arrivals is a heap, the earliest first.
type arrivals []*arrival

// Len implements heap.Interface.
func (a arrivals) Len() int { return len(a) }

// Less implements heap.Interface.
func (a arrivals) Less(i, j int) bool {
	return cmp.Or(a[i].at.Compare(a[j].at), a[i].account.Compare(a[j].account)) < 0
}

// Swap implements heap.Interface.
func (a arrivals) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push implements heap.Interface.
func (a *arrivals) Push(x any) { *a = append(*a, x.(*arrival)) }

// Pop implements heap.Interface.
func (a *arrivals) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}
