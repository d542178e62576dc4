package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench"
)

func (p *program) benchDust() *cobra.Command {
	var config bench.DustConfig
	var dir string
	c := &cobra.Command{
		Use:   "dust",
		Short: "Measure what it costs when strangers shower watched accounts with dust",
		Long: `Measure a live Spoor while strangers send transfers of nothing, counterfeits and tiny sums to accounts of open cases and of
a watch list, beside the same traffic to accounts that nobody looks at. Blocks are generated; the store and the outbox are on
disk. Hops of cases in between must be told, once, and nothing else of a case.

  watch-dust-elsewhere  to accounts that nobody looks at
  watch-dust            to those of cases and lists`,
		Example: "  spoor bench dust\n  spoor bench dust --dust 100000 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.running = true
			for _, n := range []int{config.Cases, config.Holders, config.Listed, config.Dust, config.Runs} {
				if n < 1 {
					return misuse(errors.New("too small a workload"), "every number is at least 1")
				}
			}
			return p.measured("dust", dir, func(work string, tell bench.Progress) ([]bench.Figures, error) {
				return bench.Dust(cmd.Context(), work, config, tell)
			})
		},
	}
	c.Flags().Uint64Var(&config.Seed, "seed", 1, "seed of the generator")
	c.Flags().IntVar(&config.Cases, "cases", 1000, "cases open at once")
	c.Flags().IntVar(&config.Holders, "holders", 50, "accounts that a case follows at first")
	c.Flags().IntVar(&config.Listed, "listed", 1_000_000, "accounts on a watch list")
	c.Flags().IntVar(&config.Dust, "dust", 1_000_000, "transfers of dust")
	c.Flags().IntVar(&config.Runs, "runs", 3, "runs of which the median is told")
	c.Flags().StringVar(&dir, "dir", "", "make the temporary folder here")
	return c
}

func (p *program) benchStart() *cobra.Command {
	var config bench.StartConfig
	var dir string
	c := &cobra.Command{
		Use:   "start",
		Short: "Measure how long a live Spoor takes until all cases are followed",
		Long: `Measure the start of a live Spoor with many open cases over a store on disk, from the beginning until all cases are
followed. What was told before must not be told again.

  watch-start-first  with a new outbox
  watch-start-again  after it was stopped`,
		Example: "  spoor bench start\n  spoor bench start --cases 100 --movements 100000 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.running = true
			for _, n := range []int{config.Cases, config.Holders, config.Movements, config.Share, config.Listed, config.Runs} {
				if n < 1 {
					return misuse(errors.New("too small a workload"), "every number is at least 1")
				}
			}
			return p.measured("start", dir, func(work string, tell bench.Progress) ([]bench.Figures, error) {
				return bench.Start(cmd.Context(), work, config, tell)
			})
		},
	}
	c.Flags().Uint64Var(&config.Seed, "seed", 1, "seed of the generator")
	c.Flags().IntVar(&config.Cases, "cases", 1000, "cases that are open")
	c.Flags().IntVar(&config.Holders, "holders", 5, "accounts of a case at first")
	c.Flags().IntVar(&config.Movements, "movements", 1_000_000, "movements in the store")
	c.Flags().IntVar(&config.Share, "share", 20, "one transaction in so many is of a thief")
	c.Flags().IntVar(&config.Listed, "listed", 1_000_000, "accounts on a watch list")
	c.Flags().IntVar(&config.Runs, "runs", 3, "starts of which the median is told")
	c.Flags().StringVar(&dir, "dir", "", "make the temporary folder here")
	return c
}
