package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// shownSources is how many sources of a theft the table lists.
const shownSources = 12

// writeTable prints an answer for people: for each stolen asset where it is under every rule, the conservation line, and
// at the end what is not known.
func writeTable(w io.Writer, a *engine.Answer, rows int) error {
	r := a.Report
	fmt.Fprintf(w, "%s, %s", clean(name(r.Theft)), r.Direction)
	for _, c := range a.Chains {
		last := c.Tip.Height
		if u := r.Until.Height; u > 0 && u < last && r.Direction == "forward" {
			last = u
		}
		fmt.Fprintf(w, ", %s up to block %d", c.Tip.Chain, last)
	}
	if r.Until.Height > 0 && r.Direction == "backward" {
		fmt.Fprintf(w, ", down to block %d", r.Until.Height)
	}
	fmt.Fprintln(w)
	for _, s := range r.Sources[:min(len(r.Sources), shownSources)] {
		fmt.Fprintf(w, "  %s\n", source(s, r.Direction))
	}
	if n := len(r.Sources) - shownSources; n > 0 {
		fmt.Fprintf(w, "  … and %s\n", engine.Count(n, "more source"))
	}
	for _, line := range r.Disagreement.Lines {
		writeLine(w, a, line, rows)
	}
	if len(r.Disagreement.Lines) == 0 {
		verb := "left"
		if r.Direction == "backward" {
			verb = "came to"
		}
		fmt.Fprintf(w, "\nNothing %s these accounts in what the store holds.\n", verb)
	}
	writePatterns(w, a)
	fmt.Fprintln(w, "\nWhat this does not know")
	for _, s := range a.DoesNotKnow {
		fmt.Fprintf(w, "  - %s\n", finding.Clean(s, 500))
	}
	_, err := fmt.Fprintf(w, "\nresult %s  (spoor %s, trace rules %d)\n", r.Hash, a.Version, a.TraceVersion)
	return err
}

func name(s string) string {
	if s == "" {
		return "Theft"
	}
	return s
}

func source(s trace.SourceParameter, direction string) string {
	what := "everything"
	if !s.Asset.IsZero() {
		what = engine.NameOf(s.Asset).Symbol
	}
	switch s.Kind {
	case "holding":
		return fmt.Sprintf("%s held by %s before %s", engine.NameOf(s.Asset).Format(s.Amount), s.Account.Address(), s.At)
	case "coin":
		return fmt.Sprintf("%s in %s of %s", engine.NameOf(s.Asset).Format(s.Amount), s.Outpoint, s.Account.Address())
	}
	switch {
	case direction == "backward" && s.At.Height > 0:
		return fmt.Sprintf("%s that came to %s before block %d", what, s.Account.Address(), s.At.Height)
	case direction == "backward":
		return fmt.Sprintf("%s that came to %s", what, s.Account.Address())
	case s.At.Height > 0:
		return fmt.Sprintf("%s that leaves %s from block %d on", what, s.Account.Address(), s.At.Height)
	}
	return fmt.Sprintf("%s that leaves %s", what, s.Account.Address())
}

