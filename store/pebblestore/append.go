package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// beginLocked is the common beginning of everything that changes the store.
func (s *Store) beginLocked(ctx context.Context) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case s.broken != nil:
		return fmt.Errorf("the store stopped, open it again: %w", s.broken)
	}
	return ctx.Err()
}

// needLocked returns store.ErrFull if the disk has not room for so many bytes more.
func (s *Store) needLocked(bytes int) error {
	free, err := s.free()
	if err != nil {
		return fmt.Errorf("room on the disk: %w", err)
	}
	if need := s.o.MinFreeBytes + uint64(bytes); free < need {
		return fmt.Errorf("%w: %s has %d bytes free, the next step needs %d: make room there and try again", store.ErrFull, s.dir, free, need)
	}
	return nil
}

func (s *Store) free() (uint64, error) {
	if s.o.freeSpace != nil {
		return s.o.freeSpace()
	}
	usage, err := s.o.FS.GetDiskUsage(s.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return math.MaxUint64 / 2, nil
	}
	if err != nil {
		return 0, err
	}
	return usage.AvailBytes, nil
}

// laneLocked is the lane of a chain, which is made if it is not there.
func (s *Store) laneLocked(c flow.Chain) (*lane, error) {
	if l := s.lanes[c]; l != nil {
		return l, nil
	}
	if c.IsZero() {
		return nil, errors.New("a block of no chain")
	}
	if len(s.lanes) > math.MaxUint16 {
		return nil, fmt.Errorf("the store has %d chains already", len(s.lanes))
	}
	l := newLane(c, uint16(len(s.lanes)))
	if err := s.db.Set(laneKey(nil, keyChain, l.lane), []byte(c.String()), pebble.Sync); err != nil {
		return nil, err
	}
	s.lanes[c] = l
	return l, nil
}

// showLocked makes the state of lanes visible to new snapshots.
func (s *Store) showLocked(lanes ...*lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range lanes {
		s.shown[l.chain] = l.view()
	}
}

// Append puts blocks on top of their chains; see store.Store.
func (s *Store) Append(ctx context.Context, blocks []flow.Block) (n int, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return 0, err
	}
	if err := s.needLocked(roomFor(blocks)); err != nil {
		return 0, err
	}
	w := &headWriter{s: s}
	var touched []*lane
	for i := range blocks {
		b := &blocks[i]
		var l *lane
		if l, err = s.laneLocked(b.Point.Chain); err != nil {
			err = fmt.Errorf("append %s: %w", b.Point, err)
			break
		}
		if !slices.Contains(touched, l) {
			touched = append(touched, l)
		}
		// What is due is folded before the block is touched, so that a full disk leaves it outside.
		if err = s.foldDueLocked(ctx, l, w); err != nil {
			break
		}
		var put bool
		if put, err = s.putLocked(ctx, l, b, w); err != nil {
			err = fmt.Errorf("append %s: %w", b.Point, err)
			break
		}
		if put {
			n++
		}
	}
	if failed := w.commit(pebble.Sync); failed != nil || s.broken != nil {
		return 0, fmt.Errorf("append: %w", s.broken)
	}
	s.showLocked(touched...)
	return n, err
}

// putLocked puts one block on top of its lane; the lane is not shown yet.
func (s *Store) putLocked(ctx context.Context, l *lane, b *flow.Block, w *headWriter) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	put, err := l.fits(b)
	if err != nil || !put {
		return false, err
	}
	head, err := l.make(s, b)
	if err != nil {
		return false, err
	}
	l.push(head)
	if !s.o.Bulk {
		return true, w.add(l)
	}
	return true, nil
}

// roomFor is about how much room blocks take.
func roomFor(blocks []flow.Block) int {
	n := 0
	for i := range blocks {
		n += 256 + 256*len(blocks[i].Txs)
		for k := range blocks[i].Txs {
			for _, l := range blocks[i].Txs[k].Logs {
				n += 2 * (64 + 33*len(l.Topics) + len(l.Data))
			}
		}
	}
	return n
}

// A headWriter writes head records in the order of their blocks.
type headWriter struct {
	s     *Store
	batch *pebble.Batch
	buf   []byte
}

// add writes the record of the first block of the lane that has none.
func (w *headWriter) add(l *lane) error {
	if w.batch == nil {
		w.batch = w.s.db.NewBatch()
	}
	b := l.blocks[l.synced]
	w.buf = appendHead(w.buf[:0], b)
	if err := w.batch.Set(heightKey(nil, keyHead, l.lane, b.point.Height), w.buf, nil); err != nil {
		return err
	}
	l.synced++
	if w.batch.Len() < 4<<20 {
		return nil
	}
	return w.commit(pebble.NoSync)
}

