package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/finding"
)

const whole = `
store: data
labels: [labels.csv]
chains:
  - chain: eip155:1
    nodes:
      - url: https://one.example
        ws: wss://one.example/ws
      - url_file: secrets/two
        private: true
    from: 19000000
    give_up: 0s
cases:
  - id: harvest
    theft: cases/harvest.json
lists:
  - name: treasury
    accounts: ["0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"]
    severity: high
    dormant: 30d
contacts: {Binance: "ops@example"}
alerts:
  routes:
    - sinks: []
disk: {low: 1GiB, ballast: 64MiB}
`

func TestReadsWhatIsWritten(t *testing.T) {
	c, err := config.Parse([]byte(strings.Replace(whole, "  routes:\n    - sinks: []\n", "  margin: 3\n", 1)), "/etc/spoor")
	if err != nil {
		t.Fatal(err)
	}
	if c.Store != "/etc/spoor/data" || c.Cases[0].Theft != "/etc/spoor/cases/harvest.json" || c.Chains[0].Nodes[1].URLFile != "/etc/spoor/secrets/two" {
		t.Errorf("paths are %q, %q, %q; want them below the file's folder", c.Store, c.Cases[0].Theft, c.Chains[0].Nodes[1].URLFile)
	}
	ch := c.Chains[0]
	if *ch.GiveUp != 0 || ch.Poll != config.Duration(time.Second) || ch.Confirmations != 64 || !*ch.Fill || ch.Nodes[0].Traces != "auto" {
		t.Errorf("chain = %+v", ch)
	}
	if c.Lists[0].Dormant != config.Duration(30*24*time.Hour) || c.Lists[0].Severity != finding.High || c.Cases[0].Budget != 1_000_000 {
		t.Errorf("list = %+v, case = %+v", c.Lists[0], c.Cases[0])
	}
	if c.Disk.Low != 1<<30 || c.Disk.Resume != 3<<29 || *c.Disk.Ballast != 64<<20 || c.Alerts.Margin != 3 {
		t.Errorf("disk = %+v, alerts = %+v", c.Disk, c.Alerts)
	}
}

func TestSaysWhatIsWrong(t *testing.T) {
	chain := "chains:\n  - chain: eip155:1\n    nodes: [{url: \"https://a.example\"}]\n"
	for _, c := range []struct{ text, want string }{
		{"stor: x", "line 1: there is no key stor here"},
		{"store: x\n---\nstore: y", "a second document"},
		{"chains:\n  - chain: eip155:1\n", "chains[0].nodes: a chain needs at least one node"},
		{chain + "    from: tomorrow", `chains[0].from: "tomorrow" is neither a height nor head`},
		{chain + "    agree: 2", "chains[0].agree: 2 of 1 nodes"},
		{chain + strings.TrimPrefix(chain, "chains:\n"), "eip155:1 stands there twice"},
		{"chains:\n  - chain: text:x\n    nodes: [{url: \"https://a.example\"}]\n", "text:x cannot be followed"},
		{"chains:\n  - chain: eip155:1\n    nodes: [{url: \"https://me:secret@a.example\"}]\n", "chains[0].nodes[0].url: a user or password"},
		{"chains:\n  - chain: eip155:1\n    nodes: [{url: \"ftp://a.example\"}]\n", "not an address that begins with http:// or https://"},
		{"chains:\n  - chain: eip155:1\n    nodes: [{}]\n", "either url or url_file"},
		{"lists:\n  - name: a\n    accounts: [\"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB4\"]\n", "lists[0].accounts[0]"},
		{"lists:\n  - name: a\n    file: x\ncases:\n  - id: a\n    theft: t\n", "is the name of"},
		{"alerts:\n  routes:\n    - sinks: [ops]\n", `there is no sink "ops"`},
		{"alerts:\n  sinks:\n    - name: ops\n      file: {path: x}\n      quiet: [{from: \"25:00\", to: \"07:00\"}]\n", `from: "25:00" is not HH:MM`},
		{"disk: {low: 3GiB, resume: 1GiB}", "disk.resume: 1GiB is less than disk.low (3GiB)"},
		{"disk: {low: -1}", "size \"-1\": write it like"},
		{"store: x\nalerts: {max_age: soon}", `line 2: duration "soon": write it like`},
		{"store: x\nchains:\n  - chain: 17", `line 3: chain "17": not a CAIP-2 identifier`},
		{"lists:\n  - name: a\n    severity: huge\n    file: x", "line 3: "},
		{"chains:\n  - chain: eip155:1\n    nodes: many\n    agre: 2", "line 3: cannot unmarshal"},
	} {
		_, err := config.Parse([]byte(c.text), ".")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%q: the error tells the password: %v", c.text, err)
		}
	}
}

