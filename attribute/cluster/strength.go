package cluster

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// Strongest is the most certain reason why two accounts are in one cluster: no other has a weakest piece that is
// stronger. ok is false where they are not in one cluster. It reads at most all evidence of the cluster.
func (f *Forest) Strongest(a, b flow.Account) (p Proof, ok bool) {
	if !f.Same(a, b) {
		return Proof{}, false
	}
	to := f.lookup(b)
	if a == b {
		return newProof(nil), true
	}
	w := f.widen(f.lookup(a), 0)
	for n := range w.all() {
		if n == to {
			break
		}
	}
	return w.proof(to), true
}

// MembersAt are the accounts that evidence of at least that confidence ties to a, in order, a among them. At 0 they are
// the members of its cluster.
func (f *Forest) MembersAt(a flow.Account, confidence int) []flow.Account {
	start := f.lookup(a)
	if start == 0 {
		return []flow.Account{a}
	}
	var members []flow.Account
	for n := range f.widen(start, confidence).all() {
		members = append(members, f.account(n))
	}
	slices.SortFunc(members, flow.Account.Compare)
	return members
}

// A widening reaches the members of a cluster in the order of how surely they belong to one of them, the surest first.
type widening struct {
	forest *Forest
	least  int
	queue  [101][]reached
	by     map[node]reached // how each was reached
}

// A reached is a node, the node before it and the evidence between them.
type reached struct {
	node, from node
	proof      ID
	width      uint8 // the least confidence on the way
}

func (f *Forest) widen(start node, least int) *widening {
	w := &widening{forest: f, least: max(0, least), by: map[node]reached{}}
	w.queue[100] = append(w.queue[100], reached{node: start, width: 100})
	return w
}

// all yields the nodes with how sure they are. It may be read once.
func (w *widening) all() func(yield func(node, int) bool) {
	return func(yield func(node, int) bool) {
		for level := 100; level >= w.least; level-- {
			for i := 0; i < len(w.queue[level]); i++ {
				r := w.queue[level][i]
				if _, ok := w.by[r.node]; ok {
					continue
				}
				w.by[r.node] = r
				if !yield(r.node, level) {
					return
				}
				w.spread(r)
			}
			w.queue[level] = nil
		}
	}
}

func (w *widening) spread(r reached) {
	for id := w.forest.at(r.node).first; id != 0; {
		e := w.forest.row(id)
		to := e.other(r.node)
		if _, ok := w.by[to]; !ok && e.counts() {
			width := min(r.width, e.confidence)
			w.queue[width] = append(w.queue[width], reached{to, r.node, id, width})
		}
		id = e.after(r.node)
	}
}

// proof is how a node that was yielded was reached.
func (w *widening) proof(n node) Proof {
	var path []Evidence
	for r := w.by[n]; r.proof != 0; r = w.by[r.from] {
		path = append(path, w.forest.evidence(r.proof))
	}
	slices.Reverse(path)
	return newProof(path)
}

// Levels is how sure every pair of accounts belongs together, at one moment of a forest: it answers in the logarithm of a
// cluster's size what Strongest answers in the size. What the forest learns later is not in it.
type Levels struct {
	forest *Forest // for the names of accounts only
	parent []node  // union by size without shortcuts: the way up is short, and each step has the confidence that made it
	link   []uint8
}

// Levels sorts all evidence by confidence and joins from the surest on. It may be read while the forest is not written.
func (f *Forest) Levels() *Levels {
	l := &Levels{f, make([]node, len(f.nodes)), make([]uint8, len(f.nodes))}
	size := make([]node, len(f.nodes))
	for i := range size {
		l.parent[i], size[i] = node(i+1), 1
	}
	var count [102]int
	for i := range f.rows {
		if r := &f.rows[i]; r.counts() {
			count[100-r.confidence+1]++
		}
	}
	for c := 1; c < len(count); c++ {
		count[c] += count[c-1]
	}
	order := make([]ID, count[101])
	for i := range f.rows {
		if r := &f.rows[i]; r.counts() {
			order[count[100-r.confidence]] = ID(i + 1)
			count[100-r.confidence]++
		}
	}
	for _, id := range order {
		r := f.row(id)
		a, b := l.root(r.a, 0), l.root(r.b, 0)
		if a == b {
			continue
		}
		if size[a-1] > size[b-1] {
			a, b = b, a
		}
		l.parent[a-1], l.link[a-1] = b, r.confidence
		size[b-1] += size[a-1]
	}
	return l
}

// root climbs as long as the steps are at least that sure.
func (l *Levels) root(n node, least int) node {
	for l.parent[n-1] != n && int(l.link[n-1]) >= least {
		n = l.parent[n-1]
	}
	return n
}

// Between is the weakest piece of the strongest proof between two accounts, 0 to 100; ok is false where they are not in
// one cluster.
func (l *Levels) Between(a, b flow.Account) (confidence int, ok bool) {
	if a == b {
		return 100, true
	}
	m, n := l.node(a), l.node(b)
	if m == 0 || n == 0 || l.root(m, 0) != l.root(n, 0) {
		return 0, false
	}
	// On the way up links only get weaker, so the weaker of two ends is the one that has to climb last.
	width := 100
	for m != n {
		lm, ln := l.strength(m), l.strength(n)
		if lm >= ln {
			width = min(width, lm)
			m = l.parent[m-1]
		} else {
			width = min(width, ln)
			n = l.parent[n-1]
		}
	}
	return width, true
}

// strength is how sure the step up from n is; below everything at the top.
func (l *Levels) strength(n node) int {
	if l.parent[n-1] == n {
		return -1
	}
	return int(l.link[n-1])
}

// Same reports whether evidence of at least that confidence ties two accounts together.
func (l *Levels) Same(a, b flow.Account, confidence int) bool {
	m, n := l.node(a), l.node(b)
	return a == b || m != 0 && n != 0 && l.root(m, confidence) == l.root(n, confidence)
}

// node is the name of an account that was there when the levels were made.
func (l *Levels) node(a flow.Account) node {
	if n := l.forest.lookup(a); int(n) <= len(l.parent) {
		return n
	}
	return 0
}
