package watch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// ErrOpen is returned for a case that is open already.
var ErrOpen = errors.New("there is an open case of that name")

// Open follows a theft to where the Watch stands, and from then on with every block. starts says for each chain of the
// theft how far it is known: up to Final the case is walked, which cannot be undone, and then it eats Rest, which can.
// The last block of a Start is the newest one that was eaten of its chain; a chain of which none was stands there from
// now on. g answers from a state of the store that holds these blocks. What is found on the way is known and not told
// one by one: Opened says where the money is. What a fork takes back of Rest and brings again is told.
//
// If there is an error, nothing was opened: ErrOpen; trace.ErrOrder where a Start ends elsewhere; those of g, ctx and Rest.
func (w *Watch) Open(ctx context.Context, g Graph, c Case, starts ...Start) (Opened, error) {
	if err := checkName(c.ID); err != nil {
		return Opened{}, fmt.Errorf("open a case: %w", err)
	}
	if w.cases[c.ID] != nil {
		return Opened{}, fmt.Errorf("open case %.80q: %w", c.ID, ErrOpen)
	}
	o, err := w.open(ctx, g, c, starts)
	if err != nil {
		return Opened{}, fmt.Errorf("open case %.80q: %w", c.ID, err)
	}
	return o, nil
}

func (w *Watch) open(ctx context.Context, g Graph, c Case, starts []Start) (Opened, error) {
	if c.Options.Budget.Until != (flow.Pos{}) || c.Options.Backward {
		return Opened{}, errors.New("a watched case has no last place to read, and runs forward")
	}
	chains, err := chainsOf(c.Theft)
	if err != nil {
		return Opened{}, err
	}
	o := &opened{Case: c}
	tips := map[flow.Chain]flow.Point{}
	var reports []*trace.Report
	for _, chain := range chains {
		i := slices.IndexFunc(starts, func(s Start) bool { return s.Chain == chain || s.Chain.IsZero() && s.Final.Chain == chain })
		if i < 0 {
			return Opened{}, fmt.Errorf("nobody says how far %s is known", chain)
		}
		traced, tip, err := w.follow(ctx, g, c, chain, starts[i])
		if err != nil {
			return Opened{}, err
		}
		s, err := newSeat(o, chain, traced)
		if err != nil {
			return Opened{}, err
		}
		s.since = tip.Height
		if err := s.remake(g); err != nil {
			return Opened{}, err
		}
		r, err := traced.Report()
		if err != nil {
			return Opened{}, err
		}
		reports = append(reports, r)
		o.seats = append(o.seats, s)
		tips[chain] = tip
	}
	for i, s := range o.seats {
		if err := w.desk.Add(s.id, s.c, w.place(tips[s.chain])...); err != nil {
			for _, added := range o.seats[:i] {
				w.desk.Remove(added.id)
			}
			return Opened{}, err
		}
	}
	for chain, tip := range tips {
		if ch := w.chain(chain); !ch.known && !tip.IsZero() {
			ch.known, ch.tip, ch.lost = true, tip, tip.Height
		}
	}
	w.hold(o)
	return o.figures(g, reports, tips), nil
}

// chainsOf are the chains of a theft, in order.
func chainsOf(t trace.Theft) ([]flow.Chain, error) {
	var chains []flow.Chain
	for i, src := range t.Sources {
		a, ok := accountOf(src)
		if !ok {
			return nil, fmt.Errorf("source %d is of an unknown kind", i+1)
		}
		if !slices.Contains(chains, a.Chain()) {
			chains = append(chains, a.Chain())
		}
	}
	slices.SortFunc(chains, flow.Chain.Compare)
	if len(chains) == 0 {
		return nil, errors.New("the theft has no sources")
	}
	return chains, nil
}

func accountOf(src trace.Source) (flow.Account, bool) {
	switch src := src.(type) {
	case trace.Holding:
		return src.Account, true
	case trace.Coin:
		return src.Account, true
	case trace.Outflow:
		return src.Account, true
	}
	return flow.Account{}, false
}

// on is the theft on one chain.
func on(t trace.Theft, c flow.Chain) trace.Theft {
	part := trace.Theft{Name: t.Name}
	for _, src := range t.Sources {
		if a, ok := accountOf(src); ok && a.Chain() == c {
			part.Sources = append(part.Sources, src)
		}
	}
	return part
}

