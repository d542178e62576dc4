package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkHTTP asks a running server over loopback from eight connections that stay open, and tells the rate and the
// slowest hundredth. The clients write raw requests, so that what is measured is the server more than them.
func BenchmarkHTTP(b *testing.B) {
	for _, bench := range []struct{ name, path string }{
		{"own", "/v1/addresses/" + ofacAddress + "?direct=true"},
		{"sanctions", "/api/v1/address/" + ofacAddress},
		{"unknown", "/api/v1/address/" + plainAddress},
		{"health", "/v1/health"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			address, stop := running(b, func(c *Config) { c.Timeout, c.Now = time.Second, time.Now })
			const clients = 8
			var wg sync.WaitGroup
			took := make([][]time.Duration, clients)
			b.ResetTimer()
			for i := range clients {
				n := b.N / clients
				if i < b.N%clients {
					n++
				}
				took[i] = make([]time.Duration, 0, n)
				wg.Go(func() {
					if err := askOften(address, bench.path, n, &took[i]); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			all := slices.Concat(took...)
			slices.Sort(all)
			if len(all) > 0 {
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
				b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
			}
			stop()
		})
	}
}

// askOften sends the same request n times over one connection.
func askOften(address, path string, n int, took *[]time.Duration) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: spoor\r\n\r\n")
	in := bufio.NewReaderSize(conn, 16<<10)
	for range n {
		start := time.Now()
		if _, err := conn.Write(request); err != nil {
			return err
		}
		length := -1
		for first := true; ; first = false {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return err
			}
			if first && !strings.HasPrefix(string(line), "HTTP/1.1 200") {
				return fmt.Errorf("answer %q", line)
			}
			if len(line) <= 2 {
				break
			}
			if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
				if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
					return err
				}
			}
		}
		if _, err := io.CopyN(io.Discard, in, int64(length)); err != nil {
			return err
		}
		*took = append(*took, time.Since(start))
	}
	return nil
}
