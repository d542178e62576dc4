package etl

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

var (
	_ source.Source = (*Source)(nil)
	_ source.Sizer  = (*Source)(nil)
)

func h(n int) string { return fmt.Sprintf("0x%064x", n) }

func at(n, hash int) flow.Point {
	return flow.Point{Chain: flow.Ethereum, Height: uint64(n), Hash: flow.Hash{31: byte(hash)}}
}

func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		content := []byte(text)
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := z.Write(content); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			content = b.Bytes()
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t testing.TB, path string, cfg Config, known ...flow.Point) ([]source.Step, error) {
	t.Helper()
	s, err := Open([]string{path}, cfg)
	if err != nil {
		return nil, err
	}
	var all []source.Step
	for step, err := range s.Steps(context.Background(), known) {
		if err != nil {
			return all, err
		}
		all = append(all, step)
	}
	return all, nil
}

// tell writes steps in short: +height or -height, and the rows as table@line.
func tell(t testing.TB, steps []source.Step) string {
	t.Helper()
	var s []string
	for _, x := range steps {
		one := fmt.Sprintf("%c%d", map[source.Op]rune{source.Add: '+', source.Undo: '-'}[x.Op], x.Block.Point.Height)
		if x.Op == source.Add {
			var b rawBlock
			if err := json.Unmarshal(x.Block.Raw, &b); err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Files {
				for _, r := range f.Rows {
					one += fmt.Sprintf(":%s@%d", f.Table, r.Line)
				}
			}
		}
		s = append(s, one)
	}
	return strings.Join(s, " ")
}

const blocksHead = "number,hash,parent_hash,timestamp\n"

