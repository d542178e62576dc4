package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// Add says that these alerts hold: those of the kind Found because of that block, the others for ever. at may be zero for
// alerts that rest on no block. A key that is new is told; one that is standing is not told again; one that is doubtful
// stands again, at the new place, without a word, unless it is more severe now: then it is told with the next Serial; one
// that was withdrawn is told as Again, with the next Serial.
//
// A Provisional alert is superseded, without a word, by a Found one of the same case and transaction, whichever comes
// first. A Found alert under the key of a Provisional one is told with the next Serial.
//
// All alerts of a call are durable when it returns nil; after an error none of them is taken. Errors: ErrFull, ErrBroken.
func (o *Outbox) Add(ctx context.Context, at flow.Point, alerts []alert.Alert) error {
	return o.put(ctx, at, alerts, true)
}

// Confirm is Add for alerts that hold and are no news: of those whose key is new nobody is told, and nothing is kept.
func (o *Outbox) Confirm(ctx context.Context, at flow.Point, alerts []alert.Alert) error {
	return o.put(ctx, at, alerts, false)
}

func (o *Outbox) put(ctx context.Context, at flow.Point, alerts []alert.Alert, news bool) error {
	if len(alerts) == 0 {
		return ctx.Err()
	}
	err := o.write(ctx, func(c *change, now time.Time) error {
		for _, a := range alerts {
			if err := checkAlert(a); err != nil {
				return err
			}
			if err := c.add(ctx, at, a, news, now); err != nil {
				return fmt.Errorf("alert %.200q: %w", a.Key, err)
			}
		}
		if c.Empty() {
			return nil
		}
		return o.room(o.cfg.MinFree)
	})
	if err != nil {
		return fmt.Errorf("add %d alerts of %s: %w", len(alerts), at, err)
	}
	return nil
}

// write makes one durable change.
func (o *Outbox) write(ctx context.Context, f func(c *change, now time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.writer.Lock()
	defer o.writer.Unlock()
	c, err := o.change()
	if err != nil {
		return err
	}
	if err := f(c, time.Now()); err != nil {
		return errors.Join(err, c.Close())
	}
	return o.commit(c, true)
}

// room checks that so many bytes are free on the disk, before Pebble finds out that they are not.
func (o *Outbox) room(need uint64) error {
	disk, err := o.cfg.FS.GetDiskUsage(o.dir)
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("room on the disk: %w", err)
	case disk.AvailBytes < need:
		return fmt.Errorf("%w: %d MiB are free, at least %d must be", ErrFull, disk.AvailBytes>>20, need>>20)
	}
	return nil
}

func checkAlert(a alert.Alert) error {
	switch {
	case a.Key == "" || len(a.Key) > maxKey || !utf8.ValidString(a.Key):
		return fmt.Errorf("alert %.200q: a key is text of 1 to %d bytes", a.Key, maxKey)
	case endsInSerial(a.Key):
		return fmt.Errorf("alert %.200q: the key ends like the ID of a later message", a.Key)
	case len(a.Case) > maxKey || !utf8.ValidString(a.Case) || strings.ContainsRune(a.Case, 0):
		return fmt.Errorf("alert %.200q: case %.200q: not a text of at most %d bytes", a.Key, a.Case, maxKey)
	case a.Severity < finding.Info || a.Severity > finding.Critical:
		return fmt.Errorf("alert %.200q: severity %d", a.Key, a.Severity)
	case a.Kind != alert.Found && a.Kind != alert.Provisional && a.Kind != alert.State:
		return fmt.Errorf("alert %.200q: kind %.40q: only the outbox makes those", a.Key, a.Kind)
	}
	return nil
}

// endsInSerial reports whether a key could be another key with a serial; see alert.Alert.ID.
func endsInSerial(key string) bool {
	i := strings.LastIndexByte(key, '#')
	return i >= 0 && i+1 < len(key) && strings.Trim(key[i+1:], "0123456789") == ""
}

