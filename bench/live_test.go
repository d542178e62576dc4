package bench

import (
	"strings"
	"testing"
)

// A small run of every live workload feeds every case, touches what it says, and conserves.
func TestLiveIsWhatItSays(t *testing.T) {
	figures, err := Live(t.Context(), LiveConfig{Seed: 3, Cases: 20, Holders: 5, Followed: 400, Quiet: 3000, Touching: 600, Runs: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range figures {
		names = append(names, f.Workload)
		if f.Rate <= 0 || f.P99 < f.P50 || f.P50 <= 0 || !strings.Contains(f.Notes, "80 ledgers conserve every unit") {
			t.Errorf("%+v", f)
		}
	}
	if got := strings.Join(names, " "); got != "live-elsewhere live-touching live-touching-split live-mixed" {
		t.Errorf("workloads %s", got)
	}
	if !strings.Contains(figures[0].Notes, "; 0 of ") || strings.Contains(figures[1].Notes, "; 0 of ") {
		t.Errorf("touched: %q, %q", figures[0].Notes, figures[1].Notes)
	}
}

func BenchmarkLiveTouching(b *testing.B) {
	c := LiveConfig{Seed: 1}.withDefaults()
	for b.Loop() {
		f, err := live(b.Context(), c, "live-touching", c.Holders, 50_000, 1, 1, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(f.Rate, "movements/s")
		b.Log(f.Notes)
	}
}
