package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/flow"
)

const (
	mostSaid  = 512 // hashes that are remembered of a node
	latencies = 64  // calls that the median is of
	mostError = 300 // bytes of a node's error that are kept: it is a stranger's text
)

// A member is a node with what is known of it. All fields but the first three are guarded by Source.mu.
type member struct {
	Node
	wake   chan struct{} // holds one: ask for the head at once
	looked chan struct{} // holds one: it was asked for its head

	serves  bool // it said that it serves the chain
	tried   bool // it was asked for its head
	usable  bool // it has a head, and does not sit on the bench
	head    Header
	said    map[uint64]flow.Hash // hashes of its own branch, for as long as its head goes on from what it was
	branch  int                  // counts the changes of its branch
	final   flow.Point           // the newest block that it calls final
	doubt   time.Time            // since when its head is one that too few others say; zero if it is not
	proven  flow.Hash            // of a doubted head whose block it did show
	unlinks int                  // answers in a row whose headers do not link

	headless int // times in a row that it did not have its own head

	state      State // Well, Ill or Lying; Stale is found out when asked
	until      time.Time
	benched    time.Time // when it last sat down
	ills, lies int       // in a row
	allLies    int
	liedOf     map[flow.Hash]bool // the blocks of which it said what cannot be
	lie, err   string
	lieAt      time.Time
	errAt      time.Time
	behind     time.Time // since when its head stays the same while it lacks blocks; zero if it does not
	told       bool      // people were told that it lies or is stale

	requests, errs int64
	inFlight       int
	limit          float64
	cut            time.Time // when limit was last halved
	pace           time.Duration
	last           []time.Duration
}

func newMember(n Node) *member {
	return &member{Node: n, wake: make(chan struct{}, 1), looked: make(chan struct{}, 1), said: map[uint64]flow.Hash{}, liedOf: map[flow.Hash]bool{}, state: Well, limit: firstLimit}
}

// poke makes the node be asked for its head at once.
func (m *member) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// saysLocked keeps a hash of the node's own branch.
func (m *member) saysLocked(height uint64, h flow.Hash) {
	if len(m.said) >= mostSaid {
		clear(m.said)
	}
	m.said[height] = h
}

// ask calls a node with a deadline, and keeps what that tells of the node. began is when the call was made. An error
// that is not ErrNotFound makes the node ill, unless ctx is done.
func ask[T any](ctx context.Context, s *Source, m *member, what string, f func(context.Context) (T, error)) (v T, began time.Time, err error) {
	began = time.Now()
	call, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	v, err = f(call)
	took := time.Since(began)
	s.mu.Lock()
	m.requests++
	if ctx.Err() == nil {
		if len(m.last) == latencies {
			m.last = m.last[1:]
		}
		m.last = append(m.last, took)
		if err == nil && call.Err() == nil && m.state == Ill && began.After(m.benched) {
			m.state = Well
		}
	}
	s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return v, began, context.Cause(ctx)
	case err == nil || errors.Is(err, ErrNotFound):
		return v, began, err
	}
	s.errs(m, began, fmt.Errorf("%s: %w", what, err))
	return v, began, err
}

// errs sends a node to the bench which erred in a call.
func (s *Source) errs(m *member, began time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	m.errs++
	m.err, m.errAt = clip(err.Error()), now
	if !began.After(m.benched) && !m.benched.IsZero() || now.Before(m.until) {
		return // it sits for what came before
	}
	if now.Sub(m.until) > s.cfg.Bench {
		m.ills = 0
	}
	s.benchLocked(m, Ill, min(s.cfg.Bench/illPerLie<<min(m.ills, 10), s.cfg.Bench))
	m.ills++
}

