package quality

import (
	"fmt"
	"slices"
	"strings"
)

// goldenWidth is the width of a golden table.
const goldenWidth = 132

// Golden is the part of the results that is the same in every run: the methods, and the table without times and memory.
func Golden(results []Result) (string, error) {
	var b strings.Builder
	b.WriteString("methods\n")
	var names []string
	for _, r := range results {
		if !slices.Contains(names, r.Method) {
			names = append(names, r.Method)
			fmt.Fprintf(&b, "  %s: %s\n", r.Method, r.Parameters)
		}
	}
	err := WriteTable(&b, results, goldenWidth, false)
	return b.String(), err
}

// A section of a golden begins with a line that is not indented.
type section struct {
	head  string // up to the first blank: the name of the case
	lines []string
}

func sections(golden string) []section {
	var all []section
	for line := range strings.Lines(golden) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
		case line[0] != ' ':
			head, _, _ := strings.Cut(line, " ")
			all = append(all, section{head, []string{line}})
		case len(all) > 0:
			all[len(all)-1].lines = append(all[len(all)-1].lines, line)
		}
	}
	return all
}

func find(all []section, head string) int {
	return slices.IndexFunc(all, func(s section) bool { return s.head == head })
}

// Differences compares a golden with what was measured now, section by section: different are the lines that are in one
// only, with - where they were expected and + where they came. absent are the cases that were expected and not measured.
func Differences(golden, now string) (different, absent []string) {
	want, got := sections(golden), sections(now)
	for _, g := range got {
		var expected []string
		if i := find(want, g.head); i >= 0 {
			expected = want[i].lines
		}
		if slices.Equal(expected, g.lines) {
			continue
		}
		different = append(different, "  "+g.head)
		for _, line := range expected {
			if !slices.Contains(g.lines, line) {
				different = append(different, "- "+line)
			}
		}
		for _, line := range g.lines {
			if !slices.Contains(expected, line) {
				different = append(different, "+ "+line)
			}
		}
	}
	for _, w := range want {
		if find(got, w.head) < 0 {
			absent = append(absent, w.head)
		}
	}
	return different, absent
}

// Merge is a golden with the sections that were measured now in the place of the old ones. Cases that were not measured
// stay; new ones go to the end.
func Merge(golden, now string) string {
	all := sections(golden)
	for _, g := range sections(now) {
		if i := find(all, g.head); i >= 0 {
			all[i] = g
		} else {
			all = append(all, g)
		}
	}
	var b strings.Builder
	for _, s := range all {
		b.WriteString(strings.Join(s.lines, "\n"))
		b.WriteByte('\n')
	}
	return b.String()
}
