package labelstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// account is the n-th of invented accounts.
func account(n int) flow.Account {
	return flow.EVMAccount(flow.Ethereum, [20]byte{0xaa, byte(n >> 16), byte(n >> 8), byte(n)})
}

// listing is a list of a source with one label for each of these accounts.
func listing(source string, accounts ...int) *attribute.Listing {
	l := &attribute.Listing{Source: attribute.Source{ID: source}, Dated: true, Rows: len(accounts), Taken: len(accounts)}
	for _, n := range accounts {
		l.Labels = append(l.Labels, attribute.Label{Subject: attribute.OfAnyEVM(account(n)), Name: fmt.Sprint("n", n), Category: attribute.Sanction})
	}
	return l
}

func span(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustImport(t testing.TB, s *Store, l *attribute.Listing, o Options) Report {
	t.Helper()
	r, err := s.Import(l, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Labels != r.New+r.Changed+r.Unchanged+r.Repeated || r.Rows != r.Taken+r.Other+r.Quarantined {
		t.Fatalf("the report does not add up: %+v", r)
	}
	return r
}

func TestImportKeepsWhatWasKnownWhen(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	first := listing("a", 1, 2, 2)
	first.Refused = []attribute.Refusal{{Where: "x:1", Text: "junk", Reason: attribute.NotAddress, Detail: "d"}}
	first.Rows++
	r := mustImport(t, s, first, Options{Seen: 100})
	if r.New != 2 || r.Repeated != 1 || r.Quarantined != 1 {
		t.Errorf("first import: %+v; want 2 new, 1 repeated, 1 quarantined", r)
	}
	if r := mustImport(t, s, listing("a", 2, 3), Options{Seen: 200}); r.New != 1 || r.Unchanged != 1 || r.Ended != 1 {
		t.Errorf("second import: %+v; want 1 new, 1 unchanged, 1 ended", r)
	}
	mustImport(t, s, listing("a", 1, 2, 3), Options{Seen: 300})
	mustImport(t, s, listing("b", 1), Options{Seen: 150})
	if _, err := s.Import(listing("a", 1), Options{Seen: 300, Replay: true}); err == nil {
		t.Error("a list seen at the moment of the last one was imported")
	}
	if _, err := s.Import(listing("a", 1), Options{Seen: 200}); err == nil {
		t.Error("a list seen long before the last one was imported")
	}
	if _, r, err := s.Diff(listing("a", 1), Options{Seen: 299}); err != nil || r.Seen != 301 {
		t.Errorf("a list of the second of the last one: seen at %d, %v; want 301", r.Seen, err)
	}
	if q, err := s.Quarantine("a"); err != nil || len(q) != 0 { // the last import refused nothing
		t.Errorf("Quarantine = %v, %v; want none", q, err)
	}
	check := func(b *attribute.Book) {
		t.Helper()
		for _, c := range []struct {
			account          int
			validAt, knownAt int64
			want             string
		}{
			{1, 50, 1000, ""}, {1, 100, 99, ""}, {1, 100, 100, "a"}, {1, 199, 1000, "a b"}, {1, 150, 1000, "a b"}, {1, 250, 1000, "b"},
			{1, 250, 199, "a b"}, {1, 300, 1000, "a b"}, {2, 1000, 1000, "a"}, {3, 199, 1000, ""}, {3, 200, 1000, "a"}, {4, 1000, 1000, ""},
		} {
			var got []string
			for _, l := range b.LabelsOf(account(c.account), c.validAt, c.knownAt) {
				got = append(got, l.Source.ID)
			}
			if g := strings.Join(slices.Compact(got), " "); g != c.want {
				t.Errorf("account %d at %d as known at %d: %q; want %q", c.account, c.validAt, c.knownAt, g, c.want)
			}
		}
	}
	check(s.Book())
	hash := s.Book().Hash()
	if _, err := Open(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("second Open: %v; want ErrInUse", err)
	}
	b, err := ReadBook(dir) // while it is open
	if err != nil || b.Hash() != hash {
		t.Errorf("ReadBook beside an open store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, harm := range []func() error{
		func() error { return nil },
		func() error { return os.Remove(filepath.Join(dir, bookName)) },
		func() error { return os.WriteFile(filepath.Join(dir, bookName), []byte("junk"), 0o600) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		b, err := ReadBook(dir)
		if err != nil || b.Hash() != hash {
			t.Fatalf("read back: hash %v, %v; want %v", b.Hash(), err, hash)
		}
		check(b)
	}
	want, err := attribute.NewBook(slices.Collect(b.All()))
	if err != nil || want.Hash() != hash {
		t.Errorf("packing the labels again gives another book: %v", err)
	}
}

func TestChurnGuardWaitsForAHuman(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	mustImport(t, s, listing("a", span(0, 100)...), Options{Seen: 1})
	if r := mustImport(t, s, listing("a", span(0, 120)...), Options{Seen: 2}); r.Churn != 20 {
		t.Errorf("churn %d; want 20", r.Churn)
	}
	before := s.Book().Hash()
	r, err := s.Import(listing("a", span(0, 10)...), Options{Seen: 3})
	if !errors.Is(err, ErrChurn) || !r.Held || r.Ended != 110 || s.Book().Hash() != before {
		t.Errorf("a list that lost most: %v, %+v; want ErrChurn and nothing stored", err, r)
	}
	if _, err := s.Import(listing("a", span(0, 200)...), Options{Seen: 3}); !errors.Is(err, ErrChurn) {
		t.Errorf("a list that grew by two thirds: %v; want ErrChurn", err)
	}
	if r := mustImport(t, s, listing("a", span(0, 10)...), Options{Seen: 3, Accept: true}); r.Ended != 110 {
		t.Errorf("accepted: %+v", r)
	}
	partial := listing("a", 500)
	partial.Partial = true
	if r := mustImport(t, s, partial, Options{Seen: 4}); r.Ended != 0 || r.New != 1 {
		t.Errorf("partial: %+v; want nothing ended", r)
	}
	same := s.Book()
	if r := mustImport(t, s, listing("a", append(span(0, 10), 500)...), Options{Seen: 5}); r.Unchanged != 11 || s.Book() != same {
		t.Errorf("the same list again: %+v; want the same book", r)
	}
	if feeds, err := s.Feeds(); err != nil || feeds[0].Seen != 5 {
		t.Errorf("Feeds = %+v, %v; want the last import", feeds, err)
	}
	if r := mustImport(t, s, listing("b"), Options{Seen: 4}); r.Before != 0 || r.Held {
		t.Errorf("first list of another source: %+v", r)
	}
}

// The process that TestKill kills imports lists of 2,000 labels, each of which replaces half of the one before, and prints
// the number of each that is in.
func TestMain(m *testing.M) {
	dir := os.Getenv("SPOOR_LABELSTORE_VICTIM")
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := Open(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	first := 0
	if feeds, _ := s.Feeds(); len(feeds) > 0 {
		first = int(feeds[0].Seen)
	}
	for n := first + 1; ; n++ {
		if _, err := s.Import(listing("a", span(1000*n, 1000*n+2000)...), Options{Seen: int64(n), Accept: true}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func TestKillLosesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	last := 0
	for range 6 {
		victim := exec.Command(os.Args[0])
		victim.Env = append(os.Environ(), "SPOOR_LABELSTORE_VICTIM="+dir)
		var complaints strings.Builder
		victim.Stderr = &complaints
		out, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for range 1 + rnd.IntN(3) {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("the victim ended by itself: %v %s", err, complaints.String())
			}
			if last, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond) // somewhere in the next import
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Fatal(err)
		}
		for f := range strings.FieldsSeq(string(rest)) {
			if last, err = strconv.Atoi(f); err != nil {
				t.Fatal(err)
			}
		}
		victim.Wait() // it was killed
		s := mustOpen(t, dir)
		feeds, err := s.Feeds()
		if err != nil || len(feeds) != 1 || int(feeds[0].Seen) < last || int(feeds[0].Seen) > last+1 {
			t.Fatalf("after import %d: %+v, %v", last, feeds, err)
		}
		last = int(feeds[0].Seen)
		in := 0
		for range s.Book().InForce(int64(last), int64(last)) {
			in++
		}
		if in != 2000 {
			t.Fatalf("after import %d: %d labels in force; want 2000", last, in)
		}
		for n := 1; n <= last; n++ { // every earlier list can still be asked for
			for _, c := range []struct{ account, want int }{{1000*n - 1, 0}, {1000 * n, 1}, {1000*n + 1999, 1}, {1000*n + 2000, 0}} {
				if n == 1 || c.account >= 1000 {
					if got := len(s.Book().LabelsOf(account(c.account), int64(n), int64(n))); got != c.want {
						t.Fatalf("import %d of %d: account %d has %d labels; want %d", n, last, c.account, got, c.want)
					}
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
