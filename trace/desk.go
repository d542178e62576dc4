package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// ErrBudget is returned where a rule of a case has used up its budget of transactions and stands still from there on.
var ErrBudget = errors.New("the budget of transactions is used up")

// A Desk has many open cases and lets them eat one live stream: each leg of a transaction is looked up once for all
// cases together. A case on a desk comes to the same state, byte for byte, as the same case fed alone. A case that
// fails is set aside with its error and the others go on. While a case is on a desk, only the desk may feed it. A Desk
// is for one goroutine; it may use more by itself: see Split.
type Desk struct {
	chains map[flow.Chain]*deskChain
	cases  map[string]*folder
	seats  []*seat // by number; nil where one is free
	free   []uint32

	workers []*worker // at least one
	touches []Touch
	one     [1]flow.Tx // what Apply is given
}

// A folder is one case on the desk.
type folder struct {
	id    string
	c     *Case  // nil if it could not be restored
	kept  []byte // then: what it could not be restored from
	seats []*seat
}

// deskChain is what the desk keeps for one chain.
type deskChain struct {
	chain flow.Chain
	known bool     // whether next is
	next  flow.Pos // the first place that is not eaten
	parts []*part  // one for each worker
}

// A part is what one worker keeps for one chain: some of the seats.
type part struct {
	chain flow.Chain
	index *index
	seats int      // of cases on this chain that are not aside
	wait  bool     // a source is still to begin
	soon  flow.Pos // the place of the next one, if wait
	held  []*seat  // those that hold something for an Undo
}

// A seat is one case on one chain.
type seat struct {
	folder  *folder
	number  uint32
	at      *part
	ledgers []*Ledger
	turn    uint64   // of the last transaction in which it was found
	hits    []uint32 // the movements in which it was found then
	aside   error
	asideAt flow.Pos // the transaction that it was set aside for: undone, it comes back
	stuck   bool     // aside, and no undo brings it back
	held    bool     // it is in held of its chain
	since   flow.Pos // then: nothing before is held

	spentThen int // if there are no ledgers: how many rules stood still when it was stored
}

// A Place is how far one chain is eaten.
type Place struct {
	Chain flow.Chain
	Next  flow.Pos // the first place that is not eaten; everything before it is
}

// After is the place behind a whole block.
func After(p flow.Point) Place {
	return Place{p.Chain, next(flow.Pos{Height: p.Height, Tx: math.MaxUint32, Movement: math.MaxUint32})}
}

// A Touch is what one transaction did to one case. It is valid until the desk is called again.
type Touch struct {
	ID   string // of the case
	Case *Case
	Tx   flow.Hash
	At   flow.Pos // of the transaction
	// Err says why the case is set aside with this transaction; if it wraps ErrBudget, which rules stand still from here
	// on. A case is set aside for that when all of them do.
	Err     error
	ledgers []*Ledger
	spans   []span
}

// A span is a run of a ledger's edges.
type span struct{ from, to int }

// Edges yields the edges that are new with the transaction, ledger by ledger, each in the order in which they were walked.
func (t Touch) Edges() iter.Seq2[*Ledger, Edge] {
	return func(yield func(*Ledger, Edge) bool) {
		for i, l := range t.ledgers {
			for e := range l.edges.between(t.spans[i].from, t.spans[i].to) {
				if !yield(l, *e) {
					return
				}
			}
		}
	}
}

// NewDesk is an empty desk which stands at these places. On any other chain it stands where the first case or the first
// transaction is.
func NewDesk(at ...Place) *Desk {
	d := &Desk{chains: map[flow.Chain]*deskChain{}, cases: map[string]*folder{}}
	d.Split(1)
	for _, p := range at {
		ch := d.chain(p.Chain)
		ch.known, ch.next = true, p.Next
	}
	return d
}

func (d *Desk) chain(c flow.Chain) *deskChain {
	ch := d.chains[c]
	if ch == nil {
		ch = &deskChain{chain: c}
		ch.split(len(d.workers))
		d.chains[c] = ch
	}
	return ch
}

// Places is how far each chain is eaten, in the order of the chains.
func (d *Desk) Places() []Place {
	places := make([]Place, 0, len(d.chains))
	for _, ch := range d.chains {
		if ch.known {
			places = append(places, Place{ch.chain, ch.next})
		}
	}
	slices.SortFunc(places, func(a, b Place) int { return a.Chain.Compare(b.Chain) })
	return places
}

