package link

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var storyChain = must(flow.TextChain("story"))

func who(name string) flow.Account {
	if name == "" {
		return flow.Account{}
	}
	if strings.HasPrefix(name, "0x") {
		return must(flow.ParseAccountOn(flow.Ethereum, name))
	}
	return must(flow.NewAccount(storyChain, name))
}

// story reads the movements of one transaction: "alice>pool 100 USD; pool>alice 2 COIN". Nobody before or behind the
// arrow is an issue or a burn; "fee" as a fourth word makes it a fee. "pool! uniswap-v2 100 2" is an event: what it says
// went in, and what came out.
func story(text string) flow.Tx {
	tx := flow.Tx{Point: flow.Point{Chain: storyChain, Height: 1}}
	for i, part := range strings.Split(text, ";") {
		f := strings.Fields(part)
		if pool, ok := strings.CutSuffix(f[0], "!"); ok {
			tx.Logs = append(tx.Logs, event(who(pool), Rule(f[1]), uint32(i), must(flow.ParseAmount(f[2])), must(flow.ParseAmount(f[3]))))
			continue
		}
		from, to, _ := strings.Cut(f[0], ">")
		kind := flow.TokenMove
		if len(f) > 3 {
			kind = must(flow.ParseKind(f[3]))
		}
		tx.Movements = append(tx.Movements, flow.In1Out1(kind, must(flow.NamedAsset(storyChain, f[2])), uint32(i), who(from), who(to), must(flow.ParseAmount(f[1]))))
	}
	return tx
}

// event is the log of an exchange that names no assets.
func event(pool flow.Account, rule Rule, index uint32, in, out flow.Amount) flow.Log {
	l := flow.Log{Index: index, Contract: pool, Topics: make([]flow.Hash, 3)}
	zero := flow.Amount{}
	var words []flow.Amount
	signature := ""
	switch rule {
	case UniswapV2:
		signature, words = "Swap(address,uint256,uint256,uint256,uint256,address)", []flow.Amount{zero, in, out, zero}
	case UniswapV3:
		signature, words = "Swap(address,address,int256,int256,uint160,uint128,int24)", []flow.Amount{minus(out), in, zero, zero, zero}
	case UniswapV4:
		signature, words = "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)", []flow.Amount{minus(in), out, zero, zero, zero, zero}
	case Curve:
		signature, words = "TokenExchange(address,int128,uint256,int128,uint256)", []flow.Amount{zero, in, flow.NewAmount(1), out}
		l.Topics = l.Topics[:2]
	}
	for _, e := range flow.KnownEvents() {
		if e.Signature == signature {
			l.Topics[0] = e.Topic
		}
	}
	for _, w := range words {
		b := w.Bytes()
		l.Data = append(l.Data, b[:]...)
	}
	return l
}

// minus is -v in two's complement.
func minus(v flow.Amount) flow.Amount {
	top := flow.AmountFromWords([4]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64})
	rest, _ := top.Sub(v)
	sum, _ := rest.Add(flow.NewAmount(1))
	return sum
}

func (p Part) String() string {
	return fmt.Sprintf("%s:%s%s", p.Account.Address(), p.Amount, p.Asset.Name()[len(p.Asset.Kind())+1:])
}

func (c Conversion) String() string {
	s := fmt.Sprint(c.Rule, " ", c.Gives, " -> ", c.Takes)
	if len(c.Rest) > 0 {
		s += fmt.Sprint(" rest ", c.Rest)
	}
	return s
}

