package engine

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

const evmStory = `
chain eip155:1
block 10 aa time=2020-10-26T00:00:00Z
0xdAC17F958D2ee523a2206206994597C13D831ec7 thief native 60
block 12 bb time=2020-10-27T00:00:00Z
0xdAC17F958D2ee523a2206206994597C13D831ec7 thief native 50
thief shop native 30
thief shop GOLD 5
`

func resolveFrom(t *testing.T, s interface {
	Resolve(TheftFile, flow.Chain) (trace.Theft, error)
}, from string) (trace.Theft, error) {
	t.Helper()
	src, err := ParseFrom(from)
	if err != nil {
		t.Fatal(err)
	}
	return s.Resolve(TheftFile{Sources: []TheftSource{src}}, flow.Chain{})
}

// resolving is a snapshot that thefts are looked up in.
type resolving struct {
	*testing.T
	chains []string
}

func (r resolving) Resolve(f TheftFile, chain flow.Chain) (trace.Theft, error) {
	theft, _, err := Resolve(r.Context(), story(r.T, r.chains...), f, chain, nil)
	return theft, err
}

func TestTimesAndBlocksBecomePlaces(t *testing.T) {
	s := resolving{t, []string{evmStory}}
	for at, want := range map[string]uint64{
		"": 0, "@0": 10, "@2020-10-25": 10, "@2020-10-26": 10, "@2020-10-26T00:00:01Z": 12, "@2020-10-27": 12,
		"@1603756800": 12, "@1603756801": 13, "@2030-01-01": 13, "@block:0": 0, "@block:11": 11, "@block:99": 99,
	} {
		theft, err := resolveFrom(t, s, anEVM+at)
		if err != nil || len(theft.Sources) != 1 || theft.Sources[0] != (trace.Outflow{Account: account(t, anEVM), From: flow.Pos{Height: want}}) {
			t.Errorf("--from ACCOUNT%s: %+v, %v; want block %d", at, theft.Sources, err, want)
		}
	}
}

func TestATimeOnAChainWithoutTimes(t *testing.T) {
	s := resolving{t, []string{"block 1 aa\neth:a eth:b X 1\n"}}
	_, err := resolveFrom(t, s, "text:eth:a@2020-10-26")
	mention(t, "time", err, "say no times")
	if _, err := resolveFrom(t, s, "text:eth:a@block:1"); err != nil {
		t.Error(err)
	}
}

func TestAmountsBeginWhereTheyWereFirstHeld(t *testing.T) {
	const chain = `
block 1 a
eth:x eth:a GOLD 60
eth:a eth:y GOLD 100
block 2 b
eth:x eth:a GOLD 30
eth:x eth:a SILVER 1000
block 4 c
eth:x eth:a GOLD 20
eth:a eth:y GOLD 50
block 5 d
eth:x eth:a GOLD 500
`
	s := resolving{t, []string{chain}}
	for amount, want := range map[string]flow.Pos{
		"1 GOLD": {Height: 1, Movement: 1}, "60 GOLD": {Height: 1, Movement: 1},
		"61 GOLD": {Height: 5, Movement: 1}, "500 GOLD": {Height: 5, Movement: 1},
		"50 GOLD": {Height: 1, Movement: 1}, "1000 SILVER": {Height: 2, Tx: 1, Movement: 1},
	} {
		theft, err := resolveFrom(t, s, "text:eth:a="+amount)
		if err != nil || theft.Sources[0].(trace.Holding).At != want {
			t.Errorf("=%s: %+v, %v; want %s", amount, theft.Sources, err, want)
		}
	}
	for from, want := range map[string]string{
		"text:eth:a=501 GOLD":    "never held 501",
		"text:eth:a=1 native":    "never held 1",
		"text:eth:nobody=1 GOLD": "never seen text:eth:nobody",
		"text:mars:a=1 GOLD":     "no block of text:mars, it holds text:eth",
	} {
		_, err := resolveFrom(t, s, from)
		mention(t, from, err, want)
		if !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %v; want ErrAbsent", from, err)
		}
	}
}

