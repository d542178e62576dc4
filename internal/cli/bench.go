package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench"
)

func (p *program) bench() *cobra.Command {
	var dir string
	var movements, accounts, batch, runs, cache int
	var seed uint64
	c := &cobra.Command{
		Use:   "bench WORKLOAD ...",
		Short: "Measure this machine on a generated chain of stated seed, size and shape",
		Long: `Measure loading, looking up and tracing on generated chains: the same seed gives the same chain, byte for byte. Each line
holds the figures of one workload; bench/README.md keeps those of a known machine beside the peers' numbers.

  load    a bulk load through the store's contract, with the compaction that makes look-ups fast
  lookup  all movements of random holders, in batches, cold and warm; uses the store of load, or makes it
  trace   a peel tree of sixty hops inside a million transfers, with recall and precision against the planted truth`,
		Example:   "  spoor bench load --movements 20000000 --json\n  spoor bench load lookup trace",
		ValidArgs: []string{"load", "lookup", "trace"},
		Args:      cobra.MatchAll(cobra.MinimumNArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if movements < 1000 || accounts < 0 || batch < 1 || runs < 1 {
				return misuse(errors.New("too small a workload"), "at least 1000 movements, one holder a batch and one run")
			}
			if dir == "" {
				if dir, err = os.MkdirTemp("", "spoor-bench-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			}
			b := p.newBar()
			defer b.clear()
			shape := bench.Shape{Seed: seed, Movements: movements, Accounts: accounts}
			chain := filepath.Join(dir, fmt.Sprintf("load-%d-%d-%d", seed, movements, accounts))
			for _, workload := range args {
				var figures []bench.Figures
				switch workload {
				case "load":
					if err := os.RemoveAll(chain); err != nil {
						return err
					}
					f, err := bench.Load(cmd.Context(), chain, shape, b.show)
					if err != nil {
						return err
					}
					figures = append(figures, f)
				case "lookup":
					figures, err = bench.Lookup(cmd.Context(), chain, shape, bench.LookupConfig{Batch: batch, Batches: runs, CacheMB: cache}, b.show)
				case "trace":
					store := filepath.Join(dir, fmt.Sprintf("trace-%d", seed))
					if err := os.RemoveAll(store); err != nil {
						return err
					}
					figures, err = bench.Trace(cmd.Context(), store, seed, runs, b.show)
				}
				if err != nil {
					return fmt.Errorf("bench %s: %w", workload, err)
				}
				b.clear()
				for _, f := range figures {
					if err := f.Write(p.out, p.json); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	c.AddCommand(p.benchLive())
	c.AddCommand(p.benchWatch(), p.benchSoak(), p.benchDust(), p.benchStart())
	c.Flags().IntVar(&movements, "movements", 1_000_000, "size of the generated chain for load and lookup")
	c.Flags().IntVar(&accounts, "accounts", 0, "accounts in it (default a tenth of the movements)")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of the generator")
	c.Flags().IntVar(&batch, "batch", 10_000, "holders asked at once")
	c.Flags().IntVar(&runs, "runs", 20, "measured batches or traces")
	c.Flags().IntVar(&cache, "cache-mb", 1024, "cache of the store in lookup")
	c.AddCommand(p.benchQuality())
	c.AddCommand(p.benchGenerate())
	c.AddCommand(p.benchScreen())
	c.AddCommand(p.benchHTTP())
	c.Flags().StringVar(&dir, "dir", "", "keep the generated stores here (default a temporary folder, removed afterwards)")
	return c
}
