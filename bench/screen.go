package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// ScreenConfig sizes the screening workload. The zero value is valid.
type ScreenConfig struct {
	Seed      uint64
	Labels    int // in the label store; 1,000,000 if 0
	Questions int // direct ones; 4,000,000 if 0
	Accounts  int // whose exposure is asked for; 300 if 0
	Movements int // of the generated chain; that of the trace workload if 0
}

func (c ScreenConfig) withDefaults() ScreenConfig {
	def := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	def(&c.Labels, 1_000_000)
	def(&c.Questions, 4_000_000)
	def(&c.Accounts, 300)
	def(&c.Movements, peelTree.Movements)
	return c
}

// labelsFrom is the day of the generated lists.
const labelsFrom = firstTime - 86_400

// Screen measures screening. Three lines: screen-ready is how long it takes from a label store that lies on the disk to the
// first answer; screen-direct is questions to the labels alone, on all processors, half of them about labelled accounts;
// screen-exposure is whole verdicts about accounts of a generated chain that were never asked for before, with services, the
// thief and a few crimes labelled. dir is where the stores are made; it must be empty or absent.
func Screen(ctx context.Context, dir string, c ScreenConfig, tell Progress) (figures []Figures, err error) {
	c = c.withDefaults()
	labels := filepath.Join(dir, "labels")
	if err := writeLabels(labels, c, tell); err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	ready, direct, err := screenDirect(ctx, labels, c, tell)
	if err != nil {
		return nil, err
	}
	exposure, err := screenExposure(ctx, filepath.Join(dir, "chain"), c, tell)
	if err != nil {
		return nil, fmt.Errorf("exposure: %w", err)
	}
	return []Figures{ready, direct, exposure}, nil
}

// labelOf is label n of the generated list.
func labelOf(seed uint64, n int) attribute.Label {
	l := attribute.Label{Subject: attribute.OfAnyEVM(account(seed, uint64(n)|labelMark)), Name: fmt.Sprintf("Entity %d", n%50_000),
		Actor: fmt.Sprintf("actor-%d", n%50_000), Confidence: attribute.AuthorityData, ValidFrom: labelsFrom, Seen: labelsFrom,
		Source: attribute.Source{ID: "generated", Date: labelsFrom}}
	switch n % 10 {
	case 0:
		l.Category = attribute.Sanction
	case 1:
		l.Category = attribute.Phishing
	case 2:
		l.Category = attribute.Mixing
	default:
		l.Category = attribute.Exchange
	}
	l.Service = l.Category.IsService()
	return l
}

// labelMark keeps labelled accounts apart from those of the generated chains.
const labelMark = 6 << 60

func writeLabels(dir string, c ScreenConfig, tell Progress) (err error) {
	st, err := labelstore.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	list := &attribute.Listing{Source: attribute.Source{ID: "generated", Date: labelsFrom}, Rows: c.Labels, Taken: c.Labels}
	for n := range c.Labels {
		list.Labels = append(list.Labels, labelOf(c.Seed, n))
	}
	tell.tell(0, 0, "importing labels")
	_, err = st.Import(list, labelstore.Options{Seen: labelsFrom, Accept: true})
	return err
}

// screenDirect measures the labels alone.
func screenDirect(ctx context.Context, dir string, c ScreenConfig, tell Progress) (ready, direct Figures, err error) {
	debug.FreeOSMemory() // what it took to make the store
	ResetPeak()
	start := time.Now()
	book, err := labelstore.ReadBook(dir)
	if err != nil {
		return ready, direct, err
	}
	s := engine.NewScreener(engine.ScreenConfig{}, book)
	now := int64(labelsFrom + 3600)
	first := screen.Question{Account: account(c.Seed, labelMark), AsOf: now, Direct: true}
	if v, err := s.Ask(ctx, first); err != nil || v.Decision != screen.Block {
		return ready, direct, errors.Join(fmt.Errorf("the first answer is %s, not block", v.Decision), err)
	}
	spent := time.Since(start)
	ready = Figures{Workload: "screen-ready", N: int64(book.Len()), Seconds: round(spent.Seconds(), 3), RSS: PeakRSS(),
		Notes: fmt.Sprintf("from a label store on the disk to the first answer; %d labels; policy %s", book.Len(), s.Policy().ID())}

	tell.tell(0, 0, "asking the labels")
	const asked = 1 << 16
	questions := make([]screen.Question, asked)
	rng := rand.New(rand.NewPCG(c.Seed, 0x5c4))
	for i := range questions {
		n := uint64(rng.IntN(c.Labels)) | labelMark
		if i%2 == 1 {
			n |= 1 << 60 // nobody knows it
		}
		questions[i] = screen.Question{Account: account(c.Seed, n), AsOf: now, Direct: true}
	}
	workers := runtime.GOMAXPROCS(0)
	var decisions [5]atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, workers)
	start = time.Now()
	worked := processorTime()
	for w := range workers {
		group.Go(func() {
			var mine [5]int64
			for i := range c.Questions / workers {
				v, err := s.Ask(ctx, questions[(i*workers+w)%asked])
				if err != nil {
					errs[w] = err
					return
				}
				mine[v.Decision]++
			}
			for d, n := range mine {
				decisions[d].Add(n)
			}
		})
	}
	group.Wait()
	spent, worked = time.Since(start), processorTime()-worked
	n := int64(c.Questions / workers * workers)
	direct = Figures{Workload: "screen-direct", N: n, Seconds: round(spent.Seconds(), 2), Rate: round(float64(n)/spent.Seconds(), 0), RSS: PeakRSS(),
		Notes: fmt.Sprintf("%d processors, %.0f /s if they had done nothing else; half of the accounts labelled: %d allow, %d attention, %d hold, %d block; verdicts with reasons, not kept",
			workers, float64(n)*float64(workers)/worked.Seconds(),
			decisions[screen.Allow].Load(), decisions[screen.Attention].Load(), decisions[screen.Hold].Load(), decisions[screen.Block].Load())}
	return ready, direct, errors.Join(errs...)
}

