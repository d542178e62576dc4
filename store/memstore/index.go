package memstore

import (
	"sync"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A dictionary gives the accounts of one chain their IDs, for as long as the store lives. It is safe for several
// goroutines.
type dictionary struct {
	mu  sync.Mutex
	ids map[flow.Account]store.ID // guarded by mu
}

// id is the ID of a, which gets the next one if it has none yet.
func (d *dictionary) id(a flow.Account) store.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.ids[a]
	if !ok {
		id = store.ID(len(d.ids) + 1)
		d.ids[a] = id
	}
	return id
}

// An index is what can be looked up in the blocks of one chain. It knows the IDs of the accounts in these blocks only.
type index struct {
	names    *dictionary
	ids      map[flow.Account]store.ID
	accounts map[store.ID]flow.Account
	entries  map[store.ID][]store.Entry
	txs      map[flow.Hash]flow.Tx
	at       map[flow.Pos]flow.Tx       // Movement is 0
	spends   map[flow.Outpoint]flow.Pos // Movement is 0
}

// newIndex derives the index of a chain from its blocks.
func newIndex(blocks []flow.Block, names *dictionary) *index {
	x := &index{
		names:    names,
		ids:      map[flow.Account]store.ID{},
		accounts: map[store.ID]flow.Account{},
		entries:  map[store.ID][]store.Entry{},
		txs:      map[flow.Hash]flow.Tx{},
		at:       map[flow.Pos]flow.Tx{},
		spends:   map[flow.Outpoint]flow.Pos{},
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
			x.entries[id] = append(x.entries[id], e)
		}
	}
	side(m.In, m.Out, true)
	side(m.Out, m.In, false)
}

// id is the ID of a; nobody's is 0.
func (x *index) id(a flow.Account) store.ID {
	id, ok := x.ids[a]
	if !ok && !a.IsZero() {
		id = x.names.id(a)
		x.ids[a], x.accounts[id] = id, a
	}
	return id
}
