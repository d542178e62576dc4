package pebblestore

import (
	"fmt"
	"slices"
	"strings"
)

// Stats are counts of a store, of all chains together, and the room that it takes on the disk.
type Stats struct {
	Blocks, Transactions, Movements, Accounts uint64
	HeadBlocks, HeadMovements                 uint64 // of these, in the head: not yet in a segment
	Segments                                  uint64
	Bytes                                     uint64            // of the sorted tables
	TxIDBytes                                 uint64            // of these, ids of transactions and their index
	Kinds                                     map[string]uint64 // bytes by what is kept, see docs/formats/store.md
}

// ByKind lists the bytes of each kind for each of n items, the largest first.
func (s Stats) ByKind(n int64) string {
	var names []string
	for name, bytes := range s.Kinds {
		if bytes > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := int64(s.Kinds[b]) - int64(s.Kinds[a]); d != 0 {
			return int(d)
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.2f", name, float64(s.Kinds[name])/float64(max(n, 1))))
	}
	return strings.Join(parts, ", ")
}

// kindNames are the names of the kinds of keys in Stats.
var kindNames = map[byte]string{
	keyFormat: "format", keyChain: "chains", keyFinal: "final", keyHead: "head", keySegment: "segments", keyForm: "forms",
	keyBlock: "headers", keyBody: "bodies", keyTxIDs: "tx-ids", keyAccount: "account-to-id", keyNames: "id-to-account",
	keyEntries: "entries", keyTxPlace: "tx-places", keySpends: "spends", keyLent: "lent-names", keyLate: "late-segments",
}

// Stats counts what the store holds.
func (s *Store) Stats() (Stats, error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return Stats{}, errClosed
	}
	st := Stats{Kinds: map[string]uint64{}}
	for _, l := range s.lanes {
		for _, seg := range l.segments {
			st.Blocks, st.Transactions, st.Movements = st.Blocks+seg.blocks, st.Transactions+seg.txs, st.Movements+seg.moves
			if seg.blocks > 0 {
				st.Segments++
			}
		}
		for _, b := range l.blocks {
			st.Blocks, st.Transactions, st.Movements = st.Blocks+1, st.Transactions+uint64(b.txs()), st.Movements+uint64(b.moves)
			st.HeadBlocks, st.HeadMovements = st.HeadBlocks+1, st.HeadMovements+uint64(b.moves)
		}
		st.Accounts += uint64(l.nextID) - 1
	}
	for kind, name := range kindNames {
		n, err := s.db.EstimateDiskUsage([]byte{kind}, []byte{kind + 1})
		if err != nil {
			return Stats{}, fmt.Errorf("size of %s: %w", name, err)
		}
		st.Kinds[name] = n
		st.Bytes += n
		if kind == keyTxIDs || kind == keyTxPlace {
			st.TxIDBytes += n
		}
	}
	return st, nil
}
