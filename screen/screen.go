// Package screen is one question about an account, answered by one verdict with its reasons.
package screen

import (
	"context"
	"errors"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

var (
	// ErrQuestion is returned for a question that cannot be answered as it stands.
	ErrQuestion = errors.New("not a question")
	// ErrPolicy is returned for a policy that is not one.
	ErrPolicy = errors.New("not a policy")
	// ErrBlind is returned where the labels or the store could not be read. Nobody may take it for allow.
	ErrBlind = errors.New("could not look")
)

// A Direction is the way of money as its screened account sees it.
type Direction string

// The directions. A question without one asks for both.
const (
	Both Direction = ""
	In   Direction = "in"  // what came to the account: asked before money is taken from it
	Out  Direction = "out" // what left the account: asked before money is sent to it
)

// A Question asks about one account, or about a transfer with it before it is made.
type Question struct {
	Account        flow.Account
	Direction      Direction
	Asset          flow.Asset     // the zero Asset means every asset
	Amount         flow.Amount    // of the transfer, in units of Asset; zero if there is none
	Counterparties []flow.Account // others who take part in the transfer; only their labels count; at most MaxCounterparties
	AsOf           int64          // the moment whose truth is asked for, seconds since 1970; must be set
	KnownAt        int64          // what was known at that moment counts, and no more; AsOf if 0
	Direct         bool           // ask the labels alone, and no chain
}

// MaxCounterparties bounds Question.Counterparties.
const MaxCounterparties = 64

// Labels is what screen needs to know of who says what. It is safe for several goroutines.
type Labels interface {
	// LabelsOf are the labels of an account that held at one moment, as far as they were known at another, in an order
	// that is the same for ever. They belong to the Labels and must not be changed. An error means that they could not be
	// read, which is not the same as that there are none.
	LabelsOf(a flow.Account, validAt, knownAt int64) ([]attribute.Label, error)
	// LabelState is which labels those are, as far as they were known at a moment.
	LabelState(knownAt int64) (LabelState, error)
}

// A LabelState names a state of all labels.
type LabelState struct {
	Hash   flow.Hash // of all of them
	Count  int
	Newest int64 // when the newest list was made, seconds since 1970; 0 if there is none or no list says
}

// age is how old the newest list was at a moment, in seconds; -1 where no list says.
func (s LabelState) age(at int64) int64 {
	if s.Newest <= 0 {
		return -1
	}
	return max(at-s.Newest, 0)
}

// Clusters is what screen needs to know of which accounts have one owner. It is safe for several goroutines.
type Clusters interface {
	// ClusterOf is what ties an account to others, by evidence and labels that held at one moment, as far as they were
	// known at another; nil where nothing does. It belongs to the Clusters and must not be changed. An error means that it
	// could not be read.
	ClusterOf(a flow.Account, validAt, knownAt int64) (*Cluster, error)
	// ClusterState names the state of all clusters.
	ClusterState() flow.Hash
}

// An Exposer is what screen needs to know of the chain. It is safe for several goroutines. An error means that the chain
// could not be read.
type Exposer interface {
	Expose(ctx context.Context, q Question) (Exposed, error)
}

// Exposed is whom the money of an account came from or went to, as far as could be seen.
type Exposed struct {
	Exposure    []Exposure
	Covered     []Covered
	Seen        bool           // the store knows the account
	Partial     bool           // the work was cut short, or facts are missing
	DoesNotKnow []string       // sentences
	Tip         flow.Point     // the newest block that was seen
	Touched     []flow.Account // whose labels were asked for on the way, each once
}

// Verdicts is the durable record of what was answered. It is safe for several goroutines.
type Verdicts interface {
	// Append keeps verdicts, all or none. When it returns they survive a crash. A verdict's ID must be set: see Seal.
	Append(ctx context.Context, all ...Verdict) error
	// Find lists at most n verdicts about an account that were given at or before a moment, the newest first.
	Find(ctx context.Context, a flow.Account, before int64, n int) ([]Verdict, error)
}
