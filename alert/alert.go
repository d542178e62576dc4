// Package alert tells people once, and corrects it when the chain changes its mind.
package alert

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// ErrRefused is wrapped by a Sink's error where sending the same again would be refused again: the message goes to the
// dead letters. Every other error is temporary.
var ErrRefused = errors.New("refused for good")

// A Kind says what an Alert is. Kinds are part of stored formats and of what receivers see.
type Kind string

// The kinds.
const (
	Found       Kind = "finding"     // a judgement about what is on the chain
	Provisional Kind = "provisional" // the same about a pending transaction: it may never be on the chain
	Correction  Kind = "correction"  // what an earlier message said is not so: the chain changed its mind
	Again       Kind = "again"       // what was corrected is so after all, on the branch that won
	State       Kind = "state"       // of Spoor itself: a node that lies, a hole, a disk that fills up
)

// An Alert is what people are told. Who makes one gives all fields but Serial, which the outbox counts.
type Alert struct {
	// Key tells alerts apart, for ever: the same judgement about the same transactions of the same case has the same key,
	// however often it is made, on whichever branch. A correction has the key of what it corrects, and its severity, case,
	// chain and finding too: some receivers know an alert again by all of them.
	Key string `json:"key"`
	// Serial counts what was said under a key: 0 is the first message, 1 its correction, 2 that it is so again. Key and
	// Serial together are what receivers tell duplicates by; see Alert.ID.
	Serial   int              `json:"serial"`
	Kind     Kind             `json:"kind"`
	Severity finding.Severity `json:"severity"`
	Case     string           `json:"case,omitempty"` // the open case or the watch list that it belongs to
	Title    string           `json:"title"`          // a few words
	Text     string           `json:"text"`           // sentences for people: what, how much, whom to call
	Chain    flow.Chain       `json:"chain,omitzero"`
	At       flow.Point       `json:"at,omitzero"` // the block that it rests on; of a provisional one the tip of its moment
	Tx       flow.Hash        `json:"tx,omitzero"`
	// Finding is the judgement with its evidence; nil where there is none, as in a State.
	Finding *finding.Finding `json:"finding,omitempty"`
	// Contact is whom to call to stop the money, where that is known.
	Contact string `json:"contact,omitempty"`
	// Seen is when the block reached Spoor, Made when the alert was made. Their distance to the moment when a sink took
	// it is the lead time.
	Seen time.Time `json:"seen"`
	Made time.Time `json:"made"`
}

// A Sink takes messages to one receiver.
type Sink interface {
	// Name is how the configuration calls it.
	Name() string
	// Send hands over a group of alerts, which is never empty, in one message where the receiver's form allows that. It
	// returns nil only when the receiver has taken all of them. The outbox sends a group again until then, so that a
	// receiver may see one twice, always with the same ID. Errors: ErrRefused; a RetryAfter where the receiver says when.
	Send(ctx context.Context, group []Alert) error
}

// RetryAfter is an error of a receiver that says when to come back.
type RetryAfter struct {
	After time.Duration
	Err   error
}

// Error tells what the receiver said.
func (r RetryAfter) Error() string { return r.Err.Error() }

// Unwrap is what the receiver said.
func (r RetryAfter) Unwrap() error { return r.Err }

// ID is the message's own name: equal IDs are duplicates of one message. What the serial is set off with is no full stop:
// signed webhooks set off the ID with one.
func (a Alert) ID() string {
	if a.Serial == 0 {
		return a.Key
	}
	return a.Key + "#" + strconv.Itoa(a.Serial)
}
