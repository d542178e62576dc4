package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// RunSame is the property that two stores give the same answers whatever is done to both: blocks that go on and blocks
// that do not, undo, finality, holes that are filled, folding, questions, and snapshots that outlive all of it; and that in
// the end they hold what a store holds that got the same blocks in order. Each must open a new, empty store; the suite
// closes it.
func RunSame(t *testing.T, a, b func(t *testing.T) store.Store) {
	rapid.Check(t, func(r *rapid.T) {
		p := &pair{r: r, a: a(t), b: b(t)}
		p.maker = NewMaker(func(n int) int { return rapid.IntRange(0, n-1).Draw(r, "pick") })
		defer p.close()
		r.Repeat(map[string]func(*rapid.T){
			"append":   p.append,
			"intruder": p.appendIntruder,
			"undo":     p.undo,
			"final":    p.final,
			"fill":     p.fill,
			"fold":     p.fold,
			"ask":      p.ask,
			"snapshot": p.snapshot,
		})
		p.compareInOrder(a(t), p.compare(p.snapshots()))
	})
}

// compareInOrder holds what both stores say against a new one that gets the same blocks from the lowest to the highest.
func (p *pair) compareInOrder(st store.Store, said string) {
	for _, c := range Chains() {
		blocks := p.maker.Blocks(c)
		if n, err := st.Append(p.r.Context(), blocks); n != len(blocks) || err != nil {
			p.r.Fatalf("append in order = %d, %v; want %d", n, err, len(blocks))
		}
	}
	s, err := st.Snapshot()
	if err != nil {
		p.r.Fatalf("snapshot: %v", err)
	}
	want, err := Dump(p.r.Context(), s)
	if err != nil {
		p.r.Fatalf("dump: %v", err)
	}
	if err := errors.Join(s.Close(), st.Close()); err != nil {
		p.r.Fatalf("close: %v", err)
	}
	if said != want {
		p.r.Fatalf("not what a store holds that got the blocks in order: %s", Difference(said, want))
	}
}

// A pair is two stores to which the same is done.
type pair struct {
	r     *rapid.T
	a, b  store.Store
	maker *Maker
	held  []view
}

// A view is the state of both stores at one moment, and what they said about it then.
type view struct {
	a, b store.Snapshot
	said string
}

func (p *pair) close() {
	for _, v := range p.held {
		p.closeSnapshots(v.a, v.b)
	}
	for _, st := range []store.Store{p.a, p.b} {
		if err := st.Close(); err != nil {
			p.r.Errorf("close: %v", err)
		}
	}
}

func (p *pair) closeSnapshots(snapshots ...store.Snapshot) {
	for _, s := range snapshots {
		if err := s.Close(); err != nil {
			p.r.Errorf("close a snapshot: %v", err)
		}
	}
}

func (p *pair) snapshots() (a, b store.Snapshot) {
	a, err := p.a.Snapshot()
	if err != nil {
		p.r.Fatalf("snapshot: %v", err)
	}
	b, err = p.b.Snapshot()
	if err != nil {
		p.r.Fatalf("snapshot: %v", err)
	}
	return a, b
}

// compare holds two snapshots against each other, closes them and returns what both hold.
func (p *pair) compare(a, b store.Snapshot) string {
	defer p.closeSnapshots(a, b)
	return p.dump(a, b)
}

func (p *pair) dump(a, b store.Snapshot) string {
	one, err := Dump(p.r.Context(), a)
	if err != nil {
		p.r.Fatalf("the first store: %v", err)
	}
	two, err := Dump(p.r.Context(), b)
	if err != nil {
		p.r.Fatalf("the second store: %v", err)
	}
	if one != two {
		p.r.Fatalf("the stores differ: %s", Difference(one, two))
	}
	return one
}

// Difference says where two dumps differ first; it is empty where they do not.
func Difference(a, b string) string {
	one, two := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(one), len(two)) {
		switch {
		case i >= len(one):
			return fmt.Sprintf("line %d: nothing, against %q", i+1, two[i])
		case i >= len(two):
			return fmt.Sprintf("line %d: %q, against nothing", i+1, one[i])
		case one[i] != two[i]:
			return fmt.Sprintf("line %d: %q, against %q", i+1, one[i], two[i])
		}
	}
	return ""
}

