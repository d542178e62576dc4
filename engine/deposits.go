package engine

import (
	"cmp"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A Deposit is one way by which claim came to where a trace ends: whom to ask, and by which address to name the customer.
type Deposit struct {
	Sink    trace.Sink
	Service flow.Account
	Via     flow.Account // who paid the service
	Asset   flow.Asset   // what was paid
	Stolen  flow.Asset   // in which the claims are
	Claims  []flow.Amount
	Units   []flow.Amount // the stolen part of what was paid, in Asset
	// Sweeps is whether Via looks like a deposit address: it is no source, and all claim that it ever had went on to this
	// one service. A judgement from this trace alone.
	Sweeps bool
	First  flow.Pos
	Last   flow.Pos
	Time   int64 // of Last, seconds since 1970; 0 if not known
	Txs    []flow.Hash
	Score  flow.Amount // share of the theft, in billionths, the mean over all rules but poison
}

// Deposits lists the ways into services, mixers and bridges, the largest first: the freeze list, payment by payment of the
// same payer put together. Of what came to an account before its behaviour ended the trace there, a part may have gone on:
// the sinks say what is left. Backward there are none.
func Deposits(r *trace.Report) []Deposit {
	if r.Direction != "forward" {
		return nil
	}
	type key struct {
		service, via  flow.Account
		asset, stolen flow.Asset
	}
	var all []Deposit
	index := map[key]int{}
	type brought struct {
		deposit int
		tx      flow.Hash
	}
	seen := map[brought]bool{}
	for p, result := range r.Results {
		judged := crowdsOf(&result)
		for _, e := range result.Edges {
			if e.Sink == "" && e.Swap != trace.IntoSwap && judged[trace.Holder{Account: e.To, Asset: e.Asset}] {
				e.Sink = trace.Service // it came to rest there before its holder turned out to be a service
			}
			if e.Sink != trace.Service && e.Sink != trace.Mixer && e.Sink != trace.Bridge {
				continue
			}
			k := key{e.To, e.From, e.Asset, result.Lines[e.Line-1].Asset}
			i, ok := index[k]
			if !ok {
				i = len(all)
				index[k] = i
				all = append(all, Deposit{Sink: e.Sink, Service: e.To, Via: e.From, Asset: e.Asset, Stolen: k.stolen, First: e.At,
					Claims: make([]flow.Amount, len(r.Results)), Units: make([]flow.Amount, len(r.Results))})
			}
			d := &all[i]
			claim := e.Claim
			if result.Policy == trace.Poison.String() {
				claim = e.Units
			}
			d.Claims[p], _ = d.Claims[p].Add(claim)
			d.Units[p], _ = d.Units[p].Add(e.Units)
			if e.At.Compare(d.First) < 0 {
				d.First = e.At
			}
			if e.At.Compare(d.Last) >= 0 {
				d.Last, d.Time = e.At, e.Time
			}
			if !seen[brought{i, e.Tx}] {
				seen[brought{i, e.Tx}] = true
				d.Txs = append(d.Txs, e.Tx)
			}
		}
	}
	whole, sweepers := stolenOf(r), sweepers(r)
	for i := range all {
		d := &all[i]
		d.Score = score(r, d.Claims, whole[d.Stolen])
		d.Sweeps = sweepers[d.Via] == d.Service
	}
	slices.SortStableFunc(all, func(x, y Deposit) int {
		return cmp.Or(y.Score.Compare(x.Score), x.Service.Compare(y.Service), x.Via.Compare(y.Via), x.Asset.Compare(y.Asset))
	})
	return all
}

// crowdsOf are the holders that were taken for a service by their behaviour.
func crowdsOf(r *trace.Result) map[trace.Holder]bool {
	all := map[trace.Holder]bool{}
	for _, k := range r.Sinks {
		if k.Rule == trace.CrowdRule {
			all[trace.Holder{Account: k.Account, Asset: k.Asset}] = true
		}
	}
	return all
}

// sweepers are the accounts that are no source and whose claim all went on to one other account, under every rule, with
// that account.
func sweepers(r *trace.Report) map[flow.Account]flow.Account {
	to := map[flow.Account]flow.Account{} // the zero account: to several, or it keeps some
	for _, result := range r.Results {
		for _, e := range result.Edges {
			if e.Sink == trace.FeeSink {
				continue
			}
			if known, ok := to[e.From]; ok && known != e.To {
				to[e.From] = flow.Account{}
			} else if !ok {
				to[e.From] = e.To
			}
		}
	}
	for _, result := range r.Results {
		for _, h := range result.Holders {
			if h.Source || !h.Claim.IsZero() {
				to[h.Account] = flow.Account{}
			}
		}
	}
	return to
}
