package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A snapshot is the sorted tables and the heads of one moment.
type snapshot struct {
	db     *pebble.Snapshot
	views  map[flow.Chain]*view
	secret *secret

	mu     sync.Mutex
	free   map[uint16][]*tableReader // guarded by mu: readers to be used again, by lane
	closed bool                      // guarded by mu
}

// Snapshot is the state of now.
func (s *Store) Snapshot() (store.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	views := make(map[flow.Chain]*view, len(s.shown))
	for c, v := range s.shown {
		if v.isEmpty() {
			continue
		}
		if v.runs == nil && len(v.blocks) > 0 {
			v.runs = cover(s.runs[c], v.blocks, v.forms, s.secret)
			s.runs[c] = v.runs
		}
		views[c] = v
	}
	return &snapshot{db: s.db.NewSnapshot(), views: views, secret: s.secret, free: map[uint16][]*tableReader{}}, nil
}

// Close releases the snapshot.
func (s *snapshot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	for _, free := range s.free {
		for _, r := range free {
			err = errors.Join(err, r.close())
		}
	}
	s.free = nil
	return errors.Join(err, s.db.Close())
}

// A tableReader reads the sorted tables of one lane, with one iterator for each kind of keys. One goroutine uses it.
type tableReader struct {
	db    pebble.Reader
	lane  uint16
	iters ['z' - 'a' + 1]*pebble.Iterator // by kind
	key   []byte
}

// reader lends a reader of a lane; give takes it back.
func (s *snapshot) reader(v *view) (*tableReader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the snapshot is closed")
	}
	free := s.free[v.lane]
	if n := len(free); n > 0 {
		s.free[v.lane] = free[:n-1]
		return free[n-1], nil
	}
	return &tableReader{db: s.db, lane: v.lane}, nil
}

// mostFree is how many idle readers of a lane a snapshot keeps.
const mostFree = 16

func (s *snapshot) give(r *tableReader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.free[r.lane]) >= mostFree {
		return r.close()
	}
	s.free[r.lane] = append(s.free[r.lane], r)
	return nil
}

func (r *tableReader) close() error {
	var err error
	for _, it := range r.iters {
		if it != nil {
			err = errors.Join(err, it.Close())
		}
	}
	return err
}

// iter is the iterator over a kind of keys.
func (r *tableReader) iter(kind byte) (*pebble.Iterator, error) {
	at := &r.iters[kind-'a']
	if *at == nil {
		lower, upper := laneBounds(kind, r.lane)
		it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return nil, err
		}
		*at = it
	}
	return *at, nil
}

// Chains lists the chains that have blocks, in order.
func (s *snapshot) Chains() []flow.Chain {
	var all []flow.Chain
	for c := range s.views {
		all = append(all, c)
	}
	slices.SortFunc(all, flow.Chain.Compare)
	return all
}

func (s *snapshot) Tip(c flow.Chain) (p flow.Point, ok bool) {
	v := s.views[c]
	if v == nil {
		return flow.Point{}, false
	}
	return v.tip, true
}

// head is the head block at that height, nil where there is none.
func (v *view) head(height uint64) *block {
	i := sort.Search(len(v.blocks), func(i int) bool { return v.blocks[i].point.Height >= height })
	if i < len(v.blocks) && v.blocks[i].point.Height == height {
		return v.blocks[i]
	}
	return nil
}

// isFrozen reports whether a block at that height could be in a segment.
func (v *view) isFrozen(height uint64) bool {
	return v.count > 0 && v.first <= height && height <= v.last
}

// segmentOf is the first segment that ends at that height or later, where none is late.
func (v *view) segmentOf(height uint64) int {
	return sort.Search(len(v.segments), func(i int) bool { return v.segments[i].last >= height })
}

