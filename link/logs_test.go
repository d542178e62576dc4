package link

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// tellStrands writes what events tell: who gave what, and whose it became.
func tellStrands(all []Conversion) string {
	var lines []string
	for _, c := range all {
		s := c.String()
		if len(c.Strands) > 0 {
			s = string(c.Rule)
			for _, p := range c.Strands {
				s += fmt.Sprintf(" %s:%s%s>%s:%s%s", p.From.Address(), p.FromAmount, p.FromAsset.Name()[6:], p.To.Address(), p.ToAmount, p.ToAsset.Name()[6:])
			}
		}
		if c.Doubt != "" {
			s += " (?)"
		}
		lines = append(lines, s)
	}
	return strings.Join(lines, "|")
}

func TestEvents(t *testing.T) {
	for _, c := range []struct{ name, tx, want string }{
		{"swap", "a>p 5 X; p>a 2 Y; p! uniswap-v2 5 2", "uniswap-v2 a:5X>a:2Y|uniswap-v2 p:2Y>p:5X"},
		{"pays-last", "p>a 2 Y; a>p 5 X; p! uniswap-v3 5 2", "uniswap-v3 p:2Y>p:5X|uniswap-v3 a:5X>a:2Y"},
		{"curve", "a>p 5 X; p>a 2 Y; p! curve 5 2", "curve a:5X>a:2Y|curve p:2Y>p:5X"},
		{"routed", "a>r 5 X; r>p 5 X; p>r 3 M; p! uniswap-v2 5 3; r>q 3 M; q>r 2 Y; q! curve 3 2; r>a 2 Y",
			"uniswap-v2+curve a:5X>a:2Y|uniswap-v2 p:3M>p:5X|curve q:2Y>q:3M"},
		{"pool-to-pool", "a>p 5 X; p>q 3 M; p! uniswap-v2 5 3; q>b 2 Y; q! uniswap-v2 3 2", "uniswap-v2 a:5X>b:2Y|uniswap-v2 p:3M>p:5X|uniswap-v2 q:2Y>q:3M"},
		{"nested-backward", "q>a 2 Y; p>q 3 M; a>p 5 X; p! uniswap-v3 5 3; q! uniswap-v3 3 2", "uniswap-v3 q:2Y>q:3M|uniswap-v3 a:5X>a:2Y|uniswap-v3 p:3M>p:5X"},
		{"inside-one-contract", "a>m 5 X; m>a 2 Y; m! uniswap-v4 5 3; m! uniswap-v4 3 2", "uniswap-v4 a:5X>a:2Y|uniswap-v4 m:2Y>m:5X"},
		{"two-payers-two-takers", "a>p 5 X; p>c 2 Y; p! uniswap-v2 5 2; b>p 6 X; p>d 1 Y; p! uniswap-v2 6 1",
			"uniswap-v2 a:5X>c:2Y|uniswap-v2 p:3Y>p:11X|uniswap-v2 b:6X>d:1Y"},
		{"same-amounts-in-order", "a>p 5 X; p>c 2 Y; p! uniswap-v2 5 2; b>p 5 X; p>d 2 Y; p! uniswap-v2 5 2",
			"uniswap-v2 a:5X>c:2Y|uniswap-v2 p:4Y>p:10X|uniswap-v2 b:5X>d:2Y"},
		{"two-swaps-of-one", "a>p 5 X; p>a 2 Y; p! uniswap-v2 5 2; a>q 3 X; q>a 7 Z; q! uniswap-v3 3 7", "uniswap-v2+uniswap-v3 a:5X>a:2Y a:3X>a:7Z|uniswap-v2 p:2Y>p:5X|uniswap-v3 q:7Z>q:3X"},
		{"circle", "a>p 5 X; p>a 2 Y; p! uniswap-v2 5 2; a>q 2 Y; q>a 6 X; q! uniswap-v2 2 6", "uniswap-v2 a:5X>a:6X|uniswap-v2 p:2Y>p:5X|uniswap-v2 q:6X>q:2Y"},
		{"refund", "a>r 5 X; r>p 4 X; p>a 2 Y; p! uniswap-v2 4 2; r>a 1 X", "uniswap-v2 a:1X>a:1X a:4X>a:2Y|uniswap-v2 p:2Y>p:4X"},
		{"fee-of-router", "a>r 5 X; r>f 1 X; r>p 4 X; p>a 2 Y; p! uniswap-v2 4 2", "uniswap-v2 a:1X>f:1X a:4X>a:2Y|uniswap-v2 p:2Y>p:4X"},
		{"lends-first", "r>p 4 X; p>a 2 Y; p! uniswap-v2 4 2; a>r 4 X", "uniswap-v2 p:2Y>p:4X|uniswap-v2 a:4X>a:2Y"},
		{"loan-of-the-pool", "p>a 9 Y; a>q 4 Y; q>a 5 X; q! uniswap-v2 4 5; a>p 5 X; p! uniswap-v3 5 9", "uniswap-v3 p:9Y>p:5X|uniswap-v2 q:5X>q:4Y"},
		{"feigned-and-handed-on", "a>fake 100 X; fake>p 100 X; p>fake 50 Y; p! uniswap-v2 100 50; fake>b 50 Y; fake>a 1 W; fake! uniswap-v2 100 1",
			"uniswap-v2 a:100X>b:50Y (?)|uniswap-v2 p:50Y>p:100X (?)"},
		{"unknown-exchanger-behind", "a>p 5 X; p>r 2 Y; p! uniswap-v2 5 2; r>q 2 Y; q>a 7 Z",
			"own-gain [a:5X] -> [a:7Z]|uniswap-v2 p:2Y>p:5X|own-gain [q:7Z] -> [q:2Y]"},
		{"unborne-amount", "a>p 5 X; p>a 2 Y; p! uniswap-v2 500 2", "own-gain [a:5X] -> [a:2Y] (?)|own-gain [p:2Y] -> [p:5X] (?)"},
		{"unrelated-contract", "a>p 5 X; p>a 2 Y; z! uniswap-v2 5 2", "own-gain [a:5X] -> [a:2Y]|own-gain [p:2Y] -> [p:5X]"},
		{"no-exchange", "a>b 5 X; b! uniswap-v2 5 2", ""},
		{"sender-of-many", "a>m 1 G fee; a>p 5 X; b>p 5 X; p>c 2 Y; p>d 2 Y", "max-flow [a:5X] -> [c:1Y d:1Y] (?)"},
		{"sender-who-bought-nothing", "a>m 1 G fee; a>z 5 Z; b>p 5 X; c>p 4 X; p>d 2 Y", "own-gain [p:2Y] -> [p:9X]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := tellStrands(Conversions(story(c.tx))); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.tx, got, c.want)
			}
		})
	}
}

