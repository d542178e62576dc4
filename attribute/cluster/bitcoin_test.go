package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

// A small language for transactions: "p1:5000" is a P2PKH account 1 with 5000 satoshi; w is P2WPKH, s P2SH, t taproot, n a
// script that is none of these.
func bitcoinTx(t testing.TB, in, out string) flow.Tx {
	t.Helper()
	legs := func(text string) (legs []flow.Leg) {
		for _, word := range strings.Fields(text) {
			var kind rune
			var n byte
			var v uint64
			if _, err := fmt.Sscanf(word, "%c%d:%d", &kind, &n, &v); err != nil {
				t.Fatalf("%q: %v", word, err)
			}
			script, payload := flow.PayToPubKeyHash, make([]byte, 20)
			switch kind {
			case 's':
				script = flow.PayToScriptHash
			case 'w':
				script, payload = flow.PayToWitness, make([]byte, 21)
			case 't':
				script, payload = flow.PayToWitness, append([]byte{1}, make([]byte, 32)...)
			case 'n':
				script, payload = flow.PayToScript, make([]byte, 32)
			}
			payload[len(payload)-1] = n
			a, err := flow.UTXOAccount(flow.Bitcoin, script, payload)
			if err != nil {
				t.Fatal(err)
			}
			legs = append(legs, flow.Leg{Account: a, Amount: flow.NewAmount(v)})
		}
		return legs
	}
	m := flow.Movement{Kind: flow.Transfer, Asset: flow.Bitcoin.Native(), In: legs(in), Out: legs(out)}
	return flow.Tx{ID: flow.Hash{1}, Point: flow.Point{Chain: flow.Bitcoin, Height: 800_000}, Index: 3, Movements: []flow.Movement{m}}
}

// met is a History of the accounts that were seen.
type met map[flow.Account]bool

func (m met) SeenBefore(a flow.Account, _ flow.Pos) bool { return m[a] }

