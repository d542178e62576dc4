package detect

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A star is the payments between one account and many others.
type star struct {
	pays  []*transfer
	ends  map[flow.Account]bool // the many
	total flow.Amount
}

// starOf is the star of those transfers that are payments and no crumbs: smaller than so many percent of the largest.
func starOf(all []*transfer, end func(*transfer) flow.Account, piece int64) star {
	var largest flow.Amount
	for _, t := range all {
		if t.isPayment() && largest.Less(t.Units) {
			largest = t.Units
		}
	}
	s := star{ends: make(map[flow.Account]bool, len(all))}
	for _, t := range all {
		if t.isPayment() && atLeast(t.Units, largest, piece) {
			s.pays = append(s.pays, t)
			s.ends[end(t)] = true
			s.total = plus(s.total, t.Units)
		}
	}
	return s
}

func payee(t *transfer) flow.Account { return t.To }
func payer(t *transfer) flow.Account { return t.From }

// about names what a judgement is about.
func about(asset flow.Asset, accounts ...flow.Account) string {
	s := asset.String()
	for _, a := range accounts {
		s += " " + a.Key()
	}
	return s
}

// fanOut: one account pays many, and most of what it got.
func fanOut(s *scene) []match {
	t := s.t
	if t == nil || !t.isPayment() {
		return nil
	}
	k, window := int(s.rule.number("payees")), s.rule.number("window")
	n := s.graph.of(t.From, t.Asset)
	outs := since(n.out, t.when-window)
	if len(outs) < k || s.isSaid(about(t.Asset, t.From), len(outs), window) {
		return nil
	}
	fan := starOf(outs, payee, s.rule.number("piece"))
	if len(fan.ends) < k {
		return nil
	}
	if got := total(since(n.in, fan.pays[0].when-window)); !atLeast(fan.total, got, s.rule.number("moved")) {
		return nil
	}
	return []match{{
		subject: about(t.Asset, t.From), subjects: []flow.Account{t.From}, evidence: fan.pays, size: len(fan.ends),
		score: 1000 * len(fan.ends) / k, window: window,
		sentence: fmt.Sprintf("%s paid stolen money to %d accounts within %s.", t.From.Address(), len(fan.ends), words(span(fan.pays))),
	}}
}

// fanIn: many pay one account.
func fanIn(s *scene) []match {
	t := s.t
	if t == nil || !t.isFollowed() {
		return nil
	}
	k, window := int(s.rule.number("payers")), s.rule.number("window")
	ins := since(s.graph.of(t.To, t.Asset).in, t.when-window)
	if len(ins) < k || s.isSaid(about(t.Asset, t.To), len(ins), window) {
		return nil
	}
	fan := starOf(ins, payer, s.rule.number("piece"))
	if len(fan.ends) < k {
		return nil
	}
	return []match{{
		subject: about(t.Asset, t.To), subjects: []flow.Account{t.To}, evidence: fan.pays, size: len(fan.ends),
		score: 1000 * len(fan.ends) / k, window: window,
		sentence: fmt.Sprintf("%d accounts paid stolen money to %s within %s.", len(fan.ends), t.To.Address(), words(span(fan.pays))),
	}}
}

// gatherScatter: many pay one account, which then pays many.
func gatherScatter(s *scene) []match {
	t := s.t
	if t == nil || !t.isPayment() {
		return nil
	}
	payers, payees, window := int(s.rule.number("payers")), int(s.rule.number("payees")), s.rule.number("window")
	piece := s.rule.number("piece")
	n := s.graph.of(t.From, t.Asset)
	ins, outs := since(n.in, t.when-window), since(n.out, t.when-window)
	if len(ins) < payers || len(outs) < payees {
		return nil
	}
	// What was scattered before enough had paid is no part of it.
	for len(outs) >= payees {
		gathered := starOf(until(ins, outs[0]), payer, piece)
		if len(gathered.ends) < payers {
			outs = outs[1:]
			continue
		}
		scattered := starOf(outs, payee, piece)
		if len(scattered.ends) < payees || !atLeast(scattered.total, gathered.total, s.rule.number("moved")) {
			return nil
		}
		size := min(len(gathered.ends), len(scattered.ends))
		all := append(gathered.pays, scattered.pays...)
		return []match{{
			subject: about(t.Asset, t.From), subjects: []flow.Account{t.From}, evidence: all, size: size,
			score: min(1000*len(gathered.ends)/payers, 1000*len(scattered.ends)/payees), window: window,
			sentence: fmt.Sprintf("%s gathered stolen money from %d accounts and scattered it to %d within %s.", t.From.Address(),
				len(gathered.ends), len(scattered.ends), words(span(all))),
		}}
	}
	return nil
}

// maxMatches bounds how many origins of one payment are named.
const maxMatches = 8

// A flow through one middle account.
type through struct{ in, out *transfer }

// scatterGather: one account pays many, who pay one other.
func scatterGather(s *scene) []match {
	t := s.t
	if t == nil || !t.isFollowed() {
		return nil
	}
	k, window := int(s.rule.number("middles")), s.rule.number("window")
	from := t.when - window
	ins := since(s.graph.of(t.To, t.Asset).in, from)
	if len(ins) < k {
		return nil
	}
	var origins []flow.Account // in the order in which they are met
	by := map[flow.Account][]through{}
	work := 0
	seen := make(map[flow.Account]bool, len(ins))
	for i := len(ins) - 1; i >= 0; i-- { // the newest payment of each middle
		out := ins[i]
		m := out.From
		if !out.isPayment() || seen[m] {
			continue
		}
		seen[m] = true
		first := since(until(s.graph.of(m, t.Asset).in, out), from)
		for j := len(first) - 1; j >= 0 && work < maxWork; j-- {
			work++
			in := first[j]
			a := in.From
			if !in.isPayment() || a == t.To {
				continue
			}
			paths := by[a]
			if len(paths) > 0 && paths[len(paths)-1].out == out {
				continue // the same middle
			}
			if len(paths) == 0 {
				origins = append(origins, a)
			}
			by[a] = append(paths, through{in, out})
		}
	}
	var found []match
	for _, a := range origins {
		if len(found) == maxMatches {
			break
		}
		if m, ok := scattered(s, a, by[a], k, window); ok {
			found = append(found, m)
		}
	}
	return found
}

// scattered is the match of one origin, if the newest payment is a part of it.
func scattered(s *scene, origin flow.Account, paths []through, k int, window int64) (match, bool) {
	t := s.t
	if len(paths) < k || paths[0].out != t {
		return match{}, false
	}
	var largest flow.Amount
	for _, p := range paths {
		if v := p.in.Units.Min(p.out.Units); largest.Less(v) {
			largest = v
		}
	}
	m := match{subject: about(t.Asset, origin, t.To), subjects: []flow.Account{origin, t.To}, window: window}
	for _, p := range paths {
		if atLeast(p.in.Units.Min(p.out.Units), largest, s.rule.number("piece")) {
			m.size++
			m.evidence = append(m.evidence, p.in, p.out)
		}
	}
	if m.size < k {
		return m, false
	}
	m.score = 1000 * m.size / k
	m.sentence = fmt.Sprintf("Stolen money went from %s to %s over %d accounts within %s.", origin.Address(), t.To.Address(), m.size, words(span(m.evidence)))
	return m, true
}
