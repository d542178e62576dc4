package follow

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spoor-dev/spoor/flow"
)

// A window is a run of headers, each linked to the one before, that enough nodes say.
type window struct {
	headers []Header // none if no node gives them
	giver   *member
	by      []*member // on whose branch they are
	forked  bool      // the first is not on top of the parent that was named; then there are no headers
}

// window asks the nodes of a target for headers from a height on, on top of a parent unless that is zero. What one node
// says has to be said by as many as the target needs.
func (s *Source) window(ctx context.Context, t target, from uint64, parent flow.Hash, n int) window {
	if h := t.head; n == 1 && h.Point.Height == from && !h.Parent.IsZero() && h.Parent == parent {
		s.follow(s.inTurn(t.by)[0])
		return window{headers: []Header{h}, giver: t.owner, by: t.by} // nothing to ask
	}
	for _, m := range s.inTurn(t.by) {
		if ctx.Err() != nil || !s.isUsable(m) {
			continue
		}
		list, began, err := s.headers(ctx, m, from, n)
		if err != nil {
			continue
		}
		if first := list[0]; !parent.IsZero() && first.Parent != parent {
			return window{giver: m, forked: true}
		}
		top := list[len(list)-1]
		if h := t.head.Point; top.Point.Height == h.Height && top.Point.Hash != h.Hash {
			s.look(ctx, m)
			continue // it has left that branch meanwhile
		}
		by, against := s.sayers(ctx, t.by, m, top)
		// Of nodes that have the same block above, and say different ones here, one made it up. All have to show theirs.
		for o, h := range against {
			s.prove(ctx, o, Header{Point: flow.Point{Chain: s.cfg.Chain, Height: top.Point.Height, Hash: h}})
		}
		if len(by) >= t.need || len(against) == 0 {
			s.follow(m)
			return window{headers: list, giver: m, by: by}
		}
		if s.prove(ctx, m, top) {
			s.errs(m, began, fmt.Errorf("it says %s, where %d others say another block, and all have the same one above", top.Point, len(against)))
		}
	}
	return window{}
}

// inTurn are nodes, the one that is followed first, then the quickest.
func (s *Source) inTurn(by []*member) []*member {
	by = slices.Clone(by)
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(by, func(a, b *member) int {
		switch {
		case a == b:
			return 0
		case a == s.chain.leader:
			return -1
		case b == s.chain.leader:
			return 1
		}
		return int(max(min(a.pace-b.pace, 1), -1))
	})
	return by
}

// sayers are the nodes that say the same as giver about a block, giver first, and what those say who say another.
func (s *Source) sayers(ctx context.Context, all []*member, giver *member, h Header) (by []*member, against map[*member]flow.Hash) {
	said := make([]flow.Hash, len(all))
	var asking sync.WaitGroup
	for i, m := range all {
		if m != giver {
			asking.Go(func() { said[i], _ = s.at(ctx, m, h.Point.Height) })
		}
	}
	asking.Wait()
	by, against = []*member{giver}, map[*member]flow.Hash{}
	for i, m := range all {
		switch {
		case m == giver || said[i].IsZero():
		case said[i] == h.Point.Hash:
			by = append(by, m)
		default:
			against[m] = said[i]
		}
	}
	return by, against
}

// follow keeps which node's headers are followed, and tells if it is another one because that before is not well.
func (s *Source) follow(m *member) {
	s.mu.Lock()
	before := s.chain.leader
	isForced := before != nil && before != m && !before.usable
	s.chain.leader = m
	s.mu.Unlock()
	if isForced {
		s.tell(Event{Kind: NodeSwitched, Node: m.Name(), Reason: "before it " + before.Name()})
	}
}
