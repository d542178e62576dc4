// Package evm reads recorded answers of EVM nodes: files of blocks, receipts and traces in JSON.
package evm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync/atomic"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
)

var (
	// ErrEmpty is returned where the files hold no block at all.
	ErrEmpty = errors.New("no blocks of an EVM chain in it")
	// ErrBranches is returned where the files hold two blocks of one height.
	ErrBranches = errors.New("two branches of the chain")
)

// Config is the configuration of a Source. The zero value is valid.
type Config struct {
	Chain       flow.Chain // whose blocks these are; Ethereum if zero
	MaxDocument int64      // the most bytes of one JSON document; 512 MiB if 0
}

// A Source is the blocks of a set of files, in the order of their heights. The files are read twice: once to find what
// lies where, on the first call of Steps, and then block by block. Memory holds one block and about 150 bytes for each
// JSON document.
type Source struct {
	chain flow.Chain
	most  int64
	files []packed.File
	total int64
	// found and given are the bytes of files that were read for the index and for blocks.
	found, given atomic.Int64
	index        *index // nil before the first scan
}

// isJSON tells by its name whether a file in a folder may hold answers; a file that is named itself is always read.
var isJSON = regexp.MustCompile(`(?i)\.(json|jsonl|ndjson)(\.(gz|zst|xz|bz2))?$`)

// Open lists the files at paths, each a file, a folder or a pattern. In folders, files are read whose names end in .json, .jsonl or
// .ndjson, packed or not. Nothing is read yet.
func Open(paths []string, cfg Config) (*Source, error) {
	if cfg.Chain.IsZero() {
		cfg.Chain = flow.Ethereum
	}
	if !cfg.Chain.IsEVM() {
		return nil, fmt.Errorf("recorded answers of %s: not an EVM chain", cfg.Chain)
	}
	if cfg.MaxDocument <= 0 {
		cfg.MaxDocument = 512 << 20
	}
	files, err := packed.List(paths)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f packed.File) bool {
		return !f.Named && !isJSON.MatchString(f.Path)
	})
	s := &Source{chain: cfg.Chain, most: cfg.MaxDocument, files: files}
	for _, f := range files {
		s.total += f.Size
	}
	return s, nil
}

// Chain implements source.Source.
func (s *Source) Chain() flow.Chain { return s.chain }

// Size implements source.Sizer: half of the work is to find the blocks, half to read them.
func (s *Source) Size() (read, total int64) {
	return (s.found.Load() + s.given.Load()) / 2, s.total
}

// Skipped is how many JSON documents hold nothing that Spoor reads: answers to other questions, errors of the node. It
// is known when Steps has been called.
func (s *Source) Skipped() int {
	if s.index == nil {
		return 0
	}
	return s.index.skipped
}

// load scans the files once.
func (s *Source) load(ctx context.Context) (*index, error) {
	if s.index != nil {
		return s.index, nil
	}
	x := &index{}
	for i, f := range s.files {
		if err := s.scan(ctx, x, i); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		s.found.Add(f.Size)
	}
	if len(x.pieces) == 0 {
		return nil, ErrEmpty
	}
	if err := x.sort(s.files); err != nil {
		return nil, err
	}
	s.index = x
	return x, nil
}

// scan adds what one file holds to the index.
func (s *Source) scan(ctx context.Context, x *index, file int) error {
	r, err := packed.Open(s.files[file].Path)
	if err != nil {
		return err
	}
	defer r.Close()
	var last *uint64 // height of the last document of this file that says its own
	for doc, err := range documents(r, s.most) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		parts, err := partsOf(doc.text)
		if err != nil {
			return fmt.Errorf("byte %d: %w", doc.offset, err)
		}
		if len(parts) == 0 {
			x.skipped++
		}
		for i, p := range parts {
			if !p.placed {
				h, ok := heightOf(s.files[file].Path)
				switch {
				case ok:
					p.height = h
				case last != nil:
					p.height = *last
				default:
					return fmt.Errorf("byte %d: %s of which block?", doc.offset, p.kind)
				}
			} else {
				last = &p.height
			}
			x.pieces = append(x.pieces, piece{file: int32(file), offset: doc.offset, size: int64(len(doc.text)), part: int32(i),
				kind: p.kind, height: p.height, hash: p.hash, parent: p.parent, time: p.time, count: int32(p.count)})
		}
	}
	return nil
}
