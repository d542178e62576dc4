// Package labelstore keeps labels in a folder: every version of each, durable, and whole imports or none.
package labelstore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/attribute"
)

var (
	// ErrChurn is returned for a listing that changes more of what its source said than is allowed without a human.
	ErrChurn = errors.New("the list changes too much at once")
	// ErrFormat is returned on opening a folder that another version of the format wrote.
	ErrFormat = errors.New("another format version of the label store")
	// ErrInUse is returned where another process has the label store open.
	ErrInUse = errors.New("the label store is open elsewhere")
	// ErrAbsent is returned where a folder holds no label store.
	ErrAbsent = errors.New("no labels are in this folder")
)

// formatVersion is the version of the keys and records below and of the packed book.
const formatVersion = "1"

// A Store is the labels of a folder. One process has it open. Import is for one goroutine at a time, and waits; the rest is safe
// for any number.
type Store struct {
	dir  string
	db   *pebble.DB
	lock *pebble.Lock
	book atomic.Pointer[attribute.Book]

	writer  sync.Mutex
	sources map[attribute.Source]uint32 // guarded by writer
	list    []attribute.Source          // guarded by writer
}

// Open opens the label store of a folder, which is made if it is not there. Errors: ErrFormat, ErrInUse.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, sources: map[attribute.Source]uint32{}}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open labels %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if s.lock, err = pebble.LockDirectory(s.dir, vfs.Default); err != nil {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	o := &pebble.Options{
		Cache: cache, Lock: s.lock, FormatMajorVersion: pebble.FormatNewest, Logger: silent{},
		MemTableSize: 16 << 20,
	}
	if s.db, err = pebble.Open(s.dir, o); err != nil {
		return err
	}
	version, err := s.get(formatKey)
	switch {
	case err != nil:
		return err
	case version == nil:
		if err := s.db.Set([]byte(formatKey), []byte(formatVersion), pebble.Sync); err != nil {
			return err
		}
	case string(version) != formatVersion:
		return fmt.Errorf("%w: %.20q, want %q", ErrFormat, version, formatVersion)
	}
	if err := s.readSources(); err != nil {
		return err
	}
	generation, err := s.generation()
	if err != nil {
		return err
	}
	book, err := readBook(s.dir)
	switch {
	case err == nil && book.Generation() == generation:
		s.book.Store(book)
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, attribute.ErrPacked):
		// A crash came between an import and its packed book, or the file was damaged.
		if err := s.rebuild(generation); err != nil {
			return err
		}
	default:
		return err
	}
	return s.unmark()
}

// silent swallows what Pebble says about its own housekeeping. What matters it returns as errors.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic("labelstore: " + fmt.Sprintf(format, args...)) // Pebble must not go on after it
}

// Close closes the store.
func (s *Store) Close() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	s.db, s.lock = nil, nil
	return err
}

// Book is all labels as they are now. It stays what it is when later imports change the store.
func (s *Store) Book() *attribute.Book { return s.book.Load() }

// ReadBook is all labels of a folder, also while another process has them open. It does not hold up imports. Errors: ErrAbsent.
func ReadBook(dir string) (*attribute.Book, error) {
	if !Exists(dir) {
		return nil, fmt.Errorf("labels %s: %w", dir, ErrAbsent)
	}
	if !isMarked(dir) {
		if book, err := readBook(dir); err == nil {
			return book, nil
		}
	}
	s, err := Open(dir) // which finishes what a crash has left
	if errors.Is(err, ErrInUse) {
		book, err := readBook(dir) // an import is under way: this is the state before it or after it
		if err != nil {
			return nil, fmt.Errorf("labels %s: %w", dir, err)
		}
		return book, nil
	}
	if err != nil {
		return nil, err
	}
	return s.Book(), s.Close()
}

// Exists reports whether a folder holds a label store.
func Exists(dir string) bool {
	names, err := filepath.Glob(filepath.Join(dir, "marker.manifest.*"))
	return err == nil && len(names) > 0
}

func (s *Store) get(key string) ([]byte, error) {
	v, closer, err := s.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", key, err)
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

func (s *Store) generation() (uint64, error) {
	v, err := s.get(generationKey)
	if err != nil || v == nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("generation: %w: %d bytes", errDamaged, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}

func (s *Store) readSources() error {
	return s.scan(sourcePrefix, func(key, value []byte) error {
		var source attribute.Source
		if err := json.Unmarshal(value, &source); err != nil {
			return fmt.Errorf("source %x: %w: %w", key, errDamaged, err)
		}
		if n := uint32(len(s.list)); string(key) != sourceKey(n) {
			return fmt.Errorf("source %d: %w: stands at %x", n, errDamaged, key)
		}
		s.sources[source] = uint32(len(s.list))
		s.list = append(s.list, source)
		return nil
	})
}

// scan visits all keys with a prefix in order. Key and value are only valid during the visit.
func (s *Store) scan(prefix string, visit func(key, value []byte) error) (err error) {
	upper := []byte(prefix)
	upper[len(upper)-1]++ // no prefix ends in 0xff
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if err := visit(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}
