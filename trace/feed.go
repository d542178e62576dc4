package trace

import (
	"context"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A Balancer is the part of a Graph that Apply needs.
type Balancer interface {
	Balances(ctx context.Context, of []BalanceAsk) ([]Balance, error)
}

// A feeder lets ledgers of one case and chain eat transactions side by side. What does not depend on the ledger is done
// once for all that are fed with a transaction: the form of its movements, its exchanges, the questions for balances.
type feeder struct {
	event   event
	shown   int       // the movement that event shows, from 1; 0 if none
	swaps   []txSwaps // one for each rule
	asks    []BalanceAsk
	known   map[BalanceAsk]int
	records []openRecord
	marked  bool       // whether the journal is open
	before  []standing // if marked: what stood before
}

// standing is what tells whether sources have begun, and which edges are new.
type standing struct {
	begun, edges int
	spent        bool
}

func (l *Ledger) standing() standing { return standing{l.begun, l.edges.n, l.spent} }

// openRecord is a record that waits for its opening balance.
type openRecord struct {
	ledger *Ledger
	record *record
	ask    int
}

// turn begins another transaction.
func (f *feeder) turn() { f.shown, f.swaps = 0, f.swaps[:0] }

// exchanges are the strands of the transaction by a rule; nil if none are followed.
func (f *feeder) exchanges(s Swaps, tx *flow.Tx) *txSwaps {
	if s.Of == nil {
		return nil
	}
	for i := range f.swaps {
		if f.swaps[i].swaps.Rule == s.Rule {
			return &f.swaps[i]
		}
	}
	f.swaps = append(f.swaps, txSwaps{swaps: s, tx: *tx})
	return &f.swaps[len(f.swaps)-1]
}

// follows returns an error unless a ledger can eat the transaction next.
func (l *Ledger) follows(tx *flow.Tx) error {
	if l.options.Backward {
		return errors.New("apply: a backward ledger reads a Graph only")
	}
	if at := tx.At(); l.started && at.Compare(flow.Pos{Height: l.last.Height, Tx: l.last.Tx, Movement: ^uint32(0)}) <= 0 {
		return fmt.Errorf("%s: apply %s at %s after %s: %w", l.policy, tx.ID, at, l.last, ErrOrder)
	}
	return nil
}

// eat lets the ledgers of a book eat a whole transaction, or, if there is an error, none of it; turn comes before it. It
// reports whether anything has changed. only, unless it is nil, are the movements, in their order, that have a leg of
// somebody whom the ledgers follow before the transaction.
func (f *feeder) eat(ctx context.Context, g Balancer, tx *flow.Tx, ledgers []*Ledger, only []uint32) (changed bool, err error) {
	f.marked = false
	if begins(tx, ledgers) {
		only = nil
	}
	err = f.movements(ctx, g, tx, ledgers, only)
	switch {
	case !f.marked:
		return false, err
	case err != nil:
		ledgers[0].log.undoLast()
		return false, err
	}
	return ledgers[0].log.close(), nil
}

// mark opens the journal before the first change.
func (f *feeder) mark(tx *flow.Tx, ledgers []*Ledger) {
	if f.marked {
		return
	}
	f.marked, f.before = true, f.before[:0]
	for _, l := range ledgers {
		f.before = append(f.before, l.standing())
	}
	ledgers[0].log.open(tx.At())
}

// begins reports whether a source of the ledgers begins with a transaction.
func begins(tx *flow.Tx, ledgers []*Ledger) bool {
	last := tx.At()
	last.Movement = ^uint32(0)
	for _, l := range ledgers {
		if from, ok := l.nextSource(); ok && from.Compare(last) <= 0 {
			return true
		}
	}
	return false
}

// movements feeds the movements of a transaction. As long as no claim has moved, the ledgers follow whom they followed
// before it, and only those of only can touch them; behind that any may.
func (f *feeder) movements(ctx context.Context, g Balancer, tx *flow.Tx, ledgers []*Ledger, only []uint32) error {
	place := tx.At()
	limited := only != nil
	for i := 0; i < len(tx.Movements); i++ {
		if limited {
			if len(only) == 0 {
				break
			}
			i, only = int(only[0]), only[1:]
		}
		place.Movement = uint32(i)
		for f.begin(tx, place, ledgers) {
			if err := f.settle(ctx, g, ledgers); err != nil {
				return err
			}
		}
		m := &tx.Movements[i]
		if !touched(m, ledgers) {
			continue
		}
		f.mark(tx, ledgers)
		if f.shown != i+1 {
			f.shown = 0
			if err := f.event.set(tx, place, m, false); err != nil {
				return fmt.Errorf("apply: %w", err)
			}
			f.shown = i + 1
		}
		f.event.swaps = f.exchanges(ledgers[0].options.Swaps, tx)
		for _, l := range ledgers {
			if err := l.move(&f.event); err != nil {
				return fmt.Errorf("%s: apply: %w", l.policy, err)
			}
		}
		if err := f.settle(ctx, g, ledgers); err != nil {
			return err
		}
		limited = limited && !f.moved(ledgers)
	}
	if !f.marked {
		return nil
	}
	for _, l := range ledgers {
		l.land()
	}
	return f.settle(ctx, g, ledgers)
}

// moved reports whether claim has moved in one of the ledgers since the journal was opened.
func (f *feeder) moved(ledgers []*Ledger) bool {
	for i, l := range ledgers {
		if l.standing() != f.before[i] {
			return true
		}
	}
	return false
}

// touched reports whether a movement can change one of the ledgers of a book. What is too small to count, and what is
// nothing at all, changes none.
func touched(m *flow.Movement, ledgers []*Ledger) bool {
	if isCoins(m) {
		for _, l := range ledgers {
			for _, o := range m.Spent {
				if l.FollowsCoin(o) {
					return true
				}
			}
			if l.anyOutflow(m.In) {
				return true
			}
		}
		return false
	}
	for i := range m.In {
		if !m.In[i].Amount.IsZero() && ledgers[0].book.anyLive(&m.In[i], m.Asset) {
			return true
		}
	}
	floor := ledgers[0].options.Dust[m.Asset]
	for i := range m.Out {
		if v := m.Out[i].Amount; !v.IsZero() && !v.Less(floor) && ledgers[0].book.anyLive(&m.Out[i], m.Asset) {
			return true
		}
	}
	for _, l := range ledgers {
		if l.anyOutflow(m.In) {
			return true
		}
	}
	return false
}

// anyLive reports whether one of the ledgers follows who is behind a leg.
func (b *book) anyLive(leg *flow.Leg, a flow.Asset) bool {
	w := b.rows[accountKey{leg.Account, a}]
	if w == nil {
		return false
	}
	live := false
	for _, r := range w.records { // all of them: to wait for the memory of four records at once is to wait once
		live = r != nil && r.isLive() || live
	}
	return live
}

// begin starts the next sources whose place is reached; it reports whether there were any.
func (f *feeder) begin(tx *flow.Tx, place flow.Pos, ledgers []*Ledger) (begun bool) {
	for _, l := range ledgers {
		if at, ok := l.nextSource(); ok && at.Compare(place) <= 0 {
			f.mark(tx, ledgers)
			l.begin(at)
			begun = true
		}
	}
	return begun
}

// nextSource is the place where the ledger's next source begins.
func (l *Ledger) nextSource() (at flow.Pos, ok bool) {
	if l.begun == len(l.sources) || l.spent {
		return at, false
	}
	return l.sources[l.begun].at, true
}

// settle asks for the opening balances of fresh holders, each once for all ledgers. A nil g means that they had nothing.
func (f *feeder) settle(ctx context.Context, g Balancer, ledgers []*Ledger) error {
	f.asks, f.records = f.asks[:0], f.records[:0]
	for _, l := range ledgers {
		for _, fr := range l.fresh {
			if fr.record != nil && fr.record.unknown {
				f.ask(l, fr.record)
			}
		}
		l.fresh = l.fresh[:0]
	}
	if len(f.records) == 0 {
		return nil
	}
	var balances []Balance
	if g != nil {
		var err error
		if balances, err = g.Balances(ctx, f.asks); err != nil {
			return fmt.Errorf("balances of %d holders: %w", len(f.asks), err)
		}
		if len(balances) != len(f.asks) {
			return fmt.Errorf("balances of %d holders: the graph answered %d", len(f.asks), len(balances))
		}
	}
	for _, o := range f.records {
		var b Balance
		if g != nil {
			b = balances[o.ask]
		}
		if o.record.unknown {
			o.ledger.open(o.record, b)
		}
	}
	return nil
}

func (f *feeder) ask(l *Ledger, r *record) {
	ask := l.balanceAsk(r)
	if len(f.records) == 0 {
		clear(f.known)
	}
	n, ok := f.known[ask]
	if !ok {
		if f.known == nil {
			f.known = map[BalanceAsk]int{}
		}
		n = len(f.asks)
		f.known[ask] = n
		f.asks = append(f.asks, ask)
	}
	f.records = append(f.records, openRecord{l, r, n})
}
