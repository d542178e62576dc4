package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// TraceVersion is the version of the tracing rules: it rises when the same facts and parameters can give another answer.
const TraceVersion = 3

// An Answer is a trace with all that is needed to recompute it, and with what it does not know. Its JSON form is
// described in docs/formats/trace.md.
type Answer struct {
	Version      string           `json:"version"`
	TraceVersion int              `json:"trace_version"`
	Chains       []ChainState     `json:"chains"`         // the facts that were read
	LabelCount   int              `json:"label_count"`    // how many labels the trace knew
	LabelHash    flow.Hash        `json:"label_hash"`     // which labels, see Labels.Hash
	BadLabels    []string         `json:"bad_labels"`     // the first rows of the labels that were refused, with the reason
	BadLabelRows int              `json:"bad_label_rows"` // how many there were in all
	Services     int              `json:"services"`       // how many of the labels are of services, where a trace ends
	Labels       map[string]Label `json:"labels"`         // of the accounts in the answer, by CAIP-10
	DoesNotKnow  []string         `json:"does_not_know"`  // sentences
	Doubts       []string         `json:"doubts"`         // what speaks against exchanges that were followed, by transaction
	Partial      bool             `json:"partial"`        // the budget ended it, or facts are missing
	Report       *trace.Report    `json:"report"`

	FindingsPolicy string            `json:"findings_policy,omitempty"` // whose edges the findings are about
	Findings       []finding.Finding `json:"findings"`                  // habits of thieves in them, see Patterns
}

// Trace guesses nothing: it runs the theft on the snapshot, and says what it could not know. Accounts that the store has
// never seen, or that come after its newest block, are named in the answer; if all are such, the error wraps ErrAbsent.
//
// progress, if any, is told how many transactions were read so far.
func Trace(ctx context.Context, s store.Snapshot, theft trace.Theft, o trace.Options, labels *Labels, progress func(read int64)) (*Answer, error) {
	missing, err := absent(ctx, s, theft, o.Backward)
	if err != nil {
		return nil, err
	}
	theft, o, unvouched, err := Prepare(ctx, s, theft, o, labels)
	if err != nil {
		return nil, err
	}
	missing = append(missing, unvouched...)
	g := NewGraph(s)
	g.progress = progress
	report, err := trace.Run(ctx, g, theft, o)
	if err != nil {
		return nil, err
	}
	doubted, err := unshown(ctx, g, theft)
	if err != nil {
		return nil, err
	}
	a := &Answer{Version: Version, TraceVersion: TraceVersion, Chains: []ChainState{}, LabelCount: labels.Len(), LabelHash: labels.Hash(), Services: labels.Services(),
		BadLabels: []string{}, Labels: map[string]Label{}, Report: report, Partial: report.Partial}
	if labels != nil {
		a.BadLabels, a.BadLabelRows = append(a.BadLabels, labels.Bad...), labels.BadRows
	}
	for i := range report.Results {
		r := &report.Results[i]
		for _, h := range r.Holders {
			a.label(labels, h.Account)
		}
		for _, k := range r.Sinks {
			a.label(labels, k.Account)
			if k.Sink == trace.DataMissing && !k.Units.IsZero() {
				a.Partial = true
			}
		}
	}
	if err := a.describeChains(ctx, s); err != nil {
		return nil, err
	}
	if a.Doubts, err = swapDoubts(ctx, g, report); err != nil {
		return nil, err
	}
	a.sayWhatIsNotKnown(missing, doubted)
	a.saySwapDoubts()
	if err := a.findPatterns(labels); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Answer) label(labels *Labels, of flow.Account) {
	if l, ok := labels.Of(of); ok {
		a.Labels[of.String()] = l
	}
}

