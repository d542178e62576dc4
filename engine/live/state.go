package live

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/room"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/watch"
)

// A State is how a Live stands at one moment. Its JSON form is described in docs/formats/live-state.md.
type State struct {
	Version  string         `json:"version"`
	Began    time.Time      `json:"began"`
	Now      time.Time      `json:"now"`
	Health   Health         `json:"health"`
	Reasons  []string       `json:"reasons"` // why it is not well; empty if it is
	Chains   []ChainState   `json:"chains"`
	Cases    []CaseState    `json:"cases"`
	Watching watch.Stats    `json:"watching"`
	Outbox   outbox.Summary `json:"outbox"`
	Disk     room.State     `json:"disk"`
}

// A Health says in one word how it is.
type Health string

// The degrees of health.
const (
	Well     Health = "well"     // everything that is configured is done
	Degraded Health = "degraded" // it works, with a reservation
	Sick     Health = "sick"     // something is not followed, or nobody is told
)

// A ChainState is how one chain stands.
type ChainState struct {
	Chain      flow.Chain     `json:"chain"`
	Running    bool           `json:"running"` // blocks are being taken in
	First      flow.Point     `json:"first,omitzero"`
	Tip        flow.Point     `json:"tip,omitzero"`   // the newest block that cases have seen
	Final      flow.Point     `json:"final,omitzero"` // the newest that will not be undone
	LagBlocks  uint64         `json:"lag_blocks"`     // behind the best node
	LagSeconds float64        `json:"lag_seconds"`    // how long the oldest block that was heard of is not taken in
	Eaten      time.Time      `json:"eaten,omitzero"` // when the tip was
	Covers     []string       `json:"covers"`         // what the blocks show and prove
	Holes      []store.Hole   `json:"holes"`          // the first runs of missing heights
	HoleBlocks uint64         `json:"hole_blocks"`
	HoleRuns   int            `json:"hole_runs"`
	Filled     int64          `json:"filled"` // blocks that were filled in
	Blocks     int64          `json:"blocks"`
	Movements  int64          `json:"movements"`
	Undone     int64          `json:"undone"`
	Trouble    string         `json:"trouble,omitempty"`
	Nodes      *follow.Status `json:"nodes,omitempty"`
}

// A CaseState is how one case stands.
type CaseState struct {
	ID      string    `json:"id"`
	Open    bool      `json:"open"`
	Since   time.Time `json:"since,omitzero"`
	Waits   string    `json:"waits,omitempty"`   // why it is not open
	Partial []string  `json:"partial,omitempty"` // why it does not show all
	Doubts  []string  `json:"doubts,omitempty"`  // what the theft names and is not followed
}

// lagging is from when on a chain that is behind makes a Live degraded.
const lagging = 2 * time.Minute

