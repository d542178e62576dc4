package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// An op is one thing that happens to an outbox.
type op struct {
	What   string // add, back, begin, settle, sleep, sink, restart
	Height uint64
	Keys   []int
	Sleep  time.Duration
	Sink   int
	Mode   string // well, down, deaf (takes, and says that it did not), refuses, picky (refuses key 2, and fails at key 3)
	Crash  int    // at so many writes to the disk from here on; never if 0
}

const modelKeys = 6

func modelKey(i int) string { return string(rune('a' + i)) }

func modelAlert(i int) alert.Alert {
	s := []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Medium, finding.Low, finding.Info}[i]
	return found(modelKey(i), s)
}

// A naive model of what holds under each key.
type naive struct {
	state  State
	height uint64
	serial int
}

func (m *naive) add(height uint64) {
	switch m.state {
	case Withdrawn:
		m.serial++
	}
	m.state, m.height = Standing, height
}

func (m *naive) back(from uint64) {
	if m.state == Standing && m.height >= from {
		m.state = Doubtful
	}
}

func (m *naive) settle(height uint64) {
	if m.state == Doubtful && m.height <= height {
		m.state = Withdrawn
		m.serial++
	}
}

// A world is everything around an outbox: a disk that may crash, and receivers who remember.
type world struct {
	mu      sync.Mutex
	mem     *vfs.MemFS                // guarded by mu
	chance  *rand.Rand                // guarded by mu
	left    int                       // guarded by mu: writes until the crash; 0 for none
	opening bool                      // guarded by mu
	clone   *vfs.MemFS                // guarded by mu: what the crash has left; nil if there was none
	modes   [2]string                 // guarded by mu
	heard   [2]map[string][]int       // guarded by mu: serials under a key, in the order in which they were heard first
	texts   [2]map[string]alert.Alert // guarded by mu: by ID
	refused [2]bool                   // guarded by mu: something was, ever
	wrong   error                     // guarded by mu

	o       *Outbox
	stop    context.CancelFunc
	done    chan error
	crashes int
}

// strike takes a copy of what the disk would hold if the power went now, when it is time. Nobody hears anything from the
// program after that.
func (w *world) strike(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 || w.clone != nil {
		return nil
	}
	if w.left--; w.left > 0 {
		return nil
	}
	percent := w.chance.IntN(3) * 50
	if percent == 50 && w.opening {
		percent = 100 // Pebble relies on the order of new files in a folder
	}
	w.clone = w.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: w.chance})
	return nil
}

// An ear is a sink of a world.
type ear struct {
	w *world
	i int
}

func (e ear) Name() string { return [2]string{"desk", "pager"}[e.i] }

func (e ear) Send(ctx context.Context, group []alert.Alert) error {
	w := e.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clone != nil || ctx.Err() != nil {
		return errors.New("the program is dead")
	}
	switch w.modes[e.i] {
	case "down":
		return errors.New("down")
	case "refuses":
		w.refused[e.i] = true
		return fmt.Errorf("no: %w", alert.ErrRefused)
	case "picky":
		for _, a := range group {
			if a.Key == modelKey(2) {
				w.refused[e.i] = true
				return fmt.Errorf("not this one: %w", alert.ErrRefused)
			}
			if a.Key == modelKey(3) {
				return errors.New("sick of it")
			}
		}
	}
	for _, a := range group {
		id := a.ID()
		if old, ok := w.texts[e.i][id]; ok {
			if old.Kind != a.Kind || old.Text != a.Text {
				w.wrong = fmt.Errorf("%s heard %s twice with other words: %q and %q", e.Name(), id, old.Text, a.Text)
			}
			continue
		}
		w.texts[e.i][id] = a
		w.heard[e.i][a.Key] = append(w.heard[e.i][a.Key], a.Serial)
	}
	if w.modes[e.i] == "deaf" {
		return errors.New("the answer was lost")
	}
	return nil
}

func (w *world) config() Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opening = true
	return Config{
		Sinks: []Receiver{{Sink: ear{w, 0}}, {Sink: ear{w, 1}}},
		Routes: []Route{
			{Name: "loud", Least: finding.High, Sinks: []string{"desk"}, Continue: true},
			{Name: "rest", Sinks: []string{"desk", "pager"}, Group: 3},
		},
		Jitter: func() float64 { return 0.5 },
		FS:     errorfs.Wrap(w.mem, errorfs.InjectorFunc(w.strike)),
	}
}