// frozenPoint is a block of the segments. Errors: store.ErrNotFound.
func frozenPoint(db pebble.Reader, c flow.Chain, lane uint16, height uint64) (flow.Point, error) {
	v, err := get(db, heightKey(nil, keyBlock, lane, height))
	if err != nil {
		return flow.Point{}, fmt.Errorf("%s block %d: %w", c, height, err)
	}
	r := &cursor{b: v}
	p, _ := readPoint(r, c, height)
	if err := r.check(); err != nil {
		return flow.Point{}, fmt.Errorf("%s block %d: %w", c, height, err)
	}
	return p, nil
}

// point is the block at that height. Errors: store.ErrNotFound.
func (v *view) point(db pebble.Reader, height uint64) (flow.Point, error) {
	if b := v.head(height); b != nil {
		return b.point, nil
	}
	if !v.isFrozen(height) {
		return flow.Point{}, fmt.Errorf("%s block %d: %w", v.chain, height, store.ErrNotFound)
	}
	return frozenPoint(db, v.chain, v.lane, height)
}

func (s *snapshot) Point(_ context.Context, c flow.Chain, height uint64) (flow.Point, error) {
	v := s.views[c]
	if v == nil {
		return flow.Point{}, fmt.Errorf("%s block %d: %w", c, height, store.ErrNotFound)
	}
	return v.point(s.db, height)
}

func (s *snapshot) Recent(ctx context.Context, c flow.Chain, n int) (points []flow.Point, err error) {
	v := s.views[c]
	if v == nil || n <= 0 {
		return nil, nil
	}
	blocks := v.blocks
	newest := func(above uint64) { // adds those of the head that are above a height of the segments
		for k := len(blocks) - 1; k >= 0 && len(points) < n && blocks[k].point.Height > above; k-- {
			points, blocks = append(points, blocks[k].point), blocks[:k]
		}
	}
	if v.count == 0 {
		for _, b := range slices.Backward(blocks[max(0, len(blocks)-n):]) {
			points = append(points, b.point)
		}
		return points, nil
	}
	if newest(v.last); len(points) == n {
		return points, nil
	}
	r, err := s.reader(v)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.give(r)) }()
	it, err := r.iter(keyBlock)
	if err != nil {
		return nil, err
	}
	for ok := it.Last(); ok && len(points) < n; ok = it.Prev() {
		p, err := pointAt(it, c)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if newest(p.Height); len(points) < n {
			points = append(points, p)
		}
	}
	if len(blocks) > 0 && len(points) < n {
		for _, b := range slices.Backward(blocks[max(0, len(blocks)-(n-len(points))):]) {
			points = append(points, b.point)
		}
	}
	return points, it.Error()
}

// pointAt is the block whose header the iterator stands at.
func pointAt(it *pebble.Iterator, c flow.Chain) (flow.Point, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return flow.Point{}, err
	}
	height := binary.BigEndian.Uint64(it.Key()[laneKeySize:])
	r := &cursor{b: value}
	p, _ := readPoint(r, c, height)
	if err := r.check(); err != nil {
		return flow.Point{}, fmt.Errorf("%s block %d: %w", c, height, err)
	}
	return p, nil
}

// mostFall is more than Bitcoin's block times can fall: they are at most two hours ahead of the clock, and above the
// median of the eleven before.
const mostFall = 3 * 60 * 60

func (s *snapshot) FirstAt(ctx context.Context, c flow.Chain, t int64) (flow.Point, error) {
	v := s.views[c]
	if v == nil {
		return flow.Point{}, fmt.Errorf("%s at time %d: %w", c, t, store.ErrNotFound)
	}
	// Where times may fall, every block before the first at or after low is before t, and from there on all are looked at.
	low := t
	if c.IsUTXO() {
		low = max(t, math.MinInt64+mostFall) - mostFall
	}
	var p flow.Point
	frozen := false
	if v.count > 0 {
		r, err := s.reader(v)
		if err != nil {
			return flow.Point{}, err
		}
		p, frozen, err = frozenAt(ctx, r, v, low, t)
		if err = errors.Join(err, s.give(r)); err != nil || frozen && !v.late {
			return p, err
		}
	}
	i := sort.Search(len(v.blocks), func(i int) bool { return v.blocks[i].point.Time >= low })
	for ; i < len(v.blocks); i++ {
		if b := v.blocks[i].point; b.Time >= t {
			if frozen && p.Height < b.Height { // a filled block may be on either side
				return p, nil
			}
			return b, nil
		}
	}
	if frozen {
		return p, nil
	}
	return flow.Point{}, fmt.Errorf("%s at time %d: %w", c, t, store.ErrNotFound)
}

