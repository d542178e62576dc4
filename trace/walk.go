package trace

import (
	"context"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// ErrGraph is returned for an answer of a Graph that breaks its contract: out of order, or not what was asked for.
var ErrGraph = errors.New("the graph broke its word")

// A walk feeds the ledgers of one chain from a Graph: the movements of all touched holders, in the order of the chain,
// through a queue of one cursor for each account or coin. It reads nobody who holds nothing, and it reads an account
// once for all ledgers.
type walk struct {
	graph   Graph
	chain   flow.Chain
	back    bool
	page    int
	until   flow.Pos // the last place to read; none if zero
	ledgers []*Ledger

	queue   []*cursor // a heap
	open    map[flow.Account]*cursor
	coins   map[flow.Outpoint]bool // asked for
	wanting []*cursor              // accounts that need a page
	made    int
	event   event
	swaps   txSwaps
	buffers buffers
}

// A cursor is what is still to be read of one account, or the transaction that spends one coin.
type cursor struct {
	account flow.Account
	coin    flow.Outpoint
	views   []View
	view, i int
	at      flow.Pos // of the movement at hand; in a cursor that wants a page, the first place of interest
	start   flow.Pos // the first place of interest of all
	more    bool
	limit   int
	closed  bool // another cursor took its place
	order   int  // for a fixed order among equals
}

// buffers are the questions of one round.
type buffers struct {
	asks     []Ask
	coins    []flow.Outpoint
	made     []flow.Pos // where each coin was made
	records  []ledgerRecord
	balances []BalanceAsk
	known    map[BalanceAsk]int
}

type ledgerRecord struct {
	ledger *Ledger
	record *record
}

func (w *walk) mirrored(p flow.Pos) flow.Pos {
	if w.back {
		return mirror(p)
	}
	return p
}

// run walks until nothing is left to read or the budgets end it.
func (w *walk) run(ctx context.Context) error {
	w.open, w.coins = map[flow.Account]*cursor{}, map[flow.Outpoint]bool{}
	w.buffers.known = map[BalanceAsk]int{}
	w.resume()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
		at, ok := w.nextSource()
		if w.land(at, ok) {
			continue
		}
		switch {
		case len(w.queue) > 0 && (!ok || w.queue[0].at.Compare(at) < 0):
			if w.until != (flow.Pos{}) && w.queue[0].at.Compare(w.until) > 0 {
				w.cut()
				return nil
			}
			if err := w.step(); err != nil {
				return err
			}
		case ok && (w.until == (flow.Pos{}) || at.Compare(w.until) <= 0):
			for _, l := range w.ledgers {
				l.begin(at)
			}
		case ok:
			w.cut()
			return nil
		default:
			return nil
		}
	}
}

// resume opens what the ledgers already follow.
func (w *walk) resume() {
	for _, l := range w.ledgers {
		if l.spent {
			continue
		}
		from := flow.Pos{}
		if l.started {
			from = next(l.last)
		}
		for _, r := range l.records() {
			r.cut = false
			if r.isLive() {
				l.fresh = append(l.fresh, fresh{r.holder.Account, r, later(from, r.last)})
			}
		}
		for _, a := range l.outflowAccounts() {
			l.fresh = append(l.fresh, fresh{a, nil, later(from, l.outflows[a][0].at)})
		}
	}
}

func later(p, q flow.Pos) flow.Pos {
	if p.Compare(q) < 0 {
		return q
	}
	return p
}

// nextSource is the place where the next source begins.
func (w *walk) nextSource() (at flow.Pos, ok bool) {
	for _, l := range w.ledgers {
		if l.begun < len(l.sources) && !l.spent {
			if p := l.sources[l.begun].at; !ok || p.Compare(at) < 0 {
				at, ok = p, true
			}
		}
	}
	return at, ok
}

// land lets claim arrive that is in transit, if nothing before the place of its arrival is left to read or to begin.
func (w *walk) land(source flow.Pos, more bool) (landed bool) {
	for _, l := range w.ledgers {
		if len(l.transit.parts) == 0 {
			continue
		}
		end := l.transit.at
		if (len(w.queue) == 0 || w.queue[0].at.Compare(end) >= 0) && (!more || source.Compare(end) >= 0) {
			l.land()
			landed = true
		}
	}
	return landed
}

// step applies the first movement of the queue to all ledgers.
func (w *walk) step() error {
	c := w.queue[0]
	at := c.at
	v, i := &c.views[c.view], c.i
	live := false
	var done [16]*cursor
	same := done[:0]
	for len(w.queue) > 0 && w.queue[0].at == at {
		c := w.pop()
		live = live || w.follows(c)
		same = append(same, c)
	}
	if live {
		if err := w.event.set(&v.Tx, w.mirrored(at), &v.Tx.Movements[i], w.back); err != nil {
			return err
		}
		w.event.swaps = nil
		if w.swaps.swaps.Of != nil && v.Places == nil {
			w.swaps.enter(&v.Tx)
			w.event.swaps = &w.swaps
		}
		for _, l := range w.ledgers {
			if err := l.move(&w.event); err != nil {
				return err
			}
		}
	}
	for _, c := range same {
		if err := w.advance(c); err != nil {
			return err
		}
	}
	return nil
}

