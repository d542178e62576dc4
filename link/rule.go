package link

import "github.com/spoor-dev/spoor/flow"

// maxWork bounds what a transaction made to be slow can cost: converters times gains. Real ones stay far below.
const maxWork = 1 << 16

func (b *book) conversions() []Conversion {
	var own, payers []int
	for n, p := range b.parties {
		switch {
		case p.account.IsZero() || b.loses[n] == 0:
		case b.gains[n] > 0:
			own = append(own, n)
		case !b.closed[n]:
			payers = append(payers, n)
		}
	}
	if (len(own)+1)*len(b.holdings) > maxWork {
		return nil
	}
	var all []Conversion
	for _, n := range own {
		takes := b.ownTakes(n, len(payers) == 0)
		all = b.add(all, n, OwnGain, takes)
	}
	if len(payers) == 1 {
		all = b.add(all, payers[0], SolePayer, b.othersTakes(payers[0]))
	}
	return all
}

// add appends the conversion of a party, if anything of what it gave was converted.
func (b *book) add(all []Conversion, n int, rule Rule, takes []Part) []Conversion {
	if len(takes) == 0 {
		return all
	}
	c := Conversion{Account: b.parties[n].account, Takes: takes, Rest: []Part{}, Rule: rule, Version: Version, Confidence: ByNet}
	for _, i := range b.dealings[n] {
		if h := &b.holdings[i]; h.sign < 0 && !h.own {
			b.give(&c, n, h)
		}
	}
	if len(c.Gives) == 0 {
		return all
	}
	return append(all, c)
}

// give adds what became of one asset that a party lost: what exchangers took of it was converted; what accounts took
// that gave nothing for it are payments, shared over all who lost the asset.
func (b *book) give(c *Conversion, n int, h *holding) {
	exchanged := false
	var payees []Part
	var amounts []flow.Amount
	var paid flow.Sum
	for _, i := range b.gained[h.asset] {
		g := &b.holdings[i]
		if b.closed[g.party] || g.own { // what is destroyed goes back to who issued it
			exchanged = true
			continue
		}
		payees = append(payees, Part{b.parties[g.party].account, h.asset, g.net})
		amounts, paid = append(amounts, g.net), paid.Plus(g.net)
	}
	converted := h.out
	if exchanged {
		plain := h.net.Min(h.out)
		total, fits := paid.Amount()
		if lost, ok := b.lost[h.asset].Amount(); ok && fits {
			plain = total.Min(lost).Share(h.net, lost).Min(h.out)
		} else if len(payees) == 0 {
			plain = flow.Amount{}
		}
		converted, _ = h.out.Sub(plain)
		if !plain.IsZero() && !converted.IsZero() {
			for i, v := range flow.Split(plain, amounts) {
				if !v.IsZero() {
					payees[i].Amount = v
					c.Rest = append(c.Rest, payees[i])
				}
			}
		}
	} else if len(payees) != 1 || b.loses[n] != 1 || c.Rule != OwnGain {
		return // nobody exchanged it: unless one took it all and another paid for it, it is a payment
	}
	if converted.IsZero() {
		return
	}
	c.Gives = append(c.Gives, Part{c.Account, h.asset, converted})
	gave, _ := h.gave.Amount()
	if back, _ := gave.Sub(h.out); !back.IsZero() {
		c.Rest = append(c.Rest, Part{c.Account, h.asset, back})
	}
}

// ownTakes is what a party gained. Where nobody but exchangers lost anything, accounts that gained the same asset for
// nothing took it from the party's output.
func (b *book) ownTakes(n int, shared bool) []Part {
	var takes []Part
	for _, i := range b.dealings[n] {
		h := &b.holdings[i]
		if h.sign <= 0 || h.own {
			continue
		}
		takes = append(takes, Part{b.parties[n].account, h.asset, h.net})
		var others []Part
		alone := shared
		for _, k := range b.gained[h.asset] {
			g := &b.holdings[k]
			switch {
			case g.party == n:
			case b.closed[g.party]:
				alone = false
			case !g.own:
				others = append(others, Part{b.parties[g.party].account, h.asset, g.net})
			}
		}
		if alone {
			takes = append(takes, others...)
		}
	}
	return fungible(takes)
}

// othersTakes is what accounts gained for nothing, in assets that the one payer did not lose.
func (b *book) othersTakes(payer int) []Part {
	var takes []Part
	for i := range b.holdings {
		h := &b.holdings[i]
		if h.sign <= 0 || h.own || b.closed[h.party] || h.party == payer {
			continue
		}
		if k, ok := b.index[holdingKey{payer, h.asset}]; ok && b.holdings[k].sign < 0 {
			continue
		}
		takes = append(takes, Part{b.parties[h.party].account, h.asset, h.net})
	}
	return fungible(takes)
}

// fungible leaves out single pieces where there is anything else: a receipt that comes with the goods.
func fungible(parts []Part) []Part {
	var kept []Part
	for _, p := range parts {
		if k := p.Asset.Kind(); k != "erc721" && k != "erc1155" {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		return parts
	}
	return kept
}
