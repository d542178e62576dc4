package cli

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/bench/sim"
)

// A generated case goes through the commands that a person would run, and the loot is found.
func TestGeneratedCaseIsTraced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	args := []string{"bench", "generate", "--out", dir, "--scenario", "bridge-mix", "--accounts", "1000", "--transfers", "3000", "--days", "3", "--poison", "100"}
	var sum sim.Summary
	if err := json.Unmarshal([]byte(done(t, append(args, "--json")...)), &sum); err != nil {
		t.Fatal(err)
	}
	if sum.Parameters.Case != "bridge-mix" || sum.Parameters.Days != 3 || sum.Kinds["poison"] != 100 || len(sum.Tables) != 2 {
		t.Errorf("summary %+v; want bridge-mix, three days, 100 rows of poison, two tables", sum)
	}
	store, answer := filepath.Join(dir, "store"), filepath.Join(dir, "answer")
	in := []string{"ingest", "-q", "--json", "--store", store}
	for _, table := range sum.Tables {
		in = append(in, "transfers-csv:"+filepath.Join(dir, table.File))
	}
	if out := done(t, in...); strings.Contains(out, `"note"`) {
		t.Errorf("ingest refused rows: %.500s", out)
	}
	done(t, "trace", "--store", store, "--theft", filepath.Join(dir, "sources.csv"), "--labels", filepath.Join(dir, "labels.csv"), "--out", answer)
	found := 0
	f, err := os.Open(filepath.Join(answer, "sinks.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if strings.Contains(strings.Join(r, ","), "mixer") {
			found++
		}
	}
	if found == 0 {
		t.Errorf("no mixer among the sinks %v; the program pays into some", rows)
	}

	code, _, errs := run(t, args...)
	if code != 2 || !strings.Contains(errs, "--force") {
		t.Errorf("a folder with a case: exit %d, %s; want 2 and a hint", code, errs)
	}
	if out := done(t, append(args, "--force")...); !strings.Contains(out, sum.Hash) {
		t.Errorf("made again it is %s; want the hash %s", out, sum.Hash)
	}
}

func TestGenerateTakesProgramsAndRefusesNonsense(t *testing.T) {
	list := done(t, "bench", "generate", "--list")
	for _, s := range sim.Scenarios() {
		if !strings.Contains(list, "# "+s.Name+": ") || !strings.Contains(list, s.Config.Program.String()) {
			t.Errorf("--list shows %.2000s; want %s", list, s.Name)
		}
	}
	dir := filepath.Join(t.TempDir(), "case")
	steps := writeText(t, "steps.txt", "steal 7 USDC # a little\nhop 2\nrest\n")
	out := done(t, "bench", "generate", "--out", dir, "--program", steps, "--transfers", "100", "--days", "1", "--json")
	if !strings.Contains(out, `"program":["steal 7 USDC","hop 2","rest"]`) {
		t.Errorf("--program: %s", out)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"no folder named", nil},
		{"no such scenario", []string{"--out", dir, "--scenario", "nonsense"}},
		{"line 2", []string{"--out", dir, "--force", "--program", writeText(t, "bad.txt", "steal 7 USDC\nfly\n")}},
		{"commingle 91", []string{"--out", dir, "--force", "--commingle", "91"}},
		{"own-first", []string{"--out", dir, "--force", "--pays", "last"}},
	} {
		code, _, errs := run(t, append([]string{"bench", "generate"}, c.args...)...)
		if code != 2 || !strings.Contains(errs, c.want) || !strings.Contains(errs, "\nhint: ") {
			t.Errorf("%v: exit %d, %s; want 2 and %q", c.args, code, errs, c.want)
		}
	}
}
