package rank

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// ErrOrder is returned for a transaction that was eaten already, or stands before one which was.
var ErrOrder = errors.New("not in the order of the chain")

// StreamOptions say how a Stream ranks. The zero value is valid.
type StreamOptions struct {
	// Alpha is the part of the walk that ends at every step; 0.05 if 0. The smaller, the deeper.
	Alpha float64
	// Epsilon is how much may stay undivided at a holder, as a part of all; 0.00001 if 0. Who never had more is not
	// followed.
	Epsilon float64
	// Payees bounds how many holders one holder pays; 512 if 0. Payments to further ones are passed over, and it is marked
	// Cut. Work for one payment, and memory for one holder, grow with it.
	Payees int
	// Weight is how payments share what goes on.
	Weight Weight
	// Stop says which accounts end the walk. It must answer the same for ever.
	Stop func(flow.Account) (trace.Stop, bool)
	// Swaps lead through exchanges inside one transaction, as in trace.Options.
	Swaps trace.Swaps
	// UndoDepth is how many of the last transactions that mattered can be taken back; none if 0.
	UndoDepth int
}

// A Stream ranks the holders that a theft on one chain leads to, while the chain goes on. It eats transactions in the order
// of the chain and is for one goroutine.
//
// It holds a graph of the payments that were eaten. A holder is an account in one asset, and its payments share by weight
// what goes on from it; an exchange is a payment from one asset to another. Its rank p is the share of a walk from the
// theft that ends there, if with every step Alpha of it ends and the rest goes on. r is what is not yet divided. With
// w(u,v) the weight of the payments from u to v and d(u) the weight of all that u has, always
//
//	p(v) + Alpha·r(v) = Alpha·[v is the theft] + (1-Alpha)·Σ p(u)·w(u,v)/d(u)
//
// and no |r(v)| is Epsilon or more after a transaction, but that of rest. From the theft a way of the same weight leads to
// every source; from a source of every asset to each asset that it pays (a 1024th to a piece of an NFT contract, of which
// there can be any number). What a holder does not pay on leads to rest, where nothing goes on: under Linear the units that
// came and are still there, and for everybody a 1024th of a unit. Services and nobody have no other way. (To lead it back
// to the theft, as in PageRank, would make all ranks larger by the same factor, for more work.)
//
// Payments of a holder from before anything came to it are no part of the graph; but what comes later goes the earlier
// ways, too: a Stream knows no chips, as Explore does.
type Stream struct {
	options StreamOptions
	chain   flow.Chain
	lifter  lifter
	nodes   []node // theft and rest, then the holders
	index   map[holder]int
	edges   map[[2]int]int // the place of an edge in its node's list, from 1
	sources map[flow.Account]bool
	wild    map[flow.Account]int // sources of every asset
	queue   []int                // first in, first out
	last    flow.Pos             // the last transaction that mattered
	eaten   int                  // how many mattered
	at      flow.Pos             // where the payment at hand arrived
	journal journal
}

// The nodes that are no holders.
const (
	theft = 0
	rest  = 1
)

// floor is what the way to rest weighs at least, so that every holder has one.
const floor = 1.0 / 1024

type node struct {
	holder
	state
	out    []edge
	stop   bool
	queued bool
	saved  int // the event in which its state was saved last
}

// state is what changes of a node, besides its edges.
type state struct {
	p, r  float64
	d     float64 // the weight of all ways
	kept  float64 // of that, what came and was not paid on
	scale float64 // the largest amount that came, or else the first that went
	eats  bool    // its payments are eaten from the place since on
	since flow.Pos
	cut   bool // it paid more holders than are held
}

type edge struct {
	to     int
	weight float64
}

// NewStream begins the ranking of a theft.
func NewStream(t trace.Theft, o StreamOptions) (*Stream, error) {
	if err := fill(&o.Alpha, "alpha", 0.05); err != nil {
		return nil, err
	}
	if err := fill(&o.Epsilon, "epsilon", 1e-5); err != nil {
		return nil, err
	}
	if o.Weight > Log {
		return nil, fmt.Errorf("options: %s is not known", o.Weight)
	}
	if o.UndoDepth < 0 || o.Payees < 0 {
		return nil, fmt.Errorf("options: undo depth is %d, payees %d", o.UndoDepth, o.Payees)
	}
	if o.Payees == 0 {
		o.Payees = 512
	}
	if len(t.Sources) == 0 {
		return nil, fmt.Errorf("theft %.80q: no sources", t.Name)
	}
	s := &Stream{
		options: o, nodes: []node{{stop: true}, {stop: true}},
		index: map[holder]int{}, edges: map[[2]int]int{}, sources: map[flow.Account]bool{}, wild: map[flow.Account]int{},
		journal: journal{depth: o.UndoDepth},
	}
	s.lifter = lifter{swaps: o.Swaps, gives: s.eats}
	for i, src := range t.Sources {
		h, from := holderOf(src)
		switch {
		case h.account.IsZero():
			return nil, fmt.Errorf("theft %.80q: source %d: no account", t.Name, i+1)
		case s.chain.IsZero():
			s.chain = h.account.Chain()
		case s.chain != h.account.Chain():
			return nil, fmt.Errorf("theft %.80q: source %d: on %s, the first is on %s", t.Name, i+1, h.account.Chain(), s.chain)
		}
		s.sources[h.account] = true
		n := s.node(h)
		s.start(n, from)
		if h.asset.IsZero() {
			s.wild[h.account] = n
		}
		s.addWeight(theft, n, 1)
	}
	s.add(theft, 1)
	s.drain()
	return s, nil
}

