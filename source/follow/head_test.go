package follow_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
)

// network is nodes named n0, n1, … on one branch.
func network(count int, b followtest.Branch) []*followtest.Node {
	var nodes []*followtest.Node
	for i := range count {
		nodes = append(nodes, followtest.NewNode(fmt.Sprint("n", i), chain, b))
	}
	return nodes
}

// steady fails the test if the reader's tip leaves p within d.
func (w *world) steady(d time.Duration, p flow.Point) {
	w.t.Helper()
	if await(d, func() bool { return w.read.tip() != p }) {
		w.stop()
		w.t.Fatalf("the tip is %s; want it to stay %s\n%s", w.read.tip(), p, w.describe())
	}
}

func TestANodeThatIsBehindTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 100)
		n := network(1, b)
		w := newWorld(t, follow.Config{}, n...)
		w.start()
		w.until(time.Minute, b.Head().Point)
		n[0].SetBranch(b.Cut(99)) // one block, which is less than Behind
		w.steady(29*time.Second, b.Head().Point)
		if got := w.src.Status().Nodes[0].State; got != follow.Well {
			t.Errorf("state %s before the patience is over; want well", got)
		}
		w.steady(5*time.Second, b.Head().Point)
		if got := w.src.Status().Nodes[0].State; got != follow.Stale || len(w.told(follow.NodeStale)) != 1 {
			t.Errorf("state %s, told %v; want stale", got, w.told(follow.NodeStale))
		}
		b = b.Grow("a", 3)
		n[0].SetBranch(b)
		w.until(3*time.Second, b.Head().Point)
		other := b.Cut(90).Grow("other", 2) // lower than the reader's tip, and another branch: a head that was set back
		n[0].SetBranch(other)
		w.until(3*time.Second, other.Head().Point)
		w.stop()
		if s := w.src.Status(); w.read.undone != 13 || s.Deepest != 13 || s.Undone != 13 || len(w.told(follow.NodeRecovered)) != 1 {
			t.Errorf("undone %d, deepest %d of %d, recovered %v; want 13", w.read.undone, s.Deepest, s.Undone, w.told(follow.NodeRecovered))
		}
	})
}

func TestOneBehindAmongOthersIsNotAFork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 100)
		n := network(3, b)
		w := newWorld(t, follow.Config{}, n...)
		w.start()
		w.until(time.Minute, b.Head().Point)
		for range 10 {
			b = b.Grow("a", 1)
			n[1].SetBranch(b)
			n[2].SetBranch(b)
			w.until(3*time.Second, b.Head().Point)
		}
		w.stop()
		s := w.src.Status()
		if s.Nodes[0].State != follow.Stale || s.Nodes[0].Behind != 10 || w.read.undone != 0 || s.Unconfirmed || s.Agree != 2 {
			t.Errorf("status %+v, undone %d", s, w.read.undone)
		}
	})
}

func TestABlockWaitsUntilEnoughNodesSayIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 100)
		n := network(2, b)
		w := newWorld(t, follow.Config{}, n...)
		w.start()
		w.until(time.Minute, b.Head().Point)
		old := b.Head().Point
		b = b.Grow("a", 1)
		n[0].SetBranch(b)
		w.steady(20*time.Second, old)
		n[1].SetBranch(b)
		w.until(2*time.Second, b.Head().Point)
		if s := w.src.Status(); s.Unconfirmed || s.Agree != 2 || len(w.told(follow.Unconfirmed)) > 0 {
			t.Errorf("status %+v", s)
		}
		// One of two falls ill: the other is enough, and people are told.
		n[1].SetFault(followtest.Failing)
		b = b.Grow("a", 1)
		n[0].SetBranch(b)
		w.until(5*time.Second, b.Head().Point)
		if s := w.src.Status(); !s.Unconfirmed || len(w.told(follow.Unconfirmed)) != 1 || s.Nodes[1].State != follow.Ill || s.Nodes[1].Error == "" {
			t.Errorf("status %+v", s)
		}
		n[1].SetFault(followtest.Honest)
		n[1].SetBranch(b)
		w.when(2*time.Minute, "confirmed", func() bool { return len(w.told(follow.Confirmed)) == 1 })
		w.stop()
	})
}

