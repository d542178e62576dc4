package live

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/room"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A life is a Spoor that dies now and then, with what does not die: the disk, the chain, and who is told.
type life struct {
	*tale
	t      *testing.T
	name   string // with the seed, for messages
	config config.Config

	mu      sync.Mutex
	chance  *rand.Rand
	mem     *vfs.MemFS
	left    int           // writes until the crash; 0 for none
	opening bool          // Pebble is
	clone   *vfs.MemFS    // what the crash has left; nil while it lives
	crashed chan struct{} // closed with it
	at      int           // the scene that the node shows
	has     []flow.Point  // blocks that the store has acknowledged
	coming  []flow.Point  // on their way into it
	going   bool          // the newest is on its way out
	heard   map[string][]alert.Alert
	calm    bool // no answer is lost any more
	repeats int
	wrong   error

	// For tests of full disks.
	disk      func(dir string) (room.Space, error)
	sized     func(of string, fs vfs.FS) vfs.FS // of the store or the outbox
	outbox    outbox.Config
	meanwhile func(*Live)
	states    []alert.Alert // what was told of Spoor itself
}

// newLife prepares a disk on which the first blocks are.
func newLife(t *testing.T, name string, a *tale, c config.Config, seed uint64) *life {
	t.Helper()
	l := &life{tale: a, t: t, name: name, config: c, mem: vfs.NewCrashableMem(), chance: rand.New(rand.NewPCG(seed, 12)), heard: map[string][]alert.Alert{}}
	st, err := pebblestore.Open("store", pebblestore.Options{FS: l.mem, CacheBytes: 1 << 20, MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	l.has = a.scenes[0].branch
	n, err := st.Append(t.Context(), a.of(l.has))
	if err = errors.Join(err, st.Close()); err != nil || n != baseBlocks {
		t.Fatalf("append = %d, %v", n, err)
	}
	return l
}

// strike takes a copy of what the disk would hold if the power went now, when it is time.
func (l *life) strike(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 || l.clone != nil {
		return nil
	}
	if l.left--; l.left > 0 {
		return nil
	}
	percent := l.chance.IntN(3) * 50
	if percent == 50 && l.opening {
		percent = 100 // Pebble relies on the order of new files in a folder
	}
	l.clone = l.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: l.chance})
	close(l.crashed)
	return nil
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clone != nil
}

// Name implements alert.Sink.
func (l *life) Name() string { return "desk" }

// Send implements alert.Sink: it remembers what it was told, and now and then its answer is lost.
func (l *life) Send(_ context.Context, group []alert.Alert) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clone != nil {
		return errors.New("who sends it is dead")
	}
	for _, a := range group {
		if a.Kind == alert.State {
			l.states = append(l.states, a)
			continue
		}
		said := l.heard[a.Key]
		switch {
		case a.Serial < len(said):
			l.repeats++
			if was := said[a.Serial]; was.Kind != a.Kind || was.Text != a.Text || was.At != a.At {
				l.wrong = fmt.Errorf("%s was told twice with other words: %q and %q", a.ID(), was.Text, a.Text)
			}
		case a.Serial > len(said):
			l.wrong = fmt.Errorf("%s came, and after it was told %d times", a.ID(), len(said))
		case a.Serial > 0 && !follows(said[a.Serial-1], a):
			l.wrong = fmt.Errorf("%s is %s and %s, after %s and %s", a.ID(), a.Kind, a.Severity, said[a.Serial-1].Kind, said[a.Serial-1].Severity)
		default:
			l.heard[a.Key] = append(said, a)
		}
	}
	if !l.calm && l.chance.IntN(5) == 0 {
		return errors.New("the answer was lost")
	}
	return nil
}

// follows reports whether one message can come behind another under a key.
func follows(before, a alert.Alert) bool {
	switch a.Kind {
	case alert.Correction:
		return before.Kind != alert.Correction
	case alert.Again:
		return before.Kind == alert.Correction
	}
	return a.Kind == alert.Found && a.Severity > before.Severity // it is worse on another branch
}

// Chain implements source.Source.
func (l *life) Chain() flow.Chain { return l.chain }

