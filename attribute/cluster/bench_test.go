package cluster

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
)

// grow makes a forest of n pieces of evidence as of Bitcoin: transactions with one to four inputs, most of an owner's few
// accounts, and every twentieth of one with very many, so that there is a large cluster and much is said again.
func grow(b *testing.B, n int) *Forest {
	rng := rand.New(rand.NewPCG(1, 2))
	f := New(Guard{})
	account := func(owner, i int) flow.Account {
		var payload [20]byte
		for k := range 4 {
			payload[k], payload[k+4] = byte(owner>>(8*k)), byte(i>>(8*k))
		}
		a, err := flow.UTXOAccount(flow.Bitcoin, flow.PayToPubKeyHash, payload[:])
		if err != nil {
			b.Fatal(err)
		}
		return a
	}
	for made, tx := 0, 0; made < n; tx++ {
		owner, size := 1+rng.IntN(n/8+1), 8
		if rng.IntN(20) == 0 { // one owner has very many accounts
			owner, size = 0, n/40+2
		}
		e := Evidence{A: account(owner, rng.IntN(size)), Heuristic: MultiInput, Version: 1, Confidence: 90, At: flow.Pos{Height: uint64(tx / 2000), Tx: uint32(tx % 2000)}, Amount: flow.NewAmount(rng.Uint64N(1 << 40))}
		for k := range 8 {
			e.Tx[k] = byte(tx >> (8 * k))
		}
		for range 1 + rng.IntN(3) {
			if e.B = account(owner, rng.IntN(size)); e.A == e.B || made == n {
				continue
			}
			if _, _, err := f.Add(e); err != nil {
				b.Fatal(err)
			}
			made++
		}
	}
	return f
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkForest measures a forest of SPOOR_CLUSTER_EVIDENCE pieces of evidence, a million if it is not said:
//
//	SPOOR_CLUSTER_EVIDENCE=10000000 go test ./attribute/cluster -run xxx -bench Forest -benchtime 1x
func BenchmarkForest(b *testing.B) {
	n := 1_000_000
	if s := os.Getenv("SPOOR_CLUSTER_EVIDENCE"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	before := heap()
	start := time.Now()
	f := grow(b, n)
	took := time.Since(start)
	held := heap() - before
	evidence, accounts, clusters := f.Len()
	largest := node(1)
	for i := range f.nodes {
		if n := node(i + 1); f.at(n).parent == n && f.at(n).size > f.at(largest).size {
			largest = n
		}
	}
	b.Logf("%d pieces of evidence, %d accounts, %d clusters, the largest of %d", evidence, accounts, clusters, f.at(largest).size)
	b.Run("add", func(b *testing.B) {
		b.ReportMetric(float64(took.Nanoseconds())/float64(n), "ns/evidence")
		b.ReportMetric(float64(held)/float64(n), "B/evidence")
		b.ReportMetric(float64(held)/1e6, "MB")
	})
	rng := rand.New(rand.NewPCG(3, 4))
	some := func() flow.Account { return f.accounts[rng.IntN(len(f.accounts))] }
	pairs := make([][2]flow.Account, 1000)
	for i := range pairs {
		a := some()
		members := f.Members(a)
		pairs[i] = [2]flow.Account{a, members[rng.IntN(len(members))]}
	}
	b.Run("same", func(b *testing.B) {
		for i := range b.N {
			f.Same(pairs[i%1000][0], pairs[(i+1)%1000][1])
		}
	})
	b.Run("explain", func(b *testing.B) {
		steps := 0
		for i := range b.N {
			p, _ := f.Explain(pairs[i%1000][0], pairs[i%1000][1])
			steps += len(p.Evidence)
		}
		b.ReportMetric(float64(steps)/float64(b.N), "steps")
	})
	b.Run("strongest", func(b *testing.B) {
		for i := range b.N {
			f.Strongest(pairs[i%1000][0], pairs[i%1000][1])
		}
	})
	var levels *Levels
	b.Run("levels", func(b *testing.B) {
		for range b.N {
			levels = f.Levels()
		}
	})
	b.Run("between", func(b *testing.B) {
		for i := range b.N {
			levels.Between(pairs[i%1000][0], pairs[i%1000][1])
		}
	})
	b.Run("as-of", func(b *testing.B) {
		m := Moment{Places: map[flow.Chain]flow.Pos{flow.Bitcoin: {Height: uint64(n / 8000)}}}
		for i := range b.N {
			f.AsOf(m).Same(pairs[i%1000][0], pairs[i%1000][1])
		}
	})
	b.Run("withdraw", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			id := ID(1 + rng.IntN(n))
			b.StartTimer()
			if err := f.Withdraw(Withdrawal{}, id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("withdraw-of-the-largest", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			n := largest
			for f.at(n).proof == 0 || f.row(f.at(n).proof).state != Joins {
				n = f.at(n).ring
			}
			id := f.at(n).proof
			b.StartTimer()
			if err := f.Withdraw(Withdrawal{}, id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("explain-in-the-largest", func(b *testing.B) {
		for range b.N {
			f.Explain(f.account(largest), f.account(f.at(largest).ring))
		}
	})
	b.Run("strongest-in-the-largest", func(b *testing.B) {
		for range b.N {
			f.Strongest(f.account(largest), f.account(f.at(largest).ring))
		}
	})
	var buf bytes.Buffer
	b.Run("write", func(b *testing.B) {
		for range b.N {
			size, err := f.WriteTo(io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(size)/float64(n), "B/evidence")
		}
	})
	if _, err := f.WriteTo(&buf); err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		for range b.N {
			if _, err := Read(bytes.NewReader(buf.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReadBitcoin reads the transactions of the CoinJoin data: more inputs and outputs than most have.
func BenchmarkReadBitcoin(b *testing.B) {
	txs := dumplings(b, "dumplings__sw_202403.zip", "Scanner/SamouraiPostMixTxs.txt")
	b.ReportAllocs()
	for i := range b.N {
		ReadBitcoin(txs[i%len(txs)], met{}, 0)
	}
}
