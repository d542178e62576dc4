package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// A twin is the case of a desk once more, fed alone, each ledger by itself.
type twin struct {
	theft   Theft
	options Options
	c       *Case
	aside   map[flow.Chain]flow.Pos // failed at that place, and taken back
	lost    map[flow.Chain]bool     // failed, and not to be brought back
}

// A branch is one chain as it stands, and two worlds to draw its next transactions from.
type branch struct {
	chain  flow.Chain
	worlds [2]*world
	used   [2]int
	eaten  []flow.Tx
	next   flow.Pos
}

// A lockstep is a desk with the twins of its cases.
type lockstep struct {
	t        *rapid.T
	desk     *Desk
	twins    map[string]*twin
	branches []*branch
	made     int
	bad      map[flow.Account]bool // balances of these cannot be had
}

// Balances answers from what was eaten.
func (s *lockstep) Balances(ctx context.Context, of []BalanceAsk) ([]Balance, error) {
	for _, ask := range of {
		if s.bad[ask.Account] {
			return nil, errGraph
		}
	}
	g := newGraph(nil)
	for _, b := range s.branches {
		g.txs = append(g.txs, b.eaten...)
	}
	return g.Balances(ctx, of)
}

func (s *lockstep) pickBranch() *branch { return pick(s.t, s.branches, "chain") }

// drawTx is the next transaction of one of the branch's worlds, at a place behind all others.
func (s *lockstep) drawTx(b *branch, p flow.Pos) flow.Tx {
	i := rapid.IntRange(0, 1).Draw(s.t, "world")
	w := b.worlds[i]
	tx := w.txs[b.used[i]%len(w.txs)]
	b.used[i]++
	tx.Point.Height, tx.Point.Time, tx.Index = p.Height, int64(p.Height), p.Tx
	return tx
}

func (s *lockstep) drawSource(b *branch) Source {
	name := pick(s.t, b.worlds[0].names, "victim")
	at := flow.Pos{Height: b.next.Height + uint64(rapid.IntRange(0, 6).Draw(s.t, "later")), Movement: uint32(rapid.IntRange(0, 1).Draw(s.t, "movement"))}
	at = later(at, b.next)
	w := b.worlds[rapid.IntRange(0, 1).Draw(s.t, "world of theft")]
	switch kind := rapid.IntRange(0, 3).Draw(s.t, "source"); {
	case kind == 0:
		return Outflow{Account: name, From: at}
	case b.chain.IsUTXO():
		tx := pick(s.t, w.txs, "of")
		m := &tx.Movements[0]
		i := rapid.IntRange(0, len(m.Out)-1).Draw(s.t, "output")
		return Coin{flow.Outpoint{Tx: tx.ID, Index: uint32(i)}, m.Out[i].Account, utxoChain.Native(), num(uint64(max(small(m.Out[i].Amount), 1)))}
	}
	return Holding{name, pick(s.t, []flow.Asset{coinAsset, tokenAsset}, "asset"), num(uint64(rapid.IntRange(1, 30).Draw(s.t, "stolen"))), at}
}

func (s *lockstep) add() {
	tw := &twin{theft: Theft{Name: "random"}, aside: map[flow.Chain]flow.Pos{}, lost: map[flow.Chain]bool{}}
	coins := map[flow.Outpoint]bool{}
	var places []Place
	for range rapid.IntRange(1, 3).Draw(s.t, "sources") {
		src := s.drawSource(s.pickBranch())
		if c, ok := src.(Coin); ok {
			if coins[c.Outpoint] {
				continue
			}
			coins[c.Outpoint] = true
		}
		tw.theft.Sources = append(tw.theft.Sources, src)
	}
	for _, b := range s.branches {
		places = append(places, Place{b.chain, b.next})
	}
	tw.options = drawOptions(s.t, s.branches[0].worlds[0])
	tw.options.UndoDepth = rapid.IntRange(0, 8).Draw(s.t, "depth")
	if rapid.Bool().Draw(s.t, "few rules") {
		tw.options.Policies = []Policy{FIFO, Haircut}
	}
	tw.c = s.fresh(tw)
	c := s.fresh(tw)
	s.made++
	id := fmt.Sprintf("%c%d", 'a'+rapid.IntRange(0, 3).Draw(s.t, "name"), s.made)
	if err := s.desk.Add(id, c, places...); err != nil {
		s.t.Fatal(err)
	}
	s.twins[id] = tw
}

