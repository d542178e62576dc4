package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench"
)

func (p *program) benchSoak() *cobra.Command {
	var config bench.SoakConfig
	var dir string
	var minutes float64
	c := &cobra.Command{
		Use:   "soak",
		Short: "Run for a long time, and see what grows",
		Long: `Run a live Spoor on an endless invented chain with forks, while cases are opened and closed and the receiver of webhooks
fails now and then. Every few seconds a line says how large everything is, as CSV or with --json as one object; the last
line says how fast each figure rises in the second half. In the end what was told must be what stands: every hop of the
branch that won once, and every other one corrected.`,
		Example: "  spoor bench soak --minutes 20 > curve.csv\n  spoor bench soak --minutes 480 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.running = true
			if config.For = time.Duration(minutes * float64(time.Minute)); config.For <= 0 || config.Every <= 0 || config.Sample <= 0 || config.Cases < 1 || config.Txs < 1 {
				return misuse(errors.New("too small a workload"), "every number is above 0")
			}
			config.JSON = p.json
			return p.measured("soak", dir, func(work string, _ bench.Progress) ([]bench.Figures, error) {
				f, err := bench.Soak(cmd.Context(), work, config, p.out)
				return []bench.Figures{f}, err
			})
		},
	}
	c.Flags().Uint64Var(&config.Seed, "seed", 1, "seed of the generator")
	c.Flags().Float64Var(&minutes, "minutes", 20, "how long")
	c.Flags().DurationVar(&config.Every, "every", 250*time.Millisecond, "time from block to block")
	c.Flags().DurationVar(&config.Sample, "sample", 5*time.Second, "time from sample to sample")
	c.Flags().IntVar(&config.Cases, "cases", 50, "cases open at once")
	c.Flags().IntVar(&config.Txs, "txs", 50, "transactions in a block")
	c.Flags().StringVar(&dir, "dir", "", "make the temporary folder here")
	return c
}
