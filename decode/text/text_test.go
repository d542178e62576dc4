package text_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
)

// eth is the chain of most tests.
var eth = must(flow.TextChain("eth"))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// hash is the hash of a name.
func hash(name string) flow.Hash { return sha256.Sum256([]byte(name)) }

// decode decodes rows as a block "1 aa" of c.
func decode(c flow.Chain, rows string) (flow.Block, error) {
	return text.New().Decode(flow.Point{Chain: c, Height: 1, Hash: hash("aa")}, flow.Hash{}, []byte("7 chain.txt\nblock 1 aa\n"+rows))
}

// tell writes transactions as "0 kind asset#index giver 5 + giver 6 > taker 7".
func tell(b flow.Block) string {
	var w strings.Builder
	legs := func(legs []flow.Leg) string {
		var words []string
		for _, l := range legs {
			words = append(words, l.Account.Address()+" "+l.Amount.String())
		}
		return strings.Join(words, " + ")
	}
	for _, tx := range b.Txs {
		fmt.Fprintf(&w, "%d", tx.Index)
		if tx.Failed {
			w.WriteString(" failed")
		}
		for _, m := range tx.Movements {
			fmt.Fprintf(&w, " [%s %s#%d: %s > %s]", m.Kind, m.Asset.Name(), m.Index, legs(m.In), legs(m.Out))
		}
		w.WriteString("\n")
	}
	for _, n := range b.Notes {
		fmt.Fprintf(&w, "%s %q\n", n.Where, n.Raw)
	}
	return w.String()
}

func TestRows(t *testing.T) {
	tests := []struct{ name, rows, want string }{
		{"empty", "", ""},
		{"plain", "eth:a b ETH 100 # comment", "0 [transfer token:ETH#0: a 100 > b 100]\n"},
		{"caip-10", "text:eth:a b native 0", "0 [transfer token:native#0: a 0 > b 0]\n"},
		{"issue", "- b ETH 5 reward", "0 [reward token:ETH#0:  > b 5]\n"},
		{"burn", "a - ETH 5", "0 [transfer token:ETH#0: a 5 > ]\n"},
		{"to-oneself", "a a ETH 5", "0 [transfer token:ETH#0: a 5 > a 5]\n"},
		{"kind-and-index", "a b X 5 token index=9\na b X 5 index=4294967295 nft", "0 [token token:X#9: a 5 > b 5]\n1 [nft token:X#4294967295: a 5 > b 5]\n"},
		{"most", "a b X 115792089237316195423570985008687907853269984665640564039457584007913129639935",
			"0 [transfer token:X#0: a 115792089237316195423570985008687907853269984665640564039457584007913129639935 > b 115792089237316195423570985008687907853269984665640564039457584007913129639935]\n"},
		{"arrow", "a 60, b 40 -> c 70, d 20 of ETH internal", "0 [internal token:ETH#0: a 60 + b 40 > c 70 + d 20]\n"},
		{"arrow-issue-and-burn", "- -> c 70 of ETH\na 3 b 4 -> - of ETH", "0 [transfer token:ETH#0:  > c 70]\n1 [transfer token:ETH#0: a 3 + b 4 > ]\n"},
		{"group", "tx t1\na b ETH 5\na - ETH 1 fee\ntx t2 failed\na - ETH 1 fee\ntx -\nb c ETH 5\nb d ETH 5",
			"0 [transfer token:ETH#0: a 5 > b 5] [fee token:ETH#0: a 1 > ]\n1 failed [fee token:ETH#0: a 1 > ]\n2 [transfer token:ETH#0: b 5 > c 5]\n3 [transfer token:ETH#0: b 5 > d 5]\n"},
		{"named-row-ends-group", "tx t1\na b ETH 5\nt2: b c ETH 5\nb d ETH 5",
			"0 [transfer token:ETH#0: a 5 > b 5]\n1 [transfer token:ETH#0: b 5 > c 5]\n2 [transfer token:ETH#0: b 5 > d 5]\n"},
		{"gap", "tx t1 index=5\na b ETH 5\nt2: a b ETH 6", "5 [transfer token:ETH#0: a 5 > b 5]\n6 [transfer token:ETH#0: a 6 > b 6]\n"},
		{"empty-tx", "tx t1\n", "0\n"},
		{"refused-row-keeps-its-place", "a b ETH 1\na b ETH one\na b ETH 3",
			"0 [transfer token:ETH#0: a 1 > b 1]\n2 [transfer token:ETH#0: a 3 > b 3]\nchain.txt:9 \"a b ETH one\"\n"},
		{"refused-row-of-a-group", "tx t\na b ETH 1\na b ETH\na c ETH 3",
			"0 [transfer token:ETH#0: a 1 > b 1] [transfer token:ETH#0: a 3 > c 3]\nchain.txt:10 \"a b ETH\"\n"},
		{"refused-tx", "t: a b ETH 1\ntx t\na b ETH 2\ntx u\na b ETH 3",
			"0 [transfer token:ETH#0: a 1 > b 1]\n1 [transfer token:ETH#0: a 3 > b 3]\nchain.txt:9 \"tx t\"\nchain.txt:10 \"a b ETH 2\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := decode(eth, tt.rows)
			if err != nil {
				t.Fatal(err)
			}
			if got := tell(b); got != tt.want {
				t.Fatalf("%q =\n%s; want\n%s", tt.rows, got, tt.want)
			}
		})
	}
}

