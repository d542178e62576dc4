package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	enginelive "github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// A station is a Live on a folder, with a store and an outbox on disk and a receiver of webhooks.
type station struct {
	dir    string
	chains string // in YAML
	cases  string // folder of thefts; none if empty
	list   string // file of accounts; none if empty
	source []enginelive.Source
	hook   *hook

	live  *enginelive.Live
	store *stopwatch
	stop  context.CancelFunc
	done  chan error
}

// newStation prepares a station in a folder, which is made if it is not there.
func newStation(dir string) (*station, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	h, err := newHook(dir)
	if err != nil {
		return nil, err
	}
	return &station{dir: dir, hook: h}, nil
}

func (s *station) storeDir() string { return filepath.Join(s.dir, "store") }

func (s *station) config() (config.Config, error) {
	text := fmt.Sprintf("store: %q\ndisk: {low: 1MiB, ballast: 0}\nlisten: {address: none}\n", s.storeDir())
	if s.chains != "" {
		text += "chains:\n" + s.chains
	}
	if s.cases != "" {
		text += fmt.Sprintf("cases:\n  - {theft: %q}\n", s.cases)
	}
	if s.list != "" {
		text += fmt.Sprintf("lists:\n  - {name: listed, file: %q}\n", s.list)
	}
	return config.Parse([]byte(text), s.dir)
}

// start begins it, with all that its folder holds.
func (s *station) start(ctx context.Context) error {
	c, err := s.config()
	if err != nil {
		return err
	}
	st, err := pebblestore.Open(s.storeDir(), pebblestore.Options{})
	if err != nil {
		return err
	}
	s.store = &stopwatch{Store: st, times: map[flow.Hash][2]time.Time{}}
	s.live, err = enginelive.New(c, enginelive.Options{Store: s.store, Log: slog.New(slog.DiscardHandler), Sinks: []alert.Sink{s.hook}, Sources: s.source,
		Labels: func() (*engine.Labels, error) { return &engine.Labels{}, nil }})
	if err != nil {
		return errors.Join(err, st.Close())
	}
	run, stop := context.WithCancel(ctx)
	s.stop, s.done = stop, make(chan error, 1)
	go func(l *enginelive.Live) { s.done <- l.Run(run) }(s.live)
	return nil
}

// end ends it as a signal would. The receiver stays.
func (s *station) end() error {
	if s.stop == nil {
		return nil
	}
	s.stop()
	s.stop = nil
	return errors.Join(<-s.done, s.live.Close(), s.store.Store.Close())
}

func (s *station) close() error { return errors.Join(s.end(), s.hook.close()) }

// patience is how long something may take that has to happen.
const patience = 5 * time.Minute

// until waits until something is so.
func (s *station) until(ctx context.Context, what string, every time.Duration, holds func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("it has ended while it was waited for %s: %w", what, errors.Join(err, ctx.Err()))
		case <-time.After(every):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not in %s: %s", patience, what)
		}
	}
}

// at waits until the cases have seen a block.
func (s *station) at(ctx context.Context, height uint64) error {
	return s.until(ctx, fmt.Sprintf("block %d", height), 5*time.Millisecond, func() (bool, error) {
		st, err := s.live.State()
		return err == nil && len(st.Chains) > 0 && st.Chains[0].Tip.Height >= height, err
	})
}

// opened waits until so many cases are open.
func (s *station) opened(ctx context.Context, n int) error {
	why := ""
	err := s.until(ctx, fmt.Sprintf("%d open cases", n), 20*time.Millisecond, func() (bool, error) {
		st, err := s.live.State()
		if err != nil || len(st.Cases) != n {
			return false, err
		}
		for _, c := range st.Cases {
			if !c.Open {
				why = ": " + c.ID + " waits: " + c.Waits
				return false, nil
			}
		}
		return st.Watching.Cases == n, nil
	})
	if err != nil {
		return fmt.Errorf("%w%s", err, why)
	}
	return nil
}

// A stopwatch is a store that notes when each block was given to it, and when it was safe.
type stopwatch struct {
	store.Store
	mu    sync.Mutex
	times map[flow.Hash][2]time.Time // guarded by mu; nil if nobody wants them
	moved int64                      // movements of all blocks; guarded by mu
}

// Append implements store.Store.
func (w *stopwatch) Append(ctx context.Context, blocks []flow.Block) (int, error) {
	began := time.Now()
	n, err := w.Store.Append(ctx, blocks)
	ended := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range blocks[:n] {
		for _, tx := range blocks[i].Txs {
			w.moved += int64(len(tx.Movements))
		}
		if w.times != nil {
			w.times[blocks[i].Point.Hash] = [2]time.Time{began, ended}
		}
	}
	return n, err
}

func (w *stopwatch) movements() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.moved
}

func (w *stopwatch) of(h flow.Hash) (began, ended time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.times[h]
	return t[0], t[1]
}

// writeThefts writes one theft file for each thief: all that its accounts hold from a block on, each that much of the chain's coin
// or of a token.
func writeThefts(dir string, of [][]flow.Account, asset, amount string, block uint64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i, accounts := range of {
		var sources []string
		for _, a := range accounts {
			sources = append(sources, fmt.Sprintf(`{"account":%q,"asset":%q,"amount":%q,"from_block":"%d"}`, a, asset, amount, block))
		}
		text := fmt.Sprintf(`{"name":"case %d","sources":[%s]}`, i, strings.Join(sources, ","))
		if err := os.WriteFile(filepath.Join(dir, caseName(i)+".json"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func caseName(i int) string { return fmt.Sprintf("case-%06d", i) }

// writeList writes a watch list of n accounts, one a line.
func writeList(path string, n int, of func(int) flow.Account) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintln(w, strings.ToLower(of(i).Address()))
	}
	return errors.Join(w.Flush(), f.Close())
}
