package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/trace"
)

// peelTree is the shape of the trace workload: 50 M units stolen, split over ten peel chains of sixty hops, 1,810
// transfers inside a million others between 200,000 accounts, with 50 services.
var peelTree = Shape{Seed: 1, Movements: 1_000_000, Accounts: 200_000, Hubs: 50, Theft: Theft{Chains: 10, Hops: 60}}

// Trace measures tracing of the planted peel tree with default settings: cold (store just opened, page cache dropped
// where the system allows) and warm (the median of runs), with services labelled as a public list would; then once
// without any label. Recall and precision are of transactions, against the generator's own truth. dir is where the store
// is made; it must be empty or absent.
func Trace(ctx context.Context, dir string, seed uint64, runs int, tell Progress) (figures []Figures, err error) {
	shape := peelTree
	if seed != 0 {
		shape.Seed = seed
	}
	var truth Truth
	if _, _, _, err := load(ctx, dir, shape, &truth, tell); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	dropped := dropPageCache(dir)
	ResetPeak()
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s, err := st.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	services := map[flow.Account]bool{}
	for _, a := range truth.Services {
		services[a] = true
	}
	labelled := trace.Options{Swaps: engine.NetSwaps(), Stop: func(a flow.Account) (trace.Stop, bool) { return trace.Stop{Reason: "service"}, services[a] }}

	for i := range runs + 1 {
		name := "trace"
		if i == 0 {
			name = "trace-cold"
		}
		f, err := traceOnce(ctx, s, name, truth, labelled)
		if err != nil {
			return nil, err
		}
		tell.tell(int64(i), int64(runs+1), "tracing")
		figures = append(figures, f)
	}
	cold := figures[0]
	cold.Notes += fmt.Sprintf("; page cache dropped: %v", dropped)
	warm := figures[1]
	var times []time.Duration
	for _, f := range figures[1:] {
		times = append(times, time.Duration(f.Seconds*float64(time.Second)))
	}
	warm.N, warm.P50, warm.P99, warm.RSS = int64(runs), quantile(times, .5), quantile(times, .99), PeakRSS()
	warm.Seconds, warm.Rate = 0, round(1000/warm.P50, 1)
	bare, err := traceOnce(ctx, s, "trace-no-labels", truth, trace.Options{Swaps: engine.NetSwaps()})
	if err != nil {
		return nil, err
	}
	return []Figures{cold, warm, bare}, nil
}

// traceOnce traces the planted theft and scores the answer.
func traceOnce(ctx context.Context, s store.Snapshot, name string, truth Truth, o trace.Options) (Figures, error) {
	start := time.Now()
	at, err := s.Tx(ctx, flow.Ethereum, truth.TheftTx)
	if err != nil {
		return Figures{}, fmt.Errorf("theft transaction: %w", err)
	}
	theft := trace.Theft{Name: "peel tree", Sources: []trace.Source{trace.Holding{Account: truth.Thief, Asset: truth.Asset,
		Amount: truth.Amount, At: flow.Pos{Height: at.Point.Height, Tx: at.Index + 1}}}}
	g := engine.NewGraph(s)
	report, err := trace.Run(ctx, g, theft, o)
	if err != nil {
		return Figures{}, err
	}
	spent := time.Since(start)
	found := map[flow.Hash]bool{}
	for _, r := range report.Results {
		for _, e := range r.Edges {
			found[e.Tx] = true
		}
	}
	right := 0
	for id := range found {
		if truth.Illicit[id] {
			right++
		}
	}
	return Figures{Workload: name, N: 1, Seconds: spent.Seconds(), Recall: round(float64(right)/float64(len(truth.Illicit)), 6),
		Precision: round(float64(right)/float64(max(len(found), 1)), 6),
		Notes: fmt.Sprintf("%d policies, %d transactions found of %d, %d read, partial %v, result %.12s", len(report.Results), len(found),
			len(truth.Illicit), g.Reads(), report.Partial, report.Hash.String())}, nil
}
