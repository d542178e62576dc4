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

// A segment is a run of blocks in its final form. Its numbers count from 1 in each lane.
type segment struct {
	number      uint32
	first, last uint64 // heights
	blocks      uint64
	txs         uint64
	moves       uint64
	nextID      uint32 // the first account id that it does not know
	nextForm    uint32 // the first form that it does not know
}

func appendSegment(dst []byte, s segment) []byte {
	for _, v := range [...]uint64{s.first, s.last - s.first, s.blocks, s.txs, s.moves, uint64(s.nextID), uint64(s.nextForm)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func readSegment(v []byte, number uint32) (segment, error) {
	r := &cursor{b: v}
	s := segment{number: number, first: r.uint()}
	s.last = s.first + r.uint()
	s.blocks, s.txs, s.moves = r.uint(), r.uint(), r.uint()
	s.nextID, s.nextForm = r.uint32(), r.uint32()
	if s.last < s.first {
		r.bad = true
	}
	if err := r.checkEnd(); err != nil {
		return segment{}, fmt.Errorf("segment %d: %w", number, err)
	}
	return s, nil
}

// A bucket is the places of the transactions of one segment whose hashes begin with the same 16 bits: how many, the next
// 16 bits of every hash, then every place as the difference of its height to that of the one before (the first: to the
// first height of the segment) and the index of the transaction. Places rise.
type bucketEntry struct {
	mark   uint16
	height uint64
	tx     uint32
}

// bucketOf are the bucket of a hash and its mark in there.
func bucketOf(hash uint64) (bucket, mark uint16) { return uint16(hash >> 48), uint16(hash >> 32) }

func appendBucket(dst []byte, base uint64, entries []bucketEntry) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	for _, e := range entries {
		dst = binary.LittleEndian.AppendUint16(dst, e.mark)
	}
	for _, e := range entries {
		dst = binary.AppendUvarint(dst, e.height-base)
		dst = binary.AppendUvarint(dst, uint64(e.tx))
		base = e.height
	}
	return dst
}

// readBucket appends the places with that mark to dst, in chain order.
func readBucket(dst []flow.Pos, v []byte, base uint64, mark uint16) ([]flow.Pos, error) {
	r := &cursor{b: v}
	n := r.count(4)
	marks := r.bytes(2 * n)
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
