package evm

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/spoor-dev/spoor/flow"
)

// header recomputes the hash of the header where all of its fields are there. The header of a chain that hashes other
// fields than Ethereum's cannot be checked, and says so in a note.
func (b *builder) header() error {
	j := b.in.Block
	h, ok, err := headerOf(j)
	if err != nil || !ok {
		return err
	}
	hash := flow.Hash(h.Hash())
	switch {
	case b.out.Point.Hash.IsZero():
		b.out.Point.Hash = hash
	case hash == b.out.Point.Hash:
		b.out.Coverage |= flow.ProvedHash
	default:
		if field := b.foreignField(); field != "" {
			b.note(flow.Unproved, "header", "the chain's headers have another form: "+field)
			return nil
		}
		return fmt.Errorf("header: %w: it hashes to %s, its hash is said to be %s", ErrRoot, hash, b.out.Point.Hash)
	}
	return nil
}

// headerOf is the header as go-ethereum hashes it; ok is false if a field is missing.
func headerOf(j *blockJSON) (h types.Header, ok bool, err error) {
	switch {
	case !j.ParentHash.ok, !j.UncleHash.ok, !j.StateRoot.ok, !j.TxRoot.ok, !j.ReceiptRoot.ok, !j.MixHash.ok,
		j.Bloom == nil, j.Nonce == nil, j.Extra == nil,
		!j.Difficulty.ok, !j.Number.ok, !j.GasLimit.ok, !j.GasUsed.ok, !j.Time.ok, !j.Miner.ok && !j.Author.ok:
		return h, false, nil
	case len(j.Bloom) != types.BloomByteLength:
		return h, false, fmt.Errorf("logsBloom: %d bytes, want %d", len(j.Bloom), types.BloomByteLength)
	case len(j.Nonce) != len(h.Nonce):
		return h, false, fmt.Errorf("nonce: %d bytes, want %d", len(j.Nonce), len(h.Nonce))
	}
	miner := j.Miner
	if !miner.ok {
		miner = j.Author
	}
	h = types.Header{
		ParentHash: common.Hash(j.ParentHash.v), UncleHash: common.Hash(j.UncleHash.v), Coinbase: miner.v,
		Root: common.Hash(j.StateRoot.v), TxHash: common.Hash(j.TxRoot.v), ReceiptHash: common.Hash(j.ReceiptRoot.v),
		Bloom: types.BytesToBloom(j.Bloom), Difficulty: j.Difficulty.v.Big(), Number: j.Number.v.Big(),
		Extra: j.Extra, MixDigest: common.Hash(j.MixHash.v), Nonce: types.BlockNonce(j.Nonce),
		BaseFee: bigOf(j.BaseFee), WithdrawalsHash: hashOf(j.WithdrawRoot), ParentBeaconRoot: hashOf(j.BeaconRoot),
		RequestsHash: hashOf(j.RequestsHash), BlockAccessListHash: hashOf(j.AccessHash),
	}
	for _, f := range []struct {
		name string
		from number
		to   *uint64
	}{
		{"gasLimit", j.GasLimit, &h.GasLimit}, {"gasUsed", j.GasUsed, &h.GasUsed}, {"timestamp", j.Time, &h.Time},
	} {
		if *f.to, ok = f.from.uint64(); !ok {
			return h, false, fmt.Errorf("%s %s: more than 64 bits", f.name, f.from.v)
		}
	}
	for _, f := range []struct {
		name string
		from number
		to   **uint64
	}{
		{"blobGasUsed", j.BlobGasUsed, &h.BlobGasUsed}, {"excessBlobGas", j.ExcessBlob, &h.ExcessBlobGas}, {"slotNumber", j.Slot, &h.SlotNumber},
	} {
		if !f.from.ok {
			continue
		}
		v, ok := f.from.uint64()
		if !ok {
			return h, false, fmt.Errorf("%s %s: more than 64 bits", f.name, f.from.v)
		}
		*f.to = &v
	}
	return h, true, nil
}

func bigOf(n number) *big.Int {
	if !n.ok {
		return nil
	}
	return n.v.Big()
}

func hashOf(w word) *common.Hash {
	if !w.ok {
		return nil
	}
	h := common.Hash(w.v)
	return &h
}

// knownFields are the fields of a block whose names look like a hash and that are either hashed by headerOf or, like
// those of Arbitrum, repeated from fields that are.
var knownFields = []string{"hash", "parentHash", "sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash",
	"withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash", "blockAccessListHash", "sendRoot"}

// foreignFields are other fields that show a header of another form: Avalanche, zkSync, Celo before it was a layer 2.
var foreignFields = []string{"extDataGasUsed", "blockGasCost", "l1BatchNumber", "randomness", "epochSnarkData", "signature", "step"}

// istanbulMix is the mixHash by which chains of Istanbul consensus (IBFT, QBFT) mark blocks whose hash leaves out the
// validators' seals.
const istanbulMix = "63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"

// foreignField is a sign that the block's header has a form that Spoor does not know, "" if there is none.
func (b *builder) foreignField() string {
	if b.in.Block.MixHash.v.String() == istanbulMix {
		return "Istanbul consensus"
	}
	var e struct {
		Block map[string]json.RawMessage `json:"block"`
	}
	if err := json.Unmarshal(b.raw, &e); err != nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(e.Block)) {
		looks := strings.HasSuffix(name, "Hash") || strings.HasSuffix(name, "Root")
		if looks && !slices.Contains(knownFields, name) || slices.Contains(foreignFields, name) {
			return name
		}
	}
	return ""
}
