package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/screen"
)

// The addresses of the tests: on the list, paid by it, paid by that one, and never seen.
const (
	screenBad     = "0x8589427373D6D84E98730D7795D8f6f8731FDA16"
	screenFriend  = "0x0000000000000000000000000000000000000001"
	screenPayee   = "0x0000000000000000000000000000000000000002"
	screenNobody  = "0x0000000000000000000000000000000000000009"
	screenService = "0x0000000000000000000000000000000000000005"
)

// screenStore is a store with a small chain, and a list of labels.
func screenStore(t testing.TB) (store, labels string) {
	t.Helper()
	chain := writeText(t, "chain.txt", "chain eip155:1\nblock 1 aa time=1700000000\n"+screenBad+" "+screenFriend+" native 100000000000000000000\n"+
		"block 2 bb time=1700000100\n"+screenFriend+" "+screenPayee+" native 100000000000000000000\n")
	store = filepath.Join(t.TempDir(), "store")
	done(t, "ingest", "-q", "--store", store, "text:"+chain)
	return store, writeText(t, "labels.csv", "address,label,category,is_service\n"+screenBad+",Tornado,sanction,0\n"+screenService+",Big Exchange,exchange,1\n")
}

func TestScreenExitCodes(t *testing.T) {
	store, labels := screenStore(t)
	for _, c := range []struct {
		name string
		args []string
		code int
		says string // on stdout, or on stderr where nothing is on stdout
	}{
		{"block", []string{screenBad}, 4, "severe-itself"},
		{"block-wrong-ticker", []string{"XBT:" + strings.ToLower(screenBad)}, 4, "BLOCK"},
		{"block-other-chain", []string{"eip155:137:" + screenBad}, 4, "BLOCK"},
		{"block-direct-exposure", []string{screenFriend}, 4, "severe-direct"},
		{"hold", []string{screenPayee}, 3, "severe-indirect"},
		{"attention", []string{screenNobody}, 3, "ATTENTION, unknown"},
		{"allow", []string{screenService}, 0, "ALLOW"},
		{"allow-by-lists", []string{"--policy", "lists", screenNobody}, 0, "ALLOW, unknown"},
		{"allow-on-a-partial-answer", []string{"--policy", "lists", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"}, 6, "ALLOW, unknown"},
		{"strictest", []string{screenService, screenBad, screenNobody}, 4, "BLOCK"},
		{"out", []string{"--direction", "out", screenFriend}, 3, "ATTENTION"},
		{"transfer", []string{"--direction", "in", "--asset", "ETH", "--amount", "1000", screenPayee}, 3, "HOLD"},
		{"with", []string{"--direct", "--with", screenBad, screenService}, 4, "BLOCK"},
		{"before", []string{"--as-of", "1700000050", screenPayee}, 3, "ATTENTION"},
		{"checksum", []string{"0x8589427373D6D84E98730D7795D8f6f8731FDa16"}, 2, "wrong checksum"},
		{"checksum-beside-good", []string{screenService, "0x8589427373D6D84E98730D7795D8f6f8731FDa16"}, 2, "wrong checksum"},
		{"not-an-address", []string{"alice"}, 2, "not an address"},
		{"no-address", nil, 2, "no address"},
		{"direction", []string{"--direction", "up", screenBad}, 2, "direction"},
		{"amount-of-nothing", []string{"--amount", "5", screenBad}, 2, "amount"},
		{"amount", []string{"--asset", "ETH", "--amount", "5.5", screenBad}, 2, "amount"},
		{"asset", []string{"--asset", "DOGE", screenBad}, 2, "asset"},
		{"time", []string{"--as-of", "yesterday", screenBad}, 2, "yesterday"},
		{"no-policy", []string{"--policy", "nowhere.yaml", screenBad}, 1, "nowhere.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, append([]string{"screen", "-q", "--store", store, "--labels", labels}, c.args...)...)
			if out == "" {
				out = errs
			}
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit %d, %s\n%s; want exit %d and %q", code, out, errs, c.code, c.says)
			}
			if code < 3 && code > 0 && !strings.Contains(errs, "hint: ") {
				t.Errorf("no hint: %s", errs)
			}
		})
	}
}

