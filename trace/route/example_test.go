package route_test

import (
	"context"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/trace/route"
)

// list is a Graph of a few transactions.
type list []flow.Tx

func (l list) After(_ context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages := make([]trace.Page, len(asks))
	for i, ask := range asks {
		for _, tx := range l {
			m := tx.Movements[0]
			if tx.At().Compare(ask.From) >= 0 && (m.In[0].Account == ask.Account || m.Out[0].Account == ask.Account) {
				pages[i].Txs = append(pages[i].Txs, trace.View{Tx: tx})
			}
		}
	}
	return pages, nil
}

func (l list) Spends(_ context.Context, _ flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	return make([]flow.Tx, len(of)), nil
}

func (l list) Balances(_ context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	return make([]trace.Balance, len(of)), nil
}

// A mule pays a shop before a suspect. If it passed on the loot at once, the suspect got little of it; at most he got all.
func ExampleFind() {
	chain, _ := flow.TextChain("eth")
	account := func(name string) flow.Account { a, _ := flow.NewAccount(chain, name); return a }
	pay := func(height uint64, from, to string, v uint64) flow.Tx {
		return flow.Tx{ID: flow.Hash{31: byte(height)}, Point: flow.Point{Chain: chain, Height: height},
			Movements: []flow.Movement{flow.In1Out1(flow.Transfer, chain.Native(), 0, account(from), account(to), flow.NewAmount(v))}}
	}
	facts := list{pay(1, "thief", "mule", 60), pay(2, "mule", "shop", 50), pay(3, "mule", "suspect", 40), pay(4, "shop", "suspect", 5)}
	q := route.Question{From: account("thief"), To: account("suspect"), Asset: chain.Native()}
	r, err := route.Find(context.Background(), facts, q, route.Options{Exact: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("greedy", r.Greedy, "maximum", r.Max)
	for _, p := range r.Paths {
		fmt.Print(p.Amount, ":")
		for _, s := range p.Steps {
			fmt.Print(" ", s.From.Address(), " → ", s.To.Address())
		}
		fmt.Println()
	}
	// Output:
	// greedy 15 maximum 45
	// 40: thief → mule mule → suspect
	// 5: thief → mule mule → shop shop → suspect
}
