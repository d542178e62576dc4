package pebblestore

import "fmt"

// Stats are counts of a store and the room that it takes on the disk.
type Stats struct {
	Blocks, Txs, Movements, Accounts uint64
	HeadBlocks, HeadMovements        uint64            // of these, not yet folded
	Segments                         uint64            // of all chains
	Bytes                            map[string]uint64 // by what is kept, see docs/formats/store.md
}

// kindNames are the names of the kinds of keys in Stats.
var kindNames = map[byte]string{
	keyFormat: "format", keyChain: "chains", keyFinal: "final", keyHead: "head", keySegment: "segments", keyForm: "forms",
	keyBlock: "headers", keyBody: "bodies", keyTxIDs: "tx-ids", keyAccount: "account-to-id", keyNames: "id-to-account",
	keyEntries: "entries", keyTxPlace: "tx-places", keySpends: "spends",
}

// Stats counts what the store holds.
func (s *Store) Stats() (Stats, error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	st := Stats{Bytes: map[string]uint64{}}
	for _, l := range s.lanes {
		for _, seg := range l.segments {
			st.Blocks, st.Txs, st.Movements = st.Blocks+seg.blocks, st.Txs+seg.txs, st.Movements+seg.moves
			st.Segments++
		}
		for _, b := range l.blocks {
			st.Blocks, st.Txs, st.Movements = st.Blocks+1, st.Txs+uint64(b.txs()), st.Movements+uint64(b.moves)
			st.HeadBlocks, st.HeadMovements = st.HeadBlocks+1, st.HeadMovements+uint64(b.moves)
		}
		st.Accounts += uint64(l.nextID) - 1
	}
	for _, kind := range kinds {
		n, err := s.db.EstimateDiskUsage([]byte{kind}, []byte{kind + 1})
		if err != nil {
			return Stats{}, fmt.Errorf("size of %s: %w", kindNames[kind], err)
		}
		st.Bytes[kindNames[kind]] = n
	}
	return st, nil
}
