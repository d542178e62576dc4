package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	enginelive "github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// StartConfig says how large the workload of Start is. The zero value takes the defaults that stand behind the fields.
type StartConfig struct {
	Seed      uint64
	Cases     int // open; 1000
	Holders   int // accounts of a case at first; 5
	Movements int // in the store; 1,000,000
	Share     int // one transaction in so many is of a thief; 20
	Listed    int // accounts on a watch list; 1,000,000
	Runs      int // of which the median is told; 3
}

func (c StartConfig) withDefaults() StartConfig {
	for _, n := range []struct {
		to *int
		d  int
	}{{&c.Cases, 1000}, {&c.Holders, 5}, {&c.Movements, 1_000_000}, {&c.Share, 20}, {&c.Listed, 1_000_000}, {&c.Runs, 3}} {
		if *n.to == 0 {
			*n.to = n.d
		}
	}
	return c
}

// Start measures how long a Live takes from its start until all cases are followed: the first time, and when it is started
// again, which must tell nobody anything that was told.
func Start(ctx context.Context, dir string, c StartConfig, tell Progress) (figures []Figures, err error) {
	c = c.withDefaults()
	s, err := newStation(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	thieves := newThieves(c.Seed, c.Cases, c.Holders)
	accounts := make([][]flow.Account, c.Cases)
	for i, of := range thieves.of {
		for _, h := range of {
			accounts[i] = append(accounts[i], h.account)
		}
	}
	s.cases, s.list = filepath.Join(dir, "thefts"), filepath.Join(dir, "list.txt")
	if err := writeThefts(s.cases, accounts, tokenOf(1).String(), fmt.Sprint(purse), 0); err != nil {
		return nil, err
	}
	if err := writeList(s.list, c.Listed, func(i int) flow.Account { return account(c.Seed, uint64(i)|listMark) }); err != nil {
		return nil, err
	}
	top, err := c.fill(ctx, s.storeDir(), thieves, tell)
	if err != nil {
		return nil, err
	}
	t := tape{from: top + 1, to: top}
	s.source = []enginelive.Source{{Source: t, Decoder: t, Confirmations: final}}
	var times []time.Duration
	messages := 0
	for i := range c.Runs + 1 {
		tell.tell(int64(i), int64(c.Runs+1), "watch-start")
		ResetPeak()
		began := time.Now()
		if err := s.start(ctx); err != nil {
			return nil, err
		}
		if err := s.opened(ctx, c.Cases); err != nil {
			return nil, err
		}
		took := time.Since(began)
		st, err := s.live.State()
		if err != nil {
			return nil, err
		}
		notes := fmt.Sprintf("%d cases of %d accounts, %d followed by now, %d movements in %d blocks, one transaction in %d is of a thief; %d accounts on a list",
			c.Cases, c.Holders, st.Watching.Following, c.Movements, top+1, c.Share, c.Listed)
		f := Figures{Workload: "watch-start-first", N: int64(c.Cases), Seconds: round(took.Seconds(), 2), RSS: PeakRSS(), Notes: notes}
		// All is told before it ends, so that the next start has nothing left to tell.
		if err := s.drained(ctx); err != nil {
			return nil, err
		}
		told, _, err := s.hook.count()
		switch {
		case err != nil:
			return nil, err
		case i == 0:
			figures = append(figures, f)
		case told != messages:
			return nil, fmt.Errorf("start %d told %d messages more", i+1, told-messages)
		default:
			times = append(times, took)
		}
		messages = told
		if err := s.end(); err != nil {
			return nil, err
		}
		if i == c.Runs {
			slices.Sort(times)
			f.Workload, f.Seconds = "watch-start-again", round(times[len(times)/2].Seconds(), 2)
			f.Notes = fmt.Sprintf("the same store, started again; nothing is told twice; median of %s, %.1f to %.1f s", countRuns(len(times)), times[0].Seconds(), times[len(times)-1].Seconds())
			figures = append(figures, f)
		}
	}
	return figures, nil
}

// drained waits until nothing is queued.
func (s *station) drained(ctx context.Context) error {
	return s.until(ctx, "the queues to be empty", 20*time.Millisecond, func() (bool, error) {
		st, err := s.live.State()
		for _, sink := range st.Outbox.Sinks {
			if sink.Queued > 0 {
				return false, err
			}
		}
		return true, err
	})
}

// fill makes the store, and returns the height of its newest block.
func (c StartConfig) fill(ctx context.Context, dir string, thieves *thieves, tell Progress) (top uint64, err error) {
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s := newStream(c.Seed, c.Movements, thieves, c.Share)
	defer s.stop()
	for n := 0; ; {
		blocks := s.next(min(batchMovements, c.Movements))
		if len(blocks) == 0 {
			break
		}
		if _, err := st.Append(ctx, blocks); err != nil {
			return 0, err
		}
		top = blocks[len(blocks)-1].Point.Height
		n += min(batchMovements, c.Movements)
		tell.tell(int64(n), int64(c.Movements), "filling a store")
	}
	s2, err := st.Snapshot()
	if err != nil {
		return 0, err
	}
	p, err := s2.Point(ctx, flow.Ethereum, top-min(top, final))
	if err = errors.Join(err, s2.Close()); err != nil {
		return 0, err
	}
	return top, st.Final(ctx, p)
}
