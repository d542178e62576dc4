package bitcoin

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/spoor-dev/spoor/flow"
)

// A parser reads the transactions of one block with package wire, and holds them against the rules that wire leaves to
// its callers.
type parser struct {
	chain flow.Chain
	point flow.Point
	raw   []byte

	txs            []flow.Tx
	txids, wtxids  []chainhash.Hash
	hasWitness     bool
	coinbaseScript []byte
	commitment     []byte // 32 bytes; nil where the coinbase has none
	reserved       []byte // the only item of the coinbase's witness
}

// parse reads the number of transactions and the transactions, up to the last byte of the block.
func (p *parser) parse() error {
	w := newWalk(p.raw, headerSize)
	n, err := w.count(minTx)
	if err != nil {
		return fmt.Errorf("number of transactions: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("%w: byte %d: no transactions", ErrForm, w.off())
	}
	p.txs = make([]flow.Tx, n)
	p.txids = make([]chainhash.Hash, n)
	p.wtxids = make([]chainhash.Hash, n)
	movements := make([]flow.Movement, n)
	native := p.chain.Native()
	for i := range n {
		start := w.off()
		m := &movements[i]
		m.Asset = native
		if err := p.transaction(i, w, m); err != nil {
			return fmt.Errorf("transaction %d from byte %d on: %w", i, start, err)
		}
		p.txs[i] = flow.Tx{
			ID:        printed(p.txids[i]),
			Point:     p.point,
			Index:     uint32(i),
			Movements: movements[i : i+1 : i+1],
		}
	}
	if left := w.r.Len(); left != 0 {
		return fmt.Errorf("%w: byte %d: %d bytes after the last transaction", ErrForm, w.off(), left)
	}
	return nil
}

// transaction reads the i-th transaction into m and hashes it, with and without its witnesses.
func (p *parser) transaction(i int, w *walk, m *flow.Movement) error {
	start := w.off()
	if err := w.transaction(); err != nil {
		return err
	}
	w.to(start)
	var tx wire.MsgTx
	if err := tx.Deserialize(w.r); err != nil {
		return fmt.Errorf("%w: byte %d: %w", ErrForm, w.off(), err)
	}
	if err := p.inputs(i, tx.TxIn, m); err != nil {
		return err
	}
	if err := p.outputs(i, tx.TxOut, m); err != nil {
		return err
	}
	p.wtxids[i] = chainhash.DoubleHashH(p.raw[start:w.off()]) // what tx.WitnessHash would write again
	p.txids[i] = p.wtxids[i]
	if tx.HasWitness() {
		p.hasWitness = true
		p.txids[i] = tx.TxHash()
	}
	if i == 0 {
		p.wtxids[0] = chainhash.Hash{} // it holds the commitment and cannot be under it
		if stack := tx.TxIn[0].Witness; len(stack) == 1 {
			p.reserved = stack[0]
		}
	}
	return nil
}

// inputs takes the inputs of the i-th transaction. The coinbase has one that spends nothing, the others none such.
func (p *parser) inputs(i int, ins []*wire.TxIn, m *flow.Movement) error {
	if len(ins) == 0 || i == 0 && len(ins) != 1 {
		return fmt.Errorf("%w: %d inputs", ErrForm, len(ins))
	}
	m.Kind = flow.Transfer
	if i > 0 {
		m.In = make([]flow.Leg, len(ins))
		m.Spent = make([]flow.Outpoint, len(ins))
	}
	for j, in := range ins {
		spent := flow.Outpoint{Tx: printed(in.PreviousOutPoint.Hash), Index: in.PreviousOutPoint.Index}
		isNothing := spent == flow.Outpoint{Index: wire.MaxPrevOutIndex}
		switch {
		case i == 0 && isNothing:
			m.Kind = flow.Reward
			p.coinbaseScript = in.SignatureScript
		case i == 0:
			return fmt.Errorf("%w: the first transaction spends %s and is no coinbase", ErrForm, spent)
		case isNothing:
			return fmt.Errorf("%w: input %d spends nothing, which only the coinbase may", ErrForm, j)
		default:
			m.Spent[j] = spent
		}
	}
	return checkSpentOnce(m.Spent)
}

// checkSpentOnce refuses a transaction that spends an outpoint twice and so makes money (CVE-2018-17144).
func checkSpentOnce(spent []flow.Outpoint) error {
	var seen map[flow.Outpoint]bool
	if len(spent) > 16 {
		seen = make(map[flow.Outpoint]bool, len(spent))
	}
	for j, o := range spent {
		if seen[o] || seen == nil && slices.Contains(spent[:j], o) {
			return fmt.Errorf("%w: input %d spends %s a second time", ErrForm, j, o)
		}
		if seen != nil {
			seen[o] = true
		}
	}
	return nil
}

// outputs takes the outputs of the i-th transaction.
func (p *parser) outputs(i int, outs []*wire.TxOut, m *flow.Movement) error {
	if len(outs) == 0 {
		return fmt.Errorf("%w: no outputs", ErrForm)
	}
	m.Out = make([]flow.Leg, len(outs))
	var sum uint64
	for j, out := range outs {
		value := uint64(out.Value) // one below zero is above all there is
		if value > maxMoney || sum+value > maxMoney {
			return fmt.Errorf("%w: output %d: %d satoshi is more than all there is", ErrForm, j, max(value, sum+value))
		}
		sum += value
		owner, err := account(p.chain, out.PkScript)
		if err != nil {
			return fmt.Errorf("output %d: %w", j, err)
		}
		m.Out[j] = flow.Leg{Account: owner, Amount: flow.NewAmount(value)}
		if i == 0 && isCommitment(out.PkScript) { // the last one counts
			p.commitment = bytes.Clone(out.PkScript[len(commitmentMark) : len(commitmentMark)+chainhash.HashSize])
		}
	}
	return nil
}