// commit hands over what was added. An error means that the log is not to be trusted any more, and breaks the store.
func (w *headWriter) commit(how *pebble.WriteOptions) (err error) {
	switch {
	case w.batch != nil:
		err = errors.Join(w.batch.Commit(how), w.batch.Close())
		w.batch, w.s.unsynced = nil, how != pebble.Sync
	case how == pebble.Sync && w.s.unsynced:
		err = w.s.db.LogData(nil, pebble.Sync)
		w.s.unsynced = false
	}
	if err != nil {
		w.s.broken = err
	}
	return err
}

// Undo takes the tip off; see store.Store.
func (s *Store) Undo(ctx context.Context, top flow.Point) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return err
	}
	l := s.lanes[top.Chain]
	switch {
	case l == nil || l.isEmpty():
		return fmt.Errorf("undo %s: %w: the chain has no blocks", top, store.ErrNotHead)
	case !isBlock(l.tip, top):
		return fmt.Errorf("undo %s: %w: the tip is %s", top, store.ErrNotHead, l.tip)
	case l.sealed && top.Height <= l.final:
		return fmt.Errorf("undo %s: %w: block %d is final", top, store.ErrFinal, l.final)
	case len(l.blocks) == 0: // in bulk, where depth makes final
		return fmt.Errorf("undo %s: %w", top, store.ErrFinal)
	}
	if l.synced == len(l.blocks) {
		if err := s.db.Delete(heightKey(nil, keyHead, l.lane, top.Height), pebble.Sync); err != nil {
			s.broken = err
			return fmt.Errorf("undo %s: %w", top, err)
		}
	}
	l.pop()
	s.showLocked(l)
	return nil
}

// Final declares a block past undoing; see store.Store. A block that the store does not hold gives store.ErrNotFound.
func (s *Store) Final(ctx context.Context, p flow.Point) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return err
	}
	l := s.lanes[p.Chain]
	if l == nil {
		return fmt.Errorf("final %s: %w", p, store.ErrNotFound)
	}
	v := l.view()
	held, err := v.point(s.db, p.Height)
	switch {
	case err != nil:
		return fmt.Errorf("final %s: %w", p, err)
	case !isBlock(held, p):
		return fmt.Errorf("final %s: %w: the store holds %s", p, store.ErrNotFound, held)
	}
	if l.sealed && l.final >= p.Height {
		return nil
	}
	// The declaration may be lost in a crash: it is then made again, and until then less is final than could be.
	if err := s.db.Set(laneKey(nil, keyFinal, l.lane), binary.AppendUvarint(nil, p.Height), pebble.NoSync); err != nil {
		s.broken = err
		return fmt.Errorf("final %s: %w", p, err)
	}
	l.final, l.sealed = p.Height, true
	w := &headWriter{s: s}
	if err := s.foldDueLocked(ctx, l, w); err != nil {
		return fmt.Errorf("final %s: %w", p, err)
	}
	return nil
}

// Sync makes everything appended so far survive a crash.
func (s *Store) Sync(ctx context.Context) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return err
	}
	return s.syncLocked(ctx)
}

// syncLocked writes the head records that are not yet written.
func (s *Store) syncLocked(ctx context.Context) error {
	bytes := 0
	for _, l := range s.lanes {
		for _, b := range l.blocks[l.synced:] {
			bytes += 2 * (len(b.body) + len(b.ids))
		}
	}
	if bytes > 0 {
		if err := s.needLocked(bytes); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	w := &headWriter{s: s}
	for _, l := range s.lanes {
		for l.synced < len(l.blocks) {
			if err := errors.Join(ctx.Err(), w.add(l)); err != nil {
				return fmt.Errorf("sync: %w", errors.Join(err, w.commit(pebble.NoSync)))
			}
		}
	}
	if err := w.commit(pebble.Sync); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Compact folds what is final, makes everything durable, and merges the sorted tables.
func (s *Store) Compact(ctx context.Context) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return err
	}
	for _, l := range s.lanes {
		for n, _ := s.foldableLocked(l); n > 0; n, _ = s.foldableLocked(l) {
			if err := s.foldLocked(ctx, l, n); err != nil {
				return fmt.Errorf("compact %s: %w", l.chain, err)
			}
		}
	}
	s.work = foldRoom{}
	for _, l := range s.lanes { // an open reader would keep the tables that are merged on the disk
		if err := l.unlook(); err != nil {
			return fmt.Errorf("compact %s: %w", l.chain, err)
		}
	}
	if err := s.syncLocked(ctx); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if err := s.mergeTablesLocked(ctx); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}
