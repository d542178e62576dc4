package etl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// The raw form of a block: the rows of each file that are of this block, as they stand there.
type (
	rawBlock struct {
		Number uint64    `json:"number"`
		Tables []string  `json:"tables"` // that the source has, also where they hold nothing of this block
		Files  []rawFile `json:"files"`
	}
	rawFile struct {
		Table   string   `json:"table"`
		File    string   `json:"file"`
		Columns []string `json:"columns,omitempty"` // of CSV; rows without columns are JSON objects
		Rows    []rawRow `json:"rows"`
	}
	rawRow struct {
		Line int    `json:"line"`
		Text string `json:"text"`
		Long bool   `json:"long,omitempty"` // text is only the beginning
	}
)

// Steps implements source.Source. The tables are read from their begin; blocks that the reader has are passed over, and
// compared by their hashes where the tables tell them.
func (s *Source) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		known = slices.DeleteFunc(slices.Clone(known), func(p flow.Point) bool { return p.Chain != s.cfg.Chain })
		m := &merge{known: known}
		defer s.close()
		for _, t := range s.tables {
			if err := t.start(); err != nil {
				yield(source.Step{}, err)
				return
			}
		}
		for {
			b, err := s.next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(source.Step{}, err)
				return
			}
			for _, step := range m.steps(b) {
				if !yield(step, nil) {
					return
				}
			}
		}
	}
}

func (s *Source) close() {
	for _, t := range s.tables {
		t.close()
		t.held, t.bytes = nil, 0
	}
}

// next puts together the rows of the lowest block that any table still has.
func (s *Source) next(ctx context.Context) (source.Block, error) {
	if err := ctx.Err(); err != nil {
		return source.Block{}, err
	}
	height, found := uint64(0), false
	for _, t := range s.tables {
		switch h, err := t.peek(ctx); {
		case errors.Is(err, io.EOF):
		case err != nil:
			return source.Block{}, err
		case !found || h < height:
			height, found = h, true
		}
	}
	if !found {
		return source.Block{}, io.EOF
	}
	out := source.Block{Point: flow.Point{Chain: s.cfg.Chain, Height: height}}
	raw := rawBlock{Number: height}
	size := int64(0)
	for _, t := range s.tables {
		raw.Tables = append(raw.Tables, t.name)
		last := -1
		for {
			h, err := t.peek(ctx)
			if errors.Is(err, io.EOF) || err == nil && h != height {
				break
			}
			if err != nil {
				return source.Block{}, err
			}
			r := t.pop()
			if size += int64(len(r.text)); size > s.cfg.MaxBlock {
				return source.Block{}, fmt.Errorf("%s: line %d: block %d: its rows have more than %d bytes", t.files[r.file].Path, r.line,
					height, s.cfg.MaxBlock)
			}
			if r.file != last {
				raw.Files = append(raw.Files, rawFile{Table: t.name, File: filepath.Base(t.files[r.file].Path), Columns: t.header[r.file]})
				last = r.file
			}
			f := &raw.Files[len(raw.Files)-1]
			f.Rows = append(f.Rows, rawRow{r.line, strings.ToValidUTF8(string(r.text), "\ufffd"), r.long})
			if first := len(f.Rows) == 1; first && !r.long && (out.Point.Hash.IsZero() || out.Point.Time == 0) {
				p, parent := point(t.name, f.Columns, r.text)
				if out.Point.Hash.IsZero() {
					out.Point.Hash = p.Hash
				}
				if out.Point.Time == 0 {
					out.Point.Time = p.Time
				}
				if out.Parent.IsZero() {
					out.Parent = parent
				}
			}
		}
	}
	var err error
	out.Raw, err = json.Marshal(raw)
	return out, err
}

// A merge turns the tables' blocks into steps for a reader that has some already.
type merge struct {
	known []flow.Point // newest first; empty once the reader is behind
	held  source.Block // the last block that was passed over
}

// steps are those that the next block leads to: none as long as the reader has it.
func (m *merge) steps(b source.Block) []source.Step {
	if len(m.known) == 0 {
		return []source.Step{{Op: source.Add, Block: b}}
	}
	var out []source.Step
	for i := len(m.known) - 1; i >= 0; i-- { // from the oldest on
		p := m.known[i]
		same := p.Height == b.Point.Height && (p.Hash.IsZero() || b.Point.Hash.IsZero() || p.Hash == b.Point.Hash)
		parent := p.Height+1 == b.Point.Height && !p.Hash.IsZero() && !b.Parent.IsZero() && p.Hash != b.Parent
		if !parent && (same || p.Height != b.Point.Height) {
			continue
		}
		for _, q := range m.known[:i+1] {
			out = append(out, source.Step{Op: source.Undo, Block: source.Block{Point: q}})
		}
		if parent && m.held.Raw != nil && m.held.Point.Height == p.Height {
			out = append(out, source.Step{Op: source.Add, Block: m.held})
		}
		m.known = nil
		return append(out, source.Step{Op: source.Add, Block: b})
	}
	if b.Point.Height > m.known[0].Height {
		m.known = nil
		return []source.Step{{Op: source.Add, Block: b}}
	}
	m.held = b
	return nil
}
