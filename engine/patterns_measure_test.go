package engine

import (
	"encoding/csv"
	"os"
	"testing"

	"github.com/spoor-dev/spoor/detect"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// planted is a verified laundering hidden in noise, with who belongs to it.
type planted struct {
	answer *Answer
	labels *Labels
	truth  map[flow.Account]bool
}

func loadPlanted(t *testing.T, name string) planted {
	t.Helper()
	dir := measure.Path(t, "data/onchain/launder-net-planted/"+name) + "/"
	open := func(name string) *os.File {
		f, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	in, err := Open(t.Context(), "transfers-csv:"+dir+"transfers.csv.gz", InputConfig{})
	if err != nil {
		t.Fatal(err)
	}
	st := memstore.New()
	if _, err := Ingest(t.Context(), st, []Input{in}, Watcher{}); err != nil {
		t.Fatal(err)
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := planted{labels: &Labels{}, truth: map[flow.Account]bool{}}
	if err := p.labels.ReadLabels("labels.csv", open("labels.csv")); err != nil {
		t.Fatal(err)
	}
	file, err := ReadTheft("sources.csv", open("sources.csv"))
	if err != nil {
		t.Fatal(err)
	}
	theft, _, err := Resolve(t.Context(), s, file, flow.Chain{}, p.labels)
	if err != nil {
		t.Fatal(err)
	}
	theft.Name = name
	if p.answer, err = Trace(t.Context(), s, theft, trace.Options{Policies: []trace.Policy{trace.DirtyFirst}}, p.labels, nil); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(open("truth/truth_addresses.csv")).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		p.truth[account(t, row[0])] = true
	}
	return p
}

// What the rule files say of how often they were right is what is measured. The tempo is left out: its numbers were fitted
// on these cases.
func TestPatternsOfPlantedCases(t *testing.T) {
	sum := map[string]detect.Rate{}
	for _, name := range []string{"atomic", "lifi"} {
		p := loadPlanted(t, name)
		rates, err := detect.Measure(PatternEvents(p.labels, p.answer.Report), detect.Options{}, func(a flow.Account) bool { return p.truth[a] })
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rates {
			t.Logf("%s %s: %d true, %d false", name, r.Rule, r.True, r.False)
			s := sum[r.Rule]
			s.True, s.False = s.True+r.True, s.False+r.False
			sum[r.Rule] = s
		}
	}
	for _, r := range detect.Rules() {
		var want detect.Rate
		if r.Measured != nil {
			want.True, want.False = r.Measured.True, r.Measured.Of-r.Measured.True
		}
		if got := sum[r.ID]; r.ID != "automation-tempo" && (got.True != want.True || got.False != want.False) {
			t.Errorf("%s: %d true, %d false; its file says %d and %d: change \"measured\" in detect/rules/%s.yaml", r.ID, got.True, got.False,
				want.True, want.False, r.ID)
		}
	}
}
