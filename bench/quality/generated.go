package quality

import (
	"context"
	"fmt"
	"strings"

	"github.com/spoor-dev/spoor/bench"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// A Generated is a case that is made anew each time, the same from the same seed.
type Generated struct {
	Name     string
	Shape    bench.Shape
	Labelled bool // the services are known
}

// Simulated are the generated cases that are measured.
func Simulated() []Generated {
	peel := bench.Shape{Seed: 5, Movements: 30_000, Accounts: 20_000, Hubs: 20, Theft: bench.Theft{Chains: 4, Hops: 30}}
	return []Generated{{"peel", peel, true}, {"peel-no-labels", peel, false}}
}

// Load makes the case in memory. What is true is read off the generator's own books.
func (g Generated) Load(ctx context.Context) (*Case, error) {
	var made bench.Truth
	var blocks []flow.Block
	for b := range bench.Generate(g.Shape, &made) {
		blocks = append(blocks, b)
	}
	st := memstore.New()
	if _, err := st.Append(ctx, blocks); err != nil {
		return nil, fmt.Errorf("case %s: %w", g.Name, err)
	}
	s, err := st.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("case %s: %w", g.Name, err)
	}
	c := &Case{Name: g.Name, Kind: "simulated", Store: s, Truth: peelTruth(blocks, &made, g.Labelled)}
	if g.Labelled {
		var list strings.Builder
		list.WriteString("address,label,category,is_service\n")
		for _, a := range made.Services {
			fmt.Fprintf(&list, "%s,hub,exchange,1\n", a)
		}
		c.Labels = &engine.Labels{}
		if err := c.Labels.ReadLabels("services", strings.NewReader(list.String())); err != nil {
			return nil, fmt.Errorf("case %s: %w", g.Name, err)
		}
	}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			c.Movements += int64(len(tx.Movements))
			if tx.ID == made.TheftTx {
				c.Theft = trace.Theft{Name: g.Name, Sources: []trace.Source{trace.Holding{Account: made.Thief, Asset: made.Asset,
					Amount: made.Amount, At: flow.Pos{Height: tx.Point.Height, Tx: tx.Index + 1}}}}
			}
		}
	}
	return c, nil
}

// unitsPerCent is how many units of the stolen token of six decimals are worth a hundredth of a dollar.
const unitsPerCent = 10_000

// peelTruth is the truth of a peel tree. Its accounts but the services are fresh, so that each has of the loot what came
// to it and did not leave.
func peelTruth(blocks []flow.Block, made *bench.Truth, labelled bool) Truth {
	t := Truth{Transfers: map[TransferID]TrueTransfer{}, Neutral: map[TransferID]bool{}, Find: map[flow.Account]bool{},
		Given: map[flow.Account]bool{made.Thief: true}, Services: map[flow.Account]bool{}, Holdings: []Place{}}
	var order []flow.Account
	held := map[flow.Account]flow.Amount{made.Thief: made.Amount}
	into := map[TransferID]flow.Account{}
	pays := map[flow.Account]bool{}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			if !made.Illicit[tx.ID] {
				continue
			}
			for _, m := range tx.Movements {
				from, to, v := m.In[0].Account, m.Out[0].Account, m.Out[0].Amount
				id := TransferID{tx.ID, m.Index}
				units, _ := v.Uint64()
				t.Transfers[id] = TrueTransfer{Cents: int64(units / unitsPerCent), Reachable: true, Asset: m.Asset, Amount: v}
				into[id] = to
				if _, ok := held[to]; !ok {
					order = append(order, to)
				}
				held[from], _ = held[from].Sub(v)
				held[to], _ = held[to].Add(v)
				pays[from] = true
			}
		}
	}
	for id, to := range into {
		x := t.Transfers[id]
		x.IntoEnd = !pays[to]
		t.Transfers[id] = x
	}
	for _, a := range append(order, made.Thief) {
		if !held[a].IsZero() {
			t.Holdings = append(t.Holdings, Place{a, made.Asset, held[a]})
		}
	}
	for _, a := range order {
		t.Find[a] = true
	}
	if labelled {
		for _, a := range made.Services {
			t.Services[a] = true
			delete(t.Find, a)
		}
	}
	return t
}
