package store_test

import (
	"math/big"
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

// TestBalances: the balances are the plain sums of the legs, on every kind of chain and up to any place.
func TestBalances(t *testing.T) {
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
		got, err := store.Balances(t.Context(), s, c, append(holders, 0), before)
		if err != nil || len(got) != len(holders)+1 || len(got[len(holders)]) != 0 {
			t.Fatalf("balances: %d lists, %v; want %d and an empty one", len(got), err, len(holders))
		}
		want := sums(maker.Blocks(c), before)
		for i, a := range accounts {
			for k, b := range got[i] {
				if k > 0 && got[i][k-1].Asset.Compare(b.Asset) >= 0 {
					t.Fatalf("the assets of %s are not in order: %s stands before %s", a, got[i][k-1].Asset, b.Asset)
				}
				for _, gives := range []bool{true, false} {
					sum, key := b.In.Big(), side{a, b.Asset, gives}
					if gives {
						sum = b.Out.Big()
					}
					w := want[key]
					if w == nil {
						w = new(big.Int)
					}
					if sum.Cmp(w) != 0 {
						t.Fatalf("%s before %s, %s, giving %v: %s; want %s", a, before, b.Asset, gives, sum, w)
					}
					delete(want, key)
				}
			}
		}
		delete(want, side{flow.Account{}, c.Native(), true}) // unknown inputs are nobody's
		if len(want) > 0 {
			t.Fatalf("balances before %s do not hold %v", before, want)
		}
	})
}

// TestBalancesOfMany: more entries than are read at once, of which thousands stand at one place.
func TestBalancesOfMany(t *testing.T) {
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
		{flow.Pos{}, ""}, {flow.Pos{Tx: 1}, "1000"}, {flow.Pos{Tx: 2}, "11000"}, {flow.Pos{Height: 1}, "12000"},
		{flow.Pos{Height: 4, Tx: 1}, "49000"}, {flow.Pos{Height: 9}, "60000"},
	} {
		got, err := store.Balances(t.Context(), s, c, []store.ID{1}, tt.before)
		if err != nil {
			t.Fatal(err)
		}
		in := ""
		if len(got[0]) > 0 {
			in = got[0][0].In.String()
		}
		if in != tt.want {
			t.Errorf("balance before %s = %q; want %q", tt.before, in, tt.want)
		}
	}
}