func (w *world) start() error {
	for {
		o, err := Open("outbox", w.config())
		w.mu.Lock()
		w.opening = false
		crashed := w.clone != nil
		if crashed {
			w.mem, w.clone, w.left = w.clone, nil, 0
			w.crashes++
		}
		w.mu.Unlock()
		if crashed { // while it was opening
			if err == nil {
				err = o.Close()
			}
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		w.o, w.stop, w.done = o, stop, make(chan error, 1)
		go func() { w.done <- o.Deliver(ctx) }()
		return nil
	}
}

func (w *world) end() error {
	w.stop()
	return errors.Join(<-w.done, w.o.Close())
}

// struck reports whether the power went; the program is then started again.
func (w *world) struck() (bool, error) {
	w.mu.Lock()
	clone := w.clone
	w.mu.Unlock()
	if clone == nil {
		return false, nil
	}
	if err := w.end(); err != nil {
		return true, err
	}
	w.mu.Lock()
	w.mem, w.clone, w.left = clone, nil, 0
	w.crashes++
	w.mu.Unlock()
	return true, w.start()
}

// play lets things happen to an outbox and holds it against the naive model. It returns how often the power went.
func play(t *testing.T, seed uint64, ops []op) (crashes int, err error) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{mem: vfs.NewCrashableMem(), chance: rand.New(rand.NewPCG(seed, 5))}
		for i := range w.modes {
			w.modes[i], w.heard[i], w.texts[i] = "well", map[string][]int{}, map[string]alert.Alert{}
		}
		if err = w.start(); err != nil {
			return
		}
		model := map[int]*naive{}
		for i, op := range ops {
			if err = w.happen(t.Context(), op, model); err == nil {
				err = w.compare(t.Context(), model)
			}
			if err != nil {
				err = errors.Join(fmt.Errorf("op %d %+v: %w", i, op, err), w.end())
				return
			}
		}
		err = errors.Join(w.finish(t.Context(), model), w.end(), w.wrong)
		crashes = w.crashes
	})
	return crashes, err
}

// happen does one thing; where the power went meanwhile, it is done again.
func (w *world) happen(ctx context.Context, op op, model map[int]*naive) error {
	w.mu.Lock()
	if op.Crash > 0 {
		w.left = op.Crash
	}
	w.mu.Unlock()
	for {
		err := w.do(ctx, op)
		again, failed := w.struck()
		if failed != nil {
			return failed
		}
		if !again {
			if err != nil {
				return err
			}
			break
		}
	}
	for _, i := range op.Keys {
		if model[i] == nil {
			model[i] = &naive{}
		}
		model[i].add(op.Height)
	}
	for _, m := range model {
		switch op.What {
		case "back", "begin":
			m.back(op.Height)
		case "settle":
			m.settle(op.Height)
		}
	}
	return nil
}

func (w *world) do(ctx context.Context, op op) error {
	switch op.What {
	case "add":
		var all []alert.Alert
		for _, i := range op.Keys {
			all = append(all, modelAlert(i))
		}
		return w.o.Add(ctx, at(op.Height), all)
	case "back":
		return w.o.Back(ctx, chain, op.Height)
	case "begin":
		return w.o.Begin(ctx, chain, op.Height)
	case "settle":
		return w.o.Settle(ctx, chain, op.Height)
	case "sleep":
		time.Sleep(op.Sleep)
	case "sink":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.modes[op.Sink] = op.Mode
	case "restart":
		if err := w.end(); err != nil {
			return err
		}
		return w.start()
	}
	return nil
}

// compare holds what the outbox says about itself against the model.
func (w *world) compare(ctx context.Context, model map[int]*naive) error {
	n := 0
	for e, err := range w.o.List(ctx, Filter{}) {
		if err != nil {
			return err
		}
		n++
		m := model[int(e.Alert.Key[0]-'a')]
		if m == nil || m.state != e.State || m.serial != e.Alert.Serial {
			return fmt.Errorf("%s: it is %s with serial %d; want %+v", e.Alert.Key, e.State, e.Alert.Serial, m)
		}
	}
	if n != len(model) {
		return fmt.Errorf("it lists %d alerts; want %d", n, len(model))
	}
	doubtful := 0
	for _, m := range model {
		if m.state == Doubtful {
			doubtful++
		}
	}
	s, err := w.o.State(ctx)
	if err != nil || s.Doubtful != doubtful {
		return fmt.Errorf("it has %d in doubt, %w; want %d", s.Doubtful, err, doubtful)
	}
	return nil
}

