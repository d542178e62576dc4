package outbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/flow"
)

// chunk is how many alerts one write changes.
const chunk = 1000

// Back says that the blocks of a chain from a height on are off. What rests on them is doubtful until Add says it again
// or Settle is called.
func (o *Outbox) Back(ctx context.Context, chain flow.Chain, from uint64) error {
	err := o.doubt(ctx, chain, from, false)
	if err != nil {
		return fmt.Errorf("back to below block %d of %s: %w", from, chain, err)
	}
	return nil
}

// Begin says, after a start, that the caller eats the blocks of a chain from a height on once more. What rests on them is
// doubtful until Add says it again or Settle is called. Release what nobody will say again although it is so.
func (o *Outbox) Begin(ctx context.Context, chain flow.Chain, from uint64) error {
	err := o.doubt(ctx, chain, from, true)
	if err != nil {
		return fmt.Errorf("begin at block %d of %s: %w", from, chain, err)
	}
	return nil
}

func (o *Outbox) doubt(ctx context.Context, chain flow.Chain, from uint64, replay bool) error {
	return o.each(ctx, standingMark, chain, from, ^uint64(0), func(_ *change, r *record, _ string, _ time.Time) error {
		r.State, r.Replay = Doubtful, replay
		return nil
	})
}

// Settle says that a chain is at rest up to a height: the branch that won has passed it, and all of it was eaten. What is
// doubtful there is withdrawn, and those who were told get a Correction with the next Serial.
func (o *Outbox) Settle(ctx context.Context, chain flow.Chain, height uint64) error {
	o.mu.Lock()
	doubtful := o.doubtful
	o.mu.Unlock()
	if doubtful == 0 {
		return ctx.Err()
	}
	err := o.each(ctx, doubtfulMark, chain, 0, height, func(c *change, r *record, key string, now time.Time) error {
		said, ok, err := load[message](c, messageKey(r.Last))
		if err != nil {
			return err
		}
		a := said.Alert
		if !ok {
			a = alert.Alert{Key: key, Severity: r.Severity, Title: key, Chain: r.Chain}
		}
		a.Kind, a.Text, a.Seen, a.Made = alert.Correction, why(r, a), now, now
		r.State, r.Serial = Withdrawn, r.Serial+1
		return c.say(r, a, millis(now))
	})
	if err != nil {
		return fmt.Errorf("settle %s up to block %d: %w", chain, height, err)
	}
	return nil
}

// why is the text of a correction.
func why(r *record, a alert.Alert) string {
	what := "the transaction"
	if a.Tx.IsZero() {
		what = "what this rests on"
	}
	text := fmt.Sprintf("This is not so any more: block %d of %s was reorganised away; %s is not on the branch that won.", r.Height, r.Chain, what)
	if r.Replay {
		text = fmt.Sprintf("This is not so any more: the blocks of %s from %d on were read again after a restart, and %s is not on the branch that won.",
			r.Chain, r.Height, what)
	}
	if a.Text != "" {
		text += " It was said: " + a.Text
	}
	return text
}

// each changes the records of alerts that rest on blocks of a chain from one height to another, chunk by chunk.
func (o *Outbox) each(ctx context.Context, mark byte, chain flow.Chain, from, to uint64, f func(c *change, r *record, key string, now time.Time) error) error {
	lower, upper := placeKey(mark, chain, from, ""), after(named(mark, chain.String()))
	if to < ^uint64(0) {
		upper = placeKey(mark, chain, to+1, "")
	}
	for more := true; more; {
		err := o.write(ctx, func(c *change, now time.Time) error {
			keys := []string{}
			more = false
			err := scan(ctx, o.db, lower, upper, func(k, _ []byte) (bool, error) {
				if len(keys) == chunk {
					more = true
					lower = append([]byte{}, k...)
					return false, nil
				}
				_, key, err := splitPlace(k)
				keys = append(keys, key)
				return true, err
			})
			if err != nil {
				return err
			}
			for _, key := range keys {
				was, ok, err := load[record](c, recordKey(key))
				if err == nil && !ok {
					err = fmt.Errorf("%w: no such record", ErrDamaged)
				}
				r := was
				if err == nil {
					err = f(c, &r, key, now)
				}
				if err == nil {
					err = c.keep(key, was, r, true)
				}
				if err != nil {
					return fmt.Errorf("alert %.200q: %w", key, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Final says that the blocks of a chain up to a height will never be undone. What rests on them may lose its text once it
// is old; see Config.Keep.
func (o *Outbox) Final(ctx context.Context, chain flow.Chain, height uint64) error {
	err := o.write(ctx, func(c *change, _ time.Time) error {
		known, ok, err := final(c, chain)
		if err != nil || ok && known >= height {
			return err
		}
		return c.Set(finalKey(chain), number(nil, height), nil)
	})
	if err != nil {
		return fmt.Errorf("final block %d of %s: %w", height, chain, err)
	}
	return nil
}

// final is the newest final height of a chain; ok is false where none was told.
func final(from pebble.Reader, chain flow.Chain) (height uint64, ok bool, err error) {
	b, err := get(from, finalKey(chain))
	if err != nil || b == nil {
		return 0, false, err
	}
	if len(b) != 8 {
		return 0, false, fmt.Errorf("final height of %s: %w", chain, ErrDamaged)
	}
	return binary.BigEndian.Uint64(b), true, nil
}

// Release says that nobody looks at a case or a list any more: what was said of it stands as it was said, and is never
// doubtful again unless Add says it again.
func (o *Outbox) Release(ctx context.Context, name string) error {
	lower := named(caseMark, name)
	upper := append(named(caseMark, name), 0xff)
	for more := true; more; {
		err := o.write(ctx, func(c *change, _ time.Time) error {
			more = false
			n := 0
			return scan(ctx, o.db, lower, upper, func(k, _ []byte) (bool, error) {
				if n++; n > chunk {
					more = true
					lower = append([]byte{}, k...)
					return false, nil
				}
				return true, c.release(k)
			})
		})
		if err != nil {
			return fmt.Errorf("release %.200q: %w", name, err)
		}
	}
	return nil
}

// release takes an alert, of which a key of a case tells a message, off its place.
func (c *change) release(caseKey []byte) error {
	n, err := lastNumber(caseKey)
	if err != nil {
		return err
	}
	m, ok, err := load[message](c, messageKey(n))
	if err != nil || !ok {
		return err
	}
	was, ok, err := load[record](c, recordKey(m.Alert.Key))
	if err != nil || !ok || was.Chain.IsZero() {
		return err
	}
	r := was
	if r.State == Doubtful {
		r.State = Standing
	}
	r.Chain, r.Height, r.Replay = flow.Chain{}, 0, false
	if placeOf(m.Alert.Key, was) == nil { // it was withdrawn, and stays so
		return nil
	}
	return c.keep(m.Alert.Key, was, r, true)
}