// follow traces a case on one chain to the newest block.
func (w *Watch) follow(ctx context.Context, g Graph, c Case, chain flow.Chain, start Start) (*trace.Case, flow.Point, error) {
	tip := start.Final
	traced, err := walk(ctx, g, on(c.Theft, chain), c.Options, start.Final)
	if err != nil {
		return nil, tip, err
	}
	if start.Rest != nil {
		for b, err := range start.Rest {
			switch p := b.Point; {
			case err != nil:
				return nil, tip, err
			case ctx.Err() != nil:
				return nil, tip, ctx.Err()
			case p.Chain != chain || !tip.IsZero() && p.Height <= tip.Height:
				return nil, tip, fmt.Errorf("%s after %s: %w", p, tip, trace.ErrOrder)
			}
			for i := range b.Txs {
				if err := traced.Apply(ctx, g, b.Txs[i]); err != nil {
					return nil, tip, fmt.Errorf("%s: %w", b.Point, err)
				}
			}
			tip = b.Point
		}
	}
	ch := w.chain(chain)
	if ch.known && (tip.Height != ch.tip.Height || tip.Hash != ch.tip.Hash && !tip.Hash.IsZero() && !ch.tip.Hash.IsZero()) {
		return nil, tip, fmt.Errorf("it is known to %s, and the watch stands at %s: %w", tip, ch.tip, trace.ErrOrder)
	}
	return traced, tip, nil
}

// walk traces a theft to the end of a block.
func walk(ctx context.Context, g Graph, t trace.Theft, o trace.Options, end flow.Point) (*trace.Case, error) {
	if end.IsZero() {
		return trace.New(t, o)
	}
	short := o
	short.Budget.Until = flow.Pos{Height: end.Height, Tx: math.MaxUint32, Movement: math.MaxUint32}
	c, err := trace.New(t, short)
	if err != nil {
		return nil, err
	}
	if err := c.Walk(ctx, until{g, end.Height}); err != nil {
		return nil, err
	}
	return trace.Restore(t, o, c.Snapshot()) // the same without a last place to read
}

// until is a graph that ends with a block: a walk in it leaves no holder behind of whom more is to be read.
type until struct {
	Graph
	height uint64
}

// After shows no transaction above the last block.
func (u until) After(ctx context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages, err := u.Graph.After(ctx, asks)
	for i := range pages {
		p := &pages[i]
		if n := slices.IndexFunc(p.Txs, func(v trace.View) bool { return v.Tx.Point.Height > u.height }); n >= 0 {
			p.Txs, p.More = p.Txs[:n], false
		}
	}
	return pages, err
}

// Spends shows no transaction above the last block.
func (u until) Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs, err := u.Graph.Spends(ctx, c, of)
	for i := range txs {
		if txs[i].Point.Height > u.height {
			txs[i] = flow.Tx{}
		}
	}
	return txs, err
}

// place is where the desk stands behind the newest block of a chain.
func (w *Watch) place(tip flow.Point) []trace.Place {
	for _, p := range w.desk.Places() {
		if p.Chain == tip.Chain {
			return []trace.Place{p}
		}
	}
	if tip.IsZero() {
		return nil
	}
	return []trace.Place{trace.After(tip)}
}

// figures say where the money is.
func (o *opened) figures(g Graph, reports []*trace.Report, tips map[flow.Chain]flow.Point) Opened {
	found := Opened{ID: o.ID}
	for i, r := range reports {
		s := o.seats[i]
		lead, clean := &r.Results[s.lead], &r.Results[s.clean]
		for _, n := range lead.Lines {
			stolen := Figures{Of: n.Asset, Dirty: n.Stolen}
			held := Figures{Of: n.Asset, Dirty: n.Held}
			sinks := map[trace.Sink]Figures{}
			for _, k := range n.Sinks {
				sinks[k.Sink] = Figures{Of: n.Asset, Dirty: k.Claim}
			}
			for _, m := range clean.Lines {
				if m.Asset != n.Asset {
					continue
				}
				stolen.Clean, held.Clean = m.Stolen, m.Held
				for _, k := range m.Sinks {
					f := sinks[k.Sink]
					f.Of, f.Clean = n.Asset, k.Claim
					sinks[k.Sink] = f
				}
			}
			found.Stolen, found.Held = append(found.Stolen, stolen), append(found.Held, held)
			for k, f := range sinks {
				found.Sinks = append(found.Sinks, SinkFigures{k, f})
			}
		}
		found.holders(g, lead, clean)
		found.Partial = append(found.Partial, lead.Continue...)
	}
	slices.SortFunc(found.Sinks, func(a, b SinkFigures) int {
		return cmp.Or(a.Of.Compare(b.Of), b.Dirty.Compare(a.Dirty), b.Clean.Compare(a.Clean), cmp.Compare(a.Sink, b.Sink))
	})
	found.Alert = found.say(g, o, reports, tips)
	return found
}

