package sim

import "github.com/spoor-dev/spoor/flow"

// What lies around an attack to mislead a detector. None of it moves stolen units, but for the dust.

// decoys lets strangers pay about what a parcel is about to deposit, to other exchanges, around that time.
func (a *attack) decoys(p parcel, wait float64) {
	for range a.w.cfg.Decoys {
		around := max(wait+(a.rng.Float64()-0.5)*3600, 1)
		v := p.units
		a.w.after(around, func() { a.w.deposit(a.w.other(), p.asset, v, "decoy") })
	}
}

// deposit lets a stranger deposit an amount at some exchange.
func (w *world) deposit(from account, as asset, v flow.Amount, kind string) {
	some := w.of("exchange")
	s := some[w.rng.IntN(len(some))]
	via := s.depositAddress(from)
	if w.fund(holding{from, as}, v) {
		w.move(w.tx(as.chain()), from, via, as, v, OwnFirst, kind)
		w.sweepLater(s, via, as)
	}
}

// likeness lets two strangers move the same amount within that many seconds.
func (a *attack) likeness(as asset, v flow.Amount, wait float64) {
	w := a.w
	w.after(wait, func() {
		from, to := w.other(), w.other()
		if w.fund(holding{from, as}, v) {
			w.move(w.tx(as.chain()), from, to, as, v, OwnFirst, "decoy")
		}
	})
}

// dust sends a ten-millionth of the loot to each of some users who have nothing to do with it, and returns the sum.
func (a *attack) dust(th theft) (sum flow.Amount) {
	w := a.w
	v := times(th.amount, 1, 10_000_000)
	for range w.cfg.Dust {
		if th.amount.Less(plus(sum, v)) {
			break
		}
		sum = plus(sum, v)
		to := a.user()
		w.after(a.rng.Float64()*6*3600, func() {
			v := v.Min(w.balance[holding{th.source, th.asset}])
			if v.IsZero() {
				return
			}
			r, lots := w.move(w.tx(th.asset.chain()), th.source, to, th.asset, v, StolenFirst, "dusting")
			if len(lots) > 0 {
				w.truth.neutral(r, "dusting")
			}
		})
	}
	return sum
}

// ordinary lets one to three users pay the account of a parcel up to a twentieth of it, around the time when it is there,
// and the account pay as much to others out of its own money.
func (a *attack) ordinary(p parcel) {
	w := a.w
	for range 1 + a.rng.IntN(3) {
		v := times(p.units, 1+a.rng.Uint64N(1000), 20_000)
		from, to := a.user(), a.user()
		w.after(lognormal(a.rng, 1800, tempoSigma), func() {
			w.whenFunded(holding{from, p.asset}, v, func() {
				w.move(w.tx(p.asset.chain()), from, p.at, p.asset, v, OwnFirst, "ordinary")
			})
		})
		w.after(lognormal(a.rng, 3600, tempoSigma), func() {
			if h := (holding{p.at, p.asset}); !v.IsZero() && !w.own(h).Less(v) {
				w.move(w.tx(p.asset.chain()), p.at, to, p.asset, v, OwnFirst, "ordinary")
			}
		})
	}
}

// user draws a user.
func (a *attack) user() account { return account(1 + a.rng.IntN(a.w.cfg.Accounts)) }

// puppets make the mule look like a service before the theft: many accounts pay it next to nothing, in ether or in a
// token that is worth nothing.
func (a *attack) puppets() {
	w := a.w
	var puppets []account
	for range w.cfg.Mule/3 + 1 {
		puppets = append(puppets, w.other())
	}
	for i := range w.cfg.Mule {
		from := puppets[i%len(puppets)]
		as := ether
		if i%2 == 1 {
			as = worthless
		}
		v := flow.NewAmount((1 + a.rng.Uint64N(99)) * 1e9)
		w.at(uint32(a.rng.IntN(int(w.start())))+1, func() {
			w.open(holding{from, as}, v)
			w.move(w.tx(0), from, a.mule, as, v, OwnFirst, "puppet")
		})
	}
}
