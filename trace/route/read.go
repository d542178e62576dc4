package route

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// firstPage is how many movements are asked for at first; each further page of an account is four times as long.
const firstPage = 32

// fill finds the next movement of every account and coin of a side that waits for one, and puts it into the queue.
func (s *search) fill(ctx context.Context, d *side) error {
	if err := s.askCoins(ctx, d); err != nil {
		return err
	}
	for len(d.wanting) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 0
		for _, c := range d.wanting {
			found, err := s.seek(d, c)
			switch {
			case err != nil:
				return err
			case found:
				heap.Push(&d.queue, c)
			case c.more:
				d.wanting[n] = c
				n++
			}
		}
		clear(d.wanting[n:])
		d.wanting = d.wanting[:n]
		if n == 0 {
			return nil
		}
		if s.isSpent() {
			return nil
		}
		if err := s.askPages(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// seek moves a cursor to its next movement that can be part of a way: one in which its account gives, or on the way back
// takes. found is false at the end of the page, and then more is false at the end of all.
func (s *search) seek(d *side, c *cursor) (found bool, err error) {
	for c.view < len(c.views) {
		v := &c.views[c.view]
		if c.i < 0 || c.i >= len(v.Tx.Movements) {
			if c.view++; c.view < len(c.views) {
				c.enter(d.back)
			}
			continue
		}
		at := v.Tx.At()
		at.Movement = uint32(c.i)
		if v.Places != nil {
			at.Movement = v.Places[c.i]
		}
		switch {
		case d.compare(at, c.from) < 0 && c.view > 0:
			return false, fmt.Errorf("movements of %s: %s comes too late: %w", c.account, at, trace.ErrGraph)
		case d.compare(at, c.from) < 0: // a view may be a whole transaction
			d.pass(c)
			continue
		case d.compare(at, d.limit) > 0:
			c.views, c.view, c.more = nil, 0, false
			return false, nil
		}
		m := &v.Tx.Movements[c.i]
		if v.Tx.ID != c.tx && (has(m.In, c.account) || has(m.Out, c.account)) {
			c.tx = v.Tx.ID
			d.work++
		}
		c.at = at
		var more bool
		if c.from, more = d.beyond(at); !more {
			c.more = false
		}
		givers := m.In
		if d.back {
			givers = m.Out
		}
		if s.counts(m) && has(givers, c.account) {
			return true, nil
		}
		d.pass(c)
	}
	c.views, c.view = nil, 0
	return false, nil
}

// enter stands at the first movement of the view at hand.
func (c *cursor) enter(back bool) {
	c.i = 0
	if back {
		c.i = len(c.views[c.view].Tx.Movements) - 1
	}
}

// pass goes on to the movement behind the one at hand.
func (d *side) pass(c *cursor) {
	if d.back {
		c.i--
	} else {
		c.i++
	}
}

// has reports whether an account is among the legs.
func has(legs []flow.Leg, a flow.Account) bool {
	return slices.ContainsFunc(legs, func(l flow.Leg) bool { return l.Account == a })
}

// isCoins reports whether the movement is of a UTXO chain.
func isCoins(m *flow.Movement) bool { return len(m.Spent) > 0 || m.Asset.Chain().IsUTXO() }

// counts reports whether money can go the way of a movement: nobody is followed who takes a fee.
func (s *search) counts(m *flow.Movement) bool { return m.Asset == s.q.Asset && m.Kind != flow.Fee }

// askPages gets the next page of every account that wants one.
func (s *search) askPages(ctx context.Context, d *side) error {
	asks := make([]trace.Ask, len(d.wanting))
	for i, c := range d.wanting {
		c.limit = min(max(c.limit*4, firstPage), s.o.Page)
		asks[i] = trace.Ask{Account: c.account, From: c.from, Limit: c.limit}
	}
	ask := s.graph.After
	if d.back {
		ask = s.graph.(trace.BackGraph).Before
	}
	pages, err := ask(ctx, asks)
	if err != nil {
		return fmt.Errorf("movements of %d accounts: %w", len(asks), err)
	}
	if len(pages) != len(asks) {
		return fmt.Errorf("movements of %d accounts: %d answers: %w", len(asks), len(pages), trace.ErrGraph)
	}
	for i, c := range d.wanting {
		c.views, c.view, c.more = pages[i].Txs, 0, pages[i].More
		progress := false
		for j := range c.views {
			v := &c.views[j]
			if len(v.Tx.Movements) == 0 || v.Places != nil && len(v.Places) != len(v.Tx.Movements) {
				return fmt.Errorf("movements of %s: transaction %s: view without movements or places: %w", c.account, v.Tx.ID, trace.ErrGraph)
			}
			progress = progress || d.endsBeyond(v, c.from)
		}
		if c.more && !progress {
			return fmt.Errorf("movements of %s from %s: a page that leads nowhere with more behind it: %w", c.account, c.from, trace.ErrGraph)
		}
		if len(c.views) > 0 {
			c.enter(d.back)
		}
	}
	return nil
}

// endsBeyond reports whether a view shows a movement at or beyond a place.
func (d *side) endsBeyond(v *trace.View, from flow.Pos) bool {
	at, i := v.Tx.At(), len(v.Tx.Movements)-1
	if d.back {
		i = 0
	}
	at.Movement = uint32(i)
	if v.Places != nil {
		at.Movement = v.Places[i]
	}
	return d.compare(at, from) >= 0
}

// askCoins finds the transaction that spends each new coin, or on the way back the one that made it.
func (s *search) askCoins(ctx context.Context, d *side) error {
	if len(d.coins) == 0 {
		return nil
	}
	of := make([]flow.Outpoint, len(d.coins))
	for i, c := range d.coins {
		of[i] = c.coin
	}
	ask := s.graph.Spends
	if d.back {
		ask = s.graph.(trace.BackGraph).Makers
	}
	txs, err := ask(ctx, s.q.From.Chain(), of)
	if err != nil {
		return fmt.Errorf("transactions of %d coins: %w", len(of), err)
	}
	if len(txs) != len(of) {
		return fmt.Errorf("transactions of %d coins: %d answers: %w", len(of), len(txs), trace.ErrGraph)
	}
	for i, c := range d.coins {
		tx := &txs[i]
		if tx.ID.IsZero() && len(tx.Movements) == 0 {
			continue
		}
		d.work++
		c.i = slices.IndexFunc(tx.Movements, func(m flow.Movement) bool {
			if d.back {
				return tx.ID == c.coin.Tx && int64(c.coin.Index) < int64(len(m.Out))
			}
			return slices.Contains(m.Spent, c.coin)
		})
		if c.i < 0 {
			return fmt.Errorf("coin %s: transaction %s does not touch it: %w", c.coin, tx.ID, trace.ErrGraph)
		}
		c.views = []trace.View{{Tx: *tx}}
		c.at = tx.At()
		c.at.Movement = uint32(c.i)
		if d.compare(c.at, c.from) < 0 {
			return fmt.Errorf("coin %s: transaction %s stands on the wrong side of it: %w", c.coin, tx.ID, trace.ErrGraph)
		}
		if s.counts(&tx.Movements[c.i]) && d.compare(c.at, d.limit) <= 0 {
			heap.Push(&d.queue, c)
		}
	}
	clear(d.coins)
	d.coins = d.coins[:0]
	return nil
}

// A queue is a heap of cursors, the first in the direction of its side on top.
type queue struct {
	cursors []*cursor
	back    bool
}

// Len implements heap.Interface.
func (q *queue) Len() int { return len(q.cursors) }

// Less implements heap.Interface.
func (q *queue) Less(i, j int) bool {
	a, b := q.cursors[i], q.cursors[j]
	c := a.at.Compare(b.at)
	if q.back {
		c = -c
	}
	return cmp.Or(c, cmp.Compare(a.order, b.order)) < 0
}

// Swap implements heap.Interface.
func (q *queue) Swap(i, j int) { q.cursors[i], q.cursors[j] = q.cursors[j], q.cursors[i] }

// Push implements heap.Interface.
func (q *queue) Push(c any) { q.cursors = append(q.cursors, c.(*cursor)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	n := len(q.cursors) - 1
	c := q.cursors[n]
	q.cursors[n] = nil
	q.cursors = q.cursors[:n]
	return c
}
