package cluster

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

const (
	sameKeyVersion = 1
	signedBoth     = 95 // transactions of it were signed on both chains
	signedOne      = 70 // on one of them it only receives: the key is known to sign there alone
)

// A Presence is what one EVM chain shows of an account.
type Presence struct {
	Account  flow.Account
	Contract bool      // there is code at it, or may be
	Signed   bool      // it signed a transaction, so that a key is behind it
	Tx       flow.Hash // the transaction that shows it, and its place
	At       flow.Pos
}

// KeyOnTwoChains is the evidence that one address on two EVM chains is one key's. ok is false where it says nothing: a contract
// on either side, since whoever deploys at an address of one chain need not be who does on another; and an address that
// never signed anywhere, since there may be no key. The evidence holds from b's place on. seen is in seconds since 1970.
// Errors: ErrEvidence where the addresses differ, or are on one chain.
func KeyOnTwoChains(a, b Presence, seen int64) (e Evidence, ok bool, err error) {
	x, isEVM := a.Account.EVMAddress()
	y, alsoEVM := b.Account.EVMAddress()
	if !isEVM || !alsoEVM || x != y || a.Account == b.Account {
		return Evidence{}, false, fmt.Errorf("same key of %s and %s: %w", a.Account, b.Account, ErrEvidence)
	}
	if a.Contract || b.Contract || !a.Signed && !b.Signed {
		return Evidence{}, false, nil
	}
	confidence := signedOne
	if a.Signed && b.Signed {
		confidence = signedBoth
	}
	return Evidence{A: a.Account, B: b.Account, Heuristic: SameKey, Version: sameKeyVersion, Confidence: uint8(confidence), Tx: b.Tx, At: b.At, Seen: seen}, true, nil
}
