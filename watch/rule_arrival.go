package watch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// liveArrival is told once for each case, transaction and service.
var liveArrival = Rule{
	ID: "live-arrival", Version: 1, Title: "Stolen money reached a service", Severity: finding.Critical,
	Meaning: "Claim of a case ended at an account that holds the money of many: an exchange, a payment service, a pool. Whoever runs it may still be able to stop it. It is critical if the leading rule says so, high if only another rule does.",
	Wrong:   "The label may be wrong, or the service may have been judged by its behaviour alone (crowd). Under another rule less or nothing of it is stolen: the sentence says how much under each.",
}

// sure is why a finding about stolen money is no certainty.
func (s *seat) sure() string {
	return "not measured: that the money moved is a fact; which of the giver's money it was is the answer of " + s.ledger().Policy().String()
}

// draft fills in what the findings of a case on one transaction have in common.
func (s *seat) draft(v *view, d draft) draft {
	d.chain, d.at, d.reason = s.chain, v.tx.Point, s.sure()
	return d
}

// ended is the sink in which a hop ended, as people see it: labels tell bridges and mixers from other services.
func ended(h *hop, w World) trace.Sink {
	if h.sink != trace.Service {
		return h.sink
	}
	p, _ := w.Party(h.to)
	switch category := strings.ToLower(p.Category); {
	case strings.Contains(category, "bridge"):
		return trace.Bridge
	case strings.Contains(category, "mixer"):
		return trace.Mixer
	}
	return trace.Service
}

// ending is ended, and a service where the holder has turned out to be one.
func (s *seat) ending(h *hop, w World) trace.Sink {
	if h.sink == "" && h.swap == "" {
		if stand, ok := s.ledger().Stand(h.taker()); ok && stand.Stopped {
			return trace.Service
		}
	}
	return ended(h, w)
}

// arrive says that claim ended at services, one after the other.
func (s *seat) arrive(v *view) {
	type place struct {
		to   flow.Account
		sink trace.Sink
	}
	var order []place
	groups := map[place][]*hop{}
	for i := range v.hops {
		h := &v.hops[i]
		p := place{h.to, s.ending(h, v.world)}
		if p.sink != trace.Service && p.sink != trace.Bridge && p.sink != trace.Mixer || !s.says(h) {
			continue
		}
		if groups[p] == nil {
			order = append(order, p)
		}
		groups[p] = append(groups[p], h)
	}
	for _, p := range order {
		rule, then := &liveArrival, "Minutes count: ask the service to freeze it"
		switch p.sink {
		case trace.Bridge:
			rule, then = &liveBridge, "It comes out on another chain: look for it there, and ask the bridge's operators to hold it"
		case trace.Mixer:
			rule, then = &liveMixer, "What leaves the mixer cannot be told apart by this trace: watch its payouts"
		}
		s.arrival(v, rule, p.to, then, groups[p])
	}
}

// says reports whether a rule that follows the money, and does not mix it, sees stolen money in a hop.
func (s *seat) says(h *hop) bool {
	for i, l := range s.ledgers {
		if (i == s.lead || l.Policy() != trace.Haircut) && !h.units[i].IsZero() {
			return true
		}
	}
	return false
}

func (s *seat) arrival(v *view, rule *Rule, to flow.Account, then string, hops []*hop) {
	sums, share := s.moved(hops)
	severity, part := rule.Severity, thousandths(share)
	if !slices.ContainsFunc(hops, func(h *hop) bool { return !h.units[s.lead].IsZero() }) {
		severity--
		n := slices.IndexFunc(s.ledgers, func(l *trace.Ledger) bool {
			i := slices.Index(s.ledgers, l)
			return l.Policy() != trace.Haircut && slices.ContainsFunc(hops, func(h *hop) bool { return !h.units[i].IsZero() })
		})
		sums, part = unitsBy(hops, n), "stolen as "+s.ledgers[n].Policy().String()+" says"
	}
	party, _ := v.world.Party(to)
	v.add(candidate{
		rule: rule.ID, severity: severity, weight: share, sums: sums, contact: party.Contact,
		make: func() (finding.Finding, error) {
			who := to.Address()
			switch {
			case party.Name != "" && party.Category != "":
				who += " (" + party.Name + ", " + party.Category + ")"
			case party.Name != "":
				who += " (" + party.Name + ")"
			case !slices.ContainsFunc(hops, func(h *hop) bool { return h.sink != "" }):
				who += " (nobody names it; it behaves like a service)"
			}
			rules := make([]string, 0, len(s.ledgers))
			for i, l := range s.ledgers {
				if l.Policy() == trace.Poison {
					continue
				}
				rules = append(rules, l.Policy().String()+" "+total(v.world, unitsBy(hops, i)))
			}
			text := fmt.Sprintf("%s, %s, arrived at %s from %s. How much of it is stolen, by rule: %s. %s",
				total(v.world, sums), part, who, names(v.world, givers(hops)), strings.Join(rules, ", "), then)
			if party.Contact != "" {
				text += ": " + party.Contact
			}
			return rule.finding(s.draft(v, draft{severity: severity, subjects: []flow.Account{to}, evidence: facts(hops), sentence: text + "."}))
		},
	})
}

// unitsBy is how much of some hops is stolen under the rule of ledger n.
func unitsBy(hops []*hop, n int) (sums []sum) {
	for _, h := range hops {
		sums = plus(sums, h.asset, h.units[n])
	}
	return sums
}
