package cluster

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Forest holds evidence and the clusters that follow from it. Evidence is only ever added; what is withdrawn stays, and
// is known to be withdrawn.
//
// The clusters are always those of a rebuild from scratch: all evidence that was not withdrawn, in the order of its IDs,
// under all marks. So the proofs do not depend on how the forest came to be what it is, and clusters depend on the order
// of the evidence only where the guard refused some. One goroutine may write; any number may read while nobody writes.
type Forest struct {
	guard    Guard
	names    map[flow.Account]node
	accounts []flow.Account // of node n at n-1
	nodes    []place        // of node n at n-1
	marks    map[node]string
	services []string // of the clusters that hold a mark, by place.service-1
	service  map[string]uint32

	rows     []row // of evidence id at id-1
	sources  []source
	large    map[ID]flow.Amount // amounts that do not fit a row
	refused  map[ID]string      // why, of evidence that is quarantined
	accepted map[ID]bool        // evidence that the guard may not refuse
	taken    map[ID]Withdrawal
	clusters int // of two accounts or more
	touched  []bool
}

// A node is a short name of an account; 0 is none.
type node uint32

// A place is what the forest knows of an account. parent and size are union by size; up and proof are the proof forest,
// whose edges are evidence; ring leads through all members of the cluster; first heads the list of its evidence.
type place struct {
	parent, size node
	up           node
	proof        ID
	ring         node
	first        ID
	service      uint32 // where parent is the node itself: the cluster's service by its name's place, 0 none
}

// A row is evidence in 40 bytes. next continues the lists of evidence of a and b.
type row struct {
	amount     uint64
	a, b       node
	next       [2]ID
	source     uint32
	version    uint16
	heuristic  Heuristic
	confidence uint8
	state      State
}

// A source is what the pieces of evidence of one transaction share.
type source struct {
	tx   flow.Hash
	at   flow.Pos
	seen int64
}

// A Withdrawal says when evidence was taken back, in seconds since 1970 UTC, and why.
type Withdrawal struct {
	Seen   int64  `json:"seen"`
	Reason string `json:"reason"`
}

// New is an empty forest under a guard.
func New(g Guard) *Forest {
	return &Forest{
		guard: g.filled(), names: map[flow.Account]node{}, marks: map[node]string{}, service: map[string]uint32{},
		large: map[ID]flow.Amount{}, refused: map[ID]string{}, accepted: map[ID]bool{}, taken: map[ID]Withdrawal{},
	}
}

// Add puts evidence into the forest and says what became of it; its ID is the next one, whatever e.ID says. Errors:
// ErrEvidence, ErrFull.
func (f *Forest) Add(e Evidence) (ID, State, error) {
	if err := e.check(); err != nil {
		return 0, 0, err
	}
	if len(f.rows) >= math.MaxUint32-1 || len(f.accounts) >= math.MaxUint32-2 {
		return 0, 0, ErrFull
	}
	id := f.add(f.node(e.A), f.node(e.B), e)
	return id, f.row(id).state, nil
}

// add is Add of what was checked, about the accounts of two nodes.
func (f *Forest) add(a, b node, e Evidence) ID {
	id := ID(len(f.rows) + 1)
	r := row{a: a, b: b, version: e.Version, heuristic: e.Heuristic, confidence: e.Confidence}
	s := source{e.Tx, e.At, e.Seen}
	if n := len(f.sources); n == 0 || f.sources[n-1] != s {
		f.sources = append(f.sources, s)
	}
	r.source = uint32(len(f.sources) - 1)
	if v, ok := e.Amount.Uint64(); ok {
		r.amount = v
	} else {
		f.large[id] = e.Amount
	}
	r.next[0], f.at(r.a).first = f.at(r.a).first, id
	r.next[1], f.at(r.b).first = f.at(r.b).first, id
	f.rows = append(f.rows, r)
	if _, gone := f.taken[id]; gone { // in a snapshot
		f.row(id).state = Withdrawn
	} else {
		f.join(id)
	}
	return id
}

// node is the short name of an account, a new one if it has none.
func (f *Forest) node(a flow.Account) node {
	n, ok := f.names[a]
	if !ok {
		f.accounts = append(f.accounts, a)
		n = node(len(f.accounts))
		f.nodes = append(f.nodes, place{parent: n, size: 1, ring: n})
		f.names[a] = n
	}
	return n
}

func (f *Forest) at(n node) *place            { return &f.nodes[n-1] }
func (f *Forest) row(id ID) *row              { return &f.rows[id-1] }
func (f *Forest) account(n node) flow.Account { return f.accounts[n-1] }
func (f *Forest) known(id ID) bool            { return id > 0 && int(id) <= len(f.rows) }
func (r *row) other(n node) node              { return r.a + r.b - n }
func (r *row) after(n node) ID                { return r.next[b2i(n == r.b)] }
func (f *Forest) lookup(a flow.Account) node  { return f.names[a] }
func (r *row) counts() bool                   { return r.state == Joins || r.state == Repeats }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// root finds the node that stands for n's cluster; sizes keep the way short.
func (f *Forest) root(n node) node {
	for p := f.at(n); p.parent != n; p = f.at(n) {
		n = p.parent
	}
	return n
}

