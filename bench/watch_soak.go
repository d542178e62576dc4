package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/bench/evmnode"
	"github.com/spoor-dev/spoor/flow"
)

// SoakConfig says how a Soak is. The zero value takes the defaults that stand behind the fields.
type SoakConfig struct {
	Seed   uint64
	For    time.Duration // 20 min
	Every  time.Duration // from block to block; 250 ms
	Sample time.Duration // from sample to sample; 5 s
	Cases  int           // open at once; 50
	Txs    int           // transactions in a block; 50
	JSON   bool          // samples as JSON lines, not as CSV
}

func (c SoakConfig) withDefaults() SoakConfig {
	for _, d := range []struct {
		to *time.Duration
		d  time.Duration
	}{{&c.For, 20 * time.Minute}, {&c.Every, 250 * time.Millisecond}, {&c.Sample, 5 * time.Second}} {
		if *d.to == 0 {
			*d.to = d.d
		}
	}
	if c.Cases == 0 {
		c.Cases = 50
	}
	if c.Txs == 0 {
		c.Txs = 50
	}
	return c
}

// A Sample is how a long run stands at one moment.
type Sample struct {
	Seconds    float64 `json:"seconds"`
	Blocks     int64   `json:"blocks"` // taken in
	Undone     int64   `json:"undone"`
	Messages   int     `json:"messages"`
	Lag        uint64  `json:"lag_blocks"`
	RSS        float64 `json:"rss_mb"`
	Heap       float64 `json:"heap_live_mb"` // by the last collection
	Goroutines int     `json:"goroutines"`
	Files      int     `json:"open_files"`
	Store      float64 `json:"store_mb"` // on disk, without the outbox
	Outbox     float64 `json:"outbox_mb"`
}

// csv is the form of a sample in a table, in the order of soakColumns.
func (s Sample) csv() string {
	return fmt.Sprintf("%.0f,%d,%d,%d,%d,%.1f,%.1f,%d,%d,%.1f,%.2f", s.Seconds, s.Blocks, s.Undone, s.Messages, s.Lag, s.RSS, s.Heap, s.Goroutines, s.Files, s.Store, s.Outbox)
}

const soakColumns = "seconds,blocks,undone,messages,lag_blocks,rss_mb,heap_live_mb,goroutines,open_files,store_mb,outbox_mb"

// Soak runs a Live for a long time on an endless chain with forks, while cases are opened and closed and the receiver
// fails now and then, writes samples to out, and tells how each of them rises in the second half. What was told must be
// what stands in the end: every hop of the branch that won once, and every other one corrected.
func Soak(ctx context.Context, dir string, c SoakConfig, out io.Writer) (f Figures, err error) {
	c = c.withDefaults()
	s := &soak{c: c, rng: rand.New(rand.NewPCG(c.Seed, 0x50a)), out: out, stands: map[flow.Hash]string{}, gone: map[flow.Hash]string{}}
	if s.station, err = newStation(dir); err != nil {
		return f, err
	}
	if s.node, err = evmnode.Start(dir, final); err != nil {
		return f, errors.Join(err, s.station.close())
	}
	defer func() { err = errors.Join(err, s.station.close(), s.node.Close()) }()
	if err := s.begin(ctx); err != nil {
		return f, err
	}
	if !c.JSON {
		if _, err := fmt.Fprintln(out, soakColumns); err != nil {
			return f, err
		}
	}
	if err := s.run(ctx); err != nil {
		return f, err
	}
	if err := s.check(ctx); err != nil {
		return f, err
	}
	return s.figures(), nil
}

type soak struct {
	*station
	c     SoakConfig
	rng   *rand.Rand
	out   io.Writer
	chain *evmnode.Chain
	node  *evmnode.Node

	began   time.Time
	ticks   int
	names   []string // of the open case of each thief; "" while it has none
	quiet   []int    // tick until which a thief does not move
	recent  []*evmnode.Block
	stands  map[flow.Hash]string // hops of the branch, with their case
	gone    map[flow.Hash]string // hops that never happened
	forks   int
	begun   int // cases, so far
	samples []Sample
}

// begin writes a case for each thief, and follows the chain to where all are open.
func (s *soak) begin(ctx context.Context) error {
	s.chain = evmnode.NewChain(evmnode.Shape{Seed: s.c.Seed, Txs: s.c.Txs, Thieves: s.c.Cases})
	blocks := s.chain.Begin()
	for _, b := range blocks {
		if err := s.node.Hold(b); err != nil {
			return err
		}
	}
	top := blocks[len(blocks)-1].Point.Height
	s.cases = filepath.Join(s.dir, "thefts")
	if err := os.MkdirAll(s.cases, 0o700); err != nil {
		return err
	}
	s.names, s.quiet = make([]string, s.c.Cases), make([]int, s.c.Cases)
	for i := range s.names {
		if err := s.writeCase(i, top); err != nil {
			return err
		}
	}
	s.chains = fmt.Sprintf("  - {chain: \"eip155:1\", from: \"0\", nodes: [{url: %q, ws: %q, private: true, traces: must}]}\n", s.node.URL(), s.node.WS())
	if _, err := s.node.Push(top); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.store.times = nil // nobody asks for them here
	if err := s.at(ctx, top); err != nil {
		return err
	}
	if err := s.reload(ctx); err != nil {
		return err
	}
	return s.opened(ctx, s.c.Cases)
}

