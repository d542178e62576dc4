package rank

import (
	"fmt"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// peels is a chain of payments off a theft, among payments of strangers: every tenth is of the thief's.
func peels(n int) []flow.Tx {
	var txs []flow.Tx
	for i := range n {
		m := move(fmt.Sprint("from", i*7919%5000), fmt.Sprint("to", i), coin, 5)
		if i%10 == 0 {
			hop, rest := i/20, uint64(1_000_000-i/2)
			m = move(fmt.Sprint("hop", hop), fmt.Sprint("hop", hop+1), coin, rest-5)
			if i%20 == 0 {
				m = move(fmt.Sprint("hop", hop), fmt.Sprint("peel", hop), coin, 5)
			}
		}
		txs = append(txs, tx(uint64(i+1), m))
	}
	return txs
}

// hub is a theft that is paid into an account with very many customers.
func hub(n int) []flow.Tx {
	txs := []flow.Tx{tx(1, move("hop0", "hub", coin, 1000))}
	for i := range n - 1 {
		txs = append(txs, tx(uint64(i+2), move("hub", fmt.Sprint("to", i), coin, 5)))
	}
	return txs
}

func BenchmarkStream(b *testing.B) {
	for _, kind := range []string{"untouched", "peel-chain", "hub"} {
		txs, source := peels(20_000), "hop0"
		switch kind {
		case "untouched":
			source = "nobody-pays-here"
		case "hub":
			txs = hub(20_000)
		}
		theft := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: who(source), Asset: coin}}}
		for _, w := range []Weight{Linear, Log} {
			for _, undo := range []int{0, 1000} {
				b.Run(fmt.Sprintf("%s/%s/undo=%d", kind, w, undo), func(b *testing.B) {
					b.ReportAllocs()
					var held int
					for b.Loop() {
						s, err := NewStream(theft, StreamOptions{Weight: w, UndoDepth: undo})
						if err != nil {
							b.Fatal(err)
						}
						for i := range txs {
							if err := s.Apply(txs[i]); err != nil {
								b.Fatal(err)
							}
						}
						held = len(s.nodes)
					}
					b.ReportMetric(float64(len(txs))*float64(b.N)/b.Elapsed().Seconds(), "payments/s")
					b.ReportMetric(float64(held), "nodes")
				})
			}
		}
	}
}

func BenchmarkExplore(b *testing.B) {
	w := &indexed{views: map[flow.Account][]trace.View{}}
	for _, tx := range peels(20_000) {
		for _, a := range []flow.Account{tx.Movements[0].In[0].Account, tx.Movements[0].Out[0].Account} {
			w.views[a] = append(w.views[a], trace.View{Tx: tx})
		}
	}
	theft := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: who("hop0"), Asset: coin}}}
	var visited int
	for b.Loop() {
		visited = len(explore(b, w, theft, Options{}).Visited)
	}
	b.ReportMetric(float64(visited)*float64(b.N)/b.Elapsed().Seconds(), "visits/s")
}