// State is how things stand now. It may be called at any time by any goroutine.
func (l *Live) State() (State, error) {
	s := State{Version: engine.Version, Began: l.began, Now: l.now(), Health: Well, Reasons: []string{}, Chains: []ChainState{}, Cases: []CaseState{}}
	worse := func(h Health, why string) {
		if h == Sick || s.Health == Well {
			s.Health = h
		}
		s.Reasons = append(s.Reasons, why)
	}
	snapshot, err := l.store.Snapshot()
	if err != nil {
		return s, err
	}
	for _, c := range l.chains {
		cs, err := c.state(snapshot)
		if err != nil {
			snapshot.Close()
			return s, err
		}
		s.Chains = append(s.Chains, cs)
	}
	if err := snapshot.Close(); err != nil {
		return s, err
	}
	v := l.look()
	s.Cases, s.Watching = v.cases, v.watching
	if busy := l.busy.Load(); busy != nil {
		worse(Degraded, *busy)
	}
	for i := range s.Chains {
		s.Chains[i].Trouble = v.trouble[s.Chains[i].Chain.String()]
	}
	for _, c := range s.Cases {
		if !c.Open {
			worse(Degraded, "case "+c.ID+" is not open: "+c.Waits)
		}
	}
	for _, c := range s.Chains {
		name := c.Chain.String()
		switch {
		case c.Trouble != "":
			worse(Sick, name+" is not followed: "+c.Trouble)
		case c.Blind():
			worse(Sick, name+": no node answers well")
		case c.LagSeconds > lagging.Seconds():
			worse(Degraded, name+": behind its head")
		}
		if c.HoleBlocks > 0 {
			worse(Degraded, name+": "+engine.Count(c.HoleBlocks, "block")+" missing")
		}
		if c.Nodes == nil {
			continue
		}
		if c.Nodes.Unconfirmed {
			worse(Degraded, name+": fewer nodes than wanted confirm the blocks")
		}
		for _, n := range c.Nodes.Nodes {
			if n.State == follow.Lying {
				worse(Degraded, name+": node "+n.Name+" gave what cannot be")
			}
		}
	}
	if s.Outbox, err = l.outbox.State(context.Background()); err != nil {
		return s, err
	}
	s.Disk = l.room.State()
	if s.Disk.Low {
		worse(Sick, "the disk has too little room: nothing is taken in until there is more")
	}
	for _, sink := range s.Outbox.Sinks {
		if sink.Error != "" && sink.Queued > 0 {
			worse(Degraded, "sink "+sink.Name+" does not take messages")
		}
	}
	return s, nil
}

// A view is what was seen of the cases when nobody was at work on them.
type view struct {
	cases    []CaseState
	watching watch.Stats
	trouble  map[string]string
}

// look is what is seen of the cases now, or was last: to open a large case takes a while, and a State does not wait.
func (l *Live) look() view {
	if !l.mu.TryLock() {
		return *l.seen.Load()
	}
	defer l.mu.Unlock()
	v := view{cases: []CaseState{}, trouble: maps.Clone(l.trouble)}
	for _, oc := range l.cases {
		v.cases = append(v.cases, CaseState{ID: oc.id, Open: oc.open, Since: oc.since, Waits: oc.waits, Partial: oc.partial, Doubts: oc.doubts})
	}
	if l.watch != nil {
		v.watching = l.watch.Stats()
	}
	l.seen.Store(&v)
	return v
}

// Blind reports whether no node of the chain answers well.
func (c ChainState) Blind() bool {
	return c.Nodes != nil && !slices.ContainsFunc(c.Nodes.Nodes, func(n follow.NodeStatus) bool { return n.State == follow.Well })
}

// keptHoles bounds ChainState.Holes.
const keptHoles = 100

func (c *chain) state(s store.Snapshot) (ChainState, error) {
	c.mu.Lock()
	cs := ChainState{Chain: c.chain, Running: c.running.Load(), Tip: c.tip, Final: c.final, Eaten: c.eaten, Filled: c.fills.Blocks,
		Blocks: c.stats.Blocks, Movements: c.stats.Movements, Undone: c.stats.Undone, Holes: []store.Hole{}, Covers: []string{}}
	c.mu.Unlock()
	ctx := context.Background()
	if c.nodes != nil {
		status := c.nodes.Source.Status()
		cs.Nodes = &status
		cs.LagBlocks, cs.LagSeconds = status.Behind, status.Lag.Seconds()
	}
	tip, ok := s.Tip(c.chain)
	if !ok {
		return cs, nil
	}
	holes, err := s.Holes(ctx, c.chain)
	if err != nil {
		return cs, err
	}
	cs.HoleRuns = len(holes)
	for _, h := range holes {
		cs.HoleBlocks += h.To - h.From + 1
	}
	cs.Holes = append(cs.Holes, holes[:min(len(holes), keptHoles)]...)
	newest, err := s.Block(ctx, c.chain, tip.Height)
	if err != nil {
		return cs, err
	}
	cs.Covers = append(cs.Covers, newest.Coverage.Names()...)
	cs.First, err = s.FirstAt(ctx, c.chain, minTime)
	return cs, err
}

// minTime is before all blocks.
const minTime = -1 << 63
