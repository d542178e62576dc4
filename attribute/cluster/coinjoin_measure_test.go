package cluster

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
)

// payTo is the account that an output script pays.
func payTo(t testing.TB, script string) flow.Account {
	t.Helper()
	raw, err := hex.DecodeString(script)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	kind, payload := flow.PayToScript, sum[:]
	switch {
	case len(raw) == 25 && strings.HasPrefix(script, "76a914"):
		kind, payload = flow.PayToPubKeyHash, raw[3:23]
	case len(raw) == 23 && strings.HasPrefix(script, "a914"):
		kind, payload = flow.PayToScriptHash, raw[2:22]
	case len(raw) > 3 && (raw[0] == 0 || raw[0] > 0x50 && raw[0] <= 0x60) && int(raw[1]) == len(raw)-2:
		kind, payload = flow.PayToWitness, append([]byte{raw[0] & 0x0f}, raw[2:]...)
	}
	a, err := flow.UTXOAccount(flow.Bitcoin, kind, payload)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// dumplings reads the transactions of a file of a Dumplings archive; the README of the data tells the columns.
func dumplings(t testing.TB, archive, name string) []flow.Tx {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join(measure.Path(t, "data/onchain/coinjoin"), archive))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r, err := z.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var txs []flow.Tx
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		f := strings.Split(lines.Text(), ":::")
		id, err := flow.ParseHash(f[0])
		if err != nil {
			t.Fatal(err)
		}
		m := flow.Movement{Kind: flow.Transfer, Asset: flow.Bitcoin.Native()}
		for _, in := range strings.Split(f[4], "}{") {
			money, script, _ := strings.Cut(in, "+")
			parts := strings.Split(money, "-")
			m.In = append(m.In, coin(t, parts[2], script))
		}
		for _, out := range strings.Split(f[5], "}{") {
			money, script, _ := strings.Cut(out, "+")
			m.Out = append(m.Out, coin(t, money, script))
		}
		txs = append(txs, flow.Tx{ID: id, Point: flow.Point{Chain: flow.Bitcoin}, Movements: []flow.Movement{m}})
	}
	if err := lines.Err(); err != nil || len(txs) == 0 {
		t.Fatal(name, len(txs), err)
	}
	return txs
}

func coin(t testing.TB, amount, script string) flow.Leg {
	t.Helper()
	v, err := flow.ParseAmount(amount)
	if err != nil {
		t.Fatal(err)
	}
	script, _, _ = strings.Cut(script, "+")
	return flow.Leg{Account: payTo(t, script), Amount: v}
}

// round is an emulated round and whose its coins are, inputs before outputs.
type round struct {
	tx      flow.Tx
	wallets map[flow.Account]string
}

