package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"golang.org/x/sync/errgroup"

	"github.com/spoor-dev/spoor/flow"
)

// foldRoom is memory that is used again by every fold.
type foldRoom struct {
	log         []byte
	recs, spare []rec
}

// foldableLocked is how many blocks of the head can be folded, at most a segment of them, and whether they make one. In a
// bulk load depth makes final.
func (s *Store) foldableLocked(l *lane) (n int, due bool) {
	if l.sealed {
		n, _ = slices.BinarySearchFunc(l.blocks, l.final, func(b *block, final uint64) int {
			if b.point.Height <= final {
				return -1
			}
			return 1
		})
	}
	if s.o.Bulk {
		n = max(n, len(l.blocks)-bulkUndo)
	}
	moves, bytes := 0, 0
	for i, b := range l.blocks[:n] {
		moves += b.moves
		bytes += len(b.body)
		if moves >= s.o.SegmentMovements || bytes >= maxFoldBytes {
			return i + 1, true
		}
	}
	return n, n >= maxHeadBlocks
}

const (
	maxFoldBytes  = 256 << 20 // of bodies in one segment
	maxHeadBlocks = 100_000   // that may wait for a fold
)

// foldDueLocked folds while there is enough for a segment.
func (s *Store) foldDueLocked(ctx context.Context, l *lane, w *headWriter) error {
	for l.moves >= s.o.SegmentMovements || l.bytes >= maxFoldBytes || len(l.blocks) >= maxHeadBlocks {
		n, due := s.foldableLocked(l)
		if !due {
			return nil
		}
		if err := w.commit(pebble.NoSync); err != nil {
			return err
		}
		if err := s.foldLocked(ctx, l, n); err != nil {
			return fmt.Errorf("fold %s: %w", l.chain, err)
		}
	}
	return nil
}

// foldLocked turns the first n blocks of the head into a segment: its tables are written beside the database and taken in, all
// at once and durably. On an error nothing has changed.
func (s *Store) foldLocked(ctx context.Context, l *lane, n int) (err error) {
	blocks := l.blocks[:n]
	last := blocks[n-1]
	seg := segment{
		number: uint32(len(l.segments)) + 1, first: blocks[0].point.Height, last: last.point.Height, blocks: uint64(n),
		nextID: last.firstID + uint32(len(last.names)), nextForm: last.firstForm + uint32(len(last.forms)), common: l.forms.common,
	}
	bytes := 0
	for _, b := range blocks {
		seg.txs += uint64(b.txs())
		seg.moves += uint64(b.moves)
		bytes += len(b.ids) + 6*len(b.body) + 256
	}
	if err := s.needLocked(bytes); err != nil {
		return err
	}
	seg.base = l.regularID - 1
	if s.loose { // what is folded may name accounts by ids whose names are still on their way
		if err := s.db.LogData(nil, pebble.Sync); err != nil {
			s.broken = err
			return err
		}
		s.loose = false
	}
	f := folder{s: s, l: l, blocks: blocks, seg: seg, forms: l.forms.all, room: &s.work}
	rows, entries := &tableWriter{s: s}, &tableWriter{s: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, rows.discard(), entries.discard())
		}
	}()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return errors.Join(f.rows(ctx, rows), rows.finish()) })
	g.Go(func() error { return errors.Join(f.entries(ctx, entries), entries.finish()) })
	if err := g.Wait(); err != nil {
		return err
	}
	if err := l.unlook(); err != nil {
		return err
	}
	paths := append(rows.paths, entries.paths...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.db.Ingest(context.WithoutCancel(ctx), paths); err != nil {
		return err
	}
	if l.synced > 0 {
		lower, _ := laneBounds(keyHead, l.lane)
		upper := append(heightKey(nil, keyHead, l.lane, seg.last), 0)
		if err := s.db.DeleteRange(lower, upper, pebble.NoSync); err != nil {
			s.broken = err
			return err
		}
	}
	if !s.o.Bulk { // the next fold is far away
		s.work = foldRoom{}
	}
	l.drop(n, seg, s.nameBytes())
	s.shown[l.chain] = l.view()
	delete(s.runs, l.chain) // the first of them covers blocks that are in the segment now, and so none can be kept
	return nil
}

