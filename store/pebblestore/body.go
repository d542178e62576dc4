package pebblestore

import (
	"encoding/binary"
	"math"

	"github.com/spoor-dev/spoor/flow"
)

// A body holds the transactions of a block without their ids, in chunks that can each be read alone. A chunk begins with
// a byte that says how the indexes of movements are foretold, and the form that is common in it. A transaction is
//
//	head: bit 0 failed, bit 1 a gap before its index follows, bits 2-7 number of movements (62: the rest follows;
//	63: the number follows, and there are logs); the gap; the logs with their length in bytes before them
//
// and then its movements:
//
//	flags: bits 0-3 class of the amount, bits 4-5 shape, bit 6 an index follows, bit 7 a form follows
//	form (the common one if none follows), for an NFT its token; index (as foretold if none follows) as difference to the one that was
//	foretold; by shape: giver and taker, taker, giver, or lists of legs; amount
//
// Accounts and forms are ids of the lane.
const (
	txFailed = 1 << 0
	txGap    = 1 << 1
	txMany   = 62 // in the six bits of the number of movements
	txLogs   = 63 // there

	moveIndex = 1 << 6
	moveForm  = 1 << 7

	shapePair  = 0 // one giver and one taker of the same amount
	shapeIssue = 1 // a taker
	shapeBurn  = 2 // a giver
	shapeLegs  = 3 // anything else

	chunkTxs   = 64
	chunkBytes = 4 << 10
)

// A chunk is the place of a chunk in a block's body.
type chunk struct {
	tx    uint32 // index of its first transaction
	order uint32 // how many transactions the block has before it
	at    uint32 // where it begins in the body
}

// A bodyWriter packs the transactions of one block.
type bodyWriter struct {
	buf    []byte
	chunks []chunk
	next   uint32 // the index that the next transaction has if there is no gap
	common uint32 // the form that costs nothing
	logs   []byte // those of the transaction at hand
	foretell
}

// A foretell guesses the indexes of movements. Sources number them in few ways; the one that fits a block best is used.
type foretell struct {
	rule byte
	last uint32 // 1 + the last index that counts for the rule, 0 at the beginning of a chunk
}

const (
	byPlace = 0 // the place of the movement in its transaction
	byCount = 1 // one more than the last
	byLog   = 2 // 0 for the coin itself, for others one more than the last of those
	rules   = 3
)

// isLogged reports whether movements of a kind come from logs.
func isLogged(kind flow.Kind) bool {
	return kind == flow.TokenMove || kind == flow.NFTMove || kind == flow.Wrap || kind == flow.Unwrap
}

// index is the guess for a movement.
func (t *foretell) index(place uint32, kind flow.Kind) uint32 {
	switch {
	case t.rule == byPlace:
		return place
	case t.rule == byLog && !isLogged(kind):
		return 0
	}
	return t.last
}

// saw tells what the index was.
func (t *foretell) saw(index uint32, kind flow.Kind) {
	if t.rule == byCount || isLogged(kind) {
		t.last = index + 1
	}
}

// reset begins a block.
func (w *bodyWriter) reset(b *flow.Block) {
	w.buf, w.chunks = w.buf[:0], w.chunks[:0]
	var hits [rules]int
	for rule := range hits {
		t := foretell{rule: byte(rule)}
		for i := range b.Txs {
			for place := range b.Txs[i].Movements {
				m := &b.Txs[i].Movements[place]
				if t.index(uint32(place), m.Kind) == m.Index {
					hits[rule]++
				}
				t.saw(m.Index, m.Kind)
			}
		}
		if hits[rule] > hits[w.rule] || rule == 0 {
			w.rule = byte(rule)
		}
	}
}

