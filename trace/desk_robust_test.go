package trace

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// deskStory is a desk with one case that follows a, at the start of block 2, and the transactions from there on.
func deskStory(t testing.TB, o Options) (*Desk, *Case, []flow.Tx) {
	t.Helper()
	txs := accountStory(`
		victim>a 100
		x>y 1
		a>b 40
		b>c 40`)
	c, err := New(Theft{"desk", []Source{Holding{who(textChain, "a"), coinAsset, num(100), flow.Pos{Height: 2}}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDesk(Place{textChain, flow.Pos{Height: 2}})
	if err := d.Add("one", c); err != nil {
		t.Fatal(err)
	}
	return d, c, txs
}

func TestDeskKnowsItsPlace(t *testing.T) {
	d, c, txs := deskStory(t, exact(FIFO))
	apply := func(tx flow.Tx, touched int) {
		t.Helper()
		if touches, err := d.Apply(t.Context(), nil, tx); err != nil || len(touches) != touched {
			t.Fatalf("apply %s: %v, %v; want %d touches", tx.At(), touches, err, touched)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v; want ErrOrder", what, err)
		}
	}
	_, err := d.Apply(t.Context(), nil, txs[0])
	refused("a transaction of the past", err)
	apply(txs[1], 1) // the source begins
	_, err = d.Apply(t.Context(), nil, txs[1])
	refused("the same again", err)
	_, err = d.ApplyBlock(t.Context(), nil, flow.Block{Point: txs[1].Point})
	refused("a block that was begun", err)
	_, err = d.ApplyBlock(t.Context(), nil, flow.Block{Point: txs[2].Point, Txs: txs[3:]})
	refused("a block with a transaction of another", err)
	fresh := func() *Case {
		c, err := New(Theft{"late", []Source{Holding{who(textChain, "b"), coinAsset, num(1), flow.Pos{Height: 2}}}}, exact(FIFO))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	here := d.Places()
	refused("a source of the past", d.Add("late", fresh()))
	refused("a case that stands elsewhere", d.Add("late", fresh(), Place{textChain, flow.Pos{Height: 9}}))
	ahead := fresh()
	if err := ahead.Apply(t.Context(), nil, txs[3]); err != nil {
		t.Fatal(err)
	}
	refused("a case that does not say where it stands", d.Add("late", ahead))
	refused("a case that has eaten more", d.Add("late", ahead, here...))
	if err := d.Add("late", fresh(), here...); err != nil {
		t.Errorf("a case that stands here: %v", err)
	}
	for what, try := range map[string]func() error{
		"the same name": func() error { return d.Add("one", fresh(), here...) },
		"the same case": func() error { return d.Add("two", c, here...) },
		"backward": func() error {
			o := exact(FIFO)
			o.Backward = true
			c, err := New(Theft{"back", []Source{Outflow{Account: who(textChain, "b")}}}, o)
			if err != nil {
				t.Fatal(err)
			}
			return d.Add("back", c, here...)
		},
	} {
		if try() == nil {
			t.Errorf("%s was added", what)
		}
	}
	if got := strings.Join(d.IDs(), " "); got != "late one" {
		t.Errorf("cases %q", got)
	}
	if got := After(txs[1].Point); got.Chain != textChain || got.Next != (flow.Pos{Height: 3}) {
		t.Errorf("after block 2 is %v", got)
	}
	unknown := NewDesk()
	if len(unknown.Places()) != 0 || unknown.Undo(textChain, flow.Pos{}) != nil || unknown.Case("one") != nil || unknown.Remove("one") != nil {
		t.Error("an empty desk knows something")
	}
	unknown.Final(textChain, flow.Pos{Height: 5})
	if err := unknown.Add("late", ahead, Place{textChain, flow.Pos{Height: 5}}); err != nil || unknown.Places()[0].Next.Height != 5 {
		t.Errorf("the first case says where the desk stands: %v, %v", unknown.Places(), err)
	}
}

// cancelGraph is done in the middle of a transaction.
type cancelGraph struct {
	cancel func()
	asked  int
}

func (g *cancelGraph) Balances(ctx context.Context, of []BalanceAsk) ([]Balance, error) {
	if g.asked++; g.asked == 3 { // the second case has eaten a part
		g.cancel()
		return nil, ctx.Err()
	}
	return make([]Balance, len(of)), nil
}

// A transaction that ctx ends is eaten by all cases or by none.
func TestDeskIsStopped(t *testing.T) {
	for _, depth := range []int{4, 0} {
		o := exact(FIFO, Haircut)
		o.UndoDepth = depth
		d, _, txs := deskStory(t, o)
		two, err := New(Theft{"two", []Source{Holding{who(textChain, "a"), coinAsset, num(7), flow.Pos{Height: 3}}}}, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Add("two", two); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		g := &cancelGraph{cancel: cancel}
		if _, err := d.Apply(ctx, g, txs[1]); err != nil {
			t.Fatal(err)
		}
		before, place := d.Snapshot(), d.Places()
		if _, err := d.Apply(ctx, g, txs[2]); !errors.Is(err, context.Canceled) {
			t.Fatalf("depth %d: %v", depth, err)
		}
		if !slices.Equal(d.Places(), place) {
			t.Errorf("depth %d: it went on", depth)
		}
		aside := d.Aside()
		if depth == 0 { // the first case cannot go back, and the others need not wait for it
			if len(aside) != 1 || aside[0].ID != "one" || !errors.Is(aside[0].Err, ErrUndo) || aside[0].At != (flow.Pos{}) {
				t.Errorf("aside %v", aside)
			}
		} else if len(aside) != 0 || !bytes.Equal(before, d.Snapshot()) {
			t.Errorf("aside %v, or the state has changed", aside)
		}
		touches, err := d.Apply(t.Context(), g, txs[2])
		if want := 2 - len(aside); err != nil || len(touches) != want {
			t.Errorf("depth %d: again: %v, %v; want %d touches", depth, touches, err, want)
		}
	}
}

// A movement that cannot be sets those cases aside that it touches, and no others; when it is undone they are back.
func TestDeskSetsAside(t *testing.T) {
	o := exact(FIFO)
	o.UndoDepth = 5
	d, c, txs := deskStory(t, o)
	other, err := New(Theft{"other", []Source{Outflow{Account: who(textChain, "b"), From: flow.Pos{Height: 2}}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Add("other", other); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), nil, txs[1]); err != nil {
		t.Fatal(err)
	}
	before := c.Snapshot()
	a := who(textChain, "a")
	lie := txs[2]
	lie.Movements = []flow.Movement{{Kind: flow.TokenMove, Asset: coinAsset, In: []flow.Leg{{Account: a, Amount: most}, {Account: a, Amount: most}}}}
	touches, err := d.Apply(t.Context(), nil, lie)
	if err != nil || len(touches) != 1 || touches[0].ID != "one" || touches[0].Err == nil {
		t.Fatalf("%v, %v", touches, err)
	}
	if !bytes.Equal(before, c.Snapshot()) {
		t.Error("what failed has changed the case")
	}
	if touches, err = d.Apply(t.Context(), nil, txs[3]); err != nil || len(touches) != 1 || touches[0].ID != "other" || touches[0].Err != nil {
		t.Errorf("%v, %v", touches, err)
	}
	if aside := d.Aside(); len(aside) != 1 || aside[0].ID != "one" || aside[0].At != lie.At() {
		t.Errorf("aside %v", aside)
	}
	d.Undo(textChain, lie.At())
	if aside := d.Aside(); len(aside) != 0 {
		t.Errorf("still aside: %v", aside)
	}
	if touches, err = d.Apply(t.Context(), nil, txs[2]); err != nil || len(touches) != 1 || touches[0].Err != nil {
		t.Errorf("%v, %v", touches, err)
	}
}

// What touches nobody costs no memory.
func TestDeskDoesNotAllocateForStrangers(t *testing.T) {
	d, _, txs := deskStory(t, Options{Swaps: netSwaps})
	tx := txs[1]
	if n := testing.AllocsPerRun(100, func() {
		tx.Point.Height++
		if _, err := d.Apply(t.Context(), nil, tx); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a transaction that touches nobody", n)
	}
}

// The filter never hides a hash that is followed, however many come and go.
func TestIndexGrows(t *testing.T) {
	x := newIndex()
	const n = 5000
	hash := func(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 }
	for i := range n {
		x.add(hash(i), uint32(i%3))
	}
	for i := range n {
		if i%5 > 0 {
			x.remove(hash(i), uint32(i%3))
		}
	}
	passed := 0
	for i := range n {
		r, ok := x.first[hash(i)]
		if kept := i%5 == 0; ok != kept || kept && (!x.mayHave(hash(i)) || r != ref{uint32(i % 3), 1}) {
			t.Fatalf("hash %d: %v, %t", i, r, ok)
		}
		if x.mayHave(hash(i + n)) {
			passed++
		}
	}
	if len(x.filter) < n/hashesForWord/4 || passed > n/4 {
		t.Errorf("filter of %d words lets %d of %d strangers pass", len(x.filter), passed, n)
	}
}

// A rule that stood still in a snapshot and has more to spend now has missed something: the case is set aside.
func TestRestoredDeskWithALargerBudget(t *testing.T) {
	o := exact(FIFO, Haircut)
	o.Budget.Transactions = 1
	d, _, txs := deskStory(t, o)
	for _, tx := range txs[1:] {
		if _, err := d.Apply(t.Context(), nil, tx); err != nil {
			t.Fatal(err)
		}
	}
	if aside := d.Aside(); len(aside) != 1 || !errors.Is(aside[0].Err, ErrBudget) {
		t.Fatalf("aside %v", aside)
	}
	theft := d.Case("one").theft
	o.Budget.Transactions = 9
	d, err := RestoreDesk(d.Snapshot(), func(string) (Theft, Options, error) { return theft, o, nil })
	if err != nil {
		t.Fatal(err)
	}
	if aside := d.Aside(); len(aside) != 1 || !strings.Contains(aside[0].Err.Error(), "larger budget") || aside[0].At != (flow.Pos{}) {
		t.Errorf("aside %v", aside)
	}
	c := d.Remove("one")
	if err := c.Walk(t.Context(), newGraph(txs)); err != nil {
		t.Fatal(err)
	}
	if err := d.Add("one", c, d.Places()...); err != nil {
		t.Errorf("walked on, it does not come back: %v", err)
	}
}

// Whatever the bytes, a desk is restored whole or refused, and what is restored reads back the same.
func FuzzRestoreDesk(f *testing.F) {
	d, c, txs := deskStory(f, exact(FIFO, Haircut))
	f.Add(d.Snapshot())
	for _, tx := range txs[1:] {
		if _, err := d.Apply(f.Context(), nil, tx); err != nil {
			f.Fatal(err)
		}
		f.Add(d.Snapshot())
	}
	f.Add(NewDesk().Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		question := func(string) (Theft, Options, error) { return c.theft, exact(FIFO, Haircut), nil }
		d, err := RestoreDesk(b, question)
		if err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Fatalf("%v does not wrap ErrSnapshot", err)
			}
			return
		}
		again, err := RestoreDesk(d.Snapshot(), question)
		if err != nil || !bytes.Equal(again.Snapshot(), d.Snapshot()) {
			t.Fatalf("it does not read back: %v", err)
		}
		tx := txs[3]
		tx.Point.Height = 1 << 60
		if _, err := d.Apply(t.Context(), nil, tx); err != nil && !errors.Is(err, ErrOrder) {
			t.Fatal(err)
		}
	})
}
