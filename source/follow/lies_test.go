package follow_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

// Each fault, of a node that is asked first, beside honest ones.
func TestFaultsBesideHonestNodes(t *testing.T) {
	for _, fault := range followtest.Faults() {
		for _, honest := range []int{1, 2} {
			for _, agree := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s-honest%d-agree%d", fault, honest, agree), func(t *testing.T) {
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
						w.start()
						w.until(time.Minute, b.Head().Point)
						bad.SetFault(fault)
						for range 20 {
							b = b.Grow("a", 1)
							for _, n := range nodes {
								n.SetFinal(b.Len() - 65)
								n.SetBranch(b)
							}
							w.until(40*time.Second, b.Head().Point)
							time.Sleep(3 * time.Second)
						}
						w.stop()
						if s := w.src.Status(); fault.IsLie() && s.Nodes[0].Lies == 0 && bad.Calls().Block > 300 {
							t.Errorf("the lie was not found out\n%s", w.describe())
						}
						if len(w.src.Status().Holes) > 0 {
							t.Errorf("holes %v", w.src.Status().Holes)
						}
						for _, n := range w.src.Status().Nodes[1:] {
							if n.Lies > 0 {
								t.Errorf("%s, which is honest, was taken for a liar: %s\n%s", n.Name, n.Lie, w.describe())
							}
						}
						t.Logf("%s", w.describe())
					})
				})
			}
		}
	}
}