// tx begins the transaction that stands at that place in its block.
func (w *bodyWriter) tx(order int, tx *flow.Tx) {
	if n := len(w.chunks); n == 0 || order-int(w.chunks[n-1].order) >= chunkTxs || len(w.buf)-int(w.chunks[n-1].at) >= chunkBytes {
		w.chunks = append(w.chunks, chunk{tx.Index, uint32(order), uint32(len(w.buf))})
		w.buf = binary.AppendUvarint(append(w.buf, w.rule), uint64(w.common))
		w.next, w.last = tx.Index, 0
	}
	n := len(tx.Movements)
	head := byte(min(n, txMany)) << 2
	if len(tx.Logs) > 0 {
		head = txLogs << 2
	}
	if tx.Failed {
		head |= txFailed
	}
	gap := tx.Index - w.next
	if gap != 0 {
		head |= txGap
	}
	w.buf = append(w.buf, head)
	if len(tx.Logs) > 0 {
		w.buf = binary.AppendUvarint(w.buf, uint64(n))
	} else if n >= txMany {
		w.buf = binary.AppendUvarint(w.buf, uint64(n-txMany))
	}
	if gap != 0 {
		w.buf = binary.AppendUvarint(w.buf, uint64(gap))
	}
	if len(tx.Logs) > 0 {
		w.logs = appendLogs(w.logs[:0], tx.Logs)
		w.buf = append(binary.AppendUvarint(w.buf, uint64(len(w.logs))), w.logs...)
	}
	w.next = tx.Index + 1
}

// move packs a movement; place is its index in the transaction, ids are the accounts of its In and then its Out legs.
func (w *bodyWriter) move(place uint32, m *flow.Movement, f formUse, ids []uint32) {
	shape := byte(shapeLegs)
	amount := flow.Amount{}
	if len(m.Spent) == 0 {
		switch in, out := len(m.In), len(m.Out); {
		case in == 1 && out == 1 && ids[0] != 0 && ids[1] != 0 && m.In[0].Amount == m.Out[0].Amount:
			shape, amount = shapePair, m.In[0].Amount
		case in == 0 && out == 1 && ids[0] != 0:
			shape, amount = shapeIssue, m.Out[0].Amount
		case in == 1 && out == 0 && ids[0] != 0:
			shape, amount = shapeBurn, m.In[0].Amount
		}
	}
	at := len(w.buf)
	b := append(w.buf, 0)
	flags := shape << 4
	if f.form != w.common {
		flags |= moveForm
		b = binary.AppendUvarint(b, uint64(f.form))
	}
	if f.nft {
		b = appendAmount(b, f.token)
	}
	if guess := w.index(place, m.Kind); m.Index != guess {
		flags |= moveIndex
		b = appendInt(b, int64(m.Index)-int64(guess))
	}
	w.saw(m.Index, m.Kind)
	if shape != shapeLegs {
		for _, id := range ids {
			b = binary.AppendUvarint(b, uint64(id))
		}
		var class byte
		b, class = packAmount(b, amount)
		flags |= class
	} else {
		b = binary.AppendUvarint(b, uint64(len(m.In)))
		b = binary.AppendUvarint(b, uint64(len(m.Out)))
		b = binary.AppendUvarint(b, uint64(len(m.Spent)))
		for i, l := range m.In {
			b = appendAmount(binary.AppendUvarint(b, uint64(ids[i])), l.Amount)
		}
		for i, l := range m.Out {
			b = appendAmount(binary.AppendUvarint(b, uint64(ids[len(m.In)+i])), l.Amount)
		}
		for _, o := range m.Spent {
			b = append(binary.AppendUvarint(b, uint64(o.Index)), o.Tx[:]...)
		}
	}
	b[at] = flags
	w.buf = b
}

// A rawLeg is a leg whose amount is not yet unpacked.
type rawLeg struct {
	account uint32
	class   byte
	amount  []byte
}

// A rawMove is a movement as it is stored. Its slices are valid until the next one is read.
type rawMove struct {
	form  uint32
	token []byte // class and bytes of an NFT's token id
	index uint32
	pair  [2]rawLeg
	in    []rawLeg
	out   []rawLeg
	legs  []rawLeg
	spent []flow.Outpoint
}

// isMany reports whether the movement has several legs on a side, or an unknown one.
func (m *rawMove) isMany() bool {
	if len(m.in) > 1 || len(m.out) > 1 {
		return true
	}
	return len(m.in) == 1 && m.in[0].account == 0
}