// follows reports whether any ledger still cares for the cursor's holder.
func (w *walk) follows(c *cursor) bool {
	if c.closed {
		return false
	}
	for _, l := range w.ledgers {
		if l.spent {
			continue
		}
		if c.account.IsZero() && l.FollowsCoin(c.coin) || !c.account.IsZero() && l.Follows(c.account) {
			return true
		}
	}
	return false
}

// advance puts a cursor back into the queue at its next movement, asks for its next page, or closes it.
func (w *walk) advance(c *cursor) error {
	if c.account.IsZero() {
		return nil // a coin is spent once
	}
	if c.closed {
		return nil
	}
	if !w.follows(c) {
		delete(w.open, c.account)
		return nil
	}
	if w.back {
		c.i--
	} else {
		c.i++
	}
	return w.seek(c, next(c.at))
}

// seek moves the cursor to the first movement shown from its position on.
func (w *walk) seek(c *cursor, from flow.Pos) error {
	for c.view < len(c.views) {
		v := &c.views[c.view]
		if c.i < 0 || c.i >= len(v.Tx.Movements) {
			c.view++
			c.i = 0
			if w.back && c.view < len(c.views) {
				c.i = len(c.views[c.view].Tx.Movements) - 1
			}
			continue
		}
		at := w.mirrored(v.place(c.i))
		if at.Compare(from) < 0 {
			return fmt.Errorf("movements of %s: %s comes too late: %w", c.account, v.place(c.i), ErrGraph)
		}
		c.at = at
		w.push(c)
		return nil
	}
	c.views, c.view = nil, 0
	if !c.more {
		// Kept open: a cursor at its end has nothing to say until the chain grows.
		return nil
	}
	c.at = from
	w.wanting = append(w.wanting, c)
	return nil
}

// settle asks the graph for all that is needed before the next step.
func (w *walk) settle(ctx context.Context) error {
	if err := w.askBalances(ctx); err != nil {
		return err
	}
	b := &w.buffers
	b.coins, b.made = b.coins[:0], b.made[:0]
	for _, l := range w.ledgers {
		for _, f := range l.fresh {
			r := f.record
			switch {
			case r == nil:
				w.want(f.account, f.from)
			case !r.isLive(): // it turned out to be a service
			case r.holder.Outpoint.IsZero():
				w.want(f.account, f.from)
			case !w.coins[r.holder.Outpoint]:
				w.coins[r.holder.Outpoint] = true
				b.coins = append(b.coins, r.holder.Outpoint)
				b.made = append(b.made, r.last)
			}
		}
		l.fresh = l.fresh[:0]
	}
	if err := w.askCoins(ctx); err != nil {
		return err
	}
	for len(w.wanting) > 0 {
		if err := w.askPages(ctx); err != nil {
			return err
		}
	}
	return nil
}

// want opens a cursor for an account, unless it is open from that place on.
func (w *walk) want(a flow.Account, from flow.Pos) {
	if c := w.open[a]; c != nil {
		if c.start.Compare(from) <= 0 {
			return
		}
		c.closed = true // after a resume, one ledger may need an earlier place than another
	}
	w.made++
	c := &cursor{account: a, at: from, start: from, order: w.made}
	w.open[a] = c
	w.wanting = append(w.wanting, c)
}

// firstPage is how many movements are asked for at first; each further page of an account is four times as long.
const firstPage = 32

func (w *walk) askPages(ctx context.Context) error {
	b := &w.buffers
	b.asks = b.asks[:0]
	for _, c := range w.wanting {
		c.limit = min(max(c.limit*4, firstPage), w.page)
		b.asks = append(b.asks, Ask{c.account, w.mirrored(c.at), c.limit})
	}
	ask := w.graph.After
	if w.back {
		ask = w.graph.(BackGraph).Before
	}
	pages, err := ask(ctx, b.asks)
	if err != nil {
		return fmt.Errorf("movements of %d accounts: %w", len(b.asks), err)
	}
	if len(pages) != len(b.asks) {
		return fmt.Errorf("movements of %d accounts: %d answers: %w", len(b.asks), len(pages), ErrGraph)
	}
	wanting := w.wanting
	w.wanting = nil
	for i, c := range wanting {
		if c.closed {
			continue
		}
		from := c.at
		c.views, c.view, c.i, c.more = pages[i].Txs, 0, 0, pages[i].More
		for j := range c.views {
			v := &c.views[j]
			if len(v.Tx.Movements) == 0 || v.Places != nil && len(v.Places) != len(v.Tx.Movements) {
				return fmt.Errorf("movements of %s: transaction %s: view without movements or places: %w", c.account, v.Tx.ID, ErrGraph)
			}
		}
		if c.more && len(c.views) == 0 {
			return fmt.Errorf("movements of %s from %s: an empty page with more behind it: %w", c.account, b.asks[i].From, ErrGraph)
		}
		w.trim(c, from)
		if err := w.seek(c, from); err != nil {
			return err
		}
	}
	return nil
}

