package detect

import (
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// An Event is one movement, or one pair of its legs, as the trace of a theft sees it: how much of it is stolen, and
// whether it ended there. It is made of facts and of one policy's answer.
type Event struct {
	Theft  string // which theft the stolen part is of
	Tx     flow.Hash
	At     flow.Pos
	Time   int64 // of the block, seconds since 1970; 0 if not known
	Index  uint32
	From   flow.Account // nobody for an issue
	To     flow.Account // nobody for a burn
	Asset  flow.Asset
	Amount flow.Amount // of the whole leg
	Units  flow.Amount // the stolen part of it; nothing for a clean movement of an account that holds stolen money
	Sink   Sink
	Swap   Swap
}

// A Sink says where stolen money ended with an event.
type Sink string

// The sinks. What is in none of them is held by the taker, and followed.
const (
	Held    Sink = ""
	Service Sink = "service" // an account that holds the money of many
	Bridge  Sink = "bridge"  // a service that leads to another chain
	Mixer   Sink = "mixer"   // a service that hides who is who
	Burned  Sink = "burned"  // destroyed; of a token, often the way back to another chain
	Dust    Sink = "dust"    // a piece too small to follow
	Lost    Sink = "lost"    // a fee, or what the facts do not show
)

// A Swap says that stolen money went into an exchange inside the transaction with an event, or came out of one.
type Swap string

// The sides of a swap. In one transaction the events into the exchanges stand before those out of them.
const (
	NoSwap    Swap = ""
	IntoSwap  Swap = "in"
	OutOfSwap Swap = "out"
)

// maxTime bounds times that are taken for times: the end of the year 9999.
const maxTime = 253402300799

// hasTime reports whether the event can take part in rules about time.
func (e *Event) hasTime() bool { return e.Time > 0 && e.Time <= maxTime }

// check says what is wrong with an event.
func (e *Event) check(c flow.Chain) error {
	for _, a := range []flow.Account{e.From, e.To} {
		if !a.IsZero() && a.Chain() != c {
			return fmt.Errorf("%s is not on %s", a, c)
		}
	}
	switch {
	case e.Asset.IsZero() || e.Asset.Chain() != c:
		return fmt.Errorf("asset %s is not on %s", e.Asset, c)
	case e.Amount.Less(e.Units):
		return errors.New("more is stolen of it than it is")
	}
	switch e.Sink {
	case Held, Service, Bridge, Mixer, Burned, Dust, Lost:
	default:
		return fmt.Errorf("sink %.40q: not one", e.Sink)
	}
	switch e.Swap {
	case NoSwap, IntoSwap, OutOfSwap:
	default:
		return fmt.Errorf("side of a swap %.40q: not one", e.Swap)
	}
	return nil
}
