package trace

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// ErrOrder is returned for a transaction that does not come after the last one that mattered.
var ErrOrder = errors.New("not in the order of the chain")

// A Ledger is the state of one theft on one chain under one policy: who has how much of the claim. It is a part of a Case,
// which lets it eat transactions in the order of the chain. After every one of them, the claims of the holders and of the sinks sum to what was stolen,
// for every policy except poison. A Ledger is for one goroutine.
type Ledger struct {
	// What each movement needs stands together and comes first.
	policy  Policy
	options *Options // of the case
	book    *book
	column  int      // its own in the book
	log     *journal // that of the book
	totals
	sources  []plainSource                  // of this chain, in order of their places
	outflows map[flow.Account][]plainSource // nil if there never was one
	lines    []line
	edges    edgeList
	fresh    []fresh // holders which have just become tainted
	assumed  []Assumption
	transit  transit // claim inside the exchanges of the transaction at hand

	coins map[flow.Outpoint]*record
	sinks map[sinkKey]*sunk
	chain flow.Chain
	ident [32]byte // of sources, policy and options
}

// totals are the part of a ledger that is copied for an undo.
type totals struct {
	begun    int      // how many sources have begun
	begunAt  flow.Pos // where the last of them did; zero if none has
	followed int      // holders that are followed
	txs      int      // transactions of followed holders
	last     flow.Pos // of the last movement that mattered, if started
	started  bool
	spent    bool // the budget of transactions is used up
}

type accountKey struct {
	account flow.Account
	asset   flow.Asset
}

type line struct {
	asset  flow.Asset
	stolen flow.Amount
	// floor is the dust floor when stolen was floorOf: kept so that it is divided once and not for each piece.
	floor, floorOf flow.Amount
}

// dustFloor is the least claim that is followed.
func (n *line) dustFloor(share int64) flow.Amount {
	if n.floorOf != n.stolen {
		n.floor, n.floorOf = n.stolen.Share(flow.NewAmount(uint64(share)), flow.NewAmount(billion)), n.stolen
	}
	return n.floor
}

// A record is what the ledger knows of one holder that claim has ever reached. What every movement looks at comes first.
type record struct {
	*row
	state State
	stats
	kept   uint64 // the last turn of the journal in which stats were kept
	paying bool   // during one event: it has paid, and what it has left is known
	got    []got  // claim ever received, for each line
	// room is where got and the segments of state begin: most holders have no more.
	room struct {
		segments [2]Segment
		got      [1]got
	}
	first flow.Pos
	time  int64 // of first; 0 if not known
}

func newRecord(w *row, s stats, log *journal) *record {
	r := &record{row: w, stats: s}
	r.got, r.state.segs, r.state.log = r.room.got[:0], r.room.segments[:0], log
	if log != nil && !log.off { // it is taken back as a whole
		r.kept, r.state.made = log.turn, log.turn
	}
	return r
}

// stats is the part of a record that is copied for an undo.
type stats struct {
	source  bool        // a claim began here
	outflow bool        // everything that leaves is stolen
	frozen  bool        // not followed: beyond the budget
	cut     bool        // the last place to read was reached with movements behind it
	unknown bool        // the opening balance has not been asked for yet
	stopped bool        // taken for a service: what comes ends here
	carved  flow.Amount // the part of the opening balance that is stolen
	hops    int
	last    flow.Pos
	until   int64 // of last
	crowd   crowd
}

type got struct {
	line   int
	claim  flow.Amount // capped: money that goes in circles counts each time
	pieces int
}

// isLive reports whether the record's next payment matters.
func (r *record) isLive() bool { return !r.frozen && (r.outflow || r.state.IsTainted()) }

type sinkKey struct {
	sink    Sink
	account flow.Account
	asset   flow.Asset
	line    int
}

type sunk struct {
	reason      string
	rule        string // of the judgement by which it is a sink, if it is one
	score       int64
	units       flow.Amount
	claim       flow.Amount
	count       int
	first, last flow.Pos
	time, until int64
}

// fresh is what has to be read next: an account from a place on, or the spending of a coin.
type fresh struct {
	account flow.Account
	record  *record // nil for an account that is a source by itself
	from    flow.Pos
}

// scratch is memory that one event after the other uses.
type scratch struct {
	given   []Segment
	owner   []int // the giver of each given segment
	amounts []flow.Amount
	taken   [][]Segment
	paying  []*record
	payers  []*record // behind each giver
	clean   [1]Segment
}

