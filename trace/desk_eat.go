package trace

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// eat finds the cases that a transaction may matter to and feeds them.
func (d *Desk) eat(ctx context.Context, g Balancer, ch *deskChain, tx *flow.Tx) error {
	at := tx.At()
	if ch.known && at.Compare(ch.next) < 0 {
		return fmt.Errorf("apply %s at %s where all before %s is eaten: %w", tx.ID, at, ch.next, ErrOrder)
	}
	if ch.seats > 0 {
		d.find(ch, tx)
		if len(d.found) > 0 {
			if err := d.serve(ctx, g, ch, tx); err != nil {
				return err
			}
		}
	}
	at.Movement = ^uint32(0)
	ch.known, ch.next = true, next(at)
	return nil
}

// find looks up every leg of a transaction, and whose sources begin with it. Who follows none of its legs before it
// can be touched by none of its movements, because claim reaches a new holder from one who is followed.
func (d *Desk) find(ch *deskChain, tx *flow.Tx) {
	d.turn++
	d.found = d.found[:0]
	x := ch.index
	for i := range tx.Movements {
		m := &tx.Movements[i]
		for n := range m.Spent {
			d.look(x, x.coin(&m.Spent[n]))
		}
		for n := range m.In {
			d.look(x, x.account(m.In[n].Account))
		}
		if len(m.Spent) == 0 { // a coin is of interest when it is spent
			for n := range m.Out {
				d.look(x, x.account(m.Out[n].Account))
			}
		}
	}
	if n := len(tx.Movements); ch.wait && n > 0 {
		last := tx.At()
		last.Movement = uint32(n - 1)
		if ch.soon.Compare(last) <= 0 {
			for _, s := range d.seats {
				if from, ok := s.waitsFor(ch); ok && from.Compare(last) <= 0 {
					d.take(s)
				}
			}
		}
	}
}

func (d *Desk) look(x *index, h uint64) {
	if !x.mayHave(h) {
		return
	}
	r, ok := x.first[h]
	if !ok {
		return
	}
	d.take(d.seats[r.seat])
	for _, r := range x.more[h] {
		d.take(d.seats[r.seat])
	}
}

// take adds a seat to those that were found.
func (d *Desk) take(s *seat) {
	if s.turn != d.turn {
		s.turn = d.turn
		d.found = append(d.found, s)
	}
}

// standing is what tells whether a ledger has changed.
type standing struct {
	begun, txs, edges int
	spent             bool
}

func (l *Ledger) standing() standing { return standing{l.begun, l.txs, l.edges.n, l.spent} }

// serve feeds a transaction to the seats that were found, in the order of their names.
func (d *Desk) serve(ctx context.Context, g Balancer, ch *deskChain, tx *flow.Tx) error {
	if len(d.found) > 1 {
		slices.SortFunc(d.found, func(a, b *seat) int { return cmp.Compare(a.folder.id, b.folder.id) })
	}
	at := tx.At()
	told := len(d.touches)
	d.feed.turn()
	replan := false
	for n, s := range d.found {
		d.before = d.before[:0]
		for _, l := range s.ledgers {
			d.before = append(d.before, l.standing())
		}
		err := d.feed.eat(ctx, g, tx, s.ledgers)
		if err != nil && ctx.Err() != nil { // nobody's fault
			for _, s := range d.found[:n+1] {
				d.takeBack(s, at)
			}
			ch.plan(d.seats)
			d.touches = d.touches[:told]
			return fmt.Errorf("apply %s at %s: %w", tx.ID, at, err)
		}
		if err != nil {
			err = fmt.Errorf("case %.80q: %w", s.folder.id, err)
			d.setAside(s, err, at)
			replan = true
			d.touches = append(d.touches, Touch{ID: s.folder.id, Case: s.folder.c, Tx: tx.ID, At: at, Err: err})
			continue
		}
		changed, spent := false, false
		first := len(d.spans)
		for i, l := range s.ledgers {
			now := l.standing()
			changed = changed || now != d.before[i]
			spent = spent || now.spent && !d.before[i].spent
			replan = replan || now.begun != d.before[i].begun || now.spent != d.before[i].spent
			d.spans = append(d.spans, span{d.before[i].edges, now.edges})
		}
		if !changed {
			d.spans = d.spans[:first]
			continue
		}
		t := Touch{ID: s.folder.id, Case: s.folder.c, Tx: tx.ID, At: at, ledgers: s.ledgers, spans: d.spans[first:len(d.spans):len(d.spans)]}
		if spent {
			t.Err = s.spentErr()
			d.spendOut(s, at)
		}
		d.touches = append(d.touches, t)
		if !s.held {
			s.held, s.since = true, at
			ch.held = append(ch.held, s)
		}
	}
	if replan {
		ch.plan(d.seats)
	}
	return nil
}