// Steps implements source.Source.
func (l *life) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		have := slices.Clone(known)
		slices.Reverse(have)
		for {
			l.mu.Lock()
			v := l.scenes[l.at]
			last := l.at == len(l.scenes)-1
			l.mu.Unlock()
			for n := len(have); n > 0 && (n > len(v.branch) || have[n-1] != v.branch[n-1]); n-- {
				if !yield(source.Step{Op: source.Undo, Block: source.Block{Point: have[n-1]}}, nil) {
					return
				}
				have = have[:n-1]
			}
			for _, p := range v.branch[len(have):] {
				if !yield(source.Step{Op: source.Add, Block: source.Block{Point: p, Parent: l.blocks[p.Hash].Parent}}, nil) {
					return
				}
				have = append(have, p)
			}
			if v.final > 0 && !yield(source.Step{Op: source.Final, Block: source.Block{Point: v.branch[v.final-1]}}, nil) {
				return
			}
			if last {
				<-ctx.Done()
			} else {
				rest(ctx, v.pause)
			}
			if ctx.Err() != nil {
				return
			}
			l.mu.Lock()
			if l.clone == nil {
				l.at++
			}
			l.mu.Unlock()
		}
	}
}

// An acknowledged store notes what it was given and what it has said to be safe.
type acknowledged struct {
	store.Store
	l *life
}

// Append implements store.Store.
func (s acknowledged) Append(ctx context.Context, blocks []flow.Block) (int, error) {
	s.note(func() {
		for _, b := range blocks {
			s.l.coming = append(s.l.coming, b.Point)
		}
	})
	n, err := s.Store.Append(ctx, blocks)
	s.note(func() { s.l.has, s.l.coming = append(s.l.has, s.l.coming[:n]...), nil })
	return n, err
}

// Undo implements store.Store.
func (s acknowledged) Undo(ctx context.Context, top flow.Point) error {
	s.note(func() { s.l.going = true })
	err := s.Store.Undo(ctx, top)
	s.note(func() {
		s.l.going = false
		if err == nil {
			s.l.has = slices.Clone(s.l.has[:len(s.l.has)-1])
		}
	})
	return err
}

func (s acknowledged) note(f func()) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.clone == nil {
		f()
	}
}

// run lets it live until it crashes at so many writes from now, or has seen everything. inTheEnd is called then.
func (l *life) run(writes int, inTheEnd func(*Live)) (crashed bool) {
	l.mu.Lock()
	l.left, l.opening, l.crashed = writes, true, make(chan struct{})
	storeFS := vfs.FS(errorfs.Wrap(l.mem, errorfs.InjectorFunc(l.strike)))
	l.outbox.FS = storeFS
	if l.sized != nil {
		storeFS, l.outbox.FS = l.sized("store", storeFS), l.sized("outbox", storeFS)
	}
	l.mu.Unlock()
	st, err := pebblestore.Open("store", pebblestore.Options{FS: storeFS, CacheBytes: 1 << 20, MinFreeBytes: 1, SegmentMovements: 12})
	if err != nil {
		l.t.Fatalf("%s: open the store: %v", l.name, err)
	}
	defer func() {
		if err := st.Close(); err != nil && !l.isDead() {
			l.t.Errorf("%s: close the store: %v", l.name, err)
		}
	}()
	if l.isDead() {
		return true
	}
	l.isThere(st)
	spoor, err := New(l.config, Options{
		Store: acknowledged{st, l}, Log: slog.New(slog.DiscardHandler), Sinks: []alert.Sink{l},
		Sources: []Source{{Source: l, Decoder: l, Confirmations: deepest}},
		Labels: func() (*engine.Labels, error) {
			labels := &engine.Labels{}
			return labels, labels.ReadLabels("labels.csv", strings.NewReader("address,label,category,is_service\ntext:eth:exchange1,Kraken,exchange,1\n"))
		},
		Outbox: l.outbox, Disk: l.disk,
	})
	if err != nil {
		l.t.Fatalf("%s: %v", l.name, err)
	}
	defer func() {
		if err := spoor.Close(); err != nil && !l.isDead() {
			l.t.Errorf("%s: close: %v", l.name, err)
		}
	}()
	l.mu.Lock()
	l.opening = false
	l.mu.Unlock()
	ctx, stop := context.WithCancel(l.t.Context())
	done := make(chan error, 1)
	go func() { done <- spoor.Run(ctx) }()
	if l.meanwhile != nil {
		l.meanwhile(spoor)
	}
	for seen := false; ; {
		select {
		case <-l.crashed:
			stop()
			<-done // whatever it says: it is dead
			return true
		case err := <-done:
			stop()
			l.t.Fatalf("%s: it has ended: %v", l.name, err)
		case <-time.After(90 * time.Second): // by then a sink is tried again
		}
		if seen {
			break
		}
		l.mu.Lock()
		seen = l.at == len(l.scenes)-1
		l.calm = seen
		l.mu.Unlock()
	}
	inTheEnd(spoor)
	stop()
	if err := <-done; err != nil && !l.isDead() {
		l.t.Fatalf("%s: run: %v", l.name, err)
	}
	return l.isDead()
}

