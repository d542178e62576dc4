// Package execution says what the execution of an EVM transaction moved, from its fee, its calls and its logs.
//
// It is where the two readers of EVM data meet: answers of nodes and rows of tables are mapped onto Tx, and what they
// mean is decided here once.
package execution

import (
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// An Address is the 20 bytes of an EVM account.
type Address = [20]byte

// A Tx is what is known of one transaction. Calls and Logs are nil where the input does not hold them, and empty where
// it says that there are none.
type Tx struct {
	ID       flow.Hash
	From     *Address    // nil if not known
	To       *Address    // the callee or the contract that was created; nil if not known
	Value    flow.Amount // the coin that the transaction itself carries
	Mint     flow.Amount // coin issued to From before anything else: a deposit from another layer
	Failed   bool        // it moved nothing but its fee (and Mint)
	Fee      Fee
	Calls    []Call // ordered by Order
	Logs     []Log  // by index
	LogOrder bool   // Call.LogsBefore is known, and counts Logs
}

// A Fee is what a transaction paid for its inclusion.
type Fee struct {
	Known   bool
	GasUsed flow.Amount
	Price   flow.Amount // paid per unit of gas
	Base    flow.Amount // the part of Price that is burned; 0 before EIP-1559
	Blob    flow.Amount // the whole price of blobs, burned
	L1      flow.Amount // the whole charge for the data on the layer below
	Miner   *Address    // who takes what is not burned; nil if not known
}

// A CallKind says what a Call did with its value.
type CallKind uint8

// The kinds of calls.
const (
	Plain        CallKind = iota // moves Value from From to To
	Create                       // moves Value into the contract To
	SelfDestruct                 // moves the balance Value of From to To
	Still                        // delegatecall, staticcall, callcode: Value does not move
)

// A Call is one step of a transaction's execution.
type Call struct {
	Path       []uint32 // place in the tree of calls; empty for the transaction itself
	Place      uint32   // place in the list of the transaction's steps, set by Order
	Kind       CallKind
	From, To   Address
	Value      flow.Amount
	Input      []byte // call data, needed where tokens are read from it
	Failed     bool   // an error of its own; Order adds those of the calls above it
	LogsBefore int    // logs that the transaction emitted before this call began
}

// A Log is one event.
type Log struct {
	Index  uint32 // in its block
	Emit   Address
	Topics []flow.Hash
	Data   []byte
}

// Order puts calls into the order of execution, numbers their places, and marks the calls below a failed one as failed.
// Two calls at one place are an error.
func Order(calls []Call) error {
	if !slices.IsSortedFunc(calls, comparePaths) {
		slices.SortStableFunc(calls, comparePaths)
	}
	var failed []uint32
	isFailed := false
	for i := range calls {
		c := &calls[i]
		if i > 0 && comparePaths(calls[i-1], *c) == 0 {
			return fmt.Errorf("two calls at place %v", c.Path)
		}
		c.Place = uint32(i)
		switch {
		case isFailed && hasPrefix(c.Path, failed):
			c.Failed = true
		case c.Failed:
			failed, isFailed = c.Path, true
		}
	}
	return nil
}

func comparePaths(a, b Call) int { return slices.Compare(a.Path, b.Path) }

func hasPrefix(path, prefix []uint32) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}

// Rules are what differs between EVM chains.
type Rules struct {
	chain   flow.Chain
	coin    flow.Asset
	wrapped []Address
	vaults  *vaults
	silent  bool // fees are not paid to the block's miner
}

// RulesOf are the rules of a chain. It panics on a chain that is no EVM chain.
func RulesOf(c flow.Chain) Rules {
	if !c.IsEVM() {
		panic("execution: rules of " + c.String())
	}
	r := Rules{chain: c, coin: c.Native(), wrapped: wrappedCoins(c.String())}
	switch c.String() {
	case "eip155:10", "eip155:8453", "eip155:11155420", "eip155:84532":
		r.vaults = &optimismVaults
	case "eip155:42161", "eip155:42170", "eip155:421614":
		r.silent = true
	}
	return r
}

// Chain is the chain of the rules.
func (r Rules) Chain() flow.Chain { return r.chain }

// Account is the account with that address.
func (r Rules) Account(a Address) flow.Account { return flow.EVMAccount(r.chain, a) }

