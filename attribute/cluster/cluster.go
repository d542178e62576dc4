// Package cluster says which accounts have one owner, on what evidence and how sure that is, and can take it back.
package cluster

import (
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// An ID numbers the evidence of a Forest from 1 on, in the order in which it was added. 0 is no evidence.
type ID uint32

// A Heuristic is why two accounts are thought to have one owner.
type Heuristic uint8

// The heuristics. They are part of stored formats: never renumber.
const (
	MultiInput    Heuristic = 1 // both signed inputs of one transaction
	DirectChange  Heuristic = 2 // an output pays back an account among the inputs
	OneTimeChange Heuristic = 3 // the only output that looks like change: never seen before, of the inputs' type, not round, less than every input
	TypeChange    Heuristic = 4 // of two outputs the only one of the type that all inputs have
	OptimalChange Heuristic = 5 // the only output less than every input
	DepositReuse  Heuristic = 6 // one paid the other, which passed it on to a service: a deposit account
	SameKey       Heuristic = 7 // one public key on two EVM chains
)

var heuristicNames = [...]string{"", "multi-input", "direct-change", "one-time-change", "type-change", "optimal-change", "deposit-reuse", "same-key"}

// String is the heuristic in one or two words.
func (h Heuristic) String() string {
	if int(h) < len(heuristicNames) && h > 0 {
		return heuristicNames[h]
	}
	return fmt.Sprintf("heuristic%d", uint8(h))
}

// MarshalText writes the words.
func (h Heuristic) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Heuristic) UnmarshalText(b []byte) error {
	for v, name := range heuristicNames {
		if name == string(b) && v > 0 {
			*h = Heuristic(v)
			return nil
		}
	}
	return fmt.Errorf("heuristic %.40q: no such one", b)
}

// Evidence is one reason to think that two accounts have one owner. It is a judgement of a rule about a transaction; the
// transaction stays what it is when the evidence is withdrawn.
type Evidence struct {
	ID         ID           `json:"id"` // given by Forest.Add
	A          flow.Account `json:"a"`
	B          flow.Account `json:"b"`
	Heuristic  Heuristic    `json:"heuristic"`
	Version    uint16       `json:"version"`    // of the rule, from 1 on
	Confidence uint8        `json:"confidence"` // 0 to 100
	Tx         flow.Hash    `json:"tx"`
	At         flow.Pos     `json:"at"`     // of Tx, on the chain of B
	Seen       int64        `json:"seen"`   // when it was learned, seconds since 1970 UTC
	Amount     flow.Amount  `json:"amount"` // what moved between or beside them, in the asset's smallest unit; 0 if nothing did
}

var (
	// ErrEvidence is returned for evidence that says nothing: of nobody, of one account, or with a confidence above 100.
	ErrEvidence = errors.New("not evidence")
	// ErrNoEvidence is returned for an ID that was never given out.
	ErrNoEvidence = errors.New("no such evidence")
	// ErrFull is returned once a forest holds 2³²−2 accounts or pieces of evidence.
	ErrFull = errors.New("the forest is full")
	// ErrFormat is returned for bytes that are not a snapshot of a forest.
	ErrFormat = errors.New("not a snapshot of clusters")
)

func (e Evidence) check() error {
	switch {
	case e.A.IsZero() || e.B.IsZero():
		return fmt.Errorf("%w: of nobody", ErrEvidence)
	case e.A == e.B:
		return fmt.Errorf("%w: of one account", ErrEvidence)
	case e.Confidence > 100:
		return fmt.Errorf("%w: confidence %d", ErrEvidence, e.Confidence)
	case e.Heuristic == 0 || int(e.Heuristic) >= len(heuristicNames) || e.Version == 0:
		return fmt.Errorf("%w: %s version %d is no rule", ErrEvidence, e.Heuristic, e.Version)
	}
	return nil
}

// A State is what a Forest makes of a piece of evidence.
type State uint8

// The states of evidence.
const (
	Joins       State = 1 // it joined two clusters: an edge of the proof
	Repeats     State = 2 // its accounts were in one cluster already; it takes over when another is withdrawn
	Quarantined State = 3 // the guard refused it; it joins nothing until it is accepted
	Withdrawn   State = 4 // taken back; it joins nothing
)

var stateNames = [...]string{"", "joins", "repeats", "quarantined", "withdrawn"}

// String is the state in a word.
func (s State) String() string {
	if int(s) < len(stateNames) && s > 0 {
		return stateNames[s]
	}
	return fmt.Sprintf("state%d", uint8(s))
}

// MarshalText writes the word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Proof is why two accounts are in one cluster: evidence that leads from the one to the other, each piece sharing an
// account with the next.
type Proof struct {
	Evidence []Evidence `json:"evidence"`
	Weakest  int        `json:"weakest"` // the least confidence among them, 0 to 100; 100 for an account and itself
	Product  int        `json:"product"` // all their confidences multiplied, in millionths, rounded down
}

func newProof(path []Evidence) Proof {
	p := Proof{Evidence: path, Weakest: 100, Product: 1_000_000}
	for _, e := range path {
		p.Weakest = min(p.Weakest, int(e.Confidence))
		p.Product = p.Product * int(e.Confidence) / 100
	}
	return p
}
