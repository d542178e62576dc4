package etl

import (
	"fmt"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// mostOdd is how many logs that are not understood get a note of their own.
const mostOdd = 100

// londonHeight is the first block of Ethereum with a base fee.
const londonHeight = 12_965_000

// move turns everything into movements.
func (b *builder) move() error {
	listed := b.head != nil && b.head.count != nil
	complete := !listed || *b.head.count == uint64(len(b.txs))
	if !complete {
		b.note(flow.DataMissing, "block", fmt.Sprintf("it has %d transactions, the tables %d", *b.head.count, len(b.txs)))
	}
	known := len(b.txs) > 0 || listed
	logs := known && complete && b.has("logs") && b.refused["logs"] == 0
	traces := known && complete && (b.has("traces") || len(b.txs) == 0) && b.refused["traces"] == 0
	fees := known && complete
	open := 0
	for _, t := range b.txs {
		tx, err := b.meaning(t)
		if err != nil {
			return err
		}
		isTraced := len(t.calls) > 0 && len(t.calls[0].Path) == 0
		traces = traces && isTraced
		fees = fees && tx.Fee.Known && tx.From != nil
		if t.whole && t.status == nil && !isTraced && !tx.Value.IsZero() && !t.leftGas() {
			open++
		}
		moves, notes := b.rules.Movements(tx)
		events, refused := b.rules.Events(tx)
		for _, n := range append(notes, refused...) {
			if b.odd++; b.odd <= mostOdd {
				b.out.Notes = append(b.out.Notes, n)
			}
		}
		if tx.Logs == nil {
			for _, c := range tx.Calls {
				if c.Input != nil {
					b.out.Coverage |= flow.CallDataTokens
				}
			}
		}
		b.out.Txs = append(b.out.Txs, flow.Tx{ID: t.id, Point: b.out.Point, Index: t.index, Failed: tx.Failed, Movements: moves, Logs: events})
	}
	if b.odd > mostOdd {
		b.note(flow.Quarantined, "block", fmt.Sprintf("%d more events are not understood", b.odd-mostOdd))
	}
	if open > 0 {
		b.note(flow.DataMissing, "block", fmt.Sprintf("whether they failed is not known of %d transactions that carry coin: "+
			"neither a receipt with a status nor a trace is there", open))
	}
	for bit, ok := range map[flow.Coverage]bool{flow.SawLogs: logs, flow.SawTraces: traces && !b.partial, flow.SawFees: fees,
		flow.SawRewards: b.rewarded || b.head != nil && b.head.staked} {
		if ok {
			b.out.Coverage |= bit
		}
	}
	if len(b.own) > 0 {
		index := uint32(0)
		if n := len(b.txs); n > 0 {
			index = b.txs[n-1].index + 1
		}
		b.out.Txs = append(b.out.Txs, flow.Tx{ID: b.out.Point.Hash, Point: b.out.Point, Index: index, Movements: b.own})
	}
	for i := range b.out.Txs { // the point may have been completed by later rows
		b.out.Txs[i].Point = b.out.Point
	}
	return nil
}

// leftGas reports whether a transaction from before the Byzantium fork, whose receipt has a state root in the place of the
// status, left gas over: then it did not fail, since failing took all.
func (t *transaction) leftGas() bool {
	return t.state != nil && t.used != nil && t.limit != nil && t.used.Less(*t.limit)
}

// meaning is what is known of a transaction, in the form that says what it moved.
func (b *builder) meaning(t *transaction) (execution.Tx, error) {
	tx := t.tx
	tx.ID, tx.Calls = t.id, t.calls
	if tx.To == nil {
		tx.To = t.made
	}
	isTraced := len(t.calls) > 0 && len(t.calls[0].Path) == 0
	if isTraced {
		root := t.calls[0]
		if t.whole && (*tx.From != root.From || tx.Value != root.Value && root.Kind != execution.SelfDestruct) {
			return tx, fmt.Errorf("transaction %s: its traces are of another one", t.id)
		}
		if tx.From == nil {
			tx.From = &root.From
		}
		tx.Failed = root.Failed
	}
	if t.status != nil {
		if isTraced && tx.Failed != (*t.status == 0) {
			return tx, fmt.Errorf("transaction %s: its receipt and its trace disagree whether it failed", t.id)
		}
		tx.Failed = *t.status == 0
	}
	if b.has("logs") || b.has("token_transfers") {
		tx.Logs = append([]execution.Log{}, t.logs...)
	}
	price := t.price
	if price == nil {
		price = t.offer
	}
	if price != nil && t.used != nil {
		tx.Fee = execution.Fee{Known: true, GasUsed: *t.used, Price: *price, L1: t.l1, Miner: b.miner()}
		if b.head != nil && b.head.base != nil {
			tx.Fee.Base = *b.head.base
		}
	}
	if t.kind != nil && *t.kind == 3 { // the tables do not tell the price of blobs
		tx.Fee.Known = false
	}
	if _, ok := execution.Total(tx.Fee); !ok {
		return tx, fmt.Errorf("transaction %s: its fee needs more than 256 bits", t.id)
	}
	return tx, nil
}

// miner is who takes the fees, nil where that is not known or what part of them is not.
func (b *builder) miner() *execution.Address {
	switch {
	case b.head == nil, b.rules.Chain() == flow.Ethereum && b.out.Point.Height >= londonHeight && b.head.base == nil:
		return nil
	}
	return b.head.miner
}
