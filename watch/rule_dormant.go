package watch

import (
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// liveDormant is told once for each case and transaction, besides what else is said of it.
var liveDormant = Rule{
	ID: "live-dormant", Version: 1, Title: "Stolen money that lay still moves", Severity: finding.High,
	Meaning: "An account gave stolen money after a long time in which none of it came or went there.",
	Wrong:   "It says nothing where the time of the last movement is not known: of what has not moved since the theft, if the case does not say when that was.",
}

// dormant says that money which lay still has moved, and remembers when claim last came to and went from everybody.
func (s *seat) dormant(v *view) {
	var woken []*hop
	var longest int64
	for _, h := range v.led {
		if since := s.last[h.giver()]; since > 0 && h.time > 0 && h.time-since >= int64(v.config.Dormant/time.Second) {
			woken = append(woken, h)
			longest = max(longest, h.time-since)
		}
	}
	for _, h := range v.led {
		s.touch(v.log, h)
	}
	if len(woken) == 0 {
		return
	}
	sums, share := s.moved(woken)
	v.add(candidate{
		rule: liveDormant.ID, severity: graded(share), weight: share,
		make: func() (finding.Finding, error) {
			text := fmt.Sprintf("%s, %s, left %s, where it had lain still for up to %s.", total(v.world, sums), thousandths(share), names(v.world, givers(woken)), age(longest))
			return liveDormant.finding(s.draft(v, draft{
				severity: graded(share), subjects: givers(woken), evidence: facts(woken), sentence: text,
				numbers: []finding.Parameter{{Name: "rest", Value: int64(v.config.Dormant / time.Second), Unit: "seconds"}},
			}))
		},
	})
}

// touch remembers that claim came and went; a nil log means for good.
func (s *seat) touch(log *blockLog, h *hop) {
	if h.time <= 0 {
		return
	}
	s.set(log, h.giver(), h.time)
	if h.sink == "" {
		s.set(log, h.taker(), h.time)
	}
}

func (s *seat) set(log *blockLog, h trace.Holder, t int64) {
	old := s.last[h]
	if old == t || h.Account.IsZero() {
		return
	}
	s.last[h] = t
	if log != nil {
		log.last = append(log.last, oldLast{s, h, old})
	}
}

// sourceTimes are when the money of the sources was stolen, where the case says so.
func (s *seat) sourceTimes() {
	if s.open.Since <= 0 {
		return
	}
	for _, src := range s.open.Theft.Sources {
		switch src := src.(type) {
		case trace.Holding:
			s.begin(trace.Holder{Account: src.Account, Asset: src.Asset})
		case trace.Coin:
			s.begin(trace.Holder{Account: src.Account, Asset: src.Asset, Outpoint: src.Outpoint})
		}
	}
}

func (s *seat) begin(h trace.Holder) {
	if h.Account.Chain() == s.chain && h != (trace.Holder{}) && h.Account != (flow.Account{}) {
		s.last[h] = s.open.Since
	}
}
