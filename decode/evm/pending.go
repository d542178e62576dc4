package evm

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// Pending reads one transaction that waits for a block, as nodes answer it. Its hash must be what its fields hash to, and
// its sender who signed it; errors that wrap ErrRoot say what does not fit. The movements are those that the transaction
// itself asks for: its coin, and what its call data says of tokens. They have not happened, and may never: the Tx has no
// place, its Point is its chain alone.
func (d *Decoder) Pending(raw []byte) (flow.Tx, error) {
	var j txJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return flow.Tx{}, fmt.Errorf("pending transaction: %w", where(err))
	}
	whole, foreign, err := wholeTx(&j)
	switch {
	case err != nil:
		return flow.Tx{}, fmt.Errorf("pending transaction %s: %w", j.Hash.v, err)
	case foreign != "":
		return flow.Tx{}, fmt.Errorf("pending transaction %s: it %s", j.Hash.v, foreign)
	case whole == nil:
		return flow.Tx{}, fmt.Errorf("pending transaction %s: it is not there whole", j.Hash.v)
	case !j.Hash.ok:
		return flow.Tx{}, errors.New("pending transaction: no hash")
	}
	if hash := flow.Hash(whole.Hash()); hash != j.Hash.v {
		return flow.Tx{}, fmt.Errorf("pending transaction %s: %w: it hashes to %s", j.Hash.v, ErrRoot, hash)
	}
	b := &builder{rules: d.rules, txs: []transaction{{id: j.Hash.v, tx: &j}}}
	if err := b.proveSender(0, whole); err != nil {
		return flow.Tx{}, fmt.Errorf("pending transaction %s: %w", j.Hash.v, err)
	}
	call := execution.Call{From: j.From.v, Value: j.Value.v, Input: j.Input}
	if to := whole.To(); to != nil {
		call.To = *to
	} else {
		call.Kind, call.To = execution.Create, crypto.CreateAddress(j.From.v, whole.Nonce())
	}
	moves, _ := d.rules.Movements(execution.Tx{ID: j.Hash.v, From: &call.From, To: &call.To, Value: call.Value, Calls: []execution.Call{call}})
	return flow.Tx{ID: j.Hash.v, Point: flow.Point{Chain: d.rules.Chain()}, Movements: moves}, nil
}
