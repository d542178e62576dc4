package follow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// sealEvery is how many blocks are yielded before finality is looked at again.
const sealEvery = 64

// A run is the state of one Steps. It belongs to the goroutine that reads the steps.
type run struct {
	s      *Source
	yield  func(source.Step, error) bool
	view   view
	shelf  *shelf
	undo   []flow.Point // newest first: to be taken off before the next block is put on
	final  uint64       // height of the newest block that was declared final
	sealed bool         // a block was declared final
	ended  bool         // the reader wants no more
	added  int
	holes  []Hole    // left out since the last block, to be told of with the next
	alone  time.Time // since when no node answers well
}

// follow leads the reader to whatever the nodes agree on, until ctx is done or the reader ends it.
func (r *run) follow(ctx context.Context) error {
	r.show()
	for ctx.Err() == nil {
		moved := false
		if t, ok := r.s.choose(ctx, &r.view); ok {
			var err error
			if moved, err = r.lead(ctx, t); err != nil {
				return err
			}
		}
		if r.ended {
			return nil
		}
		r.company()
		if !moved {
			r.wait(ctx)
		}
	}
	return ctx.Err()
}

// wait waits until something about a node has changed, and for Config.Poll at most: time itself changes votes.
func (r *run) wait(ctx context.Context) {
	timer := time.NewTimer(r.s.cfg.Poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.s.chain.stir:
	case <-timer.C:
	}
}

// company tells people when no node answers well for long, and when that is over.
func (r *run) company() {
	s := r.s
	s.mu.Lock()
	isAny := slices.ContainsFunc(s.nodes, func(m *member) bool { return m.usable })
	var events []Event
	switch {
	case isAny:
		r.alone = time.Time{}
		if s.chain.lost {
			s.chain.lost = false
			events = append(events, Event{Kind: Recovered})
		}
	case r.alone.IsZero():
		r.alone = time.Now()
	case time.Since(r.alone) >= s.cfg.Patience && !s.chain.lost:
		s.chain.lost = true
		events = append(events, Event{Kind: AllIll})
	}
	s.mu.Unlock()
	s.tell(events...)
}

