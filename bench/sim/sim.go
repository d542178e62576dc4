// Package sim generates cases to measure detectors and tracers with: ordinary traffic, a laundering planted in it, and the
// truth about every stolen unit from the generator's own books.
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/spoor-dev/spoor/flow"
)

// Config describes a case. The same Config gives the same case, byte for byte. The zero value of a field takes the default
// that stands behind it, or means none of it.
type Config struct {
	Seed      uint64
	Name      string  // of the case
	Program   Program // what the thief does
	Accounts  int     // users; 100,000
	Transfers int     // in all, without poison, about; 200,000
	Days      int     // that the case lasts, the theft comes after a fifth of them; 30
	Slow      int     // how many times longer every dwell is; 1

	Commingle     int  // share of own money at accounts of the thief's that have some, in per cent, 0 to 90
	Commingled    int  // share of the thief's accounts that have, in per cent; 30 where Commingle is not 0
	Ordinary      int  // share of the thief's accounts that ordinary people pay and that pay them, out of their own money, in per cent
	Pays          Rule // which coins they pay; stolen-first. Steps of the program go before it
	Dust          int  // innocents who get dust of the loot
	Decoys        int  // strangers for every deposit of the thief's who deposit as much elsewhere around that time
	Duplicates    int  // share of the thief's payments whose amount strangers pay within the hour, in per cent
	Mule          int  // worthless payments to an account that all of the loot passes through, so that it looks like a service
	Unlabelled    int  // share of the exchanges, and of the pools, that no label names, in per cent
	SmallHubs     bool // exchanges without a label have a dozen customers
	FreshExchange bool // an exchange without a label opens with the theft, and the thief uses it
	Poison        int  // transfers of address poisoning, which come on top and change no other row
}

// Bounds of a Config.
const (
	maxAccounts  = 50_000_000
	maxTransfers = 200_000_000
	maxDays      = 3650
	maxExtra     = 1_000_000 // dust, decoys, mule
)

func (c Config) withDefaults() Config {
	if c.Accounts == 0 {
		c.Accounts = 100_000
	}
	if c.Transfers == 0 {
		c.Transfers = 200_000
	}
	if c.Days == 0 {
		c.Days = 30
	}
	if c.Slow == 0 {
		c.Slow = 1
	}
	if c.Commingled == 0 && c.Commingle > 0 {
		c.Commingled = 30
	}
	if c.Pays == "" {
		c.Pays = StolenFirst
	}
	return c
}

// ErrConfig is returned for a Config that no case can be made of.
var ErrConfig = errors.New("not a case")

// check says what is wrong with c after its defaults.
func (c Config) check() error {
	within := func(name string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("%w: %s %d is not from %d to %d", ErrConfig, name, v, low, high)
		}
		return nil
	}
	if err := c.Program.check(); err != nil {
		return fmt.Errorf("%w: %w: %w", ErrConfig, ErrProgram, err)
	}
	if err := (Step{Op: Pays, Rule: c.Pays}).check(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return errors.Join(
		within("accounts", c.Accounts, 100, maxAccounts), within("transfers", c.Transfers, 1, maxTransfers),
		within("days", c.Days, 1, maxDays), within("slow", c.Slow, 1, 1000),
		within("commingle", c.Commingle, 0, maxOwn), within("commingled", c.Commingled, 0, 100), within("ordinary", c.Ordinary, 0, 100),
		within("dust", c.Dust, 0, maxExtra), within("decoys", c.Decoys, 0, 1000), within("duplicates", c.Duplicates, 0, 100),
		within("mule", c.Mule, 0, maxExtra), within("unlabelled", c.Unlabelled, 0, 100), within("poison", c.Poison, 0, maxTransfers),
	)
}

// start is the slot of the theft.
func (w *world) start() uint32 { return w.slots / 5 }

func newWorld(c Config) *world {
	w := &world{
		books: newBooks(), cfg: c, rng: rand.New(rand.NewPCG(c.Seed, 0x5130)), slots: uint32(c.Days) * slotsPerDay, chains: 1,
		kinds: map[string]int{}, opening: map[holding]flow.Amount{}, sweeping: map[holding]bool{}, keepers: map[account]*service{}, sinks: map[sink]lot{},
		truth: newTruth(), opened: func(holding, flow.Amount) {}, crossed: func(crossing) {},
	}
	if c.Program.has(Bridge) {
		w.chains = 2
	}
	w.addServices()
	return w
}

// Progress is told now and then how much is done.
type Progress func(done, total int64, what string)

// play lets a world go through all of its slots. Each slot's rows are handed to block, chain by chain.
func (w *world) play(ctx context.Context, tell Progress, block func(chain int, rows []*row) error) error {
	t := newTraffic(w)
	newAttack(w).begin()
	for ; w.slot < w.slots; w.slot++ {
		if w.slot%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if tell != nil {
				tell(int64(w.rows), int64(w.cfg.Transfers), "generating")
			}
		}
		mean := float64(w.cfg.Transfers-w.rows) / float64(w.slots-w.slot)
		due := int(max(2*mean*w.rng.Float64()+w.rng.Float64(), 0))
		first := w.rng.IntN(due + 1)
		t.slot(first)
		w.runTasks()
		t.slot(due - first)
		for c := range w.chains {
			if err := block(c, w.closeBlock(c)); err != nil {
				return err
			}
		}
	}
	return nil
}
