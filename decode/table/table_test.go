package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rows"
)

const (
	transfersHeader = "chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp,kind,block_hash,parent_hash"
	heistHeader     = "hash,from,to,value,timeStamp,blockNumber,tokenSymbol,contractAddress,isError,gasPrice,gasUsed"

	alice = "0x00000000000000000000000000000000000000a1"
	bob   = "0x00000000000000000000000000000000000000b2"
	zero  = "0x0000000000000000000000000000000000000000"
	usdt  = "0xdac17f958d2ee523a2206206994597c13d831ec7"
	tx1   = "0x1111111111111111111111111111111111111111111111111111111111111111"
	tx2   = "0x2222222222222222222222222222222222222222222222222222222222222222"
	hash7 = "0x7777777777777777777777777777777777777777777777777777777777777777"
)

var at = flow.Point{Chain: flow.Ethereum, Height: 7, Time: 700}

func raw(header string, records ...string) []byte {
	var b rows.Block
	for i, r := range records {
		b.Add("f.csv", header, i+2, r, false)
	}
	return b.Take()
}

// show writes a block for people: one line per transaction, movement and note.
func show(b flow.Block) string {
	var out []string
	for _, tx := range b.Txs {
		failed := ""
		if tx.Failed {
			failed = " failed"
		}
		out = append(out, fmt.Sprintf("tx%d %.1s%s", tx.Index, tx.ID, failed))
		for _, m := range tx.Movements {
			side := func(legs []flow.Leg) string {
				if len(legs) == 0 {
					return "-"
				}
				a := legs[0].Account.Address()
				return a[max(0, len(a)-2):] + ":" + legs[0].Amount.String()
			}
			out = append(out, fmt.Sprintf("  %d %s %s %s>%s", m.Index, m.Kind, m.Asset.Name(), side(m.In), side(m.Out)))
		}
	}
	for _, n := range b.Notes {
		out = append(out, fmt.Sprintf("note%d %s %s", n.Kind, n.Where, n.Reason))
	}
	return strings.Join(out, "\n")
}

func TestTransfers(t *testing.T) {
	row := func(index, tx, from, to, asset, amount, kind string) string {
		return strings.Join([]string{"eip155:1", "7", index, tx, from, to, asset, amount, "700", kind, "", ""}, ",")
	}
	got, err := NewTransfers(flow.Ethereum).Decode(at, flow.Hash{}, raw(transfersHeader,
		row("0", tx1, alice, bob, "ETH", "5", ""),
		row("1", tx2, zero, bob, usdt, "6", ""),
		row("2", tx1, bob, zero, "erc20:"+usdt, "7", ""),
		row("3", tx1, bob, zero, "native", "8", "internal"),
		row("4", tx2, "eip155:1:"+bob, alice, "eip155:1/erc721:"+usdt+"/99", "1", ""),
		row("5", tx2, alice, "", "ETH", "9", "fee"),
		row("6", tx2, "", alice, usdt, "0", "wrap"),
		row("6", tx2, "", alice, usdt, "1", "wrap"),
		row("6", tx2, "", alice, usdt, "0", "wrap"),
		`"eip155:1","7","7",`+tx2+`,`+alice+`,`+bob+`,"ETH","1","700",,"",`,
	))
	if err != nil {
		t.Fatal(err)
	}
	const contract = "erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7"
	want := strings.Join([]string{
		"tx0 1",
		"  0 transfer slip44:60 A1:5>b2:5",
		"  2 token " + contract + " b2:7>-",
		"  3 internal slip44:60 b2:8>00:8",
		"tx1 2",
		"  1 token " + contract + " ->b2:6",
		"  4 nft erc721:0xdAC17F958D2ee523a2206206994597C13D831ec7/99 b2:1>A1:1",
		"  5 fee slip44:60 A1:9>-",
		"  6 wrap " + contract + " ->A1:0",
		"  6 wrap " + contract + " ->A1:1",
		"  7 transfer slip44:60 A1:1>b2:1",
		"note1 f.csv:10 repeats f.csv:8",
	}, "\n")
	if show(got) != want {
		t.Errorf("got\n%s\nwant\n%s", show(got), want)
	}
	if got.Point != at || got.Coverage != 0 || got.Txs[0].Point != at {
		t.Errorf("block at %v with coverage %v; want %v and none", got.Point, got.Coverage.Names(), at)
	}
}

