package pebblestore

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
)

// BenchmarkFill fills half a million movements in below the head, in batches, and appends a block of 300 movements to the
// head every 20 ms meanwhile, and as often before: what that takes then and now. One iteration is one fill.
func BenchmarkFill(b *testing.B) {
	for _, size := range []int{100_000, 10_000, 1_000} {
		b.Run(fmt.Sprintf("batches-of-%d", size), func(b *testing.B) {
			var alone, beside []time.Duration
			moves := 0
			for b.Loop() {
				b.StopTimer()
				s, err := Open(b.TempDir(), Options{CacheBytes: 64 << 20})
				if err != nil {
					b.Fatal(err)
				}
				old, head := newWorkload(100_000), newWorkload(100_000)
				var batches [][]flow.Block
				for range 500_000 / size {
					var batch []flow.Block
					for range size / 200 {
						batch = append(batch, old.next(200))
					}
					batches = append(batches, batch)
				}
				head.height = 1 << 20
				put := func() time.Duration {
					block := head.next(300)
					start := time.Now()
					if _, err := s.Append(b.Context(), []flow.Block{block}); err != nil {
						b.Fatal(err)
					}
					return time.Since(start)
				}
				put()
				if err := s.Final(b.Context(), flow.Point{Chain: flow.Ethereum, Height: head.height - 1, Hash: head.parent}); err != nil {
					b.Fatal(err)
				}
				for range 50 {
					alone = append(alone, put())
					time.Sleep(20 * time.Millisecond)
				}
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					for ctx.Err() == nil {
						beside = append(beside, put())
						time.Sleep(20 * time.Millisecond)
					}
				}()
				b.StartTimer()
				for _, batch := range slices.Backward(batches) {
					if n, err := s.Fill(b.Context(), batch); n != len(batch) || err != nil {
						b.Fatalf("fill = %d, %v", n, err)
					}
					moves += size
				}
				b.StopTimer()
				stop()
				<-done
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(moves)/b.Elapsed().Seconds(), "movements/s")
			for _, m := range []struct {
				name  string
				times []time.Duration
			}{{"alone", alone}, {"beside", beside}} {
				slices.Sort(m.times)
				b.ReportMetric(float64(m.times[len(m.times)/2].Microseconds())/1e3, m.name+"-p50-ms")
				b.ReportMetric(float64(m.times[len(m.times)*9/10].Microseconds())/1e3, m.name+"-p90-ms")
			}
		})
	}
}
