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
	for range min(runtime.GOMAXPROCS(0), (len(order)+fewAsks-1)/fewAsks) {
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
}

func (s *snapshot) entryLooker(v *view) (*entryLooker, error) {
	r, err := s.reader(v)
	if err != nil {
		return nil, err
	}
	return &entryLooker{v: v, r: r, x: entryReader{v.chain, v.forms}}, nil
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
		if err := e.frozen(&asks[i]); err != nil {
			return err
		}
		if err := e.head(&asks[i]); err != nil {
			return err
		}
		if err := visit(i, e.entries); err != nil {
			return err
		}
	}
	return nil
}

// isFull reports whether enough was found.
func (e *entryLooker) isFull(ask *store.Ask) bool {
	return ask.Limit > 0 && len(e.entries) >= ask.Limit
}

// frozen adds the entries of the segments.
func (e *entryLooker) frozen(ask *store.Ask) error {
	v := e.v
	holder := uint32(ask.Holder)
	first := 0
	if ask.From != (flow.Pos{}) {
		first = v.segmentOf(ask.From.Height)
	}
	if first == len(v.segments) || holder >= v.frozenIDs() {
		return nil
	}
	it, err := e.r.iter(keyEntries)
	if err != nil {
		return err
	}
	key := entriesKey(e.r.key[:0], v.lane, holder, uint32(first)+1)
	e.r.key = key
	var ok bool
	if seg := &v.segments[first]; first > 0 && ask.From.Height > seg.first || first == 0 && ask.From != (flow.Pos{}) {
		// The holder may have several parts in this segment: begin with the last one that begins at or before From.
		e.r.key = append(entriesPartKey(key[:0], v.lane, holder, uint32(first)+1, ask.From.Height, ask.From.Tx), 0)
		key = e.r.key[:len(key)]
		if ok = it.SeekLT(e.r.key); !ok && it.Error() == nil {
			ok = it.First()
		}
		for ok && string(it.Key()) < string(key) {
			ok = it.Next()
		}
	} else {
		ok = it.SeekGE(key)
	}
	prefix := key[:holderKeySize]
	for ; ok && string(it.Key()[:len(prefix)]) == string(prefix); ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		n, _, good := readShort(it.Key()[holderKeySize:])
		if !good || n == 0 || uint64(n) > uint64(len(v.segments)) {
			return fmt.Errorf("%s: entries of segment %d, which does not exist: %w", v.chain, n, errDamaged)
		}
		if e.entries, err = e.x.value(e.entries, value, v.segments[n-1].first, ask.From, ask.Limit); err != nil {
			return fmt.Errorf("%s: entries of account %d in segment %d: %w", v.chain, holder, n, err)
		}
		if e.isFull(ask) {
			break
		}
	}
	return it.Error()
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
		for _, rec := range x.find(uint32(ask.Holder)) {
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
