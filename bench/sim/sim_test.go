package sim

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// small is a case that takes a moment.
func small(name string, seed uint64) Config {
	s, err := FindScenario(name)
	if err != nil {
		panic(err)
	}
	c := s.Config
	c.Seed, c.Accounts, c.Transfers = seed, 2000, 8000
	c.Days = 10
	return c
}

func generate(t testing.TB, c Config) (string, Summary) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "case")
	sum, err := Write(t.Context(), dir, c, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir, sum
}

// read reads a CSV of a case, each row by its columns.
func read(t testing.TB, dir, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(name, err)
	}
	all := make([]map[string]string, 0, len(rows))
	for _, row := range rows[1:] {
		m := make(map[string]string, len(row))
		for i, h := range rows[0] {
			m[h] = row[i]
		}
		all = append(all, m)
	}
	return all
}

func amount(t testing.TB, s string) flow.Amount {
	t.Helper()
	v, err := flow.ParseAmount(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func transfers(t testing.TB, dir string, sum Summary) []map[string]string {
	var all []map[string]string
	for _, table := range sum.Tables {
		all = append(all, read(t, dir, table.File)...)
	}
	return all
}

// Whoever pays has it: from the tables and the opening balances alone.
func TestNobodySpendsWhatHeDoesNotHave(t *testing.T) {
	for i, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			c := small(s.Name, uint64(10+i))
			c.Mule = min(c.Mule, 300)
			c.Poison = 500
			dir, sum := generate(t, c)
			have := map[string]flow.Amount{}
			key := func(m map[string]string, who string) string { return m["chain"] + " " + m[who] + " " + m["asset"] }
			for _, m := range read(t, dir, "truth/opening.csv.gz") {
				k := key(m, "account")
				have[k] = plus(have[k], amount(t, m["amount_base_units"]))
			}
			forged := map[string]bool{}
			for _, m := range read(t, dir, "truth/poison.csv.gz") {
				if m["kind"] == "counterfeit" {
					forged[m["tx_hash"]+" "+m["log_index"]] = true
				}
			}
			for n, m := range transfers(t, dir, sum) {
				if forged[m["tx_hash"]+" "+m["log_index"]] {
					continue // a contract that lies needs no balance
				}
				v := amount(t, m["amount_base_units"])
				from := key(m, "from")
				left, ok := have[from].Sub(v)
				if !ok {
					t.Fatalf("seed %d, row %d: %s pays %s of %s", c.Seed, n+2, from, v, have[from])
				}
				have[from] = left
				to := key(m, "to")
				have[to] = plus(have[to], v)
			}
			// What the truth says is held must be there.
			for _, m := range read(t, dir, "truth/holdings.csv") {
				if k := key(m, "account"); have[k].Less(amount(t, m["stolen_units"])) {
					t.Errorf("seed %d: %s stolen units at %s, which has %s", c.Seed, m["stolen_units"], k, have[k])
				}
			}
			for _, m := range read(t, dir, "truth/sinks.csv") {
				who := "service"
				if m["swept"] == "0" {
					who = "via"
				}
				if k := key(m, who); have[k].Less(amount(t, m["stolen_units"])) {
					t.Errorf("seed %d: %s stolen units in sink %s, which has %s", c.Seed, m["stolen_units"], k, have[k])
				}
			}
		})
	}
}

// Claims at the end are what was stolen, for every theft, to the unit.
func TestClaimsAddUp(t *testing.T) {
	for i, s := range Scenarios() {
		for k, rule := range []Rule{StolenFirst, OwnFirst, Mixed, AnyRule} {
			c := small(s.Name, uint64(100*k+i))
			c.Transfers, c.Pays, c.Commingle, c.Mule = 500, rule, 10+20*k, min(c.Mule, 50)
			dir, sum := generate(t, c)
			claims := map[string]flow.Amount{}
			for _, name := range []string{"truth/holdings.csv", "truth/sinks.csv"} {
				for _, m := range read(t, dir, name) {
					claims[m["theft"]] = plus(claims[m["theft"]], amount(t, m["claim"]))
				}
			}
			if len(sum.Thefts) == 0 {
				t.Fatalf("%s: no theft", s.Name)
			}
			for _, th := range sum.Thefts {
				if got := claims[fmt.Sprint(th.Theft)].String(); got != th.Amount {
					t.Errorf("%s, %s, seed %d: theft %d: claims of %s; want %s", s.Name, rule, c.Seed, th.Theft, got, th.Amount)
				}
			}
		}
	}
}