// TestDefaultsAreAsDocumented: what a key's doc says about its default is what is in force.
func TestDefaultsAreAsDocumented(t *testing.T) {
	c, err := config.Parse([]byte(`{chains: [{chain: "eip155:1", nodes: [{url: "https://a.example"}]}], cases: [{theft: t}],
lists: [{name: l, file: f}], alerts: {sinks: [{name: s, file: {path: x}, quiet: [{from: "22:00", to: "06:00"}]}], routes: [{sinks: [s]}]}}`), ".")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := c.Write(&text); err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(text.String()) {
		if key, value, ok := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "- "), ":"); ok && strings.TrimSpace(value) != "" {
			lines[key] += " " + strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	for _, k := range config.Keys() {
		name := k.Path[strings.LastIndexByte(k.Path, '.')+1:]
		switch k.Default {
		case "", "all", "false", "0":
			continue
		}
		if strings.Contains(k.Default, "the ") || strings.Contains(k.Default, "its ") || strings.HasPrefix(k.Path, "alerts.sinks") {
			continue // said in words, or the sink's own
		}
		said := strings.Replace(k.Default, "72h", "72h0m0s", 1)
		said = strings.Replace(said, "2m", "2m0s", 1)
		said = strings.Replace(said, "90d", "2160h0m0s", 1)
		if name == "max_age" && said != "72h0m0s" || !strings.Contains(lines[name]+" ", " "+said+" ") {
			t.Errorf("%s: documented as %q, in force is%s", k.Path, k.Default, lines[name])
		}
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	for _, k := range config.Keys() {
		if k.Doc == "" {
			t.Errorf("%s has no doc tag", k.Path)
		}
	}
	var all bytes.Buffer
	if err := config.Explain(&all, "chains[].nodes"); err != nil || !strings.Contains(all.String(), "cookie_file") {
		t.Errorf("explain chains[].nodes: %v\n%s", err, all.String())
	}
	if err := config.Explain(&all, "nothing"); err == nil {
		t.Error("a key that is not there is explained")
	}
}

// TestSchemaKnowsEveryKey: a schema that lags behind would refuse good files.
func TestSchemaKnowsEveryKey(t *testing.T) {
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for _, k := range config.Keys() {
		at := schema
		for _, part := range strings.Split(k.Path, ".") {
			properties, _ := at["properties"].(map[string]any)
			next, ok := properties[strings.TrimSuffix(part, "[]")].(map[string]any)
			if !ok {
				t.Fatalf("schema lacks %s", k.Path)
			}
			if items, ok := next["items"].(map[string]any); ok && strings.HasSuffix(part, "[]") {
				next = items
			}
			at = next
		}
	}
}

func TestReadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spoor.yaml")
	if err := os.WriteFile(path, []byte("chains: 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Read(path); err == nil || !strings.Contains(err.Error(), "spoor.yaml") {
		t.Errorf("error %v does not name the file", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("{chains: [{nodes: [{header_files: {a: b}}]}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse(text, "/x")
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(b.Bytes(), "/x"); err != nil {
			t.Fatalf("what is written cannot be read: %v\n%s", err, b.String())
		}
	})
}