func TestReadBitcoin(t *testing.T) {
	for name, tt := range map[string]struct {
		in, out string
		want    string // heuristics with confidence and the place of the account among in and out
	}{
		"two-inputs":            {"p1:5000 p2:7000", "p3:11000", "multi-input 90 p2"},
		"an-input-twice":        {"p1:5000 p1:7000 p2:2000", "p3:13000", "multi-input 90 p2"},
		"direct-change":         {"p1:5000 p2:7000", "p3:5000 p1:6500", "multi-input 90 p2"},
		"one-time-change":       {"p1:100000", "w3:50000 p4:49123", "one-time-change 50 p4, type-change 40 p4"},
		"optimal":               {"p1:70000 p2:50000", "p3:80000 p4:39123", "multi-input 90 p2, one-time-change 50 p4, optimal-change 30 p4"},
		"round-is-a-payment":    {"p1:100000", "w3:49123 p4:50000", "type-change 40 p4"},
		"rules-disagree":        {"p1:70000 p2:50000", "w3:39123 p4:80000", "multi-input 90 p2"},
		"two-candidates":        {"p1:100000", "p3:50123 p4:49123", ""},
		"three-outputs":         {"p1:100000", "p3:50000 w4:10000 p5:39123", "one-time-change 50 p5"},
		"mixed-inputs":          {"p1:50000 w2:60000", "w3:70123 p4:39123", "multi-input 90 w2, optimal-change 30 p4"},
		"many-outputs":          {"p1:100000", "p11:1 p12:2 p13:3 p14:4 p15:5 p16:6 p17:7 p18:8 p19:9 p20:10 p21:11", ""},
		"seen-before":           {"p1:100000", "w3:50000 p9:49123", "type-change 40 p9"},
		"payjoin":               {"p1:50123 p2:80321", "p3:65111 p4:65021", "-"},
		"payjoin-just-so":       {"p1:50123 p2:65423", "p3:65111 p4:50123", "-"},
		"no-payjoin-if-needed":  {"p1:50123 p2:65422", "p3:65111 p4:50122", "multi-input 90 p2, one-time-change 50 p4, optimal-change 30 p4"},
		"whirlpool":             {"w1:100000 w2:100000 w3:100000 w4:100100 w5:210000", "w6:100000 w7:100000 w8:100000 w9:100000 w10:100000", "-"},
		"no-payjoin-if-round":   {"p1:50123 p2:80321", "p3:65000 p4:65021", "multi-input 90 p2"},
		"stonewall":             {"w1:70000 w2:80000", "w3:40000 w4:40000 w5:29000 w6:39000", "-"},
		"stonewall-of-one":      {"w1:170000", "w3:40000 w4:40000 w5:29123", "one-time-change 50 w5"},
		"equal-outputs":         {"w1:70000 w2:80000 w3:90000", "w4:50000 w5:50000 w6:50000 w7:19000 w8:29000 w9:39000 w10:1000", "-"},
		"joinmarket":            {"w1:70000 p2:80000 w3:90000", "w4:50000 w5:50000 w6:50000 w7:19000 w8:29000", "-"},
		"three-equal-of-one":    {"w1:270000", "w4:50000 w5:50000 w6:50000 w7:19123", "one-time-change 50 w7"},
		"dust-is-not-equal":     {"w1:70000 w2:80000 w3:90000", "n7:0 w4:330 w5:330 w6:330 w8:220000", "multi-input 90 w2, multi-input 90 w3"},
		"tx0":                   {"w1:700000 w2:800000", "n7:0 w3:5000 w4:105000 w5:105000 w6:80123", "multi-input 90 w2"},
		"overspent-is-no-owner": {"p1:5000 p2:7000", "p3:12001", "-"},
	} {
		tx := bitcoinTx(t, tt.in, tt.out)
		names := map[flow.Account]string{}
		words := strings.Fields(tt.in + " " + tt.out)
		for i, l := range append(slices.Clone(tx.Movements[0].In), tx.Movements[0].Out...) {
			names[l.Account], _, _ = strings.Cut(words[i], ":")
		}
		nine := bitcoinTx(t, "p9:1", "p9:1").Movements[0].In[0].Account
		r := ReadBitcoin(tx, met{nine: true}, 7)
		var got []string
		for _, e := range r.Evidence {
			if e.A != tx.Movements[0].In[0].Account || e.Tx != tx.ID || e.At != tx.At() || e.Seen != 7 || e.check() != nil {
				t.Errorf("%s: evidence %+v", name, e)
			}
			got = append(got, fmt.Sprint(e.Heuristic, " ", e.Confidence, " ", names[e.B]))
		}
		line := strings.Join(got, ", ")
		if r.Withheld != "" && line == "" {
			line = "-"
		}
		if line != tt.want {
			t.Errorf("%s: got %q (withheld %q); want %q", name, line, r.Withheld, tt.want)
		}
	}
	direct := ReadBitcoin(bitcoinTx(t, "p1:5000 p2:7000", "p3:5000 p1:6500"), nil, 0)
	if want := (Change{1, DirectChange, 100}); len(direct.Changes) != 1 || direct.Changes[0] != want {
		t.Errorf("direct change %+v; want %+v", direct.Changes, want)
	}
}

func TestWhirlpoolHasOldAndNewCoins(t *testing.T) {
	const outputs = "w6:100000 w7:100000 w8:100000 w9:100000 w10:100000"
	for name, tt := range map[string]struct {
		in   string
		want Mix
	}{
		"old-and-new": {"w1:100000 w2:100000 w3:100000 w4:100100 w5:210000", Whirlpool},
		"none-old":    {"w1:100100 w2:100100 w3:100100 w4:100100 w5:100100", EqualOutputs},
		"none-new":    {"w1:100000 w2:100000 w3:100000 w4:100000 w5:100000", EqualOutputs},
		"too-little":  {"w1:100000 w2:100000 w3:100000 w4:100100 w5:100099", EqualOutputs},
		"too-much":    {"w1:100000 w2:100000 w3:100000 w4:100100 w5:210001", EqualOutputs},
		"script":      {"w1:100000 w2:100000 w3:100000 w4:100100 s5:110000", EqualOutputs},
		"one-twice":   {"w1:100000 w1:100000 w3:100000 w4:100100 w5:110000", 0},
	} {
		if c, _ := Detect(bitcoinTx(t, tt.in, outputs)); c.Mix != tt.want {
			t.Errorf("%s: %s; want %s", name, c.Mix, tt.want)
		}
	}
}

