package watch

import (
	"slices"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// A Rule is a kind of judgement that a Watch makes. Besides these it uses those of package detect.
type Rule struct {
	ID       string
	Version  int // rises when the same chain can give other findings
	Title    string
	Meaning  string           // what it says
	Wrong    string           // when it is wrong, or says less than it seems
	Severity finding.Severity // at most
}

// Rules are the rules of the watch itself.
func Rules() []Rule {
	return []Rule{
		liveMove, liveArrival, liveBridge, liveMixer, liveBurn, liveDormant, liveFrozen,
		listGave, listGot, listDormant, listFrozen,
	}
}

// A candidate is what a rule has to say of one transaction, before it is decided whether it is told by itself.
type candidate struct {
	rule     string
	severity finding.Severity
	weight   uint64 // of two that are as severe, the heavier one is told first
	sums     []sum  // how much it is about
	tx       *flow.Tx
	contact  string
	make     func() (finding.Finding, error)
}

// A sum is an amount of an asset.
type sum struct {
	asset flow.Asset
	total flow.Sum
}

// plus adds to the sum of an asset; the order is that of their first amounts.
func plus(sums []sum, a flow.Asset, v flow.Amount) []sum {
	i := slices.IndexFunc(sums, func(s sum) bool { return s.asset == a })
	if i < 0 {
		i = len(sums)
		sums = append(sums, sum{asset: a})
	}
	sums[i].total = sums[i].total.Plus(v)
	return sums
}

// A draft is what differs between the findings of one rule.
type draft struct {
	chain    flow.Chain
	at       flow.Point // the block
	severity finding.Severity
	subjects []flow.Account
	evidence []finding.Fact
	basis    []string
	holds    flow.Pos // where there is no evidence
	sentence string
	reason   string // how sure it is
	numbers  []finding.Parameter
}

// finding makes a finding of the rule.
func (r *Rule) finding(d draft) (finding.Finding, error) {
	f := finding.Finding{
		Rule: r.ID, Version: r.Version, Parameters: d.numbers, Severity: d.severity, Chain: d.chain, Subjects: d.subjects,
		Holds: d.holds, Time: d.at.Time, Title: r.Title, Sentence: d.sentence, Evidence: d.evidence, Basis: d.basis,
		Score: 1000, Confidence: finding.Confidence{Reason: d.reason},
	}
	slices.SortStableFunc(f.Evidence, func(a, b finding.Fact) int { return a.At.Compare(b.At) })
	f.Evidence = slices.Compact(f.Evidence)
	for _, e := range f.Evidence {
		if e.At.Compare(f.Holds) > 0 {
			f.Holds = e.At
		}
	}
	return finding.New(f)
}
