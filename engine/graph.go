package engine

import (
	"context"
	"fmt"
	"math"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// A Graph answers trace's questions from one snapshot of a store. It remembers the transactions that it has read, so
// that several policies over the same theft read each only once. One goroutine uses it.
type Graph struct {
	s     store.Snapshot
	ids   map[flow.Account]store.ID
	txs   map[place]flow.Tx
	spare map[place]flow.Tx // the older half of the memory
	reads int64

	progress func(read int64) // may be nil
}

// place is a transaction of a chain.
type place struct {
	chain  flow.Chain
	height uint64
	tx     uint32
}

// rememberedTxs bounds each of the two halves of a Graph's memory.
const rememberedTxs = 1 << 16

// NewGraph is the graph of a snapshot, which must stay open as long as the graph is used.
func NewGraph(s store.Snapshot) *Graph {
	return &Graph{s: s, ids: map[flow.Account]store.ID{}, txs: map[place]flow.Tx{}}
}

// Reads is how many entries were read from the store so far.
func (g *Graph) Reads() int64 { return g.reads }

// count counts transactions that were read.
func (g *Graph) count(n int) {
	g.reads += int64(n)
	if g.progress != nil {
		g.progress(g.reads)
	}
}

// After implements trace.Graph: whole transactions that touch an account.
func (g *Graph) After(ctx context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages := make([]trace.Page, len(asks))
	for c, of := range byChain(asks, func(a trace.Ask) flow.Chain { return a.Account.Chain() }) {
		if err := g.pages(ctx, c, asks, of, pages); err != nil {
			return nil, fmt.Errorf("transactions of %d accounts on %s: %w", len(of), c, err)
		}
	}
	return pages, nil
}

// pages answers the asks with these numbers, which are all on one chain.
func (g *Graph) pages(ctx context.Context, c flow.Chain, asks []trace.Ask, of []int, pages []trace.Page) error {
	accounts := make([]flow.Account, len(of))
	for i, n := range of {
		accounts[i] = asks[n].Account
	}
	ids, err := g.identify(ctx, c, accounts)
	if err != nil {
		return err
	}
	var questions []store.Ask
	var numbers []int
	for i, n := range of {
		if ids[i] != 0 {
			questions = append(questions, store.Ask{Holder: ids[i], From: asks[n].From, Limit: asks[n].Limit})
			numbers = append(numbers, n)
		}
	}
	places := make([][]flow.Pos, len(questions))
	err = g.s.Entries(ctx, c, questions, func(i int, es []store.Entry) error {
		for _, e := range es {
			at := flow.Pos{Height: e.Pos.Height, Tx: e.Pos.Tx}
			if n := len(places[i]); n == 0 || places[i][n-1] != at {
				places[i] = append(places[i], at)
			}
		}
		pages[numbers[i]].More = questions[i].Limit > 0 && len(es) >= questions[i].Limit
		return nil
	})
	if err != nil {
		return err
	}
	var all []flow.Pos
	for _, p := range places {
		all = append(all, p...)
	}
	txs, err := g.transactions(ctx, c, all)
	if err != nil {
		return err
	}
	for i, p := range places {
		views := make([]trace.View, len(p))
		for k := range p {
			views[k].Tx = txs[k]
		}
		txs = txs[len(p):]
		pages[numbers[i]].Txs = views
		g.count(len(p))
	}
	return nil
}

// Before implements trace.BackGraph: Limit counts whole transactions.
func (g *Graph) Before(ctx context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages := make([]trace.Page, len(asks))
	for c, of := range byChain(asks, func(a trace.Ask) flow.Chain { return a.Account.Chain() }) {
		for _, n := range of {
			ids, err := g.identify(ctx, c, []flow.Account{asks[n].Account})
			if err != nil {
				return nil, err
			}
			if ids[0] == 0 {
				continue
			}
			limit := max(asks[n].Limit, 1)
			var places []flow.Pos
			// One transaction may hold many entries of the account: ask on until there is one place too many.
			ask := store.Ask{Holder: ids[0], From: asks[n].From, Limit: 2*limit + 2, Back: true}
			ask.From.Movement = math.MaxUint32
			for done := false; !done && len(places) <= limit; ask.Limit *= 2 {
				err = g.s.Entries(ctx, c, []store.Ask{ask}, func(_ int, es []store.Entry) error {
					for _, e := range es {
						at := flow.Pos{Height: e.Pos.Height, Tx: e.Pos.Tx}
						if k := len(places); k == 0 || places[k-1] != at {
							places = append(places, at)
						}
					}
					if done = len(es) < ask.Limit; done {
						return nil
					}
					switch last := places[len(places)-1]; { // go on before the last transaction
					case last.Tx > 0:
						ask.From = flow.Pos{Height: last.Height, Tx: last.Tx - 1, Movement: math.MaxUint32}
					case last.Height > 0:
						ask.From = flow.Pos{Height: last.Height - 1, Tx: math.MaxUint32, Movement: math.MaxUint32}
					default:
						done = true
					}
					return nil
				})
				if err != nil {
					return nil, fmt.Errorf("history of %s: %w", asks[n].Account, err)
				}
			}
			if len(places) > limit {
				places, pages[n].More = places[:limit], true
			}
			txs, err := g.transactions(ctx, c, places)
			if err != nil {
				return nil, err
			}
			for _, tx := range txs {
				pages[n].Txs = append(pages[n].Txs, trace.View{Tx: tx})
			}
			g.count(len(places))
		}
	}
	return pages, nil
}

// Spends implements trace.Graph.
func (g *Graph) Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	at, ok, err := g.s.Spends(ctx, c, of)
	if err != nil {
		return nil, err
	}
	var places []flow.Pos
	for i := range at {
		if ok[i] {
			places = append(places, at[i])
		}
	}
	found, err := g.transactions(ctx, c, places)
	if err != nil {
		return nil, err
	}
	txs := make([]flow.Tx, len(of))
	for i := range txs {
		if ok[i] {
			txs[i], found = found[0], found[1:]
		}
	}
	g.count(len(places))
	return txs, nil
}

