package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

func quantile(of []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(of))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// near fails unless got is within a factor of want.
func near(t *testing.T, what string, got, want, factor float64) {
	t.Helper()
	if got < want/factor || got > want*factor {
		t.Errorf("%s is %.4g; want %.4g within a factor of %.2g", what, got, want, factor)
	}
}

func whole(v flow.Amount, unit uint64) float64 {
	f, _ := v.Big().Float64()
	return f / float64(unit)
}

// The drawn shapes have the quantiles that were measured.
func TestDrawnShapes(t *testing.T) {
	const n = 40_000
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(f func() float64) []float64 {
		all := make([]float64, n)
		for i := range all {
			all[i] = f()
		}
		return all
	}
	eth := draw(func() float64 { return whole(etherAmount(rng), 1e18) })
	near(t, "ether p10", quantile(eth, .1), 0.0071, 1.2)
	near(t, "ether median", quantile(eth, .5), 0.125, 1.2)
	near(t, "ether p90", quantile(eth, .9), 4.21, 1.2)
	near(t, "ether p99", quantile(eth, .99), 113, 1.7)
	tether := draw(func() float64 { return whole(stableAmount(rng, usdtSpread), 1e6) })
	near(t, "USDT p10", quantile(tether, .1), 90, 1.2)
	near(t, "USDT median", quantile(tether, .5), 1232, 1.2)
	near(t, "USDT p90", quantile(tether, .9), 75_000, 1.2)
	latency := draw(func() float64 { return bridgeLatency(rng) })
	near(t, "bridge p1", quantile(latency, .01), 1932, 1.1)
	near(t, "bridge median", quantile(latency, .5), 2606, 1.1)
	near(t, "bridge p90", quantile(latency, .9), 21_599, 1.2)
	near(t, "bridge p99", quantile(latency, .99), 37_275, 1.2)
	tempo := draw(func() float64 { return lognormal(rng, tempoMedian.Seconds(), tempoSigma) })
	near(t, "tempo median", quantile(tempo, .5), 276, 1.05)
	fast := 0
	for _, x := range tempo {
		if x < 600 {
			fast++
		}
	}
	if share := float64(fast) / n; math.Abs(share-.69) > .01 {
		t.Errorf("%.3f of the waits are below ten minutes; want .69", share)
	}
	single := 0
	for range n {
		if rowsOfTx(rng) == 1 {
			single++
		}
	}
	if share := float64(single) / n; math.Abs(share-.802) > .01 {
		t.Errorf("%.3f of the transactions have one transfer; want .802", share)
	}
}

// A sample of the traffic, as large as the one that was measured, has its degrees: p90 2, p95 4, p99 19, p99.9 114, and
// the busiest 417. Sweeps, withdrawals and pools come on top of what is drawn.
func TestTrafficHasTheDegreesOfTheChain(t *testing.T) {
	s, err := FindScenario("peel-tree")
	if err != nil {
		t.Fatal(err)
	}
	c := s.Config
	c.Seed, c.Accounts, c.Transfers, c.Days = 4, 100_000, 30_000, 5
	w := newWorld(c.withDefaults())
	degree := map[account]float64{}
	n, ethers := 0, 0
	err = w.play(t.Context(), nil, func(_ int, rows []*row) error {
		for _, r := range rows {
			if n++; n > 15_000 && n <= 15_000+4617 {
				degree[r.from]++
				degree[r.to]++
				if r.asset == ether {
					ethers++
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "rows", float64(n), 30_000, 1.01)
	var all []float64
	for _, d := range degree {
		all = append(all, d)
	}
	near(t, "accounts", float64(len(all)), 4409, 1.3)
	near(t, "degree p50", quantile(all, .5), 1, 1)
	near(t, "degree p90", quantile(all, .9), 2, 1.5)
	near(t, "degree p95", quantile(all, .95), 4, 1.6)
	near(t, "degree p99", quantile(all, .99), 19, 1.7)
	near(t, "degree p99.9", quantile(all, .999), 114, 1.8)
	near(t, "busiest", quantile(all, 1), 417, 2.2)
	near(t, "share of ether", float64(ethers)/4617, etherShare, 1.15)
}
