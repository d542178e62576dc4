package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Balance is what one holder took and gave of one asset. Where the store holds the chain from its first block on,
// In minus Out is what the holder had; where it does not, Out may be more than In.
type Balance struct {
	Asset flow.Asset
	In    flow.Sum // what the holder took
	Out   flow.Sum // what the holder gave, fees included
}

// page is how many entries of one holder Balances reads at once.
const page = 4096

// Balances sums the entries of each holder which come strictly before a place, one list per holder, sorted by asset.
// The sums are exact even where a hostile token overflows 256 bits.
func Balances(ctx context.Context, s Snapshot, c flow.Chain, holders []ID, before flow.Pos) ([][]Balance, error) {
	sums := make([]map[flow.Asset]Balance, len(holders))
	asks := make([]Ask, len(holders))
	which := make([]int, len(holders)) // the holder behind each question
	for i, id := range holders {
		sums[i] = map[flow.Asset]Balance{}
		asks[i], which[i] = Ask{Holder: id, Limit: page}, i
	}
	for len(asks) > 0 {
		next := make([]Ask, len(asks)) // a question with Limit 0 is done
		err := s.Entries(ctx, c, asks, func(i int, entries []Entry) error {
			next[i] = addPage(sums[which[i]], asks[i], entries, before)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("balances on %s before %s: %w", c, before, err)
		}
		n := 0
		for i, ask := range next {
			if ask.Limit > 0 {
				asks[n], which[n] = ask, which[i]
				n++
			}
		}
		asks, which = asks[:n], which[:n]
	}
	all := make([][]Balance, len(holders))
	for i, sum := range sums {
		for _, b := range sum {
			all[i] = append(all[i], b)
		}
		slices.SortFunc(all[i], func(a, b Balance) int { return a.Asset.Compare(b.Asset) })
	}
	return all, nil
}

// addPage adds one answer to sum and returns the question for the rest, whose Limit is 0 if there is none.
func addPage(sum map[flow.Asset]Balance, ask Ask, entries []Entry, before flow.Pos) Ask {
	next := Ask{}
	if n := len(entries); n >= ask.Limit {
		// The last place may have been cut in the middle: it is read again, whole.
		last := entries[n-1].Pos
		if last.Compare(before) < 0 {
			next = Ask{Holder: ask.Holder, From: last, Limit: page}
			if entries[0].Pos == last {
				next.Limit = 2 * ask.Limit
			}
			before = last
		}
	}
	for _, e := range entries {
		if e.Pos.Compare(before) >= 0 {
			break
		}
		b := sum[e.Asset]
		b.Asset = e.Asset
		if e.Gives {
			b.Out = b.Out.Plus(e.Amount)
		} else {
			b.In = b.In.Plus(e.Amount)
		}
		sum[e.Asset] = b
	}
	return next
}
