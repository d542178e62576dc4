package execution

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

var (
	rules = RulesOf(flow.Ethereum)
	weth  = rules.wrapped[0]
	token = addr(0xaa)
	ann   = addr(1)
	ben   = addr(2)
	miner = addr(3)
)

func addr(n byte) Address { return Address{0: n, 19: n} }

func wordOf(t testing.TB, n uint64) []byte {
	t.Helper()
	b := flow.NewAmount(n).Bytes()
	return b[:]
}

func topicOf(a Address) (h flow.Hash) {
	copy(h[12:], a[:])
	return h
}

// story writes movements in short: kind, asset, index and who gives and takes how much.
func story(moves []flow.Movement) string {
	var b strings.Builder
	name := func(legs []flow.Leg) string {
		if len(legs) == 0 {
			return "nobody"
		}
		var s []string
		for _, l := range legs {
			a, _ := l.Account.EVMAddress()
			who := map[Address]string{ann: "ann", ben: "ben", miner: "miner", weth: "weth", token: "token"}[a]
			if who == "" {
				who = l.Account.Address()
			}
			s = append(s, who+" "+l.Amount.String())
		}
		return strings.Join(s, "+")
	}
	for _, m := range moves {
		b.WriteString(m.Kind.String() + "/" + flow.NewAmount(uint64(m.Index)).String() + " " + m.Asset.Kind() + ": " + name(m.In) + " > " + name(m.Out) + "\n")
	}
	return b.String()
}

