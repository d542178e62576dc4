package trace

import (
	"iter"

	"github.com/spoor-dev/spoor/flow"
)

// An Edge is claim on its way: one movement, or one pair of legs of it, with the part of the theft that it carried.
// Where several inputs pay several outputs, the edges say how the claim was laid out, in the order of the legs; under a
// policy that mixes, they do not say that these coins went there.
type Edge struct {
	Tx       flow.Hash     `json:"tx"`
	At       flow.Pos      `json:"at"`
	Time     int64         `json:"time,omitempty"` // of the block, seconds since 1970; 0 if not known
	Index    uint32        `json:"index"`          // the movement's own number: log index, or place among the traces
	From     flow.Account  `json:"from"`
	FromCoin flow.Outpoint `json:"from_coin,omitzero"`
	To       flow.Account  `json:"to"`
	ToCoin   flow.Outpoint `json:"to_coin,omitzero"`
	Asset    flow.Asset    `json:"asset"`
	Amount   flow.Amount   `json:"amount"` // of the whole leg that takes (backward: that gives)
	Units    flow.Amount   `json:"units"`  // the stolen part of it
	Claim    flow.Amount   `json:"claim"`  // the same in units of the stolen asset; nothing under poison
	Line     int           `json:"line"`
	Sink     Sink          `json:"sink,omitempty"` // where the claim ended with this edge
	Swap     SwapSide      `json:"swap,omitempty"` // the claim went into an exchange, or came out of one
}

// An Assumption is money that the facts do not show and that must have been there; it is taken to be clean.
type Assumption struct {
	Holder Holder      `json:"holder"` // a zero account stands for inputs that are not known
	Amount flow.Amount `json:"amount"`
	At     flow.Pos    `json:"at"`
	Reason string      `json:"reason"`
}

// A router matches what the takers got to the givers it came from, in the order of both.
type router struct {
	given []Segment
	owner []int
	marks bool // poison: the first marked giver stands for all
	place [4]routerPlace
}

// routerPlace is how far the segments of one line are matched.
type routerPlace struct {
	line, i int
	left    flow.Amount
}

// next is the giver of the next units of a line, at most want of them; ok is false where there is none.
func (r *router) next(line int, want flow.Amount) (giver int, units flow.Amount, ok bool) {
	p := &r.place[0]
	for i := range r.place {
		if p = &r.place[i]; p.line == line || p.line == 0 {
			break
		}
	}
	if p.line != line {
		*p = routerPlace{line: line, i: -1}
	}
	for p.left.IsZero() || r.marks {
		if p.i++; p.i >= len(r.given) {
			return 0, units, false
		}
		if g := r.given[p.i]; g.Line == line {
			p.left = g.Units
			if r.marks {
				p.i--
				return r.owner[p.i+1], want, true
			}
		}
	}
	units = want.Min(p.left)
	p.left, _ = p.left.Sub(units)
	return r.owner[p.i], units, true
}

// edge records what a taker got, once for each giver.
func (l *Ledger) edge(e *event, t *leg, s Segment, sink Sink, route *router) {
	for !s.Units.IsZero() {
		giver, units, ok := route.next(s.Line, s.Units)
		if !ok {
			units = s.Units
		}
		var first Segment
		first, s = s.split(units)
		g := &e.givers[giver]
		way := Edge{
			Tx: e.tx.ID, At: e.real, Time: e.tx.Point.Time, Index: e.index,
			From: g.account, FromCoin: g.coin, To: t.account, ToCoin: t.coin,
			Asset: e.asset, Amount: t.amount, Line: s.Line, Sink: sink,
		}
		if e.back {
			way.From, way.FromCoin, way.To, way.ToCoin = t.account, t.coin, g.account, g.coin
		}
		l.addEdge(&way, first)
	}
}

