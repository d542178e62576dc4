package sim

import (
	"math/rand/v2"

	"github.com/spoor-dev/spoor/flow"
)

// The bounds of an attack.
const (
	mixNotes    = 20 // that a parcel becomes at most
	mixAccounts = 3  // to which they come out
	mixHours    = 8  // median of a thief's note in a mixer; assumed
	mixSigma    = 1
	maxThefts   = 8
	maxOwn      = 90
)

// An attack runs a program. Its chance is its own, apart from that of the traffic around it.
type attack struct {
	w     *world
	rng   *rand.Rand
	used  uint64
	rules map[account]Rule
	mule  account  // 0 if there is none
	fresh *service // the exchange that opens with the theft, nil if there is none
	known map[*service][]account
}

// A parcel is units at an account that the program moves on together; where own money came to them, not all are stolen.
type parcel struct {
	at    account
	asset asset
	units flow.Amount
}

// A plan is the steps that are still before a parcel, and how they are done.
type plan struct {
	steps  []Step
	median float64 // of dwell, seconds
	sigma  float64
	rule   Rule
}

func (c plan) next() plan { c.steps = c.steps[1:]; return c }

// muleHop is the step through the mule; it has no text.
const muleHop Op = "mule"

func newAttack(w *world) *attack {
	a := &attack{w: w, rng: rand.New(rand.NewPCG(w.cfg.Seed, 0xa77ac4)), rules: map[account]Rule{}, known: map[*service][]account{}}
	for _, s := range w.services {
		if s.from > 0 {
			a.fresh = s
		}
	}
	return a
}

// begin lays out the attack.
func (a *attack) begin() {
	c := plan{median: tempoMedian.Seconds(), sigma: tempoSigma, rule: a.w.cfg.Pays}
	if a.w.cfg.Mule > 0 {
		a.mule = a.account()
		a.puppets()
		c.steps = append(c.steps, Step{Op: muleHop})
	}
	var thefts []Step
	for _, s := range a.w.cfg.Program {
		if s.Op == Steal {
			thefts = append(thefts, s)
		} else {
			c.steps = append(c.steps, s)
		}
	}
	for i, s := range thefts {
		a.w.at(a.w.start()+uint32(i), func() { a.steal(s, c) })
	}
}

// account is a new account of the thief's.
func (a *attack) account() account {
	a.used++
	return attackMark | account(a.used)
}

// wait draws a dwell in seconds.
func (a *attack) wait(c plan) float64 {
	return lognormal(a.rng, c.median*float64(a.w.cfg.Slow), c.sigma)
}

// steal takes the loot from a victim and sends it on its way.
func (a *attack) steal(s Step, c plan) {
	w := a.w
	th := theft{source: a.account(), victim: w.other(), asset: assetNumber[s.Asset]}
	th.amount = scaled(s.Amount, baseUnits[th.asset])
	w.open(holding{th.victim, th.asset}, th.amount)
	w.take(holding{th.victim, th.asset}, th.amount, OwnFirst)
	w.give(holding{th.source, th.asset}, th.amount, []lot{{len(w.truth.thefts), th.amount, th.amount}})
	th.row = w.write(w.tx(0), th.victim, th.source, th.asset, th.amount, "theft")
	w.truth.steal(th)
	a.run(parcel{th.source, th.asset, minus(th.amount, a.dust(th))}, c)
}

// arrive lets a parcel that has come to an account go on; some accounts have money of their own.
func (a *attack) arrive(p parcel, c plan) {
	if a.rng.IntN(100) < a.w.cfg.Commingled && a.w.cfg.Commingle > 0 {
		a.commingle(p, c, a.w.cfg.Commingle)
	}
	if a.rng.IntN(100) < a.w.cfg.Ordinary {
		a.ordinary(p)
	}
	a.run(p, c)
}

// run does the next step of a parcel after its dwell.
func (a *attack) run(p parcel, c plan) {
	for len(c.steps) > 0 {
		s := c.steps[0]
		if s.Op == DwellOp {
			c.median, c.sigma = s.Median.Seconds(), s.Sigma
		} else if s.Op == Pays {
			c.rule = s.Rule
		} else {
			break
		}
		c = c.next()
	}
	if len(c.steps) == 0 || p.units.IsZero() || c.steps[0].Op == Rest {
		return
	}
	wait := a.wait(c)
	if c.steps[0].Op == Deposit {
		a.decoys(p, wait)
	}
	a.w.after(wait, func() { a.step(p, c) })
}

