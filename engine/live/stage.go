package live

import (
	"context"
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/watch"
)

// A stage is what a chain tells of its store's steps: the cases eat them, and people are told.
type stage chain

// Forward implements ingest.Stage.
func (s *stage) Forward(ctx context.Context, blocks []flow.Block) error {
	c := (*chain)(s)
	w, err := newWorld(c.live.store, c.live.currentLabels())
	if err != nil {
		return err
	}
	defer w.Close()
	for i := range blocks {
		if err := c.eat(ctx, w, blocks[i], c.seenAt(blocks[i].Point.Hash)); err != nil {
			return fmt.Errorf("block %d: %w", blocks[i].Point.Height, err)
		}
	}
	return nil
}

// eat lets the cases and lists see one block, and keeps what people must be told. What was to be told of blocks that
// were undone and was not said again by now is corrected.
func (c *chain) eat(ctx context.Context, w *world, b flow.Block, seen time.Time) error {
	l := c.live
	l.mu.Lock()
	news, err := l.watch.Forward(ctx, w, watch.Seen{Block: b, At: seen})
	l.reopenLater(news.Reopen)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if len(news.Alerts) > 0 {
		made := l.now()
		for i := range news.Alerts {
			news.Alerts[i].Made = made
		}
		if err := l.outbox.Add(ctx, b.Point, news.Alerts); err != nil {
			return err
		}
		l.metrics.made(news.Alerts)
	}
	if margin := l.config.Alerts.Margin; b.Point.Height > margin {
		if err := l.outbox.Settle(ctx, c.chain, b.Point.Height-margin); err != nil {
			return err
		}
	}
	now := l.now()
	c.mu.Lock()
	c.tip, c.eaten = b.Point, now
	c.mu.Unlock()
	l.metrics.eaten(now.Sub(seen))
	return nil
}

// Back implements ingest.Stage.
func (s *stage) Back(ctx context.Context, top flow.Point) error {
	c := (*chain)(s)
	c.live.mu.Lock()
	c.live.watch.Back(c.chain, top)
	c.live.mu.Unlock()
	c.mu.Lock()
	c.tip.Height = min(c.tip.Height, top.Height-1)
	c.mu.Unlock()
	return c.live.outbox.Back(ctx, c.chain, top.Height)
}

// Final implements ingest.Stage.
func (s *stage) Final(_ context.Context, p flow.Point) error {
	c := (*chain)(s)
	c.live.mu.Lock()
	c.live.watch.Final(c.chain, p)
	c.live.mu.Unlock()
	c.mu.Lock()
	c.final = p
	c.mu.Unlock()
	return nil
}
