package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// LookupConfig sizes the look-up workload. The zero value is valid.
type LookupConfig struct {
	Batch   int // holders asked at once; 10,000 if 0
	Batches int // measured batches; 20 if 0
	CacheMB int // cache of the store; 1024 if 0, which holds all entries of 20 M movements
}

// Lookup measures how fast a store answers "all movements of these holders": random accounts, all their entries on both
// sides with amounts and counterparties, decoded. Three lines: cold (the store just opened and its files dropped from
// the page cache where the system allows it), warm at the full batch, and warm for one holder at a time. dir is a store
// that Load made; without one it is made.
func Lookup(ctx context.Context, dir string, shape Shape, c LookupConfig, tell Progress) (figures []Figures, err error) {
	if c.Batch == 0 {
		c.Batch = 10_000
	}
	if c.Batches == 0 {
		c.Batches = 20
	}
	if c.CacheMB == 0 {
		c.CacheMB = 1024
	}
	options := pebblestore.Options{CacheBytes: int64(c.CacheMB) << 20}
	shape = shape.withDefaults()
	st, err := prepare(ctx, dir, shape, nil, options, tell)
	if err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	dropped := dropPageCache(dir)
	ResetPeak()
	st, err = pebblestore.Open(dir, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s, err := st.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()

	rng := rand.New(rand.NewPCG(shape.Seed, 0x100c))
	cold, entries, err := askBatch(ctx, s, randomHolders(rng, shape.Accounts, c.Batch))
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%d entries; page cache dropped: %v", entries, dropped)
	figures = append(figures, Figures{Workload: "lookup-cold", N: int64(c.Batch), Seconds: round(cold.Seconds(), 3),
		Rate: round(float64(c.Batch)/cold.Seconds(), 0), Notes: note})

	for i := range 3 * c.Batches { // warm the caches with other holders than those that are measured
		if _, _, err := askBatch(ctx, s, randomHolders(rng, shape.Accounts, c.Batch)); err != nil {
			return nil, err
		}
		tell.tell(int64(i), int64(4*c.Batches), "warming")
	}
	var times []time.Duration
	var total time.Duration
	var found int64
	for i := range c.Batches {
		d, n, err := askBatch(ctx, s, randomHolders(rng, shape.Accounts, c.Batch))
		if err != nil {
			return nil, err
		}
		times, total, found = append(times, d), total+d, found+n
		tell.tell(int64(3*c.Batches+i), int64(4*c.Batches), "asking")
	}
	n := int64(c.Batch * c.Batches)
	figures = append(figures, Figures{Workload: "lookup", N: n, Seconds: round(total.Seconds(), 3), Rate: round(float64(n)/total.Seconds(), 0),
		P50: quantile(times, .5), P99: quantile(times, .99), RSS: PeakRSS(),
		Notes: fmt.Sprintf("batches of %d holders by id, %d processors, cache of %d MB, %.1f entries per holder, %.1f M entries/s", c.Batch,
			runtime.GOMAXPROCS(0), c.CacheMB, float64(found)/float64(n), float64(found)/total.Seconds()/1e6)})

	times, total = nil, 0
	for range 2000 {
		d, _, err := askBatch(ctx, s, randomHolders(rng, shape.Accounts, 1))
		if err != nil {
			return nil, err
		}
		times, total = append(times, d), total+d
	}
	figures = append(figures, Figures{Workload: "lookup-1", N: 2000, Seconds: round(total.Seconds(), 3), Rate: round(2000/total.Seconds(), 0),
		P50: quantile(times, .5), P99: quantile(times, .99), Notes: "one holder at a time"})

	by, err := askByAddress(ctx, s, rng, shape, c.Batch)
	if err != nil {
		return nil, err
	}
	return append(figures, by), nil
}

// randomHolders draws ids; the accounts of a generated chain have the ids from 1 on.
func randomHolders(rng *rand.Rand, accounts, n int) []store.Ask {
	asks := make([]store.Ask, n)
	for i := range asks {
		asks[i].Holder = store.ID(1 + rng.IntN(accounts*9/10)) // the rarest accounts may never have appeared
	}
	return asks
}

func askBatch(ctx context.Context, s store.Snapshot, asks []store.Ask) (time.Duration, int64, error) {
	var entries atomic.Int64
	start := time.Now()
	err := s.Entries(ctx, flow.Ethereum, asks, func(_ int, es []store.Entry) error {
		entries.Add(int64(len(es)))
		return nil
	})
	return time.Since(start), entries.Load(), err
}

// askByAddress measures the same question asked by address: the dictionary is read first.
func askByAddress(ctx context.Context, s store.Snapshot, rng *rand.Rand, shape Shape, batch int) (Figures, error) {
	const rounds = 5
	var times []time.Duration
	var total time.Duration
	for range rounds {
		accounts := make([]flow.Account, batch)
		for i := range accounts {
			accounts[i] = account(shape.Seed, uint64(rng.IntN(shape.Accounts)))
		}
		start := time.Now()
		ids, err := s.IDs(ctx, flow.Ethereum, accounts)
		if err != nil {
			return Figures{}, err
		}
		var asks []store.Ask
		for _, id := range ids {
			if id != 0 {
				asks = append(asks, store.Ask{Holder: id})
			}
		}
		if _, _, err := askBatch(ctx, s, asks); err != nil {
			return Figures{}, err
		}
		d := time.Since(start)
		times, total = append(times, d), total+d
	}
	n := int64(rounds * batch)
	return Figures{Workload: "lookup-address", N: n, Seconds: round(total.Seconds(), 3), Rate: round(float64(n)/total.Seconds(), 0),
		P50: quantile(times, .5), P99: quantile(times, .99), Notes: "the same, asked by 20-byte address: the dictionary is read first"}, nil
}

// dropPageCache asks the system to forget the files below dir, and reports whether it could.
func dropPageCache(dir string) bool {
	ok := true
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		ok = forget(f) && ok
		return nil
	})
	return ok && err == nil
}
