package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/demo"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// The stolen dollars of demo/STORY.md are followed over ether, WBTC and renBTC to where they really went. Under dirty-first
// the ends are whole: the numbers are those of the story.
func TestSwapsOfTheDemo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "harvest.csv.zst")
	read := func(name string) []byte {
		text, err := demo.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := os.WriteFile(path, read("harvest-2020-10.csv.zst"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := Open(t.Context(), "heist-csv:"+path, InputConfig{})
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
	defer s.Close()
	labels := &Labels{}
	if err := labels.ReadLabels("labels.csv", bytes.NewReader(read("labels.csv"))); err != nil {
		t.Fatal(err)
	}
	file, err := ReadTheft("harvest-theft.json", bytes.NewReader(read("harvest-theft.json")))
	if err != nil {
		t.Fatal(err)
	}
	theft, _, err := Resolve(t.Context(), s, file, flow.Chain{}, labels)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Trace(t.Context(), s, theft, trace.Options{Policies: []trace.Policy{trace.DirtyFirst}}, labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	if broken := Broken(a.Report); len(broken) > 0 {
		t.Error(broken)
	}
	got := map[string]flow.Sum{}
	for _, k := range a.Report.Results[0].Sinks {
		where := string(k.Sink)
		if k.Sink != trace.FeeSink {
			where += " " + strings.ToLower(k.Account.Address())[:6]
		}
		got[where] = got[where].Plus(k.Units)
	}
	for where, want := range map[string]string{
		"burned 0x3811":  "152205025072",           // renBTC that T sent towards Bitcoin
		"burned 0x7573":  "13889023129",            // renBTC that X sent there
		"bridge 0x9787":  "2499997639826276000000", // wei at Incognito
		"mixer 0xa160":   "300000000000000000000",  // wei at Tornado Cash
		"service 0xf00d": "2480812445015",          // USDC and USDT back at Harvest
	} {
		if got[where].String() != want {
			t.Errorf("%s: %s units, the story says %s", where, got[where], want)
		}
	}
	if len(got) != 6 || a.Report.Swaps != "net/2" {
		t.Errorf("ends %v by rule %q", got, a.Report.Swaps)
	}
	a, err = Trace(t.Context(), s, theft, trace.Options{Policies: []trace.Policy{trace.DirtyFirst}, Swaps: NoSwaps()}, labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range a.Report.Results[0].Edges {
		if e.Swap != "" || e.Asset.IsNative() {
			t.Fatalf("without swaps the claim went on as %s", e.Asset)
		}
	}
}
