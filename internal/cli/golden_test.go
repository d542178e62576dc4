package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spoor-dev/spoor/engine"
)

// hashes are those of results, which the scenarios hold: here the form counts.
var hashes = regexp.MustCompile(`(result |"hash": ")[0-9a-f]{64}`)

// golden compares got with a file in testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = hashes.ReplaceAllString(got, "${1}HASH")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed; -update rewrites it. It is now\n%s", path, got)
	}
}

// hostileLabels are what somebody who wants to be mislabelled would write.
func hostileLabels(t *testing.T) string {
	return writeText(t, "labels.csv", "address,label,category,is_service\n"+
		"text:eth:shop,=cmd|' /C calc'!A0,\"exch\x1b]0;owned\aange\n\",1\n"+
		"text:eth:next,\"</data></node>&amp;]]><![CDATA[\x00\x08\u202egpj.exe\u200b\xff\",,0\n"+
		"text:eth:last,\""+strings.Repeat("A very long name. ", 1<<16)+"\",,0\n"+
		"text:eth:thief,\"\t@SUM(1+1)*cmd\",,0\n")
}

func hostileTrace(t *testing.T) []string {
	return []string{"trace", "--store", smallStore(t), "--from", "text:eth:thief", "--labels", hostileLabels(t)}
}

func TestGoldenTable(t *testing.T) {
	golden(t, "table.txt", done(t, append(hostileTrace(t), "--policy", "all")...))
}

func TestGoldenFolder(t *testing.T) {
	out := filepath.Join(t.TempDir(), "a", "case")
	done(t, append(hostileTrace(t), "-q", "--out", out)...)
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != 8 {
		t.Fatalf("%v, %v; want the eight files and nothing else", entries, err)
	}
	for _, name := range []string{"transfers.csv", "addresses.csv", "minor.csv", "sinks.csv", "deposits.csv", "graph.graphml", "findings.json", "summary.json"} {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, string(text))
		if !utf8.Valid(text) {
			t.Errorf("%s is not UTF-8", name)
		}
		if name != "summary.json" && bytes.ContainsAny(text, "\x00\x08\x1b\a\u202e\u200b") {
			t.Errorf("%s holds control characters of a label", name)
		}
		if len(text) > 20_000 {
			t.Errorf("%s has %d bytes: a long label is in it", name, len(text))
		}
	}
	for _, name := range []string{"transfers.csv", "addresses.csv", "sinks.csv"} {
		checkSpreadsheet(t, filepath.Join(out, name))
	}
	checkSums(t, out)
}

// checkSpreadsheet reads a CSV file back: every row has the columns of the header, and no cell is a formula.
func checkSpreadsheet(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", path, len(rows), err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r") {
				t.Errorf("%s: a spreadsheet would run %q", filepath.Base(path), cell)
			}
		}
	}
}

// checkSums adds the claims of addresses.csv up: with the sinks that have no account they are what was stolen.
func checkSums(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "addresses.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for column, name := range rows[0] {
		if !strings.HasPrefix(name, "claim_") {
			continue
		}
		sum := new(big.Int)
		for _, row := range rows[1:] {
			v, ok := new(big.Int).SetString(row[column], 10)
			if !ok {
				t.Fatalf("%s: %q", name, row[column])
			}
			sum.Add(sum, v)
		}
		if sum.String() != "90" {
			t.Errorf("%s adds up to %s; want the 90 that were stolen", name, sum)
		}
	}
}

func TestGraphMLIsWellFormedWithHostileNames(t *testing.T) {
	text := done(t, append(hostileTrace(t), "--graphml")...)
	d := xml.NewDecoder(strings.NewReader(text))
	nodes, refs, labels := map[string]bool{}, []string{}, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, text)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range start.Attr {
			switch {
			case start.Name.Local == "node" && a.Name.Local == "id":
				if nodes[a.Value] {
					t.Errorf("node %s twice", a.Value)
				}
				nodes[a.Value] = true
			case a.Name.Local == "source" || a.Name.Local == "target":
				refs = append(refs, a.Value)
			case a.Name.Local == "key" && a.Value == "node_label":
				labels++
			}
		}
	}
	if len(refs) != 6 || labels != 4 {
		t.Errorf("%d ends of edges, %d labels; want 6 and 4", len(refs), labels)
	}
	for _, r := range refs {
		if !nodes[r] {
			t.Errorf("an edge ends at %s, which is no node", r)
		}
	}
	// The name is there as text, not as markup.
	var g graphML
	if err := xml.Unmarshal([]byte(text), &g); err != nil || !strings.Contains(text, "&lt;/data&gt;&lt;/node&gt;&amp;amp;") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestSummaryIsTheAnswerWithoutItsRows(t *testing.T) {
	out := t.TempDir()
	args := append(hostileTrace(t), "-q", "--out", out, "--json")
	var whole, short engine.Answer
	if err := json.Unmarshal([]byte(done(t, args...)), &whole); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &short); err != nil {
		t.Fatal(err)
	}
	if short.Report.Hash != whole.Report.Hash || short.Report.Hash.IsZero() || len(whole.Report.Results[0].Edges) == 0 || len(short.Report.Results[0].Edges) != 0 {
		t.Errorf("summary %s of %s", short.Report.Hash, whole.Report.Hash)
	}
	if len(engine.Broken(whole.Report)) > 0 {
		t.Error(engine.Broken(whole.Report))
	}
}

func TestAFailedWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sinks.csv")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := writeFile(path, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return errFull
	})
	if !errors.Is(err, errFull) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v; want %v", err, errFull)
	}
	text, err := os.ReadFile(path)
	entries, _ := os.ReadDir(dir)
	if err != nil || string(text) != "old" || len(entries) != 1 {
		t.Errorf("the file holds %q, %v; the folder %v", text, err, entries)
	}
	if err := writeFile(filepath.Join(dir, "no", "x"), func(io.Writer) error { return nil }); err == nil {
		t.Error("a file in a folder that is not there was written")
	}
	if err := writeFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "new" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// On a disk that is full every file fails as a whole.
func TestWriteToAFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("absent: /dev/full")
	}
	defer full.Close()
	var errs bytes.Buffer
	code := Main(t.Context(), []string{"trace", "--store", smallStore(t), "--from", "text:eth:thief"}, full, &errs)
	if code != 1 || !strings.Contains(errs.String(), "hint: free some room") {
		t.Errorf("exit %d, %s", code, &errs)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"Exchange X": "Exchange X", "a\x1b[2Jb": "a·[2Jb", "a\nb\tc": "a·b·c", "\u202egpj": "·gpj", "日本 ü": "日本 ü", "\xff": "\ufffd", "": "",
		strings.Repeat("ä", 200): strings.Repeat("ä", 200), strings.Repeat("ä", 201): strings.Repeat("ä", 200) + "…",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%.40q) = %.40q; want %.40q", in, got, want)
		}
	}
	for in, want := range map[string]string{"=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\t=1": "·=1", "a=1": "a=1", "": ""} {
		if got := cell(in); got != want {
			t.Errorf("cell(%q) = %q; want %q", in, got, want)
		}
	}
}
