package sim

import (
	"math/big"

	"github.com/spoor-dev/spoor/flow"
)

// A holding is an account's balance in one asset.
type holding struct {
	who   account
	asset asset
}

// A lot is stolen units that lie together: from which theft, how many units of the asset that they are now, and the
// claim that they carry in units of the asset that was stolen.
type lot struct {
	theft        int
	units, claim flow.Amount
}

// books are the generator's own: every balance, and which of its units are stolen. They are written apart from package
// trace, and know what no tracer can: which coins were paid.
type books struct {
	balance map[holding]flow.Amount
	lots    map[holding][]lot // oldest first
}

func newBooks() books {
	return books{map[holding]flow.Amount{}, map[holding][]lot{}}
}

// stolen is how many units of a holding are stolen.
func (b *books) stolen(h holding) flow.Amount { return unitsOf(b.lots[h]) }

// own is how many units are not.
func (b *books) own(h holding) flow.Amount { return minus(b.balance[h], b.stolen(h)) }

// touched reports whether the holding was ever used.
func (b *books) touched(h holding) bool { _, ok := b.balance[h]; return ok }

// credit adds clean units.
func (b *books) credit(h holding, v flow.Amount) { b.balance[h] = plus(b.balance[h], v) }

// take takes v units off, by a rule, and returns the stolen ones among them.
func (b *books) take(h holding, v flow.Amount, rule Rule) []lot {
	balance := b.balance[h]
	if balance.Less(v) {
		panic("sim: an account pays what it does not have")
	}
	stolen := b.stolen(h)
	own := minus(balance, stolen)
	b.balance[h] = minus(balance, v)
	if len(b.lots[h]) == 0 || v.IsZero() {
		return nil
	}
	var n flow.Amount
	switch rule {
	case StolenFirst:
		n = v.Min(stolen)
	case Mixed:
		n = v.Share(stolen, balance)
	default:
		if own.Less(v) {
			n = minus(v, own)
		}
	}
	out, rest := cut(b.lots[h], n)
	if len(rest) == 0 {
		delete(b.lots, h)
	} else {
		b.lots[h] = rest
	}
	return out
}

// give adds v units, of which lots are stolen.
func (b *books) give(h holding, v flow.Amount, lots []lot) {
	b.balance[h] = plus(b.balance[h], v)
	if len(lots) > 0 {
		b.lots[h] = append(b.lots[h], lots...)
	}
}

// cut takes the first n stolen units off lots. A lot that is cut shares its claim by units, rounded down for what is cut
// off. Where all units go, lots whose units were rounded away go with them.
func cut(lots []lot, n flow.Amount) (out, rest []lot) {
	if !n.IsZero() && n == unitsOf(lots) {
		return lots, nil
	}
	for i, l := range lots {
		if n.IsZero() {
			return out, append(rest, lots[i:]...)
		}
		if !n.Less(l.units) {
			out = append(out, l)
			n = minus(n, l.units)
			continue
		}
		part := lot{l.theft, n, l.claim.Share(n, l.units)}
		out = append(out, part)
		rest = append(rest, lot{l.theft, minus(l.units, n), minus(l.claim, part.claim)})
		n = flow.Amount{}
	}
	return out, rest
}

// exchanged are lots after their units, in units of what was given, became out units of another asset: the stolen share
// of it, with the claims that they had.
func exchanged(lots []lot, given, out flow.Amount) []lot {
	if len(lots) == 0 {
		return nil
	}
	weights := make([]flow.Amount, len(lots))
	for i, l := range lots {
		weights[i] = l.units
	}
	units := flow.Split(out.Share(unitsOf(lots), given), weights)
	moved := make([]lot, len(lots))
	for i, l := range lots {
		moved[i] = lot{l.theft, units[i], l.claim}
	}
	return moved
}

func unitsOf(lots []lot) flow.Amount {
	var sum flow.Amount
	for _, l := range lots {
		sum = plus(sum, l.units)
	}
	return sum
}

func claimOf(lots []lot) flow.Amount {
	var sum flow.Amount
	for _, l := range lots {
		sum = plus(sum, l.claim)
	}
	return sum
}

// times is v·n/d, rounded down.
func times(v flow.Amount, n, d uint64) flow.Amount {
	b := new(big.Int).Mul(v.Big(), new(big.Int).SetUint64(n))
	a, err := flow.AmountFromBig(b.Quo(b, new(big.Int).SetUint64(d)))
	if err != nil {
		panic("sim: an amount beyond 256 bits")
	}
	return a
}

func plus(a, b flow.Amount) flow.Amount {
	sum, ok := a.Add(b)
	if !ok {
		panic("sim: an amount beyond 256 bits")
	}
	return sum
}

func minus(a, b flow.Amount) flow.Amount {
	diff, ok := a.Sub(b)
	if !ok {
		panic("sim: an amount below zero")
	}
	return diff
}
