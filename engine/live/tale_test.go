package live

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
)

// A tale is what a node shows of a chain, scene after scene: a theft that hops, and forks in between.
type tale struct {
	rnd    *rand.Rand
	chain  flow.Chain
	blocks map[flow.Hash]flow.Block
	rows   map[flow.Hash][]string // of each block
	scenes []scene
	moves  int // that were invented
	forked map[string]bool
}

// A scene is a branch as the node shows it for a while.
type scene struct {
	branch []flow.Point // from the first block on
	final  uint64       // height of the newest final block; 0 if there is none
	pause  time.Duration
}

const (
	baseBlocks = 3 // are there before anybody follows
	deepest    = 5 // fork of a tale
)

// newTale makes a tale of so many scenes.
func newTale(t *testing.T, seed uint64, scenes int) *tale {
	t.Helper()
	chain, err := flow.TextChain("eth")
	if err != nil {
		t.Fatal(err)
	}
	a := &tale{rnd: rand.New(rand.NewPCG(seed, 11)), chain: chain, blocks: map[flow.Hash]flow.Block{}, rows: map[flow.Hash][]string{}, forked: map[string]bool{}}
	base := a.grow(t, nil, []string{"rich: - eth:victim ETH 100000", "fund: - eth:treasury ETH 5000"})
	base = a.grow(t, base, []string{"theft: eth:victim eth:thief ETH 100000"})
	base = a.grow(t, base, nil)
	a.scenes = append(a.scenes, scene{branch: base})
	for range scenes {
		last := a.scenes[len(a.scenes)-1]
		next := scene{branch: slices.Clone(last.branch), final: last.final, pause: time.Duration(a.rnd.IntN(3)) * time.Second}
		var again []string
		add := 1 + a.rnd.IntN(2)
		tip := uint64(len(next.branch))
		switch n := a.rnd.IntN(8); {
		case n < 3 && tip > max(last.final, baseBlocks):
			depth := 1 + a.rnd.Uint64N(min(deepest, tip-max(last.final, baseBlocks)))
			for _, p := range next.branch[tip-depth:] {
				for _, row := range a.rows[p.Hash] {
					a.forked[nameOf(row)] = true
					if a.rnd.IntN(3) > 0 {
						again = append(again, row)
					}
				}
			}
			next.branch = next.branch[:tip-depth]
			add = int(depth) + 1 + a.rnd.IntN(3)
		case n == 3:
			add = 8 // more at once than a fork is deep
		}
		for i := range add {
			var rows []string
			for len(again) > 0 && (i == add-1 || a.rnd.IntN(2) == 0) {
				rows = append(rows, again[0])
				again = again[1:]
			}
			next.branch = a.grow(t, next.branch, append(rows, a.invent(next.branch, rows)...))
		}
		if tip := uint64(len(next.branch)); a.rnd.IntN(3) == 0 && tip > deepest+1 {
			next.final = max(next.final, tip-deepest-a.rnd.Uint64N(2))
		}
		a.scenes = append(a.scenes, next)
	}
	end := a.scenes[len(a.scenes)-1]
	for range 4 { // what is in doubt is settled by them
		end.branch = a.grow(t, slices.Clone(end.branch), nil)
	}
	a.scenes = append(a.scenes, end)
	return a
}

func nameOf(row string) string {
	name, _, _ := strings.Cut(row, ":")
	return name
}

