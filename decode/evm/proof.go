package evm

import (
	"bytes"
	"fmt"
	"math/big"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// prove recomputes the roots for which the input holds what is needed.
func (b *builder) prove() error {
	if err := b.proveWithdrawals(); err != nil {
		return err
	}
	if err := b.proveTxs(); err != nil {
		return err
	}
	return b.proveReceipts()
}

// proveTxs checks the hash, the sender and the created contract of every transaction that is there whole, and the
// transactions root if all are.
func (b *builder) proveTxs() error {
	list := b.in.Block.Txs
	if list == nil {
		return nil
	}
	whole, ours := true, true
	signed := make(types.Transactions, len(b.txs)) // nil where something is missing
	for i := range b.txs {
		tx, reason, err := wholeTx(b.txs[i].tx)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name(i), err)
		}
		if reason != "" && b.foreign == "" {
			b.foreign = fmt.Sprintf("%s %s", b.name(i), reason)
			b.note(flow.Unproved, "transactions root", b.foreign)
		}
		if tx == nil {
			whole = false
			continue
		}
		if hash := flow.Hash(tx.Hash()); hash != b.txs[i].id {
			field := b.foreignField()
			if field == "" {
				return fmt.Errorf("%s: %w: it hashes to %s", b.name(i), ErrRoot, hash)
			}
			b.foreign = "the chain's blocks have another form: " + field
			b.note(flow.Unproved, "transactions root", b.foreign)
			ours = false
			break
		}
		signed[i] = tx
	}
	recoverSenders(signed)
	for i, tx := range signed {
		if tx == nil {
			continue
		}
		if err := b.proveSender(i, tx); err != nil {
			return fmt.Errorf("%s: %w", b.name(i), err)
		}
	}
	if !ours || !whole || !b.in.Block.TxRoot.ok {
		return nil
	}
	return b.root("transactions root", execution.Root(encoded(signed)), b.in.Block.TxRoot, flow.ProvedTxs)
}

// recoverers is how many signatures of a block are looked at side by side.
const recoverers = 8

// recoverSenders recovers the senders of transactions from their signatures, which go-ethereum remembers with them. Most of
// the time between a block and its alerts is spent here. What is wrong with a signature proveSender says.
func recoverSenders(signed types.Transactions) {
	var all sync.WaitGroup
	for first := range min(recoverers, len(signed)) {
		all.Go(func() {
			for i := first; i < len(signed); i += recoverers {
				if tx := signed[i]; tx != nil {
					_, _ = types.Sender(signerOf(tx), tx) // kept, or an error again when it is asked for
				}
			}
		})
	}
	all.Wait()
}

// signerOf takes every signature that any rule of the past took.
func signerOf(tx *types.Transaction) types.Signer {
	if tx.Protected() {
		return types.LatestSignerForChainID(tx.ChainId())
	}
	return types.FrontierSigner{}
}

// proveSender recovers the sender from the signature, and checks the address of a contract that was created.
func (b *builder) proveSender(i int, tx *types.Transaction) error {
	if tx.Protected() {
		if id := flow.EVMChain(tx.ChainId().Uint64()); id != b.rules.Chain() {
			return fmt.Errorf("it is signed for %s", id)
		}
		if said := b.txs[i].tx.ChainID; said.ok && said.v.Big().Cmp(tx.ChainId()) != 0 {
			return fmt.Errorf("%w: it is signed for %s, not for %s", ErrRoot, tx.ChainId(), said.v)
		}
	}
	from, err := types.Sender(signerOf(tx), tx)
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	for _, said := range []address{b.txs[i].tx.From, b.receiptOf(i).From} {
		if said.ok && said.v != from {
			return fmt.Errorf("%w: it was sent by %s, not %s", ErrRoot, from, common.Address(said.v))
		}
	}
	b.txs[i].tx.From = address{from, true}
	r := b.receiptOf(i)
	if to := tx.To(); to != nil {
		if r.To.ok && r.To.v != *to {
			return fmt.Errorf("%w: its receipt names another callee", ErrRoot)
		}
		if r.ContractAddress.ok && r.ContractAddress.v != [20]byte{} {
			return fmt.Errorf("%w: its receipt names a contract that it did not create", ErrRoot)
		}
		return nil
	}
	made := crypto.CreateAddress(from, tx.Nonce())
	if r.ContractAddress.ok && r.ContractAddress.v != made {
		return fmt.Errorf("%w: it created %s, not %s", ErrRoot, made, common.Address(r.ContractAddress.v))
	}
	return nil
}

