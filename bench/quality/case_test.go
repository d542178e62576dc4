package quality

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The small case: the thief pays a, a pays the shop; b pays nobody that matters.
const (
	thief = "0x00000000000000000000000000000000000000a1"
	alice = "0x00000000000000000000000000000000000000a2"
	shop  = "0x00000000000000000000000000000000000000a3"
	bob   = "0x00000000000000000000000000000000000000a4"
)

func tx(n int) string { return fmt.Sprintf("0x%064x", n) }

// More than the dust that a trace does not follow.
const (
	ether      = "1000000000000000000"
	sixTenths  = "600000000000000000"
	fourTenths = "400000000000000000"
)

// smallCase are the files of a planted case.
func smallCase() map[string]string {
	return map[string]string{
		"transfers.csv": "chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp\n" +
			"eip155:1,10,0," + tx(1) + "," + thief + "," + alice + ",ETH," + ether + ",100\n" +
			"eip155:1,11,0," + tx(2) + "," + alice + "," + shop + ",ETH," + ether + ",112\n" +
			"eip155:1,11,1," + tx(3) + "," + bob + "," + shop + ",ETH,7,112\n",
		"labels.csv":                  "address,label,category,is_service\n" + shop + ",a shop,exchange,1\n",
		"sources.csv":                 "address,start_block,start_timestamp\n" + thief + ",10,100\n",
		"truth/truth_transfers.csv":   "tx_hash,log_index,usd_cents,into_terminal,reachable\n" + tx(1) + ",0,500,0,1\n" + tx(2) + ",0,500,1,1\n",
		"truth/truth_addresses.csv":   "address,role,is_service\n" + thief + ",source,0\n" + alice + ",laundering,0\n" + shop + ",terminal,1\n",
		"truth/neutral_transfers.csv": "tx_hash,log_index,reason\n",
		"truth/services.csv":          "address\n" + shop + "\n",
		"truth/holdings.csv":          "theft,chain,account,asset,stolen_units,claim\n",
		"truth/sinks.csv": "theft,kind,service,via,chain,asset,stolen_units,claim,labelled,swept\n" +
			"0,exchange," + shop + ",,eip155:1,ETH,6," + sixTenths + ",1,0\n0,exchange," + shop + "," + bob + ",eip155:1,ETH,4," + fourTenths + ",1,1\n",
		"params.json": `{"thefts": [{"theft": 0, "asset": "ETH", "more": 1}]}`,
	}
}

func heistCase() map[string]string {
	return map[string]string{
		"all-tx.csv": "hash,from,to,value,timeStamp,blockNumber,tokenSymbol,contractAddress,isError,gasPrice,gasUsed\n" +
			tx(1) + "," + thief + "," + alice + "," + ether + ",100,10,,,0,,\n" + tx(2) + "," + alice + "," + shop + "," + ether + ",112,11,,,0,,\n",
		"all-address.csv": "\ufeffaddress,name_tag,label\n" + thief + ",ml_transit_0,heist\n" + alice + ",ml_transit_1,heist\n" + shop + ",\"Shop, the \"\"best\"\"\",exchange\n",
	}
}

// folder writes files below a new folder that ends in case/NAME.
func folder(t testing.TB, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cases", name)
	for f, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, dir string) (*Case, error) {
	t.Helper()
	folders, err := Find([]string{dir})
	if err != nil || len(folders) != 1 {
		t.Fatalf("%d cases in %s, %v; want 1", len(folders), dir, err)
	}
	return folders[0].Load(t.Context())
}

