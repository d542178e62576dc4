package trace

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// An End says why the trail of a holder ends where it ends.
type End string

// The ends of a trail.
const (
	Unspent   End = "unspent" // still there, as far as the facts reach
	PassedOn  End = "passed"  // nothing is left of it there
	OutBudget End = "budget"  // not followed any further: the result is partial
	Reached   End = "reached" // poison only: marked, with whatever it has
	Stopped   End = "service" // it turned out to be a service: what came stands in that sink
)

// A Share is what one holder has of one line, and how it came.
type Share struct {
	Holder
	Line     int         `json:"line"`     // of Result.Lines, from 1
	Claim    flow.Amount `json:"claim"`    // there now, in units of the stolen asset; under poison an upper bound
	Units    flow.Amount `json:"units"`    // the same in units of the holder's asset
	Received flow.Amount `json:"received"` // all claim that ever came; what goes in circles counts each time
	Pieces   int         `json:"pieces"`   // in how many pieces
	Hops     int         `json:"hops"`     // the fewest movements by which it came
	First    flow.Pos    `json:"first"`    // where claim first came
	Last     flow.Pos    `json:"last"`     // where claim last came or went
	Time     int64       `json:"time,omitempty"`
	Until    int64       `json:"until,omitempty"` // the times of both, seconds since 1970; 0 if not known
	Source   bool        `json:"source,omitempty"`
	End      End         `json:"end"`
}

// A Sunk is a sub-account of a sink. Those of the sink "service" are the freeze list.
type Sunk struct {
	Sink    Sink         `json:"sink"`
	Account flow.Account `json:"account"` // nobody for fees
	Asset   flow.Asset   `json:"asset"`
	Line    int          `json:"line"`
	Reason  string       `json:"reason,omitempty"`
	Rule    string       `json:"rule,omitempty"`  // of the judgement by which it is a sink; none for a stop that was named
	Score   int64        `json:"score,omitempty"` // of the judgement, in billionths: the part of what came that is not stolen
	Claim   flow.Amount  `json:"claim"`
	Units   flow.Amount  `json:"units"`
	Pieces  int          `json:"pieces"`
	First   flow.Pos     `json:"first"`
	Last    flow.Pos     `json:"last"`
	Time    int64        `json:"time,omitempty"`
	Until   int64        `json:"until,omitempty"`
	Txs     []flow.Hash  `json:"txs"`
}

// A Line is the book of one stolen asset: Stolen = Held + Sunk, to the unit.
type Line struct {
	Asset  flow.Asset    `json:"asset"`
	Stolen flow.Amount   `json:"stolen"`
	Held   flow.Amount   `json:"held"`
	Sunk   flow.Amount   `json:"sunk"`
	Sinks  []SinkOfALine `json:"sinks"`
}

// A SinkOfALine is what one sink has of a line.
type SinkOfALine struct {
	Sink     Sink        `json:"sink"`
	Claim    flow.Amount `json:"claim"`
	Accounts int         `json:"accounts"`
}

// String is the conservation line: "100 stolen = 60 held + 30 service + 10 fee".
func (n Line) String() string {
	s := fmt.Sprintf("%s stolen = %s held", n.Stolen, n.Held)
	for _, k := range n.Sinks {
		s += fmt.Sprintf(" + %s %s", k.Claim, k.Sink)
	}
	return s
}

// A Result is the answer of one policy.
type Result struct {
	Policy       string       `json:"policy"`
	Lines        []Line       `json:"lines"`
	Holders      []Share      `json:"holders"` // all that claim ever reached, the most first
	Sinks        []Sunk       `json:"sinks"`   // the most first
	Edges        []Edge       `json:"edges"`   // in the order in which they were walked
	Assumed      []Assumption `json:"assumed"`
	Followed     int          `json:"followed"`     // holders
	Transactions int          `json:"transactions"` // that touched one
	Partial      bool         `json:"partial"`
	Continue     []string     `json:"continue,omitempty"` // if partial: why, and what to do
	Hash         flow.Hash    `json:"hash"`
	back         bool
}

// Rest is what a partial result did not follow, as sources of a further trace in the same direction.
func (r *Result) Rest() []Source {
	var rest []Source
	for _, s := range r.Holders {
		switch {
		case s.End != OutBudget || s.Claim.IsZero():
		case s.Outpoint.IsZero():
			at := s.Last
			if !r.back {
				at = next(at)
			}
			rest = append(rest, Holding{s.Account, s.Asset, s.Units, at})
		default:
			rest = append(rest, Coin{s.Outpoint, s.Account, s.Asset, s.Units})
		}
	}
	return rest
}

