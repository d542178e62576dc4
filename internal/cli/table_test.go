package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTableInItsOtherForms(t *testing.T) {
	dir := smallStore(t)
	strangers := []string{"trace", "--store", dir, "--from", "text:eth:thief"}
	for i := range shownSources + 4 {
		strangers = append(strangers, "--from", fmt.Sprintf("text:eth:stranger%d", i))
	}
	trace := func(args ...string) []string { return append([]string{"trace", "--store", dir}, args...) }
	for _, c := range []struct {
		name string
		args []string
		want []string
		not  []string
	}{
		{"nothing-left", trace("--from", "text:eth:shop"), []string{"Nothing left these accounts"}, []string{"stolen:"}},
		{"nothing-came", trace("--back", "--from", "text:eth:victim"), []string{"Nothing came to these accounts", "everything that came to victim"}, []string{"stolen"}},
		{"backward", trace("--back", "--from", "text:eth:last", "--policy", "fifo"), []string{"backward", "GOLD asked for: 7 GOLD", "from  victim", "7 asked for = 7 from"}, []string{"stolen", "held"}},
		{"backward-amount", trace("--back", "--from", "text:eth:last=5 GOLD"), []string{"5 GOLD held by last before"}, nil},
		{"many-sources", strangers, []string{"  … and 5 more sources", "Not traced: ", "the same of 8 more sources"}, []string{"stranger15"}},
		{"few-rows", trace("--from", "text:eth:thief", "--rows", "1"), []string{"… and 2 more places"}, nil},
		{"all-rows", trace("--from", "text:eth:thief", "--rows", "0"), []string{"held  last"}, []string{"more places"}},
		{"until", trace("--from", "text:eth:victim", "--until", "block:1"), []string{"up to block 1\n", "Cut short"}, nil},
		{"until-backward", trace("--back", "--from", "text:eth:last", "--until", "block:2"), []string{"down to block 2\n"}, nil},
		{"dust", trace("--from", "text:eth:thief", "--dust", "8 GOLD", "--policy", "fifo"), []string{"dust  last", "+ 7 dust"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, c.args...)
			if code != 0 && code != 6 {
				t.Fatalf("exit %d, %s", code, errs)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in\n%s", w, out)
				}
			}
			head, _, _ := strings.Cut(out, "What this does not know")
			for _, w := range c.not {
				if strings.Contains(head, w) {
					t.Errorf("%q in\n%s", w, out)
				}
			}
		})
	}
}

func TestReceiversOfATransactionAreShown(t *testing.T) {
	const id = "0000000000000000000000000000000000000000000000000000000000000b12"
	var b strings.Builder
	b.WriteString("block 1 aa\ntx " + id + "\n")
	for i := range shownSources + 2 {
		fmt.Fprintf(&b, "eth:victim eth:taker%02d GOLD %d\n", i, 100-i)
	}
	dir := filepath.Join(t.TempDir(), "store")
	done(t, "ingest", "--store", dir, "text:"+writeText(t, "chain.txt", b.String()))
	code, _, errs := run(t, "trace", "--store", dir, "--tx", id)
	if code != 0 || !strings.Contains(errs, "14 receivers gained") || !strings.Contains(errs, "  taker00  100 GOLD\n") || !strings.Contains(errs, "… and 2 more") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if _, _, errs := run(t, "trace", "-q", "--store", dir, "--tx", id, "--thief", "text:eth:taker00"); errs != "" {
		t.Errorf("quiet: %s", errs)
	}
}

func TestCoinsAreNamedInTheFiles(t *testing.T) {
	const id = "0000000000000000000000000000000000000000000000000000000000000a11"
	chain := "chain regtest\nblock 1 b1\nc1: - -> miner 50\nblock 2 b2\n" + id + ": c1:0 -> thief 49\nblock 3 b3\nc3: " + id + ":0 -> shop 20, change 28\n"
	dir := filepath.Join(t.TempDir(), "store")
	done(t, "ingest", "--store", dir, "text:"+writeText(t, "chain.txt", chain))
	out := done(t, "trace", "--store", dir, "--tx", id+":0", "--csv", "--policy", "fifo")
	if got := strings.Count(out, " "+id+":0,"); got != 3 || strings.Contains(out, "1700") {
		t.Errorf("%d edges name the coin that they spend; want 3 (shop, change, fee):\n%s", got, out)
	}
	if table := done(t, "trace", "--store", dir, "--tx", id+":0", "--policy", "fifo"); !strings.Contains(table, "49 slip44:1 in "+id+":0 of script-") {
		t.Error(table)
	}
}

func TestDefaultStoreIsInTheUsersDataFolder(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	if got := defaultStore(); got != filepath.FromSlash("/data/spoor/store") {
		t.Error(got)
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/me")
	if got := defaultStore(); got != filepath.FromSlash("/home/me/.local/share/spoor/store") {
		t.Error(got)
	}
}