// nameBytes is the memory for account names.
func (s *Store) nameBytes() int { return int(min(s.o.CacheBytes, 256<<20)) }

// A tableWriter writes sorted tables for one ingestion. Keys of one kind come in order; a table holds one kind.
type tableWriter struct {
	s     *Store
	paths []string
	w     *sstable.Writer
	kind  byte
	bytes int
}

const tableBytes = 64 << 20

func (t *tableWriter) add(key, value []byte) error {
	if err := t.ready(key, value); err != nil {
		return err
	}
	return t.w.Set(key, value)
}

// merge adds a value to what stands under the key in older tables.
func (t *tableWriter) merge(key, value []byte) error {
	if err := t.ready(key, value); err != nil {
		return err
	}
	return t.w.Merge(key, value)
}

// ready sees that there is a table for the key.
func (t *tableWriter) ready(key, value []byte) error {
	if t.w != nil && (t.kind != key[0] || t.bytes >= tableBytes) {
		if err := t.finish(); err != nil {
			return err
		}
	}
	if t.w == nil {
		if err := t.begin(key[0]); err != nil {
			return err
		}
	}
	t.bytes += len(key) + len(value)
	return nil
}

func (t *tableWriter) begin(kind byte) error {
	path := t.s.o.FS.PathJoin(t.s.foldDir(), fmt.Sprintf("%d.sst", t.s.tables.Add(1)))
	file, err := t.s.o.FS.Create(path, "")
	if err != nil {
		return err
	}
	t.paths = append(t.paths, path)
	o := t.s.opts.MakeWriterOptions(6, t.s.db.TableFormat())
	o.Compression = compressionOf(kind)
	if kind == keyBody {
		o.BlockSize = 32 << 10 // more to compress
	}
	t.w, t.kind, t.bytes = sstable.NewWriter(objstorageprovider.NewFileWritable(file), o), kind, 0
	return nil
}

// compressionOf is how the tables of a kind are compressed.
func compressionOf(kind byte) *sstable.CompressionProfile {
	if kind == keyTxIDs || kind == keyTxPlace || kind == keySpends || kind == keyAccount {
		return sstable.NoCompression // chance does not shrink
	}
	if kind == keyBody {
		return sstable.ZstdCompression
	}
	return sstable.SnappyCompression
}

// finish ends the table that is being written.
func (t *tableWriter) finish() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}

