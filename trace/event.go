package trace

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A Sink names where claim ends that no holder has any more.
type Sink string

// The sinks.
const (
	Service     Sink = "service"      // arrived at an account that holds the money of many: the freeze list
	Mixer       Sink = "mixer"        // arrived at a service whose payouts cannot be told apart
	Bridge      Sink = "bridge"       // arrived at a service that pays out on another chain
	DustSink    Sink = "dust"         // a piece too small to follow
	FeeSink     Sink = "fee"          // paid for inclusion
	Burned      Sink = "burned"       // destroyed
	DataMissing Sink = "data-missing" // the facts do not say where it went
	Issued      Sink = "issued"       // backward only: the money was made there
)

// A leg is one side of an event.
type leg struct {
	account flow.Account
	amount  flow.Amount
	coin    flow.Outpoint // UTXO chains only
	sink    Sink          // where claim ends that the leg takes: it is no account, or nobody who is followed

	// The row of the account, as it stood in a book when so many had been entered: see Ledger.legRow.
	row     *row
	book    *book
	entered uint64
}

// An event is one movement as a ledger sees it: in the direction of the trace, with nothing left over between what is
// given and what is taken.
type event struct {
	tx     flow.Tx // without movements
	at     flow.Pos
	real   flow.Pos // at, in the order of the chain
	asset  flow.Asset
	index  uint32
	utxo   bool
	fee    bool // the price of inclusion: nobody is followed who takes it
	back   bool
	swaps  *txSwaps // the exchanges of the transaction; nil if they are not followed or not known
	givers []leg
	takers []leg
	// assumed is the part of the givers that the facts do not show: the amount of unknown inputs.
	assumed flow.Amount
	work    scratch // of the ledger that eats it
}

// isCoins reports whether the movement is of a UTXO chain.
func isCoins(m *flow.Movement) bool { return len(m.Spent) > 0 || m.Asset.Chain().IsUTXO() }

// set makes e the event of one movement; its slices are used again.
func (e *event) set(tx *flow.Tx, place flow.Pos, m *flow.Movement, back bool) error {
	e.tx = flow.Tx{ID: tx.ID, Point: tx.Point, Index: tx.Index}
	e.real, e.at, e.back = place, place, back
	if back {
		e.at = mirror(place)
	}
	e.asset, e.index, e.utxo, e.assumed = m.Asset, m.Index, isCoins(m), flow.Amount{}
	e.fee = m.Kind == flow.Fee
	ins, outs := e.givers[:0], e.takers[:0]
	if back {
		ins, outs = outs, ins
	}
	var in, out flow.Sum
	missing := -1
	for i, l := range m.In {
		g := leg{account: l.Account, amount: l.Amount}
		if i < len(m.Spent) {
			g.coin = m.Spent[i]
		}
		if l.Account.IsZero() && missing < 0 {
			missing = len(ins)
		}
		in = in.Plus(l.Amount)
		ins = append(ins, g)
	}
	for i, l := range m.Out {
		t := leg{account: l.Account, amount: l.Amount}
		if e.utxo {
			t.coin = flow.Outpoint{Tx: tx.ID, Index: uint32(i)}
		}
		out = out.Plus(l.Amount)
		outs = append(outs, t)
	}
	_, okIn := in.Amount()
	_, okOut := out.Amount()
	if !okIn || !okOut {
		return fmt.Errorf("movement at %s of %s: its legs sum to more than 2^256-1", place, tx.ID)
	}
	switch rest, ok := in.Minus(out); {
	case !ok && len(m.In) == 0:
		issued, _ := out.Amount()
		ins = append(ins, leg{amount: issued, sink: Issued})
	case !ok:
		e.assumed, _ = out.Minus(in)
		if missing >= 0 {
			ins[missing].amount, _ = ins[missing].amount.Add(e.assumed)
		} else {
			ins = append(ins, leg{amount: e.assumed, sink: DataMissing})
		}
	case !rest.IsZero():
		sink := Burned
		if e.utxo || e.fee {
			sink = FeeSink
		}
		outs = append(outs, leg{amount: rest, sink: sink})
	}
	e.givers, e.takers = ins, outs
	if back {
		e.givers, e.takers = outs, ins
	}
	for i := range e.takers {
		switch t := &e.takers[i]; {
		case t.sink != "":
		case t.account.IsZero():
			t.sink = DataMissing
		case e.fee && !back:
			t.sink = FeeSink
		}
	}
	return nil
}
