package table

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rows"
	"github.com/spoor-dev/spoor/source"
)

// transferCols are the places of the columns that say where a row belongs; the decoder reads the others. -1 is absent.
type transferCols struct {
	chain, block, index, time, hash, parent int
	n                                       int // columns in all
}

func transferColumns(header string) (transferCols, error) {
	at, n, err := rows.Columns(header, rows.TransferColumns, rows.TransferOptional)
	if err != nil {
		return transferCols{}, err
	}
	find := func(name string) int {
		if i := slices.Index(rows.TransferColumns, name); i >= 0 {
			return at[i]
		}
		return at[len(rows.TransferColumns)+slices.Index(rows.TransferOptional, name)]
	}
	return transferCols{
		chain: find("chain"), block: find("block_number"), index: find("log_index"), time: find("timestamp"),
		hash: find("block_hash"), parent: find("parent_hash"), n: n,
	}, nil
}

// sampleRows is how many rows onlyChain looks at. Should another chain come later, the stream fails there.
const sampleRows = 10_000

// onlyChain is the chain of the first rows, if they have but one.
func (s *Source) onlyChain() (flow.Chain, error) {
	var cols transferCols
	var found []flow.Chain
	n := 0
	each := func(f *file) (_ int, err error) { cols, err = transferColumns(f.header); return cols.n, err }
	for r, err := range s.records(context.Background(), each) {
		if err != nil {
			return flow.Chain{}, err
		}
		if n++; n > sampleRows {
			break
		}
		if r.fields == nil {
			continue
		}
		c, err := flow.ParseChain(strings.TrimSpace(r.fields[cols.chain]))
		if err == nil && !slices.Contains(found, c) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return flow.Chain{}, fmt.Errorf("%s: no row of the first %d names a chain: %w", s.paths[0], n, ErrChains)
	case 1:
		return found[0], nil
	}
	slices.SortFunc(found, flow.Chain.Compare)
	names := make([]string, len(found))
	for i, c := range found {
		names[i] = c.String()
	}
	return flow.Chain{}, fmt.Errorf("%s: rows of %s: %w", s.paths[0], strings.Join(names, ", "), ErrChains)
}

// transferBlocks groups the rows of the chain by block. A row whose block cannot be read goes with the rows around it,
// so that the decoder can refuse it with a note.
func (s *Source) transferBlocks(ctx context.Context) iter.Seq2[source.Block, error] {
	return func(yield func(source.Block, error) bool) {
		g := grouper{source: s}
		var cols transferCols
		var text string // the chain column of the last row, and what it says
		var chain flow.Chain
		var index uint64
		each := func(f *file) (_ int, err error) { cols, err = transferColumns(f.header); return cols.n, err }
		for r, err := range s.records(ctx, each) {
			if err != nil {
				yield(source.Block{}, err)
				return
			}
			readable := r.fields != nil
			var height uint64
			if readable {
				if name := r.fields[cols.chain]; name != text {
					text = strings.Clone(name)
					chain, _ = flow.ParseChain(strings.TrimSpace(name))
				}
				height, err = parseUint(r.fields[cols.block])
				readable = err == nil && !chain.IsZero()
			}
			if readable && chain != s.chain {
				if s.cfg.Chain.IsZero() {
					yield(source.Block{}, fmt.Errorf("%s:%d: a row of %s among those of %s: %w", r.f.path, r.line, chain, s.chain, ErrChains))
					return
				}
				continue
			}
			if readable {
				i, indexErr := parseUint(r.fields[cols.index])
				if g.open && (height < g.point.Height || height == g.point.Height && indexErr == nil && i < index) {
					yield(source.Block{}, orderError(r, cols, g.point.Height, index, height, i))
					return
				}
				if g.open && height > g.point.Height && !g.flush(yield) {
					return
				}
				if !g.open {
					index = 0
				}
				if indexErr == nil {
					index = i
				}
				g.begin(height)
				g.learn(r.fields, cols)
			}
			if err := g.add(r); err != nil {
				yield(source.Block{}, err)
				return
			}
		}
		g.end(yield)
	}
}

func orderError(r *record, cols transferCols, block, index, newBlock, newIndex uint64) error {
	return fmt.Errorf("%s:%d: block %d, log_index %d after block %d, log_index %d: %w; sort the rows below the header, for example "+
		"(head -n 1 FILE; tail -n +2 FILE | sort -s -t, -k%d,%[8]dn -k%d,%[9]dn)",
		r.f.path, r.line, newBlock, newIndex, block, index, ErrOrder, cols.block+1, cols.index+1)
}

// A grouper collects the rows of one block after the other.
type grouper struct {
	source *Source
	rows   rows.Block
	open   bool // point is that of a row
	point  flow.Point
	parent flow.Hash
	first  string // where the first row stands
}

// begin opens the block of that height if none is open.
func (g *grouper) begin(height uint64) {
	if !g.open {
		g.open, g.point, g.parent = true, flow.Point{Chain: g.source.chain, Height: height}, flow.Hash{}
	}
}

// learn takes over what a row says about its block and no row before it did.
func (g *grouper) learn(fields []string, cols transferCols) {
	if g.point.Time == 0 {
		g.point.Time = parseTime(fields[cols.time])
	}
	if g.point.Hash.IsZero() && cols.hash >= 0 {
		g.point.Hash, _ = flow.ParseHash(strings.TrimSpace(fields[cols.hash]))
	}
	if g.parent.IsZero() && cols.parent >= 0 {
		g.parent, _ = flow.ParseHash(strings.TrimSpace(fields[cols.parent]))
	}
}

func (g *grouper) add(r *record) error {
	if g.rows.Len() == 0 {
		g.first = fmt.Sprintf("%s:%d", r.f.path, r.line)
	}
	g.rows.Add(r.f.path, r.f.header, r.line, r.text, r.cut)
	if g.rows.Len() > g.source.cfg.MaxBlock {
		return fmt.Errorf("%s:%d: the rows since %s have more than %d bytes, too many for one block", r.f.path, r.line, g.first, g.source.cfg.MaxBlock)
	}
	return nil
}

// flush yields the open block.
func (g *grouper) flush(yield func(source.Block, error) bool) bool {
	g.open = false
	return yield(source.Block{Point: g.point, Parent: g.parent, Raw: g.rows.Take()}, nil)
}

// end yields the last block. Rows of which none says its block are an error: there is no block to note them in.
func (g *grouper) end(yield func(source.Block, error) bool) {
	if g.open {
		g.flush(yield)
	} else if g.rows.Len() > 0 {
		yield(source.Block{}, fmt.Errorf("%s: neither this row nor any other can be read as the header says", g.first))
	}
}

var errNumber = errors.New("not a whole number")

func parseUint(s string) (uint64, error) {
	s = strings.TrimSpace(s)
	if s == "" || s[0] == '+' {
		return 0, errNumber
	}
	return strconv.ParseUint(s, 10, 64)
}

// parseTime is a time in seconds since 1970, 0 where s is none.
func parseTime(s string) int64 {
	n, err := parseUint(s)
	if err != nil || n > 1<<62 {
		return 0
	}
	return int64(n)
}
