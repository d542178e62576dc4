package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/trace/route"
)

// ErrAsset is returned for a route of which nobody said what moved on it.
var ErrAsset = errors.New("a route is of one asset")

// A RouteAsk is a question for a route as people write it, not yet looked up in a store.
type RouteAsk struct {
	From  TheftSource
	To    string
	Asset string // as in TheftSource; that of From if empty
	Until string // see Until
}

// A RouteAnswer is a route with all that is needed to recompute it, and with what it does not know. Its JSON form is
// described in docs/formats/route.md.
type RouteAnswer struct {
	Version      string           `json:"version"`
	Chain        ChainState       `json:"chain"`
	LabelCount   int              `json:"label_count"`
	LabelHash    flow.Hash        `json:"label_hash"` // see Labels.Hash
	BadLabels    []string         `json:"bad_labels"` // the first rows of the labels that were refused, with the reason
	BadLabelRows int              `json:"bad_label_rows"`
	Services     int              `json:"services"` // how many of the labels are of services, where a way ends
	Labels       map[string]Label `json:"labels"`   // of the accounts in the answer, by CAIP-10
	DoesNotKnow  []string         `json:"does_not_know"`
	Partial      bool             `json:"partial"` // the budget ended it, or facts are missing
	Route        *route.Result    `json:"route"`
}

// ResolveRoute looks a question for a route up in a store: times become places. chain says where EVM addresses without a
// chain are, as for Resolve. Errors: ErrAbsent for an end that the store does not hold; ErrAsset; ErrCoins.
func ResolveRoute(ctx context.Context, s store.Snapshot, ask RouteAsk, chain flow.Chain) (q route.Question, err error) {
	to, err := accountIn(s, ask.To, chain)
	if err != nil {
		return q, fmt.Errorf("route to %s: %w", ask.To, err)
	}
	from := ask.From
	if from.Asset == "" {
		from.Asset = ask.Asset
	}
	src, err := resolveSource(ctx, s, from, chain)
	if err != nil {
		return q, fmt.Errorf("route from %s: %w", from.Account, err)
	}
	q.To = to
	switch src := src.(type) {
	case trace.Holding:
		q.From, q.Asset, q.Amount, q.Start = src.Account, src.Asset, src.Amount, src.At
	case trace.Outflow:
		q.From, q.Asset, q.Start = src.Account, src.Asset, src.From
	}
	c := q.From.Chain()
	if q.Asset.IsZero() && c.IsUTXO() {
		q.Asset = c.Native()
	}
	if q.Asset.IsZero() {
		return q, fmt.Errorf("route from %s: %w", q.From, ErrAsset)
	}
	if ask.Asset != "" {
		other, err := ParseAsset(c, ask.Asset)
		if err != nil {
			return q, fmt.Errorf("route from %s: %w", q.From, err)
		}
		if other != q.Asset {
			return q, fmt.Errorf("route from %s: both %s and %s are named: %w", q.From, q.Asset, other, ErrAsset)
		}
	}
	for _, end := range []trace.Outflow{{Account: q.From, From: q.Start}, {Account: q.To}} {
		why, err := whyAbsent(ctx, s, end, false)
		if err == nil && why != "" {
			err = fmt.Errorf("%s: %w", why, ErrAbsent)
		}
		if err != nil {
			return q, err
		}
	}
	q.End, err = Until(ctx, s, ask.Until, trace.Theft{Sources: []trace.Source{src}}, false)
	return q, err
}

// Route finds the ways of a resolved question on the snapshot, and says what it could not know. No way leads through
// the services among the labels, unless o says otherwise. progress, if any, is told how many transactions were read so
// far.
func Route(ctx context.Context, s store.Snapshot, q route.Question, o route.Options, labels *Labels, progress func(read int64)) (*RouteAnswer, error) {
	if o.Stop == nil && labels != nil {
		o.Stop = labels.Stop
	}
	g := NewGraph(s)
	g.progress = progress
	r, err := route.Find(ctx, g, q, o)
	if err != nil {
		return nil, err
	}
	a := &RouteAnswer{Version: Version, LabelCount: labels.Len(), LabelHash: labels.Hash(), Services: labels.Services(),
		BadLabels: []string{}, Labels: map[string]Label{}, Partial: r.Partial || r.Unknown > 0, Route: r}
	if labels != nil {
		a.BadLabels, a.BadLabelRows = append(a.BadLabels, labels.Bad...), labels.BadRows
	}
	a.label(labels)
	if a.Chain, _, err = describeChain(ctx, s, q.From.Chain(), q.Start.Height); err != nil {
		return nil, err
	}
	var doubted []string
	if !q.Amount.IsZero() {
		held := trace.Holding{Account: q.From, Asset: q.Asset, Amount: q.Amount, At: q.Start}
		if doubted, err = unshown(ctx, g, trace.Theft{Sources: []trace.Source{held}}); err != nil {
			return nil, err
		}
	}
	a.sayWhatIsNotKnown(doubted)
	return a, nil
}

// label adds the labels of everyone in the answer.
func (a *RouteAnswer) label(labels *Labels) {
	add := func(of flow.Account) {
		if l, ok := labels.Of(of); ok {
			a.Labels[of.String()] = l
		}
	}
	add(a.Route.From)
	add(a.Route.To)
	for _, p := range a.Route.Paths {
		for _, s := range p.Steps {
			add(s.To)
		}
	}
	for _, s := range a.Route.Cut {
		add(s.From)
		add(s.To)
	}
	for _, s := range a.Route.Stops {
		add(s.Account)
	}
}

// sayWhatIsNotKnown fills DoesNotKnow.
func (a *RouteAnswer) sayWhatIsNotKnown(doubted []string) {
	say := func(format string, args ...any) { a.DoesNotKnow = append(a.DoesNotKnow, fmt.Sprintf(format, args...)) }
	for _, d := range doubted {
		say("Not shown: %s.", d)
	}
	a.DoesNotKnow = append(a.DoesNotKnow, a.Chain.notKnown()...)
	say("It is what can have gone, not what went: money of other origin may have been paid instead at every account between.")
	say("Ways through swaps, bridges and mixers are not seen: a route is of one asset on one chain.")
	if n := len(a.Route.Stops); n > 0 {
		say("No way leads through a service, a mixer or a bridge, though money may have gone that way: %s met.", Count(n, "such account"))
	}
	if a.Route.Unknown > 0 {
		say("The origin of %s that %s to the end is not known: more may have gone.", Count(a.Route.Unknown, "input"), leads(a.Route.Unknown))
	}
	a.DoesNotKnow = append(a.DoesNotKnow, labelsNotKnown(a.LabelCount, a.Services, a.BadLabelRows, a.BadLabels)...)
	for _, c := range a.Route.Continue {
		u := a.Route.Unread
		say("Cut short: %s. Ways that need a movement from %s to %s are not seen.", c, u.First, u.Last)
	}
}

func leads(n int) string {
	if n == 1 {
		return "leads"
	}
	return "lead"
}