// The first place that firstHeld names is the first at which a running balance that never falls below zero is enough.
func TestFirstHeldAgreesWithARunningBalance(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type move struct {
			in     bool
			amount uint64
		}
		moves := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) move {
			return move{rapid.Bool().Draw(rt, "in"), rapid.Uint64Range(0, 9).Draw(rt, "amount")}
		}), 1, 20).Draw(rt, "moves")
		want := rapid.Uint64Range(1, 20).Draw(rt, "want")
		var chain strings.Builder
		held, at := uint64(0), -1
		for i, m := range moves {
			from, to := "eth:a", "eth:x"
			if m.in {
				from, to = to, from
				held += m.amount
			} else {
				held -= min(held, m.amount)
			}
			if m.in && held >= want && at < 0 {
				at = i
			}
			fmt.Fprintf(&chain, "block %d b%d\n%s %s GOLD %d\n", i+1, i, from, to, m.amount)
		}
		gold, err := flow.NamedAsset(account(t, "text:eth:a").Chain(), "GOLD")
		if err != nil {
			rt.Fatal(err)
		}
		pos, err := firstHeld(t.Context(), story(t, chain.String()), account(t, "text:eth:a"), gold, flow.NewAmount(want))
		if at < 0 {
			if !errors.Is(err, ErrAbsent) {
				rt.Fatalf("%s: %v; want ErrAbsent", chain.String(), err)
			}
		} else if err != nil || pos.Height != uint64(at+1) {
			rt.Fatalf("%s: held %d at %s, %v; want block %d", chain.String(), want, pos, err, at+1)
		}
	})
}

func TestTransactionsAreNetted(t *testing.T) {
	const id = "0000000000000000000000000000000000000000000000000000000000000a11"
	const chain = `
block 1 a
tx ` + id + `
eth:pool eth:attacker USD 100
eth:attacker eth:pool USD 100
eth:pool eth:attacker ETH 40
eth:attacker eth:miner ETH 3 fee
- eth:miner ETH 7 reward
eth:attacker eth:helper ETH 10
eth:pool eth:exchange ETH 5
tx -
first: eth:helper eth:exchange ETH 1
block 2 b
tx nothing
eth:a eth:b USD 5
eth:b eth:a USD 5
tx broken failed
eth:a eth:miner ETH 1 fee
`
	s := story(t, chain)
	labels := &Labels{}
	if err := labels.ReadLabels("l", strings.NewReader("address,label,is_service\ntext:eth:exchange,X,1\n")); err != nil {
		t.Fatal(err)
	}
	resolve := func(l *Labels, tx string, thieves ...string) ([]trace.Holding, error) {
		_, gainers, err := Resolve(t.Context(), s, TheftFile{Transactions: []string{tx, tx}, Thieves: thieves}, flow.Chain{}, l)
		return gainers, err
	}
	show := func(hs []trace.Holding) string {
		var parts []string
		for _, h := range hs {
			if h.At != (flow.Pos{Height: 1, Tx: 1}) {
				t.Errorf("%s holds at %s; want right behind the transaction", h.Account, h.At)
			}
			parts = append(parts, fmt.Sprintf("%s %s %s", h.Account.Address(), h.Amount, NameOf(h.Asset).Symbol))
		}
		return strings.Join(parts, ", ")
	}
	for _, c := range []struct {
		labels  *Labels
		thieves []string
		want    string
	}{
		{nil, nil, "attacker 30 ETH, helper 10 ETH, exchange 5 ETH"}, // the USD went round, fee and reward do not count
		{labels, nil, "attacker 30 ETH, helper 10 ETH"},
		{labels, []string{"text:eth:helper"}, "helper 10 ETH"},
		{labels, []string{"text:eth:exchange"}, "exchange 5 ETH"}, // named by hand, a service or not
	} {
		for _, name := range []string{id, "0x" + id, "text:eth:" + id} {
			got, err := resolve(c.labels, name, c.thieves...)
			if err != nil || show(got) != c.want {
				t.Errorf("--tx %s --thief %v: %s, %v; want %s", name, c.thieves, show(got), err, c.want)
			}
		}
	}
	named := func(word string) string {
		tx, err := s.Block(t.Context(), account(t, "text:eth:a").Chain(), 2)
		if err != nil {
			t.Fatal(err)
		}
		return tx.Txs[map[string]int{"nothing": 0, "broken": 1}[word]].ID.String()
	}
	for _, c := range []struct {
		tx, thief, want string
		kind            error
	}{
		{id, "text:eth:miner", "none of the named thieves", ErrNoGain},
		{named("nothing"), "", "nobody who is not a labelled service", ErrNoGain},
		{named("broken"), "", "it failed", ErrNoGain},
		{id + ":0", "", "no outputs to choose from", nil},
		{aHash, "", "no chain of the store (text:eth) holds it", ErrAbsent},
		{"eip155:1:" + aHash, "", "no block of eip155:1, it holds text:eth", ErrAbsent},
	} {
		var thieves []string
		if c.thief != "" {
			thieves = append(thieves, c.thief)
		}
		_, err := resolve(labels, c.tx, thieves...)
		mention(t, c.tx, err, c.want)
		if c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: %v; want %v", c.tx, err, c.kind)
		}
	}
}

