package ingest_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// A drip is a source that yields a block whenever it is told to.
type drip struct {
	next chan source.Step
}

func (d drip) Chain() flow.Chain { return flow.Ethereum }

func (d drip) Steps(ctx context.Context, _ []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		for {
			select {
			case s := <-d.next:
				if !yield(s, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// A forward is told of blocks.
type forward chan time.Time

func (f forward) Forward(context.Context, []flow.Block) error { f <- time.Now(); return nil }
func (f forward) Back(context.Context, flow.Point) error      { return nil }
func (f forward) Final(context.Context, flow.Point) error     { return nil }

// BenchmarkLiveBlock is one block of 300 transfers on its way from a source that waits for it, through a durable append, to
// the next stage.
func BenchmarkLiveBlock(b *testing.B) {
	st, err := pebblestore.Open(b.TempDir(), pebblestore.Options{CacheBytes: 16 << 20})
	if err != nil {
		b.Fatal(err)
	}
	known, src, told := book{}, drip{make(chan source.Step)}, make(forward)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() {
		_, err := ingest.Run(ctx, src, known, st, ingest.Config{Stage: told})
		ended <- err
	}()
	height, took := uint64(0), time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		height++
		block := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: height, Hash: flow.Hash{1, 30: byte(height >> 8), 31: byte(height)}}}
		for i := range uint32(300) {
			from, to := flow.EVMAccount(flow.Ethereum, [20]byte{byte(i), byte(height)}), flow.EVMAccount(flow.Ethereum, [20]byte{byte(i)})
			block.Txs = append(block.Txs, flow.Tx{ID: flow.Hash{byte(i), byte(i >> 8), 2, 31: byte(height)}, Point: block.Point, Index: i,
				Movements: []flow.Movement{flow.In1Out1(flow.Transfer, flow.Ethereum.Native(), 0, from, to, flow.NewAmount(uint64(i)))}})
		}
		s := known.add(block)
		time.Sleep(2 * time.Millisecond) // it is waited for
		b.StartTimer()
		begin := time.Now()
		src.next <- s
		took += (<-told).Sub(begin)
	}
	b.ReportMetric(float64(took.Microseconds())/1e3/float64(b.N), "ms/block")
	stop()
	<-ended
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBulk is half a million transfers in blocks of 200 through Run into a store that loads in bulk.
func BenchmarkBulk(b *testing.B) {
	known := book{}
	var steps []source.Step
	for h := range uint64(2500) {
		block := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: h, Hash: flow.Hash{1, 30: byte(h >> 8), 31: byte(h)}}}
		for i := range uint32(200) {
			from, to := flow.EVMAccount(flow.Ethereum, [20]byte{byte(i), byte(h)}), flow.EVMAccount(flow.Ethereum, [20]byte{byte(i)})
			block.Txs = append(block.Txs, flow.Tx{ID: flow.Hash{byte(i), 2, 30: byte(h >> 8), 31: byte(h)}, Point: block.Point, Index: i,
				Movements: []flow.Movement{flow.In1Out1(flow.Transfer, flow.Ethereum.Native(), 0, from, to, flow.NewAmount(uint64(i)))}})
		}
		steps = append(steps, known.add(block))
	}
	for b.Loop() {
		st, err := pebblestore.Open(b.TempDir(), pebblestore.Options{Bulk: true, CacheBytes: 16 << 20})
		if err != nil {
			b.Fatal(err)
		}
		stats, err := ingest.Run(b.Context(), script{chain: flow.Ethereum, steps: steps}, known, st, ingest.Config{})
		if err != nil || stats.Movements != 500_000 {
			b.Fatalf("run = %+v, %v", stats, err)
		}
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(500_000*float64(b.N)/b.Elapsed().Seconds(), "movements/s")
}