// Coin is wrapped by a router, goes through two of the pools that Balancer's vault holds, and through one of Uniswap; what came out is
// unwrapped. The coin stands before the tokens, as in blocks that do not tell their order among each other.
func TestVaultAndWraps(t *testing.T) {
	account := func(n byte) flow.Account { return flow.EVMAccount(flow.Ethereum, [20]byte{n}) }
	a, router, vault, pool := account(1), account(2), account(3), account(4)
	weth, coin := who("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"), flow.Ethereum.Native()
	wrapped, x, y := flow.Token(weth), flow.Token(account(5)), flow.Token(account(6))
	v := flow.NewAmount
	swap := func(index uint32, from, to flow.Account, in, out uint64) flow.Log {
		l := flow.Log{Index: index, Contract: vault, Topics: make([]flow.Hash, 4)}
		l.Topics[0] = must(flow.ParseHash("0x2170c741c41531aec20e7c107c24eecfdd15e69c9bb0a8dd37b1840b9e0b207b"))
		for i, token := range []flow.Account{from, to} {
			b, _ := token.EVMAddress()
			copy(l.Topics[2+i][12:], b[:])
		}
		for _, n := range []uint64{in, out} {
			b := v(n).Bytes()
			l.Data = append(l.Data, b[:]...)
		}
		return l
	}
	tx := flow.Tx{
		Movements: []flow.Movement{
			flow.In1Out1(flow.Fee, coin, 0, a, account(9), v(1)),
			flow.In1Out1(flow.Transfer, coin, 0, a, router, v(100)),
			flow.In1Out1(flow.Internal, coin, 1, router, weth, v(100)),
			flow.In1Out1(flow.Internal, coin, 2, weth, router, v(90)),
			flow.In1Out1(flow.Internal, coin, 3, router, a, v(90)),
			flow.In1Out1(flow.Wrap, wrapped, 1, flow.Account{}, router, v(100)),
			flow.In1Out1(flow.TokenMove, wrapped, 4, router, vault, v(100)),
			flow.In1Out1(flow.TokenMove, y, 5, vault, router, v(7)),
			flow.In1Out1(flow.TokenMove, y, 6, router, pool, v(7)),
			flow.In1Out1(flow.TokenMove, wrapped, 7, pool, router, v(90)),
			flow.In1Out1(flow.Unwrap, wrapped, 9, router, flow.Account{}, v(90)),
		},
		Logs: []flow.Log{swap(2, weth, account(5), 100, 55), swap(3, account(5), account(6), 55, 7), event(pool, UniswapV2, 8, v(7), v(90))},
	}
	var mine []Pass
	for _, c := range Conversions(tx) {
		if c.Account == a {
			mine = c.Strands
			if c.Rule != "wrap+balancer-v2+uniswap-v2" || c.Confidence != ByLogs || c.Doubt != "" {
				t.Errorf("%s, %s, %q", c.Rule, c.Confidence, c.Doubt)
			}
		} else if c.Account == vault && (len(c.Strands) != 1 || c.Strands[0] != (Pass{vault, vault, y, wrapped, v(7), v(100)})) {
			t.Errorf("the vault: %v", c)
		} else if c.Account == router {
			t.Errorf("the router: %v", c)
		}
	}
	if len(mine) != 1 || mine[0] != (Pass{a, a, coin, coin, v(100), v(90)}) {
		t.Errorf("strands %v", mine)
	}
	for name, spoil := range map[string]func(l *flow.Log){
		"another-token": func(l *flow.Log) { copy(l.Topics[3][12:], x.Contract()) },
		"long-address":  func(l *flow.Log) { l.Topics[2][0] = 1 },
		"same-token":    func(l *flow.Log) { l.Topics[3] = l.Topics[2] },
		"short":         func(l *flow.Log) { l.Data = l.Data[:63] },
		"few-topics":    func(l *flow.Log) { l.Topics = l.Topics[:3] },
		"more":          func(l *flow.Log) { l.Data[31]++ },
	} {
		bad := tx
		bad.Logs = slices.Clone(tx.Logs)
		bad.Logs[0].Topics, bad.Logs[0].Data = slices.Clone(tx.Logs[0].Topics), slices.Clone(tx.Logs[0].Data)
		spoil(&bad.Logs[0])
		for _, c := range Conversions(bad) {
			if strings.Contains(string(c.Rule), string(BalancerV2)) {
				t.Errorf("%s: believed: %v", name, c)
			}
		}
	}
}

