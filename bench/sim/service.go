package sim

import (
	"fmt"
	"math"

	"github.com/spoor-dev/spoor/flow"
)

// A service holds the money of many.
type service struct {
	number   int
	kind     string // exchange, swap, router, bridge, mixer, broker
	hot      account
	labelled bool
	from     uint32   // the slot in which it begins to have customers
	clients  int      // 0, or how many customers it has in all
	pair     [2]asset // swap: what it changes
}

// A sink is where claim ends: a service, how it got there, and of which theft it is.
type sink struct {
	service *service
	via     account // deposit address, 0 if none
	asset   asset
	theft   int
	swept   bool
}

// A crossing is a payment into a bridge or a mixer and the payment out of it that belongs to it.
type crossing struct {
	service *service
	in, out *row
	stolen  bool
}

const (
	smallHubClients = 12
	poolFeePermille = 3
)

// addServices makes the services of a case: some labelled, some not.
func (w *world) addServices() {
	add := func(kind string, n int, label func(i int) bool) {
		for i := range n {
			s := &service{number: len(w.services), kind: kind, labelled: label(i)}
			s.hot = serviceMark | account(s.number+1)
			if kind == "exchange" && w.cfg.SmallHubs && !s.labelled {
				s.clients = smallHubClients
			}
			w.services = append(w.services, s)
		}
	}
	all := func(int) bool { return true }
	none := func(int) bool { return false }
	known := func(n int) func(int) bool {
		unknown := (n*w.cfg.Unlabelled + 50) / 100
		return func(i int) bool { return i >= unknown }
	}
	add("exchange", exchanges, known(exchanges))
	add("bridge", 2, all)
	add("mixer", 2, all)
	add("router", routers, all)
	add("broker", 5, none)
	if w.cfg.FreshExchange {
		add("exchange", 1, none)
		w.services[len(w.services)-1].from = w.start()
	}
	for c := range w.chains {
		w.pools[c] = map[[2]asset][]*service{}
		for _, pair := range [...][2]asset{{ether, usdt}, {ether, usdc}, {usdt, usdc}} {
			add("swap", poolsOfPair, known(poolsOfPair))
			for _, s := range w.services[len(w.services)-poolsOfPair:] {
				for k, a := range pair {
					s.pair[k] = a.on(c)
					w.open(holding{s.hot, s.pair[k]}, s.pair[k].ofCents(flow.NewAmount(poolCents)))
				}
				w.pools[c][s.pair] = append(w.pools[c][s.pair], s)
			}
		}
	}
}

const (
	exchanges   = 10
	routers     = 6
	poolsOfPair = 6
	poolCents   = 6_000_000_000 // 60 M dollars on each side
)

// of lists the services of a kind that have customers now.
func (w *world) of(kind string) []*service {
	var some []*service
	for _, s := range w.services {
		if s.kind == kind && s.from <= w.slot {
			some = append(some, s)
		}
	}
	return some
}

// depositAddress is the account that an exchange made for a customer, on all chains.
func (s *service) depositAddress(customer account) account {
	return depositMark | account(mix64(uint64(customer)^uint64(s.hot)*0x9e3779b97f4a7c15)>>4)
}

// sweepLater forwards what comes to a deposit address to the exchange's hot wallet, in one payment of all that is there.
func (w *world) sweepLater(s *service, via account, a asset) {
	h := holding{via, a}
	if w.sweeping[h] {
		return
	}
	w.sweeping[h] = true
	w.after(lognormal(w.rng, sweepWaitSeconds, sweepWaitWide), func() {
		delete(w.sweeping, h)
		v := w.balance[h]
		lots := w.take(h, v, StolenFirst)
		delete(w.balance, h) // nothing is there, and nothing but this ever pays from it
		w.credit(holding{s.hot, a}, minus(v, unitsOf(lots)))
		r := w.write(w.tx(a.chain()), via, s.hot, a, v, "deposit_sweep")
		if len(lots) > 0 {
			w.sinkLots(sink{service: s, via: via, asset: a, swept: true}, lots)
			w.truth.neutral(r, "deposit_sweep")
		}
	})
}

// sinkLots books lots into a sink.
func (w *world) sinkLots(k sink, lots []lot) {
	for _, l := range lots {
		k.theft = l.theft
		sum := w.sinks[k]
		w.sinks[k] = lot{l.theft, plus(sum.units, l.units), plus(sum.claim, l.claim)}
	}
}

// unsink takes lots out of a sink again.
func (w *world) unsink(k sink, lots []lot) {
	for _, l := range lots {
		k.theft = l.theft
		sum := w.sinks[k]
		if sum = (lot{l.theft, minus(sum.units, l.units), minus(sum.claim, l.claim)}); sum.units.IsZero() && sum.claim.IsZero() {
			delete(w.sinks, k)
		} else {
			w.sinks[k] = sum
		}
	}
}

// payIn pays into a service without deposit addresses: the stolen units lie in its sink from then on, apart from the
// balance that it pays from.
func (w *world) payIn(t *tx, s *service, from account, a asset, v flow.Amount, rule Rule, kind string) (*row, []lot) {
	lots := w.take(holding{from, a}, v, rule)
	w.credit(holding{s.hot, a}, minus(v, unitsOf(lots)))
	w.sinkLots(sink{service: s, asset: a, swept: true}, lots)
	return w.write(t, from, s.hot, a, v, kindOf(lots, kind)), lots
}

