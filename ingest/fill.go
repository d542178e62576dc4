package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// fillInputs writes owner and amount into the inputs of blocks that are still open: from outputs that came earlier in
// the same blocks, else from the store. It notes in each block what stays open, and returns how many inputs those are,
// by block.
func fillInputs(ctx context.Context, st store.Store, c flow.Chain, blocks []flow.Block) (missing []int64, err error) {
	missing = make([]int64, len(blocks))
	if !c.IsUTXO() {
		return missing, nil
	}
	asked, legs := fillFromBefore(blocks)
	if len(asked) == 0 {
		return missing, nil
	}
	s, err := st.Snapshot()
	if err != nil {
		return nil, err
	}
	found, err := s.Outputs(ctx, c, asked)
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, fmt.Errorf("look up %d spent outputs: %w", len(asked), err)
	}
	for i, l := range found {
		*legs[i] = l
	}
	for i := range blocks {
		missing[i] = noteMissing(&blocks[i])
	}
	return missing, nil
}

// fillFromBefore fills the inputs whose outputs came earlier in the blocks. It returns the outpoints of those which are
// still open, and where their legs are. Only what came earlier counts, so that the result does not depend on where a
// batch begins.
func fillFromBefore(blocks []flow.Block) (asked []flow.Outpoint, legs []*flow.Leg) {
	made := map[flow.Hash][]flow.Leg{}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				for i, o := range m.Spent {
					if i >= len(m.In) || !m.In[i].Account.IsZero() {
						continue
					}
					if out := made[o.Tx]; uint64(o.Index) < uint64(len(out)) {
						m.In[i] = out[o.Index]
						continue
					}
					asked, legs = append(asked, o), append(legs, &m.In[i])
				}
			}
			if len(tx.Movements) > 0 && !tx.ID.IsZero() {
				made[tx.ID] = tx.Movements[0].Out
			}
		}
	}
	return asked, legs
}

// noteMissing counts the open inputs of b and says so in one note: each of them shows itself as a leg of nobody.
func noteMissing(b *flow.Block) (n int64) {
	where := ""
	for _, tx := range b.Txs {
		for _, m := range tx.Movements {
			for i, l := range m.In {
				if !l.Account.IsZero() || i >= len(m.Spent) {
					continue
				}
				if n == 0 {
					where = fmt.Sprintf("transaction %s input %d, which spends %s", tx.ID, i, m.Spent[i])
				}
				n++
			}
		}
	}
	switch {
	case n == 1:
		b.Notes = append(b.Notes, flow.Note{Kind: flow.DataMissing, Where: where, Reason: "The store has never seen the spent output."})
	case n > 1:
		b.Notes = append(b.Notes, flow.Note{Kind: flow.DataMissing, Where: fmt.Sprintf("%s, and %d more", where, n-1),
			Reason: fmt.Sprintf("The store has never seen the outputs that %d inputs spend.", n)})
	}
	return n
}