func TestNodesOnDifferentBranches(t *testing.T) {
	base := followtest.NewBranch(chain, "a", 100)
	ours, theirs := base.Grow("ours", 2), base.Grow("theirs", 2)
	longer := theirs.Grow("theirs", 1)
	for _, c := range []struct {
		name   string
		agree  int
		margin uint64
		last   []followtest.Branch // what each node says in the end
		wait   time.Duration
		want   followtest.Branch
	}{
		{"as-long-stays", 1, 1, []followtest.Branch{ours, theirs}, 2 * time.Minute, ours},
		{"longer-wins", 1, 1, []followtest.Branch{ours, longer}, 2 * time.Second, longer},
		{"not-by-the-margin", 1, 2, []followtest.Branch{ours, longer}, 2 * time.Minute, ours},
		{"more-nodes-win", 1, 1, []followtest.Branch{ours.Grow("ours", 1), theirs, theirs}, 2 * time.Second, theirs},
		{"two-of-three-agree", 2, 1, []followtest.Branch{ours.Grow("ours", 1), theirs, theirs}, 2 * time.Second, theirs},
		{"longer-wins-unconfirmed", 2, 1, []followtest.Branch{ours, longer}, 34 * time.Second, longer},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := network(len(c.last), ours)
				w := newWorld(t, follow.Config{Agree: c.agree, Margin: c.margin}, n...)
				w.start()
				w.until(time.Minute, ours.Head().Point)
				for i, b := range c.last {
					n[i].SetBranch(b)
				}
				if c.want.Head() == ours.Head() {
					w.steady(c.wait, ours.Head().Point)
				} else {
					if c.agree == 2 && len(n) == 2 {
						w.steady(28*time.Second, ours.Head().Point)
					}
					w.until(c.wait, c.want.Head().Point)
				}
				w.stop()
			})
		})
	}
}

func TestFinalIsWhatEnoughNodesSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 200)
		n := network(3, b)
		finals := func(heights ...int) {
			for i, h := range heights {
				n[i].SetFinal(h)
			}
			b = b.Grow("a", 1) // nodes are asked with each new head
			for _, node := range n {
				node.SetBranch(b)
			}
			time.Sleep(5 * time.Second)
		}
		w := newWorld(t, follow.Config{}, n...)
		w.start()
		for i, c := range []struct {
			say  []int
			want int
		}{
			{[]int{-1, -1, -1}, 136},   // nobody says: 64 behind the head
			{[]int{150, -1, -1}, 138},  // one is not enough: a block more, then this one
			{[]int{150, 160, -1}, 150}, // two say at least 150
			{[]int{150, 170, 160}, 160},
			{[]int{150, 160, 155}, 160}, // nobody goes back
			{[]int{190, 190, 190}, 190},
		} {
			finals(c.say...)
			if i < 2 {
				c.want = b.Len() - 1 - 64
			}
			w.when(5*time.Second, fmt.Sprintf("case %d: final %d", i, c.want), func() bool { return w.read.final == c.want })
			if got := w.src.Status().Final; got != b.At(c.want) {
				t.Errorf("status says %s; want %s", got, b.At(c.want))
			}
		}
		// No node may take back what is final: the branch is not followed, and those who say it are named.
		kept := w.read.tip()
		fork := b.Cut(180).Grow("fork", 60)
		for _, node := range n {
			node.SetFinal(-1) // which alone would give them away
			node.SetBranch(fork)
		}
		w.steady(time.Minute, kept)
		w.stop()
		if len(w.told(follow.NodeLied)) == 0 || w.read.undone > 0 {
			t.Errorf("a branch that leaves below a final block: %s", w.describe())
		}
	})
}

func TestBackfillIsFinalAsItGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 1000)
		n := network(2, b)
		n[0].SetFinal(900)
		n[1].SetFinal(900)
		w := newWorld(t, follow.Config{}, n...)
		w.start()
		w.until(time.Minute, b.Head().Point)
		w.stop()
		if w.read.final != 900 || w.read.finals < 10 {
			t.Errorf("final is %d, said %d times; want 900, and many before it", w.read.final, w.read.finals)
		}
	})
}

func TestADeepForkEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 500)
		n := network(1, b)
		w := newWorld(t, follow.Config{Depth: 50, Confirmations: -1}, n...)
		w.start()
		w.until(time.Minute, b.Head().Point)
		n[0].SetBranch(b.Cut(300).Grow("b", 300))
		w.when(time.Minute, "the end", func() bool { return w.read.wrongNow() != nil })
		if err := w.halt(); !errors.Is(err, follow.ErrDeep) || w.read.undone > 0 {
			t.Errorf("error %v, undone %d; want ErrDeep, and nothing undone", err, w.read.undone)
		}
	})
}

func TestWhereAnEmptyReaderBegins(t *testing.T) {
	b := followtest.NewBranch(chain, "a", 300)
	for _, c := range []struct {
		cfg  follow.Config
		want uint64
	}{{follow.Config{}, 0}, {follow.Config{From: 250}, 250}, {follow.Config{FromHead: true}, 299}, {follow.Config{From: 310}, 310}} {
		t.Run(fmt.Sprintf("from%d-head-%v", c.cfg.From, c.cfg.FromHead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := network(2, b)
				w := newWorld(t, c.cfg, n...)
				w.start()
				time.Sleep(10 * time.Second)
				grown := b.Grow("a", 20)
				n[0].SetBranch(grown)
				n[1].SetBranch(grown)
				w.until(10*time.Second, grown.Head().Point)
				w.stop()
				if got := w.read.points[0].Height; got != c.want {
					t.Errorf("begins at %d; want %d", got, c.want)
				}
			})
		})
	}
}