// Makers implements trace.BackGraph.
func (g *Graph) Makers(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(of))
	for i, o := range of {
		tx, err := g.s.Tx(ctx, c, o.Tx)
		switch {
		case isNotFound(err):
		case err != nil:
			return nil, err
		default:
			txs[i] = tx
			g.count(1)
		}
	}
	return txs, nil
}

// Balances implements trace.Graph.
func (g *Graph) Balances(ctx context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	out := make([]trace.Balance, len(of))
	for c, numbers := range byChain(of, func(a trace.BalanceAsk) flow.Chain { return a.Account.Chain() }) {
		if err := g.balances(ctx, c, of, numbers, out); err != nil {
			return nil, fmt.Errorf("balances of %d accounts on %s: %w", len(numbers), c, err)
		}
	}
	return out, nil
}

// balances answers the asks with these numbers, which are all on one chain.
func (g *Graph) balances(ctx context.Context, c flow.Chain, of []trace.BalanceAsk, numbers []int, out []trace.Balance) error {
	accounts := make([]flow.Account, len(numbers))
	for i, n := range numbers {
		accounts[i] = of[n].Account
	}
	ids, err := g.identify(ctx, c, accounts)
	if err != nil {
		return err
	}
	var asks []store.HistoryAsk
	var known []int
	for i, n := range numbers {
		if a := of[n]; ids[i] != 0 {
			asks = append(asks, store.HistoryAsk{Holder: ids[i], Asset: a.Asset, Before: a.Before, Floor: a.Floor, Parties: a.Parties})
			known = append(known, n)
		}
	}
	histories, err := store.Histories(ctx, g.s, c, asks)
	if err != nil {
		return err
	}
	for i, h := range histories {
		b := &out[known[i]]
		b.In, b.Out = h.In, h.Out
		for ids, names := range map[*[]store.ID]*[]flow.Account{&h.Payers: &b.Payers, &h.Payees: &b.Payees} {
			if len(*ids) == 0 {
				continue
			}
			if *names, err = g.s.Accounts(ctx, c, *ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// identify finds the store's names of accounts of one chain, 0 for accounts that it has never seen.
func (g *Graph) identify(ctx context.Context, c flow.Chain, accounts []flow.Account) ([]store.ID, error) {
	ids := make([]store.ID, len(accounts))
	var missing []flow.Account
	for i, a := range accounts {
		id, ok := g.ids[a]
		if !ok {
			missing = append(missing, a)
		}
		ids[i] = id
	}
	if len(missing) == 0 {
		return ids, nil
	}
	found, err := g.s.IDs(ctx, c, missing)
	if err != nil {
		return nil, err
	}
	for i, a := range missing {
		g.ids[a] = found[i]
	}
	for i, a := range accounts {
		ids[i] = g.ids[a]
	}
	return ids, nil
}

// transactions reads whole transactions, those that were read before from memory.
func (g *Graph) transactions(ctx context.Context, c flow.Chain, at []flow.Pos) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(at))
	var missing []flow.Pos
	var slots []int
	asked := map[place]int{} // first slot of a transaction that is asked for twice
	twins := map[int]int{}
	for i, p := range at {
		k := place{c, p.Height, p.Tx}
		if tx, ok := g.recall(k); ok {
			txs[i] = tx
		} else if first, ok := asked[k]; ok {
			twins[i] = first
		} else {
			asked[k] = i
			missing, slots = append(missing, p), append(slots, i)
		}
	}
	if len(missing) > 0 {
		found, err := g.s.TxAt(ctx, c, missing)
		if err != nil {
			return nil, err
		}
		for i, tx := range found {
			txs[slots[i]] = tx
			g.remember(place{c, missing[i].Height, missing[i].Tx}, tx)
		}
	}
	for i, first := range twins {
		txs[i] = txs[first]
	}
	return txs, nil
}

func (g *Graph) recall(k place) (flow.Tx, bool) {
	tx, ok := g.txs[k]
	if !ok {
		if tx, ok = g.spare[k]; ok {
			g.remember(k, tx)
		}
	}
	return tx, ok
}

func (g *Graph) remember(k place, tx flow.Tx) {
	if len(g.txs) >= rememberedTxs {
		g.txs, g.spare = make(map[place]flow.Tx, rememberedTxs), g.txs
	}
	g.txs[k] = tx
}

// byChain groups the numbers of asks by chain.
func byChain[A any](asks []A, chain func(A) flow.Chain) map[flow.Chain][]int {
	groups := map[flow.Chain][]int{}
	for i, a := range asks {
		groups[chain(a)] = append(groups[chain(a)], i)
	}
	return groups
}
