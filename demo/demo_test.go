package demo_test

import (
	"encoding/csv"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	decoder "github.com/spoor-dev/spoor/decode/table"
	"github.com/spoor-dev/spoor/demo"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/table"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := demo.FS.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// blocks reads the theft with the readers that everybody uses.
func blocks(t *testing.T) []flow.Block {
	t.Helper()
	path := filepath.Join(t.TempDir(), "harvest.csv.zst")
	if err := os.WriteFile(path, read(t, "harvest-2020-10.csv.zst"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := table.OpenHeist([]string{path}, table.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := decoder.NewHeist(s.Chain())
	var out []flow.Block
	for step, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if step.Op != source.Add {
			continue
		}
		b, err := d.Decode(step.Block.Point, step.Block.Parent, step.Block.Raw)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

const (
	usdc = "erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	usdt = "erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7"
	wbtc = "erc20:0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599"
	ren  = "erc20:0xEB4C2781e4ebA804CE9a9803C67d0893436bB27D"
	eth  = "slip44:60"

	attacker = "0xf224ab004461540778a914ea397c589b677e27bb"
	contract = "0xc6028a9fa486f52efd2b95b949ac630d287ce0af"
	changer  = "0x3811765a53c3188c24d412daec3f60faad5f119b"
	waiter   = "0x7573568a42d56dd88d0d92fd135811f5fac394c1"
	deployer = "0xf00dd244228f51547f0563e60bca65a30fbf5f7f"
	vault    = "0x97875355ef55ae35613029df8b1c8cf8f89c9066"
	tornado  = "0xa160cdab225685da1d56aa342ad8841c3b53f291"
	payout   = 11129515 // height
)

// The sums of STORY.md come from a program that shares nothing with Spoor.
func TestTheftAddsUpToItsStory(t *testing.T) {
	balance := map[string]*big.Int{}
	move := func(account flow.Account, asset string, v flow.Amount, sign int64) {
		key := strings.ToLower(account.Address()) + " " + asset
		if balance[key] == nil {
			balance[key] = new(big.Int)
		}
		balance[key].Add(balance[key], new(big.Int).Mul(v.Big(), big.NewInt(sign)))
	}
	rows, txs, stolen, burned := 0, 0, map[string]flow.Sum{}, flow.Sum{}
	all := blocks(t)
	for _, b := range all {
		if len(b.Notes) > 0 {
			t.Errorf("%s: notes %v", b.Point, b.Notes)
		}
		txs += len(b.Txs)
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				rows++
				name := m.Asset.Name()
				for _, l := range m.In {
					move(l.Account, name, l.Amount, -1)
					if strings.EqualFold(l.Account.Address(), contract) && b.Point.Height >= payout {
						stolen[name] = stolen[name].Plus(l.Amount)
					}
					if name == ren && len(m.Out) == 0 {
						burned = burned.Plus(l.Amount)
					}
				}
				for _, l := range m.Out {
					move(l.Account, name, l.Amount, 1)
				}
			}
		}
	}
	if len(all) != 109 || txs != 115 {
		t.Errorf("%d blocks, %d transactions; want 109, 115", len(all), txs)
	}
	for asset, want := range map[string]string{usdc: "14761898396474", usdt: "11718914048541"} {
		if got := stolen[asset].String(); got != want || len(stolen) != 2 {
			t.Errorf("stolen %s: %s; want %s (all: %v)", asset, got, want, stolen)
		}
	}
	if burned.String() != "166094058201" {
		t.Errorf("renBTC burned: %s; want 166094058201", burned)
	}
	for key, want := range map[string]string{
		attacker + " " + eth:  "111433388250000000000",
		contract + " " + usdc: "885935821804046",
		contract + " " + usdt: "885621738730658",
		changer + " " + usdc:  "0", changer + " " + usdt: "0", changer + " " + wbtc: "0", changer + " " + ren: "0",
		changer + " " + eth:   "4958609550000000000",
		waiter + " " + eth:    "422382906902139034",
		waiter + " " + ren:    "0",
		deployer + " " + usdc: "1761898396474", deployer + " " + usdt: "718914048541",
		vault + " " + eth:   "2500000000000000000000",
		tornado + " " + eth: "300000000000000000000",
	} {
		if got := balance[key]; got == nil || got.String() != want {
			t.Errorf("balance of %s: %s; want %s", key, got, want)
		}
	}
}

func TestLabelsAreOfAccountsInTheData(t *testing.T) {
	seen := map[flow.Account]bool{}
	for _, b := range blocks(t) {
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				if c := m.Asset.Contract(); c != "" {
					a, err := flow.ParseAccountOn(flow.Ethereum, c)
					if err != nil {
						t.Fatal(err)
					}
					seen[a] = true
				}
				for _, l := range append(m.In, m.Out...) {
					seen[l.Account] = true
				}
			}
		}
	}
	records, err := csv.NewReader(strings.NewReader(string(read(t, "labels.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(records[0], ","); got != "address,label,category,is_service,source" {
		t.Fatalf("header %s", got)
	}
	story := strings.ToLower(string(read(t, "harvest-theft.json")))
	labelled := map[flow.Account]bool{}
	silent := map[string]bool{"Ren: BTC gateway": true} // called with no coin: no movement
	for _, r := range records[1:] {
		a, err := flow.ParseAccount(r[0])
		if err != nil {
			t.Errorf("%v: %v", r, err)
			continue
		}
		if labelled[a] {
			t.Errorf("%s is labelled twice", a)
		}
		labelled[a] = true
		if !seen[a] && !silent[r[1]] {
			t.Errorf("%s (%s) does not occur in the data", a, r[1])
		}
		if r[1] == "" || r[2] == "" || r[3] != "0" && r[3] != "1" || r[4] == "" {
			t.Errorf("%v: want label, category, 0 or 1, and a source", r)
		}
		if r[3] == "1" && strings.Contains(story, strings.ToLower(r[0])) {
			t.Errorf("%s is a source of the theft and a service", a)
		}
	}
}

func TestTheftFileNamesWhatIsThere(t *testing.T) {
	var theft struct {
		Name    string
		Sources []struct {
			Account flow.Account
			Asset   flow.Asset
			Time    string `json:"from_time"`
		}
	}
	if err := json.Unmarshal(read(t, "harvest-theft.json"), &theft); err != nil {
		t.Fatal(err)
	}
	if theft.Name == "" || len(theft.Sources) != 2 {
		t.Fatalf("got %+v; want a name and two sources", theft)
	}
	for i, asset := range []string{usdc, usdt} {
		s := theft.Sources[i]
		if !strings.EqualFold(s.Account.Address(), contract) || s.Asset.Name() != asset || s.Time != "2020-10-26T03:01:48Z" {
			t.Errorf("source %d: %+v; want %s of %s", i, s, asset, contract)
		}
	}
	for _, b := range blocks(t) {
		if b.Point.Height == payout && b.Point.When().Format("2006-01-02T15:04:05Z") != theft.Sources[0].Time {
			t.Errorf("the payout is at %s; want %s", b.Point.When(), theft.Sources[0].Time)
		}
	}
}
