// Package verdicts is the durable record of every verdict that was given, so that "why did we clear it?" has an answer.
package verdicts

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

var (
	// ErrInUse is returned where another process has the record open.
	ErrInUse = errors.New("the record of verdicts is open elsewhere")
	// ErrFormat is returned on opening a folder that another version of the format wrote.
	ErrFormat = errors.New("another format version of the record of verdicts")
	// ErrDamaged is returned for a verdict whose contents are not those that were given.
	ErrDamaged = errors.New("the record of verdicts is damaged")
	// ErrNotFound is returned for a verdict that the record does not hold.
	ErrNotFound = errors.New("no such verdict")
)

// The keys of the record; docs/formats/verdict.md describes them. Numbers are big-endian.
//
//	'f'                                                            -> version of the format
//	'v' + len(subject) 2 + subject + given 8 + number 8 + id 32    -> the verdict, as JSON
//	'i' + id 32 + given 8 + number 8                               -> the subject
//	't' + len(subject) 2 + subject                                 -> marks of whom its last verdict depends on, see touched.go
//
// A subject is its chain, a zero byte and the account's key. Numbers of verdicts rise: they order those of one second.
const (
	formatKey     = "f"
	formatVersion = "2"
	withoutTouch  = "1" // the version before, whose verdicts do not say whom they depend on
	verdictMark   = 'v'
	idMark        = 'i'
	touchMark     = 't'
)

// A Record keeps verdicts in a folder. It is safe for several goroutines. It implements screen.Verdicts.
type Record struct {
	db   *pebble.DB
	lock *pebble.Lock
	last atomic.Int64 // the number that was given out last
}

// Open opens the record of a folder, which is made if it is not there. Errors: ErrInUse, ErrFormat.
func Open(dir string) (*Record, error) {
	r, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open verdicts %s: %w", dir, err)
	}
	return r, nil
}

func open(dir string) (opened *Record, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r := &Record{}
	r.last.Store(time.Now().UnixNano()) // above those of earlier openings
	if r.lock, err = pebble.LockDirectory(dir, vfs.Default); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	if r.db, err = pebble.Open(dir, &pebble.Options{Cache: cache, Lock: r.lock, FormatMajorVersion: pebble.FormatNewest,
		Logger: silent{}, MemTableSize: 16 << 20}); err != nil {
		return nil, err
	}
	version, err := r.get([]byte(formatKey))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return r, r.db.Set([]byte(formatKey), []byte(formatVersion), pebble.Sync)
	case err != nil:
		return nil, err
	case string(version) == withoutTouch:
		return r, r.touchAll()
	case string(version) != formatVersion:
		return nil, fmt.Errorf("%w: version %.20q, want %s", ErrFormat, version, formatVersion)
	}
	return r, nil
}

// silent keeps Pebble from writing to stderr.
type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic("verdicts: " + fmt.Sprintf(format, args...)) }

func (r *Record) get(key []byte) (v []byte, err error) {
	got, closer, err := r.db.Get(key)
	if err != nil {
		return nil, err
	}
	v = append(v, got...)
	return v, closer.Close()
}

// Close closes the record.
func (r *Record) Close() error {
	var err error
	if r.db != nil {
		err = r.db.Close()
	}
	return errors.Join(err, r.lock.Close())
}

// subjectOf is the name of an account in keys.
func subjectOf(a flow.Account) []byte {
	return append(append([]byte(a.Chain().String()), 0), a.Key()...)
}

// prefixOf is the beginning of the keys of all verdicts about a subject.
func prefixOf(subject []byte) []byte { return keyOf(verdictMark, subject) }

func keyOf(mark byte, subject []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{mark}, uint16(len(subject))), subject...)
}

// Append implements screen.Verdicts. A verdict that is given again is a record of its own.
func (r *Record) Append(ctx context.Context, all ...screen.Verdict) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := r.db.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, v := range all {
		if v.ID.IsZero() || v.Given <= 0 || v.Subject.IsZero() {
			return fmt.Errorf("append verdict about %s: not sealed", v.Subject)
		}
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("append verdict about %s: %w", v.Subject, err)
		}
		given := binary.BigEndian.AppendUint64(nil, uint64(v.Given))
		given = binary.BigEndian.AppendUint64(given, uint64(r.last.Add(1)))
		subject := subjectOf(v.Subject)
		key := append(append(prefixOf(subject), given...), v.ID[:]...)
		if err := b.Set(key, text, nil); err != nil {
			return err
		}
		if err := b.Set(append(append([]byte{idMark}, v.ID[:]...), given...), subject, nil); err != nil {
			return err
		}
		if err := b.Set(keyOf(touchMark, subject), marksOf(&v), nil); err != nil {
			return err
		}
	}
	return b.Commit(pebble.Sync)
}

// Find implements screen.Verdicts.
func (r *Record) Find(ctx context.Context, a flow.Account, before int64, n int) (out []screen.Verdict, err error) {
	prefix := prefixOf(subjectOf(a))
	it, err := r.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix,
		UpperBound: binary.BigEndian.AppendUint64(append([]byte{}, prefix...), uint64(max(before, 0))+1)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.Last(); ok && len(out) < n; ok = it.Prev() {
		v, err := parse(it.Value())
		if err != nil {
			return nil, fmt.Errorf("verdicts about %s: %w", a, err)
		}
		out = append(out, v)
	}
	return out, it.Error()
}

// ByID is the verdict with an ID, as it was given first. Errors: ErrNotFound.
func (r *Record) ByID(ctx context.Context, id flow.Hash) (v screen.Verdict, err error) {
	prefix := append([]byte{idMark}, id[:]...)
	it, err := r.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix, UpperBound: append(append([]byte{}, prefix...), 0xff)})
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.First() {
		return v, errors.Join(fmt.Errorf("%s: %w", id, ErrNotFound), it.Error())
	}
	given := it.Key()[len(prefix):]
	text, err := r.get(append(append(prefixOf(it.Value()), given...), id[:]...))
	if err != nil {
		return v, fmt.Errorf("verdict %s: %w: %w", id, ErrDamaged, err)
	}
	return parse(text)
}

// parse reads a verdict back and checks that it is the one that was given.
func parse(text []byte) (v screen.Verdict, err error) {
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := v.Check(); err != nil {
		return v, fmt.Errorf("%w: verdict %s: %w", ErrDamaged, v.ID, err)
	}
	return v, nil
}

// Newest yields the last verdict about each subject, in the order of the keys. What is appended meanwhile may be seen or not.
func (r *Record) Newest(ctx context.Context) iter.Seq2[screen.Verdict, error] {
	return func(yield func(screen.Verdict, error) bool) {
		for subject, err := range r.subjects(ctx, verdictMark) {
			var v screen.Verdict
			if err == nil {
				v, err = r.newest(ctx, subject)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}