func TestFailedTransactionMovesOnlyItsFee(t *testing.T) {
	tx := Tx{From: &ann, To: &ben, Value: flow.NewAmount(5), Failed: true,
		Fee:   Fee{Known: true, GasUsed: flow.NewAmount(10), Price: flow.NewAmount(3), Base: flow.NewAmount(1), Blob: flow.NewAmount(7), Miner: &miner},
		Calls: []Call{{From: ann, To: ben, Value: flow.NewAmount(5), Failed: true}}}
	moves, _ := rules.Movements(tx)
	if got, want := story(moves), "fee/0 slip44: ann 37 > miner 20\n"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

func TestFeesGoWhereTheChainSendsThem(t *testing.T) {
	fee := Fee{Known: true, GasUsed: flow.NewAmount(10), Price: flow.NewAmount(3), Base: flow.NewAmount(2), L1: flow.NewAmount(50), Miner: &miner}
	for chain, want := range map[string]string{
		"eip155:1":     "fee/0 slip44: ann 80 > miner 10\n",
		"eip155:10":    "fee/0 slip44: ann 80 > miner 10+0x4200000000000000000000000000000000000019 20+0x420000000000000000000000000000000000001A 50\n",
		"eip155:42161": "fee/0 slip44: ann 80 > nobody\n",
	} {
		c, err := flow.ParseChain(chain)
		if err != nil {
			t.Fatal(err)
		}
		moves, _ := RulesOf(c).Movements(Tx{From: &ann, Fee: fee})
		if got := story(moves); got != want {
			t.Errorf("%s: got %s want %s", chain, got, want)
		}
	}
}

// TestOrderOfCallsAndLogs tells of a failed call, of one below it, of those that never move, and of logs in between.
func TestOrderOfCallsAndLogs(t *testing.T) {
	v := flow.NewAmount
	transfer := func(i uint32) Log { return TokenTransfer(i, token, ann, ben, v(100+uint64(i))) }
	calls := []Call{
		{Path: []uint32{2}, Kind: SelfDestruct, From: ben, To: ann, Value: v(4), LogsBefore: 2},
		{From: ann, To: ben, Value: v(1)},
		{Path: []uint32{0}, Kind: Create, From: ben, To: token, Value: v(2)},
		{Path: []uint32{1}, From: ben, To: ann, Value: v(3), Failed: true, LogsBefore: 1},
		{Path: []uint32{1, 0}, From: ann, To: ben, Value: v(3), LogsBefore: 1},
		{Path: []uint32{3}, Kind: Still, From: ben, To: ann, Value: v(9), LogsBefore: 2},
	}
	if err := Order(calls); err != nil {
		t.Fatal(err)
	}
	tx := Tx{From: &ann, To: &ben, Value: v(1), Calls: calls, Logs: []Log{transfer(7), transfer(8), transfer(9)}, LogOrder: true}
	moves, _ := rules.Movements(tx)
	want := "transfer/0 slip44: ann 1 > ben 1\ninternal/1 slip44: ben 2 > token 2\ntoken/7 erc20: ann 107 > ben 107\n" +
		"token/8 erc20: ann 108 > ben 108\ninternal/4 slip44: ben 4 > ann 4\ntoken/9 erc20: ann 109 > ben 109\n"
	if got := story(moves); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	tx.LogOrder = false
	moves, _ = rules.Movements(tx)
	if got := story(moves); !strings.HasSuffix(got, "internal/4 slip44: ben 4 > ann 4\ntoken/7 erc20: ann 107 > ben 107\ntoken/8 erc20: ann 108 > ben 108\ntoken/9 erc20: ann 109 > ben 109\n") {
		t.Errorf("without known places the coin does not come first:\n%s", got)
	}
	if err := Order(append(calls, Call{Path: []uint32{3}})); err == nil {
		t.Error("two calls at one place are no error")
	}
}

// The calls of a wrapped coin's contract wrap and unwrap, where there are no logs to say so.
func TestWrapsFromCalls(t *testing.T) {
	v := flow.NewAmount
	withdraw := append(selectWithdraw[:], wordOf(t, 5)...)
	for _, c := range []struct {
		name string
		call Call
		want string
	}{
		{"deposit", Call{From: ann, To: weth, Value: v(5), Input: selectDeposit[:]}, "internal/0 slip44: ann 5 > weth 5\nwrap/0 erc20: nobody > ann 5\n"},
		{"sent", Call{From: ann, To: weth, Value: v(5), Input: []byte{}}, "internal/0 slip44: ann 5 > weth 5\nwrap/0 erc20: nobody > ann 5\n"},
		{"input-not-known", Call{From: ann, To: weth, Value: v(5)}, "internal/0 slip44: ann 5 > weth 5\n"},
		{"deposit-of-nothing", Call{From: ann, To: weth, Input: selectDeposit[:]}, ""},
		{"withdraw", Call{From: ann, To: weth, Input: withdraw}, "unwrap/0 erc20: ann 5 > nobody\n"},
		{"withdraw-short", Call{From: ann, To: weth, Input: withdraw[:35]}, ""},
		{"withdraw-failed", Call{From: ann, To: weth, Input: withdraw, Failed: true}, ""},
		{"withdraw-elsewhere", Call{From: ann, To: token, Input: withdraw}, ""},
		{"delegated", Call{Kind: Still, From: ann, To: weth, Input: withdraw}, ""},
	} {
		c.call.Path = []uint32{0}
		tx := Tx{Calls: []Call{c.call}}
		moves, _ := rules.Movements(tx)
		if got := story(moves); got != c.want {
			t.Errorf("%s: got %q want %q", c.name, got, c.want)
		}
		tx.Logs = []Log{}
		if moves, _ := rules.Movements(tx); strings.Contains(story(moves), "wrap") {
			t.Errorf("%s: told by a call though there are logs: %s", c.name, story(moves))
		}
	}
}

func TestTokensFromLogs(t *testing.T) {
	from, to := topicOf(ann), topicOf(ben)
	dirty := from
	dirty[0] = 1
	deposit := Log{Index: 1, Emit: weth, Topics: []flow.Hash{eventDeposit, to}, Data: wordOf(t, 5)}
	withdrawal := Log{Index: 2, Emit: weth, Topics: []flow.Hash{eventWithdrawal, from}, Data: wordOf(t, 5)}
	batch := slicesOf(t, 64, 160, 2, 11, 12, 2, 21, 22)
	for _, c := range []struct {
		name string
		logs []Log
		want string
		odd  int
	}{
		{"erc20", []Log{{Index: 4, Emit: token, Topics: []flow.Hash{eventTransfer, from, to}, Data: wordOf(t, 5)}}, "token/4 erc20: ann 5 > ben 5\n", 0},
		{"zero-amount", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer, from, to}, Data: wordOf(t, 0)}}, "token/0 erc20: ann 0 > ben 0\n", 0},
		{"mint", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer, {}, to}, Data: wordOf(t, 5)}}, "token/0 erc20: nobody > ben 5\n", 0},
		{"burn", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer, from, {}}, Data: wordOf(t, 5)}}, "token/0 erc20: ann 5 > nobody\n", 0},
		{"nobody", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer, {}, {}}, Data: wordOf(t, 5)}}, "", 1},
		{"erc721", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer, from, to, {31: 9}}}}, "nft/0 erc721: ann 1 > ben 1\n", 0},
		{"not-indexed", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer}, Data: make([]byte, 96)}}, "", 1},
		{"short-data", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer, from, to}, Data: make([]byte, 31)}}, "", 1},
		{"dirty", []Log{{Emit: token, Topics: []flow.Hash{eventTransfer, dirty, to}, Data: wordOf(t, 5)}}, "", 1},
		{"single", []Log{{Emit: token, Topics: []flow.Hash{eventSingle, {}, from, to}, Data: slicesOf(t, 11, 5)}}, "nft/0 erc1155: ann 5 > ben 5\n", 0},
		{"single-dirty", []Log{{Emit: token, Topics: []flow.Hash{eventSingle, {}, from, dirty}, Data: slicesOf(t, 11, 5)}}, "", 1},
		{"batch", []Log{{Emit: token, Topics: []flow.Hash{eventBatch, {}, from, to}, Data: batch}}, "nft/0 erc1155: ann 21 > ben 21\nnft/0 erc1155: ann 22 > ben 22\n", 0},
		{"batch-short", []Log{{Emit: token, Topics: []flow.Hash{eventBatch, {}, from, to}, Data: batch[:len(batch)-1]}}, "", 1},
		{"batch-unequal", []Log{{Emit: token, Topics: []flow.Hash{eventBatch, {}, from, to}, Data: slicesOf(t, 64, 128, 1, 11, 2, 21, 22)}}, "", 1},
		{"batch-huge", []Log{{Emit: token, Topics: []flow.Hash{eventBatch, {}, from, to}, Data: slicesOf(t, 64, 1<<62, 1)}}, "", 1},
		{"wrap", []Log{deposit, withdrawal}, "wrap/1 erc20: nobody > ben 5\nunwrap/2 erc20: ann 5 > nobody\n", 0},
		{"wrap-of-another", []Log{{Emit: token, Topics: []flow.Hash{eventDeposit, to}, Data: wordOf(t, 5)}}, "", 0},
		{"wrap-told-twice", []Log{deposit, TokenTransfer(3, weth, Address{}, ben, flow.NewAmount(5)), {Index: 4, Emit: weth, Topics: deposit.Topics, Data: deposit.Data}},
			"token/3 erc20: nobody > ben 5\nwrap/4 erc20: nobody > ben 5\n", 0},
		{"wrap-odd", []Log{{Emit: weth, Topics: []flow.Hash{eventDeposit, to}, Data: wordOf(t, 5)[1:]}}, "", 1},
		{"other", []Log{{Emit: token, Topics: []flow.Hash{{1}}, Data: wordOf(t, 5)}, {Emit: token}}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			moves, notes := rules.Movements(Tx{Logs: c.logs})
			if got := story(moves); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if len(notes) != c.odd {
				t.Errorf("%d notes, want %d: %+v", len(notes), c.odd, notes)
			}
			for _, n := range notes {
				if n.Kind != flow.Quarantined || n.Where == "" || n.Reason == "" || len(n.Raw) > 1000 {
					t.Errorf("note %+v", n)
				}
			}
		})
	}
}

