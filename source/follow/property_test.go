package follow_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

// A turn is one thing that happens to the network.
type turn struct {
	kind  string
	node  int
	count int
	fault followtest.Fault
	wait  time.Duration
}

func drawTurns(t *rapid.T, nodes int) []turn {
	kinds := []string{"grow", "grow", "fork", "fork", "same", "lag", "fault", "fault", "latency", "restart", "forget", "push", "bad"}
	all := make([]turn, rapid.IntRange(0, 15).Draw(t, "turns"))
	for i := range all {
		all[i] = turn{
			kind:  rapid.SampledFrom(kinds).Draw(t, "kind"),
			node:  rapid.IntRange(1, max(nodes-1, 1)).Draw(t, "node"),
			count: rapid.IntRange(1, 30).Draw(t, "count"),
			fault: rapid.SampledFrom(append(followtest.Faults(), followtest.Honest)).Draw(t, "fault"),
			wait:  time.Duration(rapid.SampledFrom([]int{0, 1, 20, 300, 1100, 5000, 40_000}).Draw(t, "wait")) * time.Millisecond,
		}
	}
	return all
}

// Whatever the others do: as long as one node is honest and has the branch that wins, the reader ends on it, and all
// that it was told on the way was legal and checked.
func TestOneHonestNodeIsEnough(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := rapid.IntRange(1, 4).Draw(rt, "nodes")
		agree := rapid.IntRange(1, 3).Draw(rt, "agree")
		window := rapid.SampledFrom([]int{2, 5, 128}).Draw(rt, "window")
		ahead := rapid.SampledFrom([]int{1, 3, 64}).Draw(rt, "ahead")
		turns := drawTurns(rt, nodes)
		var err error
		synctest.Test(t, func(t *testing.T) {
			err = play(t, nodes, follow.Config{Agree: agree, Window: window, Ahead: ahead, Confirmations: 1000}, turns)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// play lets all turns happen, lets the honest node's branch win, and returns what was wrong.
func play(t *testing.T, count int, cfg follow.Config, turns []turn) error {
	won := followtest.NewBranch(chain, "a", 40)
	var nodes []*followtest.Node
	for i := range count {
		nodes = append(nodes, followtest.NewNode(fmt.Sprint("n", i), chain, won))
		nodes[i].SetLatency(time.Duration(10*i) * time.Millisecond)
	}
	isFaulty := map[int]bool{}
	w := newWorld(t, cfg, nodes...)
	w.start()
	for i, turn := range turns {
		n := nodes[min(turn.node, count-1)] // nodes[0] is honest
		switch turn.kind {
		case "grow":
			won = won.Grow("a", turn.count)
			nodes[0].SetBranch(won)
		case "fork":
			n.SetBranch(won) // what was, stays with another
			won = won.Cut(max(won.Len()-turn.count, 10)).Grow(fmt.Sprint("fork", i), turn.count+1)
			nodes[0].SetBranch(won)
		case "same":
			n.SetBranch(won)
		case "lag":
			n.SetBranch(won.Cut(max(won.Len()-turn.count, 1)))
		case "latency":
			n.SetLatency(time.Duration(turn.count) * 50 * time.Millisecond)
		case "push":
			n.SetPush(true)
		case "restart", "forget":
			if err := w.halt(); err != nil {
				return fmt.Errorf("turn %d: %w\n%s", i, err, w.describe())
			}
			if turn.kind == "forget" {
				w.read.points = w.read.points[:max(len(w.read.points)-turn.count, 0)]
				w.read.final = -1
			}
			w.start()
		}
		if n != nodes[0] {
			switch turn.kind {
			case "fault":
				n.SetFault(turn.fault)
				isFaulty[turn.node] = true
			case "bad":
				n.SetBad(uint64(won.Len()), true)
				isFaulty[turn.node] = true
			}
		}
		time.Sleep(turn.wait)
	}
	won = won.Grow("won", 35)
	nodes[0].SetBranch(won)
	head := won.Head().Point
	arrived := await(10*time.Minute, func() bool { return w.read.tip() == head })
	if err := w.halt(); err != nil {
		return fmt.Errorf("%w\n%s", err, w.describe())
	}
	if !arrived {
		return fmt.Errorf("the reader did not come to %s\n%s", head, w.describe())
	}
	var want []flow.Point
	for h := range won.Len() {
		want = append(want, won.At(h))
	}
	if !slices.Equal(w.read.points, want) {
		return fmt.Errorf("the reader has %d blocks, the branch that won %d; or others\n%s", len(w.read.points), len(want), w.describe())
	}
	for i, n := range w.src.Status().Nodes {
		if n.Lies > 0 && !isFaulty[i] {
			return fmt.Errorf("%s, which is honest, was taken for a liar: %s\n%s", n.Name, n.Lie, w.describe())
		}
	}
	return nil
}
