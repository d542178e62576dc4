package detect

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// dormancy: stolen money lay still for long, and moves.
func dormancy(s *scene) []match {
	e, t := s.e, s.t
	if e.Units.IsZero() && e.hasTime() && len(s.graph.of(e.From, e.Asset).in) > 0 {
		s.acts.set(&s.log, e.From, e.Time)
	}
	if t == nil || t.Swap == OutOfSwap {
		return nil
	}
	n := s.graph.of(t.From, t.Asset)
	got, gave := lastBefore(n.in, t), lastBefore(n.out, t)
	if got == nil {
		return nil
	}
	last := max(got.when, s.acts.of[t.From])
	if gave != nil {
		last = max(last, gave.when)
	}
	rest, least := t.when-last, s.rule.number("rest")
	if rest < least {
		return nil
	}
	return []match{{
		subject: about(t.Asset, t.From), subjects: []flow.Account{t.From}, evidence: []*transfer{got, t}, size: 1,
		score: int(min(1000*rest/least, 1_000_000)), window: least - 1,
		sentence: fmt.Sprintf("%s moves stolen money that lay still for %s.", t.From.Address(), words(rest)),
	}}
}

// lastBefore is the newest transfer of a list that is of an earlier transaction; nil if there is none.
func lastBefore(list []*transfer, t *transfer) *transfer {
	for i := len(list) - 1; i >= 0; i-- {
		if txOf(list[i].At) != txOf(t.At) && list[i].seq < t.seq {
			return list[i]
		}
	}
	return nil
}

// An arrival is the first stolen money of a theft at an account.
type arrival struct {
	theft string
	t     *transfer
}

// maxMet bounds how many thefts of one account are told apart.
const maxMet = 16

// consolidation: the money of several thefts meets at one account.
func consolidation(s *scene) []match {
	e := s.e
	if e.Units.IsZero() || e.Sink != Held || e.Swap == IntoSwap || e.From == e.To || e.To.IsZero() {
		return nil
	}
	met := s.thefts.of[e.To]
	for _, a := range met {
		if a.theft == e.Theft {
			return nil
		}
	}
	if len(met) >= maxMet {
		return nil
	}
	t := s.t
	if t == nil {
		t = &transfer{Event: *e, seq: s.graph.seq, when: s.graph.when}
	}
	met = append(met[:len(met):len(met)], arrival{e.Theft, t})
	s.thefts.set(&s.log, e.To, met)
	k := int(s.rule.number("thefts"))
	if len(met) < k || s.hasMet(e.From, met) {
		return nil
	}
	m := match{
		subject: e.To.Key(), subjects: []flow.Account{e.To}, size: len(met), score: 1000 * len(met) / k, each: true,
		sentence: fmt.Sprintf("The money of %d thefts meets at %s:", len(met), e.To.Address()),
	}
	for i, a := range met {
		m.evidence = append(m.evidence, a.t)
		if i > 0 {
			m.sentence += ","
		}
		m.sentence += fmt.Sprintf(" %.60q", a.theft)
	}
	m.sentence += "."
	return []match{m}
}

// hasMet reports whether all these thefts had reached an account already: then they met there or before.
func (d *Detector) hasMet(a flow.Account, all []arrival) bool {
	n := 0
	for _, had := range d.thefts.of[a] {
		for _, want := range all {
			if had.theft == want.theft {
				n++
			}
		}
	}
	return n == len(all)
}

// swapBridge: stolen money is swapped, and what came out leaves for another chain at once.
func swapBridge(s *scene) []match {
	t := s.t
	if t == nil || t.Swap != NoSwap || t.Sink != Bridge && (t.Sink != Burned || t.Asset.IsNative()) {
		return nil
	}
	window := s.rule.number("window")
	path, ok := fromSwap(s, []*transfer{t}, t.when-window, int(s.rule.number("hops")))
	if !ok {
		return nil
	}
	out := path[len(path)-1]
	m := match{size: 1, score: 1000, window: window, evidence: append(path, out.paid...)}
	first := out.To
	if len(out.paid) > 0 {
		first = out.paid[0].From
	}
	m.subjects = []flow.Account{first}
	for i := len(path) - 1; i >= 0; i-- {
		a := path[i].From
		if i == len(path)-1 {
			a = out.To
		}
		if a != m.subjects[len(m.subjects)-1] {
			m.subjects = append(m.subjects, a)
		}
	}
	m.subject = about(t.Asset, t.From)
	how := "left over a bridge"
	if t.Sink == Burned {
		how = "was given back to its issuer, as on the way to another chain"
	}
	m.sentence = fmt.Sprintf("%s swapped stolen money, and %s later what came out %s.", first.Address(), words(t.when-out.when), how)
	return []match{m}
}

// fromSwap goes back from the oldest payment of a path to what came out of a swap, over at most so many payments more.
func fromSwap(s *scene, path []*transfer, from int64, hops int) ([]*transfer, bool) {
	last := path[len(path)-1]
	ins := since(until(s.graph.of(last.From, last.Asset).in, last), from)
	for i := len(ins) - 1; i >= 0; i-- {
		if ins[i].Swap == OutOfSwap {
			return append(path[:len(path):len(path)], ins[i]), true
		}
	}
	if hops == 0 {
		return nil, false
	}
	for i := len(ins) - 1; i >= 0 && i >= len(ins)-maxSwapIns; i-- {
		if found, ok := fromSwap(s, append(path[:len(path):len(path)], ins[i]), from, hops-1); ok {
			return found, true
		}
	}
	return nil, false
}