// halve is root, and shortens the way for those who come later.
func (f *Forest) halve(n node) node {
	for p := f.at(n); p.parent != n; p = f.at(n) {
		p.parent = f.at(p.parent).parent
		n = p.parent
	}
	return n
}

// join lets a piece of evidence count: it joins two clusters, or repeats what is known, or is refused by the guard.
func (f *Forest) join(id ID) {
	r := f.row(id)
	a, b := f.halve(r.a), f.halve(r.b)
	if a == b {
		r.state = Repeats
		return
	}
	small, large := f.at(a), f.at(b)
	if !f.accepted[id] {
		if why := f.refuses(r.confidence, small, large); why != "" {
			r.state = Quarantined
			f.refused[id] = why
			return
		}
	}
	r.state = Joins
	from, to := r.a, r.b // from is in the smaller cluster
	if small.size > large.size {
		a, b, small, large, from, to = b, a, large, small, to, from
	}
	switch {
	case large.size > 1 && small.size > 1:
		f.clusters--
	case large.size == 1:
		f.clusters++
	}
	f.hang(from, to, id)
	small.parent = b
	large.size += small.size
	if large.service == 0 {
		large.service = small.service
	}
	small.ring, large.ring = large.ring, small.ring
}

// hang turns the proof tree of n around, so that n is its top, and hangs it below to.
func (f *Forest) hang(n, to node, by ID) {
	for n != 0 {
		p := f.at(n)
		next, proof := p.up, p.proof
		p.up, p.proof = to, by
		n, to, by = next, n, proof
	}
}

// Withdraw takes evidence back, all at once: its clusters become what they would be had it never been there. Evidence
// that was withdrawn before stays as it was. Errors: ErrNoEvidence, and then nothing was withdrawn.
func (f *Forest) Withdraw(w Withdrawal, ids ...ID) error {
	for _, id := range ids {
		if !f.known(id) {
			return fmt.Errorf("withdraw evidence %d: %w", id, ErrNoEvidence)
		}
	}
	var ends []node
	for _, id := range ids {
		r := f.row(id)
		if r.state == Withdrawn {
			continue
		}
		if r.state == Joins { // what joined nothing changed nothing of what came after it
			ends = append(ends, r.a, r.b)
		}
		delete(f.refused, id)
		r.state = Withdrawn
		f.taken[id] = w
	}
	f.rebuild(ends)
	return nil
}

// Since lists the evidence at a place of a chain and after it that was not withdrawn: what a fork takes back.
func (f *Forest) Since(c flow.Chain, from flow.Pos) []ID {
	var ids []ID
	for i := range f.rows {
		r := &f.rows[i]
		if r.state != Withdrawn && f.sources[r.source].at.Compare(from) >= 0 && f.account(r.b).Chain() == c {
			ids = append(ids, ID(i+1))
		}
	}
	return ids
}

// Accept lets quarantined evidence count whatever the guard says: a person has looked at it. Errors: ErrNoEvidence.
func (f *Forest) Accept(id ID) error {
	if !f.known(id) {
		return fmt.Errorf("accept evidence %d: %w", id, ErrNoEvidence)
	}
	if f.accepted[id] {
		return nil
	}
	f.accepted[id] = true
	if r := f.row(id); r.state == Quarantined {
		f.rebuild([]node{r.a, r.b})
	}
	return nil
}

// rebuild joins anew all that can depend on the clusters of these nodes: whatever evidence leads to from them, also
// evidence that is quarantined.
func (f *Forest) rebuild(from []node) {
	if len(f.touched) < len(f.nodes) {
		f.touched = make([]bool, len(f.nodes)+len(f.nodes)/4)
	}
	var reach []node
	var ids []ID
	meet := func(n node) {
		if !f.touched[n-1] {
			f.touched[n-1] = true
			reach = append(reach, n)
		}
	}
	for _, n := range from {
		for { // the cluster as it was, too: what was withdrawn no longer leads there
			meet(n)
			if n = f.at(n).ring; f.touched[n-1] {
				break
			}
		}
	}
	for i := 0; i < len(reach); i++ {
		n := reach[i]
		for id := f.at(n).first; id != 0; {
			r := f.row(id)
			if r.state != Withdrawn {
				meet(r.other(n))
				if n == r.a {
					ids = append(ids, id)
				}
			}
			id = r.after(n)
		}
	}
	for _, n := range reach {
		if p := f.at(n); p.parent == n && p.size > 1 {
			f.clusters--
		}
	}
	for _, n := range reach {
		f.touched[n-1] = false
		p := f.at(n)
		*p = place{parent: n, size: 1, ring: n, first: p.first, service: f.service[f.marks[n]]}
	}
	slices.Sort(ids)
	for _, id := range ids {
		delete(f.refused, id)
		f.join(id)
	}
}

