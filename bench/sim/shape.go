package sim

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/spoor-dev/spoor/flow"
)

// The shape of ordinary traffic, fitted offline to the 4,617 value transfers of 20 Ethereum blocks that were extracted
// from flashbots/mev-inspect-py @ ce8179f (MIT): 2,173 of ether, 2,444 of 451 tokens, between 4,409 accounts.
const (
	// Ends of transfers: a share is accounts that are drawn evenly from all, the others follow rank^-s over the active
	// accounts. Degrees of a sample of that size, fitted and measured: p90 2 and 2, p95 4 and 4, p99 16 and 19, p99.9 103
	// and 114, busiest 473 and 417.
	newcomers    = 0.35
	rankExponent = 0.9
	activeCount  = 3000

	// Shares of the transfers by asset.
	etherShare = 0.4707
	usdtShare  = 0.0953
	usdcShare  = 0.0444
	tokenCount = 449 // the others, by rank^-0.9

	wholeStable = 0.426 // share of USDT and USDC amounts that are whole units
)

// A spread is a lognormal whose lower half is narrower than its upper half: the median of whole units, and the standard
// deviations of the logarithm below and above it.
type spread struct{ median, low, high float64 }

// Amounts, fitted to p10, p50 and p90: ether 0.0071, 0.125, 4.21 (p99 74 against 113 measured); USDT 90, 1,232, 75,000 (p99
// 2.1 M against 0.87 M); USDC 195, 2,977, 274,219, of which the last is drawn as 180,000 for the sake of p99 (5 M against 4.5 M).
var (
	etherSpread = spread{0.125, 2.235, 2.745}
	usdtSpread  = spread{1232, 2.04, 3.205}
	usdcSpread  = spread{2977, 2.13, 3.2}
)

func (s spread) draw(rng *rand.Rand) float64 {
	x := rng.NormFloat64()
	if x < 0 {
		return s.median * math.Exp(x*s.low)
	}
	return s.median * math.Exp(x*s.high)
}

// etherDigits[i] is the share of ether amounts with at most i+1 significant digits; all others have all their digits.
var etherDigits = [9]float64{.134, .253, .329, .383, .420, .468, .565, .644, .661}

// rowShares[i] is the share of transactions with at most i+1 transfers; of the others sizes fall off by a quarter each.
var rowShares = [4]float64{.802, .853, .880, .961}

// The latency of a bridge, fitted to 11,410 deposits of the Nomad bridge (AndreAugusto11/XChainWatcher @ 4cc1ff1, MIT):
// median 2,606 s, p90 21.6 k s, p99 37.3 k s. A fast part stands on a fixed wait, a slow one does not.
const (
	bridgeFast                      = 0.612
	bridgeFloor                     = 1880
	bridgeFastMu, bridgeFastSigma   = 6.12, 0.54
	bridgeSlowMu, bridgeSlowSigma   = 9.55, 0.53
	mixerWaitHours, mixerWaitSigma  = 20, 1.5 // assumed, not measured
	sweepWaitSeconds, sweepWaitWide = 600, 1.0
)

// Tempo of the two cases of LaunderNetEvm41 that were measured: median between in and next out 276 s and 408 s, share
// below ten minutes .69 and .58, which give these lognormals. Programs use the first unless they say otherwise.
const (
	tempoMedian = 276 * time.Second
	tempoSigma  = 1.57 // (ln 600 - ln 276) / z(.69)
)

// A zipf draws ranks 0 to n-1 with probability ~ (rank+1)^-rankExponent.
type zipf struct{ sums []float64 }

func newZipf(n int) zipf {
	z := zipf{make([]float64, n)}
	sum := 0.0
	for i := range n {
		sum += math.Pow(float64(i+1), -rankExponent)
		z.sums[i] = sum
	}
	return z
}

func (z zipf) draw(rng *rand.Rand) int {
	x := rng.Float64() * z.sums[len(z.sums)-1]
	return min(sort.SearchFloat64s(z.sums, x), len(z.sums)-1)
}

// lognormal draws a wait with that median, at least a second and at most a year.
func lognormal(rng *rand.Rand, median, sigma float64) float64 {
	return min(max(median*math.Exp(rng.NormFloat64()*sigma), 1), 365*86400)
}

func bridgeLatency(rng *rand.Rand) float64 {
	if rng.Float64() < bridgeFast {
		return bridgeFloor + lognormal(rng, math.Exp(bridgeFastMu), bridgeFastSigma)
	}
	return lognormal(rng, math.Exp(bridgeSlowMu), bridgeSlowSigma)
}

// rowsOfTx draws how many transfers a transaction has.
func rowsOfTx(rng *rand.Rand) int {
	x := rng.Float64()
	for i, p := range rowShares {
		if x < p {
			return i + 1
		}
	}
	n := 5
	for n < 220 && rng.IntN(4) > 0 {
		n++
	}
	return n
}

// etherAmount draws an amount of ether in wei.
func etherAmount(rng *rand.Rand) flow.Amount {
	gwei := uint64(min(max(etherSpread.draw(rng)*1e9, 1), 1e15))
	low := rng.Uint64N(1e9)
	x := rng.Float64()
	for i, p := range etherDigits {
		if x < p {
			return scaled(roundTo(gwei, i+1), 1e9)
		}
	}
	v, _ := scaled(gwei, 1e9).Add(flow.NewAmount(low))
	return v
}

// stableAmount draws an amount of a token of six decimals whose unit is a dollar.
func stableAmount(rng *rand.Rand, s spread) flow.Amount {
	v := uint64(min(max(s.draw(rng)*1e6, 1), 1e15))
	if rng.Float64() < wholeStable {
		v = max(v/1e6, 1) * 1e6
	}
	return flow.NewAmount(v)
}

// tokenAmount draws an amount of some token of 18 decimals.
func tokenAmount(rng *rand.Rand) flow.Amount {
	return scaled(uint64(min(max(usdtSpread.draw(rng)*1e3, 1), 1e15)), 1e15)
}

// roundTo keeps that many significant digits of n.
func roundTo(n uint64, digits int) uint64 {
	unit := uint64(1)
	for m := n; m >= pow10(digits); m /= 10 {
		unit *= 10
	}
	return max(n/unit*unit, 1)
}

func pow10(n int) uint64 {
	v := uint64(1)
	for range n {
		v *= 10
	}
	return v
}

// scaled is n·unit.
func scaled(n, unit uint64) flow.Amount {
	hi, lo := bits.Mul64(n, unit)
	return flow.AmountFromWords([4]uint64{lo, hi})
}

// mix64 is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
