package store_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// ids are the accounts of c that s knows of those in blocks, with their IDs.
func ids(t *rapid.T, s store.Snapshot, c flow.Chain, blocks []flow.Block) (ids []store.ID, accounts []flow.Account) {
	seen := map[flow.Account]bool{{}: true}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				for _, legs := range [][]flow.Leg{m.In, m.Out} {
					for _, l := range legs {
						if !seen[l.Account] {
							accounts = append(accounts, l.Account)
						}
						seen[l.Account] = true
					}
				}
			}
		}
	}
	ids, err := s.IDs(t.Context(), c, accounts)
	if err != nil {
		t.Fatalf("ids: %v", err)
	}
	return ids, accounts
}

// A side is what one account took or gave of one asset.
type side struct {
	account flow.Account
	asset   flow.Asset
	gives   bool
}

// sums adds up all legs before a place.
func sums(blocks []flow.Block, before flow.Pos) map[side]*big.Int {
	all := map[side]*big.Int{}
	add := func(k side, a flow.Amount) {
		if all[k] == nil {
			all[k] = new(big.Int)
		}
		all[k].Add(all[k], a.Big())
	}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			for i, m := range tx.Movements {
				if (flow.Pos{Height: b.Point.Height, Tx: tx.Index, Movement: uint32(i)}).Compare(before) >= 0 {
					return all
				}
				for _, l := range m.In {
					add(side{l.Account, m.Asset, true}, l.Amount)
				}
				for _, l := range m.Out {
					add(side{l.Account, m.Asset, false}, l.Amount)
				}
			}
		}
	}
	return all
}

// TestHistories: a history is the plain sum of the legs, on every kind of chain and up to any place.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maker := storetest.NewMaker(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		c := rapid.SampledFrom(storetest.Chains()).Draw(t, "chain")
		st := memstore.New()
		for range rapid.IntRange(1, 12).Draw(t, "blocks") {
			if _, err := st.Append(t.Context(), []flow.Block{maker.Next(c)}); err != nil {
				t.Fatalf("append: %v", err)
			}
		}
		s, err := st.Snapshot()
		if err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		holders, accounts := ids(t, s, c, maker.Blocks(c))
		before := flow.Pos{Height: uint64(rapid.IntRange(0, 30).Draw(t, "height")), Tx: uint32(rapid.IntRange(0, 3).Draw(t, "tx")),
			Movement: uint32(rapid.IntRange(0, 2).Draw(t, "movement"))}
		want := sums(maker.Blocks(c), before)
		delete(want, side{flow.Account{}, c.Native(), true}) // unknown inputs are nobody's
		assets := map[flow.Asset]bool{c.Native(): true}
		for k := range want {
			assets[k.asset] = true
		}
		for a := range assets {
			asks := []store.HistoryAsk{{Asset: a, Before: before}}
			for _, h := range holders {
				asks = append(asks, store.HistoryAsk{Holder: h, Asset: a, Before: before})
			}
			got, err := store.Histories(t.Context(), s, c, asks)
			if err != nil || len(got) != len(asks) || got[0].In != (flow.Sum{}) || got[0].Out != (flow.Sum{}) {
				t.Fatalf("histories: %d, %v; want %d, and an empty one for nobody", len(got), err, len(asks))
			}
			for i, account := range accounts {
				for _, gives := range []bool{true, false} {
					sum, key := got[i+1].In.Big(), side{account, a, gives}
					if gives {
						sum = got[i+1].Out.Big()
					}
					w := want[key]
					if w == nil {
						w = new(big.Int)
					}
					if sum.Cmp(w) != 0 {
						t.Fatalf("%s before %s, %s, giving %v: %s; want %s", account, before, a, gives, sum, w)
					}
					delete(want, key)
				}
			}
		}
		if len(want) > 0 {
			t.Fatalf("histories before %s do not hold %v", before, want)
		}
	})
}

