package sim

import (
	"compress/gzip"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
)

// At every account the claim that came is the claim that went and the claim that is there.
func TestClaimFlowsThroughTheTruth(t *testing.T) {
	for i, name := range []string{"peel-tree", "commingled", "bridge-mix", "patterns"} {
		c := small(name, uint64(30+i))
		c.Transfers = 2000
		dir, sum := generate(t, c)
		in, out := map[string]flow.Amount{}, map[string]flow.Amount{}
		add := func(m map[string]flow.Amount, who, v string) { m[who] = plus(m[who], amount(t, v)) }
		for _, th := range sum.Thefts {
			add(in, th.Source, th.Amount)
		}
		for _, m := range read(t, dir, "truth/truth_transfers.csv.gz") {
			add(out, m["from"], m["claim"])
			add(in, m["to"], m["claim"])
			if amount(t, m["amount_base_units"]).Less(amount(t, m["stolen_units"])) {
				t.Errorf("%s: transfer %s carries more stolen units than units", name, m["tx_hash"])
			}
			if m["reachable"] != "1" && m["behind"] == "" {
				t.Errorf("%s: transfer %s cannot be reached, and lies behind nothing", name, m["tx_hash"])
			}
		}
		for _, m := range read(t, dir, "truth/holdings.csv") {
			add(out, m["account"], m["claim"])
		}
		for _, m := range read(t, dir, "truth/sinks.csv") {
			who := m["via"]
			if who == "" {
				who = m["service"]
			}
			add(out, who, m["claim"])
		}
		for who, v := range in {
			if out[who] != v {
				t.Errorf("%s, seed %d: claim of %s came to %s; %s went or is there", name, c.Seed, v, who, out[who])
			}
		}
		if len(in) < 20 {
			t.Errorf("%s: the claim came to %d accounts; too few for a test", name, len(in))
		}
	}
}

func TestPatternsHaveTheirShape(t *testing.T) {
	c := small("patterns", 9)
	c.Days, c.Ordinary = 60, 0
	dir, _ := generate(t, c)
	seen := map[string]int{}
	carried := map[string]bool{}
	for _, m := range read(t, dir, "truth/truth_transfers.csv.gz") {
		carried[m["tx_hash"]] = true
	}
	for _, m := range read(t, dir, "truth/patterns.csv") {
		accounts, txs := len(strings.Fields(m["accounts"])), strings.Fields(m["transactions"])
		if len(txs) == 0 {
			continue // its time had not come
		}
		seen[m["pattern"]]++
		var want [2]int // accounts, transactions of the widths that the scenario asks for
		switch m["pattern"] {
		case "cycle":
			want = [2]int{5, 5}
		case "scatter-gather":
			want = [2]int{8, 12}
		case "fan-out":
			want = [2]int{4, 3}
		case "gather-scatter":
			want = [2]int{7, 6}
		case "fan-in":
			want = [2]int{4, 3}
		case "bipartite":
			want = [2]int{6, 9}
		case "stack":
			want = [2]int{6, 8}
		case "random":
			if accounts < 2 || accounts > 5 || len(txs) > 8 {
				t.Errorf("random: %d accounts, %d transactions; want 2 to 5, at most 8", accounts, len(txs))
			}
			want = [2]int{accounts, len(txs)}
		}
		if got := [2]int{accounts, len(txs)}; got != want {
			t.Errorf("%s %s: accounts and transactions %v; want %v", m["pattern"], m["instance"], got, want)
		}
		for _, x := range txs {
			if !carried[x] {
				t.Errorf("%s: transaction %s carried nothing", m["pattern"], x)
			}
		}
	}
	for _, name := range Patterns() {
		if seen[name] == 0 {
			t.Errorf("no %s was planted", name)
		}
	}
}

