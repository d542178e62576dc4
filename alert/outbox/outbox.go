// Package outbox keeps everything that people must be told until they were told it, and corrects what is not so any more.
package outbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/internal/durable"
)

var (
	// ErrInUse is returned where another process has the outbox open.
	ErrInUse = errors.New("the outbox is open elsewhere")
	// ErrFormat is returned on opening a folder that another version of the format wrote.
	ErrFormat = errors.New("another format version of the outbox")
	// ErrDamaged is returned for contents that the outbox did not write.
	ErrDamaged = errors.New("the outbox is damaged")
	// ErrFull is returned by Add and Open where the disk has too little room. Nothing of what was given to Add is kept then.
	ErrFull = errors.New("too little room on the disk of the outbox")
	// ErrBroken is returned by everything after a write to the disk has failed: what was acknowledged is safe, and the
	// outbox has to be closed and opened again.
	ErrBroken = errors.New("the outbox could not write")
)

// Config is the configuration of an Outbox. The zero value is valid, and tells nobody anything.
type Config struct {
	Routes []Route
	Sinks  []Receiver
	// MaxAge is how long a message is tried before it goes to the dead letters; 72 h if 0.
	MaxAge time.Duration
	// Keep is how long the text of what was told, and a dead letter, is kept at least; 90 days if 0. Keys are kept for ever.
	Keep time.Duration
	// Timeout is for one Send; 30 s if 0.
	Timeout time.Duration
	// Backoff is how long a sink rests after its first failure, doubling to MaxBackoff; 1 s and 1 min if 0. Jitter takes
	// up to half of it away.
	Backoff, MaxBackoff time.Duration
	// MinFree is how many bytes must be free on the disk for Add to take something; 64 MiB if 0.
	MinFree uint64
	// Sent, if any, is told of every alert that a sink took, and of the time from Seen until then. It is called by the
	// goroutine of that sink, which waits for it.
	Sent func(sink string, a alert.Alert, lead time.Duration)
	// Jitter gives numbers from 0 up to 1; random ones if nil. Several goroutines call it.
	Jitter func() float64

	// FS is where the folder is: the disk if nil. It is for tests of crashes and of full disks.
	FS vfs.FS
}

