package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// fewAsks is how many questions one goroutine answers at a time.
const fewAsks = 128

// workersPerCore is more than one because some workers wait for the disk.
const workersPerCore = 16

// Entries answers many questions at once; see store.Snapshot.
func (s *snapshot) Entries(ctx context.Context, c flow.Chain, asks []store.Ask, visit func(i int, entries []store.Entry) error) error {
	v := s.views[c]
	order := make([]int, 0, len(asks))
	for i, ask := range asks {
		if v == nil || ask.Holder == 0 || ask.Holder >= store.ID(v.nextID) {
			if err := visit(i, nil); err != nil {
				return err
			}
			continue
		}
		order = append(order, i)
	}
	if len(order) == 0 {
		return ctx.Err()
	}
	if len(order) <= fewAsks {
		if len(order) > 1 {
			sortByHolder(order, asks)
		}
		return s.answer(ctx, v, asks, order, visit)
	}
	sortByHolder(order, asks)
	// Every worker takes the next stretch of holders, so that each reads forwards and none waits for a hub.
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(workersPerCore*runtime.GOMAXPROCS(0), (len(order)+fewAsks-1)/fewAsks) {
		g.Go(func() error {
			e, err := s.entryLooker(v)
			if err != nil {
				return err
			}
			for err == nil {
				from := int(next.Add(fewAsks)) - fewAsks
				if from >= len(order) {
					break
				}
				err = e.answer(ctx, asks, order[from:min(from+fewAsks, len(order))], visit)
			}
			return errors.Join(err, s.give(e.r))
		})
	}
	return g.Wait()
}

// sortByHolder orders numbers of asks by their holders.
func sortByHolder(order []int, asks []store.Ask) {
	slices.SortFunc(order, func(i, k int) int {
		switch a, b := asks[i].Holder, asks[k].Holder; {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	})
}

// An entryLooker answers questions for entries. One goroutine uses it.
type entryLooker struct {
	v       *view
	r       *tableReader
	x       entryReader
	entries []store.Entry // used again for every answer
	piece   []store.Entry // of one piece, when going back
	short   []byte        // short pieces of the holder that wait for long ones of earlier segments
	group   uint32        // of these
	key     []byte
}

func (s *snapshot) entryLooker(v *view) (*entryLooker, error) {
	r, err := s.reader(v)
	if err != nil {
		return nil, err
	}
	return &entryLooker{v: v, r: r, x: entryReader{chain: v.chain, forms: v.forms}}, nil
}

func (s *snapshot) answer(ctx context.Context, v *view, asks []store.Ask, order []int, visit func(i int, entries []store.Entry) error) error {
	e, err := s.entryLooker(v)
	if err != nil {
		return err
	}
	return errors.Join(e.answer(ctx, asks, order, visit), s.give(e.r))
}

func (e *entryLooker) answer(ctx context.Context, asks []store.Ask, order []int, visit func(i int, entries []store.Entry) error) error {
	for _, i := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		e.entries = e.entries[:0]
		if err := e.find(&asks[i]); err != nil {
			return err
		}
		if err := visit(i, e.entries); err != nil {
			return err
		}
	}
	return nil
}

// find adds the entries that a question wants.
func (e *entryLooker) find(ask *store.Ask) error {
	first, then := e.frozen, e.head
	switch {
	case e.v.late:
		return e.merge(ask)
	case ask.Back:
		first, then = e.headBack, e.frozenBack
	}
	if err := first(ask); err != nil {
		return err
	}
	return then(ask)
}

// isFull reports whether enough was found.
func (e *entryLooker) isFull(ask *store.Ask) bool {
	return ask.Limit > 0 && len(e.entries) >= ask.Limit
}

