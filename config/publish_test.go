package config_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/config"
)

var update = flag.Bool("update", false, "rewrite docs/formats/config.md and config.schema.json; then read the diff")

const preface = `# The configuration

What ` + "`spoor watch --config FILE`" + ` reads: one YAML document of at most 8 MiB, in which unknown keys are errors and relative
paths are relative to the file. A key that is left out has the value under "if left out". This page is written by
` + "`go test ./config -update`" + ` from the code; ` + "`spoor config explain`" + ` says the same, ` + "`spoor config check FILE`" + ` says what is wrong, and
` + "[config.schema.json](config.schema.json)" + ` is for editors. An example with remarks is [deploy/spoor.yaml](../../deploy/spoor.yaml).

A duration is written like ` + "`250ms`, `30s`, `5m`, `72h` or `30d`" + `, a size like ` + "`512MiB`, `2GiB` or `1000000`" + `, a severity is ` + "`info`, `low`," + `
` + "`medium`, `high` or `critical`" + `, a chain is a CAIP-2 identifier. The durations and sizes of ` + "`alerts.sinks[]`" + ` kinds (` + "`timeout`, `lasts`, `max`" + `)
have no days, and no units of bytes. Keys that end in ` + "`_file`" + ` name a file; what is in it is never printed and never logged.

`

// page is docs/formats/config.md: one table for each section.
func page() string {
	var sections []string
	rows := map[string]*strings.Builder{}
	for _, k := range config.Keys() {
		section, name := "", k.Path
		if i := strings.LastIndexByte(k.Path, '.'); i >= 0 {
			section, name = k.Path[:i], k.Path[i+1:]
		}
		if rows[section] == nil {
			sections, rows[section] = append(sections, section), &strings.Builder{}
		}
		fmt.Fprintf(rows[section], "| `%s` | %s | %s | %s |\n", name, k.Type, strings.ReplaceAll(k.Doc, "|", "\\|"), k.Default)
	}
	var b strings.Builder
	b.WriteString(preface)
	for _, s := range sections {
		title := "`" + s + "`"
		if s == "" {
			title = "The file"
		}
		fmt.Fprintf(&b, "## %s\n\n| key | what it is | meaning | if left out |\n|---|---|---|---|\n%s\n", title, rows[s])
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// TestPublished: the page and the schema that people read are those of the code.
func TestPublished(t *testing.T) {
	schema, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"config.md": []byte(page()), "config.schema.json": append(schema, '\n')} {
		path := filepath.Join("..", "docs", "formats", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("docs/formats/%s is not what the code says: go test ./config -update, then read the diff", name)
		}
	}
}

// TestExampleCanBeUsed: the configuration that we hand out has no mistake, and shows every kind of thing.
func TestExampleCanBeUsed(t *testing.T) {
	c, err := config.Read(filepath.Join("..", "deploy", "spoor.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Chains) != 2 || len(c.Cases) == 0 || len(c.Lists) == 0 || len(c.Contacts) == 0 || len(c.Alerts.Sinks) < 3 || len(c.Alerts.Routes) < 2 || c.Disk.Low == 0 {
		t.Errorf("the example shows too little: %+v", c)
	}
	if !strings.HasSuffix(c.Cases[0].Theft, filepath.Join("deploy", "cases")) {
		t.Errorf("cases are in %s, want a folder beside the file", c.Cases[0].Theft)
	}
}