// screenExposure measures whole verdicts.
func screenExposure(ctx context.Context, dir string, c ScreenConfig, tell Progress) (f Figures, err error) {
	shape := peelTree
	shape.Seed, shape.Movements = c.Seed, c.Movements
	var truth Truth
	if _, err := os.Stat(dir); err == nil {
		return f, fmt.Errorf("%s is there already", dir)
	}
	if _, _, _, err := load(ctx, dir, shape, &truth, tell); err != nil {
		return f, err
	}
	book, err := attribute.NewBook(casesLabels(c.Seed, shape, truth))
	if err != nil {
		return f, err
	}
	debug.FreeOSMemory()
	ResetPeak()
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s := engine.NewScreener(engine.ScreenConfig{Store: st}, book)
	now := int64(firstTime + 12*c.Movements)
	rng := rand.New(rand.NewPCG(c.Seed, 0x5c5))
	ask := func() (screen.Verdict, time.Duration, error) {
		q := screen.Question{Account: account(c.Seed, uint64(rng.IntN(shape.Accounts))), AsOf: now}
		start := time.Now()
		v, err := s.Ask(ctx, q)
		return v, time.Since(start), err
	}
	for range 20 { // the store's caches
		if _, _, err := ask(); err != nil {
			return f, err
		}
	}
	var times []time.Duration
	var total time.Duration
	partial, exposed := 0, 0
	for i := range c.Accounts {
		v, d, err := ask()
		if err != nil {
			return f, err
		}
		times, total = append(times, d), total+d
		if v.Partial {
			partial++
		}
		if len(v.Exposure) > 0 {
			exposed++
		}
		tell.tell(int64(i), int64(c.Accounts), "asking for exposure")
	}
	return Figures{Workload: "screen-exposure", N: int64(c.Accounts), Seconds: round(total.Seconds(), 2), Rate: round(float64(c.Accounts)/total.Seconds(), 0),
		P50: quantile(times, .5), P99: quantile(times, .99), RSS: PeakRSS(),
		Notes: fmt.Sprintf("both directions, three rules, one goroutine, nothing cached; %d movements, %d accounts; %d with exposure, %d partial",
			c.Movements, shape.Accounts, exposed, partial)}, nil
}

// casesLabels are the services of a generated chain, its thief, and one account in a thousand for a crime.
func casesLabels(seed uint64, shape Shape, truth Truth) []attribute.Label {
	label := func(a flow.Account, name string, category attribute.Category) attribute.Label {
		return attribute.Label{Subject: attribute.OfAnyEVM(a), Name: name, Category: category, Service: category.IsService(),
			Confidence: attribute.AuthorityData, Source: attribute.Source{ID: "generated", Date: labelsFrom}, Seen: labelsFrom}
	}
	all := []attribute.Label{label(truth.Thief, "thief", attribute.Exploit)}
	for i, a := range truth.Services {
		all = append(all, label(a, fmt.Sprintf("service %d", i), attribute.Exchange))
	}
	for i := 0; i < shape.Accounts; i += 1000 {
		all = append(all, label(account(seed, uint64(i)), fmt.Sprintf("crime %d", i), attribute.Scam))
	}
	return all
}
