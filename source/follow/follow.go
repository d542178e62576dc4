package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// ErrDeep is returned where the nodes' branch leaves the reader's below everything that is remembered of it.
var ErrDeep = errors.New("the fork is deeper than what is remembered")

// A Source is a chain that is served by live nodes, of which any may fail or lie. It goes on until its context is done.
// Steps is read by one goroutine at a time; Status and Range may be called by any meanwhile.
type Source struct {
	cfg   Config
	nodes []*member

	mu    sync.Mutex
	chain chainState // guarded by mu

	telling sync.Mutex // held while Config.Tell is called; never with mu
	seeing  sync.Mutex // held while Config.Seen is called, and guards seen; never with mu
	seen    seenList
}

// A chainState is what is known of the chain besides what its nodes say.
type chainState struct {
	status Status  // all but Nodes
	leader *member // whose headers are followed
	top    uint64  // the highest head, or what the reader has
	stir   chan struct{}
	lost   bool // people were told that no node answers well
	thin   bool // people were told that blocks are unconfirmed
}

// mostSeen is how many headers are remembered to tell of each only once.
const mostSeen = 4096

// A seenList is the headers of late.
type seenList struct {
	has  map[flow.Hash]bool
	last [mostSeen]flow.Hash
	next int
}

// New makes a source of nodes that all serve Config.Chain. Nothing is asked of them yet.
func New(nodes []Node, cfg Config) (*Source, error) {
	switch {
	case len(nodes) == 0:
		return nil, errors.New("follow: no nodes")
	case cfg.Chain.IsZero():
		return nil, errors.New("follow: no chain is named that the nodes must serve")
	}
	s := &Source{cfg: cfg.withDefaults(len(nodes))}
	s.seen.has = map[flow.Hash]bool{}
	s.chain.status = Status{Chain: cfg.Chain, Need: s.cfg.Agree}
	for i, n := range nodes {
		if n == nil {
			return nil, fmt.Errorf("follow %s: node %d is nil", cfg.Chain, i)
		}
		s.nodes = append(s.nodes, newMember(n))
	}
	return s, nil
}

// Chain is Config.Chain.
func (s *Source) Chain() flow.Chain { return s.cfg.Chain }

// Steps leads a reader to the branch that the nodes agree on and stays with it until ctx is done, whose error is the
// last thing that it yields. See source.Source.
//
// A head that is lower than the reader's tip, on the reader's own branch, takes nothing back: the node is behind, or was
// set back and may bring the same blocks again. Only another hash at a height that the reader has is a fork.
func (s *Source) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		r := &run{s: s, yield: yield, shelf: newShelf()}
		r.view.ring = newRing(s.cfg.Chain, known, s.cfg.Depth)
		stop := s.attendAll(ctx)
		err := r.follow(ctx)
		stop()
		if !r.ended {
			yield(source.Step{}, err)
		}
	}
}

// attendAll starts to ask all nodes for their heads. What they said before is forgotten. stop ends that and waits for it.
func (s *Source) attendAll(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.chain.stir = make(chan struct{}, 1)
	for _, m := range s.nodes {
		m.usable, m.tried = false, false
		m.branch++
		clear(m.said)
	}
	s.mu.Unlock()
	var attending sync.WaitGroup
	for _, m := range s.nodes {
		attending.Go(func() { s.attend(ctx, m) })
		attending.Go(func() { s.examine(ctx, m) })
		attending.Go(func() { s.listen(ctx, m) })
	}
	return func() {
		cancel()
		attending.Wait()
	}
}

// stirLocked wakes the reader: something about a node has changed.
func (s *Source) stirLocked() {
	select {
	case s.chain.stir <- struct{}{}:
	default:
	}
}

// Status is how things stand now. It may be called at any time by any goroutine.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.chain.status
	st.Holes = slices.Clone(st.Holes)
	if s.chain.leader != nil {
		st.Source = s.chain.leader.Name()
	}
	if st.Head.Height > st.Tip.Height {
		st.Behind = st.Head.Height - st.Tip.Height
		if st.Head.Time > st.Tip.Time && st.Tip.Time > 0 {
			st.Lag = time.Duration(st.Head.Time-st.Tip.Time) * time.Second
		}
	}
	best := max(st.Head.Height, st.Tip.Height)
	for _, m := range s.nodes {
		st.Nodes = append(st.Nodes, m.statusLocked(best, s.cfg.Behind, s.cfg.Patience))
	}
	return st
}

// tell tells people of events.
func (s *Source) tell(events ...Event) {
	if s.cfg.Tell == nil || len(events) == 0 {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	for _, e := range events {
		e.At = time.Now()
		s.cfg.Tell(e)
	}
}

// see tells of a header unless that was done.
func (s *Source) see(p flow.Point) {
	if s.cfg.Seen == nil {
		return
	}
	s.seeing.Lock()
	defer s.seeing.Unlock()
	l := &s.seen
	if l.has[p.Hash] {
		return
	}
	delete(l.has, l.last[l.next])
	l.last[l.next], l.has[p.Hash] = p.Hash, true
	l.next = (l.next + 1) % mostSeen
	s.cfg.Seen(p, time.Now())
}
