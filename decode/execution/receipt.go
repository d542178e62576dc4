package execution

import "github.com/spoor-dev/spoor/flow"

// A Bloom is the filter over the addresses and topics of logs that receipts and blocks keep.
type Bloom [256]byte

// A Receipt is the hashed part of what a transaction left behind.
type Receipt struct {
	Type   uint8  // of the transaction: 0 for the first form
	State  []byte // the 32 bytes that stood in the place of Status before the Byzantium fork; else nil
	Status uint64 // 1 if it succeeded, 0 if it failed
	Gas    uint64 // used by the block up to here
	Logs   []Log
}

// Bloom is the filter over the receipt's logs.
func (r Receipt) Bloom() (b Bloom) {
	for _, l := range r.Logs {
		b.add(l.Emit[:])
		for _, t := range l.Topics {
			b.add(t[:])
		}
	}
	return b
}

// add sets the three bits of a value (yellow paper, section 4.3.1).
func (b *Bloom) add(v []byte) {
	h := keccak(v)
	for i := 0; i < 6; i += 2 {
		bit := uint(h[i]&7)<<8 | uint(h[i+1])
		b[255-bit/8] |= 1 << (bit % 8)
	}
}

// Or adds all that is in o.
func (b *Bloom) Or(o Bloom) {
	for i := range b {
		b[i] |= o[i]
	}
}

// Encode is the receipt as the receipts root hashes it.
func (r Receipt) Encode() []byte {
	outcome := number(r.Status)
	if r.State != nil {
		outcome = text(r.State)
	}
	logs := make([][]byte, len(r.Logs))
	for i, l := range r.Logs {
		topics := make([][]byte, len(l.Topics))
		for k, t := range l.Topics {
			topics[k] = text(t[:])
		}
		logs[i] = list(text(l.Emit[:]), list(topics...), text(l.Data))
	}
	bloom := r.Bloom()
	body := list(outcome, number(r.Gas), text(bloom[:]), list(logs...))
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
