package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

// wholeChains are the transactions of a snapshot in the order of their chains, read block by block.
func wholeChains(t *rapid.T, s store.Snapshot) map[flow.Chain][]flow.Tx {
	all := map[flow.Chain][]flow.Tx{}
	for _, c := range s.Chains() {
		points, err := s.Recent(context.Background(), c, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range slices.Backward(points) {
			b, err := s.Block(context.Background(), c, p.Height)
			if err != nil {
				t.Fatal(err)
			}
			all[c] = append(all[c], b.Txs...)
		}
	}
	return all
}

// touches are the places of the movements of tx that touch a, one for each leg.
func touches(tx flow.Tx, a flow.Account) (at []flow.Pos) {
	for i, m := range tx.Movements {
		for _, l := range slices.Concat(m.In, m.Out) {
			if l.Account == a {
				at = append(at, flow.Pos{Height: tx.Point.Height, Tx: tx.Index, Movement: uint32(i)})
			}
		}
	}
	return at
}

// randomStory writes two account chains and a UTXO chain with few holders, so that they meet often.
func randomStory(t *rapid.T) []string {
	holders := []string{"a", "b", "c", "d", "-"}
	holder := func(what string, n int) string { return holders[rapid.IntRange(0, n).Draw(t, what)] }
	var chains []string
	for _, name := range []string{"text:one", "eip155:137"} {
		var b strings.Builder
		fmt.Fprintf(&b, "chain %s\n", name)
		height := 0
		for i := range rapid.IntRange(1, 6).Draw(t, "blocks") {
			height += rapid.IntRange(1, 2).Draw(t, "step")
			fmt.Fprintf(&b, "block %d %s%d\n", height, strings.ReplaceAll(name, ":", ""), i)
			for range rapid.IntRange(0, 5).Draw(t, "rows") {
				if rapid.IntRange(0, 2).Draw(t, "new") == 0 {
					fmt.Fprintf(&b, "tx t%d\n", b.Len())
				}
				from := holder("from", 4)
				to := holder("to", 4)
				if from == "-" && to == "-" {
					to = "a"
				}
				fmt.Fprintf(&b, "%s %s %s %d\n", from, to, rapid.SampledFrom([]string{"native", "GOLD"}).Draw(t, "asset"), rapid.IntRange(0, 9).Draw(t, "amount"))
			}
		}
		chains = append(chains, b.String())
	}
	var b strings.Builder
	b.WriteString("chain regtest\n")
	var unspent []string
	value := map[string]int{}
	for i := range rapid.IntRange(1, 5).Draw(t, "blocks") {
		fmt.Fprintf(&b, "block %d u%d\n", i+1, i)
		for k := range rapid.IntRange(1, 3).Draw(t, "transactions") {
			id := fmt.Sprintf("u%d_%d", i, k)
			n := rapid.IntRange(0, min(2, len(unspent))).Draw(t, "inputs")
			sum := 50
			in := "-"
			if n > 0 {
				in, sum = strings.Join(unspent[:n], ", "), 0
				for _, o := range unspent[:n] {
					sum += value[o]
				}
				unspent = unspent[n:]
			}
			fmt.Fprintf(&b, "%s: %s -> %s %d, %s %d\n", id, in, holder("out", 3), sum/2, holder("out", 3), sum-sum/2)
			for o := range 2 {
				name := fmt.Sprintf("%s:%d", id, o)
				value[name] = []int{sum / 2, sum - sum/2}[o]
				unspent = append(unspent, name)
			}
		}
	}
	return append(chains, b.String())
}

// The graph gives the answers that reading every block gives.
func TestGraphAgreesWithWholeBlocks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := story(t, randomStory(rt)...)
		g := NewGraph(s)
		chains := wholeChains(rt, s)
		accounts := map[flow.Account]bool{account(t, aBTC): true, account(t, anEVM): true, account(t, "text:one:stranger"): true}
		assets := map[flow.Asset]bool{flow.Bitcoin.Native(): true}
		for _, txs := range chains {
			for _, tx := range txs {
				for _, m := range tx.Movements {
					assets[m.Asset] = true
					for _, l := range slices.Concat(m.In, m.Out) {
						accounts[l.Account] = true
					}
				}
			}
		}
		who := slices.SortedFunc(func(yield func(flow.Account) bool) {
			for a := range accounts {
				if !yield(a) {
					return
				}
			}
		}, flow.Account.Compare)
		what := slices.SortedFunc(func(yield func(flow.Asset) bool) {
			for a := range assets {
				if !yield(a) {
					return
				}
			}
		}, flow.Asset.Compare)
		somewhere := rapid.Custom(func(rt *rapid.T) flow.Pos {
			return flow.Pos{Height: rapid.Uint64Range(0, 12).Draw(rt, "height"), Tx: rapid.Uint32Range(0, 5).Draw(rt, "tx"), Movement: rapid.Uint32Range(0, 3).Draw(rt, "movement")}
		})
		asks := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) trace.Ask {
			return trace.Ask{Account: rapid.SampledFrom(who).Draw(rt, "account"), From: somewhere.Draw(rt, "from"), Limit: rapid.IntRange(1, 4).Draw(rt, "limit")}
		}), 1, 8).Draw(rt, "asks")
		checkAfter(rt, g, chains, asks)
		checkBefore(rt, g, chains, asks)
		checkCoins(rt, g, chains[flow.BitcoinRegtest])
		checkBalances(rt, g, chains, who, what, somewhere.Draw(rt, "before"))
	})
}

