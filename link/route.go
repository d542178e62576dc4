package link

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A parcel is a part of what somebody gave of his own, wherever it is now and whatever it has become.
type parcel struct {
	origin int         // the holding that gave it
	units  flow.Amount // what it gave
	amount flow.Amount // what is there of it now
	over   []Rule      // the exchanges that it went through, nil if none
}

// cut divides a parcel: so much of what is there now, and the rest.
func (p parcel) cut(amount flow.Amount) (part, rest parcel) {
	part, rest = p, p
	part.amount, part.units = amount, p.units.Share(amount, p.amount)
	rest.amount, _ = p.amount.Sub(amount)
	rest.units, _ = p.units.Sub(part.units)
	return part, rest
}

// with is rules and those of more that are not among them.
func with(rules, more []Rule) []Rule {
	for _, r := range more {
		if !slices.Contains(rules, r) {
			rules = append(rules[:len(rules):len(rules)], r)
		}
	}
	return rules
}

// A router sends what was given through the movements and the legs of a transaction, first in first out, until everything
// is where it stays.
type router struct {
	b     *book
	m     *matcher
	bags  [][]parcel // of each holding: what it took in this transaction and still has
	count int        // parcels made
	bad   bool       // too much work
}

// maxParcels bounds the work on a transaction that was made to be slow.
const maxParcels = 1 << 14

// maxMoves bounds the transactions whose events are read.
const maxMoves = 1 << 10

// route sends everything; it is nil where the legs go round in a circle or there are too many parts.
func (m *matcher) route() *router {
	r := &router{b: m.b, m: m, bags: make([][]parcel, len(m.b.holdings))}
	order, ok := m.order()
	if !ok {
		return nil
	}
	between := map[int][]parcel{} // what goes from leg to leg, by its move
	next := 0
	for i, v := range m.moves {
		if !m.took[i] && !m.gave[i] {
			r.put(v.to, r.take(v.from, v.amount))
		}
		for ; next < len(order) && order[next].at == i; next++ {
			l := m.legs[order[next].leg]
			in, out := m.moves[l.in], m.moves[l.out]
			paid, direct := between[l.in]
			if !direct {
				paid = r.take(in.from, in.amount)
			}
			got := r.convert(paid, out.amount, l.rules)
			if m.took[l.out] {
				between[l.out] = got
			} else {
				r.put(out.to, got)
			}
		}
		if r.bad {
			return nil
		}
	}
	r.join()
	if r.bad {
		return nil
	}
	return r
}

// A turn is when a leg comes: behind which move.
type turn struct{ at, leg int }

// order puts the legs into an order in which each comes behind those that it is paid by, and behind its own movements.
func (m *matcher) order() ([]turn, bool) {
	from := map[int]int{} // move -> the leg that gave it
	for i, l := range m.legs {
		from[l.out] = i
	}
	at := make([]int, len(m.legs))
	depth := make([]int, len(m.legs))
	for i := range m.legs {
		steps := 0
		for k, ok := i, true; ok; k, ok = from[m.legs[k].in] {
			if steps++; steps > len(m.legs) {
				return nil, false
			}
			at[i] = max(at[i], m.legs[k].in, m.legs[k].out)
		}
		depth[i] = steps
	}
	turns := make([]turn, len(m.legs))
	for i := range turns {
		turns[i] = turn{at[i], i}
	}
	slices.SortStableFunc(turns, func(x, y turn) int {
		if x.at != y.at {
			return x.at - y.at
		}
		return depth[x.leg] - depth[y.leg]
	})
	return turns, true
}

// take is what a holding gives: first what came in this transaction, then of its own.
func (r *router) take(h int, v flow.Amount) (given []parcel) {
	bag := r.bags[h]
	for len(bag) > 0 && !v.IsZero() {
		p := bag[0]
		if v.Less(p.amount) {
			p, bag[0] = p.cut(v)
			r.made()
		} else {
			bag = bag[1:]
		}
		v, _ = v.Sub(p.amount)
		given = append(given, p)
	}
	r.bags[h] = bag
	if !v.IsZero() {
		r.made()
		given = append(given, parcel{origin: h, units: v, amount: v})
	}
	return given
}

func (r *router) made() {
	r.count++
	r.bad = r.bad || r.count > maxParcels
}

func (r *router) put(h int, all []parcel) { r.bags[h] = append(r.bags[h], all...) }

// convert makes parcels those of another asset.
func (r *router) convert(paid []parcel, out flow.Amount, rules []Rule) []parcel {
	weights := make([]flow.Amount, len(paid))
	for i, p := range paid {
		weights[i] = p.amount
	}
	got := slices.Clone(paid)
	for i, v := range flow.Split(out, weights) {
		got[i].amount = v
		got[i].over = with(got[i].over, rules)
	}
	return got
}

// join lets what somebody gave of his own be what came to him, where both are there: he only handed it on, in an order
// that the movements do not tell, or lent it for a moment.
func (r *router) join() {
	for h := range r.bags {
		var came []parcel
		own := r.bags[h][:0:0]
		for _, p := range r.bags[h] {
			if p.origin == h || p.amount.IsZero() {
				own = append(own, p)
			} else {
				came = append(came, p)
			}
		}
		if len(came) == 0 {
			continue
		}
		r.bags[h] = own
		for k := range r.bags {
			if k == h {
				continue
			}
			var kept []parcel
			for _, p := range r.bags[k] {
				if p.origin != h {
					kept = append(kept, p)
					continue
				}
				for len(came) > 0 && !p.units.IsZero() {
					g, part := came[0], p
					came = came[1:]
					if p.units.Less(g.amount) {
						var rest parcel
						g, rest = g.cut(p.units)
						came = append([]parcel{rest}, came...)
						p.units = flow.Amount{}
					} else {
						part.units = g.amount
						part.amount = p.amount.Share(g.amount, p.units)
						p.units, _ = p.units.Sub(g.amount)
						p.amount, _ = p.amount.Sub(part.amount)
					}
					kept = append(kept, parcel{g.origin, g.units, part.amount, with(g.over, part.over)})
					if r.made(); r.bad {
						return
					}
				}
				if !p.units.IsZero() {
					kept = append(kept, p)
				}
			}
			r.bags[k] = kept
		}
		r.bags[h] = append(r.bags[h], came...)
	}
}