// result makes one Result of the ledgers of one policy. It returns an error if a unit was made or lost: our mistake.
func result(ledgers []*Ledger) (Result, error) {
	r := Result{
		Policy: ledgers[0].policy.String(), back: ledgers[0].options.Backward,
		Lines: []Line{}, Holders: []Share{}, Sinks: []Sunk{}, Edges: []Edge{}, Assumed: []Assumption{},
	}
	for _, l := range ledgers {
		if err := l.Check(); err != nil {
			return r, err
		}
		offset := len(r.Lines)
		for _, n := range l.lines {
			r.Lines = append(r.Lines, Line{Asset: n.asset, Stolen: n.stolen, Sinks: []SinkOfALine{}})
		}
		cuts := r.addHolders(l, offset)
		r.addSinks(l, offset)
		r.Edges = slices.Grow(r.Edges, l.edges.n)
		for e := range l.edges.all {
			r.Edges = append(r.Edges, *e)
			r.Edges[len(r.Edges)-1].Line += offset
		}
		r.Assumed = append(r.Assumed, l.assumed...)
		r.Followed += l.followed
		r.Transactions += l.txs
		r.Continue = append(r.Continue, cuts...)
	}
	r.Partial = len(r.Continue) > 0
	slices.SortFunc(r.Holders, func(a, b Share) int {
		switch {
		case a.Line != b.Line:
			return cmp.Compare(a.Line, b.Line)
		case a.Claim != b.Claim:
			return b.Claim.Compare(a.Claim)
		case a.Received != b.Received:
			return b.Received.Compare(a.Received)
		}
		return a.Holder.Compare(b.Holder)
	})
	// Sub-accounts are in the order of their names already.
	slices.SortStableFunc(r.Sinks, func(a, b Sunk) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), b.Claim.Compare(a.Claim), b.Units.Compare(a.Units))
	})
	e := newEncoder()
	e.b = make([]byte, 0, 1<<10+160*(len(r.Edges)+len(r.Holders)))
	e.result(&r)
	r.Hash = sha256.Sum256(e.b)
	return r, nil
}

// addHolders adds the shares of a ledger and says what its budget cut off.
func (r *Result) addHolders(l *Ledger, offset int) (cuts []string) {
	frozen, far, still, later, left := 0, 0, 0, 0, 0
	records := l.records()
	r.Holders = slices.Grow(r.Holders, len(records))
	for _, rec := range records {
		end := PassedOn
		switch {
		case rec.stopped && !rec.source:
			end = Stopped
		case !rec.state.IsTainted():
			if l.spent && rec.isLive() {
				end = OutBudget
			}
		case rec.frozen && rec.hops > l.options.Budget.Hops:
			end = OutBudget
			far++
		case rec.frozen && !l.chosen(rec.holder.Account):
			end = OutBudget
			left++
		case rec.frozen:
			end = OutBudget
			frozen++
		case l.spent:
			end = OutBudget
			still++
		case rec.cut:
			end = OutBudget
			later++
		case l.policy == Poison:
			end = Reached
		default:
			end = Unspent
		}
		for _, g := range rec.got {
			s := Share{
				Holder: rec.holder, Line: g.line + offset, Received: g.claim, Pieces: g.pieces, Hops: rec.hops,
				First: l.real(rec.first), Last: l.real(rec.last), Time: rec.time, Until: rec.until, Source: rec.source, End: end,
			}
			for i := range rec.state.Len() {
				if seg := rec.state.At(i); seg.Line == g.line {
					s.Units = addCapped(s.Units, seg.Units)
					s.Claim = addCapped(s.Claim, seg.Claim)
				}
			}
			line := &r.Lines[s.Line-1]
			if l.policy == Poison {
				s.Claim = s.Units.Min(line.Stolen)
			} else {
				line.Held, _ = line.Held.Add(s.Claim) // checked before
			}
			r.Holders = append(r.Holders, s)
		}
	}
	b := l.options.Budget
	add := func(n int, format string, args ...any) {
		if n > 0 {
			cuts = append(cuts, fmt.Sprintf("%s: ", l.chain)+fmt.Sprintf(format, args...))
		}
	}
	add(frozen, "%d holders keep what they got: more than %d were reached; trace again with a larger budget of holders", frozen, b.Holders)
	add(left, "%d holders keep what they got: they were not chosen to be followed (%s); trace again with more visits", left, l.options.Follow.Rule)
	add(far, "%d holders are more than %d hops away and keep what they got; trace again with a larger budget of hops", far, b.Hops)
	if l.spent {
		add(1, "%d holders stand still after %d transactions; go on from a snapshot with a larger budget of transactions", still, l.txs)
	}
	add(later, "%d holders have movements beyond the last place to read; go on from a snapshot with a later one", later)
	return cuts
}

