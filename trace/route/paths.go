package route

import (
	"math/bits"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// paths takes at most so many ways out of what the arcs carry, each the widest that is left, and returns what of value
// goes on others.
func (n *network) paths(count int, value flow.Amount) (all []Path, rest flow.Amount) {
	all = []Path{}
	wide := make([]flow.Amount, n.nodes)
	via := make([]int32, n.nodes)
	// A way that carries 2^(size-1) or more leads over such arcs alone: those that carry less are left aside until there
	// is no such way left.
	size := bitLen(value)
	wires := n.carrying(nil, size)
	for len(all) < count && !value.IsZero() {
		wide[start] = most
		for _, i := range wires { // in the order of time
			a := &n.arcs[i]
			if w := wide[a.from].Min(a.carries); wide[a.to].Less(w) {
				wide[a.to], via[a.to] = w, i
			}
		}
		amount := wide[taker]
		for _, i := range wires {
			wide[n.arcs[i].to] = flow.Amount{}
		}
		if amount.IsZero() {
			if size--; size == 0 {
				panic("route: the arcs carry less than what arrives")
			}
			wires = n.carrying(wires, size)
			continue
		}
		all = append(all, n.take(via, amount))
		value = minus(value, amount)
		wires = slices.DeleteFunc(wires, func(i int32) bool { return bitLen(n.arcs[i].carries) < size })
	}
	return all, value
}

// carrying lists the arcs that carry an amount of so many bits or more, in the order of time.
func (n *network) carrying(room []int32, size int) []int32 {
	room = room[:0]
	for i := range n.arcs {
		if bitLen(n.arcs[i].carries) >= size {
			room = append(room, int32(i))
		}
	}
	return room
}

// bitLen is how many bits an amount has.
func bitLen(a flow.Amount) int {
	w := a.Words()
	for i := 3; i > 0; i-- {
		if w[i] != 0 {
			return 64*i + bits.Len64(w[i])
		}
	}
	return bits.Len64(w[0])
}

// take takes an amount off the way to the taker over these arcs into each node, and returns the way.
func (n *network) take(via []int32, amount flow.Amount) Path {
	path := Path{Amount: amount}
	for v := int32(taker); v != start; {
		a := &n.arcs[via[v]]
		a.carries = minus(a.carries, amount)
		v = a.from
		switch {
		case a.event == wait:
		case a.in != wait && a.out != wait:
			path.Steps = append(path.Steps, n.step(a, a))
		case a.out != wait: // the way goes through a movement of many legs: the arc before it gives
			path.Steps = append(path.Steps, n.step(&n.arcs[via[v]], a))
		}
	}
	slices.Reverse(path.Steps)
	path.Steps = straight(path.Steps)
	return path
}

// straight leaves out what leads back to an account that the way was at before: the money may as well have waited there.
func straight(steps []Step) []Step {
	at := map[holder]int{} // how many steps lead to it
	n := 0
	for _, s := range steps {
		at[holder{s.From, s.FromCoin}] = n
		to := holder{s.To, s.ToCoin}
		if before, ok := at[to]; ok {
			for _, left := range steps[before:n] {
				delete(at, holder{left.To, left.ToCoin})
			}
			n = before
			at[to] = n
			continue
		}
		steps[n] = s
		n++
	}
	return steps[:n]
}

// step is the movement of two arcs, which are one arc or the leg that gives and the leg that takes.
func (n *network) step(in, out *arc) Step {
	e := &n.events[in.event]
	s := Step{Tx: e.tx, At: e.at, Time: e.time, Index: e.index, Amount: in.limit.Min(out.limit)}
	if in.in != wait {
		g := e.in[in.in]
		s.From = n.account(g.holder)
		if int(g.place) < len(e.spent) {
			s.FromCoin = e.spent[g.place]
		}
	}
	if out.out != wait {
		t := e.out[out.out]
		s.To = n.account(t.holder)
		if e.coins {
			s.ToCoin = flow.Outpoint{Tx: e.tx, Index: uint32(t.place)}
		}
	}
	return s
}

func (n *network) account(h int32) flow.Account {
	if h < firstBetween {
		return n.ends[h]
	}
	return n.holders[h].account
}
