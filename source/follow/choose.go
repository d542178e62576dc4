package follow

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/flow"
)

// A target is a block that a reader is led to.
type target struct {
	head  Header    // its parent may not be known
	owner *member   // who says so
	by    []*member // the nodes on whose branch it is
	need  int       // so many must say each block on the way
	full  bool      // no fewer than Config.Agree
}

// A view is what one reader remembers of the votes, and what it has.
type view struct {
	ring     *ring
	began    time.Time
	agreed   flow.Point // the newest block that enough nodes said
	agreedAt time.Time  // when that last changed, or was all there is
}

// A candidate is a head that at least one node says.
type candidate struct {
	head  Header
	owner *member   // one whose head it is
	by    []*member // on whose branch it is
	votes int       // by, and those whose head is an ancestor of it, but for those who stand still
}

// choose says which block the reader is led to; ok is false while that is open.
//
// Each head that a node says is a candidate, and every node is asked whether it is on its branch. Of the candidates that
// Config.Agree nodes say (or all, where fewer answer), the one with more votes wins; a vote is a node that has the block
// or is on the way to it. Where votes are equal the longer of two on one branch wins, and of two on different branches
// the reader's own, unless the other is longer by Config.Margin. While heads differ, the reader stays at what is agreed
// on. If that does not move for Config.Patience, the best of all candidates is followed, unconfirmed, by the same
// rules: of nodes that disagree for so long one is broken, and standing still for ever helps nobody. A node whose head
// stays the same for so long while it lacks Config.Behind blocks of the highest has no vote.
func (s *Source) choose(ctx context.Context, v *view) (t target, ok bool) {
	now := time.Now()
	if v.began.IsZero() {
		v.began, v.agreedAt = now, now
	}
	s.mu.Lock()
	var usable []*member
	heads, still := map[*member]Header{}, map[*member]bool{}
	waiting := false
	for _, m := range s.nodes {
		waiting = waiting || !m.tried
		if m.usable {
			usable = append(usable, m)
			heads[m] = m.head
			still[m] = !m.behind.IsZero() && now.Sub(m.behind) >= s.cfg.Patience && s.chain.top >= m.head.Point.Height+s.cfg.Behind
		}
	}
	s.mu.Unlock()
	if waiting && now.Sub(v.began) < s.cfg.Timeout {
		return target{}, false // the first to answer is not the only one there is
	}
	if len(usable) == 0 {
		return target{}, false
	}
	need := min(s.cfg.Agree, len(usable))
	all := s.candidates(ctx, usable, heads, still)
	if ctx.Err() != nil || len(all) == 0 {
		return target{}, false
	}
	free := s.best(ctx, v, all)
	agreed := s.best(ctx, v, slices.DeleteFunc(slices.Clone(all), func(c *candidate) bool { return len(c.by) < need }))
	if agreed == nil {
		agreed = s.common(ctx, v, usable, heads, need)
	}
	if agreed != nil && agreed.head.Point.Hash != v.agreed.Hash {
		v.agreed, v.agreedAt = agreed.head.Point, now
	}
	if agreed == free {
		v.agreedAt = now
	}
	pick := agreed
	if now.Sub(v.agreedAt) >= s.cfg.Patience {
		pick, need = free, min(need, len(free.by))
	}
	s.doubt(all, heads, need, pick)
	s.chosen(v, all, pick, need)
	if pick == nil {
		return target{}, false
	}
	return target{head: pick.head, owner: pick.owner, by: pick.by, need: need, full: need >= s.cfg.Agree}, true
}

// candidates are the heads of nodes, each with those on whose branch it is, highest first.
func (s *Source) candidates(ctx context.Context, usable []*member, heads map[*member]Header, still map[*member]bool) []*candidate {
	var all []*candidate
	for _, m := range usable {
		h := heads[m]
		if !slices.ContainsFunc(all, func(c *candidate) bool { return c.head.Point.Hash == h.Point.Hash }) {
			all = append(all, &candidate{head: h, owner: m})
		}
	}
	slices.SortStableFunc(all, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.head.Point.Height, a.head.Point.Height), a.head.Point.Hash.Compare(b.head.Point.Hash))
	})
	has := make([][]bool, len(usable)) // of each node: which candidates are on its branch
	var asking sync.WaitGroup
	for i, m := range usable {
		has[i] = make([]bool, len(all))
		asking.Go(func() {
			for k, c := range all {
				p := c.head.Point
				if p.Height <= heads[m].Point.Height {
					hash, ok := s.at(ctx, m, p.Height)
					has[i][k] = ok && hash == p.Hash
				}
			}
		})
	}
	asking.Wait()
	for k, c := range all {
		for i, m := range usable {
			if has[i][k] {
				c.by = append(c.by, m)
			}
		}
	}
	all = slices.DeleteFunc(all, func(c *candidate) bool { return !slices.Contains(c.by, c.owner) }) // it changed its mind, or fell ill
	for _, c := range all {
		for _, m := range usable {
			isBelow := func(o *candidate) bool {
				return o.head.Point.Hash == heads[m].Point.Hash && slices.Contains(o.by, c.owner)
			}
			if !still[m] && (slices.Contains(c.by, m) || slices.ContainsFunc(all, isBelow)) {
				c.votes++
			}
		}
	}
	return all
}