func (s *lockstep) fresh(tw *twin) *Case {
	c, err := New(tw.theft, tw.options)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// feedTwin lets the twin eat the transaction by itself. It reports whether it changed, and its new edges.
func (s *lockstep) feedTwin(tw *twin, tx flow.Tx) (changed bool, edges []Edge, failed bool) {
	chain := tx.Point.Chain
	ledgers := tw.c.Ledgers(chain)
	if _, aside := tw.aside[chain]; aside || tw.lost[chain] || len(ledgers) == 0 {
		return false, nil, false
	}
	before := tw.c.Snapshot()
	var counts []int
	for _, l := range ledgers {
		counts = append(counts, l.EdgeCount())
	}
	if err := tw.c.Apply(s.t.Context(), s, tx); err != nil {
		if !errors.Is(err, errGraph) {
			s.t.Fatal(err)
		}
		tw.aside[chain] = tx.At()
		if !bytes.Equal(before, tw.c.Snapshot()) {
			s.t.Fatal("a failed transaction was not taken back")
		}
		return true, nil, true
	}
	for i, l := range ledgers {
		edges = slices.AppendSeq(edges, l.Edges(counts[i]))
	}
	return !bytes.Equal(before, tw.c.Snapshot()), edges, false
}

// told checks what the desk said about some transactions.
func (s *lockstep) told(touches []Touch, txs []flow.Tx) {
	for _, tx := range txs {
		for _, id := range slices.Sorted(maps.Keys(s.twins)) {
			tw := s.twins[id]
			spentBefore := tw.c.spentLedgers(tx.Point.Chain)
			changed, edges, failed := s.feedTwin(tw, tx)
			if !changed {
				continue
			}
			if len(touches) == 0 || touches[0].ID != id || touches[0].Tx != tx.ID || touches[0].At != tx.At() {
				s.t.Fatalf("%s: the desk does not say that %s changed it; it says %v", id, tx.At(), touches)
			}
			var got []Edge
			for _, e := range touches[0].Edges() {
				got = append(got, e)
			}
			if !slices.Equal(got, edges) {
				s.t.Fatalf("%s: new edges %v; want %v", id, got, edges)
			}
			if err := touches[0].Err; failed != errors.Is(err, errGraph) || !failed && (tw.c.spentLedgers(tx.Point.Chain) != spentBefore) != errors.Is(err, ErrBudget) {
				s.t.Fatalf("%s: error %v; failed %t", id, err, failed)
			}
			touches = touches[1:]
		}
	}
	if len(touches) > 0 {
		s.t.Fatalf("the desk says that %s changed %s", touches[0].At, touches[0].ID)
	}
}

func (c *Case) spentLedgers(chain flow.Chain) (n int) {
	for _, l := range c.ledgers[chain] {
		if l.spent {
			n++
		}
	}
	return n
}

func (s *lockstep) apply() {
	b := s.pickBranch()
	tx := s.drawTx(b, b.next)
	b.eaten = append(b.eaten, tx)
	b.next.Tx++
	touches, err := s.desk.Apply(s.t.Context(), s, tx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.told(touches, []flow.Tx{tx})
}

func (s *lockstep) applyBlock() {
	b := s.pickBranch()
	if b.next.Tx > 0 {
		b.next = flow.Pos{Height: b.next.Height + 1}
	}
	block := flow.Block{Point: flow.Point{Chain: b.chain, Height: b.next.Height}}
	for i := range rapid.IntRange(0, 4).Draw(s.t, "transactions") {
		block.Txs = append(block.Txs, s.drawTx(b, flow.Pos{Height: b.next.Height, Tx: uint32(i)}))
	}
	b.eaten = append(b.eaten, block.Txs...)
	b.next = After(block.Point).Next
	touches, err := s.desk.ApplyBlock(s.t.Context(), s, block)
	if err != nil {
		s.t.Fatal(err)
	}
	s.told(touches, block.Txs)
}

func (s *lockstep) undo() {
	b := s.pickBranch()
	if len(b.eaten) == 0 {
		return
	}
	n := rapid.IntRange(max(len(b.eaten)-6, 0), len(b.eaten)-1).Draw(s.t, "undo to")
	from := b.eaten[n].At()
	b.eaten, b.next = b.eaten[:n:n], from
	said := map[string]error{}
	for _, touch := range s.desk.Undo(b.chain, from) {
		said[touch.ID] = touch.Err
	}
	for id, tw := range s.twins {
		at, aside := tw.aside[b.chain]
		if len(tw.c.Ledgers(b.chain)) == 0 || tw.lost[b.chain] || aside && at.Compare(from) < 0 {
			continue
		}
		before := tw.c.Snapshot()
		err := tw.c.Undo(b.chain, from)
		if got, ok := said[id]; err != nil && !errors.Is(got, ErrUndo) || err == nil && got != nil || !ok && !bytes.Equal(before, tw.c.Snapshot()) {
			s.t.Fatalf("%s: undo said %v, %t; alone %v", id, got, ok, err)
		}
		delete(tw.aside, b.chain)
		if err != nil {
			tw.lost[b.chain] = true
		}
	}
}

// leave takes a case off; it goes on with its twin, and may come back.
func (s *lockstep) leave() {
	if len(s.twins) == 0 {
		return
	}
	id := pick(s.t, slices.Sorted(maps.Keys(s.twins)), "leaves")
	tw := s.twins[id]
	c := s.desk.Remove(id)
	delete(s.twins, id)
	if s.desk.Remove(id) != nil || s.desk.Case(id) != nil {
		s.t.Fatal("it is still there")
	}
	if len(tw.lost)+len(tw.aside) > 0 || rapid.Bool().Draw(s.t, "for good") {
		return
	}
	b := s.pickBranch()
	for range 2 {
		tx := s.drawTx(b, b.next)
		b.eaten = append(b.eaten, tx)
		b.next.Tx++
		touches, err := s.desk.Apply(s.t.Context(), s, tx)
		if err != nil {
			s.t.Fatal(err)
		}
		s.told(touches, []flow.Tx{tx})
		_, _, failed := s.feedTwin(tw, tx)
		if err := c.Apply(s.t.Context(), s, tx); (err != nil) != failed {
			s.t.Fatal(err)
		} else if failed {
			return
		}
	}
	var places []Place
	for _, b := range s.branches {
		places = append(places, Place{b.chain, b.next})
	}
	if err := s.desk.Add(id, c, places...); err != nil {
		s.t.Fatal(err)
	}
	s.twins[id] = tw
}

// store stores the desk and its twins and reads them back, some with a question that they cannot answer.
func (s *lockstep) store() {
	b := s.desk.Snapshot()
	lose := ""
	if rapid.IntRange(0, 3).Draw(s.t, "lose one") == 0 && len(s.twins) > 0 {
		lose = pick(s.t, slices.Sorted(maps.Keys(s.twins)), "lost")
	}
	d, err := RestoreDesk(b, func(id string) (Theft, Options, error) {
		if id == lose {
			return Theft{}, Options{}, errGraph
		}
		return s.twins[id].theft, s.twins[id].options, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if lose == "" && !bytes.Equal(d.Snapshot(), b) {
		s.t.Fatalf("a restored desk has another snapshot:\n%q\n%q\n%v", d.Snapshot(), b, d.Aside())
	}
	s.desk = d
	s.desk.Split(rapid.IntRange(1, 3).Draw(s.t, "workers"))
	for id, tw := range s.twins {
		if tw.c, err = Restore(tw.theft, tw.options, tw.c.Snapshot()); err != nil {
			s.t.Fatal(err)
		}
		if id == lose {
			if d.Case(id) != nil {
				s.t.Fatal("it was restored without an answer")
			}
			for _, chain := range tw.c.Chains() {
				tw.lost[chain] = true
				delete(tw.aside, chain)
			}
		}
	}
}

// check compares every case with its twin, and the index with what the ledgers follow.
func (s *lockstep) check() {
	s.t.Helper()
	if got := s.desk.IDs(); !slices.Equal(got, slices.Sorted(maps.Keys(s.twins))) {
		s.t.Fatalf("cases %v", got)
	}
	aside := map[string]Aside{}
	for _, a := range s.desk.Aside() {
		aside[a.ID+a.Chain.String()] = a
	}
	for id, tw := range s.twins {
		for _, chain := range tw.c.Chains() {
			a, isAside := aside[id+chain.String()]
			at, failed := tw.aside[chain]
			spent := tw.c.spentLedgers(chain) == len(tw.c.Ledgers(chain))
			if want := failed || spent || tw.lost[chain]; isAside != want {
				s.t.Fatalf("%s: aside %t on %s; want %t: %v", id, isAside, chain, want, a)
			}
			if tw.lost[chain] && a.At != (flow.Pos{}) || failed && a.At != at {
				s.t.Fatalf("%s: aside %+v; want %s", id, a, at)
			}
		}
		if c := s.desk.Case(id); len(tw.lost) == 0 && !bytes.Equal(c.Snapshot(), tw.c.Snapshot()) {
			s.t.Fatalf("%s: on the desk it is another case than alone", id)
		}
	}
	for _, ch := range s.desk.chains {
		for _, p := range ch.parts {
			s.checkPart(p)
		}
	}
}

// checkPart checks what the desk keeps of its seats against the ledgers.
func (s *lockstep) checkPart(p *part) {
	want := newIndex()
	want.seed = p.index.seed
	seats := 0
	for _, seat := range s.desk.seats {
		if seat == nil || seat.at != p || seat.aside != nil {
			continue
		}
		seats++
		for _, l := range seat.ledgers {
			for h := range l.Following() {
				if h.Outpoint.IsZero() {
					continue
				}
				want.add(want.coin(&h.Outpoint), seat.number)
			}
			for a := range l.outflows {
				want.add(want.account(a), seat.number)
			}
		}
		live := map[flow.Account]bool{}
		for _, l := range seat.ledgers {
			for r := range l.accounts() {
				live[r.holder.Account] = live[r.holder.Account] || r.isLive()
			}
		}
		for a, is := range live {
			if is {
				want.add(want.account(a), seat.number)
			}
		}
	}
	wait, soon := p.wait, p.soon
	if p.plan(s.desk.seats); p.wait != wait || wait && p.soon != soon {
		s.t.Fatalf("waits for %s, %t; want %s, %t", soon, wait, p.soon, p.wait)
	}
	if seats != p.seats || !maps.Equal(p.index.all(), want.all()) {
		s.t.Fatalf("index %v; want %v", p.index.all(), want.all())
	}
	for k := range p.index.all() {
		if !p.index.mayHave(k.hash) {
			s.t.Fatal("the filter hides what is followed")
		}
	}
}

type indexKey struct {
	hash uint64
	seat uint32
}

func (x *index) all() map[indexKey]uint32 {
	all := map[indexKey]uint32{}
	for h, r := range x.first {
		all[indexKey{h, r.seat}] = r.reasons
		for _, r := range x.more[h] {
			all[indexKey{h, r.seat}] = r.reasons
		}
	}
	return all
}

func drawLockstep(t *rapid.T) *lockstep {
	s := &lockstep{t: t, twins: map[string]*twin{}, bad: map[flow.Account]bool{}}
	market := rapid.Bool().Draw(t, "market")
	s.branches = []*branch{
		{chain: textChain, worlds: [2]*world{drawAccounts(t, market), drawAccounts(t, market)}, next: flow.Pos{Height: 1}},
		{chain: utxoChain, worlds: [2]*world{drawCoins(t), drawCoins(t)}, next: flow.Pos{Height: 1}},
	}
	if rapid.IntRange(0, 2).Draw(t, "one chain") > 0 {
		i := rapid.IntRange(0, 1).Draw(t, "which chain")
		s.branches = s.branches[i : i+1]
	}
	var places []Place
	for _, b := range s.branches {
		places = append(places, Place{b.chain, b.next})
	}
	s.desk = NewDesk(places...)
	s.desk.Split(rapid.IntRange(1, 3).Draw(t, "workers"))
	if rapid.IntRange(0, 2).Draw(t, "bad graph") == 0 {
		s.bad[pick(t, s.branches[0].worlds[0].names, "bad account")] = true
	}
	return s
}

// A case on a desk comes to the same state as the same case fed alone, byte for byte, whatever else is on the desk,
// whoever comes and goes, whatever is undone, and whatever fails.
func TestDeskIsManyCasesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawLockstep(t)
		for range rapid.IntRange(1, 4).Draw(t, "cases") {
			s.add()
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 19).Draw(t, "step"); {
			case step < 9:
				s.apply()
			case step < 13:
				s.applyBlock()
			case step < 16:
				s.undo()
			case step < 17:
				s.add()
			case step < 18:
				s.leave()
			case step < 19:
				b := s.pickBranch()
				final := flow.Pos{Height: uint64(rapid.IntRange(0, int(b.next.Height)).Draw(t, "final"))}
				s.desk.Final(b.chain, final)
				for _, tw := range s.twins {
					if !tw.lost[b.chain] {
						tw.c.Final(b.chain, final)
					}
				}
			default:
				s.store()
			}
			s.check()
		}
	})
}
