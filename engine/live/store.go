package live

import (
	"context"
	"sync"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// oneWriter lets several chains be written side by side to a store that takes one writer at a time.
type oneWriter struct {
	store.Store
	mu sync.Mutex
}

// Append implements store.Store.
func (w *oneWriter) Append(ctx context.Context, blocks []flow.Block) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Store.Append(ctx, blocks)
}

// Fill implements store.Store.
func (w *oneWriter) Fill(ctx context.Context, blocks []flow.Block) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Store.Fill(ctx, blocks)
}

// Undo implements store.Store.
func (w *oneWriter) Undo(ctx context.Context, top flow.Point) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Store.Undo(ctx, top)
}

// Final implements store.Store.
func (w *oneWriter) Final(ctx context.Context, p flow.Point) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Store.Final(ctx, p)
}

// Sync implements store.Store.
func (w *oneWriter) Sync(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Store.Sync(ctx)
}

// Compact implements store.Store.
func (w *oneWriter) Compact(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Store.Compact(ctx)
}
