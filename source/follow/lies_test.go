package follow_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

// Each fault, of a node that is asked first, beside honest ones: from the first call on, or once the head is reached.
func TestFaultsBesideHonestNodes(t *testing.T) {
	// At the head a node is not asked for its chain again, and for headers only if they are not known from the heads.
	unasked := []followtest.Fault{followtest.OtherChain, followtest.WrongHeights, followtest.Unlinked}
	for _, fault := range followtest.Faults() {
		for _, honest := range []int{1, 2} {
			for _, agree := range []int{1, 2} {
				for _, late := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s-honest%d-agree%d-late-%v", fault, honest, agree, late), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							b := followtest.NewBranch(chain, "a", 300)
							bad := followtest.NewNode("bad", chain, b)
							bad.SetFinal(200)
							nodes := []*followtest.Node{bad}
							for i := range honest {
								n := followtest.NewNode(fmt.Sprint("n", i), chain, b)
								n.SetFinal(200)
								nodes = append(nodes, n)
							}
							w := newWorld(t, follow.Config{Agree: agree}, nodes...)
							if !late {
								bad.SetFault(fault)
							}
							w.start()
							w.until(time.Minute, b.Head().Point)
							bad.SetFault(fault)
							for i := range 20 {
								b = b.Grow("a", 1+i%2*4)
								for _, n := range nodes {
									n.SetFinal(b.Len() - 65)
									n.SetBranch(b)
								}
								w.until(40*time.Second, b.Head().Point)
								time.Sleep(3 * time.Second)
							}
							if fault == followtest.FakeHead { // which may be a node that is late, the first times
								time.Sleep(2 * time.Minute)
							}
							w.stop()
							s := w.src.Status()
							wantLies := fault.IsLie() && !(late && slices.Contains(unasked, fault))
							if wantLies && (s.Nodes[0].Lies == 0 || len(w.told(follow.NodeLied)) == 0) {
								t.Errorf("the lie was not found out\n%s", w.describe())
							}
							if !fault.IsLie() && s.Nodes[0].Lies > 0 {
								t.Errorf("took for a lie what is none: %s", s.Nodes[0].Lie)
							}
							if len(s.Holes) > 0 || w.read.undone > 0 {
								t.Errorf("holes %v, undone %d; want none", s.Holes, w.read.undone)
							}
							for _, n := range s.Nodes[1:] {
								if n.Lies > 0 {
									t.Errorf("%s, which is honest, was taken for a liar: %s\n%s", n.Name, n.Lie, w.describe())
								}
							}
						})
					})
				}
			}
		}
	}
}

// A node that has the true head, and below it the blocks of a branch that lost: each of them checks, but no other node has
// them on the way to that head.
func TestABranchThatLostBelowATrueHead(t *testing.T) {
	base := followtest.NewBranch(chain, "a", 20)
	won, lost := base.Grow("won", 600), base.Grow("lost", 400)
	synctest.Test(t, func(t *testing.T) {
		n := network(3, won)
		n[0].SetOrphan(lost)
		w := newWorld(t, follow.Config{Window: 50}, n...)
		w.start()
		w.until(5*time.Minute, won.Head().Point)
		w.stop()
		if w.read.undone > 0 || w.read.added != won.Len() {
			t.Errorf("undone %d, added %d; want none of the branch that lost\n%s", w.read.undone, w.read.added, w.describe())
		}
		if s := w.src.Status(); s.Nodes[1].Lies+s.Nodes[2].Lies > 0 {
			t.Errorf("honest nodes were taken for liars\n%s", w.describe())
		}
	})
}