// lied sends a node to the bench which said what cannot be in a call.
func (s *Source) lied(m *member, began time.Time, at flow.Point, reason string) {
	reason = clip(reason)
	s.mu.Lock()
	now := time.Now()
	if !began.After(m.benched) && !m.benched.IsZero() || m.state == Lying && now.Before(m.until) {
		s.mu.Unlock()
		return
	}
	if now.Sub(m.until) > mostBench {
		m.lies = 0
		clear(m.liedOf)
	}
	if at.Hash.IsZero() || !m.liedOf[at.Hash] { // the same lie again does not count as another: the block may be to blame
		if len(m.liedOf) >= mostSaid {
			clear(m.liedOf)
		}
		m.liedOf[at.Hash] = true
		m.lies++
	}
	sit := min(s.cfg.Bench<<min(m.lies-1, 10), max(mostBench, s.cfg.Bench))
	m.allLies++
	m.lie, m.lieAt, m.told = reason, now, true
	m.serves = false
	s.benchLocked(m, Lying, sit)
	s.mu.Unlock()
	s.tell(Event{Kind: NodeLied, Node: m.Name(), Point: at, Reason: reason})
}

// benchLocked sends a node to sit.
func (s *Source) benchLocked(m *member, as State, sit time.Duration) {
	now := time.Now()
	m.state, m.benched, m.until = as, now, now.Add(sit)
	m.usable, m.unlinks, m.doubt = false, 0, time.Time{}
	m.branch++
	clear(m.said)
	m.limit = max(1, m.limit/2)
	s.stirLocked()
}

// heard takes a node's own word for its head.
func (s *Source) heard(m *member, began time.Time, h Header) {
	switch {
	case h.Point.Chain != s.cfg.Chain:
		s.lied(m, began, h.Point, fmt.Sprintf("its head is of chain %q", h.Point.Chain))
		return
	case h.Point.Hash.IsZero() || h.Point.Hash == h.Parent || h.Point.Height > 1<<62:
		s.lied(m, began, h.Point, fmt.Sprintf("its head at %d is none: hash %s, parent %s", h.Point.Height, h.Point.Hash, h.Parent))
		return
	}
	s.mu.Lock()
	if time.Now().Before(m.until) { // something else sent it to the bench meanwhile
		s.mu.Unlock()
		return
	}
	if m.usable && m.head.Point.Hash == h.Point.Hash && m.head.Point.Height != h.Point.Height {
		was := m.head.Point.Height
		s.mu.Unlock()
		s.lied(m, began, h.Point, fmt.Sprintf("its head %.12s… is at %d and at %d", h.Point.Hash, was, h.Point.Height))
		return
	}
	back := m.told && m.state == Lying
	if m.state == Lying {
		m.state = Well
	}
	if back {
		m.told = false
	}
	fresh := !m.usable || m.head.Point.Hash != h.Point.Hash
	if fresh {
		if below, ok := m.said[h.Point.Height-1]; !m.usable || !ok || h.Point.Height == 0 || below != h.Parent {
			clear(m.said)
			m.branch++
		}
		if h.Point.Height > 0 && !h.Parent.IsZero() {
			m.saysLocked(h.Point.Height-1, h.Parent)
		}
		m.saysLocked(h.Point.Height, h.Point.Hash)
		m.head, m.usable, m.unlinks = h, true, 0
		m.doubt, m.behind = time.Time{}, time.Time{}
		s.stirLocked()
	}
	s.mu.Unlock()
	if fresh {
		s.see(h.Point)
	}
	if back {
		s.tell(Event{Kind: NodeRecovered, Node: m.Name(), Point: h.Point})
	}
}

