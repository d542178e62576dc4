package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheLastLineOfIngestHasTheseKeys(t *testing.T) {
	chain := "text:" + writeText(t, "chain.txt", smallChain+"what is this\n")
	dir := filepath.Join(t.TempDir(), "store")
	for _, want := range []map[string]float64{
		{"blocks": 2, "duplicates": 0, "transactions": 4, "movements": 4, "quarantined": 1, "missing": 0, "undone": 0},
		{"blocks": 0, "duplicates": 0, "transactions": 0, "movements": 0, "quarantined": 0, "missing": 0, "undone": 0},
	} {
		lines := strings.Split(strings.TrimSpace(done(t, "ingest", "--json", "--store", dir, chain)), "\n")
		var got map[string]float64
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
			t.Fatal(err)
		}
		if _, ok := got["seconds"]; !ok {
			t.Error("no seconds")
		}
		delete(got, "seconds")
		if !maps.Equal(got, want) || len(lines) != 1+int(want["quarantined"]) {
			t.Errorf("%d lines, the last %v; want %v", len(lines), got, want)
		}
	}
}

func TestTheHomeFolderBehindAColon(t *testing.T) {
	chain := writeText(t, "chain.txt", smallChain)
	t.Setenv("HOME", filepath.Dir(chain))
	if got := done(t, "ingest", "--store", filepath.Join(t.TempDir(), "s"), "text:~/chain.txt"); !strings.HasPrefix(got, "2 blocks") {
		t.Error(got)
	}
	for _, spec := range []string{"text:chain.txt", "text:/a:~/b", "~/x", ""} {
		if got := expandHome(spec); got != spec {
			t.Errorf("expandHome(%q) = %q", spec, got)
		}
	}
}

func TestAnIngestOfNothingNewSaysSo(t *testing.T) {
	dir := smallStore(t)
	code, out, errs := run(t, "ingest", "--store", dir, "text:"+writeText(t, "chain.txt", smallChain))
	if code != 0 || !strings.Contains(errs, "no block was new") || !strings.HasPrefix(out, "0 blocks, 0 transactions, 0 movements") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	if code, _, errs := run(t, "ingest", "-q", "--store", dir, "text:"+writeText(t, "chain.txt", smallChain)); code != 0 || errs != "" {
		t.Errorf("quiet: exit %d, %s", code, errs)
	}
}

func TestNotesForPeopleAreFewAndSafe(t *testing.T) {
	chain := smallChain + strings.Repeat("\x1b[2J\u202e x\n", 3*shownNotes)
	_, out, errs := run(t, "ingest", "--store", filepath.Join(t.TempDir(), "s"), "text:"+writeText(t, "chain.txt", chain))
	if got := strings.Count(errs, "quarantined in block 2"); got != shownNotes || !strings.Contains(errs, "--json lists them all") || strings.ContainsAny(errs, "\x1b\u202e") {
		t.Errorf("%d notes: %q", got, errs)
	}
	if !strings.Contains(out, fmt.Sprintf("%d rows quarantined", 3*shownNotes)) {
		t.Error(out)
	}
}