func (c Config) withDefaults() Config {
	or := func(d *time.Duration, usual time.Duration) {
		if *d <= 0 {
			*d = usual
		}
	}
	or(&c.MaxAge, 72*time.Hour)
	or(&c.Keep, 90*day)
	or(&c.Timeout, 30*time.Second)
	or(&c.Backoff, time.Second)
	or(&c.MaxBackoff, time.Minute)
	if c.MinFree == 0 {
		c.MinFree = 64 << 20
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	return c
}

// An Outbox keeps in a folder what people must be told. It is safe for several goroutines.
//
// Add, Back, Settle and Begin say what holds; the outbox finds out what has to be said because of that. So a crash and a
// reorganisation are the same to it: what is in doubt is said again by the caller, or is withdrawn by Settle. Each of
// them is durable when it returns without an error, and after one with it may have been done in part; it is then to be
// done again, after a restart where the error is ErrBroken.
type Outbox struct {
	dir  string
	cfg  Config
	db   *pebble.DB
	lock *pebble.Lock

	durable atomic.Uint64 // messages up to this number survive a crash

	writer sync.Mutex // held by everything that writes; before mu
	last   uint64     // guarded by writer: the number that was given to a message last
	broken error      // guarded by writer: why nothing can be written any more

	mu       sync.Mutex // held for moments
	routes   []Route    // guarded by mu; the slice is never changed
	sinks    []Receiver // guarded by mu; the slice is never changed
	changed  chan struct{}
	books    map[string]*book // guarded by mu: of every sink that is configured or is to be told something
	doubtful int              // guarded by mu
	unrouted int64            // guarded by mu
	running  bool             // guarded by mu: Deliver runs
}

// Open opens the outbox of a folder, which is made if it is not there. Errors: ErrInUse, ErrFormat, ErrDamaged, ErrFull, and
// what is wrong with the configuration.
func Open(dir string, c Config) (*Outbox, error) {
	o := &Outbox{dir: dir, cfg: c.withDefaults(), books: map[string]*book{}, changed: make(chan struct{})}
	if err := o.open(); err != nil {
		return nil, fmt.Errorf("open outbox %s: %w", dir, err)
	}
	return o, nil
}

// formatMajor pins the format of Pebble's own files.
const formatMajor = pebble.FormatTableFormatV6

func (o *Outbox) open() (err error) {
	if err := check(o.cfg.Routes, o.cfg.Sinks); err != nil {
		return err
	}
	fs := o.cfg.FS
	if err := durable.Make(fs, o.dir, 0o700); err != nil {
		return err
	}
	if o.lock, err = pebble.LockDirectory(o.dir, fs); err != nil {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	need, err := durable.OpenRoom(fs, o.dir)
	if err == nil {
		err = o.room(need)
	}
	if err != nil {
		return err
	}
	cache := pebble.NewCache(64 << 20) // Pebble takes the room of what is not yet in tables from it
	defer cache.Unref()
	options := &pebble.Options{FS: fs, Cache: cache, Lock: o.lock, FormatMajorVersion: formatMajor, Logger: silent{}, MemTableSize: 8 << 20}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most of what is asked for is not there
	}
	if err := o.openDB(options); err != nil {
		return err
	}
	switch version, err := o.get([]byte(formatKey)); {
	case err != nil:
		return err
	case version == nil:
		if err := o.db.Set([]byte(formatKey), []byte(formatVersion), pebble.Sync); err != nil {
			return err
		}
	case string(version) != formatVersion:
		return fmt.Errorf("%w: it has version %.20q, this program reads version %s", ErrFormat, version, formatVersion)
	}
	n, err := o.get([]byte(numberKey))
	if err != nil {
		return err
	}
	if n != nil {
		if len(n) != 8 {
			return fmt.Errorf("the last number: %w", ErrDamaged)
		}
		o.last = binary.BigEndian.Uint64(n)
	}
	o.durable.Store(o.last)
	if err := o.count(); err != nil {
		return err
	}
	o.configure(o.cfg.Routes, o.cfg.Sinks)
	return nil
}

// openDB opens the database. Pebble panics where it cannot write down its own state.
func (o *Outbox) openDB(options *pebble.Options) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrBroken, r)
		}
	}()
	o.db, err = pebble.Open(o.dir, options)
	return err
}

// silent drops Pebble's messages. Pebble cannot go on after a write to its log has failed: commit turns the panic of
// its own goroutine into ErrBroken; in one of Pebble's it ends the program, which loses nothing that was acknowledged.
type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic("outbox: " + fmt.Sprintf(format, args...)) }

// Close closes the outbox. Deliver has to have returned.
func (o *Outbox) Close() error {
	o.writer.Lock()
	defer o.writer.Unlock()
	var err error
	if o.db != nil && !errors.Is(o.broken, errClosed) {
		err = o.db.Close()
	}
	if o.lock != nil {
		err = errors.Join(err, o.lock.Close())
		o.lock = nil
	}
	if o.broken == nil {
		o.broken = errClosed
	}
	return err
}

var errClosed = errors.New("the outbox is closed")

// get is a copy of one value; nil where there is none.
func (o *Outbox) get(key []byte) ([]byte, error) { return get(o.db, key) }

func get(from pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key %.200q: %w", key, err)
	}
	v = append([]byte{}, v...)
	return v, closer.Close()
}

// load reads one value; ok is false where there is none.
func load[T record | message | ticket | letter](from pebble.Reader, key []byte) (v T, ok bool, err error) {
	b, err := get(from, key)
	if err != nil || b == nil {
		return v, false, err
	}
	v, err = parse[T](key, b)
	return v, err == nil, err
}

// scan calls f for every key from lower up to upper, until it returns false. Key and value are f's until it returns.
func scan(ctx context.Context, from pebble.Reader, lower, upper []byte, f func(key, value []byte) (more bool, err error)) error {
	it, err := from.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		more := false
		if err == nil {
			more, err = f(it.Key(), v)
		}
		if err != nil || !more {
			return errors.Join(err, it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}

func millis(t time.Time) int64 { return t.UnixMilli() }
