package outbox

import (
	"context"
	"time"
)

// A book is what is remembered of a sink, besides its queue.
type book struct {
	from   [lanes]uint64 // guarded by Outbox.mu: no message of a lower number is queued in that lane
	turns  int           // guarded by Outbox.mu: how often something was put in that is not the newest
	queued int           // guarded by Outbox.mu
	dead   int           // guarded by Outbox.mu
	wake   chan struct{} // holds a token where something was queued

	sent, retried int64     // guarded by Outbox.mu: since the program began
	took, failed  time.Time // guarded by Outbox.mu: when it took something last, and when it did not
	said          string    // guarded by Outbox.mu: its last error
	resting       time.Time // guarded by Outbox.mu: until when it is left alone
}

// bookLocked is the book of a sink, which is begun if there is none.
func (o *Outbox) bookLocked(sink string) *book {
	b := o.books[sink]
	if b == nil {
		b = &book{wake: make(chan struct{}, 1)}
		o.books[sink] = b
	}
	return b
}

// wakeUp tells the goroutine of a sink that something was queued.
func (b *book) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// count reads how much is queued, dead and doubtful.
func (o *Outbox) count() error {
	ctx := context.Background()
	o.mu.Lock()
	defer o.mu.Unlock()
	each := func(mark byte, f func(b *book)) error {
		return scan(ctx, o.db, []byte{mark}, []byte{mark + 1}, func(key, _ []byte) (bool, error) {
			sink, _, err := splitNamed(key)
			if err == nil {
				f(o.bookLocked(sink))
			}
			return true, err
		})
	}
	if err := each(ticketMark, func(b *book) { b.queued++ }); err != nil {
		return err
	}
	if err := each(letterMark, func(b *book) { b.dead++ }); err != nil {
		return err
	}
	return scan(ctx, o.db, []byte{doubtfulMark}, []byte{doubtfulMark + 1}, func([]byte, []byte) (bool, error) {
		o.doubtful++
		return true, nil
	})
}

// configure takes routes and sinks that were checked.
func (o *Outbox) configure(routes []Route, sinks []Receiver) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.routes, o.sinks = append([]Route{}, routes...), append([]Receiver{}, sinks...)
	for _, r := range sinks {
		o.bookLocked(r.Sink.Name())
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// Reload takes another configuration of routes and sinks. What is queued stays queued. A sink that is new is told what is
// made from then on; one that is no longer there keeps its queue until it comes back or Forget is called. An error says
// what is wrong with the configuration, and nothing is changed then.
func (o *Outbox) Reload(routes []Route, sinks []Receiver) error {
	if err := check(routes, sinks); err != nil {
		return err
	}
	o.configure(routes, sinks)
	return nil
}
