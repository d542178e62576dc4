package rank

import (
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A history is what was read of one account in one direction: its payments by asset, in the order in which the walk can
// take them.
type history struct {
	start flow.Pos // the first place that was read; backward the last
	books []book
	cut   bool // there are more payments than were read
}

// A book is the payments of one asset.
type book struct {
	asset  flow.Asset
	pays   []payment
	weight []float64
	from   []float64 // the weight of pays[i] and of all behind it
	out    []float64 // the units of pays[i] and of all behind it
}

// A reader reads histories.
type reader struct {
	graph   trace.Graph
	options Options
	read    int // transactions
}

// firstPage is how many movements are asked for at first; each further page of an account is four times as long.
const firstPage = 32

// history reads what an account paid from a place on or, backward, what it was paid up to that place.
func (r *reader) history(ctx context.Context, a flow.Account, start flow.Pos, back bool) (*history, error) {
	h := &history{start: start}
	l := lifter{swaps: r.options.Swaps}
	ask := r.graph.After
	if back {
		l.takes = func(b flow.Account) bool { return b == a }
		ask = r.graph.(trace.BackGraph).Before
	} else {
		l.gives = func(h holder) bool { return h.account == a }
	}
	index := map[flow.Asset]int{}
	n := 0
	var open trace.View // a page may end inside of a transaction
	lift := func() {
		if len(open.Tx.Movements) == 0 {
			return
		}
		r.read++
		before := n
		l.view(&open, func(p *payment) {
			asset := p.Asset
			if back {
				asset = p.Got
			}
			i, ok := index[asset]
			if !ok {
				i = len(h.books)
				index[asset] = i
				h.books = append(h.books, book{asset: asset})
			}
			h.books[i].pays = append(h.books[i].pays, *p)
			n++
		})
		if n == before {
			n++ // what is of no use was read, too
		}
		open = trace.View{}
	}
	limit := 0
	for at, more := start, true; more; {
		limit = min(max(limit*4, firstPage), r.options.Page)
		pages, err := ask(ctx, []trace.Ask{{Account: a, From: at, Limit: limit}})
		if err != nil {
			return nil, fmt.Errorf("transactions of %s: %w", a, err)
		}
		if len(pages) != 1 {
			return nil, fmt.Errorf("transactions of %s: %d answers: %w", a, len(pages), trace.ErrGraph)
		}
		more = pages[0].More
		if more && len(pages[0].Txs) == 0 {
			return nil, fmt.Errorf("transactions of %s from %s: an empty page with more behind it: %w", a, at, trace.ErrGraph)
		}
		for i := range pages[0].Txs {
			v := &pages[0].Txs[i]
			first, last, err := ends(v)
			if err != nil {
				return nil, fmt.Errorf("transactions of %s: %w", a, err)
			}
			whole := v.Places == nil // it may begin before the place asked for
			if back {
				first, last = last, first
			}
			if c := first.Compare(at); !whole && (!back && c < 0 || back && c > 0) || last.Compare(at)*sign(back) < 0 {
				return nil, fmt.Errorf("transactions of %s: %s comes out of order: %w", a, last, trace.ErrGraph)
			}
			if !isSame(&open, v) {
				lift()
				if n >= r.options.Payments {
					h.cut = true
					h.weigh(r.options.Weight, back)
					return h, nil
				}
				open = *v
			} else if !back {
				open.Tx.Movements = slices.Concat(open.Tx.Movements, v.Tx.Movements)
				open.Places = slices.Concat(open.Places, v.Places)
			} else {
				open.Tx.Movements = slices.Concat(v.Tx.Movements, open.Tx.Movements)
				open.Places = slices.Concat(v.Places, open.Places)
			}
			if back {
				at = before(last)
			} else {
				at = after(last)
			}
			if at == last || at.Compare(last)*sign(back) < 0 {
				more = false // the end of all places
			}
		}
	}
	lift()
	h.weigh(r.options.Weight, back)
	return h, nil
}

// sign is 1 forward and -1 backward.
func sign(back bool) int {
	if back {
		return -1
	}
	return 1
}

// ends are the places of the first and the last movement of a view.
func ends(v *trace.View) (first, last flow.Pos, err error) {
	n := len(v.Tx.Movements)
	if n == 0 || v.Places != nil && len(v.Places) != n || v.Places != nil && !slices.IsSorted(v.Places) {
		return first, last, fmt.Errorf("transaction %s: view without movements or places: %w", v.Tx.ID, trace.ErrGraph)
	}
	first, last = v.Tx.At(), v.Tx.At()
	last.Movement = uint32(n - 1)
	if v.Places != nil {
		first.Movement, last.Movement = v.Places[0], v.Places[n-1]
	}
	return first, last, nil
}

// isSame reports whether two views show parts of one transaction.
func isSame(a, b *trace.View) bool {
	return len(a.Tx.Movements) > 0 && a.Tx.At() == b.Tx.At() && a.Places != nil && b.Places != nil
}

// before is the place right before p; the first place is before itself.
func before(p flow.Pos) flow.Pos {
	switch {
	case p.Movement > 0:
		p.Movement--
	case p.Tx > 0:
		p = flow.Pos{Height: p.Height, Tx: p.Tx - 1, Movement: ^uint32(0)}
	case p.Height > 0:
		p = flow.Pos{Height: p.Height - 1, Tx: ^uint32(0), Movement: ^uint32(0)}
	}
	return p
}

// weigh puts every book in order and adds up its weights from behind.
func (h *history) weigh(w Weight, back bool) {
	for i := range h.books {
		b := &h.books[i]
		slices.SortStableFunc(b.pays, func(p, q payment) int {
			if back {
				return q.Landed.Compare(p.Landed)
			}
			return p.At.Compare(q.At)
		})
		b.weight, b.from, b.out = make([]float64, len(b.pays)), make([]float64, len(b.pays)+1), make([]float64, len(b.pays)+1)
		scale := 0.0
		for k := range b.pays {
			scale = max(scale, b.pays[k].units(back))
		}
		for k := len(b.pays) - 1; k >= 0; k-- {
			b.weight[k] = w.of(b.pays[k].units(back), scale)
			b.from[k] = b.from[k+1] + b.weight[k]
			b.out[k] = b.out[k+1] + b.pays[k].units(back)
		}
	}
}

// units are what the payment is compared by: of the asset of its giver or, backward, of its taker.
func (p *payment) units(back bool) float64 {
	if back {
		return units(p.GotUnits)
	}
	return units(p.Amount)
}
