package detect

import (
	"fmt"
	"math/bits"
	"slices"
)

// tempoState is how fast the money of one theft was handed on of late.
type tempoState struct {
	count  int   // of all delays
	recent []hop // the newest of them
}

// A hop is one payment with the time since its money came.
type hop struct {
	t     *transfer
	delay int64 // seconds
	ratio int64 // what it says for a machine, in millionths of a natural logarithm
}

// maxHops bounds how many delays are weighed together.
const maxHops = 64

// tempo: money is handed on as fast as a program does it. For each payment the time since the payer's newest stolen money
// came is weighed: by the logarithm of how likely it is under the fast lognormal, against the slow one. The hours of the
// day are tested beside it (Rayleigh): a person sleeps. All of it is computed in whole numbers, so that it is the same on
// every machine.
func tempo(s *scene) []match {
	t := s.t
	if t == nil || t.Swap == OutOfSwap {
		return nil
	}
	n := s.graph.of(t.From, t.Asset)
	got, gave := lastBefore(n.in, t), lastBefore(n.out, t)
	if got == nil || gave != nil && gave.seq > got.seq || len(n.out) > 1 && txOf(n.out[len(n.out)-2].At) == txOf(t.At) {
		return nil
	}
	delay := t.when - got.when
	state := s.tempos.of[t.Theft]
	recent := state.recent[max(0, len(state.recent)-maxHops+1):]
	state.recent = append(slices.Clip(recent), hop{t, delay, s.rule.ratio(delay)})
	state.count++
	s.tempos.set(&s.log, t.Theft, state)

	least, threshold := int(s.rule.number("delays")), s.rule.number("threshold")
	var sum int64
	var delays []int64
	for _, h := range state.recent {
		sum += h.ratio
		delays = append(delays, h.delay)
	}
	sum /= 1000 // thousandths
	if len(state.recent) < least || sum < max(threshold, 1) || s.isSaid(t.Theft, state.count, 0) {
		return nil
	}
	m := match{subject: t.Theft, size: state.count, omitted: state.count - len(state.recent), score: int(1000 * sum / max(threshold, 1))}
	for _, h := range state.recent {
		m.evidence = append(m.evidence, h.t)
		if h.ratio > 0 && !slices.Contains(m.subjects, h.t.From) {
			m.subjects = append(m.subjects, h.t.From)
		}
	}
	slices.Sort(delays)
	m.sentence = fmt.Sprintf("The last %d times stolen money was handed on half of it took at most %s; that speaks for a program by %d.%d (natural logarithm of the odds). %s",
		len(delays), words(delays[len(delays)/2]), sum/1000, sum%1000/100, hours(m.evidence, s.rule.number("hours_span"), s.rule.number("hours_z")))
	return []match{m}
}

// ratio is the logarithm, in millionths, of how much likelier a delay is for a program than for a person, within the cap.
func (r *Rule) ratio(delay int64) int64 {
	y := ln(max(delay, r.number("fast_median"))) // the slow component is broad: it would claim the fastest as well
	squares := func(median, spread string) int64 {
		d, sigma := y-ln(r.number(median)), r.number(spread)
		return d * d / (2 * sigma * sigma)
	}
	fast, slow := r.number("fast_spread"), r.number("slow_spread")
	ratio := ln(slow) - ln(fast) + squares("slow_median", "slow_spread") - squares("fast_median", "fast_spread")
	limit := 1000 * r.number("cap")
	return max(-limit, min(ratio, limit))
}

// ln is the natural logarithm of a whole number above 0, in millionths, rounded down.
func ln(x int64) int64 {
	n := bits.Len64(uint64(x)) - 1
	m := uint64(x) << (63 - n) // x/2^n as 1.63 bits
	log := uint64(n) << 32     // the binary logarithm, 32.32 bits
	for bit := uint64(1) << 31; bit > 0; bit >>= 1 {
		high, low := bits.Mul64(m, m) // 2.126 bits
		if high>>63 == 1 {
			log |= bit
			m = high
		} else {
			m = high<<1 | low>>63
		}
	}
	high, low := bits.Mul64(log, 693147180560) // ln 2 in 10^-12
	return int64((high<<32 | low>>32) / 1_000_000)
}

// cosines are those of whole hours of a day, in millionths.
var cosines = [24]int64{1000000, 965926, 866025, 707107, 500000, 258819, 0, -258819, -500000, -707107, -866025, -965926,
	-1000000, -965926, -866025, -707107, -500000, -258819, 0, 258819, 500000, 707107, 866025, 965926}

// hours tests whether the hours of the day, in UTC, are spread evenly (Rayleigh), and says so. The statistic is n·R²,
// whose chance under even hours is about e to the minus itself.
func hours(all []*transfer, least, z int64) string {
	if span(all) < least {
		return fmt.Sprintf("The hours of the day say nothing: all of it was within %s.", words(max(span(all), 1)))
	}
	var c, sn int64
	for _, t := range all {
		h := t.when / 3600 % 24
		c += cosines[h]
		sn += cosines[(h+18)%24]
	}
	n := int64(len(all))
	stat := (c/1000*(c/1000) + sn/1000*(sn/1000)) / n / 1000 // thousandths
	r := root(stat * 1000 / n)                               // thousandths
	verdict := "spread evenly over the day, as a program's are"
	if stat >= z {
		verdict = "bunched, as a person's are: somebody may start the program"
	}
	return fmt.Sprintf("The hours are %s (Rayleigh R 0.%03d, n·R² %d.%d).", verdict, min(r, 999), stat/1000, stat%1000/100)
}

// root is the square root of a whole number below 2^40, rounded down.
func root(v int64) int64 {
	var r int64
	for bit := int64(1) << 20; bit > 0; bit >>= 1 {
		if (r+bit)*(r+bit) <= v {
			r += bit
		}
	}
	return r
}
