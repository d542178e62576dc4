package outbox

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/alert"
)

// A Filter says which entries List yields. The zero value is all alerts, with what was said of each of them last.
type Filter struct {
	Case     string // of this case or list; of all if empty
	State    State  // in this state; in any if empty
	Messages bool   // everything that was said under a key, not only the last
	Before   uint64 // only messages of lower numbers, to go on where an earlier List ended; all if 0
}

// An Entry is something that was said, and what became of it.
type Entry struct {
	Number uint64      `json:"number"` // of the message; they rise
	Alert  alert.Alert `json:"alert"`
	State  State       `json:"state"` // of the alert by now
	At     time.Time   `json:"at"`    // when it was written down
	Taken  []string    `json:"taken"` // sinks that took it
	Queued []string    `json:"queued"`
	Dead   []string    `json:"dead"`
}

var errNoOutbox = errors.New("the outbox is not open")

// snapshot is the outbox as it is now.
func (o *Outbox) snapshot() (*pebble.Snapshot, error) {
	o.writer.Lock()
	defer o.writer.Unlock()
	if o.db == nil || errors.Is(o.broken, errClosed) {
		return nil, errNoOutbox
	}
	return o.db.NewSnapshot(), nil
}

// List yields what was said, the newest first, as it is when the first entry is asked for. Texts that were dropped
// because they are old are not among them.
func (o *Outbox) List(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		stopped := false
		err := o.list(ctx, f, func(e Entry) bool {
			stopped = !yield(e, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Entry{}, fmt.Errorf("list alerts: %w", err))
		}
	}
}

func (o *Outbox) list(ctx context.Context, f Filter, yield func(Entry) bool) (err error) {
	snap, err := o.snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	prefix := []byte{messageMark}
	if f.Case != "" {
		prefix = named(caseMark, f.Case)
	}
	upper := after(prefix)
	if f.Before > 0 {
		upper = number(slices.Clone(prefix), f.Before)
	}
	it, err := snap.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.Last(); ok; ok = it.Prev() {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := lastNumber(it.Key())
		if err != nil {
			return err
		}
		e, ok, err := entry(snap, n, f)
		if err != nil {
			return err
		}
		if ok && !yield(e) {
			return nil
		}
	}
	return it.Error()
}

// entry reads the entry of a message; ok is false where the filter does not want it.
func entry(snap pebble.Reader, n uint64, f Filter) (e Entry, ok bool, err error) {
	m, ok, err := load[message](snap, messageKey(n))
	if err != nil || !ok {
		return e, false, err
	}
	r, ok, err := load[record](snap, recordKey(m.Alert.Key))
	if err != nil {
		return e, false, err
	}
	if !ok {
		return e, false, fmt.Errorf("message %d: %w: no record of %.200q", n, ErrDamaged, m.Alert.Key)
	}
	if f.State != "" && r.State != f.State || !f.Messages && r.Last != n {
		return e, false, nil
	}
	e = Entry{Number: n, Alert: m.Alert, State: r.State, At: time.UnixMilli(m.At).UTC(), Taken: []string{}, Queued: []string{}, Dead: []string{}}
	for _, t := range r.Told {
		queued, dead, err := where(snap, t.Sink, laneOf(r.Severity), n)
		switch {
		case err != nil:
			return e, false, err
		case queued:
			e.Queued = append(e.Queued, t.Sink)
		case dead:
			e.Dead = append(e.Dead, t.Sink)
		default:
			e.Taken = append(e.Taken, t.Sink)
		}
	}
	return e, true, nil
}

// where reports whether a message is in the queue of a sink, or among its dead letters.
func where(from pebble.Reader, sink string, l lane, n uint64) (queued, dead bool, err error) {
	b, err := get(from, ticketKey(sink, l, n))
	if err != nil || b != nil {
		return b != nil, false, err
	}
	b, err = get(from, letterKey(sink, n))
	return false, b != nil, err
}

// A Summary is how an outbox does, for pages and metrics.
type Summary struct {
	Doubtful int           `json:"doubtful"` // alerts that wait for the branch that won
	Unrouted int64         `json:"unrouted"` // messages that no route led anywhere, since the program began
	Broken   string        `json:"broken"`   // why nothing can be written any more; empty where it can
	Sinks    []SinkSummary `json:"sinks"`    // by name
}

// A SinkSummary is how one sink does.
type SinkSummary struct {
	Name       string        `json:"name"`
	Configured bool          `json:"configured"` // false: it was taken out of the configuration; see Forget
	Queued     int           `json:"queued"`
	Oldest     time.Duration `json:"oldest"`  // how long the oldest message has been queued
	Sent       int64         `json:"sent"`    // alerts that it took, since the program began
	Retried    int64         `json:"retried"` // groups that will be sent again, since the program began
	Dead       int           `json:"dead"`
	Success    time.Time     `json:"success,omitzero"` // when it took something last
	Failure    time.Time     `json:"failure,omitzero"` // when it did not
	Error      string        `json:"error,omitempty"`  // what it said then
	Rests      time.Time     `json:"rests,omitzero"`   // until when it is left alone
}

// State tells how the outbox does.
func (o *Outbox) State(ctx context.Context) (s Summary, err error) {
	o.writer.Lock()
	if o.broken != nil {
		s.Broken = o.broken.Error()
	}
	o.writer.Unlock()
	snap, err := o.snapshot()
	if err != nil {
		return s, fmt.Errorf("state: %w", err)
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	now := time.Now()
	o.mu.Lock()
	s.Doubtful, s.Unrouted, s.Sinks = o.doubtful, o.unrouted, []SinkSummary{}
	from := map[string][lanes]uint64{}
	for name, b := range o.books {
		from[name] = b.from
		s.Sinks = append(s.Sinks, SinkSummary{Name: name, Queued: b.queued, Sent: b.sent, Retried: b.retried, Dead: b.dead,
			Success: b.took, Failure: b.failed, Error: b.said, Rests: b.resting,
			Configured: slices.ContainsFunc(o.sinks, func(r Receiver) bool { return r.Sink.Name() == name })})
	}
	o.mu.Unlock()
	slices.SortFunc(s.Sinks, func(a, b SinkSummary) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	for i := range s.Sinks {
		sink := &s.Sinks[i]
		for l := range lane(lanes) {
			lower := ticketKey(sink.Name, l, from[sink.Name][l])
			err := scan(ctx, snap, lower, after(laneKey(sink.Name, l)), func(key, value []byte) (bool, error) {
				t, err := parse[ticket](key, value)
				sink.Oldest = max(sink.Oldest, now.Sub(time.UnixMilli(t.At)))
				return false, err
			})
			if err != nil {
				return s, fmt.Errorf("state of sink %s: %w", sink.Name, err)
			}
		}
	}
	return s, nil
}