// real is a place of the ledger in the order of the chain.
func (l *Ledger) real(p flow.Pos) flow.Pos {
	if !l.options.Backward || p == (flow.Pos{}) {
		return p
	}
	if p = mirror(p); p.Movement == ^uint32(0) { // right before a transaction
		p = next(p)
	}
	return p
}

// addSinks adds the sub-accounts of a ledger's sinks.
func (r *Result) addSinks(l *Ledger, offset int) {
	keys := sinkKeys(l.sinks)
	index := make(map[sinkKey]int, len(keys))
	for _, k := range keys {
		s := l.sinks[k]
		index[k] = len(r.Sinks)
		sunk := Sunk{
			Sink: k.sink, Account: k.account, Asset: k.asset, Line: k.line + offset, Reason: s.reason, Rule: s.rule, Score: s.score, Claim: s.claim, Units: s.units,
			Pieces: s.count, First: l.real(s.first), Last: l.real(s.last), Time: s.time, Until: s.until, Txs: []flow.Hash{},
		}
		line := &r.Lines[sunk.Line-1]
		if l.policy == Poison {
			sunk.Claim = sunk.Units.Min(line.Stolen)
		} else {
			line.Sunk, _ = line.Sunk.Add(sunk.Claim) // checked before
		}
		i := 0
		for i < len(line.Sinks) && line.Sinks[i].Sink != k.sink {
			i++
		}
		if i == len(line.Sinks) {
			line.Sinks = append(line.Sinks, SinkOfALine{Sink: k.sink})
		}
		line.Sinks[i].Claim = addCapped(line.Sinks[i].Claim, sunk.Claim)
		line.Sinks[i].Accounts++
		r.Sinks = append(r.Sinks, sunk)
	}
	for e := range l.edges.all {
		k := sinkKey{e.Sink, e.sinkAccount(l.options.Backward), e.Asset, e.Line}
		if e.Sink == "" { // what had come before its holder turned out to be a service
			r := l.account(accountKey{k.account, k.asset})
			if r == nil || !r.stopped || e.Swap == IntoSwap {
				continue
			}
			k.sink = Service
		}
		if at, ok := index[k]; ok {
			if txs := r.Sinks[at].Txs; len(txs) == 0 || txs[len(txs)-1] != e.Tx {
				r.Sinks[at].Txs = append(txs, e.Tx)
			}
		}
	}
}

// sinkAccount is the sub-account that an edge into a sink belongs to.
func (a *Edge) sinkAccount(back bool) flow.Account {
	switch {
	case a.Sink == FeeSink:
		return flow.Account{}
	case a.Sink == Burned || back:
		return a.From
	}
	return a.To
}

// result writes all that a result says, for its hash.
func (e *encoder) result(r *Result) {
	e.text("spoor trace result 3")
	e.text(r.Policy)
	e.uint(uint64(len(r.Lines)))
	for _, n := range r.Lines {
		e.asset(n.Asset)
		e.amount(n.Stolen)
		e.amount(n.Held)
		e.amount(n.Sunk)
	}
	e.uint(uint64(len(r.Holders)))
	for i := range r.Holders {
		s := &r.Holders[i]
		e.holder(s.Holder)
		e.int(s.Line)
		e.amount(s.Claim)
		e.amount(s.Units)
		e.amount(s.Received)
		e.int(s.Pieces)
		e.int(s.Hops)
		e.pos(s.First)
		e.pos(s.Last)
		e.time(s.Time)
		e.time(s.Until)
		e.bool(s.Source)
		e.text(string(s.End))
	}
	e.uint(uint64(len(r.Sinks)))
	for i := range r.Sinks {
		s := &r.Sinks[i]
		e.text(string(s.Sink))
		e.account(s.Account)
		e.asset(s.Asset)
		e.int(s.Line)
		e.text(s.Reason)
		e.text(s.Rule)
		e.uint(uint64(s.Score))
		e.amount(s.Claim)
		e.amount(s.Units)
		e.int(s.Pieces)
		e.pos(s.First)
		e.pos(s.Last)
		e.time(s.Time)
		e.time(s.Until)
	}
	e.edges(len(r.Edges), func(yield func(*Edge) bool) {
		for i := range r.Edges {
			if !yield(&r.Edges[i]) {
				return
			}
		}
	})
	e.assumptions(r.Assumed)
	e.int(r.Followed)
	e.int(r.Transactions)
	e.bool(r.Partial)
}