// at is the hash of a node's own branch at a height that is not above its head; ok is false where it does not say.
func (s *Source) at(ctx context.Context, m *member, height uint64) (h flow.Hash, ok bool) {
	s.mu.Lock()
	h, ok = m.said[height]
	usable, branch, head := m.usable, m.branch, m.head.Point
	s.mu.Unlock()
	if ok || !usable || height > head.Height {
		return h, ok && usable
	}
	list, _, err := s.headers(ctx, m, height, 1)
	if err != nil || len(list) == 0 {
		return flow.Hash{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.branch == branch {
		m.saysLocked(height, list[0].Point.Hash)
	}
	return list[0].Point.Hash, m.usable
}

// headers are what a node says is its own branch from a height on that is not above its head: at least one, and each
// linked to the one before.
func (s *Source) headers(ctx context.Context, m *member, from uint64, n int) ([]Header, time.Time, error) {
	list, began, err := ask(ctx, s, m, "headers", func(ctx context.Context) ([]Header, error) { return m.Headers(ctx, from, n) })
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("it says that its head is at or above %d, and has no header there: %w", from, err)
		s.lacks(ctx, m, began, err)
	}
	if err != nil {
		return nil, began, err
	}
	list = list[:min(len(list), n)]
	for i, h := range list {
		if h.Point.Chain != s.cfg.Chain || h.Point.Height != from+uint64(i) || h.Point.Hash.IsZero() || h.Point.Hash == h.Parent {
			err := fmt.Errorf("asked for the header at %d it gives %s, parent %.12s…", from+uint64(i), h.Point, h.Parent)
			s.lied(m, began, h.Point, err.Error())
			return nil, began, err
		}
		if i > 0 && h.Parent != list[i-1].Point.Hash {
			s.unlinked(m, began, h)
			return list[:i:i], began, nil
		}
	}
	s.mu.Lock()
	isOther := false
	for _, h := range list {
		before, ok := m.said[h.Point.Height]
		isOther = isOther || ok && before != h.Point.Hash
	}
	if isOther {
		m.branch++
		clear(m.said)
	} else if n > 1 {
		m.unlinks, m.headless = 0, 0
	}
	s.mu.Unlock()
	if isOther { // nothing that it said before can be relied on, its head least of all
		s.look(ctx, m)
		return nil, began, errors.New("it has changed its branch meanwhile")
	}
	return list, began, nil
}

// lacks takes down that a node does not have what it says is on its branch. Behind one name there may be several nodes, of
// which one is a little late; but one that again and again does not even know its own head made it up.
func (s *Source) lacks(ctx context.Context, m *member, began time.Time, err error) {
	s.mu.Lock()
	head := m.head.Point
	s.mu.Unlock()
	list, _, headErr := ask(ctx, s, m, "headers", func(ctx context.Context) ([]Header, error) { return m.Headers(ctx, head.Height, 1) })
	isThere := headErr == nil && len(list) == 1 && list[0].Point.Hash == head.Hash
	s.mu.Lock()
	switch {
	case isThere:
		m.headless = 0
	case began.After(m.benched): // else it was counted
		m.headless++
	}
	often := m.headless > 2
	s.mu.Unlock()
	switch {
	case often && ctx.Err() == nil && (headErr == nil || errors.Is(headErr, ErrNotFound)):
		s.lied(m, began, head, fmt.Sprintf("it says that its head is %s, and never has it", head))
	default:
		s.errs(m, began, err)
	}
}

// unlinked counts an answer whose headers do not link. That happens once while a node changes its branch.
func (s *Source) unlinked(m *member, began time.Time, h Header) {
	s.mu.Lock()
	m.unlinks++
	often := m.unlinks > 1
	s.mu.Unlock()
	if often {
		s.lied(m, began, h.Point, fmt.Sprintf("its headers do not link at %d: the parent is %.12s…", h.Point.Height, h.Parent))
	}
}

// isUsable reports whether a node may be asked now.
func (s *Source) isUsable(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.usable
}

// statusLocked is how the node stands against the best height.
func (m *member) statusLocked(best uint64, behind uint64, patience time.Duration) NodeStatus {
	n := NodeStatus{Name: m.Name(), State: m.state, Head: m.head.Point, Error: m.err, ErrorAt: m.errAt, Lies: m.allLies, Lie: m.lie, LieAt: m.lieAt,
		Requests: m.requests, Errors: m.errs, InFlight: m.inFlight, Limit: int(m.limit), Final: m.final}
	if best > m.head.Point.Height {
		n.Behind = best - m.head.Point.Height
	}
	if time.Now().Before(m.until) {
		n.Until = m.until
	}
	if m.state == Well && m.usable && (n.Behind >= behind || n.Behind > 0 && !m.behind.IsZero() && time.Since(m.behind) > patience) {
		n.State = Stale
	}
	if len(m.last) > 0 {
		sorted := slices.Clone(m.last)
		slices.Sort(sorted)
		n.P50 = sorted[len(sorted)/2]
	}
	return n
}

// clip keeps a stranger's text short.
func clip(s string) string {
	if len(s) > mostError {
		s = s[:mostError] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