// frozenAt is the first block of the segments whose time is t or later, where none before the first at or after low is.
func frozenAt(ctx context.Context, r *tableReader, v *view, low, t int64) (p flow.Point, ok bool, err error) {
	p, ok, err = firstAt(r, v.chain, v.first, v.last, low)
	if !ok || err != nil || p.Time >= t {
		return p, ok, err
	}
	it, err := r.iter(keyBlock)
	if err != nil {
		return p, false, err
	}
	r.key = heightKey(r.key[:0], keyBlock, r.lane, p.Height)
	for ok = it.SeekGE(r.key); ok; ok = it.Next() {
		if p, err = pointAt(it, v.chain); err == nil {
			err = ctx.Err()
		}
		if err != nil || p.Time >= t {
			return p, err == nil, err
		}
	}
	return p, false, it.Error()
}

// firstAt is the first block from first to last, which are there, whose time is t or later, if times rise.
func firstAt(r *tableReader, c flow.Chain, first, last uint64, t int64) (found flow.Point, ok bool, err error) {
	it, err := r.iter(keyBlock)
	if err != nil {
		return found, false, err
	}
	for first <= last {
		middle := first + (last-first)/2
		r.key = heightKey(r.key[:0], keyBlock, r.lane, middle)
		if !it.SeekGE(r.key) {
			if err := it.Error(); err != nil || middle == first {
				return found, ok, err
			}
			last = middle - 1
			continue
		}
		p, err := pointAt(it, c)
		if err != nil {
			return found, ok, err
		}
		switch {
		case p.Time < t && p.Height == math.MaxUint64:
			return found, ok, nil
		case p.Time < t:
			first = p.Height + 1
		case middle == first:
			return p, true, nil
		default:
			found, ok, last = p, true, middle-1
		}
	}
	return found, ok, nil
}

func (s *snapshot) Holes(ctx context.Context, c flow.Chain) (holes []store.Hole, err error) {
	v := s.views[c]
	if v == nil {
		return nil, nil
	}
	var held []store.Hole // runs of heights that are there
	see := func(first, last uint64) {
		if n := len(held); n > 0 && held[n-1].To+1 == first && first > 0 {
			held[n-1].To = last
			return
		}
		held = append(held, store.Hole{From: first, To: last})
	}
	for _, seg := range v.segments {
		switch seg.blocks {
		case 0:
			continue
		case seg.last - seg.first + 1:
			see(seg.first, seg.last)
			continue
		}
		err := scan(s.db, heightKey(nil, keyBlock, v.lane, seg.first), append(heightKey(nil, keyBlock, v.lane, seg.last), 0), func(key, _ []byte) error {
			height := binary.BigEndian.Uint64(key[laneKeySize:])
			see(height, height)
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	for _, b := range v.blocks {
		see(b.point.Height, b.point.Height)
	}
	if v.late {
		slices.SortFunc(held, func(a, b store.Hole) int { return cmp.Compare(a.From, b.From) })
	}
	for i, last := 1, uint64(0); i < len(held); i++ {
		last = max(last, held[i-1].To)
		if held[i].From > last && held[i].From-last > 1 {
			holes = append(holes, store.Hole{From: last + 1, To: held[i].From - 1})
		}
	}
	return holes, nil
}
