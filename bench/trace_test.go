package bench

import (
	"testing"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/trace"
)

// A small peel tree is found whole with default settings, with and without labels.
func TestPlantedTheftIsFound(t *testing.T) {
	shape := Shape{Seed: 5, Movements: 30_000, Accounts: 20_000, Hubs: 20, Theft: Theft{Chains: 4, Hops: 30}}
	var truth Truth
	dir := t.TempDir() + "/store"
	if _, _, _, err := load(t.Context(), dir, shape, &truth, nil); err != nil {
		t.Fatal(err)
	}
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	services := map[flow.Account]bool{}
	for _, a := range truth.Services {
		services[a] = true
	}
	f, err := traceOnce(t.Context(), s, "labelled", truth, trace.Options{Stop: func(a flow.Account) (trace.Stop, bool) { return trace.Stop{Reason: "service"}, services[a] }})
	if err != nil {
		t.Fatal(err)
	}
	if f.Recall != 1 || f.Precision != 1 {
		t.Errorf("with labels: recall %v, precision %v; want 1 and 1", f.Recall, f.Precision)
	}
	if f, err = traceOnce(t.Context(), s, "bare", truth, trace.Options{}); err != nil {
		t.Fatal(err)
	}
	if f.Recall != 1 {
		t.Errorf("without labels: recall %v; want 1", f.Recall)
	}
}

func BenchmarkTracePeelTree(b *testing.B) {
	var truth Truth
	dir := b.TempDir() + "/store"
	if _, _, _, err := load(b.Context(), dir, peelTree, &truth, nil); err != nil {
		b.Fatal(err)
	}
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	s, err := st.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	services := map[flow.Account]bool{}
	for _, a := range truth.Services {
		services[a] = true
	}
	o := trace.Options{Swaps: engine.NetSwaps(), Stop: func(a flow.Account) (trace.Stop, bool) { return trace.Stop{Reason: "service"}, services[a] }}
	for b.Loop() {
		if _, err := traceOnce(b.Context(), s, "trace", truth, o); err != nil {
			b.Fatal(err)
		}
	}
}
