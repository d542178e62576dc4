// Package pebblestore is the store that needs nothing but a folder: blocks in packed chunks on Pebble.
package pebblestore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/durable"
	"github.com/spoor-dev/spoor/store"
)

// Options are the configuration of a Store. The zero value is valid.
type Options struct {
	// Bulk is for loading files: Append is durable only from the next Sync, Compact or Close on, and blocks more than
	// 1,024 below the tip count as final whether declared or not, so that memory stays bounded.
	Bulk bool
	// CacheBytes bounds the cache of blocks of the sorted tables; 512 MB if 0. The names of accounts that a loading
	// store keeps at hand may take as much again, at most 256 MB.
	CacheBytes int64
	// SegmentMovements is how many final movements are folded into a segment; 3 M in bulk, else 1 M, if 0. Until then they
	// are held in memory, as are all that are not final: without Bulk, a chain of which nothing is ever declared final is
	// held in memory whole.
	SegmentMovements int
	// MinFreeBytes is how much room must stay free on the disk, besides what the next step needs; 512 MB if 0.
	MinFreeBytes uint64
	// FS is where the folder is: the disk if nil. It is for tests of crashes and of full disks.
	FS vfs.FS

	fewMoves  int                    // of tests; see there
	freeSpace func() (uint64, error) // of tests
}

// bulkUndo is how many blocks stay undoable in a bulk load without being told.
const bulkUndo = 1024

func (o Options) withDefaults() Options {
	if o.CacheBytes <= 0 {
		o.CacheBytes = 512 << 20
	}
	if o.SegmentMovements <= 0 {
		o.SegmentMovements = 1 << 20
		if o.Bulk {
			o.SegmentMovements = 3 << 20
		}
	}
	if o.fewMoves == 0 {
		o.fewMoves = fewMoves
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 512 << 20
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	return o
}

// A Store keeps chains in a folder.
type Store struct {
	dir    string
	o      Options
	db     *pebble.DB
	opts   *pebble.Options
	lock   *pebble.Lock
	secret *secret
	tables atomic.Uint64 // number of the last table that was written for a fold

	filler sync.Mutex // held while holes are filled; before writer

	writer  sync.Mutex // held by everything that changes the store; before mu
	broken  error      // guarded by writer: why the store does not go on
	work    foldRoom   // guarded by writer
	version uint64     // guarded by writer: of the format
	loose   bool       // guarded by writer: the log has names of filled blocks that are not synced

	lanes    map[flow.Chain]*lane // guarded by writer
	unsynced bool                 // guarded by writer: something was handed to the log and not synced

	mu     sync.Mutex            // held for moments, the longest while a fold is taken in
	shown  map[flow.Chain]*view  // guarded by mu
	runs   map[flow.Chain][]*run // guarded by mu: those of the newest view that has some
	closed bool                  // guarded by mu
}

var errClosed = errors.New("the store is closed")

// Open opens the store in dir, which is made if it is not there. A store is open once at a time. Errors: store.ErrFormat, store.ErrFull.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{dir: dir, o: o.withDefaults(), lanes: map[flow.Chain]*lane{}, shown: map[flow.Chain]*view{}, runs: map[flow.Chain][]*run{}}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() (err error) {
	fs := s.o.FS
	if err := durable.Make(fs, s.dir, 0o755); err != nil {
		return err
	}
	if s.lock, err = pebble.LockDirectory(s.dir, fs); err != nil {
		return fmt.Errorf("in use by another process, or not writable: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err := fs.RemoveAll(s.foldDir()); err != nil {
		return err
	}
	if err := fs.MkdirAll(s.foldDir(), 0o755); err != nil {
		return err
	}
	need, err := durable.OpenRoom(fs, s.dir)
	if err != nil {
		return err
	}
	free, err := s.free()
	if err != nil {
		return fmt.Errorf("room on the disk: %w", err)
	}
	if free < need {
		return fmt.Errorf("%w: %d bytes are free, to open it needs %d: make room there and try again", store.ErrFull, free, need)
	}
	cache := pebble.NewCache(s.o.CacheBytes)
	defer cache.Unref()
	s.opts = s.pebbleOptions(cache)
	if s.db, err = pebble.Open(s.dir, s.opts); err != nil {
		return err
	}
	if err := s.readFormat(); err != nil {
		return err
	}
	return s.readLanes()
}

// release closes what open has opened.
func (s *Store) release() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

func (s *Store) foldDir() string { return s.o.FS.PathJoin(s.dir, "fold") }

// formatMajor pins the format of Pebble's own files.
const formatMajor = pebble.FormatTableFormatV6

func (s *Store) pebbleOptions(cache *pebble.Cache) *pebble.Options {
	o := &pebble.Options{
		Cache:                       cache,
		FS:                          s.o.FS,
		Lock:                        s.lock,
		FormatMajorVersion:          formatMajor,
		Logger:                      silent{},
		Merger:                      &pebble.Merger{Name: "spoor.join", Merge: newJoin},
		MemTableSize:                16 << 20,
		MaxOpenFiles:                4096,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MemTableStopWritesThreshold: 4,
	}
	for i := range o.Levels {
		l := &o.Levels[i]
		l.BlockSize = 8 << 10 // an answer is mostly a part of one
		l.IndexBlockSize = 256 << 10
		l.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = 64 << 20
	}
	if s.o.Bulk {
		// Everything is compacted at the end, at once; until then only if there is too much to look through.
		o.L0CompactionThreshold = 24
		o.L0CompactionFileThreshold = 100_000
		o.LBaseMaxBytes = 1 << 40
	}
	o.EnsureDefaults()
	return o
}

// silent drops Pebble's messages. It cannot go on after a write to its log has failed; nor can the program.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic("pebblestore: " + fmt.Sprintf(format, args...))
}