func TestConversions(t *testing.T) {
	for _, c := range []struct{ name, tx, want string }{
		{"transfer", "a>b 5 X", ""},
		{"two-payments", "a>b 5 X; a>b 3 Y", ""},
		{"swap", "a>pool 5 X; pool>a 2 Y", "own-gain [a:5X] -> [a:2Y]|own-gain [pool:2Y] -> [pool:5X]"},
		{"pays-last", "pool>a 2 Y; a>pool 5 X", "own-gain [pool:2Y] -> [pool:5X]|own-gain [a:5X] -> [a:2Y]"},
		{"route", "a>r 5 X; r>p 5 X; p>q 3 M; q>r 2 Y; r>a 2 Y",
			"own-gain [a:5X] -> [a:2Y]|own-gain [p:3M] -> [p:5X]|own-gain [q:2Y] -> [q:3M]"},
		{"refund", "a>r 5 X; r>p 4 X; p>a 2 Y; r>a 1 X", "own-gain [a:4X] -> [a:2Y] rest [a:1X]|own-gain [p:2Y] -> [p:4X]"},
		{"fee-of-inclusion", "a>miner 1 X fee; a>p 5 Y; p>a 3 Z", "own-gain [a:5Y] -> [a:3Z]|own-gain [p:3Z] -> [p:5Y]"},
		{"other-takes", "a>p 5 X; p>b 2 Y", "own-gain [p:2Y] -> [p:5X]|sole-payer [a:5X] -> [b:2Y]"},
		{"handed-in", "a>b 5 X; b>p 5 X; p>b 2 Y", "own-gain [p:2Y] -> [p:5X]|sole-payer [a:5X] -> [b:2Y]"},
		{"paid-from-input", "a>r 5 X; r>f 1 X; r>p 4 X; p>a 2 Y", "own-gain [a:4X] -> [a:2Y] rest [f:1X]|own-gain [p:2Y] -> [p:4X f:1X]"},
		{"paid-from-output", "a>p 5 X; p>r 4 Y; r>f 1 Y; r>a 3 Y", "own-gain [a:5X] -> [a:3Y f:1Y]|own-gain [p:3Y] -> [p:5X] rest [f:1Y]"},
		{"swap-and-payment", "a>r 100 X; r>p 1 X; p>a 1 Y; r>f 99 X", "own-gain [a:1X] -> [a:1Y] rest [f:99X]|own-gain [p:1Y] -> [p:1X f:99X]"},
		{"two-halves", "a>in 5 X; out>a 2 Y", "own-gain [a:5X] -> [a:2Y]|sole-payer [out:2Y] -> [in:5X]"},
		{"issue-to-payer", "a>vault 5 X; >a 2 S", "own-gain [a:5X] -> [a:2S]"},
		{"burn-for-two", "a> 2 S; p>a 5 X; p>a 7 Y", "own-gain [a:2S] -> [a:5X a:7Y]|sole-payer [p:5X p:7Y] -> []"},
		{"two-for-one", "a>p 5 X; a>p 7 Y; p>a 2 S", "own-gain [a:5X a:7Y] -> [a:2S]|own-gain [p:2S] -> [p:5X p:7Y]"},
		{"batch-of-two", "a>s 5 X; b>s 4 Y; s>a 4 Y; s>b 5 X", "own-gain [a:5X] -> [a:4Y]|own-gain [b:4Y] -> [b:5X]"},
		{"two-payers-two-takers", "a>p 5 X; b>p 5 X; p>c 2 Y; p>d 2 Y", ""},
		{"loot-paid-out-beside-a-swap", "a>f 9 X; a>p 1 Z; p>a 1 Y", "own-gain [a:1Z] -> [a:1Y]|own-gain [p:1Y] -> [p:1Z]"},
		{"feigned", "a>friend 5 X; friend>a 9 JUNK", "own-gain [a:5X] -> [a:9JUNK]|own-gain [friend:9JUNK] -> [friend:5X]"}, // believed
		{"circle", "a>p 5 X; p>a 2 Y; a>q 2 Y; q>a 6 X", "own-gain [p:2Y] -> [p:5X a:1X]|own-gain [q:5X] -> [q:2Y] rest [a:1X]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, v := range Conversions(story(c.tx)) {
				got = append(got, v.String())
			}
			want := strings.Split(c.want, "|")
			if c.name == "burn-for-two" { // nobody took anything for what the pool paid
				want = want[:1]
			}
			if s := strings.Join(got, "|"); s != strings.Join(want, "|") {
				t.Errorf("%s\n got %s\nwant %s", c.tx, s, strings.Join(want, "|"))
			}
		})
	}
}

