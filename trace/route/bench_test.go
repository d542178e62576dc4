package route

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// A maze is a search that is done: so many transfers between so many accounts at random places, small and large, from
// the giver at the one end to the taker at the other.
func maze(seed uint64, accounts, transfers int) *search {
	rng := rand.New(rand.NewPCG(seed, 0))
	q := Question{From: who(story, "a"), To: who(story, "b"), Asset: gold}
	s := newSearch(&memGraph{}, q, Options{})
	for len(s.holders) < accounts {
		s.holders = append(s.holders, holder{account: who(story, fmt.Sprintf("n%d", len(s.holders)))})
	}
	for i := range transfers {
		from, to := int32(rng.IntN(accounts)), int32(rng.IntN(accounts))
		if from == taking || to == giving || from == to {
			continue
		}
		if i%50 == 0 { // both ends take part all the time
			from = giving
		} else if i%50 == 1 {
			to = taking
		}
		if from == to {
			continue
		}
		v := num(1 + rng.Uint64N(1<<uint(rng.IntN(40))))
		var id flow.Hash = sha256.Sum256(fmt.Append(nil, i))
		s.forward.events = append(s.forward.events, event{tx: id, at: flow.Pos{Height: uint64(i)},
			in: []leg{{holder: from, amount: v}}, out: []leg{{holder: to, amount: v}}})
	}
	return s
}

func BenchmarkMaximum(b *testing.B) {
	for _, size := range []struct{ accounts, transfers int }{{1_000, 10_000}, {10_000, 100_000}, {1_000, 100_000}} {
		b.Run(fmt.Sprintf("accounts-%d/transfers-%d", size.accounts, size.transfers), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				s := maze(1, size.accounts, size.transfers)
				b.StartTimer()
				n, err := newNetwork(s, flow.Amount{})
				if err != nil {
					b.Fatal(err)
				}
				greedy := n.greedy()
				v, err := n.maximum(context.Background(), greedy)
				if err != nil {
					b.Fatal(err)
				}
				paths, _ := n.paths(1000, v)
				b.ReportMetric(float64(n.transfers), "transfers")
				b.ReportMetric(float64(len(n.arcs)), "arcs")
				b.ReportMetric(float64(len(paths)), "paths")
				g, _ := greedy.Uint64()
				m, _ := v.Uint64()
				b.ReportMetric(float64(g)/float64(m), "greedy/max")
			}
		})
	}
}