func TestCaseIsReproducible(t *testing.T) {
	c := small("disguised", 5)
	c.Mule, c.Poison = 200, 300
	a, _ := generate(t, c)
	b, _ := generate(t, c)
	c.Seed++
	d, _ := generate(t, c)
	for _, name := range files() {
		one, err1 := os.ReadFile(filepath.Join(a, name))
		two, err2 := os.ReadFile(filepath.Join(b, name))
		if (err1 == nil) != (err2 == nil) || string(one) != string(two) {
			t.Errorf("%s differs between two runs", name)
		}
		if three, _ := os.ReadFile(filepath.Join(d, name)); name == "transfers.csv.gz" && string(one) == string(three) {
			t.Error("another seed gave the same transfers")
		}
	}
}

// Poison comes on top: without its rows the case is the one without poison.
func TestPoisonChangesNoOtherRow(t *testing.T) {
	c := small("commingled", 3)
	plain, without := generate(t, c)
	c.Poison = 20_000
	poisoned, with := generate(t, c)
	if got := with.Transfers - without.Transfers; got != c.Poison {
		t.Errorf("%d rows more; want %d", got, c.Poison)
	}
	poison := map[string]map[string]string{}
	for _, m := range read(t, poisoned, "truth/poison.csv.gz") {
		poison[m["tx_hash"]+" "+m["log_index"]] = m
	}
	if len(poison) != c.Poison {
		t.Errorf("%d rows of poison are listed; want %d", len(poison), c.Poison)
	}
	var rest []map[string]string
	kinds := map[string]int{}
	for _, m := range read(t, poisoned, "transfers.csv.gz") {
		p, ok := poison[m["tx_hash"]+" "+m["log_index"]]
		if !ok {
			rest = append(rest, m)
			continue
		}
		kinds[p["kind"]]++
		if l, i := p["lookalike"], p["imitates"]; l == i || l[:8] != i[:8] || l[len(l)-4:] != i[len(i)-4:] {
			t.Fatalf("%s does not look like %s", l, i)
		}
		v := amount(t, m["amount_base_units"])
		switch p["kind"] {
		case "zero-value":
			if !v.IsZero() {
				t.Fatalf("a zero-value transfer of %s", v)
			}
		case "sub-cent":
			as := usdt
			if m["asset"] == "ETH" {
				as = ether
			}
			if v.IsZero() || !as.cents(v).IsZero() {
				t.Fatalf("a sub-cent transfer of %s %s", v, m["asset"])
			}
		case "counterfeit":
			if slices.Contains(contracts[0][:], m["asset"]) {
				t.Fatalf("a counterfeit is the real %s", m["asset"])
			}
		}
	}
	if len(kinds) != 3 {
		t.Errorf("kinds of poison: %v; want three", kinds)
	}
	if base := read(t, plain, "transfers.csv.gz"); !slices.EqualFunc(base, rest, maps.Equal) {
		t.Error("poison changed other rows")
	}
	for _, name := range files() {
		if name == "params.json" || name == "transfers.csv.gz" || strings.HasSuffix(name, "poison.csv.gz") {
			continue
		}
		one, _ := os.ReadFile(filepath.Join(plain, name))
		two, _ := os.ReadFile(filepath.Join(poisoned, name))
		if string(one) != string(two) {
			t.Errorf("poison changed %s", name)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	c := small("peel-tree", 1)
	c.Transfers = 100
	dir := t.TempDir()
	other := filepath.Join(dir, "mine.txt")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), dir, c, false, nil); !errors.Is(err, ErrExists) {
		t.Errorf("Write to a folder with a file: %v; want ErrExists", err)
	}
	if _, err := Write(t.Context(), dir, c, true, nil); err != nil {
		t.Errorf("Write with force: %v", err)
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "mine" {
		t.Errorf("force touched another file: %q, %v", b, err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Commingle = 91 }, func(c *Config) { c.Accounts = -1 }, func(c *Config) { c.Program = nil },
		func(c *Config) { c.Pays = "last" }, func(c *Config) { c.Poison = -1 }, func(c *Config) { c.Days = 99999 },
	} {
		bad := c
		change(&bad)
		if _, err := Write(t.Context(), filepath.Join(dir, "x"), bad, false, nil); !errors.Is(err, ErrConfig) {
			t.Errorf("Write(%+v) = %v; want ErrConfig", bad, err)
		}
	}
}
