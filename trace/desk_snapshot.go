package trace

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

const deskFormat = "spoor desk 1"

// Snapshot is the state of the desk and all its cases in bytes: the same state gives the same bytes. What Undo needs is
// not a part of it.
func (d *Desk) Snapshot() []byte {
	e := newEncoder()
	e.text(deskFormat)
	places := d.Places()
	e.uint(uint64(len(places)))
	for _, p := range places {
		e.text(p.Chain.String())
		e.pos(p.Next)
	}
	ids := d.IDs()
	e.uint(uint64(len(ids)))
	for _, id := range ids {
		f := d.cases[id]
		state := f.kept
		if f.c != nil {
			state = f.c.Snapshot()
		}
		e.text(id)
		e.uint(uint64(len(f.seats)))
		for _, s := range f.seats {
			e.text(s.at.chain.String())
			e.uint(uint64(s.spent()))
			e.bool(s.aside != nil)
			if s.aside != nil {
				e.text(s.aside.Error())
				e.pos(s.asideAt)
				e.bool(s.stuck)
			}
		}
		e.text(string(state))
	}
	return e.b
}

// spent is how many rules stand still.
func (s *seat) spent() (n int) {
	if s.ledgers == nil {
		return s.spentThen
	}
	for _, l := range s.ledgers {
		if l.spent {
			n++
		}
	}
	return n
}

// RestoreDesk is the desk of a snapshot. question gives the theft and the options of each case, which must be those of
// the snapshot as for Restore. A case that cannot be restored is set aside with the error; so is one whose rules stand
// still and have a larger budget now, because it has missed what was eaten since: remove it, walk it on, add it again.
// What was set aside stays so. Errors wrap ErrSnapshot and mean that nothing could be restored.
func RestoreDesk(snapshot []byte, question func(id string) (Theft, Options, error)) (*Desk, error) {
	r := &decoder{b: snapshot}
	if r.text() != deskFormat {
		r.fail("not the snapshot of a desk")
	}
	d := NewDesk()
	for n := r.count(4); n > 0 && r.err == nil; n-- {
		ch := d.chain(r.chain())
		if ch.known {
			r.fail("chain %s comes twice", ch.chain)
		}
		ch.known, ch.next = true, r.pos()
	}
	last := ""
	for n := r.count(3); n > 0 && r.err == nil; n-- {
		id := r.text()
		if id <= last && len(d.cases) > 0 {
			r.fail("case %.80q after %.80q", id, last)
		}
		last = id
		d.restoreCase(r, id, question)
	}
	if r.err == nil && r.at != len(snapshot) {
		r.fail("%d bytes too many", len(snapshot)-r.at)
	}
	if r.err != nil {
		return nil, r.err
	}
	for _, ch := range d.chains {
		for _, p := range ch.parts {
			p.plan(d.seats)
		}
	}
	return d, nil
}

func (r *decoder) chain() flow.Chain {
	c, err := flow.ParseChain(r.text())
	if err != nil {
		r.fail("%v", err)
	}
	return c
}

func (d *Desk) restoreCase(r *decoder, id string, question func(id string) (Theft, Options, error)) {
	f := &folder{id: id}
	d.cases[id] = f
	for n := r.count(3); n > 0 && r.err == nil; n-- {
		s := d.newSeat(f, d.chain(r.chain()))
		s.spentThen = int(r.small("rules", math.MaxInt32))
		if r.bool() {
			s.aside, s.asideAt, s.stuck = errors.New(r.text()), r.pos(), r.bool()
		}
	}
	f.kept = slices.Clone(r.bytes(r.count(1)))
	if r.err != nil {
		return
	}
	c, err := restoreFor(f, question)
	for _, s := range f.seats {
		if err != nil {
			s.stuck = true
			if s.aside == nil {
				s.aside = fmt.Errorf("case %.80q: %w", id, err)
			}
			continue
		}
		s.ledgers = c.ledgers[s.at.chain]
		switch n := s.spent(); {
		case n != s.spentThen:
			s.stuck, s.aside = true, fmt.Errorf("case %.80q: it stood still and has a larger budget now: walk it on from there", id)
		case s.aside == nil:
			s.sit()
		}
	}
	if err == nil {
		f.c, f.kept = c, nil
	}
}

// restoreFor restores a case from its kept state, and checks that its chains are those of the seats.
func restoreFor(f *folder, question func(id string) (Theft, Options, error)) (*Case, error) {
	theft, o, err := question(f.id)
	if err != nil {
		return nil, err
	}
	c, err := Restore(theft, o, f.kept)
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(f.seats, c.chains, func(s *seat, chain flow.Chain) bool { return s.at.chain == chain }) {
		return nil, fmt.Errorf("restore: it is of other chains: %w", ErrSnapshot)
	}
	if c.options.Backward {
		return nil, errors.New("restore: a backward case reads a Graph only")
	}
	return c, nil
}