// The knobs do what they say.
func TestDisguises(t *testing.T) {
	c := small("disguised", 2)
	c.Mule, c.Decoys, c.Dust, c.Transfers = 900, 2, 50, 20_000
	dir, sum := generate(t, c)
	if sum.Kinds["puppet"] != c.Mule || sum.Kinds["decoy"] == 0 || sum.Kinds["dusting"] < c.Dust*9/10 {
		t.Errorf("kinds %v; want %d puppets, some decoys, %d dustings", sum.Kinds, c.Mule, c.Dust)
	}
	rows := transfers(t, dir, sum)
	source := sum.Thefts[0].Source
	payers := map[string]map[string]bool{}
	partners := map[string]map[string]bool{}
	for _, m := range rows {
		for _, way := range [][2]string{{"from", "to"}, {"to", "from"}} {
			of := m[way[0]]
			if partners[of] == nil {
				partners[of] = map[string]bool{}
			}
			partners[of][m[way[1]]] = true
		}
		if payers[m["to"]] == nil {
			payers[m["to"]] = map[string]bool{}
		}
		payers[m["to"]][m["from"]] = true
	}
	mule := ""
	for _, m := range read(t, dir, "truth/truth_transfers.csv.gz") {
		if m["step"] == "mule" {
			mule = m["to"]
			if m["from"] != source || m["claim"] == "0" {
				t.Errorf("the mule is paid %s by %s; want the loot by %s", m["claim"], m["from"], source)
			}
		}
	}
	if n := len(payers[mule]); n < 250 {
		t.Errorf("%d accounts pay the mule; want 300 puppets", n)
	}
	labelled := map[string]bool{}
	for _, m := range read(t, dir, "labels.csv") {
		labelled[m["address"]] = m["is_service"] == "1"
	}
	w := newWorld(c.withDefaults())
	unknown, fresh := 0, 0
	for _, s := range w.services {
		hot := w.addressText(s.hot)
		if labelled[hot] != s.labelled {
			t.Errorf("%s: label %v; want %v", s.name(), labelled[hot], s.labelled)
		}
		if s.from > 0 {
			fresh++
			for _, m := range rows {
				if block, _ := strconv.ParseUint(m["block_number"], 10, 64); (m["to"] == hot || m["from"] == hot) && block < heightOf(0, w.start()) {
					t.Fatalf("the fresh exchange deals before the theft")
				}
			}
		}
		if s.clients > 0 {
			unknown++
		}
	}
	if unknown != 4 || fresh != 1 {
		t.Errorf("%d small hubs, %d fresh exchanges; want 4, the fresh one among them, and 1", unknown, fresh)
	}
	paid := map[string]bool{}
	for _, m := range read(t, dir, "truth/sinks.csv") {
		paid[m["service"]] = true
	}
	if s := w.of("exchange"); len(s) != exchanges {
		t.Errorf("%d exchanges before the theft; want %d", len(s), exchanges)
	}
	if len(paid) < 3 {
		t.Errorf("the loot ends at %d services; want several", len(paid))
	}
}

// Own money beside the loot is the share that was asked for.
func TestCommingleShare(t *testing.T) {
	for _, share := range []int{10, 50, 90} {
		c := small("peel-tree", 8)
		c.Program = Program{{Op: Steal, Amount: 100, Asset: "ETH"}, {Op: Commingle, Own: share}, {Op: Pays, Rule: Mixed}, {Op: Hop, N: 1}}
		c.Ordinary, c.Transfers = 0, 100
		dir, _ := generate(t, c)
		var stolen flow.Amount
		for _, m := range read(t, dir, "truth/truth_transfers.csv.gz") {
			if m["step"] == "hop" {
				stolen = plus(stolen, amount(t, m["stolen_units"]))
			}
		}
		for _, m := range read(t, dir, "truth/truth_transfers.csv.gz") {
			if m["step"] == "deposit" {
				stolen = plus(stolen, amount(t, m["stolen_units"]))
			}
		}
		if want := scaled(100, 1e18); stolen.Less(times(want, 99, 100)) || want.Less(stolen) {
			t.Errorf("share %d: %s stolen units went on; want nearly %s", share, stolen, want)
		}
	}
}

// The files have the columns of the planted cases, so that the same tools read both.
func TestFormOfThePlantedCases(t *testing.T) {
	planted := measure.Path(t, "data/onchain/launder-net-planted/atomic")
	dir, _ := generate(t, small("peel-tree", 1))
	for _, name := range []string{"transfers.csv.gz", "labels.csv", "sources.csv", "truth/truth_transfers.csv.gz", "truth/truth_addresses.csv",
		"truth/neutral_transfers.csv.gz", "truth/services.csv"} {
		want, got := columns(t, filepath.Join(planted, name)), columns(t, filepath.Join(dir, name))
		for i, column := range want {
			if strings.HasPrefix(column, "case_") {
				continue // of the real case behind a planted one
			}
			if i >= len(got) || got[i] != column {
				t.Errorf("%s has the columns %v; want %v first", name, got, want)
				break
			}
		}
		if !strings.HasPrefix(name, "truth") && !slices.Equal(got, want) {
			t.Errorf("%s has the columns %v; want %v", name, got, want)
		}
	}
}

func columns(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		r = csv.NewReader(z)
	}
	row, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	return row
}
