package detect

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// A plant is a habit in events, without noise: who does it, and what is done when.
type plant struct {
	rule   string
	events []Event // without transactions and places
}

// A gardener makes plants. All accounts have its prefix.
type gardener struct {
	t      *rapid.T
	prefix string
	now    int64
	events []Event
}

func (g *gardener) account(name string, i int) flow.Account {
	c, _ := flow.TextChain("eth")
	a, err := flow.NewAccount(c, fmt.Sprintf("%s-%s%d", g.prefix, name, i))
	if err != nil {
		panic(err)
	}
	return a
}

func (g *gardener) n(least, most int, label string) int {
	return rapid.IntRange(least, most).Draw(g.t, g.prefix+" "+label)
}

// pay adds a payment after a pause of at most so many seconds.
func (g *gardener) pay(from, to flow.Account, units, pause int) *Event {
	g.now += int64(g.n(0, pause, "pause"))
	c, _ := flow.TextChain("eth")
	v := flow.NewAmount(uint64(units))
	g.events = append(g.events, Event{Theft: g.prefix, Time: g.now, From: from, To: to, Asset: c.Native(), Amount: v, Units: v})
	return &g.events[len(g.events)-1]
}

// shuffled are the numbers from 0 to n-1 in any order.
func (g *gardener) shuffled(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return rapid.Permutation(all).Draw(g.t, g.prefix+" order")
}

func (g *gardener) layer(from, to string, rows, columns, pause int) {
	// At least 60 of 100 pairs, and all of it hangs together: two groups side by side are two plants.
	pairs := g.shuffled(rows * columns)
	need := max((rows*columns*60+99)/100, g.n(1, rows*columns, "pairs"))
	group := make([]int, rows+columns) // of each account; those that hang together have the same
	for i := range group {
		group[i] = i
	}
	for i, p := range pairs {
		r, c := p/columns, p%columns
		a, b := group[r], group[rows+c]
		if i >= need && a == b {
			continue
		}
		for k := range group {
			if group[k] == b {
				group[k] = a
			}
		}
		g.pay(g.account(from, r), g.account(to, c), 100, pause)
	}
}

