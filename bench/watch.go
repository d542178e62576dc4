package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/bench/evmnode"
	"github.com/spoor-dev/spoor/flow"
)

// WatchConfig says how large the workloads of Watch are. The zero value takes the defaults that stand behind the fields.
type WatchConfig struct {
	Seed   uint64
	Cases  int           // open at once; 1000
	Listed int           // accounts on a watch list; 1,000,000
	Txs    int           // transactions in a block; 300
	Blocks int           // of one run; 300
	Every  time.Duration // from block to block in watch-feed; 1.2 s: ten times as often as on Ethereum
	Runs   int           // of which the median is told; 3
}

func (c WatchConfig) withDefaults() WatchConfig {
	fill := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	fill(&c.Cases, 1000)
	fill(&c.Listed, 1_000_000)
	fill(&c.Txs, 300)
	fill(&c.Blocks, 300)
	fill(&c.Runs, 3)
	if c.Every == 0 {
		c.Every = 1200 * time.Millisecond
	}
	return c
}

// Watch measures the way from a node to a person: an invented node over HTTP and WebSocket, a Live with open cases and a
// watch list, its store and outbox on disk, and a receiver of webhooks, all in this process. First block by block, then
// at a steady rate, then as fast as it goes. Every hop of a case must be told, once.
func Watch(ctx context.Context, dir string, c WatchConfig, tell Progress) (figures []Figures, err error) {
	c = c.withDefaults()
	w, err := newWatched(ctx, dir, c, tell)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for _, part := range []struct {
		name string
		run  func(context.Context) (run, error)
	}{
		{"watch-latency", w.oneByOne}, {"watch-feed", w.steady}, {"watch-catch-up", w.allAtOnce},
	} {
		var runs []run
		for i := range c.Runs {
			if part.name == "watch-feed" && i == 1 {
				break // it takes as long as it takes
			}
			tell.tell(int64(i), int64(c.Runs), part.name)
			if err := w.make(ctx, c.Blocks); err != nil {
				return nil, err
			}
			ResetPeak()
			r, err := part.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", part.name, err)
			}
			runs = append(runs, r)
		}
		figures = append(figures, w.figures(part.name, runs)...)
	}
	return figures, nil
}

// watched is a station that follows an invented node.
type watched struct {
	*station
	c     WatchConfig
	chain *evmnode.Chain
	node  *evmnode.Node
	next  int              // case that moves next
	ahead []*evmnode.Block // held by the node and not announced
	told  int              // messages that were looked at
}

// final is how far below the head a block of the invented node is final: two epochs.
const final = 64

