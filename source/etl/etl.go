// Package etl reads the tables that ethereum-etl writes: CSV or JSON lines, one kind of fact in each file.
package etl

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
)

var (
	// ErrNoTable is returned where no file is one of the tables, or the one that was named is none.
	ErrNoTable = errors.New("not a table of ethereum-etl (blocks, transactions, receipts, logs, token_transfers, traces)")
	// ErrOrder is returned for a table whose rows are not in the order of their blocks.
	ErrOrder = errors.New("not sorted by block")
)

// Config is the configuration of a Source. The zero value is valid.
type Config struct {
	Chain    flow.Chain // whose blocks these are; Ethereum if zero
	Window   int64      // bytes of each table that are held to put its rows into order; 16 MiB if 0
	MaxRow   int        // the most bytes of one row; 16 MiB if 0. A longer row is refused, and the rest is read
	MaxBlock int64      // the most bytes of all rows of one block; 256 MiB if 0
}

// A Source is the blocks of a set of tables. The tables are read side by side, once, with a bounded part of each in
// memory. It is for one goroutine, except for Size.
type Source struct {
	cfg    Config
	tables []*table
	total  int64
}

// The tables in the order in which a raw block holds them.
var names = []string{"blocks", "transactions", "receipts", "logs", "token_transfers", "traces"}

var (
	// named finds the name of a table as a word of its own in the name of a file or folder.
	named = regexp.MustCompile(`(?:^|[^a-z])(geth_traces|token_transfers|transactions|contracts|receipts|blocks|tokens|traces|logs)(?:[^a-z]|$)`)
	// isTable tells whether a file in a folder may be one.
	isTable = regexp.MustCompile(`(?i)\.(csv|json|jsonl|ndjson)(\.(gz|zst|xz|bz2))?$|^[^.]+$`)
)

// Open lists the tables at paths, each a file, a folder or a pattern. A file is a table by the word in its name (blocks_00.csv,
// token_transfers.json.gz) or in that of a folder above it. In folders, other files are passed over. Nothing is read yet.
func Open(paths []string, cfg Config) (*Source, error) {
	if cfg.Chain.IsZero() {
		cfg.Chain = flow.Ethereum
	}
	if !cfg.Chain.IsEVM() {
		return nil, fmt.Errorf("tables of %s: not an EVM chain", cfg.Chain)
	}
	if cfg.Window <= 0 {
		cfg.Window = 16 << 20
	}
	if cfg.MaxRow <= 0 {
		cfg.MaxRow = 16 << 20
	}
	if cfg.MaxBlock <= 0 {
		cfg.MaxBlock = 256 << 20
	}
	files, err := packed.List(paths)
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg}
	for _, name := range names {
		s.tables = append(s.tables, &table{name: name, cfg: cfg})
	}
	for _, f := range files {
		i := -1
		if f.Named || isTable.MatchString(filepath.Base(f.Path)) {
			i = slices.Index(names, tableOf(f.Path))
		}
		if i < 0 {
			if f.Named {
				return nil, fmt.Errorf("%s: %w", f.Path, ErrNoTable)
			}
			continue
		}
		s.tables[i].files = append(s.tables[i].files, f)
		s.total += f.Size
	}
	s.tables = slices.DeleteFunc(s.tables, func(t *table) bool { return len(t.files) == 0 })
	if len(s.tables) == 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(paths, ", "), ErrNoTable)
	}
	return s, nil
}

// tableOf is the table that a file belongs to by its name, or by that of the nearest folder which has one.
func tableOf(path string) string {
	for depth := 0; depth < 4 && path != "." && path != string(filepath.Separator); depth++ {
		if m := named.FindAllStringSubmatch(strings.ToLower(filepath.Base(path)), -1); m != nil {
			return m[len(m)-1][1]
		}
		path = filepath.Dir(path)
	}
	return ""
}

// Chain implements source.Source.
func (s *Source) Chain() flow.Chain { return s.cfg.Chain }

// Size implements source.Sizer.
func (s *Source) Size() (read, total int64) {
	for _, t := range s.tables {
		read += t.taken()
	}
	return min(read, s.total), s.total
}
