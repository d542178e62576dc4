// Package route says how much of one asset can have gone from one account to another, and by which ways.
package route

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// Version is the version of the rules: it rises when the same facts and parameters can give another answer.
const Version = 1

// ErrSize is returned where an exact answer would need more than what it is bounded by; the error names the bound.
var ErrSize = errors.New("too large for an exact answer")

// A Question asks for the ways of one asset between two accounts of one chain, from a place to a place.
type Question struct {
	From, To flow.Account
	Asset    flow.Asset
	Amount   flow.Amount // at most so much counts of what leaves From; all of it if nothing
	Start    flow.Pos    // the first place that counts
	End      flow.Pos    // the last one; no bound if zero
}

// Options say how to look. The zero value is valid.
type Options struct {
	// Stop says which accounts hold the money of many, and why: no way leads through them. The two accounts of the
	// question may be such.
	Stop func(flow.Account) (trace.Stop, bool)
	// Exact computes the maximum, too, and takes the ways from it. Errors: ErrSize.
	Exact bool
	// Budget bounds what is read.
	Budget Budget
	// Transfers and Accounts bound the exact answer: what is left after all that cannot be part of a way is left out.
	// 1,000,000 and 100,000 if 0.
	Transfers, Accounts int
	// Paths is how many ways are listed, the largest first; 1000 if 0.
	Paths int
	// Page is the most movements of one account that are asked for at once; 1024 if 0, at least 2.
	Page int
}

// A Budget bounds what is read for one question.
type Budget struct {
	Holders      int // how many accounts and coins are followed, from both ends together; 100,000 if 0
	Transactions int // how many transactions of theirs are read; 1,000,000 if 0
}

// A Result is the answer. Its JSON form is described in docs/formats/route.md.
//
// All of it counts what From paid and nothing else: what the accounts between had before is not part of it. It is what
// can have gone, not what went: at a place where money of several origins is mixed, each unit counts for whichever is
// asked for.
type Result struct {
	Version int          `json:"version"`
	From    flow.Account `json:"from"`
	To      flow.Account `json:"to"`
	Asset   flow.Asset   `json:"asset"`
	Amount  flow.Amount  `json:"amount"` // the most of what From paid that counts; 0: all
	Start   flow.Pos     `json:"start"`
	End     flow.Pos     `json:"end,omitzero"`

	// Greedy is what arrives if every account passes on what it can as soon as it can, over what can lead to To in time.
	Greedy flow.Amount `json:"greedy"`
	// Max is the most that can arrive at all; absent unless asked for.
	Max *flow.Amount `json:"max,omitempty"`
	// AtLeast and AtMost are the bounds that the facts prove. They meet in an exact answer that is not partial.
	AtLeast flow.Amount `json:"at_least"`
	AtMost  Total       `json:"at_most"`
	// Out is what From paid that can lead to To, In what To received that can come from From.
	Out Total `json:"out"`
	In  Total `json:"in"`
	// Sent is all that From paid from Start to End, fees too; Received all that To received.
	Sent     Total `json:"sent"`
	Received Total `json:"received"`

	Paths []Path      `json:"paths"` // the largest first
	Rest  flow.Amount `json:"rest"`  // what goes on ways that are not listed: paths and rest sum to max, or greedy without one
	// Cut lists movements that no way can avoid; they sum to Max, which proves that it is not too small a claim. Empty
	// unless Max was asked for and is less than Amount.
	Cut []Step `json:"cut"`

	Accounts     int       `json:"accounts"`     // on the ways that there are, the two ends left out; coins on UTXO chains
	Transfers    int       `json:"transfers"`    // movements on these ways, one for each leg where there are several
	Holders      int       `json:"holders"`      // accounts and coins that were followed, from both ends
	Transactions int       `json:"transactions"` // that were read
	Unknown      int       `json:"unknown"`      // inputs that were met, lead to To, and are of an origin that the facts do not show
	Stops        []Stopped `json:"stops"`        // services, mixers and bridges that were met; no way leads through them

	Partial  bool      `json:"partial"`          // the budget ended the search: AtLeast is of what was read
	Unread   *Span     `json:"unread,omitempty"` // ways that need a movement in it are not seen
	Continue []string  `json:"continue"`         // what to do about it
	Hash     flow.Hash `json:"hash"`             // sha256 of this as compact JSON without continue and with a hash of zeros
}

