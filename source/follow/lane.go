package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// An item is a block that is asked for.
type item struct {
	head  Header
	giver *member   // who said so
	by    []*member // on whose branch it is
	block source.Block
	done  bool
	calls []call // under way
}

// lanePolls is for how many times Config.Poll a lane goes on before the votes are counted again.
const lanePolls = 10

// mostWindows is how many windows of headers a lane holds at most: all but a few are of blocks in trouble.
const mostWindows = 16

// A call is one request for the block of an item.
type call struct {
	m     *member
	began time.Time
}

// A trouble is what is known of a block that a node did not give.
type trouble struct {
	since  time.Time // of the first failure
	last   time.Time // of the last
	lone   time.Time // since when it is not given while later ones are; zero if that is not so
	reason string    // of the last failure
	fails  map[*member]int
	after  map[*member]time.Time // when a node may be asked for it again
}

// A shelf is what is kept from one lane to the next: blocks that were checked before those below them, and troubles.
type shelf struct {
	blocks   map[flow.Hash]source.Block
	troubles map[flow.Hash]*trouble
	largest  int64     // bytes of a block, of late
	given    time.Time // when a block was given last
}

func newShelf() *shelf {
	return &shelf{blocks: map[flow.Hash]source.Block{}, troubles: map[flow.Hash]*trouble{}}
}

// A result is the outcome of a call.
type result struct {
	it    *item
	m     *member
	began time.Time
	block source.Block
	err   error
}

// An ending says why a lane ended.
type ending uint8

const (
	arrived ending = iota // at its last height
	stuck                 // what comes next cannot be got now
	forked                // what comes next is not on top of the lane's parent
	stopped               // by its reader or its context
)

// A lane fetches the blocks of a run of heights, several at once from several nodes, and hands them on in order, checked.
// It belongs to one goroutine; the goroutines that it starts end before run returns.
type lane struct {
	s      *Source
	shelf  *shelf
	t      target
	next   uint64    // the first height whose header is not known yet
	parent flow.Hash // of the block there; zero where that is not known
	last   uint64
	// add is given each block. skip, if any, is told that a block is left out. Both end the lane with false.
	add  func(source.Block) bool
	skip func(h Header, t *trouble) bool

	items   []*item
	began   time.Time
	closed  bool    // no more headers are asked for
	probe   *item   // one that is got again, to know whether blocks are given at all
	giver   *member // whose headers do not fit on the parent
	results chan result
	windows chan window // holds one
	asking  bool        // for a window
	dry     bool        // no window could be had
	fork    bool
	flying  int
	working sync.WaitGroup
}

// run fetches until all is handed on, or nothing goes on.
func (l *lane) run(ctx context.Context) ending {
	ctx, stop := context.WithCancel(ctx)
	defer l.working.Wait()
	defer stop()
	defer l.park()
	cfg := &l.s.cfg
	l.results, l.windows = make(chan result, 2*cfg.Ahead), make(chan window, 1)
	tick := time.NewTicker(max(min(cfg.Slow, cfg.Poll)/4, time.Millisecond))
	defer tick.Stop()
	l.began = time.Now()
	moved := l.began
	for {
		if l.isOld() && !l.closed && !l.asking && len(l.items) > 0 {
			l.close()
		}
		n, ok := l.hand()
		if !ok {
			return stopped
		}
		if n > 0 {
			moved = time.Now()
		}
		if len(l.items) == 0 {
			switch {
			case l.next > l.last:
				return arrived
			case l.fork:
				return forked
			case l.dry:
				return stuck
			}
		}
		if l.wants() {
			l.asking = true
			next, parent, size := l.next, l.parent, int(min(uint64(cfg.Window), l.last-l.next+1))
			l.working.Go(func() { l.windows <- l.s.window(ctx, l.t, next, parent, size) })
		}
		l.start(ctx)
		if len(l.items) > 0 && l.flying == 0 && time.Since(moved) >= cfg.Poll {
			return stuck // the nodes, or their minds, may be others by now
		}
		select {
		case <-ctx.Done():
			return stopped
		case <-tick.C:
		case r := <-l.results:
			l.flying--
			if l.take(ctx, r) {
				moved = time.Now()
			}
		case w := <-l.windows:
			l.asking = false
			l.extend(w)
		}
	}
}