// topHolders is how many holders Opened names.
const topHolders = 10

// holders adds those who have the largest parts of what was stolen of an asset.
func (f *Opened) holders(g Graph, lead, clean *trace.Result) {
	type key struct {
		trace.Holder
		of flow.Asset
	}
	least := map[key]flow.Amount{}
	for _, h := range clean.Holders {
		least[key{h.Holder, clean.Lines[h.Line-1].Asset}] = h.Claim
	}
	var all []HolderFigures
	for _, h := range lead.Holders {
		if h.Claim.IsZero() {
			continue
		}
		of := lead.Lines[h.Line-1].Asset
		all = append(all, HolderFigures{Holder: h.Holder, Figures: Figures{Of: of, Dirty: h.Claim, Clean: least[key{h.Holder, of}]}})
	}
	stolen := map[flow.Asset]flow.Amount{}
	for _, n := range f.Stolen {
		stolen[n.Of] = n.Dirty
	}
	share := func(h HolderFigures) flow.Amount { return flow.NewAmount(billion).Share(h.Dirty, stolen[h.Of]) }
	all = append(f.Holders, all...)
	slices.SortStableFunc(all, func(a, b HolderFigures) int { return share(b).Compare(share(a)) })
	n := min(len(all), topHolders)
	f.Holders, f.More = all[:n:n], f.More+len(all)-n
	for i := range f.Holders {
		if p, ok := g.Party(f.Holders[i].Account); ok {
			f.Holders[i].Party = p.Name
		}
	}
}

// say is one alert for all of it. Its key is of the sources, so that a case which is opened again says nothing new.
func (f *Opened) say(g Graph, o *opened, reports []*trace.Report, tips map[flow.Chain]flow.Point) alert.Alert {
	sources := sha256.New()
	var text strings.Builder
	for _, r := range reports {
		for _, s := range r.Sources {
			fmt.Fprintf(sources, "%s %s %s %s %s %s\n", s.Kind, s.Account, s.Asset, s.Outpoint, s.Amount, s.At)
		}
	}
	if len(f.Stolen) == 0 {
		text.WriteString("Nothing has moved yet. ")
	}
	for i, stolen := range f.Stolen {
		fmt.Fprintf(&text, "%s stolen; with holders %s", amount(g, stolen.Of, stolen.Dirty), f.Held[i].words(g))
		for _, k := range f.Sinks {
			if k.Of == stolen.Of {
				fmt.Fprintf(&text, "; %s %s", k.Sink, k.words(g))
			}
		}
		text.WriteString(". ")
	}
	for i, h := range f.Holders {
		if i == 0 {
			text.WriteString("The most is with ")
		} else {
			text.WriteString(", ")
		}
		who := h.Account.Address()
		if h.Party != "" {
			who += " (" + h.Party + ")"
		}
		fmt.Fprintf(&text, "%s %s", who, h.words(g))
	}
	if len(f.Holders) > 0 {
		if f.More > 0 {
			fmt.Fprintf(&text, " and %s", count(f.More, "other"))
		}
		text.WriteString(". ")
	}
	if len(f.Partial) > 0 {
		text.WriteString("The trace does not show all: " + strings.Join(f.Partial, "; ") + ". ")
	}
	text.WriteString("It is followed from now on; what is told here is not told again.")
	p := tips[o.seats[0].chain]
	return alert.Alert{
		Key: o.ID + "/opened/" + hex.EncodeToString(sources.Sum(nil)), Kind: alert.State, Severity: finding.Info, Case: o.ID,
		Title: "Case opened", Text: finding.Clean(text.String(), 3000), Chain: o.seats[0].chain, At: p,
	}
}

// words are figures for people.
func (f Figures) words(w World) string {
	if f.Dirty == f.Clean {
		return amount(w, f.Of, f.Dirty)
	}
	return fmt.Sprintf("%s (%s if clean money was paid first)", amount(w, f.Of, f.Dirty), amount(w, f.Of, f.Clean))
}
