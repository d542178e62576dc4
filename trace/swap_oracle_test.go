package trace

import "github.com/spoor-dev/spoor/flow"

// evenSwaps follows the exchanges of transactions where a unit becomes a unit, so that the oracle can count them.
var evenSwaps = Swaps{Rule: "even/test", Of: func(tx flow.Tx) []Pass {
	all := netSwaps.Of(tx)
	for _, p := range all {
		if p.FromAmount != p.ToAmount {
			return nil
		}
	}
	return all
}}

// oracleSwaps is what the oracle knows of the exchanges of one transaction: how many stolen units went in.
type oracleSwaps struct {
	passes []Pass
	inside map[accountKey]int
	order  []accountKey
	odd    bool // something stolen came out of a pool, and its units are claimed twice: the oracle cannot say that
}

func (o *oracle) enter(passes []Pass) {
	o.swaps.passes, o.swaps.inside, o.swaps.order = passes, map[accountKey]int{}, nil
}

// divert takes stolen units out of a payment.
func (o *oracle) divert(k accountKey, units []bool) {
	room := -o.swaps.inside[k]
	for _, p := range o.swaps.passes {
		if p.From == k.account && p.FromAsset == k.asset {
			room += small(p.FromAmount)
		}
	}
	for i := range units {
		if units[i] && room > 0 {
			room--
			units[i] = false
			if o.swaps.inside[k] == 0 {
				o.swaps.order = append(o.swaps.order, k)
			}
			o.swaps.inside[k]++
		}
	}
}

// land turns the newest clean units of those who got something into stolen ones.
func (o *oracle) land() {
	for _, k := range o.swaps.order {
		whole, left := 0, o.swaps.inside[k]
		for _, p := range o.swaps.passes {
			if p.From == k.account && p.FromAsset == k.asset {
				whole += small(p.FromAmount)
			}
		}
		for _, p := range o.swaps.passes {
			if p.From != k.account || p.FromAsset != k.asset {
				continue
			}
			n := floorOf(left, small(p.FromAmount), whole)
			left, whole = left-n, whole-small(p.FromAmount)
			to := accountKey{p.To, p.ToAsset}
			if _, ok := o.stop(p.To); ok {
				o.sunk[Service] += n
				continue
			}
			pile := o.pile(to)
			if o.leaky[p.To] {
				for range n {
					o.give(pile, []bool{true})
				}
				continue
			}
			if len(pile.units)+pile.normal+pile.stolen-pile.dirt() < n {
				o.swaps.odd = true
			}
			o.steal(to, n)
			o.stolen -= n
		}
	}
	o.swaps.order = nil
}
