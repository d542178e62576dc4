package rank

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A Ranking is where the ways of a theft lead. All shares are parts of one whole:
// the sums of Score and Residual over all accounts and Burned are 1.
type Ranking struct {
	Accounts []Ranked       // by what came to them, most first
	Visited  []flow.Account // in the order of visiting
	Burned   float64        // what went to nobody
	Waiting  float64        // the part of all residuals that no visit has taken on yet
	Read     int            // transactions read; one that two accounts share counts twice
	Partial  bool           // the budget of visits ended it, or an account was not read to its end
}

// A Ranked is an account as the walk sees it.
type Ranked struct {
	Account  flow.Account
	Came     float64    // all that ever came here; what circled counts each time
	Score    float64    // what of it stays: Alpha of it, as soon as it is visited
	Residual float64    // what of it went no further: it waits for a visit, or found no later payment, or this is a stop
	Hops     int        // the fewest payments from a source
	Visit    int        // its place in the order of visiting, from 1; 0 if it was not visited
	Stopped  bool       // the walk ends here
	Stop     trace.Stop // and why
	Cut      bool       // it has more payments than were read
}

// Explore ranks what a theft leads to. It visits the account that most waits at, reads it, and lets Alpha of what waits
// stay there as its score; the rest goes on with the account's later payments of the same asset, shared by their weights
// (and, if Beta is below 1, back along earlier receipts). Nothing ever goes with a payment that was made before it came.
// What no payment takes on stays as a residual, and so does the part of a receipt that all later payments together are
// too small for: who keeps 200 coins and pays 1 hands on a 200th.
//
// The sources share equally. An Outflow of every asset shares equally over the assets that the account pays out, all
// pieces of one NFT contract being one of them.
func Explore(ctx context.Context, g trace.Graph, theft trace.Theft, o Options) (*Ranking, error) {
	o, err := o.withDefaults(g)
	if err != nil {
		return nil, err
	}
	x := &explorer{
		reader: reader{graph: g, options: o},
		index:  map[flow.Account]int{},
	}
	if err := x.begin(ctx, theft); err != nil {
		return nil, err
	}
	for x.queue.len() > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		top := x.queue.top()
		s := &x.spots[top]
		if s.waiting <= o.Epsilon {
			break
		}
		if s.visit == 0 {
			if len(x.visited) == o.Visits {
				x.partial = true
				break
			}
			x.visited = append(x.visited, top)
			s.visit = len(x.visited)
		}
		if err := x.push(ctx, top); err != nil {
			return nil, err
		}
	}
	return x.ranking(), nil
}

// An explorer is the state of Explore.
type explorer struct {
	reader
	index   map[flow.Account]int
	spots   []spot
	queue   queue // of the spots where something waits
	visited []int
	burned  float64
	partial bool
}

// A spot is an account that something came to.
type spot struct {
	account               flow.Account
	score, waiting, rests float64
	came                  float64
	chips                 []chip // what waits
	forth, back           *history
	hops, visit           int
	stopped               bool
	stop                  trace.Stop
}

// A chip is a share of the walk at an account in one asset. The zero asset is every asset.
type chip struct {
	asset  flow.Asset
	from   flow.Pos // it can go on from there
	before flow.Pos // and back to what landed before
	share  float64
	units  float64 // of what brought it; 0 if that is not known
}

// begin puts the chips of the sources down.
func (x *explorer) begin(ctx context.Context, theft trace.Theft) error {
	if len(theft.Sources) == 0 {
		return fmt.Errorf("theft %.80q: no sources", theft.Name)
	}
	share := 1 / float64(len(theft.Sources))
	for i, s := range theft.Sources {
		c := chip{share: share}
		var a flow.Account
		switch s := s.(type) {
		case trace.Holding:
			a, c.asset, c.from, c.before, c.units = s.Account, s.Asset, s.At, s.At, units(s.Amount)
		case trace.Outflow:
			a, c.asset, c.from, c.before = s.Account, s.Asset, s.From, s.From
		case trace.Coin:
			a, c.asset, c.units = s.Account, s.Asset, units(s.Amount)
			at, err := x.spend(ctx, s)
			if err != nil {
				return fmt.Errorf("theft %.80q: source %d: %w", theft.Name, i+1, err)
			}
			c.from, c.before = at, at
		}
		if a.IsZero() {
			return fmt.Errorf("theft %.80q: source %d: no account", theft.Name, i+1)
		}
		n := x.spot(a, 0)
		// A source is no stop: what is stolen from a service is followed.
		x.spots[n].stopped, x.spots[n].stop = false, trace.Stop{}
		x.put(n, c)
	}
	return nil
}

