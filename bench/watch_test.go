package bench

import (
	"strings"
	"testing"
	"time"
)

// A small run goes all the way from a node to a receiver, and tells every hop once.
func TestWatchTellsEveryHopOnce(t *testing.T) {
	figures, err := Watch(t.Context(), t.TempDir(), WatchConfig{Seed: 1, Cases: 5, Listed: 100, Txs: 20, Blocks: 8, Every: 20 * time.Millisecond, Runs: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range figures {
		names = append(names, f.Workload)
		if f.Workload != "watch-catch-up" && (f.P50 <= 0 || f.P99 < f.P50) {
			t.Errorf("%+v", f)
		}
		t.Log(f.Workload, f.Rate, f.P50, f.P99, f.Notes)
	}
	if got := strings.Join(names, " "); got != "watch-latency watch-latency-seen watch-feed watch-feed-seen watch-catch-up" {
		t.Errorf("workloads %s", got)
	}
}
