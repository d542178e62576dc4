package watch

import (
	"slices"

	"github.com/spoor-dev/spoor/detect"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A hop is claim on its way in one transaction: edges of all rules of a case that differ in their claims alone.
type hop struct {
	hopKey
	index  uint32
	time   int64
	amount flow.Amount   // of the whole leg
	units  []flow.Amount // stolen, by ledger
	claims []lineClaim   // by the leading ledger
}

type hopKey struct {
	tx               flow.Hash
	at               flow.Pos
	from, to         flow.Account
	fromCoin, toCoin flow.Outpoint
	asset            flow.Asset
	sink             trace.Sink
	swap             trace.SwapSide
}

// lineClaim is claim of one line.
type lineClaim struct {
	line  int
	claim flow.Amount
}

func addClaim(claims []lineClaim, line int, v flow.Amount) []lineClaim {
	for i := range claims {
		if claims[i].line == line {
			claims[i].claim = capped(claims[i].claim, v)
			return claims
		}
	}
	return append(claims, lineClaim{line, v})
}

// capped is a+b, or a where that is more than an amount can be.
func capped(a, b flow.Amount) flow.Amount {
	if s, ok := a.Add(b); ok {
		return s
	}
	return a
}

func (h *hop) giver() trace.Holder {
	return trace.Holder{Account: h.from, Asset: h.asset, Outpoint: h.fromCoin}
}

func (h *hop) taker() trace.Holder {
	return trace.Holder{Account: h.to, Asset: h.asset, Outpoint: h.toCoin}
}

// fact is the hop as evidence.
func (h *hop) fact() finding.Fact {
	return finding.Fact{Tx: h.tx, At: h.at, Time: h.time, Index: h.index, From: h.from, To: h.to, Asset: h.asset, Amount: h.amount}
}

// hops gathers edges.
type hops struct {
	all   []hop
	place map[hopKey]int
}

// add adds an edge of ledger n, of so many.
func (g *hops) add(e *trace.Edge, n, of int, lead bool) {
	k := hopKey{e.Tx, e.At, e.From, e.To, e.FromCoin, e.ToCoin, e.Asset, e.Sink, e.Swap}
	i, ok := g.place[k]
	if !ok {
		i = len(g.all)
		if g.place == nil {
			g.place = map[hopKey]int{}
		}
		g.place[k] = i
		g.all = append(g.all, hop{hopKey: k, index: e.Index, time: e.Time, amount: e.Amount, units: make([]flow.Amount, of)})
	}
	h := &g.all[i]
	h.units[n] = capped(h.units[n], e.Units).Min(h.amount)
	if lead {
		h.claims = addClaim(h.claims, e.Line, e.Claim)
	}
}

// hopsOf are the hops of a touch: those of the leading ledger first, in its order.
func (s *seat) hopsOf(t trace.Touch) []hop {
	var g hops
	for _, leading := range [2]bool{true, false} {
		for l, e := range t.Edges() {
			if n := slices.Index(s.ledgers, l); (n == s.lead) == leading && l.Policy() != trace.Poison {
				g.add(&e, n, len(s.ledgers), leading)
			}
		}
	}
	return g.all
}

// share is how much of the theft some claims are, in billionths: of the line of which they are most.
func (s *seat) share(claims []lineClaim) (most uint64) {
	for _, c := range claims {
		if _, stolen, ok := s.ledger().Stolen(c.line); ok && !stolen.IsZero() {
			n, _ := flow.NewAmount(billion).Share(c.claim.Min(stolen), stolen).Uint64()
			most = max(most, n)
		}
	}
	return most
}

const billion = 1_000_000_000

// moved is the sum of some hops under the leading rule.
func (s *seat) moved(hops []*hop) (sums []sum, share uint64) {
	var claims []lineClaim
	for _, h := range hops {
		sums = plus(sums, h.asset, h.units[s.lead])
		for _, c := range h.claims {
			claims = addClaim(claims, c.line, c.claim)
		}
	}
	return sums, s.share(claims)
}

// ends are the accounts at one end of some hops, each once, in their order.
func ends(hops []*hop, of func(*hop) flow.Account) []flow.Account {
	var all []flow.Account
	seen := map[flow.Account]bool{}
	for _, h := range hops {
		if a := of(h); !a.IsZero() && !seen[a] {
			seen[a] = true
			all = append(all, a)
		}
	}
	return all
}

func givers(hops []*hop) []flow.Account {
	return ends(hops, func(h *hop) flow.Account { return h.from })
}

func takers(hops []*hop) []flow.Account {
	return ends(hops, func(h *hop) flow.Account { return h.to })
}

func facts(hops []*hop) []finding.Fact {
	all := make([]finding.Fact, len(hops))
	for i, h := range hops {
		all[i] = h.fact()
	}
	return all
}

// event is the hop as the rules of package detect see it.
func (s *seat) event(h *hop, w World) detect.Event {
	return detect.Event{
		Theft: s.open.ID, Tx: h.tx, At: h.at, Time: h.time, Index: h.index, From: h.from, To: h.to, Asset: h.asset,
		Amount: h.amount, Units: h.units[s.lead], Sink: patternSink(h, w), Swap: detect.Swap(h.swap),
	}
}

// patternSink is where a hop ended in the words of detect.
func patternSink(h *hop, w World) detect.Sink {
	switch h.sink {
	case "":
		return detect.Held
	case trace.DustSink:
		return detect.Dust
	case trace.Burned:
		return detect.Burned
	}
	switch ended(h, w) {
	case trace.Bridge:
		return detect.Bridge
	case trace.Mixer:
		return detect.Mixer
	case trace.Service:
		return detect.Service
	}
	return detect.Lost
}
