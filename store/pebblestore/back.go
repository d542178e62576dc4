package pebblestore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// headBack adds the entries of the head at or before ask.From, newest first.
func (e *entryLooker) headBack(ask *store.Ask) error {
	for _, run := range slices.Backward(e.v.runs) {
		x, err := run.holders()
		if err != nil {
			return err
		}
		recs := x.find(uint32(ask.Holder))
		if ask.From != (flow.Pos{}) {
			recs = recs[:x.before(recs, run.heights, ask.From.Height, uint64(ask.From.Tx)+1)]
		}
		for _, rec := range slices.Backward(recs) {
			if e.isFull(ask) {
				return nil
			}
			var entry store.Entry
			if err := e.x.item(x.log[rec.at:], run.heights, &entry); err != nil {
				return fmt.Errorf("%s: entries of account %d: %w", e.v.chain, ask.Holder, err)
			}
			if ask.From == (flow.Pos{}) || !before(ask.From, entry.Pos) {
				e.entries = append(e.entries, entry)
			}
		}
	}
	return nil
}

// frozenBack adds the entries of the segments at or before ask.From, newest first. It goes back over groups of segments,
// and in each over its long pieces and the short ones between them.
func (e *entryLooker) frozenBack(ask *store.Ask) error {
	v, holder := e.v, uint32(ask.Holder)
	if len(v.segments) == 0 || holder >= v.known || e.isFull(ask) {
		return nil
	}
	it, err := e.r.iter(keyEntries)
	if err != nil {
		return err
	}
	prefix := numberKey(nil, keyEntries, v.lane, holder)
	e.key = append(append(e.key[:0], prefix...), 0xff) // behind all groups
	if ask.From != (flow.Pos{}) {
		last := uint32(min(v.segmentOf(ask.From.Height)+1, len(v.segments)))
		e.key = append(entriesPartKey(e.key[:0], v.lane, holder, last, ask.From.Height, ask.From.Tx), 0)
	}
	for it.SeekLT(e.key) && bytes.HasPrefix(it.Key(), prefix) {
		number, _, ok := readShort(it.Key()[len(prefix):])
		if !ok || number > (1<<32-1)>>groupBits {
			return fmt.Errorf("%s: entries of account %d: key %x: %w", v.chain, holder, it.Key(), errDamaged)
		}
		group := entriesKey(nil, v.lane, holder, number<<groupBits)
		e.group, e.short = number, e.short[:0]
		if it.SeekGE(group) && bytes.Equal(it.Key(), group) {
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			e.short = append(e.short, value...)
		}
		for ok := it.SeekLT(e.key); ok && len(it.Key()) > len(group) && bytes.HasPrefix(it.Key(), group); ok = it.Prev() {
			n, good := segmentOfKey(it.Key())
			if !good || n == 0 || uint64(n) > uint64(len(v.segments)) {
				return fmt.Errorf("%s: entries of account %d: key %x: %w", v.chain, holder, it.Key(), errDamaged)
			}
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			if err := e.piecesBack(ask, n); err != nil {
				return err
			}
			if err := e.pieceBack(ask, n, value); err != nil {
				return err
			}
			if e.isFull(ask) {
				return nil
			}
		}
		if err := e.piecesBack(ask, 0); err != nil || e.isFull(ask) {
			return err
		}
		e.key = append(e.key[:0], group...)
	}
	return it.Error()
}

// piecesBack adds the short pieces of segments after that one, newest first, and drops them.
func (e *entryLooker) piecesBack(ask *store.Ask, after uint32) error {
	type place struct {
		segment uint32
		from    int // where it begins
		piece   []byte
	}
	var all []place
	r := cursor{b: e.short}
	for r.at < len(r.b) {
		at := r.at
		n, piece := r.piece(e.group, groupBits)
		if n == 0 || uint64(n) > uint64(len(e.v.segments)) {
			r.bad = true
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("%s: entries of account %d: piece of segment %d: %w", e.v.chain, ask.Holder, n, err)
		}
		if n > after {
			all = append(all, place{n, at, piece})
		}
	}
	for _, p := range slices.Backward(all) {
		if e.isFull(ask) {
			return nil
		}
		if err := e.pieceBack(ask, p.segment, p.piece); err != nil {
			return err
		}
		e.short = e.short[:p.from]
	}
	return nil
}

// pieceBack adds the entries of a piece in segment n, newest first.
func (e *entryLooker) pieceBack(ask *store.Ask, n uint32, b []byte) error {
	seg := &e.v.segments[n-1]
	if e.isFull(ask) || ask.From != (flow.Pos{}) && seg.first > ask.From.Height {
		return nil
	}
	var err error
	if e.piece, err = e.x.value(e.piece[:0], b, seg, flow.Pos{}, 0); err != nil {
		return fmt.Errorf("%s: entries of account %d: piece of segment %d: %w", e.v.chain, ask.Holder, n, err)
	}
	for i := range slices.Backward(e.piece) {
		if e.isFull(ask) {
			break
		}
		if ask.From == (flow.Pos{}) || !before(ask.From, e.piece[i].Pos) {
			e.entries = append(e.entries, e.piece[i])
		}
	}
	return nil
}