// class is an error as a caller can tell it apart.
func class(err error) string {
	for _, known := range []error{store.ErrNotFound, store.ErrNotHead, store.ErrFinal, store.ErrFormat, store.ErrFull} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "another error"
	}
	return "no error"
}

func (p *pair) sameError(what string, a, b error) {
	if class(a) != class(b) {
		p.r.Fatalf("%s: %v in the first store, %v in the second", what, a, b)
	}
}

func (p *pair) chain(r *rapid.T) flow.Chain { return rapid.SampledFrom(Chains()).Draw(r, "chain") }

// put appends the blocks to both stores.
func (p *pair) put(blocks []flow.Block) int {
	n, errA := p.a.Append(p.r.Context(), blocks)
	m, errB := p.b.Append(p.r.Context(), blocks)
	if n != m {
		p.r.Fatalf("append = %d, %v in the first store and %d, %v in the second", n, errA, m, errB)
	}
	p.sameError("append", errA, errB)
	return n
}

func (p *pair) append(r *rapid.T) {
	var batch []flow.Block
	for range rapid.IntRange(1, 4).Draw(r, "blocks") {
		batch = append(batch, p.maker.Next(p.chain(r)))
	}
	if n := p.put(batch); n != len(batch) {
		r.Fatalf("append = %d; want %d", n, len(batch))
	}
}

// appendIntruder appends a good block, one that may not go there, and one that must not be looked at any more.
func (p *pair) appendIntruder(r *rapid.T) {
	c := p.chain(r)
	good := p.maker.Next(c)
	bad := p.maker.Propose(c)
	bad.Txs = nil
	switch rapid.IntRange(0, 2).Draw(r, "fault") {
	case 0: // the tip once more: passed over
		bad = good
	case 1: // a stranger's child
		bad.Point.Height, bad.Parent = good.Point.Height+1, numbered(1<<40+1)
	case 2: // no higher
		bad.Point.Height = good.Point.Height - min(good.Point.Height, uint64(rapid.IntRange(0, 3).Draw(r, "deeper")))
		bad.Point.Hash = numbered(1<<40 + 2)
	}
	if n := p.put([]flow.Block{good, bad}); n != 1 && !(good.Point.Hash.IsZero() && n == 2) {
		r.Fatalf("append = %d; want 1", n)
	} else if n == 2 {
		p.maker.Push(bad)
	}
}

func (p *pair) undo(r *rapid.T) {
	for range rapid.IntRange(1, 3).Draw(r, "blocks") {
		c := p.chain(r)
		top, ok := p.maker.Pop(c)
		if !ok {
			continue
		}
		if rapid.IntRange(0, 5).Draw(r, "fault") == 0 {
			top.Height++
		}
		errA, errB := p.a.Undo(r.Context(), top), p.b.Undo(r.Context(), top)
		p.sameError("undo "+top.String(), errA, errB)
		if errA != nil {
			p.maker.unpop(c)
		}
	}
}

// unpop puts back what Pop took last.
func (m *Maker) unpop(c flow.Chain) { m.made[c] = m.made[c][:len(m.made[c])+1] }

func (p *pair) final(r *rapid.T) {
	made := p.maker.Blocks(p.chain(r))
	if len(made) == 0 {
		return
	}
	point := rapid.SampledFrom(made).Draw(r, "block").Point
	if rapid.IntRange(0, 5).Draw(r, "fault") == 0 {
		point.Hash = numbered(1<<40 + 3)
	}
	p.sameError("final "+point.String(), p.a.Final(r.Context(), point), p.b.Final(r.Context(), point))
}

// fill puts blocks into holes, from which some may not be fillable yet, and some may contradict what is there.
func (p *pair) fill(r *rapid.T) {
	before := p.maker.made
	p.maker.made = maps.Clone(before)
	var batch []flow.Block
	for range rapid.IntRange(1, 5).Draw(r, "blocks") {
		b, ok := p.maker.Missing(p.chain(r))
		if !ok {
			continue
		}
		p.maker.Insert(b)
		if rapid.IntRange(0, 15).Draw(r, "fault") == 0 {
			b = p.fault(r, b)
		}
		batch = append(batch, b)
	}
	p.maker.made = before
	n, errA := p.a.Fill(r.Context(), batch)
	k, errB := p.b.Fill(r.Context(), batch)
	if n != k {
		r.Fatalf("fill = %d, %v in the first store and %d, %v in the second", n, errA, k, errB)
	}
	p.sameError("fill", errA, errB)
	for _, b := range batch {
		if n > 0 && !p.maker.holds(b.Point) {
			p.maker.Insert(b)
			n--
		}
	}
}