func TestRefusedTransfers(t *testing.T) {
	good := []string{"eip155:1", "7", "0", tx1, alice, bob, "ETH", "5", "700", "", "", ""}
	with := func(column int, value string) string {
		f := append([]string{}, good...)
		f[column] = value
		return strings.Join(f, ",")
	}
	for _, c := range []struct{ row, want string }{
		{"eip155:1,7", "2 fields, but the header has 12"},
		{with(0, "no chain"), "not a CAIP-2"},
		{with(1, "seven"), `block number "seven": not a whole number`},
		{with(1, "-7"), "not a whole number"},
		{with(2, "4294967296"), "log_index"},
		{with(3, "0x12"), "tx_hash"},
		{with(3, "0x"+strings.Repeat("0", 64)), "tx_hash: all zero"},
		{with(4, "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), "wrong checksum"},
		{with(4, ""), "from is empty"},
		{with(5, ""), "to is empty"},
		{with(5, "eip155:56:"+bob), "is on eip155:56"},
		{with(5, "btc:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"), "is on bip122:"},
		{with(6, "BNB"), "asset"},
		{with(6, "eip155:56/erc20:"+usdt), "asset"},
		{with(7, "1.5"), "amount_base_units"},
		{with(7, "-1"), "amount_base_units"},
		{with(7, "0x10"), "amount_base_units"},
		{with(7, "1e18"), "amount_base_units"},
		{with(7, ""), "amount_base_units"},
		{with(7, "115792089237316195423570985008687907853269984665640564039457584007913129639936"), "2^256-1"},
		{with(8, "701"), "other rows of the block say 700"},
		{with(8, "yesterday"), "timestamp"},
		{with(9, "gift"), "not one of transfer internal"},
		{with(10, "0x7"), "block_hash"},
		{with(11, hash7), "parent_hash"},
		{`"unclosed`, "quoted field"},
		{`5" disk` + strings.Repeat(",", 11), "quoted field"},
	} {
		b, err := NewTransfers(flow.Ethereum).Decode(at, flow.Hash{1}, raw(transfersHeader, strings.Join(good, ","), c.row))
		if err != nil {
			t.Errorf("%q: %v", c.row, err)
			continue
		}
		if len(b.Txs) != 1 || len(b.Txs[0].Movements) != 1 || len(b.Notes) != 1 {
			t.Errorf("%q: got %s; want the good row and one note", c.row, show(b))
			continue
		}
		n := b.Notes[0]
		if n.Kind != flow.Quarantined || n.Where != "f.csv:3" || !strings.Contains(n.Reason, c.want) || n.Raw != c.row {
			t.Errorf("%q: note %+v; want it at f.csv:3, saying %q", c.row, n, c.want)
		}
	}
}

func TestBlocksThatAreNotTheirs(t *testing.T) {
	good := strings.Join([]string{"eip155:1", "7", "0", tx1, alice, bob, "ETH", "5", "700", "", "", ""}, ",")
	for _, c := range []struct {
		name string
		at   flow.Point
		raw  []byte
		want error
	}{
		{"other height", flow.Point{Chain: flow.Ethereum, Height: 8}, raw(transfersHeader, good), ErrBlock},
		{"other chain in the row", at, raw(transfersHeader, strings.Replace(good, "eip155:1,", "eip155:10,", 1)), ErrBlock},
		{"other chain of the block", flow.Point{Chain: flow.Bitcoin, Height: 7}, raw(transfersHeader, good), ErrBlock},
		{"not rows", at, []byte("block"), rows.ErrRaw},
		{"cut", at, raw(transfersHeader, good)[:200], rows.ErrRaw},
	} {
		b, err := NewTransfers(flow.Ethereum).Decode(c.at, flow.Hash{}, c.raw)
		if !errors.Is(err, c.want) || !reflect.DeepEqual(b, flow.Block{}) {
			t.Errorf("%s: %v, %v; want nothing and %v", c.name, b, err, c.want)
		}
	}
	if _, err := NewTransfers(flow.Ethereum).Decode(at, flow.Hash{}, raw("chain,to", "a,b")); err == nil || !strings.Contains(err.Error(), "f.csv:1: header") {
		t.Errorf("header without columns: %v", err)
	}
}

func TestOtherChains(t *testing.T) {
	text, err := flow.TextChain("story")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		chain           flow.Chain
		from, to, asset string
		want            string
	}{
		{text, "victim", "thief", "gold", "transfer token:gold im:5>ef:5"},
		{flow.Tron, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb", "TRX", "transfer slip44:195 6t:5>wb:5"},
		{flow.Tron, "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "token trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t ->6t:5"},
		{flow.EVMChain(56), alice, bob, "BNB", "transfer slip44:714 A1:5>b2:5"},
	} {
		p := flow.Point{Chain: c.chain, Height: 7}
		row := strings.Join([]string{c.chain.String(), "7", "0", tx1, c.from, c.to, c.asset, "5", "", "", "", ""}, ",")
		b, err := NewTransfers(c.chain).Decode(p, flow.Hash{}, raw(transfersHeader, row))
		if want := "tx0 1\n  0 " + c.want; err != nil || show(b) != want {
			t.Errorf("%s: %s, %v; want %s", row, show(b), err, want)
		}
	}
}

func TestHeist(t *testing.T) {
	row := func(tx, from, to, value, contract, isError, price, used string) string {
		return strings.Join([]string{tx, from, to, value, "700", "7", "SYM", contract, isError, price, used}, ",")
	}
	tx3, tx4 := strings.ReplaceAll(tx1, "1", "3"), strings.ReplaceAll(tx1, "1", "4")
	got, err := NewHeist(flow.Chain{}).Decode(at, flow.Hash{}, raw(heistHeader,
		row(tx1, bob, alice, "3", "", "0", "", "0"),                              // a call inside the transaction
		row(tx1, zero, alice, "4.0", usdt, "", "10.0", "21000"),                  // issue of a token
		row(tx1, alice, bob, "5", "", "0.0", "10.0", "21000"),                    // the transaction itself
		row(tx1, alice, bob, "5", "", "0.0", "10.0", "21000"),                    // repeats
		row(tx1, bob, alice, "9", "", "1", "", "0"),                              // a call that failed
		row(tx2, alice, bob, "6", "", "1.0", "10", "21000"),                      // failed
		row(tx2, alice, bob, "6", usdt, "", "10", "21000"),                       // cannot be
		row(tx3, alice, bob, "0.0", "", "", "1e9", "21000"),                      // a call without coin; fee not exact
		row(tx3, alice, bob, "0", usdt, "", "", ""),                              // zero tokens did move
		strings.Replace(row(tx4, alice, "", "8", bob, "", "", ""), "SYM", "", 1), // creation of a contract
		row(tx4, alice, bob, "1.5", "", "", "", ""),
		row(tx4, alice, bob, "1e+18", "", "", "", ""),
		row(tx4, alice, bob, "9007199254740994.0", "", "", "", ""),
		row(tx4, alice, bob, "9007199254740994", "", "no", "", ""),
		row(tx4, zero, zero, "9", usdt, "", "", ""),
		row(tx4, alice, "", "9", usdt, "", "", ""),
	))
	if err != nil {
		t.Fatal(err)
	}
	const contract = "erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7"
	const float = "a fraction or a floating-point number, which may have been rounded"
	want := strings.Join([]string{
		"tx0 1",
		"  0 fee slip44:60 A1:210000>-",
		"  1 transfer slip44:60 A1:5>b2:5",
		"  2 internal slip44:60 b2:3>A1:3",
		"  3 token " + contract + " ->A1:4",
		"tx1 2 failed",
		"  4 fee slip44:60 A1:210000>-",
		"tx2 3",
		"  5 token " + contract + " A1:0>b2:0",
		"tx3 4",
		"  6 internal slip44:60 A1:8>b2:8",
		"note1 f.csv:5 repeats f.csv:4",
		`note2 f.csv:9 the fee is not known: gasPrice "1e9": ` + float,
		`note1 f.csv:12 value "1.5": ` + float,
		`note1 f.csv:13 value "1e+18": ` + float,
		`note1 f.csv:14 value "9007199254740994.0": ` + float,
		`note1 f.csv:15 isError "no": neither 0 nor 1`,
		"note1 f.csv:16 neither from nor to is anybody",
		`note1 f.csv:17 to: account "" on eip155:1: not an address: an EVM address has 40 hexadecimal digits after 0x`,
		"note1 f.csv:8 its transaction failed",
	}, "\n")
	if show(got) != want {
		t.Errorf("got\n%s\nwant\n%s", show(got), want)
	}
}

func TestNotesAreBounded(t *testing.T) {
	var bad []string
	for range maxNotes + 7 {
		bad = append(bad, strings.Repeat("\xff", 5000))
	}
	b, err := NewTransfers(flow.Ethereum).Decode(at, flow.Hash{}, raw(transfersHeader, bad...))
	if err != nil || len(b.Notes) != maxNotes+1 || !strings.HasPrefix(b.Notes[maxNotes].Reason, "7 more rows") {
		t.Errorf("%d notes, %v; want %d", len(b.Notes), err, maxNotes+1)
	}
	if n := len(b.Notes[0].Raw); n > maxNoteRaw {
		t.Errorf("a note has %d bytes of the row; want at most %d", n, maxNoteRaw)
	}
}

// Many transactions in one block, their rows interleaved, still group by hash.
func TestManyTransactions(t *testing.T) {
	const n = 3 * scanTxs
	var records []string
	for round := range 2 {
		for i := range n {
			records = append(records, fmt.Sprintf("eip155:1,7,%d,0x%064x,%s,%s,ETH,5,700,,,", round*n+i, i+1, alice, bob))
		}
	}
	b, err := NewTransfers(flow.Ethereum).Decode(at, flow.Hash{}, raw(transfersHeader, records...))
	if err != nil || len(b.Txs) != n {
		t.Fatalf("%d transactions, %v; want %d", len(b.Txs), err, n)
	}
	for i, tx := range b.Txs {
		if tx.Index != uint32(i) || len(tx.Movements) != 2 || tx.Movements[0].Index != uint32(i) || tx.Movements[1].Index != uint32(n+i) {
			t.Fatalf("transaction %d: %+v", i, tx)
		}
	}
}

func FuzzTransfers(f *testing.F) {
	f.Add(strings.Join([]string{"eip155:1", "7", "0", tx1, alice, bob, "ETH", "5", "700", "", "", ""}, ","), "eip155:1,7,0")
	f.Add(strings.Join([]string{"eip155:1", "7", "0", tx1, "", bob, usdt, "5", "", "wrap", hash7, hash7}, ","), `"a""b"`)
	f.Fuzz(func(t *testing.T, one, two string) {
		fuzzDecode(t, NewTransfers(flow.Ethereum), raw(transfersHeader, one, two))
	})
}

func FuzzHeist(f *testing.F) {
	f.Add(strings.Join([]string{tx1, alice, bob, "5.0", "700", "7", "", usdt, "0.0", "10.0", "21000"}, ","), "")
	f.Add(strings.Join([]string{tx1, alice, bob, "5", "700", "7", "", "", "1", "10.0", "21000"}, ","),
		strings.Join([]string{tx1, alice, bob, "5", "700", "7", "", "", "1", "", "0"}, ","))
	f.Fuzz(func(t *testing.T, one, two string) {
		fuzzDecode(t, NewHeist(flow.Ethereum), raw(heistHeader, one, two))
	})
}

func FuzzRaw(f *testing.F) {
	f.Add(raw(transfersHeader, strings.Join([]string{"eip155:1", "7", "0", tx1, alice, bob, "ETH", "5", "700", "", "", ""}, ",")))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzDecode(t, NewTransfers(flow.Ethereum), b) })
}

// fuzzDecode checks what holds for any bytes: the same answer twice, no movement without a side, JSON that reads back.
func fuzzDecode(t *testing.T, d *Decoder, raw []byte) {
	b, err := d.Decode(at, flow.Hash{}, raw)
	again, err2 := d.Decode(at, flow.Hash{}, raw)
	if !reflect.DeepEqual(b, again) || (err == nil) != (err2 == nil) {
		t.Fatalf("%v, %v; then %v, %v", b, err, again, err2)
	}
	if err != nil {
		return
	}
	for _, tx := range b.Txs {
		if tx.ID.IsZero() {
			t.Fatalf("transaction without an id: %v", tx)
		}
		for _, m := range tx.Movements {
			if len(m.In)+len(m.Out) == 0 || m.Asset.IsZero() || m.Asset.Chain() != flow.Ethereum {
				t.Fatalf("movement %+v", m)
			}
		}
	}
	if _, err := json.Marshal(b); err != nil {
		t.Fatal(err)
	}
}