func newWatched(ctx context.Context, dir string, c WatchConfig, tell Progress) (w *watched, err error) {
	tell.tell(0, 0, "making a chain")
	s, err := newStation(dir)
	if err != nil {
		return nil, err
	}
	w = &watched{station: s, c: c, chain: evmnode.NewChain(evmnode.Shape{Seed: c.Seed, Txs: c.Txs, Thieves: c.Cases})}
	if w.node, err = evmnode.Start(dir, final); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := w.begin(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// begin writes the thefts and the list, and follows the chain to where all cases are open.
func (w *watched) begin(ctx context.Context) error {
	thieves := make([][]flow.Account, w.c.Cases)
	for i := range thieves {
		thieves[i] = []flow.Account{w.chain.Thief(i)}
	}
	blocks := w.chain.Begin()
	for _, b := range blocks {
		if err := w.node.Hold(b); err != nil {
			return err
		}
	}
	top := uint64(len(blocks) - 1)
	w.cases, w.list = filepath.Join(w.dir, "thefts"), filepath.Join(w.dir, "list.txt")
	if err := writeThefts(w.cases, thieves, "ETH", evmnode.Loot, top); err != nil {
		return err
	}
	// One account in a hundred thousand that strangers pay to is on the list.
	if err := writeList(w.list, w.c.Listed, func(i int) flow.Account {
		if i >= 2 {
			i += 10_000_000
		}
		return evmnode.Stranger(i)
	}); err != nil {
		return err
	}
	w.chains = fmt.Sprintf("  - {chain: \"eip155:1\", from: \"0\", nodes: [{url: %q, ws: %q, private: true, traces: must}]}\n", w.node.URL(), w.node.WS())
	if _, err := w.node.Push(top); err != nil {
		return err
	}
	if err := w.start(ctx); err != nil {
		return err
	}
	if err := w.at(ctx, top); err != nil {
		return err
	}
	c, err := w.config()
	if err == nil {
		err = w.live.Reload(ctx, c) // which opens what waits
	}
	if err != nil {
		return err
	}
	return w.opened(ctx, w.c.Cases)
}

func (w *watched) close() error { return errors.Join(w.station.close(), w.node.Close()) }

// make lets the node hold n more blocks, each with a hop of the next case.
func (w *watched) make(ctx context.Context, n int) error {
	for range n {
		b := w.chain.Next(w.next)
		w.next = (w.next + 1) % w.c.Cases
		if err := w.node.Hold(b); err != nil {
			return err
		}
		w.ahead = append(w.ahead, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// A run is what one run measured.
type run struct {
	seconds   float64
	blocks    int
	movements int64
	pushed    []time.Duration // from push to delivery, one for each hop
	seen      []time.Duration // from when the block was heard of
	parts     [parts][]time.Duration
	lag       uint64 // most blocks that the tip was behind the head
	rss       float64
}

const parts = 7

// partNames are the parts of the way, in their order.
var partNames = [parts]string{"push", "fetch", "decode and verify", "store", "watch", "outbox", "delivery"}

// oneByOne announces each block when what was to be told of the one before was told.
func (w *watched) oneByOne(ctx context.Context) (run, error) {
	return w.measure(ctx, func() error {
		for _, b := range w.ahead {
			if _, err := w.node.Push(b.Point.Height); err != nil {
				return err
			}
			if err := w.heard(ctx, b); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond) // what comes after the delivery comes to rest
		}
		return nil
	}, nil)
}

// steady announces a block every Every.
func (w *watched) steady(ctx context.Context) (run, error) {
	var lag uint64
	return w.measure(ctx, func() error {
		tick := time.NewTicker(w.c.Every)
		defer tick.Stop()
		for _, b := range w.ahead {
			if _, err := w.node.Push(b.Point.Height); err != nil {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			st, err := w.live.State()
			if err != nil {
				return err
			}
			lag = max(lag, b.Point.Height-min(b.Point.Height, st.Chains[0].Tip.Height))
		}
		return nil
	}, &lag)
}

// allAtOnce announces the newest block only.
func (w *watched) allAtOnce(ctx context.Context) (run, error) {
	return w.measure(ctx, func() error {
		_, err := w.node.Push(w.ahead[len(w.ahead)-1].Point.Height)
		return err
	}, nil)
}

// heard waits until the last hop of a block was told.
func (w *watched) heard(ctx context.Context, b *evmnode.Block) error {
	tx := b.Hops[len(b.Hops)-1].Tx
	return w.until(ctx, fmt.Sprintf("what is to be told of block %d", b.Point.Height), time.Millisecond, func() (bool, error) { return w.hook.has(tx, w.told), nil })
}

// measure runs announce, waits until all was told, and looks at what it took.
func (w *watched) measure(ctx context.Context, announce func() error, lag *uint64) (r run, err error) {
	before := w.store.movements()
	start := time.Now()
	if err := announce(); err != nil {
		return r, err
	}
	last := w.ahead[len(w.ahead)-1]
	if err := w.heard(ctx, last); err != nil {
		return r, err
	}
	if err := w.at(ctx, last.Point.Height); err != nil {
		return r, err
	}
	r.seconds, r.rss, r.blocks = time.Since(start).Seconds(), PeakRSS(), len(w.ahead)
	r.movements = w.store.movements() - before
	if lag != nil {
		r.lag = *lag
	}
	return r, w.look(&r)
}

// look checks that every hop was told once, and takes the way of each apart.
func (w *watched) look(r *run) error {
	moves, next := w.hook.moves(w.told)
	w.told = next
	for _, b := range w.ahead {
		pushed, answered := w.node.Times(b.Point.Hash)
		began, ended := w.store.of(b.Point.Hash)
		for _, hop := range b.Hops {
			all := moves[hop.Tx]
			if len(all) != 1 || all[0].owner != caseName(hop.Thief) || all[0].serial != 0 || all[0].at.Hash != b.Point.Hash {
				return fmt.Errorf("the hop of %s in block %d was told %d times; want once", caseName(hop.Thief), b.Point.Height, len(all))
			}
			m := all[0]
			delete(moves, hop.Tx)
			r.seen = append(r.seen, m.came.Sub(m.seen))
			if pushed.IsZero() {
				continue // it was announced with others
			}
			r.pushed = append(r.pushed, m.came.Sub(pushed))
			at := [parts + 1]time.Time{pushed, m.seen, answered, began, ended, m.made, m.sent, m.came}
			for i := range parts {
				r.parts[i] = append(r.parts[i], at[i+1].Sub(at[i]))
			}
		}
	}
	if len(moves) > 0 {
		return fmt.Errorf("%d transactions were told as hops and are none", len(moves))
	}
	w.ahead = nil
	_, repeats, err := w.hook.count()
	if repeats > 0 {
		err = errors.Join(err, fmt.Errorf("%d messages came twice", repeats))
	}
	return err
}

// figures are those of a workload: the median of its runs.
func (w *watched) figures(name string, runs []run) []Figures {
	of := func(what func(run) float64) (median, least, most float64) {
		var all []float64
		for _, r := range runs {
			all = append(all, what(r))
		}
		slices.Sort(all)
		return all[len(all)/2], all[0], all[len(all)-1]
	}
	middle := func(what func(run) float64, digits int) float64 {
		m, _, _ := of(what)
		return round(m, digits)
	}
	hops := 0
	for _, r := range runs {
		hops += len(r.seen)
	}
	f := Figures{Workload: name, N: int64(runs[0].blocks), Seconds: middle(func(r run) float64 { return r.seconds }, 3), RSS: middle(func(r run) float64 { return r.rss }, 0)}
	f.Notes = fmt.Sprintf("%d blocks of %d transactions, %d cases, %d accounts on a list; %d hops, each told once; median of %s", runs[0].blocks, w.c.Txs, w.c.Cases, w.c.Listed, hops, countRuns(len(runs)))
	p50 := func(of func(run) []time.Duration) func(run) float64 {
		return func(r run) float64 { return quantile(of(r), .5) }
	}
	p99 := func(of func(run) []time.Duration) func(run) float64 {
		return func(r run) float64 { return quantile(of(r), .99) }
	}
	pushed, seen := func(r run) []time.Duration { return r.pushed }, func(r run) []time.Duration { return r.seen }
	if name == "watch-catch-up" {
		rate, least, most := of(func(r run) float64 { return float64(r.blocks) / r.seconds })
		movements := middle(func(r run) float64 { return float64(r.movements) / r.seconds }, 0)
		f.Rate = round(rate, 1)
		f.Notes += fmt.Sprintf("; %.1f blocks/s (%.1f to %.1f), %.0f movements/s", rate, least, most, movements)
		return []Figures{f}
	}
	f.P50, f.P99 = middle(p50(pushed), 1), middle(p99(pushed), 1)
	_, least, most := of(p99(pushed))
	f.Notes += fmt.Sprintf("; from push to delivery, p99 of the runs %.1f to %.1f ms", least, most)
	if name == "watch-feed" {
		f.Notes += fmt.Sprintf("; %s from block to block, the tip at most %d blocks behind the head when the next was pushed", w.c.Every, runs[0].lag)
	}
	f.Notes += "; parts as p50 / p99 in ms:"
	for i, part := range partNames {
		part50, part99 := p50(func(r run) []time.Duration { return r.parts[i] }), p99(func(r run) []time.Duration { return r.parts[i] })
		f.Notes += fmt.Sprintf(" %s %.1f / %.1f", part, middle(part50, 1), middle(part99, 1))
		if i < parts-1 {
			f.Notes += ","
		}
	}
	g := Figures{Workload: name + "-seen", N: f.N, P50: middle(p50(seen), 1), P99: middle(p99(seen), 1), Notes: "the same from when the block was first heard of"}
	return []Figures{f, g}
}

func countRuns(n int) string {
	if n == 1 {
		return "one run"
	}
	return fmt.Sprintf("%d runs", n)
}
