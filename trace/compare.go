package trace

import (
	"cmp"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Table sets the answers of several policies side by side: what is fact, and what is choice of rule.
type Table struct {
	Policies []string    `json:"policies"`
	Rows     []Row       `json:"rows"`  // every place where claim stands under some policy, the most certain first
	Lines    []Certainty `json:"lines"` // one for each stolen asset
}

// A Row is one place where claim stands: a holder, or a sub-account of a sink.
type Row struct {
	Holder
	Sink   Sink          `json:"sink,omitempty"`
	Stolen flow.Asset    `json:"stolen"` // the asset in whose units the claims are
	Claims []flow.Amount `json:"claims"` // in the order of Table.Policies
	// Low and High are the least and the most that a policy other than poison says. Clean-first and dirty-first bound
	// the others for each account with given receipts, not over the whole graph: so the bounds are over all of them.
	Low     flow.Amount `json:"low"`
	High    flow.Amount `json:"high"`
	Differs bool        `json:"differs"` // the answer depends on the rule
}

// A Certainty sums up a line: Certain of it stands where it stands whichever of the policies is chosen.
type Certainty struct {
	Stolen    flow.Asset  `json:"stolen"`
	Amount    flow.Amount `json:"amount"` // the most that a policy says was stolen
	Certain   flow.Amount `json:"certain"`
	Places    int         `json:"places"`
	Differing int         `json:"differing"`
}

type rowKey struct {
	holder Holder
	sink   Sink
	stolen flow.Asset
}

// Compare makes the table of several results of one theft.
func Compare(results []Result) Table {
	t := Table{Policies: []string{}, Rows: []Row{}, Lines: []Certainty{}}
	index := map[rowKey]int{}
	row := func(k rowKey, policy int, claim flow.Amount) {
		if claim.IsZero() {
			return
		}
		i, ok := index[k]
		if !ok {
			i = len(t.Rows)
			index[k] = i
			t.Rows = append(t.Rows, Row{Holder: k.holder, Sink: k.sink, Stolen: k.stolen, Claims: make([]flow.Amount, len(results))})
		}
		t.Rows[i].Claims[policy] = addCapped(t.Rows[i].Claims[policy], claim)
	}
	lines := map[flow.Asset]*Certainty{}
	for p := range results {
		r := &results[p]
		t.Policies = append(t.Policies, r.Policy)
		for _, s := range r.Holders {
			row(rowKey{s.Holder, "", r.Lines[s.Line-1].Asset}, p, s.Claim)
		}
		for _, s := range r.Sinks {
			row(rowKey{Holder{s.Account, s.Asset, flow.Outpoint{}}, s.Sink, r.Lines[s.Line-1].Asset}, p, s.Claim)
		}
		for _, n := range r.Lines {
			c := lines[n.Asset]
			if c == nil {
				c = &Certainty{Stolen: n.Asset}
				lines[n.Asset] = c
			}
			if r.Policy != Poison.String() && c.Amount.Less(n.Stolen) {
				c.Amount = n.Stolen
			}
		}
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		r.bound(t.Policies)
		c := lines[r.Stolen]
		c.Certain = addCapped(c.Certain, r.Low)
		c.Places++
		if r.Differs {
			c.Differing++
		}
	}
	for _, c := range lines {
		t.Lines = append(t.Lines, *c)
	}
	slices.SortFunc(t.Lines, func(a, b Certainty) int { return a.Stolen.Compare(b.Stolen) })
	slices.SortFunc(t.Rows, func(a, b Row) int {
		switch {
		case a.Stolen != b.Stolen:
			return a.Stolen.Compare(b.Stolen)
		case a.Low != b.Low:
			return b.Low.Compare(a.Low)
		case a.High != b.High:
			return b.High.Compare(a.High)
		case a.Sink != b.Sink:
			return cmp.Compare(a.Sink, b.Sink)
		}
		return a.Holder.Compare(b.Holder)
	})
	return t
}

// bound fills in what the row says over all policies but poison.
func (r *Row) bound(policies []string) {
	first := true
	for i, c := range r.Claims {
		switch {
		case policies[i] == Poison.String():
			continue
		case first:
			r.Low, r.High, first = c, c, false
		}
		r.Low = r.Low.Min(c)
		if r.High.Less(c) {
			r.High = c
		}
	}
	r.Differs = r.Low != r.High
}
