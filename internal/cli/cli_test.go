package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spoor-dev/spoor/store/pebblestore"
)

var update = flag.Bool("update", false, "rewrite the golden files; then read the diff")

// asSpoor, in the environment, makes the test binary the program itself.
const asSpoor = "SPOOR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asSpoor) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// run is one run of the program.
func run(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// done is the output of a run that must end with exit code 0.
func done(t testing.TB, args ...string) string {
	t.Helper()
	code, out, errs := run(t, args...)
	if code != 0 {
		t.Fatalf("spoor %s: exit %d, %s", strings.Join(args, " "), code, errs)
	}
	return out
}

func writeText(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const smallChain = `
block 1 aa time=1700000000
eth:victim eth:thief GOLD 100
block 2 bb time=1700000600
eth:thief eth:shop GOLD 30
eth:thief eth:next GOLD 60
0000000000000000000000000000000000000000000000000000000000000a11: eth:next eth:last GOLD 7
`

// smallStore is a store that holds smallChain.
func smallStore(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	done(t, "ingest", "-q", "--store", dir, "text:"+writeText(t, "chain.txt", smallChain))
	return dir
}

func TestErrorsAreTwoLinesWithTheRightExitCode(t *testing.T) {
	store, empty, nothing := smallStore(t), t.TempDir(), t.TempDir()
	file := writeText(t, "f.txt", "no chain\n")
	labels := writeText(t, "labels.csv", "name\nx\n")
	const evm, hash = "0xdAC17F958D2ee523a2206206994597C13D831ec7", "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
	trace := func(args ...string) []string { return append([]string{"trace", "--store", store}, args...) }
	for _, c := range []struct {
		name string
		args []string
		code int
		what string // in the first line
		hint string // in the second
	}{
		{"no-command", []string{"nonsense"}, 2, "unknown command", "--help"},
		{"unknown-flag", []string{"trace", "--nonsense"}, 2, "unknown flag", "spoor trace --help"},
		{"flag-without-value", []string{"trace", "--from"}, 2, "needs an argument", "--help"},
		{"bad-number", trace("--rows", "x"), 2, "invalid argument", "--help"},
		{"negative-number", trace("--from", evm, "--max-hops", "-1"), 2, "number", "not negative"},
		{"flags-that-exclude", trace("--from", evm, "--csv", "--graphml"), 2, "csv graphml", "--help"},
		{"no-input", []string{"ingest"}, 2, "at least 1", "--help"},
		{"unknown-kind", []string{"ingest", "csv:x"}, 2, "unknown kind", "KIND:PATH"},
		{"no-kind", []string{"ingest", file}, 2, "unknown kind", "KIND:PATH"},
		{"bad-chain", []string{"ingest", "--chain", "x", "text:" + file}, 2, "chain", "CAIP-2"},
		{"no-file", []string{"ingest", "--store", empty, "text:/nowhere/x"}, 1, "no such file", "path"},
		{"no-text-chain", []string{"ingest", "--store", empty, "text:" + file}, 1, "not a text chain", "text-chain.md"},
		{"no-block-file", []string{"ingest", "--store", empty, "bitcoin-blocks:" + file}, 1, "f.txt", "blk*.dat"},
		{"no-evm", []string{"ingest", "--store", empty, "evm-recorded:" + file}, 1, "f.txt", ""},
		{"no-etl", []string{"ingest", "--store", empty, "ethereum-etl:" + file}, 1, "f.txt", ""},
		{"no-transfers", []string{"ingest", "--store", empty, "transfers-csv:" + file}, 1, "f.txt", ""},
		{"no-theft", trace(), 2, "no theft", "--from"},
		{"bad-address", trace("--from", "x"), 2, "not an address", "accepted are CAIP-10"},
		{"bad-checksum", trace("--from", "0xdAC17F958D2ee523a2206206994597C13D831eC7"), 2, "checksum", "typing error"},
		{"fraction", trace("--from", evm+"=1.5 ETH"), 2, "whole number", "smallest unit"},
		{"bad-time", trace("--from", evm+"@yesterday"), 2, "time \"yesterday\"", "TIME is a day"},
		{"bad-hash", trace("--tx", "0x12"), 2, "transaction 1", "64 hexadecimal digits"},
		{"thief-alone", trace("--thief", evm), 2, "no transaction", "--tx"},
		{"no-theft-file", trace("--theft", "/nowhere"), 1, "no such file", "path"},
		{"bad-theft-file", trace("--theft", file), 2, "line 1", "accepted are CAIP-10"},
		{"empty-theft-file", trace("--theft", os.DevNull), 2, "no source", "theft.md"},
		{"bad-policy", trace("--from", evm, "--policy", "best"), 2, "best", "haircut"},
		{"policy-twice", trace("--from", evm, "--policy", "fifo,fifo"), 2, "twice", "once"},
		{"bad-trace-chain", trace("--from", evm, "--chain", "x"), 2, "chain", "CAIP-2"},
		{"bad-dust", trace("--from", "text:eth:thief", "--dust", "x"), 2, "dust", "--dust"},
		{"bad-until", trace("--from", "text:eth:thief", "--until", "2023"), 2, "time", "--until"},
		{"no-labels", trace("--from", "text:eth:thief", "--labels", "/nowhere"), 1, "no such file", "path"},
		{"bad-labels", trace("--from", "text:eth:thief", "--labels", labels), 1, "address", "address,label"},
		{"no-store", []string{"trace", "--store", "/nowhere/store", "--from", evm}, 1, "no such file", "spoor ingest"},
		{"folder-without-store", []string{"trace", "--store", nothing, "--from", evm}, 1, "no store", "spoor ingest"},
		{"unseen-chain", trace("--from", evm), 1, "no block of eip155:1", "spoor ingest"},
		{"unseen-account", trace("--from", "text:eth:stranger"), 1, "never seen text:eth:stranger", "spoor ingest"},
		{"unseen-transaction", trace("--tx", hash), 1, "no chain of the store", "spoor ingest"},
		{"too-late", trace("--from", "text:eth:thief@2030-01-01"), 1, "behind the newest block", "the time"},
		{"never-held", trace("--from", "text:eth:thief=101 GOLD"), 1, "never held 101", ""},
		{"out-is-a-file", trace("--from", "text:eth:thief", "--out", file), 1, "--out", ""},
		{"out-under-a-file", trace("--from", "text:eth:thief", "--out", file+"/x"), 1, "--out", "file where a folder is needed"},
		{"hostile-argument", trace("--from", "a\nhint: b\x1b[2J\u202e"), 2, "not an address", ""},
		{"bad-workload", []string{"bench", "nonsense"}, 2, "invalid argument", "--help"},
		{"small-workload", []string{"bench", "load", "--movements", "1"}, 2, "too small", "1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, c.args...)
			lines := strings.Split(errs, "\n")
			if len(lines) != 3 || lines[2] != "" || !strings.HasPrefix(lines[0], "spoor: ") || !strings.HasPrefix(lines[1], "hint: ") {
				t.Fatalf("stderr:\n%s\nwant two lines, what and hint", errs)
			}
			if code != c.code || !strings.Contains(lines[0], c.what) || !strings.Contains(lines[1], c.hint) {
				t.Errorf("exit %d, %s; want exit %d, %q and the hint %q", code, errs, c.code, c.what, c.hint)
			}
			if strings.ContainsAny(errs, "\x1b\u202e") {
				t.Errorf("a control character in %q", errs)
			}
			if c.args[0] == "trace" && out != "" {
				t.Errorf("an error with an answer: %s", out)
			}
		})
	}
}

func TestAFolderWithoutAStoreStaysEmpty(t *testing.T) {
	dir := t.TempDir()
	run(t, "trace", "--store", dir, "--from", "text:eth:thief")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("a trace left %d files there, %v", len(entries), err)
	}
}