func (b *builder) receiptOf(i int) receiptJSON {
	if r := b.txs[i].receipt; r != nil {
		return *r
	}
	return receiptJSON{}
}

// wholeTx is a transaction as go-ethereum hashes it: nil if a field is missing, and nil with a reason if it is of a kind
// that Ethereum does not have.
func wholeTx(j *txJSON) (tx *types.Transaction, foreign string, err error) {
	if j == nil || j.bare {
		return nil, "", nil
	}
	kind, ok := j.Type.uint64()
	if j.Type.ok && (!ok || kind > types.SetCodeTxType) {
		return nil, fmt.Sprintf("has the type %s of another layer", j.Type.v), nil
	}
	v := j.V
	if !v.ok {
		v = j.YParity
	}
	if kind != types.LegacyTxType && j.YParity.ok && j.YParity.v != v.v {
		return nil, "", fmt.Errorf("%w: v is %s, yParity %s", ErrRoot, v.v, j.YParity.v)
	}
	gas, ok1 := j.Gas.uint64()
	nonce, ok2 := j.Nonce.uint64()
	if !ok1 || !ok2 || !j.Value.ok || j.Input == nil || !v.ok || !j.R.ok || !j.S.ok {
		return nil, "", nil
	}
	if j.R.v.IsZero() && j.S.v.IsZero() {
		return nil, "has no signature: the chain made it itself", nil
	}
	var to *common.Address
	if j.To.ok {
		to = (*common.Address)(&j.To.v)
	}
	value, r, s := j.Value.v.Big(), j.R.v.Big(), j.S.v.Big()
	if kind == types.LegacyTxType {
		if !j.GasPrice.ok {
			return nil, "", nil
		}
		return types.NewTx(&types.LegacyTx{Nonce: nonce, GasPrice: j.GasPrice.v.Big(), Gas: gas, To: to, Value: value, Data: j.Input,
			V: v.v.Big(), R: r, S: s}), "", nil
	}
	if !j.ChainID.ok {
		return nil, "", nil
	}
	list := make(types.AccessList, len(j.AccessList))
	for i, a := range j.AccessList {
		list[i] = types.AccessTuple{Address: a.Address.v, StorageKeys: make([]common.Hash, len(a.StorageKeys))}
		for k, key := range a.StorageKeys {
			list[i].StorageKeys[k] = common.Hash(key.v)
		}
	}
	if kind == types.AccessListTxType {
		if !j.GasPrice.ok {
			return nil, "", nil
		}
		return types.NewTx(&types.AccessListTx{ChainID: j.ChainID.v.Big(), Nonce: nonce, GasPrice: j.GasPrice.v.Big(), Gas: gas, To: to,
			Value: value, Data: j.Input, AccessList: list, V: v.v.Big(), R: r, S: s}), "", nil
	}
	if !j.MaxFeePerGas.ok || !j.MaxPriorityFeePerGas.ok {
		return nil, "", nil
	}
	if kind == types.DynamicFeeTxType {
		return types.NewTx(&types.DynamicFeeTx{ChainID: j.ChainID.v.Big(), Nonce: nonce, GasTipCap: j.MaxPriorityFeePerGas.v.Big(),
			GasFeeCap: j.MaxFeePerGas.v.Big(), Gas: gas, To: to, Value: value, Data: j.Input, AccessList: list, V: v.v.Big(), R: r, S: s}), "", nil
	}
	if to == nil {
		return nil, "", fmt.Errorf("type %d without a callee", kind)
	}
	if kind == types.BlobTxType {
		if !j.MaxFeePerBlobGas.ok {
			return nil, "", nil
		}
		blobs := make([]common.Hash, len(j.BlobHashes))
		for i, h := range j.BlobHashes {
			blobs[i] = common.Hash(h.v)
		}
		return types.NewTx(&types.BlobTx{ChainID: u256(j.ChainID), Nonce: nonce, GasTipCap: u256(j.MaxPriorityFeePerGas),
			GasFeeCap: u256(j.MaxFeePerGas), Gas: gas, To: *to, Value: u256(j.Value), Data: j.Input, AccessList: list,
			BlobFeeCap: u256(j.MaxFeePerBlobGas), BlobHashes: blobs, V: u256(v), R: u256(j.R), S: u256(j.S)}), "", nil
	}
	auths := make([]types.SetCodeAuthorization, len(j.Authorizations))
	for i, a := range j.Authorizations {
		parity := a.YParity
		if !parity.ok {
			parity = a.V
		}
		p, ok1 := parity.uint64()
		n, ok2 := a.Nonce.uint64()
		if !ok1 || !ok2 || p > 255 {
			return nil, "", fmt.Errorf("authorization %d: nonce or parity missing or too large", i)
		}
		auths[i] = types.SetCodeAuthorization{ChainID: *u256(a.ChainID), Address: a.Address.v, Nonce: n, V: uint8(p), R: *u256(a.R), S: *u256(a.S)}
	}
	return types.NewTx(&types.SetCodeTx{ChainID: u256(j.ChainID), Nonce: nonce, GasTipCap: u256(j.MaxPriorityFeePerGas),
		GasFeeCap: u256(j.MaxFeePerGas), Gas: gas, To: *to, Value: u256(j.Value), Data: j.Input, AccessList: list,
		AuthList: auths, V: u256(v), R: u256(j.R), S: u256(j.S)}), "", nil
}

