package evm_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// invented is an invented block with a transaction of every type, made with go-ethereum's own types.
type invented struct {
	header   *types.Header
	txs      []*types.Transaction
	receipts []*types.Receipt
	payouts  types.Withdrawals
	from     common.Address
	extra    []map[string]any // transactions of other layers
}

const baseFee = 7

var (
	ben     = common.HexToAddress("0x00000000000000000000000000000000000000b1")
	miner   = common.HexToAddress("0x00000000000000000000000000000000000000c1")
	coinTok = common.HexToAddress("0x00000000000000000000000000000000000000d1")
)

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := crypto.ToECDSA(bytes.Repeat([]byte{0x42}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newInvented(t testing.TB) *invented {
	t.Helper()
	k := key(t)
	b := &invented{from: crypto.PubkeyToAddress(k.PublicKey)}
	one, chain := uint256.NewInt(1), uint256.NewInt(1)
	access := types.AccessList{{Address: ben, StorageKeys: []common.Hash{{1}, {2}}}}
	auth, err := types.SignSetCode(k, types.SetCodeAuthorization{ChainID: *chain, Address: ben, Nonce: 9})
	if err != nil {
		t.Fatal(err)
	}
	for i, inner := range []types.TxData{
		&types.LegacyTx{Nonce: 0, GasPrice: big.NewInt(10), Gas: 90000, To: &ben, Value: big.NewInt(100), Data: []byte{1}},
		&types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(10), Gas: 90000, To: &ben, Value: big.NewInt(101)},
		&types.LegacyTx{Nonce: 2, GasPrice: big.NewInt(10), Gas: 90000, Value: big.NewInt(102), Data: []byte{0x60}},
		&types.AccessListTx{ChainID: big.NewInt(1), Nonce: 3, GasPrice: big.NewInt(11), Gas: 90000, To: &ben, Value: big.NewInt(103), AccessList: access},
		&types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 4, GasTipCap: big.NewInt(2), GasFeeCap: big.NewInt(20), Gas: 90000, To: &coinTok, Value: big.NewInt(0), Data: []byte{}, AccessList: access},
		&types.BlobTx{ChainID: chain, Nonce: 5, GasTipCap: one, GasFeeCap: uint256.NewInt(20), Gas: 90000, To: ben, Value: uint256.NewInt(105), BlobFeeCap: uint256.NewInt(3), BlobHashes: []common.Hash{{1, 5}}},
		&types.SetCodeTx{ChainID: chain, Nonce: 6, GasTipCap: one, GasFeeCap: uint256.NewInt(20), Gas: 90000, To: ben, Value: uint256.NewInt(106), AuthList: []types.SetCodeAuthorization{auth}},
	} {
		var signer types.Signer = types.LatestSignerForChainID(big.NewInt(1))
		if i == 0 {
			signer = types.HomesteadSigner{}
		}
		tx, err := types.SignNewTx(k, signer, inner)
		if err != nil {
			t.Fatal(err)
		}
		b.txs = append(b.txs, tx)
	}
	total, logs := uint64(0), uint(0)
	for i, tx := range b.txs {
		total += 21000 + uint64(i)
		price, _ := tx.EffectiveGasTip(big.NewInt(baseFee))
		r := &types.Receipt{Type: tx.Type(), Status: 1, CumulativeGasUsed: total, TxHash: tx.Hash(), GasUsed: 21000 + uint64(i),
			EffectiveGasPrice: price.Add(price, big.NewInt(baseFee)), TransactionIndex: uint(i), Logs: []*types.Log{}}
		switch i {
		case 2:
			r.ContractAddress = crypto.CreateAddress(b.from, 2)
		case 3:
			r.Status = 0
		case 4:
			for n := range 2 {
				l := execution.TokenTransfer(0, coinTok, b.from, ben, flow.NewAmount(1000+uint64(n)))
				log := &types.Log{Address: coinTok, Data: l.Data, TxHash: tx.Hash(), TxIndex: 4, Index: logs}
				for _, h := range l.Topics {
					log.Topics = append(log.Topics, common.Hash(h))
				}
				r.Logs = append(r.Logs, log)
				logs++
			}
		case 5:
			r.BlobGasUsed, r.BlobGasPrice = 131072, big.NewInt(3)
		}
		r.Bloom = types.CreateBloom(r)
		b.receipts = append(b.receipts, r)
	}
	b.payouts = types.Withdrawals{{Index: 1, Validator: 2, Address: ben, Amount: 3}, {Index: 2, Validator: 3, Address: miner, Amount: 0}}
	withdrawals, beacon, requests, zero := common.Hash(root(b.payouts)), common.Hash{8}, types.EmptyRequestsHash, uint64(0)
	b.header = &types.Header{ParentHash: common.Hash{9}, UncleHash: types.EmptyUncleHash, Coinbase: miner, Root: common.Hash{7},
		TxHash: common.Hash(root(types.Transactions(b.txs))), ReceiptHash: common.Hash(root(types.Receipts(b.receipts))),
		Difficulty: new(big.Int), Number: big.NewInt(22_000_000), GasLimit: 30_000_000, GasUsed: total, Time: 1_750_000_000, Extra: []byte("spoor"),
		BaseFee: big.NewInt(baseFee), WithdrawalsHash: &withdrawals, BlobGasUsed: &zero, ExcessBlobGas: &zero, ParentBeaconRoot: &beacon, RequestsHash: &requests}
	for _, r := range b.receipts {
		for i := range r.Bloom {
			b.header.Bloom[i] |= r.Bloom[i]
		}
	}
	return b
}