// discard removes what was written.
func (t *tableWriter) discard() error {
	err := t.finish()
	for _, p := range t.paths {
		if e := t.s.o.FS.Remove(p); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// A rowWriter takes keys, those of one kind in order, and their values.
type rowWriter interface {
	add(key, value []byte) error
	merge(key, value []byte) error // adds to what stands under the key
}

// A folder writes the tables of one segment. It reads of its lane only what never changes.
type folder struct {
	s      *Store
	l      *lane
	blocks []*block
	seg    segment
	forms  []form
	room   *foldRoom
}

// rows writes everything but the entries. Names and forms of a late segment are written already.
func (f *folder) rows(ctx context.Context, t rowWriter) error {
	var key, value []byte
	lane := f.l.lane
	for _, b := range f.blocks {
		value = appendHeader(value[:0], b)
		key = heightKey(key[:0], keyBlock, lane, b.point.Height)
		if err := t.add(key, value); err != nil {
			return err
		}
	}
	for _, kind := range [...]byte{keyTxIDs, keyBody} {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, b := range f.blocks {
			for i, c := range b.chunks {
				body, ids := b.chunk(i)
				if kind == keyTxIDs {
					body = ids
				}
				key = chunkKey(key[:0], kind, lane, b.point.Height, c.tx)
				if err := t.add(key, body); err != nil {
					return err
				}
			}
		}
	}
	if !f.seg.late {
		if err := f.names(t); err != nil {
			return err
		}
		for _, b := range f.blocks {
			for i, form := range b.forms {
				key = numberKey(key[:0], keyForm, lane, b.firstForm+uint32(i))
				if err := t.add(key, appendForm(value[:0], form)); err != nil {
					return err
				}
			}
		}
	}
	if err := f.places(ctx, t); err != nil {
		return err
	}
	return t.add(numberKey(key[:0], keySegment, lane, f.seg.number), appendSegment(nil, f.seg))
}

// namesPerValue is how many account keys stand in one value.
const namesPerValue = 64

// names writes both directions of the new accounts.
func (f *folder) names(t rowWriter) error {
	var key, value []byte
	var all []hashed
	first, n := uint32(0), 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		n = 0
		key = numberKey(key[:0], keyNames, f.l.lane, first)
		return t.add(key, value)
	}
	for _, b := range f.blocks {
		for i, k := range b.names {
			id := b.firstID + uint32(i)
			all = append(all, hashed{hash: f.s.secret.key(k), a: id})
			if id != first+uint32(n) { // ids that filled blocks have taken stand between
				if err := flush(); err != nil {
					return err
				}
			}
			if n == 0 {
				first, value = id, value[:0]
			}
			value = append(append(value, byte(len(k))), k...)
			if n++; n == namesPerValue {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return f.buckets(t, keyAccount, all, func(dst []byte, all []hashed) []byte { return appendIDs(dst, all, f.seg.base) })
}

// places writes the indexes of transactions and of spends.
func (f *folder) places(ctx context.Context, t rowWriter) error {
	all := make([]hashed, 0, f.seg.txs)
	var spends []hashed
	var m rawMove
	for i, b := range f.blocks {
		for k, c := range b.chunks {
			body, ids := b.chunk(k)
			r := newBodyReader(body, c.tx, f.forms)
			for order := 0; r.nextTx(); order++ {
				if id := flow.Hash(ids[32*order:]); !id.IsZero() {
					all = append(all, hashed{f.s.secret.hash(id), uint32(i), r.tx})
				}
				for place := range uint32(r.moves) {
					if !r.nextMove(place, &m) {
						break
					}
					for _, o := range m.spent {
						spends = append(spends, hashed{f.s.secret.outpoint(o), uint32(i), r.tx})
					}
				}
			}
			if err := r.check(); err != nil {
				return fmt.Errorf("%s: transactions from %d on: %w", b.point, c.tx, err)
			}
		}
	}
	places := func(dst []byte, all []hashed) []byte {
		last := f.seg.first
		for _, h := range all {
			height := f.blocks[h.a].point.Height
			dst = binary.AppendUvarint(dst, height-last)
			dst = binary.AppendUvarint(dst, uint64(h.b))
			last = height
		}
		return dst
	}
	return errors.Join(ctx.Err(), f.buckets(t, keySpends, spends, places), f.buckets(t, keyTxPlace, all, places))
}

// buckets writes an index. things appends what the hashes of a bucket stand for.
func (f *folder) buckets(t rowWriter, kind byte, all []hashed, things func(dst []byte, all []hashed) []byte) error {
	if len(all) == 0 {
		return nil
	}
	ends := make([]uint32, 1<<16+1)
	for _, h := range all {
		bucket, _ := bucketOf(h.hash)
		ends[int(bucket)+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	sorted := make([]hashed, len(all))
	for _, h := range all {
		bucket, _ := bucketOf(h.hash)
		sorted[ends[bucket]] = h
		ends[bucket]++ // in the end that of the next bucket's begin
	}
	var key, piece, value []byte
	for from := 0; from < len(sorted); {
		bucket, _ := bucketOf(sorted[from].hash)
		to := int(ends[bucket])
		piece = things(appendMarks(piece[:0], sorted[from:to]), sorted[from:to])
		value = appendPiece(value[:0], f.seg.number, bucketGroupBits, piece)
		key = bucketKey(key[:0], kind, f.l.lane, bucket, f.seg.number)
		if err := t.merge(key, value); err != nil {
			return err
		}
		from = to
	}
	return nil
}

const (
	// shortBytes is the size below which a holder's entries in a segment stand together with those in other segments.
	shortBytes = 4 << 10
	// partBytes is the size from which a holder's entries in a segment are split.
	partBytes = 32 << 10
)

// entries writes the entries of every holder.
func (f *folder) entries(ctx context.Context, t rowWriter) (err error) {
	room := f.room
	if room.log, room.recs, err = logEntries(room.log[:0], room.recs[:0], f.blocks, f.forms, f.seg.common); err != nil {
		return err
	}
	room.recs, room.spare = sortRecs(room.recs, room.spare)
	heights := make([]uint64, len(f.blocks))
	for i, b := range f.blocks {
		heights[i] = b.point.Height
	}
	p := pieceWriter{f: f, t: t}
	log := room.log
	for i := 0; i < len(room.recs); {
		p.begin(room.recs[i].holder)
		for ; i < len(room.recs) && room.recs[i].holder == p.holder; i++ {
			item := log[room.recs[i].at:]
			height, tx := heights[binary.LittleEndian.Uint32(item)], binary.LittleEndian.Uint32(item[4:])
			if err := p.add(height, tx, item[itemHead:itemHead+int(item[itemHead-1])]); err != nil {
				return err
			}
		}
		if err := p.end(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// A pieceWriter writes the entries of one holder in a segment.
type pieceWriter struct {
	f          *folder
	t          rowWriter
	holder     uint32
	parts      int
	key, value []byte
	short      []byte
	from       flow.Pos // of the first entry in value
	last       flow.Pos // of the last one
}

func (p *pieceWriter) begin(holder uint32) {
	p.holder, p.parts, p.value = holder, 0, p.value[:0]
}

func (p *pieceWriter) add(height uint64, tx uint32, tail []byte) error {
	if len(p.value) >= partBytes && (height != p.last.Height || tx != p.last.Tx) {
		if err := p.part(); err != nil {
			return err
		}
		p.value = p.value[:0]
	}
	first := len(p.value) == 0
	if first {
		p.from = flow.Pos{Height: height, Tx: tx}
		p.last = flow.Pos{Height: p.f.seg.first}
	}
	p.value = binary.AppendUvarint(p.value, height-p.last.Height)
	if first || height != p.last.Height {
		p.last.Tx = 0
	}
	p.value = binary.AppendUvarint(p.value, uint64(tx-p.last.Tx))
	p.value = append(p.value, tail...)
	p.last = flow.Pos{Height: height, Tx: tx}
	return nil
}

// part writes a part of a long piece.
func (p *pieceWriter) part() error {
	p.parts++
	p.key = entriesPartKey(p.key[:0], p.f.l.lane, p.holder, p.f.seg.number, p.from.Height, p.from.Tx)
	return p.t.add(p.key, p.value)
}

func (p *pieceWriter) end() error {
	if p.parts > 0 || len(p.value) >= shortBytes {
		return p.part()
	}
	p.short = appendPiece(p.short[:0], p.f.seg.number, groupBits, p.value)
	p.key = entriesKey(p.key[:0], p.f.l.lane, p.holder, p.f.seg.number)
	return p.t.merge(p.key, p.short)
}

// mergeTablesLocked merges what the folds have left in several layers, the entries beside the rest.
func (s *Store) mergeTablesLocked(ctx context.Context) error {
	layered := [][]byte{{keyEntries}, {keyAccount, keySpends, keyTxPlace}}
	need := uint64(0)
	for _, kind := range slices.Concat(layered...) {
		n, err := s.db.EstimateDiskUsage([]byte{kind}, []byte{kind + 1})
		if err != nil {
			return err
		}
		need += n // for a while both the old and the new tables are there
	}
	if err := s.needLocked(int(need)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, kinds := range layered {
		g.Go(func() error {
			for _, kind := range kinds {
				if err := s.db.Compact(ctx, []byte{kind}, []byte{kind + 1}, true); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
