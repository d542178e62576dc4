package bench

import (
	"path/filepath"
	"testing"
)

func TestHTTPMeasuresVerdicts(t *testing.T) {
	figures, err := HTTP(t.Context(), filepath.Join(t.TempDir(), "x"), HTTPConfig{Labels: 100, Requests: 200, Clients: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		name string
		n    int64
	}{{"http-sanctions", 198}, {"http-own", 198}, {"http-kept", 48}} {
		if f := figures[i]; f.Workload != want.name || f.N != want.n || f.Rate <= 0 || f.P99 < f.P50 {
			t.Errorf("line %d: %+v; want %s with %d answers", i, f, want.name, want.n)
		}
	}
}
