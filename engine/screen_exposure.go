package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/store"
)

// storeExposer finds exposure in the store of a screener. It implements screen.Exposer.
type storeExposer struct {
	s      *Screener
	labels *bookLabels
}

// Expose implements screen.Exposer. Of an account on a chain that the store does not hold the answer is partial: nothing was
// looked at.
func (e *storeExposer) Expose(ctx context.Context, q screen.Question) (all screen.Exposed, err error) {
	s, err := e.s.c.Store.Snapshot()
	if err != nil {
		return all, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c := q.Account.Chain()
	tip, ok := s.Tip(c)
	if !ok {
		all.Partial = true
		all.DoesNotKnow = []string{fmt.Sprintf("The store has no block of %s: where the money came from and went to was not looked at.", c)}
		return all, nil
	}
	before, before1st, err := placeBehind(ctx, s, tip, q.AsOf)
	if err != nil {
		return all, err
	}
	if before1st {
		all.Partial = true
		all.DoesNotKnow = []string{fmt.Sprintf("The store's first block of %s is younger than the moment that is asked about.", c)}
		return all, nil
	}
	key := exposureKey{q.Account, q.Direction, q.Asset, before, tip, e.labels.hash, e.labels.epoch(q.AsOf), e.labels.epoch(q.KnownAt)}
	if found, ok := e.s.cache.find(key); ok {
		return found, nil
	}
	look := e.s.c.Look
	policy := e.s.c.Policy
	look.Minds, look.Floor, look.Before = policy.Minds, policy.Floor, before
	look.Labels = func(a flow.Account) ([]attribute.Label, error) { return e.labels.LabelsOf(a, q.AsOf, q.KnownAt) }
	if all, err = look.Expose(ctx, NewGraph(s), q); err != nil {
		return screen.Exposed{}, err
	}
	all.Tip = tip
	if err := e.describe(ctx, s, tip, before, &all); err != nil {
		return screen.Exposed{}, err
	}
	e.s.cache.keep(key, all)
	return all, nil
}

// placeBehind is the first place that comes after a moment, the zero Pos if all does.
func placeBehind(ctx context.Context, s store.Snapshot, tip flow.Point, asOf int64) (before flow.Pos, beforeFirst bool, err error) {
	if tip.Time == 0 || asOf >= tip.Time || asOf == math.MaxInt64 {
		return flow.Pos{}, false, nil
	}
	first, err := s.FirstAt(ctx, tip.Chain, math.MinInt64)
	if err != nil {
		return before, false, fmt.Errorf("first block of %s: %w", tip.Chain, err)
	}
	p, err := s.FirstAt(ctx, tip.Chain, asOf+1)
	switch {
	case isNotFound(err):
		return flow.Pos{}, false, nil
	case err != nil:
		return before, false, fmt.Errorf("block after %d of %s: %w", asOf, tip.Chain, err)
	}
	return flow.Pos{Height: p.Height}, p.Height <= first.Height, nil
}

// describe says what the store does not know.
func (e *storeExposer) describe(ctx context.Context, s store.Snapshot, tip flow.Point, before flow.Pos, all *screen.Exposed) error {
	state, _, err := describeChain(ctx, s, tip.Chain, 0)
	if err != nil {
		return err
	}
	all.DoesNotKnow = append(all.DoesNotKnow, state.notKnown()...)
	if state.HoleRuns > 0 && all.Seen {
		all.Partial = true
	}
	if tip.Time == 0 {
		all.DoesNotKnow = append(all.DoesNotKnow, fmt.Sprintf("The blocks of %s say no times: all of them count, whatever moment is asked about.", tip.Chain))
	}
	if !all.Seen {
		all.DoesNotKnow = append(all.DoesNotKnow, "The store has seen no money of this account.")
	}
	return nil
}

// exposureKey is all that an exposure depends on, besides what does not change while a screener lives.
type exposureKey struct {
	account          flow.Account
	direction        screen.Direction
	asset            flow.Asset
	before           flow.Pos
	tip              flow.Point // a new block is a new key
	labels           flow.Hash  // and so is a new label
	validAt, knownAt int        // see bookLabels.epoch
}

// exposureCache remembers exposures in two halves: what is found in the older one moves to the younger. What was found
// belongs to the cache and is not changed.
type exposureCache struct {
	room int
	mu   sync.Mutex
	// guarded by mu
	young, old map[exposureKey]screen.Exposed
}

func (c *exposureCache) find(k exposureKey) (screen.Exposed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.young[k]
	if !ok {
		if found, ok = c.old[k]; ok {
			c.keepLocked(k, found)
		}
	}
	found.DoesNotKnow = slices.Clip(found.DoesNotKnow)
	return found, ok
}

func (c *exposureCache) keep(k exposureKey, e screen.Exposed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepLocked(k, e)
}

func (c *exposureCache) keepLocked(k exposureKey, e screen.Exposed) {
	if c.young == nil || len(c.young) >= max(c.room/2, 1) {
		c.young, c.old = map[exposureKey]screen.Exposed{}, c.young
	}
	c.young[k] = e
}
