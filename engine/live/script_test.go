package live_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A branch is the blocks of an invented chain, from height 1 on.
type branch []source.Block

// grow is b with a block on top. name tells it from all others of its height.
func (b branch) grow(name string, rows ...string) branch {
	height := len(b) + 1
	name = fmt.Sprintf("%s-%d", name, height)
	p := flow.Point{Chain: eth, Height: uint64(height), Hash: sha256.Sum256([]byte(name)), Time: 1_700_000_000 + 12*int64(height)}
	parent := flow.Hash{}
	if height > 1 {
		parent = b[height-2].Point.Hash
	}
	raw := fmt.Sprintf("1 script\nblock %d %s time=%d\n%s", height, name, p.Time, strings.Join(rows, "\n"))
	return append(slices.Clip(b), source.Block{Point: p, Parent: parent, Raw: []byte(raw)})
}

// head is the hash of the newest block.
func (b branch) head() string { return b[len(b)-1].Point.Hash.String() }

var eth = func() flow.Chain {
	c, err := flow.TextChain("eth")
	if err != nil {
		panic("test: " + err.Error())
	}
	return c
}()

// A script is a source that shows the branch that a test sets.
type script struct {
	mu      sync.Mutex
	branch  branch
	changed chan struct{}
}

func (s *script) set(b branch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.branch = b
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

func (s *script) now() (branch, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.branch, s.changed
}

// Chain implements source.Source.
func (s *script) Chain() flow.Chain { return eth }

// Steps implements source.Source.
func (s *script) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		have := slices.Clone(known)
		slices.Reverse(have)
		for {
			b, changed := s.now()
			same := 0
			for same < min(len(have), len(b)) && have[same].Hash == b[same].Point.Hash {
				same++
			}
			for _, p := range slices.Backward(have[same:]) {
				if !yield(source.Step{Op: source.Undo, Block: source.Block{Point: p}}, nil) {
					return
				}
			}
			have = have[:same]
			for _, block := range b[same:] {
				if !yield(source.Step{Op: source.Add, Block: block}, nil) {
					return
				}
				have = append(have, block.Point)
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(source.Step{}, ctx.Err())
				return
			}
		}
	}
}

// An ear is a sink that keeps what it is told, each message once.
type ear struct {
	mu   sync.Mutex
	told map[string][]alert.Kind // by key, in the order of their serials
	bad  []string
}

// Name implements alert.Sink.
func (e *ear) Name() string { return "ear" }

// Send implements alert.Sink.
func (e *ear) Send(_ context.Context, group []alert.Alert) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range group {
		switch kinds := e.told[a.Key]; {
		case a.Serial < len(kinds) && kinds[a.Serial] == a.Kind: // once more
		case a.Serial == len(kinds):
			e.told[a.Key] = append(kinds, a.Kind)
		default:
			e.bad = append(e.bad, fmt.Sprintf("%s is a %s, after %v", a.ID(), a.Kind, kinds))
		}
	}
	return nil
}

