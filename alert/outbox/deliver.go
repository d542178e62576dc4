package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// Deliver sends what is queued until ctx is done, with one goroutine for each sink, and returns when all of them have
// stopped. It returns nil when ctx is done, else what went wrong with the outbox itself; what goes wrong with a sink is
// in its State. Only one Deliver runs at a time.
func (o *Outbox) Deliver(ctx context.Context) error {
	o.mu.Lock()
	if o.running {
		o.mu.Unlock()
		return errors.New("deliver: it runs already")
	}
	o.running = true
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running = false
	}()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var all sync.WaitGroup
	failed := error(nil)
	var once sync.Once
	run := func(f func() error) {
		all.Go(func() {
			if err := f(); err != nil {
				once.Do(func() { failed = err })
				fail(err)
			}
		})
	}
	run(func() error { return o.tidy(ctx) })
	workers := map[string]*worker{}
	for ctx.Err() == nil {
		o.mu.Lock()
		changed, sinks := o.changed, o.sinks
		now := map[string]*worker{}
		for _, r := range sinks {
			name := r.Sink.Name()
			w := &worker{o: o, name: name, to: r, book: o.bookLocked(name), done: make(chan struct{}), aside: map[string]aside{}}
			if r.PerMinute > 0 {
				w.limit = rate.NewLimiter(rate.Every(time.Minute/time.Duration(r.PerMinute)), max(r.Burst, 1))
			}
			now[name] = w
		}
		o.mu.Unlock()
		for _, w := range workers {
			w.stop()
		}
		for name, w := range now {
			before := workers[name]
			var its context.Context
			its, w.stop = context.WithCancel(ctx)
			run(func() error {
				defer close(w.done)
				defer w.stop()
				if before != nil {
					<-before.done // a sink is never asked by two
				}
				return w.run(its)
			})
		}
		workers = now
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	all.Wait()
	if failed != nil {
		return fmt.Errorf("deliver: %w", failed)
	}
	return nil
}

// A worker sends what one sink is to be told.
type worker struct {
	o     *Outbox
	name  string
	to    Receiver
	book  *book
	limit *rate.Limiter // nil where there is none
	stop  context.CancelFunc
	done  chan struct{}

	fails int              // since it took something last
	solo  int              // so many messages are sent alone, to find out which of a group the sink does not take
	rests time.Time        // nothing is sent before
	aside map[string]aside // keys that wait while others are tried
}

// aside is why the alerts of a key wait while others are sent: the sink may be sick of them alone.
type aside struct {
	until time.Time
	tries int
}

const (
	patience = 3    // failures until what is tried is set aside, and something else is tried
	maxAside = 1000 // keys
	maxRest  = time.Hour
)

// run sends until ctx is done.
func (w *worker) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		wait, wake := w.rests.Sub(now), (<-chan struct{})(nil)
		if wait <= 0 {
			wait = w.token(now)
		}
		if wait <= 0 {
			wake = w.book.wake
			group, again, err := w.pick(ctx, now)
			switch {
			case err != nil && ctx.Err() != nil:
				return nil
			case err != nil:
				return fmt.Errorf("queue of %s: %w", w.name, err)
			case len(group.messages) > 0 || len(group.dead) > 0:
				if err := w.send(ctx, group, now); err != nil {
					return fmt.Errorf("queue of %s: %w", w.name, err)
				}
				continue
			}
			wait = again
		}
		var due <-chan time.Time
		if wait < never {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-due:
		}
		timer.Stop()
	}
}

// never is longer than anything that is waited for.
const never = time.Duration(1<<63 - 1)

// token is how long it takes until another message may be sent.
func (w *worker) token(now time.Time) time.Duration {
	if w.limit == nil {
		return 0
	}
	if missing := 1 - w.limit.TokensAt(now); missing > 0 {
		return max(time.Duration(missing*float64(time.Second)/float64(w.limit.Limit())), time.Millisecond)
	}
	return 0
}

