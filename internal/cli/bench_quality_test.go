package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/bench/quality"
)

func TestBenchQuality(t *testing.T) {
	golden := writeText(t, "quality.golden", "methods\n  default: something else\nelsewhere (planted, 1 movements)\n  \x1b[2J\n")
	var out, errs bytes.Buffer
	code := Main(t.Context(), []string{"bench", "quality", "--json", "--case", "peel-tree", "--golden", golden}, &out, &errs)
	if code != 5 || !strings.Contains(errs.String(), "hint: read the differences") || !strings.Contains(errs.String(), "not measured: elsewhere") ||
		!strings.Contains(errs.String(), "\n-   default: something else\n") || strings.Contains(errs.String(), "\x1b") {
		t.Errorf("another golden: exit %d, %s", code, &errs)
	}
	var results []quality.Result
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines {
		var r quality.Result
		var keys map[string]any
		if err := errors.Join(json.Unmarshal([]byte(line), &r), json.Unmarshal([]byte(line), &keys)); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, key := range []string{"workload", "case", "kind", "method", "parameters", "n", "seconds", "node_precision",
			"average_precision", "at_budget", "visited", "depth", "partial", "result"} {
			if _, ok := keys[key]; !ok {
				t.Errorf("no key %s in %s", key, line)
			}
		}
		results = append(results, r)
	}
	if len(lines) != len(quality.Methods()) {
		t.Errorf("%d lines; want one for each of %d methods", len(lines), len(quality.Methods()))
	}

	p := &program{out: &out, err: &errs}
	if err := p.compareQuality(golden, true, results); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(golden)
	if err != nil || !bytes.Contains(made, []byte("\nelsewhere (planted")) || bytes.Contains(made, []byte("something else")) {
		t.Errorf("updated, %v:\n%s", err, made)
	}
	if err := p.compareQuality(golden, false, results); err != nil {
		t.Errorf("against its own golden: %v", err)
	}
	if err := p.compareQuality(filepath.Join(t.TempDir(), "absent"), false, results); err == nil {
		t.Error("an absent golden: no error")
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
		{"--case nothing-like-it", 2, "no case has that in its name"},
		{"extra", 2, "unknown command"},
	} {
		var out, errs bytes.Buffer
		code := Main(t.Context(), append([]string{"bench", "quality"}, strings.Fields(c.args)...), &out, &errs)
		if code != c.code || !strings.Contains(errs.String(), c.want) || !strings.Contains(errs.String(), "hint: ") || out.Len() > 0 {
			t.Errorf("%s: exit %d, %q; want %d, %q", c.args, code, &errs, c.code, c.want)
		}
	}
}
