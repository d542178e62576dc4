package labelstore

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
)

// BenchmarkMillionLabels measures what an import of a million labels takes, how soon a warm store is ready, the memory then,
// and how many questions a second it answers.
func BenchmarkMillionLabels(b *testing.B) {
	if os.Getenv("SPOOR_BENCH_LABELS") == "" {
		b.Skip("set SPOOR_BENCH_LABELS=1: it takes a minute")
	}
	dir := b.TempDir()
	const n = 1_000_000
	l := &attribute.Listing{Source: attribute.Source{ID: "bench"}, Rows: n, Taken: n}
	for i := range n {
		l.Labels = append(l.Labels, attribute.Label{Subject: attribute.OfAnyEVM(account(i)), Name: fmt.Sprint("name ", i%50_000), Actor: fmt.Sprint("actor ", i%3000),
			Category: attribute.Phishing, Evidence: fmt.Sprint("https://example.org/evidence/", i)})
	}
	s := mustOpen(b, dir)
	start := time.Now()
	mustImport(b, s, l, Options{Seen: 1})
	took := time.Since(start)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	l, s = nil, nil
	runtime.GC()
	start = time.Now()
	s = mustOpen(b, dir)
	ready := time.Since(start)
	defer s.Close()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") {
			b.Log(strings.TrimSpace(line), "(of a process that imported too)")
		}
	}
	book := s.Book()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if a := account(i * 7919 % (2 * n)); len(book.LabelsOf(a, 5, 5)) > 1 {
			b.Fatal("two labels")
		}
	}
	b.ReportMetric(took.Seconds(), "import-s")
	b.ReportMetric(float64(ready.Milliseconds()), "ready-ms")
	b.ReportMetric(float64(m.HeapAlloc>>20), "heap-MB")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "questions/s")
}
