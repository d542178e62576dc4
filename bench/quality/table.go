package quality

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A column of the table. A column without a single cell in a case is left out there.
type column struct {
	head  string
	cell  func(*Result) string
	noisy bool // differs from run to run
}

// columns are the columns behind the method's name.
func columns() []column {
	ratio := func(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }
	of := func(head string, v func(*TransferScore) float64) column {
		return column{head: head, cell: func(r *Result) string {
			if r.TransferScore == nil {
				return ""
			}
			return ratio(v(r.TransferScore))
		}}
	}
	all := []column{
		of("flow", func(s *TransferScore) float64 { return s.Flow }),
		of("(reach)", func(s *TransferScore) float64 { return s.FlowReachable }),
		of("term", func(s *TransferScore) float64 { return s.Terminus }),
		of("(reach)", func(s *TransferScore) float64 { return s.TerminusReachable }),
		of("edgeP", func(s *TransferScore) float64 { return s.Precision }),
		of("edgeR", func(s *TransferScore) float64 { return s.Recall }),
		of("valP", func(s *TransferScore) float64 { return s.ValuePrecision }),
		of("valR", func(s *TransferScore) float64 { return s.ValueRecall }),
		{head: "claimerr", cell: func(r *Result) string {
			if r.ClaimError == nil {
				return ""
			}
			return ratio(*r.ClaimError)
		}},
		{head: "nodeP", cell: func(r *Result) string { return ratio(r.NodePrecision) }},
		{head: "nodeR", cell: func(r *Result) string { return ratio(r.NodeRecall) }},
		{head: "AP", cell: func(r *Result) string { return ratio(r.AveragePrecision) }},
	}
	for i, b := range budgets {
		all = append(all, column{head: fmt.Sprintf("R@%d", b), cell: func(r *Result) string { return ratio(r.AtBudget[i].Recall) }})
	}
	for i, b := range budgets {
		all = append(all, column{head: fmt.Sprintf("P@%d", b), cell: func(r *Result) string { return ratio(r.AtBudget[i].Precision) }})
	}
	return append(all,
		column{head: "visited", cell: func(r *Result) string { return strconv.Itoa(r.Visited) }},
		column{head: "depth", cell: func(r *Result) string { return strconv.Itoa(r.Depth) }},
		column{head: "seconds", noisy: true, cell: func(r *Result) string { return strconv.FormatFloat(r.Seconds, 'f', 3, 64) }},
		column{head: "MB", noisy: true, cell: func(r *Result) string {
			if r.RSS == 0 {
				return ""
			}
			return strconv.FormatFloat(r.RSS, 'f', 0, 64)
		}},
		column{head: "partial", cell: func(r *Result) string {
			if !r.Partial {
				return ""
			}
			return "yes"
		}},
		column{head: "result", cell: func(r *Result) string { return r.Hash.String()[:12] }},
	)
}

// WriteTable prints results for people, case by case, in lines of at most width characters where that is possible: what
// does not fit goes below, under the same methods. Width 0 means lines as long as they get. Without noisy, what differs
// from run to run is left out.
func WriteTable(w io.Writer, results []Result, width int, noisy bool) error {
	var b strings.Builder
	for len(results) > 0 {
		n := 1
		for n < len(results) && results[n].Case == results[0].Case {
			n++
		}
		writeCase(&b, results[:n], width, noisy)
		results = results[n:]
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCase prints the results of one case.
func writeCase(b *strings.Builder, results []Result, width int, noisy bool) {
	r := &results[0]
	fmt.Fprintf(b, "%s (%s, %d movements)\n", r.Case, r.Kind, r.N)
	names := []string{"method"}
	for i := range results {
		names = append(names, results[i].Method)
	}
	first := widest(names)
	var group [][]string // the cells of the columns that go beside each other, heads first
	used := 0
	flush := func() {
		for i, name := range names {
			fmt.Fprintf(b, "  %-*s", first, name)
			for _, cells := range group {
				fmt.Fprintf(b, "  %*s", widest(cells), cells[i])
			}
			b.WriteByte('\n')
		}
		group, used = nil, 0
	}
	for _, c := range columns() {
		cells := []string{c.head}
		for i := range results {
			cells = append(cells, c.cell(&results[i]))
		}
		if c.noisy && !noisy || !slices.ContainsFunc(cells[1:], func(s string) bool { return s != "" }) {
			continue
		}
		if need := 2 + widest(cells); len(group) > 0 && width > 0 && 2+first+used+need > width {
			flush()
			used = need
		} else {
			used += need
		}
		group = append(group, cells)
	}
	flush()
	for i := range results {
		if rules := results[i].Rules; len(rules) > 0 {
			fmt.Fprintf(b, "  %-*s", first, rulesHead)
			for _, r := range rules {
				fmt.Fprintf(b, "  %s %d/%d", r.Rule, r.True, r.True+r.False)
			}
			b.WriteByte('\n')
		}
	}
}

// rulesHead begins the line with the rules: how often each was right, of how often it spoke.
const rulesHead = "rules"

// widest is the most characters that a cell has.
func widest(cells []string) int {
	most := 0
	for _, c := range cells {
		most = max(most, utf8.RuneCountInString(c))
	}
	return most
}
