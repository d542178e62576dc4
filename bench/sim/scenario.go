package sim

import (
	"errors"
	"fmt"
	"slices"
)

// A Scenario is a built-in case: what it is about, and a Config to begin from.
type Scenario struct {
	Name, About string
	Config      Config
	program     string
}

// ordinaryShare is the share of the thief's accounts with ordinary traffic, as in the planted cases.
const ordinaryShare = 40

// ErrScenario is returned for a name that no built-in scenario has.
var ErrScenario = errors.New("no such scenario")

// Scenarios are the built-in cases, the simplest first.
func Scenarios() []Scenario {
	all := []Scenario{
		{Name: "peel-tree", About: "the loot is split, and each part pays deposits off on its way", program: `
steal 3000 ETH
hop 1
split 8
peel 15 3..8 deposit
deposit
`},
		{Name: "fan-out-deposit", About: "wide and short: to many accounts, and straight into exchanges", program: `
steal 2500000 USDT
split 12
split 12
hop 1
deposit
`, Config: Config{Decoys: 1}},
		{Name: "swap-heavy", About: "the loot changes its asset after nearly every hop", program: `
steal 4000 ETH
split 6
swap USDT
hop 2
swap USDC
split 3
hop 1
swap ETH
hop 2
swap USDT
hop 1
deposit
`},
		{Name: "commingled", About: "own money comes to the thief's accounts, and every account chooses its coins its own way", program: `
steal 1500 ETH
steal 1200000 USDT
pays random
hop 1
split 8
commingle 30
hop 2
split 3
hop 2
peel 3 10..30 broker
deposit
`, Config: Config{Commingle: 40, Commingled: 30, Duplicates: 20}},
		{Name: "slow", About: "days between the hops, through money that others use, and ends at rest", program: `
steal 2000 ETH
dwell 60h 1.2
hop 3
split 5
peel 4 5..15 rest
hop 2
rest
`, Config: Config{Days: 180, Commingle: 40, Unlabelled: 30}},
		{Name: "bridge-mix", About: "through a mixer and over a bridge to a second chain", program: `
steal 1800 ETH
split 4
mix
hop 2
split 2
bridge
hop 2
deposit
`},
		{Name: "patterns", About: "the eight shapes of AMLworld, one behind the other", program: `
steal 800 ETH
pattern cycle 5
pattern scatter-gather 6
pattern fan-out 3
pattern random 4
pattern gather-scatter 3
pattern fan-in 3
pattern bipartite 3
pattern stack 2
deposit
`, Config: Config{Days: 60}},
		{Name: "disguised", About: "everything at once: a mule that looks like a service, a fresh exchange, small hubs, decoys, dust", program: `
steal 2500 ETH
split 5
hop 2
swap USDT
split 4
peel 3 10..30 deposit
deposit
`, Config: Config{Commingle: 30, Dust: 200, Decoys: 3, Duplicates: 30, Mule: 3000, Unlabelled: 30, SmallHubs: true, FreshExchange: true}},
	}
	for i := range all {
		p, err := ParseProgram(all[i].program)
		if err != nil {
			panic(fmt.Sprintf("sim: scenario %s: %v", all[i].Name, err))
		}
		all[i].Config.Program, all[i].Config.Name, all[i].Config.Ordinary = p, all[i].Name, ordinaryShare
	}
	return all
}

// FindScenario is the built-in scenario of that name.
func FindScenario(name string) (Scenario, error) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, fmt.Errorf("scenario %.80q: %w", name, ErrScenario)
	}
	return all[i], nil
}
