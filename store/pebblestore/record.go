package pebblestore

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/spoor-dev/spoor/flow"
)

// A header is what is kept of a block besides its transactions: hash, parent, time, coverage, and the notes.
func appendHeader(dst []byte, b *block) []byte {
	dst = append(dst, b.point.Hash[:]...)
	dst = append(dst, b.parent[:]...)
	dst = appendInt(dst, b.point.Time)
	dst = binary.AppendUvarint(dst, uint64(b.coverage))
	dst = binary.AppendUvarint(dst, uint64(len(b.notes)))
	for _, n := range b.notes {
		dst = append(dst, byte(n.Kind))
		dst = appendText(dst, n.Where)
		dst = appendText(dst, n.Reason)
		dst = appendText(dst, n.Raw)
	}
	return dst
}

// readPoint reads the part of a header that makes the block's point.
func readPoint(r *cursor, c flow.Chain, height uint64) (p flow.Point, parent flow.Hash) {
	p = flow.Point{Chain: c, Height: height, Hash: r.hash()}
	parent = r.hash()
	p.Time = r.int()
	return p, parent
}

// readHeader reads a header into b.
func readHeader(r *cursor, c flow.Chain, height uint64, b *block) {
	b.point, b.parent = readPoint(r, c, height)
	coverage := r.uint()
	b.coverage = flow.Coverage(coverage)
	if coverage > math.MaxUint16 {
		r.bad = true
	}
	for range r.count(4) {
		n := flow.Note{Kind: flow.NoteKind(r.byte())}
		n.Where, n.Reason, n.Raw = r.text(), r.text(), r.text()
		b.notes = append(b.notes, n)
	}
}

// appendHead is the whole of a head block in one value, so that it is in the store or not, never half.
func appendHead(dst []byte, b *block) []byte {
	dst = appendHeader(dst, b)
	dst = binary.AppendUvarint(dst, uint64(b.firstID))
	dst = binary.AppendUvarint(dst, uint64(len(b.names)))
	for _, n := range b.names {
		dst = append(append(dst, byte(len(n))), n...)
	}
	dst = binary.AppendUvarint(dst, uint64(b.firstForm))
	dst = binary.AppendUvarint(dst, uint64(len(b.forms)))
	for _, f := range b.forms {
		dst = appendForm(dst, f)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.chunks)))
	for _, c := range b.chunks {
		dst = binary.AppendUvarint(dst, uint64(c.tx))
		dst = binary.AppendUvarint(dst, uint64(c.order))
		dst = binary.AppendUvarint(dst, uint64(c.at))
	}
	dst = binary.AppendUvarint(dst, uint64(b.moves))
	dst = binary.AppendUvarint(dst, uint64(len(b.body)))
	dst = append(dst, b.body...)
	return append(dst, b.ids...)
}

// readHead reads a head block. It keeps v.
func readHead(v []byte, c flow.Chain, height uint64) (*block, error) {
	r := &cursor{b: v}
	b := &block{}
	readHeader(r, c, height, b)
	b.firstID = r.uint32()
	for range r.count(1) {
		b.names = append(b.names, string(r.bytes(int(r.byte()))))
	}
	b.firstForm = r.uint32()
	for range r.count(2) {
		f, err := readForm(r, c)
		if err != nil {
			return nil, fmt.Errorf("head block %d: %w", height, err)
		}
		b.forms = append(b.forms, f)
	}
	for range r.count(3) {
		b.chunks = append(b.chunks, chunk{r.uint32(), r.uint32(), r.uint32()})
	}
	b.moves = int(r.uint32())
	b.body = r.bytes(r.count(1))
	b.ids = r.bytes(len(v) - r.at)
	if len(b.ids)%32 != 0 {
		r.bad = true
	}
	for i, c := range b.chunks {
		if int(c.at) > len(b.body) || int(c.order) > b.txs() || i > 0 && (c.at < b.chunks[i-1].at || c.order < b.chunks[i-1].order || c.tx <= b.chunks[i-1].tx) {
			r.bad = true
		}
	}
	if len(b.chunks) > 0 && (b.chunks[0].at != 0 || b.chunks[0].order != 0) || len(b.chunks) == 0 && len(v) > 0 && len(b.ids)+len(b.body) > 0 {
		r.bad = true
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("head block %d: %w", height, err)
	}
	return b, nil
}

