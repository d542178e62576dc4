package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench"
)

func (p *program) benchScreen() *cobra.Command {
	var config bench.ScreenConfig
	var dir string
	c := &cobra.Command{
		Use:   "screen",
		Short: "Measure screening: how soon it is ready, questions to the labels, verdicts with exposure",
		Long: `Measure screening on generated labels and a generated chain. Each line holds the figures of one workload.

  screen-ready     from a label store on the disk to the first answer
  screen-direct    questions to the labels alone, on all processors
  screen-exposure  whole verdicts about accounts that were never asked for before`,
		Example: "  spoor bench screen\n  spoor bench screen --labels 100000 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			p.running = true
			for _, n := range []int{config.Labels, config.Questions, config.Accounts, config.Movements} {
				if n < 1 {
					return misuse(errors.New("too small a workload"), "every number is at least 1")
				}
			}
			work, err := os.MkdirTemp(dir, "spoor-bench-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
			b := p.newBar()
			defer b.clear()
			figures, err := bench.Screen(cmd.Context(), filepath.Join(work, "screen"), config, b.show)
			if err != nil {
				return fmt.Errorf("bench screen: %w", err)
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
	c.Flags().Uint64Var(&config.Seed, "seed", 1, "seed of the generators")
	c.Flags().IntVar(&config.Labels, "labels", 1_000_000, "labels in the store")
	c.Flags().IntVar(&config.Questions, "questions", 4_000_000, "questions to the labels alone")
	c.Flags().IntVar(&config.Accounts, "accounts", 300, "accounts whose exposure is asked for")
	c.Flags().IntVar(&config.Movements, "movements", 1_000_000, "movements of the generated chain")
	c.Flags().StringVar(&dir, "dir", "", "make the temporary folder here")
	return c
}
