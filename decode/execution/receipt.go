package execution

import (
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/spoor-dev/spoor/flow"
)

// A Bloom is the filter over the addresses and topics of logs that receipts and blocks keep.
type Bloom [types.BloomByteLength]byte

// A Receipt is the hashed part of what a transaction left behind.
type Receipt struct {
	Type   uint8  // of the transaction: 0 for the first form
	State  []byte // the 32 bytes that stood in the place of Status before the Byzantium fork; else nil
	Status uint64 // 1 if it succeeded, 0 if it failed
	Gas    uint64 // used by the block up to here
	Logs   []Log
}

// Bloom is the filter over the receipt's logs.
func (r Receipt) Bloom() Bloom {
	var b types.Bloom
	var buf [6]byte
	for _, l := range r.Logs {
		b.AddWithBuffer(l.Emit[:], &buf)
		for _, t := range l.Topics {
			b.AddWithBuffer(t[:], &buf)
		}
	}
	return Bloom(b)
}

// Or adds all that is in o.
func (b *Bloom) Or(o Bloom) {
	for i := range b {
		b[i] |= o[i]
	}
}

// The fields of receipts and logs in the order in which they are hashed. Package types of go-ethereum keeps its own to
// itself, and knows no types of other layers.
type (
	hashedReceipt struct {
		Outcome any // the state or the status
		Gas     uint64
		Bloom   Bloom
		Logs    []hashedLog
	}
	hashedLog struct {
		Emit   Address
		Topics []flow.Hash
		Data   []byte
	}
)

// Encode is the receipt as the receipts root hashes it.
func (r Receipt) Encode() []byte {
	h := hashedReceipt{Outcome: r.Status, Gas: r.Gas, Bloom: r.Bloom(), Logs: make([]hashedLog, len(r.Logs))}
	if r.State != nil {
		h.Outcome = r.State
	}
	for i, l := range r.Logs {
		h.Logs[i] = hashedLog{l.Emit, l.Topics, l.Data}
	}
	body, err := rlp.EncodeToBytes(&h)
	if err != nil {
		panic("execution: " + err.Error()) // these fields all have a form
	}
	if r.Type == 0 {
		return body
	}
	return append([]byte{r.Type}, body...)
}

// ReceiptsRoot is the root of a block's receipts.
func ReceiptsRoot(receipts []Receipt) flow.Hash {
	entries := make([][]byte, len(receipts))
	for i, r := range receipts {
		entries[i] = r.Encode()
	}
	return Root(entries)
}
