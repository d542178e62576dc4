package engine

import (
	"strings"
	"testing"

	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
)

// story is a snapshot of a store that holds these text chains.
func story(t testing.TB, chains ...string) store.Snapshot {
	t.Helper()
	st := memstore.New()
	for _, c := range chains {
		src, err := text.Parse("chain.txt", strings.NewReader(c))
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Name: "text:chain.txt", Source: src, Decoder: dectext.New()}
		stats, err := Ingest(t.Context(), st, []Input{in}, Watcher{})
		if err != nil || stats.Quarantined > 0 {
			t.Fatalf("ingest: %d rows refused, %v", stats.Quarantined, err)
		}
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = st.Close() })
	return s
}

func account(t testing.TB, text string) flow.Account {
	t.Helper()
	a, err := flow.ParseAccount(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// mention fails the test unless the error says what it should.
func mention(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v; want one with %q", what, err, want)
	}
}
