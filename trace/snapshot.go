package trace

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// Snapshot is the whole state in bytes: the same state gives the same bytes. What Undo needs is not a part of it.
func (l *Ledger) Snapshot() []byte {
	e := newEncoder()
	e.b = append(e.b, l.ident[:]...)
	e.uint(uint64(l.begun))
	e.uint(uint64(l.txs))
	e.bool(l.started)
	e.pos(l.last)
	e.bool(l.spent)
	e.uint(uint64(len(l.lines)))
	for _, n := range l.lines {
		e.asset(n.asset)
		e.amount(n.stolen)
	}
	records := l.records()
	e.uint(uint64(len(records)))
	for _, r := range records {
		e.record(r)
	}
	e.sinks(l.sinks)
	e.edges(l.edges.n, l.edges.all)
	e.assumptions(l.assumed)
	return e.b
}

func (e *encoder) record(r *record) {
	e.holder(r.holder)
	for _, v := range []bool{r.source, r.outflow, r.frozen, r.cut} {
		e.bool(v)
	}
	e.uint(uint64(r.hops))
	e.pos(r.first)
	e.pos(r.last)
	e.time(r.time)
	e.time(r.until)
	e.crowd(&r.crowd)
	e.bool(r.stopped)
	e.uint(uint64(len(r.got)))
	for _, g := range r.got {
		e.int(g.line)
		e.amount(g.claim)
		e.uint(uint64(g.pieces))
	}
	e.uint(uint64(r.state.Len()))
	for i := range r.state.Len() {
		g := r.state.At(i)
		e.int(g.Line)
		e.amount(g.Units)
		e.amount(g.Claim)
	}
}

func (e *encoder) crowd(c *crowd) {
	for which := range c.known {
		list := c.list(which)
		e.uint(uint64(len(list)))
		for _, a := range list {
			e.account(a)
		}
	}
	e.amount(c.received)
	e.amount(c.stolen)
}

func (d *decoder) crowd(most int) (c crowd) {
	for which := range c.known {
		n := d.count(1)
		if n > max(most, 0) {
			d.fail("%d parties", n)
		}
		var last *parties
		for ; n > 0 && d.err == nil; n-- {
			c.add(which, d.account(), &last)
		}
	}
	c.received, c.stolen = d.amount(), d.amount()
	return c
}

// sinkKeys are the sub-accounts in order.
func sinkKeys(sinks map[sinkKey]*sunk) []sinkKey {
	keys := make([]sinkKey, 0, len(sinks))
	for k := range sinks {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b sinkKey) int {
		return cmp.Or(cmp.Compare(a.sink, b.sink), a.account.Compare(b.account), a.asset.Compare(b.asset), cmp.Compare(a.line, b.line))
	})
	return keys
}

func (e *encoder) sinks(sinks map[sinkKey]*sunk) {
	keys := sinkKeys(sinks)
	e.uint(uint64(len(keys)))
	for _, k := range keys {
		s := sinks[k]
		e.text(string(k.sink))
		e.account(k.account)
		e.asset(k.asset)
		e.int(k.line)
		e.text(s.reason)
		e.text(s.rule)
		e.uint(uint64(s.score))
		e.amount(s.units)
		e.amount(s.claim)
		e.uint(uint64(s.count))
		e.pos(s.first)
		e.pos(s.last)
		e.time(s.time)
		e.time(s.until)
	}
}