// What an event says is sure, and what it is called.
func TestConfidence(t *testing.T) {
	for _, c := range []struct {
		tx   string
		want Confidence
	}{
		{"a>p 5 X; p>a 2 Y", ByNet}, {"a>p 5 X; p>a 2 Y; p! uniswap-v2 5 2", ByLogs},
		{"a>p 5 X; p>a 2 Y; p! uniswap-v2 5 3", ByNet},
		{"a>m 1 G fee; a>p 5 X; b>p 5 X; p>c 2 Y; p>d 2 Y", ByFlow},
	} {
		all := Conversions(story(c.tx))
		found := false
		for _, v := range all {
			if v.Account == who("a") {
				found = found || v.Confidence == c.want
			}
		}
		if !found {
			t.Errorf("%s: %v; want confidence %v", c.tx, all, c.want)
		}
	}
}

// drawMarket is a transaction with swaps that pools tell of, over routers or not, among other movements.
func drawMarket(t *rapid.T) flow.Tx {
	var parts []string
	for range rapid.IntRange(1, 3).Draw(t, "swaps") {
		payer := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "payer")
		taker := rapid.SampledFrom([]string{"a", "b", "d"}).Draw(t, "taker")
		at, asset, v := payer, "X", rapid.IntRange(1, 90).Draw(t, "paid")
		if rapid.Bool().Draw(t, "routed") {
			parts = append(parts, fmt.Sprintf("%s>r %d X", payer, v))
			at = "r"
		}
		hops := rapid.IntRange(1, 3).Draw(t, "hops")
		for hop := range hops {
			pool, got, w := []string{"p", "q", "s"}[hop], []string{"Y", "Z", "X"}[hop], rapid.IntRange(1, 90).Draw(t, "got")
			to := "r"
			if hop == hops-1 {
				to = taker
			}
			in, out := fmt.Sprintf("%s>%s %d %s", at, pool, v, asset), fmt.Sprintf("%s>%s %d %s", pool, to, w, got)
			if rapid.Bool().Draw(t, "pays last") {
				in, out = out, in
			}
			rule := rapid.SampledFrom([]Rule{UniswapV2, UniswapV3, Curve}).Draw(t, "rule")
			parts = append(parts, in, out, fmt.Sprintf("%s! %s %d %d", pool, rule, v, w))
			at, asset, v = "r", got, w
		}
	}
	return story(strings.Join(parts, ";"))
}

