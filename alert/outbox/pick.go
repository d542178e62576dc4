package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// A queued message of one sink.
type queued struct {
	ticket
	number uint64
	lane   lane
	alert  alert.Alert
	size   int
	reason string // why it goes to the dead letters; empty where the sink took it
}

// A group is what is sent next, and what is given up.
type group struct {
	messages []queued
	dead     []queued
}

const (
	window    = 1000    // how many tickets are looked at, besides those set aside
	maxReason = 500     // characters
	maxGroup  = 1 << 20 // bytes of a group, as the outbox keeps them
)

// pick finds what is to be sent to the sink now: of the most severe lane in which something is due, a group of one route
// in the order in which it was written. Where there is nothing, it says after which time to look again.
func (w *worker) pick(ctx context.Context, now time.Time) (g group, again time.Duration, err error) {
	again = never
	for l := range lane(lanes) {
		if until, held := w.to.held(l.severity(), now); held {
			again = min(again, max(until.Sub(now), time.Second))
			continue
		}
		chosen, wait, err := w.look(ctx, l, now)
		if err != nil {
			return g, again, err
		}
		if len(chosen) > 0 {
			g, err = w.read(chosen, now)
			return g, again, err
		}
		again = min(again, wait)
	}
	return g, again, nil
}

// look goes through the beginning of a lane, and chooses tickets that are due; else it says when to look again.
func (w *worker) look(ctx context.Context, l lane, now time.Time) (chosen []queued, again time.Duration, err error) {
	o := w.o
	o.mu.Lock()
	from, turns, routes := w.book.from[l], w.book.turns, o.routes
	o.mu.Unlock()
	durable := o.durable.Load()
	again = never
	var late []queued // one that was set aside, and is tried where there is nothing else
	var lateSince time.Time
	groups := map[string][]queued{} // by route
	order := []string{}             // of the first of each group
	first, seen := uint64(0), 0
	err = scan(ctx, o.db, ticketKey(w.name, l, from), after(laneKey(w.name, l)), func(key, value []byte) (bool, error) {
		n, err := lastNumber(key)
		if err != nil || n > durable {
			return false, err
		}
		if first == 0 {
			first = n
		}
		t, err := parse[ticket](key, value)
		if err != nil {
			t = ticket{At: millis(now)} // it is given up, with this reason
			chosen = []queued{{ticket: t, number: n, lane: l, reason: err.Error()}}
			return false, nil
		}
		q := queued{ticket: t, number: n, lane: l}
		if a, ok := w.aside[t.Key]; ok {
			if wait := a.until.Sub(now); wait > 0 {
				again = min(again, wait)
				return true, nil
			}
			if late == nil || a.until.Before(lateSince) {
				late, lateSince = []queued{q}, a.until // alone: it may be the only one that the sink is sick of
			}
			return true, nil
		}
		if seen++; seen > window {
			return false, nil
		}
		if groups[t.Route] == nil {
			order = append(order, t.Route)
		}
		groups[t.Route] = append(groups[t.Route], q)
		return len(groups[t.Route]) < routeOf(routes, t.Route).group(), nil
	})
	if err != nil {
		return nil, again, err
	}
	o.mu.Lock()
	if first > 0 && w.book.turns == turns { // else something may have been put in below
		w.book.from[l] = first
	}
	o.mu.Unlock()
	if chosen != nil {
		return chosen, again, nil
	}
	for _, name := range order {
		r, all := routeOf(routes, name), groups[name]
		wait := min(r.wait(l), time.UnixMilli(all[0].At).Add(r.wait(l)).Sub(now)) // the clock may have gone back
		if wait <= 0 || len(all) >= r.group() || now.Sub(time.UnixMilli(all[0].At)) > o.cfg.MaxAge {
			if w.solo > 0 {
				all = all[:1]
			}
			return all, again, nil
		}
		again = min(again, wait)
	}
	return late, again, nil
}

// routeOf is the route of a name; the usual one where there is none any more.
func routeOf(routes []Route, name string) *Route {
	for i := range routes {
		if routes[i].Name == name {
			return &routes[i]
		}
	}
	return &Route{}
}

// read reads the texts of tickets. Those that are too old, or cannot be read, are given up.
func (w *worker) read(chosen []queued, now time.Time) (g group, err error) {
	size := 0
	for _, q := range chosen {
		if q.reason == "" && now.Sub(time.UnixMilli(q.At)) > w.o.cfg.MaxAge {
			q.reason = "it is older than " + w.o.cfg.MaxAge.String()
		}
		if q.reason == "" {
			b, err := w.o.get(messageKey(q.number))
			if err != nil {
				return g, err
			}
			var m message
			if b == nil {
				q.reason = "its text is lost"
			} else if m, err = parse[message](messageKey(q.number), b); err != nil {
				q.reason = err.Error()
			}
			q.alert, q.size = m.Alert, len(b)
		}
		if q.reason != "" {
			g.dead = append(g.dead, q)
			continue
		}
		if size += q.size; size > maxGroup && len(g.messages) > 0 {
			break
		}
		g.messages = append(g.messages, q)
	}
	return g, nil
}

// settleTickets takes messages out of the queue of a sink: those with a reason are dead letters from then on, the others
// were taken. A crash may bring back the ticket of what was taken, with those behind it; they are then sent again, with
// the same IDs. It does not bring back a dead letter, which would come behind what was said later.
func (o *Outbox) settleTickets(sink string, all []queued) (err error) {
	o.writer.Lock()
	defer o.writer.Unlock()
	c, err := o.change()
	if err != nil {
		return err
	}
	now, dead := millis(time.Now()), false
	for _, q := range all {
		dead = dead || q.reason != ""
		if err := c.settle(sink, q, now); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	return o.commit(c, dead)
}

func (c *change) settle(sink string, q queued, now int64) error {
	for l := int(q.lane); l >= 0; l-- { // it may have been moved up meanwhile
		key := ticketKey(sink, lane(l), q.number)
		b, err := get(c, key)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		if err := c.Delete(key, nil); err != nil {
			return err
		}
		c.queued[sink]--
		if q.reason == "" {
			return nil
		}
		c.dead[sink]++
		return c.set(letterKey(sink, q.number), letter{Key: q.Key, Route: q.Route, Lane: lane(l).severity(), At: now, Since: q.At, Reason: finding.Clean(q.reason, maxReason)})
	}
	return nil // it was forgotten
}