// close lets the lane end with what is under way, so that the votes are counted again.
func (l *lane) close() {
	n := len(l.items)
	for n > 1 && !l.items[n-1].done && len(l.items[n-1].calls) == 0 {
		n--
	}
	l.items, l.closed = l.items[:n], true
	l.last = l.items[n-1].head.Point.Height
	l.next = l.last + 1
}

// isOld reports whether the votes are to be counted again.
func (l *lane) isOld() bool { return time.Since(l.began) >= lanePolls*l.s.cfg.Poll }

// extend puts a window behind what is asked for.
func (l *lane) extend(w window) {
	if len(w.headers) == 0 {
		l.dry, l.fork, l.giver = !w.forked, w.forked, w.giver
		return
	}
	for _, h := range w.headers {
		it := &item{head: h, giver: w.giver, by: w.by}
		if b, ok := l.shelf.blocks[h.Point.Hash]; ok {
			it.block, it.done = b, true
			delete(l.shelf.blocks, h.Point.Hash)
		}
		l.items = append(l.items, it)
		l.next, l.parent = h.Point.Height+1, h.Point.Hash
		l.s.see(h.Point)
	}
}

// hand gives the reader what is next, as far as it is there. n is how many items are done with.
func (l *lane) hand() (n int, ok bool) {
	for len(l.items) > 0 {
		it := l.items[0]
		t := l.shelf.troubles[it.head.Point.Hash]
		switch {
		case it.done:
			if t != nil {
				delete(l.shelf.troubles, it.head.Point.Hash)
			}
			l.items[0], l.items = nil, l.items[1:]
			if !l.add(it.block) {
				return n, false
			}
		case l.isHopeless(t):
			l.items[0], l.items = nil, l.items[1:]
			if !l.skip(it.head, t) {
				return n, false
			}
		default:
			return n, true
		}
		n++
	}
	return n, true
}

// isHopeless reports whether the first item is to be left out: for long enough it was not given while later ones were, nor
// when it was asked for once more after that, and a later one is given even now. To know that, one may have to be got again.
func (l *lane) isHopeless(t *trouble) bool {
	giveUp := l.s.cfg.GiveUp
	if t == nil || l.skip == nil || giveUp < 0 || t.lone.IsZero() || t.last.Sub(t.lone) < giveUp {
		return false
	}
	if !l.shelf.given.Before(t.lone.Add(giveUp)) {
		return slices.ContainsFunc(l.items, func(it *item) bool { return it.done })
	}
	if l.probe == nil || l.probe.done {
		for _, it := range slices.Backward(l.items) {
			if it.done {
				it.done, it.block, l.probe = false, source.Block{}, it
				break
			}
		}
	}
	return false
}

// wants reports whether headers are asked for: those of blocks that are in trouble do not count, so that the lane finds
// out where it could go on.
func (l *lane) wants() bool {
	if l.asking || l.dry || l.fork || l.isOld() && len(l.items) > 0 || l.next > l.last || len(l.items) >= mostWindows*l.s.cfg.Window {
		return false
	}
	n := 0
	for _, it := range l.items {
		if it.done || l.shelf.troubles[it.head.Point.Hash] == nil {
			n++
		}
	}
	return n < l.s.cfg.Window/2+l.s.cfg.Ahead
}

