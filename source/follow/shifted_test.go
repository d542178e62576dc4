package follow_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

// shifted is a node that names its head at the next height.
type shifted struct {
	*followtest.Node
	on atomic.Bool
}

func (s *shifted) Head(ctx context.Context) (follow.Header, error) {
	h, err := s.Node.Head(ctx)
	if s.on.Load() {
		h.Point.Height++
	}
	return h, err
}

// The same block at another height is a lie, and not a chain that stands still.
func TestAHeadAtTwoHeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 20)
		n := &shifted{Node: followtest.NewNode("bad", chain, b)}
		w := newWorld(t, follow.Config{}, n.Node)
		src, err := follow.New([]follow.Node{n}, follow.Config{Chain: chain, Check: followtest.Check})
		if err != nil {
			t.Fatal(err)
		}
		w.src = src
		w.start()
		w.until(time.Minute, b.Head().Point)
		n.on.Store(true)
		w.when(10*time.Second, "a lie", func() bool { return src.Status().Nodes[0].Lies > 0 })
		n.on.Store(false)
		b = b.Grow("a", 1)
		n.SetBranch(b)
		w.until(10*time.Minute, b.Head().Point)
		w.stop()
	})
}
