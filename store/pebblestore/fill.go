package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// Blocks that are filled in become late segments, one for each row of them. The writer is stopped only while their
// accounts are given ids, a few at a time, and while the finished segment is taken in. The ids are handed to the log
// before anybody else can use them. A fill that does not come to its end leaves accounts that have an id and no entries.

// Fill puts blocks into holes and below the first block; see store.Store.
func (s *Store) Fill(ctx context.Context, blocks []flow.Block) (n int, err error) {
	s.filler.Lock()
	defer s.filler.Unlock()
	if err := s.beginFill(ctx, blocks); err != nil {
		return 0, err
	}
	for len(blocks) > 0 && err == nil {
		row, rest, wrong := s.gaps(blocks)
		if len(row) > 0 {
			err = s.fillRow(ctx, row)
		}
		if err == nil {
			n, blocks, err = n+len(row), rest, wrong
		}
	}
	return n, err
}

// beginFill sees that there is room, and that what the blocks are held against survives a crash.
func (s *Store) beginFill(ctx context.Context, blocks []flow.Block) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return err
	}
	if len(blocks) == 0 {
		return nil
	}
	if err := s.needLocked(6 * roomFor(blocks)); err != nil {
		return err
	}
	if err := s.syncLocked(ctx); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return nil
}

// gaps are the first of the blocks that go into one late segment: of one chain, at rising heights. rest is what is left
// behind them; err says why the first of these cannot go in. Blocks that are held are passed over.
func (s *Store) gaps(blocks []flow.Block) (row []*flow.Block, rest []flow.Block, err error) {
	chain := blocks[0].Point.Chain
	var v *view
	s.writer.Lock()
	final, sealed := uint64(0), false
	if l := s.lanes[chain]; l != nil {
		v, final, sealed = l.view(), l.final, l.sealed
	}
	s.writer.Unlock()
	moves, bytes := 0, 0
	for i := range blocks {
		b := &blocks[i]
		if b.Point.Chain != chain || moves >= s.o.SegmentMovements || bytes >= maxFoldBytes ||
			len(row) > 0 && b.Point.Height <= row[len(row)-1].Point.Height {
			return row, blocks[i:], nil
		}
		put, err := s.gap(v, final, sealed, b, row)
		if err != nil {
			return row, blocks[i:], fmt.Errorf("fill %s: %w", b.Point, err)
		}
		if put {
			row = append(row, b)
			bytes += roomFor(blocks[i : i+1])
			for k := range b.Txs {
				moves += len(b.Txs[k].Movements)
			}
		}
	}
	return row, nil, nil
}

// gap says whether b goes in, with those of the row below it, or is there already.
func (s *Store) gap(v *view, final uint64, sealed bool, b *flow.Block, row []*flow.Block) (put bool, err error) {
	if err := check(b); err != nil {
		return false, err
	}
	p := b.Point
	missing := fmt.Errorf("a final block above it is %w", store.ErrNotFound)
	if v == nil {
		return false, missing
	}
	held, _, ok, err := v.header(s.db, p.Height)
	switch {
	case err != nil:
		return false, err
	case ok && isBlock(held, p):
		return false, nil
	case !sealed || p.Height >= final:
		return false, missing
	case ok:
		return false, fmt.Errorf("another block, %s, is there, %w", held, store.ErrFinal)
	}
	above, parent, ok, err := v.header(s.db, p.Height+1)
	if err != nil {
		return false, err
	}
	if ok && !parent.IsZero() && !p.Hash.IsZero() && parent != p.Hash {
		return false, fmt.Errorf("the parent of %s is %.12s…, which is %w", above, parent, store.ErrFinal)
	}
	if p.Height == 0 || b.Parent.IsZero() {
		return true, nil
	}
	below, ok := flow.Point{}, false
	if n := len(row); n > 0 && row[n-1].Point.Height == p.Height-1 {
		below = row[n-1].Point
	} else if below, _, ok, err = v.header(s.db, p.Height-1); err != nil || !ok {
		return err == nil, err
	}
	if !below.Hash.IsZero() && b.Parent != below.Hash {
		return false, fmt.Errorf("its parent is %.12s…, and %s is %w", b.Parent, below, store.ErrFinal)
	}
	return true, nil
}

// header is the block at that height and its parent; ok is false where there is none.
func (v *view) header(db pebble.Reader, height uint64) (p flow.Point, parent flow.Hash, ok bool, err error) {
	if b := v.head(height); b != nil {
		return b.point, b.parent, true, nil
	}
	value, err := get(db, heightKey(nil, keyBlock, v.lane, height))
	if errors.Is(err, store.ErrNotFound) {
		return p, parent, false, nil
	}
	if err != nil {
		return p, parent, false, fmt.Errorf("block %d: %w", height, err)
	}
	r := &cursor{b: value}
	if p, parent = readPoint(r, v.chain, height); r.bad {
		return p, parent, false, fmt.Errorf("block %d: %w", height, r.check())
	}
	return p, parent, true, nil
}

