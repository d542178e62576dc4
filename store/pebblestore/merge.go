package pebblestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// Where blocks were filled in, the pieces of a holder stand in no order: a late segment may lie between the blocks of
// another, and of the head. Then an answer is merged of stretches: pieces, parts of long pieces, and some entries of the
// head, each in order. A stretch is unpacked when its turn comes, so that an answer with a limit reads little more than it
// gives.

// A stretch is a row of entries of one holder that is not yet unpacked.
type stretch struct {
	lo, hi flow.Pos // its entries are from here to there, both included
	seg    uint32   // the segment; 0 for one of the head
	piece  []byte   // a short piece, whole
	key    []byte   // else the key of a part of a long piece
	run    *run     // else the run of the head,
	recs   []rec    // and its records
}

// lastPos is behind every place of a block.
func lastPos(height uint64) flow.Pos {
	return flow.Pos{Height: height, Tx: math.MaxUint32, Movement: math.MaxUint32}
}

// fewRecs is about how many records of the head make a stretch.
const fewRecs = 512

// merge adds the entries that a question wants, in the order that it wants.
func (e *entryLooker) merge(ask *store.Ask) error {
	wait, err := e.stretches(ask)
	if err != nil {
		return fmt.Errorf("%s: entries of account %d: %w", e.v.chain, ask.Holder, err)
	}
	sooner := before
	if ask.Back {
		sooner = func(p, q flow.Pos) bool { return before(q, p) }
	}
	begin := func(s *stretch) flow.Pos {
		if ask.Back {
			return s.hi
		}
		return s.lo
	}
	// The next one is the last of the list.
	order := func(a, b stretch) int {
		switch {
		case sooner(begin(&a), begin(&b)):
			return 1
		case sooner(begin(&b), begin(&a)):
			return -1
		}
		return 0
	}
	slices.SortFunc(wait, order)
	var open [][]store.Entry // unpacked, none empty
	for (len(wait) > 0 || len(open) > 0) && !e.isFull(ask) {
		first := 0
		for i := range open {
			if sooner(open[i][0].Pos, open[first][0].Pos) {
				first = i
			}
		}
		if n := len(wait); n > 0 && (len(open) == 0 || !sooner(open[first][0].Pos, begin(&wait[n-1]))) {
			next := wait[n-1]
			entries, more, err := e.unpack(ask, &next)
			if err != nil {
				return fmt.Errorf("%s: entries of account %d: %w", e.v.chain, ask.Holder, err)
			}
			wait = wait[:n-1]
			if more.key != nil {
				i, _ := slices.BinarySearchFunc(wait, more, order)
				wait = slices.Insert(wait, i, more)
			}
			if len(entries) > 0 {
				open = append(open, entries)
			}
			continue
		}
		// All of the first one go that are before the begin of any other.
		row, n := open[first], 1
		for ; n < len(row); n++ {
			p := row[n].Pos
			if len(wait) > 0 && !sooner(p, begin(&wait[len(wait)-1])) {
				break
			}
			if slices.ContainsFunc(open, func(o []store.Entry) bool { return &o[0] != &row[0] && !sooner(p, o[0].Pos) }) {
				break
			}
		}
		if ask.Limit > 0 {
			n = min(n, ask.Limit-len(e.entries))
		}
		e.entries = append(e.entries, row[:n]...)
		if open[first] = row[n:]; n == len(row) {
			open = slices.Delete(open, first, first+1)
		}
	}
	return nil
}

// wants reports whether a stretch may hold something that is asked for.
func wants(ask *store.Ask, lo, hi flow.Pos) bool {
	if ask.Back {
		return ask.From == (flow.Pos{}) || !before(ask.From, lo)
	}
	return !before(hi, ask.From)
}

// stretches are those of a holder in the segments and in the head. Of a long piece there is only the part to begin with.
func (e *entryLooker) stretches(ask *store.Ask) (all []stretch, err error) {
	if holder := uint32(ask.Holder); holder < e.v.known {
		if all, err = e.frozenStretches(ask, holder); err != nil {
			return nil, err
		}
	}
	for _, run := range e.v.runs {
		x, err := run.holders()
		if err != nil {
			return nil, err
		}
		place := func(r rec) flow.Pos {
			item := x.log[r.at:]
			return flow.Pos{Height: run.heights[binary.LittleEndian.Uint32(item)], Tx: binary.LittleEndian.Uint32(item[4:])}
		}
		for recs := x.find(uint32(ask.Holder)); len(recs) > 0; {
			n := min(fewRecs, len(recs))
			for n < len(recs) && place(recs[n]) == place(recs[n-1]) { // a transaction is never split
				n++
			}
			s := stretch{lo: place(recs[0]), hi: place(recs[n-1]), run: run, recs: recs[:n]}
			s.hi.Movement = math.MaxUint32
			if wants(ask, s.lo, s.hi) {
				all = append(all, s)
			}
			recs = recs[n:]
		}
	}
	return all, nil
}

