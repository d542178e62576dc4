package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// LiveConfig says how large the workloads of Live are. The zero value takes the defaults that stand behind the fields.
type LiveConfig struct {
	Seed     uint64
	Cases    int // open at once; 1000
	Holders  int // followed by each case at first; 50
	Followed int // accounts that all cases together follow at first in live-mixed; 1,000,000
	Quiet    int // movements of a run that touch nobody, and of a mixed run; 2,000,000
	Touching int // movements of a run that all touch a case; 100,000
	Share    int // one transaction in so many touches a case in live-mixed; 100
	Runs     int // of which the median is told; 5
}

func (c LiveConfig) withDefaults() LiveConfig {
	fill := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	fill(&c.Cases, 1000)
	fill(&c.Holders, 50)
	fill(&c.Followed, 1_000_000)
	fill(&c.Quiet, 2_000_000)
	fill(&c.Touching, 100_000)
	fill(&c.Share, 100)
	fill(&c.Runs, 5)
	return c
}

// Live measures what a desk of open cases costs on a live stream, with default rules and swaps, on one core: a stream
// that touches no case, one in which every transaction touches one, and a mixed one with many followed accounts. The
// second is measured once more on all cores.
func Live(ctx context.Context, c LiveConfig, tell Progress) ([]Figures, error) {
	c = c.withDefaults()
	cores := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(cores)
	var figures []Figures
	for _, w := range []struct {
		name                    string
		holders, n, rare, cores int
	}{
		{"live-elsewhere", c.Holders, c.Quiet, 0, 1},
		{"live-touching", c.Holders, c.Touching, 1, 1},
		{"live-touching-split", c.Holders, c.Touching, 1, cores},
		{"live-mixed", max(c.Followed/c.Cases, 1), c.Quiet, c.Share, 1},
	} {
		runtime.GOMAXPROCS(w.cores) // the collector, too, works on these
		f, err := live(ctx, c, w.name, w.holders, w.n, w.rare, w.cores, tell)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// live measures one workload: runs of n movements, in which one transaction in rare (0 for none) is of a thief. The rate
// on one core is by processor time, that on several by the clock.
func live(ctx context.Context, c LiveConfig, name string, holders, n, rare, cores int, tell Progress) (Figures, error) {
	ResetPeak()
	thieves := newThieves(c.Seed, c.Cases, holders)
	desk := trace.NewDesk()
	desk.Split(cores)
	cases := make([]*trace.Case, c.Cases)
	for i := range cases {
		var err error
		if cases[i], err = trace.New(thieves.theft(i), trace.Options{Swaps: engine.NetSwaps(), UndoDepth: 128}); err != nil {
			return Figures{}, err
		}
		if err := desk.Add(fmt.Sprintf("case %06d", i), cases[i]); err != nil {
			return Figures{}, err
		}
	}
	s := newStream(c.Seed, n*(c.Runs+2), thieves, rare)
	defer s.stop()
	m := meter{desk: desk, stream: s}
	if err := m.run(ctx, 1000, nil); err != nil { // the sources begin
		return Figures{}, err
	}
	var rates, clock []float64
	var slow []time.Duration
	first := m
	for i := range c.Runs {
		before := m
		if err := m.run(ctx, n, nil); err != nil {
			return Figures{}, err
		}
		rates = append(rates, float64(m.movements-before.movements)/(m.worked-before.worked).Seconds())
		clock = append(clock, float64(m.movements-before.movements)/(m.spent-before.spent).Seconds())
		tell.tell(int64(i+1), int64(c.Runs), name)
	}
	f := Figures{Workload: name, N: int64(m.movements - first.movements), Seconds: round((m.spent - first.spent).Seconds(), 2)}
	touched, edges, txs := m.touched-first.touched, m.edges-first.edges, m.txs-first.txs
	if err := m.run(ctx, n/4, &slow); err != nil {
		return Figures{}, err
	}
	slices.Sort(rates)
	slices.Sort(clock)
	rate := rates[len(rates)/2]
	if cores > 1 {
		rate = clock[len(clock)/2]
	}
	f.Rate, f.RSS = round(rate, 0), PeakRSS()
	f.P50, f.P99 = fineQuantile(slow, .5), fineQuantile(slow, .99)
	ledgers, followed, err := conserved(cases)
	if err != nil {
		return Figures{}, err
	}
	f.Notes = fmt.Sprintf("%d cores, %d cases, %d accounts followed, %d ledgers conserve every unit; %d of %d transactions touch, %d new edges; "+
		"median of %d runs by processor time %.0f, %.0f to %.0f /s; by the clock %.0f, %.0f to %.0f /s",
		cores, c.Cases, followed, ledgers, touched, txs, edges, c.Runs, rates[len(rates)/2], rates[0], rates[len(rates)-1], clock[len(clock)/2], clock[0], clock[len(clock)-1])
	return f, nil
}

// conserved checks every ledger, and counts the accounts that they follow.
func conserved(cases []*trace.Case) (ledgers, followed int, err error) {
	for i, c := range cases {
		accounts := map[flow.Account]bool{}
		for _, chain := range c.Chains() {
			for _, l := range c.Ledgers(chain) {
				if err := l.Check(); err != nil {
					return 0, 0, fmt.Errorf("case %d: %w", i, err)
				}
				ledgers++
				for h := range l.Following() {
					accounts[h.Account] = true
				}
			}
		}
		followed += len(accounts)
	}
	return ledgers, followed, nil
}

// A meter feeds a desk from a stream and counts.
type meter struct {
	desk                           *trace.Desk
	stream                         *stream
	spent, worked                  time.Duration // inside the desk: by the clock, and of the processor
	movements, txs, touched, edges int
	balances                       openings
}

// run feeds at least n movements; with times, transaction by transaction on the clock.
func (m *meter) run(ctx context.Context, n int, times *[]time.Duration) error {
	for end := m.movements + n; m.movements < end; {
		blocks := m.stream.next(min(end-m.movements, batchMovements))
		if len(blocks) == 0 {
			return errors.New("the stream is too short")
		}
		for _, b := range blocks {
			for i := range b.Txs {
				m.movements += len(b.Txs[i].Movements)
			}
			m.txs += len(b.Txs)
		}
		start, worked := time.Now(), processorTime()
		for _, b := range blocks {
			if times == nil {
				touches, err := m.desk.ApplyBlock(ctx, m.balances, b)
				if err != nil {
					return err
				}
				m.count(touches)
				m.final(b)
				continue
			}
			for _, tx := range b.Txs {
				start := time.Now()
				touches, err := m.desk.Apply(ctx, m.balances, tx)
				*times = append(*times, time.Since(start))
				if err != nil {
					return err
				}
				m.count(touches)
			}
			m.final(b)
		}
		m.spent += time.Since(start)
		m.worked += processorTime() - worked
		if aside := m.desk.Aside(); len(aside) > 0 {
			return aside[0].Err
		}
	}
	return nil
}

// final tells the desk what will not be undone any more: as on Ethereum, where each epoch of 32 blocks makes the one
// before the last final.
func (m *meter) final(b flow.Block) {
	if h := b.Point.Height; h > 64 && h%32 == 0 {
		m.desk.Final(b.Point.Chain, flow.Pos{Height: h - 64})
	}
}

// count looks at every new edge, as an alert would.
func (m *meter) count(touches []trace.Touch) {
	m.touched += len(touches)
	for _, t := range touches {
		for range t.Edges() {
			m.edges++
		}
	}
}

// openings give every second account some clean money.
type openings struct{}

func (openings) Balances(_ context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	all := make([]trace.Balance, len(of))
	for i, ask := range of {
		if key := ask.Account.Key(); key[len(key)-1]&1 == 0 {
			all[i].In = all[i].In.Plus(flow.NewAmount(purse))
		}
	}
	return all, nil
}

func fineQuantile(of []time.Duration, q float64) float64 {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return round(float64(of[min(int(q*float64(len(of))), len(of)-1)].Nanoseconds())/1e6, 6)
}

// purse is what each holder of a case has at first.
const purse uint64 = 1_000_000_000_000

// thieves are the holders of all cases, as the generator knows them.
type thieves struct {
	seed  uint64
	rng   *rand.Rand
	fresh uint64
	most  int // holders of a case, about
	of    [][]holding
	pools []flow.Account
}

type holding struct {
	account flow.Account
	asset   flow.Asset
	has     uint64
}

func newThieves(seed uint64, cases, holders int) *thieves {
	t := &thieves{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x11fe)), most: holders}
	for i := range 16 {
		t.pools = append(t.pools, account(seed, uint64(1000+i)|hubMark))
	}
	for range cases {
		of := make([]holding, holders)
		for i := range of {
			of[i] = holding{t.newAccount(), tokenOf(1), purse}
		}
		t.of = append(t.of, of)
	}
	return t
}

