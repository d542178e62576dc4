// Package bench holds workloads of stated seed, size and shape, their ground truth, and the measurements that
// `spoor bench` prints.
package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Figures is what one workload measured: one JSON line, with the keys that apply to it. Zero keys are left out.
type Figures struct {
	Workload     string  `json:"workload"`
	N            int64   `json:"n,omitempty"`              // movements loaded, holders asked, traces run
	Seconds      float64 `json:"seconds,omitempty"`        // wall time of all of it
	Rate         float64 `json:"rate,omitempty"`           // n per second
	BytesPerItem float64 `json:"bytes_per_item,omitempty"` // on disk, without transaction ids and their index
	IDsPerItem   float64 `json:"tx_id_bytes_per_item,omitempty"`
	P50          float64 `json:"p50_ms,omitempty"`
	P99          float64 `json:"p99_ms,omitempty"`
	RSS          float64 `json:"rss_mb,omitempty"` // peak resident memory during the workload
	Recall       float64 `json:"recall,omitempty"`
	Precision    float64 `json:"precision,omitempty"`
	Notes        string  `json:"notes,omitempty"`
}

// Write prints f: as one JSON line, or as a line for people.
func (f Figures) Write(w io.Writer, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s", f.Workload)
	add := func(format string, v float64) {
		if v != 0 {
			fmt.Fprintf(&b, "  "+format, v)
		}
	}
	if f.N != 0 {
		fmt.Fprintf(&b, "  n %d", f.N)
	}
	add("%.2f s", f.Seconds)
	add("%.0f /s", f.Rate)
	add("%.1f B/item", f.BytesPerItem)
	add("+ %.1f B/item of tx ids", f.IDsPerItem)
	add("p50 %.4g ms", f.P50)
	add("p99 %.4g ms", f.P99)
	add("recall %.4f", f.Recall)
	add("precision %.4f", f.Precision)
	add("peak %.0f MB", f.RSS)
	if f.Notes != "" {
		fmt.Fprintf(&b, "\n    %s", f.Notes)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

func round(v float64, digits int) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	return r
}

// quantile is the q-quantile of durations in milliseconds.
func quantile(of []time.Duration, q float64) float64 {
	if len(of) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(of))
	i := int(q * float64(len(s)))
	return round(float64(s[min(i, len(s)-1)].Microseconds())/1000, 3)
}

// ResetPeak makes PeakRSS count from here, where the system can (Linux).
func ResetPeak() {
	runtime.GC()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) // elsewhere the figure is left out
}

// PeakRSS is the peak resident memory in MB, 0 where the system does not tell.
func PeakRSS() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return round(kb/1024, 0)
		}
	}
	return 0
}