func TestEveryHintIsReached(t *testing.T) {
	for _, h := range hints {
		if got := hintFor(fmt.Errorf("at work: %w", h.err)); got != h.hint {
			t.Errorf("%v: hint %q; want %q", h.err, got, h.hint)
		}
	}
	if got := hintFor(errors.New("strange")); !strings.Contains(got, "--help") {
		t.Errorf("an unknown error: hint %q", got)
	}
}

func TestAStoreThatIsInUse(t *testing.T) {
	dir := smallStore(t)
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, args := range [][]string{
		{"trace", "--store", dir, "--from", "text:eth:thief"},
		{"ingest", "--store", dir, "text:" + writeText(t, "chain.txt", smallChain)},
	} {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asSpoor+"=1")
		text, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(text), "hint: another spoor has this store open") {
			t.Errorf("spoor %s: %v, %s", args[0], err, text)
		}
	}
}

func TestBudgetsEndWithSix(t *testing.T) {
	code, out, _ := run(t, "trace", "--store", smallStore(t), "--from", "text:eth:victim", "--max-transactions", "1")
	if code != 6 || !strings.Contains(out, "Cut short: ") {
		t.Errorf("exit %d, %s; want 6 and a reason", code, out)
	}
}

// A failing writer is a pipe that nobody reads, or a full disk.
type failingWriter struct{}

