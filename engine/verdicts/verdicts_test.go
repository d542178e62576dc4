package verdicts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

func someone(n byte) flow.Account { return flow.EVMAccount(flow.Ethereum, [20]byte{n}) }

func verdict(t testing.TB, a flow.Account, given int64, d screen.Decision) screen.Verdict {
	t.Helper()
	v, err := screen.Seal(screen.Verdict{Subject: a, Given: given, AsOf: given, KnownAt: given, Decision: d, Reasons: []screen.Reason{{Rule: "r", Decision: d}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func openRecord(t testing.TB, dir string) *Record {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestRecordFindsWhatItKeeps(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The key of one account is not the beginning of another's, and neither is one chain's of another's.
	polygon, err := someone(1).On(flow.EVMChain(13))
	if err != nil {
		t.Fatal(err)
	}
	a, b := someone(1), someone(2)
	all := []screen.Verdict{verdict(t, a, 10, screen.Allow), verdict(t, a, 30, screen.Block), verdict(t, a, 20, screen.Hold), verdict(t, b, 5, screen.Attention), verdict(t, polygon, 7, screen.Allow)}
	if err := r.Append(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = openRecord(t, dir)
	for _, c := range []struct {
		of     flow.Account
		before int64
		n      int
		want   string
	}{
		{a, 100, 10, "block hold allow"}, {a, 30, 10, "block hold allow"}, {a, 29, 10, "hold allow"}, {a, 100, 1, "block"}, {a, 9, 10, ""},
		{b, 100, 10, "attention"}, {polygon, 100, 10, "allow"}, {someone(3), 100, 10, ""},
	} {
		found, err := r.Find(t.Context(), c.of, c.before, c.n)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range found {
			got = append(got, v.Decision.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s before %d: %v; want %s", c.of, c.before, got, c.want)
		}
	}
	newest := map[flow.Account]screen.Decision{}
	n := 0
	for v, err := range r.Newest(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		newest[v.Subject] = v.Decision
		n++
	}
	if n != 3 || newest[a] != screen.Block || newest[b] != screen.Attention || newest[polygon] != screen.Allow {
		t.Errorf("the newest are %v", newest)
	}
	if v, err := r.ByID(t.Context(), all[2].ID); err != nil || v.Decision != screen.Hold {
		t.Errorf("by id: %v, %v", v.Decision, err)
	}
	if _, err := r.ByID(t.Context(), flow.Hash{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("by no id: %v", err)
	}
}

func TestTheOrderOfOneSecond(t *testing.T) {
	dir := t.TempDir()
	want := []screen.Decision{}
	for i := range 12 {
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		d := screen.Decision(i%4 + 1)
		want = append([]screen.Decision{d}, want...)
		if err := r.Append(t.Context(), verdict(t, someone(1), 10, d)); err != nil {
			t.Fatal(err)
		}
		found, err := r.Find(t.Context(), someone(1), 10, 100)
		if err != nil || len(found) != len(want) {
			t.Fatalf("%d verdicts, %v; want %d", len(found), err, len(want))
		}
		for k, v := range found {
			if v.Decision != want[k] {
				t.Fatalf("verdict %d from the newest is %s; want %s", k, v.Decision, want[k])
			}
		}
		for v, err := range r.Newest(t.Context()) {
			if err != nil || v.Decision != d {
				t.Fatalf("the newest is %s, %v; want %s", v.Decision, err, d)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	good := verdict(t, someone(1), 10, screen.Allow)
	if err := r.Append(t.Context(), good, screen.Verdict{Subject: someone(2)}); err == nil {
		t.Error("a verdict that is not sealed is kept")
	}
	if found, err := r.Find(t.Context(), someone(1), 100, 1); err != nil || len(found) != 0 {
		t.Errorf("a part of what was refused is kept: %v, %v", found, err)
	}
	if err := r.Append(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: []byte{verdictMark}, UpperBound: []byte{verdictMark + 1}})
	if err != nil {
		t.Fatal(err)
	}
	if !it.First() {
		t.Fatal("nothing is kept")
	}
	changed := strings.Replace(string(it.Value()), `"allow"`, `"block"`, 1)
	key := append([]byte{}, it.Key()...)
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{changed, "{", ""} {
		if err := r.db.Set(key, []byte(text), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Find(t.Context(), someone(1), 100, 1); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.30q is read: %v", text, err)
		}
	}
	if err := r.db.Set([]byte(formatKey), []byte("99"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrFormat) {
		t.Errorf("another format: %v", err)
	}
}

// keeper, in the environment, makes the test binary keep verdicts in that folder until it is killed.
const keeper = "SPOOR_TEST_KEEP_VERDICTS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(keeper); dir != "" {
		keepForEver(dir)
	}
	os.Exit(m.Run())
}

// keepForEver prints the number of each verdict once it is kept.
func keepForEver(dir string) {
	r, err := Open(dir)
	for n := int64(1); err == nil; n++ {
		var v screen.Verdict
		if v, err = screen.Seal(screen.Verdict{Subject: someone(byte(n)), Given: n, AsOf: n, Decision: screen.Allow}); err == nil {
			err = r.Append(context.Background(), v)
		}
		if err == nil {
			_, err = fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestNothingThatWasKeptIsLostToAKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), keeper+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		lines := bufio.NewScanner(out)
		for n := 0; n < 40+30*round && lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had said before it died
			if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
				break // the last line may be cut
			}
		}
		_ = cmd.Wait() // it was killed
		if last < int64(40+30*round) {
			t.Fatalf("round %d: it kept %d verdicts before it died", round, last)
		}
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for n := int64(1); n <= last; n++ {
			found, err := r.Find(t.Context(), someone(byte(n)), n, 1)
			if err != nil || len(found) != 1 || found[0].Given != n {
				t.Fatalf("round %d: verdict %d of %d is lost: %v, %v", round, n, last, found, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
