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
	lent   bool        // of a pool: what its leg gave
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
// is where it stays. Each leg has a bag behind those of the holdings, for what it took; what it gives is of its own until then.
type router struct {
	b     *book
	m     *matcher
	bags  [][]parcel // what each holding took in this transaction and still has, and each leg
	count int        // parcels made
	bad   bool       // too much work
}

// maxParcels bounds the work on a transaction that was made to be slow.
const maxParcels = 1 << 14

// maxMoves bounds the transactions whose events are read.
const maxMoves = 1 << 10

// route sends everything; it is nil where there are too many parts.
func (m *matcher) route() *router {
	holdings := len(m.b.holdings)
	r := &router{b: m.b, m: m, bags: make([][]parcel, holdings+len(m.legs))}
	into, outOf := map[int]int{}, map[int]int{} // move -> the bag of its leg
	for i, l := range m.legs {
		into[l.in], outOf[l.out] = holdings+i, holdings+i
	}
	for i, v := range m.moves {
		from, to := v.from, v.to
		if leg, ok := outOf[i]; ok {
			r.made()
			given := []parcel{{origin: leg, units: v.amount, amount: v.amount}}
			if leg, ok := into[i]; ok {
				to = leg
			}
			r.put(to, given)
			continue
		}
		if leg, ok := into[i]; ok {
			to = leg
		}
		r.put(to, r.take(from, v.amount))
	}
	for i, l := range m.legs {
		h := holdings + i
		came := r.convert(r.bags[h], m.moves[l.out].amount, l.rules)
		if slices.ContainsFunc(came, func(p parcel) bool { return p.origin == h }) {
			r.unpaid(h, l)
			continue
		}
		r.bags[h] = nil
		r.replace(h, came)
	}
	r.join()
	if r.bad {
		return nil
	}
	r.bags = r.bags[:holdings]
	return r
}

// unpaid takes a leg apart that was paid, over others, with what it gave itself: a loan of the pool, which nobody's money bought.
func (r *router) unpaid(h int, l leg) {
	in, out := r.m.moves[l.in], r.m.moves[l.out]
	paid := r.bags[h]
	r.bags[h] = nil
	r.put(in.to, paid)
	for k := range r.bags {
		for i := range r.bags[k] {
			if p := &r.bags[k][i]; p.origin == h {
				p.origin, p.lent = out.from, true
			}
		}
	}
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
	for h := range r.b.holdings {
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
		r.bags[h] = append(r.bags[h], r.replace(h, came)...)
		if r.bad {
			return
		}
	}
}

// replace lets what is of an origin, wherever it is but in its own bag, be of the origin of what came, and returns what is left of it.
func (r *router) replace(h int, came []parcel) (left []parcel) {
	for k := range r.bags {
		if k == h || !slices.ContainsFunc(r.bags[k], func(p parcel) bool { return p.origin == h }) {
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
				switch {
				case g.amount.IsZero():
					continue
				case p.units.Less(g.amount):
					var rest parcel
					g, rest = g.cut(p.units)
					came = append([]parcel{rest}, came...)
					p.units = flow.Amount{}
				default:
					part.amount = p.amount.Share(g.amount, p.units)
					p.units, _ = p.units.Sub(g.amount)
					p.amount, _ = p.amount.Sub(part.amount)
				}
				kept = append(kept, parcel{g.origin, g.units, part.amount, with(g.over, part.over), g.lent})
				if r.made(); r.bad {
					return nil
				}
			}
			if !p.units.IsZero() {
				kept = append(kept, p)
			}
		}
		r.bags[k] = kept
	}
	return came
}