func (a *attack) step(p parcel, c plan) {
	s := c.steps[0]
	switch s.Op {
	case Hop:
		if s.N > 1 {
			s.N--
			c.steps = append([]Step{s}, c.steps[1:]...)
		} else {
			c = c.next()
		}
		a.hop(p, a.account(), c, "hop")
	case muleHop:
		a.hop(p, a.mule, c.next(), "mule")
	case Split:
		a.split(p, s.N, c)
	case Peel:
		a.peel(p, s, c)
	case Swap:
		a.swap(p, assetNumber[s.Asset].on(p.asset.chain()), c.next())
	case Bridge:
		a.bridge(p, c.next())
	case Mix:
		a.mix(p, c.next())
	case Commingle:
		a.commingle(p, c, s.Own)
		a.run(p, c.next())
	case Deposit:
		a.deposit(p, c)
	case Broker:
		a.broker(p, c)
	case PatternOp:
		a.pattern(p, s, c.next())
	}
}

// rule is how an account chooses the coins that it pays.
func (a *attack) rule(who account, c plan) Rule {
	if r, ok := a.rules[who]; ok {
		return r
	}
	r := c.rule
	if r == AnyRule {
		r = [...]Rule{StolenFirst, OwnFirst, Mixed}[a.rng.IntN(3)]
	}
	a.rules[who] = r
	return r
}

// pay moves up to v units between accounts of the thief's and notes what it carried. It returns what was paid; nothing is
// paid where nothing is left.
func (a *attack) pay(from, to account, as asset, v flow.Amount, c plan, step string) (flow.Amount, *row) {
	w := a.w
	v = v.Min(w.balance[holding{from, as}])
	if v.IsZero() {
		return v, nil
	}
	lots := w.take(holding{from, as}, v, a.rule(from, c))
	w.give(holding{to, as}, v, lots)
	r := w.write(w.tx(as.chain()), from, to, as, v, kindOf(lots, "own_funds"))
	a.note(r, lots, nil, step)
	return v, r
}

// kindOf is what a payment counts as: truth if it moves stolen units.
func kindOf(lots []lot, otherwise string) string {
	if len(lots) > 0 {
		return "truth"
	}
	return otherwise
}

// note notes a payment of the thief's that carried stolen units, and sends a likeness of it between strangers.
func (a *attack) note(r *row, lots []lot, to *service, step string) {
	if len(lots) == 0 {
		return
	}
	a.w.truth.carry(r, lots, to, step)
	if a.rng.IntN(100) < a.w.cfg.Duplicates {
		a.likeness(r.asset, r.amount, a.rng.Float64()*3600)
	}
}

func (a *attack) hop(p parcel, to account, c plan, step string) {
	v, _ := a.pay(p.at, to, p.asset, p.units, c, step)
	a.arrive(parcel{to, p.asset, v}, c)
}

// parts divides v into n parts between a third below and a third above the mean, or now and then equal ones.
func (a *attack) parts(v flow.Amount, n int) []flow.Amount {
	weights := make([]flow.Amount, n)
	equal := a.rng.IntN(3) == 0
	for i := range weights {
		weights[i] = flow.NewAmount(100)
		if !equal {
			weights[i] = flow.NewAmount(67 + a.rng.Uint64N(67))
		}
	}
	return flow.Split(v, weights)
}

// split pays fresh accounts one after the other.
func (a *attack) split(p parcel, n int, c plan) {
	wait := 0.0
	for _, v := range a.parts(p.units, n) {
		to := a.account()
		do := func() {
			v, _ := a.pay(p.at, to, p.asset, v, c, "split")
			a.arrive(parcel{to, p.asset, v}, c.next())
		}
		if wait == 0 {
			do()
		} else {
			a.w.after(wait, do)
		}
		wait += a.wait(c) / 10
	}
}

// peel takes a share off and sends the rest on.
func (a *attack) peel(p parcel, s Step, c plan) {
	share := uint64(s.Low + a.rng.IntN(s.High-s.Low+1))
	off := times(p.units, share, 100)
	rest := minus(p.units, off)
	side := c
	side.steps = []Step{{Op: s.To}}
	to := a.account()
	if s.To == Rest {
		a.pay(p.at, to, p.asset, off, c, "peel")
	} else {
		a.step(parcel{p.at, p.asset, off}, side)
	}
	if s.N > 1 {
		s.N--
		c.steps = append([]Step{s}, c.steps[1:]...)
	} else {
		c = c.next()
	}
	a.hop(parcel{p.at, p.asset, rest}, a.account(), c, "peel")
}

func (a *attack) swap(p parcel, get asset, c plan) {
	w := a.w
	v := p.units.Min(w.balance[holding{p.at, p.asset}])
	pool := w.poolOf(p.asset, get)
	if pool == nil || w.quote(pool, p.asset, get, v).IsZero() {
		a.run(p, c)
		return
	}
	var router *service
	if routers := w.of("router"); a.rng.IntN(2) == 0 {
		router = routers[a.rng.IntN(len(routers))]
	}
	out, rows, lots := w.swap(p.at, pool, p.asset, get, v, router, a.rule(p.at, c), "swap_leg")
	if len(lots) > 0 {
		for _, r := range rows {
			w.truth.neutral(r, "swap_leg")
		}
	}
	a.run(parcel{p.at, get, out}, c)
}