// writeLine prints one stolen asset.
func writeLine(w io.Writer, a *engine.Answer, line trace.Certainty, rows int) {
	t := a.Report.Disagreement
	asset := engine.NameOf(line.Stolen)
	words := wordsOf(a.Report.Direction)
	fmt.Fprintf(w, "\n%s %s: %s", asset.Symbol, words.whole, asset.Format(line.Amount))
	if asset.Decimals > 0 {
		fmt.Fprintf(w, "   (%s)", line.Stolen)
	}
	fmt.Fprintf(w, "\n  %s stands where it stands under every rule; %d of %d places depend on the rule\n",
		asset.Format(line.Certain), line.Differing, line.Places)
	var of []trace.Row
	for _, row := range t.Rows {
		if row.Stolen == line.Stolen {
			of = append(of, row)
		}
	}
	slices.SortStableFunc(of, func(x, y trace.Row) int { return y.High.Compare(x.High) })
	shown := of
	if rows > 0 && len(of) > rows {
		shown = of[:rows]
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "  \t%s\t  where it is\n", strings.Join(t.Policies, "\t"))
	for _, row := range shown {
		fmt.Fprint(tw, "  ")
		for _, c := range row.Claims {
			fmt.Fprintf(tw, "\t%s", c.Decimal(asset.Decimals))
		}
		fmt.Fprintf(tw, "\t  %s\n", where(a, row))
	}
	tw.Flush()
	if len(shown) < len(of) {
		fmt.Fprintf(w, "  … and %d more places (--rows 0 shows all, --out writes them)\n", len(of)-len(shown))
	}
	sums, rules := conservations(a, line.Stolen)
	for i, s := range sums {
		if len(sums) == 1 && len(rules[0]) > 1 {
			rules[0] = []string{"every rule"}
		}
		fmt.Fprintf(w, "  %-11s %s\n", strings.Join(rules[i], ", "), s)
	}
}

// words are what the table calls the whole and what is held of it. Backward it is asked where an amount came from.
type words struct{ whole, held string }

func wordsOf(direction string) words {
	if direction == "backward" {
		return words{"asked for", "from"}
	}
	return words{"stolen", "held"}
}

// conservations are the different conservation lines of a stolen asset, each with the rules under which it holds.
func conservations(a *engine.Answer, stolen flow.Asset) (sums []string, rules [][]string) {
	for _, r := range a.Report.Results {
		if r.Policy == trace.Poison.String() {
			continue
		}
		for _, l := range r.Lines {
			if l.Asset != stolen {
				continue
			}
			s := conservation(l, engine.NameOf(stolen), wordsOf(a.Report.Direction))
			i := slices.Index(sums, s)
			if i < 0 {
				i = len(sums)
				sums, rules = append(sums, s), append(rules, nil)
			}
			rules[i] = append(rules[i], r.Policy)
		}
	}
	return sums, rules
}

// conservation is the conservation line in the asset's own decimals.
func conservation(l trace.Line, n engine.AssetName, w words) string {
	s := fmt.Sprintf("%s %s = %s %s", l.Stolen.Decimal(n.Decimals), w.whole, l.Held.Decimal(n.Decimals), w.held)
	for _, k := range l.Sinks {
		s += fmt.Sprintf(" + %s %s", k.Claim.Decimal(n.Decimals), k.Sink)
	}
	return s
}

func where(a *engine.Answer, row trace.Row) string {
	parts := []string{wordsOf(a.Report.Direction).held}
	if row.Sink != "" {
		parts[0] = string(row.Sink)
	}
	if !row.Account.IsZero() {
		parts = append(parts, row.Account.Address())
	}
	if !row.Outpoint.IsZero() {
		parts = append(parts, row.Outpoint.String())
	}
	if l, ok := a.Labels[row.Account.String()]; ok {
		parts = append(parts, finding.Clean(l.Name, 60))
	}
	if rule := judged(a, row); rule != "" {
		parts = append(parts, "by behaviour ("+rule+")")
	}
	if row.Asset != row.Stolen && !row.Asset.IsZero() {
		parts = append(parts, "in "+engine.NameOf(row.Asset).Symbol)
	}
	return strings.Join(parts, "  ")
}

// judged is the rule of the judgement by which a row is a sink, if it is one.
func judged(a *engine.Answer, row trace.Row) string {
	for _, r := range a.Report.Results {
		for _, k := range r.Sinks {
			if k.Rule != "" && k.Sink == row.Sink && k.Account == row.Account && k.Asset == row.Asset {
				return k.Rule
			}
		}
	}
	return ""
}

// clean makes text from outside safe to print on a terminal, and not endless.
func clean(s string) string { return finding.Clean(s, 200) }