// finish makes everybody well and sees that everything was told.
func (w *world) finish(ctx context.Context, model map[int]*naive) error {
	w.mu.Lock()
	w.modes, w.left = [2]string{"well", "well"}, 0
	w.mu.Unlock()
	if _, err := w.struck(); err != nil { // after the last thing that happened
		return err
	}
	time.Sleep(10 * time.Minute)
	for _, name := range []string{"desk", "pager"} {
		if _, err := w.o.Redeliver(ctx, name); err != nil {
			return err
		}
	}
	time.Sleep(10 * time.Minute)
	s, err := w.o.State(ctx)
	if err != nil {
		return err
	}
	for _, sink := range s.Sinks {
		if sink.Queued != 0 || sink.Dead != 0 || sink.Oldest != 0 {
			return fmt.Errorf("%s has %d queued and %d dead after all", sink.Name, sink.Queued, sink.Dead)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.heard {
		for k, m := range model {
			heard := w.heard[i][modelKey(k)]
			want := make([]int, m.serial+1)
			for j := range want {
				want[j] = j
			}
			told := slices.Equal(heard, want)
			if w.refused[i] { // some were refused, and never said again because others came after
				told = slices.IsSorted(heard) && len(heard) > 0 && heard[len(heard)-1] == m.serial
			}
			if !told {
				return fmt.Errorf("sink %d heard %v of %s, which is %s; want %v", i, heard, modelKey(k), m.state, want)
			}
			last := w.texts[i][alert.Alert{Key: modelKey(k), Serial: m.serial}.ID()]
			if (last.Kind == alert.Correction) != (m.state == Withdrawn) {
				return fmt.Errorf("sink %d heard last that %s is %s; it is %s", i, modelKey(k), last.Kind, m.state)
			}
		}
	}
	return nil
}

func anOp(int1 func(n int) int) op {
	keys := func() (all []int) {
		for range 1 + int1(3) {
			if k := int1(modelKeys); !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
		return all
	}
	o := op{Height: uint64(int1(12))}
	switch n := int1(16); {
	case n < 6:
		o.What, o.Keys = "add", keys()
	case n < 8:
		o.What = "back"
	case n < 9:
		o.What = "begin"
	case n < 11:
		o.What = "settle"
	case n < 13:
		o.What, o.Sleep = "sleep", []time.Duration{time.Millisecond, time.Second, 6 * time.Second, time.Minute}[int1(4)]
	case n < 15:
		o.What, o.Sink, o.Mode = "sink", int1(2), []string{"well", "well", "down", "deaf", "refuses", "picky"}[int1(6)]
	default:
		o.What = "restart"
	}
	return o
}

func TestOutboxAgreesWithANaiveModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(rt, "length")
		var ops []op
		for range n {
			ops = append(ops, anOp(func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "choice") }))
		}
		if _, err := play(t, 1, ops); err != nil {
			rt.Fatalf("%v\n%+v", err, ops)
		}
	})
}

// SPOOR_CRASHES asks for more crashes than those of a usual run, and SPOOR_CRASH_SEED for one journey.
func TestCrash(t *testing.T) {
	want, from := 350, uint64(0)
	if n, err := strconv.Atoi(os.Getenv("SPOOR_CRASHES")); err == nil {
		want = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SPOOR_CRASH_SEED"), 10, 64); err == nil {
		want, from = 1, n
	}
	crashes, seed := 0, from
	for ; crashes < want; seed++ {
		rnd := rand.New(rand.NewPCG(seed, 3))
		var ops []op
		for range 40 {
			o := anOp(rnd.IntN)
			if rnd.IntN(2) == 0 {
				o.Crash = 1 + rnd.IntN(6)
			}
			ops = append(ops, o)
		}
		n, err := play(t, seed, ops)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		crashes += n
	}
	t.Logf("seeds %d to %d: %d crashes survived", from, seed-1, crashes)
}