// A wrapped coin and a pool that issues its own shares are the counterparty themselves.
func TestIssuerIsCounterparty(t *testing.T) {
	weth := who("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")
	a := who("0x1111111111111111111111111111111111111111")
	b := who("0x2222222222222222222222222222222222222222")
	coin, token := flow.Ethereum.Native(), flow.Token(weth)
	one := flow.NewAmount(1)
	tx := flow.Tx{Movements: []flow.Movement{
		flow.In1Out1(flow.Transfer, coin, 0, a, weth, one), flow.In1Out1(flow.Wrap, token, 1, flow.Account{}, a, one),
	}}
	got := Conversions(tx)
	if len(got) != 1 || got[0].Account != a || got[0].Gives[0].Asset != coin || got[0].Takes[0] != (Part{a, token, one}) {
		t.Errorf("wrap: %v", got)
	}
	tx.Movements = []flow.Movement{
		flow.In1Out1(flow.Unwrap, token, 1, a, flow.Account{}, one), flow.In1Out1(flow.Internal, coin, 0, weth, b, one),
	}
	got = Conversions(tx)
	if len(got) != 1 || got[0].Account != a || got[0].Takes[0] != (Part{b, coin, one}) || got[0].Rule != SolePayer {
		t.Errorf("unwrap to another: %v", got)
	}
}

func TestReceiptBesideTheGoods(t *testing.T) {
	contract := who("0xC36442b4a4522E871399CD717aBDD847Ab11FE88")
	a, pool := who("0x1111111111111111111111111111111111111111"), who("0x2222222222222222222222222222222222222222")
	x, y := flow.Token(who("0x3333333333333333333333333333333333333333")), flow.Token(who("0x4444444444444444444444444444444444444444"))
	nft := flow.NFT(contract, flow.NewAmount(7))
	five, one := flow.NewAmount(5), flow.NewAmount(1)
	give := []flow.Movement{flow.In1Out1(flow.TokenMove, x, 0, a, pool, five), flow.In1Out1(flow.NFTMove, nft, 1, pool, a, one)}
	got := Conversions(flow.Tx{Movements: give})
	if len(got) == 0 || got[0].Takes[0].Asset != nft {
		t.Errorf("a piece that was bought: %v", got)
	}
	got = Conversions(flow.Tx{Movements: append(give, flow.In1Out1(flow.TokenMove, y, 2, pool, a, five))})
	if len(got) == 0 || len(got[0].Takes) != 1 || got[0].Takes[0].Asset != y {
		t.Errorf("a receipt beside the goods: %v", got)
	}
}

// drawTx is a transaction of anybody with anybody, honest amounts or not.
func drawTx(t *rapid.T) flow.Tx {
	names := []string{"a", "b", "c", "d", "p", "q", ""}
	tx := flow.Tx{Point: flow.Point{Chain: storyChain}}
	for i := range rapid.IntRange(0, 12).Draw(t, "movements") {
		from, to := rapid.SampledFrom(names).Draw(t, "from"), rapid.SampledFrom(names).Draw(t, "to")
		v := flow.NewAmount(uint64(rapid.IntRange(0, 20).Draw(t, "amount")))
		if rapid.IntRange(0, 40).Draw(t, "lie") == 0 {
			v = flow.AmountFromWords([4]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64})
		}
		asset := must(flow.NamedAsset(storyChain, rapid.SampledFrom([]string{"X", "Y", "Z"}).Draw(t, "asset")))
		kind := flow.TokenMove
		if rapid.IntRange(0, 9).Draw(t, "fee") == 0 {
			kind = flow.Fee
		}
		tx.Movements = append(tx.Movements, flow.In1Out1(kind, asset, uint32(i), who(from), who(to), v))
	}
	return tx
}

