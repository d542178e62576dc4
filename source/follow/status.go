package follow

import (
	"time"

	"github.com/spoor-dev/spoor/flow"
)

// A State is how a node stands.
type State string

// The states.
const (
	Well  State = "well"
	Ill   State = "ill"   // it errs, or does not answer in time
	Stale State = "stale" // it answers, but lacks the newest blocks
	Lying State = "lying" // it said what cannot be: it lies, or is broken
)

// A NodeStatus is how one node stands.
type NodeStatus struct {
	Name     string        `json:"name"`
	State    State         `json:"state"`
	Head     flow.Point    `json:"head,omitzero"` // what it last said
	Behind   uint64        `json:"behind"`        // blocks that it lacks of the best
	Error    string        `json:"error,omitempty"`
	ErrorAt  time.Time     `json:"error_at,omitzero"`
	Lies     int           `json:"lies"`
	Lie      string        `json:"lie,omitempty"` // the last one
	LieAt    time.Time     `json:"lie_at,omitzero"`
	Until    time.Time     `json:"until,omitzero"` // it is not asked before
	Requests int64         `json:"requests"`
	Errors   int64         `json:"errors"`
	InFlight int           `json:"in_flight"`      // calls for blocks
	Limit    int           `json:"limit"`          // of InFlight, as learned
	P50      time.Duration `json:"p50_ns"`         // of its last answers
	Final    flow.Point    `json:"final,omitzero"` // what it last said
}

// A Hole is a run of heights that were skipped because no node gave a block that checks.
type Hole struct {
	From   uint64    `json:"from"`
	To     uint64    `json:"to"` // included
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"` // when the first of them was first missed
}

// A Status is how the chain and its nodes stand at one moment.
type Status struct {
	Chain       flow.Chain    `json:"chain"`
	Nodes       []NodeStatus  `json:"nodes"`
	Source      string        `json:"source"` // the node whose branch is followed
	Head        flow.Point    `json:"head,omitzero"`
	Tip         flow.Point    `json:"tip,omitzero"` // the newest block that the reader has
	Behind      uint64        `json:"behind"`       // blocks from Tip to Head
	Lag         time.Duration `json:"lag_ns"`       // how long ago the oldest header that is not yielded yet was heard of
	Final       flow.Point    `json:"final,omitzero"`
	Agree       int           `json:"agree"` // nodes that say Head
	Need        int           `json:"need"`  // nodes that should
	Unconfirmed bool          `json:"unconfirmed"`
	Holes       []Hole        `json:"holes,omitempty"` // the newest hundred
	Undone      uint64        `json:"undone"`          // blocks in all
	Deepest     uint64        `json:"deepest"`         // blocks undone by the deepest fork
}

// A Kind says what an Event is.
type Kind string

// The kinds of events.
const (
	NodeLied      Kind = "node-lied"      // with the reason; the node sits on the bench
	NodeSwitched  Kind = "node-switched"  // another node is followed, because the one before does not answer well
	NodeRecovered Kind = "node-recovered" // a node that was ill, stale or lying answers well again
	NodeStale     Kind = "node-stale"     // a node lacks the newest blocks for longer than Config.Patience
	Forked        Kind = "forked"         // Depth blocks are undone
	HoleOpened    Kind = "hole-opened"    // Hole is skipped, or grew
	Unconfirmed   Kind = "unconfirmed"    // blocks are yielded that fewer nodes say than should
	Confirmed     Kind = "confirmed"      // that is over
	AllIll        Kind = "all-ill"        // no node answers well: the chain is not followed
	Recovered     Kind = "recovered"      // that is over
)

// An Event is something that people may want to know at once.
type Event struct {
	Kind   Kind       `json:"kind"`
	At     time.Time  `json:"at"`
	Node   string     `json:"node,omitempty"`
	Point  flow.Point `json:"point,omitzero"` // the block that it is about
	Reason string     `json:"reason,omitempty"`
	Depth  uint64     `json:"depth,omitempty"`
	Hole   Hole       `json:"hole,omitzero"`
}
