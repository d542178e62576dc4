// Package quality measures how well methods of tracing find what is known to be stolen.
package quality

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spoor-dev/spoor/bench"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// A Case is a theft whose outcome is known. It holds its chain in memory; a method is given everything but the truth.
type Case struct {
	Name      string
	Kind      string // planted, simulated or heist
	Movements int64  // of the chain
	Store     store.Snapshot
	Theft     trace.Theft
	Labels    *engine.Labels // nil for none
	Truth     Truth
}

// A Method is one way of tracing. It has the same parameters for every case.
type Method struct {
	Name       string
	Parameters string // what a reader needs to do the same again
	Run        func(context.Context, *Case) (Found, error)
}

// Found is what a method answers.
type Found struct {
	Transfers []Carried      // in any order; one may be there several times; nil for a method that ranks accounts only
	Addresses []flow.Account // the best first; of one that is there several times the first place counts
	Places    []Place        // where the loot stands at the end; nil for a method that does not say
	Visited   int            // accounts that were looked at
	Depth     int            // the most movements between the theft and an account that was found
	Partial   bool           // a budget ended it
	Hash      flow.Hash      // of the result: the same for the same case and method

	answer *engine.Answer // of a ledger
}

// A TransferID names a transfer: its transaction, and the number that it has there.
type TransferID struct {
	Tx    flow.Hash
	Index uint32
}

// A Carried is a transfer with the part of the theft that it is said to have carried.
type Carried struct {
	ID     TransferID
	Asset  flow.Asset // in which Amount is
	Amount flow.Amount
}

// A Place is where a part of the theft stands at the end.
type Place struct {
	Account flow.Account
	Stolen  flow.Asset  // in which Claim is
	Claim   flow.Amount // there
}

// A Result is one line: a method on a case. Its JSON form is described in docs/formats/quality.md.
type Result struct {
	Workload   string  `json:"workload"` // quality
	Case       string  `json:"case"`
	Kind       string  `json:"kind"`
	Method     string  `json:"method"`
	Parameters string  `json:"parameters"`
	N          int64   `json:"n"` // movements of the chain
	Seconds    float64 `json:"seconds"`
	RSS        float64 `json:"rss_mb,omitempty"`
	*TransferScore
	NodeScore
	ClaimError *float64   `json:"claim_error,omitempty"`
	Visited    int        `json:"visited"`
	Depth      int        `json:"depth"`
	Partial    bool       `json:"partial"`
	Hash       flow.Hash  `json:"result"`
	Rules      []RuleRate `json:"rules,omitempty"` // of the default answer, where it is known who hands the loot on
}

// Run measures every method on a case, in the order of the methods. The seconds are those of the method alone, on a store
// in memory; the memory is all that the process had at most meanwhile, the case included. The stream ends after the
// first error.
func Run(ctx context.Context, c *Case, methods []Method) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		for _, chain := range c.Store.Chains() {
			// A store in memory makes its index with the first question, which is no method's work.
			if _, err := c.Store.IDs(ctx, chain, []flow.Account{{}}); err != nil {
				yield(Result{}, fmt.Errorf("%s: %w", c.Name, err))
				return
			}
		}
		for _, m := range methods {
			bench.ResetPeak()
			start := time.Now()
			found, err := m.Run(ctx, c)
			spent := time.Since(start)
			if err != nil {
				yield(Result{}, fmt.Errorf("%s on %s: %w", m.Name, c.Name, err))
				return
			}
			for i, a := range found.Addresses {
				found.Addresses[i] = c.home(a)
			}
			r := Result{
				Workload: "quality", Case: c.Name, Kind: c.Kind, Method: m.Name, Parameters: m.Parameters, N: c.Movements,
				Seconds: round(spent.Seconds(), 4), RSS: bench.PeakRSS(), TransferScore: c.Truth.transfers(found.Transfers),
				NodeScore: c.Truth.nodes(found.Addresses), ClaimError: c.Truth.claimError(found.Places),
				Visited: found.Visited, Depth: found.Depth, Partial: found.Partial, Hash: found.Hash,
			}
			if m.Name == defaultMethod {
				if r.Rules, err = c.rules(found.answer); err != nil {
					yield(Result{}, fmt.Errorf("rules on %s: %w", c.Name, err))
					return
				}
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}