// frozenStretches are those of the segments.
func (e *entryLooker) frozenStretches(ask *store.Ask, holder uint32) (all []stretch, err error) {
	it, err := e.r.iter(keyEntries)
	if err != nil {
		return nil, err
	}
	prefix := numberKey(nil, keyEntries, e.v.lane, holder)
	for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); {
		n, good := segmentOfKey(it.Key())
		if !good || uint64(n) > uint64(len(e.v.segments)) {
			return nil, fmt.Errorf("key %x: %w", it.Key(), errDamaged)
		}
		if n == 0 {
			if all, err = e.shortStretches(ask, it, all); err != nil {
				return nil, err
			}
			ok = it.Next()
			continue
		}
		// A long piece may have many parts: go to that which is asked for first, and then behind all.
		behind := append(entriesPartKey(nil, e.v.lane, holder, n, math.MaxUint64, math.MaxUint32), 0)
		key := bytes.Clone(it.Key())
		if ask.Back && ask.From == (flow.Pos{}) {
			ok = it.SeekLT(behind)
		} else {
			ok = it.SeekLT(append(entriesPartKey(nil, e.v.lane, holder, n, ask.From.Height, ask.From.Tx), 0))
		}
		if ok && bytes.Compare(it.Key(), key) >= 0 {
			key = bytes.Clone(it.Key())
		}
		s := stretch{lo: partPos(key), hi: lastPos(e.v.segments[n-1].last), seg: n, key: key}
		if wants(ask, s.lo, s.hi) {
			all = append(all, s)
		}
		ok = it.SeekGE(behind)
	}
	return all, it.Error()
}

// partPos is where the first entry of a part may be.
func partPos(key []byte) flow.Pos {
	return flow.Pos{Height: binary.BigEndian.Uint64(key[len(key)-12:]), Tx: lastNumber(key)}
}

// shortStretches adds the short pieces under the key at hand.
func (e *entryLooker) shortStretches(ask *store.Ask, it *pebble.Iterator, all []stretch) ([]stretch, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	group, _, _ := readShort(it.Key()[holderKeySize:])
	for r := (cursor{b: bytes.Clone(value)}); r.at < len(r.b); {
		n, piece := r.piece(group, groupBits)
		if n == 0 || uint64(n) > uint64(len(e.v.segments)) {
			r.bad = true
		}
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("piece of segment %d: %w", n, err)
		}
		seg := &e.v.segments[n-1]
		at := cursor{b: piece}
		s := stretch{lo: flow.Pos{Height: seg.first + at.uint(), Tx: at.uint32()}, hi: lastPos(seg.last), seg: n, piece: piece}
		if err := at.check(); err != nil {
			return nil, fmt.Errorf("piece of segment %d: %w", n, err)
		}
		if wants(ask, s.lo, s.hi) {
			all = append(all, s)
		}
	}
	return all, nil
}

// unpack reads the entries of a stretch that are asked for, in the order that is asked for. more, if it has a key, is the
// part of the same long piece that comes next.
func (e *entryLooker) unpack(ask *store.Ask, s *stretch) (entries []store.Entry, more stretch, err error) {
	from := ask.From
	if ask.Back {
		from = flow.Pos{}
	}
	switch {
	case s.run != nil:
		entries, err = e.unpackHead(s)
	case s.key == nil:
		entries, err = e.x.value(nil, s.piece, &e.v.segments[s.seg-1], from, 0)
	default:
		entries, more, err = e.unpackPart(ask, s, from)
	}
	if err != nil {
		return nil, more, fmt.Errorf("piece of segment %d: %w", s.seg, err)
	}
	if ask.Back {
		if n := len(entries); ask.From != (flow.Pos{}) {
			n = sort.Search(n, func(i int) bool { return before(ask.From, entries[i].Pos) })
			entries = entries[:n]
		}
		slices.Reverse(entries)
	} else {
		entries = entries[sort.Search(len(entries), func(i int) bool { return !before(entries[i].Pos, from) }):]
	}
	return entries, more, nil
}

func (e *entryLooker) unpackHead(s *stretch) ([]store.Entry, error) {
	x, err := s.run.holders()
	if err != nil {
		return nil, err
	}
	entries := make([]store.Entry, len(s.recs))
	for i, rec := range s.recs {
		if err := e.x.item(x.log[rec.at:], s.run.heights, &entries[i]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// unpackPart reads a part of a long piece and finds the next one.
func (e *entryLooker) unpackPart(ask *store.Ask, s *stretch, from flow.Pos) (entries []store.Entry, more stretch, err error) {
	it, err := e.r.iter(keyEntries)
	if err != nil {
		return nil, more, err
	}
	if !it.SeekGE(s.key) || !bytes.Equal(it.Key(), s.key) {
		if err := it.Error(); err != nil {
			return nil, more, err
		}
		return nil, more, fmt.Errorf("key %x: %w", s.key, errDamaged)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, more, err
	}
	if entries, err = e.x.value(nil, value, &e.v.segments[s.seg-1], from, 0); err != nil {
		return nil, more, err
	}
	own := s.key[:len(s.key)-12] // that of the whole piece
	step := it.Next
	if ask.Back {
		step = it.Prev
	}
	if step() && len(it.Key()) == len(s.key) && bytes.HasPrefix(it.Key(), own) {
		more = stretch{seg: s.seg, key: bytes.Clone(it.Key())}
		if more.lo, more.hi = partPos(more.key), s.hi; ask.Back {
			more.hi = s.lo
		}
	}
	return entries, more, it.Error()
}
