// Package table reads blocks from tables of transfers: CSV files in which every row is one movement.
package table

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync/atomic"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// Config is the configuration of a Source. The zero value is valid.
type Config struct {
	// Chain is the chain to read. If zero, OpenTransfers takes the only chain of the files, and OpenHeist Ethereum.
	// Rows of other chains are passed over if Chain is named, and an error if it is not.
	Chain flow.Chain
	// MaxRows is the most rows that OpenHeist's source holds in memory, over all files; 5,000,000 if 0.
	MaxRows int
	// MaxBlock is the most bytes that the rows of one block may have; 256 MiB if 0.
	MaxBlock int
}

// finalDepth is how many heights below its last block a table with block hashes declares final. A table without them
// can never tell a fork, so all of it is final.
const finalDepth = 64

var (
	// ErrOrder is returned for a transfers table whose rows do not stand in the order of the chain.
	ErrOrder = errors.New("not in the order of the chain")
	// ErrChains is returned for tables that hold several chains, or none, when none was asked for.
	ErrChains = errors.New("which chain to read must be named")
)

// A Source is the blocks of one chain in one or more tables. The decoders of decode/table read its raw blocks.
type Source struct {
	cfg    Config
	chain  flow.Chain
	paths  []string
	heist  bool
	hashes bool // some file says the hashes of its blocks
	total  int64
	read   atomic.Int64 // bytes of the files as they are stored, maybe compressed
}

var (
	_ source.Source = (*Source)(nil)
	_ source.Sizer  = (*Source)(nil)
)

// OpenTransfers opens tables of the form transfers-csv, plain or compressed (gzip, zstd, xz, bzip2). Together, in the
// order named, they must be in the order of the chain. It reads their headers and, where cfg does not name the chain,
// some rows.
func OpenTransfers(paths []string, cfg Config) (*Source, error) {
	s, err := open(paths, cfg)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if err := s.checkHeader(p); err != nil {
			return nil, err
		}
	}
	if s.chain = cfg.Chain; s.chain.IsZero() {
		if s.chain, err = s.onlyChain(); err != nil {
			return nil, err
		}
	}
	if s.chain.IsUTXO() {
		return nil, fmt.Errorf("%s: a table of transfers cannot say which output a transaction spends", s.chain)
	}
	return s, nil
}

// OpenHeist opens tables of the form heist-csv, plain or compressed. They may be in any order: all rows are read into
// memory first.
func OpenHeist(paths []string, cfg Config) (*Source, error) {
	s, err := open(paths, cfg)
	if err != nil {
		return nil, err
	}
	s.heist = true
	if s.chain = cfg.Chain; s.chain.IsZero() {
		s.chain = flow.Ethereum
	}
	if !s.chain.IsEVM() {
		return nil, fmt.Errorf("%s: heist-csv is a form of EVM chains", s.chain)
	}
	for _, p := range paths {
		if err := s.checkHeader(p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func open(paths []string, cfg Config) (*Source, error) {
	if len(paths) == 0 {
		return nil, errors.New("no table named")
	}
	if cfg.MaxRows == 0 {
		cfg.MaxRows = 5_000_000
	}
	if cfg.MaxBlock == 0 {
		cfg.MaxBlock = 256 << 20
	}
	s := &Source{cfg: cfg, paths: slices.Clone(paths)}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		s.total += info.Size()
	}
	return s, nil
}

func (s *Source) checkHeader(path string) error {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	defer f.packed.Close()
	if s.heist {
		_, err = heistColumns(f.header)
	} else {
		var c transferCols
		c, err = transferColumns(f.header)
		s.hashes = s.hashes || err == nil && c.hash >= 0
	}
	if err != nil {
		return fmt.Errorf("%s:1: %w", path, err)
	}
	return nil
}

// Chain is the chain whose blocks the source yields.
func (s *Source) Chain() flow.Chain { return s.chain }

// Size is how many bytes the files have and how many were read since the last call of Steps.
func (s *Source) Size() (read, total int64) { return s.read.Load(), s.total }

// Steps yields the blocks of the tables that come after known. Where the tables say the hashes of their blocks, known
// blocks that are not theirs are undone first. At the end a Final declares what no other version of the tables will
// undo: everything, or with block hashes what lies 64 heights below the last block.
func (s *Source) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		s.read.Store(0)
		undo, from, err := s.resume(ctx, known)
		if err != nil {
			yield(source.Step{}, err)
			return
		}
		for _, p := range undo {
			if !yield(source.Step{Op: source.Undo, Block: source.Block{Point: p}}, nil) {
				return
			}
		}
		s.read.Store(0)
		var settling []flow.Point // the blocks of the last finalDepth heights, where forks can be told
		var settled flow.Point
		for b, err := range s.blocks(ctx) {
			if err != nil {
				yield(source.Step{}, err)
				return
			}
			if b.Point.Height >= from {
				if !yield(source.Step{Op: source.Add, Block: b}, nil) {
					return
				}
			} else if !slices.ContainsFunc(known, func(p flow.Point) bool { return p.Height == b.Point.Height }) {
				continue // below what the reader remembers
			}
			settling = append(settling, b.Point)
			for len(settling) > 0 && (!s.hashes || settling[0].Height+finalDepth <= b.Point.Height) {
				settled, settling = settling[0], settling[1:]
			}
		}
		if !settled.IsZero() {
			yield(source.Step{Op: source.Final, Block: source.Block{Point: settled}}, nil)
		}
	}
}

// resume compares the reader's newest blocks with the tables: which to undo, and the first height to yield.
func (s *Source) resume(ctx context.Context, known []flow.Point) (undo []flow.Point, from uint64, err error) {
	if len(known) == 0 {
		return nil, 0, nil
	}
	from = known[0].Height + 1
	if !s.hashes {
		return nil, from, nil
	}
	mine := make(map[uint64]flow.Hash, len(known))
	for _, p := range known {
		mine[p.Height] = p.Hash
	}
	fork := func(height uint64, theirs flow.Hash) bool {
		h, ok := mine[height]
		return ok && !h.IsZero() && !theirs.IsZero() && h != theirs
	}
	for b, err := range s.blocks(ctx) {
		if err != nil {
			return nil, 0, err
		}
		if h := b.Point.Height; h > 0 && fork(h-1, b.Parent) {
			from = h - 1
			break
		} else if fork(h, b.Point.Hash) {
			from = h
			break
		} else if h > known[0].Height {
			break
		}
	}
	for _, p := range known {
		if p.Height >= from {
			undo = append(undo, p)
		}
	}
	return undo, from, nil
}

func (s *Source) blocks(ctx context.Context) iter.Seq2[source.Block, error] {
	if s.heist {
		return s.heistBlocks(ctx)
	}
	return s.transferBlocks(ctx)
}