func root(list types.DerivableList) flow.Hash {
	entries := make([][]byte, list.Len())
	for i := range entries {
		var b bytes.Buffer
		list.EncodeIndex(i, &b)
		entries[i] = b.Bytes()
	}
	return execution.Root(entries)
}

// object is v as package json writes and reads it.
func object(t testing.TB, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// raw is the block as a node would answer it.
func (b *invented) raw(t testing.TB, traces any) (flow.Point, []byte) {
	t.Helper()
	at, raw := b.rawFrom(t, traces, func(int) common.Address { return b.from })
	return at, bytes.Replace(raw, []byte("{\n"), []byte("{\n \"chainId\": \"0x1\",\n"), 1)
}

// rawFrom is raw without the id of the chain, for senders of any kind.
func (b *invented) rawFrom(t testing.TB, traces any, from func(i int) common.Address) (flow.Point, []byte) {
	t.Helper()
	block := object(t, b.header)
	var txs, receipts []any
	for i, tx := range b.txs {
		j := object(t, tx)
		j["from"], j["transactionIndex"], j["blockHash"] = from(i), fmt.Sprintf("%#x", i), b.header.Hash()
		txs = append(txs, j)
		r := b.receipts[i]
		r.BlockHash, r.BlockNumber = b.header.Hash(), b.header.Number
		for _, l := range r.Logs {
			l.BlockHash, l.BlockNumber, l.BlockTimestamp = b.header.Hash(), b.header.Number.Uint64(), b.header.Time
		}
		j = object(t, r)
		j["from"], j["to"] = from(i), tx.To()
		if r.ContractAddress == (common.Address{}) {
			j["contractAddress"] = nil
		}
		receipts = append(receipts, j)
	}
	for _, e := range b.extra {
		txs = append(txs, e)
		receipts = append(receipts, map[string]any{"transactionHash": e["hash"], "type": e["type"], "status": "0x1", "cumulativeGasUsed": "0x1",
			"gasUsed": "0x5208", "effectiveGasPrice": "0x0", "logs": []any{}})
	}
	if txs == nil {
		txs, receipts = []any{}, []any{}
	}
	block["transactions"], block["size"] = txs, "0x1"
	if b.payouts != nil {
		block["withdrawals"] = b.payouts
	}
	text, err := json.MarshalIndent(map[string]any{"block": block, "receipts": receipts, "traces": traces}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return flow.Point{Chain: flow.Ethereum, Height: b.header.Number.Uint64(), Hash: flow.Hash(b.header.Hash()), Time: int64(b.header.Time)}, text
}

// tell writes movements in short.
func tell(txs []flow.Tx) string {
	var b strings.Builder
	names := map[common.Address]string{ben: "ben", miner: "miner", coinTok: "token"}
	side := func(legs []flow.Leg) string {
		var s []string
		for _, l := range legs {
			a, _ := l.Account.EVMAddress()
			name, ok := names[a]
			if !ok {
				name = "ann"
				names[a] = name
			}
			s = append(s, name+" "+l.Amount.String())
		}
		return strings.Join(s, "+")
	}
	for _, tx := range txs {
		fmt.Fprintf(&b, "%d", tx.Index)
		if tx.Failed {
			b.WriteString(" failed")
		}
		for _, m := range tx.Movements {
			fmt.Fprintf(&b, " | %s/%d %s>%s", m.Kind, m.Index, side(m.In), side(m.Out))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestEveryTypeOfTransactionIsProved(t *testing.T) {
	b := newInvented(t)
	at, raw := b.raw(t, nil)
	got, err := evm.New(flow.Ethereum).Decode(at, flow.Hash(b.header.ParentHash), raw)
	if err != nil {
		t.Fatal(err)
	}
	if want := flow.ProvedHash | flow.ProvedTxs | flow.ProvedReceipts | flow.ProvedBloom | flow.SawLogs | flow.SawFees | flow.SawRewards; got.Coverage != want {
		t.Errorf("coverage %v; want %v", got.Coverage.Names(), want.Names())
	}
	made := crypto.CreateAddress(b.from, 2)
	if to := got.Txs[2].Movements[1].Out[0].Account; to != flow.EVMAccount(flow.Ethereum, made) {
		t.Errorf("created %s; want %s", to, made)
	}
	got.Txs[2].Movements[1].Out[0].Account = flow.EVMAccount(flow.Ethereum, coinTok)
	want := "0 | fee/0 ann 210000>miner 63000 | transfer/0 ann 100>ben 100\n" +
		"1 | fee/0 ann 210010>miner 63003 | transfer/0 ann 101>ben 101\n" +
		"2 | fee/0 ann 210020>miner 63006 | transfer/0 ann 102>token 102\n" +
		"3 failed | fee/0 ann 231033>miner 84012\n" +
		"4 | fee/0 ann 189036>miner 42008 | token/0 ann 1000>ben 1000 | token/1 ann 1001>ben 1001\n" +
		"5 | fee/0 ann 561256>miner 21005 | transfer/0 ann 105>ben 105\n" +
		"6 | fee/0 ann 168048>miner 21006 | transfer/0 ann 106>ben 106\n" +
		"7 | reward/0 >ben 3000000000\n"
	if text := tell(got.Txs); text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	if last := got.Txs[7]; last.ID != at.Hash {
		t.Errorf("the block's own transaction is called %s", last.ID)
	}
	if len(got.Notes) != 0 {
		t.Errorf("notes %+v", got.Notes)
	}
}

func TestInventedBlockHidesNoChange(t *testing.T) {
	b := newInvented(t)
	at, raw := b.raw(t, nil)
	testChanges(t, at, flow.Hash(b.header.ParentHash), raw)
}

// TestWhatIsMissingIsNotClaimed takes parts away and looks at what the coverage still says.
func TestWhatIsMissingIsNotClaimed(t *testing.T) {
	all := flow.ProvedHash | flow.ProvedTxs | flow.ProvedReceipts | flow.ProvedBloom | flow.SawLogs | flow.SawFees | flow.SawRewards
	first := func(m map[string]any, name string) map[string]any { return m[name].([]any)[0].(map[string]any) }
	for _, c := range []struct {
		name string
		cut  func(m map[string]any)
		want flow.Coverage
	}{
		{"receipts", func(m map[string]any) { delete(m, "receipts") }, flow.ProvedHash | flow.ProvedTxs | flow.SawRewards},
		{"one-receipt", func(m map[string]any) { m["receipts"] = m["receipts"].([]any)[1:] }, flow.ProvedHash | flow.ProvedTxs | flow.SawRewards},
		{"status", func(m map[string]any) { delete(first(m, "receipts"), "status") }, all &^ flow.ProvedReceipts},
		{"logs", func(m map[string]any) { delete(first(m, "receipts"), "logs") }, all &^ (flow.ProvedReceipts | flow.ProvedBloom | flow.SawLogs)},
		{"gas", func(m map[string]any) {
			delete(first(m, "receipts"), "gasUsed")
			delete(first(m, "receipts"), "cumulativeGasUsed")
		}, all &^ (flow.ProvedReceipts | flow.SawFees)},
		{"price", func(m map[string]any) { delete(first(m, "receipts"), "effectiveGasPrice") }, all},
		{"signature", func(m map[string]any) { delete(first(m["block"].(map[string]any), "transactions"), "r") }, all &^ flow.ProvedTxs},
		{"state-root", func(m map[string]any) { delete(m["block"].(map[string]any), "stateRoot") }, all &^ flow.ProvedHash},
		{"bloom", func(m map[string]any) { delete(m["block"].(map[string]any), "logsBloom") }, all &^ (flow.ProvedHash | flow.ProvedBloom)},
		{"receipts-root", func(m map[string]any) { delete(m["block"].(map[string]any), "receiptsRoot") }, all &^ (flow.ProvedHash | flow.ProvedReceipts)},
		{"withdrawals", func(m map[string]any) { delete(m["block"].(map[string]any), "withdrawals") }, all &^ flow.SawRewards},
		{"hashes-alone", func(m map[string]any) {
			var list []any
			for _, tx := range m["block"].(map[string]any)["transactions"].([]any) {
				list = append(list, tx.(map[string]any)["hash"])
			}
			m["block"].(map[string]any)["transactions"] = list
		}, all &^ flow.ProvedTxs},
		{"transactions", func(m map[string]any) { delete(m["block"].(map[string]any), "transactions") },
			flow.ProvedHash | flow.SawLogs | flow.SawFees | flow.SawRewards},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newInvented(t)
			at, raw := b.raw(t, nil)
			m := object(t, json.RawMessage(raw))
			c.cut(m)
			raw, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := evm.New(flow.Ethereum).Decode(at, flow.Hash{}, raw)
			if err != nil {
				t.Fatal(err)
			}
			if got.Coverage != c.want {
				t.Errorf("coverage %v; want %v", got.Coverage.Names(), c.want.Names())
			}
		})
	}
}

func TestTransactionsOfOtherLayersPass(t *testing.T) {
	b := newInvented(t)
	deposit := map[string]any{"hash": common.Hash{1}, "type": "0x7e", "from": b.from, "to": ben, "value": "0x5", "mint": "0x7", "gas": "0x1", "input": "0x",
		"sourceHash": common.Hash{2}, "transactionIndex": "0x7"}
	retry := map[string]any{"hash": common.Hash{3}, "type": "0x68", "from": b.from, "to": ben, "value": "0x6", "transactionIndex": "0x8"}
	b.extra = []map[string]any{deposit, retry}
	at, raw := b.raw(t, nil)
	got, err := evm.New(flow.Ethereum).Decode(at, flow.Hash{}, raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Coverage.Has(flow.ProvedTxs) || got.Coverage.Has(flow.ProvedReceipts) || !got.Coverage.Has(flow.ProvedHash|flow.ProvedBloom) {
		t.Errorf("coverage %v", got.Coverage.Names())
	}
	if len(got.Notes) != 1 || got.Notes[0].Kind != flow.Unproved || !strings.Contains(got.Notes[0].Reason, "layer") {
		t.Errorf("notes %+v", got.Notes)
	}
	want := "7 | reward/0 >ann 7 | transfer/0 ann 5>ben 5\n8 | transfer/0 ann 6>ben 6\n"
	if text := tell(got.Txs[7:9]); text != want {
		t.Errorf("got %s want %s", text, want)
	}
}

// Where the block names its transactions by their hashes alone, only the receipts tell that some are of another layer.
func TestReceiptsOfOtherLayersPass(t *testing.T) {
	b := newInvented(t)
	b.extra = []map[string]any{{"hash": common.Hash{1}, "type": "0x7e"}}
	at, raw := b.raw(t, nil)
	m := object(t, json.RawMessage(raw))
	block := m["block"].(map[string]any)
	hashes := []any{}
	for _, tx := range block["transactions"].([]any) {
		hashes = append(hashes, tx.(map[string]any)["hash"])
	}
	block["transactions"] = hashes
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := evm.New(flow.Ethereum).Decode(at, flow.Hash{}, raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Coverage.Has(flow.ProvedReceipts) || !got.Coverage.Has(flow.ProvedHash|flow.ProvedBloom) {
		t.Errorf("coverage %v", got.Coverage.Names())
	}
	i := slices.IndexFunc(got.Notes, func(n flow.Note) bool { return n.Where == "receipts root" })
	if i < 0 || got.Notes[i].Kind != flow.Unproved || !strings.Contains(got.Notes[i].Reason, "type 126 of another layer") {
		t.Errorf("notes %+v", got.Notes)
	}
}

func TestForeignHeadersPassAndOthersDoNot(t *testing.T) {
	b := newInvented(t)
	at, raw := b.raw(t, nil)
	m := object(t, json.RawMessage(raw))
	m["block"].(map[string]any)["gasUsed"] = "0x1" // hashed: now the hash does not fit
	bad, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d := evm.New(flow.Ethereum)
	if _, err := d.Decode(at, flow.Hash{}, bad); !errors.Is(err, evm.ErrRoot) || !strings.Contains(err.Error(), "header") {
		t.Errorf("a changed header: %v", err)
	}
	for _, field := range []string{"extDataHash", "blockGasCost", "newFangledRoot"} {
		m["block"].(map[string]any)[field] = "0x0"
		foreign, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Decode(at, flow.Hash{}, foreign)
		if err != nil || got.Coverage.Has(flow.ProvedHash) || len(got.Notes) != 1 || got.Notes[0].Kind != flow.Unproved {
			t.Errorf("with %s: %v, notes %+v", field, err, got.Notes)
		}
		delete(m["block"].(map[string]any), field)
	}
}

func TestContradictionsAreErrors(t *testing.T) {
	block := func(m map[string]any) map[string]any { return m["block"].(map[string]any) }
	list := func(m map[string]any, name string) []any { return m[name].([]any) }
	for _, c := range []struct {
		name string
		cut  func(m map[string]any)
		want string
	}{
		{"chain", func(m map[string]any) { m["chainId"] = "0x2" }, "chain 2"},
		{"height", func(m map[string]any) { block(m)["number"] = "0x1" }, "it says that it is block 1"},
		{"parent", func(m map[string]any) { block(m)["parentHash"] = common.Hash{1} }, "parentHash"},
		{"time", func(m map[string]any) { block(m)["timestamp"] = "0x1" }, "its time is 1"},
		{"no-block", func(m map[string]any) { delete(m, "block") }, "no block"},
		{"transaction-gone", func(m map[string]any) { block(m)["transactions"] = list(block(m), "transactions")[:6] }, "no transaction"},
		{"receipt-twice", func(m map[string]any) { m["receipts"] = append(list(m, "receipts"), list(m, "receipts")[0]) }, "another receipt"},
		{"transaction-twice", func(m map[string]any) {
			first := object(t, list(block(m), "transactions")[0])
			delete(first, "transactionIndex")
			block(m)["transactions"] = append(list(block(m), "transactions"), first)
		}, "twice"},
		{"withdrawal-gone", func(m map[string]any) { block(m)["withdrawals"] = list(block(m), "withdrawals")[:1] }, "withdrawals root"},
		{"log-gone", func(m map[string]any) {
			r := list(m, "receipts")[4].(map[string]any)
			r["logs"] = list(r, "logs")[:1]
			delete(r, "logsBloom")
		}, "receipts root"},
		{"all-logs-gone", func(m map[string]any) {
			r := list(m, "receipts")[4].(map[string]any)
			r["logs"] = []any{}
			delete(r, "logsBloom")
		}, "logs bloom"},
		{"checksum", func(m map[string]any) { block(m)["miner"] = "0x52bc44d5378309EE2abF1539BF71dE1b7d7bE3b6" }, "checksum"},
		{"huge", func(m map[string]any) {
			list(block(m), "transactions")[0].(map[string]any)["value"] = "0x1" + strings.Repeat("0", 64)
		}, "2^256"},
		{"trace-failed", func(m map[string]any) {
			m["traces"] = []any{map[string]any{"txHash": list(block(m), "transactions")[0].(map[string]any)["hash"],
				"result": map[string]any{"type": "CALL", "from": newInvented(t).from, "to": ben, "value": "0x64", "error": "out of gas"}}}
		}, "disagree"},
		{"trace-of-another", func(m map[string]any) {
			m["traces"] = []any{map[string]any{"txHash": list(block(m), "transactions")[0].(map[string]any)["hash"],
				"result": map[string]any{"type": "CALL", "from": ben, "to": ben, "value": "0x64"}}}
		}, "another transaction"},
		{"trace-of-none", func(m map[string]any) {
			m["traces"] = []any{map[string]any{"txHash": common.Hash{5}, "result": map[string]any{"type": "CALL", "from": ben}}}
		}, "no transaction"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newInvented(t)
			at, raw := b.raw(t, nil)
			m := object(t, json.RawMessage(raw))
			c.cut(m)
			raw, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := evm.New(flow.Ethereum).Decode(at, flow.Hash(b.header.ParentHash), raw); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one with %q", err, c.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	b := newInvented(f)
	at, raw := b.raw(f, []any{map[string]any{"txHash": b.txs[0].Hash(), "result": map[string]any{"type": "CALL", "from": b.from, "to": ben, "value": "0x64",
		"calls": []any{map[string]any{"type": "SELFDESTRUCT", "from": ben, "to": miner, "value": "0x1"}}}}})
	f.Add(raw)
	f.Add([]byte(`{"block":{"number":22000000},"traces":[{"action":{"from":"0x0000000000000000000000000000000000000001","callType":"call","value":"0x1"},` +
		`"traceAddress":[],"transactionHash":"0x0100000000000000000000000000000000000000000000000000000000000000","transactionPosition":0,"type":"call"}]}`))
	f.Add([]byte(`{"block":{"number":"0x14fb180","transactions":[]},"receipts":[],"traces":[{"type":"reward","action":{"author":null}}]}`))
	f.Add([]byte(`{"block":{"number":22000000},"logs":[{"address":"0x0000000000000000000000000000000000000001","topics":[],"data":"0x","transactionHash":` +
		`"0x0100000000000000000000000000000000000000000000000000000000000000","transactionIndex":1}]}`))
	at.Hash, at.Time = flow.Hash{}, 0
	d := evm.New(flow.Ethereum)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := d.Decode(at, flow.Hash{}, raw)
		if err != nil {
			return
		}
		for i, tx := range got.Txs {
			if i > 0 && tx.Index <= got.Txs[i-1].Index {
				t.Errorf("transaction %d comes after %d", tx.Index, got.Txs[i-1].Index)
			}
			for _, m := range tx.Movements {
				if len(m.In)+len(m.Out) == 0 || !m.IsComplete() {
					t.Errorf("movement %+v", m)
				}
			}
		}
	})
}