func emulated(t testing.TB) []round {
	t.Helper()
	file, err := os.Open(measure.Path(t, "data/onchain/coinjoin/emulated/ww2_emulated_cjs.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	type coins map[string]struct {
		Address string
		Value   uint64
		Wallet  string `json:"wallet_name"`
	}
	var all struct {
		CoinJoins map[string]struct{ Inputs, Outputs coins }
	}
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	var rounds []round
	for name, cj := range all.CoinJoins {
		id, err := flow.ParseHash(name)
		if err != nil {
			t.Fatal(err)
		}
		r := round{wallets: map[flow.Account]string{}}
		legs := func(of coins) (legs []flow.Leg) {
			for i := range len(of) {
				c, ok := of[strconv.Itoa(i)]
				a, err := flow.ParseAccountOn(flow.BitcoinRegtest, c.Address)
				if !ok || err != nil {
					t.Fatal(name, i, err)
				}
				legs = append(legs, flow.Leg{Account: a, Amount: flow.NewAmount(c.Value)})
				r.wallets[a] = c.Wallet
			}
			return legs
		}
		m := flow.Movement{Kind: flow.Transfer, Asset: flow.BitcoinRegtest.Native(), In: legs(cj.Inputs), Out: legs(cj.Outputs)}
		r.tx = flow.Tx{ID: id, Point: flow.Point{Chain: flow.BitcoinRegtest}, Movements: []flow.Movement{m}}
		rounds = append(rounds, r)
	}
	slices.SortFunc(rounds, func(a, b round) int { return a.tx.ID.Compare(b.tx.ID) })
	return rounds
}

// knownFalse are the transactions that upstream calls no CoinJoins of that kind after looking at them.
func knownFalse(t testing.TB, name string) map[string]bool {
	t.Helper()
	file, err := os.Open(filepath.Join(measure.Path(t, "data/onchain/coinjoin"), name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	if err := json.NewDecoder(z).Decode(&ids); err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// TestCoinJoinTable measures every rule on every transaction of the data; docs/decisions/0006-clusters.md holds the table.
func TestCoinJoinTable(t *testing.T) {
	const whirlpool, wasabi, joinMarket = "dumplings__sw_202403.zip", "dumplings__ww1_202405.zip", "jm_filter_false_positives.zip"
	notWasabi := knownFalse(t, "wasabi1_false_cjtxs__ww1_other_2018.json.gz")
	type file struct {
		name string
		mix  Mix // 0: none
		txs  []flow.Tx
	}
	files := []file{
		{"whirlpool mixes", Whirlpool, dumplings(t, whirlpool, "Scanner/SamouraiCoinJoins.txt")},
		{"whirlpool tx0", WhirlpoolTx0, dumplings(t, whirlpool, "Scanner/SamouraiTx0s.txt")},
		{"whirlpool post-mix", 0, dumplings(t, whirlpool, "Scanner/SamouraiPostMixTxs.txt")},
		{"wasabi 1 mixes", Wasabi1, nil},
		{"wasabi 1 known false", 0, nil},
		{"wasabi 1 post-mix", 0, dumplings(t, wasabi, "Scanner/WasabiPostMixTxs.txt")},
		{"joinmarket known false", 0, dumplings(t, joinMarket, "Scanner/OtherCoinJoins.txt")},
		{"joinmarket known false, post-mix", 0, dumplings(t, joinMarket, "Scanner/OtherCoinJoinPostMixTxs.txt")},
		{"wasabi 2 emulated", Wasabi2, nil},
	}
	for _, tx := range dumplings(t, wasabi, "Scanner/WasabiCoinJoins.txt") {
		f := &files[3]
		if notWasabi[tx.ID.String()] {
			f = &files[4]
		}
		f.txs = append(f.txs, tx)
	}
	for _, r := range emulated(t) {
		files[8].txs = append(files[8].txs, r.tx)
	}
	truth, found, right := map[Mix]int{}, map[Mix]int{}, map[Mix]int{}
	for _, f := range files {
		seen, withheld, evidence := [len(mixNames)]int{}, map[string]int{}, 0
		for _, tx := range f.txs {
			c, _ := Detect(tx)
			seen[c.Mix]++
			truth[f.mix]++
			found[c.Mix]++
			right[c.Mix] += b2i(c.Mix == f.mix)
			r := ReadBitcoin(tx, nil, 0)
			why, _, _ := strings.Cut(r.Withheld, ":")
			withheld[why]++
			evidence += len(r.Evidence)
			if c.Mix != 0 && c.ManyOwners() && len(r.Evidence) > 0 {
				t.Errorf("%s: %s looks like %s and gives evidence", f.name, tx.ID, c.Mix)
			}
		}
		t.Logf("%-34s %5d:", f.name, len(f.txs))
		for m, n := range seen {
			if n > 0 {
				t.Logf("%40d %s", n, Mix(m))
			}
		}
		t.Logf("%40v withheld; %d pieces of evidence", withheld, evidence)
	}
	for m, want := range map[Mix][3]int{ // true, found, right: a change is to be looked at, and the table with it
		Wasabi1: {191, 189, 189}, Wasabi2: {220, 220, 220}, Whirlpool: {1403, 1403, 1403}, WhirlpoolTx0: {900, 752, 749}, JoinMarket: {0, 35, 0},
	} {
		if got := [3]int{truth[m], found[m], right[m]}; got != want {
			t.Errorf("%s: true, found, right %v; want %v", m, got, want)
		}
	}
}
