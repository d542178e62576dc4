package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

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

// foldable is how many blocks of the head can be folded, at most a segment of them. In a bulk load depth makes final.
func (s *Store) foldableLocked(l *lane) int {
	n := 0
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
			return i + 1
		}
	}
	return n
}

const (
	maxFoldBytes  = 256 << 20 // of bodies in one segment
	maxHeadBlocks = 100_000   // that may wait for a fold
)

// foldDue folds while there is enough for a segment.
func (s *Store) foldDueLocked(ctx context.Context, l *lane, w *headWriter) error {
	for l.moves >= s.o.SegmentMovements || l.bytes >= maxFoldBytes || len(l.blocks) >= maxHeadBlocks {
		n := s.foldableLocked(l)
		moves, bytes := 0, 0
		for _, b := range l.blocks[:n] {
			moves += b.moves
			bytes += len(b.body)
		}
		if moves < s.o.SegmentMovements && bytes < maxFoldBytes && n < maxHeadBlocks {
			return nil
		}
		if err := w.commit(pebble.NoSync); err != nil {
			s.broken = err
			return err
		}
		if err := s.foldLocked(ctx, l, n); err != nil {
			return fmt.Errorf("fold %s: %w", l.chain, err)
		}
	}
	return nil
}

// fold turns the first n blocks of the head into a segment: its tables are written beside the database and taken in, all
// at once and durably. On an error nothing has changed.
func (s *Store) foldLocked(ctx context.Context, l *lane, n int) (err error) {
	blocks := l.blocks[:n]
	last := blocks[n-1]
	seg := segment{
		number: uint32(len(l.segments)) + 1, first: blocks[0].point.Height, last: last.point.Height, blocks: uint64(n),
		nextID: last.firstID + uint32(len(last.names)), nextForm: last.firstForm + uint32(len(last.forms)),
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
	f := folder{s: s, l: l, blocks: blocks, seg: seg}
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
	l.drop(n, seg, s.nameBytes())
	s.shown[l.chain] = l.view()
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
	path := t.s.o.fs.PathJoin(t.s.foldDir(), fmt.Sprintf("%d.sst", t.s.tables.Add(1)))
	file, err := t.s.o.fs.Create(path, "")
	if err != nil {
		return err
	}
	t.paths = append(t.paths, path)
	o := t.s.opts.MakeWriterOptions(6, t.s.db.TableFormat())
	o.Compression = compressionOf(kind)
	if kind != keyAccount {
		o.FilterPolicy = pebble.NoFilterPolicy
	}
	t.w, t.kind, t.bytes = sstable.NewWriter(objstorageprovider.NewFileWritable(file), o), kind, 0
	return nil
}

// compressionOf is how the tables of a kind are compressed.
func compressionOf(kind byte) *sstable.CompressionProfile {
	if kind == keyTxIDs || kind == keyTxPlace || kind == keySpends {
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
		if e := t.s.o.fs.Remove(p); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// A folder writes the tables of one segment.
type folder struct {
	s      *Store
	l      *lane
	blocks []*block
	seg    segment
}

// rows writes everything but the entries.
func (f *folder) rows(ctx context.Context, t *tableWriter) error {
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
	if err := f.places(ctx, t); err != nil {
		return err
	}
	return t.add(numberKey(key[:0], keySegment, lane, f.seg.number), appendSegment(nil, f.seg))
}

// namesPerValue is how many account keys stand in one value.
const namesPerValue = 64

// names writes both directions of the new accounts.
func (f *folder) names(t *tableWriter) error {
	type name struct {
		first uint64 // the first bytes of the key after its form, to compare them without looking
		key   string
		id    uint32
	}
	var all []name
	for _, b := range f.blocks {
		for i, k := range b.names {
			var head [9]byte
			copy(head[:], k)
			all = append(all, name{binary.BigEndian.Uint64(head[1:]), k, b.firstID + uint32(i)})
		}
	}
	var key, value []byte
	for i := 0; i < len(all); i += namesPerValue {
		value = value[:0]
		for _, n := range all[i:min(i+namesPerValue, len(all))] {
			value = append(append(value, byte(len(n.key))), n.key...)
		}
		key = numberKey(key[:0], keyNames, f.l.lane, all[i].id)
		if err := t.add(key, value); err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b name) int {
		if a.key[0] == b.key[0] && a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return strings.Compare(a.key, b.key)
	})
	for _, n := range all {
		key = append(laneKey(key[:0], keyAccount, f.l.lane), n.key...)
		value = binary.AppendUvarint(value[:0], uint64(n.id))
		if err := t.add(key, value); err != nil {
			return err
		}
	}
	return nil
}

// A placed is the hash of an id or outpoint and where it belongs.
type placed struct {
	hash  uint64
	block uint32
	tx    uint32
}

// places writes the indexes of transactions and of spends.
func (f *folder) places(ctx context.Context, t *tableWriter) error {
	all := make([]placed, 0, f.seg.txs)
	for i, b := range f.blocks {
		for k, c := range b.chunks {
			body, ids := b.chunk(k)
			err := eachTx(body, c.tx, f.l.forms.all, func(order int, tx uint32) {
				if id := flow.Hash(ids[32*order:]); !id.IsZero() {
					all = append(all, placed{f.s.secret.hash(id), uint32(i), tx})
				}
			})
			if err != nil {
				return fmt.Errorf("%s: transactions from %d on: %w", b.point, c.tx, err)
			}
		}
	}
	// Keys of spends come before those of transactions.
	var spends []placed
	err := eachSpend(f.blocks, f.l.forms.all, func(block int, tx uint32, o flow.Outpoint) {
		spends = append(spends, placed{f.s.secret.outpoint(o), uint32(block), tx})
	})
	if err != nil {
		return err
	}
	return errors.Join(ctx.Err(), f.buckets(t, keySpends, spends), f.buckets(t, keyTxPlace, all))
}

// eachTx calls f for every transaction of a chunk: how many it has before it there, and its index.
func eachTx(body []byte, first uint32, forms []form, f func(order int, tx uint32)) error {
	r := newBodyReader(body, first, forms)
	var m rawMove
	for order := 0; r.nextTx(); order++ {
		f(order, r.tx)
		if !r.skipMoves(&m) {
			break
		}
	}
	return r.check()
}

// buckets writes an index.
func (f *folder) buckets(t *tableWriter, kind byte, all []placed) error {
	if len(all) == 0 {
		return nil
	}
	ends := make([]uint32, 1<<16+1)
	for _, p := range all {
		bucket, _ := bucketOf(p.hash)
		ends[int(bucket)+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	order := make([]uint32, len(all))
	for i, p := range all {
		bucket, _ := bucketOf(p.hash)
		order[ends[bucket]] = uint32(i)
		ends[bucket]++ // in the end that of the next bucket's begin
	}
	var key, value []byte
	var entries []bucketEntry
	for from := 0; from < len(order); {
		bucket, _ := bucketOf(all[order[from]].hash)
		to := int(ends[bucket])
		entries = entries[:0]
		for _, i := range order[from:to] {
			p := all[i]
			_, mark := bucketOf(p.hash)
			entries = append(entries, bucketEntry{mark, f.blocks[p.block].point.Height, p.tx})
		}
		value = appendBucket(value[:0], f.seg.first, entries)
		key = bucketKey(key[:0], kind, f.l.lane, bucket, f.seg.number)
		if err := t.add(key, value); err != nil {
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
func (f *folder) entries(ctx context.Context, t *tableWriter) (err error) {
	room := &f.s.work
	if room.log, room.recs, err = logEntries(room.log[:0], room.recs[:0], f.blocks, f.l.forms.all); err != nil {
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
	t          *tableWriter
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
	p.short = append(p.short[:0], byte(p.f.seg.number&(1<<groupBits-1)))
	p.short = append(binary.AppendUvarint(p.short, uint64(len(p.value))), p.value...)
	p.key = entriesKey(p.key[:0], p.f.l.lane, p.holder, p.f.seg.number)
	return p.t.merge(p.key, p.short)
}

// mergeTables merges what the folds have left in several layers.
func (s *Store) mergeTables(ctx context.Context) error {
	for _, kind := range [...]byte{keyAccount, keySpends, keyTxPlace, keyEntries} {
		if err := s.db.Compact(ctx, []byte{kind}, []byte{kind + 1}, true); err != nil {
			return err
		}
	}
	return nil
}
