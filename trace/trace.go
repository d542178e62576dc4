// Package trace says how much of a theft each holder has, by a claim ledger that loses nothing and a choice of policies.
package trace

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A Theft is what was stolen: one claim, made of sources. Sources of different assets are separate books, called lines.
type Theft struct {
	Name    string
	Sources []Source
}

// A Source is where a claim begins: a Holding, a Coin or an Outflow.
type Source interface {
	plain() plainSource
}

// A Holding is an amount of an account's balance that is stolen from a place on: the balance before At includes it. It
// is for account chains; on UTXO chains name the Coins, or an Outflow. Backward, the question is where that amount came
// from, and a zero At means the end of the chain.
type Holding struct {
	Account flow.Account
	Asset   flow.Asset
	Amount  flow.Amount // more than nothing
	At      flow.Pos
}

// A Coin is an output of a UTXO transaction, stolen whole or in part.
type Coin struct {
	Outpoint flow.Outpoint
	Account  flow.Account // its owner
	Asset    flow.Asset
	Amount   flow.Amount // the stolen part of it, more than nothing
}

// An Outflow is everything that leaves an account from a place on. What comes back to the account is paid out again
// before a new claim is made. Backward it is everything that entered before the place, or at all if From is zero.
type Outflow struct {
	Account flow.Account
	Asset   flow.Asset // the zero Asset means every asset
	From    flow.Pos
}

// plainSource is the one form of all sources: what is stored, hashed and shown.
type plainSource struct {
	kind     string
	account  flow.Account
	asset    flow.Asset
	outpoint flow.Outpoint
	amount   flow.Amount
	at       flow.Pos
}

func (h Holding) plain() plainSource {
	return plainSource{kind: "holding", account: h.Account, asset: h.Asset, amount: h.Amount, at: h.At}
}

func (c Coin) plain() plainSource {
	return plainSource{kind: "coin", account: c.Account, asset: c.Asset, outpoint: c.Outpoint, amount: c.Amount}
}

func (o Outflow) plain() plainSource {
	return plainSource{kind: "outflow", account: o.Account, asset: o.Asset, at: o.From}
}

func (s plainSource) chain() flow.Chain { return s.account.Chain() }

// check says what is wrong with the source itself.
func (s plainSource) check() error {
	c := s.chain()
	switch {
	case s.account.IsZero():
		return fmt.Errorf("%s without an account", s.kind)
	case s.asset.IsZero() && s.kind != "outflow":
		return fmt.Errorf("%s of %s without an asset", s.kind, s.account)
	case !s.asset.IsZero() && s.asset.Chain() != c:
		return fmt.Errorf("%s of %s: asset %s is on another chain", s.kind, s.account, s.asset)
	case s.amount.IsZero() && s.kind != "outflow":
		return fmt.Errorf("%s of %s: no amount", s.kind, s.account)
	case s.kind == "holding" && c.IsUTXO():
		return fmt.Errorf("holding of %s: on a UTXO chain name the coins, or the outflow", s.account)
	case s.kind == "coin" && s.outpoint.IsZero():
		return fmt.Errorf("coin of %s without an outpoint", s.account)
	}
	return nil
}

// plain checks a theft and returns its sources in their one form, in the order given.
func (t Theft) plain() ([]plainSource, error) {
	if len(t.Sources) == 0 {
		return nil, fmt.Errorf("theft %.80q: no sources", t.Name)
	}
	plain := make([]plainSource, 0, len(t.Sources))
	stolen := map[flow.Asset]flow.Amount{}
	coins := map[flow.Outpoint]bool{}
	for i, src := range t.Sources {
		if src == nil {
			return nil, fmt.Errorf("theft %.80q: source %d is missing", t.Name, i+1)
		}
		s := src.plain()
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("theft %.80q: source %d: %w", t.Name, i+1, err)
		}
		if s.kind == "coin" {
			if coins[s.outpoint] {
				return nil, fmt.Errorf("theft %.80q: source %d: coin %s is named twice", t.Name, i+1, s.outpoint)
			}
			coins[s.outpoint] = true
		}
		sum, ok := stolen[s.asset].Add(s.amount)
		if !ok {
			return nil, fmt.Errorf("theft %.80q: source %d: %w", t.Name, i+1, flow.ErrAmount)
		}
		stolen[s.asset] = sum
		plain = append(plain, s)
	}
	return plain, nil
}

// A Holder is who can have a part of the theft: on account chains an account in one asset, on UTXO chains an outpoint,
// with its owner for display.
type Holder struct {
	Account  flow.Account  `json:"account"`
	Asset    flow.Asset    `json:"asset"`
	Outpoint flow.Outpoint `json:"outpoint,omitzero"`
}

// Compare orders holders by account, asset, outpoint.
func (h Holder) Compare(o Holder) int {
	if c := h.Account.Compare(o.Account); c != 0 {
		return c
	}
	if c := h.Asset.Compare(o.Asset); c != 0 {
		return c
	}
	return h.Outpoint.Compare(o.Outpoint)
}

// String is the account, or the outpoint where there is one.
func (h Holder) String() string {
	if h.Outpoint.IsZero() {
		return h.Account.String()
	}
	return h.Outpoint.String()
}
