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

// A short soak has forks, cases that are opened anew and a receiver that fails, and tells what stands.
func TestSoakTellsWhatStands(t *testing.T) {
	var curve strings.Builder
	f, err := Soak(t.Context(), t.TempDir(), SoakConfig{Seed: 2, For: 3 * time.Second, Every: 15 * time.Millisecond, Sample: 500 * time.Millisecond, Cases: 6, Txs: 8}, &curve)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(f.Notes)
	if lines := strings.Count(curve.String(), "\n"); lines < 4 || !strings.HasPrefix(curve.String(), soakColumns+"\n") {
		t.Errorf("the curve has %d lines: %s", lines, curve.String())
	}
	if strings.Contains(f.Notes, " 0 forks") || strings.Contains(f.Notes, " 0 hops stand") || strings.Contains(f.Notes, " 0 were taken back") {
		t.Error("nothing happened:", f.Notes)
	}
}

// A small shower tells the hops, and nothing of the dust.
func TestDustIsNotTold(t *testing.T) {
	figures, err := Dust(t.Context(), t.TempDir(), DustConfig{Seed: 3, Cases: 10, Holders: 4, Listed: 100, Dust: 60_000, Runs: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		t.Log(f.Workload, f.Rate, f.Notes)
		if f.Rate <= 0 || !strings.Contains(f.Notes, " 2 hops told once") || strings.Contains(f.Notes, " 0 pieces") != (f.Workload == "watch-dust-elsewhere") {
			t.Errorf("%+v", f)
		}
	}
}

// A start tells nothing twice.
func TestStartTellsNothingTwice(t *testing.T) {
	figures, err := Start(t.Context(), t.TempDir(), StartConfig{Seed: 4, Cases: 5, Holders: 3, Movements: 20_000, Share: 20, Listed: 100, Runs: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		t.Log(f.Workload, f.Seconds, f.Notes)
	}
	if len(figures) != 2 || figures[1].Workload != "watch-start-again" || figures[1].Seconds <= 0 {
		t.Errorf("%+v", figures)
	}
}