// writeCase makes a new case of what thief i has.
func (s *soak) writeCase(i int, block uint64) error {
	s.begun++
	s.names[i] = fmt.Sprintf("%s-%d", caseName(i), s.begun)
	text := fmt.Sprintf(`{"name":%q,"sources":[{"account":%q,"asset":"ETH","amount":%q,"from_block":"%d"}]}`, s.names[i], s.chain.Thief(i), s.chain.Has(i), block)
	return os.WriteFile(filepath.Join(s.cases, s.names[i]+".json"), []byte(text), 0o600)
}

func (s *soak) reload(ctx context.Context) error {
	c, err := s.config()
	if err != nil {
		return err
	}
	return s.live.Reload(ctx, c)
}

// How often something happens, in blocks.
const (
	forkEvery   = 20
	deepestFork = 4
	illEvery    = 120 // the receiver answers 503
	illFor      = 12
	anewEvery   = 80 // a case is closed and another opened
)

// run goes on for as long as it is to.
func (s *soak) run(ctx context.Context) error {
	s.began = time.Now()
	tick := time.NewTicker(s.c.Every)
	defer tick.Stop()
	sampled := time.Now()
	for time.Since(s.began) < s.c.For {
		select {
		case <-tick.C:
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("it has ended: %w", errors.Join(err, ctx.Err()))
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.step(ctx); err != nil {
			return err
		}
		if time.Since(sampled) >= s.c.Sample {
			sampled = time.Now()
			if err := s.sample(); err != nil {
				return err
			}
		}
	}
	return nil
}

// step puts a block on top, or a longer branch in the place of the newest ones.
func (s *soak) step(ctx context.Context) error {
	s.ticks++
	s.hook.ill.Store(s.ticks%illEvery < illFor && s.ticks > illEvery)
	if s.ticks%anewEvery == 0 {
		if err := s.anew(ctx); err != nil {
			return err
		}
	}
	if s.ticks%forkEvery != 0 || len(s.recent) <= deepestFork {
		return s.push(1, true)
	}
	depth, keep := 1+s.rng.IntN(deepestFork), s.rng.IntN(2) == 0
	s.forks++
	s.chain.Back(depth, keep)
	for _, b := range s.recent[len(s.recent)-depth:] {
		for _, hop := range b.Hops {
			if !keep {
				s.gone[hop.Tx] = s.stands[hop.Tx]
			}
			delete(s.stands, hop.Tx)
		}
	}
	s.recent = s.recent[:len(s.recent)-depth]
	return s.push(depth+1, true)
}

// push makes n blocks and announces the newest.
func (s *soak) push(n int, moving bool) error {
	var top *evmnode.Block
	for range n {
		var thieves []int
		if i := s.rng.IntN(len(s.names)); moving && s.names[i] != "" && s.ticks >= s.quiet[i] {
			thieves = append(thieves, i)
		}
		top = s.chain.Next(thieves...)
		for _, hop := range top.Hops {
			s.stands[hop.Tx] = s.names[hop.Thief]
		}
		if s.recent = append(s.recent, top); len(s.recent) > 100 {
			s.recent = slices.Delete(s.recent, 0, 50)
		}
		if err := s.node.Hold(top); err != nil {
			return err
		}
	}
	_, err := s.node.Push(top.Point.Height)
	return err
}

// anew closes the case of a thief that has lain still, opens another one of what it has, and chooses the next thief to
// lie still.
func (s *soak) anew(ctx context.Context) error {
	for i, until := range s.quiet {
		if until == 0 {
			continue
		}
		s.quiet[i] = 0
		// What the thief did while he moved must have been seen before nobody looks at him any more.
		if err := s.at(ctx, s.recent[len(s.recent)-1].Point.Height); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(s.cases, s.names[i]+".json")); err != nil {
			return err
		}
		if err := s.reload(ctx); err != nil { // closed
			return err
		}
		if err := s.writeCase(i, s.recent[len(s.recent)-1].Point.Height-deepestFork*2); err != nil {
			return err
		}
		if err := s.reload(ctx); err != nil { // opened
			return err
		}
	}
	if err := s.opened(ctx, s.c.Cases); err != nil {
		return err
	}
	s.quiet[s.rng.IntN(len(s.quiet))] = s.ticks + 2*anewEvery
	return nil
}

// check compares what was told with what stands, after the branch that won has passed all that is in doubt.
func (s *soak) check(ctx context.Context) error {
	s.hook.ill.Store(false)
	for range 5 {
		if err := s.push(1, false); err != nil {
			return err
		}
		if err := s.at(ctx, s.recent[len(s.recent)-1].Point.Height); err != nil {
			return err
		}
	}
	var wrong error
	err := s.until(ctx, "what was told to be what stands", 50*time.Millisecond, func() (bool, error) {
		_, _, err := s.hook.count() // a group of which the receiver refused a part may come again, under the same names
		wrong = s.compare()
		return wrong == nil, err
	})
	return errors.Join(err, wrong)
}