// TestHistoryOfParties: who paid and was paid, each once, in order; small pieces, fees and the account itself apart.
func TestHistoryOfParties(t *testing.T) {
	c, err := flow.TextChain("eth")
	if err != nil {
		t.Fatal(err)
	}
	who := func(name string) flow.Account {
		a, err := flow.ParseAccountOn(c, name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	st := memstore.New()
	p := flow.Point{Chain: c, Hash: flow.Hash{1}}
	b := flow.Block{Point: p}
	for i, m := range []struct {
		from, to string
		kind     flow.Kind
		amount   uint64
	}{
		{"a", "s", flow.Transfer, 5}, {"a", "s", flow.Transfer, 6}, {"b", "s", flow.Transfer, 4}, {"c", "s", flow.Transfer, 0},
		{"s", "s", flow.Transfer, 9}, {"d", "s", flow.Transfer, 5}, {"s", "x", flow.Transfer, 2}, {"s", "y", flow.Fee, 5},
		{"s", "a", flow.Transfer, 7}, {"e", "s", flow.Transfer, 8}, {"s", "z", flow.Transfer, 5}, {"f", "s", flow.Transfer, 50},
	} {
		move := flow.In1Out1(m.kind, c.Native(), 0, who(m.from), who(m.to), flow.NewAmount(m.amount))
		b.Txs = append(b.Txs, flow.Tx{ID: flow.Hash{2, byte(i)}, Point: p, Index: uint32(i), Movements: []flow.Movement{move}})
	}
	if _, err := st.Append(t.Context(), []flow.Block{b}); err != nil {
		t.Fatal(err)
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	of, err := s.IDs(t.Context(), c, []flow.Account{who("s")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		parties        int
		in, out        string
		payers, payees string
	}{{2, "33", "28", "a d", "a z"}, {9, "33", "28", "a d e", "a z"}, {0, "33", "28", "", ""}} {
		h, err := store.Histories(t.Context(), s, c, []store.HistoryAsk{{Holder: of[0], Asset: c.Native(), Before: flow.Pos{Tx: 11},
			Floor: flow.NewAmount(5), Parties: tt.parties}})
		if err != nil {
			t.Fatal(err)
		}
		names := func(ids []store.ID) string {
			accounts, err := s.Accounts(t.Context(), c, ids)
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, a := range accounts {
				all = append(all, strings.TrimPrefix(a.Address(), c.String()+":"))
			}
			return strings.Join(all, " ")
		}
		if h[0].In.String() != tt.in || h[0].Out.String() != tt.out || names(h[0].Payers) != tt.payers || names(h[0].Payees) != tt.payees {
			t.Errorf("%d parties: in %s, out %s, payers %q, payees %q; want %v", tt.parties, h[0].In, h[0].Out, names(h[0].Payers),
				names(h[0].Payees), tt)
		}
	}
}

// TestHistoryOfMany: more entries than are read at once, of which thousands stand at one place.
func TestHistoryOfMany(t *testing.T) {
	c := flow.BitcoinRegtest
	payload := make([]byte, 32)
	holder, err := flow.UTXOAccount(c, flow.PayToScript, payload)
	if err != nil {
		t.Fatal(err)
	}
	st := memstore.New()
	for h := range uint64(5) {
		p := flow.Point{Chain: c, Height: h, Hash: flow.Hash{0: 1, 1: byte(h)}}
		b := flow.Block{Point: p}
		for i := range uint32(3) {
			m := flow.Movement{Kind: flow.Reward, Asset: c.Native()}
			for range 1000 + 9000*(i%2) {
				m.Out = append(m.Out, flow.Leg{Account: holder, Amount: flow.NewAmount(1)})
			}
			b.Txs = append(b.Txs, flow.Tx{ID: flow.Hash{0: 2, 1: byte(h), 2: byte(i)}, Point: p, Index: i, Movements: []flow.Movement{m}})
		}
		if _, err := st.Append(t.Context(), []flow.Block{b}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		before flow.Pos
		want   string
	}{
		{flow.Pos{}, "0"}, {flow.Pos{Tx: 1}, "1000"}, {flow.Pos{Tx: 2}, "11000"}, {flow.Pos{Height: 1}, "12000"},
		{flow.Pos{Height: 4, Tx: 1}, "49000"}, {flow.Pos{Height: 9}, "60000"},
	} {
		got, err := store.Histories(t.Context(), s, c, []store.HistoryAsk{{Holder: 1, Asset: c.Native(), Before: tt.before}})
		if err != nil {
			t.Fatal(err)
		}
		if in := got[0].In.String(); in != tt.want {
			t.Errorf("received before %s: %s; want %s", tt.before, in, tt.want)
		}
	}
}
