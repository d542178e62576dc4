package flow

import (
	"fmt"
	"strings"
)

// A Kind says how a movement came about.
type Kind uint8

// The kinds of movements. They are part of stored formats: never renumber.
const (
	Transfer  Kind = 1 // the coin a transaction itself carries; on UTXO chains the whole transaction
	Internal  Kind = 2 // the coin, moved by a call inside a transaction (from a trace)
	TokenMove Kind = 3 // a fungible token, by its log or call data
	NFTMove   Kind = 4 // an ERC-721 or ERC-1155 token
	Fee       Kind = 5 // the price of inclusion; what no Out leg takes was burned
	Reward    Kind = 6 // the chain's issue: subsidy, uncle reward, withdrawal from the beacon chain, coinbase
	Wrap      Kind = 7 // a token issued for a deposited coin (WETH Deposit)
	Unwrap    Kind = 8 // a token destroyed for the coin paid out (WETH Withdrawal)
)

var kindNames = [...]string{"", "transfer", "internal", "token", "nft", "fee", "reward", "wrap", "unwrap"}

// String is one lower-case word.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind%d", uint8(k))
}

// ParseKind reads the word of a kind.
func ParseKind(s string) (Kind, error) {
	for k, name := range kindNames {
		if name == s && s != "" {
			return Kind(k), nil
		}
	}
	return 0, fmt.Errorf("kind %.40q: not one of%s", s, strings.Join(kindNames[:], " "))
}

// MarshalText writes the word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(b []byte) error {
	v, err := ParseKind(string(b))
	if err != nil {
		return err
	}
	*k = v
	return nil
}

// A Leg is one side of a movement: who gives or takes, and how much. It is a fact: once its block is final it never
// changes, and no judgement is ever written into it.
//
// An In leg with a zero Account is a spent output that the store has never seen: its owner and amount are not known.
// It is "data-missing", never zero value. (An Out leg always has an account.)
type Leg struct {
	Account Account `json:"account"`
	Amount  Amount  `json:"amount"`
}

// A Movement is one asset leaving the In legs and arriving at the Out legs. A transfer between accounts has one of each;
// a UTXO transaction is one Movement with its inputs in vin order and its outputs in vout order, so that the position of
// an Out leg is its output index. Without In legs the asset was issued; without Out legs it was destroyed. Where the In
// legs give more than the Out legs take, the rest went to no account: the fee of a UTXO transaction (which its block's
// coinbase takes again), or a burned part.
type Movement struct {
	Kind  Kind       `json:"kind"`
	Asset Asset      `json:"asset"`
	Index uint32     `json:"index"` // the chain's own number: log index, or place among the transaction's traces; else 0
	In    []Leg      `json:"in,omitempty"`
	Out   []Leg      `json:"out,omitempty"`
	Spent []Outpoint `json:"spent,omitempty"` // UTXO only: the outpoint behind each In leg
}

// In1Out1 is the movement of v from one account to another: the usual form on account chains. A zero from is an issue,
// a zero to is a burn.
func In1Out1(kind Kind, asset Asset, index uint32, from, to Account, v Amount) Movement {
	m := Movement{Kind: kind, Asset: asset, Index: index}
	legs := make([]Leg, 0, 2)
	if !from.IsZero() {
		legs = append(legs, Leg{from, v})
		m.In = legs[:1:1]
	}
	if !to.IsZero() {
		legs = append(legs, Leg{to, v})
		m.Out = legs[len(legs)-1:]
	}
	return m
}

// IsComplete reports whether the owners and amounts of all In legs are known.
func (m Movement) IsComplete() bool {
	for _, l := range m.In {
		if l.Account.IsZero() {
			return false
		}
	}
	return true
}

// A Tx is a transaction: movements in the order in which they happened. A transaction that failed moved nothing but
// its fee. A Tx whose ID is the hash of its block holds what the block itself moved: rewards and withdrawals.
type Tx struct {
	ID        Hash       `json:"id"`
	Point     Point      `json:"point"`
	Index     uint32     `json:"index"` // place in the block
	Failed    bool       `json:"failed,omitempty"`
	Movements []Movement `json:"movements"`
	Logs      []Log      `json:"logs,omitempty"` // the known events among its logs, by index; see KnownEvent
}

// At is the place of the transaction's first movement.
func (t Tx) At() Pos { return Pos{t.Point.Height, t.Index, 0} }

// Coverage says what a block's source held, and what was recomputed from it and agreed. A bit that is not set means
// "not seen" or "could not be checked", never "wrong": a block that fails a check is not ingested.
type Coverage uint16

// The bits of a Coverage. They are part of stored formats: never renumber.
const (
	SawLogs        Coverage = 1 << 0 // token movements come from logs
	SawTraces      Coverage = 1 << 1 // the coin's internal movements are there
	SawFees        Coverage = 1 << 2 // fees are there
	SawRewards     Coverage = 1 << 3 // the block's own issue is there
	ProvedHash     Coverage = 1 << 4 // the header hashes to the block hash
	ProvedTxs      Coverage = 1 << 5 // transactions root (Bitcoin: merkle root)
	ProvedReceipts Coverage = 1 << 6 // receipts root
	ProvedBloom    Coverage = 1 << 7 // logs bloom
	ProvedWitness  Coverage = 1 << 8 // Bitcoin: witness commitment
	CallDataTokens Coverage = 1 << 9 // token movements come from call data: fee-on-transfer tokens deliver less
)

// Has reports whether all bits of want are set.
func (c Coverage) Has(want Coverage) bool { return c&want == want }

var coverageNames = [...]string{"logs", "traces", "fees", "rewards", "hash-proved", "transactions-proved", "receipts-proved",
	"bloom-proved", "witness-proved", "tokens-from-call-data"}

// Names lists the set bits in words.
func (c Coverage) Names() []string {
	var names []string
	for i, n := range coverageNames {
		if c&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// A NoteKind says what a Note is about.
type NoteKind uint8

// The kinds of notes. They are part of stored formats: never renumber.
const (
	Quarantined NoteKind = 1 // a row or record that was refused, with the reason; it moved nothing
	DataMissing NoteKind = 2 // something the block refers to and the store has never seen, such as a spent output
	Unproved    NoteKind = 3 // a root that could not be recomputed, such as that of a transaction type of another layer
)

var noteNames = [...]string{"", "quarantined", "data-missing", "unproved"}

// String is the kind in a word.
func (k NoteKind) String() string {
	if int(k) < len(noteNames) && k > 0 {
		return noteNames[k]
	}
	return fmt.Sprintf("note%d", uint8(k))
}

// MarshalText writes the word.
func (k NoteKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *NoteKind) UnmarshalText(b []byte) error {
	for v, name := range noteNames {
		if name == string(b) && v > 0 {
			*k = NoteKind(v)
			return nil
		}
	}
	return fmt.Errorf("kind of note %.40q: not one of%s", b, strings.Join(noteNames[:], " "))
}

// A Note is what ingest has to say about a block besides its transactions: nothing is dropped silently.
type Note struct {
	Kind   NoteKind `json:"kind"`
	Where  string   `json:"where"`         // file and line, transaction and input, …
	Reason string   `json:"reason"`        // one sentence
	Raw    string   `json:"raw,omitempty"` // the refused input, at most 1,000 bytes of it
}

// A Block is the transactions of one block in order.
type Block struct {
	Point    Point    `json:"point"`
	Parent   Hash     `json:"parent"` // zero where the source does not say
	Coverage Coverage `json:"coverage"`
	Txs      []Tx     `json:"txs"`
	Notes    []Note   `json:"notes,omitempty"`
}