// start makes as many calls as may be under way at once: first for blocks that were never missed, so that one which nobody
// gives does not keep nodes from the others.
func (l *lane) start(ctx context.Context) {
	var held int64
	ready := 0
	for _, it := range l.items {
		if it.done {
			ready++
			held += int64(len(it.block.Raw))
		}
	}
	for _, missed := range []bool{false, true} {
		for i, it := range l.items {
			if it.done || missed != (l.shelf.troubles[it.head.Point.Hash] != nil) {
				continue
			}
			if !l.startOne(ctx, it, i == 0, ready, held) {
				break
			}
		}
	}
}

// startOne makes a call for an item if one is due and a node can be asked, and reports whether others may follow. The
// first item is always asked for.
func (l *lane) startOne(ctx context.Context, it *item, isFirst bool, ready int, held int64) bool {
	cfg := &l.s.cfg
	if len(it.calls) > 1 || len(it.calls) == 1 && time.Since(it.calls[0].began) < cfg.Slow {
		return true
	}
	isFull := l.flying+ready >= cfg.Ahead || held+int64(l.flying+1)*l.shelf.largest > cfg.Bytes
	if l.flying >= cap(l.results) || isFull && !isFirst {
		return false
	}
	if m := l.pick(it); m != nil {
		it.calls = append(it.calls, call{m, time.Now()})
		l.flying++
		l.working.Go(func() { l.results <- l.s.fetch(ctx, it, m) })
	}
	return true
}

// pick reserves the node that is likely to give an item soonest; nil if none can be asked now.
func (l *lane) pick(it *item) *member {
	t := l.shelf.troubles[it.head.Point.Hash]
	now := time.Now()
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	var best *member
	for _, m := range it.by {
		if !m.usable || m.inFlight >= int(m.limit) || t != nil && now.Before(t.after[m]) {
			continue
		}
		if slices.ContainsFunc(it.calls, func(c call) bool { return c.m == m }) {
			continue
		}
		if best == nil || isSooner(t, m, best) {
			best = m
		}
	}
	if best != nil {
		best.inFlight++
	}
	return best
}

// isSooner reports whether a node is likely to give a block sooner than another one.
func isSooner(t *trouble, a, b *member) bool {
	if t != nil && t.fails[a] != t.fails[b] {
		return t.fails[a] < t.fails[b]
	}
	return time.Duration(a.inFlight+1)*a.pace < time.Duration(b.inFlight+1)*b.pace
}

