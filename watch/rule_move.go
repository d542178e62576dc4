package watch

import (
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// liveMove is told once for each case and transaction.
var liveMove = Rule{
	ID: "live-move", Version: 1, Title: "Stolen money moved", Severity: finding.High,
	Meaning: "A holder of stolen money paid somebody who is no known service, or exchanged it. The new holders are watched from now on. It is medium where less than a hundredth of the theft moved.",
	Wrong:   "The new holder may be a service that nobody has labelled, or a victim's customer. Which of the giver's money it was is what dirty-first says; see the case for the other rules.",
}

// smallShare is the part of a theft, in billionths, below which its movements are medium.
const smallShare = billion / 100

// graded is high, or medium for a small part of the theft.
func graded(share uint64) finding.Severity {
	if share < smallShare {
		return finding.Medium
	}
	return finding.High
}

// move says that money has new holders, or another form.
func (s *seat) move(v *view) {
	gave := map[flow.Account]bool{}
	for _, h := range v.led {
		gave[h.from] = true
	}
	var all, last []*hop // what moved, and how it reached those who have it now
	for _, h := range v.led {
		if h.sink != "" || s.ending(h, v.world) != "" {
			continue
		}
		all = append(all, h)
		if h.swap == trace.OutOfSwap || h.swap == "" && !gave[h.to] {
			last = append(last, h)
		}
	}
	if len(last) == 0 {
		return
	}
	sums, share := s.moved(last)
	v.add(candidate{
		rule: liveMove.ID, severity: graded(share), weight: share, sums: sums,
		make: func() (finding.Finding, error) {
			to, got := takers(last), map[flow.Account]flow.Sum{}
			for _, h := range last { // in whatever asset: for an order only
				got[h.to] = got[h.to].Plus(h.units[s.lead])
			}
			slices.SortStableFunc(to, func(a, b flow.Account) int { return got[b].Compare(got[a]) })
			how := "moved"
			if slices.ContainsFunc(last, func(h *hop) bool { return h.swap == trace.OutOfSwap }) {
				how = "moved through an exchange in one transaction"
			}
			text := fmt.Sprintf("%s, %s, %s from %s to %s, %s from the theft. ",
				total(v.world, sums), thousandths(share), how, names(v.world, origins(all)), names(v.world, to), count(s.distance(last), "hop"))
			if len(to) == 1 {
				text += "The new holder is watched from now on."
			} else {
				text += "The new holders are watched from now on."
			}
			if others := s.others(v.desk, last); others != "" {
				text += " Money of another case is there, too: " + others + "."
			}
			return liveMove.finding(s.draft(v, draft{
				severity: graded(share), subjects: to, evidence: facts(all), sentence: text,
				numbers: []finding.Parameter{{Name: "medium_below", Value: smallShare, Unit: "billionths of the theft"}},
			}))
		},
	})
}

// origins are the givers who did not get it with the same hops; all givers if there is none. Who only exchanged it is
// none of them.
func origins(hops []*hop) []flow.Account {
	if own := slices.DeleteFunc(slices.Clone(hops), func(h *hop) bool { return h.swap == trace.OutOfSwap }); len(own) > 0 {
		hops = own
	}
	got := map[flow.Account]bool{}
	for _, h := range hops {
		got[h.to] = true
	}
	all := givers(hops)
	if first := slices.DeleteFunc(slices.Clone(all), func(a flow.Account) bool { return got[a] }); len(first) > 0 {
		return first
	}
	return all
}

// distance is the fewest movements by which the takers of some hops got claim.
func (s *seat) distance(hops []*hop) int {
	least := -1
	for _, h := range hops {
		if stand, ok := s.ledger().Stand(h.taker()); ok && (least < 0 || stand.Hops < least) {
			least = stand.Hops
		}
	}
	return max(least, 0)
}

// others are the other cases that follow one of the takers.
func (s *seat) others(d *trace.Desk, hops []*hop) string {
	var ids []string
	for _, h := range hops[:min(len(hops), 16)] {
		follow := d.Follows(h.to)
		if !h.toCoin.IsZero() {
			follow = d.FollowsCoin(s.chain, h.toCoin)
		}
		for _, id := range follow {
			if other := caseOf(id); other != s.open.ID && !slices.Contains(ids, other) {
				ids = append(ids, other)
			}
		}
	}
	slices.Sort(ids)
	return series(ids, 3)
}
