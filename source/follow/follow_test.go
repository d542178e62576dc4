package follow_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

func TestCatchUpAndFollow(t *testing.T) {
	for _, count := range []int{1, 2, 3} {
		for _, push := range []bool{false, true} {
			t.Run(fmt.Sprintf("nodes%d-push-%v", count, push), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := followtest.NewBranch(chain, "a", 500)
					var nodes []*followtest.Node
					for i := range count {
						n := followtest.NewNode(fmt.Sprint("n", i), chain, b)
						n.SetPush(push)
						n.SetLatency(30 * time.Millisecond)
						nodes = append(nodes, n)
					}
					w := newWorld(t, follow.Config{}, nodes...)
					w.start()
					w.until(10*time.Second, b.Head().Point)
					most := 2 * time.Second
					if push {
						most = 200 * time.Millisecond
					}
					for range 5 {
						b = b.Grow("a", 1)
						for _, n := range nodes {
							n.SetBranch(b)
						}
						w.until(most, b.Head().Point)
					}
					w.stop()
					if w.read.undone > 0 || len(w.events) > 0 {
						t.Errorf("undone %d, events %v; want none", w.read.undone, w.events)
					}
					if w.read.final != b.Len()-1-64 {
						t.Errorf("final is %d; want 64 behind %d", w.read.final, b.Len()-1)
					}
				})
			})
		}
	}
}

func TestForks(t *testing.T) {
	for _, depth := range []int{1, 2, 7, 64, 157, 1000, 10_000} {
		for _, count := range []int{1, 3} {
			t.Run(fmt.Sprintf("depth%d-nodes%d", depth, count), func(t *testing.T) {
				base := followtest.NewBranch(chain, "a", 20)
				old, won := base.Grow("old", depth), base.Grow("won", depth+2)
				synctest.Test(t, func(t *testing.T) {
					var nodes []*followtest.Node
					for i := range count {
						nodes = append(nodes, followtest.NewNode(fmt.Sprint("n", i), chain, old))
					}
					w := newWorld(t, follow.Config{Confirmations: -1, Depth: 10_100}, nodes...)
					w.start()
					w.until(time.Minute, old.Head().Point)
					before := 0
					for _, n := range nodes {
						before += n.Calls().Headers
						n.SetBranch(won)
					}
					w.until(time.Minute, won.Head().Point)
					w.stop()
					if w.read.undone != depth || w.read.added != old.Len()+depth+2 {
						t.Errorf("undone %d, added %d; want %d, %d", w.read.undone, w.read.added, depth, old.Len()+depth+2)
					}
					if s := w.src.Status(); s.Deepest != uint64(depth) || len(w.told(follow.Forked)) != 1 {
						t.Errorf("deepest %d, told %v", s.Deepest, w.told(follow.Forked))
					}
					calls := -before
					for _, n := range nodes {
						calls += n.Calls().Headers
					}
					t.Logf("depth %d: %d calls for headers", depth, calls)
				})
			})
		}
	}
}
