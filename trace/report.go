package trace

import (
	"crypto/sha256"

	"github.com/spoor-dev/spoor/flow"
)

// A Report is the whole answer to the question where a theft went, or where it came from.
type Report struct {
	Theft        string            `json:"theft"`
	Direction    string            `json:"direction"` // forward, backward
	Sources      []SourceParameter `json:"sources"`
	Dust         []DustParameter   `json:"dust,omitempty"`
	DustShare    int64             `json:"dust_share"`       // billionths of the stolen amount
	Crowd        *CrowdParameter   `json:"crowd,omitempty"`  // none: nobody was taken for a service
	Follow       string            `json:"follow,omitempty"` // the rule that chose whom to follow
	MaxHolders   int               `json:"max_holders"`
	MaxTxs       int               `json:"max_transactions"`
	MaxHops      int               `json:"max_hops"`
	Until        flow.Pos          `json:"until,omitzero"`
	Swaps        string            `json:"swaps,omitempty"` // the rule by which swaps were followed
	Partial      bool              `json:"partial"`
	Results      []Result          `json:"results"`
	Disagreement Table             `json:"disagreement"`
	Hash         flow.Hash         `json:"hash"` // of all of the above
}

// A SourceParameter is a Source as it is recorded.
type SourceParameter struct {
	Kind     string        `json:"kind"` // holding, coin, outflow
	Account  flow.Account  `json:"account"`
	Asset    flow.Asset    `json:"asset"` // empty: every asset
	Outpoint flow.Outpoint `json:"outpoint,omitzero"`
	Amount   flow.Amount   `json:"amount"`
	At       flow.Pos      `json:"at"`
}

// A DustParameter is one floor of Options.Dust.
type DustParameter struct {
	Asset flow.Asset  `json:"asset"`
	Floor flow.Amount `json:"floor"`
}

// A CrowdParameter is Options.Crowd as it is recorded.
type CrowdParameter struct {
	Rule    string `json:"rule"`
	Parties int    `json:"parties"` // payers and payees at least
	Stolen  int64  `json:"stolen"`  // billionths at most
}

// Report is the answer as it stands. It returns an error if a unit of claim was made or lost, which is our mistake.
func (c *Case) Report() (*Report, error) {
	b := c.options.Budget
	r := &Report{
		Theft: c.theft.Name, Direction: "forward", DustShare: c.options.DustShare,
		MaxHolders: b.Holders, MaxTxs: b.Transactions, MaxHops: b.Hops, Until: b.Until, Swaps: c.options.Swaps.Rule, Follow: c.options.Follow.Rule,
	}
	if c.options.Backward {
		r.Direction = "backward"
	}
	if o := c.options.Crowd; o.Parties > 0 {
		r.Crowd = &CrowdParameter{CrowdRule, o.Parties, o.Stolen}
	}
	for _, s := range c.sources {
		r.Sources = append(r.Sources, SourceParameter{s.kind, s.account, s.asset, s.outpoint, s.amount, s.at})
	}
	for _, a := range c.options.floors() {
		r.Dust = append(r.Dust, DustParameter{a, c.options.Dust[a]})
	}
	e := newEncoder()
	e.text("spoor trace report 3")
	e.text(r.Theft)
	e.bool(c.options.Backward)
	e.source(c.sources)
	e.uint(uint64(len(r.Dust)))
	for _, d := range r.Dust {
		e.asset(d.Asset)
		e.amount(d.Floor)
	}
	e.time(r.DustShare)
	e.bool(r.Crowd != nil)
	if r.Crowd != nil {
		e.text(r.Crowd.Rule)
		e.int(r.Crowd.Parties)
		e.time(r.Crowd.Stolen)
	}
	e.int(b.Holders)
	e.int(b.Transactions)
	e.int(b.Hops)
	e.pos(b.Until)
	e.text(r.Swaps)
	e.text(r.Follow)
	for i := range c.options.Policies {
		var ledgers []*Ledger
		for _, chain := range c.chains {
			ledgers = append(ledgers, c.ledgers[chain][i])
		}
		one, err := result(ledgers)
		if err != nil {
			return nil, err
		}
		r.Partial = r.Partial || one.Partial
		r.Results = append(r.Results, one)
		e.hash(one.Hash)
	}
	r.Disagreement = Compare(r.Results)
	r.Hash = sha256.Sum256(e.b)
	return r, nil
}
