package route

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A holder is who can pass the asset on: an account, or on UTXO chains a coin.
type holder struct {
	account flow.Account
	coin    flow.Outpoint
}

// The numbers of holders. All accounts and coins between the two ends count from firstBetween on.
const (
	nobody       = -1 // no way leads through it: nobody, a service, or an end on its wrong side
	giving       = 0  // From, with all its coins
	taking       = 1  // To, with all its coins
	firstBetween = 2
)

// An event is a movement that can be part of a way, with the legs that can.
type event struct {
	tx      flow.Hash
	time    int64
	at      flow.Pos
	index   uint32
	unknown int // inputs whose origin is not known
	in, out []leg
	coins   bool            // of a UTXO chain
	spent   []flow.Outpoint // by place of the leg that gives
}

// A leg is one side of an event.
type leg struct {
	holder int32
	place  int32 // among the legs of the movement
	amount flow.Amount
}

// A search reads the movements of one asset which can be part of a way: forward those that the giver's money can reach,
// back those from which money can reach the taker. Each side reads in the order of its time, so that when the sides meet,
// every movement that is both is known, and neither side had to read the rest.
type search struct {
	graph    trace.Graph
	q        Question
	o        Options
	forward  side
	back     *side // nil if the graph cannot be read backward
	ids      map[holder]int32
	holders  []holder
	stopped  map[flow.Account]trace.Stop
	followed int
	legs     int
	unknown  int    // inputs of unknown origin that were met on the way back
	why      string // what to do if the budget ended the search; "" if it did not
}

// A side is one of the two directions of a search.
type side struct {
	back    bool
	limit   flow.Pos // the last place it reads
	queue   queue
	wanting []*cursor // accounts whose next movement is to be found
	coins   []*cursor // coins whose transaction is to be found
	reached []bool    // by number of holder
	events  []event
	made    int
	work    int // transactions read
}

// A cursor is what is still to be read of one account, or the transaction on the other side of one coin.
type cursor struct {
	account flow.Account
	coin    flow.Outpoint
	views   []trace.View
	view, i int
	at      flow.Pos  // of the movement at hand
	from    flow.Pos  // the first place of interest that was not looked at
	tx      flow.Hash // the last transaction that was counted
	more    bool      // there is more to ask for
	limit   int
	order   int // for a fixed order among equals
}

var last = flow.Pos{Height: math.MaxUint64, Tx: math.MaxUint32, Movement: math.MaxUint32}

// following is the place right behind p.
func following(p flow.Pos) flow.Pos {
	if p.Movement++; p.Movement != 0 {
		return p
	}
	if p.Tx++; p.Tx != 0 {
		return p
	}
	if p.Height++; p.Height != 0 {
		return p
	}
	return last
}

// preceding is the place right before p; ok is false where there is none.
func preceding(p flow.Pos) (q flow.Pos, ok bool) {
	if p == (flow.Pos{}) {
		return p, false
	}
	if p.Movement--; p.Movement != math.MaxUint32 {
		return p, true
	}
	if p.Tx--; p.Tx != math.MaxUint32 {
		return p, true
	}
	p.Height--
	return p, true
}

// beyond is the next place in the direction of the side.
func (d *side) beyond(p flow.Pos) (flow.Pos, bool) {
	if d.back {
		return preceding(p)
	}
	return following(p), p != last
}

// compare orders places in the direction of the side.
func (d *side) compare(p, q flow.Pos) int {
	if d.back {
		return q.Compare(p)
	}
	return p.Compare(q)
}

// head is the next place of the side; ok is false if it has read everything.
func (d *side) head() (flow.Pos, bool) {
	if len(d.queue.cursors) == 0 {
		return flow.Pos{}, false
	}
	return d.queue.cursors[0].at, true
}

func newSearch(g trace.Graph, q Question, o Options) *search {
	s := &search{graph: g, q: q, o: o, ids: map[holder]int32{}, holders: make([]holder, firstBetween), stopped: map[flow.Account]trace.Stop{}}
	end := last
	if q.End != (flow.Pos{}) {
		end = q.End
	}
	s.forward.limit = end
	s.forward.open(q.From, q.Start)
	if _, ok := g.(trace.BackGraph); ok {
		s.back = &side{back: true, limit: q.Start}
		s.back.queue.back = true
		s.back.open(q.To, end)
	}
	return s
}

// open begins to read an account.
func (d *side) open(a flow.Account, from flow.Pos) {
	d.made++
	d.wanting = append(d.wanting, &cursor{account: a, from: from, more: true, order: d.made})
}

// run reads until the two sides meet or the budget ends.
func (s *search) run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.fill(ctx, &s.forward); err != nil || s.why != "" {
			return err
		}
		at, more := s.forward.head()
		if !more {
			return nil
		}
		d := &s.forward
		if s.back != nil {
			if err := s.fill(ctx, s.back); err != nil || s.why != "" {
				return err
			}
			end, ok := s.back.head()
			if !ok || at.Compare(end) > 0 {
				return nil
			}
			if s.back.work < s.forward.work {
				d = s.back
			}
		}
		if s.isSpent() {
			return nil
		}
		s.step(d)
	}
}

// maxLegs bounds what a search keeps in memory.
const maxLegs = 8_000_000

// isSpent reports whether the budget is used up, and then in why what to do.
func (s *search) isSpent() bool {
	switch b := s.o.Budget; {
	case s.followed > b.Holders:
		s.why = fmt.Sprintf("the budget of %d holders is used up: raise it, or ask for a shorter time", b.Holders)
	case s.read() > b.Transactions:
		s.why = fmt.Sprintf("the budget of %d transactions is used up: raise it, or ask for a shorter time", b.Transactions)
	case s.legs > maxLegs:
		s.why = fmt.Sprintf("more than %d legs of movements would have to be kept: ask for a shorter time", maxLegs)
	}
	return s.why != ""
}

