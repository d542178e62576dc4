package follow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

func TestNewRefuses(t *testing.T) {
	n := followtest.NewNode("n", chain, followtest.NewBranch(chain, "a", 1))
	for name, f := range map[string]func() (*follow.Source, error){
		"no-nodes": func() (*follow.Source, error) { return follow.New(nil, follow.Config{Chain: chain}) },
		"no-chain": func() (*follow.Source, error) { return follow.New([]follow.Node{n}, follow.Config{}) },
		"nil-node": func() (*follow.Source, error) { return follow.New([]follow.Node{n, nil}, follow.Config{Chain: chain}) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Catching up costs one call for each block, and few besides.
func TestCostOfCatchingUp(t *testing.T) {
	for _, count := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			b := followtest.NewBranch(chain, "a", 10_000)
			n := network(count, b)
			for _, node := range n {
				node.SetLatency(50 * time.Millisecond)
			}
			w := newWorld(t, follow.Config{}, n...)
			w.start()
			began := time.Now()
			w.until(10*time.Minute, b.Head().Point)
			took := time.Since(began)
			w.stop()
			var sum followtest.Calls
			for _, node := range n {
				c := node.Calls()
				sum.Block += c.Block
				sum.Headers += c.Headers
				sum.Head += c.Head
				sum.Final += c.Final
			}
			t.Logf("%d nodes of 50 ms: 10,000 blocks in %s, calls: %+v", count, took, sum)
			if sum.Block > 10_100 || sum.Headers > 10_000/128*count+50 {
				t.Errorf("calls %+v; want about one for each block and one for each window", sum)
			}
			if took > time.Minute { // one at a time takes 500 s
				t.Errorf("10,000 blocks of 50 ms took %s", took)
			}
		})
	}
}

func TestBlocksOnTheWayAreBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  follow.Config
		most int
	}{{"ahead", follow.Config{Ahead: 7}, 7}, {"bytes", follow.Config{Bytes: 1000}, 14}, {"one", follow.Config{Ahead: 1}, 1}, {"no-bytes", follow.Config{Bytes: 1}, 4}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := followtest.NewBranch(chain, "a", 500)
				n := network(1, b)
				n[0].SetLatency(20 * time.Millisecond)
				w := newWorld(t, c.cfg, n...)
				w.start()
				w.until(time.Minute, b.Head().Point)
				w.stop()
				if got := n[0].MostAtOnce(); got > c.most {
					t.Errorf("%d at once; want at most %d", got, c.most)
				}
			})
		})
	}
}

// A node gets fewer calls at once when it errs or is slow, and more again when it is well.
func TestCallsAtOnceAreLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 20_000)
		n := network(1, b)
		n[0].SetLatency(100 * time.Millisecond)
		w := newWorld(t, follow.Config{}, n...)
		limit := func() int { return w.src.Status().Nodes[0].Limit }
		w.start()
		w.when(time.Minute, "a high limit", func() bool { return limit() > 20 })
		if p := w.src.Status().Nodes[0].P50; p != 100*time.Millisecond {
			t.Errorf("p50 is %s; want 100ms", p)
		}
		n[0].SetLatency(3 * time.Second)
		w.when(time.Minute, "a low limit", func() bool { return limit() <= 2 })
		n[0].SetLatency(100 * time.Millisecond)
		w.when(time.Minute, "a high limit again", func() bool { return limit() > 10 })
		n[0].SetFault(followtest.Failing)
		w.when(time.Minute, "a low limit again", func() bool { return limit() < 5 })
		n[0].SetFault(followtest.Honest)
		w.until(20*time.Minute, b.Head().Point)
		w.stop()
	})
}

// A node that hangs holds nothing up for longer than Slow: another is asked too.
func TestAHangingNodeHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 200)
		n := network(3, b)
		w := newWorld(t, follow.Config{}, n...)
		w.start()
		w.until(time.Minute, b.Head().Point)
		n[0].SetFault(followtest.Hanging)
		for range 20 {
			b = b.Grow("a", 1)
			for _, node := range n {
				node.SetBranch(b)
			}
			w.until(4*time.Second, b.Head().Point) // Poll, and Slow
		}
		w.stop()
	})
}

// A node that pushes without end is not asked without end.
func TestPushesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(1, followtest.NewBranch(chain, "a", 10))
		w := newWorld(t, follow.Config{}, n...)
		n[0].SetPush(true)
		w.start()
		for range 10_000 {
			n[0].SetBranch(followtest.NewBranch(chain, "a", 10))
			time.Sleep(time.Millisecond)
		}
		w.stop()
		if got := n[0].Calls().Head; got > 600 { // 10 s, at most one in 20 ms
			t.Errorf("%d calls for the head in 10 s", got)
		}
	})
}

// A lost push connection is made again.
func TestWatchIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &dropping{Node: followtest.NewNode("n", chain, followtest.NewBranch(chain, "a", 10))}
		src, err := follow.New([]follow.Node{n}, follow.Config{Chain: chain, Chance: func() float64 { return 0.5 }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		for _, err := range src.Steps(ctx, nil) {
			if err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
		}
		if n.watched < 10 || n.watched > 30 {
			t.Errorf("watched %d times in ten minutes; want each time later than the last, up to a minute", n.watched)
		}
	})
}

// A dropping node loses the connection of each Watch at once.
type dropping struct {
	*followtest.Node
	watched int
}

func (d *dropping) Watch(context.Context, func()) error {
	d.watched++
	return context.DeadlineExceeded
}

// Before a node is followed it says which chain it serves; blocks of another are never asked for.
func TestANodeOfAnotherChainIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(1, followtest.NewBranch(chain, "a", 10))
		n[0].SetFault(followtest.OtherChain)
		w := newWorld(t, follow.Config{}, n...)
		w.start()
		time.Sleep(10 * time.Minute)
		w.stop()
		c := n[0].Calls()
		if c.Head+c.Block+c.Headers+c.Final > 0 || c.Chain < 2 || c.Chain > 5 || w.read.tip() != (flow.Point{}) {
			t.Errorf("calls %+v, tip %s", c, w.read.tip())
		}
		if s := w.src.Status().Nodes[0]; s.State != follow.Lying || s.Lies != c.Chain || s.Until.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

// With nodes that push, a block is handed on after one call for the head and one for the block.
func TestTheHeadIsHandedOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 200)
		n := network(3, b)
		for _, node := range n {
			node.SetLatency(40 * time.Millisecond)
			node.SetPush(true)
		}
		w := newWorld(t, follow.Config{}, n...)
		var at time.Time
		w.taken = func(s source.Step) {
			if s.Op == source.Add {
				at = time.Now()
			}
		}
		w.start()
		w.until(time.Minute, b.Head().Point)
		var worst time.Duration
		for i := range 50 {
			time.Sleep(time.Duration(500+37*i) * time.Millisecond)
			b = b.Grow("a", 1)
			for _, node := range n {
				node.SetBranch(b)
			}
			began := time.Now()
			w.until(2*time.Second, b.Head().Point)
			worst = max(worst, at.Sub(began))
		}
		w.stop()
		t.Logf("nodes of 40 ms that push: at worst %s from the block to the reader", worst)
		if worst > 150*time.Millisecond { // a poll may be under way: its answer is of before
			t.Errorf("a block took %s; want at most a poll and two calls of 40 ms", worst)
		}
	})
}
