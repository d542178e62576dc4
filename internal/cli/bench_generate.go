package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench/sim"
)

func (p *program) benchGenerate() *cobra.Command {
	var c sim.Config
	var out, scenario, steps, pays string
	var force, list bool
	cmd := &cobra.Command{
		Use:   "generate (--out FOLDER | --list)",
		Short: "Generate a labelled case to measure tracers and detectors with",
		Long: `Generate a case: ordinary traffic, a laundering planted in it, and the truth about every stolen unit from the generator's
own books. It is test data for defenders. Every account, service and amount in it is invented, the same parameters give
the same case, byte for byte, and it says nothing about how a real service can be used or avoided.

The folder has the form of docs/formats/case.md: transfers.csv.gz, labels.csv and sources.csv are for the tracer, truth/
is for the scorer, params.json holds the parameters, counts and the hash of the transfers.

A scenario is a program of steps and some of the flags below; a flag that is named goes before the scenario's. --program
reads the steps from a file instead: one on each line, as --list prints them.

Figures on generated cases are no figures on real ones: report the two apart.`,
		Example: `  spoor bench generate --list
  spoor bench generate --out case --scenario commingled --seed 7 --commingle 60
  spoor bench generate --out big --transfers 10000000 --accounts 1000000 --poison 1000000
  spoor ingest --store case/store transfers-csv:case/transfers.csv.gz
  spoor trace --store case/store --theft case/sources.csv --labels case/labels.csv --out case/answer`,
		Args: cobra.NoArgs,
	}
	fl := cmd.Flags()
	fl.StringVar(&out, "out", "", "folder of the case")
	fl.BoolVar(&force, "force", false, "replace the files of an earlier case in the folder")
	fl.BoolVar(&list, "list", false, "show the scenarios and their steps")
	fl.StringVar(&scenario, "scenario", "peel-tree", "which case to begin from")
	fl.StringVar(&steps, "program", "", "file with the steps of the thief instead of the scenario's")
	fl.Uint64Var(&c.Seed, "seed", 1, "seed of the generator")
	numbers := []struct {
		name, help string
		to         *int
		of         func(*sim.Config) *int
	}{
		{"accounts", "users (default 100000)", &c.Accounts, func(c *sim.Config) *int { return &c.Accounts }},
		{"transfers", "transfers in all, without poison, about (default 200000)", &c.Transfers, func(c *sim.Config) *int { return &c.Transfers }},
		{"days", "how long the case lasts; the theft comes after a fifth of it (default the scenario's)", &c.Days, func(c *sim.Config) *int { return &c.Days }},
		{"slow", "how many times longer the thief waits (default 1)", &c.Slow, func(c *sim.Config) *int { return &c.Slow }},
		{"commingle", "per cent of own money at accounts of the thief's that have some, 0 to 90", &c.Commingle, func(c *sim.Config) *int { return &c.Commingle }},
		{"commingled", "per cent of the thief's accounts that have own money (default 30 if --commingle)", &c.Commingled, func(c *sim.Config) *int { return &c.Commingled }},
		{"ordinary", "per cent of the thief's accounts with ordinary traffic (default the scenario's)", &c.Ordinary, func(c *sim.Config) *int { return &c.Ordinary }},
		{"dust", "innocents who get dust of the loot", &c.Dust, func(c *sim.Config) *int { return &c.Dust }},
		{"decoys", "strangers for every deposit of the thief's who deposit as much elsewhere", &c.Decoys, func(c *sim.Config) *int { return &c.Decoys }},
		{"duplicates", "per cent of the thief's payments whose amount strangers pay, too", &c.Duplicates, func(c *sim.Config) *int { return &c.Duplicates }},
		{"mule", "worthless payments that make an account of the thief's look like a service", &c.Mule, func(c *sim.Config) *int { return &c.Mule }},
		{"unlabelled", "per cent of the exchanges and pools without a label", &c.Unlabelled, func(c *sim.Config) *int { return &c.Unlabelled }},
		{"poison", "transfers of address poisoning, on top of the others", &c.Poison, func(c *sim.Config) *int { return &c.Poison }},
	}
	for _, n := range numbers {
		fl.IntVar(n.to, n.name, 0, n.help)
	}
	fl.StringVar(&pays, "pays", "", "which coins the thief's accounts pay: stolen-first, own-first, mixed, random")
	fl.BoolVar(&c.SmallHubs, "small-hubs", false, "exchanges without a label have a dozen customers")
	fl.BoolVar(&c.FreshExchange, "fresh-exchange", false, "an exchange without a label opens with the theft")

	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p.running = true
		if list {
			return p.listScenarios()
		}
		if out == "" {
			return misuse(errors.New("no folder named"), "name one with --out, or see the scenarios with --list")
		}
		s, err := sim.FindScenario(scenario)
		if err != nil {
			return misuse(err, "--list shows them")
		}
		config := s.Config
		config.Seed = c.Seed
		for _, n := range numbers {
			if fl.Changed(n.name) {
				*n.of(&config) = *n.to
			}
		}
		if fl.Changed("pays") {
			config.Pays = sim.Rule(pays)
		}
		if fl.Changed("small-hubs") {
			config.SmallHubs = c.SmallHubs
		}
		if fl.Changed("fresh-exchange") {
			config.FreshExchange = c.FreshExchange
		}
		if steps != "" {
			text, err := os.ReadFile(steps)
			if err != nil {
				return err
			}
			if config.Program, err = sim.ParseProgram(string(text)); err != nil {
				return misuse(fmt.Errorf("%s: %w", steps, err), "--list shows programs; docs/formats/case.md names the steps")
			}
			config.Name = "program"
		}
		b := p.newBar()
		sum, err := sim.Write(cmd.Context(), out, config, force, b.show)
		b.clear()
		switch {
		case errors.Is(err, sim.ErrExists):
			return misuse(err, "name another folder, or replace the case in this one with --force")
		case errors.Is(err, sim.ErrConfig):
			return misuse(err, "run it with --help for the flags and what they take")
		case err != nil:
			return err
		}
		return p.writeSummary(out, sum)
	}
	return cmd
}

func (p *program) listScenarios() error {
	for _, s := range sim.Scenarios() {
		if p.json {
			err := json.NewEncoder(p.out).Encode(struct {
				Name    string `json:"name"`
				About   string `json:"about"`
				Program string `json:"program"`
			}{s.Name, s.About, s.Config.Program.String()})
			if err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(p.out, "# %s: %s\n%s\n", s.Name, s.About, s.Config.Program); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) writeSummary(dir string, s sim.Summary) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(s)
	}
	_, err := fmt.Fprintf(p.out, "%s, seed %d: %d transfers, %d of them carry the loot, %d addresses to find, %d labelled services\n",
		dir, s.Parameters.Seed, s.Transfers, s.Truth, s.ToFind, s.Labelled)
	for _, t := range s.Tables {
		if err == nil {
			_, err = fmt.Fprintf(p.out, "%s  %s  %d transfers\n", t.SHA256, t.File, t.Transfers)
		}
	}
	return err
}