func newLedger(p Policy, c flow.Chain, sources []plainSource, o *Options) *Ledger {
	l := &Ledger{
		policy: p, chain: c, options: o,
		coins: map[flow.Outpoint]*record{},
		sinks: map[sinkKey]*sunk{},
	}
	for _, s := range sources {
		if s.chain() != c {
			continue
		}
		if o.Backward && s.kind != "coin" {
			if s.at == (flow.Pos{}) {
				s.at = mirror(s.at)
			}
			s.at = next(mirror(s.at))
			if s.at == mirror(flow.Pos{}) {
				s.at = flow.Pos{}
			}
		}
		l.sources = append(l.sources, s)
	}
	slices.SortStableFunc(l.sources, func(a, b plainSource) int { return a.at.Compare(b.at) })
	e := newEncoder()
	e.parameters(p, c, l.sources, *o)
	l.ident = sha256.Sum256(e.b)
	return l
}

// Policy is the rule of the ledger.
func (l *Ledger) Policy() Policy { return l.policy }

// Chain is the chain whose transactions the ledger eats.
func (l *Ledger) Chain() flow.Chain { return l.chain }

// Last is the place of the last movement that mattered; ok is false before the first.
func (l *Ledger) Last() (at flow.Pos, ok bool) {
	if l.options.Backward {
		return mirror(l.last), l.started
	}
	return l.last, l.started
}

// Follows reports whether a movement of that account can matter. It costs one or two look-ups.
func (l *Ledger) Follows(a flow.Account) bool {
	o := l.book.owners[a]
	return o != nil && o.live[l.column] > 0 || len(l.outflows[a]) > 0
}

// FollowsCoin reports whether the spending (backward: the making) of that outpoint matters.
func (l *Ledger) FollowsCoin(o flow.Outpoint) bool {
	r := l.coins[o]
	return r != nil && r.isLive()
}

// Following yields the holders whose next payment matters, in no order; a source that is an Outflow of every asset has
// the zero Asset.
func (l *Ledger) Following() iter.Seq[Holder] {
	return func(yield func(Holder) bool) {
		for a := range l.outflows {
			if !yield(Holder{Account: a}) {
				return
			}
		}
		for r := range l.accounts() {
			if r.isLive() && !yield(r.holder) {
				return
			}
		}
		for _, r := range l.coins {
			if r.isLive() && !yield(r.holder) {
				return
			}
		}
	}
}

// Edges yields the edges from number n on, counted from 0, in the order in which they were walked: after an Apply, those
// from EdgeCount before it are news.
func (l *Ledger) Edges(n int) iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		for e := range l.edges.between(n, l.edges.n) {
			if !yield(*e) {
				return
			}
		}
	}
}

// EdgeCount is the number of edges so far.
func (l *Ledger) EdgeCount() int { return l.edges.n }

// balanceAsk is the question for what a holder had when claim first reached it.
func (l *Ledger) balanceAsk(r *record) BalanceAsk {
	before := r.last
	if l.options.Backward {
		before = next(mirror(before))
	}
	return BalanceAsk{r.holder.Account, r.holder.Asset, before, l.options.Dust[r.holder.Asset], max(l.options.Crowd.Parties, 0)}
}

// open gives a fresh holder its opening balance of clean money, below what has arrived since.
func (l *Ledger) open(r *record, b Balance) {
	l.touch(r)
	r.unknown = false
	l.recall(r, b)
	if l.isCrowd(r) {
		l.stop(&event{at: r.last, asset: r.holder.Asset, tx: flow.Tx{Point: flow.Point{Time: r.until}}}, r)
		return
	}
	if l.policy == Poison {
		return
	}
	carved := r.carved
	r.carved = flow.Amount{}
	balance, ok := b.In.Minus(b.Out)
	switch {
	case ok:
	case b.In.Compare(b.Out) > 0:
		balance = most // more than a token can have: the token lies
	default:
		balance = flow.Amount{}
		short, fits := b.Out.Minus(b.In)
		if !fits {
			short = most
		}
		l.assume(Assumption{r.holder, short, r.last, "paid more than it is known to have had"})
	}
	clean, ok := balance.Sub(carved)
	if !ok {
		short, _ := carved.Sub(balance)
		clean = flow.Amount{}
		l.assume(Assumption{r.holder, short, r.last, "is said to hold more than it is known to have had"})
	}
	if l.options.Backward && l.policy == FIFO && !carved.IsZero() {
		// Backward the newest units of a queue leave first, and the question is about the newest.
		l.policy.Put(&r.state, []Segment{{Units: clean}})
		return
	}
	r.state.open(clean)
}

// anyOutflow reports whether all that one of the legs gives is stolen.
func (l *Ledger) anyOutflow(side []flow.Leg) bool {
	if len(l.outflows) == 0 {
		return false
	}
	for i := range side {
		if len(l.outflows[side[i].Account]) > 0 {
			return true
		}
	}
	return false
}

// line is the number of the line of a stolen asset.
func (l *Ledger) line(a flow.Asset) int {
	for i := range l.lines {
		if l.lines[i].asset == a {
			return i + 1
		}
	}
	l.lines = append(l.lines, line{asset: a})
	return len(l.lines)
}

