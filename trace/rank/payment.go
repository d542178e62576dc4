package rank

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A payment is value on its way from one holder, an account in one asset, to another. Where it passed an exchange inside
// its transaction, Got differs from Asset. A zero To is nobody: the value was burned.
type payment struct {
	From, To flow.Account
	Asset    flow.Asset  // what From gave
	Got      flow.Asset  // what To got
	Amount   flow.Amount // units of Asset
	GotUnits flow.Amount // units of Got
	At       flow.Pos    // where it was given
	Landed   flow.Pos    // where it arrived: behind the last movement of the transaction if it passed an exchange
}

// holder is who can be paid: an account in one asset.
type holder struct {
	account flow.Account
	asset   flow.Asset
}

// A lifter turns transactions into payments. Fees and rewards are none, and who pays himself pays nobody.
type lifter struct {
	swaps trace.Swaps
	gives func(holder) bool       // whose payments are wanted; all if nil
	takes func(flow.Account) bool // to whom; all if nil
}

// view lifts what is shown of a transaction, in the order of the chain, what passed an exchange last.
func (l *lifter) view(v *trace.View, visit func(*payment)) {
	var strands []trace.Pass
	if l.swaps.Of != nil && v.Places == nil && len(v.Tx.Movements) > 1 {
		strands = l.swaps.Of(v.Tx)
	}
	x := exchange{}
	if len(strands) > 0 {
		x.set(v, strands)
	}
	at := v.Tx.At()
	for i := range v.Tx.Movements {
		at.Movement = uint32(i)
		if v.Places != nil {
			at.Movement = v.Places[i]
		}
		l.movement(&v.Tx.Movements[i], at, &x, visit)
	}
	end := v.Tx.At()
	end.Movement = uint32(len(v.Tx.Movements))
	for i := range x.strands {
		p := &x.strands[i]
		if p.From == p.To && p.FromAsset == p.ToAsset || !l.wants(holder{p.From, p.FromAsset}, p.To) {
			continue
		}
		visit(&payment{p.From, p.To, p.FromAsset, p.ToAsset, p.FromAmount, p.ToAmount, x.paid[holder{p.From, p.FromAsset}], end})
	}
}

func (l *lifter) wants(from holder, to flow.Account) bool {
	return (l.gives == nil || l.gives(from)) && (l.takes == nil || l.takes(to))
}

// movement lifts one movement: every giver pays every taker by the taker's share.
func (l *lifter) movement(m *flow.Movement, at flow.Pos, x *exchange, visit func(*payment)) {
	if m.Kind == flow.Fee || m.Kind == flow.Reward {
		return
	}
	pay := func(from, to flow.Account, v flow.Amount) {
		if v = x.divert(holder{from, m.Asset}, v); !v.IsZero() && from != to && l.wants(holder{from, m.Asset}, to) {
			visit(&payment{from, to, m.Asset, m.Asset, v, v, at, at})
		}
	}
	if len(m.In) <= 1 && len(m.Out) <= 1 {
		var from, to flow.Leg
		if len(m.In) == 1 {
			from = m.In[0]
			to.Amount = from.Amount
		}
		if len(m.Out) == 1 {
			to = m.Out[0]
		}
		pay(from.Account, to.Account, to.Amount)
		return
	}
	givers, _ := merge(m.In)
	takers, whole := merge(m.Out)
	if len(givers) == 0 {
		givers = []flow.Leg{{Amount: whole}}
	}
	if len(takers) == 0 {
		takers, whole = []flow.Leg{{Amount: flow.NewAmount(1)}}, flow.NewAmount(1)
	}
	if len(x.room) == 0 { // else all that a giver gives fills its strands
		givers = slices.DeleteFunc(givers, func(g flow.Leg) bool { return l.gives != nil && !l.gives(holder{g.Account, m.Asset}) })
		takers = slices.DeleteFunc(takers, func(t flow.Leg) bool { return l.takes != nil && !l.takes(t.Account) })
	}
	for _, g := range givers {
		for _, t := range takers {
			if !whole.IsZero() {
				pay(g.Account, t.Account, g.Amount.Share(t.Amount.Min(whole), whole))
			}
		}
	}
}

// merge adds up the legs of each account, in the order in which they first stand. A sum that only a lying token has stays
// at the largest amount.
func merge(legs []flow.Leg) (merged []flow.Leg, whole flow.Amount) {
	index := make(map[flow.Account]int, len(legs))
	for _, leg := range legs {
		whole = add(whole, leg.Amount)
		i, ok := index[leg.Account]
		if !ok {
			i = len(merged)
			index[leg.Account] = i
			merged = append(merged, flow.Leg{Account: leg.Account})
		}
		merged[i].Amount = add(merged[i].Amount, leg.Amount)
	}
	return merged, whole
}

func add(a, b flow.Amount) flow.Amount {
	sum, ok := a.Add(b)
	if !ok {
		return flow.AmountFromWords([4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})
	}
	return sum
}

// exchange is what passes from asset to asset inside one transaction.
type exchange struct {
	strands []trace.Pass
	paid    map[holder]flow.Pos    // where each giver of a strand last gave of its asset
	room    map[holder]flow.Amount // what the strands still take of what is given
}

// set keeps the strands which the movements bear out.
func (x *exchange) set(v *trace.View, strands []trace.Pass) {
	x.paid, x.room = map[holder]flow.Pos{}, map[holder]flow.Amount{}
	came := map[holder]bool{}
	at := v.Tx.At()
	for i := range v.Tx.Movements {
		m := &v.Tx.Movements[i]
		if m.Kind == flow.Fee || m.Kind == flow.Reward {
			continue
		}
		at.Movement = uint32(i)
		for _, leg := range m.In {
			x.paid[holder{leg.Account, m.Asset}] = at
		}
		for _, leg := range m.Out {
			came[holder{leg.Account, m.Asset}] = true
		}
	}
	for _, p := range strands {
		from, to := holder{p.From, p.FromAsset}, holder{p.To, p.ToAsset}
		_, gave := x.paid[from]
		if p.From.IsZero() || p.To.IsZero() || p.FromAmount.IsZero() || p.ToAmount.IsZero() || !gave || !came[to] {
			continue
		}
		x.room[from] = add(x.room[from], p.FromAmount)
		x.strands = append(x.strands, p)
	}
}

// divert is what is left of a payment when the strands of its giver have taken their part.
func (x *exchange) divert(from holder, v flow.Amount) flow.Amount {
	room, ok := x.room[from]
	if !ok {
		return v
	}
	taken := v.Min(room)
	x.room[from], _ = room.Sub(taken)
	v, _ = v.Sub(taken)
	return v
}