// payOut pays the own money of a service; what it lacks it had before the case began.
func (w *world) payOut(t *tx, s *service, to account, a asset, v flow.Amount, kind string) *row {
	w.open(holding{s.hot, a}, v)
	r, _ := w.move(t, s.hot, to, a, v, OwnFirst, kind)
	return r
}

// quote is what a constant-product pool pays for v after its fee of 0.3 %.
func (w *world) quote(s *service, give, get asset, v flow.Amount) flow.Amount {
	x, y := w.balance[holding{s.hot, give}], w.balance[holding{s.hot, get}]
	after := times(v, 1000-poolFeePermille, 1000)
	return y.Share(after, plus(x, after))
}

// poolOf draws a pool of two assets; nil if they are the same.
func (w *world) poolOf(a, b asset) *service {
	some := w.pools[a.chain()][[2]asset{min(a, b), max(a, b)}]
	if len(some) == 0 {
		return nil
	}
	return some[w.rng.IntN(len(some))]
}

// swap changes v of one asset into another at a pool, in one transaction of two transfers, or of four through a router.
// It returns what came out and the rows; the claims of what was given are on it.
func (w *world) swap(who account, s *service, give, get asset, v flow.Amount, router *service, rule Rule, kind string) (flow.Amount, []*row, []lot) {
	out := w.quote(s, give, get, v)
	t := w.tx(give.chain())
	lots := w.take(holding{who, give}, v, rule)
	w.give(holding{s.hot, give}, v, nil)
	w.take(holding{s.hot, get}, out, OwnFirst)
	w.give(holding{who, get}, out, exchanged(lots, v, out))
	var rows []*row
	if router == nil {
		rows = append(rows, w.write(t, who, s.hot, give, v, kind), w.write(t, s.hot, who, get, out, kind))
	} else {
		rows = append(rows, w.write(t, who, router.hot, give, v, kind), w.write(t, router.hot, s.hot, give, v, kind),
			w.write(t, s.hot, router.hot, get, out, kind), w.write(t, router.hot, who, get, out, kind))
	}
	return out, rows, lots
}

// noteSizes are the notes of the mixers in dollars' cents and in wei, largest first.
func noteSizes(a asset) []flow.Amount {
	var sizes []flow.Amount
	for _, n := range [...]uint64{100, 10, 1} {
		if a.kind() == ether {
			sizes = append(sizes, scaled(n, 1e18))
		} else {
			sizes = append(sizes, flow.NewAmount(n*1e9))
		}
	}
	return sizes
}

// mix pays a note into a mixer; it comes out to another account later, and then done is called if it is not nil.
func (w *world) mix(s *service, from, to account, a asset, v flow.Amount, rule Rule, kind string, wait float64, done func(*row, []lot)) (*row, []lot) {
	in, lots := w.payIn(w.tx(a.chain()), s, from, a, v, rule, kind)
	w.after(wait, func() {
		w.unsink(sink{service: s, asset: a, swept: true}, lots)
		clean := minus(v, unitsOf(lots))
		w.open(holding{s.hot, a}, clean)
		w.take(holding{s.hot, a}, clean, OwnFirst)
		w.give(holding{to, a}, v, lots)
		out := w.write(w.tx(a.chain()), s.hot, to, a, v, kindOf(lots, kind))
		w.cross(crossing{s, in, out, len(lots) > 0})
		if done != nil {
			done(out, lots)
		}
	})
	return in, lots
}

// bridge pays into a bridge; the same amount less a fee comes out on the other chain.
func (w *world) bridge(s *service, from, to account, a asset, v flow.Amount, rule Rule, kind string, done func(*row, []lot)) (*row, []lot) {
	in, lots := w.payIn(w.tx(a.chain()), s, from, a, v, rule, kind)
	b := a.on(1 - a.chain())
	if w.chains == 1 {
		return in, lots // the other chain is not seen
	}
	out := times(v, 9995, 10000)
	w.after(bridgeLatency(w.rng), func() {
		w.unsink(sink{service: s, asset: a, swept: true}, lots)
		moved := exchanged(lots, v, out)
		w.open(holding{s.hot, b}, out)
		w.take(holding{s.hot, b}, out, OwnFirst)
		w.give(holding{to, b}, out, moved)
		r := w.write(w.tx(b.chain()), s.hot, to, b, out, kindOf(lots, kind))
		w.cross(crossing{s, in, r, len(lots) > 0})
		if done != nil {
			done(r, moved)
		}
	})
	return in, lots
}

func (w *world) cross(c crossing) {
	if w.crossed != nil {
		w.crossed(c)
	}
}

// name is what a label calls a service.
func (s *service) name() string { return fmt.Sprintf("%s %d", s.kind, s.number+1) }

// mixerWait draws how long an ordinary note stays in a mixer, in seconds.
func (w *world) mixerWait() float64 {
	return lognormal(w.rng, mixerWaitHours*3600, mixerWaitSigma)
}

// impact is how far the price of a pool is from the price table: above 0 if its first asset is too cheap there.
func (w *world) impact(s *service) float64 {
	x := w.balance[holding{s.hot, s.pair[0]}]
	y := w.balance[holding{s.hot, s.pair[1]}]
	a, _ := s.pair[0].cents(x).Uint64()
	b, _ := s.pair[1].cents(y).Uint64()
	return math.Log(float64(a+1) / float64(b+1))
}