func u256(n number) *uint256.Int { v := uint256.Int(n.v.Words()); return &v }

// proveReceipts checks blooms, and the receipts root where that is possible.
func (b *builder) proveReceipts() error {
	if b.in.Block.Txs == nil {
		return nil
	}
	whole, foreign := true, b.foreign
	receipts := make([]execution.Receipt, 0, len(b.txs))
	var all execution.Bloom
	for i := range b.txs {
		j := b.txs[i].receipt
		if j == nil || j.Logs == nil {
			return nil
		}
		r, ok, err := wholeReceipt(b.txs[i].tx, j)
		if err != nil {
			return fmt.Errorf("receipt of %s: %w", b.name(i), err)
		}
		bloom := r.Bloom()
		if len(j.Bloom) != 0 && !bytes.Equal(j.Bloom, bloom[:]) {
			return fmt.Errorf("receipt of %s: logs bloom: %w", b.name(i), ErrRoot)
		}
		all.Or(bloom)
		if r.Type > types.SetCodeTxType && foreign == "" { // the block names its transactions by their hashes alone
			foreign = fmt.Sprintf("%s has the type %d of another layer", b.name(i), r.Type)
			b.note(flow.Unproved, "receipts root", foreign)
		}
		whole = whole && ok
		receipts = append(receipts, r)
	}
	if b.in.Block.Bloom != nil {
		if !bytes.Equal(b.in.Block.Bloom, all[:]) {
			return fmt.Errorf("logs bloom: %w: it does not fit the logs", ErrRoot)
		}
		b.out.Coverage |= flow.ProvedBloom
	}
	if !whole || foreign != "" || !b.in.Block.ReceiptRoot.ok {
		return nil
	}
	if err := b.root("receipts root", execution.ReceiptsRoot(receipts), b.in.Block.ReceiptRoot, flow.ProvedReceipts); err != nil {
		return err
	}
	return b.deduced(receipts)
}

// wholeReceipt is the hashed part of a receipt; ok is false if a field of it is missing. The logs are always there.
func wholeReceipt(tx *txJSON, j *receiptJSON) (r execution.Receipt, ok bool, err error) {
	r.Logs = make([]execution.Log, len(*j.Logs))
	for i, l := range *j.Logs {
		if r.Logs[i], err = readLog(l); err != nil {
			return r, false, fmt.Errorf("log %d: %w", i, err)
		}
	}
	kind := j.Type
	if !kind.ok && tx != nil {
		kind = tx.Type
	}
	if kind.ok {
		n, ok := kind.uint64()
		if !ok || n > 0x7f {
			return r, false, fmt.Errorf("type %s: too large", kind.v)
		}
		r.Type = uint8(n)
	}
	if tx != nil && tx.Type.ok && tx.Type.v.Compare(flow.NewAmount(uint64(r.Type))) != 0 {
		return r, false, fmt.Errorf("type %d, but its transaction has type %s", r.Type, tx.Type.v)
	}
	r.Gas, ok = j.CumulativeGasUsed.uint64()
	switch status, has := j.Status.uint64(); {
	case len(j.Root) == 32:
		r.State = j.Root
	case has && status <= 1:
		r.Status = status
	case j.Status.ok:
		return r, false, fmt.Errorf("status %s", j.Status.v)
	default:
		ok = false
	}
	return r, ok, nil
}