// checkAfter reads every ask to its end, page by page.
func checkAfter(t *rapid.T, g *Graph, chains map[flow.Chain][]flow.Tx, asks []trace.Ask) {
	for round := 0; len(asks) > 0; round++ {
		pages, err := g.After(context.Background(), asks)
		if err != nil || len(pages) != len(asks) {
			t.Fatalf("After: %d pages, %v", len(pages), err)
		}
		if round > 200 {
			t.Fatalf("the pages do not end: %+v", asks)
		}
		var rest []trace.Ask
		for i, p := range pages {
			var want []flow.Tx
			for _, tx := range chains[asks[i].Account.Chain()] {
				if at := touches(tx, asks[i].Account); len(at) > 0 && at[len(at)-1].Compare(asks[i].From) >= 0 {
					want = append(want, tx)
				}
			}
			var got []flow.Tx
			for _, v := range p.Txs {
				if v.Places != nil {
					t.Fatalf("a part of a transaction: %+v", v)
				}
				got = append(got, v.Tx)
			}
			if len(got) > len(want) || !reflect.DeepEqual(got, append([]flow.Tx(nil), want[:len(got)]...)) || !p.More && len(got) < len(want) || len(want) > 0 && len(got) == 0 {
				t.Fatalf("After(%+v) = %d transactions, more %v; want %d", asks[i], len(got), p.More, len(want))
			}
			if p.More && len(got) > 0 {
				last := got[len(got)-1]
				rest = append(rest, trace.Ask{Account: asks[i].Account, Limit: asks[i].Limit,
					From: flow.Pos{Height: last.Point.Height, Tx: last.Index, Movement: uint32(len(last.Movements))}})
			}
		}
		asks = rest
	}
}

func checkBefore(t *rapid.T, g *Graph, chains map[flow.Chain][]flow.Tx, asks []trace.Ask) {
	pages, err := g.Before(context.Background(), asks)
	if err != nil || len(pages) != len(asks) {
		t.Fatalf("Before: %d pages, %v", len(pages), err)
	}
	for i, p := range pages {
		var want []flow.Tx
		for _, tx := range slices.Backward(chains[asks[i].Account.Chain()]) {
			if at := touches(tx, asks[i].Account); len(at) > 0 && tx.At().Compare(asks[i].From) <= 0 {
				want = append(want, tx)
			}
		}
		more := len(want) > asks[i].Limit
		if more {
			want = want[:asks[i].Limit]
		}
		var got []flow.Tx
		for _, v := range p.Txs {
			got = append(got, v.Tx)
		}
		if !reflect.DeepEqual(got, want) || p.More != more {
			t.Fatalf("Before(%+v) = %d transactions, more %v; want %d, more %v", asks[i], len(got), p.More, len(want), more)
		}
	}
}