func (t *thieves) newAccount() flow.Account {
	t.fresh++
	return account(t.seed, t.fresh|freshMark)
}

// theft is case i as it begins.
func (t *thieves) theft(i int) trace.Theft {
	theft := trace.Theft{Name: fmt.Sprint("case ", i)}
	for _, h := range t.of[i] {
		theft.Sources = append(theft.Sources, trace.Holding{Account: h.account, Asset: h.asset, Amount: flow.NewAmount(h.has)})
	}
	return theft
}

// movements are those of a transaction of a random case: in ten, eight payments by a holder, one to it by a stranger, one
// swap in which it pays a pool one token and gets another.
func (t *thieves) movements() []flow.Movement {
	k := t.rng.IntN(len(t.of))
	i := t.rng.IntN(len(t.of[k]))
	h := &t.of[k][i]
	part := h.has/4 + t.rng.Uint64N(h.has/2+1) + 1
	move := func(asset flow.Asset, index uint32, from, to flow.Account, v uint64) flow.Movement {
		return flow.In1Out1(flow.TokenMove, asset, index, from, to, flow.NewAmount(v))
	}
	switch t.rng.IntN(10) {
	case 0:
		v := purse / 10
		h.has += v
		return []flow.Movement{move(h.asset, 0, t.pools[t.rng.IntN(len(t.pools))], h.account, v)}
	case 1:
		pool := t.pools[t.rng.IntN(len(t.pools))]
		pays, gets := h.asset, tokenOf(1+t.rng.Uint64N(3))
		if gets == pays {
			break
		}
		all := h.has
		h.asset = gets
		return []flow.Movement{move(pays, 0, h.account, pool, all), move(gets, 1, pool, h.account, all)}
	}
	if len(t.of[k]) > t.most || h.has < purse/100 { // gather: all of it to another holder, who has that token from now on
		j := t.rng.IntN(len(t.of[k]))
		if j != i && t.of[k][j].asset == h.asset {
			m := move(h.asset, 0, h.account, t.of[k][j].account, h.has)
			t.of[k][j].has += h.has
			t.of[k] = slices.Delete(t.of[k], i, i+1)
			return []flow.Movement{m}
		}
	}
	to := holding{t.newAccount(), h.asset, min(part, h.has)}
	m := move(h.asset, 0, h.account, to.account, to.has)
	if h.has -= to.has; h.has < 1000 {
		*h = to
	} else if len(t.of[k]) > 2*t.most {
		t.of[k][t.rng.IntN(len(t.of[k]))] = to // the generator forgets one
	} else {
		t.of[k] = append(t.of[k], to)
	}
	return []flow.Movement{m}
}

