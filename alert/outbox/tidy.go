package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// tidy prunes once an hour until ctx is done.
func (o *Outbox) tidy(ctx context.Context) error {
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		if _, err := o.Prune(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hour.C:
		}
	}
}

// Prune drops the texts of what was told longer ago than Config.Keep, is in no queue, and rests on no block that may
// still be undone; and dead letters that are as old. It keeps the keys, so that nothing is told twice. It returns how many
// texts were dropped. Deliver calls it once an hour.
func (o *Outbox) Prune(ctx context.Context) (int, error) {
	n, err := o.prune(ctx)
	if err != nil {
		return n, fmt.Errorf("prune: %w", err)
	}
	return n, nil
}

func (o *Outbox) prune(ctx context.Context) (count int, err error) {
	lower := []byte{messageMark}
	for more := true; more && err == nil; {
		more = false
		err = o.write(ctx, func(c *change, now time.Time) error {
			limit := millis(now.Add(-o.cfg.Keep))
			n := 0
			return scan(ctx, o.db, lower, []byte{messageMark + 1}, func(key, value []byte) (bool, error) {
				if n++; n > chunk {
					more = true
					lower = append([]byte{}, key...)
					return false, nil
				}
				m, err := parse[message](key, value)
				if err != nil {
					return true, nil // whoever asks for it is told
				}
				if m.At > limit {
					return false, nil
				}
				number, err := lastNumber(key)
				if err != nil {
					return false, err
				}
				dropped, err := c.drop(number, m, limit)
				if dropped {
					count++
				}
				return true, err
			})
		})
	}
	return count, err
}

// drop deletes the text of a message and what leads to it, where nobody needs it any more.
func (c *change) drop(n uint64, m message, limit int64) (bool, error) {
	key := m.Alert.Key
	r, ok, err := load[record](c, recordKey(key))
	if err != nil {
		return false, err
	}
	if !ok {
		return false, fmt.Errorf("message %d: %w: no record of %.200q", n, ErrDamaged, key)
	}
	if r.State == Doubtful {
		return false, nil
	}
	if place := placeOf(key, r); place != nil && r.Last == n {
		height, ok, err := final(c, r.Chain)
		if err != nil || !ok || height < r.Height {
			return false, err
		}
	}
	for _, t := range r.Told {
		queued, _, err := where(c, t.Sink, laneOf(r.Severity), n)
		if err != nil || queued {
			return false, err
		}
		l, dead, err := load[letter](c, letterKey(t.Sink, n))
		if err != nil || dead && l.At > limit {
			return false, err
		}
		if dead {
			c.dead[t.Sink]--
			if err := c.Delete(letterKey(t.Sink, n), nil); err != nil {
				return false, err
			}
		}
	}
	err = c.Delete(messageKey(n), nil)
	if m.Alert.Case != "" {
		err = errors.Join(err, c.Delete(caseKey(m.Alert.Case, n), nil))
	}
	if r.Last != n {
		return true, err
	}
	if !m.Alert.Tx.IsZero() {
		err = errors.Join(err, c.Delete(saidKey(m.Alert.Case, m.Alert.Tx, saidFound, key), nil),
			c.Delete(saidKey(m.Alert.Case, m.Alert.Tx, saidProvisional, key), nil))
	}
	if r.State == Standing && r.Kind == alert.Found && !r.Chain.IsZero() {
		err = errors.Join(err, c.Delete(placeOf(key, r), nil)) // it is final: nothing takes it back
	}
	return true, err
}
