package detect

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// maxSide bounds each side of a layer.
const maxSide = 32

// A layer is a group of accounts that pay, one of accounts that are paid, and the payments from the one to the other.
type layer struct {
	payers, payees []flow.Account
	pays           [][]*transfer // the first from each payer to each payee; nil where there is none
	edges          int
}

// all are the payments of the layer.
func (l *layer) all() []*transfer {
	var all []*transfer
	for _, row := range l.pays {
		for _, t := range row {
			if t != nil {
				all = append(all, t)
			}
		}
	}
	return all
}

// layerAround is the densest layer that a payment is found to be in, of those from a time on: from all accounts that are
// tied to the payment as payers and payees of each other, those with the fewest ties are left out until so many percent
// of all pairs are tied. ok is false where too few are left, or the payment was left out.
func layerAround(s *scene, t *transfer, from int64, payers, payees int, density int64) (l layer, ok bool) {
	l.payers, l.payees = []flow.Account{t.From}, []flow.Account{t.To}
	side := map[flow.Account]int{t.From: 0, t.To: maxSide} // number of a payer, maxSide + number of a payee
	work := 0
	tie := func(list []*transfer, end func(*transfer) flow.Account, of *[]flow.Account, base int) {
		list = since(list, from)
		for i := len(list) - 1; i >= 0 && work < maxWork; i-- {
			work++
			a := end(list[i])
			if _, known := side[a]; !known && list[i].isFollowed() && len(*of) < maxSide {
				side[a] = base + len(*of)
				*of = append(*of, a)
			}
		}
	}
	for i, j := 0, 0; i < len(l.payers) || j < len(l.payees); {
		if i < len(l.payers) {
			tie(s.graph.of(l.payers[i], t.Asset).out, payee, &l.payees, maxSide)
			i++
		}
		if j < len(l.payees) {
			tie(s.graph.of(l.payees[j], t.Asset).in, payer, &l.payers, 0)
			j++
		}
	}
	if len(l.payers) < payers || len(l.payees) < payees {
		return l, false
	}
	l.pays = make([][]*transfer, len(l.payers))
	for i, a := range l.payers {
		l.pays[i] = make([]*transfer, len(l.payees))
		for _, p := range since(s.graph.of(a, t.Asset).out, from) {
			if j, known := side[p.To]; known && j >= maxSide && p.isFollowed() && l.pays[i][j-maxSide] == nil {
				l.pays[i][j-maxSide] = p
				l.edges++
			}
		}
	}
	for l.edges*100 < int(density)*len(l.payers)*len(l.payees) {
		if !l.thin(t, payers, payees) {
			return l, false
		}
	}
	return l, true
}

// thin leaves out the account with the fewest ties for the size of the other side. It returns false if that is one of
// the payment's own, or too few are left.
func (l *layer) thin(keep *transfer, payers, payees int) bool {
	columns := make([]int, len(l.payees))
	best, row, column := int(^uint(0)>>1), -1, -1
	for i, pays := range l.pays {
		n := 0
		for j, t := range pays {
			if t != nil {
				n++
				columns[j]++
			}
		}
		if n*len(l.payers) <= best {
			best, row = n*len(l.payers), i
		}
	}
	for j, n := range columns {
		if n*len(l.payees) <= best {
			best, column = n*len(l.payees), j
		}
	}
	if column >= 0 {
		if l.payees[column] == keep.To || len(l.payees) <= payees {
			return false
		}
		l.payees = slices.Delete(l.payees, column, column+1)
		for i := range l.pays {
			if l.pays[i][column] != nil {
				l.edges--
			}
			l.pays[i] = slices.Delete(l.pays[i], column, column+1)
		}
		return true
	}
	if l.payers[row] == keep.From || len(l.payers) <= payers {
		return false
	}
	for _, t := range l.pays[row] {
		if t != nil {
			l.edges--
		}
	}
	l.payers, l.pays = slices.Delete(l.payers, row, row+1), slices.Delete(l.pays, row, row+1)
	return true
}

// oldest is the payer of the oldest payment, by which a layer is known while it grows.
func (l *layer) oldest() flow.Account {
	return slices.MinFunc(l.all(), func(a, b *transfer) int { return cmp.Compare(a.seq, b.seq) }).From
}

func sorted(accounts []flow.Account) []flow.Account {
	return slices.SortedFunc(slices.Values(accounts), flow.Account.Compare)
}

// bipartite: a group of accounts pays another group, almost each of them each.
func bipartite(s *scene) []match {
	t := s.t
	if t == nil || !t.isFollowed() {
		return nil
	}
	payers, payees, window := int(s.rule.number("payers")), int(s.rule.number("payees")), s.rule.number("window")
	l, ok := layerAround(s, t, t.when-window, payers, payees, s.rule.number("density"))
	if !ok {
		return nil
	}
	all := l.all()
	return []match{{
		subject: about(t.Asset, l.oldest()), subjects: slices.Concat(sorted(l.payers), sorted(l.payees)), evidence: all, size: l.edges,
		score: min(1000*len(l.payers)/payers, 1000*len(l.payees)/payees), window: window,
		sentence: fmt.Sprintf("%d accounts paid stolen money to the same %d accounts, %d of %d pairs, within %s.", len(l.payers), len(l.payees), l.edges,
			len(l.payers)*len(l.payees), words(span(all))),
	}}
}

// stack: the payees of one layer are the payers of the next.
func stack(s *scene) []match {
	t := s.t
	if t == nil || !t.isFollowed() {
		return nil
	}
	payers, payees, window := int(s.rule.number("payers")), int(s.rule.number("payees")), s.rule.number("window")
	before := since(until(s.graph.of(t.From, t.Asset).in, t), t.when-window)
	before = slices.DeleteFunc(slices.Clone(before), func(p *transfer) bool { return !p.isFollowed() })
	if len(before) == 0 {
		return nil
	}
	lower, ok := layerAround(s, t, t.when-window, payers, payees, s.rule.number("density"))
	if !ok {
		return nil
	}
	upper, ok := layerAround(s, before[len(before)-1], t.when-window, payers, payees, s.rule.number("density"))
	if !ok {
		return nil
	}
	middles := 0
	for j, a := range upper.payees {
		if i := slices.Index(lower.payers, a); i >= 0 && precedes(&upper, j, &lower, i) {
			middles++
		}
	}
	if middles < payees {
		return nil
	}
	all := append(upper.all(), lower.all()...)
	subjects := sorted(upper.payers)
	for _, a := range slices.Concat(sorted(upper.payees), sorted(lower.payers), sorted(lower.payees)) {
		if !slices.Contains(subjects, a) {
			subjects = append(subjects, a)
		}
	}
	return []match{{
		subject: about(t.Asset, upper.oldest()), subjects: subjects, evidence: all, size: upper.edges + lower.edges,
		score: 1000 * middles / payees, window: window,
		sentence: fmt.Sprintf("Stolen money went from %d accounts over %d others, %d of them the same, to %d more in two layers within %s.",
			len(upper.payers), len(upper.payees), middles, len(lower.payees), words(span(all))),
	}}
}

// precedes reports whether a payee of the upper layer was paid before it paid on as a payer of the lower one.
func precedes(upper *layer, payee int, lower *layer, payer int) bool {
	var first, last uint64
	for _, row := range upper.pays {
		if t := row[payee]; t != nil && (first == 0 || t.seq < first) {
			first = t.seq
		}
	}
	for _, t := range lower.pays[payer] {
		if t != nil {
			last = max(last, t.seq)
		}
	}
	return first < last
}
