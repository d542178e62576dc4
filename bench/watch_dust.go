package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	enginelive "github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// DustConfig says how large the workload of Dust is. The zero value takes the defaults that stand behind the fields.
type DustConfig struct {
	Seed    uint64
	Cases   int // open at once; 1000
	Holders int // accounts that a case follows at first; 50
	Listed  int // accounts on a watch list; 1,000,000
	Dust    int // transfers of dust; 1,000,000
	Runs    int // of which the median is told; 3
}

func (c DustConfig) withDefaults() DustConfig {
	for _, n := range []struct {
		to *int
		d  int
	}{{&c.Cases, 1000}, {&c.Holders, 50}, {&c.Listed, 1_000_000}, {&c.Dust, 1_000_000}, {&c.Runs, 3}} {
		if *n.to == 0 {
			*n.to = n.d
		}
	}
	return c
}

// Dust measures what it costs when strangers shower the accounts of cases and lists with dust: transfers of nothing in
// their name, counterfeits, and tiny sums of real tokens, a third each. It runs beside the same traffic to accounts that
// nobody looks at. In both a hop of a case in every fiftieth block must be told, once, and nothing else of a case.
func Dust(ctx context.Context, dir string, c DustConfig, tell Progress) ([]Figures, error) {
	c = c.withDefaults()
	d := newDust(c)
	var figures [2][]Figures
	for i := range 2 * c.Runs {
		where := i % 2 // in turn
		tell.tell(int64(i), int64(2*c.Runs), "watch-dust")
		f, err := d.run(ctx, filepath.Join(dir, fmt.Sprint("dust-", i)), where == 1)
		if err != nil {
			return nil, err
		}
		figures[where] = append(figures[where], f)
	}
	var all []Figures
	for where, name := range []string{"watch-dust-elsewhere", "watch-dust"} {
		runs := figures[where]
		slices.SortFunc(runs, func(a, b Figures) int { return int(a.Rate - b.Rate) })
		f := runs[len(runs)/2]
		f.Workload = name
		f.Notes = fmt.Sprintf("%d cases with %d accounts each, %d accounts on a list; %s; median of %s, %.0f to %.0f /s",
			c.Cases, c.Holders, c.Listed, f.Notes, countRuns(len(runs)), runs[0].Rate, runs[len(runs)-1].Rate)
		all = append(all, f)
	}
	all[1].Notes += fmt.Sprintf("; %.2f times as long as elsewhere", all[0].Rate/all[1].Rate)
	return all, nil
}

// dust is the generator.
type dust struct {
	c       DustConfig
	holders [][]flow.Account
	at      bool // at those who are looked at
}

func newDust(c DustConfig) *dust {
	d := &dust{c: c}
	for i := range c.Cases {
		of := make([]flow.Account, c.Holders)
		for k := range of {
			of[k] = account(c.Seed, uint64(i*c.Holders+k)|freshMark)
		}
		d.holders = append(d.holders, of)
	}
	return d
}

const (
	dustInTx    = 100 // transfers in one transaction: a contract showers many at once
	dustInBlock = 500
	hopEvery    = 50 // blocks
	listMark    = 1 << 52
)

func (d *dust) listed(i int) flow.Account { return account(d.c.Seed, uint64(i)|listMark) }

func (d *dust) last() uint64 { return uint64(1 + max(d.c.Dust/dustInBlock, 1)) }

// hop is the payment of block h, if it has one.
func (d *dust) hop(h uint64) (theft int, m flow.Movement, ok bool) {
	n := int(h / hopEvery)
	if h%hopEvery != 0 || n > d.c.Cases {
		return 0, m, false
	}
	theft = n - 1
	return theft, flow.In1Out1(flow.TokenMove, d.real(), 0, d.holders[theft][0], account(d.c.Seed, uint64(1)<<40|h|freshMark), flow.NewAmount(purse)), true
}

func (*dust) real() flow.Asset { return tokenOf(1) }