// fault makes a block of b that the stores may refuse.
func (p *pair) fault(r *rapid.T, b flow.Block) flow.Block {
	made := p.maker.Blocks(b.Point.Chain)
	b.Txs = nil
	switch rapid.IntRange(0, 3).Draw(r, "kind") {
	case 0: // a stranger's child
		b.Parent = numbered(1<<40 + 4)
	case 1: // a stranger
		b.Point.Hash = numbered(1<<40 + 5)
	case 2: // one that is there, perhaps
		return rapid.SampledFrom(made).Draw(r, "held")
	case 3: // in the place of another
		b.Point.Height = rapid.SampledFrom(made).Draw(r, "taken").Point.Height
	}
	return b
}

// holds reports whether m has a block at that height of the chain.
func (m *Maker) holds(p flow.Point) bool {
	return slices.ContainsFunc(m.made[p.Chain], func(b flow.Block) bool { return b.Point.Height == p.Height })
}

func (p *pair) fold(r *rapid.T) {
	p.sameError("sync", p.a.Sync(r.Context()), p.b.Sync(r.Context()))
	p.sameError("compact", p.a.Compact(r.Context()), p.b.Compact(r.Context()))
	p.compare(p.snapshots())
}

// ask asks both about holders, from places and within limits.
func (p *pair) ask(r *rapid.T) {
	a, b := p.snapshots()
	defer p.closeSnapshots(a, b)
	c := p.chain(r)
	accounts := make([]flow.Account, 0, holders)
	for n := range holders {
		accounts = append(accounts, holder(c, n))
	}
	idsA, err := a.IDs(r.Context(), c, accounts)
	if err != nil {
		r.Fatalf("ids: %v", err)
	}
	idsB, err := b.IDs(r.Context(), c, accounts)
	if err != nil {
		r.Fatalf("ids: %v", err)
	}
	for range 5 {
		n := rapid.IntRange(0, holders-1).Draw(r, "holder")
		if (idsA[n] == 0) != (idsB[n] == 0) {
			r.Fatalf("%s has the id %d in the first store and %d in the second", accounts[n], idsA[n], idsB[n])
		}
		from := flow.Pos{Height: uint64(rapid.IntRange(0, 60).Draw(r, "height")), Tx: uint32(rapid.IntRange(0, 3).Draw(r, "tx")),
			Movement: uint32(rapid.IntRange(0, 2).Draw(r, "movement"))}
		limit, back := rapid.IntRange(0, 4).Draw(r, "limit"), rapid.Bool().Draw(r, "back")
		one, err := entryLines(r.Context(), a, c, store.Ask{Holder: idsA[n], From: from, Limit: limit, Back: back})
		if err != nil {
			r.Fatalf("entries: %v", err)
		}
		two, err := entryLines(r.Context(), b, c, store.Ask{Holder: idsB[n], From: from, Limit: limit, Back: back})
		if err != nil {
			r.Fatalf("entries: %v", err)
		}
		if one != two {
			r.Fatalf("%d entries of %s from %s on, back %v:\n%s\nin the first store,\n%s\nin the second", limit, accounts[n], from, back, one, two)
		}
	}
	at := 1_500_000_000 + int64(rapid.IntRange(-7200, 600).Draw(r, "time"))
	one, errA := a.FirstAt(r.Context(), c, at)
	two, errB := b.FirstAt(r.Context(), c, at)
	p.sameError("first at", errA, errB)
	if one != two {
		r.Fatalf("first of %s at %d = %s in the first store and %s in the second", c, at, one, two)
	}
}

// snapshot keeps a view of now, or looks again at one that was kept.
func (p *pair) snapshot(r *rapid.T) {
	if len(p.held) < 3 {
		a, b := p.snapshots()
		p.held = append(p.held, view{a, b, p.dump(a, b)})
		return
	}
	v := p.held[0]
	p.held = slices.Delete(p.held, 0, 1)
	if now := p.compare(v.a, v.b); now != v.said {
		r.Fatalf("a snapshot changed: %s", Difference(v.said, now))
	}
}