// habits are the plants of each rule.
var habits = map[string]func(g *gardener){
	"fan-out": func(g *gardener) {
		n := g.n(8, 40, "payees")
		g.pay(g.account("victim", 0), g.account("thief", 0), 100*n, 0)
		for _, i := range g.shuffled(n) {
			g.pay(g.account("thief", 0), g.account("p", i), g.n(90, 100, "units"), 2000)
		}
	},
	"fan-in": func(g *gardener) {
		for _, i := range g.shuffled(g.n(8, 40, "payers")) {
			g.pay(g.account("p", i), g.account("den", 0), g.n(10, 100, "units"), 2000)
		}
	},
	"gather-scatter": func(g *gardener) {
		in, out := g.n(4, 12, "payers"), g.n(4, 12, "payees")
		for _, i := range g.shuffled(in) {
			g.pay(g.account("p", i), g.account("hub", 0), 100*out, 3000)
		}
		for _, i := range g.shuffled(out) {
			g.pay(g.account("hub", 0), g.account("q", i), 100*in-g.n(0, 20, "kept")*in, 3000)
		}
	},
	"scatter-gather": func(g *gardener) {
		n := g.n(4, 12, "middles")
		for _, i := range g.shuffled(n) {
			g.pay(g.account("thief", 0), g.account("m", i), g.n(10, 100, "units"), 3000)
		}
		for _, i := range g.shuffled(n) {
			g.pay(g.account("m", i), g.account("den", 0), g.n(10, 100, "units"), 3000)
		}
	},
	"cycle": func(g *gardener) {
		n := g.n(3, 6, "accounts")
		for i := range n {
			g.pay(g.account("c", i), g.account("c", (i+1)%n), g.n(80, 100, "units"), 90_000)
		}
	},
	"random": func(g *gardener) {
		units := 100_000
		for i := range g.n(6, 40, "hops") {
			g.pay(g.account("h", i), g.account("h", i+1), units, 600_000)
			units = units * g.n(81, 100, "kept") / 100
		}
	},
	"bipartite": func(g *gardener) { g.layer("a", "b", g.n(3, 6, "payers"), g.n(3, 6, "payees"), 2000) },
	"stack": func(g *gardener) {
		// All of the middle row is in both layers, so it must survive in both: full layers.
		n := g.n(3, 5, "middles")
		for _, part := range []struct{ from, to string }{{"a", "b"}, {"b", "c"}} {
			for _, p := range g.shuffled(n * n) {
				g.pay(g.account(part.from, p/n), g.account(part.to, p%n), 100, 1500)
			}
		}
	},
	"peel-chain": func(g *gardener) {
		units := 1_000_000
		g.pay(g.account("victim", 0), g.account("n", 0), units, 0)
		for i := range g.n(4, 30, "steps") {
			small := units * g.n(1, 39, "peel") / 100
			peel := func() { g.pay(g.account("n", i), g.account("s", i), small, 9000) }
			rest := func() { g.pay(g.account("n", i), g.account("n", i+1), units-small, 9000) }
			if g.n(0, 1, "order") == 0 {
				peel()
				rest()
			} else {
				rest()
				peel()
			}
			units -= small
			if units < 1000 {
				units = 1000 // other money of theirs
			}
		}
	},
	"swap-bridge": func(g *gardener) {
		c, _ := flow.TextChain("eth")
		tin, _ := flow.NamedAsset(c, "TIN")
		g.pay(g.account("victim", 0), g.account("thief", 0), 100, 0)
		g.pay(g.account("thief", 0), g.account("router", 0), 100, 500).Swap = IntoSwap
		out := g.pay(g.account("pool", 0), g.account("thief", 0), 70, 0)
		out.Swap, out.Asset = OutOfSwap, tin
		hops := g.n(0, 2, "hops")
		for i := range hops {
			g.pay(g.account("thief", i), g.account("thief", i+1), 70, 1000).Asset = tin
		}
		last := g.pay(g.account("thief", hops), g.account("gate", 0), 70, 1000)
		last.Asset, last.Sink = tin, Bridge
	},
	"dormancy": func(g *gardener) {
		g.pay(g.account("victim", 0), g.account("thief", 0), 100, 0)
		g.now += 90*86400 + int64(g.n(0, 1_000_000, "more"))
		g.pay(g.account("thief", 0), g.account("p", 0), 1, 0)
	},
	"consolidation": func(g *gardener) {
		for i := range g.n(2, 6, "thefts") {
			g.pay(g.account("mule", i), g.account("den", 0), 100, 90_000).Theft = fmt.Sprintf("%s %d", g.prefix, i)
		}
	},
	"automation-tempo": func(g *gardener) {
		g.pay(g.account("victim", 0), g.account("h", 0), 100, 0)
		for i := range g.n(16, 80, "hops") {
			g.pay(g.account("h", i), g.account("h", i+1), 100, 300)
		}
	},
}

// placed gives events their transactions and places: each its own, but the two sides of a swap share one.
func placed(events []Event) []Event {
	out := slices.Clone(events)
	for i := range out {
		e := &out[i]
		e.Tx = sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s %d", e.Theft, e.From, e.To, e.Asset, e.Time))
		e.At = flow.Pos{Height: uint64(i + 1)}
		if e.Swap == OutOfSwap {
			e.At, e.Tx = out[i-1].At, out[i-1].Tx
			e.At.Movement++
		}
	}
	return out
}

func planted(t *rapid.T, rule, prefix string) plant {
	g := &gardener{t: t, prefix: prefix, now: began}
	habits[rule](g)
	return plant{rule, g.events}
}

func draw(t *rapid.T) plant {
	ids := sortedKeys(habits)
	return planted(t, rapid.SampledFrom(ids).Draw(t, "rule"), "plant")
}

// A planted habit is found, whatever it looks like in detail.
func TestPlantedHabitsAreFound(t *testing.T) {
	if len(habits) != len(Rules()) {
		t.Fatalf("%d plants for %d rules", len(habits), len(Rules()))
	}
	for _, r := range Rules() {
		t.Run(r.ID, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p := planted(t, r.ID, "plant")
				found := runAll(t, placed(p.events), Options{})
				if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Rule == r.ID }) {
					t.Fatalf("not found in %d events", len(p.events))
				}
			})
		})
	}
}

// runAll is detectAll for a property.
func runAll(t *rapid.T, events []Event, o Options) []finding.Finding {
	found, err := Run(func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func ids(found []finding.Finding) []string {
	all := []string{}
	for _, f := range found {
		all = append(all, f.Rule+" "+f.ID.String())
	}
	return all
}