// takeBack lets one case forget the transaction at hand.
func (d *Desk) takeBack(s *seat, at flow.Pos) {
	if err := s.folder.c.Undo(s.at.chain, at); err != nil {
		d.setAside(s, fmt.Errorf("case %.80q: it has eaten the transaction at %s and the desk has not: %w", s.folder.id, at, err), at)
		s.stuck = true
	} else if s.aside != nil {
		s.aside = nil
		d.sit(s)
	}
}

// spentErr names the rules that stand still.
func (s *seat) spentErr() error {
	var rules []string
	for _, l := range s.ledgers {
		if l.spent {
			rules = append(rules, l.policy.String())
		}
	}
	return fmt.Errorf("case %.80q: %s: %w", s.folder.id, strings.Join(rules, ", "), ErrBudget)
}

// spendOut sets a case aside if all its rules stand still.
func (d *Desk) spendOut(s *seat, at flow.Pos) {
	if !slices.ContainsFunc(s.ledgers, func(l *Ledger) bool { return !l.spent }) {
		d.setAside(s, s.spentErr(), at)
	}
}

// sit lets a seat take part: everything that its ledgers follow is found from now on.
func (d *Desk) sit(s *seat) {
	for _, l := range s.ledgers {
		l.book.seat = s
	}
	s.followAll(1)
	s.at.seats++
	if from, ok := s.waitsFor(s.at); ok && (!s.at.wait || from.Compare(s.at.soon) < 0) {
		s.at.wait, s.at.soon = true, from
	}
}

// rise is the opposite of sit.
func (d *Desk) rise(s *seat) {
	s.followAll(-1)
	for _, l := range s.ledgers {
		l.book.seat = nil
	}
	s.at.seats--
}

func (d *Desk) setAside(s *seat, err error, at flow.Pos) {
	if s.aside == nil {
		d.rise(s)
	}
	s.aside, s.asideAt = err, at
}

// waitsFor is the place where the next source of the case begins on that chain.
func (s *seat) waitsFor(ch *deskChain) (at flow.Pos, ok bool) {
	if s == nil || s.at != ch || s.aside != nil {
		return at, false
	}
	for _, l := range s.ledgers {
		if from, waits := l.nextSource(); waits && (!ok || from.Compare(at) < 0) {
			at, ok = from, true
		}
	}
	return at, ok
}

// plan finds where the next source of all cases begins.
func (ch *deskChain) plan(seats []*seat) {
	ch.wait = false
	for _, s := range seats {
		if from, ok := s.waitsFor(ch); ok && (!ch.wait || from.Compare(ch.soon) < 0) {
			ch.wait, ch.soon = true, from
		}
	}
}

// follow tells the desk that a ledger begins to follow an account (step 1) or ceases to (step -1).
func (l *Ledger) follow(a flow.Account, step int) {
	if s := l.book.seat; s != nil {
		s.note(s.at.index.account(a), step)
	}
}

// followCoin is follow for a coin.
func (l *Ledger) followCoin(o flow.Outpoint, step int) {
	if s := l.book.seat; s != nil {
		s.note(s.at.index.coin(&o), step)
	}
}

// followAll is follow for everything that the ledgers of a seat follow.
func (s *seat) followAll(step int) {
	for i, l := range s.ledgers {
		if i == 0 { // they have one book
			for a, o := range l.book.owners {
				if o.all > 0 {
					l.follow(a, step)
				}
			}
		}
		for a := range l.outflows {
			l.follow(a, step)
		}
		for o, r := range l.coins {
			if r.isLive() {
				l.followCoin(o, step)
			}
		}
	}
}

func (s *seat) note(h uint64, step int) {
	if step > 0 {
		s.at.index.add(h, s.number)
	} else {
		s.at.index.remove(h, s.number)
	}
}
