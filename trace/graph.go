package trace

import (
	"context"
	"math"

	"github.com/spoor-dev/spoor/flow"
)

// A Graph is what a trace needs to know of the world. Answers come in the order of the questions, one for each. One
// goroutine asks. The answers are facts of one state of the chain; they belong to the trace, and the Graph must not
// change them later.
type Graph interface {
	// After shows the transactions that touch each of these accounts from a place on, in the order of the chain.
	After(ctx context.Context, asks []Ask) ([]Page, error)
	// Spends finds the whole transactions that spend these outpoints: a zero Tx for one which nobody has spent.
	Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error)
	// Balances totals what these accounts received and gave of an asset before a place.
	Balances(ctx context.Context, of []BalanceAsk) ([]Balance, error)
}

// A BackGraph is a Graph that can be read backward, too, as the question for the source of funds needs it.
type BackGraph interface {
	Graph
	// Before is After with time reversed: the transactions at or before the place Ask.From, the latest first. The
	// movements of one View stand in the order of the chain as always.
	Before(ctx context.Context, asks []Ask) ([]Page, error)
	// Makers finds the whole transactions that made these outpoints: a zero Tx for one which is not known.
	Makers(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error)
}

// An Ask is a question for the movements that touch one account.
type Ask struct {
	Account flow.Account
	From    flow.Pos // the first place of interest
	Limit   int      // about how many movements to answer with; at least one
}

// A Page is an answer to an Ask. Its views rise in place (in an answer to Before they fall); it may end inside a
// transaction.
type Page struct {
	Txs  []View
	More bool // there are movements behind the last one shown, or may be
}

// A View is what is shown of one transaction: at least the movements which touch the account asked for, as far as the
// page reaches.
type View struct {
	Tx     flow.Tx  // with the movements that are shown
	Places []uint32 // the place of each in its transaction, rising; nil if all movements are shown
}

// place is the place of movement i of the view.
func (v *View) place(i int) flow.Pos {
	p := v.Tx.At()
	p.Movement = uint32(i)
	if v.Places != nil {
		p.Movement = v.Places[i]
	}
	return p
}

// A BalanceAsk is a question for the known history of an account in one asset.
type BalanceAsk struct {
	Account flow.Account
	Asset   flow.Asset
	Before  flow.Pos    // the first place that does not count
	Floor   flow.Amount // what came in smaller pieces does not count, nor who sent it, nor whom less was sent to
	Parties int         // how many payers and payees to name, at most
}

// A Balance is all that an account is known to have received and given. Facts may be incomplete: Out may exceed In.
type Balance struct {
	In, Out flow.Sum
	// Payers and Payees are the first distinct accounts which paid it and which it paid, itself and fees apart, in
	// movements with one leg on either side; as many as were asked for, or all.
	Payers, Payees []flow.Account
}

// next is the place right after p.
func next(p flow.Pos) flow.Pos {
	if p.Movement++; p.Movement != 0 {
		return p
	}
	if p.Tx++; p.Tx != 0 {
		return p
	}
	if p.Height++; p.Height != 0 {
		return p
	}
	return flow.Pos{Height: math.MaxUint64, Tx: math.MaxUint32, Movement: math.MaxUint32}
}

// mirror is the place of p when time runs backward. It is its own inverse and reverses the order.
func mirror(p flow.Pos) flow.Pos {
	return flow.Pos{Height: ^p.Height, Tx: ^p.Tx, Movement: ^p.Movement}
}