// Evidence is a piece of evidence and what became of it. Errors: ErrNoEvidence.
func (f *Forest) Evidence(id ID) (Evidence, State, error) {
	if !f.known(id) {
		return Evidence{}, 0, fmt.Errorf("evidence %d: %w", id, ErrNoEvidence)
	}
	return f.evidence(id), f.row(id).state, nil
}

func (f *Forest) evidence(id ID) Evidence {
	r := f.row(id)
	s := f.sources[r.source]
	e := Evidence{ID: id, A: f.account(r.a), B: f.account(r.b), Heuristic: r.heuristic, Version: r.version, Confidence: r.confidence,
		Tx: s.tx, At: s.at, Seen: s.seen, Amount: flow.NewAmount(r.amount)}
	if v, ok := f.large[id]; ok {
		e.Amount = v
	}
	return e
}

// All are the accounts that the forest knows, in the order in which it met them.
func (f *Forest) All() iter.Seq[flow.Account] { return slices.Values(f.accounts) }

// Newest is when the evidence or withdrawal that was learned last was learned, in seconds since 1970 UTC; 0 where there is none.
func (f *Forest) Newest() int64 {
	newest := int64(0)
	for i := range f.sources {
		newest = max(newest, f.sources[i].seen)
	}
	for _, w := range f.taken {
		newest = max(newest, w.Seen)
	}
	return newest
}

// Of lists all evidence about an account, by ID, whatever became of it.
func (f *Forest) Of(a flow.Account) []ID {
	var ids []ID
	n := f.lookup(a)
	if n == 0 {
		return nil
	}
	for id := f.at(n).first; id != 0; id = f.row(id).after(n) {
		ids = append(ids, id)
	}
	slices.Reverse(ids)
	return ids
}

// Withdrawn says when and why evidence was withdrawn; ok is false where it was not.
func (f *Forest) Withdrawn(id ID) (w Withdrawal, ok bool) {
	w, ok = f.taken[id]
	return w, ok
}

// Len is how many pieces of evidence and how many accounts there are, and how many clusters of two accounts or more.
func (f *Forest) Len() (evidence, accounts, clusters int) {
	return len(f.rows), len(f.accounts), f.clusters
}

// Same reports whether two accounts are in one cluster. Every account is in one with itself.
func (f *Forest) Same(a, b flow.Account) bool {
	m, n := f.lookup(a), f.lookup(b)
	return a == b || m != 0 && n != 0 && f.root(m) == f.root(n)
}

// Size is how many accounts the cluster of an account has: 1 for an account of which nothing is known.
func (f *Forest) Size(a flow.Account) int {
	n := f.lookup(a)
	if n == 0 {
		return 1
	}
	return int(f.at(f.root(n)).size)
}

// Name is the account that stands for the cluster of a: the one that Spoor met first. It is the same for all members, and
// changes only when the cluster does.
func (f *Forest) Name(a flow.Account) flow.Account {
	first := f.lookup(a)
	if first == 0 {
		return a
	}
	for n := f.at(first).ring; n != f.lookup(a); n = f.at(n).ring {
		first = min(first, n)
	}
	return f.account(first)
}

// Members are the accounts of a's cluster, in order, a among them.
func (f *Forest) Members(a flow.Account) []flow.Account {
	start := f.lookup(a)
	if start == 0 {
		return []flow.Account{a}
	}
	members := make([]flow.Account, 0, f.Size(a))
	for n := start; ; {
		members = append(members, f.account(n))
		if n = f.at(n).ring; n == start {
			break
		}
	}
	slices.SortFunc(members, flow.Account.Compare)
	return members
}

// Explain is why two accounts are in one cluster; ok is false where they are not. Of several reasons it is the one with
// the oldest evidence; Strongest asks for the one that is most certain.
func (f *Forest) Explain(a, b flow.Account) (p Proof, ok bool) {
	if !f.Same(a, b) {
		return Proof{}, false
	}
	m, n := f.lookup(a), f.lookup(b)
	if m == n {
		return newProof(nil), true
	}
	var head, tail []Evidence
	dm, dn := f.depth(m), f.depth(n)
	for m != n {
		if dm >= dn {
			head = append(head, f.evidence(f.at(m).proof))
			m, dm = f.at(m).up, dm-1
		} else {
			tail = append(tail, f.evidence(f.at(n).proof))
			n, dn = f.at(n).up, dn-1
		}
	}
	slices.Reverse(tail)
	return newProof(append(head, tail...)), true
}

func (f *Forest) depth(n node) int {
	d := 0
	for n = f.at(n).up; n != 0; n = f.at(n).up {
		d++
	}
	return d
}

// A Doubt is evidence that the guard refused, and why.
type Doubt struct {
	Evidence Evidence `json:"evidence"`
	Reason   string   `json:"reason"`
}

// Doubts lists the evidence that is quarantined, by ID.
func (f *Forest) Doubts() []Doubt {
	doubts := make([]Doubt, 0, len(f.refused))
	for id, why := range f.refused {
		doubts = append(doubts, Doubt{f.evidence(id), why})
	}
	slices.SortFunc(doubts, func(a, b Doubt) int { return cmp.Compare(a.Evidence.ID, b.Evidence.ID) })
	return doubts
}
