package follow_test

import (
	"context"
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

var chain = flow.EVMChain(1)

// A reader holds the contract of source.Source against what a follower yields.
type reader struct {
	mu     sync.Mutex
	points []flow.Point // guarded by mu
	final  int          // height
	wrong  error
	undone int
	added  int
	finals int
}

func newReader(known []flow.Point) *reader {
	r := &reader{final: -1}
	for _, p := range slices.Backward(known) {
		r.points = append(r.points, p)
	}
	return r
}

func (r *reader) known() []flow.Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := slices.Clone(r.points)
	slices.Reverse(k)
	return k
}

func (r *reader) take(s source.Step) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := s.Block.Point
	switch s.Op {
	case source.Add:
		if err := followtest.Check(context.Background(), s.Block); err != nil {
			return fmt.Errorf("add of what does not check: %w", err)
		}
		if n := len(r.points); n > 0 {
			tip := r.points[n-1]
			if p.Height <= tip.Height {
				return fmt.Errorf("add %s on %s", p, tip)
			}
			if p.Height == tip.Height+1 && s.Block.Parent != tip.Hash {
				return fmt.Errorf("add %s, parent %.12s, on %s", p, s.Block.Parent, tip)
			}
		}
		r.points = append(r.points, p)
		r.added++
	case source.Undo:
		n := len(r.points)
		if n == 0 || r.points[n-1].Height != p.Height || r.points[n-1].Hash != p.Hash {
			return fmt.Errorf("undo %s, which is not the tip", p)
		}
		if int(p.Height) <= r.final {
			return fmt.Errorf("undo %s, and %d is final", p, r.final)
		}
		r.points = r.points[:n-1]
		r.undone++
	case source.Final:
		if int(p.Height) <= r.final {
			return fmt.Errorf("final %s after %d", p, r.final)
		}
		if !slices.Contains(r.points, p) {
			return fmt.Errorf("final %s, which the reader does not have", p)
		}
		r.final = int(p.Height)
		r.finals++
	default:
		return fmt.Errorf("step of kind %d", s.Op)
	}
	return nil
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = err
}

func (r *reader) wrongNow() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrong
}

func (r *reader) tip() flow.Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.points) == 0 {
		return flow.Point{}
	}
	return r.points[len(r.points)-1]
}

// A world is a network, a follower, and a reader of it.
type world struct {
	t      testing.TB
	nodes  []*followtest.Node
	src    *follow.Source
	read   *reader
	events []follow.Event
	evMu   sync.Mutex
	taken  func(source.Step) // if any, told of each step that the reader took
	halt   func() error      // ends the stream, waits for it, and returns what was wrong with it
}

// stop ends the stream, in which nothing may have been wrong.
func (w *world) stop() {
	w.t.Helper()
	if err := w.halt(); err != nil {
		w.t.Fatalf("stream: %v\n%s", err, w.describe())
	}
}

// newWorld makes a follower of nodes. It has to be started.
func newWorld(t testing.TB, cfg follow.Config, nodes ...*followtest.Node) *world {
	t.Helper()
	w := &world{t: t, nodes: nodes, read: newReader(nil)}
	cfg.Chain = chain
	cfg.Check = followtest.Check
	cfg.Chance = func() float64 { return 0.5 }
	tell := cfg.Tell
	cfg.Tell = func(e follow.Event) {
		w.evMu.Lock()
		w.events = append(w.events, e)
		w.evMu.Unlock()
		if tell != nil {
			tell(e)
		}
	}
	var list []follow.Node
	for _, n := range nodes {
		list = append(list, n)
	}
	src, err := follow.New(list, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.src = src
	return w
}

// start lets the reader follow from what it holds.
func (w *world) start() { w.startFrom(w.read.known()) }

// startFrom lets the reader follow as if it held these.
func (w *world) startFrom(known []flow.Point) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for step, err := range w.src.Steps(ctx, known) {
			if err == nil {
				err = w.read.take(step)
			}
			if err != nil {
				if ctx.Err() == nil {
					w.read.fail(err)
				}
				break
			}
			if w.taken != nil {
				w.taken(step)
			}
		}
	}()
	w.halt = func() error {
		cancel()
		<-done
		return w.read.wrongNow()
	}
}

// until waits, for at most so long, until the reader's tip is that block.
func (w *world) until(most time.Duration, p flow.Point) {
	w.t.Helper()
	w.when(most, fmt.Sprintf("tip %s", p), func() bool { return w.read.tip() == p })
}

// when waits, for at most so long, until something holds.
func (w *world) when(most time.Duration, what string, holds func() bool) {
	w.t.Helper()
	if !await(most, holds) {
		w.stop()
		w.t.Fatalf("after %s not: %s\n%s", most, what, w.describe())
	}
}

// await waits, for at most so long, until something holds, and reports whether it does.
func await(most time.Duration, holds func() bool) bool {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		synctest.Wait()
		if holds() {
			return true
		}
		if time.Since(began) > most {
			return false
		}
	}
}

func (w *world) told(k follow.Kind) []follow.Event {
	w.evMu.Lock()
	defer w.evMu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.events), func(e follow.Event) bool { return e.Kind != k })
}

func (w *world) describe() string {
	s := w.src.Status()
	text := fmt.Sprintf("reader %s added %d undone %d final %d\nhead %s tip %s agree %d/%d unconfirmed %v holes %v\n",
		w.read.tip(), w.read.added, w.read.undone, w.read.final, s.Head, s.Tip, s.Agree, s.Need, s.Unconfirmed, s.Holes)
	for _, n := range s.Nodes {
		text += fmt.Sprintf("%s %s head %s behind %d error %q lies %d %q requests %d limit %d\n", n.Name, n.State, n.Head, n.Behind, n.Error, n.Lies, n.Lie, n.Requests, n.Limit)
	}
	w.evMu.Lock()
	defer w.evMu.Unlock()
	for _, e := range w.events[max(0, len(w.events)-20):] {
		text += fmt.Sprintf("  %s %s %s %s %d\n", e.At.Format("15:04:05.000"), e.Kind, e.Node, e.Reason, e.Depth)
	}
	return text
}
