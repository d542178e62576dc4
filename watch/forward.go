package watch

import (
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A blockLog is the way back over one block.
type blockLog struct {
	at     flow.Point
	before flow.Point // the tip below it, if known
	known  bool
	last   []oldLast
	undo   []func() // whatever is rare
}

type oldLast struct {
	seat   *seat
	holder trace.Holder
	time   int64 // 0: it was not there
}

func (l *blockLog) back() {
	for _, old := range slices.Backward(l.last) {
		if old.time == 0 {
			delete(old.seat.last, old.holder)
		} else {
			old.seat.last[old.holder] = old.time
		}
	}
	for _, f := range slices.Backward(l.undo) {
		f()
	}
}

// A view is what the rules of a case look at: one transaction that mattered to it.
type view struct {
	config *Config
	desk   *trace.Desk
	world  World
	log    *blockLog
	tx     *flow.Tx
	hops   []hop  // under all rules that count
	led    []*hop // those of the leading rule
	add    func(candidate)
}

// Forward eats a block, which stands above all that were eaten of its chain, and says what it brought. w answers from a
// state of the store that holds the block. If there is an error, nothing was eaten: errors wrap trace.ErrOrder where the
// block does not stand there; else they are those of w and of ctx.
func (w *Watch) Forward(ctx context.Context, world World, s Seen) (News, error) {
	p := s.Block.Point
	ch := w.chain(p.Chain)
	if ch.known && p.Height <= ch.tip.Height {
		return News{}, fmt.Errorf("watch %s above %s: %w", p, ch.tip, trace.ErrOrder)
	}
	log := &blockLog{at: p, before: ch.tip, known: ch.known}
	b := &block{Watch: w, ctx: ctx, world: world, seen: s, log: log, troubles: map[string]trouble{}}
	b.remake(ch, p.Chain)
	news, err := b.eat()
	if err != nil {
		w.desk.Undo(p.Chain, flow.Pos{Height: p.Height})
		log.back()
		w.detectorsBack(p)
		return News{}, fmt.Errorf("watch %s: %w", p, err)
	}
	ch.known, ch.tip = true, p
	ch.log = append(ch.log, log)
	if n := len(ch.log) - w.config.UndoDepth; n > w.config.UndoDepth {
		ch.forget(n)
	}
	b.count(news)
	return news, nil
}

// forget drops the way back over the n oldest blocks of the log.
func (ch *chainState) forget(n int) {
	if n > 0 {
		ch.lost = ch.log[n-1].at.Height
		ch.log = slices.Clone(ch.log[n:])
	}
}

// remake makes anew what a Back or a Restore has left behind.
func (b *block) remake(ch *chainState, c flow.Chain) {
	if !ch.stale {
		return
	}
	ch.stale = false
	for _, s := range b.seats {
		if s.chain == c && s.stale {
			if err := s.remake(b.world); err != nil {
				b.fail(s, nil, err)
			}
		}
	}
}

func (w *Watch) detectorsBack(p flow.Point) {
	for _, s := range w.seats {
		if s.chain != p.Chain || s.stale {
			continue
		}
		if s.detector != nil {
			if _, err := s.detector.Undo(flow.Pos{Height: p.Height}); err == nil {
				continue
			}
		}
		s.stale, w.chain(p.Chain).stale = true, true
	}
}

// Back takes a block back, and all above it. There is nothing to tell: who keeps what was said corrects what is not said
// again. A case whose undo log does not reach that far is set aside; the next Forward says so.
func (w *Watch) Back(p flow.Point) {
	ch := w.chain(p.Chain)
	if !ch.known || p.Height > ch.tip.Height {
		return
	}
	w.desk.Undo(p.Chain, flow.Pos{Height: p.Height})
	w.detectorsBack(p)
	for _, s := range w.seats {
		if s.chain == p.Chain && p.Height <= max(s.since, ch.lost) {
			s.stale, ch.stale = true, true
		}
	}
	for n := len(ch.log) - 1; n >= 0 && ch.log[n].at.Height >= p.Height; n-- {
		l := ch.log[n]
		l.back()
		ch.tip, ch.known = l.before, l.known
		ch.log = ch.log[:n]
		w.stats.Undone++
	}
	if ch.known && ch.tip.Height >= p.Height { // deeper than the log
		ch.tip, ch.known = flow.Point{Chain: p.Chain, Height: max(p.Height, 1) - 1}, p.Height > 0
	}
}

// Final says that a block and all below it will never be undone.
func (w *Watch) Final(p flow.Point) {
	ch := w.chain(p.Chain)
	w.desk.Final(p.Chain, trace.After(p).Next)
	n := 0
	for n < len(ch.log) && ch.log[n].at.Height <= p.Height {
		n++
	}
	if n > len(ch.log)/2 { // what little there is beside more that stays is dropped with it later
		ch.forget(n)
	}
}
