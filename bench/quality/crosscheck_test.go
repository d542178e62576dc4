package quality_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/spoor-dev/spoor/bench/quality"
	"github.com/spoor-dev/spoor/internal/cli"
	"github.com/spoor-dev/spoor/internal/measure"
)

// spoor runs a command, which must end well.
func spoor(t *testing.T, args ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := cli.Main(t.Context(), args, &out, &errs); code != 0 {
		t.Fatalf("spoor %v: exit %d: %s", args, code, &errs)
	}
}

// What is measured here is what the files of "spoor trace --out" are worth to a scorer that knows nothing of Spoor.
func TestAgreesWithScoreTrace(t *testing.T) {
	scorer := measure.Path(t, "tools/score-trace")
	folders, err := quality.Find([]string{measure.Path(t, "data/onchain/launder-net-planted")})
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "score-trace")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = scorer
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build score-trace: %v: %s", err, out)
	}
	for _, f := range folders {
		dir := t.TempDir()
		table := filepath.Join(f.Path, "transfers.csv.gz")
		spoor(t, "ingest", "-q", "--store", dir+"/store", "transfers-csv:"+table)
		spoor(t, "trace", "-q", "--store", dir+"/store", "--theft", f.Path+"/sources.csv", "--labels", f.Path+"/labels.csv", "--out", dir+"/out")
		out, err := exec.CommandContext(t.Context(), program, "-json", "-budgets", "10,25,50,100,250", "-truth", f.Path+"/truth",
			"-transfers", dir+"/out/transfers.csv", "-addresses", dir+"/out/addresses.csv").Output()
		if err != nil {
			t.Fatalf("score-trace on %s: %v", f.Name, err)
		}
		var want map[string]any
		if err := json.Unmarshal(out, &want); err != nil {
			t.Fatal(err)
		}
		got := defaultOf(t, f)
		for ours, theirs := range map[string]string{
			"flow_coverage": "flow_coverage", "flow_coverage_of_reachable": "flow_coverage_of_reachable",
			"terminus_coverage": "terminus_coverage", "terminus_coverage_of_reachable": "terminus_coverage_of_reachable",
			"precision": "edge_precision", "recall": "edge_recall", "node_precision": "node_precision", "node_recall": "node_recall",
			"average_precision": "average_precision", "transfers_found": "found_transfers", "transfers_true": "found_true_transfers",
			"transfers_neutral": "found_neutral_transfers", "nodes_found": "found_nodes", "nodes_true": "found_true_nodes",
		} {
			compare(t, f.Name+" "+ours, got[ours], want[theirs])
		}
		ours, theirs := got["at_budget"].([]any), want["at_budget"].([]any)
		if len(ours) != len(theirs) || len(ours) != 5 {
			t.Fatalf("%s: %d budgets; want %d", f.Name, len(ours), len(theirs))
		}
		for i := range ours {
			for _, key := range []string{"budget", "precision", "recall"} {
				compare(t, f.Name+" at budget, "+key, ours[i].(map[string]any)[key], theirs[i].(map[string]any)[key])
			}
		}
	}
}

// defaultOf is the line of the default method, as JSON.
func defaultOf(t *testing.T, f quality.Folder) map[string]any {
	t.Helper()
	c, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range quality.Run(t.Context(), c, quality.Methods()[:1]) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var line map[string]any
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatal(err)
		}
		if line["method"] != "default" {
			t.Fatalf("the first method is %v; want default", line["method"])
		}
		return line
	}
	t.Fatal("no result")
	return nil
}

// compare holds two numbers of JSON against each other, to six digits.
func compare(t *testing.T, what string, got, want any) {
	t.Helper()
	x, ok := got.(float64)
	y, ok2 := want.(float64)
	if !ok || !ok2 || math.Abs(x-y) > 6e-7 {
		t.Errorf("%s: %v; score-trace says %v", what, got, want)
	}
}