// take keeps the outcome of a call, and reports whether it is a block.
func (l *lane) take(ctx context.Context, r result) bool {
	r.it.calls = slices.DeleteFunc(r.it.calls, func(c call) bool { return c.m == r.m })
	if r.it.done {
		return false
	}
	if r.err == nil {
		size := int64(len(r.block.Raw))
		l.shelf.largest = max(size, l.shelf.largest-l.shelf.largest/16)
		r.it.block, r.it.done = r.block, true
		l.shelf.given = time.Now()
		l.leave(r.it.head.Point.Height, time.Now().Add(-l.s.cfg.Timeout))
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	l.shelf.failed(r, l.s.cfg)
	for _, it := range l.items {
		if it.done {
			l.leave(it.head.Point.Height, time.Now())
		}
	}
	return false
}

// leave takes down that a block was given while those below it which failed since then were not.
func (l *lane) leave(given uint64, since time.Time) {
	for _, it := range l.items {
		if it.head.Point.Height >= given {
			return
		}
		if t := l.shelf.troubles[it.head.Point.Hash]; t != nil && !it.done && t.lone.IsZero() && !t.last.Before(since) {
			t.lone = time.Now()
		}
	}
}

// failed keeps that a node did not give a block.
func (f *shelf) failed(r result, cfg Config) {
	now := time.Now()
	t := f.troubles[r.it.head.Point.Hash]
	if t == nil {
		if len(f.troubles) > 2*mostWindows*cfg.Window {
			clear(f.troubles) // of branches that are gone
		}
		t = &trouble{since: r.began, fails: map[*member]int{}, after: map[*member]time.Time{}}
		f.troubles[r.it.head.Point.Hash] = t
	}
	t.reason = clip(r.m.Name() + ": " + r.err.Error())
	t.last = now
	t.after[r.m] = now.Add(min(cfg.Poll/4<<min(t.fails[r.m], 10), cfg.Patience))
	t.fails[r.m]++
}

// park keeps the blocks that were fetched and not handed on for the next lane.
func (l *lane) park() {
	clear(l.shelf.blocks)
	var held int64
	for _, it := range l.items {
		if held += int64(len(it.block.Raw)); it.done && held <= l.s.cfg.Bytes {
			l.shelf.blocks[it.head.Point.Hash] = it.block
		}
	}
}

// fetch asks one node for one block and checks it, and learns how much may be asked of the node.
func (s *Source) fetch(ctx context.Context, it *item, m *member) result {
	b, began, err := ask(ctx, s, m, fmt.Sprintf("block %d", it.head.Point.Height),
		func(ctx context.Context) (source.Block, error) { return m.Block(ctx, it.head) })
	took := time.Since(began)
	s.learn(m, began, took, err == nil || errors.Is(err, ErrNotFound), ctx.Err() != nil)
	r := result{it: it, m: m, began: began, err: err}
	if err != nil {
		return r
	}
	wrong, err := s.verify(ctx, it.head, b)
	switch {
	case err == nil:
		if b.Parent.IsZero() {
			b.Parent = it.head.Parent
		}
		r.block = b
		return r
	case ctx.Err() != nil:
	case wrong == otherBlock:
		// A node that can only be asked by height may be on another branch by now; it lies if it says that it is not.
		if hash, ok := s.at(ctx, m, it.head.Point.Height); ok && hash == it.head.Point.Hash {
			s.lied(m, began, it.head.Point, err.Error())
		}
	case wrong == wrongHeader:
		s.lied(it.giver, began, it.head.Point, err.Error())
	default:
		s.lied(m, began, it.head.Point, err.Error())
	}
	r.err = err
	return r
}

// learn adapts how many calls for blocks a node gets at once: one more for each round that went well, half as many once
// for each that did not.
func (s *Source) learn(m *member, began time.Time, took time.Duration, ok, cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.inFlight--
	slow := took >= s.cfg.Slow
	if !cancelled || slow {
		m.pace += (took - m.pace) / 8
		if m.pace < took/4 || m.pace == 0 {
			m.pace = took
		}
	}
	switch {
	case cancelled && !slow:
	case ok && !slow:
		m.limit = min(m.limit+1/m.limit, float64(s.cfg.Ahead))
	case began.After(m.cut):
		m.limit, m.cut = max(1, m.limit/2), time.Now()
	}
}

// A fault says whose word was wrong.
type fault uint8

const (
	wrongBlock fault = iota + 1
	otherBlock
	wrongHeader
)

// verify holds a block against the header by which it was asked for, and against itself.
func (s *Source) verify(ctx context.Context, h Header, b source.Block) (fault, error) {
	if b.Point.Chain != h.Point.Chain || b.Point.Height != h.Point.Height || b.Point.Hash != h.Point.Hash {
		return otherBlock, fmt.Errorf("asked for %s it gives %s", h.Point, b.Point)
	}
	if len(b.Raw) == 0 {
		return wrongBlock, fmt.Errorf("%s is empty", h.Point)
	}
	if s.cfg.Check != nil {
		if err := s.cfg.Check(ctx, b); err != nil {
			return wrongBlock, fmt.Errorf("%s does not check: %w", h.Point, err)
		}
	}
	if !b.Parent.IsZero() && !h.Parent.IsZero() && b.Parent != h.Parent {
		if s.cfg.Check == nil {
			return wrongBlock, fmt.Errorf("%s has the parent %.12s…, its header %.12s…", h.Point, b.Parent, h.Parent)
		}
		return wrongHeader, fmt.Errorf("the header of %s names the parent %.12s…, the block that checks has %.12s…", h.Point, h.Parent, b.Parent)
	}
	return 0, nil
}
