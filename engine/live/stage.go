package live

import (
	"context"
	"fmt"
	"sync"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/watch"
)

// A stage goes with a chain's store: the cases eat each block, and people are told.
type stage chain

// Forward implements ingest.Stage. Where the cases were made anew from the store meanwhile, they have seen the first of
// the blocks.
func (s *stage) Forward(ctx context.Context, blocks []flow.Block) error {
	c := (*chain)(s)
	c.eating.Lock()
	defer c.eating.Unlock()
	labels, contacts := c.live.currentLabels()
	w, err := newWorld(c.live.store, labels, contacts)
	if err != nil {
		return err
	}
	defer w.Close()
	for i := range blocks {
		if c.hasEaten(blocks[i].Point.Height) {
			continue
		}
		if err := c.eat(ctx, w, blocks[i]); err != nil {
			return fmt.Errorf("block %d: %w", blocks[i].Point.Height, err)
		}
	}
	return nil
}

// eat lets the cases and lists see one block, and keeps what people must be told. What was to be told of blocks that
// were undone, and was not said again by now, is corrected.
func (c *chain) eat(ctx context.Context, w *world, b flow.Block) error {
	l := c.live
	seen := c.seenAt(b.Point.Hash)
	l.mu.Lock()
	err := l.tell(ctx, w, watch.Seen{Block: b, At: seen})
	margin := l.config.Alerts.Margin
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if b.Point.Height > margin {
		if err := l.outbox.Settle(ctx, c.chain, b.Point.Height-margin); err != nil {
			return err
		}
	}
	now := l.now()
	c.mu.Lock()
	first := c.tip.IsZero()
	c.tip, c.eaten = b.Point, now
	c.mu.Unlock()
	if first { // cases may have waited for the chain
		l.hurry()
	}
	l.metrics.eaten(now.Sub(seen))
	return nil
}

// eatenTo is the height up to which the cases have seen the chain.
func (c *chain) eatenTo() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tip.Height
}

// hasEaten reports whether the cases have seen the chain up to a height: of block 0 that is not so before any block.
func (c *chain) hasEaten(height uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.tip.IsZero() && height <= c.tip.Height
}

// Back implements ingest.Stage.
func (s *stage) Back(ctx context.Context, top flow.Point) error {
	c := (*chain)(s)
	c.eating.Lock()
	defer c.eating.Unlock()
	// Only what no longer stands is in doubt, so that a crash between the two leaves too much of it and never too little.
	if err := c.live.outbox.Back(ctx, c.chain, top.Height); err != nil {
		return err
	}
	c.live.mu.Lock()
	c.live.watch.Back(top)
	c.live.mu.Unlock()
	c.mu.Lock()
	if c.tip.Height >= top.Height {
		c.tip = flow.Point{Chain: c.chain, Height: top.Height - 1}
	}
	stale := c.saved >= top.Height
	c.mu.Unlock()
	if !stale {
		return nil
	}
	// After a crash nobody could tell that the blocks which the store then takes in at these heights were not eaten.
	return c.live.save(ctx, false)
}

// Final implements ingest.Stage.
func (s *stage) Final(ctx context.Context, p flow.Point) error {
	c := (*chain)(s)
	c.eating.Lock()
	defer c.eating.Unlock()
	c.live.mu.Lock()
	c.live.watch.Final(p)
	c.live.mu.Unlock()
	c.mu.Lock()
	c.final = p
	c.mu.Unlock()
	return c.live.outbox.Final(ctx, c.chain, p.Height)
}

// lookAhead looks at transactions that are in no block yet, until ctx is done.
func (c *chain) lookAhead(ctx context.Context) error {
	if c.nodes == nil {
		return nil
	}
	var all sync.WaitGroup
	for _, node := range c.nodes.Pending {
		all.Go(func() {
			for ctx.Err() == nil {
				err := node.Pending(ctx, func(tx flow.Tx) { c.lookAt(ctx, tx) })
				if ctx.Err() == nil {
					c.live.log.Info("pending transactions are not seen for a while", "chain", c.chain.String(), "node", node.Name(), "error", err.Error())
					rest(ctx, again)
				}
			}
		})
	}
	all.Wait()
	return nil
}

// lookAt tells, as provisional, what a pending transaction would do.
func (c *chain) lookAt(ctx context.Context, tx flow.Tx) {
	labels, contacts := c.live.currentLabels()
	l := c.live
	notSeen := func(err error) {
		l.log.Warn("a pending transaction was not looked at", "tx", c.chain.FormatHash(tx.ID), "error", err.Error())
	}
	w, err := newWorld(l.store, labels, contacts)
	if err != nil {
		notSeen(err)
		return
	}
	defer w.Close()
	if err := c.fillInputs(ctx, w, &tx); err != nil {
		notSeen(err)
		return
	}
	l.mu.Lock()
	alerts := l.watch.Pending(w, tx, l.now())
	tip := c.eatenTo()
	l.mu.Unlock()
	if len(alerts) == 0 {
		return
	}
	for i := range alerts {
		alerts[i].Made = l.now()
	}
	if err := l.outbox.Add(ctx, flow.Point{Chain: c.chain, Height: tip}, alerts); err != nil {
		l.log.Warn("a pending transaction was not told", "tx", c.chain.FormatHash(tx.ID), "error", err.Error())
		return
	}
	l.metrics.made(alerts)
}

// fillInputs finds the owners of the coins that a pending transaction spends, as far as the store holds them.
func (c *chain) fillInputs(ctx context.Context, w *world, tx *flow.Tx) error {
	var asked []flow.Outpoint
	var legs []*flow.Leg
	for i := range tx.Movements {
		m := &tx.Movements[i]
		for n, o := range m.Spent {
			if n < len(m.In) && m.In[n].Account.IsZero() {
				asked, legs = append(asked, o), append(legs, &m.In[n])
			}
		}
	}
	if len(asked) == 0 {
		return nil
	}
	found, err := w.s.Outputs(ctx, c.chain, asked)
	if err != nil {
		return err
	}
	for i, leg := range found {
		*legs[i] = leg
	}
	return nil
}