// fillRow makes one late segment of blocks that go in.
func (s *Store) fillRow(ctx context.Context, row []*flow.Block) error {
	p := row[0].Point
	f, err := s.reserve(p.Chain)
	if err != nil {
		return fmt.Errorf("fill %s: %w", p, err)
	}
	f.seg.first, f.seg.last, f.seg.blocks = p.Height, row[len(row)-1].Point.Height, uint64(len(row))
	var w bodyWriter
	for _, b := range row {
		if err := ctx.Err(); err != nil {
			return err
		}
		packed, err := f.pack(&w, b)
		if err != nil {
			return fmt.Errorf("fill %s: %w", b.Point, err)
		}
		f.blocks = append(f.blocks, packed)
		f.seg.txs += uint64(packed.txs())
		f.seg.moves += uint64(packed.moves)
	}
	if err := f.takeIn(ctx); err != nil {
		return fmt.Errorf("fill %s: %w", p, err)
	}
	return nil
}

// A filler makes a late segment.
type filler struct {
	folder
	ids  []uint32
	keys []string
}

// reserve gives a late segment its number. It has no blocks yet, and snapshots see so.
func (s *Store) reserve(c flow.Chain) (*filler, error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(context.Background()); err != nil {
		return nil, err
	}
	l := s.lanes[c]
	seg := segment{number: uint32(len(l.segments)) + 1, nextID: l.filledID, nextForm: uint32(l.tabled) + 1, common: 1, late: true}
	b := s.db.NewBatch()
	err := b.Set(numberKey(nil, keyLate, l.lane, seg.number), appendSegment(nil, seg), nil)
	if s.version != filledVersion {
		err = errors.Join(err, b.Set([]byte{keyFormat}, s.formatValue(filledVersion), nil))
	}
	if err == nil {
		err = s.handLocked(b)
	}
	if err != nil {
		return nil, err
	}
	s.version = filledVersion
	l.join(seg)
	s.showLocked(l)
	return &filler{folder: folder{s: s, l: l, seg: seg, room: &foldRoom{}}}, l.unlook()
}

// handLocked gives a batch to the log, not synced. An error breaks the store.
func (s *Store) handLocked(b *pebble.Batch) error {
	s.loose = true
	if err := errors.Join(b.Commit(pebble.NoSync), b.Close()); err != nil {
		s.broken = err
		return err
	}
	return nil
}

// pack gives ids to the accounts of b and packs it.
func (f *filler) pack(w *bodyWriter, b *flow.Block) (*block, error) {
	f.keys = f.keys[:0]
	for i := range b.Txs {
		for k := range b.Txs[i].Movements {
			m := &b.Txs[i].Movements[k]
			for _, legs := range [2][]flow.Leg{m.In, m.Out} {
				for _, leg := range legs {
					if !leg.Account.IsZero() && leg.Account.Chain() != b.Point.Chain {
						return nil, fmt.Errorf("transaction %d: movement %d: %s is not of this chain", b.Txs[i].Index, k, leg.Account)
					}
					f.keys = append(f.keys, leg.Account.Key())
				}
			}
		}
	}
	uses, err := f.uses(b)
	if err != nil {
		return nil, err
	}
	f.ids = f.ids[:0]
	for keys := range slices.Chunk(f.keys, namesPerLock) {
		if err := f.name(keys); err != nil {
			return nil, err
		}
	}
	w.common = f.seg.common
	err = w.pack(b, f.ids, func(*flow.Movement) (formUse, error) {
		u := uses[0]
		uses = uses[1:]
		return u, nil
	})
	if err != nil {
		return nil, err
	}
	packed := &block{point: b.Point, parent: b.Parent, coverage: b.Coverage, notes: b.Notes}
	w.give(b, packed, make([]byte, 0, len(w.buf)+len(flow.Hash{})*len(b.Txs)))
	return packed, nil
}

// uses are the forms of the movements of b. Those that the tables do not know are handed to the log.
func (f *filler) uses(b *flow.Block) (uses []formUse, err error) {
	s, l := f.s, f.l
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	before := len(l.forms.all)
	for i := range b.Txs {
		for k := range b.Txs[i].Movements {
			m := &b.Txs[i].Movements[k]
			u, err := l.forms.use(l.chain, m.Kind, m.Asset)
			if err != nil {
				l.forms.cut(before)
				return nil, fmt.Errorf("transaction %d: movement %d: %w", b.Txs[i].Index, k, err)
			}
			uses = append(uses, u)
		}
	}
	if n := len(l.forms.all); n > l.tabled {
		batch := s.db.NewBatch()
		for i := l.tabled; i < n; i++ {
			if err := batch.Set(numberKey(nil, keyForm, l.lane, uint32(i)+1), appendForm(nil, l.forms.all[i]), nil); err != nil {
				return nil, err
			}
		}
		if err := s.handLocked(batch); err != nil {
			return nil, err
		}
		l.tabled = n
	}
	f.forms, f.seg.common = l.forms.all, l.forms.common
	return uses, nil
}

// namesPerLock is how many accounts are given ids while the writer is stopped: each may have to be looked for on the disk.
const namesPerLock = 128

