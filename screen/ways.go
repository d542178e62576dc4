package screen

import (
	"context"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// ways finds the ways that money took between an account and those at which its trail ended.
type ways struct {
	edges   []*trace.Edge // of one line, in the order of time
	subject flow.Account
	d       Direction
}

// newWays takes the edges of the first policy; where it laid nothing out, those of another may still show a way.
func newWays(report *trace.Report, line int, subject flow.Account, d Direction) *ways {
	w := &ways{subject: subject, d: d}
	for p := range report.Results {
		for i := range report.Results[p].Edges {
			if e := &report.Results[p].Edges[i]; e.Line == line && !e.Claim.IsZero() {
				w.edges = append(w.edges, e)
			}
		}
		if d == In { // a trace backward walks the latest first
			slices.Reverse(w.edges)
		}
		if len(w.edges) > 0 {
			break
		}
	}
	return w
}

// A stand is who can have money on its way: an account, or one of its coins.
type stand struct {
	account flow.Account
	coin    flow.Outpoint
}

// A step is the last edge of a way, and the way before it.
type step struct {
	edge   int
	before *step
	hops   int
	width  flow.Amount // the least that any edge of the way carries
}

// maxPaths is how many ways of one exposure are told, and maxPathHops how long one may be.
const (
	maxPaths    = 3
	maxPathHops = 64
)

// top are the widest ways between the subject and these accounts, each taken out of what is left by the ones before it, and
// the fewest hops of any. A direct way is one edge, the others have more. Without many only the widest is looked for.
func (w *ways) top(ends map[flow.Account]flow.Amount, direct, many bool) (paths []Path, hops int) {
	paths = []Path{}
	left := make([]flow.Amount, len(w.edges))
	for i, e := range w.edges {
		left[i] = e.Claim
	}
	shortest := w.best(ends, direct, left, func(a, b *step) bool { return a.hops < b.hops })
	if shortest == nil {
		if direct {
			return paths, 1
		}
		return paths, 2
	}
	n := 1
	if many {
		n = maxPaths
	}
	for range n {
		s := w.best(ends, direct, left, func(a, b *step) bool {
			c := a.width.Compare(b.width)
			return c > 0 || c == 0 && a.hops < b.hops
		})
		if s == nil {
			break
		}
		paths = append(paths, w.path(s, left))
	}
	return paths, shortest.hops
}

// best is the best way by an order, or nil. The edges are read in the order of time, so that money never leaves an account
// before it came.
func (w *ways) best(ends map[flow.Account]flow.Amount, direct bool, left []flow.Amount, better func(a, b *step) bool) *step {
	at := map[stand]*step{}
	var found *step
	for i, e := range w.edges {
		if left[i].IsZero() {
			continue
		}
		_, isEnd := ends[farEnd(e, w.d)]
		isEnd = isEnd && endsAt(e, w.d, w.subject)
		isNear := nearEnd(e, w.d) == w.subject
		first, last := isEnd, isNear
		if w.d == Out {
			first, last = isNear, isEnd
		}
		var s *step
		if first {
			s = &step{edge: i, hops: 1, width: left[i]}
		} else if before := at[stand{e.From, e.FromCoin}]; before != nil && before.hops < maxPathHops {
			s = &step{edge: i, before: before, hops: before.hops + 1, width: before.width.Min(left[i])}
		}
		switch {
		case s == nil:
		case last:
			if direct == (s.hops == 1) && (found == nil || better(s, found)) {
				found = s
			}
		case !direct:
			to := stand{e.To, e.ToCoin}
			if have := at[to]; have == nil || better(s, have) {
				at[to] = s
			}
		}
	}
	return found
}

// path writes a way down and takes what it carries out of what is left.
func (w *ways) path(s *step, left []flow.Amount) Path {
	p := Path{Amount: s.width}
	for ; s != nil; s = s.before {
		e := w.edges[s.edge]
		left[s.edge], _ = left[s.edge].Sub(p.Amount)
		if len(p.Accounts) == 0 {
			p.Accounts = append(p.Accounts, e.To)
		}
		p.Accounts = append(p.Accounts, e.From)
		p.Txs = append(p.Txs, e.Tx)
	}
	slices.Reverse(p.Accounts)
	slices.Reverse(p.Txs)
	return p
}

// pastGraph shows a graph as it was before a place.
type pastGraph struct {
	trace.BackGraph
	before flow.Pos
}

// After implements trace.Graph.
func (g *pastGraph) After(ctx context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages, err := g.BackGraph.After(ctx, asks)
	for i := range pages {
		for k := range pages[i].Txs {
			if pages[i].Txs[k].Tx.At().Compare(g.before) >= 0 {
				pages[i].Txs, pages[i].More = pages[i].Txs[:k], false
				break
			}
		}
	}
	return pages, err
}

// Spends implements trace.Graph.
func (g *pastGraph) Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs, err := g.BackGraph.Spends(ctx, c, of)
	for i := range txs {
		if txs[i].At().Compare(g.before) >= 0 {
			txs[i] = flow.Tx{}
		}
	}
	return txs, err
}