func (a *attack) bridge(p parcel, c plan) {
	w := a.w
	v := p.units.Min(w.balance[holding{p.at, p.asset}])
	if v.IsZero() {
		return
	}
	bridges := w.of("bridge")
	s := bridges[a.rng.IntN(len(bridges))]
	to := p.at
	if a.rng.IntN(3) > 0 {
		to = a.account()
	}
	in, lots := w.bridge(s, p.at, to, p.asset, v, a.rule(p.at, c), "own_funds", func(out *row, lots []lot) {
		if len(lots) > 0 {
			w.truth.leave(s, out, lots, "bridge")
		}
		a.arrive(parcel{to, out.asset, out.amount}, c)
	})
	a.note(in, lots, s, "bridge")
}

// mix pays as much as fits in notes into a mixer. What comes out at an account goes on when its last note is there; what
// does not fill a note rests.
func (a *attack) mix(p parcel, c plan) {
	w := a.w
	mixers := w.of("mixer")
	s := mixers[a.rng.IntN(len(mixers))]
	var notes []flow.Amount
	left := p.units.Min(w.balance[holding{p.at, p.asset}])
	for _, size := range noteSizes(p.asset) {
		for len(notes) < mixNotes && !left.Less(size) {
			notes = append(notes, size)
			left = minus(left, size)
		}
	}
	var to [mixAccounts]account
	var due [mixAccounts]int
	var sum [mixAccounts]flow.Amount
	for i := range to {
		to[i] = a.account()
	}
	for i := range notes {
		due[i%mixAccounts]++
	}
	wait := 0.0
	for i, size := range notes {
		k := i % mixAccounts
		w.after(wait, func() {
			v := size.Min(w.balance[holding{p.at, p.asset}])
			if v.Less(size) {
				return
			}
			hours := lognormal(a.rng, mixHours*3600*float64(w.cfg.Slow), mixSigma)
			in, lots := w.mix(s, p.at, to[k], p.asset, size, a.rule(p.at, c), "own_funds", hours, func(out *row, lots []lot) {
				if len(lots) > 0 {
					w.truth.leave(s, out, lots, "mix")
				}
				sum[k] = plus(sum[k], size)
				if due[k]--; due[k] == 0 {
					a.arrive(parcel{to[k], p.asset, sum[k]}, c)
				}
			})
			a.note(in, lots, s, "mix")
		})
		wait += a.wait(c) / 10
	}
}

// commingle gives the account of a parcel money of its own first, so that this is share per cent of the balance, and lets
// as much go to an exchange in time.
func (a *attack) commingle(p parcel, c plan, share int) {
	w := a.w
	own := times(p.units, uint64(share), uint64(100-share))
	if own.IsZero() {
		return
	}
	payers := w.of("exchange")
	w.payOut(w.tx(p.asset.chain()), payers[a.rng.IntN(len(payers))], p.at, p.asset, own, "own_funds")
	side := c
	side.steps = []Step{{Op: Deposit}}
	w.after(a.wait(c)+a.wait(c), func() { a.deposit(parcel{p.at, p.asset, own}, side) })
}

// deposit pays to a deposit address of an exchange, half of the time to one that was used before.
func (a *attack) deposit(p parcel, c plan) {
	w := a.w
	some := w.of("exchange")
	s := some[a.rng.IntN(len(some))]
	if a.fresh != nil && a.rng.IntN(2) == 0 {
		s = a.fresh
	}
	via := account(0)
	if known := a.known[s]; len(known) > 0 && a.rng.IntN(2) == 0 {
		via = known[a.rng.IntN(len(known))]
	} else {
		via = s.depositAddress(a.account())
		a.known[s] = append(a.known[s], via)
		w.keepers[via] = s
	}
	if v, _ := a.pay(p.at, via, p.asset, p.units, c, "deposit"); !v.IsZero() {
		w.sweepLater(s, via, p.asset)
	}
}

// broker pays to somebody who buys coins from many.
func (a *attack) broker(p parcel, c plan) {
	w := a.w
	v := p.units.Min(w.balance[holding{p.at, p.asset}])
	if v.IsZero() {
		return
	}
	brokers := w.of("broker")
	s := brokers[a.rng.IntN(len(brokers))]
	r, lots := w.payIn(w.tx(p.asset.chain()), s, p.at, p.asset, v, a.rule(p.at, c), "own_funds")
	a.note(r, lots, s, "broker")
}
