package table

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/spoor-dev/spoor/internal/rows"
	"github.com/spoor-dev/spoor/source"
)

// heistCols are the places of the columns that say where a row belongs.
type heistCols struct{ block, time, n int }

func heistColumns(header string) (heistCols, error) {
	at, n, err := rows.Columns(header, rows.HeistColumns, rows.HeistOptional)
	if err != nil {
		return heistCols{}, err
	}
	return heistCols{
		block: at[slices.Index(rows.HeistColumns, "blockNumber")],
		time:  at[slices.Index(rows.HeistColumns, "timeStamp")],
		n:     n,
	}, nil
}

// A heistRow is a row that waits to be sorted.
type heistRow struct {
	height uint64
	record record
	time   int64
	known  bool // the row says its block
}

// heistBlocks reads all rows, then yields them by block. Rows of one block stay in the order of the files.
func (s *Source) heistBlocks(ctx context.Context) iter.Seq2[source.Block, error] {
	return func(yield func(source.Block, error) bool) {
		all, err := s.heistRows(ctx)
		if err != nil {
			yield(source.Block{}, err)
			return
		}
		g := grouper{source: s}
		for i := range all {
			r := &all[i]
			if g.open && r.height != g.point.Height && !g.flush(yield) {
				return
			}
			if r.known {
				g.begin(r.height)
				if g.point.Time == 0 {
					g.point.Time = r.time
				}
			}
			if err := g.add(&r.record); err != nil {
				yield(source.Block{}, err)
				return
			}
		}
		g.end(yield)
	}
}

func (s *Source) heistRows(ctx context.Context) ([]heistRow, error) {
	var all []heistRow
	var cols heistCols
	var height uint64 // of the last row that says its block
	unplaced := 0     // rows before the first that does
	each := func(f *file) (_ int, err error) { cols, err = heistColumns(f.header); return cols.n, err }
	for r, err := range s.records(ctx, each) {
		if err != nil {
			return nil, err
		}
		if len(all) == s.cfg.MaxRows {
			return nil, fmt.Errorf("%s:%d: more than %d rows, too many to sort in memory: sort them by block and use transfers-csv", r.f.path, r.line, s.cfg.MaxRows)
		}
		row := heistRow{height: height, record: *r}
		row.record.fields = nil
		if r.fields != nil {
			if h, err := parseUint(r.fields[cols.block]); err == nil {
				row.known, row.height, row.time = true, h, parseTime(r.fields[cols.time])
				height = h
				for ; unplaced > 0; unplaced-- {
					all[unplaced-1].height = h
				}
			}
		}
		if !row.known && unplaced == len(all) {
			unplaced++
		}
		all = append(all, row)
	}
	slices.SortStableFunc(all, func(a, b heistRow) int { return cmp.Compare(a.height, b.height) })
	return all, nil
}
