package outbox

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// BenchmarkAdd measures blocks with one and with 100 alerts, on a real disk, synced, and beside a sink that takes everything.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint("alerts=", n), func(b *testing.B) {
			r := &receiver{name: "desk"}
			c := to(r)
			c.FS = nil
			o, err := Open(b.TempDir(), c)
			must(b, err)
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- o.Deliver(ctx) }()
			height, key := uint64(0), 0
			for b.Loop() {
				height++
				all := make([]alert.Alert, n)
				for i := range all {
					key++
					all[i] = found(fmt.Sprint("k", key), finding.High)
					all[i].Tx[5], all[i].Tx[6], all[i].Tx[7] = byte(key), byte(key>>8), byte(key>>16)
				}
				must(b, o.Add(ctx, at(height), all))
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "alerts/s")
			stop()
			must(b, <-done)
			must(b, o.Close())
		})
	}
}

// BenchmarkLatency measures from the return of Add, which has synced by then, to the call of Send.
func BenchmarkLatency(b *testing.B) {
	r := &stamp{called: make(chan time.Time, 1)}
	c := to(r)
	c.FS = nil
	o, err := Open(b.TempDir(), c)
	must(b, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- o.Deliver(ctx) }()
	var all []time.Duration
	n := 0
	for b.Loop() {
		n++
		one := []alert.Alert{found(fmt.Sprint("k", n), finding.Critical)}
		must(b, o.Add(ctx, at(uint64(n)), one))
		added := time.Now()
		all = append(all, max(0, (<-r.called).Sub(added)))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	stop()
	must(b, <-done)
	must(b, o.Close())
}

// stamp is a sink that says when it was called.
type stamp struct{ called chan time.Time }

func (s *stamp) Name() string { return "stamp" }

func (s *stamp) Send(ctx context.Context, _ []alert.Alert) error {
	s.called <- time.Now()
	return nil
}