func TestSmallCases(t *testing.T) {
	for _, x := range []struct {
		kind  string
		files map[string]string
	}{{"planted", smallCase()}, {"heist", heistCase()}} {
		c, err := load(t, folder(t, x.kind, x.files))
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "cases/"+x.kind || c.Kind != x.kind || len(c.Truth.Find) != 1 || len(c.Truth.Given) != 1 || len(c.Truth.Services) != 1 {
			t.Errorf("%s: %+v", x.kind, c)
		}
		for r, err := range Run(t.Context(), c, Methods()) {
			if err != nil {
				t.Fatal(err)
			}
			if r.NodePrecision != 1 || r.NodeRecall != 1 || r.Visited != 3 || r.Hash.IsZero() {
				t.Errorf("%s, %s: %+v; want everything found", x.kind, r.Method, r)
			}
			if s := r.TransferScore; (s != nil) != (x.kind == "planted" && r.Method != "rank") {
				t.Errorf("%s, %s: transfers %+v", x.kind, r.Method, s)
			} else if s != nil && (s.Flow != 1 || s.Terminus != 1 || s.Precision != 1 || s.ValuePrecision != 1 || s.ValueRecall != 1) {
				t.Errorf("%s: %+v; want everything found", r.Method, s)
			}
			if says := x.kind == "planted" && !strings.Contains("poison rank reach-stops", r.Method); says != (r.ClaimError != nil) || says && *r.ClaimError != 0 {
				t.Errorf("%s, %s: error of claims %v", x.kind, r.Method, r.ClaimError)
			}
		}
	}
}

func TestBrokenCases(t *testing.T) {
	for _, x := range []struct{ name, file, from, to, want string }{
		{"unknown-transfer", "truth/truth_transfers.csv", tx(2), tx(9), "truth_transfers.csv: line 3: transfer " + tx(9)[2:] + " 0 is not in the case"},
		{"unknown-index", "truth/truth_transfers.csv", tx(2) + ",0", tx(2) + ",8", "truth_transfers.csv: line 3: transfer " + tx(2)[2:] + " 8 is not in the case"},
		{"twice", "truth/truth_transfers.csv", tx(2), tx(1), "line 3: transfer " + tx(1)[2:] + " 0 is named twice"},
		{"bad-hash", "truth/truth_transfers.csv", tx(2), "0x12", "line 3: tx_hash"},
		{"bad-index", "truth/truth_transfers.csv", tx(2) + ",0", tx(2) + ",-1", `line 3: log_index "-1"`},
		{"bad-cents", "truth/truth_transfers.csv", "0,500,1,1", "0,-500,1,1", `line 3: usd_cents "-500"`},
		{"huge-cents", "truth/truth_transfers.csv", "0,500,1,1", "0,9223372036854775807,1,1", "line 3: usd_cents"},
		{"bad-flag", "truth/truth_transfers.csv", "500,1,1", "500,perhaps,1", `line 3: into_terminal "perhaps"`},
		{"no-column", "truth/truth_transfers.csv", "usd_cents", "dollars", `the header has no column "usd_cents"`},
		{"empty", "truth/truth_addresses.csv", "*", "", "header"},
		{"bad-address", "truth/truth_addresses.csv", alice, "0xa2", "truth_addresses.csv: line 3"},
		{"bad-service", "truth/services.csv", shop, "shop", "services.csv: line 2"},
		{"bad-neutral", "truth/neutral_transfers.csv", "reason\n", "reason\nx,0,\n", "neutral_transfers.csv: line 2"},
		{"bad-claim", "truth/sinks.csv", sixTenths, "6e17", "sinks.csv: line 2: claim"},
		{"bad-account", "truth/holdings.csv", "claim\n", "claim\n0,eip155:1,0x00,ETH,1,1\n", "holdings.csv: line 2: account"},
		{"bad-swept", "truth/sinks.csv", "1,1\n", "1,maybe\n", "sinks.csv: line 3: swept"},
		{"bad-theft", "truth/sinks.csv", "0,exchange", "first,exchange", `sinks.csv: line 2: theft "first"`},
		{"no-theft", "truth/sinks.csv", "0,exchange", "7,exchange", "sinks.csv: line 2: theft 7: params.json names no such theft"},
		{"ticker", "params.json", "ETH", "USDT", "sinks.csv: line 2"},
		{"no-params", "params.json", "thefts", "stolen", "sinks.csv: line 2: theft 0: params.json names no such theft"},
		{"bad-units", "truth/truth_transfers.csv", "reachable\n", "reachable,stolen_units\n" + tx(1) + ",0,1,1,1,-4\n", "line 2: stolen_units"},
		{"open-quote", "truth/services.csv", shop, `"` + strings.Repeat("x", 2<<20), "quote that does not end"},
		{"no-sources", "sources.csv", thief + ",10,100\n", "", "sources.csv"},
		{"absent-thief", "sources.csv", thief, "0x00000000000000000000000000000000000000ff", "nothing of this theft"},
		{"no-header", "labels.csv", "address,", "who,", "labels"},
		{"only-header", "transfers.csv", "*", "chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp\n", "transfer"},
		{"no-transfers", "transfers.csv", "block_number", "height", "transfers.csv"},
	} {
		files := smallCase()
		before := files[x.file]
		if x.from == "*" {
			x.from = before
		}
		if files[x.file] = strings.Replace(before, x.from, x.to, 1); files[x.file] == before {
			t.Fatalf("%s changes nothing", x.name)
		}
		c, err := load(t, folder(t, x.name, files))
		if err == nil { // a theft that nobody saw is the methods' error
			for _, e := range Run(t.Context(), c, Methods()[:1]) {
				err = e
			}
		}
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "cases/"+x.name) {
			t.Errorf("%s: %v; want the case and %q", x.name, err, x.want)
		}
	}
	files := heistCase()
	files["all-address.csv"] = strings.Replace(files["all-address.csv"], "ml_transit_0", "ml_transit_1", 1)
	if _, err := load(t, folder(t, "nobody", files)); err == nil || !strings.Contains(err.Error(), "names no thief") {
		t.Errorf("a heist without a thief: %v", err)
	}
}