// trim passes over movements before from: a view may be a whole transaction.
func (w *walk) trim(c *cursor, from flow.Pos) {
	if len(c.views) == 0 {
		return
	}
	v := &c.views[0]
	step := 1
	if w.back {
		c.i, step = len(v.Tx.Movements)-1, -1
	}
	for c.i >= 0 && c.i < len(v.Tx.Movements) && w.mirrored(v.place(c.i)).Compare(from) < 0 {
		c.i += step
	}
}

func (w *walk) askCoins(ctx context.Context) error {
	of := w.buffers.coins
	if len(of) == 0 {
		return nil
	}
	ask := w.graph.Spends
	if w.back {
		ask = w.graph.(BackGraph).Makers
	}
	txs, err := ask(ctx, w.chain, of)
	if err != nil {
		return fmt.Errorf("transactions of %d coins: %w", len(of), err)
	}
	if len(txs) != len(of) {
		return fmt.Errorf("transactions of %d coins: %d answers: %w", len(of), len(txs), ErrGraph)
	}
	for i, o := range of {
		tx := &txs[i]
		if tx.ID.IsZero() && len(tx.Movements) == 0 {
			continue
		}
		at := -1
		for j := range tx.Movements {
			if w.back && tx.ID == o.Tx && uint64(o.Index) < uint64(len(tx.Movements[j].Out)) {
				at = j
				break
			}
			for _, spent := range tx.Movements[j].Spent {
				if !w.back && spent == o {
					at = j
				}
			}
		}
		if at < 0 {
			return fmt.Errorf("coin %s: transaction %s does not touch it: %w", o, tx.ID, ErrGraph)
		}
		w.made++
		c := &cursor{coin: o, views: []View{{Tx: *tx}}, i: at, order: w.made}
		c.at = w.mirrored(c.views[0].place(at))
		if c.at.Compare(w.buffers.made[i]) < 0 {
			return fmt.Errorf("coin %s: transaction %s stands on the wrong side of it: %w", o, tx.ID, ErrGraph)
		}
		w.push(c)
	}
	return nil
}

func (w *walk) askBalances(ctx context.Context) error {
	b := &w.buffers
	b.records, b.balances = b.records[:0], b.balances[:0]
	clear(b.known)
	for _, l := range w.ledgers {
		for _, f := range l.fresh {
			if r := f.record; r != nil && r.unknown {
				ask := l.balanceAsk(r)
				if _, ok := b.known[ask]; !ok {
					b.known[ask] = len(b.balances)
					b.balances = append(b.balances, ask)
				}
				b.records = append(b.records, ledgerRecord{l, r})
			}
		}
	}
	if len(b.records) == 0 {
		return nil
	}
	balances, err := w.graph.Balances(ctx, b.balances)
	if err != nil {
		return fmt.Errorf("balances of %d holders: %w", len(b.balances), err)
	}
	if len(balances) != len(b.balances) {
		return fmt.Errorf("balances of %d holders: %d answers: %w", len(b.balances), len(balances), ErrGraph)
	}
	for _, r := range b.records {
		if r.record.unknown {
			r.ledger.open(r.record, balances[b.known[r.ledger.balanceAsk(r.record)]])
		}
	}
	return nil
}

// cut marks the holders that have movements behind the last place to read.
func (w *walk) cut() {
	accounts, coins := map[flow.Account]bool{}, map[flow.Outpoint]bool{}
	for _, c := range w.queue {
		if c.account.IsZero() {
			coins[c.coin] = true
		} else {
			accounts[c.account] = true
		}
	}
	for _, l := range w.ledgers {
		for _, r := range l.records() {
			if r.isLive() {
				r.cut = accounts[r.holder.Account] && r.holder.Outpoint.IsZero() || coins[r.holder.Outpoint]
			}
		}
	}
}

func (c *cursor) before(o *cursor) bool {
	if n := c.at.Compare(o.at); n != 0 {
		return n < 0
	}
	return c.order < o.order
}

func (w *walk) push(c *cursor) {
	w.queue = append(w.queue, c)
	q := w.queue
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !q[i].before(q[up]) {
			return
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
}

func (w *walk) pop() *cursor {
	q := w.queue
	top, last := q[0], len(q)-1
	q[0], q[last] = q[last], nil
	q = q[:last]
	w.queue = q
	for i := 0; ; {
		least := i
		for _, kid := range [2]int{2*i + 1, 2*i + 2} {
			if kid < last && q[kid].before(q[least]) {
				least = kid
			}
		}
		if least == i {
			return top
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
}