// steal adds a new claim of at most v and returns it as a segment: a line holds no more than 2²⁵⁶−1.
func (l *Ledger) steal(a flow.Asset, v flow.Amount) Segment {
	n := l.line(a)
	p := &l.lines[n-1].stolen
	old := *p
	l.note(func() { l.lines[n-1].stolen = old })
	room, _ := most.Sub(*p)
	if l.policy == Poison {
		*p = addCapped(*p, v)
		return Segment{Line: n, Units: v}
	}
	v = v.Min(room)
	*p, _ = p.Add(v)
	return Segment{n, v, v}
}

// assume records that clean money of unknown origin must have been there.
func (l *Ledger) assume(a Assumption) {
	if l.options.Backward {
		a.At = mirror(a.At)
	}
	l.assumed = append(l.assumed, a)
}

// chosen reports whether an account is one to follow.
func (l *Ledger) chosen(a flow.Account) bool {
	return l.options.Follow.Of == nil || l.options.Follow.Of(a)
}

// record finds a holder or makes it. A new one is followed if the budget allows it; a source, at 0 hops, always is.
func (l *Ledger) record(h Holder, hops int, at flow.Pos, time int64) *record {
	if r := l.find(h); r != nil {
		return r
	}
	if h.Outpoint.IsZero() {
		return l.reach(l.book.row(accountKey{h.Account, h.Asset}), hops, at, time)
	}
	return l.reach(&row{holder: h}, hops, at, time)
}

// reach makes the record of a holder that the ledger knows nothing of.
func (l *Ledger) reach(w *row, hops int, at flow.Pos, time int64) *record {
	r := newRecord(w, stats{hops: hops, last: at, until: time}, l.log)
	r.first, r.time = at, time
	if hops > 0 && (l.followed >= l.options.Budget.Holders || hops > l.options.Budget.Hops || !l.chosen(w.holder.Account)) {
		r.frozen = true
	} else {
		l.followed++
	}
	if w.owner != nil {
		w.records[l.column] = r
	} else {
		l.coins[w.holder.Outpoint] = r
	}
	l.noteRecord(recordMade, r)
	return r
}

// unmake is the way back from a new record.
func (l *Ledger) unmake(r *record) {
	if r.owner != nil {
		l.book.strike(l.column, r.row)
	} else {
		delete(l.coins, r.holder.Outpoint)
	}
}

func (l *Ledger) find(h Holder) *record {
	if h.Outpoint.IsZero() {
		return l.account(accountKey{h.Account, h.Asset})
	}
	return l.coins[h.Outpoint]
}

// relive keeps the number of live records of an account after a change; was is isLive before it. A record that became
// live is to be read from a place on.
func (l *Ledger) relive(r *record, was bool, from flow.Pos) {
	is := r.isLive()
	if is == was {
		return
	}
	if !is {
		l.count(r, -1)
		l.noteRecord(followEnded, r)
		return
	}
	l.count(r, 1)
	l.noteRecord(followBegan, r)
	l.fresh = append(l.fresh, fresh{r.holder.Account, r, from})
}

// count adds one to the live records of an account, or takes one away.
func (l *Ledger) count(r *record, step int) {
	o := r.owner
	if o == nil {
		l.followCoin(r.holder.Outpoint, step)
		return
	}
	was := o.all
	o.live[l.column] += step
	o.all += step
	if was == 0 || o.all == 0 {
		l.follow(r.holder.Account, step)
	}
}

// Check adds up all claims and returns an error if any unit of a line was made or lost, or is on its way because a walk
// ended with an error. Poison is never checked.
func (l *Ledger) Check() error {
	if l.policy == Poison {
		return nil
	}
	if len(l.transit.parts) > 0 {
		return fmt.Errorf("%s: the transaction at %s was read in part", l.policy, l.real(l.transit.last))
	}
	sums := make([]flow.Sum, len(l.lines))
	add := func(r *record) {
		for i := range r.state.Len() {
			if g := r.state.At(i); g.Line != 0 {
				sums[g.Line-1] = sums[g.Line-1].Plus(g.Claim)
			}
		}
	}
	for r := range l.accounts() {
		add(r)
	}
	for _, r := range l.coins {
		add(r)
	}
	for k, s := range l.sinks {
		sums[k.line-1] = sums[k.line-1].Plus(s.claim)
	}
	for i, s := range sums {
		if got, ok := s.Amount(); !ok || got != l.lines[i].stolen {
			return fmt.Errorf("%s: claims of %s sum to %s, stolen was %s", l.policy, l.lines[i].asset, s, l.lines[i].stolen)
		}
	}
	return nil
}

// records are all records in the order of their holders.
func (l *Ledger) records() []*record {
	all := make([]*record, 0, len(l.book.rows)+len(l.coins))
	for r := range l.accounts() {
		all = append(all, r)
	}
	for _, r := range l.coins {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *record) int { return a.holder.Compare(b.holder) })
	return all
}
