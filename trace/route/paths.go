package route

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// paths takes at most so many ways out of what the arcs carry, each the widest that is left, and returns what of value
// goes on others.
func (n *network) paths(count int, value flow.Amount) (all []Path, rest flow.Amount) {
	all = []Path{}
	var carrying []int32
	for i := range n.arcs {
		if !n.arcs[i].carries.IsZero() {
			carrying = append(carrying, int32(i))
		}
	}
	wide := make([]flow.Amount, n.nodes)
	via := make([]int32, n.nodes)
	for len(all) < count && !value.IsZero() {
		clear(wide)
		wide[start] = most
		for _, i := range carrying { // in the order of time
			a := &n.arcs[i]
			if w := wide[a.from].Min(a.carries); wide[a.to].Less(w) {
				wide[a.to], via[a.to] = w, i
			}
		}
		amount := wide[taker]
		if amount.IsZero() {
			panic("route: the arcs carry less than what arrives")
		}
		path := Path{Amount: amount}
		for v := int32(taker); v != start; {
			i := via[v]
			a := &n.arcs[i]
			a.carries = minus(a.carries, amount)
			v = a.from
			switch {
			case a.event == wait:
			case a.in != wait && a.out != wait:
				path.Steps = append(path.Steps, n.step(a, a))
			case a.out != wait: // the way goes through a movement of many legs: the one before it gives
				path.Steps = append(path.Steps, n.step(&n.arcs[via[v]], a))
			}
		}
		slices.Reverse(path.Steps)
		all = append(all, path)
		value = minus(value, amount)
		k := 0
		for _, i := range carrying {
			if !n.arcs[i].carries.IsZero() {
				carrying[k] = i
				k++
			}
		}
		carrying = carrying[:k]
	}
	return all, value
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
