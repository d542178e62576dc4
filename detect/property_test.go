package detect

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// mixed puts noise between events: transactions of other accounts, each at the time of its neighbour. Swaps stay whole.
func mixed(t *rapid.T, events []Event, label string) []Event {
	g := &gardener{t: t, prefix: "noise"}
	var out []Event
	var height uint64
	for _, e := range events {
		if e.Swap == OutOfSwap {
			e.At.Height = height
			out = append(out, e)
			continue
		}
		for range rapid.IntRange(0, 2).Draw(t, label) {
			g.events = nil
			g.now = e.Time
			n := *g.pay(g.account("x", g.n(0, 5, label)), g.account("x", g.n(6, 11, label)), g.n(1, 100, label), 0)
			height++
			n.Tx, n.At = flow.Hash{0xff, byte(height >> 8), byte(height)}, flow.Pos{Height: height}
			out = append(out, n)
		}
		height++
		e.At.Height = height
		out = append(out, e)
	}
	return out
}

// Unrelated transactions between those of a habit change nothing, in whatever number and order they come.
func TestUnrelatedTransactionsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := placed(draw(t).events)
		want := ids(runAll(t, events, Options{}))
		got := slices.DeleteFunc(runAll(t, mixed(t, events, "noise"), Options{}), func(f finding.Finding) bool {
			return strings.HasPrefix(f.Subjects[0].Address(), "noise")
		})
		if !slices.Equal(ids(got), want) {
			t.Fatalf("with noise %v; alone %v", ids(got), want)
		}
	})
}

// The same at another time is the same, except for the hours of the day, which only the words of a finding tell.
func TestTimeDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := mixed(t, placed(draw(t).events), "noise")
		want := ids(runAll(t, events, Options{}))
		shift := rapid.Int64Range(-began+1, 10_000_000_000).Draw(t, "shift")
		for i := range events {
			events[i].Time += shift
		}
		if got := ids(runAll(t, events, Options{})); !slices.Equal(got, want) {
			t.Fatalf("shifted by %d s %v; want %v", shift, got, want)
		}
	})
}

// state is all that a detector remembers, without the way back.
func state(d *Detector) string {
	seqs := func(all []*transfer) string {
		out := ""
		for _, t := range all {
			out += fmt.Sprintf(" %d@%d(%d)", t.seq, t.when, len(t.paid))
		}
		return out
	}
	lines := []string{
		fmt.Sprint(d.started, d.last, d.graph.next, d.graph.seq, d.graph.when, seqs(d.graph.ring), "|", seqs(d.graph.swaps)),
		fmt.Sprint(d.told, d.thefts.keys, d.thefts.next, d.acts.keys, d.acts.next, d.acts.of, d.tempos.keys, d.tempos.next, d.said.keys, d.said.next, d.said.of),
	}
	for p, n := range d.graph.nodes {
		lines = append(lines, fmt.Sprint(p, seqs(n.in), "|", seqs(n.out)))
	}
	for a, met := range d.thefts.of {
		for _, m := range met {
			lines = append(lines, fmt.Sprint(a, m.theft, m.t.At))
		}
	}
	for theft, s := range d.tempos.of {
		lines = append(lines, fmt.Sprint(theft, s.count))
		for _, h := range s.recent {
			lines = append(lines, fmt.Sprint(theft, h.t.seq, h.delay, h.ratio))
		}
	}
	slices.Sort(lines[2:])
	return strings.Join(lines, "\n")
}

// Applying and undoing is nothing; going on after it is as if it had never been.
func TestUndoIsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := mixed(t, placed(draw(t).events), "noise")
		c := events[0].Asset.Chain()
		one, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		two, _ := New(c, Options{})
		var found []finding.Finding
		apply := func(d *Detector, e Event) []finding.Finding {
			fs, err := d.Apply(e)
			if err != nil {
				t.Fatal(err)
			}
			return fs
		}
		i, forks := 0, 0
		for i < len(events) {
			if forks < 4 && i > 0 && rapid.IntRange(0, 9).Draw(t, "fork") == 0 {
				forks++
				to := rapid.IntRange(0, i-1).Draw(t, "to")
				void, err := one.Undo(events[to].At)
				if err != nil {
					t.Fatal(err)
				}
				for to > 0 && txOf(events[to-1].At) == txOf(events[to].At) {
					to--
				}
				// The other detector has seen only what stands, and the void findings are those that it has not made.
				two, _ = New(c, Options{})
				var standing []finding.Finding
				for _, e := range events[:to] {
					standing = append(standing, apply(two, e)...)
				}
				var gone []flow.Hash
				for _, f := range found[len(standing):] {
					gone = append(gone, f.ID)
				}
				if !slices.Equal(void, gone) && len(void)+len(gone) > 0 {
					t.Fatalf("void %v; want %v", void, gone)
				}
				found, i = found[:len(standing)], to
				if got, want := state(one), state(two); got != want {
					t.Fatalf("undone to event %d:\n%s\nnever applied:\n%s", to, got, want)
				}
			}
			a, b := apply(one, events[i]), apply(two, events[i])
			if !slices.Equal(ids(a), ids(b)) {
				t.Fatalf("event %d: %v after a fork; %v without", i, ids(a), ids(b))
			}
			found = append(found, a...)
			i++
		}
	})
}

