package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/finding"
)

// shownFindings is how many findings of one rule the table lists.
const shownFindings = 3

// writePatterns prints the habits that were found, if any, rule by rule in the order of their first findings.
func writePatterns(w io.Writer, a *engine.Answer) {
	if len(a.Findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\nHabits of thieves (%s; judgements, not facts)\n", a.FindingsPolicy)
	var rules []string
	of := map[string][]finding.Finding{}
	for _, f := range a.Findings {
		rule := fmt.Sprintf("%s/%d", f.Rule, f.Version)
		if of[rule] == nil {
			rules = append(rules, rule)
		}
		of[rule] = append(of[rule], f)
	}
	for _, rule := range rules {
		found := of[rule]
		first := found[0]
		fmt.Fprintf(w, "  %s: %s, %s\n    rule %s, %s\n", finding.Clean(first.Title, 60), first.Severity, engine.Count(len(found), "time"), rule, first.Confidence)
		for _, f := range found[:min(len(found), shownFindings)] {
			fmt.Fprintf(w, "    %s (%s of evidence; %s)\n", finding.Clean(f.Sentence, 500), engine.Count(len(f.Evidence)+f.Omitted, "movement"), f.Void)
		}
		if n := len(found) - shownFindings; n > 0 {
			fmt.Fprintf(w, "    … and %d more (--out writes them)\n", n)
		}
	}
}

// writeFindings writes all findings as one JSON list.
func writeFindings(w io.Writer, a *engine.Answer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(a.Findings)
}
