package route

import (
	"context"

	"github.com/spoor-dev/spoor/flow"
)

// maximum raises what the arcs carry until no more can arrive, by Dinic's algorithm, and returns what arrives. value is
// what arrives already.
func (n *network) maximum(ctx context.Context, value flow.Amount) (flow.Amount, error) {
	r := newResidual(n)
	for {
		if err := ctx.Err(); err != nil {
			return value, err
		}
		if !r.measure() {
			return value, nil
		}
		more, err := r.block(ctx)
		if err != nil {
			return value, err
		}
		value = plus(value, more)
	}
}

// A residual is what a network can still carry. A turn of it is an arc forward, 2·number, or back, 2·number+1.
type residual struct {
	n     *network
	first []int32 // by node: where its turns begin
	turns []int32
	far   []int32 // by node: turns to the taker; out of reach if negative
	next  []int32 // by node: the turn that is tried next
	queue []int32
	path  []int32 // turns
}

const outOfReach = -1

func newResidual(n *network) *residual {
	r := &residual{n: n, first: make([]int32, n.nodes+1), turns: make([]int32, 2*len(n.arcs)),
		far: make([]int32, n.nodes), next: make([]int32, n.nodes), queue: make([]int32, 0, n.nodes)}
	for i := range n.arcs {
		r.first[n.arcs[i].from+1]++
		r.first[n.arcs[i].to+1]++
	}
	for v := range n.nodes {
		r.first[v+1] += r.first[v]
	}
	copy(r.next, r.first)
	put := func(v int32, turn int) {
		r.turns[r.next[v]] = int32(turn)
		r.next[v]++
	}
	for i := range n.arcs {
		put(n.arcs[i].from, 2*i)
		put(n.arcs[i].to, 2*i+1)
	}
	return r
}

// isOpen reports whether a turn can carry more.
func (r *residual) isOpen(turn int32) bool {
	a := &r.n.arcs[turn>>1]
	if turn&1 == 0 {
		return a.carries.Less(a.limit)
	}
	return !a.carries.IsZero()
}

// head is the node that a turn leads to.
func (r *residual) head(turn int32) int32 {
	if turn&1 == 0 {
		return r.n.arcs[turn>>1].to
	}
	return r.n.arcs[turn>>1].from
}

// measure finds how far every node is from the taker, over turns that can carry more, and reports whether the start is
// in reach.
func (r *residual) measure() bool {
	for v := range r.far {
		r.far[v] = outOfReach
	}
	r.far[taker] = 0
	r.queue = append(r.queue[:0], taker)
	for i := 0; i < len(r.queue); i++ {
		v := r.queue[i]
		if far := r.far[start]; far != outOfReach && far <= r.far[v] {
			break // what is farther is on no shortest way
		}
		for _, turn := range r.turns[r.first[v]:r.first[v+1]] {
			u := r.head(turn)
			if r.far[u] == outOfReach && r.isOpen(turn^1) {
				r.far[u] = r.far[v] + 1
				r.queue = append(r.queue, u)
			}
		}
	}
	return r.far[start] != outOfReach
}

// block fills the shortest ways until each has a turn that can carry no more, and returns what they carry.
func (r *residual) block(ctx context.Context) (sum flow.Amount, err error) {
	copy(r.next, r.first)
	r.path = r.path[:0]
	v := int32(start)
	for tries := 0; ; tries++ {
		if tries&(1<<16-1) == 0 && ctx.Err() != nil {
			return sum, ctx.Err()
		}
		if v == taker {
			pushed, from := r.push()
			sum = plus(sum, pushed)
			v = r.head(r.path[from] ^ 1)
			r.path = r.path[:from]
			continue
		}
		if r.next[v] < r.first[v+1] {
			turn := r.turns[r.next[v]]
			if u := r.head(turn); r.far[u] == r.far[v]-1 && r.isOpen(turn) {
				r.path = append(r.path, turn)
				v = u
			} else {
				r.next[v]++
			}
			continue
		}
		if v == start {
			return sum, nil
		}
		turn := r.path[len(r.path)-1]
		r.path = r.path[:len(r.path)-1]
		v = r.head(turn ^ 1)
		r.next[v]++
	}
}

// push carries as much as the path can; from is the first turn of it that can carry no more.
func (r *residual) push() (amount flow.Amount, from int) {
	amount = most
	for _, turn := range r.path {
		a := &r.n.arcs[turn>>1]
		if turn&1 == 0 {
			amount = amount.Min(minus(a.limit, a.carries))
		} else {
			amount = amount.Min(a.carries)
		}
	}
	from = -1
	for i, turn := range r.path {
		a := &r.n.arcs[turn>>1]
		if turn&1 == 0 {
			a.carries = plus(a.carries, amount)
		} else {
			a.carries = minus(a.carries, amount)
		}
		if from < 0 && !r.isOpen(turn) {
			from = i
		}
	}
	return amount, from
}

// cut lists the movements that a maximum cannot avoid, nearest to the taker. It is empty where all that the giver paid of
// what counts arrives.
func (n *network) cut() []Step {
	r := newResidual(n)
	r.measure()
	steps := []Step{}
	for i := range n.arcs {
		a := &n.arcs[i]
		if a.from != start && r.far[a.from] == outOfReach && r.far[a.to] != outOfReach {
			steps = append(steps, n.step(a, a))
		}
	}
	return steps
}
