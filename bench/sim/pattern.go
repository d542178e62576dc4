package sim

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// pattern does one of the eight shapes, and lets what comes out of it go on.
func (a *attack) pattern(p parcel, s Step, c plan) {
	in := &planted{name: s.Pattern}
	a.w.truth.instances = append(a.w.truth.instances, in)
	one := []parcel{p}
	onward := func(out []parcel) {
		for _, q := range out {
			a.arrive(q, c)
		}
	}
	// A layer that leads to the shape is not part of it.
	switch s.Pattern {
	case "fan-out":
		a.layer(one, s.N, c, in, onward)
	case "fan-in":
		a.layer(one, s.N, c, nil, func(q []parcel) { a.layer(q, 1, c, in, onward) })
	case "gather-scatter":
		a.layer(one, s.N, c, nil, func(q []parcel) {
			a.layer(q, 1, c, in, func(q []parcel) { a.layer(q, s.N, c, in, onward) })
		})
	case "scatter-gather":
		a.layer(one, s.N, c, in, func(q []parcel) { a.layer(q, 1, c, in, onward) })
	case "bipartite":
		a.layer(one, s.N, c, nil, func(q []parcel) { a.layer(q, s.N, c, in, onward) })
	case "stack":
		a.layer(one, s.N, c, nil, func(q []parcel) {
			a.layer(q, s.N, c, in, func(q []parcel) { a.layer(q, s.N, c, in, onward) })
		})
	case "cycle":
		a.cycle(p, p.at, s.N, c, in)
	case "random":
		accounts := []account{p.at}
		for range s.N {
			accounts = append(accounts, a.account())
		}
		a.wander(p.asset, accounts, 2*s.N, c, in)
	}
}

// layer lets every parcel pay n fresh accounts in parts, one payment after the other, and goes on when all have paid.
func (a *attack) layer(from []parcel, n int, c plan, in *planted, done func([]parcel)) {
	out := make([]parcel, n)
	for i := range out {
		out[i] = parcel{at: a.account(), asset: from[0].asset}
	}
	due := len(from) * n
	for _, p := range from {
		wait := a.wait(c)
		for i, v := range a.parts(p.units, n) {
			a.w.after(wait, func() {
				v := a.link(p.at, out[i].at, p.asset, v, c, in)
				out[i].units = plus(out[i].units, v)
				if due--; due == 0 {
					done(out)
				}
			})
			wait += a.wait(c) / 10
		}
	}
}

// link is one payment of a shape.
func (a *attack) link(from, to account, as asset, v flow.Amount, c plan, in *planted) flow.Amount {
	step := "lead"
	if in != nil {
		step = in.name
	}
	v, r := a.pay(from, to, as, v, c, step)
	if r != nil && in != nil {
		in.txs = append(in.txs, r.tx)
		for _, who := range [...]account{from, to} {
			if !slices.Contains(in.accounts, who) {
				in.accounts = append(in.accounts, who)
			}
		}
	}
	return v
}

// cycle pays from account to account, each keeping up to 2 %, and back to the first after n payments.
func (a *attack) cycle(p parcel, home account, n int, c plan, in *planted) {
	a.w.after(a.wait(c), func() {
		to := home
		if n > 1 {
			to = a.account()
		}
		v := a.link(p.at, to, p.asset, times(p.units, 98+a.rng.Uint64N(3), 100), c, in)
		q := parcel{to, p.asset, v}
		if n > 1 {
			a.cycle(q, home, n-1, c, in)
		} else {
			a.arrive(q, c)
		}
	})
}

// wander pays parts between accounts at random, left times, and then lets all go on.
func (a *attack) wander(as asset, among []account, left int, c plan, in *planted) {
	a.w.after(a.wait(c), func() {
		var rich []parcel
		for _, who := range among {
			if v := a.w.balance[holding{who, as}]; !v.IsZero() {
				rich = append(rich, parcel{who, as, v})
			}
		}
		if left == 0 || len(rich) == 0 {
			for _, p := range rich {
				a.arrive(p, c)
			}
			return
		}
		p := rich[a.rng.IntN(len(rich))]
		to := among[a.rng.IntN(len(among))]
		if to != p.at {
			a.link(p.at, to, as, times(p.units, 30+a.rng.Uint64N(71), 100), c, in)
		}
		a.wander(as, among, left-1, c, in)
	})
}