// A bodyReader reads one chunk.
type bodyReader struct {
	cursor
	foretell
	forms  []form
	next   uint32
	common uint32
	// Of the transaction that was read last:
	tx     uint32 // its index
	failed bool
	logs   []byte // its logs, packed; empty if it has none
	moves  int    // how many movements follow
}

func newBodyReader(b []byte, first uint32, forms []form) bodyReader {
	r := bodyReader{cursor: cursor{b: b}, forms: forms, next: first}
	if r.rule = r.byte(); r.rule >= rules {
		r.bad = true
	}
	r.common = r.uint32()
	return r
}

// nextTx reads the head of the next transaction; it returns false at the end of the chunk, or where it is damaged.
func (r *bodyReader) nextTx() bool {
	if r.at >= len(r.b) || r.bad {
		return false
	}
	head := r.byte()
	r.moves, r.logs = int(head>>2), nil
	switch r.moves {
	case txMany:
		r.moves = r.count(1) + txMany
	case txLogs:
		r.moves = r.count(1)
	}
	r.tx = r.next
	if head&txGap != 0 {
		gap := r.uint()
		if gap > math.MaxUint32-uint64(r.next) {
			r.bad = true
		}
		r.tx += uint32(gap)
	}
	if head>>2 == txLogs {
		r.logs = r.bytes(r.count(1))
	}
	r.failed = head&txFailed != 0
	r.next = r.tx + 1
	return !r.bad
}

// nextMove reads the movement that stands at that place in its transaction.
func (r *bodyReader) nextMove(place uint32, m *rawMove) bool {
	flags := r.byte()
	m.form, m.token, m.spent = r.common, nil, m.spent[:0]
	if flags&moveForm != 0 {
		m.form = r.uint32()
	}
	if m.form == 0 || uint64(m.form) > uint64(len(r.forms)) {
		r.bad = true
		return false
	}
	if r.forms[m.form-1].nft {
		at := r.at
		r.amountBytes(r.byte() & 15)
		if r.bad {
			return false
		}
		m.token = r.b[at:r.at]
	}
	kind := r.forms[m.form-1].kind
	m.index = r.index(place, kind)
	if flags&moveIndex != 0 {
		v := int64(m.index) + r.int()
		if v < 0 || v > math.MaxUint32 {
			r.bad = true
		}
		m.index = uint32(v)
	}
	r.saw(m.index, kind)
	class := flags & 15
	switch flags >> 4 & 3 {
	case shapePair:
		m.pair[0].account, m.pair[1].account = r.uint32(), r.uint32()
		m.in, m.out = m.pair[:1], m.pair[1:]
		m.pair[0].class, m.pair[0].amount = class, r.amountBytes(class)
		m.pair[1].class, m.pair[1].amount = class, m.pair[0].amount
	case shapeIssue:
		m.in, m.out = nil, m.pair[1:]
		m.pair[1] = rawLeg{r.uint32(), class, r.amountBytes(class)}
	case shapeBurn:
		m.in, m.out = m.pair[:1], nil
		m.pair[0] = rawLeg{r.uint32(), class, r.amountBytes(class)}
	default:
		in, out, spent := r.count(2), r.count(2), r.count(33)
		m.legs = m.legs[:0]
		for range in + out {
			l := rawLeg{account: r.uint32(), class: r.byte() & 15}
			l.amount = r.amountBytes(l.class)
			m.legs = append(m.legs, l)
			if r.bad {
				return false
			}
		}
		m.in, m.out = m.legs[:in], m.legs[in:]
		for range spent {
			index := r.uint32()
			m.spent = append(m.spent, flow.Outpoint{Tx: r.hash(), Index: index})
		}
	}
	return !r.bad
}

// skipMoves reads over what is left of a transaction.
func (r *bodyReader) skipMoves(m *rawMove) bool {
	for i := range r.moves {
		if !r.nextMove(uint32(i), m) {
			return false
		}
	}
	return true
}
