package table_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	decoder "github.com/spoor-dev/spoor/decode/table"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/table"
)

const transfersHeader = "chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp"

// row is a transfers-csv row of Ethereum; block n is at time 1,000 n.
func row(block, index, tx int) string {
	return fmt.Sprintf("eip155:1,%d,%d,0x%064x,0x%040x,0x%040x,ETH,%d,%d", block, index, tx, 0xa1, 0xb2, 5, 1000*block)
}

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// write puts a file into a new folder.
func write(t testing.TB, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func openTransfers(t testing.TB, text string, cfg table.Config) *table.Source {
	t.Helper()
	s, err := table.OpenTransfers([]string{write(t, "t.csv", text)}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// steps writes what a source yields as "+1 +2 =2", an error last.
func steps(ctx context.Context, s *table.Source, known ...flow.Point) (string, error) {
	var out []string
	for step, err := range s.Steps(ctx, known) {
		if err != nil {
			return strings.Join(out, " "), err
		}
		out = append(out, fmt.Sprintf("%c%d", " +-="[step.Op], step.Block.Point.Height))
	}
	return strings.Join(out, " "), nil
}

func TestBlocksAreTheRowsOfOneHeight(t *testing.T) {
	s := openTransfers(t, lines(transfersHeader, row(1, 0, 1), row(1, 1, 1), "", row(1, 2, 2), row(7, 0, 3)), table.Config{})
	blocks := decodeAll(t, s, decoder.NewTransfers(s.Chain()))
	if len(blocks) != 2 || len(blocks[0].Txs) != 2 || len(blocks[0].Txs[0].Movements) != 2 || len(blocks[1].Txs) != 1 {
		t.Fatalf("got %+v; want blocks 1 (transactions of 2 and 1 movements) and 7", blocks)
	}
	if want := (flow.Point{Chain: flow.Ethereum, Height: 7, Time: 7000}); blocks[1].Point != want {
		t.Errorf("second block is %+v; want %+v", blocks[1].Point, want)
	}
}

func TestCompressedFilesReadAlike(t *testing.T) {
	text := "\ufeff" + strings.ReplaceAll(lines(transfersHeader, row(1, 0, 1), row(2, 0, 2)), "\n", "\r\n")
	pack := func(w io.WriteCloser, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var gz, zst, xzb bytes.Buffer
	pack(gzip.NewWriter(&gz), nil)
	zw, err := zstd.NewWriter(&zst)
	pack(zw, err)
	xw, err := xz.NewWriter(&xzb)
	pack(xw, err)
	bz, err := hex.DecodeString(bzip2Table)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"bzip2": string(bz),
		"plain": text, "gzip": gz.String(), "zstd": zst.String(), "xz": xzb.String(),
		"no newline at the end": strings.TrimRight(text, "\r\n"),
	} {
		s := openTransfers(t, content, table.Config{})
		if got, err := steps(t.Context(), s); got != "+1 +2 =2" || err != nil {
			t.Errorf("%s: %s, %v; want +1 +2 =2", name, got, err)
		}
		if read, total := s.Size(); read != total || total != int64(len(content)) {
			t.Errorf("%s: Size() = %d, %d; want %d twice", name, read, total, len(content))
		}
	}
	cut := gz.String()[:gz.Len()-9]
	if got, err := steps(t.Context(), openTransfers(t, cut, table.Config{Chain: flow.Ethereum})); err == nil {
		t.Errorf("truncated gzip: %s without an error", got)
	}
}

// bzip2Table is the same table; the standard library reads the form but does not write it.
const bzip2Table = "425a6839314159265359918e000900003adf8000101004721802400400bfefde402000940950d29e4f5194f5191e93d27a27a83149ea0000" +
	"01a7a849da22599242014e956183c63c78eff580e010355b0018140b166b53613c8d7ee39991a8642152a6d2bf57b1ed6334479c7a4e2d6f882c12f18a5d6567" +
	"7725db455c7e51a385cf0754204f105a3479449916a69385862ff177245385090918e00090"

func TestRowsOutOfOrder(t *testing.T) {
	for _, c := range []struct {
		name, text, steps, place string
	}{
		{"block", lines(transfersHeader, row(5, 0, 1), row(6, 0, 2), row(4, 0, 3)), "+5", "t.csv:4: block 4, log_index 0 after block 6, log_index 0"},
		{"log_index", lines(transfersHeader, row(5, 0, 1), row(5, 9, 2), row(5, 8, 3)), "", "t.csv:4: block 5, log_index 8 after block 5, log_index 9"},
	} {
		got, err := steps(t.Context(), openTransfers(t, c.text, table.Config{}))
		if got != c.steps || !errors.Is(err, table.ErrOrder) || !strings.Contains(err.Error(), c.place) || !strings.Contains(err.Error(), "sort -s -t, -k2,2n -k3,3n") {
			t.Errorf("%s: %q, %v; want %q and %q", c.name, got, err, c.steps, c.place)
		}
	}
}

func TestSeveralChains(t *testing.T) {
	other := strings.Replace(row(3, 0, 9), "eip155:1", "eip155:56", 1)
	text := lines(transfersHeader, row(5, 0, 1), other, row(6, 0, 2))
	_, err := table.OpenTransfers([]string{write(t, "t.csv", text)}, table.Config{})
	if !errors.Is(err, table.ErrChains) || !strings.Contains(err.Error(), "eip155:1, eip155:56") {
		t.Errorf("OpenTransfers without a chain: %v; want ErrChains with both", err)
	}
	for chain, want := range map[flow.Chain]string{flow.Ethereum: "+5 +6 =6", flow.EVMChain(56): "+3 =3", flow.EVMChain(10): ""} {
		if got, err := steps(t.Context(), openTransfers(t, text, table.Config{Chain: chain})); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", chain, got, err, want)
		}
	}
	var long strings.Builder
	long.WriteString(transfersHeader + "\n")
	for i := range 10_001 {
		long.WriteString(row(1, i, i+1) + "\n")
	}
	long.WriteString(other + "\n")
	if _, err := steps(t.Context(), openTransfers(t, long.String(), table.Config{})); !errors.Is(err, table.ErrChains) || !strings.Contains(err.Error(), "t.csv:10003:") {
		t.Errorf("a second chain late in the file: %v; want ErrChains at line 10003", err)
	}
}

func TestFilesGoOn(t *testing.T) {
	a := write(t, "a.csv", lines(transfersHeader, row(1, 0, 1), row(2, 0, 2)))
	b := write(t, "b.csv", lines("timestamp,amount_base_units,asset,to,from,tx_hash,log_index,block_number,chain,note", "2000,5,ETH,0x"+strings.Repeat("0", 39)+"2,0x"+strings.Repeat("0", 39)+"1,"+strings.Repeat("0", 63)+"3,1,2,eip155:1,x"))
	s, err := table.OpenTransfers([]string{a, b}, table.Config{})
	if err != nil {
		t.Fatal(err)
	}
	blocks := decodeAll(t, s, decoder.NewTransfers(s.Chain()))
	if len(blocks) != 2 || len(blocks[1].Txs) != 2 || len(blocks[1].Notes) != 0 {
		t.Errorf("got %+v; want block 2 with the last row of a.csv and the first of b.csv", blocks)
	}
	s, err = table.OpenTransfers([]string{b, a}, table.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := steps(t.Context(), s); !errors.Is(err, table.ErrOrder) || !strings.Contains(err.Error(), "a.csv:2:") {
		t.Errorf("files in the wrong order: %v; want ErrOrder at a.csv:2", err)
	}
}

func TestBadRowsGoToADecoder(t *testing.T) {
	long := strings.Repeat("9", 70_000)
	text := lines(transfersHeader, "before,any", row(1, 0, 1), "too,few", `a,"quoted`+"\n"+`field",c`, strings.Replace(row(1, 1, 2), ",5,", ","+long+",", 1), row(2, 0, 3))
	s := openTransfers(t, text, table.Config{})
	blocks := decodeAll(t, s, decoder.NewTransfers(s.Chain()))
	if len(blocks) != 2 || len(blocks[0].Txs) != 1 || len(blocks[0].Notes) != 4 {
		t.Fatalf("got %d blocks, first %+v; want 2, the first with 1 transaction and 4 notes", len(blocks), blocks[0])
	}
	for i, want := range []string{":2", ":4", ":5", ":7"} {
		if n := blocks[0].Notes[i]; n.Kind != flow.Quarantined || !strings.HasSuffix(n.Where, "t.csv"+want) || len(n.Raw) > 1000 {
			t.Errorf("note %d = %.200v; want it quarantined at t.csv%s", i, n, want)
		}
	}
}

func TestDamagedTables(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "no header line"},
		{"header lacks a column", "chain,block_number\n", "t.csv:1: header"},
		{"column twice", transfersHeader + ",to\n", "column to stands there twice"},
		{"no rows", transfersHeader + "\n", "names a chain"},
		{"only bad rows", lines(transfersHeader, "eip155:1,x", "y"), "names a chain"},
		{"no readable block", lines(transfersHeader, strings.Replace(row(1, 0, 1), ",1,", ",one,", 1)), "t.csv:2: neither this row nor any other"},
		{"quoted field without an end", lines(transfersHeader, row(1, 0, 1), `"open`, row(2, 0, 1)), "t.csv:3: a quoted field that begins here"},
		{"UTXO chain", lines(transfersHeader, strings.Replace(row(1, 0, 1), "eip155:1", "btc", 1)), "cannot say which output"},
		{"not gzip behind its magic", "\x1f\x8bxxxxxxxx", "gzip"},
	} {
		s, err := table.OpenTransfers([]string{write(t, "t.csv", c.text)}, table.Config{})
		if err == nil {
			_, err = steps(t.Context(), s)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want it to say %q", c.name, err, c.want)
		}
	}
	s := openTransfers(t, lines(transfersHeader, row(1, 0, 1), row(1, 1, 1)), table.Config{MaxBlock: 450})
	if _, err := steps(t.Context(), s); err == nil || !strings.Contains(err.Error(), "t.csv:3:") {
		t.Errorf("block beyond MaxBlock: %v; want an error at line 3", err)
	}
	if _, err := table.OpenTransfers([]string{"no such file"}, table.Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func point(h uint64, hash byte) flow.Point {
	return flow.Point{Chain: flow.Ethereum, Height: h, Hash: flow.Hash{31: hash}}
}

func TestResume(t *testing.T) {
	plain := lines(transfersHeader, row(1, 0, 1), row(3, 0, 2), row(4, 0, 3))
	var hashed strings.Builder
	hashed.WriteString(transfersHeader + ",block_hash,parent_hash\n")
	for h := 1; h <= 4; h++ { // block h has the hash h
		fmt.Fprintf(&hashed, "%s,0x%064x,0x%064x\n", row(h, 0, h), h, h-1)
	}
	for _, c := range []struct {
		name, text string
		known      []flow.Point
		want       string
	}{
		{"from nothing", plain, nil, "+1 +3 +4 =4"},
		{"in the middle", plain, []flow.Point{point(3, 0), point(1, 0)}, "+4 =4"},
		{"between rows", plain, []flow.Point{point(2, 0)}, "+3 +4 =4"},
		{"all known", plain, []flow.Point{point(4, 0), point(3, 0)}, "=4"},
		{"reader is ahead", plain, []flow.Point{point(9, 0), point(4, 0)}, "=4"},
		{"hashes agree", hashed.String(), []flow.Point{point(2, 2), point(1, 1)}, "+3 +4"},
		{"fork at the top", hashed.String(), []flow.Point{point(3, 9), point(2, 2), point(1, 1)}, "-3 +3 +4"},
		{"deep fork", hashed.String(), []flow.Point{point(6, 9), point(4, 9), point(3, 9), point(2, 2)}, "-6 -4 -3 +3 +4"},
		{"parent says so", strings.Replace(hashed.String(), row(2, 0, 2), row(2, 0, 2)[:0]+"x", 1), []flow.Point{point(2, 9), point(1, 1)}, "-2 +3 +4"},
	} {
		got, err := steps(t.Context(), openTransfers(t, c.text, table.Config{Chain: flow.Ethereum}), c.known...)
		if got != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

// Stopping anywhere and going on yields the same blocks as reading in one go.
func TestStopAndGoOn(t *testing.T) {
	text := lines(transfersHeader, row(1, 0, 1), row(1, 4, 2), row(3, 0, 3), row(4, 0, 4), row(9, 0, 5))
	s := openTransfers(t, text, table.Config{})
	var all []source.Block
	for step, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if step.Op == source.Add {
			all = append(all, step.Block)
		}
	}
	for stop := range len(all) {
		var known []flow.Point
		var got []source.Block
		for step := range s.Steps(t.Context(), nil) {
			if len(got) == stop {
				break
			}
			got = append(got, step.Block)
			known = slices.Insert(known, 0, step.Block.Point)
		}
		for step, err := range s.Steps(t.Context(), known) {
			if err != nil {
				t.Fatal(err)
			}
			if step.Op == source.Add {
				got = append(got, step.Block)
			}
		}
		if !slices.EqualFunc(got, all, func(a, b source.Block) bool { return a.Point == b.Point && bytes.Equal(a.Raw, b.Raw) }) {
			t.Errorf("stopped after %d blocks: got %v; want %v", stop, got, all)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := steps(ctx, s); got != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %q, %v; want context.Canceled", got, err)
	}
}

const heistHeader = "hash,from,to,value,timeStamp,blockNumber,tokenSymbol,contractAddress,isError,gasPrice,gasUsed"

func heistRow(block, tx int) string {
	return fmt.Sprintf("0x%064x,0x%040x,0x%040x,7,%d,%d,,,0.0,1000.0,21000", tx, 0xa1, 0xb2, 1000*block, block)
}

func TestHeistIsSorted(t *testing.T) {
	text := lines(heistHeader, "bad", heistRow(9, 1), heistRow(2, 2), "worse", heistRow(9, 3), heistRow(2, 4), heistRow(2, 2))
	s, err := table.OpenHeist([]string{write(t, "h.csv", text)}, table.Config{})
	if err != nil {
		t.Fatal(err)
	}
	blocks := decodeAll(t, s, decoder.NewHeist(s.Chain()))
	var got []string
	for _, b := range blocks {
		for _, tx := range b.Txs {
			got = append(got, fmt.Sprintf("%d:%d", b.Point.Height, tx.ID[31]))
		}
		for _, n := range b.Notes {
			got = append(got, "!"+n.Where[strings.LastIndex(n.Where, ":"):])
		}
	}
	if want := "2:2 2:4 !:5 !:8 9:1 9:3 !:2"; strings.Join(got, " ") != want {
		t.Errorf("got %s; want %s", strings.Join(got, " "), want)
	}
	if got, err := steps(t.Context(), s, flow.Point{Chain: flow.Ethereum, Height: 2}); got != "+9 =9" || err != nil {
		t.Errorf("resume after 2: %q, %v; want +9 =9", got, err)
	}
	s, err = table.OpenHeist([]string{write(t, "h.csv", text)}, table.Config{MaxRows: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := steps(t.Context(), s); err == nil || !strings.Contains(err.Error(), "h.csv:5: more than 3 rows") {
		t.Errorf("beyond MaxRows: %v; want an error at line 5", err)
	}
	if _, err := table.OpenHeist([]string{write(t, "h.csv", text)}, table.Config{Chain: flow.Bitcoin}); err == nil {
		t.Error("heist-csv on Bitcoin: no error")
	}
}

func FuzzTransfers(f *testing.F) {
	f.Add([]byte(lines(transfersHeader, row(1, 0, 1), row(2, 0, 2))))
	f.Add([]byte(lines(transfersHeader, `"eip155:1",1,0,"x`+"\n"+`y",,,,,`, row(2, 0, 2))))
	f.Add([]byte("\x1f\x8b"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Add([]byte("BZh9"))
	f.Add([]byte("\xfd7zXZ\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzzSource(t, text, table.OpenTransfers, decoder.NewTransfers(flow.Ethereum))
	})
}

func FuzzHeist(f *testing.F) {
	f.Add([]byte(lines(heistHeader, heistRow(2, 1), heistRow(1, 2))))
	f.Add([]byte(lines(heistHeader, "x", heistRow(1, 2), heistRow(1, 2))))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzSource(t, text, table.OpenHeist, decoder.NewHeist(flow.Ethereum)) })
}

// fuzzSource reads any bytes as a table: every block that comes out has its decoder's blessing, and heights rise.
func fuzzSource(t *testing.T, text []byte, open func([]string, table.Config) (*table.Source, error), d *decoder.Decoder) {
	s, err := open([]string{write(t, "t.csv", string(text))}, table.Config{Chain: flow.Ethereum})
	if err != nil {
		return
	}
	first, last := true, uint64(0)
	for step, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			return
		}
		if step.Op != source.Add {
			continue
		}
		if h := step.Block.Point.Height; !first && h <= last {
			t.Fatalf("block %d after %d", h, last)
		}
		first, last = false, step.Block.Point.Height
		if _, err := d.Decode(step.Block.Point, step.Block.Parent, step.Block.Raw); err != nil {
			t.Fatalf("block %d: %v", last, err)
		}
	}
}