var errFull = errors.New("no room")

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	store := smallStore(t)
	chain := "text:" + writeText(t, "chain.txt", smallChain+"x\n")
	from := []string{"trace", "--store", store, "--from", "text:eth:thief"}
	for _, args := range [][]string{
		from, append(from, "--json"), append(from, "--csv"), append(from, "--graphml"),
		{"version"}, {"version", "--json"}, {"demo"}, {"demo", "--json"}, {"demo", "--check"},
		{"ingest", "--store", filepath.Join(t.TempDir(), "a"), chain}, {"ingest", "--json", "--store", filepath.Join(t.TempDir(), "b"), chain},
		{"bench", "load", "--movements", "1000"},
	} {
		var errs bytes.Buffer
		if code := Main(t.Context(), args, failingWriter{}, &errs); code != 1 || !strings.Contains(errs.String(), errFull.Error()) {
			t.Errorf("spoor %s: exit %d, %s; want 1", strings.Join(args, " "), code, &errs)
		}
	}
}

func TestJSONOfEveryCommandParses(t *testing.T) {
	store := smallStore(t)
	for name, args := range map[string][]string{
		"trace":   {"trace", "--store", store, "--from", "text:eth:thief", "--policy", "all"},
		"back":    {"trace", "--store", store, "--back", "--from", "text:eth:last"},
		"version": {"version"},
		"demo":    {"demo"},
		"ingest":  {"ingest", "--store", filepath.Join(t.TempDir(), "s"), "text:" + writeText(t, "chain.txt", smallChain+"x\ny\n")},
		"bench":   {"bench", "load", "--movements", "1000"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := strings.Split(strings.TrimSuffix(done(t, append(args, "--json")...), "\n"), "\n")
			for i, line := range lines {
				var v map[string]any
				if err := json.Unmarshal([]byte(line), &v); err != nil || len(v) == 0 {
					t.Errorf("line %d: %v: %.200s", i+1, err, line)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if got := done(t, "version"); !strings.HasPrefix(got, "spoor ") || !strings.Contains(got, "go1.") {
		t.Error(got)
	}
}

func TestDemo(t *testing.T) {
	if got := done(t, "demo", "--check"); !strings.HasPrefix(got, "ok: 2 traces, every unit accounted for") {
		t.Error(got)
	}
	dir := filepath.Join(t.TempDir(), "kept")
	first := done(t, "demo", "--keep", dir)
	again := done(t, "demo", "--keep", dir)
	cut := func(s string) string { return s[strings.Index(s, "── 1."):strings.Index(s, "All of it in")] }
	if cut(first) != cut(again) || !strings.Contains(first, "stolen = ") {
		t.Errorf("the second run says something else:\n%s\n%s", first, again)
	}
	// What it says to go on with works.
	for _, line := range strings.Split(again, "\n") {
		if rest, ok := strings.CutPrefix(line, "  spoor trace "); ok {
			done(t, append([]string{"trace", "-q"}, strings.Fields(rest)...)...)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "case", "summary.json")); err != nil {
		t.Error(err)
	}
}

func TestHelpOfEveryCommand(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help", "trace"}, {"trace", "--help"}, {"ingest", "--help"}, {"demo", "-h"}, {"bench", "-h"}, {"version", "-h"}} {
		if got := done(t, args...); !strings.Contains(got, "Usage:") {
			t.Errorf("spoor %v: %s", args, got)
		}
	}
}
