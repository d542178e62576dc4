package live

import (
	"context"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/watch"
)

// startOf is the block up to which a case is walked: the newest that will not be undone, and no later than what was eaten
// before; zero where nothing was.
func (l *Live) startOf(ctx context.Context, s store.Snapshot, c flow.Chain, eaten []flow.Point) (p flow.Point, ok bool, err error) {
	tip, ok := s.Tip(c)
	if !ok {
		return p, false, nil
	}
	depth := uint64(0)
	for _, ch := range l.chains {
		if ch.chain == c {
			depth = max(ch.config.Confirmations, 1)
		}
	}
	height := tip.Height - min(depth, tip.Height)
	first, err := s.FirstAt(ctx, c, minTime)
	if err != nil {
		return p, false, err
	}
	for _, was := range eaten {
		if was.Chain == c {
			height = min(height, was.Height)
			if was.Height < first.Height { // nothing was
				return p, true, nil
			}
		}
	}
	for h := height; h >= first.Height; h-- { // over holes
		p, err = s.Point(ctx, c, h)
		if err == nil {
			return p, true, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return p, false, err
		}
		if h == 0 {
			break
		}
	}
	return first, true, nil
}

// replay lets the watch eat what the store holds behind a block. Alerts above it that are not said again are corrected.
func (l *Live) replay(ctx context.Context, w *world, c flow.Chain, from flow.Point) error {
	tip, _ := w.s.Tip(c)
	if err := l.outbox.Begin(ctx, c, from.Height+1); err != nil {
		return err
	}
	for b, err := range blocksOf(ctx, w.s, c, from.Height+1, tip.Height) {
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%s: block %d of %d is eaten from the store", c, b.Point.Height, tip.Height)
		l.busy.Store(&what)
		if err := l.tell(ctx, w, watch.Seen{Block: b, At: l.now()}); err != nil {
			return fmt.Errorf("block %d: %w", b.Point.Height, err)
		}
	}
	for _, ch := range l.chains {
		if ch.chain == c {
			ch.mu.Lock()
			ch.tip = tip
			ch.mu.Unlock()
		}
	}
	if margin := l.config.Alerts.Margin; tip.Height > margin { // the next block may take long
		return l.outbox.Settle(ctx, c, tip.Height-margin)
	}
	return nil
}