// drawAny is a market, or anything, or both in one.
func drawAny(t *rapid.T) flow.Tx {
	tx := drawTx(t)
	if kind := rapid.IntRange(0, 3).Draw(t, "market"); kind > 0 {
		market := drawMarket(t)
		if kind > 1 {
			tx.Movements = nil
		}
		market.Movements = append(market.Movements, tx.Movements...)
		tx = market
	}
	drawEvents(t, &tx)
	return tx
}

// drawEvents adds events to a transaction: true ones, of movements that are there, and lies.
func drawEvents(t *rapid.T, tx *flow.Tx) {
	rules := []Rule{UniswapV2, UniswapV3, UniswapV4, Curve}
	most := flow.AmountFromWords([4]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64})
	for range rapid.IntRange(0, 6).Draw(t, "events") {
		pool := who(rapid.SampledFrom([]string{"a", "b", "p", "q", "z"}).Draw(t, "pool"))
		in, out := flow.NewAmount(uint64(rapid.IntRange(0, 20).Draw(t, "in"))), flow.NewAmount(uint64(rapid.IntRange(0, 20).Draw(t, "out")))
		for _, m := range tx.Movements {
			if rapid.Bool().Draw(t, "true") {
				if len(m.Out) == 1 && m.Out[0].Account == pool {
					in = m.Out[0].Amount
				}
				if len(m.In) == 1 && m.In[0].Account == pool {
					out = m.In[0].Amount
				}
			}
		}
		switch rapid.IntRange(0, 12).Draw(t, "lie") {
		case 0:
			in = most
		case 1:
			out = minus(out)
		}
		l := event(pool, rapid.SampledFrom(rules).Draw(t, "rule"), uint32(rapid.IntRange(0, 20).Draw(t, "index")), in, out)
		if rapid.IntRange(0, 12).Draw(t, "short") == 0 {
			l.Data = l.Data[:len(l.Data)-1]
		}
		tx.Logs = append(tx.Logs, l)
	}
}

// Whatever events say: what strands bring was taken, what they take was given, and nobody is said to have gained what he did not.
func TestEventsMakeNothing(t *testing.T) {
	events := 0
	rapid.Check(t, func(t *rapid.T) {
		tx := drawAny(t)
		gave, took := map[spot]flow.Sum{}, map[spot]flow.Sum{}
		for i := range tx.Movements {
			m := &tx.Movements[i]
			if !counts(m) {
				continue
			}
			for _, l := range m.In {
				gave[spot{l.Account, m.Asset}] = gave[spot{l.Account, m.Asset}].Plus(l.Amount)
			}
			for _, l := range m.Out {
				took[spot{l.Account, m.Asset}] = took[spot{l.Account, m.Asset}].Plus(l.Amount)
			}
		}
		all := Conversions(tx)
		if !reflect.DeepEqual(all, Conversions(tx)) {
			t.Fatal("the same transaction, another answer")
		}
		seen := map[flow.Account]bool{}
		brought := map[spot]flow.Sum{}
		for _, c := range all {
			if seen[c.Account] || c.Account.IsZero() || c.Version != Version || c.Confidence == 0 {
				t.Fatalf("%v: an account converts once", c)
			}
			seen[c.Account] = true
			given := map[spot]flow.Sum{}
			for _, p := range c.Passes() {
				if p.From != c.Account || p.To.IsZero() || p.FromAmount.IsZero() || p.ToAmount.IsZero() {
					t.Errorf("%v: strand %v", c, p)
				}
				given[spot{p.From, p.FromAsset}] = given[spot{p.From, p.FromAsset}].Plus(p.FromAmount)
				if c.Confidence == ByLogs {
					events++
					brought[spot{p.To, p.ToAsset}] = brought[spot{p.To, p.ToAsset}].Plus(p.ToAmount)
				}
			}
			for k, v := range given {
				if v.Compare(gave[k]) > 0 {
					t.Errorf("%v: strands take %s of %s, gave %s", c, v, k.asset.Name(), gave[k])
				}
			}
		}
		for k, v := range brought {
			if v.Compare(took[k]) > 0 {
				t.Errorf("%v: strands bring %s of %s to %s, who took %s", all, v, k.asset.Name(), k.account, took[k])
			}
		}
	})
	if events < 50 {
		t.Errorf("events told only %d strands", events)
	}
}

