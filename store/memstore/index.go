package memstore

import (
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// An index is what can be looked up in the blocks of one chain. An account's ID is its rank by first appearance, so
// that it stays while blocks are added and goes with the block that brought it.
type index struct {
	ids      map[flow.Account]store.ID
	accounts []flow.Account  // accounts[id-1]
	entries  [][]store.Entry // entries[id-1]
	txs      map[flow.Hash]flow.Tx
	at       map[flow.Pos]flow.Tx       // Movement is 0
	spends   map[flow.Outpoint]flow.Pos // Movement is 0
}

// newIndex derives the index of a chain from its blocks.
func newIndex(blocks []flow.Block) *index {
	x := &index{
		ids:    map[flow.Account]store.ID{},
		txs:    map[flow.Hash]flow.Tx{},
		at:     map[flow.Pos]flow.Tx{},
		spends: map[flow.Outpoint]flow.Pos{},
	}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			if !tx.ID.IsZero() {
				x.txs[tx.ID] = tx
			}
			x.at[tx.At()] = tx
			for i, m := range tx.Movements {
				pos := tx.At()
				pos.Movement = uint32(i)
				x.add(pos, m)
				for _, o := range m.Spent {
					x.spends[o] = tx.At()
				}
			}
		}
	}
	return x
}

// add gives every known leg of m an entry.
func (x *index) add(pos flow.Pos, m flow.Movement) {
	many := len(m.In) > 1 || len(m.Out) > 1 || !m.IsComplete()
	side := func(legs, across []flow.Leg, gives bool) {
		for i, l := range legs {
			if l.Account.IsZero() {
				continue
			}
			e := store.Entry{Pos: pos, Asset: m.Asset, Amount: l.Amount, Index: m.Index, Leg: uint32(i), Kind: m.Kind, Gives: gives, Many: many}
			if !many && len(across) == 1 {
				e.Other = x.id(across[0].Account)
			}
			id := x.id(l.Account)
			x.entries[id-1] = append(x.entries[id-1], e)
		}
	}
	side(m.In, m.Out, true)
	side(m.Out, m.In, false)
}

// id is the ID of a, which gets the next one if it has none yet; nobody's is 0.
func (x *index) id(a flow.Account) store.ID {
	id, ok := x.ids[a]
	if !ok && !a.IsZero() {
		x.accounts = append(x.accounts, a)
		x.entries = append(x.entries, nil)
		id = store.ID(len(x.accounts))
		x.ids[a] = id
	}
	return id
}
