package cli

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spoor-dev/spoor/api"
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
			c, err := p.readConfig(args[0])
			if err != nil {
				return err
			}
			p.useDefaults(&c)
			if err := checkFiles(c); err != nil {
				return misuse(err, "mend the files that the configuration names; relative paths are relative to %s", filepath.Dir(c.Path()))
			}
			if err := c.Write(p.out); err != nil || !online {
				return err
			}
			reports, err := live.Ask(cmd.Context(), c)
			for _, r := range reports {
				p.say("%s", r)
			}
			if bad := parts(err); len(bad) > 0 {
				return failed(err, "%s", nodeHint(bad[0]))
			}
			return nil
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

// checkFiles reads every file that a configuration names, and returns all that is wrong with them.
func checkFiles(c config.Config) error {
	_, labelsErr := traceLabels(c.Labels, c.Store)
	keys, keysErr := readKeys(c.Listen.Keys)
	_, certErr := readCertificate(c.Listen.Cert, c.Listen.Key)
	all := []error{live.Check(c), labelsErr, keysErr, certErr, checkAddress(c.Listen.Address, keys != nil || keysErr != nil)}
	for _, ch := range c.Chains {
		for i, n := range ch.Nodes {
			for _, path := range append(slices.Sorted(maps.Values(n.HeaderFiles)), n.CookieFile, n.BearerFile) { // read for each request
				if _, err := os.Stat(path); err != nil && path != "" {
					all = append(all, fmt.Errorf("chain %s, node %d: %w", ch.Chain, i, err))
				}
			}
		}
	}
	return errors.Join(all...)
}

// checkAddress finds an address on which nobody can listen, without listening.
func checkAddress(address string, keys bool) error {
	if address == "none" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("listen.address: %.100q is not host:port, such as 127.0.0.1:8421, nor none", address)
	}
	if ip := net.ParseIP(host); !keys && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("listen.address: %.100q: %w: name them under listen.keys (\"spoor serve --new-key NAME\" makes one)", address, api.ErrOpen)
	}
	return nil
}

// useDefaults puts in what depends on the user.
func (p *program) useDefaults(c *config.Config) {
	if c.Store == "" {
		c.Store = defaultStore()
	}
}

var errNoChains = errors.New("no chain is followed")
