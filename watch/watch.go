// Package watch follows open cases and watch lists on the live chain: it eats blocks, and says what people must be told.
package watch

import (
	"context"
	"iter"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A Case is a theft that is followed for as long as it is open.
type Case struct {
	ID      string // unique among the cases; part of the keys of its alerts. Not empty, at most 200 bytes, without "/"
	Theft   trace.Theft
	Options trace.Options // with an UndoDepth that reaches as far as the chain may fork; no last place to read
	// Since is when the theft was, in seconds since 1970: what never moved since has lain still from then on. 0 if not known.
	Since int64
	// All are accounts from which everything is stolen that they give. Their Theft names the assets; where one of them
	// gives a vouched asset that no source of it names, News.Reopen says so.
	All []flow.Account
}

// A List is accounts to look at, whatever they do.
type List struct {
	Name     string                     // unique among the lists; part of the keys of its alerts, as the ID of a Case
	Accounts []flow.Account             // they belong to the Watch from then on
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

// A Graph is a World that can be walked, too.
type Graph interface {
	trace.Graph
	World
}

// A Seen is a block with the moment at which it reached Spoor.
type Seen struct {
	Block flow.Block
	At    time.Time
}

// A Start is how far one chain is known when a case is opened: what is final, and the blocks above it.
type Start struct {
	// Chain is which it is; that of Final if zero.
	Chain flow.Chain
	// Final is a block that will never be undone, no higher than where the Watch stands; zero if there is none: then Rest
	// begins with the first block that matters.
	Final flow.Point
	// Rest are the blocks above Final, in their order, up to where the Watch stands; nil if there are none.
	Rest iter.Seq2[flow.Block, error]
}

// News is what a block brought.
type News struct {
	// Alerts are what people are to be told, without the time at which they were made: who has the clock fills it in.
	Alerts []alert.Alert
	// Reopen are cases that the caller must Close and Open anew, because they are not followed as they should be.
	Reopen []Reopen
}

// Reopen is a case that is to be opened anew.
type Reopen struct {
	ID     string // of the case
	Reason string // for people
}

// Config is the configuration of a Watch. The zero value is valid.
type Config struct {
	// PerBlock is how many alerts of one case or list a block makes at most; 25 if 0. The others become one summary.
	PerBlock int
	// Dormant is how long stolen money must have lain still for its next move to be told as such; 30 days if 0.
	Dormant time.Duration
	// Least is how small a payment to an account of a list may be and still be told, where the list does not say. Without
	// it: 0.01 of an asset with 18 decimals, 0.0001 of one with 8, 1 of a coin with 6, 10 of a stablecoin.
	Least map[flow.Asset]flow.Amount
	// UndoDepth is how many blocks of each chain can be taken back; 10,000 if 0. The cases have undo depths of their own.
	UndoDepth int
	// Pending is how many pending transactions are remembered, so that each is told once; 65,536 if 0.
	Pending int
}

// Stats counts what a Watch holds, and what it did since it was made.
type Stats struct {
	Cases     int              `json:"cases"`
	Aside     int              `json:"aside"`     // cases that are not followed on some chain
	Following int              `json:"following"` // holders that were followed so far, by the leading rule of each case
	Lists     int              `json:"lists"`
	Accounts  int              `json:"accounts"` // on lists
	Blocks    int64            `json:"blocks"`
	Undone    int64            `json:"undone"`   // blocks
	Touches   int64            `json:"touches"`  // transactions that mattered to a case, once for each
	Alerts    map[string]int64 `json:"alerts"`   // by rule
	Withheld  int64            `json:"withheld"` // alerts that stand in a summary only
	Dust      int64            `json:"dust"`     // movements of listed accounts that were counted and not told
}

// Figures are how much of a theft is somewhere, in units of the stolen asset.
type Figures struct {
	Of    flow.Asset  // the stolen asset
	Dirty flow.Amount // under dirty-first, or the leading rule of the case
	Clean flow.Amount // under clean-first, or the leading rule of the case
}

// Opened is where the money of a case is when it is opened.
type Opened struct {
	ID      string
	Stolen  []Figures // for each stolen asset
	Held    []Figures // by holders that are followed
	Sinks   []SinkFigures
	Holders []HolderFigures // the ten who have the most
	More    int             // how many others have something
	Partial []string        // why the trace does not show all; nothing if it does
	Alert   alert.Alert     // the same for people
}

// SinkFigures are how much of a theft ended in a sink.
type SinkFigures struct {
	Sink trace.Sink
	Figures
}

// HolderFigures are how much of a theft a holder has.
type HolderFigures struct {
	trace.Holder
	Party string // who is said to be behind it; empty where nobody says
	Figures
}
