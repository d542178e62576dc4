package follow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/source/follow/followtest"
	"github.com/spoor-dev/spoor/store/memstore"
)

func setBad(nodes []*followtest.Node, on bool, heights ...uint64) {
	for _, n := range nodes {
		for _, h := range heights {
			n.SetBad(h, on)
		}
	}
}

func TestABlockThatNobodyGivesBecomesAHole(t *testing.T) {
	for _, count := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			b := followtest.NewBranch(chain, "a", 400)
			n := network(count, b)
			setBad(n, true, 200, 201, 333)
			w := newWorld(t, follow.Config{}, n...)
			w.start()
			time.Sleep(119 * time.Second)
			if got := w.read.tip(); got != b.At(199) {
				t.Errorf("the tip is %s; want that below the hole", got)
			}
			w.until(30*time.Minute, b.Head().Point)
			s := w.src.Status()
			if len(s.Holes) != 2 || s.Holes[0].From != 200 || s.Holes[0].To != 201 || s.Holes[1].From != 333 || s.Holes[1].To != 333 || len(w.told(follow.HoleOpened)) != 2 {
				t.Fatalf("holes %+v, told %v; want 200 to 201, and 333", s.Holes, w.told(follow.HoleOpened))
			}
			if !strings.Contains(s.Holes[0].Reason, "does not check") || s.Holes[0].Since.IsZero() {
				t.Errorf("hole %+v", s.Holes[0])
			}
			// Later the nodes have them, and the hole can be filled.
			setBad(n, false, 200, 201, 333)
			time.Sleep(2 * time.Hour) // the benches are over
			at := uint64(200)
			for block, err := range w.src.Range(t.Context(), 200, 201) {
				if err != nil {
					t.Fatal(err)
				}
				if block.Point != b.At(int(at)) || followtest.Check(t.Context(), block) != nil {
					t.Errorf("filled with %s; want %s", block.Point, b.At(int(at)))
				}
				at++
			}
			if at != 202 {
				t.Errorf("filled up to %d; want 202", at)
			}
			w.stop()
		})
	}
}

func TestGiveUpNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 100)
		n := network(2, b)
		setBad(n, true, 50)
		w := newWorld(t, follow.Config{GiveUp: -1}, n...)
		w.start()
		time.Sleep(5 * time.Hour)
		if got := w.read.tip(); got != b.At(49) {
			t.Errorf("the tip is %s; want that below the block that nobody gives", got)
		}
		setBad(n, false, 50)
		w.until(2*time.Hour, b.Head().Point)
		w.stop()
		if len(w.src.Status().Holes) > 0 {
			t.Errorf("holes %v", w.src.Status().Holes)
		}
	})
}

// An outage is no hole: there is nothing above to go on with.
func TestAnOutageOpensNoHole(t *testing.T) {
	for _, fault := range []followtest.Fault{followtest.Failing, followtest.Silent, followtest.Hanging, followtest.Garbage} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := followtest.NewBranch(chain, "a", 300)
				n := network(2, b)
				for _, node := range n {
					node.SetLatency(30 * time.Millisecond)
				}
				w := newWorld(t, follow.Config{}, n...)
				w.start()
				time.Sleep(500 * time.Millisecond)
				for _, node := range n {
					node.SetFault(fault)
				}
				time.Sleep(20 * time.Minute)
				for _, node := range n {
					node.SetFault(followtest.Honest)
				}
				soon := 15 * time.Second
				if fault.IsLie() {
					soon = time.Hour // a lie is not forgotten as soon
				}
				w.until(soon, b.Head().Point)
				w.stop()
				if s := w.src.Status(); len(s.Holes) > 0 || w.read.added != b.Len() {
					t.Errorf("holes %v, added %d; want none, %d", s.Holes, w.read.added, b.Len())
				}
				if fault != followtest.Hanging && (len(w.told(follow.AllIll)) == 0 || len(w.told(follow.Recovered)) == 0) {
					t.Errorf("people were not told that all are ill, or that it is over\n%s", w.describe())
				}
			})
		})
	}
}

func TestRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 500)
		n := network(3, b)
		n[0].SetFault(followtest.ChangedRaw)
		w := newWorld(t, follow.Config{Window: 50}, n...)
		next := uint64(17)
		for block, err := range w.src.Range(t.Context(), 17, 420) { // without Steps beside it
			if err != nil {
				t.Fatal(err)
			}
			if block.Point != b.At(int(next)) {
				t.Fatalf("block %s; want %s", block.Point, b.At(int(next)))
			}
			next++
		}
		if next != 421 || w.src.Status().Nodes[0].Lies == 0 {
			t.Errorf("ended before %d, status %s", next, w.describe())
		}
		for range w.src.Range(t.Context(), 10, 300) {
			break // the reader wants no more: nothing is left behind
		}
		var last error
		for _, err := range w.src.Range(t.Context(), 490, 510) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), "block 490") {
			t.Errorf("range above the head: error %v", last)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for _, err := range w.src.Range(ctx, 490, 510) {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) {
			t.Errorf("range whose context is done: error %v", last)
		}
	})
}

// A store through ingest.Run ends on the branch that won, across forks, lies, and a restart.
func TestThroughIngest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := followtest.NewBranch(chain, "a", 300)
		n := network(3, b)
		n[0].SetFault(followtest.Garbage)
		w := newWorld(t, follow.Config{Confirmations: 200}, n...)
		st := memstore.New()
		tip := func() flow.Point {
			s, err := st.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			p, _ := s.Tip(chain)
			return p
		}
		run := func() (stop func() ingest.Stats) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan ingest.Stats)
			go func() {
				stats, err := ingest.Run(ctx, w.src, followtest.Decoder{}, st, ingest.Config{Ahead: 2})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("run: %v", err)
				}
				done <- stats
			}()
			return func() ingest.Stats { cancel(); return <-done }
		}
		reach := func(b followtest.Branch) {
			t.Helper()
			if !await(time.Minute, func() bool { return tip() == b.Head().Point }) {
				t.Fatalf("the store's tip is %s; want %s\n%s", tip(), b.Head().Point, w.describe())
			}
		}
		stop := run()
		reach(b)
		b = b.Cut(250).Grow("b", 80)
		for _, node := range n {
			node.SetBranch(b)
		}
		reach(b)
		if stats := stop(); stats.Undone != 50 || stats.Blocks != 380 {
			t.Errorf("stats %+v; want 50 undone of 380", stats)
		}
		b = b.Cut(300).Grow("c", 100)
		for _, node := range n {
			node.SetBranch(b)
		}
		stop = run()
		reach(b)
		if stats := stop(); stats.Undone != 30 || stats.Blocks != 100 {
			t.Errorf("stats after the restart %+v; want 30 undone, 100 added", stats)
		}
		s, err := st.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for h := range b.Len() {
			if p, err := s.Point(t.Context(), chain, uint64(h)); err != nil || p != b.At(h) {
				t.Fatalf("the store has %s, %v; want %s", p, err, b.At(h))
			}
		}
	})
}

var _ source.Source = (*follow.Source)(nil)
