package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// TraceVersion is the version of the tracing rules: it rises when the same facts and parameters can give another answer.
const TraceVersion = 1

// An Answer is a trace with all that is needed to recompute it, and with what it does not know. Its JSON form is
// described in docs/formats/trace.md.
type Answer struct {
	Version      string           `json:"version"`
	TraceVersion int              `json:"trace_version"`
	Chains       []ChainState     `json:"chains"`        // the facts that were read
	LabelCount   int              `json:"label_count"`   // how many labels the trace knew
	BadLabels    []string         `json:"bad_labels"`    // rows of the labels that were refused
	Labels       map[string]Label `json:"labels"`        // of the accounts in the answer, by CAIP-10
	DoesNotKnow  []string         `json:"does_not_know"` // sentences
	Partial      bool             `json:"partial"`       // the budget ended it, or facts are missing
	Report       *trace.Report    `json:"report"`
}

// A ChainState is one chain of the store as the trace saw it.
type ChainState struct {
	Tip    flow.Point   `json:"tip"`
	Covers []string     `json:"covers"` // what the blocks of the theft hold and prove, see flow.Coverage
	Holes  []store.Hole `json:"holes"`  // heights which the store does not hold
}

// Trace resolves nothing and guesses nothing: it runs the theft on the snapshot, and says what it could not know.
func Trace(ctx context.Context, s store.Snapshot, theft trace.Theft, o trace.Options, labels *Labels) (*Answer, error) {
	if o.Stop == nil && labels != nil {
		o.Stop = labels.Stop
	}
	report, err := trace.Run(ctx, NewGraph(s), theft, o)
	if err != nil {
		return nil, err
	}
	a := &Answer{Version: Version, TraceVersion: TraceVersion, LabelCount: labels.Len(), BadLabels: []string{},
		Labels: map[string]Label{}, Report: report, Partial: report.Partial}
	if labels != nil {
		a.BadLabels = append(a.BadLabels, labels.Bad...)
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
	a.sayWhatIsNotKnown()
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
	first := map[flow.Chain]uint64{}
	for _, src := range a.Report.Sources {
		c := src.Account.Chain()
		if h, ok := first[c]; !ok || src.At.Height < h {
			first[c] = src.At.Height
		}
	}
	for _, c := range s.Chains() {
		from, ok := first[c]
		if !ok {
			continue
		}
		tip, ok := s.Tip(c)
		if !ok {
			continue
		}
		state := ChainState{Tip: tip, Covers: []string{}}
		b, err := s.Block(ctx, c, tip.Height)
		if err != nil {
			return fmt.Errorf("newest block: %w", err)
		}
		covers := b.Coverage
		if b, err := s.Block(ctx, c, from); err == nil {
			covers &= b.Coverage
		} else if !isNotFound(err) {
			return err
		}
		state.Covers = append(state.Covers, covers.Names()...)
		if state.Holes, err = s.Holes(ctx, c); err != nil {
			return err
		}
		a.Chains = append(a.Chains, state)
	}
	slices.SortFunc(a.Chains, func(x, y ChainState) int { return x.Tip.Chain.Compare(y.Tip.Chain) })
	return nil
}

// sayWhatIsNotKnown fills DoesNotKnow: an answer that hides what it does not know is a wrong answer.
func (a *Answer) sayWhatIsNotKnown() {
	say := func(format string, args ...any) { a.DoesNotKnow = append(a.DoesNotKnow, fmt.Sprintf(format, args...)) }
	for _, c := range a.Chains {
		say("Nothing after %s%s.", c.Tip, when(c.Tip))
		if n := len(c.Holes); n > 0 {
			var blocks uint64
			for _, h := range c.Holes {
				blocks += h.To - h.From + 1
			}
			say("%d blocks below it in %d runs: the store does not hold them, and movements in them are not seen.", blocks, n)
		}
		if c.Tip.Chain.IsEVM() {
			for _, m := range []struct{ covers, what string }{
				{"traces", "every coin that was moved by a call inside a transaction"},
				{"fees", "every fee that a holder paid"},
				{"transactions-proved", "whether the source left out transactions: no root could be recomputed"},
			} {
				if !slices.Contains(c.Covers, m.covers) {
					say("On %s the source does not show %s.", c.Tip.Chain, m.what)
				}
			}
		}
	}
	say("Swaps, bridges and mixers are not followed: claim that enters one stays with its contract or ends in its label.")
	if a.LabelCount == 0 {
		say("No labels were given: a holder may well be a service that holds the money of many (--labels).")
	} else {
		say("%d labels were known; an account without one is unknown, not clean.", a.LabelCount)
	}
	if n := len(a.BadLabels); n > 0 {
		say("%d rows of the labels were refused.", n)
	}
	worst := 0
	for _, r := range a.Report.Results {
		worst = max(worst, len(r.Assumed))
	}
	if worst > 0 {
		say("%d times an account paid more than it is known to have had: clean money of unknown origin is assumed.", worst)
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

func when(p flow.Point) string {
	if p.Time == 0 {
		return ""
	}
	return p.When().Format(" of 2006-01-02 15:04:05 UTC")
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
