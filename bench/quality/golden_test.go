package quality

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/internal/measure"
)

var update = flag.Bool("update", false, "rewrite the golden table; then read the diff")

const goldenFile = "testdata/quality.golden"

// page holds a summary of the golden between these two lines.
const page, pageBegin, pageEnd = "../../docs/quality.md", "<!-- quality -->\n", "<!-- end -->\n"

// check measures a case and compares it with the golden, or puts it into it.
func check(t *testing.T, c *Case) {
	t.Helper()
	var results []Result
	for r, err := range Run(t.Context(), c, Methods()) {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	now, err := Golden(results)
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(goldenFile, []byte(Merge(string(golden), now)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if different, _ := Differences(string(golden), now); len(different) > 0 {
		t.Errorf("quality has changed; -update rewrites %s:\n%s", goldenFile, strings.Join(different, "\n"))
	}
}

func TestGoldenSimulated(t *testing.T) {
	for _, s := range SimulatedCases() {
		c, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		check(t, c)
	}
}

func TestGoldenPlanted(t *testing.T) { checkFolder(t, "data/onchain/launder-net-planted", 2) }

func TestGoldenHeists(t *testing.T) { checkFolder(t, "data/onchain/ethereum-heist", 2) }

func checkFolder(t *testing.T, name string, want int) {
	folders, err := Find([]string{measure.Path(t, name)})
	if err != nil || len(folders) != want {
		t.Fatalf("%d cases in %s, %v; want %d", len(folders), name, err, want)
	}
	for _, f := range folders {
		c, err := f.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		check(t, c)
	}
}

// Cases that are no more leave nothing behind.
func TestGoldenHoldsKnownCasesOnly(t *testing.T) {
	known := map[string]bool{"methods": true}
	for _, s := range SimulatedCases() {
		known[s.Name] = true
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections(string(golden)) {
		if dir, _, _ := strings.Cut(s.head, "/"); !known[s.head] && dir != "launder-net-planted" && dir != "ethereum-heist" {
			t.Errorf("%s: nothing makes %s; take it out", goldenFile, s.head)
		}
	}
}

// The page for people shows what the golden says of the default answer and of the rules.
func TestPageShowsTheGolden(t *testing.T) {
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.FromSlash(page))
	if err != nil {
		t.Fatal(err)
	}
	was := string(text)
	now := was
	for begin, want := range map[string]string{pageBegin: summary(sections(string(golden))), rulesBegin: ruleTable(sections(string(golden)))} {
		before, rest, ok := strings.Cut(now, begin)
		table, after, ok2 := strings.Cut(rest, pageEnd)
		if !ok || !ok2 {
			t.Fatalf("%s has no table between %q and %q", page, begin, pageEnd)
		}
		if table != want && !*update {
			t.Errorf("%s does not show %s; -update rewrites it. It should be\n%s", page, goldenFile, want)
		}
		now = before + begin + want + pageEnd + after
	}
	if *update && now != was {
		if err := os.WriteFile(filepath.FromSlash(page), []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// rulesBegin is where the table of the rules begins on the page.
const rulesBegin = "<!-- rules -->\n"

// ruleTable has one row for each rule that spoke: how often it was right, of how often it spoke, in the planted cases and in
// the simulated ones.
func ruleTable(golden []section) string {
	type count struct{ right, all [2]int }
	rules := map[string]*count{}
	for _, s := range golden {
		kind := 0
		if strings.HasPrefix(s.head, "sim/") {
			kind = 1
		}
		for _, line := range s.lines {
			words := strings.Fields(line)
			if words[0] != rulesHead {
				continue
			}
			for i := 1; i+1 < len(words); i += 2 {
				if rules[words[i]] == nil {
					rules[words[i]] = &count{}
				}
				var right, all int
				if _, err := fmt.Sscanf(words[i+1], "%d/%d", &right, &all); err != nil {
					return err.Error()
				}
				rules[words[i]].right[kind] += right
				rules[words[i]].all[kind] += all
			}
		}
	}
	var b strings.Builder
	b.WriteString("| rule | planted: right / all | simulated: right / all |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		c := rules[name]
		fmt.Fprintf(&b, "| %s | %d / %d | %d / %d |\n", name, c.right[0], c.all[0], c.right[1], c.all[1])
	}
	return b.String()
}

// summary is a table with one row for each case: some columns of the default method.
func summary(golden []section) string {
	heads := []string{"flow", "(reach)", "term", "edgeP", "edgeR", "valP", "valR", "claimerr", "nodeP", "nodeR", "AP", "R@100", "P@100"}
	var b strings.Builder
	fmt.Fprintf(&b, "| case | %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)+1))
	for _, s := range golden {
		if s.head == "methods" {
			continue
		}
		fmt.Fprintf(&b, "| %s", s.head)
		cells := cellsOf(s, "default")
		for _, h := range heads {
			fmt.Fprintf(&b, " | %s", cells[h])
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// cellsOf reads the row of a method out of a section: by the name of the column, of two with one name the first.
func cellsOf(s section, method string) map[string]string {
	cells := map[string]string{}
	var head string
	for _, line := range s.lines[1:] {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "method":
			head = line
		case method:
			from := strings.Index(line, method) + len(method)
			for _, h := range strings.Fields(head)[1:] {
				to := from + strings.Index(head[from:], h) + len(h)
				if _, ok := cells[h]; !ok {
					cells[h] = strings.TrimSpace(line[from:to])
				}
				from = to
			}
		}
	}
	return cells
}

func TestSummary(t *testing.T) {
	got := summary(sections("methods\n  default: x\na/b (planted, 3 movements)\n  method           flow  (reach)    AP\n" +
		"  haircut           0.1      0.2\n  default-but-one   0.3      0.4\n  default                    0.5   0.6\n  method           R@100\n  default            0.7\n"))
	if want := "| a/b |  | 0.5 |  |  |  |  |  |  |  |  | 0.6 | 0.7 |  |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("summary\n%s\nwant at its end\n%s", got, want)
	}
}

func TestDifferencesAndMerge(t *testing.T) {
	old := "methods\n  m: x\na (planted, 3 movements)\n  method  flow\n  m       0.5\nb (heist, 1 movements)\n  m  1\n"
	for _, c := range []struct {
		name, now, different, absent, merged string
	}{
		{"same", old, "", "", old},
		{"fewer-cases", "methods\n  m: x\na (planted, 3 movements)\n  method  flow\n  m       0.5\n", "", "b", old},
		{"worse", "methods\n  m: x\na (planted, 3 movements)\n  method  flow\n  m       0.4\nb (heist, 1 movements)\n  m  1\n",
			"  a;-   m       0.5;+   m       0.4", "", strings.Replace(old, "0.5", "0.4", 1)},
		{"new-case", "c (planted, 1 movements)\n  m  2\n", "  c;+ c (planted, 1 movements);+   m  2", "methods;a;b", old + "c (planted, 1 movements)\n  m  2\n"},
		{"order-of-lines", "b (heist, 1 movements)\n  m  1\n", "", "methods;a", old},
	} {
		different, absent := Differences(old, c.now)
		if got := strings.Join(different, ";"); got != c.different {
			t.Errorf("%s: different %q; want %q", c.name, got, c.different)
		}
		if got := strings.Join(absent, ";"); got != c.absent {
			t.Errorf("%s: absent %q; want %q", c.name, got, c.absent)
		}
		if got := Merge(old, c.now); got != c.merged {
			t.Errorf("%s: merged\n%s\nwant\n%s", c.name, got, c.merged)
		}
	}
	if different, _ := Differences("", old); len(different) != 10 {
		t.Errorf("nothing expected: %d lines %q; want 3 cases and all 7 lines", len(different), different)
	}
}

func TestTableFitsItsWidth(t *testing.T) {
	c, err := load(t, folder(t, "small", smallCase()))
	if err != nil {
		t.Fatal(err)
	}
	var results []Result
	for r, err := range Run(t.Context(), c, Methods()[:2]) {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	words := func(width int, noisy bool) int {
		var b strings.Builder
		if err := WriteTable(&b, results, width, noisy); err != nil {
			t.Fatal(err)
		}
		n := 0
		for i, line := range strings.Split(b.String(), "\n") {
			if width > 0 && i > 0 && len(line) > width {
				t.Errorf("width %d: a line of %d: %s", width, len(line), line)
			}
			for _, w := range strings.Fields(line) {
				if w != "method" && w != "default" && w != "haircut" { // the names come again with every group
					n++
				}
			}
		}
		return n
	}
	all := words(0, true)
	for _, width := range []int{40, 80, 120, 1000} {
		if n := words(width, true); n != all {
			t.Errorf("width %d: %d cells; want %d", width, n, all)
		}
	}
	if n := words(0, false); n >= all || n < all/2 {
		t.Errorf("without noise: %d cells of %d", n, all)
	}
}
