package watch

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// A hit is a leg of an account of a list.
type hit struct {
	list     int
	movement int
	leg      int
	gives    bool
}

// scan looks for accounts of lists among those who give and take in a transaction.
func (b *block) scan(tx *flow.Tx) error {
	if b.lists.accounts == 0 && len(b.all) == 0 {
		return nil
	}
	b.hits = b.hits[:0]
	for i := range tx.Movements {
		m := &tx.Movements[i]
		if m.Kind == flow.Fee {
			continue
		}
		for k := range m.In {
			b.look(tx, m, hit{movement: i, leg: k, gives: true}, &m.In[k])
		}
		for k := range m.Out {
			b.look(tx, m, hit{movement: i, leg: k}, &m.Out[k])
		}
	}
	if len(b.hits) == 0 {
		return nil
	}
	slices.SortStableFunc(b.hits, func(x, y hit) int { return cmp.Compare(x.list, y.list) })
	for from := 0; from < len(b.hits); {
		to := from
		for to < len(b.hits) && b.hits[to].list == b.hits[from].list {
			to++
		}
		if err := b.active(tx, b.hits[from].list, b.hits[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// look keeps a leg if its account is listed and the movement is worth it; else it is counted.
func (b *block) look(tx *flow.Tx, m *flow.Movement, h hit, l *flow.Leg) {
	if l.Account.IsZero() {
		return
	}
	if h.gives && len(b.all) > 0 && !l.Amount.IsZero() {
		b.unnamed(tx, l.Account, m.Asset)
	}
	b.found = b.lists.find(l.Account, b.found[:0])
	if len(b.found) == 0 {
		return
	}
	dusty := l.Amount.IsZero() || !b.vouches(m.Asset)
	for _, n := range b.found {
		if dusty {
			b.dusty[n]++
			continue
		}
		h.list = n
		b.hits = append(b.hits, h)
	}
}

// unnamed asks for a case to be opened anew in whose name everything that an account gives is stolen, if it gave an
// asset that the theft does not name.
func (b *block) unnamed(tx *flow.Tx, a flow.Account, asset flow.Asset) {
	for _, o := range b.all[a] {
		named := o.named[a]
		if slices.Contains(named, asset) || slices.Contains(named, flow.Asset{}) || !b.vouches(asset) ||
			slices.ContainsFunc(b.reopen, func(r Reopen) bool { return r.ID == o.ID }) {
			continue
		}
		symbol, _ := b.world.Name(asset)
		b.reopen = append(b.reopen, Reopen{o.ID, fmt.Sprintf("%s gave %s in transaction %s, which the theft does not name", a.Address(), symbol, a.Chain().FormatHash(tx.ID))})
	}
}

// active says what accounts of one list did in one transaction.
func (b *block) active(tx *flow.Tx, n int, hits []hit) error {
	l := b.lists.all[n]
	b.gave, b.got = b.gave[:0], b.got[:0]
	for _, h := range hits {
		m := &tx.Movements[h.movement]
		switch {
		case h.gives:
			b.gave = plus(b.gave, m.Asset, m.In[h.leg].Amount)
		case !changes(m, m.Out[h.leg].Account):
			b.got = plus(b.got, m.Asset, m.Out[h.leg].Amount)
		}
	}
	for _, h := range hits {
		m := &tx.Movements[h.movement]
		if !h.gives && changes(m, m.Out[h.leg].Account) {
			b.gave = minus(b.gave, m.Asset, m.Out[h.leg].Amount)
		}
	}
	var gave, got *activity // nil if there is nothing to tell
	for _, h := range hits {
		m := &tx.Movements[h.movement]
		switch {
		case h.gives && b.enough(b.gave, m.Asset, flow.NewAmount(1)):
			if gave == nil {
				gave = &activity{}
			}
			gave.add(tx, m, h)
		case h.gives:
			b.dusty[n]++
		case changes(m, m.Out[h.leg].Account):
		case b.enough(b.got, m.Asset, b.smallest(l, m.Asset)):
			if got == nil {
				got = &activity{}
			}
			got.add(tx, m, h)
		default:
			b.dusty[n]++
		}
	}
	if gave != nil {
		gave.settle(b.gave)
		b.listed(&listGave, tx, l, gave, "gave", "to")
		if err := b.woken(tx, l, gave); err != nil {
			return err
		}
	}
	if got != nil {
		b.listed(&listGot, tx, l, got, "got", "from")
	}
	return nil
}

// enough reports whether there is as much of an asset among some sums.
func (b *block) enough(sums []sum, a flow.Asset, least flow.Amount) bool {
	i := slices.IndexFunc(sums, func(s sum) bool { return s.asset == a })
	return i >= 0 && sums[i].total.Compare(flow.Sum{}.Plus(least)) >= 0
}

// minus takes an amount off the sum of an asset, down to nothing.
func minus(sums []sum, a flow.Asset, v flow.Amount) []sum {
	i := slices.IndexFunc(sums, func(s sum) bool { return s.asset == a })
	if i >= 0 {
		left, _ := sums[i].total.Minus(flow.Sum{}.Plus(v))
		sums[i].total = flow.Sum{}.Plus(left)
	}
	return sums
}

// changes reports whether an account that takes in a movement gives in it, too.
func changes(m *flow.Movement, a flow.Account) bool {
	return slices.ContainsFunc(m.In, func(l flow.Leg) bool { return l.Account == a })
}

// activity is what accounts of a list gave or got in one transaction.
type activity struct {
	sums     []sum
	who      []flow.Account
	others   []flow.Account
	evidence []finding.Fact
}

func (c *activity) add(tx *flow.Tx, m *flow.Movement, h hit) {
	f := finding.Fact{Tx: tx.ID, At: tx.At(), Time: tx.Point.Time, Index: m.Index, Asset: m.Asset}
	f.At.Movement = uint32(h.movement)
	var mine, other flow.Account
	if h.gives {
		l := m.In[h.leg]
		mine, other = l.Account, largest(m.Out, l.Account)
		f.From, f.To, f.Amount = mine, other, l.Amount
	} else {
		l := m.Out[h.leg]
		mine, other = l.Account, largest(m.In, l.Account)
		f.From, f.To, f.Amount = other, mine, l.Amount
	}
	c.sums = plus(c.sums, m.Asset, f.Amount)
	c.evidence = append(c.evidence, f)
	c.meet(mine, other)
}

// meet remembers who gave or got, and on the other side whom that was with.
func (c *activity) meet(mine, other flow.Account) {
	if !slices.Contains(c.who, mine) {
		c.who = append(c.who, mine)
	}
	if !other.IsZero() && !slices.Contains(c.others, other) {
		c.others = append(c.others, other)
	}
}

// largest is who has the largest of some legs, besides one account; nobody if there is no other.
func largest(legs []flow.Leg, but flow.Account) (a flow.Account) {
	var most flow.Amount
	for _, l := range legs {
		if l.Account != but && (a.IsZero() || most.Less(l.Amount)) {
			a, most = l.Account, l.Amount
		}
	}
	return a
}

// settle takes the sums after what came back.
func (c *activity) settle(sums []sum) {
	for i := range c.sums {
		for _, s := range sums {
			if s.asset == c.sums[i].asset {
				c.sums[i] = s
			}
		}
	}
}

// listed is what a list has to say of a transaction.
func (b *block) listed(r *Rule, tx *flow.Tx, l *listed, c *activity, did, side string) {
	b.group(l.Name, l).add(candidate{
		rule: r.ID, severity: l.Severity, weight: b.weight(c.sums), sums: c.sums, tx: tx, contact: l.Contact,
		make: func() (finding.Finding, error) {
			text := fmt.Sprintf("%s, of the list %s, %s %s", names(b.world, c.who), l.Name, did, total(b.world, c.sums))
			if len(c.others) > 0 {
				text += " " + side + " " + names(b.world, c.others)
			}
			return r.finding(draft{
				chain: tx.Point.Chain, at: tx.Point, severity: l.Severity, subjects: c.who, evidence: c.evidence, sentence: text + ".",
				reason: "not measured: it is a fact that it moved; that the account is of interest is what the list says",
			})
		},
	})
}

// weight puts sums of different assets in an order, by whole units; it is no money.
func (b *block) weight(sums []sum) (most uint64) {
	for _, s := range sums {
		_, decimals := b.world.Name(s.asset)
		v := s.total.Big()
		v.Mul(v, big.NewInt(1000))
		v.Div(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(min(max(decimals, 0), 255))), nil))
		if !v.IsUint64() {
			return 1<<64 - 1
		}
		most = max(most, v.Uint64())
	}
	return most
}

// woken says which of the accounts that gave had not given for long.
func (b *block) woken(tx *flow.Tx, l *listed, c *activity) error {
	rest := int64(l.Dormant / time.Second)
	if rest <= 0 || tx.Point.Time <= 0 {
		return nil
	}
	if b.asked == nil {
		b.asked = map[flow.Account]bool{}
	}
	for _, a := range c.who {
		if b.asked[a] { // it gave in this block already
			continue
		}
		b.asked[a] = true
		gave, err := b.world.LastGave(b.ctx, a, tx.At())
		if err != nil {
			return fmt.Errorf("when %s gave last: %w", a, err)
		}
		if gave > 0 && tx.Point.Time-gave >= rest {
			b.awake(tx, l, a, tx.Point.Time-gave, c)
		}
	}
	return nil
}

func (b *block) awake(tx *flow.Tx, l *listed, a flow.Account, rest int64, c *activity) {
	evidence := slices.DeleteFunc(slices.Clone(c.evidence), func(f finding.Fact) bool { return f.From != a })
	severity := max(l.Severity, finding.High)
	b.group(l.Name, l).add(candidate{
		rule: listDormant.ID, severity: severity, weight: uint64(rest), tx: tx, contact: l.Contact,
		make: func() (finding.Finding, error) {
			return listDormant.finding(draft{
				chain: tx.Point.Chain, at: tx.Point, severity: severity, subjects: []flow.Account{a}, evidence: evidence,
				sentence: fmt.Sprintf("%s, of the list %s, gave again after %s: %s.", name(b.world, a), l.Name, age(rest), total(b.world, c.sums)),
				reason:   "not measured: it is a fact that nothing was given for so long, as far as the store reaches",
				numbers:  []finding.Parameter{{Name: "rest", Value: int64(l.Dormant / time.Second), Unit: "seconds"}},
			})
		},
	})
}

// countDust adds what was counted in the block.
func (b *block) countDust() {
	for i, n := range b.dusty {
		if n == 0 {
			continue
		}
		d := b.lists.all[i].dust
		old := *d
		d.total += n
		d.since += n
		b.log.undo = append(b.log.undo, func() { *d = old })
	}
}

// dustSaid is what was counted since the last alert about a list; it begins anew.
func (b *block) dustSaid(l *listed) int64 {
	n := l.dust.since
	if n > 0 {
		old := *l.dust
		l.dust.since = 0
		b.log.undo = append(b.log.undo, func() { *l.dust = old })
	}
	return n
}