// A stream is ordinary traffic, in which one transaction in rare is of a thief; if rare is 1 there is nothing else, if it
// is 0 there is no thief.
type stream struct {
	thieves *thieves
	rare    int
	block   func() (flow.Block, bool) // of ordinary traffic
	stop    func()
	since   int // the last transaction of a thief
	height  uint64
}

func newStream(seed uint64, movements int, t *thieves, rare int) *stream {
	s := &stream{thieves: t, rare: rare, stop: func() {}}
	if rare != 1 {
		s.block, s.stop = iter.Pull(Generate(Shape{Seed: seed, Movements: movements, Accounts: 2_000_000}, nil))
	}
	return s
}

// next are the next blocks, of n movements or a few more.
func (s *stream) next(n int) []flow.Block {
	var blocks []flow.Block
	for n > 0 {
		b := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: s.height, Time: firstTime + 12*int64(s.height)}}
		if s.rare == 1 {
			b.Txs = make([]flow.Tx, 150)
			for i := range b.Txs {
				b.Txs[i] = flow.Tx{ID: hash(s.thieves.seed, s.height<<20|uint64(i)), Point: b.Point, Index: uint32(i)}
			}
		} else if next, ok := s.block(); ok {
			b = next
		} else {
			return blocks
		}
		s.height++
		for i := range b.Txs {
			if s.since++; s.rare > 0 && s.since >= s.rare {
				s.since, b.Txs[i].Movements = 0, s.thieves.movements()
			}
			n -= len(b.Txs[i].Movements)
		}
		blocks = append(blocks, b)
	}
	return blocks
}