func TestOutputsOfAUTXOTransaction(t *testing.T) {
	const id = "0000000000000000000000000000000000000000000000000000000000000a11"
	s := story(t, `
chain regtest
block 1 b1
c1: - -> miner 50
block 2 b2
`+id+`: c1:0 -> thief 30, note 0, mule 19
`)
	b, err := s.Block(t.Context(), flow.BitcoinRegtest, 2)
	if err != nil {
		t.Fatal(err)
	}
	out := b.Txs[0].Movements[0].Out
	for _, c := range []struct {
		tx    []string
		thief flow.Account
		want  string
	}{
		{tx: []string{id}, want: "0=30 2=19"},
		{tx: []string{id + ":2"}, want: "2=19"},
		{tx: []string{flow.BitcoinRegtest.String() + ":" + id + ":0"}, want: "0=30"},
		{tx: []string{id, id + ":2", id}, want: "0=30 2=19"}, // named twice, stolen once
		{tx: []string{id}, thief: out[2].Account, want: "2=19"},
	} {
		f := TheftFile{Transactions: c.tx}
		if !c.thief.IsZero() {
			f.Thieves = []string{c.thief.String()}
		}
		theft, gainers, err := Resolve(t.Context(), s, f, flow.Chain{}, nil)
		var got []string
		for _, src := range theft.Sources {
			coin := src.(trace.Coin)
			got = append(got, fmt.Sprintf("%d=%s", coin.Outpoint.Index, coin.Amount))
			if coin.Account != out[coin.Outpoint.Index].Account {
				t.Errorf("output %d belongs to %s", coin.Outpoint.Index, coin.Account)
			}
		}
		if err != nil || strings.Join(got, " ") != c.want || len(gainers) > 0 {
			t.Errorf("--tx %v: %v, %v; want %s", c.tx, got, err, c.want)
		}
	}
	for tx, want := range map[string]string{
		id + ":1": "no such output", // of nothing
		id + ":3": "no such output", id + ":4294967295": "no such output", aHash + ":0": "holds it",
	} {
		_, _, err := Resolve(t.Context(), s, TheftFile{Transactions: []string{tx}}, flow.Chain{}, nil)
		mention(t, tx, err, want)
		if !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %v; want ErrAbsent", tx, err)
		}
	}
	f := TheftFile{Sources: []TheftSource{{Account: out[0].Account.String(), Amount: "5"}}}
	if _, _, err := Resolve(t.Context(), s, f, flow.Chain{}, nil); !errors.Is(err, ErrCoins) {
		t.Errorf("an amount on a UTXO chain: %v; want ErrCoins", err)
	}
}