// isThere holds what a store has against what it had acknowledged when the power went.
func (l *life) isThere(st store.Store) {
	s, err := st.Snapshot()
	if err != nil {
		l.t.Fatal(err)
	}
	there, err := s.Recent(l.t.Context(), l.chain, 1<<20)
	if err = errors.Join(err, s.Close()); err != nil {
		l.t.Fatal(err)
	}
	slices.Reverse(there)
	l.mu.Lock()
	defer l.mu.Unlock()
	least, most := len(l.has), slices.Concat(l.has, l.coming)
	if l.going {
		least--
	}
	if len(there) < least || len(there) > len(most) || !slices.Equal(there, most[:len(there)]) {
		l.t.Fatalf("%s: the store has %v; it acknowledged %v, %v were coming, the newest was going: %v", l.name, there, l.has, l.coming, l.going)
	}
	l.has, l.coming, l.going = there, nil, false
}

// standing are the judgements that people hold to be true.
func (l *life) standing() (keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, said := range l.heard {
		if said[len(said)-1].Kind != alert.Correction {
			keys = append(keys, fmt.Sprint(key, " ", said[0].Case, " ", said[0].Title, " ", said[0].Tx))
		}
	}
	slices.Sort(keys)
	return keys
}

// agrees holds the outbox against what was heard.
func (l *life) agrees(spoor *Live) {
	s, err := spoor.State()
	if err != nil {
		l.t.Fatalf("%s: %v", l.name, err)
	}
	if q := s.Outbox.Sinks[0]; s.Outbox.Doubtful != 0 || q.Queued != 0 || q.Dead != 0 || s.Outbox.Broken != "" {
		l.t.Fatalf("%s: the outbox in the end: %+v", l.name, s.Outbox)
	}
	if tip := l.winner()[len(l.winner())-1]; s.Chains[0].Tip != tip {
		l.t.Fatalf("%s: the tip is %s; want %s", l.name, s.Chains[0].Tip, tip)
	}
	there := map[string]bool{}
	for e, err := range spoor.outbox.List(l.t.Context(), outbox.Filter{}) {
		if err != nil {
			l.t.Fatalf("%s: %v", l.name, err)
		}
		if e.Alert.Kind == alert.State {
			continue
		}
		there[e.Alert.Key] = true
		l.mu.Lock()
		said := l.heard[e.Alert.Key]
		l.mu.Unlock()
		if len(said) != e.Alert.Serial+1 || (e.State == outbox.Withdrawn) != (e.Alert.Kind == alert.Correction) || e.State == outbox.Doubtful {
			l.t.Fatalf("%s: %s is %s, %s in the outbox and was told %d times", l.name, e.Alert.ID(), e.Alert.Kind, e.State, len(said))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.heard {
		if !there[key] {
			l.t.Fatalf("%s: %s was told and is not in the outbox", l.name, key)
		}
	}
	if l.wrong != nil {
		l.t.Fatalf("%s: %v", l.name, l.wrong)
	}
}

// dumpOf is all that a store holds.
func dumpOf(t *testing.T, st store.Store) string {
	t.Helper()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := storetest.Dump(t.Context(), s)
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return text
}

// crashes lets one life after the other end and begin again in the middle of a tale, so often.
func crashes(t *testing.T, c config.Config, seed uint64, want int) (points, repeats int) {
	a := newTale(t, seed, 14)
	var fresh []string
	var told map[string][]alert.Alert
	synctest.Test(t, func(t *testing.T) {
		one := newLife(t, fmt.Sprintf("seed %d, undisturbed", seed), a.straight(), c, seed)
		one.run(0, one.agrees)
		fresh, told = one.standing(), one.heard
	})
	if len(fresh) < 3 {
		t.Logf("seed %d: a dull tale of %d alerts", seed, len(fresh))
		return 0, 0
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, "", a, c, seed)
		name := func() string { return fmt.Sprintf("seed %d, crash %d at scene %d", seed, points, l.at) }
		for points < min(want, 20) {
			l.name = name()
			if !l.run(1+l.chance.IntN(300), l.agrees) {
				break
			}
			points++
			l.mem, l.clone = l.clone, nil
			if l.chance.IntN(3) == 0 { // the chain went on meanwhile
				l.at = min(l.at+1+l.chance.IntN(2), len(l.scenes)-1)
			}
		}
		l.name = name()
		l.run(0, l.agrees)
		repeats = l.repeats
		if got := l.standing(); !slices.Equal(got, fresh) {
			t.Errorf("%s: these stand: %v\nwant %v\nof the transactions %v", l.name, missing(got, fresh), missing(fresh, got), l.forked)
		}
		for key, said := range l.heard {
			last := said[len(said)-1]
			if last.Kind != alert.Correction && last.Severity < told[key][0].Severity {
				t.Errorf("%s: %s is %s in the end; it was said to be %s", l.name, key, told[key][0].Severity, last.Severity)
			}
			if !slices.ContainsFunc(said, func(a alert.Alert) bool { return l.forkedAway(a.Tx) || a.Tx.IsZero() }) && len(said) > 1 {
				t.Errorf("%s: %s was told %d times, and no fork touched it: %v", l.name, key, len(said), said)
			}
		}
		st, err := pebblestore.Open("store", pebblestore.Options{FS: l.mem, CacheBytes: 1 << 20, MinFreeBytes: 1})
		if err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		plain := memstore.New()
		if _, err := plain.Append(t.Context(), a.of(a.winner())); err != nil {
			t.Fatal(err)
		}
		if d := storetest.Difference(dumpOf(t, st), dumpOf(t, plain)); d != "" {
			t.Errorf("%s: the store is another than a fresh one: %s", l.name, d)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return points, repeats
}

// missing are those of all that others do not have.
func missing(all, others []string) (rest []string) {
	for _, s := range all {
		if !slices.Contains(others, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// crashConfig is the configuration of a life.
func crashConfig(t *testing.T, disk string) config.Config {
	t.Helper()
	dir := t.TempDir()
	theft := filepath.Join(dir, "heist.json")
	if err := os.WriteFile(theft, fmt.Appendf(nil, `{"name": "the heist", "transactions": ["%x"]}`, sha256.Sum256([]byte("theft"))), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(fmt.Appendf(nil, `
store: %q
disk: %s
cases: [{theft: %q}]
lists: [{name: treasury, accounts: ["text:eth:treasury"]}]
alerts: {margin: 2, per_block: 3}
`, filepath.Join(dir, "store"), disk, theft), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// SPOOR_CRASH_POINTS is how often it crashes instead of the usual thousand times, SPOOR_CRASH_SEED the first seed.
func TestCrashes(t *testing.T) {
	all, first := 1000, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("SPOOR_CRASH_POINTS")); err == nil {
		all = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SPOOR_CRASH_SEED"), 10, 64); err == nil {
		first = n
	}
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		t.Run(strconv.Itoa(w), func(t *testing.T) {
			t.Parallel()
			c := crashConfig(t, "{low: 1, ballast: 0}")
			points, repeats, lives := 0, 0, 0
			for want := (all + workers - 1) / workers; points < want && !t.Failed(); lives++ {
				n, r := crashes(t, c, first+uint64(w+lives*workers), want-points)
				points += n
				repeats += r
			}
			t.Logf("%d crashes of %d lives survived; %d messages were sent again", points, lives, repeats)
		})
	}
}