func TestABarIsOnlyOnATerminal(t *testing.T) {
	args := []string{"ingest", "--store", filepath.Join(t.TempDir(), "s"), "text:" + writeText(t, "chain.txt", smallChain)}
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := Main(t.Context(), args, &out, f); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if text, err := os.ReadFile(f.Name()); err != nil || len(text) > 0 {
		t.Errorf("stderr holds %q, %v", text, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Errorf("stdout holds %q", &out)
	}
}

func TestABarFitsItsTerminal(t *testing.T) {
	var out bytes.Buffer
	b := &bar{w: &out, width: 30}
	b.show(1, 4, strings.Repeat("x", 100))
	b.clear()
	want := "\r\x1b[K" + strings.Repeat("█", 6) + strings.Repeat("░", 18) + "  25%" + "\r\x1b[K"
	if out.String() != want {
		t.Errorf("the bar is %q; want %q", &out, want)
	}
	out.Reset()
	b.show(9, 4, "more than all")
	if out.Len() > 0 {
		t.Errorf("drawn again at once: %q", &out)
	}
}

// A stopper cancels when something is written to it.
type stopper struct {
	bytes.Buffer
	stop context.CancelFunc
}

func (s *stopper) Write(p []byte) (int, error) {
	s.stop()
	return s.Buffer.Write(p)
}

func TestAnIngestThatWasStoppedGoesOn(t *testing.T) {
	// More than one batch: the first is in the store when the note of its first block tells the test to stop.
	var b strings.Builder
	for i := range 750 {
		fmt.Fprintf(&b, "block %d b%d\n", i+1, i)
		if i == 0 {
			b.WriteString("a row that is refused\n")
		}
		for k := range 200 {
			fmt.Fprintf(&b, "eth:h%d eth:h%d GOLD %d\n", (i*7+k)%500, (i*11+k*3)%500, 1+k)
		}
	}
	chain := "text:" + writeText(t, "chain.txt", b.String())
	stopped, whole := filepath.Join(t.TempDir(), "stopped"), filepath.Join(t.TempDir(), "whole")
	ctx, stop := context.WithCancel(t.Context())
	out, errs := &stopper{stop: stop}, &bytes.Buffer{}
	if code := Main(ctx, []string{"ingest", "--json", "--store", stopped, chain}, out, errs); code != 1 || errs.String() != "spoor: stopped\nhint: run the same command again; an ingest goes on where it was\n" {
		t.Fatalf("exit %d, %s", code, errs)
	}
	read := func(text string) (blocks int) {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		var stats struct{ Blocks int }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &stats); err != nil {
			t.Fatal(err)
		}
		return stats.Blocks
	}
	first := read(out.String())
	rest := read(done(t, "ingest", "--json", "--store", stopped, chain))
	all := read(done(t, "ingest", "--json", "--store", whole, chain))
	if first == 0 || rest == 0 || first+rest != all || all != 750 {
		t.Errorf("%d and %d blocks; want 750 in two parts", first, rest)
	}
	ask := func(dir string) string {
		code, out, errs := run(t, "trace", "--json", "--store", dir, "--from", "text:eth:h1=50 GOLD", "--max-transactions", "2000")
		if code != 0 && code != 6 {
			t.Fatal(errs)
		}
		return out
	}
	if ask(stopped) != ask(whole) {
		t.Error("the store that was stopped gives another answer")
	}
}

func TestATraceThatIsStoppedSaysSo(t *testing.T) {
	dir := smallStore(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs bytes.Buffer
	if code := Main(ctx, []string{"trace", "--store", dir, "--from", "text:eth:thief"}, &out, &errs); code != 1 || !strings.HasPrefix(errs.String(), "spoor: stopped\n") || out.Len() > 0 {
		t.Errorf("exit %d, %s%s", code, &out, &errs)
	}
}

func TestThefts(t *testing.T) {
	dir := smallStore(t)
	list := writeText(t, "list.txt", "# stolen from\ntext:eth:thief\n")
	object := writeText(t, "theft.json", `{"sources": [{"account": "text:eth:thief", "asset": "GOLD", "amount": 90, "from_block": 2}]}`)
	const last = "text:eth:last"
	answers := map[string]string{}
	for name, args := range map[string][]string{
		"from": {"--from", "text:eth:thief"}, "list": {"--theft", list}, "twice": {"--theft", list, "--from", "text:eth:thief"},
		"from-time": {"--from", "text:eth:thief@2023-11-14T22:20:00Z"}, "from-block": {"--from", "text:eth:thief@block:2"},
		"amount": {"--from", "text:eth:thief=90 GOLD"}, "file": {"--theft", object},
		"transaction": {"--tx", "0000000000000000000000000000000000000000000000000000000000000a11", "--thief", last},
	} {
		out := done(t, append([]string{"trace", "--csv", "--store", dir}, args...)...)
		answers[name] = out
		want := 4
		if name == "transaction" {
			want = 1 // the header: who gained has not moved it
		}
		if got := strings.Count(out, "\n"); got != want {
			t.Errorf("%s: %d rows; want %d:\n%s", name, got, want, out)
		}
	}
	delete(answers, "transaction")
	delete(answers, "amount") // of 100 that it held, 90 are stolen: the rules differ
	delete(answers, "file")
	if kinds := slices.Compact(slices.Sorted(maps.Values(answers))); len(kinds) != 1 {
		t.Errorf("the same theft, said in several ways, has %d answers", len(kinds))
	}
}
