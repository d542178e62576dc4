package ingest_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// read puts a text chain into a store.
func read(t *testing.T, st store.Store, lines string) ingest.Stats {
	t.Helper()
	src, err := text.Parse("chain.txt", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := ingest.Run(t.Context(), src, dectext.New(), st, ingest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	stats.Seconds = 0
	return stats
}

// TestStoryOfAFork: a chain that changed its mind leaves what the winning branch alone leaves, also where the reader
// saw only a part of the loser.
func TestStoryOfAFork(t *testing.T) {
	const (
		base  = "chain regtest\nblock 1 aa time=10\na: - -> victim 50, other 7\n"
		loser = "block 2 bb time=20\nb: a:0 -> thief 50\nblock 3 cc time=30\nc: b:0 -> hidden 49\n"
		later = "c: b2:0, a:1 -> hidden 56\n"
		win   = "block 2 bb2 time=21 parent=aa\nb2: a:0 -> thief2 50\nblock 3 cc2 time=31\n" + later + "bad row\n"
	)
	direct := memstore.New()
	want := ingest.Stats{Blocks: 3, Transactions: 3, Movements: 3, Quarantined: 1}
	if got := read(t, direct, base+win); got != want {
		t.Fatalf("stats of the winner = %+v; want %+v", got, want)
	}
	state := dump(t, direct)
	spent := "coin " + flow.Hash(sha256.Sum256([]byte("a"))).String() + ":1 "
	if !strings.Contains(state, spent) || strings.Contains(state, `{"account":""`) {
		t.Fatalf("the inputs were not filled:\n%s", state)
	}

	st := memstore.New()
	want = ingest.Stats{Blocks: 5, Transactions: 5, Movements: 5, Quarantined: 1, Undone: 2}
	if got := read(t, st, base+loser+win); got != want {
		t.Fatalf("stats of both branches = %+v; want %+v", got, want)
	}
	same(t, state, dump(t, st))
	if got := read(t, st, base+loser+win); got != (ingest.Stats{}) {
		t.Fatalf("stats of a second reading = %+v; want none", got)
	}
	parts := memstore.New()
	read(t, parts, base+loser)
	if got := read(t, parts, base+win); got.Undone != 2 || got.Blocks != 2 {
		t.Fatalf("stats of the rest = %+v; want 2 undone and 2 new", got)
	}
	same(t, state, dump(t, parts))
}

// rowPlace is where a row was refused.
var rowPlace = regexp.MustCompile(`chain\.txt:[0-9]+`)

// same compares two dumps but for the lines at which rows were refused.
func same(t *testing.T, want, got string) {
	t.Helper()
	want, got = rowPlace.ReplaceAllString(want, "row"), rowPlace.ReplaceAllString(got, "row")
	if want != got {
		t.Fatalf("the stores differ: %s", storetest.Difference(want, got))
	}
}
