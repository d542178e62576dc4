package trace

import (
	"context"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A thief mixes 100 stolen coins with 100 of his own and pays twice: where the stolen ones are depends on the rule.
func ExampleRun() {
	graph := newGraph(accountStory(`
		>thief 100
		victim>thief 100
		thief>exchange 60
		thief>friend 80`))
	thief, exchange := who(textChain, "thief"), who(textChain, "exchange")
	theft := Theft{Name: "example", Sources: []Source{
		Holding{Account: thief, Asset: coinAsset, Amount: flow.NewAmount(100), At: flow.Pos{Height: 3}},
	}}
	report, err := Run(context.Background(), graph, theft, Options{Stop: stopAt(exchange)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range report.Results {
		fmt.Printf("%-11s %s\n", r.Policy, r.Lines[0])
	}
	for _, row := range report.Disagreement.Rows {
		fmt.Printf("%s %s: %s to %s\n", row.Account.Address(), row.Sink, row.Low, row.High)
	}
	// Output:
	// haircut     100 stolen = 70 held + 30 service
	// fifo        100 stolen = 100 held
	// dirty-first 100 stolen = 40 held + 60 service
	// clean-first 100 stolen = 100 held
	// friend : 40 to 40
	// thief : 0 to 60
	// exchange service: 0 to 60
}

// Two holders give, two take: FIFO keeps the order of the legs.
func ExamplePolicy() {
	given := []Segment{
		{Units: flow.NewAmount(10)},
		{Line: 1, Units: flow.NewAmount(30), Claim: flow.NewAmount(30)},
	}
	takers := []flow.Amount{flow.NewAmount(20), flow.NewAmount(20)}
	for _, p := range []Policy{FIFO, Haircut} {
		p.Fill(given, takers, func(i int, g Segment) {
			if g.Line != 0 {
				fmt.Printf("%s: taker %d gets %s stolen\n", p, i, g.Units)
			}
		})
	}
	// Output:
	// fifo: taker 0 gets 10 stolen
	// fifo: taker 1 gets 20 stolen
	// haircut: taker 0 gets 15 stolen
	// haircut: taker 1 gets 15 stolen
}
