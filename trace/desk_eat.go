package trace

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// find looks up every leg of a transaction, and whose sources begin with it. Who follows none of its legs before it
// can be touched by none of its movements, because claim reaches a new holder from one who is followed.
func (w *worker) find(p *part, tx *flow.Tx) {
	w.turn++
	w.found = w.found[:0]
	x := p.index
	for i := range tx.Movements {
		m := &tx.Movements[i]
		for n := range m.Spent {
			w.look(x, x.coin(&m.Spent[n]), i)
		}
		for n := range m.In {
			w.look(x, x.account(m.In[n].Account), i)
		}
		if len(m.Spent) == 0 { // a coin is of interest when it is spent
			for n := range m.Out {
				w.look(x, x.account(m.Out[n].Account), i)
			}
		}
	}
	if n := len(tx.Movements); p.wait && n > 0 {
		last := tx.At()
		last.Movement = uint32(n - 1)
		if p.soon.Compare(last) <= 0 {
			for _, s := range w.desk.seats {
				if from, ok := s.waitsFor(p); ok && from.Compare(last) <= 0 {
					w.take(s, 0)
				}
			}
		}
	}
}

// look takes the seats that follow who is behind a leg of movement i.
func (w *worker) look(x *index, h uint64, i int) {
	if !x.mayHave(h) {
		return
	}
	r, ok := x.first[h]
	if !ok {
		return
	}
	w.take(w.desk.seats[r.seat], i)
	for _, r := range x.more[h] {
		w.take(w.desk.seats[r.seat], i)
	}
}

// take adds a seat to those that were found, with movement i.
func (w *worker) take(s *seat, i int) {
	if s.turn != w.turn {
		s.turn, s.hits = w.turn, s.hits[:0]
		w.found = append(w.found, s)
	}
	if n := len(s.hits); n == 0 || s.hits[n-1] < uint32(i) {
		s.hits = append(s.hits, uint32(i))
	}
}

// serve feeds a transaction to the seats that were found, in the order of their names.
func (w *worker) serve(ctx context.Context, g Balancer, p *part, tx *flow.Tx) error {
	if len(w.found) > 1 {
		slices.SortFunc(w.found, func(a, b *seat) int { return cmp.Compare(a.folder.id, b.folder.id) })
	}
	at := tx.At()
	told := len(w.touches)
	w.feed.turn()
	replan := false
	for n, s := range w.found {
		changed, err := w.feed.eat(ctx, g, tx, s.ledgers, s.hits)
		if err != nil && ctx.Err() != nil { // nobody's fault
			for _, s := range w.found[:n+1] {
				s.takeBack(at)
			}
			p.plan(w.desk.seats)
			w.touches = w.touches[:told]
			return fmt.Errorf("apply %s at %s: %w", tx.ID, at, err)
		}
		if err != nil {
			err = fmt.Errorf("case %.80q: %w", s.folder.id, err)
			s.setAside(err, at)
			replan = true
			w.touches = append(w.touches, Touch{ID: s.folder.id, Case: s.folder.c, Tx: tx.ID, At: at, Err: err})
			continue
		}
		if !changed {
			continue
		}
		spent := false
		first := len(w.spans)
		for i, l := range s.ledgers {
			before, now := w.feed.before[i], l.standing()
			spent = spent || now.spent && !before.spent
			replan = replan || now.begun != before.begun || now.spent != before.spent
			w.spans = append(w.spans, span{before.edges, now.edges})
		}
		t := Touch{ID: s.folder.id, Case: s.folder.c, Tx: tx.ID, At: at, ledgers: s.ledgers, spans: w.spans[first:len(w.spans):len(w.spans)]}
		if spent {
			t.Err = s.spentErr()
			s.spendOut(at)
		}
		w.touches = append(w.touches, t)
		if !s.held {
			s.held, s.since = true, at
			p.held = append(p.held, s)
		}
	}
	if replan {
		p.plan(w.desk.seats)
	}
	return nil
}

// takeBack lets one case forget the transaction at hand.
func (s *seat) takeBack(at flow.Pos) {
	if err := s.folder.c.Undo(s.at.chain, at); err != nil {
		s.setAside(fmt.Errorf("case %.80q: it has eaten the transaction at %s and the desk has not: %w", s.folder.id, at, err), at)
		s.stuck = true
	} else if s.aside != nil {
		s.aside = nil
		s.sit()
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
func (s *seat) spendOut(at flow.Pos) {
	if !slices.ContainsFunc(s.ledgers, func(l *Ledger) bool { return !l.spent }) {
		s.setAside(s.spentErr(), at)
	}
}

// sit lets a seat take part: everything that its ledgers follow is found from now on.
func (s *seat) sit() {
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
func (s *seat) rise() {
	s.followAll(-1)
	for _, l := range s.ledgers {
		l.book.seat = nil
	}
	s.at.seats--
}

func (s *seat) setAside(err error, at flow.Pos) {
	if s.aside == nil {
		s.rise()
	}
	s.aside, s.asideAt = err, at
}

// waitsFor is the place where the next source of the case begins on that chain.
func (s *seat) waitsFor(p *part) (at flow.Pos, ok bool) {
	if s == nil || s.at != p || s.aside != nil {
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
func (p *part) plan(seats []*seat) {
	p.wait = false
	for _, s := range seats {
		if from, ok := s.waitsFor(p); ok && (!p.wait || from.Compare(p.soon) < 0) {
			p.wait, p.soon = true, from
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
