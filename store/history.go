package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A HistoryAsk is a question for what one holder did in one asset.
type HistoryAsk struct {
	Holder  ID
	Asset   flow.Asset
	Before  flow.Pos    // the first place that does not count
	Floor   flow.Amount // what came in smaller pieces does not count, nor who sent it, nor whom less was sent to
	Parties int         // how many payers and how many payees to name, at most
}

// A History is what one holder took and gave of one asset. Where the store holds the chain from its first block on, In
// minus Out is what the holder had; where it does not, Out may be more than In.
type History struct {
	In  flow.Sum // what the holder took
	Out flow.Sum // what the holder gave, fees included
	// Payers and Payees are the first distinct accounts that paid the holder and that it paid, fees and payments of
	// nothing apart, in movements with one leg on either side.
	Payers, Payees []ID
}

// page is how many entries of one holder Histories reads at once.
const page = 4096

// Histories answers each ask from the entries of its holder. The sums are exact even where a hostile token overflows
// 256 bits.
func Histories(ctx context.Context, s Snapshot, c flow.Chain, of []HistoryAsk) ([]History, error) {
	all := make([]History, len(of))
	asks := make([]Ask, len(of))
	which := make([]int, len(of)) // the history behind each question
	for i, h := range of {
		asks[i], which[i] = Ask{Holder: h.Holder, Limit: page}, i
	}
	for len(asks) > 0 {
		next := make([]Ask, len(asks)) // a question with Limit 0 is done
		err := s.Entries(ctx, c, asks, func(i int, entries []Entry) error {
			n := which[i]
			next[i] = all[n].addPage(&of[n], asks[i], entries)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("histories on %s: %w", c, err)
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
	return all, nil
}

// EachEntry calls f for every entry of a holder, in the order of the chain, until it returns an error. An entry is valid
// until f returns.
func EachEntry(ctx context.Context, s Snapshot, c flow.Chain, holder ID, f func(*Entry) error) error {
	for ask := (Ask{Holder: holder, Limit: page}); ask.Limit > 0; {
		err := s.Entries(ctx, c, []Ask{ask}, func(_ int, entries []Entry) error {
			next, n := rest(ask, entries, flow.Pos{Height: ^uint64(0)})
			for i := range entries[:n] {
				if err := f(&entries[i]); err != nil {
					return err
				}
			}
			ask = next
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rest says how many of the entries of an answer count, which come before a place, and asks for those behind them; the
// Limit is 0 if there are none.
func rest(ask Ask, entries []Entry, before flow.Pos) (next Ask, n int) {
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
	for n < len(entries) && entries[n].Pos.Compare(before) < 0 {
		n++
	}
	return next, n
}

// addPage adds one answer and returns the question for the rest, whose Limit is 0 if there is none.
func (h *History) addPage(of *HistoryAsk, ask Ask, entries []Entry) Ask {
	next, n := rest(ask, entries, of.Before)
	for i := range entries[:n] {
		if e := &entries[i]; e.Asset == of.Asset {
			h.add(of, e)
		}
	}
	return next
}

func (h *History) add(of *HistoryAsk, e *Entry) {
	small := e.Amount.Less(of.Floor)
	list := &h.Payers
	switch {
	case e.Gives:
		h.Out = h.Out.Plus(e.Amount)
		list = &h.Payees
	case small:
		return
	default:
		h.In = h.In.Plus(e.Amount)
	}
	if small || e.Amount.IsZero() || e.Other == 0 || e.Other == of.Holder || e.Kind == flow.Fee ||
		len(*list) >= of.Parties || slices.Contains(*list, e.Other) {
		return
	}
	*list = append(*list, e.Other)
}