// Movements are the movements of a transaction in the order in which they happened. The fee comes first. Where the
// order of calls and logs among each other is not known, the coin's movements come before those of the tokens. Without
// logs, tokens are read from the data of calls. notes are about logs that look like a token's but are not understood.
func (r Rules) Movements(tx Tx) (moves []flow.Movement, notes []flow.Note) {
	if !tx.Mint.IsZero() && tx.From != nil {
		moves = append(moves, flow.In1Out1(flow.Reward, r.coin, 0, flow.Account{}, r.Account(*tx.From), tx.Mint))
	}
	if m, ok := r.fee(tx); ok {
		moves = append(moves, m)
	}
	if tx.Failed {
		return moves, nil
	}
	if len(tx.Calls) == 0 || len(tx.Calls[0].Path) != 0 { // the transaction itself is not among its calls
		if tx.From != nil && tx.To != nil && !tx.Value.IsZero() {
			moves = append(moves, flow.In1Out1(flow.Transfer, r.coin, 0, r.Account(*tx.From), r.Account(*tx.To), tx.Value))
		}
	}
	tokens := r.tokens(tx)
	next := 0
	emit := func(before int) {
		for ; next < before && next < len(tx.Logs); next++ {
			m, reason := tokens(next)
			moves = append(moves, m...)
			if reason != "" {
				notes = append(notes, r.odd(tx, tx.Logs[next], reason))
			}
		}
	}
	for _, c := range tx.Calls {
		if tx.LogOrder {
			emit(c.LogsBefore)
		}
		if c.Failed {
			continue
		}
		if m, ok := r.coinMoved(c); ok {
			moves = append(moves, m)
		}
		if tx.Logs == nil {
			if m, ok := r.tokenCalled(c); ok {
				moves = append(moves, m)
			}
		}
	}
	emit(len(tx.Logs))
	return moves, notes
}

func (r Rules) coinMoved(c Call) (flow.Movement, bool) {
	if c.Kind == Still || c.Value.IsZero() {
		return flow.Movement{}, false
	}
	kind := flow.Internal
	if len(c.Path) == 0 {
		kind = flow.Transfer
	}
	return flow.In1Out1(kind, r.coin, c.Place, r.Account(c.From), r.Account(c.To), c.Value), true
}

// The selectors of the functions that move an ERC-20 token, and of those that wrap and unwrap the coin.
var (
	selectTransfer     = [4]byte{0xa9, 0x05, 0x9c, 0xbb} // transfer(address,uint256)
	selectTransferFrom = [4]byte{0x23, 0xb8, 0x72, 0xdd} // transferFrom(address,address,uint256)
	selectDeposit      = [4]byte{0xd0, 0xe3, 0x0d, 0xb0} // deposit()
	selectWithdraw     = [4]byte{0x2e, 0x1a, 0x7d, 0x4d} // withdraw(uint256)
)

// tokenCalled reads a token's movement from the data of a call. Of an address the low 20 bytes count, as for a contract.
func (r Rules) tokenCalled(c Call) (flow.Movement, bool) {
	if c.Kind != Plain || c.Input == nil {
		return flow.Movement{}, false
	}
	if slices.Contains(r.wrapped, c.To) {
		if m, ok := r.wrapCalled(c); ok {
			return m, true
		}
	}
	if len(c.Input) < 4 {
		return flow.Movement{}, false
	}
	from, words := c.From, c.Input[4:]
	switch [4]byte(c.Input[:4]) {
	case selectTransfer:
	case selectTransferFrom:
		if len(words) < 32 {
			return flow.Movement{}, false
		}
		from, words = Address(words[12:32]), words[32:]
	default:
		return flow.Movement{}, false
	}
	if len(words) < 64 {
		return flow.Movement{}, false
	}
	amount, err := flow.AmountFromBytes(words[32:64])
	if err != nil {
		return flow.Movement{}, false
	}
	m := r.move(flow.TokenMove, flow.Token(r.Account(c.To)), c.Place, from, Address(words[12:32]), amount)
	return m, len(m.In)+len(m.Out) > 0
}

// wrapCalled reads what a call of a wrapped coin's contract issued or destroyed. Coin that is sent there without a word is a
// deposit too.
func (r Rules) wrapCalled(c Call) (flow.Movement, bool) {
	token := flow.Token(r.Account(c.To))
	switch {
	case len(c.Input) == 0, len(c.Input) >= 4 && [4]byte(c.Input[:4]) == selectDeposit:
		m := r.move(flow.Wrap, token, c.Place, Address{}, c.From, c.Value)
		return m, !c.Value.IsZero() && len(m.Out) > 0
	case len(c.Input) >= 36 && [4]byte(c.Input[:4]) == selectWithdraw:
		v, err := flow.AmountFromBytes(c.Input[4:36])
		m := r.move(flow.Unwrap, token, c.Place, c.From, Address{}, v)
		return m, err == nil && !v.IsZero() && len(m.In) > 0
	}
	return flow.Movement{}, false
}

// move is a movement of a token: the zero address stands for its issue or its end.
func (r Rules) move(kind flow.Kind, asset flow.Asset, index uint32, from, to Address, amount flow.Amount) flow.Movement {
	var in, out flow.Account
	if from != (Address{}) {
		in = r.Account(from)
	}
	if to != (Address{}) {
		out = r.Account(to)
	}
	return flow.In1Out1(kind, asset, index, in, out, amount)
}

// odd is the note about a log that is not understood.
func (r Rules) odd(tx Tx, l Log, reason string) flow.Note {
	raw := fmt.Sprintf("%x", l.Data[:min(len(l.Data), 200)])
	for _, t := range l.Topics[:min(len(l.Topics), flow.MaxTopics)] {
		raw = t.String() + " " + raw
	}
	return flow.Note{
		Kind:   flow.Quarantined,
		Where:  fmt.Sprintf("transaction %s log %d of %s", r.chain.FormatHash(tx.ID), l.Index, r.Account(l.Emit).Address()),
		Reason: reason,
		Raw:    raw[:min(len(raw), 1000)],
	}
}
