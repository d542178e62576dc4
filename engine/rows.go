package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// An EdgeRow is one transfer that carried claim, with what it carried under each rule.
type EdgeRow struct {
	trace.Edge
	Stolen flow.Asset
	Claims []flow.Amount // in the order of the report's results; under poison the units
	Score  flow.Amount   // share of the theft in billionths, the mean over all rules but poison
}

// EdgeRows joins the edges of all rules, the largest share of the theft first. What was too small to follow is not among
// them: the sinks of the report list it.
func EdgeRows(r *trace.Report) []EdgeRow {
	type key struct {
		tx       flow.Hash
		index    uint32
		from, to flow.Account
		fromCoin flow.Outpoint
		toCoin   flow.Outpoint
		asset    flow.Asset
		stolen   flow.Asset
		sink     trace.Sink
		at       flow.Pos
	}
	var rows []EdgeRow
	index := map[key]int{}
	for p, result := range r.Results {
		for _, e := range result.Edges {
			if e.Sink == trace.DustSink {
				continue
			}
			k := key{e.Tx, e.Index, e.From, e.To, e.FromCoin, e.ToCoin, e.Asset, result.Lines[e.Line-1].Asset, e.Sink, e.At}
			i, ok := index[k]
			if !ok {
				i = len(rows)
				index[k] = i
				rows = append(rows, EdgeRow{Edge: e, Stolen: k.stolen, Claims: make([]flow.Amount, len(r.Results))})
			}
			claim := e.Claim
			if result.Policy == trace.Poison.String() {
				claim = e.Units
			}
			rows[i].Claims[p], _ = rows[i].Claims[p].Add(claim)
		}
	}
	whole := stolenOf(r)
	for i := range rows {
		rows[i].Score = score(r, rows[i].Claims, whole[rows[i].Stolen])
	}
	slices.SortStableFunc(rows, func(x, y EdgeRow) int {
		return cmp.Or(y.Score.Compare(x.Score), x.At.Compare(y.At), x.Tx.Compare(y.Tx))
	})
	return rows
}

// An AddressRow is one account with what it has and had of one stolen asset.
type AddressRow struct {
	Account  flow.Account
	Stolen   flow.Asset
	There    []flow.Amount // held, or come to an end there, under each rule, in the order of the report's results
	Received []flow.Amount // all that ever came
	Hops     int           // the fewest movements by which claim came; -1 where it only ended there
	Source   bool
	Sinks    []string    // the sinks that the account is
	Ends     []string    // why the trail ends there, where it is a holder
	Score    flow.Amount // share of the theft that came, in billionths, the mean over all rules but poison
	Rules    int         // how many rules reach it with more than dust
	reached  []bool      // which they are
}

// reach counts a result once.
func (r *AddressRow) reach(result int) {
	if !r.reached[result] {
		r.reached[result] = true
		r.Rules++
	}
}

// AddressRows joins holders and sinks of all rules by account and stolen asset, the largest share of the theft first.
func AddressRows(r *trace.Report) []AddressRow {
	type key struct {
		account flow.Account
		stolen  flow.Asset
	}
	var rows []AddressRow
	index := map[key]int{}
	n := len(r.Results)
	row := func(k key) *AddressRow {
		i, ok := index[k]
		if !ok {
			i = len(rows)
			index[k] = i
			rows = append(rows, AddressRow{Account: k.account, Stolen: k.stolen, Hops: -1, There: make([]flow.Amount, n), Received: make([]flow.Amount, n),
				reached: make([]bool, n)})
		}
		return &rows[i]
	}
	for p, result := range r.Results {
		for _, h := range result.Holders {
			x := row(key{h.Account, result.Lines[h.Line-1].Asset})
			x.There[p], _ = x.There[p].Add(h.Claim)
			x.Received[p], _ = x.Received[p].Add(h.Received)
			x.Source = x.Source || h.Source
			if x.Hops < 0 || h.Hops < x.Hops {
				x.Hops = h.Hops
			}
			x.Ends = addWord(x.Ends, string(h.End))
			x.reach(p)
		}
		for _, k := range result.Sinks {
			if k.Account.IsZero() {
				continue
			}
			x := row(key{k.Account, result.Lines[k.Line-1].Asset})
			x.There[p], _ = x.There[p].Add(k.Claim)
			x.Received[p], _ = x.Received[p].Add(k.Claim)
			x.Sinks = addWord(x.Sinks, string(k.Sink))
			if k.Sink != trace.DustSink {
				x.reach(p)
			}
		}
	}
	whole := stolenOf(r)
	for i := range rows {
		x := &rows[i]
		x.Score = score(r, x.Received, whole[x.Stolen])
	}
	slices.SortStableFunc(rows, func(x, y AddressRow) int {
		return cmp.Or(y.Score.Compare(x.Score), x.Account.Compare(y.Account), x.Stolen.Compare(y.Stolen))
	})
	return rows
}

// listedShare is the part of the theft, in billionths, that two rules must say came to an account: a fifty-thousandth. It
// was chosen with the dust share: docs/decisions/0004-ends.md.
const listedShare = 20_000

// Agreed parts the rows into those to look at and the minor ones: sources, what every rule reaches with more than dust,
// and what two rules say got a fifty-thousandth of the theft, are to look at. What fewer say is for the most part an
// artefact of their choice. Poison counts where no other rule was asked.
func Agreed(r *trace.Report, rows []AddressRow) (agreed, minor []AddressRow) {
	var rules []int
	for p, result := range r.Results {
		if result.Policy != trace.Poison.String() || len(r.Results) == 1 {
			rules = append(rules, p)
		}
	}
	whole := stolenOf(r)
	for _, x := range rows {
		floor := whole[x.Stolen].Share(flow.NewAmount(listedShare), flow.NewAmount(1_000_000_000))
		reach, strong := 0, 0
		for _, p := range rules {
			if x.reached[p] {
				reach++
				if !x.Received[p].Less(floor) {
					strong++
				}
			}
		}
		if x.Source || strong >= 2 || reach == len(rules) {
			agreed = append(agreed, x)
		} else {
			minor = append(minor, x)
		}
	}
	return agreed, minor
}

// Role says what the account is in the theft: source, holder, or the sinks that it is.
func (r *AddressRow) Role() string {
	switch {
	case r.Source:
		return "source"
	case len(r.Sinks) > 0:
		return strings.Join(r.Sinks, " ")
	}
	return "holder"
}

// stolenOf is how much was stolen of each asset.
func stolenOf(r *trace.Report) map[flow.Asset]flow.Amount {
	whole := map[flow.Asset]flow.Amount{}
	for _, l := range r.Disagreement.Lines {
		whole[l.Stolen] = l.Amount
	}
	return whole
}

// score is the share of the theft in billionths, the mean over all rules but poison, each counted as at most the whole.
func score(r *trace.Report, claims []flow.Amount, whole flow.Amount) flow.Amount {
	if whole.IsZero() {
		return flow.Amount{}
	}
	var sum, n uint64
	for p, c := range claims {
		if r.Results[p].Policy == trace.Poison.String() {
			continue
		}
		n++
		ppb, _ := flow.NewAmount(1_000_000_000).Share(c.Min(whole), whole).Uint64()
		sum += ppb
	}
	if n == 0 {
		return flow.Amount{}
	}
	return flow.NewAmount(sum / n)
}

func addWord(words []string, w string) []string {
	if slices.Contains(words, w) {
		return words
	}
	return append(words, w)
}
