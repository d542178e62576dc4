package watch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// million are accounts for large lists.
func million(n int) []flow.Account {
	all := make([]flow.Account, n)
	for i := range all {
		all[i] = flow.EVMAccount(flow.Ethereum, evmKey(uint64(i)))
	}
	return all
}

func evmKey(n uint64) (b [20]byte) {
	r := rand.New(rand.NewPCG(n, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// traffic is a block in which strangers pay these accounts, in turn.
func traffic(height uint64, txs int, to func(i int) flow.Account, asset flow.Asset, v flow.Amount) flow.Block {
	b := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: height, Time: int64(dayZero + 12*height)}}
	for i := range txs {
		n := height<<32 + uint64(i)
		from := flow.EVMAccount(flow.Ethereum, evmKey(1<<60+n))
		id := flow.Hash{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 32), byte(n >> 40), 1}
		b.Txs = append(b.Txs, flow.Tx{ID: id, Point: b.Point, Index: uint32(i), Movements: []flow.Movement{
			flow.In1Out1(flow.Fee, flow.Ethereum.Native(), 0, from, flow.Account{}, flow.NewAmount(1e15)),
			flow.In1Out1(flow.Transfer, flow.Ethereum.Native(), 0, from, evmStranger(n), flow.NewAmount(1e18)),
			flow.In1Out1(flow.TokenMove, asset, 1, from, to(i), v),
		}})
	}
	return b
}

func evmStranger(n uint64) flow.Account { return flow.EVMAccount(flow.Ethereum, evmKey(1<<61+n)) }

// BenchmarkListOfAMillion eats blocks of 300 transactions of strangers.
func BenchmarkListOfAMillion(b *testing.B) {
	accounts := million(1_000_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := New(Config{UndoDepth: 10})
	if err := w.SetLists([]List{{Name: "million", Accounts: accounts}}); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	g := newWorld()
	block := traffic(1, 300, func(i int) flow.Account { return evmStranger(1<<50 + uint64(i)) }, flow.Token(evm("X")), flow.NewAmount(5))
	for b.Loop() {
		block.Point.Height++
		for i := range block.Txs {
			block.Txs[i].Point.Height++
		}
		if _, err := w.Forward(context.Background(), g, Seen{Block: block}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
	runtime.KeepAlive(w)
}

// BenchmarkDust eats 100,000 payments of dust, to listed accounts and to others.
func BenchmarkDust(b *testing.B) {
	accounts := million(10_000)
	token := flow.Token(evm("TUSD"))
	for _, c := range []struct {
		name   string
		to     func(i int) flow.Account
		amount uint64
		fake   bool
	}{
		{"elsewhere", func(i int) flow.Account { return evmStranger(1<<50 + uint64(i)) }, 5, false},
		{"listed-nothing", func(i int) flow.Account { return accounts[i%len(accounts)] }, 0, false},
		{"listed-fake", func(i int) flow.Account { return accounts[i%len(accounts)] }, 5, true},
		{"listed-small", func(i int) flow.Account { return accounts[i%len(accounts)] }, 5, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := newWorld()
			g.names[token] = "USDC"
			g.fakes[token] = c.fake
			var all []flow.Block
			for h := range uint64(333) {
				all = append(all, traffic(h+1, 300, c.to, token, flow.NewAmount(c.amount)))
			}
			for b.Loop() {
				w := New(Config{})
				if err := w.SetLists([]List{{Name: "many", Accounts: accounts}}); err != nil {
					b.Fatal(err)
				}
				told := 0
				for _, block := range all {
					n, err := w.Forward(context.Background(), g, Seen{Block: block})
					if err != nil {
						b.Fatal(err)
					}
					told += len(n.Alerts)
				}
				if told > 0 || c.name != "elsewhere" && w.Stats().Dust != 333*300 {
					b.Fatalf("%d told, %d counted", told, w.Stats().Dust)
				}
			}
		})
	}
}

// BenchmarkHoldersDust is BenchmarkDust for a case: strangers send dust to those who hold stolen money.
func BenchmarkHoldersDust(b *testing.B) {
	token := flow.Token(evm("TUSD"))
	for _, hit := range []bool{false, true} {
		b.Run(fmt.Sprintf("holders-%v", hit), func(b *testing.B) {
			g := newWorld()
			g.names[token] = "USDC"
			c := heist()
			c.Theft = stolenBy(evm("victim"), token)
			c.Options.Dust = map[flow.Asset]flow.Amount{token: flow.NewAmount(10_000)}
			theft := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: 1, Time: dayZero}}
			theft.Txs = []flow.Tx{{ID: flow.Hash{1}, Point: theft.Point}}
			for i := range 1000 {
				theft.Txs[0].Movements = append(theft.Txs[0].Movements,
					flow.In1Out1(flow.TokenMove, token, uint32(i), evm("victim"), flow.EVMAccount(flow.Ethereum, evmKey(uint64(i))), flow.NewAmount(1e9)))
			}
			var all []flow.Block
			for h := range uint64(333) {
				all = append(all, traffic(h+2, 300, func(i int) flow.Account {
					if hit {
						return flow.EVMAccount(flow.Ethereum, evmKey(uint64(i)))
					}
					return evmStranger(1<<50 + uint64(i))
				}, token, flow.NewAmount(5)))
			}
			for b.Loop() {
				w := New(Config{})
				if _, err := w.Open(context.Background(), g, c, Start{Chain: flow.Ethereum}); err != nil {
					b.Fatal(err)
				}
				for _, block := range append([]flow.Block{theft}, all...) {
					n, err := w.Forward(context.Background(), g, Seen{Block: block})
					if err != nil {
						b.Fatal(err)
					}
					if len(n.Alerts) > 0 && block.Point.Height > 1 {
						b.Fatal(lines(n.Alerts))
					}
				}
			}
		})
	}
}