func TestScreenIsNeverReadyWithoutLabels(t *testing.T) {
	store, labels := screenStore(t)
	for name, args := range map[string][]string{
		"no-folder":    {"--store", store, "--labels", t.TempDir()},
		"no-such-file": {"--store", store, "--labels", filepath.Join(store, "nothing.csv")},
		"a-bad-row":    {"--store", store, "--labels", writeText(t, "bad.csv", "address,label\n0x12,short\n")},
		"not-a-store":  {"--store", writeText(t, "file", "no store"), "--labels", labels, "--verdicts", writeText(t, "file", "no record")},
	} {
		if code, out, errs := run(t, append([]string{"screen", "-q", screenService}, args...)...); code != 1 || out != "" {
			t.Errorf("%s: exit %d, %s%s; want exit 1 and no verdict", name, code, out, errs)
		}
	}
	// What ships with Spoor is old: it can block, and never allow.
	fresh := []string{"screen", "--json", "--store", filepath.Join(t.TempDir(), "fresh")}
	if code, out, errs := run(t, append(fresh, "0x098B716B8Aaf21512996dC57EB0615e2383E2f96")...); code != 4 || !strings.Contains(errs, "ship with Spoor") {
		t.Errorf("a listed address and the labels that ship: exit %d, %s%s; want 4", code, out, errs)
	}
	if code, out, errs := run(t, append(fresh, screenService)...); code != 3 || !strings.Contains(out, `"unknown":true`) {
		t.Errorf("a stranger and the labels that ship: exit %d, %s%s; want 3", code, out, errs)
	}
	if code, out, _ := run(t, "screen", "--forget", "--store", filepath.Join(t.TempDir(), "none"), "--labels", labels, "--json", screenNobody); code != 3 || !strings.Contains(out, `"direct":true`) {
		t.Errorf("labels alone: exit %d, %s", code, out)
	}
}

func TestScreenStreams(t *testing.T) {
	store, labels := screenStore(t)
	input := "# two that are right\n" + screenService + "\n\n" + screenNobody + "\nbroken\n" + strings.Repeat(screenService+"\n", 300) + screenService
	verdicts, errs, code := stream(t, input, "screen", "-q", "--json", "--store", store, "--labels", labels, "-")
	if len(verdicts) != 304 || code != 2 || !strings.Contains(errs, "line 5") {
		t.Fatalf("%d lines, exit %d, %s; want 304 and 2", len(verdicts), code, errs)
	}
	// What was refused is a line of its own, in its place among the others of its batch.
	refused := 0
	for _, line := range verdicts {
		var v struct {
			Decision string
			Line     int
			Error    string
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if v.Error != "" && v.Line == 5 && v.Decision == "" {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d lines are errors, want 1", refused)
	}
	if _, _, code := stream(t, screenBad+"\nbroken\n", "screen", "-q", "--store", store, "--labels", labels, "-"); code != 4 {
		t.Errorf("block beside a broken line: exit %d; want 4", code)
	}
	if out, _, code := stream(t, screenService+"\n"+strings.Repeat("x", 10_000)+"\n"+screenBad, "screen", "-q", "--store", store, "--labels", labels, "-"); code != 1 {
		t.Errorf("a line without end: exit %d, %s; want 1", code, out)
	}
}

// stream is a run of the program with an input.
func stream(t testing.TB, input string, args ...string) (lines []string, stderr string, code int) {
	t.Helper()
	f, err := os.Open(writeText(t, "input", input))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out, errs strings.Builder
	p := &program{out: &out, err: &errs}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(f)
	root.SetOut(&out)
	root.SetErr(&errs)
	if err := root.ExecuteContext(t.Context()); err != nil {
		return nil, errs.String(), p.fail(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n"), errs.String(), p.code
}

func TestScreenAgainAndHistory(t *testing.T) {
	store, labels := screenStore(t)
	args := func(more ...string) []string {
		return append([]string{"screen", "-q", "--json", "--store", store}, more...)
	}
	if code, _, errs := run(t, args("--labels", labels, screenNobody, screenService)...); code != 3 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if code, out, errs := run(t, args("--labels", labels, "--again")...); code != 0 || out != "" {
		t.Errorf("nothing has changed: exit %d, %s%s", code, out, errs)
	}
	listed := writeText(t, "listed.csv", "address,label,category\n"+screenNobody+",Lazarus,service_hack\n")
	code, out, errs := run(t, args("--labels", labels, "--labels", listed, "--again")...)
	var f finding.Finding
	if err := json.Unmarshal([]byte(out), &f); err != nil || code != 3 || f.Rule != screen.RuleChange || f.Severity != finding.Critical {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	code, out, errs = run(t, args("--labels", labels, "--history", screenNobody)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 2 {
		t.Fatalf("history: exit %d, %s%s", code, out, errs)
	}
	var now, before screen.Verdict
	if err := json.Unmarshal([]byte(lines[0]), &now); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &before); err != nil {
		t.Fatal(err)
	}
	if now.Decision != screen.Block || before.Decision != screen.Attention || now.LabelHash == before.LabelHash || now.Check() != nil {
		t.Errorf("it was %s and is %s", before.Decision, now.Decision)
	}
}
