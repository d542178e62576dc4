package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

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

	telling sync.Mutex // held while Config.Tell and Config.Seen are called; never with mu
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
// last that it yields. See source.Source.
func (s *Source) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		yield(source.Step{}, ctx.Err())
	}
}

// Range yields the blocks of the branch that the nodes agree on from one height to another, both included, in order and
// checked. It ends after the first error: a block that no node gives within Config.GiveUp is one.
func (s *Source) Range(ctx context.Context, from, to uint64) iter.Seq2[source.Block, error] {
	return func(yield func(source.Block, error) bool) {
		yield(source.Block{}, ctx.Err())
	}
}

// Status is how things stand now. It may be called at any time by any goroutine.
func (s *Source) Status() Status {
	return Status{Chain: s.cfg.Chain}
}

// A chainState is what a Status says about the chain.
type chainState struct {
	status Status
}

// A member is a node with what is known of it.
type member struct {
	Node
}

func newMember(n Node) *member { return &member{Node: n} }
