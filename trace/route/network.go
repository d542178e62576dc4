package route

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A network is the movements on all ways, spread out in time: a node is an account between two of its payments, or a
// movement of several legs. Arcs are movements, or what waits at an account for its next payment. An arc leads from
// what is earlier to what is later, and all arcs into a node stand before all arcs out of it: one scan of the arcs is
// one run through time.
type network struct {
	nodes   int
	arcs    []arc
	events  []event
	holders []holder
	ends    [2]flow.Account

	out, in             flow.Sum
	accounts, transfers int
	unknown             int
}

// The first nodes.
const (
	start = iota // pays the giver what counts
	giver
	taker
)

// An arc is a movement, one leg of a movement with many, or waiting.
type arc struct {
	from, to int32
	event    int32 // wait for none
	in, out  int32 // numbers of the legs of the event, wait for none
	limit    flow.Amount
	carries  flow.Amount
}

// wait stands for what an arc does not have.
const wait = -1

// most is more than any arc can carry.
var most = flow.AmountFromWords([4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})

// newNetwork is the network of what a search has found, without all that is on no way. At most amount counts of what the
// giver paid, all of it if that is nothing. Errors: ErrSize for a token of which more than 2^256-1 units left.
func newNetwork(s *search, amount flow.Amount) (*network, error) {
	n := &network{holders: s.holders, events: s.prune(s.events()), ends: [2]flow.Account{s.q.From, s.q.To}, unknown: s.unknown}
	n.arc(start, giver, most, wait, wait, wait)
	n.nodes = taker + 1
	at := make([]int32, len(s.holders)) // the node of each holder now, 0 for none
	at[giving], at[taking] = giver, taker
	paid := []bool{start: true, giver: true, taker: false} // by node
	node := func() int32 {
		paid = append(paid, false)
		n.nodes++
		return int32(n.nodes - 1)
	}
	arrive := func(h int32) int32 {
		v := at[h]
		if v == 0 {
			n.accounts++
		}
		if v == 0 || paid[v] {
			at[h] = node()
			if v != 0 {
				n.arc(v, at[h], most, wait, wait, wait)
			}
		}
		return at[h]
	}
	for i := range n.events {
		e := &n.events[i]
		n.unknown += e.unknown
		for _, g := range e.in {
			paid[at[g.holder]] = true
			if g.holder == giving {
				n.out = n.out.Plus(g.amount)
			}
		}
		for _, t := range e.out {
			if t.holder == taking {
				n.in = n.in.Plus(t.amount)
			}
		}
		if len(e.in) == 1 && len(e.out) == 1 {
			from := at[e.in[0].holder]
			n.arc(from, arrive(e.out[0].holder), e.in[0].amount.Min(e.out[0].amount), int32(i), 0, 0)
			n.transfers++
			continue
		}
		v := node()
		paid[v] = true
		for k, g := range e.in {
			n.arc(at[g.holder], v, g.amount, int32(i), int32(k), wait)
		}
		for k, t := range e.out {
			n.arc(v, arrive(t.holder), t.amount, int32(i), wait, int32(k))
		}
		n.transfers += len(e.in) + len(e.out)
	}
	whole, ok := n.out.Amount()
	switch {
	case !amount.IsZero() && (!ok || amount.Less(whole)):
		whole = amount
	case !ok:
		return nil, fmt.Errorf("%s units left the account, more than 2^256-1: name an amount or a shorter time: %w", n.out, ErrSize)
	}
	n.arcs[0].limit = whole
	return n, nil
}

func (n *network) arc(from, to int32, limit flow.Amount, event, in, out int32) {
	n.arcs = append(n.arcs, arc{from: from, to: to, limit: limit, event: event, in: in, out: out})
}

// prune leaves the legs that are on a way: reached from the giver in time, and leading to the taker in time.
func (s *search) prune(events []event) []event {
	reached, leads := make([]bool, len(s.holders)), make([]bool, len(s.holders))
	reached[giving], leads[taking] = true, true
	n := 0
	for _, e := range events {
		e.in = keep(e.in, reached)
		if len(e.in) == 0 {
			continue
		}
		for _, t := range e.out {
			reached[t.holder] = true
		}
		events[n] = e
		n++
	}
	clear(events[n:])
	first := n
	for i := n - 1; i >= 0; i-- {
		e := events[i]
		e.out = keep(e.out, leads)
		if len(e.out) == 0 {
			continue
		}
		for _, g := range e.in {
			leads[g.holder] = true
		}
		first--
		events[first] = e
	}
	return events[first:n]
}

// keep leaves the legs whose holders are marked, in place.
func keep(legs []leg, marked []bool) []leg {
	n := 0
	for _, l := range legs {
		if marked[l.holder] {
			legs[n] = l
			n++
		}
	}
	return legs[:n]
}

// greedy lets every account pass on what it can as soon as it can, and returns what arrives. What did not get there is
// taken back, so that the arcs carry what arrives and nothing else.
func (n *network) greedy() flow.Amount {
	has := make([]flow.Amount, n.nodes) // never more than the giver's whole
	has[start] = n.arcs[0].limit
	for i := range n.arcs {
		a := &n.arcs[i]
		a.carries = has[a.from].Min(a.limit)
		has[a.from] = minus(has[a.from], a.carries)
		has[a.to] = plus(has[a.to], a.carries)
	}
	value := has[taker]
	has[taker] = flow.Amount{}
	for i := len(n.arcs) - 1; i >= 0; i-- { // what is left at a node now did not get on
		a := &n.arcs[i]
		stuck := has[a.to].Min(a.carries)
		a.carries = minus(a.carries, stuck)
		has[a.to] = minus(has[a.to], stuck)
		has[a.from] = plus(has[a.from], stuck)
	}
	return value
}

// plus is a+b, which is not more than the giver's whole.
func plus(a, b flow.Amount) flow.Amount {
	v, ok := a.Add(b)
	if !ok {
		panic("route: a network carries more than was put in")
	}
	return v
}

// minus is a-b.
func minus(a, b flow.Amount) flow.Amount {
	v, ok := a.Sub(b)
	if !ok {
		panic("route: a network carries less than nothing")
	}
	return v
}
