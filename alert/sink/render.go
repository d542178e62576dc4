package sink

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// Bounds of what Render writes.
const (
	maxTitle    = 140  // characters, without the mark before it
	maxLine     = 400  // characters; longer text goes on in the next line
	maxText     = 3000 // characters
	maxBreaks   = 30   // lines that a text may ask for
	maxSubjects = 8
)

// Render is an alert in words for people. The first words of the title say how soon to look, and what a correction, a
// pending transaction or a message about Spoor itself is. The title has at most 200 characters, each line at most 400.
//
// Nothing in it does anything: no character turns or hides others, and names of hosts in the title and the text, which
// hostile tokens bring along, are written with [.] so that nobody is led to them by a click. Accounts and transactions
// are whole: what is too long is cut between words, with a mark.
func Render(a alert.Alert) (title string, lines []string) {
	title = mark(a) + fit(disarm(limit(a.Title, 2*maxTitle)), maxTitle)
	switch a.Kind {
	case alert.Provisional:
		lines = append(lines, "The transaction is pending: it may never be on the chain.")
	case alert.Correction:
		lines = append(lines, "What an earlier message said is not so any more.")
	case alert.Again:
		lines = append(lines, "A correction said that this is not so: it is, on the branch that won.")
	}
	lines = append(lines, paragraphs(a.Text)...)
	fact := func(name, value string) {
		if value != "" {
			lines = append(lines, name+": "+fit(value, maxLine-len(name)-2))
		}
	}
	fact("Call", a.Contact)
	if f := a.Finding; f != nil {
		for _, s := range f.Subjects[:min(len(f.Subjects), maxSubjects)] {
			fact("Account", s.String())
		}
		if n := len(f.Subjects) - maxSubjects; n > 0 {
			fact("More accounts", fmt.Sprint(n))
		}
	}
	if !a.Tx.IsZero() {
		fact("Transaction", a.Chain.FormatHash(a.Tx))
	}
	fact("Chain", a.Chain.String())
	switch {
	case a.At.IsZero():
	case a.At.Time == 0:
		fact("Block", fmt.Sprint(a.At.Height))
	default:
		fact("Block", fmt.Sprintf("%d, %s", a.At.Height, a.At.When().Format("2006-01-02 15:04:05 UTC")))
	}
	fact("Case", a.Case)
	if f := a.Finding; f != nil {
		fact("Rule", fmt.Sprintf("%s, version %d; how sure: %s", f.Rule, f.Version, f.Confidence))
	}
	fact("Alert", a.ID())
	return title, lines
}

// mark is the first words of a title.
func mark(a alert.Alert) string {
	severity := strings.ToUpper(a.Severity.String())
	switch a.Kind {
	case alert.Provisional:
		return "NOT YET ON THE CHAIN, " + severity + ": "
	case alert.Correction:
		return "CORRECTION, not so any more: "
	case alert.Again:
		return "SO AFTER ALL, " + severity + ": "
	case alert.State:
		return "SPOOR ITSELF, " + severity + ": "
	}
	return severity + ": "
}

// paragraphs are the lines of a text, each no longer than maxLine.
func paragraphs(text string) []string {
	var lines []string
	left := maxText
	for part := range strings.SplitSeq(limit(text, 2*maxText), "\n") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if left < maxLine/4 || len(lines) >= maxBreaks {
			return append(lines, "…")
		}
		part = fit(disarm(part), left)
		left -= len([]rune(part))
		lines = wrap(lines, part)
	}
	return lines
}

// wrap appends a text in lines that are not too long, broken between words.
func wrap(lines []string, s string) []string {
	for r := []rune(s); ; {
		if len(r) <= maxLine {
			return append(lines, string(r))
		}
		at := lastSpace(r, maxLine)
		lines = append(lines, strings.TrimRight(string(r[:at]), " "))
		r = []rune(strings.TrimLeft(string(r[at:]), " "))
	}
}

// longest is what nothing is that must not be cut: the longest account has 174 characters.
const longest = 200

// lastSpace is where to cut r so that at most so many characters are before it: between words, unless the word is longer
// than anything that counts.
func lastSpace(r []rune, most int) int {
	for i := most; i > max(0, most-longest); i-- {
		if r[i] == ' ' {
			return i
		}
	}
	return most
}

// fit is a text in at most so many characters that can all be printed. What is cut off is cut between words.
func fit(s string, most int) string {
	r := []rune(strings.TrimSpace(finding.Clean(s, most+1)))
	if len(r) <= most {
		return string(r)
	}
	return strings.TrimRight(string(r[:lastSpace(r, most-2)]), " ") + " …"
}

// disarm writes names of hosts and of people so that no program makes links of them.
func disarm(s string) string {
	s = strings.ReplaceAll(s, "://", "[:]//")
	r := []rune(s)
	var b strings.Builder
	for i, c := range r {
		dot := c == '.' || c == '。' || c == '．' || c == '｡'
		if dot && i > 0 && i+2 < len(r) && isWord(r[i-1]) && unicode.IsLetter(r[i+1]) && isWord(r[i+2]) {
			b.WriteString("[.]")
			continue
		}
		if c == '@' && i+1 < len(r) && isWord(r[i+1]) {
			b.WriteString("[@]")
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' }
