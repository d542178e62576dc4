package quality

import (
	"testing"

	"github.com/spoor-dev/spoor/bench/sim"
)

// Address poisoning is what strangers can send: payments of nothing in anybody's name, counterfeit tokens, and less than a
// cent of the real ones. However much of it there is, every rule gives the same answer, to the byte.
func TestPoisoningLeavesEveryTraceAsItIs(t *testing.T) {
	load := func(poison int) *Case {
		scenario, err := sim.FindScenario("disguised")
		if err != nil {
			t.Fatal(err)
		}
		c := scenario.Config
		c.Seed, c.Accounts, c.Transfers, c.Poison = simulatedSeed, simulatedAccounts, simulatedTransfers, poison
		all, err := Simulated{"sim/poison", c}.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = all.Store.Close() })
		return all
	}
	clean, poisoned := load(0), load(50_000)
	if poisoned.Movements != clean.Movements+50_000 {
		t.Fatalf("%d movements, and with poison %d", clean.Movements, poisoned.Movements)
	}
	for _, m := range Methods() {
		switch m.Name {
		case "rank", "reach-stops", "reach": // no ledgers
			continue
		}
		want, err := m.Run(t.Context(), clean)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Run(t.Context(), poisoned)
		if err != nil {
			t.Fatal(err)
		}
		if got.Hash != want.Hash || len(got.Transfers) != len(want.Transfers) {
			t.Errorf("%s: %s with %d transfers; without poison %s with %d", m.Name, got.Hash, len(got.Transfers), want.Hash, len(want.Transfers))
		}
	}
}
