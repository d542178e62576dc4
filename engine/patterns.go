package engine

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/detect"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// Patterns looks for the habits of thieves in where the stolen money of some thefts went, by the rules of Spoor. It sees
// the edges of one policy of each report, see PatternEvents. The findings that stand come first by severity, then in the
// order in which they were found.
func Patterns(labels *Labels, reports ...*trace.Report) ([]finding.Finding, error) {
	found, err := detect.Run(PatternEvents(labels, reports...), detect.Options{})
	if err != nil {
		return nil, fmt.Errorf("habits in %s: %w", Count(len(reports), "report"), err)
	}
	found = finding.Standing(found)
	slices.SortStableFunc(found, func(a, b finding.Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return found, nil
}

// findPatterns fills the findings of an answer.
func (a *Answer) findPatterns(labels *Labels) (err error) {
	a.Findings = []finding.Finding{}
	r := patternResult(a.Report)
	if r == nil {
		return nil
	}
	a.FindingsPolicy = r.Policy
	if a.Findings, err = Patterns(labels, a.Report); err != nil {
		return err
	}
	untimed := 0
	for i := range r.Edges {
		if r.Edges[i].Time == 0 {
			untimed++
		}
	}
	if untimed > 0 {
		a.DoesNotKnow = append(a.DoesNotKnow, fmt.Sprintf("No habits of thieves were looked for in %s whose time is not known.", Count(untimed, "movement")))
	}
	return nil
}

// patternResult is the result of a report whose edges are looked at: that of dirty-first, which names the fewest people,
// else the first that is not poison. A trace backward has none: it is not about what thieves did.
func patternResult(r *trace.Report) *trace.Result {
	if r.Direction != "forward" {
		return nil
	}
	var best *trace.Result
	for i := range r.Results {
		switch p := r.Results[i].Policy; {
		case p == trace.DirtyFirst.String():
			return &r.Results[i]
		case p != trace.Poison.String() && best == nil:
			best = &r.Results[i]
		}
	}
	return best
}

// PatternEvents are what the rules of detect see of some thefts: the edges of dirty-first, or of the first policy that is
// not poison, in the order of the chain. Labels say which services are bridges and mixers.
func PatternEvents(labels *Labels, reports ...*trace.Report) iter.Seq2[detect.Event, error] {
	var all []detect.Event
	used := map[string]int{}
	for _, r := range reports {
		result := patternResult(r)
		if result == nil {
			continue
		}
		name := r.Theft
		if used[r.Theft]++; used[r.Theft] > 1 {
			name = fmt.Sprintf("%s #%d", r.Theft, used[r.Theft])
		}
		all = append(all, resultEvents(labels, name, result)...)
	}
	slices.SortStableFunc(all, func(a, b detect.Event) int {
		return cmp.Or(a.Asset.Chain().Compare(b.Asset.Chain()), cmp.Compare(a.At.Height, b.At.Height), cmp.Compare(a.At.Tx, b.At.Tx))
	})
	return func(yield func(detect.Event, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// resultEvents makes one event of all edges that differ in their claim alone.
func resultEvents(labels *Labels, theft string, r *trace.Result) []detect.Event {
	type key struct {
		tx               flow.Hash
		at               flow.Pos
		from, to         flow.Account
		fromCoin, toCoin flow.Outpoint
		asset            flow.Asset
		sink             trace.Sink
		swap             trace.SwapSide
	}
	index := map[key]int{}
	var events []detect.Event
	for i := range r.Edges {
		e := &r.Edges[i]
		k := key{e.Tx, e.At, e.From, e.To, e.FromCoin, e.ToCoin, e.Asset, e.Sink, e.Swap}
		n, ok := index[k]
		if !ok {
			n = len(events)
			index[k] = n
			events = append(events, detect.Event{
				Theft: theft, Tx: e.Tx, At: e.At, Time: e.Time, Index: e.Index, From: e.From, To: e.To, Asset: e.Asset,
				Amount: e.Amount, Sink: patternSink(labels, e), Swap: detect.Swap(e.Swap),
			})
		}
		units, ok := events[n].Units.Add(e.Units)
		if !ok {
			units = e.Amount
		}
		events[n].Units = units.Min(events[n].Amount)
	}
	return events
}

func patternSink(labels *Labels, e *trace.Edge) detect.Sink {
	switch e.Sink {
	case "":
		return detect.Held
	case trace.Service:
		label, _ := labels.Of(e.To)
		switch category := strings.ToLower(label.Category); {
		case strings.Contains(category, "bridge"):
			return detect.Bridge
		case strings.Contains(category, "mixer"):
			return detect.Mixer
		}
		return detect.Service
	case trace.DustSink:
		return detect.Dust
	case trace.Burned:
		return detect.Burned
	}
	return detect.Lost
}