// name adds the ids of accounts to f.ids. What is new, and what only a head block knows that could be undone, is handed to
// the log with its name.
func (f *filler) name(keys []string) (err error) {
	s, l := f.s, f.l
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.broken != nil {
		return s.broken
	}
	fresh := &block{firstID: l.nextID, firstForm: uint32(len(l.forms.all)) + 1}
	defer func() {
		if err != nil && s.broken == nil {
			l.forget(fresh)
		}
	}()
	batch := s.db.NewBatch()
	at := len(f.ids)
	for _, k := range keys {
		id, err := l.id(s, k, nameHash(k), fresh)
		if err != nil {
			return errors.Join(err, batch.Close())
		}
		f.ids = append(f.ids, id)
		f.seg.nextID = max(f.seg.nextID, id+1)
	}
	for i, k := range keys {
		if id := f.ids[at+i]; id != 0 && id < fresh.firstID && !l.lent[id] && l.isYoung(id) {
			if err := errors.Join(batch.Set(numberKey(nil, keyLent, l.lane, id), []byte(k), nil), f.index(batch, k, id)); err != nil {
				return err
			}
			l.lent[id] = true
		}
	}
	for i := 0; i < len(fresh.names); i += namesPerValue {
		names := fresh.names[i:min(i+namesPerValue, len(fresh.names))]
		var value []byte
		for k, name := range names {
			value = append(append(value, byte(len(name))), name...)
			if err := f.index(batch, name, fresh.firstID+uint32(i+k)); err != nil {
				return err
			}
		}
		if err := batch.Set(numberKey(nil, keyNames, l.lane, fresh.firstID+uint32(i)), value, nil); err != nil {
			return err
		}
	}
	if batch.Empty() {
		return batch.Close()
	}
	held := f.seg
	held.first, held.last, held.blocks, held.txs, held.moves, held.nextID = 0, 0, 0, 0, 0, l.nextID
	if err := batch.Set(numberKey(nil, keyLate, l.lane, held.number), appendSegment(nil, held), nil); err != nil {
		return err
	}
	if err := s.handLocked(batch); err != nil {
		return err
	}
	l.filledID, l.known, f.seg.nextID = l.nextID, l.nextID, l.nextID
	return nil
}

// isYoung reports whether a block of the head that may yet be undone brought an account.
func (l *lane) isYoung(id uint32) bool {
	i := sort.Search(len(l.blocks), func(i int) bool { return l.blocks[i].firstID > id }) - 1
	return i >= 0 && id-l.blocks[i].firstID < uint32(len(l.blocks[i].names)) && !(l.sealed && l.blocks[i].point.Height <= l.final)
}

// index makes an account of the segment findable.
func (f *filler) index(batch *pebble.Batch, key string, id uint32) error {
	h := []hashed{{hash: f.s.secret.key(key), a: id}}
	bucket, _ := bucketOf(h[0].hash)
	piece := appendPiece(nil, f.seg.number, bucketGroupBits, appendIDs(appendMarks(nil, h), h, 0))
	return batch.Merge(bucketKey(nil, keyAccount, f.l.lane, bucket, f.seg.number), piece, nil)
}

// fewMoves is how many movements are too few for tables of their own.
const fewMoves = 8192

// takeIn writes the segment and shows it, whole or not at all: as tables, or if it is small, through the log.
func (f *filler) takeIn(ctx context.Context) error {
	if f.seg.moves <= uint64(f.s.o.fewMoves) {
		w := batchWriter{f.s.db.NewBatch()}
		if err := errors.Join(f.rows(ctx, w), f.entries(ctx, w)); err != nil {
			return errors.Join(err, w.b.Close())
		}
		return f.show(ctx, func() error {
			f.s.broken = errors.Join(w.b.Commit(pebble.Sync), w.b.Close())
			return f.s.broken
		})
	}
	t := &tableWriter{s: f.s}
	err := errors.Join(f.rows(ctx, t), f.entries(ctx, t), t.finish())
	if err == nil {
		// Tables are there when they are taken in, and so must be what the log says of their accounts.
		err = f.s.db.LogData(nil, pebble.Sync)
	}
	if err == nil {
		err = f.show(ctx, func() error { return f.s.db.Ingest(context.WithoutCancel(ctx), t.paths) })
	}
	if err != nil {
		return errors.Join(err, t.discard())
	}
	return nil
}

// show puts the segment into the store by put, and shows it.
func (f *filler) show(ctx context.Context, put func() error) error {
	s, l := f.s, f.l
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return err
	}
	if err := l.unlook(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := put(); err != nil {
		return err
	}
	l.segments = slices.Clone(l.segments)
	l.segments[f.seg.number-1] = f.seg
	l.filledID = max(l.filledID, f.seg.nextID)
	l.stretch(f.seg)
	if l.young.size() > s.nameBytes()/2 {
		l.age()
	}
	s.shown[l.chain] = l.view()
	return nil
}

// A batchWriter writes the rows of a small segment into a batch.
type batchWriter struct{ b *pebble.Batch }

func (w batchWriter) add(key, value []byte) error   { return w.b.Set(key, value, nil) }
func (w batchWriter) merge(key, value []byte) error { return w.b.Merge(key, value, nil) }