func (c *change) add(ctx context.Context, at flow.Point, a alert.Alert, news bool, now time.Time) error {
	if a.Chain.IsZero() {
		a.Chain = at.Chain
	}
	if a.At.IsZero() {
		a.At = at
	}
	r, known, err := load[record](c, recordKey(a.Key))
	if err != nil {
		return err
	}
	was := r
	speak := true
	switch {
	case !known && !news:
		return nil
	case !known:
		r = record{State: Standing, Kind: a.Kind, Severity: a.Severity}
		if a.Kind == alert.Provisional {
			found, err := c.isFound(ctx, a)
			if err != nil {
				return err
			}
			if found {
				r.State, speak = Superseded, false
			}
		}
	case r.Kind == alert.Provisional && a.Kind == alert.Found:
		r.State, r.Kind = Standing, alert.Found
		if r.Last > 0 {
			r.Serial++
		}
	case a.Kind == alert.Provisional && r.Kind == alert.Found:
		return nil // that a transaction is pending is no news once it was found
	case r.Kind != a.Kind:
		return fmt.Errorf("kind %s, but the key is of the kind %s", a.Kind, r.Kind)
	case r.State == Withdrawn:
		r.State, r.Serial = Standing, r.Serial+1
		a.Kind = alert.Again
	case r.State == Doubtful && a.Severity > r.Severity: // there is more of it on this branch
		r.State, r.Serial = Standing, r.Serial+1
	case r.State == Doubtful:
		r.State, speak = Standing, false
	default:
		speak = false
	}
	if r.Kind == alert.Found && !at.Chain.IsZero() {
		r.Chain, r.Height, r.Replay = at.Chain, at.Height, false
	}
	if speak {
		r.Told = c.o.match(r.Told, a)
		if err := c.say(&r, a, millis(now)); err != nil {
			return err
		}
	}
	if err := c.keep(a.Key, was, r, known); err != nil || known && was.Kind == r.Kind {
		return err
	}
	return c.mark(ctx, a)
}

// keep writes a record where it is another than before, and moves it to its place.
func (c *change) keep(key string, was, r record, known bool) error {
	old, place := placeOf(key, was), placeOf(key, r)
	same := known && string(old) == string(place)
	if same && was.State == r.State && was.Last == r.Last && was.Kind == r.Kind && was.Replay == r.Replay {
		return nil
	}
	if known && old != nil && !same {
		if err := c.Delete(old, nil); err != nil {
			return err
		}
	}
	if place != nil && !same {
		if err := c.Set(place, nil, nil); err != nil {
			return err
		}
	}
	if known && was.State == Doubtful {
		c.doubtful--
	}
	if r.State == Doubtful {
		c.doubtful++
	}
	return c.set(recordKey(key), r)
}

// placeOf is the key under which an alert stands, or is doubtful, because of a block; nil where it is neither.
func placeOf(key string, r record) []byte {
	switch {
	case r.Chain.IsZero():
		return nil
	case r.State == Standing:
		return placeKey(standingMark, r.Chain, r.Height, key)
	case r.State == Doubtful:
		return placeKey(doubtfulMark, r.Chain, r.Height, key)
	}
	return nil
}

// match adds to those who are told what is said under a key those sinks to which its routes lead now.
func (o *Outbox) match(all []told, a alert.Alert) []told {
	o.mu.Lock()
	routes := o.routes
	o.mu.Unlock()
	for i := range routes {
		r := &routes[i]
		if !r.matches(&a) {
			continue
		}
		for _, s := range r.Sinks {
			if !slices.ContainsFunc(all, func(t told) bool { return t.Sink == s }) {
				all = append(all, told{Sink: s, Route: r.Name})
			}
		}
		if !r.Continue {
			break
		}
	}
	return all
}

// isFound reports whether a transaction that is said to be pending stands in a block, as its case was told.
func (c *change) isFound(ctx context.Context, a alert.Alert) (found bool, err error) {
	if a.Tx.IsZero() {
		return false, nil
	}
	err = c.said(ctx, a, saidFound, func(_ string, r record) (bool, error) {
		found = r.State == Standing || r.State == Doubtful
		return !found, nil
	})
	return found, err
}

// mark remembers of which transaction an alert speaks, and supersedes what was provisional about it.
func (c *change) mark(ctx context.Context, a alert.Alert) error {
	if a.Tx.IsZero() {
		return nil
	}
	switch a.Kind {
	case alert.Provisional:
		return c.Set(saidKey(a.Case, a.Tx, saidProvisional, a.Key), nil, nil)
	case alert.Found:
		if err := c.Set(saidKey(a.Case, a.Tx, saidFound, a.Key), nil, nil); err != nil {
			return err
		}
		over := map[string]record{}
		err := c.said(ctx, a, saidProvisional, func(key string, r record) (bool, error) {
			if r.Kind == alert.Provisional && r.State == Standing {
				over[key] = r
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		for key, was := range over {
			r := was
			r.State = Superseded
			if err := c.keep(key, was, r, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// said calls f for what was said of the case and the transaction of an alert, until it returns false.
func (c *change) said(ctx context.Context, a alert.Alert, kind byte, f func(key string, r record) (bool, error)) error {
	prefix := saidKey(a.Case, a.Tx, kind, "")
	return scan(ctx, c, prefix, after(prefix), func(k, _ []byte) (bool, error) {
		key := string(k[len(prefix):])
		r, ok, err := load[record](c, recordKey(key))
		if err != nil || !ok {
			return err == nil, err
		}
		return f(key, r)
	})
}
