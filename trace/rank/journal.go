package rank

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A journal remembers what the last events overwrote.
type journal struct {
	depth  int
	events []event
	open   bool
	number int      // of the event
	lost   bool     // events were forgotten
	firm   flow.Pos // the last of those
}

// An event is a transaction that mattered.
type event struct {
	at    flow.Pos
	last  flow.Pos // what Stream.last was before
	nodes int      // how many there were
	saves []save
	edges []edgeSave
}

type save struct {
	node  int
	state state
}

type edgeSave struct {
	node, i int
	weight  float64 // 0 for an edge that was not there
}

// begin opens an event.
func (s *Stream) begin(at flow.Pos) {
	j := &s.journal
	j.number++
	if len(j.events) == j.depth {
		j.lost, j.firm = true, at
		if j.depth == 0 {
			return
		}
		j.firm = j.events[0].at
		copy(j.events, j.events[1:])
		j.events = j.events[:j.depth-1]
	}
	j.open = true
	j.events = append(j.events, event{at: at, last: s.last, nodes: len(s.nodes)})
}

func (j *journal) edge(node, i int, weight float64) {
	if j.open {
		e := &j.events[len(j.events)-1]
		e.edges = append(e.edges, edgeSave{node, i, weight})
	}
}

// save remembers the state of a node before the event at hand first changes it.
func (s *Stream) save(n int) {
	j := &s.journal
	if !j.open || s.nodes[n].saved == j.number {
		return
	}
	s.nodes[n].saved = j.number
	e := &j.events[len(j.events)-1]
	e.saves = append(e.saves, save{n, s.nodes[n].state})
}

// Undo takes back every transaction at or after a place, to the bit, as if it had never been eaten. It changes nothing and
// returns an error wrapping trace.ErrUndo if UndoDepth does not reach that far: begin anew and eat the chain again.
func (s *Stream) Undo(from flow.Pos) error {
	j := &s.journal
	if j.lost && from.Compare(j.firm) <= 0 {
		return fmt.Errorf("undo from %s: what stands up to %s cannot be taken back: %w", from, j.firm, trace.ErrUndo)
	}
	for n := len(j.events) - 1; n >= 0 && j.events[n].at.Compare(from) >= 0; n-- {
		s.revert(&j.events[n])
		j.events = j.events[:n]
	}
	return nil
}

func (s *Stream) revert(e *event) {
	for i := len(e.edges) - 1; i >= 0; i-- {
		x := e.edges[i]
		v := &s.nodes[x.node]
		if x.weight > 0 {
			v.out[x.i].weight = x.weight
			continue
		}
		delete(s.edges, [2]int{x.node, v.out[x.i].to})
		v.out = v.out[:x.i]
	}
	for _, x := range e.saves {
		s.nodes[x.node].state = x.state
	}
	for n := e.nodes; n < len(s.nodes); n++ {
		delete(s.index, s.nodes[n].holder)
	}
	s.nodes = s.nodes[:e.nodes]
	s.last, s.eaten = e.last, s.eaten-1
}
