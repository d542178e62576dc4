package trace

import (
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// begin starts the sources whose place is reached.
func (l *Ledger) begin(at flow.Pos) {
	for l.begun < len(l.sources) && !l.spent && l.sources[l.begun].at.Compare(at) <= 0 {
		s := l.sources[l.begun]
		l.begun++
		l.begunAt = s.at
		switch s.kind {
		case "outflow":
			if l.outflows == nil {
				l.outflows = map[flow.Account][]plainSource{}
			}
			old := l.outflows[s.account]
			l.outflows[s.account] = append(old[:len(old):len(old)], s)
			if len(old) == 0 {
				l.follow(s.account, 1)
			}
			l.note(func() { l.unleak(s.account, old) })
			l.fresh = append(l.fresh, fresh{s.account, nil, s.at})
		default:
			l.hold(s)
		}
	}
}

func (l *Ledger) unleak(a flow.Account, old []plainSource) {
	if len(old) == 0 {
		delete(l.outflows, a)
		l.follow(a, -1)
	} else {
		l.outflows[a] = old
	}
}

// hold begins a claim at a holder.
func (l *Ledger) hold(s plainSource) {
	r := l.record(Holder{s.account, s.asset, s.outpoint}, 0, s.at, 0)
	was := r.isLive()
	l.touch(r)
	r.source = true
	if r.last.Compare(s.at) < 0 {
		r.last = s.at
	}
	stolen := l.steal(s.asset, s.amount)
	l.receive(r, stolen)
	if s.kind == "coin" {
		l.put(r, []Segment{stolen})
	} else {
		l.plant(r, was, s.at, stolen)
	}
	l.relive(r, was, s.at)
}

// plant makes a part of an account's balance before a place stolen; was is isLive before it.
func (l *Ledger) plant(r *record, was bool, at flow.Pos, s Segment) {
	switch {
	case r.outflow || r.frozen || l.policy == Poison:
		r.unknown = r.unknown || !was && l.judges(r)
		l.put(r, []Segment{s})
	case r.unknown || !was: // the opening balance is still to come
		r.unknown = true
		r.carved = addCapped(r.carved, s.Units)
		l.put(r, []Segment{s})
	default:
		l.carve(r, at, s)
	}
}

// carve turns clean money of a holder into stolen money: the newest of it.
func (l *Ledger) carve(r *record, at flow.Pos, stolen Segment) {
	segs := make([]Segment, r.state.Len())
	for i := range segs {
		segs[i] = r.state.At(i)
	}
	need := stolen.Units
	for i := len(segs) - 1; i >= 0 && !need.IsZero(); i-- {
		if segs[i].Line == 0 {
			k := segs[i].Units.Min(need)
			segs[i].Units, _ = segs[i].Units.Sub(k)
			need, _ = need.Sub(k)
		}
	}
	if !need.IsZero() {
		l.assume(Assumption{r.holder, need, at, "is said to hold more than it is known to have had"})
	}
	if l.options.Backward && l.policy == FIFO {
		segs = append([]Segment{stolen}, segs...)
	} else {
		segs = append(segs, stolen)
	}
	r.state.clear()
	l.policy.Put(&r.state, segs)
}

// leaks reports whether whatever that account gives in that asset is stolen.
func (l *Ledger) leaks(a flow.Account, asset flow.Asset) bool {
	if len(l.outflows) == 0 {
		return false
	}
	for _, s := range l.outflows[a] {
		if s.asset.IsZero() || s.asset == asset {
			return true
		}
	}
	return false
}

// legRecord finds the record behind a leg, if any.
func (l *Ledger) legRecord(e *event, g *leg) *record {
	if e.utxo {
		return l.coins[g.coin]
	}
	return l.recordOf(l.legRow(e, g))
}

// legRow is the row of a leg, if there is one. Ledgers of one book look for it once.
func (l *Ledger) legRow(e *event, g *leg) *row {
	if b := l.book; g.book != b || g.row == nil && g.entered != b.entered {
		g.book, g.row, g.entered = b, b.rows[accountKey{g.account, e.asset}], b.entered
	}
	return g.row
}

// reachLeg makes the record behind a leg that takes.
func (l *Ledger) reachLeg(e *event, t *leg, hops int) *record {
	if e.utxo {
		return l.reach(&row{holder: Holder{t.account, e.asset, t.coin}}, hops, e.at, e.tx.Point.Time)
	}
	if l.legRow(e, t) == nil {
		t.row = l.book.row(accountKey{t.account, e.asset})
	}
	return l.reach(t.row, hops, e.at, e.tx.Point.Time)
}

// move is one step of the state machine. It ignores an event that is not after the last one that mattered, or before
// the last source that has begun: after a resume, ledgers that stand at different places are fed from one walk.
func (l *Ledger) move(e *event) error {
	if l.spent || l.started && e.at.Compare(l.last) <= 0 || e.at.Compare(l.begunAt) < 0 {
		return nil
	}
	dirty := false
	e.work.payers = e.work.payers[:0]
	for i := range e.givers {
		g := &e.givers[i]
		r := l.legRecord(e, g)
		e.work.payers = append(e.work.payers, r)
		dirty = dirty || r != nil && r.isLive() && (e.utxo || !g.amount.IsZero())
		dirty = dirty || !g.amount.IsZero() && l.leaks(g.account, e.asset)
	}
	if !dirty {
		l.receiveClean(e)
		return nil
	}
	if !l.spend(e) {
		return nil
	}
	l.watch(e)
	l.stopGivers(e)
	hops := l.pay(e)
	l.fill(e, hops)
	return nil
}

// spend counts a transaction against the budget; it reports false when there is none left.
func (l *Ledger) spend(e *event) bool {
	same := l.started && l.last.Height == e.at.Height && l.last.Tx == e.at.Tx
	if !same && l.txs >= l.options.Budget.Transactions {
		l.spent = true
		return false
	}
	if !same {
		l.txs++
	}
	l.started, l.last = true, e.at
	return true
}

// receiveClean adds what tainted holders receive from clean ones. Poison keeps no clean money, but it judges crowds.
func (l *Ledger) receiveClean(e *event) {
	if e.utxo {
		return
	}
	floor := l.options.Dust[e.asset]
	first := true
	for i := range e.takers {
		t := &e.takers[i]
		r := l.legRecord(e, t)
		if r == nil || !r.isLive() || r.outflow || t.amount.IsZero() || t.amount.Less(floor) || l.policy == Poison && !l.judges(r) {
			continue
		}
		if first {
			if !l.spend(e) {
				return
			}
			l.watch(e)
			first = false
		}
		if l.policy != Poison {
			l.putClean(e, r, t.amount)
		}
	}
}

// pay lets the givers pay, into work.given, and returns the fewest hops of one that pays claim.
func (l *Ledger) pay(e *event) (hops int) {
	w := &e.work
	w.given, w.owner = w.given[:0], w.owner[:0]
	hops = math.MaxInt
	for n := range e.givers {
		i := n
		if l.newestFirst(e) && !e.back {
			i = len(e.givers) - 1 - n
		}
		g := &e.givers[i]
		start := len(w.given)
		r := w.payers[i]
		switch leaks := l.leaks(g.account, e.asset); {
		case leaks && !g.amount.IsZero():
			r = l.leak(e, g)
		case r == nil || !r.isLive() || !e.utxo && g.amount.IsZero():
			r = nil
			if !g.amount.IsZero() {
				w.given = append(w.given, Segment{Units: g.amount})
			}
		case e.utxo:
			l.spendCoin(e, g, r)
		default:
			l.payFrom(e, g, r)
		}
		if r != nil {
			hops = min(hops, r.hops)
			l.divert(e, i, start, r.hops)
		}
		for range w.given[start:] {
			w.owner = append(w.owner, i)
		}
	}
	if !e.assumed.IsZero() && !e.back {
		a := Assumption{Holder: Holder{Asset: e.asset}, Amount: e.assumed, At: e.at, Reason: "inputs that are not known are taken to be clean"}
		l.assume(a)
	}
	return hops
}

// payFrom is a payment of an account.
func (l *Ledger) payFrom(e *event, g *leg, r *record) {
	w := &e.work
	l.touch(r)
	r.last, r.until = e.at, e.tx.Point.Time
	start := len(w.given)
	var short flow.Amount
	w.given, short = l.policy.Pay(&r.state, g.amount, w.given)
	if !short.IsZero() {
		l.assume(Assumption{r.holder, short, e.at, "paid more than it is known to have had"})
		l.insertClean(e, start, short)
	}
	if !r.paying {
		r.paying = true
		w.paying = append(w.paying, r)
	}
}

const moreThanCoin = "more was claimed than the coin held"

// spendCoin is the spending of a coin: it pays all it has. Money in it that no claim speaks of is clean.
func (l *Ledger) spendCoin(e *event, g *leg, r *record) {
	w := &e.work
	l.touch(r)
	r.last, r.until = e.at, e.tx.Point.Time
	start := len(w.given)
	w.given, _ = l.policy.Pay(&r.state, most, w.given)
	r.state.clear()
	l.relive(r, true, flow.Pos{})
	if l.policy == Poison {
		return
	}
	var sum flow.Amount
	for i := start; i < len(w.given); i++ {
		all, ok := sum.Add(w.given[i].Units)
		if ok && all.Compare(g.amount) <= 0 {
			sum = all
			continue
		}
		room, _ := g.amount.Sub(sum)
		keep, over := w.given[i].split(room)
		for _, s := range append([]Segment{over}, w.given[i+1:]...) {
			if s.taints() {
				l.sink(e, DataMissing, g.account, s, moreThanCoin)
			}
		}
		w.given, sum = append(w.given[:i], keep), g.amount
	}
	if clean, _ := g.amount.Sub(sum); !clean.IsZero() {
		l.insertClean(e, start, clean)
	}
}

// leak is a payment out of an Outflow: first what came back, then a new claim.
func (l *Ledger) leak(e *event, g *leg) *record {
	w := &e.work
	h := Holder{g.account, e.asset, flow.Outpoint{}}
	if e.utxo {
		h.Outpoint = g.coin
	}
	r := l.record(h, 0, e.at, e.tx.Point.Time)
	was := r.isLive()
	l.touch(r)
	if r.frozen {
		r.frozen = false
		l.followed++
	}
	r.source, r.outflow, r.unknown = true, !e.utxo, false
	r.last, r.until = e.at, e.tx.Point.Time
	r.hops = 0
	left := g.amount
	if l.policy == Poison {
		r.state.clear()
	}
	for !left.IsZero() && r.state.Len() > 0 {
		s := r.state.PopHead()
		if !s.taints() {
			continue
		}
		if left.Less(s.Units) {
			first, rest := s.split(left)
			r.state.PushHead(rest)
			s = first
		}
		left, _ = left.Sub(s.Units)
		w.given = append(w.given, s)
	}
	if e.utxo { // a coin is spent once; a claim beyond its worth has no place else
		for i := range r.state.Len() {
			if s := r.state.At(i); s.taints() {
				l.sink(e, DataMissing, g.account, s, moreThanCoin)
			}
		}
		r.state.clear()
	}
	switch {
	case left.IsZero():
	case e.fee: // a fee takes what came back, but it is no loot
		w.given = append(w.given, Segment{Units: left})
	default:
		s := l.steal(e.asset, left)
		l.receive(r, s)
		if clean, _ := left.Sub(s.Units); !clean.IsZero() {
			l.assume(Assumption{r.holder, clean, e.at, "more left than a claim can hold"})
			w.given = append(w.given, Segment{Units: clean})
		}
		if !s.Units.IsZero() {
			w.given = append(w.given, s)
		}
	}
	l.relive(r, was, next(e.at))
	return r
}

// insertClean adds clean money to what a giver gives, from start on in work.given: it was there before all else.
func (l *Ledger) insertClean(e *event, start int, units flow.Amount) {
	w := &e.work
	if l.policy == LIFO {
		start = len(w.given)
	}
	w.given = slices.Insert(w.given, start, Segment{Units: units})
}

// newestFirst reports whether the coins of a transaction are a stack: under LIFO its last input pays its first output.
func (l *Ledger) newestFirst(e *event) bool { return e.utxo && l.policy == LIFO }

// fill lays work.given out over the takers and delivers it. Backward the takers are the inputs, so that it is they who
// are turned round where coins are a stack.
func (l *Ledger) fill(e *event, hops int) {
	w := &e.work
	at := func(n int) int { return n }
	if l.newestFirst(e) && e.back {
		at = func(n int) int { return len(e.takers) - 1 - n }
	}
	w.amounts = w.amounts[:0]
	for n := range e.takers {
		w.amounts = append(w.amounts, e.takers[at(n)].amount)
	}
	for len(w.taken) < len(e.takers) {
		w.taken = append(w.taken, nil)
	}
	for i := range e.takers {
		w.taken[i] = w.taken[i][:0]
	}
	l.policy.Fill(w.given, w.amounts, func(n int, g Segment) { w.taken[at(n)] = append(w.taken[at(n)], g) })
	route := router{given: w.given, owner: w.owner, marks: l.policy == Poison}
	for n := range e.takers {
		l.deliver(e, at(n), hops, &route)
	}
	for _, r := range w.paying {
		r.paying = false
		if !r.state.IsTainted() { // nothing is kept for those who hold no claim
			r.state.clear()
		}
		l.relive(r, true, next(e.at))
	}
	w.paying = w.paying[:0]
}

// deliver gives taker i what work.taken holds for it, or sends it to a sink.
func (l *Ledger) deliver(e *event, i, hops int, route *router) {
	w := &e.work
	t := &e.takers[i]
	segs := w.taken[i]
	tainted := 0
	for _, s := range segs {
		if s.taints() {
			tainted++
		}
	}
	if e.utxo && tainted == 0 {
		return
	}
	sink, reason := t.sink, ""
	if tainted > 0 && sink == "" && l.options.Stop != nil {
		if stop, ok := l.options.Stop(t.account); ok {
			sink, reason = stop.sink(), stop.Reason
		}
	}
	r := l.legRecord(e, t)
	service := tainted > 0 && sink == "" && !e.utxo && l.isService(e, r, segs)
	if service {
		sink = Service
	}
	if tainted > 0 && sink == "" && l.policy != Poison {
		tainted -= l.dust(e, t, segs, route)
	}
	if tainted == 0 || sink != "" { // what arrives without a claim is clean money to one who holds some
		if !e.utxo && !t.amount.IsZero() && l.policy != Poison {
			if r != nil && (r.isLive() || r.paying) && !r.outflow && !r.frozen {
				l.putClean(e, r, t.amount)
			}
		}
	}
	if tainted == 0 {
		return
	}
	if sink != "" {
		for _, s := range segs {
			if s.taints() {
				l.edge(e, t, s, sink, route)
				if service {
					l.sinkAt(e, r, s)
				} else {
					l.sink(e, sink, l.sinkAccount(e, t, sink), s, reason)
				}
			}
		}
		return
	}
	if r == nil {
		r = l.reachLeg(e, t, hops+1)
	}
	was := r.isLive()
	l.touch(r)
	if !e.utxo && l.leaks(t.account, e.asset) {
		r.source, r.outflow = true, true
	}
	r.hops = min(r.hops, hops+1)
	r.last, r.until = e.at, e.tx.Point.Time
	if !was && !e.utxo && !r.paying && !r.outflow && !r.frozen && (l.policy != Poison || l.judges(r)) {
		r.unknown = true
		r.stopped, r.crowd = false, crowd{received: t.amount, stolen: r.crowd.stolen}
	}
	for _, s := range segs {
		if s.taints() {
			r.crowd.stolen = addCapped(r.crowd.stolen, s.Units)
			l.edge(e, t, s, "", route)
			l.receive(r, s)
		}
	}
	l.put(r, segs)
	if !r.paying {
		l.relive(r, was, next(e.at))
	}
}

// dust sends lines that are too small to follow to the sink, and leaves their units as clean money. It returns how many
// segments it took.
func (l *Ledger) dust(e *event, t *leg, segs []Segment, route *router) (n int) {
	var units flow.Amount // of all lines: a floor in units is for the payment
	for _, s := range segs {
		if s.taints() {
			units = addCapped(units, s.Units)
		}
	}
	for i, s := range segs {
		if !s.taints() {
			continue
		}
		var claim flow.Amount
		for _, o := range segs {
			if o.Line == s.Line {
				claim = addCapped(claim, o.Claim)
			}
		}
		if !l.isDust(e.asset, s.Line, units, claim) {
			continue
		}
		for j := i; j < len(segs); j++ {
			if o := segs[j]; o.Line == s.Line {
				l.edge(e, t, o, DustSink, route)
				l.sink(e, DustSink, t.account, o, "")
				segs[j] = Segment{Units: o.Units}
				n++
			}
		}
	}
	return n
}

// isDust reports whether a piece of a line, within a payment of so many stolen units, is too small to follow.
func (l *Ledger) isDust(a flow.Asset, line int, units, claim flow.Amount) bool {
	if units.Less(l.options.Dust[a]) {
		return true
	}
	share := l.options.DustShare
	return share > 0 && claim.Less(l.lines[line-1].dustFloor(share))
}

// sinkAccount is the sub-account of a sink that a leg which is no account belongs to.
func (l *Ledger) sinkAccount(e *event, t *leg, sink Sink) flow.Account {
	switch {
	case sink == FeeSink:
		return flow.Account{}
	case sink == Burned && len(e.givers) > 0:
		return e.givers[0].account
	}
	return t.account
}

// put adds segments to a record by its rule.
func (l *Ledger) put(r *record, segs []Segment) {
	if l.policy == Poison || !r.outflow && !r.frozen {
		l.policy.Put(&r.state, segs)
		return
	}
	for _, s := range segs { // no clean money is kept for who is not followed, or pays all as stolen
		if s.taints() {
			FIFO.Put(&r.state, []Segment{s})
		}
	}
}

// putClean adds clean money to a record.
func (l *Ledger) putClean(e *event, r *record, v flow.Amount) {
	e.work.clean[0] = Segment{Units: v}
	l.put(r, e.work.clean[:])
}

// receive counts arriving claim; the caller has called touch.
func (l *Ledger) receive(r *record, s Segment) {
	amount := s.Claim
	if l.policy == Poison {
		amount = s.Units
	}
	for i := range r.got {
		if r.got[i].line == s.Line {
			l.touchGot(r, i)
			r.got[i].claim = addCapped(r.got[i].claim, amount)
			r.got[i].pieces++
			return
		}
	}
	l.touchGot(r, len(r.got))
	r.got = append(r.got, got{s.Line, amount, 1})
}

// sink adds to a sub-account of a sink.
func (l *Ledger) sink(e *event, sink Sink, a flow.Account, s Segment, reason string) {
	k := sinkKey{sink, a, e.asset, s.Line}
	p := l.sinks[k]
	if p == nil {
		p = &sunk{reason: reason, first: e.at, time: e.tx.Point.Time}
		l.sinks[k] = p
		l.note(func() { delete(l.sinks, k) })
	} else if !l.log.off {
		old := *p
		l.note(func() { *p = old })
	}
	p.units = addCapped(p.units, s.Units)
	p.claim, _ = p.claim.Add(s.Claim) // at most what was stolen
	p.count++
	p.last, p.until = e.at, e.tx.Point.Time
}