func slicesOf(t *testing.T, numbers ...uint64) []byte {
	var out []byte
	for _, n := range numbers {
		out = append(out, wordOf(t, n)...)
	}
	return out
}

func TestTokensFromCallData(t *testing.T) {
	to := append(make([]byte, 12), ben[:]...)
	dirty := append([]byte{1}, to[1:]...)
	from := append(make([]byte, 12), miner[:]...)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name string
		call Call
		want string
	}{
		{"transfer", Call{Input: join(selectTransfer[:], to, wordOf(t, 5))}, "token/0 erc20: ann 5 > ben 5\n"},
		{"transfer-and-more", Call{Input: join(selectTransfer[:], dirty, wordOf(t, 5), to)}, "token/0 erc20: ann 5 > ben 5\n"},
		{"transferFrom", Call{Input: join(selectTransferFrom[:], from, to, wordOf(t, 5))}, "token/0 erc20: miner 5 > ben 5\n"},
		{"short", Call{Input: join(selectTransfer[:], to, wordOf(t, 5)[1:])}, ""},
		{"short-from", Call{Input: join(selectTransferFrom[:], from, to)}, ""},
		{"other", Call{Input: join([]byte{1, 2, 3, 4}, to, wordOf(t, 5))}, ""},
		{"delegate", Call{Kind: Still, Input: join(selectTransfer[:], to, wordOf(t, 5))}, ""},
		{"failed", Call{Failed: true, Input: join(selectTransfer[:], to, wordOf(t, 5))}, ""},
	} {
		c.call.From, c.call.To = ann, token
		if got, _ := rules.Movements(Tx{Calls: []Call{c.call}}); story(got) != c.want {
			t.Errorf("%s: got %q want %q", c.name, story(got), c.want)
		}
		if got, _ := rules.Movements(Tx{Calls: []Call{c.call}, Logs: []Log{}}); len(got) != 0 {
			t.Errorf("%s: with logs it is read twice: %s", c.name, story(got))
		}
	}
}

