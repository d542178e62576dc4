package live_test

import (
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/internal/nodes"
)

// An address that is written without its chain is watched on the chain that is followed, whichever that is.
func TestAListWithoutChains(t *testing.T) {
	leaveNothing(t)
	c := newEVM(t, nodes.Anvil(t, "--chain-id", "31337"), 31337, "ours", "shop")
	c.rich("ours", 2000)
	r := newRig(t, setup{chains: c.own(), lists: "  - {name: inline, accounts: [\"" + c.purse["ours"] + "\"]}\n"})
	r.setup.lists += "  - {name: filed, file: " + r.file("list.txt", "# ours\n"+c.purse["ours"]+" the cold wallet\n") + "}\n"
	r.start()
	r.at(c.head)
	gave := c.pay("ours", "shop", 700)
	r.at(c.head)
	for _, name := range []string{"inline", "filed"} {
		r.told(name, "list-gave", gave)
	}
	if s := r.state(); s.Watching.Accounts != 2 || !slices.Contains([]string{"well", "degraded"}, string(s.Health)) {
		t.Errorf("%d accounts on lists, %s; want 2", s.Watching.Accounts, s.Health)
	}
}
