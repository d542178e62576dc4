package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/finding"
)

// shownFindings is how many findings the table lists.
const shownFindings = 8

// writePatterns prints the habits that were found, if any.
func writePatterns(w io.Writer, a *engine.Answer) {
	if len(a.Findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\nHabits of thieves (%s; judgements, not facts)\n", a.FindingsPolicy)
	for _, f := range a.Findings[:min(len(a.Findings), shownFindings)] {
		fmt.Fprintf(w, "  %-8s  %s: %s\n", f.Severity, finding.Clean(f.Title, 60), finding.Clean(f.Sentence, 500))
		fmt.Fprintf(w, "            rule %s/%d, %s; %s of evidence, %s\n", f.Rule, f.Version, f.Confidence,
			engine.Count(len(f.Evidence)+f.Omitted, "movement"), f.Void)
	}
	if n := len(a.Findings) - shownFindings; n > 0 {
		fmt.Fprintf(w, "  … and %d more (--out writes them)\n", n)
	}
}

// writeFindings writes all findings as one JSON list.
func writeFindings(w io.Writer, a *engine.Answer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(a.Findings)
}
