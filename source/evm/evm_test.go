package evm

import (
	"bytes"
	"compress/gzip"
	"context"
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

func block(n, hash, parent int, txs ...int) string {
	list := []string{}
	for _, tx := range txs {
		list = append(list, fmt.Sprintf(`{"hash":"%s"}`, h(tx)))
	}
	return fmt.Sprintf(`{"number":"0x%x","hash":"%s","parentHash":"%s","timestamp":"0x%x","transactions":[%s]}`, n, h(hash), h(parent), 1000+n, strings.Join(list, ","))
}

func receipt(n, hash, tx int) string {
	return fmt.Sprintf(`{"blockNumber":"0x%x","blockHash":"%s","transactionHash":"%s","cumulativeGasUsed":"0x1","logs":[]}`, n, h(hash), h(tx))
}

func trace(n, hash, tx int, path string) string {
	return fmt.Sprintf(`{"action":{"from":"0x01"},"blockNumber":%d,"blockHash":"%s","transactionHash":"%s","traceAddress":[%s],"type":"call"}`, n, h(hash), h(tx), path)
}

func answer(result string) string { return `{"jsonrpc":"2.0","id":1,"result":` + result + "}" }

// folder writes files; those whose names end in .gz are packed.
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

// read opens a path and collects its steps up to the first error.
func read(t testing.TB, path string, known ...flow.Point) ([]source.Step, error) {
	t.Helper()
	s, err := Open([]string{path}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	var all []source.Step
	for step, err := range s.Steps(context.Background(), known) {
		if err != nil {
			return all, err
		}
		all = append(all, step)
	}
	if got, total := s.Size(); got != total {
		t.Errorf("at the end Size() = %d of %d", got, total)
	}
	return all, nil
}

// tell writes steps in short: +height or -height.
func tell(steps []source.Step) string {
	var s []string
	for _, x := range steps {
		s = append(s, fmt.Sprintf("%c%d", map[source.Op]rune{source.Add: '+', source.Undo: '-', source.Final: '!'}[x.Op], x.Block.Point.Height))
	}
	return strings.Join(s, " ")
}

// counts are the numbers of transactions, receipts, traces and logs in a raw block.
func counts(t testing.TB, raw []byte) [4]int {
	t.Helper()
	var e struct {
		Block struct {
			Number       string `json:"number"`
			Transactions []any  `json:"transactions"`
		} `json:"block"`
		Receipts, Traces, Logs []any
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return [4]int{len(e.Block.Transactions), len(e.Receipts), len(e.Traces), len(e.Logs)}
}

func TestFormsOfRecordings(t *testing.T) {
	inspect := `{"block_number": 7, "miner": "0x01", "base_fee_per_gas": 0, "traces": [` +
		strings.ReplaceAll(strings.ReplaceAll(trace(7, 70, 1, ""), "blockNumber", "block_number"), "blockHash", "block_hash") +
		`], "receipts": [{"block_number": 7, "transaction_hash": "` + h(1) + `", "cumulative_gas_used": 5}]}`
	frame := `{"result":{"type":"CALL","from":"0x01"}}`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
		last  [4]int // transactions, receipts, traces, logs
	}{
		{"envelope", map[string]string{"a.json": `{"chainId":"0x1","block":` + block(7, 70, 60, 1, 2) + `,"receipts":[` + receipt(7, 70, 1) + "," + receipt(7, 70, 2) + `],"traces":[]}`}, "+7", [4]int{2, 2, 0, 0}},
		{"lines", map[string]string{"a.ndjson.gz": `{"block":` + block(8, 80, 70) + "}\n" + `{"block":` + block(7, 70, 60) + "}\n"}, "+7 +8", [4]int{}},
		{"answers", map[string]string{"b.json": answer(block(7, 70, 60, 1)), "r.json": answer(receipt(7, 70, 1)), "t.json": answer("[" + trace(7, 70, 1, "") + "," + trace(7, 70, 1, "0") + "]")}, "+7", [4]int{1, 1, 2, 0}},
		{"batch", map[string]string{"b.json": "[" + answer(block(7, 70, 60, 1)) + "," + answer("["+receipt(7, 70, 1)+"]") + "," + answer("null") + "]"}, "+7", [4]int{1, 1, 0, 0}},
		{"bare", map[string]string{"b.json": block(7, 70, 60, 1) + receipt(7, 70, 1) + "[" + trace(7, 70, 1, "") + "]"}, "+7", [4]int{1, 1, 1, 0}},
		{"frames-by-name", map[string]string{"b.json": answer(block(7, 70, 60, 1)), "debug_traceBlockByNumber_0x7_callTracer.json": answer("[" + frame + "]")}, "+7", [4]int{1, 0, 1, 0}},
		{"frames-behind-block", map[string]string{"b.json": answer(block(6, 60, 50)) + answer(block(7, 70, 60, 1)) + answer("["+frame+"]")}, "+6 +7", [4]int{1, 0, 1, 0}},
		{"frames-by-request", map[string]string{"b.json": answer(block(6, 60, 50)) + answer(block(7, 70, 60, 1)),
			"t.json": `{"method":"debug_traceBlockByNumber","params":["0x7",{}],"result":[` + frame + "]}"}, "+6 +7", [4]int{1, 0, 1, 0}},
		{"replay", map[string]string{"7.json": answer(block(7, 70, 60, 1)) + answer(`[{"transactionHash":"`+h(1)+`","trace":[],"output":"0x"}]`)}, "+7", [4]int{1, 0, 1, 0}},
		{"traces-by-transaction", map[string]string{"a.json": answer("[" + trace(7, 70, 1, "") + "]"), "b.json": answer("[" + trace(7, 70, 2, "") + "," + trace(7, 70, 2, "0") + "]")}, "+7", [4]int{0, 0, 3, 0}},
		{"flat-before-frames", map[string]string{"7.json": answer(block(7, 70, 60, 1)) + answer("["+frame+"]") + answer("["+trace(7, 70, 1, "")+"]")}, "+7", [4]int{1, 0, 1, 0}},
		{"logs", map[string]string{"l.json": answer(`[{"topics":[],"blockNumber":"0x7","logIndex":"0x0","transactionHash":"` + h(1) + `"},{"topics":[],"blockNumber":"0x9","logIndex":"0x0"}]`)}, "+7 +9", [4]int{0, 0, 0, 1}},
		{"mev-inspect", map[string]string{"7.json": inspect}, "+7", [4]int{0, 1, 1, 0}},
		{"ethereum-etl-frames", map[string]string{"g.json": `{"block_number":7,"transaction_traces":[{"type":"CALL","from":"0x01"}]}`}, "+7", [4]int{0, 0, 1, 0}},
		{"twice", map[string]string{"a.json": `{"block":` + block(7, 70, 60, 1) + `,"receipts":[` + receipt(7, 70, 1) + `],"traces":[` + trace(7, 70, 1, "") + `]}`,
			"b.json": `{"block":` + block(7, 70, 60, 1) + `,"receipts":[` + receipt(7, 70, 1) + `],"traces":[` + trace(7, 70, 1, "") + "," + trace(7, 70, 1, "0") + `]}`}, "+7", [4]int{1, 1, 2, 0}},
		{"whole-before-hashes", map[string]string{"a.json": strings.Replace(block(7, 70, 60), `"transactions":[]`, `"transactions":["`+h(1)+`","`+h(2)+`"]`, 1), "b.json": block(7, 70, 60, 1, 2, 3)}, "+7", [4]int{3, 0, 0, 0}},
		{"others-in-folder", map[string]string{"README.md": "not JSON", "b.json": block(7, 70, 60), "c.json": answer(`"0x1234"`) + `{"x":1}[]`, ".h.json": "{"}, "+7", [4]int{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := read(t, folder(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			if got := tell(steps); got != c.want {
				t.Fatalf("steps %s; want %s", got, c.want)
			}
			if got := counts(t, steps[len(steps)-1].Block.Raw); got != c.last {
				t.Errorf("%v; want %v in %s", got, c.last, steps[len(steps)-1].Block.Raw)
			}
		})
	}
}

func TestPointsAreComplete(t *testing.T) {
	steps, err := read(t, folder(t, map[string]string{"a.json": answer(block(7, 70, 60))}))
	if err != nil {
		t.Fatal(err)
	}
	b := steps[0].Block
	if want := (flow.Point{Chain: flow.Ethereum, Height: 7, Hash: flow.Hash{31: 70}, Time: 1007}); b.Point != want || b.Parent != (flow.Hash{31: 60}) {
		t.Errorf("%+v, parent %s", b.Point, b.Parent)
	}
}

func TestSourceResumes(t *testing.T) {
	dir := folder(t, map[string]string{"a.json": block(5, 50, 40) + block(6, 60, 50) + block(7, 70, 60) + block(9, 90, 80)})
	point := func(n, hash int) flow.Point {
		return flow.Point{Chain: flow.Ethereum, Height: uint64(n), Hash: flow.Hash{31: byte(hash)}}
	}
	for _, c := range []struct {
		name  string
		known []flow.Point
		want  string
	}{
		{"nothing", nil, "+5 +6 +7 +9"},
		{"some", []flow.Point{point(6, 60), point(5, 50)}, "+7 +9"},
		{"all", []flow.Point{point(9, 90)}, ""},
		{"more", []flow.Point{point(12, 120)}, ""},
		{"other-chain", []flow.Point{{Chain: flow.Bitcoin, Height: 7}}, "+5 +6 +7 +9"},
		{"fork", []flow.Point{point(7, 71), point(6, 61), point(5, 50)}, "-7 -6 +6 +7 +9"},
		{"fork-by-parent", []flow.Point{point(8, 81), point(7, 70)}, "-8 +9"},
		{"fork-below", []flow.Point{point(12, 120), point(11, 110), point(7, 71), point(6, 60)}, "-12 -11 -7 +7 +9"},
		{"fork-of-all", []flow.Point{point(6, 61), point(5, 51)}, "-6 -5 +5 +6 +7 +9"},
		{"hash-not-known", []flow.Point{point(6, 0)}, "+7 +9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := read(t, dir, c.known...)
			if err != nil {
				t.Fatal(err)
			}
			if got := tell(steps); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

func TestDamageNamesItsPlace(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"truncated", map[string]string{"a.json": block(7, 70, 60) + "\n" + block(8, 80, 70)[:60]}, []string{"a.json", "byte 213", "unexpected EOF"}},
		{"truncated-gz", map[string]string{"a.json": "\x1f\x8b\x08"}, []string{"a.json", "EOF"}},
		{"garbage", map[string]string{"a.json": block(7, 70, 60) + "?"}, []string{"a.json", "byte 212", `'?'`}},
		{"bad-json", map[string]string{"a.json": `{"number":}`}, []string{"a.json", "byte 0", "invalid character"}},
		{"branches", map[string]string{"a.json": block(7, 70, 60), "b.json": block(7, 71, 60)}, []string{"a.json", "b.json", "block 7", "two branches"}},
		{"foreign-receipts", map[string]string{"a.json": `{"block":` + block(7, 70, 60) + `,"receipts":[` + receipt(8, 80, 1) + "]}"}, []string{"a.json", "another block"}},
		{"whose-frames", map[string]string{"a.json": answer(`[{"result":{"type":"CALL"}}]`)}, []string{"a.json", "of which block"}},
		{"nothing", map[string]string{"a.json": answer(`"0x1"`)}, []string{"no blocks"}},
		{"nested", map[string]string{"a.json": strings.Repeat(`{"jsonrpc":1,"result":`, 100) + "1" + strings.Repeat("}", 100)}, []string{"a.json", "answers inside"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := read(t, folder(t, c.files))
			if err == nil {
				t.Fatalf("no error, steps %s", tell(steps))
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not contain %q", err, w)
				}
			}
		})
	}
	if _, err := Open([]string{filepath.Join(t.TempDir(), "none")}, Config{}); err == nil {
		t.Error("a path that is not there is no error")
	}
	if _, err := Open(nil, Config{Chain: flow.Bitcoin}); err == nil {
		t.Error("Bitcoin is no EVM chain")
	}
	dir := folder(t, map[string]string{"a.json": block(7, 70, 60)})
	s, err := Open([]string{dir}, Config{MaxDocument: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Steps(t.Context(), nil) {
		if err == nil || !strings.Contains(err.Error(), "longer than 100 bytes") {
			t.Errorf("a document of 212 bytes: %v", err)
		}
	}
}

// TestDocumentsAreReadBackByPlace reads blocks that lie in any order in plain and packed files.
func TestDocumentsAreReadBackByPlace(t *testing.T) {
	rapid.Check(t, func(t2 *rapid.T) {
		heights := rapid.SliceOfNDistinct(rapid.IntRange(1, 200), 1, 12, rapid.ID).Draw(t2, "heights")
		files := map[string]string{}
		for _, n := range heights {
			name := rapid.SampledFrom([]string{"a.json", "b.ndjson.gz", "c.json"}).Draw(t2, "file")
			files[name] += block(n, n, n-1, n) + rapid.SampledFrom([]string{"", "\n", " \r\n\t"}).Draw(t2, "space")
		}
		steps, err := read(t, folder(t, files))
		if err != nil {
			t2.Fatal(err)
		}
		if len(steps) != len(heights) {
			t2.Fatalf("%d steps from %d blocks", len(steps), len(heights))
		}
		for i, s := range steps {
			n := int(s.Block.Point.Height)
			if i > 0 && s.Block.Point.Height <= steps[i-1].Block.Point.Height {
				t2.Fatalf("out of order: %s", tell(steps))
			}
			if want := `{"block":` + block(n, n, n-1, n) + "}"; string(s.Block.Raw) != want {
				t2.Fatalf("block %d is %s; want %s", n, s.Block.Raw, want)
			}
		}
	})
}

func TestStepsStopWithTheirContext(t *testing.T) {
	s, err := Open([]string{folder(t, map[string]string{"a.json": block(7, 70, 60)})}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Steps(ctx, nil) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
}

func FuzzSteps(f *testing.F) {
	f.Add([]byte(answer(block(7, 70, 60, 1)) + answer("["+receipt(7, 70, 1)+"]")))
	f.Add([]byte(`{"block_number":7,"traces":[` + trace(7, 70, 1, "") + `],"receipts":[]}`))
	f.Add([]byte("[" + answer("["+trace(7, 70, 1, "0")+"]") + "]"))
	f.Add([]byte(`{"a\"_b":1,"block_number":"0x7","transaction_traces":[{"type":"CALL","from":"0x"}]}`))
	f.Add([]byte(`{"params":["0x7"],"result":[{"topics":[],"blockNumber":7}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		steps, err := read(t, path)
		for _, s := range steps {
			if !json.Valid(s.Block.Raw) {
				t.Errorf("block %d is no JSON: %s (%v)", s.Block.Point.Height, s.Block.Raw, err)
			}
		}
	})
}

func FuzzParts(f *testing.F) {
	f.Add([]byte(answer(block(7, 70, 60, 1)) + answer("["+receipt(7, 70, 1)+"]")))
	f.Add([]byte(`{"block_number":7,"traces":[` + trace(7, 70, 1, "") + `],"receipts":[]}`))
	f.Add([]byte(`[{"a\"_b":1,"block_number":"0x7","transaction_traces":[{"type":"CALL","from":"0x"}]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		end := int64(0)
		for doc, err := range documents(bytes.NewReader(b), 1<<16) {
			if err != nil {
				return
			}
			if doc.offset < end || !bytes.Equal(b[doc.offset:doc.offset+int64(len(doc.text))], doc.text) {
				t.Fatalf("the document at byte %d is %q", doc.offset, doc.text)
			}
			end = doc.offset + int64(len(doc.text))
			parts, err := partsOf(doc.text)
			if err != nil {
				continue
			}
			for _, p := range parts {
				if !json.Valid(p.raw) {
					t.Errorf("a part of %q is %q", doc.text, p.raw)
				}
			}
		}
	})
}