// spend is where a coin is spent, or the end of all places.
func (x *explorer) spend(ctx context.Context, c trace.Coin) (flow.Pos, error) {
	txs, err := x.graph.Spends(ctx, c.Account.Chain(), []flow.Outpoint{c.Outpoint})
	switch {
	case err != nil:
		return flow.Pos{}, fmt.Errorf("coin %s: %w", c.Outpoint, err)
	case len(txs) != 1:
		return flow.Pos{}, fmt.Errorf("coin %s: %d answers: %w", c.Outpoint, len(txs), trace.ErrGraph)
	case len(txs[0].Movements) == 0:
		return flow.Pos{Height: ^uint64(0), Tx: ^uint32(0), Movement: ^uint32(0)}, nil
	}
	return txs[0].At(), nil
}

// spot is the number of an account's spot.
func (x *explorer) spot(a flow.Account, hops int) int {
	n, ok := x.index[a]
	if !ok {
		n = len(x.spots)
		x.index[a] = n
		s := spot{account: a, hops: hops}
		if x.options.Stop != nil {
			s.stop, s.stopped = x.options.Stop(a)
		}
		x.spots = append(x.spots, s)
	}
	x.spots[n].hops = min(x.spots[n].hops, hops)
	return n
}

// put lets a chip come to a spot.
func (x *explorer) put(n int, c chip) {
	s := &x.spots[n]
	s.came += c.share
	if s.stopped {
		keep := float64(x.options.Alpha * c.share)
		s.score += keep
		s.rests += c.share - keep
		return
	}
	s.chips = append(s.chips, c)
	s.waiting += c.share
	x.queue.set(n, s.waiting)
}

// push sends what waits at a spot on its way.
func (x *explorer) push(ctx context.Context, n int) error {
	s := &x.spots[n]
	chips, waiting := s.chips, s.waiting
	s.chips, s.waiting = nil, 0
	x.queue.set(n, 0)
	s.score += float64(x.options.Alpha * waiting)
	rest := 1 - x.options.Alpha
	forth := float64(rest * x.options.Beta)
	if err := x.send(ctx, n, chips, forth, false); err != nil {
		return err
	}
	if x.options.Beta < 1 {
		return x.send(ctx, n, chips, rest-forth, true)
	}
	return nil
}

// send shares that part of the chips over the payments of the spot which can take them on. What the account exchanged for
// another asset of its own goes on from there at once.
func (x *explorer) send(ctx context.Context, n int, chips []chip, part float64, back bool) error {
	for len(chips) > 0 {
		h, err := x.historyOf(ctx, n, chips, back)
		if err != nil {
			return err
		}
		own := x.spread(n, h, chips, part, back)
		chips, part = own, 1
	}
	return nil
}

// historyOf is what was read of a spot; it is read, or read again, if a chip needs an earlier place (backward a later one).
func (x *explorer) historyOf(ctx context.Context, n int, chips []chip, back bool) (*history, error) {
	s := &x.spots[n]
	h := &s.forth
	start := chips[0].from
	if back {
		h, start = &s.back, chips[0].before
	}
	for i := range chips[1:] {
		c := &chips[1+i]
		if !back && c.from.Compare(start) < 0 {
			start = c.from
		}
		if back && c.before.Compare(start) > 0 {
			start = c.before
		}
	}
	if *h == nil || start.Compare((*h).start)*sign(back) < 0 {
		read, err := x.history(ctx, s.account, start, back)
		if err != nil {
			return nil, err
		}
		*h = read
	}
	return *h, nil
}

