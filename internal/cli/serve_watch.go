package cli

import (
	"context"
	"errors"
	"sync"

	"github.com/spoor-dev/spoor/store"
)

// storeToServe opens the store that a server asks; nil if there is none. With --watch that is the one of the
// configuration, and watching follows its chains into it until its context is done; else watching is nil.
func (p *program) storeToServe(ctx context.Context, f *serveFlags) (st store.Store, watching func(context.Context) error, err error) {
	if f.watch == "" {
		if f.direct {
			return nil, nil, nil
		}
		opened, err := p.storeToScreen(f.store)
		if err != nil || opened == nil {
			return nil, nil, err
		}
		return opened, nil, nil
	}
	if f.direct {
		return nil, nil, misuse(errors.New("chains are followed and not asked"), "leave out --direct or --watch")
	}
	w := watchFlags{config: f.watch, silent: true}
	if f.store != defaultStore() {
		w.store = f.store
	}
	c, err := p.watchConfig(ctx, w, nil)
	if err != nil {
		return nil, nil, err
	}
	f.store = c.Store
	opened, err := openLive(c.Store)
	if err != nil {
		return nil, nil, err
	}
	return opened, func(ctx context.Context) error { return p.runLive(ctx, c, opened, w, nil) }, nil
}

// beside runs two things until ctx is done or one of them ends, and returns when both have. The first may be nil.
func beside(ctx context.Context, first, second func(context.Context) error) error {
	if first == nil {
		return second(ctx)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var errs [2]error
	var both sync.WaitGroup
	for i, f := range []func(context.Context) error{first, second} {
		both.Go(func() {
			defer stop()
			errs[i] = f(ctx)
		})
	}
	both.Wait()
	return errors.Join(errs[:]...)
}
