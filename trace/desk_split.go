package trace

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spoor-dev/spoor/flow"
)

// A worker lets a part of the cases eat. Workers share nothing that changes while they work.
type worker struct {
	desk    *Desk
	feed    feeder
	turn    uint64 // counts transactions, so that a seat is found once in each
	found   []*seat
	spans   []span
	touches []Touch

	eaten int   // how many of the transactions given to it
	err   error // why not all
}

// Split divides the cases among n goroutines, which eat each block side by side and have ended when the call returns;
// one if n is less. Nothing else changes: a desk comes to the same state and tells the same, however it is split. With
// more than one, a Balancer and the functions in the options of the cases are called from all of them at once. Where ctx
// ends in the middle of a block, some cases have to take back what the others have not eaten; one whose undo log does
// not reach that far is set aside.
func (d *Desk) Split(n int) {
	for _, s := range d.seats {
		if s != nil && s.aside == nil {
			s.rise()
		}
	}
	d.workers = make([]*worker, max(n, 1))
	for i := range d.workers {
		d.workers[i] = &worker{desk: d}
	}
	for _, ch := range d.chains {
		ch.split(len(d.workers))
	}
	for _, s := range d.seats {
		if s == nil {
			continue
		}
		s.turn = 0
		s.at = d.chains[s.at.chain].part(s)
		if s.aside == nil {
			s.sit()
		}
		if s.held {
			s.at.held = append(s.at.held, s)
		}
	}
}

func (ch *deskChain) split(n int) {
	ch.parts = make([]*part, n)
	for i := range ch.parts {
		ch.parts[i] = &part{chain: ch.chain, index: newIndex()}
	}
}

// part is the part to which a seat belongs.
func (ch *deskChain) part(s *seat) *part { return ch.parts[int(s.number)%len(ch.parts)] }

// follows returns an error unless a transaction comes at that place or later.
func (ch *deskChain) follows(tx flow.Tx, from flow.Pos, known bool) error {
	if at := tx.At(); known && at.Compare(from) < 0 {
		return fmt.Errorf("apply %s at %s where all before %s is eaten: %w", tx.ID, at, from, ErrOrder)
	}
	return nil
}

// behind is the place right after a transaction.
func behind(tx *flow.Tx) flow.Pos {
	at := tx.At()
	at.Movement = ^uint32(0)
	return next(at)
}

// eat lets all cases eat transactions of one chain, which are in order. After an error, all have eaten those before the
// one that it speaks of.
func (d *Desk) eat(ctx context.Context, g Balancer, ch *deskChain, txs []flow.Tx) error {
	if len(d.workers) > 1 && len(txs) > 1 {
		d.eatTogether(ctx, g, ch, txs)
	} else {
		for i, w := range d.workers {
			w.eat(ctx, g, ch.parts[i], txs)
		}
	}
	eaten := len(txs)
	var err error
	for _, w := range d.workers {
		if w.eaten < eaten {
			eaten, err = w.eaten, w.err
		}
	}
	d.touches = d.touches[:0]
	for i, w := range d.workers {
		if w.eaten > eaten {
			w.retreat(ch.parts[i], txs[eaten].At())
		}
		d.touches = append(d.touches, w.touches...)
	}
	if len(d.workers) > 1 {
		slices.SortFunc(d.touches, func(a, b Touch) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	}
	if eaten > 0 {
		ch.known, ch.next = true, behind(&txs[eaten-1])
	}
	return err
}

func (d *Desk) eatTogether(ctx context.Context, g Balancer, ch *deskChain, txs []flow.Tx) {
	var all sync.WaitGroup
	for i, w := range d.workers {
		all.Go(func() { w.eat(ctx, g, ch.parts[i], txs) })
	}
	all.Wait()
}

// eat finds the cases that each transaction may matter to and feeds them.
func (w *worker) eat(ctx context.Context, g Balancer, p *part, txs []flow.Tx) {
	w.touches, w.spans = w.touches[:0], w.spans[:0]
	w.eaten, w.err = len(txs), nil
	if p.seats == 0 {
		return
	}
	for i := range txs {
		w.find(p, &txs[i])
		if len(w.found) == 0 {
			continue
		}
		if err := w.serve(ctx, g, p, &txs[i]); err != nil {
			w.eaten, w.err = i, err
			return
		}
	}
}

// retreat lets the cases forget what they have eaten from a place on.
func (w *worker) retreat(p *part, from flow.Pos) {
	n := 0
	for n < len(w.touches) && w.touches[n].At.Compare(from) < 0 {
		n++
	}
	for _, t := range w.touches[n:] {
		for _, s := range w.desk.cases[t.ID].seats {
			if s.at == p {
				s.takeBack(from)
			}
		}
	}
	w.touches = w.touches[:n]
	p.plan(w.desk.seats)
}