func TestBareAddressesGoToTheChainOfTheStore(t *testing.T) {
	polygon := "chain eip155:137\nblock 1 a\na b native 1\n"
	bsc := "chain eip155:56\nblock 1 a\na b native 1\n"
	for _, c := range []struct {
		chains []string
		chain  string
		in     string
		want   string
	}{
		{[]string{polygon}, "", anEVM, "eip155:137"},
		{[]string{polygon}, "", strings.ToLower(anEVM[2:]), "eip155:137"},
		{[]string{polygon}, "", "ETH:" + anEVM, "eip155:1"}, // said with its chain
		{[]string{polygon}, "", "eip155:10:" + anEVM, "eip155:10"},
		{[]string{polygon, evmStory}, "", anEVM, "eip155:1"},
		{[]string{polygon, evmStory}, "polygon", anEVM, "eip155:137"},
		{[]string{polygon, bsc}, "", anEVM, "eip155:1"}, // cannot be told: the error names the chains
		{[]string{polygon, bsc}, "bsc", anEVM, "eip155:56"},
		{[]string{polygon}, "polygon", aBTC, flow.Bitcoin.String()}, // --chain is for addresses that can be there
		{[]string{"chain regtest\nblock 1 b\nc1: - -> m 50\n"}, "", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", flow.BitcoinRegtest.String()},
		{nil, "", anEVM, "eip155:1"},
	} {
		var chain flow.Chain
		if c.chain != "" {
			chain = parseChain(t, c.chain)
		}
		if got, err := accountIn(story(t, c.chains...), c.in, chain); err != nil || got.Chain().String() != c.want {
			t.Errorf("%s with --chain %q in %d chains: %s, %v; want it on %s", c.in, c.chain, len(c.chains), got, err, c.want)
		}
	}
}

func parseChain(t testing.TB, text string) flow.Chain {
	t.Helper()
	c, err := flow.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAssetsAsPeopleWriteThem(t *testing.T) {
	tether := "erc20:" + anEVM
	for _, c := range []struct{ chain, in, want string }{
		{"ethereum", "", ""},
		{"ethereum", "ETH", "eip155:1/slip44:60"}, {"ethereum", "eth", "eip155:1/slip44:60"}, {"ethereum", "native", "eip155:1/slip44:60"},
		{"polygon", "POL", "eip155:137/slip44:966"}, {"bsc", "bnb", "eip155:56/slip44:714"}, {"base", "ETH", "eip155:8453/slip44:60"},
		{"bitcoin", "BTC", flow.Bitcoin.Native().String()}, {"regtest", "btc", flow.BitcoinRegtest.Native().String()},
		{"ethereum", anEVM, "eip155:1/" + tether}, {"ethereum", tether, "eip155:1/" + tether}, {"ethereum", "eip155:1/" + tether, "eip155:1/" + tether},
		{"text:eth", "ETH", "text:eth/token:ETH"},
	} {
		if got, err := ParseAsset(parseChain(t, c.chain), c.in); err != nil || got.String() != c.want {
			t.Errorf("%q on %s is %s, %v; want %s", c.in, c.chain, got, err, c.want)
		}
	}
	for in, want := range map[string]string{"USDT": "by its contract", "POL": "by its contract", aTyping: "checksum", "0x12": "40 hexadecimal digits", "eip155:1/erc20:x": "asset"} {
		_, err := ParseAsset(flow.Ethereum, in)
		mention(t, in, err, want)
	}
}

func TestUntilBoundsBothWays(t *testing.T) {
	s := story(t, evmStory)
	theft := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: account(t, anEVM)}}}
	all := func(h uint64) flow.Pos { return flow.Pos{Height: h, Tx: math.MaxUint32, Movement: math.MaxUint32} }
	for _, c := range []struct {
		text string
		back bool
		want flow.Pos
	}{
		{"", false, flow.Pos{}}, {"", true, flow.Pos{}},
		{"2020-10-26", false, all(11)}, {"2020-10-26T12:00:00Z", false, all(11)}, {"2020-10-27", false, all(12)}, {"2030-01-01", false, all(12)},
		{"block:10", false, all(10)}, {"block:0", false, all(0)}, {"block:18446744073709551615", false, all(math.MaxUint64 - 1)},
		{"2020-10-25", true, flow.Pos{Height: 10}}, {"2020-10-26T12:00:00Z", true, flow.Pos{Height: 12}}, {"block:12", true, flow.Pos{Height: 12}}, {"block:0", true, flow.Pos{}},
	} {
		if got, err := Until(t.Context(), s, c.text, theft, c.back); err != nil || got != c.want {
			t.Errorf("--until %s, backward %v: %s, %v; want %s", c.text, c.back, got, err, c.want)
		}
	}
	if got, err := Until(t.Context(), s, "2020-10-25", theft, false); err != nil || got != all(9) {
		t.Errorf("until before the first block: %s, %v; want the end of block 9", got, err)
	}
	for text, want := range map[string]string{"2020": "time", "block:x": "not a height", "tomorrow": "time"} {
		_, err := Until(t.Context(), s, text, theft, false)
		mention(t, text, err, want)
	}
	theft.Sources = append(theft.Sources, trace.Outflow{Account: account(t, aBTC)})
	_, err := Until(t.Context(), s, "block:5", theft, false)
	mention(t, "two chains", err, "one chain, not on 2")
}

func TestParseDust(t *testing.T) {
	theft := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: account(t, anEVM)}, trace.Outflow{Account: account(t, "polygon:"+anEVM)}}}
	got, err := ParseDust([]string{"5 native", "7  " + anEVM, "9 eip155:1/slip44:60"}, theft)
	if err != nil || len(got) != 4 || got[flow.Ethereum.Native()] != flow.NewAmount(9) || got[parseChain(t, "polygon").Native()] != flow.NewAmount(5) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{"": "whole number", "x ETH": "whole number", "5 USDT": "by its contract", "-1": "whole number"} {
		_, err := ParseDust([]string{text}, theft)
		mention(t, text, err, want)
	}
}

func TestResolveInAnEmptyStore(t *testing.T) {
	s, err := memstore.New().Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []TheftFile{
		{Sources: []TheftSource{{Account: anEVM, Amount: "5"}}},
		{Sources: []TheftSource{{Account: anEVM, Amount: "5", Time: "2020-10-26"}}},
		{Transactions: []string{aHash}},
	} {
		if _, _, err := Resolve(t.Context(), s, f, flow.Chain{}, nil); !errors.Is(err, ErrAbsent) {
			t.Errorf("%+v: %v; want ErrAbsent", f, err)
		}
	}
	theft, _, err := Resolve(t.Context(), s, TheftFile{Sources: []TheftSource{{Account: anEVM, Time: "2020-10-26"}}}, flow.Chain{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Trace(t.Context(), s, theft, trace.Options{}, nil, nil); !errors.Is(err, ErrAbsent) {
		t.Errorf("a trace of nothing: %v; want ErrAbsent", err)
	}
}
