package pebblestore

import (
	"encoding/binary"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// An entry, as it is kept for its holder, is its place and a tail. In a value the place is the difference of the height
// to that of the entry before (the first: to the first height of the segment), then the index of the transaction, or
// where the height is the same the difference to the last index. The tail is
//
//	flags: bits 0-3 class of the amount, bit 4 gives, bits 5-6 what else follows, bit 7 a form follows
//	detail, where bits 5-6 say so: what follows, and whether the movement has many legs
//	form (1 if none follows), for an NFT its token; the other side unless many; movement, index, leg where they follow;
//	the bytes of the amount
const (
	tailGives = 1 << 4
	tailForm  = 1 << 7

	// bits 5-6
	restNone     = 0 // movement 0, index 0, leg 0
	restIndex    = 1 // movement 0, leg 0, an index
	restMovement = 2 // a movement, whose index is the same; leg 0
	restDetail   = 3 // see the detail

	detailMany     = 1 << 0
	detailLeg      = 1 << 1
	detailMovement = 1 << 2
	detailIndex    = 1 << 3 // else it is the movement's
)

// maxTail is more than the longest tail.
const maxTail = 2 + 5 + 34 + 5 + 15 + 33

// appendTail appends the tail of the entry of leg l, which is number leg of its side; other is the account across.
func appendTail(dst []byte, m *rawMove, movement uint32, gives bool, leg uint32, l *rawLeg, many bool, other uint32) []byte {
	at := len(dst)
	flags, detail := l.class, byte(0)
	if gives {
		flags |= tailGives
	}
	switch {
	case many || leg != 0 || movement != 0 && m.index != movement:
		flags |= restDetail << 5
		if many {
			detail |= detailMany
		}
		if leg != 0 {
			detail |= detailLeg
		}
		if movement != 0 {
			detail |= detailMovement
		}
		if m.index != movement {
			detail |= detailIndex
		}
		dst = append(dst, 0, detail)
	case movement != 0:
		flags |= restMovement << 5
		detail |= detailMovement
		dst = append(dst, 0)
	case m.index != 0:
		flags |= restIndex << 5
		detail |= detailIndex
		dst = append(dst, 0)
	default:
		dst = append(dst, 0)
	}
	if m.form != 1 {
		flags |= tailForm
		dst = binary.AppendUvarint(dst, uint64(m.form))
	}
	dst = append(dst, m.token...)
	if !many {
		dst = binary.AppendUvarint(dst, uint64(other))
	}
	if detail&detailMovement != 0 {
		dst = binary.AppendUvarint(dst, uint64(movement))
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
	chain flow.Chain
	forms []form
}

// tail reads a tail into e; false if it is damaged.
func (x *entryReader) tail(r *cursor, e *store.Entry) bool {
	flags := r.byte()
	detail := byte(0)
	switch flags >> 5 & 3 {
	case restIndex:
		detail = detailIndex
	case restMovement:
		detail = detailMovement
	case restDetail:
		detail = r.byte()
	}
	id := uint32(1)
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
	e.Pos.Movement, e.Leg = 0, 0
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
	if class := flags & 15; class <= classDecimal && r.at+8 <= len(r.b) {
		v := binary.LittleEndian.Uint64(r.b[r.at:])
		r.at += int(class)
		e.Amount = flow.NewAmount(v & (1<<(8*class) - 1))
	} else {
		e.Amount = r.amount(class)
	}
	return !r.bad
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

// value appends to dst the entries of one stored value from a place on, at most limit in all (0: any number). base is
// the first height of the segment.
func (x *entryReader) value(dst []store.Entry, b []byte, base uint64, from flow.Pos, limit int) ([]store.Entry, error) {
	r := cursor{b: b}
	pos := flow.Pos{Height: base}
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
func appendItem(log []byte, block, tx uint32, m *rawMove, movement uint32, gives bool, leg uint32, l *rawLeg, many bool, other uint32) []byte {
	start := len(log)
	log = binary.LittleEndian.AppendUint32(log, block)
	log = binary.LittleEndian.AppendUint32(log, tx)
	log = appendTail(append(log, 0), m, movement, gives, leg, l, many, other)
	log[start+itemHead-1] = byte(len(log) - start - itemHead)
	return log
}

// item reads an item of a log into e; heights are those of the run's blocks.
func (x *entryReader) item(log []byte, heights []uint64, e *store.Entry) error {
	e.Pos.Height = heights[binary.LittleEndian.Uint32(log)]
	e.Pos.Tx = binary.LittleEndian.Uint32(log[4:])
	r := cursor{b: log[itemHead : itemHead+int(log[itemHead-1])]}
	if !x.tail(&r, e) {
		return r.check()
	}
	return nil
}
