package cli

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench"
)

func (p *program) benchWatch() *cobra.Command {
	var config bench.WatchConfig
	var dir string
	c := &cobra.Command{
		Use:   "watch",
		Short: "Measure the way from a node to a person, with everything that a running Spoor has",
		Long: `Measure a running Spoor from end to end: an invented node that answers over HTTP and pushes over WebSocket, signed
transactions whose roots are proved, open cases and a watch list, the store and the outbox on disk, and a receiver of
webhooks. All of it shares this machine's processors. Every hop of a case must be told, once.

  watch-latency   block by block: from the push of a block until its webhook came
  watch-feed      the same at ten times the rate of Ethereum, and whether the tip keeps up with the head
  watch-catch-up  all blocks at once: how many go in a second

The lines that end in -seen count from when the block was first heard of.`,
		Example: "  spoor bench watch\n  spoor bench watch --cases 100 --listed 10000 --blocks 100 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.running = true
			for _, n := range []int{config.Cases, config.Listed, config.Txs, config.Blocks, config.Runs, int(config.Every)} {
				if n < 1 {
					return misuse(errors.New("too small a workload"), "every number is at least 1")
				}
			}
			return p.measured("watch", dir, func(work string, tell bench.Progress) ([]bench.Figures, error) {
				return bench.Watch(cmd.Context(), work, config, tell)
			})
		},
	}
	c.Flags().Uint64Var(&config.Seed, "seed", 1, "seed of the generator")
	c.Flags().IntVar(&config.Cases, "cases", 1000, "cases open at once")
	c.Flags().IntVar(&config.Listed, "listed", 1_000_000, "accounts on a watch list")
	c.Flags().IntVar(&config.Txs, "txs", 300, "transactions in a block")
	c.Flags().IntVar(&config.Blocks, "blocks", 300, "blocks of a run")
	c.Flags().DurationVar(&config.Every, "every", 1200*time.Millisecond, "time from block to block in watch-feed")
	c.Flags().IntVar(&config.Runs, "runs", 3, "runs of which the median is told")
	c.Flags().StringVar(&dir, "dir", "", "make the temporary folder here")
	return c
}

// measured runs a workload in a temporary folder below dir, and prints its figures.
func (p *program) measured(name, dir string, workload func(work string, tell bench.Progress) ([]bench.Figures, error)) (err error) {
	work, err := os.MkdirTemp(dir, "spoor-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	b := p.newBar()
	defer b.clear()
	figures, err := workload(work, b.show)
	if err != nil {
		return fmt.Errorf("bench %s: %w", name, err)
	}
	b.clear()
	for _, f := range figures {
		if err := f.Write(p.out, p.json); err != nil {
			return err
		}
	}
	return nil
}