// readFormat checks the format of the store, or gives it to a new one.
func (s *Store) readFormat() error {
	v, err := s.value([]byte{keyFormat})
	if errors.Is(err, store.ErrNotFound) {
		s.secret = &secret{}
		var seed [32]byte
		rand.Read(seed[:])
		for i := range s.secret {
			s.secret[i] = binary.LittleEndian.Uint64(seed[8*i:])
		}
		v = s.formatValue(formatVersion)
		err = s.db.Set([]byte{keyFormat}, v, pebble.Sync)
	}
	if err != nil {
		return err
	}
	r := &cursor{b: v}
	if s.version = r.uint(); s.version != formatVersion && s.version != filledVersion {
		return fmt.Errorf("%w: it has version %d, this program reads versions %d and %d", store.ErrFormat, s.version, formatVersion, filledVersion)
	}
	s.secret = &secret{}
	for i := range s.secret {
		if b := r.bytes(8); b != nil {
			s.secret[i] = binary.LittleEndian.Uint64(b)
		}
	}
	return r.checkEnd()
}

// formatValue is the format of a store with a secret.
func (s *Store) formatValue(version uint64) []byte {
	v := binary.AppendUvarint(nil, version)
	for _, w := range s.secret {
		v = binary.LittleEndian.AppendUint64(v, w)
	}
	return v
}

// value is a copy of one value.
func (s *Store) value(key []byte) ([]byte, error) { return get(s.db, key) }

// get is a copy of one value of a database or snapshot. Errors: store.ErrNotFound.
func get(db pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	v = append([]byte(nil), v...)
	return v, closer.Close()
}

// each calls f for every key of a kind of a lane.
func each(db pebble.Reader, kind byte, lane uint16, f func(key, value []byte) error) error {
	lower, upper := laneBounds(kind, lane)
	return scan(db, lower, upper, f)
}

func scan(db pebble.Reader, lower, upper []byte, f func(key, value []byte) error) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = f(it.Key(), v)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("key %x: %w", it.Key(), err), it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// readLanes reads the chains of the store and their heads.
func (s *Store) readLanes() error {
	return scan(s.db, []byte{keyChain}, []byte{keyChain + 1}, func(key, value []byte) error {
		if len(key) != laneKeySize {
			return errDamaged
		}
		c, err := flow.ParseChain(string(value))
		if err != nil {
			return err
		}
		l := newLane(c, binary.BigEndian.Uint16(key[1:]))
		if err := s.readLane(l); err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		s.lanes[c] = l
		s.shown[c] = l.view()
		return nil
	})
}

