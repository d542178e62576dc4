package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchQuality(t *testing.T) {
	golden := filepath.Join(t.TempDir(), "quality.golden")
	text := done(t, "bench", "quality", "--json", "-q", "--golden", golden, "--update")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, key := range []string{"workload", "case", "kind", "method", "parameters", "n", "seconds", "precision", "recall", "flow_coverage", "node_precision",
			"average_precision", "at_budget", "visited", "depth", "partial", "result"} {
			if _, ok := r[key]; !ok {
				t.Errorf("no key %s in %s", key, line)
			}
		}
	}
	if len(lines) < 10 {
		t.Errorf("%d lines; want one for each method and case", len(lines))
	}
	made, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	better := bytes.Replace(made, []byte("1.0000"), []byte("0.5000"), 1)
	better = append(better, "elsewhere (planted, 1 movements)\n  \x1b[2J\n"...)
	if err := os.WriteFile(golden, better, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := Main(t.Context(), []string{"bench", "quality", "--golden", golden}, &out, &errs)
	if code != 5 || !strings.Contains(errs.String(), "hint: read the differences") || !strings.Contains(errs.String(), "not measured: elsewhere") ||
		!strings.Contains(errs.String(), "\n-   default") || strings.Contains(errs.String(), "\x1b") {
		t.Errorf("another golden: exit %d, %s", code, &errs)
	}
	if !strings.Contains(out.String(), "seconds") || !strings.Contains(out.String(), "haircut-no-swaps") {
		t.Errorf("table: %s", &out)
	}
}

func TestBenchQualityMisused(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--update", 2, "nothing to update"},
		{"--data " + t.TempDir(), 1, "no case in these folders"},
		{"--data " + filepath.Join(t.TempDir(), "absent"), 1, "absent"},
		{"extra", 2, "unknown command"},
	} {
		var out, errs bytes.Buffer
		code := Main(t.Context(), append([]string{"bench", "quality"}, strings.Fields(c.args)...), &out, &errs)
		if code != c.code || !strings.Contains(errs.String(), c.want) || !strings.Contains(errs.String(), "hint: ") || out.Len() > 0 {
			t.Errorf("%s: exit %d, %q; want %d, %q", c.args, code, &errs, c.code, c.want)
		}
	}
}