// block is that of a height.
func (d *dust) block(h uint64) flow.Block {
	b := flow.Block{Point: flow.Point{Chain: flow.Ethereum, Height: h, Hash: hash(d.c.Seed, h|blockMark), Time: firstTime + 12*int64(h)}, Coverage: flow.SawLogs}
	if h > 0 {
		b.Parent = hash(d.c.Seed, (h-1)|blockMark)
	}
	add := func(movements []flow.Movement) {
		n := uint64(len(b.Txs))
		b.Txs = append(b.Txs, flow.Tx{ID: hash(d.c.Seed, h<<12|n|txMark), Point: b.Point, Index: uint32(n), Movements: movements})
	}
	switch h {
	case 0:
		for i, of := range d.holders {
			var ms []flow.Movement
			for k, a := range of {
				ms = append(ms, flow.In1Out1(flow.TokenMove, d.real(), uint32(k), account(d.c.Seed, uint64(i)|hubMark), a, flow.NewAmount(purse)))
			}
			add(ms)
		}
		return b
	case 1:
		return b
	}
	if _, m, ok := d.hop(h); ok {
		add([]flow.Movement{m})
	}
	rng := rand.New(rand.NewPCG(d.c.Seed, h))
	for range dustInBlock / dustInTx {
		sender := account(d.c.Seed, rng.Uint64N(1000)|hubMark)
		ms := make([]flow.Movement, dustInTx)
		for k := range ms {
			ms[k] = d.transfer(rng, uint32(k), sender)
		}
		add(ms)
	}
	return b
}

// transfer is one piece of dust.
func (d *dust) transfer(rng *rand.Rand, index uint32, sender flow.Account) flow.Movement {
	i, k, listed := rng.IntN(len(d.holders)), rng.IntN(d.c.Holders), rng.IntN(d.c.Listed)
	victim := d.holders[i][k]
	if rng.IntN(2) == 0 {
		victim = d.listed(listed)
	}
	if !d.at {
		victim = account(d.c.Seed, uint64(i*d.c.Holders+k+listed)|1<<51)
	}
	switch index % 3 {
	case 0: // nothing, in the victim's name
		return flow.In1Out1(flow.TokenMove, d.real(), index, victim, sender, flow.Amount{})
	case 1: // anybody can make a token, and say that it is much
		return flow.In1Out1(flow.TokenMove, tokenOf(1<<30+rng.Uint64N(50)), index, sender, victim, flow.NewAmount(1+rng.Uint64N(purse)))
	default:
		return flow.In1Out1(flow.TokenMove, d.real(), index, sender, victim, flow.NewAmount(1+rng.Uint64N(99)))
	}
}

// run measures one shower.
func (d *dust) run(ctx context.Context, dir string, at bool) (f Figures, err error) {
	d.at = at
	s, err := newStation(dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := fillStore(ctx, s.storeDir(), []flow.Block{d.block(0), d.block(1)}); err != nil {
		return f, err
	}
	s.cases, s.list = filepath.Join(dir, "thefts"), filepath.Join(dir, "list.txt")
	if err := writeThefts(s.cases, d.holders, d.real().String(), fmt.Sprint(purse), 1); err != nil {
		return f, err
	}
	if err := writeList(s.list, d.c.Listed, d.listed); err != nil {
		return f, err
	}
	t := tape{0, d.last(), d.block}
	s.source = []enginelive.Source{{Source: t, Decoder: t, Confirmations: final}}
	if err := s.start(ctx); err != nil {
		return f, err
	}
	if err := s.at(ctx, 2); err != nil {
		return f, err
	}
	ResetPeak()
	before, start := s.store.movements(), time.Now()
	if err := s.at(ctx, d.last()); err != nil {
		return f, err
	}
	f.Seconds = time.Since(start).Seconds()
	f.N = s.store.movements() - before
	f.Rate, f.Seconds, f.RSS = round(float64(f.N)/f.Seconds, 0), round(f.Seconds, 2), PeakRSS()
	st, err := s.live.State()
	if err != nil {
		return f, err
	}
	hops, err := d.check(ctx, s)
	f.Notes = fmt.Sprintf("%d hops told once, %d pieces counted for the list", hops, st.Watching.Dust)
	return f, err
}

// check waits until all hops were told, and finds what else was told of a case.
func (d *dust) check(ctx context.Context, s *station) (hops int, err error) {
	want := map[flow.Hash]int{}
	for h := uint64(2); h <= d.last(); h++ {
		if theft, _, ok := d.hop(h); ok {
			want[hash(d.c.Seed, h<<12|txMark)] = theft
		}
	}
	err = s.until(ctx, "all hops to be told", 10*time.Millisecond, func() (bool, error) {
		moves, _ := s.hook.moves(0)
		return len(moves) >= len(want), nil
	})
	if err != nil {
		return 0, err
	}
	moves, _ := s.hook.moves(0)
	for tx, all := range moves {
		theft, ok := want[tx]
		if !ok || len(all) != 1 || all[0].owner != caseName(theft) {
			return 0, fmt.Errorf("transaction %s was told %d times as a move of %s", tx, len(all), all[0].owner)
		}
	}
	return len(want), nil
}

// fillStore puts blocks into a new store.
func fillStore(ctx context.Context, dir string, blocks []flow.Block) (err error) {
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	_, err = st.Append(ctx, blocks)
	return err
}