func (s *Store) readLane(l *lane) error {
	if err := s.readSegments(l); err != nil {
		return err
	}
	var err error
	if v, err := s.value(laneKey(nil, keyFinal, l.lane)); err == nil {
		r := &cursor{b: v}
		l.final, l.sealed = r.uint(), true
		if err := r.checkEnd(); err != nil {
			return fmt.Errorf("final block: %w", err)
		}
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if l.nextID, l.whole = l.regularID, l.known == 1; len(l.segments) > 0 {
		err := each(s.db, keyForm, l.lane, func(key, value []byte) error {
			r := &cursor{b: value}
			f, err := readForm(r, l.chain)
			if err != nil {
				return err
			}
			if l.forms.add(f) != lastNumber(key) {
				return fmt.Errorf("form %d stands where form %d belongs: %w", lastNumber(key), len(l.forms.all), errDamaged)
			}
			return r.checkEnd()
		})
		if err != nil {
			return err
		}
		l.tabled = len(l.forms.all)
	}
	if i := slices.IndexFunc(l.segments, func(s segment) bool { return !s.late }); i >= 0 {
		for ; i < len(l.segments); i++ {
			if seg := &l.segments[i]; !seg.late {
				l.base.Height = seg.last
			}
		}
		if l.base, err = frozenPoint(s.db, l.chain, l.lane, l.base.Height); err != nil {
			return err
		}
		if !l.sealed || l.final < l.base.Height {
			l.final, l.sealed = l.base.Height, true
		}
		lower, _ := laneBounds(keyHead, l.lane)
		upper := append(heightKey(nil, keyHead, l.lane, l.base.Height), 0)
		if err := s.db.DeleteRange(lower, upper, pebble.NoSync); err != nil {
			return err
		}
	}
	l.setTip()
	err = each(s.db, keyHead, l.lane, func(key, value []byte) error { return s.replay(l, binary.BigEndian.Uint64(key[laneKeySize:]), value) })
	l.synced, l.nextID = len(l.blocks), max(l.nextID, l.filledID)
	if err != nil {
		return err
	}
	return s.lowerFinal(l)
}

// readSegments reads the segments of a lane. A late one that has no blocks holds its place among them.
func (s *Store) readSegments(l *lane) error {
	all := map[uint32]segment{}
	for _, kind := range [...]byte{keyLate, keySegment} {
		err := each(s.db, kind, l.lane, func(key, value []byte) (err error) {
			n := lastNumber(key)
			all[n], err = readSegment(value, n)
			return err
		})
		if err != nil {
			return err
		}
	}
	for n := range uint32(len(all)) {
		seg, ok := all[n+1]
		if !ok {
			return fmt.Errorf("segment %d is missing: %w", n+1, errDamaged)
		}
		l.join(seg)
	}
	return nil
}

// lowerFinal forgets finality above the tip: it was declared of blocks of a bulk load that a crash has taken, and others
// may come in their place.
func (s *Store) lowerFinal(l *lane) error {
	switch {
	case !l.sealed || !l.isEmpty() && l.final <= l.tip.Height:
		return nil
	case l.isEmpty():
		l.final, l.sealed = 0, false
		return s.db.Delete(laneKey(nil, keyFinal, l.lane), pebble.NoSync)
	}
	l.final = l.tip.Height
	return s.db.Set(laneKey(nil, keyFinal, l.lane), binary.AppendUvarint(nil, l.final), pebble.NoSync)
}

// replay puts a head record on top of the lane.
func (s *Store) replay(l *lane, height uint64, value []byte) error {
	b, err := readHead(append([]byte(nil), value...), l.chain, height)
	if err != nil {
		return err
	}
	// Ids and forms that filled blocks have taken may stand between those of two head blocks, or be those of one.
	if b.firstID != l.nextID && (b.firstID < l.nextID || b.firstID > l.filledID) ||
		int(b.firstForm) != len(l.forms.all)+1 && int(b.firstForm) > l.tabled+1 || uint64(b.firstID)+uint64(len(b.names)) > math.MaxUint32 {
		return fmt.Errorf("head block %d does not go on where the one before ends: %w", height, errDamaged)
	}
	l.nextID = b.firstID
	for _, k := range b.names {
		if _, err := flow.AccountFromKey(l.chain, k); err != nil {
			return fmt.Errorf("head block %d: %w", height, err)
		}
		l.young.put(k, nameHash(k), l.nextID)
		l.nextID++
	}
	for i, f := range b.forms {
		switch n := int(b.firstForm) - 1 + i; {
		case n == len(l.forms.all):
			l.forms.add(f)
		case n > len(l.forms.all) || l.forms.all[n].kind != f.kind || l.forms.all[n].name != f.name:
			return fmt.Errorf("head block %d: form %d is another: %w", height, n+1, errDamaged)
		}
	}
	l.push(b)
	return nil
}

// Close makes everything appended durable and closes the store. Snapshots must be closed before.
func (s *Store) Close() error {
	s.filler.Lock()
	defer s.filler.Unlock()
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if s.broken == nil {
		err = s.syncLocked(context.Background())
	}
	s.work = foldRoom{}
	for _, l := range s.lanes {
		err = errors.Join(err, l.unlook())
	}
	return errors.Join(err, s.release())
}