// grow puts a block with these rows on a branch. What could not be paid on it is left out.
func (a *tale) grow(t *testing.T, branch []flow.Point, rows []string) []flow.Point {
	t.Helper()
	has := a.balances(branch)
	rows = slices.DeleteFunc(slices.Clone(rows), func(row string) bool { return !pay(has, row) })
	height := uint64(len(branch)) + 1
	name := fmt.Sprintf("b%d-%d", height, len(a.blocks))
	p := flow.Point{Chain: a.chain, Height: height, Hash: sha256.Sum256([]byte(name)), Time: 1_700_000_000 + int64(12*height)}
	parent := flow.Hash{}
	if len(branch) > 0 {
		parent = branch[len(branch)-1].Hash
	}
	b, err := text.New().Decode(p, parent, fmt.Appendf(nil, "1 tale\nblock %d %s time=%d\n%s", height, name, p.Time, strings.Join(rows, "\n")))
	if err != nil || len(b.Notes) > 0 {
		t.Fatalf("block %d of %q: %v, %v", height, rows, b.Notes, err)
	}
	a.blocks[p.Hash], a.rows[p.Hash] = b, rows
	return append(slices.Clip(branch), p)
}

// balances are what everybody has at the end of a branch.
func (a *tale) balances(branch []flow.Point) map[string]int {
	has := map[string]int{"-": 1 << 30}
	for _, p := range branch {
		for _, row := range a.rows[p.Hash] {
			pay(has, row)
		}
	}
	return has
}

// pay moves what a row says, and reports whether there was so much.
func pay(has map[string]int, row string) bool {
	f := strings.Fields(row) // name: from to ETH amount
	amount, err := strconv.Atoi(f[4])
	if err != nil || has[f[1]] < amount || has[f[0]] > 0 {
		return false
	}
	has[f[0]] = 1 // a transaction is on a branch once
	has[f[1]] -= amount
	has[f[2]] += amount
	return true
}

// invent makes rows that can stand in the next block of a branch behind others.
func (a *tale) invent(branch []flow.Point, before []string) (rows []string) {
	has := a.balances(branch)
	for _, row := range before {
		pay(has, row)
	}
	for range 1 + a.rnd.IntN(3) {
		var rich []string
		for name, amount := range has {
			if amount >= 10 && name != "-" && name != "eth:exchange1" && !strings.HasSuffix(name, ":") {
				rich = append(rich, name)
			}
		}
		if len(rich) == 0 {
			return rows
		}
		slices.Sort(rich)
		from := rich[a.rnd.IntN(len(rich))]
		amount := has[from]
		if a.rnd.IntN(3) > 0 {
			amount = amount * (1 + a.rnd.IntN(9)) / 10
		}
		a.moves++
		to := fmt.Sprintf("eth:hop%d", a.moves)
		switch n := a.rnd.IntN(8); {
		case n == 0:
			to = "eth:exchange1"
		case n == 1 && from != "eth:treasury":
			to = "eth:treasury"
		case n == 2:
			to = rich[a.rnd.IntN(len(rich))]
		}
		if from == to {
			continue
		}
		row := fmt.Sprintf("tx%d: %s %s ETH %d", a.moves, from, to, amount)
		pay(has, row)
		rows = append(rows, row)
	}
	return rows
}

// winner is the branch that is left in the end.
func (a *tale) winner() []flow.Point { return a.scenes[len(a.scenes)-1].branch }

// straight is the same chain for who never sees a fork: block by block.
func (a *tale) straight() *tale {
	b := *a
	b.scenes = []scene{{branch: a.winner()[:baseBlocks]}}
	for n := baseBlocks; n <= len(a.winner()); n++ {
		b.scenes = append(b.scenes, scene{branch: a.winner()[:n], pause: time.Second})
	}
	return &b
}

// of are the blocks of a branch.
func (a *tale) of(branch []flow.Point) (all []flow.Block) {
	for _, p := range branch {
		all = append(all, a.blocks[p.Hash])
	}
	return all
}

// forkedAway reports whether a transaction was ever in a block that was undone.
func (a *tale) forkedAway(tx flow.Hash) bool {
	for name := range a.forked {
		if sha256.Sum256([]byte(name)) == tx {
			return true
		}
	}
	return false
}

// Decode implements decode.Decoder.
func (a *tale) Decode(at flow.Point, _ flow.Hash, _ []byte) (flow.Block, error) {
	return a.blocks[at.Hash], nil
}