// What the strands of an account give of an asset sums to all it gave; nobody is said to have gained what he did not;
// and the answer is the same each time.
func TestConversionsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := drawTx(t)
		type key struct {
			account flow.Account
			asset   flow.Asset
		}
		gave, net := map[key]flow.Sum{}, map[key]flow.Sum{}
		took := map[key]flow.Sum{}
		for i := range tx.Movements {
			m := &tx.Movements[i]
			if !counts(m) {
				continue
			}
			for _, l := range m.In {
				gave[key{l.Account, m.Asset}] = gave[key{l.Account, m.Asset}].Plus(l.Amount)
			}
			for _, l := range m.Out {
				took[key{l.Account, m.Asset}] = took[key{l.Account, m.Asset}].Plus(l.Amount)
			}
		}
		for k, v := range took {
			if gain, ok := v.Minus(gave[k]); ok {
				net[k] = flow.Sum{}.Plus(gain)
			}
		}
		all := Conversions(tx)
		if fmt.Sprint(all) != fmt.Sprint(Conversions(tx)) {
			t.Fatal("the same transaction, another answer")
		}
		seen := map[flow.Account]bool{}
		for _, c := range all {
			if seen[c.Account] || c.Account.IsZero() || c.Version != Version {
				t.Fatalf("%v: an account converts once", c)
			}
			seen[c.Account] = true
			for _, p := range c.Takes {
				if p.Account.IsZero() || p.Amount.IsZero() || net[key{p.Account, p.Asset}].Compare(flow.Sum{}.Plus(p.Amount)) < 0 {
					t.Errorf("%v: %v was not gained", c, p)
				}
				if slices.ContainsFunc(c.Gives, func(g Part) bool { return g.Asset == p.Asset }) {
					t.Errorf("%v: an asset for itself", c)
				}
			}
			sums := map[flow.Asset]flow.Sum{}
			for _, p := range c.Passes() {
				if p.From != c.Account || p.FromAmount.IsZero() || p.ToAmount.IsZero() {
					t.Errorf("%v: strand %v", c, p)
				}
				sums[p.FromAsset] = sums[p.FromAsset].Plus(p.FromAmount)
			}
			for _, g := range c.Gives {
				if sums[g.Asset] != gave[key{c.Account, g.Asset}] {
					t.Errorf("%v: strands of %s sum to %s, gave %s", c, g.Asset.Name(), sums[g.Asset], gave[key{c.Account, g.Asset}])
				}
			}
		}
	})
}

// A transaction that was made to be slow is left out in no time.
func TestHugeTransaction(t *testing.T) {
	tx := flow.Tx{}
	x, y := must(flow.NamedAsset(storyChain, "X")), must(flow.NamedAsset(storyChain, "Y"))
	for i := range 5000 {
		a := who(fmt.Sprint("a", i))
		tx.Movements = append(tx.Movements, flow.In1Out1(flow.TokenMove, x, 0, a, who("p"), flow.NewAmount(2)),
			flow.In1Out1(flow.TokenMove, y, 0, who("p"), a, flow.NewAmount(1)), flow.In1Out1(flow.TokenMove, x, 0, who("p"), who(fmt.Sprint("f", i)), flow.NewAmount(1)))
	}
	if got := Conversions(tx); got != nil {
		t.Errorf("%d conversions", len(got))
	}
}

func ExampleConversions() {
	tx := story("thief>router 900 USDC; router>pool 900 USDC; pool>router 3 WETH; router>thief 3 WETH")
	for _, c := range Conversions(tx)[:1] {
		fmt.Println(c)
	}
	// Output: own-gain [thief:900USDC] -> [thief:3WETH]
}