// BenchmarkThousandCases eats blocks of 300 transactions, of which 30 matter to one of 1,000 open cases each.
func BenchmarkThousandCases(b *testing.B) {
	token := flow.Token(evm("TUSD"))
	g := newWorld()
	w := New(Config{UndoDepth: 100})
	theft := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: 1, Time: dayZero}}
	for i := range 1000 {
		victim := flow.EVMAccount(flow.Ethereum, evmKey(1<<40+uint64(i)))
		c := Case{ID: fmt.Sprintf("case%d", i), Theft: stolenBy(victim, token), Options: options()}
		if _, err := w.Open(context.Background(), noBalances{g}, c, Start{Chain: flow.Ethereum}); err != nil {
			b.Fatal(err)
		}
		theft.Txs = append(theft.Txs, flow.Tx{ID: flow.Hash{1, byte(i), byte(i >> 8)}, Point: theft.Point, Index: uint32(i), Movements: []flow.Movement{
			flow.In1Out1(flow.TokenMove, token, 0, victim, flow.EVMAccount(flow.Ethereum, evmKey(uint64(i))), flow.NewAmount(1e18)),
		}})
	}
	if _, err := w.Forward(context.Background(), noBalances{g}, Seen{Block: theft}); err != nil {
		b.Fatal(err)
	}
	height, told := uint64(1), 0
	for b.Loop() {
		b.StopTimer()
		height++
		block := traffic(height, 300, func(i int) flow.Account { return evmStranger(1<<50 + uint64(i)) }, token, flow.NewAmount(1e6))
		for i := range 30 {
			block.Txs[10*i].Movements[2].In[0].Account = flow.EVMAccount(flow.Ethereum, evmKey(uint64(i*33)))
		}
		b.StartTimer()
		n, err := w.Forward(context.Background(), noBalances{g}, Seen{Block: block})
		if err != nil {
			b.Fatal(err)
		}
		told += len(n.Alerts)
	}
	if told < 30 {
		b.Fatalf("%d told", told)
	}
}