func TestTablesAreMerged(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"side-by-side", map[string]string{"blocks.csv": blocksHead + "7," + h(70) + "," + h(60) + ",1007\n8," + h(80) + "," + h(70) + ",1008\n",
			"logs.json.gz": `{"block_number": 7, "log_index": 0}` + "\n" + `{"block_number": 8}` + "\n" + `{"block_number": 9}`},
			"+7:blocks@2:logs@1 +8:blocks@3:logs@2 +9:logs@3"},
		{"names", map[string]string{"expected_token_transfers.csv": "block_number\n7\n", "tokens.csv": "address\n0x\n", "contracts.csv": "address\n", "readme.txt": "logs",
			"traces/start=7/000.csv": "block_number\n7\n", "receipts": "block_number\n7\n", "geth_traces.json": `{"block_number":7}`},
			"+7:receipts@2:token_transfers@2:traces@2"},
		{"files-in-order", map[string]string{"logs_b.csv": "block_number\n3\n4\n", "logs_a.csv": "block_number\n5\n5\n", "logs_c.csv": "block_number\n"},
			"+3:logs@2 +4:logs@3 +5:logs@2:logs@3"},
		{"small-disorder", map[string]string{"logs.csv": "x,block_number\n\"a,b\",5\n1,3\n1,5\n1,3\n"}, "+3:logs@3:logs@5 +5:logs@2:logs@4"},
		{"stray-rows", map[string]string{"logs.csv": "block_number,x\nfoo,1\n3,1\n,\n4,1\n"}, "+3:logs@2:logs@3:logs@4 +4:logs@5"},
		{"empty-lines", map[string]string{"logs.csv": "\xef\xbb\xbfblock_number\r\n\r\n3\r\n"}, "+3:logs@3"},
		{"empty-file", map[string]string{"logs.csv": "", "traces.csv": "block_number\n3"}, "+3:traces@2"},
		{"long-row", map[string]string{"logs.csv": "block_number,x\n3,1\n3," + strings.Repeat("z", 3000) + "\n4,1\n"}, "+3:logs@2:logs@3 +4:logs@4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := read(t, folder(t, c.files), Config{MaxRow: 2000})
			if err != nil {
				t.Fatal(err)
			}
			if got := tell(t, steps); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPointsAreComplete(t *testing.T) {
	steps, err := read(t, folder(t, map[string]string{"blocks.csv": blocksHead + "7," + h(70) + "," + h(60) + ",1007\n",
		"logs.json": `{"block_number":8,"block_hash":"` + h(80) + `","block_timestamp":"1970-01-01 00:16:48 UTC"}`}), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []flow.Point{at(7, 70), at(8, 80)} {
		if want.Time = 1007 + int64(i); steps[i].Block.Point != want {
			t.Errorf("%+v; want %+v", steps[i].Block.Point, want)
		}
	}
	if steps[0].Block.Parent != (flow.Hash{31: 60}) {
		t.Errorf("parent %s", steps[0].Block.Parent)
	}
}

func TestSourceResumes(t *testing.T) {
	dir := folder(t, map[string]string{"blocks.csv": blocksHead + "5," + h(50) + "," + h(40) + ",1\n6," + h(60) + "," + h(50) + ",1\n7," + h(70) + "," + h(60) + ",1\n9," + h(90) + "," + h(80) + ",1\n",
		"logs.csv": "block_number\n8\n"})
	for _, c := range []struct {
		name  string
		known []flow.Point
		want  string
	}{
		{"nothing", nil, "+5 +6 +7 +8 +9"},
		{"some", []flow.Point{at(6, 60), at(5, 50)}, "+7 +8 +9"},
		{"all", []flow.Point{at(9, 90)}, ""},
		{"more", []flow.Point{at(12, 120)}, ""},
		{"other-chain", []flow.Point{{Chain: flow.Bitcoin, Height: 7}}, "+5 +6 +7 +8 +9"},
		{"fork", []flow.Point{at(7, 71), at(6, 61), at(5, 50)}, "-7 -6 +6 +7 +8 +9"},
		{"fork-by-parent", []flow.Point{at(8, 81), at(7, 70)}, "-8 +8 +9"},
		{"fork-below", []flow.Point{at(12, 120), at(11, 110), at(7, 71), at(6, 60)}, "-12 -11 -7 +7 +8 +9"},
		{"hash-not-known", []flow.Point{at(6, 0)}, "+7 +8 +9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := read(t, dir, Config{}, c.known...)
			if err != nil {
				t.Fatal(err)
			}
			var short []string
			for _, s := range strings.Fields(tell(t, steps)) {
				short = append(short, strings.Split(s, ":")[0])
			}
			if got := strings.Join(short, " "); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

func TestDamageNamesItsPlace(t *testing.T) {
	unsorted := "block_number,x\n" + strings.Repeat("9,"+strings.Repeat("y", 90)+"\n", 20) + "3,1\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		cfg   Config
		want  []string
	}{
		{"unsorted", map[string]string{"logs.csv": unsorted}, Config{Window: 500}, []string{"logs.csv: line 22", "not sorted", "block 3 comes after block 9"}},
		{"no-column", map[string]string{"logs.csv": "a,b\n1,2\n"}, Config{}, []string{"logs.csv", "line 1", "block_number"}},
		{"no-block", map[string]string{"logs.csv": "block_number\nx\n"}, Config{}, []string{"logs.csv: line 2", "no row of the file says its block"}},
		{"huge-block", map[string]string{"logs.csv": unsorted}, Config{MaxBlock: 300}, []string{"logs.csv: line 5", "more than 300 bytes"}},
		{"truncated", map[string]string{"logs.csv": "\x1f\x8b\x08"}, Config{}, []string{"logs.csv", "EOF"}},
		{"none", map[string]string{"x.csv": "a\n"}, Config{}, []string{"not a table"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := read(t, folder(t, c.files), c.cfg)
			if err == nil {
				t.Fatalf("no error, steps %s", tell(t, steps))
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not contain %q", err, w)
				}
			}
		})
	}
	if _, err := Open([]string{filepath.Join(folder(t, map[string]string{"x.csv": "a"}), "x.csv")}, Config{}); !errors.Is(err, ErrNoTable) {
		t.Errorf("a file that is no table: %v", err)
	}
	if _, err := Open(nil, Config{Chain: flow.Bitcoin}); err == nil {
		t.Error("Bitcoin is no EVM chain")
	}
}

// TestWindowIsKept reads a table that is much larger than its window.
func TestWindowIsKept(t *testing.T) {
	var b strings.Builder
	b.WriteString("block_number,x\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "%d,%s\n", i, strings.Repeat("y", 50))
	}
	s, err := Open([]string{folder(t, map[string]string{"logs.csv": b.String()})}, Config{Window: 4000})
	if err != nil {
		t.Fatal(err)
	}
	n, last := 0, int64(0)
	for _, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if held := s.tables[0].bytes; held > 4000+200 {
			t.Fatalf("%d bytes held after %d blocks", held, n)
		}
		read, total := s.Size()
		if read < last || read > total {
			t.Fatalf("Size() = %d of %d after %d", read, total, last)
		}
		n, last = n+1, read
	}
	if _, total := s.Size(); n != 5000 || last != total {
		t.Errorf("%d blocks, %d of %d bytes", n, last, total)
	}
}

func TestFieldIsThatOfPackageCSV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := rapid.SliceOfN(rapid.StringMatching(`[a-z",' ]{0,6}`), 1, 5).Draw(t, "record")
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		line := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
		for i, want := range record {
			if got := field(line, i); got != want {
				t.Fatalf("field(%q, %d) = %q; want %q", line, i, got, want)
			}
		}
		if got := field(line, len(record)); got != "" {
			t.Fatalf("field(%q, %d) = %q", line, len(record), got)
		}
	})
}

func FuzzSteps(f *testing.F) {
	f.Add([]byte("block_number,x\n1,2\n3,\"a,\"\"b\"\n"), []byte(blocksHead+"1,0x,0x,5\n"))
	f.Add([]byte(`{"block_number":1,"block_hash":"0x"}`+"\n{\n"), []byte(`{"number":"3"}`))
	f.Add([]byte("\xef\xbb\xbfblock_number\r\n\r\n3"), []byte{})
	f.Fuzz(func(t *testing.T, logs, blocks []byte) {
		dir := folder(t, map[string]string{"logs.csv": string(logs), "blocks.json": string(blocks)})
		steps, err := read(t, dir, Config{Window: 100, MaxRow: 200, MaxBlock: 4000})
		for i, s := range steps {
			var b rawBlock
			if json.Unmarshal(s.Block.Raw, &b) != nil || b.Number != s.Block.Point.Height {
				t.Errorf("raw %s (%v)", s.Block.Raw, err)
			}
			if i > 0 && s.Block.Point.Height <= steps[i-1].Block.Point.Height {
				t.Errorf("block %d comes after %d", s.Block.Point.Height, steps[i-1].Block.Point.Height)
			}
		}
	})
}