// send hands over a group, and writes down what became of it.
func (w *worker) send(ctx context.Context, g group, now time.Time) error {
	if len(g.dead) > 0 {
		if err := w.o.settleTickets(w.name, g.dead); err != nil {
			return err
		}
	}
	if len(g.messages) == 0 {
		return nil
	}
	if w.limit != nil {
		w.limit.AllowN(now, 1)
	}
	alerts := make([]alert.Alert, len(g.messages))
	for i, m := range g.messages {
		alerts[i] = m.alert
	}
	limited, cancel := context.WithTimeout(ctx, w.o.cfg.Timeout)
	err := w.to.Sink.Send(limited, alerts)
	cancel()
	now = time.Now()
	var later alert.RetryAfter
	switch {
	case err == nil:
		return w.taken(g, alerts, now)
	case errors.Is(err, alert.ErrRefused):
		w.fails = 0
		w.tell(err, now, time.Time{}, len(alerts) > 1)
		if len(alerts) > 1 {
			w.solo = len(alerts)
			return nil
		}
		g.messages[0].reason = err.Error()
		delete(w.aside, g.messages[0].Key)
		return w.o.settleTickets(w.name, g.messages)
	case ctx.Err() != nil:
		return nil // it did not fail: it was stopped
	case errors.As(err, &later) && later.After > 0:
		w.fails++
		w.rests = now.Add(min(later.After, maxRest))
	default:
		w.fails++
		if w.fails == patience-1 {
			w.solo = len(alerts)
		}
		_, known := w.aside[g.messages[0].Key]
		w.setAside(g, now)
		if w.fails > 1 || !known { // else it is likely to be the message, and the sink is well
			w.rests = now.Add(w.backoff(w.fails))
		}
	}
	w.tell(err, now, w.rests, true)
	return nil
}

// taken writes down that the sink has a group.
func (w *worker) taken(g group, alerts []alert.Alert, now time.Time) error {
	for _, m := range g.messages {
		delete(w.aside, m.Key)
	}
	if w.fails > 0 {
		w.fails = 0
		for key, a := range w.aside {
			if a.tries == 1 { // it was the sink, and perhaps not the message
				a.until = now
				w.aside[key] = a
			}
		}
	}
	if w.solo > 0 {
		w.solo--
	}
	w.o.mu.Lock()
	w.book.sent += int64(len(alerts))
	w.book.took, w.book.resting = now, time.Time{}
	w.o.mu.Unlock()
	if w.o.cfg.Sent != nil {
		for _, a := range alerts {
			w.o.cfg.Sent(w.name, a, now.Sub(a.Seen))
		}
	}
	return w.o.settleTickets(w.name, g.messages)
}

// tell keeps what the sink said, for State.
func (w *worker) tell(err error, now, rests time.Time, again bool) {
	w.o.mu.Lock()
	defer w.o.mu.Unlock()
	w.book.failed, w.book.said, w.book.resting = now, finding.Clean(err.Error(), maxReason), rests
	if again {
		w.book.retried++
	}
}

// setAside lets the alerts of a group wait while others are tried, where it failed too often.
func (w *worker) setAside(g group, now time.Time) {
	for _, m := range g.messages {
		a, was := w.aside[m.Key]
		if !was && (w.fails < patience || len(w.aside) >= maxAside) {
			continue
		}
		a.tries++
		a.until = now.Add(w.backoff(a.tries + patience - 1))
		w.aside[m.Key] = a
	}
}

// backoff is how long to wait after so many failures.
func (w *worker) backoff(fails int) time.Duration {
	d := w.o.cfg.Backoff
	for i := 1; i < fails && d < w.o.cfg.MaxBackoff; i++ {
		d *= 2
	}
	d = min(d, w.o.cfg.MaxBackoff)
	return d - time.Duration(float64(d)*w.o.cfg.Jitter()/2)
}
