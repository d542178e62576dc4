package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// alonePolls is for how many times Config.Poll an ill node sits while no node answers.
const alonePolls = 5

// attend asks one node for its head, again and again until ctx is done: when it is poked, else every Config.Poll.
func (s *Source) attend(ctx context.Context, m *member) {
	for s.sit(ctx, m) {
		began := time.Now()
		s.look(ctx, m)
		select {
		case m.looked <- struct{}{}:
		default:
		}
		s.mu.Lock()
		near := m.usable && m.head.Point.Height < s.chain.top && s.chain.top-m.head.Point.Height <= s.cfg.Behind
		s.mu.Unlock()
		wait := s.jitter(s.cfg.Poll)
		if near { // it will have the block in a moment
			wait /= 4
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.wake:
			pause(ctx, s.cfg.Poll/50-time.Since(began)) // a node may push as often as it likes
		}
		timer.Stop()
	}
}

// examine asks one node, after its head, what it calls final, and for the block of a head that others do not say: beside
// attend, so that neither holds up the next head.
func (s *Source) examine(ctx context.Context, m *member) {
	var finalFor flow.Hash // the head for which the node was asked what is final
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.looked:
		}
		s.mu.Lock()
		head, usable := m.head, m.usable
		doubted := usable && !m.doubt.IsZero() && time.Since(m.doubt) >= s.cfg.Poll && m.proven != head.Point.Hash
		s.mu.Unlock()
		asked := usable && head.Point.Hash != finalFor
		if asked {
			finalFor = head.Point.Hash
			s.askFinal(ctx, m)
		}
		if doubted {
			s.prove(ctx, m, head)
		}
		if asked && !pause(ctx, s.cfg.Poll) {
			return
		}
	}
}

// jitter is a duration near d.
func (s *Source) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*s.cfg.Chance()))
}

// pause waits, and reports whether ctx is not done.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// sit waits until a node's bench is over, and reports whether ctx is not done. While no other node answers, one that is ill
// does not sit for long: it may have been the way to all of them that was broken.
func (s *Source) sit(ctx context.Context, m *member) bool {
	short := alonePolls * s.cfg.Poll
	for {
		s.mu.Lock()
		if m.state == Ill && time.Since(m.benched) >= short && !slices.ContainsFunc(s.nodes, func(o *member) bool { return o.usable }) {
			m.until = time.Now()
		}
		until := m.until
		s.mu.Unlock()
		wait := time.Until(until)
		if wait <= 0 {
			return ctx.Err() == nil
		}
		if !pause(ctx, min(wait, short)) {
			return false
		}
	}
}

// look asks a node for its chain, once, and for its head.
func (s *Source) look(ctx context.Context, m *member) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !m.tried && ctx.Err() == nil {
			m.tried = true
			s.stirLocked()
		}
	}()
	s.mu.Lock()
	serves := m.serves
	s.mu.Unlock()
	if !serves {
		c, began, err := ask(ctx, s, m, "chain", m.Chain)
		if errors.Is(err, ErrNotFound) {
			s.errs(m, began, fmt.Errorf("it does not say which chain it serves: %w", err))
		}
		if err != nil {
			return
		}
		if c != s.cfg.Chain {
			s.lied(m, began, flow.Point{}, fmt.Sprintf("it serves the chain %q, not %q", c, s.cfg.Chain))
			return
		}
		s.mu.Lock()
		m.serves = true
		s.mu.Unlock()
	}
	h, began, err := ask(ctx, s, m, "head", m.Head)
	switch {
	case errors.Is(err, ErrNotFound):
		s.errs(m, began, fmt.Errorf("it has no head: %w", err))
	case err == nil:
		s.heard(m, began, h)
	}
}

// askFinal asks a node what it calls final. One that calls a block final which is not the one that was final before,
// lies.
func (s *Source) askFinal(ctx context.Context, m *member) {
	type answer struct {
		p  flow.Point
		ok bool
	}
	a, began, err := ask(ctx, s, m, "final", func(ctx context.Context) (answer, error) {
		p, ok, err := m.Final(ctx)
		return answer{p, ok}, err
	})
	if err != nil || !a.ok {
		return
	}
	s.mu.Lock()
	before, ours, most := m.final, s.chain.status.Final, m.head.Point.Height+s.cfg.Behind
	s.mu.Unlock()
	contradicts := func(p flow.Point) bool {
		return !p.IsZero() && p.Height == a.p.Height && !p.Hash.IsZero() && p.Hash != a.p.Hash
	}
	switch {
	case a.p.Chain != s.cfg.Chain || a.p.Hash.IsZero():
		s.lied(m, began, a.p, fmt.Sprintf("it calls %s final, which is no block of this chain", a.p))
		return
	case a.p.Height > most:
		s.lied(m, began, a.p, fmt.Sprintf("it calls %s final, and has its own head below", a.p))
		return
	case contradicts(before) || contradicts(ours):
		s.lied(m, began, a.p, fmt.Sprintf("it calls %s final, where another block was final before", a.p))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.usable && a.p.Height > m.final.Height {
		m.final = a.p
		s.stirLocked()
	}
}

// prove asks a node for the block of a header which others do not say. One that cannot show it made it up.
func (s *Source) prove(ctx context.Context, m *member, h Header) bool {
	b, began, err := ask(ctx, s, m, "block", func(ctx context.Context) (source.Block, error) { return m.Block(ctx, h) })
	if errors.Is(err, ErrNotFound) {
		s.lacks(ctx, m, began, fmt.Errorf("it says that %s is on its branch, and does not have it: %w", h.Point, err))
		return false
	}
	if err != nil {
		return false
	}
	if _, err := s.verify(ctx, h, b); err != nil {
		if ctx.Err() == nil {
			s.lied(m, began, h.Point, err.Error())
		}
		return false
	}
	s.mu.Lock()
	m.proven = h.Point.Hash
	s.mu.Unlock()
	return true
}

// listen lets a node say by itself that there is something new, until ctx is done. All nodes are asked then: one of them
// is the first to know, and the others have to agree.
func (s *Source) listen(ctx context.Context, m *member) {
	wait := s.cfg.Poll
	for {
		began := time.Now()
		err := m.Watch(ctx, s.pokeAll)
		if ctx.Err() != nil || errors.Is(err, ErrNoPush) {
			return
		}
		if time.Since(began) > s.cfg.Bench {
			wait = s.cfg.Poll
		}
		if !pause(ctx, s.jitter(wait)) {
			return
		}
		wait = min(2*wait, max(s.cfg.Bench, s.cfg.Poll))
	}
}

func (s *Source) pokeAll() {
	for _, m := range s.nodes {
		m.poke()
	}
}
