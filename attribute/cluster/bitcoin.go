package cluster

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// History is what the rules of Bitcoin ask about the past.
type History interface {
	// SeenBefore reports whether the chain shows the account before that place.
	SeenBefore(a flow.Account, at flow.Pos) bool
}

// The versions of the rules and their confidences. The confidences are judgements, not measured frequencies: see
// docs/decisions/0006-clusters.md.
const (
	inputVersion       = 1
	inputConfidence    = 90
	changeVersion      = 1
	oneTimeConfidence  = 50
	typeConfidence     = 40
	optimalConfidence  = 30
	directConfidence   = 100
	roundPayment       = 1000 // satoshi: what people pay is a multiple of it more often than what is left over
	mostChangeOutputs  = 10
	leastChangeOutputs = 2
)

// A Change is an output that seems to go back to whoever signed the inputs.
type Change struct {
	Output     int       `json:"output"`
	Heuristic  Heuristic `json:"heuristic"`
	Confidence int       `json:"confidence"`
}

// A Reading is what a Bitcoin transaction says about owners.
type Reading struct {
	Evidence []Evidence // without IDs
	Changes  []Change   // what the rules of change say; those that join accounts are among the evidence, too
	CoinJoin *CoinJoin  // nil if it looks like none
	Withheld string     // why the inputs, and the outputs after them, say nothing about owners; "" if they do
}

// ReadBitcoin reads one transaction. The inputs have one owner, unless strangers may have signed: then nothing is said of
// anybody, change included. seen is when it is read, in seconds since 1970. Without a history no output is known to be
// new, and there is no one-time change. A transaction of another kind of chain says nothing.
func ReadBitcoin(tx flow.Tx, history History, seen int64) Reading {
	s, ok := newSheet(tx)
	if !ok {
		return Reading{Withheld: "not a transaction whose inputs are all known"}
	}
	var r Reading
	if c, ok := s.detect(); ok {
		r.CoinJoin = &c
		if c.ManyOwners() {
			r.Withheld = fmt.Sprintf("looks like a CoinJoin (%s, confidence %d)", c.Mix, c.Confidence)
			return r
		}
	}
	if s.maybePayJoin() {
		r.Withheld = "may be a PayJoin: an input that was not needed to pay either output"
		return r
	}
	say := func(b leg, h Heuristic, version, confidence int) {
		r.Evidence = append(r.Evidence, Evidence{A: s.in[0].account, B: b.account, Heuristic: h, Version: uint16(version), Confidence: uint8(confidence),
			Tx: tx.ID, At: tx.At(), Seen: seen, Amount: flow.NewAmount(b.value)})
	}
	said := map[flow.Account]bool{s.in[0].account: true}
	for _, l := range s.in {
		if !said[l.account] {
			said[l.account] = true
			say(l, MultiInput, inputVersion, inputConfidence)
		}
	}
	if r.CoinJoin != nil { // a Tx0 pays its own owner and a pool; the rules of change were not made for it
		return r
	}
	r.Changes = s.changes(tx.At(), history)
	for _, c := range r.Changes {
		if l := s.out[c.Output]; c.Heuristic != DirectChange && !said[l.account] {
			say(l, c.Heuristic, changeVersion, c.Confidence)
		}
	}
	return r
}

// maybePayJoin reports whether the receiver may have added an input. Then there are two outputs, inputs of one type, both
// outputs are odd sums, and an input more than either output needs, since wallets rarely take one (unnecessary input
// heuristic).
func (s *sheet) maybePayJoin() bool {
	if len(s.out) != 2 || s.distinct < 2 || len(s.inTypes) != 1 || s.notes > 0 {
		return false
	}
	var sum uint64
	least := s.in[0].value
	for _, l := range s.in {
		sum += l.value
		least = min(least, l.value)
	}
	a, b := s.out[0].value, s.out[1].value
	return a%roundPayment != 0 && b%roundPayment != 0 && sum-least >= max(a, b)+s.fee
}

// changes is what the rules of change say. An account that is paid back is certain and ends the question; where the
// others point at different outputs, none is believed.
func (s *sheet) changes(at flow.Pos, history History) []Change {
	payers := map[flow.Account]bool{}
	least := s.in[0].value
	for _, l := range s.in {
		payers[l.account] = true
		least = min(least, l.value)
	}
	var changes []Change
	for i, l := range s.out {
		if payers[l.account] {
			changes = append(changes, Change{i, DirectChange, directConfidence})
		}
	}
	if n := len(s.out); changes != nil || n < leastChangeOutputs || n > mostChangeOutputs {
		return changes
	}
	small := func(l leg) bool { return l.value > 0 && l.value < least }
	alike := func(l leg) bool { return len(s.inTypes) == 1 && s.inTypes[scriptOf(l.account)] && l.value > 0 }
	if history != nil {
		changes = s.sole(changes, OneTimeChange, oneTimeConfidence, func(l leg) bool {
			return small(l) && alike(l) && l.value%roundPayment != 0 && !history.SeenBefore(l.account, at)
		})
	}
	if len(s.out) == 2 {
		changes = s.sole(changes, TypeChange, typeConfidence, alike)
		changes = s.sole(changes, OptimalChange, optimalConfidence, small)
	}
	for _, c := range changes {
		if c.Output != changes[0].Output {
			return nil
		}
	}
	return changes
}

// sole adds the change that a rule sees if it sees exactly one.
func (s *sheet) sole(changes []Change, h Heuristic, confidence int, is func(leg) bool) []Change {
	found, at := 0, 0
	for i, l := range s.out {
		if is(l) {
			found++
			at = i
		}
	}
	if found == 1 {
		changes = append(changes, Change{at, h, confidence})
	}
	return changes
}