func TestReadBitcoinNeedsToKnow(t *testing.T) {
	whole := bitcoinTx(t, "p1:5000 p2:7000", "p3:11000")
	unknown := bitcoinTx(t, "p1:5000 p2:7000", "p3:11000")
	unknown.Movements[0].In[1] = flow.Leg{}
	coinbase := bitcoinTx(t, "", "p3:11000")
	huge := bitcoinTx(t, "p1:5000 p2:7000", "p3:11000")
	huge.Movements[0].In[0].Amount = flow.AmountFromWords([4]uint64{0, 1})
	evm := flow.Tx{Movements: []flow.Movement{flow.In1Out1(flow.Transfer, flow.Ethereum.Native(), 0, whoever(1), whoever(2), flow.NewAmount(1))}}
	for name, tx := range map[string]flow.Tx{"unknown-input": unknown, "coinbase": coinbase, "huge": huge, "evm": evm, "empty": {}} {
		if r := ReadBitcoin(tx, nil, 0); len(r.Evidence) != 0 || r.Withheld == "" {
			t.Errorf("%s: %+v; want nothing, and why", name, r)
		}
		if c, ok := Detect(tx); ok {
			t.Errorf("%s: looks like %s", name, c.Mix)
		}
	}
	if r := ReadBitcoin(whole, nil, 0); len(r.Evidence) != 1 || r.Withheld != "" {
		t.Errorf("whole: %+v", r)
	}
	early := bitcoinTx(t, "w1:70000 w2:60000 w3:50000 w4:40000 w5:30000", "w6:65536 w7:50000 w8:50000 w9:20000 w10:10000")
	if c, ok := Detect(early); !ok || c.Mix != Wasabi2 || c.Denomination != flow.NewAmount(50_000) {
		t.Errorf("a small round of Wasabi 2: %+v, %v", c, ok)
	}
	early.Point.Height = 700_000
	if c, ok := Detect(early); ok {
		t.Errorf("Wasabi 2 before there was any: %+v", c)
	}
}

// A transaction that looks signed by strangers never says anything about owners, whatever it is made of.
func TestCoinJoinsGiveNoEvidence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		amount := rapid.SampledFrom([]int{0, 330, 5000, 50000, 65536, 100000, 105000, 1000000, 10000000, 10000001})
		side := func(name string, first int) string {
			var words []string
			for i := range rapid.IntRange(1, 14).Draw(rt, name) {
				words = append(words, fmt.Sprintf("%s%d:%d", rapid.SampledFrom([]string{"w", "w", "w", "p", "n"}).Draw(rt, "kind"), first+rapid.IntRange(i/2, i).Draw(rt, "account"), amount.Draw(rt, "amount")))
			}
			return strings.Join(words, " ")
		}
		tx := bitcoinTx(t, side("inputs", 1)+" w99:1000000000", side("outputs", 50))
		c, ok := Detect(tx)
		r := ReadBitcoin(tx, met{}, 1)
		if (r.CoinJoin != nil) != ok || ok && r.CoinJoin.Mix != c.Mix {
			rt.Fatalf("detected %v, read %+v", c, r.CoinJoin)
		}
		if ok && c.ManyOwners() && len(r.Evidence)+len(r.Changes) != 0 {
			rt.Fatalf("%s gives evidence %+v", c.Mix, r.Evidence)
		}
		if r.Withheld != "" && len(r.Evidence) != 0 {
			rt.Fatalf("withheld for %q, but %+v", r.Withheld, r.Evidence)
		}
	})
}

// The emulated rounds say whose every coin is: nobody's coins may be put with somebody else's.
func TestEmulatedRoundsMergeNobody(t *testing.T) {
	wrong := func(f *Forest, rounds []round) (wrong, right int) {
		owner := map[flow.Account]string{}
		for _, r := range rounds {
			for a, w := range r.wallets {
				owner[a] = w
			}
		}
		for a, w := range owner {
			for _, b := range f.Members(a) {
				if a.Compare(b) < 0 && owner[b] == w {
					right++
				} else if a.Compare(b) < 0 {
					wrong++
				}
			}
		}
		return wrong, right
	}
	rounds := emulated(t)
	f, naive := New(Guard{}), New(Guard{})
	for _, r := range rounds {
		for _, e := range ReadBitcoin(r.tx, met{}, 0).Evidence {
			f.Add(e)
		}
		first := r.tx.Movements[0].In[0].Account
		for _, l := range r.tx.Movements[0].In[1:] {
			naive.Add(Evidence{A: first, B: l.Account, Heuristic: MultiInput, Version: 1, Confidence: 90})
		}
	}
	bad, good := wrong(f, rounds)
	badNaive, goodNaive := wrong(naive, rounds)
	t.Logf("%d rounds: %d wrong pairs, %d right; without the rules of CoinJoins %d wrong, %d right", len(rounds), bad, good, badNaive, goodNaive)
	if bad != 0 || badNaive == 0 {
		t.Errorf("%d wrong pairs (%d without the rules); want none", bad, badNaive)
	}
}
