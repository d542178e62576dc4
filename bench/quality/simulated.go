package quality

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/spoor-dev/spoor/bench/sim"
)

// A Simulated is a case that is made anew each time, the same from the same Config.
type Simulated struct {
	Name   string
	Config sim.Config
}

// The size of the simulated cases: small enough that all of them are measured in seconds.
const (
	simulatedSeed      = 1
	simulatedAccounts  = 3_000
	simulatedTransfers = 10_000
)

// SimulatedCases are the built-in scenarios of bench/sim, small.
func SimulatedCases() []Simulated {
	var all []Simulated
	for _, s := range sim.Scenarios() {
		c := s.Config
		c.Seed, c.Accounts, c.Transfers = simulatedSeed, simulatedAccounts, simulatedTransfers
		all = append(all, Simulated{path.Join("sim", s.Name), c})
	}
	return all
}

// Load makes the case in a temporary folder and reads it into memory.
func (s Simulated) Load(ctx context.Context) (c *Case, err error) {
	dir, err := os.MkdirTemp("", "spoor-quality-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f := Folder{Name: s.Name, Path: filepath.Join(dir, "case"), Kind: "simulated"}
	if _, err := sim.Write(ctx, f.Path, s.Config, false, nil); err != nil {
		return nil, fmt.Errorf("case %s: %w", s.Name, err)
	}
	return f.Load(ctx)
}