// TestNothingIsMadeOrLost: whatever a transaction is, what accounts give and take of an asset differs by no more than
// what was issued and burned.
func TestNothingIsMadeOrLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := anyTx(t)
		if err := Order(tx.Calls); err != nil {
			t.Skip(err)
		}
		moves, _ := rules.Movements(tx)
		type sums struct{ net, issued, burned *big.Int }
		by := map[flow.Asset]*sums{}
		for _, m := range moves {
			s := by[m.Asset]
			if s == nil {
				s = &sums{new(big.Int), new(big.Int), new(big.Int)}
				by[m.Asset] = s
			}
			in, out := new(big.Int), new(big.Int)
			for _, l := range m.In {
				in.Add(in, l.Amount.Big())
			}
			for _, l := range m.Out {
				out.Add(out, l.Amount.Big())
			}
			s.net.Add(s.net, out).Sub(s.net, in)
			if len(m.In) == 0 {
				s.issued.Add(s.issued, out)
			} else if in.Cmp(out) < 0 {
				t.Fatalf("%+v: more is taken than given", m)
			} else {
				s.burned.Add(s.burned, in.Sub(in, out))
			}
			if len(m.In) > 1 || len(m.In)+len(m.Out) == 0 {
				t.Fatalf("%+v: legs", m)
			}
			if tx.Failed && m.Kind != flow.Fee && m.Kind != flow.Reward {
				t.Fatalf("a failed transaction moved %+v", m)
			}
		}
		for a, s := range by {
			if s.net.Cmp(new(big.Int).Sub(s.issued, s.burned)) != 0 {
				t.Fatalf("%s: net %s, issued %s, burned %s", a, s.net, s.issued, s.burned)
			}
		}
	})
}

func anyTx(t *rapid.T) Tx {
	address := rapid.SampledFrom([]Address{{}, ann, ben, miner, weth, token})
	value := rapid.Custom(func(t *rapid.T) flow.Amount {
		b := rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "value")
		v, err := flow.AmountFromBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
	small := rapid.Custom(func(t *rapid.T) flow.Amount { return flow.NewAmount(rapid.Uint64().Draw(t, "small")) })
	from, to, m := address.Draw(t, "from"), address.Draw(t, "to"), address.Draw(t, "miner")
	tx := Tx{From: &from, To: &to, Value: value.Draw(t, "v"), Failed: rapid.Bool().Draw(t, "failed"), LogOrder: rapid.Bool().Draw(t, "order"),
		Fee: Fee{Known: rapid.Bool().Draw(t, "fee"), GasUsed: small.Draw(t, "gas"), Price: small.Draw(t, "price"), Base: small.Draw(t, "base"),
			Blob: small.Draw(t, "blob"), Miner: &m}}
	for range rapid.IntRange(0, 6).Draw(t, "calls") {
		tx.Calls = append(tx.Calls, Call{Path: rapid.SliceOfN(rapid.Uint32Range(0, 2), 0, 3).Draw(t, "path"), Kind: CallKind(rapid.IntRange(0, 3).Draw(t, "kind")),
			From: address.Draw(t, "from"), To: address.Draw(t, "to"), Value: value.Draw(t, "v"), Failed: rapid.Bool().Draw(t, "failed"),
			LogsBefore: rapid.IntRange(0, 5).Draw(t, "before"), Input: rapid.SliceOfN(rapid.Byte(), 0, 110).Draw(t, "input")})
	}
	topics := rapid.SampledFrom([]flow.Hash{eventTransfer, eventSingle, eventBatch, eventDeposit, eventWithdrawal, {}, topicOf(ann), topicOf(ben)})
	for i := range rapid.IntRange(0, 6).Draw(t, "logs") {
		tx.Logs = append(tx.Logs, Log{Index: uint32(i), Emit: address.Draw(t, "emit"), Topics: rapid.SliceOfN(topics, 0, 4).Draw(t, "topics"),
			Data: bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "data"), rapid.IntRange(0, 5).Draw(t, "times"))})
	}
	return tx
}

func FuzzTokens(f *testing.F) {
	f.Add(byte(3), []byte{0, 0, 1})
	f.Add(byte(4), bytes.Repeat([]byte{0}, 256))
	f.Fuzz(func(t *testing.T, n byte, data []byte) {
		for _, event := range []flow.Hash{eventTransfer, eventSingle, eventBatch, eventDeposit, eventWithdrawal} {
			topics := []flow.Hash{event, topicOf(ann), topicOf(ann), topicOf(ben), topicOf(ben)}
			moves, notes := rules.Movements(Tx{Logs: []Log{{Emit: weth, Topics: topics[:n%6], Data: data}}})
			if len(moves) > len(data)/32+1 || len(notes) > 1 || len(moves) > 0 && len(notes) > 0 {
				t.Errorf("%d movements and %d notes from %d bytes", len(moves), len(notes), len(data))
			}
		}
	})
}
