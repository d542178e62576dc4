package verdicts

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// A verdict depends on its subject and on everybody else whose labels were asked for on the way. Of each of them the record
// keeps a mark of 32 bits, sorted: two accounts may share one, and then an account is asked again for nothing. No marks at
// all stand for a verdict of which it is not known on whom it depends.

// markOf is the mark of an account. It is the same on every EVM chain, as labels may be.
func markOf(a flow.Account) uint32 {
	h := fnv.New64a()
	h.Write([]byte(a.Key()))
	s := h.Sum64()
	return uint32(s ^ s>>32)
}

// marksOf are the marks of whom a verdict depends on, as they are stored.
func marksOf(v *screen.Verdict) []byte {
	marks := make([]uint32, 0, len(v.Touched)+1)
	marks = append(marks, markOf(v.Subject))
	for _, a := range v.Touched {
		marks = append(marks, markOf(a))
	}
	slices.Sort(marks)
	marks = slices.Compact(marks)
	out := make([]byte, 0, 4*len(marks))
	for _, m := range marks {
		out = binary.BigEndian.AppendUint32(out, m)
	}
	return out
}

// Touch says on whom the last verdict about a subject depends by now. It need not survive a crash.
func (r *Record) Touch(v screen.Verdict) error {
	return r.db.Set(keyOf(touchMark, subjectOf(v.Subject)), marksOf(&v), pebble.NoSync)
}

// touchAll makes a record of the version before one of this: all its verdicts may depend on anybody.
func (r *Record) touchAll() error {
	b := r.db.NewBatch()
	defer b.Close()
	for subject, err := range r.subjects(context.Background(), verdictMark) {
		if err == nil {
			err = b.Set(keyOf(touchMark, subject), nil, nil)
		}
		if err != nil {
			return err
		}
	}
	if err := b.Set([]byte(formatKey), []byte(formatVersion), nil); err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
}

// subjects yields the subjects of all keys with a mark, each once, in the order of the keys. They are valid until the next.
func (r *Record) subjects(ctx context.Context, mark byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		it, err := r.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{mark}, UpperBound: []byte{mark + 1}})
		if err != nil {
			yield(nil, err)
			return
		}
		defer it.Close() // what it has to say was said by it.Error
		for ok := it.First(); ok; {
			key := it.Key()
			key = slices.Clone(key[:3+int(binary.BigEndian.Uint16(key[1:]))])
			if !yield(key[3:], nil) {
				return
			}
			ok = it.SeekGE(append(key, behind...))
		}
		if err := it.Error(); err != nil {
			yield(nil, err)
		}
	}
}

// behind is more than all that follows a subject in a key.
var behind = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Touching yields, as Newest does, the last verdict about each subject that may depend on the labels of one of these accounts, and a few
// others. It reads a few bytes of every subject, and the verdicts of those alone.
func (r *Record) Touching(ctx context.Context, accounts []flow.Account) iter.Seq2[screen.Verdict, error] {
	wanted := make(map[uint32]bool, len(accounts))
	for _, a := range accounts {
		wanted[markOf(a)] = true
	}
	return func(yield func(screen.Verdict, error) bool) {
		it, err := r.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{touchMark}, UpperBound: []byte{touchMark + 1}})
		if err != nil {
			yield(screen.Verdict{}, err)
			return
		}
		defer it.Close() // what it has to say was said by it.Error
		for ok := it.First(); ok; ok = it.Next() {
			if !touches(it.Value(), wanted) {
				continue
			}
			key := it.Key()
			v, err := r.newest(ctx, key[3:])
			if !yield(v, err) || err != nil {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(screen.Verdict{}, err)
		}
	}
}

func touches(marks []byte, wanted map[uint32]bool) bool {
	if len(marks) == 0 {
		return true
	}
	for ; len(marks) >= 4; marks = marks[4:] {
		if wanted[binary.BigEndian.Uint32(marks)] {
			return true
		}
	}
	return false
}

// newest is the last verdict about a subject of which there is one.
func (r *Record) newest(ctx context.Context, subject []byte) (screen.Verdict, error) {
	prefix := prefixOf(subject)
	it, err := r.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix, UpperBound: append(slices.Clone(prefix), behind...)})
	if err != nil {
		return screen.Verdict{}, err
	}
	defer it.Close() // what it has to say was said by it.Error
	if !it.Last() {
		if err := it.Error(); err != nil {
			return screen.Verdict{}, err
		}
		return screen.Verdict{}, ErrDamaged
	}
	return parse(it.Value())
}