// lead yields the steps to a target, as far as they can be had now, and reports whether there were any.
func (r *run) lead(ctx context.Context, t target) (moved bool, err error) {
	if t.full {
		r.confirm(true)
	}
	ring := r.view.ring
	tip, ok := ring.tip()
	from, parent := r.s.cfg.From, flow.Hash{}
	if r.s.cfg.FromHead {
		from = t.head.Point.Height
	}
	r.undo, r.holes = nil, nil
	switch {
	case ok && t.head.Point.Height <= tip.Height:
		if p, ok := ring.at(t.head.Point.Height); ok && same(p, t.head.Point.Hash) {
			return r.seal(t, false), nil
		}
		var found bool
		if from, parent, found, err = r.fork(ctx, t, t.by[0]); !found || err != nil {
			return false, err
		}
	case ok:
		from, parent = tip.Height+1, tip.Hash
	}
	if from > t.head.Point.Height {
		return false, nil
	}
	for range 2 {
		l := &lane{s: r.s, shelf: r.shelf, t: t, next: from, parent: parent, last: t.head.Point.Height}
		l.add = func(b source.Block) bool { moved = true; return r.add(t, b) }
		l.skip = r.skip
		end := l.run(ctx)
		if r.ended || ctx.Err() != nil || end != forked {
			return r.seal(t, moved) || moved, nil
		}
		if len(r.undo) > 0 { // the same node said that there is nothing between
			r.s.unlinked(l.giver, time.Now(), Header{Point: flow.Point{Chain: r.s.cfg.Chain, Height: from}})
			return moved, nil
		}
		var found bool
		if from, parent, found, err = r.fork(ctx, t, l.giver); !found || err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// fork finds where a node's branch leaves the reader's. What the reader has above that is put into undo, to be taken off
// once the first block of the other branch is there. found is false where nothing is to be done, or can be said now.
func (r *run) fork(ctx context.Context, t target, m *member) (from uint64, parent flow.Hash, found bool, err error) {
	ring := r.view.ring
	points := ring.points[:ring.upTo(t.head.Point.Height)]
	if len(points) == 0 {
		return 0, parent, false, nil // all that is remembered is above
	}
	began := time.Now()
	keep, ok := r.s.keep(ctx, m, points)
	switch {
	case !ok:
		return 0, parent, false, nil
	case keep == len(ring.points):
		// The node has the reader's tip, and what it has above is not on top of it.
		r.s.unlinked(m, began, Header{Point: flow.Point{Chain: r.s.cfg.Chain, Height: points[keep-1].Height + 1}})
		return 0, parent, false, nil
	case keep == len(points):
		return 0, parent, false, nil // behind, on the reader's branch
	}
	lowest := ring.points[keep]
	if r.sealed && lowest.Height <= r.final {
		r.s.lied(m, began, lowest, fmt.Sprintf("its branch leaves ours at or below block %d, and block %d was final", lowest.Height, r.final))
		return 0, parent, false, nil
	}
	// Nothing is taken back for a branch of which the node cannot show the end.
	if r.s.isDoubtful(m, t.head) && !r.s.prove(ctx, m, Header{Point: t.head.Point}) { // its parent is another node's word
		return 0, parent, false, nil
	}
	if keep == 0 && ring.cut {
		return 0, parent, false, fmt.Errorf("%s says %s, and is not on the reader's branch at block %d nor anywhere above: %w; start with an empty store",
			m.Name(), t.head.Point, lowest.Height, ErrDeep)
	}
	from = lowest.Height
	if keep > 0 {
		from, parent = ring.points[keep-1].Height+1, ring.points[keep-1].Hash
	}
	r.undo = slices.Clone(ring.points[keep:])
	slices.Reverse(r.undo)
	return from, parent, true, nil
}

// isDoubtful reports whether a node has not shown its block of a header yet.
func (s *Source) isDoubtful(m *member, h Header) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.proven != h.Point.Hash
}

// keep is how many of these points are on a node's branch, from the lowest on. It looks back from the newest in steps
// that double, then halves what is between. Points without a hash are kept only if no point above them is off the branch,
// or one above them is on it. ok is false where the node does not say.
func (s *Source) keep(ctx context.Context, m *member, points []flow.Point) (n int, ok bool) {
	var named []int // the points that can be compared
	for i, p := range points {
		if !p.Hash.IsZero() {
			named = append(named, i)
		}
	}
	defer func() {
		switch {
		case n == len(named):
			n = len(points)
		case n > 0:
			n = named[n-1] + 1
		}
	}()
	has := func(i int) (is, ok bool) {
		p := points[named[i]]
		h, ok := s.at(ctx, m, p.Height)
		return ok && h == p.Hash, ok
	}
	low, high := 0, len(named) // the answer is in low..high: named[:low] are on the branch, named[high:] are not
	for step := 1; low < high; step *= 2 {
		i := max(len(named)-step, low)
		is, ok := has(i)
		if !ok {
			return 0, false
		}
		if is {
			low = i + 1
			break
		}
		high = i
	}
	for low < high {
		mid := low + (high-low)/2
		is, ok := has(mid)
		switch {
		case !ok:
			return 0, false
		case is:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, true
}

// add takes off what is to be undone, and puts a block on.
func (r *run) add(t target, b source.Block) bool {
	if len(r.undo) > 0 && !r.takeBack() {
		return false
	}
	if !t.full {
		r.confirm(false)
	}
	r.tellHoles()
	if !r.give(source.Step{Op: source.Add, Block: b}) {
		return false
	}
	r.view.ring.push(b.Point)
	r.show()
	if r.added++; r.added%sealEvery == 0 {
		r.seal(t, true)
	}
	return !r.ended
}

// takeBack yields what is to be undone.
func (r *run) takeBack() bool {
	depth := uint64(len(r.undo))
	top := r.undo[0]
	for _, p := range r.undo {
		if !r.give(source.Step{Op: source.Undo, Block: source.Block{Point: p}}) {
			return false
		}
		r.view.ring.pop()
	}
	r.undo = nil
	r.s.mu.Lock()
	st := &r.s.chain.status
	st.Undone += depth
	st.Deepest = max(st.Deepest, depth)
	tip, _ := r.view.ring.tip()
	st.Holes = slices.DeleteFunc(st.Holes, func(h Hole) bool { return h.To > tip.Height })
	r.s.mu.Unlock()
	r.s.tell(Event{Kind: Forked, Point: top, Depth: depth})
	return true
}

// give yields a step.
func (r *run) give(s source.Step) bool {
	r.ended = r.ended || !r.yield(s, nil)
	return !r.ended
}

// skip leaves a block out.
func (r *run) skip(h Header, t *trouble) bool {
	r.holes = append(r.holes, Hole{From: h.Point.Height, To: h.Point.Height, Reason: t.reason, Since: t.since})
	return true
}

// tellHoles records what was left out below the block that is yielded now.
func (r *run) tellHoles() {
	if len(r.holes) == 0 {
		return
	}
	hole := r.holes[0]
	hole.To = r.holes[len(r.holes)-1].To
	r.holes = nil
	r.s.mu.Lock()
	st := &r.s.chain.status
	st.Holes = append(st.Holes, hole)
	st.Holes = st.Holes[max(len(st.Holes)-mostHoles, 0):]
	r.s.mu.Unlock()
	r.s.tell(Event{Kind: HoleOpened, Hole: hole, Reason: hole.Reason})
}

// confirm tells people when blocks are yielded that too few nodes say, and when that is over.
func (r *run) confirm(full bool) {
	r.s.mu.Lock()
	changed := r.s.chain.thin == full
	r.s.chain.thin = !full
	r.s.mu.Unlock()
	switch {
	case changed && full:
		r.s.tell(Event{Kind: Confirmed})
	case changed:
		r.s.tell(Event{Kind: Unconfirmed})
	}
}

// show keeps the tip for the status.
func (r *run) show() {
	tip, _ := r.view.ring.tip()
	r.s.mu.Lock()
	r.s.chain.status.Tip = tip
	r.s.mu.Unlock()
}

// seal declares final what is, and reports whether there was anything. isOn says that the tip is on the target's branch.
//
// Final is what at least Config.Agree nodes call so (or all, where fewer answer): the lowest of them. What they call final
// above the tip makes the tip final. Where too few say anything it is what lies Config.Confirmations below the tip.
func (r *run) seal(t target, isOn bool) bool {
	ring := r.view.ring
	tip, ok := ring.tip()
	if !ok || r.ended {
		return false
	}
	var said []uint64
	var against []*member // they call a block final that is not ours, where ours is final
	usable := 0
	r.s.mu.Lock()
	for _, m := range r.s.nodes {
		if !m.usable {
			continue
		}
		usable++
		p := m.final
		have, ok := ring.at(p.Height)
		switch {
		case p.IsZero():
		case p.Height > tip.Height && isOn && slices.Contains(t.by, m):
			said = append(said, tip.Height)
		case ok && same(have, p.Hash):
			said = append(said, p.Height)
		case ok && r.sealed && p.Height <= r.final:
			against = append(against, m)
		}
	}
	r.s.mu.Unlock()
	for _, m := range against {
		r.s.lied(m, time.Now(), tip, fmt.Sprintf("it calls another block final than ours, and ours is final up to block %d", r.final))
	}
	need := min(r.s.cfg.Agree, max(usable, 1))
	height := uint64(0)
	switch back := uint64(max(r.s.cfg.Confirmations, 0)); {
	case len(said) >= need:
		slices.Sort(said)
		height = said[len(said)-need]
	case back > 0 && tip.Height >= back:
		height = tip.Height - back
	default:
		return false
	}
	n := ring.upTo(height)
	if n == 0 || r.sealed && ring.points[n-1].Height <= r.final {
		return false
	}
	p := ring.points[n-1]
	if !r.give(source.Step{Op: source.Final, Block: source.Block{Point: p}}) {
		return false
	}
	r.sealed, r.final = true, p.Height
	r.s.mu.Lock()
	r.s.chain.status.Final = p
	r.s.mu.Unlock()
	return true
}
