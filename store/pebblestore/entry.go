package pebblestore

import (
	"encoding/binary"
	"math"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// An entry, as it is kept for its holder, is its place and a tail. In a value the place is the difference of the height
// to that of the entry before (the first: to the first height of the segment), then the index of the transaction, or
// where the height is the same the difference to the last index. The tail is
//
//	flags: bits 0-3 class of the amount, bit 4 gives, bits 5-6 what else follows, bit 7 a form follows
//	detail, where bits 5-6 say so: what follows, and whether the movement has many legs
//	form (the common one of the segment if none follows), for an NFT its token; the other side unless many; movement, index, leg where
//	they follow; the bytes of the amount
const (
	tailGives = 1 << 4
	tailForm  = 1 << 7

	// bits 5-6
	restNone   = 0 // movement 0, index 0, leg 0
	restIndex  = 1 // movement 0, leg 0; the index as difference to that of the transaction follows
	restPair   = 2 // movement 1 to 4, leg 0; that difference·4 + movement - 1 follows
	restDetail = 3 // see the detail

	detailMany     = 1 << 0
	detailLeg      = 1 << 1
	detailMovement = 1 << 2
	detailIndex    = 1 << 3 // else it is the movement's
)

// maxTail is more than the longest tail.
const maxTail = 2 + 5 + 34 + 5 + 15 + 33

// A tailWriter writes tails.
type tailWriter struct {
	common uint32 // the form that costs nothing
	tx     uint32 // index of the transaction
	place  uint32 // of the movement in it
	many   bool   // whether the movement has many legs
}

// append appends the tail of the entry of leg l, which is number leg of its side; other is the account across.
func (t *tailWriter) append(dst []byte, m *rawMove, gives bool, leg uint32, l *rawLeg, other uint32) []byte {
	at := len(dst)
	flags, detail := l.class, byte(0)
	if gives {
		flags |= tailGives
	}
	dst = append(dst, 0)
	switch {
	case t.many || leg != 0 || t.place > 4:
		flags |= restDetail << 5
		if t.many {
			detail |= detailMany
		}
		if leg != 0 {
			detail |= detailLeg
		}
		if t.place != 0 {
			detail |= detailMovement
		}
		if m.index != t.place {
			detail |= detailIndex
		}
		dst = append(dst, detail)
	case t.place != 0:
		flags |= restPair << 5
	case m.index != 0:
		flags |= restIndex << 5
	}
	if m.form != t.common {
		flags |= tailForm
		dst = binary.AppendUvarint(dst, uint64(m.form))
	}
	dst = append(dst, m.token...)
	if !t.many {
		dst = binary.AppendUvarint(dst, uint64(other))
	}
	switch flags >> 5 & 3 {
	case restIndex:
		dst = appendInt(dst, int64(m.index)-int64(t.tx))
	case restPair:
		dst = binary.AppendUvarint(dst, zigzag(int64(m.index)-int64(t.tx))<<2|uint64(t.place-1))
	}
	if detail&detailMovement != 0 {
		dst = binary.AppendUvarint(dst, uint64(t.place))
	}
	if detail&detailIndex != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.index))
	}
	if detail&detailLeg != 0 {
		dst = binary.AppendUvarint(dst, uint64(leg))
	}
	dst[at] = flags
	return append(dst, l.amount...)
}

// An entryReader turns stored entries of a lane into entries.
type entryReader struct {
	chain  flow.Chain
	forms  []form
	common uint32 // the form of tails that name none
}