// A restart may know anything: blocks of the branch, of another one, with gaps, or without their hashes.
func TestRestartWithAnyKnown(t *testing.T) {
	base := followtest.NewBranch(chain, "a", 100)
	won, lost := base.Grow("won", 60), base.Grow("lost", 40)
	gaps := func(p []flow.Point) []flow.Point {
		return slices.DeleteFunc(p, func(p flow.Point) bool { return p.Height%3 == 1 })
	}
	unnamed := func(p []flow.Point) []flow.Point {
		for i := range p {
			if p[i].Height%2 == 0 {
				p[i].Hash = flow.Hash{}
			}
		}
		return p
	}
	other := []flow.Point{{Chain: flow.Bitcoin, Height: 5, Hash: flow.Hash{1}}}
	for _, c := range []struct {
		name       string
		known      []flow.Point
		undo, adds int
	}{
		{"nothing", nil, 0, 160},
		{"tip", won.Known(1), 0, 0},
		{"all", won.Known(1000), 0, 0},
		{"below", won.Cut(120).Known(7), 0, 40},
		{"lost-all", lost.Known(1000), 40, 60},
		{"lost-some", lost.Known(50), 40, 60},
		{"lost-only", lost.Known(40), 40, 60}, // of nothing below is known
		{"lost-gaps", gaps(lost.Known(100)), 26, 60},
		{"gaps", gaps(won.Cut(150).Known(100)), 0, 10},
		{"unnamed", unnamed(lost.Known(100)), 40, 60},
		{"another-chain", other, 0, 160},
	} {
		for _, nodes := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s-nodes%d", c.name, nodes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, follow.Config{Confirmations: -1}, network(nodes, won)...)
					w.read = newReader(c.known)
					if c.name == "another-chain" {
						w.read.points = nil
					}
					w.startFrom(c.known)
					w.until(10*time.Second, won.Head().Point)
					time.Sleep(5 * time.Second)
					w.stop()
					if w.read.undone != c.undo || w.read.added != c.adds {
						t.Errorf("undone %d, added %d; want %d, %d", w.read.undone, w.read.added, c.undo, c.adds)
					}
				})
			})
		}
	}
}

func TestSeenIsToldOnceAndBeforeTheBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 300)
		n := network(2, b)
		var mu sync.Mutex
		seen := map[flow.Hash]time.Time{}
		twice, late := 0, 0
		cfg := follow.Config{Seen: func(p flow.Point, at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			if _, ok := seen[p.Hash]; ok {
				twice++
			}
			seen[p.Hash] = at
		}}
		w := newWorld(t, cfg, n...)
		w.taken = func(s source.Step) {
			mu.Lock()
			defer mu.Unlock()
			if at, ok := seen[s.Block.Point.Hash]; !ok || at.After(time.Now()) {
				late++
			}
		}
		w.start()
		w.until(time.Minute, b.Head().Point)
		b = b.Grow("a", 1)
		n[0].SetBranch(b)
		first := time.Now()
		time.Sleep(10 * time.Second)
		n[1].SetBranch(b)
		w.until(3*time.Second, b.Head().Point)
		w.stop()
		mu.Lock()
		defer mu.Unlock()
		if twice > 0 || late > 0 || len(seen) != b.Len() {
			t.Errorf("told twice %d, late %d, in all %d; want 0, 0, %d", twice, late, len(seen), b.Len())
		}
		if d := seen[b.Head().Point.Hash].Sub(first); d > 2*time.Second {
			t.Errorf("the head was heard of after %s; want the moment when the first node said it", d)
		}
	})
}

func TestTheEndIsAtOnce(t *testing.T) {
	for _, fault := range append(followtest.Faults(), followtest.Honest) {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := network(3, followtest.NewBranch(chain, "a", 1000))
				for _, node := range n {
					node.SetLatency(70 * time.Millisecond)
					node.SetPush(true)
				}
				n[0].SetFault(fault)
				n[1].SetFault(fault)
				w := newWorld(t, follow.Config{}, n...)
				w.start()
				time.Sleep(777 * time.Millisecond)
				before := time.Now()
				w.stop() // the bubble itself makes sure that no goroutine is left
				if d := time.Since(before); d > 0 {
					t.Errorf("it took %s to end", d)
				}
			})
		})
	}
}
