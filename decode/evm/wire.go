package evm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// The JSON of nodes, read tolerantly: unknown fields are ignored, and what is missing or null stays unknown.

// envelope is the raw form of a recorded block.
type envelope struct {
	ChainID  number         `json:"chainId"`
	Block    *blockJSON     `json:"block"`
	Receipts *[]receiptJSON `json:"receipts"`
	Traces   *[]traceJSON   `json:"traces"`
	Logs     []logJSON      `json:"logs"` // without receipts: an answer to eth_getLogs, which may leave some out
}

type blockJSON struct {
	Hash         word      `json:"hash"`
	ParentHash   word      `json:"parentHash"`
	UncleHash    word      `json:"sha3Uncles"`
	Miner        address   `json:"miner"`
	Author       address   `json:"author"`
	StateRoot    word      `json:"stateRoot"`
	TxRoot       word      `json:"transactionsRoot"`
	ReceiptRoot  word      `json:"receiptsRoot"`
	Bloom        data      `json:"logsBloom"`
	Difficulty   number    `json:"difficulty"`
	Number       number    `json:"number"`
	GasLimit     number    `json:"gasLimit"`
	GasUsed      number    `json:"gasUsed"`
	Time         number    `json:"timestamp"`
	Extra        data      `json:"extraData"`
	MixHash      word      `json:"mixHash"`
	Nonce        data      `json:"nonce"`
	BaseFee      number    `json:"baseFeePerGas"`
	WithdrawRoot word      `json:"withdrawalsRoot"`
	BlobGasUsed  number    `json:"blobGasUsed"`
	ExcessBlob   number    `json:"excessBlobGas"`
	BeaconRoot   word      `json:"parentBeaconBlockRoot"`
	RequestsHash word      `json:"requestsHash"`
	AccessHash   word      `json:"blockAccessListHash"`
	Slot         number    `json:"slotNumber"`
	Txs          *[]txJSON `json:"transactions"`
	Withdrawals  *[]struct {
		Index     number  `json:"index"`
		Validator number  `json:"validatorIndex"`
		Address   address `json:"address"`
		Amount    number  `json:"amount"` // gwei
	} `json:"withdrawals"`
}

type txJSON struct {
	bare                 bool    // only its hash is known
	Hash                 word    `json:"hash"`
	BlockHash            word    `json:"blockHash"`
	Block                number  `json:"blockNumber"`
	Index                number  `json:"transactionIndex"`
	Type                 number  `json:"type"`
	ChainID              number  `json:"chainId"`
	Nonce                number  `json:"nonce"`
	GasPrice             number  `json:"gasPrice"`
	MaxFeePerGas         number  `json:"maxFeePerGas"`
	MaxPriorityFeePerGas number  `json:"maxPriorityFeePerGas"`
	Gas                  number  `json:"gas"`
	From                 address `json:"from"`
	To                   address `json:"to"`
	Value                number  `json:"value"`
	Input                data    `json:"input"`
	V                    number  `json:"v"`
	YParity              number  `json:"yParity"`
	R                    number  `json:"r"`
	S                    number  `json:"s"`
	AccessList           []struct {
		Address     address `json:"address"`
		StorageKeys []word  `json:"storageKeys"`
	} `json:"accessList"`
	MaxFeePerBlobGas number `json:"maxFeePerBlobGas"`
	BlobHashes       []word `json:"blobVersionedHashes"`
	Authorizations   []struct {
		ChainID number  `json:"chainId"`
		Address address `json:"address"`
		Nonce   number  `json:"nonce"`
		YParity number  `json:"yParity"`
		V       number  `json:"v"`
		R       number  `json:"r"`
		S       number  `json:"s"`
	} `json:"authorizationList"`
	Mint number `json:"mint"` // OP-stack deposits
}

// UnmarshalJSON reads a transaction, or only its hash.
func (t *txJSON) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		t.bare = true
		return t.Hash.UnmarshalJSON(b)
	}
	type plain txJSON
	return json.Unmarshal(b, (*plain)(t))
}

type receiptJSON struct {
	TxHash            word       `json:"transactionHash"`
	BlockHash         word       `json:"blockHash"`
	BlockNumber       number     `json:"blockNumber"`
	Index             number     `json:"transactionIndex"`
	Type              number     `json:"type"`
	From              address    `json:"from"`
	To                address    `json:"to"`
	ContractAddress   address    `json:"contractAddress"`
	Root              data       `json:"root"`
	Status            number     `json:"status"`
	CumulativeGasUsed number     `json:"cumulativeGasUsed"`
	GasUsed           number     `json:"gasUsed"`
	EffectiveGasPrice number     `json:"effectiveGasPrice"`
	BlobGasUsed       number     `json:"blobGasUsed"`
	BlobGasPrice      number     `json:"blobGasPrice"`
	L1Fee             number     `json:"l1Fee"`
	Bloom             data       `json:"logsBloom"`
	Logs              *[]logJSON `json:"logs"`
}

