package evm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// gather lists the transactions and gives each its receipt.
func (b *builder) gather() error {
	if list := b.in.Block.Txs; list != nil {
		if err := b.listed(*list); err != nil {
			return err
		}
	} else if err := b.mentioned(); err != nil {
		return err
	}
	for k, l := range b.in.Logs {
		i, ok := b.index[l.TxHash.v]
		if !ok {
			return fmt.Errorf("log %d: the block has no transaction %s", k, l.TxHash.v)
		}
		b.txs[i].loose = append(b.txs[i].loose, l)
	}
	if b.in.Receipts == nil {
		return nil
	}
	for k := range *b.in.Receipts {
		r := &(*b.in.Receipts)[k]
		i, err := b.receiptFor(k, r)
		if err != nil {
			return fmt.Errorf("receipt %d: %w", k, err)
		}
		if b.txs[i].receipt != nil {
			return fmt.Errorf("receipt %d: %s has another receipt", k, b.name(i))
		}
		b.txs[i].receipt = r
	}
	return nil
}

// listed takes the transactions as the block lists them.
func (b *builder) listed(list []txJSON) error {
	for i := range list {
		tx := &list[i]
		if !tx.Hash.ok {
			return fmt.Errorf("transaction %d: no hash", i)
		}
		if at, ok := tx.Index.uint64(); tx.Index.ok && (!ok || at != uint64(i)) {
			return fmt.Errorf("transaction %d: it says that it is number %s", i, tx.Index.v)
		}
		if err := b.ofThisBlock(tx.BlockHash, tx.Block); err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
		if err := b.add(tx.Hash.v, uint32(i), tx); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) add(id flow.Hash, index uint32, tx *txJSON) error {
	if b.index == nil {
		b.index = map[flow.Hash]int{}
	}
	if _, twice := b.index[id]; twice {
		return fmt.Errorf("transaction %d: %s is there twice", index, id)
	}
	b.index[id] = len(b.txs)
	b.txs = append(b.txs, transaction{id: id, index: index, tx: tx})
	return nil
}

// mentioned finds the transactions of a block that does not list them, in its receipts and traces.
func (b *builder) mentioned() error {
	type mention struct {
		id    flow.Hash
		index uint64
	}
	var all []mention
	if b.in.Receipts != nil {
		for k, r := range *b.in.Receipts {
			at, ok := r.Index.uint64()
			if !ok {
				at = uint64(k)
			}
			if !r.TxHash.ok {
				return fmt.Errorf("receipt %d: it does not name its transaction", k)
			}
			all = append(all, mention{r.TxHash.v, at})
		}
	}
	for k, l := range b.in.Logs {
		at, ok := l.TxIndex.uint64()
		if !ok || !l.TxHash.ok {
			return fmt.Errorf("log %d: it does not say of which transaction it is", k)
		}
		all = append(all, mention{l.TxHash.v, at})
	}
	if b.in.Traces != nil {
		next := uint64(0)
		for k, t := range *b.in.Traces {
			hash := t.TxHash
			if !hash.ok {
				hash = t.ShortHash
			}
			at, ok := t.TxPosition.uint64()
			switch {
			case t.Action != nil && t.Type == "reward":
				continue
			case ok:
			case t.Action == nil: // one result for each transaction
				at = next
				next++
			default:
				return fmt.Errorf("trace %d: it does not say of which transaction it is", k)
			}
			all = append(all, mention{hash.v, at})
		}
	}
	slices.SortStableFunc(all, func(x, y mention) int { return cmp.Compare(x.index, y.index) })
	for i, m := range all {
		switch {
		case m.index > 1<<31:
			return fmt.Errorf("transaction %d: a block does not hold so many", m.index)
		case i > 0 && m == all[i-1]:
			continue
		case i > 0 && m.index == all[i-1].index:
			return fmt.Errorf("transaction %d: it is said to be %s and %s", m.index, all[i-1].id, m.id)
		case m.id.IsZero():
			return fmt.Errorf("transaction %d: nothing names its hash", m.index)
		}
		if err := b.add(m.id, uint32(m.index), nil); err != nil {
			return err
		}
	}
	return nil
}

// ofThisBlock checks what a part says of its block.
func (b *builder) ofThisBlock(hash word, height number) error {
	if hash.ok && !b.out.Point.Hash.IsZero() && hash.v != b.out.Point.Hash {
		return fmt.Errorf("it is of the block %s", hash.v)
	}
	if n, ok := height.uint64(); height.ok && (!ok || n != b.out.Point.Height) {
		return fmt.Errorf("it is of block %s", height.v)
	}
	return nil
}

// receiptFor finds the transaction of a receipt.
func (b *builder) receiptFor(k int, r *receiptJSON) (int, error) {
	if err := b.ofThisBlock(r.BlockHash, r.BlockNumber); err != nil {
		return 0, err
	}
	i := k
	if r.TxHash.ok {
		n, ok := b.index[r.TxHash.v]
		if !ok {
			return 0, fmt.Errorf("the block has no transaction %s", r.TxHash.v)
		}
		i = n
	}
	if i >= len(b.txs) {
		return 0, errors.New("the block has no transaction for it")
	}
	if at, ok := r.Index.uint64(); r.Index.ok && (!ok || at != uint64(b.txs[i].index)) {
		return 0, fmt.Errorf("it says that its transaction is number %s, not %d", r.Index.v, b.txs[i].index)
	}
	return i, nil
}

// Types of transactions of other layers that issue coin which was locked on the layer below.
const (
	typeOptimismDeposit = 0x7e
	typeArbitrumDeposit = 0x64
)

// move turns everything into movements.
func (b *builder) move() error {
	logs, traces, fees := true, b.in.Traces != nil || len(b.txs) == 0 && b.in.Block.Txs != nil, true
	open, bare := 0, 0
	for i := range b.txs {
		t := &b.txs[i]
		tx, err := b.meaning(i)
		if err != nil {
			return err
		}
		logs = logs && tx.Logs != nil && (t.loose == nil || t.receipt != nil && t.receipt.Logs != nil)
		traces = traces && t.traced
		fees = fees && tx.Fee.Known && tx.From != nil
		if tx.Logs == nil && slices.ContainsFunc(tx.Calls, func(c execution.Call) bool { return c.Input != nil }) {
			b.out.Coverage |= flow.CallDataTokens
		}
		switch {
		case t.traced, t.receipt != nil && t.receipt.Status.ok, leftGas(t):
		case t.tx == nil || t.tx.bare:
			bare++
		case !tx.Value.IsZero():
			open++
		}
		moves, notes := b.rules.Movements(tx)
		events, refused := b.rules.Events(tx)
		for _, n := range append(notes, refused...) {
			if b.odd++; b.odd <= mostOdd {
				b.out.Notes = append(b.out.Notes, n)
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
	if bare > 0 {
		b.note(flow.DataMissing, "block", fmt.Sprintf("%d transactions are not there whole, nor are their traces", bare))
	}
	known := len(b.txs) > 0 || b.in.Block.Txs != nil
	for bit, ok := range map[flow.Coverage]bool{flow.SawLogs: logs && known, flow.SawTraces: traces && !b.partial, flow.SawFees: fees && known} {
		if ok {
			b.out.Coverage |= bit
		}
	}
	return b.blockTx()
}

// leftGas reports whether a transaction from before the Byzantium fork, whose receipt has a state root in the place of the
// status, left gas over: then it did not fail, since failing took all.
func leftGas(t *transaction) bool {
	return t.tx != nil && t.receipt != nil && len(t.receipt.Root) == 32 && t.receipt.GasUsed.ok && t.receipt.GasUsed.v.Less(t.tx.Gas.v)
}

// mostOdd is how many events that are not understood get a note of their own; a block of a hostile token may have
// thousands.
const mostOdd = 100

// meaning is what is known of a transaction, in the form that says what it moved.
func (b *builder) meaning(i int) (execution.Tx, error) {
	t := &b.txs[i]
	j, r := t.tx, b.receiptOf(i)
	if j == nil {
		j = &txJSON{}
	}
	tx := execution.Tx{ID: t.id, From: j.From.pointer(), To: j.To.pointer(), Value: j.Value.v, Calls: t.calls}
	if tx.From == nil {
		tx.From = r.From.pointer()
	}
	if t.traced && tx.From == nil {
		tx.From = &t.calls[0].From
	}
	if tx.To == nil {
		tx.To = r.ContractAddress.pointer()
	}
	if nonce, ok := j.Nonce.uint64(); tx.To == nil && ok && tx.From != nil && !j.bare {
		made := [20]byte(crypto.CreateAddress(*tx.From, nonce))
		tx.To = &made
	}
	tx.Failed = t.fault
	if status, ok := r.Status.uint64(); ok {
		if t.traced && t.fault != (status == 0) {
			return tx, fmt.Errorf("%s: its receipt and its trace disagree whether it failed", b.name(i))
		}
		tx.Failed = status == 0
	}
	if err := b.fee(i, &tx); err != nil {
		return tx, fmt.Errorf("%s: %w", b.name(i), err)
	}
	return tx, b.logs(i, &tx)
}

// fee fills in what the transaction paid, and what was issued to it by the layer below.
func (b *builder) fee(i int, tx *execution.Tx) error {
	j, r := b.txs[i].tx, b.receiptOf(i)
	kind := uint64(0)
	if j != nil {
		kind, _ = j.Type.uint64()
		switch kind {
		case typeOptimismDeposit:
			tx.Mint = j.Mint.v
			tx.Fee.Known = true // paid on the layer below
			return nil
		case typeArbitrumDeposit:
			tx.Mint = j.Value.v
			tx.Fee.Known = true
			return nil
		}
	}
	price, ok, err := b.price(i)
	if err != nil {
		return err
	}
	tx.Fee = execution.Fee{Known: ok && r.GasUsed.ok, GasUsed: r.GasUsed.v, Price: price, L1: r.L1Fee.v, Miner: b.miner()}
	if base := b.in.Block.BaseFee; base.ok {
		tx.Fee.Base = base.v
	}
	if r.BlobGasUsed.ok && r.BlobGasPrice.ok {
		tx.Fee.Blob, ok = execution.Total(execution.Fee{GasUsed: r.BlobGasUsed.v, Price: r.BlobGasPrice.v})
	} else {
		ok = kind != 3
	}
	if !ok {
		tx.Fee.Known = false
	}
	if _, ok := execution.Total(tx.Fee); !ok {
		return errors.New("its fee needs more than 256 bits")
	}
	return nil
}

// londonHeight is the first block of Ethereum with a base fee.
const londonHeight = 12_965_000

// miner is who takes the fees, nil where that is not known or what part of them is not.
func (b *builder) miner() *[20]byte {
	j := b.in.Block
	if b.rules.Chain() == flow.Ethereum && b.out.Point.Height >= londonHeight && !j.BaseFee.ok {
		return nil
	}
	if j.Miner.ok {
		return &j.Miner.v
	}
	return j.Author.pointer()
}

// logs fills in the logs, and whether their order among the calls is known.
func (b *builder) logs(i int, tx *execution.Tx) error {
	t := &b.txs[i]
	list := t.loose
	switch {
	case t.receipt != nil && t.receipt.Logs != nil:
		list = *t.receipt.Logs
	case t.ordered && b.traceLogs > 0: // the tracer tells logs
		tx.Logs, tx.LogOrder = append([]execution.Log{}, t.traceLogs...), true
		return nil
	case list == nil:
		return nil
	}
	tx.Logs = make([]execution.Log, 0, len(list))
	for k, l := range list {
		log, err := readLog(l)
		if err == nil {
			err = b.ofThisBlock(l.BlockHash, l.Block)
		}
		if n, ok := l.TxIndex.uint64(); err == nil && (l.TxHash.ok && l.TxHash.v != t.id || l.TxIndex.ok && (!ok || n != uint64(t.index))) {
			err = errors.New("it is of another transaction")
		}
		if n, ok := l.Time.uint64(); err == nil && l.Time.ok && b.in.Block.Time.ok && (!ok || n != uint64(b.out.Point.Time)) {
			err = fmt.Errorf("its time is %s, that of the block %d", l.Time.v, b.out.Point.Time)
		}
		if err != nil {
			return fmt.Errorf("%s: log %d: %w", b.name(i), k, err)
		}
		at, ok := l.Index.uint64()
		if l.Index.ok && (!ok || at > 1<<31) {
			return fmt.Errorf("%s: log %d: index %s is too large", b.name(i), k, l.Index.v)
		}
		if !l.Index.ok {
			at = uint64(b.logsSeen)
		}
		log.Index = uint32(at)
		b.logsSeen++
		tx.Logs = append(tx.Logs, log)
	}
	slices.SortStableFunc(tx.Logs, func(x, y execution.Log) int { return cmp.Compare(x.Index, y.Index) })
	tx.LogOrder = t.ordered && sameEmitters(tx.Logs, t.traceLogs)
	return nil
}

// sameEmitters reports whether two lists of logs are of the same contracts in the same order.
func sameEmitters(a, b []execution.Log) bool {
	return slices.EqualFunc(a, b, func(x, y execution.Log) bool { return x.Emit == y.Emit })
}

// gwei is how many wei a withdrawal's unit is.
const gwei = 1_000_000_000

// blockTx adds what the block itself moved: rewards and withdrawals.
func (b *builder) blockTx() error {
	j := b.in.Block
	if j.Withdrawals != nil {
		for i, w := range *j.Withdrawals {
			v, ok := execution.Total(execution.Fee{GasUsed: w.Amount.v, Price: flow.NewAmount(gwei)})
			if !ok || !w.Amount.ok || !w.Address.ok {
				return fmt.Errorf("withdrawal %d: no address, no amount or too large an amount", i)
			}
			if !v.IsZero() {
				b.own = append(b.own, flow.In1Out1(flow.Reward, b.rules.Chain().Native(), uint32(i), flow.Account{}, b.rules.Account(w.Address.v), v))
			}
		}
	}
	staked := j.Difficulty.ok && j.Difficulty.v.IsZero() && (j.Withdrawals != nil || !j.WithdrawRoot.ok)
	if b.rewarded || staked {
		b.out.Coverage |= flow.SawRewards
	}
	if len(b.own) == 0 {
		return nil
	}
	index := uint32(len(b.txs))
	if n := len(b.txs); n > 0 {
		index = b.txs[n-1].index + 1
	}
	b.out.Txs = append(b.out.Txs, flow.Tx{ID: b.out.Point.Hash, Point: b.out.Point, Index: index, Movements: b.own})
	return nil
}
