package memstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A snapshot is the chains as they were when it was taken. Nothing in it changes.
type snapshot struct{ chains map[flow.Chain]*chain }

// Close does nothing.
func (s *snapshot) Close() error { return nil }

func (s *snapshot) Chains() []flow.Chain {
	var all []flow.Chain
	for c := range s.chains {
		all = append(all, c)
	}
	slices.SortFunc(all, flow.Chain.Compare)
	return all
}

// blocks are the blocks of c in order.
func (s *snapshot) blocks(c flow.Chain) []flow.Block {
	if s.chains[c] == nil {
		return nil
	}
	return s.chains[c].blocks
}

// index is what can be looked up on c.
func (s *snapshot) index(c flow.Chain) *index {
	if s.chains[c] == nil {
		return newIndex(nil, nil)
	}
	return s.chains[c].index()
}

func (s *snapshot) Tip(c flow.Chain) (p flow.Point, ok bool) {
	if s.chains[c] == nil {
		return flow.Point{}, false
	}
	return s.chains[c].tip(), true
}

func (s *snapshot) Recent(_ context.Context, c flow.Chain, n int) ([]flow.Point, error) {
	var points []flow.Point
	for _, b := range slices.Backward(s.blocks(c)) {
		if len(points) >= n {
			break
		}
		points = append(points, b.Point)
	}
	return points, nil
}

func (s *snapshot) Block(_ context.Context, c flow.Chain, height uint64) (flow.Block, error) {
	i, ok := s.chains[c].find(height)
	if !ok {
		return flow.Block{}, fmt.Errorf("%s block %d: %w", c, height, store.ErrNotFound)
	}
	return s.chains[c].blocks[i], nil
}

func (s *snapshot) Point(ctx context.Context, c flow.Chain, height uint64) (flow.Point, error) {
	b, err := s.Block(ctx, c, height)
	return b.Point, err
}

func (s *snapshot) FirstAt(_ context.Context, c flow.Chain, t int64) (flow.Point, error) {
	for _, b := range s.blocks(c) {
		if b.Point.Time >= t {
			return b.Point, nil
		}
	}
	return flow.Point{}, fmt.Errorf("%s at time %d: %w", c, t, store.ErrNotFound)
}

func (s *snapshot) Tx(_ context.Context, c flow.Chain, id flow.Hash) (flow.Tx, error) {
	tx, ok := s.index(c).txs[id]
	if !ok {
		return flow.Tx{}, fmt.Errorf("%s transaction %s: %w", c, c.FormatHash(id), store.ErrNotFound)
	}
	return tx, nil
}

func (s *snapshot) TxAt(_ context.Context, c flow.Chain, at []flow.Pos) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(at))
	for i, p := range at {
		p.Movement = 0
		tx, ok := s.index(c).at[p]
		if !ok {
			return nil, fmt.Errorf("%s transaction %d of block %d: %w", c, p.Tx, p.Height, store.ErrNotFound)
		}
		txs[i] = tx
	}
	return txs, nil
}

func (s *snapshot) IDs(_ context.Context, c flow.Chain, accounts []flow.Account) ([]store.ID, error) {
	ids := make([]store.ID, len(accounts))
	for i, a := range accounts {
		ids[i] = s.index(c).ids[a]
	}
	return ids, nil
}

func (s *snapshot) Accounts(_ context.Context, c flow.Chain, ids []store.ID) ([]flow.Account, error) {
	known := s.index(c).accounts
	accounts := make([]flow.Account, len(ids))
	for i, id := range ids {
		a, ok := known[id]
		if !ok && id != 0 { // 0 is nobody
			return nil, fmt.Errorf("%s account with id %d: %w", c, id, store.ErrNotFound)
		}
		accounts[i] = a
	}
	return accounts, nil
}

func (s *snapshot) Entries(ctx context.Context, c flow.Chain, asks []store.Ask, visit func(i int, entries []store.Entry) error) error {
	x := s.index(c)
	for i, ask := range asks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(i, answer(ask, x.entries[ask.Holder])); err != nil {
			return err
		}
	}
	return nil
}

// answer picks what a question wants of all entries of its holder.
func answer(ask store.Ask, all []store.Entry) []store.Entry {
	var found []store.Entry
	for _, e := range all {
		switch d := e.Pos.Compare(ask.From); {
		case !ask.Back && d >= 0, ask.Back && (d <= 0 || ask.From == flow.Pos{}):
			found = append(found, e)
		}
	}
	if ask.Back {
		slices.Reverse(found)
	}
	if ask.Limit > 0 && len(found) > ask.Limit {
		found = found[:ask.Limit]
	}
	return found
}

func (s *snapshot) Outputs(_ context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Leg, error) {
	legs := make([]flow.Leg, len(of))
	if !c.IsUTXO() {
		return legs, nil
	}
	for i, o := range of {
		tx := s.index(c).txs[o.Tx]
		if len(tx.Movements) > 0 && uint64(o.Index) < uint64(len(tx.Movements[0].Out)) {
			legs[i] = tx.Movements[0].Out[o.Index]
		}
	}
	return legs, nil
}

func (s *snapshot) Spends(_ context.Context, c flow.Chain, of []flow.Outpoint) (at []flow.Pos, ok []bool, err error) {
	at, ok = make([]flow.Pos, len(of)), make([]bool, len(of))
	for i, o := range of {
		at[i], ok[i] = s.index(c).spends[o]
	}
	return at, ok, nil
}

func (s *snapshot) Holes(_ context.Context, c flow.Chain) ([]store.Hole, error) {
	var holes []store.Hole
	blocks := s.blocks(c)
	for i := 1; i < len(blocks); i++ {
		below, height := blocks[i-1].Point.Height, blocks[i].Point.Height
		if height-below > 1 {
			holes = append(holes, store.Hole{From: below + 1, To: height - 1})
		}
	}
	return holes, nil
}
