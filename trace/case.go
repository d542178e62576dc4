package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Case is one theft under all the policies asked for: a ledger for each chain and policy. It is fed by Walk, from what
// is stored, or by Apply, from the live chain, in any mixture: both lead to the same state. A Case is for one goroutine.
type Case struct {
	theft   Theft
	options Options
	sources []plainSource
	chains  []flow.Chain
	ledgers map[flow.Chain][]*Ledger // in the order of the policies
	feed    feeder
}

// New begins a case. It returns an error for a theft or options that cannot be.
func New(theft Theft, o Options) (*Case, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	sources, err := theft.plain()
	if err != nil {
		return nil, err
	}
	c := &Case{theft: theft, options: o, sources: sources, ledgers: map[flow.Chain][]*Ledger{}}
	for _, s := range sources {
		if !slices.Contains(c.chains, s.chain()) {
			c.chains = append(c.chains, s.chain())
		}
	}
	slices.SortFunc(c.chains, flow.Chain.Compare)
	if len(c.chains) > 1 && o.Budget.Until != (flow.Pos{}) {
		return nil, errors.New("options: a last place to read is of one chain, the theft is on several")
	}
	for _, chain := range c.chains {
		for _, p := range o.Policies {
			c.ledgers[chain] = append(c.ledgers[chain], newLedger(p, chain, sources, &c.options))
		}
		bind(c.ledgers[chain], o.UndoDepth)
	}
	return c, nil
}

// Run traces a theft through a graph under all policies.
func Run(ctx context.Context, g Graph, theft Theft, o Options) (*Report, error) {
	c, err := New(theft, o)
	if err != nil {
		return nil, err
	}
	if err := c.Walk(ctx, g); err != nil {
		return nil, err
	}
	return c.Report()
}

// Chains are the chains on which the theft began, in order.
func (c *Case) Chains() []flow.Chain { return slices.Clone(c.chains) }

// Ledgers are the ledgers of one chain, in the order of the policies.
func (c *Case) Ledgers(chain flow.Chain) []*Ledger { return slices.Clone(c.ledgers[chain]) }

// Walk reads everything from the state of the case up to the end of the graph, or to where the budget ends. The places
// of all sources must lie within the graph. A case can be walked again when the chain has grown. What a walk did cannot
// be undone.
func (c *Case) Walk(ctx context.Context, g Graph) error {
	if _, ok := g.(BackGraph); c.options.Backward && !ok {
		return errors.New("walk: this graph cannot be read backward")
	}
	for _, chain := range c.chains {
		w := &walk{graph: g, chain: chain, back: c.options.Backward, page: c.options.Page, ledgers: c.ledgers[chain]}
		if u := c.options.Budget.Until; u != (flow.Pos{}) {
			w.until = w.mirrored(u)
			if c.options.Swaps.Of != nil {
				w.until.Movement = ^uint32(0)
			}
		}
		w.swaps.swaps, w.swaps.back = c.options.Swaps, c.options.Backward
		log := w.ledgers[0].log
		*log = journal{ledgers: log.ledgers, depth: log.depth, turn: log.turn, off: true}
		err := w.run(ctx)
		log.off = false
		for _, l := range w.ledgers {
			l.fresh = l.fresh[:0]
			log.hold(l)
		}
		if err != nil {
			return fmt.Errorf("walk on %s: %w", chain, err)
		}
	}
	return nil
}

// Apply lets every ledger of the transaction's chain eat it. Transactions must come in the order of the chain and none may
// be left out that touches a holder; one that touches none costs a failed look-up for each leg. Where a holder is new, g is
// asked for its opening balance; a nil g means that holders had nothing before. If there is an error, nothing was eaten.
func (c *Case) Apply(ctx context.Context, g Balancer, tx flow.Tx) error {
	ledgers := c.ledgers[tx.Point.Chain]
	for _, l := range ledgers {
		if err := l.follows(&tx); err != nil {
			return err
		}
	}
	if len(ledgers) == 0 {
		return nil
	}
	c.feed.turn()
	_, err := c.feed.eat(ctx, g, &tx, ledgers, nil)
	return err
}

// Undo takes back every transaction of a chain at or after a place, as if the case had never seen it. Transactions that
// did not matter need no undo and left no trace. It changes nothing and returns an error wrapping ErrUndo if the undo log
// does not reach that far.
func (c *Case) Undo(chain flow.Chain, from flow.Pos) error {
	if ledgers := c.ledgers[chain]; len(ledgers) > 0 {
		return ledgers[0].log.undo(from)
	}
	return nil
}

// Final says that nothing of a chain before a place will be taken back: what an Undo to there would need is forgotten.
func (c *Case) Final(chain flow.Chain, before flow.Pos) {
	if ledgers := c.ledgers[chain]; len(ledgers) > 0 {
		ledgers[0].log.final(before)
	}
}

// Snapshot is the state of the case in bytes: the same state gives the same bytes.
func (c *Case) Snapshot() []byte {
	e := newEncoder()
	for _, chain := range c.chains {
		for _, l := range c.ledgers[chain] {
			e.text(string(l.Snapshot()))
		}
	}
	return e.b
}

// Restore is the case of a snapshot. The theft and the options must be those of the snapshot, except for what does not
// change a result: the stops still to come, the budget of transactions and the last place to read, the page, the undo
// depth. Errors wrap ErrSnapshot if the bytes are damaged or of another case.
func Restore(theft Theft, o Options, snapshot []byte) (*Case, error) {
	c, err := New(theft, o)
	if err != nil {
		return nil, err
	}
	d := &decoder{b: snapshot}
	for _, chain := range c.chains {
		for _, l := range c.ledgers[chain] {
			b := d.bytes(d.count(1))
			if d.err != nil {
				return nil, fmt.Errorf("restore %s: %w", l.policy, d.err)
			}
			if err := l.restore(b); err != nil {
				return nil, fmt.Errorf("restore %s: %w", l.policy, err)
			}
		}
	}
	if d.at != len(snapshot) {
		d.fail("%d bytes too many", len(snapshot)-d.at)
	}
	return c, d.err
}