// frozen adds the entries of the segments.
func (e *entryLooker) frozen(ask *store.Ask) error {
	v := e.v
	holder, first := uint32(ask.Holder), uint32(1)
	if ask.From != (flow.Pos{}) {
		first = uint32(v.segmentOf(ask.From.Height)) + 1
	}
	if uint64(first) > uint64(len(v.segments)) || holder >= v.known {
		return nil
	}
	it, err := e.r.iter(keyEntries)
	if err != nil {
		return err
	}
	e.r.key = entriesKey(e.r.key[:0], v.lane, holder, first)
	prefix := e.r.key[:holderKeySize]
	e.short = e.short[:0]
	skip := ask.From != (flow.Pos{}) // whether parts before From may still be skipped
	for ok := it.SeekGE(e.r.key); ok && string(it.Key()[:holderKeySize]) == string(prefix); ok = it.Next() {
		n, good := segmentOfKey(it.Key())
		if !good || uint64(n) > uint64(len(v.segments)) {
			return fmt.Errorf("%s: entries of account %d: key %x: %w", v.chain, holder, it.Key(), errDamaged)
		}
		if skip && n != 0 && n <= first {
			// This is a part of a long piece, and there may be many before From: go on at the last that begins there
			// or before.
			skip = false
			e.key = append(entriesPartKey(e.key[:0], v.lane, holder, first, ask.From.Height, ask.From.Tx), 0)
			if string(it.Key()) < string(e.key) {
				if !it.SeekLT(e.key) {
					return it.Error()
				}
				n, _ = segmentOfKey(it.Key())
			}
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if n == 0 {
			err = e.pieces(ask, 1<<32-1) // those of the group before
			if e.isFull(ask) {
				break
			}
			e.group, _, _ = readShort(it.Key()[holderKeySize:])
			e.short = append(e.short[:0], value...)
		} else if err = e.pieces(ask, n); err == nil && !e.isFull(ask) {
			err = e.add(ask, n, value)
		}
		if err != nil {
			return fmt.Errorf("%s: entries of account %d: %w", v.chain, holder, err)
		}
		if e.isFull(ask) {
			break
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	if err := e.pieces(ask, 1<<32-1); err != nil {
		return fmt.Errorf("%s: entries of account %d: %w", v.chain, holder, err)
	}
	return nil
}

// pieces adds the short pieces that wait and belong to segments before that one.
func (e *entryLooker) pieces(ask *store.Ask, before uint32) error {
	r := cursor{b: e.short}
	for r.at < len(r.b) && !e.isFull(ask) {
		at := r.at
		n, b := r.piece(e.group, groupBits)
		if n >= before {
			r.at = at
			break
		}
		if n == 0 || uint64(n) > uint64(len(e.v.segments)) {
			r.bad = true
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("piece of segment %d: %w", n, err)
		}
		if e.v.segments[n-1].last < ask.From.Height {
			continue
		}
		if err := e.add(ask, n, b); err != nil {
			return err
		}
	}
	e.short = e.short[r.at:]
	return nil
}

// add adds the entries of a piece in segment n.
func (e *entryLooker) add(ask *store.Ask, n uint32, b []byte) (err error) {
	if e.entries, err = e.x.value(e.entries, b, &e.v.segments[n-1], ask.From, ask.Limit); err != nil {
		return fmt.Errorf("piece of segment %d: %w", n, err)
	}
	return nil
}

// head adds the entries of the head.
func (e *entryLooker) head(ask *store.Ask) error {
	for _, run := range e.v.runs {
		if run.heights[len(run.heights)-1] < ask.From.Height {
			continue
		}
		x, err := run.holders()
		if err != nil {
			return err
		}
		recs := x.find(uint32(ask.Holder))
		for _, rec := range recs[x.before(recs, run.heights, ask.From.Height, uint64(ask.From.Tx)):] {
			if e.isFull(ask) {
				return nil
			}
			var entry store.Entry
			if err := e.x.item(x.log[rec.at:], run.heights, &entry); err != nil {
				return fmt.Errorf("%s: entries of account %d: %w", e.v.chain, ask.Holder, err)
			}
			if !before(entry.Pos, ask.From) {
				e.entries = append(e.entries, entry)
			}
		}
	}
	return nil
}