// Events of contracts that moved nothing, and movements of others, change nothing.
func TestUnrelatedThingsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := drawAny(t)
		want := fmt.Sprint(Conversions(tx))
		more := tx
		more.Logs = append([]flow.Log{event(who("stranger"), UniswapV2, 3, flow.NewAmount(5), flow.NewAmount(7))}, tx.Logs...)
		for _, e := range flow.KnownEvents()[30:] {
			more.Logs = append(more.Logs, flow.Log{Index: 99, Contract: who("p"), Topics: []flow.Hash{e.Topic}})
		}
		if got := fmt.Sprint(Conversions(more)); got != want {
			t.Errorf("with unrelated events\n got %s\nwant %s", got, want)
		}
		first := story("u>v 3 J; w>u 4 K; v>w 1 J")
		rand.New(rand.NewPCG(uint64(len(tx.Movements)), 1)).Shuffle(len(first.Movements), func(i, k int) {
			first.Movements[i], first.Movements[k] = first.Movements[k], first.Movements[i]
		})
		mine := func(movements []flow.Movement) string {
			x := tx
			x.Movements = movements
			var s []string
			for _, c := range Conversions(x) {
				if c.Confidence == ByLogs {
					c.Doubt = "" // the net, which it is compared with, counts payers over the whole transaction
					s = append(s, tellStrands([]Conversion{c}))
				}
			}
			slices.Sort(s)
			return strings.Join(s, "\n")
		}
		alone := mine(tx.Movements)
		half := len(tx.Movements) / 2
		for name, movements := range map[string][]flow.Movement{
			"before": slices.Concat(first.Movements, tx.Movements), "behind": slices.Concat(tx.Movements, first.Movements),
			"among": slices.Concat(tx.Movements[:half], first.Movements, tx.Movements[half:]),
		} {
			if got := mine(movements); got != alone {
				t.Errorf("with unrelated movements %s\n%s\nalone\n%s", name, got, alone)
			}
		}
	})
}

// What was made to be slow is left to the cheaper reading.
func TestHugeTransactionsWithEvents(t *testing.T) {
	pays := func(n int) flow.Tx {
		parts := []string{"a>p 50 X; p>b 20 Y; p! uniswap-v2 50 20"}
		for i := range n {
			parts = append(parts, fmt.Sprintf("u>v%d 1 J", i))
		}
		return story(strings.Join(parts, ";"))
	}
	for _, c := range []struct {
		n    int
		want Confidence
	}{{maxMoves - 2, ByLogs}, {maxMoves - 1, ByNet}} {
		if all := Conversions(pays(c.n)); len(all) == 0 || all[0].Confidence != c.want {
			t.Errorf("%d movements beside a swap: %d conversions; want %v", c.n, len(all), c.want)
		}
	}
	noisy := pays(0)
	for range maxEvents {
		noisy.Logs = append(noisy.Logs, noisy.Logs[0])
	}
	if all := Conversions(noisy); len(all) == 0 || all[0].Confidence != ByNet {
		t.Errorf("%d events: %v", len(noisy.Logs), all)
	}
	many := func(n int) flow.Tx {
		parts := []string{"s>m 1 G fee; s>q0 100 X"}
		for i := range n {
			parts = append(parts, fmt.Sprintf("t>q%d 7 X; q%d>c%d 3 Y", i, i, i))
		}
		return story(strings.Join(parts, ";"))
	}
	if all := Conversions(many(20)); len(all) != 1 && all[len(all)-1].Confidence != ByFlow {
		t.Errorf("20 changes: %v", all)
	}
	for _, v := range Conversions(many(500)) {
		if v.Confidence == ByFlow {
			t.Errorf("500 changes: %v", v)
		}
	}
}

// FuzzEvent reads logs as they may come.
func FuzzEvent(f *testing.F) {
	for i, r := range []Rule{UniswapV2, UniswapV3, UniswapV4, Curve} {
		l := event(who("p"), r, 0, flow.NewAmount(5), flow.NewAmount(uint64(i)+2))
		f.Add(l.Topics[0][:], byte(len(l.Topics)), l.Data)
	}
	for _, e := range flow.KnownEvents() {
		f.Add(e.Topic[:], byte(4), make([]byte, 64))
	}
	pool := flow.EVMAccount(flow.Ethereum, [20]byte{7})
	f.Fuzz(func(t *testing.T, topic []byte, topics byte, data []byte) {
		l := flow.Log{Contract: pool, Topics: make([]flow.Hash, topics%6), Data: data}
		for i := range l.Topics {
			copy(l.Topics[i][:], topic)
			l.Topics[i][31] += byte(i)
		}
		s, ok := readEvent(l)
		if ok && (s.rule == "" || s.contract != pool || s.in.IsZero() || s.out.IsZero() || !s.inAsset.IsZero() && s.inAsset == s.outAsset) {
			t.Fatalf("%v reads as %+v", l, s)
		}
	})
}
