package detect

import (
	"math/big"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// Bounds of what a detector remembers, whatever strangers send.
const (
	maxTransfers = 1 << 16 // the newest stolen movements
	maxDegree    = 64      // of them the newest of one account in one asset, each way
	maxKeys      = 1 << 16 // accounts with their thefts; judgements already made
	maxThefts    = 1 << 10 // thefts whose tempo is known
	maxWork      = 1 << 10 // movements that one rule looks at for one event
)

// A transfer is an event in the graph. It is never changed.
type transfer struct {
	Event
	seq  uint64      // its number among all
	when int64       // its time, but never before that of an earlier one
	paid []*transfer // for what came out of a swap: what went in, as far as it was stolen
}

// A place is an account in one asset.
type place struct {
	account flow.Account
	asset   flow.Asset
}

// A node is what a place got and gave, in order. Its slices are never changed in place.
type node struct {
	in, out []*transfer
}

// A graph is the stolen movements of one chain that are remembered.
type graph struct {
	nodes map[place]node
	ring  []*transfer
	next  int    // where the next transfer goes in the ring
	seq   uint64 // of the newest transfer
	when  int64  // of the newest event with a time
	swaps []*transfer
}

// maxSwapIns bounds how many payments into the swaps of one transaction are remembered.
const maxSwapIns = 16

// add puts an event into the graph and returns its transfer; nil if the graph has no use for it.
func (g *graph) add(j *journal, e Event) *transfer {
	if !e.hasTime() || e.Units.IsZero() || e.From == e.To || e.From.IsZero() || e.Sink == Dust || e.Sink == Lost {
		return nil
	}
	old := *g
	j.add(func() {
		g.seq, g.when, g.next, g.ring, g.swaps = old.seq, old.when, old.next, g.ring[:len(old.ring)], old.swaps
	})
	g.seq++
	g.when = max(g.when, e.Time)
	t := &transfer{Event: e, seq: g.seq, when: g.when}
	switch e.Swap {
	case IntoSwap:
		if len(g.swaps) > 0 && (g.swaps[0].Tx != e.Tx || g.swaps[0].At.Height != e.At.Height) {
			g.swaps = nil
		}
		if len(g.swaps) < maxSwapIns {
			g.swaps = append(slices.Clip(g.swaps), t)
		}
	case OutOfSwap:
		if len(g.swaps) > 0 && g.swaps[0].Tx == e.Tx {
			t.paid = g.swaps
		}
	}
	g.keep(j, t)
	if e.Swap != OutOfSwap {
		p := place{e.From, e.Asset}
		n := g.nodes[p]
		n.out = push(n.out, t)
		set(j, g.nodes, p, n)
	}
	if e.Swap != IntoSwap && e.Sink == Held && !e.To.IsZero() {
		p := place{e.To, e.Asset}
		n := g.nodes[p]
		n.in = push(n.in, t)
		set(j, g.nodes, p, n)
	}
	return t
}

// push appends to a copy, without the oldest where there are too many.
func push(list []*transfer, t *transfer) []*transfer {
	if len(list) >= maxDegree {
		list = list[len(list)-maxDegree+1:]
	}
	return append(slices.Clip(list), t)
}

// keep puts a transfer into the ring; the oldest one leaves the graph when it is full.
func (g *graph) keep(j *journal, t *transfer) {
	if len(g.ring) < maxTransfers {
		g.ring = append(g.ring, t)
		return
	}
	i, old := g.next, g.ring[g.next]
	g.ring[i] = t
	j.add(func() { g.ring[i] = old })
	g.next = (i + 1) % maxTransfers
	g.drop(j, place{old.From, old.Asset}, old)
	g.drop(j, place{old.To, old.Asset}, old)
}

// drop takes the oldest transfer off a node.
func (g *graph) drop(j *journal, p place, t *transfer) {
	n, ok := g.nodes[p]
	if !ok {
		return
	}
	if len(n.in) > 0 && n.in[0] == t {
		n.in = n.in[1:]
	}
	if len(n.out) > 0 && n.out[0] == t {
		n.out = n.out[1:]
	}
	if len(n.in)+len(n.out) == 0 {
		remove(j, g.nodes, p)
		return
	}
	set(j, g.nodes, p, n)
}

// of is the node of an account in an asset.
func (g *graph) of(a flow.Account, asset flow.Asset) node { return g.nodes[place{a, asset}] }

// isPayment reports whether somebody paid somebody: no swap, and the taker is an account.
func (t *transfer) isPayment() bool { return t.Swap == NoSwap && t.Sink != Burned && !t.To.IsZero() }

// isFollowed is isPayment to an account that is followed, which no service is.
func (t *transfer) isFollowed() bool { return t.isPayment() && t.Sink == Held }

// since are the transfers of a list from a time on.
func since(list []*transfer, when int64) []*transfer {
	i := len(list)
	for i > 0 && list[i-1].when >= when {
		i--
	}
	return list[i:]
}

// until are the transfers of a list before another one.
func until(list []*transfer, t *transfer) []*transfer {
	i := len(list)
	for i > 0 && list[i-1].seq >= t.seq {
		i--
	}
	return list[:i]
}

// total is the stolen part of all transfers, at most the largest amount there is.
func total(list []*transfer) flow.Amount {
	var sum flow.Amount
	for _, t := range list {
		sum = plus(sum, t.Units)
	}
	return sum
}

// plus is a sum that stays at the largest amount where it would be more: amounts from outside may be anything.
func plus(a, b flow.Amount) flow.Amount {
	sum, ok := a.Add(b)
	if !ok {
		return flow.AmountFromWords([4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})
	}
	return sum
}

// atLeast reports whether a is so many percent of b, or more; exactly.
func atLeast(a, b flow.Amount, percent int64) bool {
	x, okX := a.Uint64()
	y, okY := b.Uint64()
	if okX && okY && x < 1<<56 && y < 1<<56 && percent < 100 {
		return x*100 >= y*uint64(percent)
	}
	p, q := a.Big(), b.Big()
	return p.Mul(p, big.NewInt(100)).Cmp(q.Mul(q, big.NewInt(percent))) >= 0
}
