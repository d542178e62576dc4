package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A World is what a server tells of the state that a Screener answers from. It implements api.World.
type World struct {
	screener *Screener
	store    store.Store           // nil where there is none
	trouble  atomic.Pointer[error] // why the labels could not be read again
}

// NewWorld is the world of a screener and of its store, which may be nil.
func NewWorld(s *Screener, st store.Store) *World { return &World{screener: s, store: st} }

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

// FollowLabels reads the labels again whenever one of the files or label folders that they are from has changed since the
// stamps were taken, which is before they were first read, looking every so often, until ctx is done. changed is told of every new state, and of why one could not be read: then no verdict is
// given until it can be.
func (w *World) FollowLabels(ctx context.Context, from []string, last []LabelStamp, read func() ([]*attribute.Book, error), every time.Duration, changed func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := StampLabels(from)
		if slices.Equal(now, last) {
			continue
		}
		books, err := read()
		if err == nil {
			w.screener.SetLabels(books...)
			last = now
		}
		w.trouble.Store(&err)
		changed(err)
	}
}

// A LabelStamp is what of a file changes when it does.
type LabelStamp struct {
	name string
	size int64
	time int64 // nanoseconds since 1970
}

// StampLabels are the stamps of files, and of the packed books in label folders.
func StampLabels(from []string) (all []LabelStamp) {
	for _, name := range from {
		books, err := filepath.Glob(filepath.Join(name, "*.book"))
		if err != nil || len(books) == 0 {
			books = []string{name}
		}
		for _, book := range books {
			if info, err := os.Stat(book); err == nil && !info.IsDir() {
				all = append(all, LabelStamp{book, info.Size(), info.ModTime().UnixNano()})
			}
		}
	}
	return all
}