// A Span is the places from the first to the last.
type Span struct {
	First flow.Pos `json:"first"`
	Last  flow.Pos `json:"last"`
}

// A Stopped is an account where the ways end, and why.
type Stopped struct {
	Account flow.Account `json:"account"`
	Sink    trace.Sink   `json:"sink"` // service, mixer, bridge
	Reason  string       `json:"reason"`
}

// A Path is one way: movements in the order of the chain, each from the account that the one before it went to. Amount
// is what it carries from end to end.
type Path struct {
	Amount flow.Amount `json:"amount"`
	Steps  []Step      `json:"steps"`
}

// A Step is one movement of a way, or one pair of legs of it.
type Step struct {
	Tx       flow.Hash     `json:"tx"`
	At       flow.Pos      `json:"at"`
	Time     int64         `json:"time,omitempty"` // of the block, seconds since 1970; 0 if not known
	Index    uint32        `json:"index"`          // the movement's own number
	From     flow.Account  `json:"from"`           // nobody in a Cut through the outputs of a transaction
	FromCoin flow.Outpoint `json:"from_coin,omitzero"`
	To       flow.Account  `json:"to"` // nobody in a Cut through the inputs of a transaction
	ToCoin   flow.Outpoint `json:"to_coin,omitzero"`
	Amount   flow.Amount   `json:"amount"` // the most that can go this way: of the smaller of the two legs
}

// A Total is a sum of amounts, which may need more than 256 bits.
type Total struct{ flow.Sum }

// MarshalText writes decimal digits.
func (t Total) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// atMost is the smaller of t and v.
func (t Total) atMost(v flow.Sum) Total {
	if v.Compare(t.Sum) < 0 {
		return Total{v}
	}
	return t
}

// Find answers a question from a graph. From the one end it reads forward, from the other back if the graph is a
// trace.BackGraph, until the two meet in time; without that it reads forward to the end. Errors: of a question that
// cannot be; trace.ErrGraph; ErrSize; those of the graph and the context.
func Find(ctx context.Context, g trace.Graph, q Question, o Options) (*Result, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := newSearch(g, q, o)
	if err := s.run(ctx); err != nil {
		return nil, fmt.Errorf("way from %s to %s: %w", q.From, q.To, err)
	}
	n, err := newNetwork(s, q.Amount)
	if err != nil {
		return nil, fmt.Errorf("way from %s to %s: %w", q.From, q.To, err)
	}
	r := &Result{
		Version: Version, From: q.From, To: q.To, Asset: q.Asset, Amount: q.Amount, Start: q.Start, End: q.End,
		Out: Total{n.out}, In: Total{n.in}, Accounts: n.accounts, Transfers: n.transfers, Unknown: n.unknown,
		Holders: s.followed, Transactions: s.read(), Stops: s.stops(), Cut: []Step{},
		Partial: s.why != "", Continue: []string{},
	}
	if r.Partial {
		r.Unread, r.Continue = s.gap(), append(r.Continue, s.why)
	}
	if r.Sent, r.Received, err = totals(ctx, g, q); err != nil {
		return nil, err
	}
	r.Greedy = n.greedy()
	r.AtLeast = r.Greedy
	if o.Exact {
		if n.transfers > o.Transfers || n.accounts > o.Accounts {
			return nil, fmt.Errorf("way from %s to %s: %d transfers of %d accounts, at most %d of %d are computed exactly: %w",
				q.From, q.To, n.transfers, n.accounts, o.Transfers, o.Accounts, ErrSize)
		}
		v, err := n.maximum(ctx, r.Greedy)
		if err != nil {
			return nil, err
		}
		r.Max, r.AtLeast, r.Cut = &v, v, n.cut()
	}
	r.AtMost = r.Sent.atMost(r.Received.Sum)
	if !r.Partial {
		r.AtMost = r.AtMost.atMost(n.out).atMost(n.in)
		if r.Max != nil {
			r.AtMost = r.AtMost.atMost(flow.Sum{}.Plus(*r.Max))
		}
	}
	if !q.Amount.IsZero() {
		r.AtMost = r.AtMost.atMost(flow.Sum{}.Plus(q.Amount))
	}
	r.Paths, r.Rest = n.paths(o.Paths, r.AtLeast)
	r.Hash, err = r.digest()
	return r, err
}

