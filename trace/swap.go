package trace

import (
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// Swaps let claim pass through exchanges inside one transaction. The zero value follows none.
type Swaps struct {
	// Rule names Of and its version; it is recorded in reports and binds snapshots.
	Rule string
	// Of finds the strands of a whole transaction. It must answer the same for ever, and may answer anything: a strand
	// which the movements do not bear out is passed over.
	Of func(tx flow.Tx) []Pass
}

// A Pass is one strand of an exchange: FromAmount units that From gave in a transaction went the way of ToAmount units
// that To got. All strands of one account and asset share what it gave in proportion of FromAmount. What came back, or
// went on to others as it was, is a strand too, between equal assets.
type Pass struct {
	From, To             flow.Account
	FromAsset, ToAsset   flow.Asset
	FromAmount, ToAmount flow.Amount
}

// A SwapSide says that claim went into an exchange with an edge, or came out of one.
type SwapSide string

// The sides. The claim of all edges into the exchanges of a transaction is the claim of all edges out of them.
const (
	IntoSwap  SwapSide = "in"
	OutOfSwap SwapSide = "out"
)

// txSwaps are the strands of one transaction, in the direction of the trace. They are looked for when a tainted giver
// asks, and once for all ledgers.
type txSwaps struct {
	swaps Swaps
	back  bool
	tx    flow.Tx
	known bool
	from  map[accountKey][]Pass
	total map[accountKey]flow.Amount // of what the strands of one giver take
	due   map[accountKey]flow.Amount // what the strands bring to one taker
	came  map[accountKey][]int       // the movements that bring something
}

// enter makes s the strands of a transaction; it is the same one until its place changes.
func (s *txSwaps) enter(tx *flow.Tx) {
	if s.tx.ID != tx.ID || s.tx.At() != tx.At() || s.tx.Point.Chain != tx.Point.Chain || len(s.tx.Movements) != len(tx.Movements) {
		*s = txSwaps{swaps: s.swaps, back: s.back, tx: *tx}
	}
}

// find looks for the strands.
func (s *txSwaps) find() {
	s.known = true
	passes := s.swaps.Of(s.tx)
	if len(passes) == 0 {
		return
	}
	s.from, s.came = map[accountKey][]Pass{}, map[accountKey][]int{}
	s.total, s.due = map[accountKey]flow.Amount{}, map[accountKey]flow.Amount{}
	for i := range s.tx.Movements {
		m := &s.tx.Movements[i]
		side := m.Out
		if s.back {
			side = m.In
		}
		for _, l := range side {
			k := accountKey{l.Account, m.Asset}
			if n := s.came[k]; !isCoins(m) && m.Kind != flow.Fee && (len(n) == 0 || n[len(n)-1] != i) {
				s.came[k] = append(n, i)
			}
		}
	}
	for _, p := range passes {
		if s.back {
			p = Pass{p.To, p.From, p.ToAsset, p.FromAsset, p.ToAmount, p.FromAmount}
		}
		k := accountKey{p.From, p.FromAsset}
		if p.From.IsZero() || p.To.IsZero() || p.FromAmount.IsZero() || p.ToAmount.IsZero() || len(s.came[accountKey{p.To, p.ToAsset}]) == 0 {
			continue
		}
		if sum, ok := s.total[k].Add(p.FromAmount); ok {
			s.total[k] = sum
			s.from[k] = append(s.from[k], p)
			to := accountKey{p.To, p.ToAsset}
			s.due[to] = addCapped(s.due[to], p.ToAmount)
		}
	}
}

// passes are the strands of a giver and what they take of it in all.
func (s *txSwaps) passes(k accountKey) ([]Pass, flow.Amount) {
	if !s.known {
		s.find()
	}
	return s.from[k], s.total[k]
}

// A transit is the claim that is inside the exchanges of the transaction at hand. It arrives behind the transaction's
// last movement, and is empty between transactions.
type transit struct {
	swaps txSwaps
	at    flow.Pos // where it arrives
	last  flow.Pos // the last movement it stands for
	parts []inTransit
	came  map[accountKey]flow.Amount // the stolen units that arrive
}

type inTransit struct {
	key  accountKey // who gave it
	seg  Segment
	hops int
}

// divert takes the stolen part of what giver i pays, which stands in work.given from start on, into the exchanges that
// the giver is in; clean money pays in its stead. Under poison it marks both ways.
func (l *Ledger) divert(e *event, i, start, hops int) {
	if e.swaps == nil || e.utxo || e.fee {
		return
	}
	w := &e.work
	g := &e.givers[i]
	k := accountKey{g.account, e.asset}
	passes, room := e.swaps.passes(k)
	if len(passes) == 0 {
		return
	}
	for _, p := range l.transit.parts {
		if p.key == k {
			room, _ = room.Sub(p.seg.Units.Min(room))
		}
	}
	for n := start; n < len(w.given); n++ {
		s := w.given[n]
		if !s.taints() {
			continue
		}
		if l.policy == Poison {
			l.carry(e, k, s, hops)
			continue
		}
		into, rest := s, Segment{}
		if room.Less(s.Units) {
			into, rest = s.split(room)
		}
		if into.Units.IsZero() {
			return
		}
		room, _ = room.Sub(into.Units)
		to := flow.Account{}
		if len(e.takers) > 0 {
			to = e.takers[0].account
		}
		l.swapEdge(e, g.account, to, g.amount, into, IntoSwap, "")
		l.carry(e, k, into, hops)
		w.given[n] = Segment{Units: into.Units}
		if !rest.Units.IsZero() {
			w.given = append(w.given[:n+1], append([]Segment{rest}, w.given[n+1:]...)...)
			return
		}
	}
}

// carry puts claim into the transit.
func (l *Ledger) carry(e *event, k accountKey, s Segment, hops int) {
	t := &l.transit
	if len(t.parts) == 0 {
		at := e.swaps.tx.At()
		t.swaps = *e.swaps
		if e.back {
			t.last = mirror(at)
			t.at = next(t.last)
		} else {
			at.Movement = uint32(len(e.swaps.tx.Movements))
			t.at, t.last = at, at
		}
	}
	for i := range t.parts {
		if p := &t.parts[i]; p.key == k && p.seg.Line == s.Line {
			p.seg.Units = addCapped(p.seg.Units, s.Units)
			p.seg.Claim, _ = p.seg.Claim.Add(s.Claim) // at most what was stolen
			p.hops = min(p.hops, hops)
			return
		}
	}
	t.parts = append(t.parts, inTransit{k, s, hops})
}

// land lets the claim in transit arrive. The caller settles the new holders.
func (l *Ledger) land() {
	if len(l.transit.parts) == 0 {
		return
	}
	t := l.transit
	l.transit = transit{}
	t.came = map[accountKey]flow.Amount{}
	l.last = t.last // the payment into the exchange has noted the way back
	var all []arrival
	for i, part := range t.parts {
		if !slices.ContainsFunc(t.parts[:i], func(p inTransit) bool { return p.key == part.key }) {
			all = l.convert(&t, part.key, all)
		}
	}
	for _, a := range all {
		l.arrive(&t, a.pass, a.seg, a.hops)
	}
}

// convert divides what one giver paid over the strands, and appends what comes out of them.
func (l *Ledger) convert(t *transit, k accountKey, all []arrival) []arrival {
	passes, whole := t.swaps.passes(k)
	var stolen flow.Amount
	for _, part := range t.parts {
		switch {
		case part.key != k:
		case l.policy == Poison:
			for _, p := range passes {
				all = append(all, arrival{p, Segment{Line: part.seg.Line, Units: p.ToAmount}, part.hops})
			}
		default:
			stolen = addCapped(stolen, part.seg.Units)
		}
	}
	if l.policy == Poison {
		return all
	}
	rooms, done := make([]flow.Amount, len(passes)), make([]flow.Amount, len(passes))
	for i, p := range passes {
		rooms[i] = p.FromAmount
	}
	for i, s := range (Segment{Line: 1, Units: stolen}).spread(rooms, whole) {
		rooms[i] = s.Units
	}
	for _, part := range t.parts {
		if part.key != k {
			continue
		}
		for i, s := range part.seg.spread(rooms, stolen) {
			stolen, _ = stolen.Sub(s.Units)
			rooms[i], _ = rooms[i].Sub(s.Units)
			if s.Units.IsZero() {
				continue
			}
			p := passes[i]
			before := p.taken(done[i])
			done[i], _ = done[i].Add(s.Units)
			s.Units, _ = p.taken(done[i]).Sub(before)
			to := accountKey{p.To, p.ToAsset}
			room, _ := t.swaps.due[to].Sub(t.came[to])
			s.Units = atLeastOne(s.Units.Min(room))
			t.came[to] = addCapped(t.came[to], s.Units).Min(t.swaps.due[to])
			all = append(all, arrival{p, s, part.hops})
		}
	}
	return all
}

// taken is the part of what the strand brings that was paid for with so many units, rounded up: a claim needs a unit to
// stand on.
func (p Pass) taken(paid flow.Amount) flow.Amount {
	rest, _ := p.FromAmount.Sub(paid)
	taken, _ := p.ToAmount.Sub(p.ToAmount.Share(rest, p.FromAmount))
	return taken
}

// An arrival is claim on its way out of an exchange.
type arrival struct {
	pass Pass
	seg  Segment
	hops int
}

// arrive makes units that an account got in the transaction stolen ones.
func (l *Ledger) arrive(t *transit, p Pass, s Segment, hops int) {
	tx := &t.swaps.tx
	e := &event{tx: flow.Tx{ID: tx.ID, Point: tx.Point, Index: tx.Index}, at: t.last, asset: p.ToAsset, back: t.swaps.back}
	sink, reason := Sink(""), ""
	if l.options.Stop != nil {
		if stop, ok := l.options.Stop(p.To); ok {
			sink, reason = stop.sink(), stop.Reason
		}
	}
	if sink == "" {
		if r := l.account(accountKey{p.To, p.ToAsset}); l.isService(e, r, []Segment{s}) {
			l.arrivalEdges(e, t, p, s, Service)
			l.sinkAt(e, r, s)
			return
		}
	}
	if sink == "" && l.policy != Poison && l.isDust(p.ToAsset, s.Line, t.came[accountKey{p.To, p.ToAsset}], s.Claim) {
		sink = DustSink
	}
	if sink != "" {
		l.arrivalEdges(e, t, p, s, sink)
		l.sink(e, sink, p.To, s, reason)
		return
	}
	r := l.record(Holder{p.To, p.ToAsset, flow.Outpoint{}}, hops+1, t.at, tx.Point.Time)
	was := r.isLive()
	l.touch(r)
	if l.leaks(p.To, p.ToAsset) {
		r.source, r.outflow = true, true
	}
	r.hops = min(r.hops, hops+1)
	r.last, r.until = t.at, tx.Point.Time
	if was && !r.unknown && !r.outflow && !r.frozen && l.policy != Poison {
		s.Units = atLeastOne(s.Units.Min(r.state.clean()))
	}
	l.arrivalEdges(e, t, p, s, "")
	if !was {
		r.stopped, r.crowd = false, crowd{stolen: r.crowd.stolen}
	}
	r.crowd.stolen = addCapped(r.crowd.stolen, s.Units)
	l.receive(r, s)
	l.plant(r, was, t.at, s)
	l.relive(r, was, t.at)
}

// atLeastOne is a, or a unit for the claim to stand on where all that came was stolen already.
func atLeastOne(a flow.Amount) flow.Amount {
	if a.IsZero() {
		return flow.NewAmount(1)
	}
	return a
}

// arrivalEdges records claim that came out of an exchange, over the movements that brought it.
func (l *Ledger) arrivalEdges(e *event, t *transit, p Pass, s Segment, sink Sink) {
	came := t.swaps.came[accountKey{p.To, p.ToAsset}]
	amounts := make([]flow.Amount, len(came))
	var sum flow.Sum
	for i, n := range came {
		m := &t.swaps.tx.Movements[n]
		side := m.Out
		if e.back {
			side = m.In
		}
		for _, leg := range side {
			if leg.Account == p.To {
				amounts[i] = addCapped(amounts[i], leg.Amount)
			}
		}
		sum = sum.Plus(amounts[i])
	}
	whole, ok := sum.Amount()
	if !ok || whole.IsZero() {
		came, amounts, whole = came[:1], []flow.Amount{flow.NewAmount(1)}, flow.NewAmount(1)
	}
	pieces := []Segment{s}
	if l.policy != Poison {
		pieces = s.spread(amounts, whole)
	}
	for i, piece := range pieces {
		if piece.Units.IsZero() {
			continue
		}
		m := &t.swaps.tx.Movements[came[i]]
		other := m.In
		if e.back {
			other = m.Out
		}
		from := flow.Account{}
		if len(other) > 0 {
			from = other[0].Account
		}
		e.real = t.swaps.tx.At()
		e.real.Movement = uint32(came[i])
		e.index = m.Index
		l.swapEdge(e, from, p.To, amounts[i], piece, OutOfSwap, sink)
	}
}

// swapEdge records one side of an exchange; from and to are in the direction of the trace.
func (l *Ledger) swapEdge(e *event, from, to flow.Account, amount flow.Amount, s Segment, side SwapSide, sink Sink) {
	if e.back {
		from, to = to, from
		if side == IntoSwap {
			side = OutOfSwap
		} else {
			side = IntoSwap
		}
	}
	l.addEdge(&Edge{
		Tx: e.tx.ID, At: e.real, Time: e.tx.Point.Time, Index: e.index, From: from, To: to,
		Asset: e.asset, Amount: amount, Line: s.Line, Sink: sink, Swap: side,
	}, s)
}

// clean is how much of it is not stolen.
func (s *State) clean() flow.Amount {
	var sum flow.Amount
	for i := range s.Len() {
		if g := s.At(i); g.Line == 0 {
			sum = addCapped(sum, g.Units)
		}
	}
	return sum
}

// checkSwaps says what is wrong with the option.
func (o Options) checkSwaps() error {
	if (o.Swaps.Of == nil) != (o.Swaps.Rule == "") {
		return fmt.Errorf("options: a rule for swaps needs a name and a function (rule %.80q)", o.Swaps.Rule)
	}
	return nil
}
