package pebblestore

import (
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// BenchmarkAppendBlock is a durable block of 200 movements, with a snapshot after it that looks one holder up, as a watch
// does.
func BenchmarkAppendBlock(b *testing.B) {
	s, err := Open(b.TempDir(), Options{CacheBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorkload(20_000)
	for b.Loop() {
		block := w.next(200)
		if _, err := s.Append(b.Context(), []flow.Block{block}); err != nil {
			b.Fatal(err)
		}
		if block.Point.Height > 64 {
			if err := s.Final(b.Context(), block.Point); err != nil {
				b.Fatal(err)
			}
		}
		snap, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		err = snap.Entries(b.Context(), flow.Ethereum, []store.Ask{{Holder: 7, From: flow.Pos{Height: block.Point.Height}}}, func(int, []store.Entry) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		if err := snap.Close(); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// coins is a block of UTXO transactions of two inputs and two outputs, which spend outputs of the last blocks.
func (w *workload) coins(txs int, unspent *[]flow.Outpoint) flow.Block {
	c := flow.Bitcoin
	p := flow.Point{Chain: c, Height: w.height, Hash: w.hash(), Time: int64(w.height)}
	b := flow.Block{Point: p, Parent: w.parent}
	w.height, w.parent = w.height+1, p.Hash
	for i := range txs {
		tx := flow.Tx{ID: w.hash(), Point: p, Index: uint32(i)}
		m := flow.Movement{Kind: flow.Transfer, Asset: c.Native()}
		for range min(2, len(*unspent)) {
			k := len(*unspent) - 1 - w.rnd.IntN(min(len(*unspent), 50_000))
			m.Spent = append(m.Spent, (*unspent)[k])
			(*unspent)[k] = (*unspent)[len(*unspent)-1]
			*unspent = (*unspent)[:len(*unspent)-1]
			m.In = append(m.In, flow.Leg{})
		}
		for n := range 2 {
			key := w.hash()
			a, err := flow.UTXOAccount(c, flow.PayToPubKeyHash, key[:20])
			if err != nil {
				panic(err)
			}
			m.Out = append(m.Out, flow.Leg{Account: a, Amount: flow.NewAmount(w.rnd.Uint64() >> 30)})
			*unspent = append(*unspent, flow.Outpoint{Tx: tx.ID, Index: uint32(n)})
		}
		tx.Movements = []flow.Movement{m}
		b.Txs = append(b.Txs, tx)
	}
	return b
}

// BenchmarkCoins loads UTXO blocks of 2,000 transactions the way ingest does: look the spent outputs up, fill them in,
// append.
func BenchmarkCoins(b *testing.B) {
	s, err := Open(b.TempDir(), Options{Bulk: true, CacheBytes: 256 << 20, SegmentMovements: 400_000})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorkload(1)
	var unspent []flow.Outpoint
	legs := 0
	for b.Loop() {
		block := w.coins(2000, &unspent)
		snap, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		var spent []flow.Outpoint
		for _, tx := range block.Txs {
			spent = append(spent, tx.Movements[0].Spent...)
		}
		found, err := snap.Outputs(b.Context(), flow.Bitcoin, spent)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for _, tx := range block.Txs {
			n += copy(tx.Movements[0].In, found[n:])
		}
		legs += n
		if err := snap.Close(); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Append(b.Context(), []flow.Block{block}); err != nil {
			b.Fatal(err)
		}
		if err := s.Final(b.Context(), block.Point); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(legs)/b.Elapsed().Seconds(), "inputs/s")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFold is the fold of a million final movements of a store that follows a chain: what the call of Final that
// triggers it takes, and what one that does not. One iteration is one fold.
func BenchmarkFold(b *testing.B) {
	s, err := Open(b.TempDir(), Options{CacheBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorkload(100_000)
	var folds, shown time.Duration
	for b.Loop() {
		longest := time.Duration(0)
		for moves := 0; moves < 1<<20; moves += 20_000 {
			var batch []flow.Block
			for range 100 {
				batch = append(batch, w.next(200))
			}
			if _, err := s.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			if err := s.Final(b.Context(), batch[99].Point); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(start))
		}
		folds += longest
		start := time.Now()
		snap, err := s.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		shown += time.Since(start)
		if err := snap.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(folds.Milliseconds())/float64(b.N), "ms/fold")
	b.ReportMetric(float64(shown.Microseconds())/float64(b.N), "µs/snapshot")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
