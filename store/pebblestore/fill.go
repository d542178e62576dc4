package pebblestore

import (
	"context"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// Fill puts blocks into holes and below the first block; see store.Store.
func (s *Store) Fill(ctx context.Context, blocks []flow.Block) (n int, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.beginLocked(ctx); err != nil {
		return 0, err
	}
	for _, b := range blocks {
		if l := s.lanes[b.Point.Chain]; l == nil || !l.sealed || b.Point.Height >= l.final {
			return 0, fmt.Errorf("fill %s: a final block above it is %w", b.Point, store.ErrNotFound)
		}
		return 0, fmt.Errorf("fill %s: this store cannot yet", b.Point)
	}
	return 0, nil
}