func TestFind(t *testing.T) {
	one, two := folder(t, "one", smallCase()), folder(t, "two", heistCase())
	half := smallCase()
	delete(half, "truth/truth_transfers.csv")
	hidden := folder(t, ".hidden/x", smallCase())
	folders, err := Find([]string{filepath.Dir(two), one, one, folder(t, "half", half), filepath.Dir(filepath.Dir(hidden))})
	if err != nil || len(folders) != 2 || folders[0].Name != "cases/two" || folders[1].Name != "cases/one" {
		t.Errorf("%+v, %v; want cases/two and cases/one", folders, err)
	}
	if _, err := Find([]string{filepath.Join(one, "absent")}); err == nil {
		t.Error("a folder that is not there: no error")
	}
	odd := folder(t, "a\x1b b", smallCase())
	if folders, err := Find([]string{odd, folder(t, "a\tb", smallCase()), folder(t, "a b", smallCase())}); err != nil || len(folders) != 3 ||
		folders[0].Name != "cases/a__b" || folders[1].Name != "cases/a_b" || folders[2].Name != "cases/a_b-2" {
		t.Errorf("odd names: %+v, %v", folders, err)
	}
	made := smallCase()
	made["params.json"] = `{"generator": "somebody's 1"}`
	if folders, err := Find([]string{folder(t, "made", made)}); err != nil || len(folders) != 1 || folders[0].Kind != "simulated" {
		t.Errorf("a case with a generator: %+v, %v; want a simulated one", folders, err)
	}
	made["params.json"] = `{`
	if _, err := Find([]string{folder(t, "broken", made)}); err == nil || !strings.Contains(err.Error(), "params.json") {
		t.Errorf("broken params.json: %v", err)
	}
}

func FuzzTruth(f *testing.F) {
	files := smallCase()
	f.Add(files["truth/truth_transfers.csv"])
	f.Add("\ufefftx_hash,log_index,usd_cents\n" + tx(1) + ",4294967296,1\n")
	f.Add("tx_hash,log_index,usd_cents\n\"" + tx(1) + "\",00,1,1,1\n\n,,\n")
	f.Add("tx_hash,log_index,usd_cents\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := readRows("truth", strings.NewReader(text), []string{"tx_hash", "log_index", "usd_cents"}, func(r row) error {
			id, x, err := r.trueTransfer()
			if err != nil {
				return err
			}
			if n++; x.Cents < 0 || x.Cents > maxCents {
				t.Fatalf("%q: %d cents of %v", text, x.Cents, id)
			}
			return nil
		})
		if err != nil && !strings.HasPrefix(err.Error(), "truth: ") {
			t.Fatalf("%q: %v does not name the file", text, err)
		}
	})
}
