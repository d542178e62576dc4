package outbox

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// A Letter is a message that was given up for one sink: a dead letter.
type Letter struct {
	Sink   string      `json:"sink"`
	Number uint64      `json:"number"` // of the message, for Redeliver
	Alert  alert.Alert `json:"alert"`  // only its Key where its text is lost
	Reason string      `json:"reason"`
	At     time.Time   `json:"at"` // when it was given up
}

// Dead yields the dead letters of a sink, or of all sinks if it is "", in the order in which the messages were written.
func (o *Outbox) Dead(ctx context.Context, sink string) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		lower, upper := []byte{letterMark}, []byte{letterMark + 1}
		if sink != "" {
			lower = named(letterMark, sink)
			upper = append(named(letterMark, sink), 0xff)
		}
		snap, err := o.snapshot()
		if err != nil {
			yield(Letter{}, fmt.Errorf("dead letters: %w", err))
			return
		}
		defer snap.Close() // what it has to say was said by scan
		stopped := false
		err = scan(ctx, snap, lower, upper, func(key, value []byte) (bool, error) {
			name, _, err := splitNamed(key)
			if err != nil {
				return false, err
			}
			n, err := lastNumber(key)
			if err != nil {
				return false, err
			}
			l, err := parse[letter](key, value)
			if err != nil {
				return false, err
			}
			m, ok, err := load[message](snap, messageKey(n))
			if err != nil && !errors.Is(err, ErrDamaged) {
				return false, err
			}
			if !ok {
				m.Alert = alert.Alert{Key: l.Key}
			}
			stopped = !yield(Letter{Sink: name, Number: n, Alert: m.Alert, Reason: l.Reason, At: time.UnixMilli(l.At).UTC()}, nil)
			return !stopped, nil
		})
		if err != nil && !stopped {
			yield(Letter{}, fmt.Errorf("dead letters: %w", err))
		}
	}
}

// Redeliver queues dead letters of a sink once more: those with the numbers, or all if there are none. Those of which
// something else was said later are dropped instead, because it would be overtaken. It returns how many were queued.
func (o *Outbox) Redeliver(ctx context.Context, sink string, numbers ...uint64) (int, error) {
	wanted := map[uint64]bool{}
	for _, n := range numbers {
		wanted[n] = true
	}
	count := 0
	err := o.sweep(ctx, named(letterMark, sink), func(c *change, key, value []byte, now time.Time) error {
		n, err := lastNumber(key)
		if err != nil || len(wanted) > 0 && !wanted[n] {
			return err
		}
		l, err := parse[letter](key, value)
		if err != nil {
			return err
		}
		c.dead[sink]--
		if err := c.Delete(key, nil); err != nil {
			return err
		}
		r, ok, err := load[record](c, recordKey(l.Key))
		if err != nil || !ok || r.Last != n {
			return err
		}
		count++
		return c.queue(sink, laneOf(r.Severity), n, ticket{Key: l.Key, Route: l.Route, At: millis(now)})
	})
	if err != nil {
		return count, fmt.Errorf("redeliver to %.120q: %w", sink, err)
	}
	return count, nil
}

// errConfigured is the mistake of a caller who wants a sink forgotten that is told things.
var errConfigured = errors.New("the sink is in the configuration")

// Forget drops the queue and the dead letters of a sink that is no longer in the configuration.
func (o *Outbox) Forget(ctx context.Context, sink string) error {
	if err := o.forget(ctx, sink); err != nil {
		return fmt.Errorf("forget sink %.120q: %w", sink, err)
	}
	return nil
}

func (o *Outbox) forget(ctx context.Context, sink string) error {
	if o.configured(sink) {
		return errConfigured
	}
	drop := func(count func(c *change) map[string]int) func(c *change, key, _ []byte, _ time.Time) error {
		return func(c *change, key, _ []byte, _ time.Time) error {
			count(c)[sink]--
			return c.Delete(key, nil)
		}
	}
	if err := o.sweep(ctx, named(ticketMark, sink), drop(func(c *change) map[string]int { return c.queued })); err != nil {
		return err
	}
	if err := o.sweep(ctx, named(letterMark, sink), drop(func(c *change) map[string]int { return c.dead })); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.books[sink]; b != nil && b.queued == 0 && b.dead == 0 {
		delete(o.books, sink)
	}
	return nil
}

func (o *Outbox) configured(sink string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.sinks {
		if r.Sink.Name() == sink {
			return true
		}
	}
	return false
}

// sweep calls f once for every key that begins with the prefix, which ends in a zero byte, in changes of a bounded size.
func (o *Outbox) sweep(ctx context.Context, prefix []byte, f func(c *change, key, value []byte, now time.Time) error) error {
	lower, upper := prefix, append(append([]byte{}, prefix...), 0xff)
	for more := true; more; {
		err := o.write(ctx, func(c *change, now time.Time) error {
			more = false
			n := 0
			return scan(ctx, o.db, lower, upper, func(key, value []byte) (bool, error) {
				if n++; n > chunk {
					more = true
					lower = append([]byte{}, key...)
					return false, nil
				}
				return true, f(c, key, value, now)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
