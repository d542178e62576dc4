package watch_test

import (
	"context"
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/watch"
)

// world is what a watch asks about, in a story where nobody had anything before.
type world struct{ trace.Graph }

func (world) Balances(_ context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	return make([]trace.Balance, len(of)), nil
}
func (world) Vouched(flow.Asset) bool { return true }
func (world) LastGave(context.Context, flow.Account, flow.Pos) (int64, error) {
	return 0, nil
}
func (world) Name(flow.Asset) (string, int) { return "ETH", 0 }
func (world) Party(a flow.Account) (watch.Party, bool) {
	return watch.Party{Name: "Exchange", Category: "exchange", Contact: "desk@exchange.example"}, a.Address() == "deposit"
}

func Example() {
	chain, err := flow.TextChain("eth")
	if err != nil {
		fmt.Println(err)
		return
	}
	account := func(name string) flow.Account {
		a, err := flow.NewAccount(chain, name)
		if err != nil {
			panic(err)
		}
		return a
	}
	pays := func(height uint64, from, to string, v uint64) watch.Seen {
		p := flow.Point{Chain: chain, Height: height, Time: int64(1_700_000_000 + 12*height)}
		m := flow.In1Out1(flow.Transfer, chain.Native(), 0, account(from), account(to), flow.NewAmount(v))
		return watch.Seen{At: time.Unix(p.Time+1, 0), Block: flow.Block{Point: p, Txs: []flow.Tx{{ID: flow.Hash{byte(height)}, Point: p, Movements: []flow.Movement{m}}}}}
	}
	w := watch.New(watch.Config{})
	_, err = w.Open(context.Background(), world{}, watch.Case{
		ID:    "heist",
		Theft: trace.Theft{Sources: []trace.Source{trace.Outflow{Account: account("victim"), Asset: chain.Native()}}},
		Options: trace.Options{UndoDepth: 100, Policies: []trace.Policy{trace.DirtyFirst, trace.CleanFirst}, Stop: func(a flow.Account) (trace.Stop, bool) {
			return trace.Stop{}, a == account("deposit")
		}},
	}, watch.Start{Chain: chain})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, seen := range []watch.Seen{pays(1, "victim", "thief", 100), pays(2, "stranger", "shop", 5), pays(3, "thief", "deposit", 40)} {
		news, err := w.Forward(context.Background(), world{}, seen)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, a := range news.Alerts {
			fmt.Println(a.At.Height, a.Severity, a.Title)
			fmt.Println(a.Text)
		}
	}
	// Output:
	// 1 high Stolen money moved
	// 100 ETH, all of the theft, moved from victim to thief, 1 hop from the theft. The new holder is watched from now on.
	// 3 critical Stolen money reached a service
	// 40 ETH, 400 of 1000 parts of the theft, arrived at deposit (Exchange, exchange) from thief. How much of it is stolen, by rule: dirty-first 40 ETH, clean-first 40 ETH. Minutes count: ask the service to freeze it: desk@exchange.example.
}