// digest is the hash of a result.
func (r *Result) digest() (flow.Hash, error) {
	c := *r
	c.Hash, c.Continue = flow.Hash{}, nil
	text, err := json.Marshal(c)
	return sha256.Sum256(text), err
}

// Check says what is wrong with a question, before any graph is asked.
func (q Question) Check() error {
	c := q.From.Chain()
	switch {
	case q.From.IsZero() || q.To.IsZero():
		return errors.New("a way has two ends: an account is missing")
	case q.From == q.To:
		return fmt.Errorf("a way from %s to itself", q.From)
	case q.To.Chain() != c:
		return fmt.Errorf("%s and %s are on two chains: a way is on one", q.From, q.To)
	case q.Asset.IsZero():
		return fmt.Errorf("a way from %s: of no asset", q.From)
	case q.Asset.Chain() != c:
		return fmt.Errorf("a way from %s: asset %s is on another chain", q.From, q.Asset)
	case q.End != (flow.Pos{}) && q.End.Compare(q.Start) < 0:
		return fmt.Errorf("a way from %s to %s ends before it begins", q.Start, q.End)
	}
	return nil
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() (Options, error) {
	fill := func(n *int, name string, d int) error {
		if *n < 0 {
			return fmt.Errorf("options: %s is %d", name, *n)
		}
		if *n == 0 {
			*n = d
		}
		return nil
	}
	err := errors.Join(
		fill(&o.Budget.Holders, "budget of holders", 100_000),
		fill(&o.Budget.Transactions, "budget of transactions", 1_000_000),
		fill(&o.Transfers, "bound of transfers", 1_000_000),
		fill(&o.Accounts, "bound of accounts", 100_000),
		fill(&o.Paths, "number of paths", 1000),
		fill(&o.Page, "page", 1024),
	)
	o.Page = max(o.Page, 2)
	if o.Stop == nil {
		o.Stop = func(flow.Account) (trace.Stop, bool) { return trace.Stop{}, false }
	}
	return o, err
}

// totals is all that the two ends paid and received from the start to the end.
func totals(ctx context.Context, g trace.Graph, q Question) (sent, received Total, err error) {
	end := last
	if q.End != (flow.Pos{}) {
		end = following(q.End)
	}
	asks := []trace.BalanceAsk{
		{Account: q.From, Asset: q.Asset, Before: q.Start}, {Account: q.From, Asset: q.Asset, Before: end},
		{Account: q.To, Asset: q.Asset, Before: q.Start}, {Account: q.To, Asset: q.Asset, Before: end},
	}
	b, err := g.Balances(ctx, asks)
	if err != nil {
		return sent, received, fmt.Errorf("totals of %s and %s: %w", q.From, q.To, err)
	}
	if len(b) != len(asks) {
		return sent, received, fmt.Errorf("totals of two accounts: %d answers: %w", len(b), trace.ErrGraph)
	}
	return between(b[0].Out, b[1].Out), between(b[2].In, b[3].In), nil
}

// between is what came after before; where that needs more than 256 bits it is all, which is not less.
func between(before, all flow.Sum) Total {
	if v, ok := all.Minus(before); ok {
		return Total{flow.Sum{}.Plus(v)}
	}
	return Total{all}
}