// standing are the keys of the findings that hold, as its messages say.
func (e *ear) standing(t *testing.T) []string {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.bad {
		t.Errorf("out of its turn: %s", b)
	}
	var keys []string
	for key, kinds := range e.told {
		if kinds[0] == alert.State {
			continue
		}
		for i, k := range kinds {
			if want := []alert.Kind{alert.Again, alert.Correction}[i%2]; k != want && (i > 0 || k != alert.Found) {
				t.Errorf("%s: %v; want a finding, its correction, again, …", key, kinds)
			}
		}
		if kinds[len(kinds)-1] != alert.Correction {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// play begins a Live on a script, with so many cases, thief0 and so on, which are open when it returns.
func play(t *testing.T, s *script, cases int) (*rig, *ear) {
	t.Helper()
	e := &ear{told: map[string][]alert.Kind{}}
	r := newRig(t, setup{})
	r.inMemory = true
	r.setup.sinks = ""
	r.options.Sinks = []alert.Sink{e}
	r.options.Sources = []live.Source{{Source: s, Decoder: text.New(), Confirmations: 5000}}
	for i := range cases {
		r.file(fmt.Sprintf("thefts/thief%d.json", i), fmt.Sprintf(`{"sources":[{"account":"text:eth:thief%d"}]}`, i))
	}
	r.setup.cases = fmt.Sprintf("  - {theft: %q}\n", r.dir+"/thefts")
	r.start()
	r.at(s.head)
	r.followed(cases)
	return r, e
}

func (s *script) head() string {
	b, _ := s.now()
	return b.head()
}

// filled is what a new store holds that reads the script.
func (s *script) filled(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	st := memstore.New()
	done := make(chan error, 1)
	go func() {
		_, err := ingest.Run(ctx, s, text.New(), st, ingest.Config{Delay: time.Millisecond})
		done <- err
	}()
	for tipOf(t, st, eth).Hash.String() != s.head() {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return dump(t, st)
}

// begin is a branch in which thieves have what they will move.
func begin(thieves int) branch {
	var rows []string
	for i := range thieves {
		rows = append(rows, fmt.Sprintf("rich%d: - eth:thief%d ETH 1000000", i, i))
	}
	return branch{}.grow("base", rows...).grow("base").grow("base")
}

// move is a row in which a thief pays; its place in the chain is not part of it.
func move(n, thief int) string {
	return fmt.Sprintf("move%d: eth:thief%d eth:hop%d ETH %d", n, thief, n, 100_000+n)
}

// Forks from 1 to 1,000 blocks deep under several hundred open cases: the store is as a fresh one, and what people were
// told, with all corrections, is what one is told who saw the branch that won alone.
func TestDeepForksUnderManyCases(t *testing.T) {
	leaveNothing(t)
	const cases, length = 300, 1020
	s := &script{}
	b := begin(cases)
	s.set(b)
	r, e := play(t, s, cases)
	moves := map[uint64]string{} // by height, of the branch
	n := 0
	for len(b) < length {
		moves[uint64(len(b)+1)] = move(n, n%cases)
		b = b.grow("a", move(n, n%cases))
		n++
	}
	s.set(b)
	r.at(s.head)
	for _, depth := range []int{1, 2, 3, 7, 16, 64, 250, 1000} {
		keep := len(b) - depth
		b = b[:keep]
		for i := range depth + 1 {
			height := uint64(keep + i + 1)
			switch row := moves[height]; {
			case i%3 == 0 && row != "": // the same
				b = b.grow(fmt.Sprint("fork", depth), row)
			case i%3 == 1: // another
				n++
				moves[height] = move(n, n%cases)
				b = b.grow(fmt.Sprint("fork", depth), moves[height])
			default: // none
				delete(moves, height)
				b = b.grow(fmt.Sprint("fork", depth))
			}
		}
		b = b.grow("rest").grow("rest")
		s.set(b)
		r.at(s.head)
		if got, want := dump(t, r.st), s.filled(t); got != want {
			t.Errorf("a fork of depth %d: %s", depth, storetest.Difference(got, want))
		}
		r.agree(e, len(moves), fmt.Sprintf("a fork of depth %d", depth))
	}
	if got := r.state(); got.Watching.Cases != cases || got.Watching.Aside != 0 || got.Chains[0].Undone < 1343 {
		t.Errorf("%+v, %d undone; want %d cases, none aside", got.Watching, got.Chains[0].Undone, cases)
	}
	second := &script{}
	second.set(begin(cases))
	fresh, heard := play(t, second, cases)
	second.set(b)
	fresh.at(second.head)
	fresh.agree(heard, len(moves), "one who saw only the branch that won")
	if got, want := e.standing(t), heard.standing(t); !slices.Equal(got, want) {
		t.Errorf("%d findings stand; one who saw only the branch that won was told others (%d)", len(got), len(want))
	}
}

// agree waits until nothing is in doubt any more, and so many moves stand as the messages say.
func (r *rig) agree(e *ear, moves int, when string) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d moves that stand: %s", moves, when), func() bool {
		said := slices.DeleteFunc(e.standing(r.t), func(key string) bool { return !strings.Contains(key, "/live-move/") })
		return len(said) == moves && r.state().Outbox.Doubtful == 0
	})
}

// A turn is what a chain does next: a fork, other blocks, and whether it waits until they were seen or ends Spoor.
type turn struct {
	depth   int
	moves   []int // one for each block beyond the depth of the fork and below; none if negative
	restart bool
	wait    bool
}

var turns = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) turn {
	return turn{
		depth:   rapid.IntRange(0, 12).Draw(t, "depth"),
		moves:   rapid.SliceOfN(rapid.IntRange(-4, 11), 1, 8).Draw(t, "moves"),
		restart: rapid.IntRange(0, 3).Draw(t, "restart") == 0,
		wait:    rapid.Bool().Draw(t, "wait"),
	}
}), 1, 6)

// Any sequence of forks and restarts leaves people with what one knows who saw the branch that won alone.
func TestAnyForksLeaveTheSame(t *testing.T) {
	leaveNothing(t)
	for seed := range 25 {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { leavesTheSame(t, turns.Example(seed)) })
	}
}

func leavesTheSame(t *testing.T, all []turn) {
	const thieves = 4
	s := &script{}
	b := begin(thieves)
	base := len(b)
	s.set(b)
	r, e := play(t, s, thieves)
	rows := map[int]int{} // the move of each height above the base that has one
	for i, turn := range all {
		keep := max(len(b)-turn.depth, base)
		more := len(b) - keep + 1 // so many and one more, or it is not followed
		b = b[:keep]
		maps.DeleteFunc(rows, func(height, _ int) bool { return height > keep })
		for k := range max(more, len(turn.moves)) {
			n := turn.moves[k%len(turn.moves)]
			if n < 0 || slices.Contains(slices.Collect(maps.Values(rows)), n) {
				b = b.grow(fmt.Sprint("turn", i))
				continue
			}
			b = b.grow(fmt.Sprint("turn", i), move(n, n%thieves))
			rows[len(b)] = n
		}
		s.set(b)
		switch {
		case turn.restart:
			r.end()
			r.start()
			r.until("open cases", func() bool { return r.state().Watching.Cases == thieves })
		case turn.wait:
			r.at(s.head)
		}
	}
	b = b.grow("rest").grow("rest")
	s.set(b)
	r.at(s.head)
	r.agree(e, len(rows), "after all turns")
	if said, kept := e.standing(t), r.standing(); !slices.Equal(said, kept) {
		t.Errorf("the messages say that these findings stand:\n%s\nthe outbox says:\n%s", strings.Join(said, "\n"), strings.Join(kept, "\n"))
	}
	if got, want := dump(t, r.st), s.filled(t); got != want {
		t.Error(storetest.Difference(got, want))
	}
	second := &script{}
	second.set(begin(thieves))
	fresh, heard := play(t, second, thieves)
	second.set(b)
	fresh.at(second.head)
	fresh.agree(heard, len(rows), "one who saw only the branch that won")
	if got, want := e.standing(t), heard.standing(t); !slices.Equal(got, want) {
		t.Errorf("these findings stand:\n%s\nto one who saw only the branch that won:\n%s\nturns: %+v", strings.Join(got, "\n"), strings.Join(want, "\n"), all)
	}
}