// doubt marks the nodes whose head too few others say, or which are on another branch than the pick: they have to show
// it.
func (s *Source) doubt(all []*candidate, heads map[*member]Header, need int, pick *candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range all {
		for m, h := range heads {
			switch {
			case h.Point.Hash != c.head.Point.Hash || m.head.Point.Hash != h.Point.Hash:
			case len(c.by) >= need && (pick == nil || slices.Contains(pick.by, m) || h.Point.Height < pick.head.Point.Height):
				m.doubt = time.Time{}
			case m.doubt.IsZero():
				m.doubt = time.Now()
			}
		}
	}
}

// best is the candidate that wins, nil of none.
func (s *Source) best(ctx context.Context, v *view, all []*candidate) *candidate {
	var win *candidate
	for _, c := range all {
		if win == nil || s.isBetter(ctx, v, c, win) {
			win = c
		}
	}
	return win
}

// isBetter reports whether a wins over b, which is as high or higher.
func (s *Source) isBetter(ctx context.Context, v *view, a, b *candidate) bool {
	switch {
	case a.votes != b.votes:
		return a.votes > b.votes
	case slices.Contains(a.by, b.owner): // one branch
		return false
	case b.head.Point.Height >= a.head.Point.Height+s.cfg.Margin:
		return false
	}
	return s.isOurs(ctx, v, a) && !s.isOurs(ctx, v, b)
}

// isOurs reports whether a candidate is on the reader's branch: above its tip, or below.
func (s *Source) isOurs(ctx context.Context, v *view, c *candidate) bool {
	tip, ok := v.ring.tip()
	if !ok {
		return false
	}
	if h := c.head.Point.Height; h < tip.Height {
		p, ok := v.ring.at(h)
		return ok && same(p, c.head.Point.Hash)
	}
	hash, ok := s.at(ctx, c.owner, tip.Height)
	return ok && same(tip, hash)
}

// common is a block far below heads that differ, if the reader is not there yet: where it back-fills it need not wait for
// the heads to agree.
func (s *Source) common(ctx context.Context, v *view, usable []*member, heads map[*member]Header, need int) *candidate {
	lowest := heads[usable[0]].Point.Height
	for _, m := range usable {
		lowest = min(lowest, heads[m].Point.Height)
	}
	below := uint64(max(s.cfg.Confirmations, 1))
	tip, _ := v.ring.tip()
	if lowest < below || lowest-below <= max(tip.Height, s.cfg.From) || s.cfg.FromHead && tip.IsZero() {
		return nil
	}
	height := lowest - below
	votes := map[flow.Hash][]*member{}
	for _, m := range usable {
		if hash, ok := s.at(ctx, m, height); ok {
			votes[hash] = append(votes[hash], m)
		}
	}
	for hash, by := range votes {
		if len(by) >= need && 2*len(by) > len(usable) {
			return &candidate{head: Header{Point: flow.Point{Chain: s.cfg.Chain, Height: height, Hash: hash}}, owner: by[0], by: by, votes: len(by)}
		}
	}
	return nil
}

// chosen keeps the outcome for the status, and finds out who is stale.
func (s *Source) chosen(v *view, all []*candidate, pick *candidate, need int) {
	now := time.Now()
	tip, _ := v.ring.tip()
	var events []Event
	s.mu.Lock()
	st := &s.chain.status
	s.chain.top = max(all[0].head.Point.Height, tip.Height)
	if pick != nil {
		st.Head, st.Agree, st.Need = pick.head.Point, len(pick.by), s.cfg.Agree
		st.Unconfirmed = need < s.cfg.Agree
	}
	for _, m := range s.nodes {
		if !m.usable {
			continue
		}
		switch {
		case m.head.Point.Height >= s.chain.top:
			if m.told && m.state == Well {
				m.told = false
				events = append(events, Event{Kind: NodeRecovered, Node: m.Name(), Point: m.head.Point})
			}
			m.behind = time.Time{}
		case m.behind.IsZero():
			m.behind = now
		case now.Sub(m.behind) > s.cfg.Patience && !m.told:
			m.told = true
			events = append(events, Event{Kind: NodeStale, Node: m.Name(), Point: m.head.Point})
		}
	}
	s.mu.Unlock()
	s.tell(events...)
}
