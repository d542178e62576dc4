package sim

import (
	"github.com/spoor-dev/spoor/flow"
)

// A traffic is the ordinary life of a case: who pays whom when nobody steals.
type traffic struct {
	w      *world
	ranks  zipf
	tokens zipf
	hubs   []*service // the first ranks
}

func newTraffic(w *world) *traffic {
	t := &traffic{w: w, ranks: newZipf(min(w.cfg.Accounts, max(activeCount, w.cfg.Accounts/20))), tokens: newZipf(tokenCount)}
	for _, s := range w.services {
		if s.kind == "exchange" || s.kind == "bridge" || s.kind == "mixer" || s.kind == "broker" {
			t.hubs = append(t.hubs, s)
		}
	}
	w.rng.Shuffle(len(t.hubs), func(i, k int) { t.hubs[i], t.hubs[k] = t.hubs[k], t.hubs[i] })
	return t
}

// slot makes about as many transfers as are due in a slot of the rest of the case.
func (t *traffic) slot(want int) {
	w := t.w
	for first := w.rows; w.rows-first < want; {
		chain := 0
		if w.chains > 1 && w.rng.IntN(5) == 0 {
			chain = 1
		}
		before := w.rows
		switch n := rowsOfTx(w.rng); {
		case n == 1:
			t.payment(chain)
		case n == 2:
			t.swap(chain, nil)
		case n <= 4:
			routers := w.of("router")
			t.swap(chain, routers[w.rng.IntN(len(routers))])
		default:
			t.batch(chain, n)
		}
		if w.rows == before {
			want-- // nothing came of it: do not try for ever
		}
	}
}

// end draws a payer or a payee: a service, or a user.
func (t *traffic) end() (account, *service) {
	w := t.w
	if w.rng.Float64() < newcomers {
		return account(1 + w.rng.IntN(w.cfg.Accounts)), nil
	}
	rank := t.ranks.draw(w.rng)
	if rank < len(t.hubs) {
		if s := t.hubs[rank]; s.from <= w.slot {
			return 0, s
		}
	}
	return account(1 + mix64(uint64(rank))%uint64(w.cfg.Accounts)), nil
}

// user draws a user.
func (t *traffic) user() account {
	for {
		if u, s := t.end(); s == nil {
			return u
		}
	}
}

// asset draws what is paid, and how much.
func (t *traffic) asset(chain int) (asset, flow.Amount) {
	rng := t.w.rng
	switch x := rng.Float64(); {
	case x < etherShare:
		return ether.on(chain), etherAmount(rng)
	case x < etherShare+usdtShare:
		return usdt.on(chain), stableAmount(rng, usdtSpread)
	case x < etherShare+usdtShare+usdcShare:
		return usdc.on(chain), stableAmount(rng, usdcSpread)
	}
	return (firstToken + asset(t.tokens.draw(rng))).on(chain), tokenAmount(rng)
}

// client is the user, or one of the few customers that a small service has.
func (s *service) client(user account) account {
	if s.clients == 0 {
		return user
	}
	return account(1+s.number*s.clients) + user%account(s.clients)
}

func (t *traffic) payment(chain int) {
	w := t.w
	a, v := t.asset(chain)
	from, payer := t.end()
	to, payee := t.end()
	if payer != nil && (payee != nil || payer.kind == "mixer" || payer.kind == "bridge" && w.chains > 1) {
		from, payer = t.user(), nil
	}
	switch {
	case payer != nil:
		w.payOut(w.tx(chain), payer, payer.client(to), a, v, "withdrawal")
	case payee != nil:
		t.toService(payee, payee.client(from), a, v)
	case from != to:
		w.whenFunded(holding{from, a}, v, func() {
			w.move(w.tx(chain), from, to, a, v, OwnFirst, "background")
		})
	}
}

// toService pays a service in the way of its kind.
func (t *traffic) toService(s *service, from account, a asset, v flow.Amount) {
	w := t.w
	if s.kind == "mixer" {
		if !a.priced() {
			a = ether.on(a.chain())
		}
		sizes := noteSizes(a)
		v = sizes[w.rng.IntN(len(sizes))]
	}
	w.whenFunded(holding{from, a}, v, func() {
		switch s.kind {
		case "exchange":
			via := s.depositAddress(from)
			w.move(w.tx(a.chain()), from, via, a, v, OwnFirst, "deposit")
			w.sweepLater(s, via, a)
		case "mixer":
			w.mix(s, from, w.other(), a, v, OwnFirst, "mixer", w.mixerWait(), nil)
		case "bridge":
			w.bridge(s, from, from, a, v, OwnFirst, "bridge", nil)
		default:
			w.payIn(w.tx(a.chain()), s, from, a, v, OwnFirst, s.kind)
		}
	})
}

// whenFunded does something once a user has v of its own money: now, or after a withdrawal from an exchange.
func (w *world) whenFunded(h holding, v flow.Amount, do func()) {
	if v.IsZero() {
		return
	}
	if w.fund(h, v) {
		do()
		return
	}
	some := w.of("exchange")
	s := some[w.rng.IntN(len(some))]
	if s.clients > 0 {
		return
	}
	more := plus(v, times(v, w.rng.Uint64N(100), 50))
	w.payOut(w.tx(h.asset.chain()), s, h.who, h.asset, more, "withdrawal")
	w.after(lognormal(w.rng, 600, 1), func() {
		if !w.own(h).Less(v) {
			do()
		}
	})
}

// swap changes money of a user at a pool, rather in the direction that brings the price back to the table.
func (t *traffic) swap(chain int, router *service) {
	w := t.w
	pairs := [...][2]asset{{ether, usdt}, {ether, usdt}, {ether, usdc}, {usdt, usdc}}
	pair := pairs[w.rng.IntN(len(pairs))]
	s := w.poolOf(pair[0].on(chain), pair[1].on(chain))
	give, get := s.pair[0], s.pair[1]
	if w.rng.Float64() < 0.5+20*w.impact(s) {
		give, get = get, give
	}
	var v flow.Amount
	switch give.kind() {
	case ether:
		v = etherAmount(w.rng)
	case usdt:
		v = stableAmount(w.rng, usdtSpread)
	default:
		v = stableAmount(w.rng, usdcSpread)
	}
	v = v.Min(times(w.balance[holding{s.hot, give}], 1, 100))
	who := t.user()
	w.whenFunded(holding{who, give}, v, func() {
		if !w.quote(s, give, get, v).IsZero() {
			w.swap(who, s, give, get, v, router, OwnFirst, "swap")
		}
	})
}

// batch pays many users in one transaction.
func (t *traffic) batch(chain, n int) {
	w := t.w
	a, v := t.asset(chain)
	from, payer := t.end()
	if payer != nil && payer.kind != "exchange" || payer != nil && payer.clients > 0 {
		from, payer = t.user(), nil
	}
	do := func(pay func(*tx, account)) {
		b := w.tx(chain)
		for range n {
			if to := t.user(); to != from {
				pay(b, to)
			}
		}
	}
	if payer != nil {
		do(func(b *tx, to account) { w.payOut(b, payer, to, a, v, "withdrawal") })
		return
	}
	whole := times(v, uint64(n), 1)
	w.whenFunded(holding{from, a}, whole, func() {
		do(func(b *tx, to account) { w.move(b, from, to, a, v, OwnFirst, "background") })
	})
}
