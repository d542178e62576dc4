package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine/live"
)

func (p *program) config() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check and explain the configuration of spoor watch",
		Example: `  spoor config check spoor.yaml
  spoor config explain chains.nodes
  spoor config schema > spoor.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var online bool
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a configuration can be used, and print it with everything that is left out",
		Long: `Read a configuration and all files that it names: thefts, lists, labels, keys and secrets. What is wrong is said with
the line or the key. Without mistakes the whole configuration is printed as it is in force; secrets are never printed.

With --online each node is asked which chain it serves, what its head is and what it offers.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Read(args[0])
			if err != nil {
				return misuse(err, "see \"spoor config explain\" for all keys")
			}
			p.useDefaults(&c)
			if err := live.Check(c); err != nil {
				return misuse(err, "mend the files that the configuration names")
			}
			if err := c.Write(p.out); err != nil || !online {
				return err
			}
			reports, err := live.Ask(cmd.Context(), c)
			for _, r := range reports {
				p.say("%s", r)
			}
			return err
		},
	}
	check.Flags().BoolVar(&online, "online", false, "ask the nodes, too")
	c.AddCommand(check, &cobra.Command{
		Use:   "explain [KEY]",
		Short: "Explain the keys of a configuration, or those that begin with KEY",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := config.Explain(p.out, strings.Join(args, "")); err != nil {
				return misuse(err, "\"spoor config explain\" lists all keys")
			}
			return nil
		},
	}, &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of a configuration, for editors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := config.Schema()
			if err == nil {
				_, err = fmt.Fprintln(p.out, string(s))
			}
			return err
		},
	})
	return c
}

// useDefaults puts in what depends on the user.
func (p *program) useDefaults(c *config.Config) {
	if c.Store == "" {
		c.Store = defaultStore()
	}
}

var errNoChains = errors.New("no chain is followed")