// deduced checks what a receipt says besides its hashed fields, where that follows from them.
func (b *builder) deduced(receipts []execution.Receipt) error {
	before, index := uint64(0), uint64(0)
	for i, r := range receipts {
		j := b.txs[i].receipt
		if j.GasUsed.ok && j.GasUsed.v.Compare(flow.NewAmount(r.Gas-before)) != 0 {
			return fmt.Errorf("receipt of %s: %w: gasUsed %s, but the cumulative sum rose by %d", b.name(i), ErrRoot, j.GasUsed.v, r.Gas-before)
		}
		j.GasUsed = number{flow.NewAmount(r.Gas - before), true}
		before = r.Gas
		if tx := b.txs[i].tx; tx != nil && !tx.bare && r.Type == types.BlobTxType && j.BlobGasUsed.ok &&
			j.BlobGasUsed.v != flow.NewAmount(params.BlobTxBlobGasPerBlob*uint64(len(tx.BlobHashes))) {
			return fmt.Errorf("receipt of %s: %w: blobGasUsed %s does not fit its %d blobs", b.name(i), ErrRoot, j.BlobGasUsed.v, len(tx.BlobHashes))
		}
		for k, l := range *j.Logs {
			if l.Index.ok && l.Index.v.Compare(flow.NewAmount(index)) != 0 {
				return fmt.Errorf("receipt of %s: %w: log %d has index %s, not %d", b.name(i), ErrRoot, k, l.Index.v, index)
			}
			(*j.Logs)[k].Index = number{flow.NewAmount(index), true}
			index++
		}
	}
	return nil
}

// proveWithdrawals checks the withdrawals root.
func (b *builder) proveWithdrawals() error {
	j := b.in.Block
	if j.Withdrawals == nil || !j.WithdrawRoot.ok {
		return nil
	}
	list := make(types.Withdrawals, len(*j.Withdrawals))
	for i, w := range *j.Withdrawals {
		index, ok1 := w.Index.uint64()
		validator, ok2 := w.Validator.uint64()
		amount, ok3 := w.Amount.uint64()
		if !ok1 || !ok2 || !ok3 || !w.Address.ok {
			return fmt.Errorf("withdrawal %d: a field is missing or has more than 64 bits", i)
		}
		list[i] = &types.Withdrawal{Index: index, Validator: validator, Address: w.Address.v, Amount: amount}
	}
	if len(list) == 0 && b.rules.Chain() != flow.Ethereum && j.WithdrawRoot.v != flow.Hash(types.EmptyWithdrawalsHash) {
		b.note(flow.Unproved, "withdrawals root", "the chain keeps something else there")
		return nil
	}
	return b.root("withdrawals root", execution.Root(encoded(list)), j.WithdrawRoot, 0)
}

// root compares a root that was recomputed with the block's, and sets its bit.
func (b *builder) root(name string, got flow.Hash, want word, bit flow.Coverage) error {
	if got != want.v {
		return fmt.Errorf("%s: %w: recomputed %s, the block says %s", name, ErrRoot, got, want.v)
	}
	b.out.Coverage |= bit
	return nil
}

// encoded are the entries of a list as its root hashes them.
func encoded(list types.DerivableList) [][]byte {
	entries := make([][]byte, list.Len())
	for i := range entries {
		var b bytes.Buffer
		list.EncodeIndex(i, &b)
		entries[i] = b.Bytes()
	}
	return entries
}

// price is what a transaction paid per unit of gas: what its receipt says, which must fit its own offer.
func (b *builder) price(i int) (flow.Amount, bool, error) {
	r, tx := b.receiptOf(i), b.txs[i].tx
	if tx == nil || tx.bare {
		return r.EffectiveGasPrice.v, r.EffectiveGasPrice.ok, nil
	}
	offer := tx.GasPrice
	if tx.MaxFeePerGas.ok && tx.MaxPriorityFeePerGas.ok && b.in.Block.BaseFee.ok {
		sum := new(big.Int).Add(b.in.Block.BaseFee.v.Big(), tx.MaxPriorityFeePerGas.v.Big())
		if sum.Cmp(tx.MaxFeePerGas.v.Big()) > 0 {
			sum = tx.MaxFeePerGas.v.Big()
		}
		v, err := flow.AmountFromBig(sum)
		if err != nil {
			return v, false, err
		}
		offer = number{v, true}
	}
	switch {
	case !r.EffectiveGasPrice.ok:
		return offer.v, offer.ok, nil
	case offer.ok && b.rules.Chain() == flow.Ethereum && offer.v != r.EffectiveGasPrice.v:
		return offer.v, false, fmt.Errorf("%w: effectiveGasPrice %s does not fit its offer of %s", ErrRoot, r.EffectiveGasPrice.v, offer.v)
	}
	return r.EffectiveGasPrice.v, true, nil
}
