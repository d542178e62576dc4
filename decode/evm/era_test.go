package evm_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/big"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/klauspost/compress/snappy"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
)

// The entries of an era1 file (ethereum/go-ethereum, package era) that hold blocks.
const (
	eraHeader   = 3
	eraBody     = 4
	eraReceipts = 5
)

// TestRealBlocksOfAnArchiveAreProved reads an era1 file of the Sepolia network, writes its blocks as a node answers them,
// and looks whether everything in them is proved.
func TestRealBlocksOfAnArchiveAreProved(t *testing.T) {
	file, err := os.ReadFile(shared(t, "evm-mainnet-blocks/geth-measure-only/sepolia-00021-b8814b14.era1"))
	if err != nil {
		t.Fatal(err)
	}
	signer := types.LatestSignerForChainID(params.SepoliaChainConfig.ChainID)
	d := evm.New(flow.EVMChain(11155111))
	var b invented
	blocks, txs := 0, 0
	for len(file) >= 8 {
		kind, size := binary.LittleEndian.Uint16(file), binary.LittleEndian.Uint32(file[2:])
		value := file[8 : 8+size]
		file = file[8+size:]
		if kind < eraHeader || kind > eraReceipts {
			continue
		}
		plain, err := io.ReadAll(snappy.NewReader(bytes.NewReader(value)))
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case eraHeader:
			b = invented{header: new(types.Header)}
			err = rlp.DecodeBytes(plain, b.header)
		case eraBody:
			var body types.Body
			err = rlp.DecodeBytes(plain, &body)
			b.txs = body.Transactions
		case eraReceipts:
			err = rlp.DecodeBytes(plain, &b.receipts)
			if err == nil && (len(b.txs) > 0 || b.header.Number.Uint64()%64 == 0) {
				blocks, txs = blocks+1, txs+len(b.txs)
				proveArchived(t, d, &b, signer)
			}
		}
		if err != nil {
			t.Fatalf("entry of type %d: %v", kind, err)
		}
	}
	t.Logf("%d blocks, %d transactions", blocks, txs)
	if txs < 93 {
		t.Error("too few transactions: the data is not what it was")
	}
}

func proveArchived(t *testing.T, d *evm.Decoder, b *invented, signer types.Signer) {
	t.Helper()
	before, index := uint64(0), uint(0)
	for i, r := range b.receipts {
		tx := b.txs[i]
		r.TxHash, r.TransactionIndex, r.GasUsed = tx.Hash(), uint(i), r.CumulativeGasUsed-before
		before = r.CumulativeGasUsed
		base := b.header.BaseFee
		if base == nil {
			base = new(big.Int)
		}
		tip, err := tx.EffectiveGasTip(base)
		if err != nil {
			t.Fatal(err)
		}
		r.EffectiveGasPrice = tip.Add(tip, base)
		for _, l := range r.Logs {
			l.TxHash, l.TxIndex, l.Index = r.TxHash, uint(i), index
			index++
		}
		if b.from, err = types.Sender(signer, tx); err != nil {
			t.Fatal(err)
		}
	}
	at, raw := b.rawFrom(t, nil, func(i int) common.Address {
		from, err := types.Sender(signer, b.txs[i])
		if err != nil {
			t.Fatal(err)
		}
		return from
	})
	at.Chain = flow.EVMChain(11155111)
	raw = bytes.Replace(raw, []byte("{\n \"block\""), []byte("{\"chainId\": 11155111, \"block\""), 1)
	got, err := d.Decode(at, flow.Hash(b.header.ParentHash), raw)
	if err != nil {
		t.Fatal(err)
	}
	want := flow.ProvedHash | flow.ProvedTxs | flow.ProvedReceipts | flow.ProvedBloom | flow.SawLogs | flow.SawFees
	if !got.Coverage.Has(want) {
		t.Errorf("block %d: coverage %v", at.Height, got.Coverage.Names())
	}
}