// TestRefused: every one of these rows becomes a note and moves nothing.
func TestRefused(t *testing.T) {
	rows := map[flow.Chain][]string{
		eth: {
			"a b ETH", "a b ETH -5", "a b ETH 1.5", "a b ETH 1e3", "a b ETH 5 5", "- - ETH 5", "btc:a b ETH 5", "a/b c ETH 5", "a b E/T 5", "x:",
			"a b ETH 115792089237316195423570985008687907853269984665640564039457584007913129639936", "a b ETH 5 index=-1", "a b ETH 5 fee fee",
			"a 5 -> b 6 of ETH", "a 5 -> b 5", "a 5 -> b of ETH", "- -> - of ETH", "- 5 -> b 5 of ETH", "-> b 5 of ETH", "a 5 ->", "->", "of", "fee",
			"tx", "tx t index=x", "tx t odd", "a:0 -> b 5", "a 5 -> b 5 of",
		},
		flow.BitcoinRegtest: {
			"a b BTC 5", "a1:0 -> ", "-> b 5", "a1 -> b 5", "a1:0, a1:0 -> b 5", "a1:x -> b 5", "a1:0 bob 4 -> b 5", "a1:0 bob -> b 5",
			"a1:0 -> b 5 of X", "a1:0 -> bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081 5", "a1:0 -> much-too-long-for-an-invented-name 5", "a1:0 -> - 5",
		},
		flow.Ethereum: {"0x1234 b native 5", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD native native 5x", "a b erc20:0x00 5", "a b erc721:x/y 5"},
	}
	for c, rows := range rows {
		for _, row := range rows {
			b, err := decode(c, row)
			if err != nil || len(b.Txs) != 0 || len(b.Notes) != 1 {
				t.Errorf("%s: %q = %s, %v; want one note", c, row, tell(b), err)
				continue
			}
			n := b.Notes[0]
			if n.Kind != flow.Quarantined || n.Where != "chain.txt:9" && n.Where != "chain.txt:8" || n.Raw != row || !strings.HasSuffix(n.Reason, ".") {
				t.Errorf("%s: note of %q = %+v", c, row, n)
			}
		}
	}
	b, err := decode(eth, "tx t failed\na b ETH 5\n")
	if err != nil || len(b.Txs) != 1 || len(b.Txs[0].Movements) != 0 || len(b.Notes) != 1 {
		t.Errorf("a failed transaction that moves = %s, %v", tell(b), err)
	}
	b, err = decode(flow.BitcoinRegtest, "tx t\n- -> a 5\n- -> b 5\n")
	if err != nil || len(b.Txs) != 1 || len(b.Txs[0].Movements) != 1 || len(b.Notes) != 1 {
		t.Errorf("a UTXO transaction of two rows = %s, %v", tell(b), err)
	}
	b, err = decode(eth, strings.Repeat("x", 5000)+"\n")
	if err != nil || len(b.Notes) != 1 || len(b.Notes[0].Raw) != 1000 {
		t.Errorf("the note of a long row: %d notes, %v", len(b.Notes), err)
	}
}

// TestCoins: outpoints by the names of transactions, open inputs and known ones.
func TestCoins(t *testing.T) {
	c := flow.BitcoinRegtest
	who := func(name string) flow.Account {
		sum := sha256.Sum256([]byte(name))
		return must(flow.UTXOAccount(c, flow.PayToScript, sum[:]))
	}
	leg := func(name string, v uint64) flow.Leg { return flow.Leg{Account: who(name), Amount: flow.NewAmount(v)} }
	b, err := decode(c, "a1: - -> miner 50\na2: a1:0 -> bob 30, carol 19\n a2:0, "+strings.Repeat("0f", 32)+":7 erin 5 aa/5:1 -> "+who("dave").Address()+" 30")
	if err != nil {
		t.Fatal(err)
	}
	tx := func(name string, index uint32, m flow.Movement) flow.Tx {
		m.Asset = c.Native()
		return flow.Tx{ID: hash(name), Point: b.Point, Index: index, Movements: []flow.Movement{m}}
	}
	want := []flow.Tx{
		tx("a1", 0, flow.Movement{Kind: flow.Reward, Out: []flow.Leg{leg("miner", 50)}}),
		tx("a2", 1, flow.Movement{Kind: flow.Transfer, In: []flow.Leg{{}}, Spent: []flow.Outpoint{{Tx: hash("a1")}}, Out: []flow.Leg{leg("bob", 30), leg("carol", 19)}}),
		tx("aa/2", 2, flow.Movement{Kind: flow.Transfer, In: []flow.Leg{{}, leg("erin", 5), {}},
			Spent: []flow.Outpoint{{Tx: hash("a2")}, {Tx: must(flow.ParseHash(strings.Repeat("0f", 32))), Index: 7}, {Tx: hash("aa/5"), Index: 1}},
			Out:   []flow.Leg{leg("dave", 30)}}),
	}
	if !reflect.DeepEqual(b.Txs, want) || len(b.Notes) != 0 {
		t.Fatalf("coins = %+v, notes %v; want %+v", b.Txs, b.Notes, want)
	}
}

// TestEVM: names and addresses side by side, and the tokens of contracts.
func TestEVM(t *testing.T) {
	b, err := decode(flow.Ethereum, "alice 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed USDT 5 token\n"+
		"eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed alice erc721:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/7 1 nft\nalice bob native 3\n")
	if err != nil || len(b.Notes) != 0 || len(b.Txs) != 3 {
		t.Fatalf("block = %s, %v", tell(b), err)
	}
	sum := sha256.Sum256([]byte("alice"))
	alice := must(flow.ParseAccount(fmt.Sprintf("0x%x", sum[:20])))
	other := must(flow.ParseAccount("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"))
	sum = sha256.Sum256([]byte("USDT"))
	usdt := must(flow.ParseAccount(fmt.Sprintf("0x%x", sum[:20])))
	for i, want := range []flow.Movement{
		flow.In1Out1(flow.TokenMove, flow.Token(usdt), 0, alice, other, flow.NewAmount(5)),
		flow.In1Out1(flow.NFTMove, flow.NFT(other, flow.NewAmount(7)), 0, other, alice, flow.NewAmount(1)),
	} {
		if got := b.Txs[i].Movements[0]; !reflect.DeepEqual(got, want) {
			t.Errorf("movement %d = %+v; want %+v", i, got, want)
		}
	}
	if a := b.Txs[2].Movements[0].Asset; !a.IsNative() {
		t.Errorf("asset %s; want the coin", a)
	}
}

func TestBlockLine(t *testing.T) {
	at := flow.Point{Chain: eth, Height: 1, Hash: hash("aa"), Time: 5}
	saw := flow.SawLogs | flow.SawTraces | flow.SawFees | flow.SawRewards
	for _, tt := range []struct {
		raw  string
		want flow.Coverage
		bad  bool
	}{
		{raw: "1 x\nblock 1 aa time=5 parent=bb", want: saw},
		{raw: "1 x\nblock 1 aa", want: saw},
		{raw: "1 x\nblock 1 aa time=1970-01-01T00:00:05Z coverage=none"},
		{raw: "1 x\nblock 1 aa coverage=logs,hash-proved,tokens-from-call-data time=5", want: flow.SawLogs | flow.ProvedHash | flow.CallDataTokens},
		{raw: "", bad: true}, {raw: "1 x", bad: true}, {raw: "1 x\n", bad: true}, {raw: "x\nblock 1 aa", bad: true},
		{raw: "1 x\nblock 2 aa", bad: true}, {raw: "1 x\nblock 1 bb", bad: true}, {raw: "1 x\nblock 1 aa time=6", bad: true},
		{raw: "1 x\nblock 1 aa parent=cc", bad: true}, {raw: "1 x\nblock 1 aa coverage=all", bad: true}, {raw: "1 x\nblock 1 aa odd", bad: true},
		{raw: "-1 x\nblock 1 aa", bad: true}, {raw: "1 x\n\nblock 1 aa", bad: true},
	} {
		b, err := text.New().Decode(at, hash("bb"), []byte(tt.raw))
		switch {
		case tt.bad:
			if !errors.Is(err, text.ErrSyntax) || len(b.Txs) != 0 {
				t.Errorf("%q: error %v; want ErrSyntax", tt.raw, err)
			}
		case err != nil || b.Coverage != tt.want || b.Point != at || b.Parent != hash("bb"):
			t.Errorf("%q = %+v, %v; want the coverage %v", tt.raw, b, err, tt.want.Names())
		}
	}
}

// FuzzDecode: no input does harm; what comes out is in order, on its chain, and makes no value of nothing.
func FuzzDecode(f *testing.F) {
	for _, rows := range []string{
		"eth:a eth:b ETH 100", "tx t index=4 failed\na - ETH 5 fee\ntx -\n- b X 5 nft index=1", "a1: - -> m 50\na2: a1:0, x:1 bob 3 -> c 3, d 4",
		"a 5, b 6 -> c 11 of ETH", "- -> a 1\n-> x\n: :\n tx", "x:\ny: a b X 1",
		"tx t\nemit p 0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822 1 : 5 -1 index=3\nemit : :",
	} {
		for kind := range uint8(3) {
			f.Add(kind, rows)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, rows string) {
		c := []flow.Chain{eth, flow.BitcoinRegtest, flow.Ethereum}[kind%3]
		b, err := decode(c, rows)
		if err != nil {
			t.Fatalf("a good block line with any rows: %v", err)
		}
		for i, tx := range b.Txs {
			if i > 0 && tx.Index <= b.Txs[i-1].Index {
				t.Fatalf("transaction %d behind %d", tx.Index, b.Txs[i-1].Index)
			}
			for _, l := range tx.Logs {
				if _, ok := flow.KnownEvent(l.Topics[0]); !ok || l.Contract.Chain() != c || len(l.Topics) > flow.MaxTopics || len(l.Data) > flow.MaxLogData {
					t.Fatalf("event %+v on %s", l, c)
				}
			}
			for _, m := range tx.Movements {
				for _, l := range m.Out {
					if l.Account.IsZero() || l.Account.Chain() != c {
						t.Fatalf("an Out leg of %q on %s", l.Account, c)
					}
				}
				if c.IsUTXO() && len(m.In) != len(m.Spent) || !c.IsUTXO() && (len(m.Spent) > 0 || !m.IsComplete()) || m.Asset.IsZero() || m.Kind == 0 || len(m.In)+len(m.Out) == 0 {
					t.Fatalf("movement %+v on %s", m, c)
				}
			}
		}
	})
}