// tail reads a tail into e, whose height and transaction are known; false if it is damaged.
func (x *entryReader) tail(r *cursor, e *store.Entry) bool {
	flags := r.byte()
	rest, detail := flags>>5&3, byte(0)
	if rest == restDetail {
		detail = r.byte()
	}
	id := x.common
	if flags&tailForm != 0 {
		id = r.uint32()
	}
	if id-1 >= uint32(len(x.forms)) {
		r.bad = true
		return false
	}
	f := &x.forms[id-1]
	e.Kind, e.Asset = f.kind, f.asset
	if f.nft {
		at := r.at
		r.amountBytes(r.byte() & 15)
		if r.bad {
			return false
		}
		asset, err := f.assetOf(x.chain, r.b[at:r.at])
		if err != nil {
			r.bad = true
			return false
		}
		e.Asset = asset
	}
	e.Gives, e.Many, e.Other = flags&tailGives != 0, detail&detailMany != 0, 0
	if !e.Many {
		e.Other = store.ID(r.uint())
	}
	e.Pos.Movement, e.Index, e.Leg = 0, 0, 0
	switch rest {
	case restIndex:
		e.Index = r.near(e.Pos.Tx, r.uint())
	case restPair:
		v := r.uint()
		e.Pos.Movement = uint32(v&3) + 1
		e.Index = r.near(e.Pos.Tx, v>>2)
	case restDetail:
		if detail&detailMovement != 0 {
			e.Pos.Movement = r.uint32()
		}
		e.Index = e.Pos.Movement
		if detail&detailIndex != 0 {
			e.Index = r.uint32()
		}
		if detail&detailLeg != 0 {
			e.Leg = r.uint32()
		}
	}
	if class := flags & 15; class <= classDecimal && r.at+8 <= len(r.b) {
		v := binary.LittleEndian.Uint64(r.b[r.at:])
		r.at += int(class)
		e.Amount = flow.NewAmount(v & (1<<(8*class) - 1))
	} else {
		e.Amount = r.amount(class)
	}
	return !r.bad
}

// near is base with a zigzag difference added.
func (c *cursor) near(base uint32, diff uint64) uint32 {
	v := int64(base) + unzigzag(diff)
	if v < 0 || v > math.MaxUint32 {
		c.bad = true
		return 0
	}
	return uint32(v)
}

// before reports whether p comes before q, which is cheaper than flow.Pos.Compare.
func before(p, q flow.Pos) bool {
	if p.Height != q.Height {
		return p.Height < q.Height
	}
	if p.Tx != q.Tx {
		return p.Tx < q.Tx
	}
	return p.Movement < q.Movement
}

// value appends to dst the entries of one stored value from a place on, at most limit in all (0: any number).
func (x *entryReader) value(dst []store.Entry, b []byte, seg *segment, from flow.Pos, limit int) ([]store.Entry, error) {
	r := cursor{b: b}
	pos := flow.Pos{Height: seg.first}
	x.common = seg.common
	first := true
	for r.at < len(b) {
		if d := r.uint(); d != 0 || first {
			pos.Height += d
			pos.Tx = r.uint32()
			first = false
		} else {
			pos.Tx += r.uint32()
		}
		n := len(dst)
		if n < cap(dst) {
			dst = dst[:n+1]
		} else {
			dst = append(dst, store.Entry{})
		}
		e := &dst[n]
		e.Pos = pos
		if !x.tail(&r, e) {
			return dst[:n], r.check()
		}
		if before(e.Pos, from) {
			dst = dst[:n]
		} else if len(dst) == limit {
			break
		}
	}
	return dst, nil
}

// An item is an entry in the log of a run: the place of its block in the run (4 bytes), the index of the
// transaction (4), the length of the tail (1), the tail.
const itemHead = 9

// appendItem appends an item of the block that stands at that place in its run.
func appendItem(log []byte, block uint32, t *tailWriter, m *rawMove, gives bool, leg uint32, l *rawLeg, other uint32) []byte {
	start := len(log)
	log = binary.LittleEndian.AppendUint32(log, block)
	log = binary.LittleEndian.AppendUint32(log, t.tx)
	log = t.append(append(log, 0), m, gives, leg, l, other)
	log[start+itemHead-1] = byte(len(log) - start - itemHead)
	return log
}

// item reads an item of a log into e; heights are those of the run's blocks.
func (x *entryReader) item(log []byte, heights []uint64, e *store.Entry) error {
	e.Pos.Height = heights[binary.LittleEndian.Uint32(log)]
	e.Pos.Tx = binary.LittleEndian.Uint32(log[4:])
	x.common = runCommon
	r := cursor{b: log[itemHead : itemHead+int(log[itemHead-1])]}
	if !x.tail(&r, e) {
		return r.check()
	}
	return nil
}
