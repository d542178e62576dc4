package execution

import (
	"math/big"

	"github.com/spoor-dev/spoor/flow"
)

// vaults are the accounts that take the parts of a fee on chains which burn nothing.
type vaults struct{ base, l1 Address }

// optimismVaults are predeploys of every OP-stack chain (specs.optimism.io, "Predeploys"): BaseFeeVault and L1FeeVault.
// The tip goes to the block's miner, which is the SequencerFeeVault.
var optimismVaults = vaults{
	base: Address{0: 0x42, 19: 0x19},
	l1:   Address{0: 0x42, 19: 0x1a},
}

// fee is the movement of the fee: the sender gives all of it, the miner takes what is over the base fee, and what no
// account takes was burned. On chains whose fees go to accounts that the block does not name, none takes it.
func (r Rules) fee(tx Tx) (flow.Movement, bool) {
	f := tx.Fee
	if !f.Known || tx.From == nil {
		return flow.Movement{}, false
	}
	whole, ok := Total(f)
	if !ok || whole.IsZero() {
		return flow.Movement{}, false
	}
	m := flow.Movement{Kind: flow.Fee, Asset: r.coin, In: []flow.Leg{{Account: r.Account(*tx.From), Amount: whole}}}
	pay := func(to Address, v flow.Amount) {
		if !v.IsZero() {
			m.Out = append(m.Out, flow.Leg{Account: r.Account(to), Amount: v})
		}
	}
	if tip, ok := f.Price.Sub(f.Base); ok && f.Miner != nil && !r.silent {
		v, _ := times(f.GasUsed, tip) // not more than the whole, which fits
		pay(*f.Miner, v)
	}
	if r.vaults != nil {
		v, _ := times(f.GasUsed, f.Base.Min(f.Price))
		pay(r.vaults.base, v)
		pay(r.vaults.l1, f.L1)
	}
	return m, true
}

// Total is all that the sender pays; ok is false if that needs more than 256 bits.
func Total(f Fee) (whole flow.Amount, ok bool) {
	whole, ok = times(f.GasUsed, f.Price)
	if !ok {
		return whole, false
	}
	if whole, ok = whole.Add(f.Blob); !ok {
		return whole, false
	}
	return whole.Add(f.L1)
}

func times(a, b flow.Amount) (flow.Amount, bool) {
	v, err := flow.AmountFromBig(new(big.Int).Mul(a.Big(), b.Big()))
	return v, err == nil
}