// holderOf is who a source is, and from where on.
func holderOf(src trace.Source) (holder, flow.Pos) {
	switch src := src.(type) {
	case trace.Holding:
		return holder{src.Account, src.Asset}, src.At
	case trace.Outflow:
		return holder{src.Account, src.Asset}, src.From
	case trace.Coin:
		return holder{src.Account, src.Asset}, flow.Pos{}
	}
	return holder{}, flow.Pos{}
}

// start lets the payments of a node be eaten from a place on.
func (s *Stream) start(n int, from flow.Pos) {
	s.save(n)
	if v := &s.nodes[n]; !v.eats || from.Compare(v.since) < 0 {
		v.eats, v.since = true, from
	}
}

// Apply eats a whole transaction. One in which nobody pays who is followed, or of another chain, changes nothing. Errors:
// ErrOrder.
func (s *Stream) Apply(tx flow.Tx) error {
	if tx.Point.Chain != s.chain || !s.matters(&tx) {
		return nil
	}
	at := tx.At()
	if s.eaten > 0 && at.Compare(s.last) <= 0 {
		return fmt.Errorf("transaction %s at %s: %w", tx.ID, at, ErrOrder)
	}
	s.begin(at)
	s.last, s.eaten = at, s.eaten+1
	s.lifter.view(&trace.View{Tx: tx}, s.eat)
	s.journal.open = false
	return nil
}

// matters reports whether any giver of the transaction is followed.
func (s *Stream) matters(tx *flow.Tx) bool {
	for i := range tx.Movements {
		m := &tx.Movements[i]
		for _, leg := range m.In {
			if s.eats(holder{leg.Account, m.Asset}) {
				return true
			}
		}
	}
	return false
}

// eats reports whether a holder's payments are eaten, if late enough.
func (s *Stream) eats(h holder) bool {
	if n, ok := s.index[h]; ok && s.nodes[n].eats {
		return true
	}
	_, ok := s.wild[h.account]
	return ok
}

// eat eats one payment.
func (s *Stream) eat(p *payment) {
	from := holder{p.From, p.Asset}
	if w, ok := s.wild[p.From]; ok && p.At.Compare(s.nodes[w].since) >= 0 {
		s.open(w, from)
	}
	n, ok := s.index[from]
	if !ok || !s.nodes[n].eats || p.At.Compare(s.nodes[n].since) < 0 {
		return
	}
	if len(s.nodes[n].out) >= s.options.Payees && !s.pays(n, holder{p.To, p.Got}) {
		s.save(n)
		s.nodes[n].cut = true
		return
	}
	s.at = p.Landed
	to := s.node(holder{p.To, p.Got})
	s.save(n)
	s.save(to)
	gave, got := units(p.Amount), units(p.GotUnits)
	u, v := &s.nodes[n], &s.nodes[to]
	v.scale = max(v.scale, got)
	if u.scale == 0 {
		u.scale = gave
	}
	weight := s.options.Weight.of(gave, u.scale)
	if s.options.Weight == Linear {
		if weight = s.spend(n, to, weight); !v.stop {
			s.insert(to, rest, got)
		}
	}
	if weight > 0 {
		s.insert(n, to, weight)
	}
	s.drain()
}

// pays reports whether u has a way to a holder already.
func (s *Stream) pays(u int, to holder) bool {
	v, ok := s.index[to]
	return ok && s.edges[[2]int{u, v}] != 0
}

// open leads a source of every asset to one that it pays.
func (s *Stream) open(w int, to holder) {
	if s.pays(w, to) {
		return
	}
	if len(s.nodes[w].out) >= s.options.Payees {
		s.save(w)
		s.nodes[w].cut = true
		return
	}
	n := s.node(to)
	s.start(n, s.nodes[w].since)
	weight := 1.0
	if k := to.asset.Kind(); k == "erc721" || k == "erc1155" {
		weight = floor
	}
	s.insert(w, n, weight)
	s.drain()
}

// node is the number of a holder's node.
func (s *Stream) node(h holder) int {
	n, ok := s.index[h]
	if !ok {
		n = len(s.nodes)
		s.index[h] = n
		v := node{holder: h, stop: h.account.IsZero()}
		if s.options.Stop != nil && !v.stop && !s.sources[h.account] {
			_, v.stop = s.options.Stop(h.account)
		}
		v.d = floor
		s.nodes = append(s.nodes, v)
	}
	return n
}