// compare looks at every hop.
func (s *soak) compare() error {
	moves, _ := s.hook.moves(0)
	for tx, owner := range s.stands {
		if err := toldAs(moves[tx], owner, true); err != nil {
			return fmt.Errorf("a hop of %s that stands: %w", owner, err)
		}
		delete(moves, tx)
	}
	for tx, owner := range s.gone {
		if err := toldAs(moves[tx], owner, false); err != nil {
			return fmt.Errorf("a hop of %s that never happened: %w", owner, err)
		}
		delete(moves, tx)
	}
	if len(moves) > 0 {
		return fmt.Errorf("%d transactions were told as hops and are none", len(moves))
	}
	return nil
}

// toldAs checks that messages about one hop are a finding, its correction, that it is so again, and so on, and end as they
// should.
func toldAs(all []*message, owner string, stands bool) error {
	if len(all) == 0 && !stands {
		return nil // it was gone before anybody was told
	}
	slices.SortFunc(all, func(a, b *message) int { return a.serial - b.serial })
	for i, m := range all {
		want := alert.Correction
		switch {
		case i == 0:
			want = alert.Found
		case i%2 == 0:
			want = alert.Again
		}
		if m.serial != i || m.kind != want || m.owner != owner || m.key != all[0].key {
			return fmt.Errorf("message %d is number %d, a %s of %s; want a %s", i, m.serial, m.kind, m.owner, want)
		}
	}
	if (len(all)%2 == 1) != stands {
		return fmt.Errorf("%d messages", len(all))
	}
	return nil
}

// sample takes and writes one.
func (s *soak) sample() error {
	st, err := s.live.State()
	if err != nil {
		return err
	}
	messages, _, err := s.hook.count()
	if err != nil {
		return err
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(live)
	c := st.Chains[0]
	v := Sample{Seconds: round(time.Since(s.began).Seconds(), 1), Blocks: c.Blocks, Undone: c.Undone, Messages: messages, Lag: c.LagBlocks,
		RSS: statusMB("VmRSS:"), Heap: round(float64(live[0].Value.Uint64())/(1<<20), 1), Goroutines: int(live[1].Value.Uint64()), Files: openFiles()}
	outbox := folderMB(filepath.Join(s.storeDir(), "live"))
	v.Store, v.Outbox = round(folderMB(s.storeDir())-outbox, 2), round(outbox, 2)
	s.samples = append(s.samples, v)
	if !s.c.JSON {
		_, err = fmt.Fprintln(s.out, v.csv())
		return err
	}
	return json.NewEncoder(s.out).Encode(v)
}

// figures tell how the samples of the second half rise, by least squares.
func (s *soak) figures() Figures {
	half := s.samples[len(s.samples)/2:]
	var last Sample
	if len(half) > 0 {
		last = half[len(half)-1]
	}
	messages, repeats, _ := s.hook.count()
	f := Figures{Workload: "soak", N: last.Blocks, Seconds: round(time.Since(s.began).Seconds(), 0), RSS: PeakRSS()}
	f.Notes = fmt.Sprintf("%d transactions in a block, %d forks, %d blocks undone, %d cases open, %d opened in all, %d messages, %d refused by the receiver and %d sent again that it had; %d hops stand and were told once, %d were taken back and corrected; rise an hour in the second half:",
		s.c.Txs, s.forks, last.Undone, s.c.Cases, s.begun, messages, s.hook.refusals(), repeats, len(s.stands), len(s.gone))
	for _, v := range []struct {
		name string
		of   func(Sample) float64
	}{
		{"MB RSS", func(v Sample) float64 { return v.RSS }}, {"MB live heap", func(v Sample) float64 { return v.Heap }},
		{"goroutines", func(v Sample) float64 { return float64(v.Goroutines) }}, {"open files", func(v Sample) float64 { return float64(v.Files) }},
		{"MB store", func(v Sample) float64 { return v.Store }}, {"MB outbox", func(v Sample) float64 { return v.Outbox }},
	} {
		f.Notes += fmt.Sprintf(" %+.1f %s (now %.1f),", slope(half, v.of)*3600, v.name, v.of(last))
	}
	f.Notes = strings.TrimSuffix(f.Notes, ",")
	return f
}

// slope is by how much a figure rises in a second, by least squares.
func slope(samples []Sample, of func(Sample) float64) float64 {
	var n, x, y, xx, xy float64
	for _, s := range samples {
		n, x, y = n+1, x+s.Seconds, y+of(s)
		xx, xy = xx+s.Seconds*s.Seconds, xy+s.Seconds*of(s)
	}
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// statusMB is a figure of /proc/self/status, 0 where there is none.
func statusMB(name string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return round(kb/1024, 1)
		}
	}
	return 0
}

// openFiles counts them, 0 where the system does not tell.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// folderMB is the size of all files below a folder; those that vanish meanwhile are not counted.
func folderMB(dir string) float64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return float64(sum) / (1 << 20)
}
