package bitcoin

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/source"
)

// sharedPath is the path of a file of the development data. The test is skipped by name where the data is absent.
func sharedPath(t testing.TB, name string) string {
	t.Helper()
	return measure.Path(t, "data/onchain/bitcoin-blocks/"+name)
}

// heights follows a source whose files are good and returns the heights and the last hash.
func heights(t testing.TB, s *Source) (list []uint64, last flow.Point) {
	t.Helper()
	for step, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if step.Op == source.Add {
			list = append(list, step.Block.Point.Height)
			last = step.Block.Point
		}
	}
	return list, last
}

// The sample that comes with the program: blocks 0 to 199.
func TestSample(t *testing.T) {
	s := mustOpen(t, Config{}, "../../demo/bitcoin-blocks-0-199.dat.zst")
	var r reader
	if err := r.follow(t, s); err != nil {
		t.Fatal(err)
	}
	if len(r.points) != 200 || s.Chain() != flow.Bitcoin {
		t.Fatalf("%d blocks of %s; want 200 of Bitcoin", len(r.points), s.Chain())
	}
	want := flow.Point{Chain: flow.Bitcoin, Height: 170, Time: 1231731025} // the block of the first payment
	if err := want.Hash.UnmarshalText([]byte("00000000d1145790a8694403d4063f323d499e655c83426834d4ce2f8dd4a2ee")); err != nil {
		t.Fatal(err)
	}
	if r.points[170] != want {
		t.Errorf("block 170 is %+v; want %+v", r.points[170], want)
	}
}

func TestRealFiles(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		cfg   Config
		want  string // number, first and last height, last hash
	}{
		{"first-year", []string{"blk_0_to_14131.dat.gz"}, Config{}, "14132 0 14131"},
		{"from-1", []string{"blocks1-256.bz2"}, Config{}, "255 1 255"},
		{"overlapping", []string{"blocks1-256.bz2", "blk_0_to_14131.dat.gz"}, Config{}, "14132 0 14131"},
		{"framed-single", []string{"277647.dat.bz2"}, Config{}, "1 277647 277647"},
		{"height-by-name", []string{"block169482.dat"}, Config{}, "1 169482 169482"},
		{"height-by-child", []string{"block227836.dat", "block227835.dat"}, Config{}, "2 227835 227836"},
		{"gaps", []string{"block4*.dat", "block3*.dat", "block1*.dat", "277647.dat.bz2"}, Config{}, "5 169482 481815"},
		{"testnet", []string{"block_testnet700000.dat"}, Config{Chain: flow.BitcoinTestnet3}, "1 700000 700000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var paths []string
			dir := filepath.Dir(sharedPath(t, "README.md"))
			for _, f := range tt.files {
				paths = append(paths, filepath.Join(dir, f))
			}
			list, _ := heights(t, mustOpen(t, tt.cfg, paths...))
			if len(list) == 0 {
				t.Fatal("no blocks")
			}
			if got := fmt.Sprint(len(list), list[0], list[len(list)-1]); got != tt.want {
				t.Errorf("number, first and last height %s; want %s", got, tt.want)
			}
		})
	}
	t.Run("testnet-taken-for-main", func(t *testing.T) {
		var r reader
		if err := r.follow(t, mustOpen(t, Config{}, sharedPath(t, "block_testnet700000.dat"))); err == nil || len(r.points) > 0 {
			t.Errorf("%d blocks, %v; want an error that the network must be named", len(r.points), err)
		}
	})
}

func BenchmarkSteps(b *testing.B) {
	path := sharedPath(b, "block481815.dat")
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		heights(b, mustOpen(b, Config{}, path))
	}
}

func BenchmarkFirstYear(b *testing.B) {
	path := sharedPath(b, "blk_0_to_14131.dat.gz")
	n := 0
	for b.Loop() {
		list, _ := heights(b, mustOpen(b, Config{}, path))
		n += len(list)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "blocks/s")
}