// Undo goes as deep as it says, and refuses what is deeper without changing anything.
func TestUndoHasADepth(t *testing.T) {
	c, _ := flow.TextChain("eth")
	d, err := New(c, Options{UndoDepth: 10})
	if err != nil {
		t.Fatal(err)
	}
	events := dust(100)
	for _, e := range events {
		if _, err := d.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	before := fmt.Sprint(d.graph.seq, d.last)
	if _, err := d.Undo(events[50].At); !errors.Is(err, ErrUndo) || fmt.Sprint(d.graph.seq, d.last) != before {
		t.Errorf("undo of half: %v, %v; want ErrUndo and no change", err, d.last)
	}
	if _, err := d.Undo(events[91].At); err != nil || d.last != events[90].At {
		t.Errorf("undo of nine: %v, at %s; want it at %s", err, d.last, events[90].At)
	}
	if _, err := d.Apply(events[80]); !errors.Is(err, ErrOrder) {
		t.Errorf("an old event: %v; want ErrOrder", err)
	}
}

// dust is stolen crumbs of many accounts to one.
func dust(n int) []Event {
	c, _ := flow.TextChain("eth")
	den, _ := flow.NewAccount(c, "den")
	var events []Event
	for i := range n {
		a, _ := flow.NewAccount(c, fmt.Sprintf("dust%d", i))
		events = append(events, Event{Theft: "theft", Tx: flow.Hash{1, byte(i >> 16), byte(i >> 8), byte(i)}, At: flow.Pos{Height: uint64(i)},
			Time: began + int64(i/10), From: a, To: den, Asset: c.Native(), Amount: flow.NewAmount(1), Units: flow.NewAmount(1)})
	}
	return events
}

// Whoever strews payments costs little time and bounded memory: from many to one, from one to many, to and fro in a crowd,
// in a ring, along a path, and over many thefts.
func TestHostileEventsAreBounded(t *testing.T) {
	c, _ := flow.TextChain("eth")
	name := func(s string, i int) flow.Account {
		a, _ := flow.NewAccount(c, fmt.Sprintf("%s%d", s, i))
		return a
	}
	for _, attack := range []struct {
		name   string
		n      int
		change func(i int, e *Event)
	}{
		{"fan-in", 100_000, func(int, *Event) {}},
		{"fan-out", 3_000, func(i int, e *Event) { e.From, e.To = e.To, e.From }},
		{"crowd", 2_000, func(i int, e *Event) { e.From, e.To = name("c", i%97), name("c", (i*31+7)%89) }},
		{"ring", 3_000, func(i int, e *Event) { e.From, e.To = name("c", i%150), name("c", (i+1)%150) }},
		{"path", 3_000, func(i int, e *Event) { e.From, e.To = name("c", i), name("c", i+1) }},
		{"thefts", 3_000, func(i int, e *Event) { e.Theft = fmt.Sprint(i) }},
		{"one-transaction", 3_000, func(i int, e *Event) {
			e.At, e.Tx = flow.Pos{Height: 1, Movement: uint32(i)}, flow.Hash{1}
			e.Swap = []Swap{IntoSwap, OutOfSwap}[i%2]
			e.From, e.To = name("c", i%5), name("c", i%7+5)
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			events := dust(attack.n)
			for i := range events {
				attack.change(i, &events[i])
			}
			d, err := New(c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			n := 0
			for _, e := range events {
				fs, err := d.Apply(e)
				if err != nil {
					t.Fatal(err)
				}
				n += len(fs)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			t.Logf("%d findings, %.1f s, %d MB kept", n, time.Since(began).Seconds(), (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>20)
			if len(d.graph.ring) > maxTransfers || len(d.graph.nodes) > 2*maxTransfers || len(d.said.of) > maxKeys || len(d.thefts.of) > maxKeys ||
				len(d.tempos.of) > maxThefts || len(d.log.marks) > 2*d.log.depth+1 || len(d.told) > len(d.log.marks)*len(d.rules)*maxSwapIns {
				t.Errorf("%d transfers, %d nodes, %d judgements, %d accounts, %d tempos, %d marks, %d told", len(d.graph.ring), len(d.graph.nodes),
					len(d.said.of), len(d.thefts.of), len(d.tempos.of), len(d.log.marks), len(d.told))
			}
			for p, n := range d.graph.nodes {
				if len(n.in) > maxDegree || len(n.out) > maxDegree {
					t.Fatalf("%s has %d and %d transfers", p.account, len(n.in), len(n.out))
				}
			}
			runtime.KeepAlive(d)
		})
	}
}
