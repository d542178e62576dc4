package pebblestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A workload makes blocks of single-leg transfers between accounts whose popularity follows a power law.
type workload struct {
	rnd      *rand.Rand
	accounts []flow.Account
	assets   []flow.Asset
	height   uint64
	parent   flow.Hash
}

func newWorkload(accounts int) *workload {
	w := &workload{rnd: rand.New(rand.NewPCG(1, 2))}
	for range accounts {
		var a [20]byte
		for i := 0; i < 20; i += 4 {
			binary.LittleEndian.PutUint32(a[i:], w.rnd.Uint32())
		}
		w.accounts = append(w.accounts, flow.EVMAccount(flow.Ethereum, a))
	}
	w.assets = append(w.assets, flow.Ethereum.Native())
	for i := range 100 {
		w.assets = append(w.assets, flow.Token(w.accounts[i%len(w.accounts)]))
	}
	return w
}

// someone is an account by power law.
func (w *workload) someone() flow.Account {
	u := w.rnd.Float64()
	n := float64(len(w.accounts))
	return w.accounts[int(u*u*u*n)]
}

func (w *workload) hash() (h flow.Hash) {
	for i := 0; i < 32; i += 8 {
		binary.LittleEndian.PutUint64(h[i:], w.rnd.Uint64())
	}
	return h
}

// next is a block with that many movements.
func (w *workload) next(moves int) flow.Block {
	p := flow.Point{Chain: flow.Ethereum, Height: w.height, Hash: w.hash(), Time: 1_500_000_000 + int64(w.height)*12}
	b := flow.Block{Point: p, Parent: w.parent, Coverage: flow.SawLogs, Txs: make([]flow.Tx, 0, moves*2/3+1)}
	w.height, w.parent = w.height+1, p.Hash
	log := uint32(0)
	room := make([]flow.Movement, 0, moves)
	for len(room) < moves {
		n := min(1+int(w.rnd.Uint32()&1), moves-len(room))
		at := len(room)
		for range n {
			v := flow.NewAmount(w.rnd.Uint64() >> (4 + w.rnd.Uint32N(31)))
			if w.rnd.Uint32N(3) == 0 {
				room = append(room, flow.In1Out1(flow.Transfer, w.assets[0], 0, w.someone(), w.someone(), v))
			} else {
				u := w.rnd.Float64()
				room = append(room, flow.In1Out1(flow.TokenMove, w.assets[1+int(u*u*100)], log, w.someone(), w.someone(), v))
				log++
			}
		}
		b.Txs = append(b.Txs, flow.Tx{ID: w.hash(), Point: p, Index: uint32(len(b.Txs)), Movements: room[at:]})
	}
	return b
}

func rss() string {
	b, _ := os.ReadFile("/proc/self/status")
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "VmRSS") {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(out, " ")
}

// BenchmarkLoad loads SPOOR_LOAD movements (1 M unless said) in bulk and then looks holders up. Run it with
// -benchtime=1x.
func BenchmarkLoad(b *testing.B) {
	total := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("SPOOR_LOAD")); err == nil {
		total = n
	}
	for range b.N {
		benchmarkLoad(b, total)
	}
}

func benchmarkLoad(b *testing.B, total int) {
	ctx := context.Background()
	dir := os.Getenv("SPOOR_LOAD_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	o := Options{Bulk: true, CacheBytes: 512 << 20}
	s, err := Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	w := newWorkload(max(1000, total/10))
	profile := func(name string) func() {
		to := os.Getenv("SPOOR_PROFILE")
		if to == "" {
			return func() {}
		}
		f, err := os.Create(to + "." + name)
		if err != nil {
			b.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			b.Fatal(err)
		}
		return func() { pprof.StopCPUProfile(); f.Close() }
	}
	stop := profile("load")
	var spent time.Duration
	for done := 0; done < total; {
		var batch []flow.Block
		for range 20 {
			batch = append(batch, w.next(200))
			done += 200
		}
		start := time.Now()
		if _, err := s.Append(ctx, batch); err != nil {
			b.Fatal(err)
		}
		spent += time.Since(start)
	}
	stop()
	loaded := spent
	fmt.Printf("load %d: %.1f s, %.0f/s before compaction, %s\n", total, spent.Seconds(), float64(total)/spent.Seconds(), rss())
	stop = profile("compact")
	start := time.Now()
	if err := s.Compact(ctx); err != nil {
		b.Fatal(err)
	}
	spent += time.Since(start)
	stop()
	fmt.Printf("compact %.1f s; together %.0f/s, %s\n", (spent - loaded).Seconds(), float64(total)/spent.Seconds(), rss())
	b.ReportMetric(float64(total)/spent.Seconds(), "movements/s")
	st, err := s.Stats()
	if err != nil {
		b.Fatal(err)
	}
	sum := float64(st.Bytes-st.TxIDBytes) / float64(total)
	fmt.Printf("  %.2f B/movement, and %.2f for tx ids; %d segments; %s\n", sum, float64(st.TxIDBytes)/float64(total), st.Segments, st.ByKind(int64(total)))
	b.ReportMetric(sum, "B/movement")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if s, err = Open(dir, Options{CacheBytes: 512 << 20}); err != nil {
		b.Fatal(err)
	}
	w = nil
	stop = profile("look")
	for round := range 12 {
		if round == 3 {
			stop()
			stop = profile("warm")
		}
		lookUp(b, s, uint64(round)/2, int(st.Accounts), round)
	}
	stop()
	fmt.Println(rss())
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func lookUp(b *testing.B, s *Store, seed uint64, accounts, round int) {
	rnd := rand.New(rand.NewPCG(seed, 5))
	asks := make([]store.Ask, 10_000)
	for i := range asks {
		asks[i].Holder = store.ID(1 + rnd.IntN(accounts))
	}
	snap, err := s.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	var n atomic.Int64
	err = snap.Entries(context.Background(), flow.Ethereum, asks, func(_ int, e []store.Entry) error {
		n.Add(int64(len(e)))
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	d := time.Since(start)
	fmt.Printf("look %d: %.1f ms, %.0f holders/s, %d entries\n", round, d.Seconds()*1000, float64(len(asks))/d.Seconds(), n.Load())
	if err := snap.Close(); err != nil {
		b.Fatal(err)
	}
}