// addWeight makes the ways from u to v heavier, without regard to what went them.
func (s *Stream) addWeight(u, v int, weight float64) {
	from := &s.nodes[u]
	s.save(u)
	from.d += weight
	if v == rest {
		from.kept += weight
		return
	}
	key := [2]int{u, v}
	i, ok := s.edges[key]
	if !ok {
		from.out = append(from.out, edge{to: v})
		i = len(from.out)
		s.edges[key] = i
	}
	s.journal.edge(u, i-1, from.out[i-1].weight)
	from.out[i-1].weight += weight
}

// insert makes the ways from u to v heavier and keeps the invariant: what went on from u before is shared anew.
func (s *Stream) insert(u, v int, weight float64) {
	from := &s.nodes[u]
	d := from.d
	if goes := s.went(u); goes != 0 {
		s.save(u)
		if part := weight / d; part <= 1 {
			// Rank grows with the weight, so that what the other ways carry stays what it is; the residual pays for it.
			more := float64(from.p * part)
			from.p += more
			s.add(u, -more/s.options.Alpha)
			s.add(v, float64(goes*part))
		} else {
			// That would throw rank up by any factor and down again: share the other ways anew, one by one.
			less := weight / (d + weight)
			for _, e := range from.out {
				s.add(e.to, -float64(goes*(e.weight/d)*less))
			}
			s.add(rest, -float64(goes*(from.rests()/d)*less))
			s.add(v, float64(goes*less))
		}
	}
	s.addWeight(u, v, weight)
}

// went is what u has sent on all its ways so far.
func (s *Stream) went(u int) float64 {
	return float64((1 - s.options.Alpha) / s.options.Alpha * s.nodes[u].p)
}

// rests is the weight of the way to rest.
func (v *node) rests() float64 {
	if v.holder == (holder{}) {
		return 0
	}
	return v.kept + floor
}

// spend moves weight from what u has kept to its ways to v, as far as it reaches, and returns the remainder.
func (s *Stream) spend(u, v int, weight float64) float64 {
	from := &s.nodes[u]
	moved := min(weight, from.kept)
	if moved <= 0 {
		return weight
	}
	goes := float64(s.went(u) * (moved / from.d))
	s.add(rest, -goes)
	s.add(v, goes)
	d := from.d
	s.addWeight(u, v, moved)
	from.d = d
	from.kept -= moved
	return weight - moved
}

// add adds to a residual.
func (s *Stream) add(n int, r float64) {
	s.save(n)
	s.nodes[n].r += r
	s.enqueue(n)
}

func (s *Stream) enqueue(n int) {
	if v := &s.nodes[n]; n != rest && !v.queued && math.Abs(v.r) >= s.options.Epsilon {
		v.queued = true
		s.queue = append(s.queue, n)
	}
}

// drain divides residuals until none is large.
func (s *Stream) drain() {
	for i := 0; i < len(s.queue); i++ {
		n := s.queue[i]
		v := &s.nodes[n]
		v.queued = false
		r := v.r
		if math.Abs(r) < s.options.Epsilon {
			continue
		}
		s.save(n)
		v.r = 0
		v.p += float64(s.options.Alpha * r)
		if !v.stop && !v.eats {
			s.start(n, after(s.at))
		}
		goes := float64((1 - s.options.Alpha) * r)
		for _, e := range v.out {
			s.add(e.to, float64(goes*(e.weight/v.d)))
		}
		s.add(rest, float64(goes*(v.rests()/v.d)))
		if i > 1<<16 { // what was done makes room
			s.queue = s.queue[:copy(s.queue, s.queue[i+1:])]
			i = -1
		}
	}
	s.queue = s.queue[:0]
}

// A Score is the rank of an account: the part of the walk that ends there, over all its assets.
type Score struct {
	Account flow.Account
	Rank    float64
	Cut     bool // it paid more than Payees holders
}

// Scores are the accounts that the walk has reached, highest rank first. A rank is p, and Alpha of what is not yet divided:
// so those have one, too, that too little came to for following them.
func (s *Stream) Scores() []Score {
	var all []Score
	index := map[flow.Account]int{}
	for n := range s.nodes {
		v := &s.nodes[n]
		if v.account.IsZero() { // theft, rest, and what was burned
			continue
		}
		i, ok := index[v.account]
		if !ok {
			i = len(all)
			index[v.account] = i
			all = append(all, Score{Account: v.account})
		}
		all[i].Rank += v.p + float64(s.options.Alpha*v.r)
		all[i].Cut = all[i].Cut || v.cut
	}
	all = slices.DeleteFunc(all, func(x Score) bool { return x.Rank <= 0 })
	slices.SortStableFunc(all, func(a, b Score) int { return cmp.Compare(b.Rank, a.Rank) })
	return all
}