// describeChains records the state of the chains that the theft is on, with the coverage of the blocks at its beginning
// and at the tip.
func (a *Answer) describeChains(ctx context.Context, s store.Snapshot) error {
	from := map[flow.Chain]uint64{}
	for _, src := range a.Report.Sources {
		c := src.Account.Chain()
		if h, ok := from[c]; !ok || src.At.Height < h {
			from[c] = src.At.Height
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(from), flow.Chain.Compare) {
		state, ok, err := describeChain(ctx, s, c, from[c])
		if err != nil {
			return err
		}
		if ok {
			a.Chains = append(a.Chains, state)
		}
	}
	return nil
}

// saidOfEach is how many sentences of one kind an answer says at most.
const saidOfEach = 8

// sayWhatIsNotKnown fills DoesNotKnow: an answer that hides what it does not know is a wrong answer.
func (a *Answer) sayWhatIsNotKnown(missing, doubted []string) {
	say := func(format string, args ...any) { a.DoesNotKnow = append(a.DoesNotKnow, fmt.Sprintf(format, args...)) }
	sayEach := func(before string, all []string) {
		for _, s := range all[:min(len(all), saidOfEach)] {
			say("%s: %s.", before, s)
		}
		if n := len(all) - saidOfEach; n > 0 {
			say("%s: the same of %s.", before, Count(n, "more source"))
		}
	}
	sayEach("Not traced", missing)
	sayEach("Not shown", doubted)
	for _, c := range a.Chains {
		a.DoesNotKnow = append(a.DoesNotKnow, c.notKnown()...)
	}
	if a.Report.Swaps == noSwaps {
		say("Swaps, bridges and mixers are not followed: claim that enters one stays with its contract or ends in its label.")
	} else {
		say("A swap inside one transaction is followed where it is clear who gained what for what, and believed whatever the gain is worth (--no-swaps).")
		say("Other swaps, bridges and mixers are not followed: claim that enters one stays with its contract or ends in its label.")
	}
	a.DoesNotKnow = append(a.DoesNotKnow, labelsNotKnown(a.LabelCount, a.Services, a.BadLabelRows, a.BadLabels)...)
	if n := a.crowds(); n > 0 {
		say("%s taken for a service by behaviour, which is a judgement (rule %s): what ended there may have gone on (--crowd -1).",
			Count(n, "account"), trace.CrowdRule)
	}
	for _, c := range a.Chains {
		if c.Tip.Chain.IsUTXO() && a.Report.Crowd != nil {
			say("On %s no account is taken for a service by its behaviour: only labels end a trace there.", c.Tip.Chain)
		}
	}
	worst := 0
	for _, r := range a.Report.Results {
		worst = max(worst, len(r.Assumed))
	}
	if worst > 0 {
		say("%s an account had more than it is known to have received: the rest is taken to be clean.", Count(worst, "time"))
	}
	seen := map[string]bool{}
	for _, r := range a.Report.Results {
		for _, c := range r.Continue {
			if !seen[c] {
				seen[c] = true
				say("Cut short: %s.", c)
			}
		}
	}
}

// crowds is how many accounts were taken for a service by their behaviour.
func (a *Answer) crowds() int {
	seen := map[flow.Account]bool{}
	for _, r := range a.Report.Results {
		for _, k := range r.Sinks {
			if k.Rule == trace.CrowdRule {
				seen[k.Account] = true
			}
		}
	}
	return len(seen)
}

// labelsNotKnown says what labels leave open: how many there are, how many of services, and the rows that were refused.
func labelsNotKnown(count, services, badRows int, bad []string) (all []string) {
	switch {
	case count == 0:
		all = append(all, "No labels were given: a holder may well be a service that holds the money of many (--labels).")
	case services == 0:
		all = append(all, Count(count, "label")+" known, none of a service: a holder may well be one that holds the money of many.")
	default:
		all = append(all, Count(count, "label")+" known; an account without one is unknown, not clean.")
	}
	if badRows > 0 {
		all = append(all, fmt.Sprintf("%s of the labels refused, for example %s.", Count(badRows, "row"), bad[0]))
	}
	return all
}

// Count is a number with its noun, in the plural unless it is one: "1 row", "2 rows".
func Count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Broken lists the lines of a report whose parts do not add up to what was stolen, added up once more from the holders
// and the sinks. A report of Spoor has none; it is what "spoor demo --check" looks at.
func Broken(r *trace.Report) []string {
	var broken []string
	for _, result := range r.Results {
		if result.Policy == trace.Poison.String() {
			continue // a mark, which is not conserved
		}
		sums := make([]flow.Sum, len(result.Lines))
		for _, h := range result.Holders {
			sums[h.Line-1] = sums[h.Line-1].Plus(h.Claim)
		}
		for _, k := range result.Sinks {
			sums[k.Line-1] = sums[k.Line-1].Plus(k.Claim)
		}
		for i, l := range result.Lines {
			if sums[i].Compare(flow.Sum{}.Plus(l.Stolen)) != 0 {
				broken = append(broken, fmt.Sprintf("%s, %s: %s stolen, %s accounted for", result.Policy, l.Asset, l.Stolen, sums[i]))
			}
		}
	}
	return broken
}
