package link

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// A spot is an asset at an account.
type spot struct {
	account flow.Account
	asset   flow.Asset
}

// believe puts what the events of exchanges tell before what the net tells, where the movements bear the events out.
func (b *book) believe(tx flow.Tx, net []Conversion) []Conversion {
	moves, ok := b.moves(tx)
	if !ok || len(moves) > maxMoves {
		return net
	}
	m := b.match(tx, moves)
	all := net
	if len(m.legs) > 0 {
		if r := m.route(); r != nil {
			all = r.conversions(net, sender(tx))
		}
	}
	if len(m.refused) > 0 {
		why := strings.Join(m.refused, "; ")
		for i := range all {
			all[i].doubt("an event is not believed: " + why)
		}
	}
	return all
}

// doubt adds a reason to look again.
func (c *Conversion) doubt(why string) {
	if c.Doubt != "" {
		why = c.Doubt + "; " + why
	}
	c.Doubt = why
}

// conversions are those of everybody whose money went through a leg, those of the pools, and what the net tells of others as far as
// it does not count the same gain again.
func (r *router) conversions(net []Conversion, sender flow.Account) []Conversion {
	strands := make([][]strand, len(r.b.parties))
	for h, bag := range r.bags {
		for _, p := range bag {
			n := r.b.holdings[p.origin].party
			strands[n] = append(strands[n], strand{p, h})
		}
	}
	byNet := map[flow.Account]*Conversion{}
	for i := range net {
		byNet[net[i].Account] = &net[i]
	}
	pools := map[flow.Account][]leg{}
	for _, l := range r.m.legs {
		if l.rules[0] != wrapped {
			pools[l.pool] = append(pools[l.pool], l)
		}
	}
	var all []Conversion
	seen := map[flow.Account]bool{}
	claimed := map[spot]flow.Sum{}
	for n, p := range r.b.parties {
		if p.account.IsZero() {
			continue
		}
		var c Conversion
		if legs := pools[p.account]; len(legs) > 0 {
			c = r.ofPool(p.account, legs, strands[n])
		} else if r.isClear(n, strands[n]) && (sender.IsZero() || p.account == sender || !r.gainsElse(n, strands[n])) {
			c = r.ofPayer(p.account, strands[n])
			if other := byNet[p.account]; other != nil && c.differs(*other) {
				c.doubt(fmt.Sprintf("the net of the transaction reads %s for %s instead", list(other.Gives), list(other.Takes)))
			}
			for _, t := range c.Takes {
				claimed[spot{t.Account, t.Asset}] = claimed[spot{t.Account, t.Asset}].Plus(t.Amount)
			}
		} else {
			continue
		}
		seen[p.account] = true
		all = append(all, c)
	}
	for _, c := range net {
		if !seen[c.Account] && !r.isClaimed(c, claimed) {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(x, y Conversion) int {
		return cmp.Compare(r.b.ids[party{account: x.Account}], r.b.ids[party{account: y.Account}])
	})
	return all
}

// A strand is a parcel where it ended.
type strand struct {
	parcel
	at int // holding
}

// isClear reports whether the money of a party went through a pool's leg, and all of it is where it can be said to be: not with
// another who exchanged in a way that no event tells, and not in parts too small to be told apart.
func (r *router) isClear(n int, all []strand) bool {
	through := false
	for _, s := range all {
		through = through || slices.ContainsFunc(s.over, func(r Rule) bool { return r != wrapped })
		h := &r.b.holdings[s.at]
		switch {
		case s.units.IsZero() || s.amount.IsZero() || r.b.parties[h.party].account.IsZero():
			return false
		case h.party != n && (r.b.closed[h.party] || h.own):
			return false
		}
	}
	return through
}

// gainsElse reports whether a party gained something that is not what its money became: it exchanged in a way that no event
// tells. (What the sender of the transaction seems to gain so may be feigned; others do not feign for him.)
func (r *router) gainsElse(n int, all []strand) bool {
	return slices.ContainsFunc(r.b.dealings[n], func(i int) bool {
		h := &r.b.holdings[i]
		return h.sign > 0 && !h.own && !slices.ContainsFunc(all, func(s strand) bool { return s.at == i && len(s.over) > 0 })
	})
}

// ofPayer is the conversion of a party whose strands are clear.
func (r *router) ofPayer(a flow.Account, all []strand) Conversion {
	c := Conversion{Account: a, Rest: []Part{}, Version: Version, Confidence: ByLogs}
	exchanged := map[flow.Asset]bool{}
	var rules []Rule
	for _, s := range all {
		if len(s.over) > 0 {
			exchanged[r.b.holdings[s.origin].asset] = true
			rules = with(rules, s.over)
		}
	}
	c.Rule = joined(rules)
	for _, s := range all {
		from, to := r.b.holdings[s.origin].asset, &r.b.holdings[s.at]
		if !exchanged[from] {
			continue
		}
		who := r.b.parties[to.party].account
		c.Strands = addPass(c.Strands, Pass{a, who, from, to.asset, s.units, s.amount}, len(s.over) == 0)
		if len(s.over) == 0 {
			c.Rest = addPart(c.Rest, Part{who, to.asset, s.amount})
			continue
		}
		c.Gives = addPart(c.Gives, Part{a, from, s.units})
		c.Takes = addPart(c.Takes, Part{who, to.asset, s.amount})
	}
	return c
}

// ofPool is the mirror of the legs of a pool; what else it gave of the same assets is the rest.
func (r *router) ofPool(a flow.Account, legs []leg, all []strand) Conversion {
	c := Conversion{Account: a, Rest: []Part{}, Version: Version, Confidence: ByLogs}
	var rules []Rule
	exchanged := map[flow.Asset]bool{}
	for _, l := range legs {
		in, out := r.m.moves[l.in], r.m.moves[l.out]
		rules = with(rules, l.rules)
		exchanged[out.asset] = true
		c.Gives = addPart(c.Gives, Part{a, out.asset, out.amount})
		c.Takes = addPart(c.Takes, Part{a, in.asset, in.amount})
		c.Strands = addPass(c.Strands, Pass{a, a, out.asset, in.asset, out.amount, in.amount}, false)
	}
	c.Rule = joined(rules)
	for _, s := range all {
		from, to := r.b.holdings[s.origin].asset, &r.b.holdings[s.at]
		who := r.b.parties[to.party].account
		if exchanged[from] && to.asset == from && !s.lent && !who.IsZero() && !s.units.IsZero() && !s.amount.IsZero() {
			c.Rest = addPart(c.Rest, Part{who, from, s.amount})
			c.Strands = addPass(c.Strands, Pass{a, who, from, from, s.units, s.amount}, true)
		}
	}
	return c
}

// joined is several rules as one.
func joined(rules []Rule) Rule {
	text := make([]string, len(rules))
	for i, r := range rules {
		text[i] = string(r)
	}
	return Rule(strings.Join(text, "+"))
}

// addPart adds an amount to its like.
func addPart(parts []Part, p Part) []Part {
	for i := range parts {
		if q := &parts[i]; q.Account == p.Account && q.Asset == p.Asset {
			q.Amount, _ = q.Amount.Add(p.Amount) // the book has seen that the whole fits
			return parts
		}
	}
	return append(parts, p)
}

// addPass adds a strand to its like. What went on as it was stays apart from what became the same asset again.
func addPass(passes []Pass, p Pass, plain bool) []Pass {
	for i := range passes {
		q := &passes[i]
		if q.To == p.To && q.FromAsset == p.FromAsset && q.ToAsset == p.ToAsset && plain == (q.FromAsset == q.ToAsset && q.FromAmount == q.ToAmount) {
			q.FromAmount, _ = q.FromAmount.Add(p.FromAmount)
			q.ToAmount, _ = q.ToAmount.Add(p.ToAmount)
			return passes
		}
	}
	return append(passes, p)
}

// differs reports whether two readings differ by more than a hundredth in what is given or gained.
func (c Conversion) differs(o Conversion) bool {
	for _, sides := range [][2][]Part{{c.Gives, o.Gives}, {c.Takes, o.Takes}} {
		amounts := map[spot][2]flow.Sum{}
		for i, parts := range sides {
			for _, p := range parts {
				k := spot{p.Account, p.Asset}
				v := amounts[k]
				v[i] = v[i].Plus(p.Amount)
				amounts[k] = v
			}
		}
		for _, v := range amounts {
			most := v[0]
			if most.Compare(v[1]) < 0 {
				most = v[1]
			}
			if !near(v[0], v[1], most) {
				return true
			}
		}
	}
	return false
}

// isClaimed reports whether the gains that a conversion tells of were gained by the payment of others.
func (r *router) isClaimed(c Conversion, claimed map[spot]flow.Sum) bool {
	for _, t := range c.Takes {
		k := spot{t.Account, t.Asset}
		if claimed[k] == (flow.Sum{}) {
			continue
		}
		h := &r.b.holdings[r.b.at(party{account: t.Account}, t.Asset)]
		if claimed[k].Plus(t.Amount).Compare(flow.Sum{}.Plus(h.net)) > 0 {
			return true
		}
	}
	return false
}

// list is parts in words.
func list(parts []Part) string {
	var all []string
	for _, p := range parts {
		all = append(all, fmt.Sprintf("%s of %s", p.Amount, p.Asset.Name()))
	}
	return strings.Join(all, ", ")
}