func checkCoins(t *rapid.T, g *Graph, txs []flow.Tx) {
	of := []flow.Outpoint{{Tx: flow.Hash{1}, Index: 0}, {}}
	spender, maker := map[flow.Outpoint]flow.Tx{}, map[flow.Outpoint]flow.Tx{}
	for _, tx := range txs {
		for _, m := range tx.Movements {
			for _, o := range m.Spent {
				spender[o] = tx
			}
			for i := range m.Out {
				o := flow.Outpoint{Tx: tx.ID, Index: uint32(i)}
				of, maker[o] = append(of, o, o), tx // asked for twice
			}
		}
	}
	spends, err := g.Spends(context.Background(), flow.BitcoinRegtest, of)
	if err != nil {
		t.Fatal(err)
	}
	makers, err := g.Makers(context.Background(), flow.BitcoinRegtest, of)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range of {
		if !reflect.DeepEqual(spends[i], spender[o]) || !reflect.DeepEqual(makers[i], maker[o]) {
			t.Fatalf("outpoint %s: spent by %s, made by %s; want %s, %s", o, spends[i].ID, makers[i].ID, spender[o].ID, maker[o].ID)
		}
	}
}

func checkBalances(t *rapid.T, g *Graph, chains map[flow.Chain][]flow.Tx, who []flow.Account, what []flow.Asset, before flow.Pos) {
	var asks []trace.BalanceAsk
	var want []trace.Balance
	for _, a := range who {
		for _, asset := range what {
			var b trace.Balance
			for _, tx := range chains[a.Chain()] {
				for i, m := range tx.Movements {
					if m.Asset != asset || (flow.Pos{Height: tx.Point.Height, Tx: tx.Index, Movement: uint32(i)}).Compare(before) >= 0 {
						continue
					}
					for _, l := range m.In {
						if l.Account == a {
							b.Out = b.Out.Plus(l.Amount)
						}
					}
					for _, l := range m.Out {
						if l.Account == a {
							b.In = b.In.Plus(l.Amount)
						}
					}
				}
			}
			asks, want = append(asks, trace.BalanceAsk{Account: a, Asset: asset, Before: before}), append(want, b)
		}
	}
	got, err := g.Balances(context.Background(), asks)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("Balances before %s = %v, %v;\nwant %v", before, got, err, want)
	}
}

func TestGraphRemembersWithinBounds(t *testing.T) {
	g := NewGraph(nil)
	for i := range uint32(2*rememberedTxs + 10) {
		g.remember(place{flow.Ethereum, 1, i}, flow.Tx{Index: i})
		if len(g.txs) > rememberedTxs || len(g.spare) > rememberedTxs {
			t.Fatalf("%d and %d transactions remembered", len(g.txs), len(g.spare))
		}
	}
	for _, i := range []uint32{rememberedTxs, 2*rememberedTxs + 9} {
		if tx, ok := g.recall(place{flow.Ethereum, 1, i}); !ok || tx.Index != i {
			t.Errorf("transaction %d is forgotten", i)
		}
	}
	if _, ok := g.recall(place{flow.Ethereum, 1, 0}); ok {
		t.Error("the oldest half is still there")
	}
}

// A failing snapshot has lost its disk.
type failingSnapshot struct{ store.Snapshot }

var errDisk = errors.New("the disk is gone")

func (failingSnapshot) IDs(context.Context, flow.Chain, []flow.Account) ([]store.ID, error) {
	return nil, errDisk
}

func (failingSnapshot) Tx(context.Context, flow.Chain, flow.Hash) (flow.Tx, error) {
	return flow.Tx{}, errDisk
}

func (failingSnapshot) Spends(context.Context, flow.Chain, []flow.Outpoint) ([]flow.Pos, []bool, error) {
	return nil, nil, errDisk
}

func TestErrorsOfTheStoreArrive(t *testing.T) {
	s := failingSnapshot{story(t, evmStory)}
	g := NewGraph(s)
	ctx, a := t.Context(), account(t, anEVM)
	_, after := g.After(ctx, []trace.Ask{{Account: a, Limit: 1}})
	_, before := g.Before(ctx, []trace.Ask{{Account: a, Limit: 1}})
	_, spends := g.Spends(ctx, flow.Ethereum, []flow.Outpoint{{}})
	_, makers := g.Makers(ctx, flow.Ethereum, []flow.Outpoint{{}})
	_, balances := g.Balances(ctx, []trace.BalanceAsk{{Account: a}})
	_, answer := Trace(ctx, s, trace.Theft{Sources: []trace.Source{trace.Outflow{Account: a}}}, trace.Options{}, nil, nil)
	_, _, resolved := Resolve(ctx, s, TheftFile{Transactions: []string{aHash}}, flow.Chain{}, nil)
	for name, err := range map[string]error{"After": after, "Before": before, "Spends": spends, "Makers": makers, "Balances": balances, "Trace": answer, "Resolve": resolved} {
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: %v; want %v", name, err, errDisk)
		}
	}
}
