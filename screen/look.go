package screen

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A Look is how far to look for where money came from and went to. The zero value of a number takes the default that stands
// behind it.
type Look struct {
	Labels  func(flow.Account) ([]attribute.Label, error) // of the moment that is asked about
	Minds   func(attribute.Category) bool                 // categories at which a trail ends although they are no services
	Floor   func(flow.Asset) (flow.Amount, bool)          // the least sum that counts
	Before  flow.Pos                                      // the first place that does not count; everything counts if zero
	Swaps   trace.Swaps                                   // passes through exchanges
	Hops    int                                           // how far; 6
	Holders int                                           // how many accounts are followed in each direction; 200
	Txs     int                                           // how many transactions are read in each direction; 2,000
	Share   int64                                         // smaller payments end as dust, in billionths of all the money; 100,000
}

func (l Look) withDefaults() Look {
	l.Hops = cmp.Or(l.Hops, 6)
	l.Holders = cmp.Or(l.Holders, 200)
	l.Txs = cmp.Or(l.Txs, 2000)
	l.Share = cmp.Or(l.Share, 100_000)
	return l
}

// Rule names how the money is followed, with its version and bounds.
func (l Look) Rule() string {
	l = l.withDefaults()
	return fmt.Sprintf("exposure/1 hops=%d holders=%d txs=%d share=%d swaps=%s", l.Hops, l.Holders, l.Txs, l.Share, l.Swaps.Rule)
}

// lookPolicies are the rules of tracing that are compared: the first is the answer, all of them are the interval.
func lookPolicies() []trace.Policy {
	return []trace.Policy{trace.Haircut, trace.CleanFirst, trace.DirtyFirst}
}