// spread puts the chips down where the payments lead; it returns those that came back to the account itself.
func (x *explorer) spread(n int, h *history, chips []chip, part float64, back bool) (own []chip) {
	perWeight := make([][]float64, len(h.books)) // what each unit of weight of a payment and of all behind it carries
	load := func(b, first int, share float64) {
		if perWeight[b] == nil {
			perWeight[b] = make([]float64, len(h.books[b].pays))
		}
		perWeight[b][first] += share / h.books[b].from[first]
	}
	for i := range chips {
		c := &chips[i]
		share := float64(part * c.share)
		places := h.takers(c, back)
		if len(places) == 0 {
			x.spots[n].rests += share
			continue
		}
		moves := share
		if c.units > 0 {
			if out := h.books[places[0].book].out[places[0].first]; out < c.units {
				moves = float64(share * (out / c.units))
				x.spots[n].rests += share - moves
			}
		}
		for _, p := range places {
			load(p.book, p.first, float64(moves*p.share))
		}
	}
	hops := x.spots[n].hops + 1
	for b := range perWeight {
		carried := 0.0
		for k, more := range perWeight[b] {
			if carried += more; carried == 0 {
				continue
			}
			p := &h.books[b].pays[k]
			c := chip{p.Got, after(p.Landed), p.Landed, float64(carried * h.books[b].weight[k]), units(p.GotUnits)}
			to := p.To
			if back {
				c.asset, c.from, c.before, c.units, to = p.Asset, after(p.At), p.At, units(p.Amount), p.From
			}
			switch {
			case to.IsZero():
				x.burned += c.share
			case to == x.spots[n].account:
				own = append(own, c)
			default:
				x.put(x.spot(to, hops), c)
			}
		}
	}
	return own
}

// A taker is a book with the first payment that can take a chip on, and the share of it that the book gets.
type taker struct {
	book, first int
	share       float64
}

// takers are the books that can take a chip on. A chip of every asset is shared over all, contract by contract.
func (h *history) takers(c *chip, back bool) []taker {
	var all []taker
	pieces := map[string]int{} // of each NFT contract
	for b := range h.books {
		book := &h.books[b]
		if !c.asset.IsZero() && book.asset != c.asset {
			continue
		}
		first := sort.Search(len(book.pays), func(k int) bool {
			if back {
				return book.pays[k].Landed.Compare(c.before) < 0
			}
			return book.pays[k].At.Compare(c.from) >= 0
		})
		if first < len(book.pays) {
			all = append(all, taker{b, first, 1})
			pieces[class(book.asset)]++
		}
	}
	for i := range all {
		all[i].share = 1 / float64(len(pieces)*pieces[class(h.books[all[i].book].asset)])
	}
	return all
}

// class is what an asset is shared under: all pieces of one contract are one.
func class(a flow.Asset) string {
	if contract := a.Contract(); contract != "" {
		return contract
	}
	return a.Name()
}

// ranking is the answer.
func (x *explorer) ranking() *Ranking {
	r := &Ranking{Burned: x.burned, Read: x.read, Partial: x.partial}
	for _, n := range x.visited {
		r.Visited = append(r.Visited, x.spots[n].account)
	}
	for i := range x.spots {
		s := &x.spots[i]
		cut := s.forth != nil && s.forth.cut || s.back != nil && s.back.cut
		r.Partial = r.Partial || cut
		r.Waiting += s.waiting
		r.Accounts = append(r.Accounts, Ranked{
			Account: s.account, Came: s.came, Score: s.score, Residual: s.waiting + s.rests, Hops: s.hops, Visit: s.visit,
			Stopped: s.stopped, Stop: s.stop, Cut: cut,
		})
	}
	slices.SortStableFunc(r.Accounts, func(a, b Ranked) int { return cmp.Compare(b.Came, a.Came) })
	return r
}