// A segment is some blocks in their final form. Its numbers count from 1 in each lane. Those of the folds follow one
// another; a late one holds blocks that were filled in, which may stand between those of others, or none yet.
type segment struct {
	number      uint32
	first, last uint64 // heights
	blocks      uint64
	txs         uint64
	moves       uint64
	nextID      uint32 // the first account id that it does not know
	nextForm    uint32 // the first form that it does not know
	common      uint32 // the form of entries that name none
	late        bool
	base        uint32 // from which the ids in its index of accounts are counted; not stored
}

func appendSegment(dst []byte, s segment) []byte {
	for _, v := range [...]uint64{s.first, s.last - s.first, s.blocks, s.txs, s.moves, uint64(s.nextID), uint64(s.nextForm), uint64(s.common)} {
		dst = binary.AppendUvarint(dst, v)
	}
	if s.late {
		dst = append(dst, 1)
	}
	return dst
}

func readSegment(v []byte, number uint32) (segment, error) {
	r := &cursor{b: v}
	s := segment{number: number, first: r.uint()}
	s.last = s.first + r.uint()
	s.blocks, s.txs, s.moves = r.uint(), r.uint(), r.uint()
	s.nextID, s.nextForm, s.common = r.uint32(), r.uint32(), r.uint32()
	if s.late = r.at < len(v); s.late && r.byte() != 1 {
		r.bad = true
	}
	if s.last < s.first || s.blocks == 0 && !s.late {
		r.bad = true
	}
	if err := r.checkEnd(); err != nil {
		return segment{}, fmt.Errorf("segment %d: %w", number, err)
	}
	return s, nil
}

// An index is split by the first 16 bits of hashes into buckets, and a bucket into pieces, one for each segment. A piece is
// a list of marks, the next 16 bits of each hash, and then the things that the hashes stand for, in rising order:
// transactions as the difference of the height to that of the one before (the first: to the first height of the segment)
// and the index; accounts as the difference of the id to that of the one before (the first: to the last id before the
// segment, or 0 in one that was filled in).

// bucketOf are the bucket of a hash and its mark in there.
func bucketOf(hash uint64) (bucket, mark uint16) { return uint16(hash >> 48), uint16(hash >> 32) }

// A hashed is something that can be found by a hash.
type hashed struct {
	hash uint64
	a    uint32 // a transaction: the place of its block in the segment; an account: its id
	b    uint32 // a transaction: its index
}

// appendMarks begins a piece.
func appendMarks(dst []byte, all []hashed) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, h := range all {
		_, mark := bucketOf(h.hash)
		dst = binary.LittleEndian.AppendUint16(dst, mark)
	}
	return dst
}

// appendIDs ends a piece of accounts. base is the id from which the first is counted.
func appendIDs(dst []byte, all []hashed, base uint32) []byte {
	for _, h := range all {
		dst = binary.AppendUvarint(dst, uint64(h.a-base))
		base = h.a
	}
	return dst
}

// marks reads the marks of a piece in which each thing takes at least size bytes.
func (c *cursor) marks(size int) (n int, marks []byte) {
	n = c.count(2 + size)
	return n, c.bytes(2 * n)
}

// readTxPiece appends the places with that mark to dst, in chain order. base is the first height of the segment.
func readTxPiece(dst []flow.Pos, v []byte, base uint64, mark uint16) ([]flow.Pos, error) {
	r := &cursor{b: v}
	n, marks := r.marks(2)
	height := base
	for i := range n {
		height += r.uint()
		tx := r.uint32()
		if !r.bad && binary.LittleEndian.Uint16(marks[2*i:]) == mark {
			dst = append(dst, flow.Pos{Height: height, Tx: tx})
		}
	}
	return dst, r.checkEnd()
}

// readIDPiece appends the ids with that mark to dst. base is the last id before the segment.
func readIDPiece(dst []uint32, v []byte, base uint32, mark uint16) ([]uint32, error) {
	r := &cursor{b: v}
	n, marks := r.marks(1)
	id := base
	for i := range n {
		id += r.uint32()
		if !r.bad && binary.LittleEndian.Uint16(marks[2*i:]) == mark {
			dst = append(dst, id)
		}
	}
	return dst, r.checkEnd()
}

// A value under a joined key is a row of pieces of different segments: the low bits of the segment's number, the length,
// the piece.
func appendPiece(dst []byte, segment uint32, groupBits int, piece []byte) []byte {
	dst = append(dst, byte(segment&(1<<groupBits-1)))
	return append(binary.AppendUvarint(dst, uint64(len(piece))), piece...)
}

// piece reads the next piece; group is the segment's number without the low bits.
func (c *cursor) piece(group uint32, groupBits int) (segment uint32, piece []byte) {
	segment = group<<groupBits | uint32(c.byte()&(1<<groupBits-1))
	return segment, c.bytes(c.count(1))
}
