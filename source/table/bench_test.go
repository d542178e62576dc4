package table_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	decoder "github.com/spoor-dev/spoor/decode/table"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/table"
)

// BenchmarkTransfers reads and decodes a plain table of 100,000 rows in blocks of about 20, on one core.
func BenchmarkTransfers(b *testing.B) {
	const n = 100_000
	var text bytes.Buffer
	text.WriteString("chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp\n")
	assets := []string{"ETH", "0xdac17f958d2ee523a2206206994597c13d831ec7", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"}
	for i := range n {
		fmt.Fprintf(&text, "eip155:1,%d,%d,0x%064x,0x%040x,0x%040x,%s,%d,%d\n", i/20, i%20, i+1, i*7919+1, i*104729+1, assets[i%3], i*1_000_000_007, 1_600_000_000+i/20)
	}
	path := filepath.Join(b.TempDir(), "transfers.csv")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := table.OpenTransfers([]string{path}, table.Config{})
		if err != nil {
			b.Fatal(err)
		}
		d := decoder.NewTransfers(s.Chain())
		for step, err := range s.Steps(b.Context(), nil) {
			if err != nil {
				b.Fatal(err)
			}
			if step.Op != source.Add {
				continue
			}
			if _, err := d.Decode(step.Block.Point, step.Block.Parent, step.Block.Raw); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