// restore reads a Snapshot into a new ledger. It checks that nothing was made or lost.
func (l *Ledger) restore(b []byte) error {
	d := &decoder{b: b}
	if string(d.bytes(len(l.ident))) != string(l.ident[:]) {
		d.fail("other theft, policy or options")
	}
	begun := int(d.small("sources", uint64(len(l.sources))))
	l.txs = int(d.small("transactions", 1<<62))
	l.started, l.last = d.bool(), d.pos()
	l.spent = d.bool()
	for n := d.count(2); n > 0 && d.err == nil; n-- {
		l.lines = append(l.lines, line{asset: d.asset(), stolen: d.amount()})
	}
	for n := d.count(20); n > 0 && d.err == nil; n-- {
		l.restoreRecord(d)
	}
	l.restoreSinks(d)
	d.edges(&l.edges, &l.book.ways)
	l.assumed = d.assumptions()
	for e := range l.edges.all {
		d.line(e.Line, len(l.lines), 1)
	}
	if d.err == nil && d.at != len(b) {
		d.fail("%d bytes too many", len(b)-d.at)
	}
	if d.err != nil {
		return d.err
	}
	if l.txs < l.options.Budget.Transactions {
		l.spent = false
	}
	for _, s := range l.sources[:begun] {
		if s.kind == "outflow" {
			if l.outflows == nil {
				l.outflows = map[flow.Account][]plainSource{}
			}
			l.outflows[s.account] = append(l.outflows[s.account], s)
		}
	}
	l.begun = begun
	if begun > 0 {
		l.begunAt = l.sources[begun-1].at
	}
	l.log.hold(l)
	if err := l.Check(); err != nil {
		return fmt.Errorf("snapshot: %w: %w", err, ErrSnapshot)
	}
	return nil
}

// line checks the number of a line.
func (d *decoder) line(n, lines, least int) int {
	if n < least || n > lines {
		d.fail("line %d of %d", n, lines)
		return least
	}
	return n
}

func (l *Ledger) restoreRecord(d *decoder) {
	r := newRecord(&row{holder: d.holder()}, stats{}, nil)
	r.source, r.outflow, r.frozen, r.cut = d.bool(), d.bool(), d.bool(), d.bool()
	r.hops = int(d.small("hops", 1<<62))
	r.first, r.last, r.time, r.until = d.pos(), d.pos(), d.time(), d.time()
	r.crowd = d.crowd(l.options.Crowd.Parties)
	r.stopped = d.bool()
	for n := d.count(3); n > 0 && d.err == nil; n-- {
		r.got = append(r.got, got{d.line(d.int(), len(l.lines), 1), d.amount(), int(d.small("pieces", 1<<62))})
	}
	for n := d.count(3); n > 0 && d.err == nil; n-- {
		g := Segment{d.line(d.int(), len(l.lines), 0), d.amount(), d.amount()}
		if !g.Claim.IsZero() && !g.taints() {
			d.fail("claim without units")
		}
		r.state.push(g)
	}
	if _, ok := l.policy.(pool); ok && !r.outflow && !r.frozen && r.state.Len() > 0 && r.state.At(0).Line != 0 {
		d.fail("holder %q has no place for clean money", r.holder)
	}
	if d.err == nil && (r.holder.Account.IsZero() || r.holder.Asset.IsZero() || l.find(r.holder) != nil) {
		d.fail("holder %q is nobody or comes twice", r.holder)
	}
	if d.err != nil {
		return
	}
	r.state.log = l.log
	if r.holder.Outpoint.IsZero() {
		r.row = l.book.row(accountKey{r.holder.Account, r.holder.Asset})
		r.row.records[l.column] = r
		if r.isLive() {
			l.count(r, 1)
		}
	} else {
		l.coins[r.holder.Outpoint] = r
	}
	if !r.frozen {
		l.followed++
	}
}

func (l *Ledger) restoreSinks(d *decoder) {
	for n := d.count(12); n > 0 && d.err == nil; n-- {
		k := sinkKey{Sink(d.text()), d.account(), d.asset(), d.line(d.int(), len(l.lines), 1)}
		s := &sunk{
			reason: d.text(), rule: d.text(), score: int64(d.small("score", billion)), units: d.amount(), claim: d.amount(), count: int(d.small("pieces", 1<<62)),
			first: d.pos(), last: d.pos(), time: d.time(), until: d.time(),
		}
		if l.sinks[k] != nil {
			d.fail("sink %s comes twice", k.sink)
		}
		l.sinks[k] = s
	}
}

// outflowAccounts are the accounts whose outflow is stolen, in order.
func (l *Ledger) outflowAccounts() []flow.Account {
	accounts := make([]flow.Account, 0, len(l.outflows))
	for a := range l.outflows {
		accounts = append(accounts, a)
	}
	slices.SortFunc(accounts, flow.Account.Compare)
	return accounts
}
