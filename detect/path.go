package detect

import (
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// accountsOf are the accounts along a path of payments.
func accountsOf(path []*transfer) []flow.Account {
	accounts := []flow.Account{path[0].From}
	for _, t := range path {
		accounts = append(accounts, t.To)
	}
	return accounts
}

// cycle: money comes back to where it left, over others.
func cycle(s *scene) []match {
	t := s.t
	if t == nil || !t.isFollowed() {
		return nil
	}
	w := ring{
		s: s, kept: s.rule.number("kept"), from: t.when - s.rule.number("window"),
		shortest: int(s.rule.number("shortest")), longest: int(s.rule.number("longest")),
	}
	if !w.close([]*transfer{t}, t.Units, t.Units) {
		return nil
	}
	slices.Reverse(w.found)
	path := w.found
	accounts := accountsOf(path)
	accounts = accounts[:len(accounts)-1]
	return []match{{
		subject: about(t.Asset, smallest(accounts)), subjects: accounts, evidence: path, size: 1, score: 1000, window: s.rule.number("window"),
		sentence: fmt.Sprintf("Stolen money came back to %s over %d other accounts within %s.", t.To.Address(), len(path)-1, words(span(path))),
	}}
}

// smallest is the first account in their order: a ring has no beginning.
func smallest(accounts []flow.Account) flow.Account {
	return slices.MinFunc(accounts, flow.Account.Compare)
}

// A ring is a search for the payments that close one, backward in time from the newest.
type ring struct {
	s                 *scene
	kept, from        int64
	shortest, longest int
	work              int
	found             []*transfer // the newest first
}

// close goes back from the oldest payment of the path, whose smallest and largest amounts are given.
func (w *ring) close(path []*transfer, small, large flow.Amount) bool {
	t := path[len(path)-1]
	ins := until(w.s.graph.of(t.From, t.Asset).in, t)
	var tried []flow.Account // of several payments of one payer the newest that fits is enough
	for i := len(ins) - 1; i >= 0 && ins[i].when >= w.from; i-- {
		if w.work++; w.work > maxWork {
			return false
		}
		p := ins[i]
		small, large := small.Min(p.Units), large
		if large.Less(p.Units) {
			large = p.Units
		}
		if !p.isPayment() || slices.Contains(tried, p.From) || !atLeast(small, large, w.kept) {
			continue
		}
		tried = append(tried, p.From)
		next := append(slices.Clip(path), p)
		if p.From == path[0].To {
			if len(next) >= w.shortest {
				w.found = next
				return true
			}
			continue
		}
		if len(next) < w.longest && !slices.ContainsFunc(path, func(o *transfer) bool { return o.To == p.From }) && w.close(next, small, large) {
			return true
		}
	}
	return false
}

// maxPath bounds how far back a path is followed.
const maxPath = 64

// random: stolen money is handed on whole, over accounts that do nothing else.
func random(s *scene) []match {
	t := s.t
	if t == nil || !t.isPayment() {
		return nil
	}
	k, kept, window := int(s.rule.number("hops")), s.rule.number("kept"), s.rule.number("hop_window")
	path := []*transfer{t}
	seen := map[flow.Account]bool{t.To: true, t.From: true}
	for len(path) < maxPath {
		last := path[len(path)-1]
		n := s.graph.of(last.From, t.Asset)
		if len(n.in) != 1 || len(n.out) != 1 {
			break
		}
		p := n.in[0]
		if !p.isPayment() || p.seq > last.seq || last.when-p.when > window || !atLeast(last.Units, p.Units, kept) || seen[p.From] {
			break
		}
		seen[p.From] = true
		path = append(path, p)
	}
	if len(path) < k || len(path) == maxPath { // where it began is out of sight; it was said when it was half as long
		return nil
	}
	slices.Reverse(path)
	return []match{{
		subject: about(t.Asset, path[0].From, path[0].To), subjects: accountsOf(path), evidence: path, size: len(path), score: 1000 * len(path) / k,
		sentence: fmt.Sprintf("Stolen money was handed on %d times from %s to %s, within %s, by accounts that do nothing else.", len(path),
			path[0].From.Address(), t.To.Address(), words(span(path))),
	}}
}

// A peel is one step of a peel chain: an account keeps most of what it got together and pays small parts of it away.
type peel struct {
	account  flow.Account
	receipts []*transfer
	pays     []*transfer
	next     flow.Account // who has the rest
}

// peelChain: most of the money goes on to a new account again and again, and each time a little is paid to others.
func peelChain(s *scene) []match {
	t := s.t
	if t == nil || !t.isPayment() {
		return nil
	}
	k := int(s.rule.number("steps"))
	step, ok := peelAt(s, t.From, t.Asset)
	if !ok {
		return nil
	}
	steps := []peel{step}
	seen := map[flow.Account]bool{t.From: true}
	for len(steps) < maxPath {
		last, ok := steps[len(steps)-1], false
		for _, r := range last.receipts {
			if before, is := peelAt(s, r.From, t.Asset); is && before.next == last.account && !seen[r.From] {
				seen[r.From] = true
				steps, ok = append(steps, before), true
				break
			}
		}
		if !ok {
			break
		}
	}
	if len(steps) < k || len(steps) == maxPath { // as for random
		return nil
	}
	slices.Reverse(steps)
	m := match{subject: about(t.Asset, steps[0].account), size: len(steps), score: 1000 * len(steps) / k}
	for _, p := range steps {
		m.subjects = append(m.subjects, p.account)
		m.evidence = append(m.evidence, p.pays...)
	}
	m.sentence = fmt.Sprintf("%d accounts from %s on kept most of the stolen money together and paid a little of it away each, within %s.", len(steps),
		steps[0].account.Address(), words(span(m.evidence)))
	return []match{m}
}

// peelAt is the step at an account, as far as it has gone.
func peelAt(s *scene, a flow.Account, asset flow.Asset) (peel, bool) {
	goesOn, peels, most := s.rule.number("goes_on"), int(s.rule.number("peels")), int(s.rule.number("receipts"))
	window := s.rule.number("hop_window")
	n := s.graph.of(a, asset)
	if len(n.out) < 2 {
		return peel{}, false
	}
	p := peel{account: a, receipts: until(n.in, n.out[0])}
	txs := 0
	for i, r := range p.receipts {
		if i == 0 || p.receipts[i-1].Tx != r.Tx {
			txs++
		}
	}
	began := n.out[0].when
	if txs > 0 {
		began = p.receipts[len(p.receipts)-1].when
	}
	if txs > most {
		return peel{}, false
	}
	var payees []flow.Account
	paid := map[flow.Account]flow.Amount{}
	for _, o := range n.out {
		if !o.isPayment() || o.when-began > window {
			continue
		}
		if _, ok := paid[o.To]; !ok {
			payees = append(payees, o.To)
		}
		paid[o.To] = plus(paid[o.To], o.Units)
		p.pays = append(p.pays, o)
	}
	if len(payees) < 2 || len(payees) > 1+peels {
		return peel{}, false
	}
	next := payees[0]
	for _, to := range payees {
		if paid[next].Less(paid[to]) {
			next = to
		}
	}
	p.next = next
	had := total(p.receipts)
	if txs == 0 {
		had = total(p.pays) // where the theft begins, nobody is seen to pay
	}
	return p, atLeast(paid[next], had, goesOn) && isFresh(s, a, next, asset)
}

// isFresh reports whether an account had no stolen money of the asset before another one paid it. Services never are.
func isFresh(s *scene, from, a flow.Account, asset flow.Asset) bool {
	n := s.graph.of(a, asset)
	if len(n.in) == 0 {
		return false
	}
	first := n.in[0]
	return (first.From == from || slices.ContainsFunc(n.in, func(t *transfer) bool { return t.From == from && t.Tx == first.Tx })) &&
		(len(n.out) == 0 || n.out[0].seq > first.seq)
}