// addEdge appends an edge, which takes a way and carries a segment, or adds it to the last one if that took the same way.
func (l *Ledger) addEdge(way *Edge, s Segment) {
	if last := l.edges.lastAt(way.At); last != nil && last.way.follows(way) {
		last.units = addCapped(last.units, s.Units)
		last.claim, _ = last.claim.Add(s.Claim) // at most what was stolen
		return
	}
	l.edges.push(carried{l.book.ways.of(way), s.Units, s.Claim})
}

// carried is claim that a ledger has seen on its way.
type carried struct {
	way          *Edge // without claims: what the ledgers of a book say of one movement is mostly the same
	units, claim flow.Amount
}

func (c *carried) edge() Edge {
	e := *c.way
	e.Units, e.Claim = c.units, c.claim
	return e
}

// ways are those that were taken at one place, in the order in which one ledger after the other takes them.
type ways struct {
	taken []*Edge
	next  int // the one that is likely to be taken next
}

// of is the same way as e, in memory of its own: the next one if it is that, or else a new one.
func (w *ways) of(e *Edge) *Edge {
	if len(w.taken) > 0 && w.taken[0].At != e.At {
		clear(w.taken)
		w.taken, w.next = w.taken[:0], 0
	}
	if w.next < len(w.taken) && *w.taken[w.next] == *e {
		known := w.taken[w.next]
		w.next = (w.next + 1) % len(w.taken)
		return known
	}
	known := new(Edge)
	*known = *e
	w.taken, w.next = append(w.taken, known), 0
	return known
}

// edgeList is a list that grows without copying what it holds.
type edgeList struct {
	chunks [][]carried
	n      int
	at     flow.Pos // of the last edge, if there is one
}

// lastAt is the last edge if it is at that place.
func (e *edgeList) lastAt(at flow.Pos) *carried {
	if e.n == 0 || e.at != at {
		return nil
	}
	c := e.chunks[len(e.chunks)-1]
	return &c[len(c)-1]
}

func (e *edgeList) push(edge carried) {
	last := len(e.chunks) - 1
	if last < 0 || len(e.chunks[last]) == cap(e.chunks[last]) {
		e.chunks = append(e.chunks, make([]carried, 0, min(max(16, e.n), 1024)))
		last++
	}
	e.chunks[last] = append(e.chunks[last], edge)
	e.n++
	e.at = edge.way.At
}

func (e *edgeList) pop() {
	last := len(e.chunks) - 1
	e.n--
	c := e.chunks[last]
	c[len(c)-1] = carried{}
	if len(c) == 1 {
		e.chunks = e.chunks[:last]
	} else {
		e.chunks[last] = c[:len(c)-1]
	}
	if e.n > 0 {
		c = e.chunks[len(e.chunks)-1]
		e.at = c[len(c)-1].way.At
	}
}

// all yields the edges in the order in which they were pushed. Each is overwritten by the next.
func (e *edgeList) all(yield func(*Edge) bool) {
	e.between(0, e.n)(yield)
}

// between yields the edges from number n up to number end, counted from 0. Those at the end of the list cost no more
// than themselves. Each is overwritten by the next.
func (e *edgeList) between(n, end int) iter.Seq[*Edge] {
	return func(yield func(*Edge) bool) {
		first, c := e.n, len(e.chunks)
		for c > 0 && first > n {
			c--
			first -= len(e.chunks[c])
		}
		var edge Edge
		for ; c < len(e.chunks) && first < end; c++ {
			chunk := e.chunks[c]
			for i := max(n-first, 0); i < min(end-first, len(chunk)); i++ {
				edge = chunk[i].edge()
				if !yield(&edge) {
					return
				}
			}
			first += len(chunk)
		}
	}
}

// follows reports whether the two edges are the same but for their claims.
func (a *Edge) follows(b *Edge) bool {
	return a.At == b.At && a.Tx == b.Tx && a.From == b.From && a.FromCoin == b.FromCoin && a.To == b.To &&
		a.ToCoin == b.ToCoin && a.Line == b.Line && a.Sink == b.Sink && a.Swap == b.Swap && a.Amount == b.Amount
}