type logJSON struct {
	Address   address `json:"address"`
	Topics    []word  `json:"topics"`
	Data      data    `json:"data"`
	Index     number  `json:"logIndex"`
	TxHash    word    `json:"transactionHash"`
	TxIndex   number  `json:"transactionIndex"`
	BlockHash word    `json:"blockHash"`
	Block     number  `json:"blockNumber"`
	Time      number  `json:"blockTimestamp"`
	Position  number  `json:"position"` // callTracer: calls that the frame had made before
	CallIndex number  `json:"index"`    // callTracer
}

// traceJSON is one element of traces: a flat trace, or what a tracer says about one transaction.
type traceJSON struct {
	// Flat traces.
	Action *struct {
		CallType      string  `json:"callType"`
		From          address `json:"from"`
		To            address `json:"to"`
		Value         number  `json:"value"`
		Input         data    `json:"input"`
		Address       address `json:"address"`
		RefundAddress address `json:"refundAddress"`
		Balance       number  `json:"balance"`
		Author        address `json:"author"`
		RewardType    string  `json:"rewardType"`
	} `json:"action"`
	Result       json.RawMessage `json:"result"`
	TraceAddress []uint32        `json:"traceAddress"`
	BlockHash    word            `json:"blockHash"`
	BlockNumber  number          `json:"blockNumber"`
	TxHash       word            `json:"transactionHash"`
	TxPosition   number          `json:"transactionPosition"`
	Error        string          `json:"error"`
	Trace        []traceJSON     `json:"trace"` // trace_replayBlockTransactions
	// debug_traceBlock: {txHash, result}, where result is a frame or a list of flat traces.
	ShortHash word `json:"txHash"`
	// Flat traces have a type as well; with From it is a frame that stands alone, in the place of its transaction.
	Type  string      `json:"type"`
	From  address     `json:"from"`
	To    address     `json:"to"`
	Value number      `json:"value"`
	Input data        `json:"input"`
	Calls []frameJSON `json:"calls"`
	Logs  []logJSON   `json:"logs"`
}

// frameJSON is one call as the callTracer tells it.
type frameJSON struct {
	Type  string      `json:"type"`
	From  address     `json:"from"`
	To    address     `json:"to"`
	Value number      `json:"value"`
	Input data        `json:"input"`
	Error string      `json:"error"`
	Calls []frameJSON `json:"calls"`
	Logs  []logJSON   `json:"logs"`
}

// A number is a JSON number, or text in hexadecimal or decimal digits.
type number struct {
	v  flow.Amount
	ok bool
}

// UnmarshalJSON reads a number; null and empty text are none.
func (n *number) UnmarshalJSON(b []byte) error {
	text, err := unquote(b)
	if err != nil || text == "" {
		return err
	}
	if text != "0x" { // what some nodes write for 0
		if n.v, err = flow.ParseAmount(text); err != nil {
			return err
		}
	}
	n.ok = true
	return nil
}

// uint64 is n as a machine word; ok is false if it is not known or does not fit.
func (n number) uint64() (v uint64, ok bool) {
	v, ok = n.v.Uint64()
	return v, ok && n.ok
}

// An address is 20 bytes in hexadecimal digits; mixed case must have the right EIP-55 checksum.
type address struct {
	v  [20]byte
	ok bool
}

// UnmarshalJSON reads an address; null and empty text are none.
func (a *address) UnmarshalJSON(b []byte) error {
	text, err := unquote(b)
	if err != nil || text == "" || text == "0x" {
		return err
	}
	account, err := flow.ParseAccountOn(flow.Ethereum, text)
	if err != nil {
		return err
	}
	a.v, a.ok = account.EVMAddress()
	return nil
}

func (a address) pointer() *[20]byte {
	if !a.ok {
		return nil
	}
	return &a.v
}

// A word is 32 bytes in hexadecimal digits.
type word struct {
	v  flow.Hash
	ok bool
}

// UnmarshalJSON reads a word; null and empty text are none.
func (w *word) UnmarshalJSON(b []byte) error {
	text, err := unquote(b)
	if err != nil || text == "" {
		return err
	}
	w.v, err = flow.ParseHash(text)
	w.ok = err == nil
	return err
}

// data is any bytes in hexadecimal digits; nil if not known.
type data []byte

// UnmarshalJSON reads bytes; null and empty text are none, "0x" is no bytes.
func (d *data) UnmarshalJSON(b []byte) error {
	text, err := unquote(b)
	if err != nil || text == "" {
		return err
	}
	if len(text) < 2 || text[0] != '0' || text[1]|0x20 != 'x' {
		return fmt.Errorf("data %.40q: does not begin with 0x", text)
	}
	if *d, err = hex.DecodeString(text[2:]); err != nil {
		return fmt.Errorf("data %.40q: %w", text, err)
	}
	if *d == nil {
		*d = data{}
	}
	return nil
}

// unquote is the text of a JSON string or number, "" for null.
func unquote(b []byte) (string, error) {
	switch {
	case bytes.Equal(b, []byte("null")):
		return "", nil
	case len(b) > 0 && b[0] == '"':
		if !bytes.ContainsRune(b, '\\') {
			return string(b[1 : len(b)-1]), nil
		}
		var s string
		err := json.Unmarshal(b, &s)
		return s, err
	case len(b) > 0 && (b[0] >= '0' && b[0] <= '9' || b[0] == '-'):
		return string(b), nil
	}
	return "", errors.New("want a number or text")
}
