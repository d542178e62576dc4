package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench"
)

func (p *program) benchLive() *cobra.Command {
	var config bench.LiveConfig
	c := &cobra.Command{
		Use:   "live",
		Short: "Measure how fast a thousand open cases eat a live stream",
		Long: `Measure a desk of open cases on generated streams, with the default rules and swaps, on one core unless it says split. Each
line holds the median of the runs, and every ledger is checked for conservation afterwards.

  live-elsewhere       a stream that touches no case
  live-touching        a stream in which every transaction is of a case
  live-touching-split  the same with the cases divided among all cores, by the clock
  live-mixed           many followed accounts, of which few are touched`,
		Example: "  spoor bench live\n  spoor bench live --cases 100 --followed 10000 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.running = true
			for _, n := range []int{config.Cases, config.Holders, config.Followed, config.Quiet, config.Touching, config.Share, config.Runs} {
				if n < 1 {
					return misuse(errors.New("too small a workload"), "every number is at least 1")
				}
			}
			b := p.newBar()
			defer b.clear()
			figures, err := bench.Live(cmd.Context(), config, b.show)
			if err != nil {
				return fmt.Errorf("bench live: %w", err)
			}
			b.clear()
			for _, f := range figures {
				if err := f.Write(p.out, p.json); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().Uint64Var(&config.Seed, "seed", 1, "seed of the generator")
	c.Flags().IntVar(&config.Cases, "cases", 1000, "cases open at once")
	c.Flags().IntVar(&config.Holders, "holders", 50, "accounts that a case follows at first")
	c.Flags().IntVar(&config.Followed, "followed", 1_000_000, "accounts that all cases follow at first, in live-mixed")
	c.Flags().IntVar(&config.Quiet, "movements", 2_000_000, "movements of a run of live-elsewhere and live-mixed")
	c.Flags().IntVar(&config.Touching, "touching", 100_000, "movements of a run of live-touching")
	c.Flags().IntVar(&config.Share, "share", 100, "one transaction in so many touches a case, in live-mixed")
	c.Flags().IntVar(&config.Runs, "runs", 5, "runs of which the median is told")
	return c
}