// IDs are the names of the cases, in order.
func (d *Desk) IDs() []string {
	ids := make([]string, 0, len(d.cases))
	for id := range d.cases {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Case is the case of that name: nil if there is none, or if it could not be restored.
func (d *Desk) Case(id string) *Case {
	if f := d.cases[id]; f != nil {
		return f.c
	}
	return nil
}

// An Aside is a case that is not fed on one chain, and why.
type Aside struct {
	ID    string
	Chain flow.Chain
	At    flow.Pos // of the transaction for which it was set aside; zero if no undo brings it back
	Err   error
}

// Aside lists what was set aside, in the order of names and chains. A case comes back by itself when the transaction
// that it failed at is undone. Else remove it, walk it on to where the desk stands, and add it again.
func (d *Desk) Aside() []Aside {
	var all []Aside
	for _, s := range d.seats {
		if s == nil || s.aside == nil {
			continue
		}
		a := Aside{ID: s.folder.id, Chain: s.at.chain, Err: s.aside}
		if !s.stuck {
			a.At = s.asideAt
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Aside) int { return cmp.Or(cmp.Compare(a.ID, b.ID), a.Chain.Compare(b.Chain)) })
	return all
}

// Add puts a case on the desk, at any time. It must stand where the desk does: at says how far the case has eaten each
// of its chains; that may be left out where nothing has begun and nothing is due. Errors wrap ErrOrder if it stands
// elsewhere; nothing has changed then.
func (d *Desk) Add(id string, c *Case, at ...Place) error {
	if d.cases[id] != nil {
		return fmt.Errorf("add case %.80q: there is one of that name", id)
	}
	if c.options.Backward {
		return fmt.Errorf("add case %.80q: a backward case reads a Graph only", id)
	}
	for _, chain := range c.chains {
		said := slices.IndexFunc(at, func(p Place) bool { return p.Chain == chain })
		next, known := flow.Pos{}, said >= 0
		if known {
			next = at[said].Next
		}
		if ch := d.chains[chain]; ch != nil && ch.known {
			if known && next != ch.next {
				return fmt.Errorf("add case %.80q: on %s it stands before %s and the desk before %s: %w", id, chain, next, ch.next, ErrOrder)
			}
			next = ch.next
		}
		for _, l := range c.ledgers[chain] {
			switch {
			case l.book.seat != nil:
				return fmt.Errorf("add case %.80q: it is on a desk already", id)
			case len(l.transit.parts) > 0:
				return fmt.Errorf("add case %.80q: it stands inside a transaction: %w", id, ErrOrder)
			case !known && (l.started || l.begun > 0):
				return fmt.Errorf("add case %.80q: on %s it has begun and nobody says where it stands: %w", id, chain, ErrOrder)
			case l.started && l.last.Compare(next) >= 0:
				return fmt.Errorf("add case %.80q: on %s it has eaten %s and cannot stand before %s: %w", id, chain, l.last, next, ErrOrder)
			}
			if from, ok := l.nextSource(); ok && !known && from.Compare(next) < 0 {
				return fmt.Errorf("add case %.80q: on %s a source begins at %s and the desk stands before %s: %w", id, chain, from, next, ErrOrder)
			}
		}
	}
	f := &folder{id: id, c: c}
	d.cases[id] = f
	for _, chain := range c.chains {
		ch := d.chain(chain)
		for _, p := range at {
			if p.Chain == chain && !ch.known {
				ch.known, ch.next = true, p.Next
			}
		}
		s := d.newSeat(f, ch)
		s.ledgers = c.ledgers[chain]
		if s.findHeld(flow.Pos{}); s.held {
			s.at.held = append(s.at.held, s)
		}
		s.sit()
		s.spendOut(ch.next)
		if s.aside != nil {
			s.at.plan(d.seats)
		}
	}
	return nil
}

// newSeat gives a case a seat on a chain, of which it does not take any notice yet.
func (d *Desk) newSeat(f *folder, ch *deskChain) *seat {
	s := &seat{folder: f}
	if n := len(d.free); n > 0 {
		s.number = d.free[n-1]
		d.free = d.free[:n-1]
		d.seats[s.number] = s
	} else {
		s.number = uint32(len(d.seats))
		d.seats = append(d.seats, s)
	}
	s.at = ch.part(s)
	f.seats = append(f.seats, s)
	return s
}

// Remove takes a case off the desk, whether it is set aside or not. It goes on alone from where it stands. It is nil if
// there is none of that name, or none that could be restored.
func (d *Desk) Remove(id string) *Case {
	f := d.cases[id]
	if f == nil {
		return nil
	}
	delete(d.cases, id)
	for _, s := range f.seats {
		if s.aside == nil {
			s.rise()
		}
		d.seats[s.number] = nil
		d.free = append(d.free, s.number)
		s.at.plan(d.seats)
	}
	return f.c
}

// Apply lets the cases eat a transaction, each that it touches, and returns what it did, in the order of their names. It
// must come after all that was eaten: else the error wraps ErrOrder and nothing has changed. If ctx is done before all
// cases have eaten it, none has, and the error says so. A case that fails is no error of Apply: see Touch. g is as for
// Case.Apply.
func (d *Desk) Apply(ctx context.Context, g Balancer, tx flow.Tx) ([]Touch, error) {
	ch := d.chain(tx.Point.Chain)
	if err := ch.follows(tx, ch.next, ch.known); err != nil {
		return nil, err
	}
	d.one[0] = tx
	err := d.eat(ctx, g, ch, d.one[:])
	return d.touches, err
}

// ApplyBlock is Apply for all transactions of a block, after which its whole place is eaten. After an error, what is
// returned has been eaten all the same, and Undo takes it back.
func (d *Desk) ApplyBlock(ctx context.Context, g Balancer, b flow.Block) ([]Touch, error) {
	ch := d.chain(b.Point.Chain)
	if first := (flow.Pos{Height: b.Point.Height}); ch.known && first.Compare(ch.next) < 0 {
		return nil, fmt.Errorf("block %d of %s where all before %s is eaten: %w", b.Point.Height, ch.chain, ch.next, ErrOrder)
	}
	var wrong error // with transaction good, if there is one
	good := 0
	for from, known := ch.next, ch.known; good < len(b.Txs); good++ {
		tx := &b.Txs[good]
		if p := tx.Point; p.Chain != b.Point.Chain || p.Height != b.Point.Height {
			wrong = fmt.Errorf("block %d of %s: transaction %s is of %s: %w", b.Point.Height, ch.chain, tx.ID, p, ErrOrder)
			break
		}
		if wrong = ch.follows(*tx, from, known); wrong != nil {
			break
		}
		from, known = behind(tx), true
	}
	if err := d.eat(ctx, g, ch, b.Txs[:good]); err != nil {
		return d.touches, err
	}
	if wrong == nil {
		ch.known, ch.next = true, After(b.Point).Next
	}
	return d.touches, wrong
}

// Final says that nothing before a place of a chain will be undone: what the cases kept for that is forgotten.
func (d *Desk) Final(chain flow.Chain, before flow.Pos) {
	ch := d.chains[chain]
	if ch == nil {
		return
	}
	for _, p := range ch.parts {
		p.held = slices.DeleteFunc(p.held, func(s *seat) bool {
			if s.since.Compare(before) < 0 {
				s.ledgers[0].log.final(before)
				s.findHeld(before)
			}
			return !s.held || d.seats[s.number] != s
		})
	}
}

// findHeld finds whether the case holds something for an Undo to that place or a later one, and from where on.
func (s *seat) findHeld(from flow.Pos) {
	s.held = false
	for _, m := range s.ledgers[0].log.marks {
		if m.at.Compare(from) >= 0 {
			s.held, s.since = true, m.at
			return
		}
	}
}

// Undo lets every case of a chain forget the transactions from a place on: see Case.Undo. It returns, in the order of
// their names, the cases that had eaten one of them. One whose undo log does not reach that far is set aside with an
// error that wraps ErrUndo; one that was set aside for such a transaction is there again.
func (d *Desk) Undo(chain flow.Chain, from flow.Pos) []Touch {
	d.touches = d.touches[:0]
	ch := d.chains[chain]
	if ch == nil || !ch.known || from.Compare(ch.next) >= 0 {
		return nil
	}
	ch.next = from
	for _, s := range d.seats {
		if s == nil || s.at.chain != chain || s.stuck || s.aside != nil && s.asideAt.Compare(from) < 0 {
			continue
		}
		changed := s.hasEaten(from)
		err := s.folder.c.Undo(chain, from)
		switch {
		case err != nil:
			s.setAside(fmt.Errorf("case %.80q: %w", s.folder.id, err), flow.Pos{})
			s.stuck = true
		case s.aside != nil:
			s.aside = nil
			s.sit()
			s.spendOut(from)
		}
		if changed || err != nil {
			d.touches = append(d.touches, Touch{ID: s.folder.id, Case: s.folder.c, At: from, Err: err})
		}
	}
	for _, p := range ch.parts {
		p.plan(d.seats)
	}
	slices.SortFunc(d.touches, func(a, b Touch) int { return cmp.Compare(a.ID, b.ID) })
	return d.touches
}

// hasEaten reports whether a transaction from that place on mattered to the case.
func (s *seat) hasEaten(from flow.Pos) bool {
	if len(s.ledgers) == 0 {
		return false
	}
	for _, l := range s.ledgers {
		if l.started && l.last.Compare(from) >= 0 {
			return true
		}
	}
	marks := s.ledgers[0].log.marks
	return len(marks) > 0 && marks[len(marks)-1].at.Compare(from) >= 0
}
