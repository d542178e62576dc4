package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench"
)

func (p *program) benchHTTP() *cobra.Command {
	var config bench.HTTPConfig
	var dir string
	c := &cobra.Command{
		Use:   "http",
		Short: "Measure questions to a running server over HTTP",
		Long: `Measure questions over HTTP with generated labels: server and clients share this machine's processors. Each line holds the
figures of one workload.

  http-sanctions  the sanctions wire of Chainalysis
  http-own        our own wire, the labels alone
  http-kept       the same, with every verdict durable before it is given
  http-batch      the same in batches of 1,000 lines, kept together`,
		Example: "  spoor bench http\n  spoor bench http --clients 32 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			p.running = true
			for _, n := range []int{config.Labels, config.Requests, config.Clients} {
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
			figures, err := bench.HTTP(cmd.Context(), filepath.Join(work, "http"), config, b.show)
			if err != nil {
				return fmt.Errorf("bench http: %w", err)
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
	c.Flags().IntVar(&config.Requests, "requests", 200_000, "requests of each line")
	c.Flags().IntVar(&config.Clients, "clients", 8, "connections that stay open")
	c.Flags().StringVar(&dir, "dir", "", "make the temporary folder here")
	return c
}
