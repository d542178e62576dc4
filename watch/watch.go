// Package watch follows open cases and watch lists on the live chain: it eats blocks, and says what people must be told.
package watch

import (
	"context"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A Case is a theft that is followed for as long as it is open.
type Case struct {
	ID      string // unique among the cases; part of the keys of its alerts
	Theft   trace.Theft
	Options trace.Options // with an UndoDepth that reaches as far as the chain may fork
}

// A List is accounts to look at, whatever they do.
type List struct {
	Name     string // unique among the lists; part of the keys of its alerts
	Accounts []flow.Account
	Severity finding.Severity           // of what is told about them; Medium if 0
	Least    map[flow.Asset]flow.Amount // smaller payments to them are counted, not told; see Config.Least
	Dormant  time.Duration              // an account that gives after so long without giving is told of with High; never if 0
	Contact  string
}

// A Party is who is said to be behind an account.
type Party struct {
	Name     string
	Category string
	Contact  string // whom to call to stop money there; empty where nobody knows
}

// A World is what a Watch asks about things outside of it. It answers from one state of the store at a time.
type World interface {
	trace.Balancer
	// Party is who is said to be behind an account; ok is false where nobody says.
	Party(a flow.Account) (p Party, ok bool)
	// Vouched reports whether an asset is what it says: the chain's coin or a well-known token. Anybody can make any other.
	Vouched(a flow.Asset) bool
	// LastGave is the time of the last block before that place in which the account gave anything, 0 where it never did.
	LastGave(ctx context.Context, a flow.Account, before flow.Pos) (int64, error)
	// Name is the symbol and the decimals of an asset, for texts.
	Name(a flow.Asset) (symbol string, decimals int)
}

// A Seen is a block with the moment at which it reached Spoor.
type Seen struct {
	Block flow.Block
	At    time.Time
}

var _ = alert.Found
