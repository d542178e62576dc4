package cluster_test

import (
	"fmt"

	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/flow"
)

func account(name string) flow.Account {
	c, _ := flow.TextChain("story")
	a, _ := flow.NewAccount(c, name)
	return a
}

// known says what is known of accounts themselves.
type known map[flow.Account][]cluster.Label

func (k known) Of(a flow.Account) []cluster.Label { return k[a] }

// Two transactions tie three accounts together, one of which is sanctioned. When the first turns out to be a mix, its
// evidence is withdrawn, and nothing is said of the victim any more.
func ExampleForest() {
	f := cluster.New(cluster.Guard{})
	mixed, _, _ := f.Add(cluster.Evidence{A: account("victim"), B: account("mule"), Heuristic: cluster.MultiInput, Version: 1, Confidence: 90})
	f.Add(cluster.Evidence{A: account("mule"), B: account("thief"), Heuristic: cluster.OneTimeChange, Version: 1, Confidence: 50})
	list := known{account("thief"): {{Name: "a thief", Category: "sanctions", Source: "a list", Confidence: 100}}}

	proof, _ := f.Explain(account("victim"), account("thief"))
	for _, e := range proof.Evidence {
		fmt.Println(e.A.Address(), e.Heuristic, e.B.Address())
	}
	said, _ := f.Through(account("victim"), list, 0, 100)
	fmt.Println("victim:", said[0].Label.Name, said[0].Confidence)

	f.Withdraw(cluster.Withdrawal{Reason: "a CoinJoin"}, mixed)
	said, _ = f.Through(account("victim"), list, 0, 100)
	fmt.Println("victim:", len(said), "mule and thief:", f.Same(account("mule"), account("thief")))
	// Output:
	// victim multi-input mule
	// mule one-time-change thief
	// victim: a thief 50
	// victim: 0 mule and thief: true
}