// Expose follows all the money of an account, back to where it came from and on to where it went, up to accounts that
// somebody names. It is the claim ledger of a trace, started from the account: by haircut, with the other rules as the
// bounds. Where the budget ends it the answer is Partial and says so.
func (l Look) Expose(ctx context.Context, g trace.BackGraph, q Question) (Exposed, error) {
	l = l.withDefaults()
	all := Exposed{Exposure: []Exposure{}, Covered: []Covered{}}
	for _, d := range []Direction{In, Out} {
		if q.Direction != Both && q.Direction != d {
			continue
		}
		if err := l.follow(ctx, g, q, d, &all); err != nil {
			return Exposed{}, fmt.Errorf("money that went %s: %w", d, err)
		}
	}
	slices.SortFunc(all.Touched, flow.Account.Compare)
	all.Touched = slices.Compact(all.Touched)
	slices.SortStableFunc(all.Exposure, func(a, b Exposure) int {
		return cmp.Or(cmp.Compare(a.Direction, b.Direction), a.Asset.Compare(b.Asset), cmp.Compare(a.Category, b.Category), boolCompare(b.Direct, a.Direct))
	})
	return all, nil
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// A named account is one at which a trail ends because somebody says who it is.
type named struct {
	labels []attribute.Label // that put it into a category
	all    []attribute.Label
}

// namer remembers who ends a trail.
type namer struct {
	look    Look
	subject flow.Account
	known   map[flow.Account]*named // nil where a trail goes on
	err     error
}

func (n *namer) of(a flow.Account) *named {
	if a == n.subject || a.IsZero() {
		return nil
	}
	if who, ok := n.known[a]; ok {
		return who
	}
	labels, err := n.look.Labels(a)
	if err != nil {
		n.err = cmp.Or(n.err, err)
		return nil
	}
	var who *named
	for _, l := range labels {
		if l.Stance != attribute.Asserts || !l.Service && !l.Category.IsService() && !n.look.Minds(l.Category) {
			continue
		}
		if who == nil {
			who = &named{all: labels}
		}
		who.labels = append(who.labels, l)
	}
	n.known[a] = who
	return who
}

// stop is the Stop of a trace.
func (n *namer) stop(a flow.Account) (trace.Stop, bool) {
	who := n.of(a)
	if who == nil {
		return trace.Stop{}, false
	}
	return trace.Stop{Sink: trace.Service, Reason: stopReason}, true
}

// stopReason tells the sinks that a label made from those that a behaviour made.
const stopReason = "named"

// follow adds the exposures of one direction.
func (l Look) follow(ctx context.Context, g trace.BackGraph, q Question, d Direction, all *Exposed) error {
	n := &namer{look: l, subject: q.Account, known: map[flow.Account]*named{}}
	source := trace.Outflow{Account: q.Account, Asset: q.Asset}
	if d == In {
		source.From = l.Before
	} else if l.Before != (flow.Pos{}) {
		g = &pastGraph{g, l.Before}
	}
	o := trace.Options{Policies: lookPolicies(), Backward: d == In, Stop: n.stop, Swaps: l.Swaps, DustShare: l.Share,
		Budget: trace.Budget{Holders: l.Holders, Transactions: l.Txs, Hops: l.Hops}}
	report, err := trace.Run(ctx, g, trace.Theft{Name: "screen", Sources: []trace.Source{source}}, o)
	if err := cmp.Or(n.err, err); err != nil {
		return err
	}
	all.Touched = append(all.Touched, slices.Collect(maps.Keys(n.known))...)
	found := len(all.Exposure)
	for line := range report.Results[0].Lines {
		if report.Results[0].Lines[line].Stolen.IsZero() {
			continue
		}
		all.Seen = true
		l.addLine(report, line+1, n, d, all)
	}
	return l.markDust(ctx, g, q, all.Exposure[found:], all.Covered)
}

// addLine adds what is to be said of one asset.
func (l Look) addLine(report *trace.Report, line int, n *namer, d Direction, all *Exposed) {
	haircut := &report.Results[0]
	c := Covered{Direction: d, Asset: haircut.Lines[line-1].Asset, Total: haircut.Lines[line-1].Stolen, Ends: []End{}}
	ends := map[string]flow.Amount{}
	end := func(why string, v flow.Amount) {
		if !v.IsZero() {
			ends[why], _ = ends[why].Add(v) // at most what there was
		}
	}
	for _, k := range haircut.Sinks {
		switch {
		case k.Line != line:
		case k.Reason == stopReason && k.Rule == "":
			c.Named, _ = c.Named.Add(k.Claim)
		case k.Rule != "":
			end("behaves-like-a-service", k.Claim)
		default:
			end(string(k.Sink), k.Claim)
			c.Partial = c.Partial || k.Sink == trace.DataMissing && !k.Claim.IsZero()
		}
	}
	for _, h := range haircut.Holders {
		switch {
		case h.Line != line || h.Claim.IsZero():
		case h.End == trace.OutBudget && h.Hops > l.Hops:
			end("hops", h.Claim)
		case h.End == trace.OutBudget:
			end("budget", h.Claim)
			c.Partial = true
		default:
			end(string(h.End), h.Claim)
		}
	}
	for why, v := range ends {
		c.Ends = append(c.Ends, End{why, v})
	}
	slices.SortFunc(c.Ends, func(a, b End) int { return cmp.Or(b.Value.Compare(a.Value), cmp.Compare(a.Why, b.Why)) })
	c.Share = Billionths(c.Named, c.Total)
	all.Covered = append(all.Covered, c)
	all.Partial = all.Partial || c.Partial
	for _, e := range l.exposures(report, line, n, d) {
		e.Share = Billionths(e.Value, c.Total)
		all.Exposure = append(all.Exposure, e)
	}
}

// exposureKey tells the exposures of one asset and direction apart.
type exposureKey struct {
	category attribute.Category
	direct   bool
}

// exposures adds up what ended at named accounts, by category.
func (l Look) exposures(report *trace.Report, line int, n *namer, d Direction) []Exposure {
	type sums struct {
		value  [3]flow.Amount // by policy
		entity map[flow.Account]flow.Amount
	}
	found := map[exposureKey]*sums{}
	for p := range report.Results {
		for i := range report.Results[p].Edges {
			e := &report.Results[p].Edges[i]
			if e.Line != line || !endsAt(e, d, n.subject) {
				continue
			}
			at := farEnd(e, d)
			who := n.of(at)
			if who == nil {
				continue
			}
			for k, label := range who.labels {
				if slices.ContainsFunc(who.labels[:k], func(o attribute.Label) bool { return o.Category == label.Category }) {
					continue
				}
				if e.Sink == "" && !l.Minds(label.Category) {
					continue
				}
				key := exposureKey{label.Category, nearEnd(e, d) == n.subject}
				s := found[key]
				if s == nil {
					s = &sums{entity: map[flow.Account]flow.Amount{}}
					found[key] = s
				}
				s.value[p], _ = s.value[p].Add(e.Claim)
				sum := s.entity[at]
				if p == 0 {
					sum, _ = sum.Add(e.Claim)
				}
				s.entity[at] = sum
			}
		}
	}
	var out []Exposure
	ways := newWays(report, line, n.subject, d)
	for key, s := range found {
		low := s.value[0].Min(s.value[1]).Min(s.value[2])
		high := slices.MaxFunc(s.value[:], flow.Amount.Compare)
		if high.IsZero() {
			continue
		}
		e := Exposure{Category: string(key.category), Direction: d, Direct: key.direct, Asset: report.Results[0].Lines[line-1].Asset,
			Value: s.value[0], Interval: Interval{low, high}, Disputed: true, Entities: []Entity{}}
		for a, v := range s.entity {
			who := n.of(a)
			best := -1
			for i := range who.labels {
				if who.labels[i].Category != key.category {
					continue
				}
				e.Disputed = e.Disputed && isDisputed(&who.labels[i], who.all)
				if best < 0 || who.labels[best].Confidence.Level() < who.labels[i].Confidence.Level() {
					best = i
				}
			}
			e.Entities = append(e.Entities, Entity{a, v, who.labels[best]})
			e.Confidence = max(e.Confidence, who.labels[best].Confidence.Level())
		}
		slices.SortFunc(e.Entities, func(a, b Entity) int { return cmp.Or(b.Value.Compare(a.Value), a.Account.Compare(b.Account)) })
		if extra := len(e.Entities) - MaxEntities; extra > 0 {
			e.Entities, e.Omitted = e.Entities[:MaxEntities], extra
		}
		e.TopPaths, e.Hops = ways.top(s.entity, key.direct, l.Minds(key.category))
		out = append(out, e)
	}
	return out
}

// endsAt reports whether a trail ends with an edge at somebody who may have a name. An exchange passes claim on; with whom
// the subject itself made it counts nevertheless.
func endsAt(e *trace.Edge, d Direction, subject flow.Account) bool {
	return e.Sink == trace.Service || e.Sink == "" && e.Swap != "" && nearEnd(e, d) == subject
}

// farEnd is the account at the end of an edge that a trace in that direction reaches.
func farEnd(e *trace.Edge, d Direction) flow.Account {
	if d == In {
		return e.From
	}
	return e.To
}

// nearEnd is the other one.
func nearEnd(e *trace.Edge, d Direction) flow.Account {
	if d == In {
		return e.To
	}
	return e.From
}

// maxPayees is how many accounts that an account paid are looked at to see what it asked for.
const maxPayees = 256

// markDust finds the exposures that strangers made: a direct payment in, below the floor, of less than a hundredth of all
// that came in, by somebody whom the account never paid. Share is of all that came in and not of the balance, so that an
// account that was emptied can not be smeared.
func (l Look) markDust(ctx context.Context, g trace.BackGraph, q Question, of []Exposure, covered []Covered) error {
	var payees map[flow.Account]bool
	whole := false
	for i := range of {
		e := &of[i]
		floor, ok := l.Floor(e.Asset)
		if !ok || e.Direction != In || !e.Direct || !e.Interval.High.Less(floor) || e.Share >= billion/100 || e.Omitted > 0 {
			continue
		}
		if payees == nil {
			var err error
			if payees, whole, err = l.payees(ctx, g, q, covered); err != nil {
				return err
			}
		}
		e.Dust = whole && !slices.ContainsFunc(e.Entities, func(who Entity) bool { return payees[who.Account] })
	}
	return nil
}

// payees are the accounts that the account paid in any of the assets that came in, or in its chain's coin; whole is false if
// there may be more.
func (l Look) payees(ctx context.Context, g trace.BackGraph, q Question, covered []Covered) (payees map[flow.Account]bool, whole bool, err error) {
	asked := map[flow.Asset]bool{}
	var asks []trace.BalanceAsk
	ask := func(a flow.Asset) {
		if asked[a] {
			return
		}
		asked[a] = true
		before := l.Before
		if before == (flow.Pos{}) {
			before = flow.Pos{Height: ^uint64(0)}
		}
		asks = append(asks, trace.BalanceAsk{Account: q.Account, Asset: a, Before: before, Parties: maxPayees})
	}
	ask(q.Account.Chain().Native())
	for _, c := range covered {
		ask(c.Asset)
	}
	balances, err := g.Balances(ctx, asks)
	if err != nil {
		return nil, false, fmt.Errorf("payees of %s: %w", q.Account, err)
	}
	payees, whole = map[flow.Account]bool{}, true
	for _, b := range balances {
		whole = whole && len(b.Payees) < maxPayees
		for _, a := range b.Payees {
			payees[a] = true
		}
	}
	return payees, whole, nil
}
