package screen

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// RuleChange is the rule of the findings that Change makes, with its version.
const (
	RuleChange        = "screen-changed"
	RuleChangeVersion = 1
)

// RuleVendor is the rule of reasons that a vendor gave, who is asked beside Spoor.
const RuleVendor = "vendor"

// Carry puts what vendors had said in an old verdict into a new one of Spoor alone, which asked none of them again, and says
// so. The new one is not sealed any more.
func Carry(before Verdict, after *Verdict) {
	vendors := map[string]bool{}
	for _, r := range before.Reasons {
		if r.Rule == RuleVendor {
			vendors[r.Source] = true
			after.Reasons = append(slices.Clone(after.Reasons), r)
			after.Decision = max(after.Decision, r.Decision)
		}
	}
	if len(vendors) == 0 {
		return
	}
	for _, l := range before.Labels {
		if vendors[l.Source.ID] {
			after.Labels = append(slices.Clone(after.Labels), l)
			after.Unknown = after.Unknown && l.Stance != attribute.Asserts
		}
	}
	slices.SortStableFunc(after.Reasons, func(a, b Reason) int { return cmp.Compare(b.Decision, a.Decision) })
	for _, name := range slices.Sorted(maps.Keys(vendors)) {
		after.DoesNotKnow = append(slices.Clone(after.DoesNotKnow), fmt.Sprintf("%s was not asked again: what it said before stands.", finding.Clean(name, 80)))
	}
}

// Again is the question that a verdict answered, asked of another moment.
func (v Verdict) Again(asOf int64) Question {
	return Question{Account: v.Subject, Direction: v.Direction, Asset: v.Asset, Amount: v.Amount, Counterparties: v.Counterparties,
		AsOf: asOf, Direct: v.Direct}
}

// Change is the finding that a new verdict differs from an old one about the same question: another decision, or other
// reasons for it. ok is false where it does not. Both must be sealed.
func Change(before, after Verdict) (f finding.Finding, ok bool, err error) {
	if before.Decision == after.Decision && slices.Equal(grounds(before), grounds(after)) {
		return f, false, nil
	}
	severity := map[Decision]finding.Severity{Allow: finding.Low, Attention: finding.Medium, Hold: finding.High, Block: finding.Critical}[after.Decision]
	if before.Decision == after.Decision {
		severity = finding.Info
	}
	why := after.Reasons[0].Sentence
	draft := finding.Finding{
		Rule: RuleChange, Version: RuleChangeVersion, Severity: severity, Chain: after.Subject.Chain(), Subjects: []flow.Account{after.Subject},
		Holds: flow.Pos{Height: after.ChainTip.Height}, Time: after.ChainTip.Time,
		Title:    fmt.Sprintf("%s was %s and is %s", after.Subject.Address(), before.Decision, after.Decision),
		Sentence: fmt.Sprintf("Screened again, %s is %s now; it was %s. %s.", after.Subject, after.Decision, before.Decision, why),
		Basis: []string{"verdict before: " + before.ID.String(), "verdict now: " + after.ID.String(),
			"labels before: " + before.LabelHash.String(), "labels now: " + after.LabelHash.String()},
		Score:      1000,
		Confidence: finding.Confidence{Reason: "as sure as the labels and the exposure of the two verdicts"},
	}
	f, err = finding.New(draft)
	return f, err == nil, err
}

// grounds are the reasons of a verdict without their numbers: what fired, about whom, by whose word.
func grounds(v Verdict) []string {
	var all []string
	for _, r := range v.Reasons {
		all = append(all, strings.Join([]string{r.Rule, r.Category, string(r.Direction), r.Entity, r.Source, r.Counterparty.String(), r.Via.String()}, "\x00"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
