package table_test

import (
	"reflect"
	"testing"

	decoder "github.com/spoor-dev/spoor/decode/table"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/table"
)

// decodeAll reads a source to its end and decodes every block.
func decodeAll(t testing.TB, s *table.Source, d *decoder.Decoder) []flow.Block {
	t.Helper()
	var blocks []flow.Block
	for step, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if step.Op != source.Add {
			continue
		}
		b, err := d.Decode(step.Block.Point, step.Block.Parent, step.Block.Raw)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

type totals struct {
	blocks, txs, failed, notes int
	kinds                      map[flow.Kind]int
}

func count(blocks []flow.Block) totals {
	n := totals{blocks: len(blocks), kinds: map[flow.Kind]int{}}
	for _, b := range blocks {
		n.txs += len(b.Txs)
		n.notes += len(b.Notes)
		for _, tx := range b.Txs {
			if tx.Failed {
				n.failed++
			}
			for _, m := range tx.Movements {
				n.kinds[m.Kind]++
			}
		}
	}
	return n
}

func TestPlantedCases(t *testing.T) {
	for _, c := range []struct {
		name          string
		coins, tokens int
		first, last   uint64
	}{
		// In each case one row of the noise has an amount beyond 256 bits.
		{"atomic", 103305, 184923 - 103305 - 1, 17388611, 17534391},
		{"lifi", 39291, 72005 - 39291 - 1, 20311757, 20675734},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := shared(t, "data/onchain/launder-net-planted/"+c.name+"/transfers.csv.gz")
			s, err := table.OpenTransfers([]string{path}, table.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Chain() != flow.Ethereum {
				t.Fatalf("Chain() = %s; want %s", s.Chain(), flow.Ethereum)
			}
			blocks := decodeAll(t, s, decoder.NewTransfers(s.Chain()))
			n := count(blocks)
			if n.kinds[flow.Transfer] != c.coins || n.kinds[flow.TokenMove] != c.tokens || n.notes != 1 {
				t.Errorf("%d transfers, %d token moves, %d notes; want %d, %d, 1", n.kinds[flow.Transfer], n.kinds[flow.TokenMove], n.notes, c.coins, c.tokens)
			}
			if got := blocks[0].Point.Height; got != c.first {
				t.Errorf("first block %d; want %d", got, c.first)
			}
			if got := blocks[len(blocks)-1].Point.Height; got != c.last {
				t.Errorf("last block %d; want %d", got, c.last)
			}
			if read, total := s.Size(); read != total || total == 0 {
				t.Errorf("Size() = %d, %d after the last block; want all read", read, total)
			}
		})
	}
}

func TestHeistCases(t *testing.T) {
	for _, c := range []struct {
		name string
		want totals
	}{
		// harvest: 2,629 rows, 440 of them with floating-point amounts beyond 2^53; 10 transactions failed.
		{"harvest", totals{1295, 1019, 10, 440, map[flow.Kind]int{flow.Transfer: 44, flow.Internal: 59, flow.TokenMove: 1117, flow.Fee: 1013}}},
		// bancor: 196 rows; one stands there twice.
		{"bancor", totals{194, 195, 0, 1, map[flow.Kind]int{flow.Transfer: 175, flow.TokenMove: 20, flow.Fee: 175}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := shared(t, "data/onchain/ethereum-heist/"+c.name+"/all-tx.csv.gz")
			s, err := table.OpenHeist([]string{path}, table.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if got := count(decodeAll(t, s, decoder.NewHeist(s.Chain()))); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v; want %+v", got, c.want)
			}
		})
	}
}