// read is how many transactions were read.
func (s *search) read() int {
	if s.back == nil {
		return s.forward.work
	}
	return s.forward.work + s.back.work
}

// gap is what neither side has read when the budget ended the search.
func (s *search) gap() *Span {
	span := &Span{First: s.forward.front(), Last: s.forward.limit}
	if s.back != nil {
		span.Last = s.back.front()
	}
	return span
}

// front is the first place that the side has not dealt with.
func (d *side) front() flow.Pos {
	at := d.limit
	if head, ok := d.head(); ok {
		at = head
	}
	for _, c := range slices.Concat(d.wanting, d.coins) {
		if d.compare(c.from, at) < 0 {
			at = c.from
		}
	}
	return at
}

// stops lists where the ways ended, in the order of the accounts.
func (s *search) stops() []Stopped {
	all := []Stopped{}
	for a, stop := range s.stopped {
		all = append(all, Stopped{a, cmp.Or(stop.Sink, trace.Service), stop.Reason})
	}
	slices.SortFunc(all, func(a, b Stopped) int { return a.Account.Compare(b.Account) })
	return all
}

// events are the movements that were kept, in the order of the chain.
func (s *search) events() []event {
	all := s.forward.events
	if s.back != nil {
		slices.Reverse(s.back.events)
		all = append(all, s.back.events...)
		s.back.events = nil
	}
	s.forward.events = nil
	return all
}

// step keeps the first movement of a side's queue and follows whom it reaches.
func (s *search) step(d *side) {
	c := d.queue.cursors[0]
	at, v, i := c.at, c.views[c.view], c.i
	for len(d.queue.cursors) > 0 && d.queue.cursors[0].at == at {
		c := heap.Pop(&d.queue).(*cursor)
		if c.account.IsZero() {
			continue // a coin has one transaction on either side
		}
		d.pass(c)
		d.wanting = append(d.wanting, c)
	}
	e := s.event(&v.Tx, at, &v.Tx.Movements[i], d.back)
	if d.back { // it leads to the taker for certain
		s.unknown, e.unknown = s.unknown+e.unknown, 0
	}
	if len(e.in) == 0 || len(e.out) == 0 {
		return
	}
	s.legs += len(e.in) + len(e.out)
	d.events = append(d.events, e)
	takers := e.out
	if d.back {
		takers = e.in
	}
	next, ok := d.beyond(at)
	for _, t := range takers {
		if t.holder < firstBetween || !ok || !d.reach(t.holder) {
			continue
		}
		s.followed++
		if h := s.holders[t.holder]; h.coin.IsZero() {
			d.open(h.account, next)
		} else {
			d.made++
			d.coins = append(d.coins, &cursor{coin: h.coin, from: next, order: d.made})
		}
	}
}

// reach marks a holder; fresh is false if it was marked before.
func (d *side) reach(h int32) (fresh bool) {
	for int(h) >= len(d.reached) {
		d.reached = append(d.reached, make([]bool, len(d.reached)+64)...)
	}
	fresh = !d.reached[h]
	d.reached[h] = true
	return fresh
}

// event is a movement with the legs that can be part of a way.
func (s *search) event(tx *flow.Tx, at flow.Pos, m *flow.Movement, back bool) event {
	e := event{tx: tx.ID, time: tx.Point.Time, at: at, index: m.Index}
	e.coins, e.spent = isCoins(m), m.Spent
	room := make([]leg, 0, len(m.In)+len(m.Out))
	for i, l := range m.In {
		var coin flow.Outpoint
		if i < len(m.Spent) {
			coin = m.Spent[i]
		}
		if l.Account.IsZero() {
			e.unknown++
		}
		if n := s.number(l, coin, s.q.From, giving, s.q.To, back); n != nobody {
			room = append(room, leg{n, int32(i), l.Amount})
		}
	}
	split := len(room)
	for i, l := range m.Out {
		var coin flow.Outpoint
		if e.coins {
			coin = flow.Outpoint{Tx: tx.ID, Index: uint32(i)}
		}
		if n := s.number(l, coin, s.q.To, taking, s.q.From, !back); n != nobody {
			room = append(room, leg{n, int32(i), l.Amount})
		}
	}
	e.in, e.out = room[:split:split], room[split:]
	if len(e.in) == 1 && len(e.out) == 1 && e.in[0].holder == e.out[0].holder {
		e.in = nil // to itself
	}
	return e
}

// number is the number of the holder behind a leg: n if it is the end that this side of the movement has. far says that
// the leg stands on the side to which the search is heading, where services are worth a note.
func (s *search) number(l flow.Leg, coin flow.Outpoint, end flow.Account, n int32, wrong flow.Account, far bool) int32 {
	switch l.Account {
	case flow.Account{}, wrong:
		return nobody
	case end:
		if l.Amount.IsZero() {
			return nobody
		}
		return n
	}
	if l.Amount.IsZero() {
		return nobody
	}
	h := holder{l.Account, coin}
	if n, ok := s.ids[h]; ok {
		return n
	}
	if why, ok := s.o.Stop(l.Account); ok {
		if far {
			s.stopped[l.Account] = why
		}
		return nobody
	}
	n = int32(len(s.holders))
	s.ids[h] = n
	s.holders = append(s.holders, h)
	return n
}
