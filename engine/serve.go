package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A World is what a server tells of the state that a Screener answers from. It implements api.World.
type World struct {
	screener *Screener
	store    store.Store // nil where there is none
	trouble  atomic.Pointer[error]
}

// NewWorld is the world of a screener and of its store, which may be nil.
func NewWorld(s *Screener, st store.Store) *World { return &World{screener: s, store: st} }

// Trouble notes why the labels could not be read again, or nil when they could. While there is trouble the state says so,
// and no verdict is given.
func (w *World) Trouble(err error) { w.trouble.Store(&err) }

// Status implements api.World.
func (w *World) Status(context.Context) (status api.Status) {
	l := w.screener.LabelState()
	status.Labels = api.LabelStatus{Hash: l.Hash, Count: l.Count, Newest: l.Newest}
	if err := w.trouble.Load(); err != nil && *err != nil {
		status.LabelError = (*err).Error()
	}
	if w.store == nil {
		return status
	}
	s, err := w.store.Snapshot()
	if err == nil {
		for _, c := range s.Chains() {
			if tip, ok := s.Tip(c); ok {
				status.Chains = append(status.Chains, api.ChainStatus{Chain: c, Tip: tip})
			}
		}
		err = s.Close()
	}
	if err != nil {
		status.StoreError = err.Error()
	}
	return status
}

// Tx implements api.World.
func (w *World) Tx(ctx context.Context, c flow.Chain, id flow.Hash) (tx flow.Tx, err error) {
	if w.store == nil {
		return tx, fmt.Errorf("transaction %s: %w", c.FormatHash(id), api.ErrNoTx)
	}
	s, err := w.store.Snapshot()
	if err != nil {
		return tx, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if tx, err = s.Tx(ctx, c, id); errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("transaction %s: %w", c.FormatHash(id), api.ErrNoTx)
	}
	return tx, err
}

// FollowLabels reads the labels of a folder again whenever they have changed, looking every so often, until ctx is done.
// others are books that stay. changed is told of every new state, and of why one could not be read.
func (w *World) FollowLabels(ctx context.Context, dir string, others []*attribute.Book, every time.Duration, changed func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := bookTime(dir)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := bookTime(dir)
		if now.Equal(last) {
			continue
		}
		book, err := labelstore.ReadBook(dir)
		if err == nil {
			w.screener.SetLabels(append([]*attribute.Book{book}, others...)...)
			last = now
		}
		w.Trouble(err)
		changed(err)
	}
}

// bookTime is when the packed labels of a folder were written; the zero time where there are none.
func bookTime(dir string) (newest time.Time) {
	names, _ := filepath.Glob(filepath.Join(dir, "*.book"))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}
