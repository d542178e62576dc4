package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// tiredGraph is done with the question of a number.
type tiredGraph struct {
	cancel func()
	left   atomic.Int64
}

func (g *tiredGraph) Balances(ctx context.Context, of []BalanceAsk) ([]Balance, error) {
	if g.left.Add(-1) < 0 {
		g.cancel()
		return nil, context.Canceled
	}
	return make([]Balance, len(of)), nil
}

const splitCases = 5

// splitTouches is how often n transactions of the story touch a case: with the first all sources begin.
func splitTouches(n int) int { return n + min(n, 1)*(splitCases-1) }

// splitStory is a desk of cases, of which each has one of the transactions of a block in which it pays somebody new, in
// turn; and their twins alone.
func splitStory(t *testing.T, depth, workers int) (d *Desk, twins []*Case, block flow.Block) {
	t.Helper()
	o := exact(FIFO, Haircut)
	o.UndoDepth = depth
	block.Point = flow.Point{Chain: textChain, Height: 2, Time: 2}
	d = NewDesk(Place{textChain, flow.Pos{Height: 2}})
	for i := range splitCases {
		theft := Theft{fmt.Sprint(i), []Source{Holding{who(textChain, fmt.Sprint("thief", i)), coinAsset, num(100), flow.Pos{Height: 2}}}}
		for k := range 2 {
			c, err := New(theft, o)
			if err != nil {
				t.Fatal(err)
			}
			if k == 0 {
				twins = append(twins, c)
			} else if err := d.Add(theft.Name, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.Split(workers)
	for n := range 6 * splitCases {
		m := flow.In1Out1(flow.TokenMove, coinAsset, 0, who(textChain, fmt.Sprint("thief", n%splitCases)), who(textChain, fmt.Sprint("mule", n)), num(10))
		block.Txs = append(block.Txs, flow.Tx{ID: txID(fmt.Sprint(n)), Point: block.Point, Index: uint32(n), Movements: []flow.Movement{m}})
	}
	return d, twins, block
}

// A block that ctx ends leaves all cases at one place, whoever was ahead, and the desk goes on from there.
func TestSplitDeskIsStopped(t *testing.T) {
	for left := range int64(12) {
		for workers := 1; workers <= 4; workers++ {
			d, twins, block := splitStory(t, 64, workers)
			ctx, cancel := context.WithCancel(t.Context())
			g := &tiredGraph{cancel: cancel}
			g.left.Store(left)
			touches, err := d.ApplyBlock(ctx, g, block)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%d workers, %d questions: %v", workers, left, err)
			}
			next := d.Places()[0].Next
			n := slices.IndexFunc(block.Txs, func(tx flow.Tx) bool { return tx.At().Compare(next) >= 0 })
			fed := 0
			same := func(n int) {
				t.Helper()
				for i, c := range twins {
					for _, tx := range block.Txs[fed:n] {
						if err := c.Apply(t.Context(), nil, tx); err != nil {
							t.Fatal(err)
						}
					}
					if !bytes.Equal(c.Snapshot(), d.Case(fmt.Sprint(i)).Snapshot()) {
						t.Fatalf("%d workers, %d questions: case %d is another than alone after %d transactions", workers, left, i, n)
					}
				}
				fed = n
			}
			if len(touches) != splitTouches(n) || len(d.Aside()) != 0 {
				t.Fatalf("%d workers, %d questions: %d touches of %d transactions, aside %v", workers, left, len(touches), n, d.Aside())
			}
			same(n)
			for _, tx := range block.Txs[n:] {
				if _, err := d.Apply(t.Context(), nil, tx); err != nil {
					t.Fatal(err)
				}
			}
			same(len(block.Txs))
		}
	}
}

// What a split desk tells is in the order of the chain and of the names.
func TestSplitDeskTellsTheSame(t *testing.T) {
	var want []string
	for workers := 1; workers <= 6; workers++ {
		d, _, block := splitStory(t, 0, workers)
		touches, err := d.ApplyBlock(t.Context(), nil, block)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, touch := range touches {
			told = append(told, fmt.Sprint(touch.At, touch.ID, touch.Err))
			for l, e := range touch.Edges() {
				told = append(told, fmt.Sprint(l.Policy(), e))
			}
		}
		told = append(told, string(d.Snapshot()))
		if want == nil {
			want = told
		}
		if len(touches) != splitTouches(len(block.Txs)) || !slices.Equal(told, want) {
			t.Errorf("%d workers: %d touches of %d transactions, or another story", workers, len(touches), len(block.Txs))
		}
	}
}
