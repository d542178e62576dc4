package outbox

import (
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/alert"
)

// A change is what one write does, whole or not at all. The writer's lock is held while there is one.
type change struct {
	o *Outbox
	*pebble.Batch
	last     uint64                // the number that was given last
	queued   map[string]int        // sink -> how many more messages it is to be told
	dead     map[string]int        // sink -> how many more letters
	lowest   map[laneOfSink]uint64 // the lowest number that was put into a lane
	doubtful int                   // how many more alerts are in doubt
	unrouted int64                 // how many more messages nobody is told
}

type laneOfSink struct {
	sink string
	lane lane
}

// change begins a change, or says why nothing can be changed.
func (o *Outbox) change() (*change, error) {
	if o.broken != nil {
		return nil, o.broken
	}
	return &change{o: o, Batch: o.db.NewIndexedBatch(), last: o.last, queued: map[string]int{}, dead: map[string]int{}, lowest: map[laneOfSink]uint64{}}, nil
}

// set writes a value as JSON.
func (c *change) set(key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("key %.200q: %w", key, err)
	}
	return c.Set(key, b, nil)
}

// commit makes a change; durable says whether it survives a crash from then on.
func (o *Outbox) commit(c *change, durable bool) (err error) {
	if c.Empty() {
		return c.Close()
	}
	if c.last != o.last {
		if err := c.Set([]byte(numberKey), number(nil, c.last), nil); err != nil {
			return err
		}
	}
	if err := o.apply(c, durable); err != nil {
		return err
	}
	before := o.last
	o.last = c.last
	if durable {
		o.durable.Store(c.last) // and so is all that was written before
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.doubtful += c.doubtful
	o.unrouted += c.unrouted
	for sink, n := range c.queued {
		o.bookLocked(sink).queued += n
	}
	for sink, n := range c.dead {
		o.bookLocked(sink).dead += n
	}
	for at, n := range c.lowest {
		b := o.bookLocked(at.sink)
		if n <= before { // one that had been taken out
			b.from[at.lane] = min(b.from[at.lane], n)
			b.turns++
		}
		if durable {
			b.wakeUp()
		}
	}
	return c.Close()
}

// apply writes a change. Pebble panics where its log cannot be written: nothing can be written any more then.
func (o *Outbox) apply(c *change, durable bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
		if err != nil {
			o.broken = fmt.Errorf("%w: %w", ErrBroken, err)
			err = o.broken
		}
	}()
	how := pebble.NoSync
	if durable {
		how = pebble.Sync
	}
	return c.Commit(how)
}

// say writes down a message under a key, and queues it to those who are told what is said there. A message of a lane
// above that of earlier ones which are still queued takes them with it, so that it does not overtake them.
func (c *change) say(r *record, a alert.Alert, now int64) error {
	c.last++
	n := c.last
	before := r.Last
	r.Last, a.Serial = n, r.Serial
	if a.Severity > r.Severity {
		if err := c.promote(r, a.Key, before, laneOf(r.Severity), laneOf(a.Severity)); err != nil {
			return err
		}
		r.Severity = a.Severity
	}
	if err := c.set(messageKey(n), message{Alert: a, Before: before, At: now}); err != nil {
		return err
	}
	if a.Case != "" {
		if err := c.Set(caseKey(a.Case, n), nil, nil); err != nil {
			return err
		}
	}
	for _, to := range r.Told {
		if err := c.queue(to.Sink, laneOf(r.Severity), n, ticket{Key: a.Key, Route: to.Route, At: now}); err != nil {
			return err
		}
	}
	if len(r.Told) == 0 {
		c.unrouted++
	}
	return nil
}

// queue puts a message into a lane of a sink, where it is not yet.
func (c *change) queue(sink string, l lane, n uint64, t ticket) error {
	at := laneOfSink{sink, l}
	if old, ok := c.lowest[at]; !ok || n < old {
		c.lowest[at] = n
	}
	c.queued[sink]++
	return c.set(ticketKey(sink, l, n), t)
}

// promote moves what is queued under a key from one lane to another: the messages from n back.
func (c *change) promote(r *record, key string, n uint64, from, to lane) error {
	for n > 0 {
		for _, t := range r.Told {
			old, ok, err := load[ticket](c, ticketKey(t.Sink, from, n))
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := c.Delete(ticketKey(t.Sink, from, n), nil); err != nil {
				return err
			}
			c.queued[t.Sink]--
			if err := c.queue(t.Sink, to, n, old); err != nil {
				return err
			}
		}
		m, ok, err := load[message](c, messageKey(n))
		if err != nil || !ok { // its text was dropped, and so it is queued nowhere, and nothing before it
			return err
		}
		n = m.Before
	}
	return nil
}
