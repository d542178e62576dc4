// Package engine is the only room that knows all others: it opens the inputs and the store that were named, and answers
// trace's questions from the store.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spoor-dev/spoor/decode"
	decbitcoin "github.com/spoor-dev/spoor/decode/bitcoin"
	decetl "github.com/spoor-dev/spoor/decode/etl"
	decevm "github.com/spoor-dev/spoor/decode/evm"
	dectable "github.com/spoor-dev/spoor/decode/table"
	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/bitcoin"
	"github.com/spoor-dev/spoor/source/etl"
	"github.com/spoor-dev/spoor/source/evm"
	"github.com/spoor-dev/spoor/source/table"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store"
)

// Version is the version of the program.
const Version = "0.1.0"

// ErrKind is returned for an input whose kind is not known.
var ErrKind = errors.New("unknown kind of input")

// Kinds are the kinds of inputs, with what each reads, in the order of the help text.
var Kinds = []struct{ Name, Reads string }{
	{"bitcoin-blocks", "a blk*.dat file of a node, a folder of them, or a file with one raw block"},
	{"evm-recorded", "recorded JSON-RPC answers: blocks with receipts and traces, a file or a folder"},
	{"ethereum-etl", "ethereum-etl tables (blocks, transactions, receipts, logs, token_transfers, traces), a folder or a file"},
	{"transfers-csv", "one transfer a row: chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp"},
	{"heist-csv", "the all-tx.csv form of the EthereumHeist sets"},
	{"text", "a readable chain, as in docs/formats/text-chain.md"},
	{"evm-rpc", "a live EVM node, evm-rpc:http://127.0.0.1:8545 (or ws://), up to its head"},
	{"bitcoin-rpc", "a live Bitcoin node, Bitcoin Core or btcd, bitcoin-rpc:http://user:password@127.0.0.1:8332, up to its head"},
}

// InputConfig says what an input does not say itself. The zero value is valid.
type InputConfig struct {
	Chain    flow.Chain // for kinds that hold none: Ethereum if zero; for the others it must agree
	Height   uint64     // of a single raw Bitcoin block that does not tell its own; of a live node where an empty store begins
	To       uint64     // of a live node: the last block to read; its head if 0
	Unproved bool       // of a live node: take blocks whose roots cannot be recomputed
}

// An Input is a source with the decoder that reads its blocks.
type Input struct {
	Name    string // as it was given
	Source  source.Source
	Decoder decode.Decoder
	Close   func() // ends its connections; nil where it has none
}

// Open opens an input written KIND:PATH, or KIND:URL for a live node, which is asked for its chain and its head. Errors:
// ErrKind, those of the file system and the node, and what the first look at the file finds.
func Open(ctx context.Context, spec string, c InputConfig) (Input, error) {
	kind, path, ok := strings.Cut(spec, ":")
	if !ok || !isKind(kind) {
		return Input{}, fmt.Errorf("%.200q: %w", spec, ErrKind)
	}
	if IsNodeKind(kind) {
		return openLive(ctx, spec, c)
	}
	if _, err := os.Stat(path); err != nil && !strings.ContainsAny(path, "*?[") {
		return Input{}, err
	}
	in, err := open(kind, []string{path}, c)
	if err != nil {
		return Input{}, fmt.Errorf("open %s: %w", spec, err)
	}
	in.Name = spec
	return in, nil
}

func isKind(kind string) bool {
	for _, k := range Kinds {
		if k.Name == kind {
			return true
		}
	}
	return false
}

func open(kind string, paths []string, c InputConfig) (Input, error) {
	switch kind {
	case "bitcoin-blocks":
		s, err := bitcoin.Open(paths, bitcoin.Config{Chain: c.Chain, Height: c.Height})
		return input(s, err, decbitcoin.New)
	case "evm-recorded":
		s, err := evm.Open(paths, evm.Config{Chain: c.Chain})
		return input(s, err, decevm.New)
	case "ethereum-etl":
		s, err := etl.Open(paths, etl.Config{Chain: c.Chain})
		return input(s, err, decetl.New)
	case "transfers-csv":
		s, err := table.OpenTransfers(paths, table.Config{Chain: c.Chain})
		return input(s, err, dectable.NewTransfers)
	case "heist-csv":
		s, err := table.OpenHeist(paths, table.Config{Chain: c.Chain})
		return input(s, err, dectable.NewHeist)
	}
	s, err := text.Open(paths[0])
	return input(s, err, func(flow.Chain) *dectext.Decoder { return dectext.New() })
}

// input joins a source with the decoder of its chain.
func input[S source.Source, D decode.Decoder](s S, err error, decoder func(flow.Chain) D) (Input, error) {
	if err != nil {
		return Input{}, err
	}
	return Input{Source: s, Decoder: decoder(s.Chain())}, nil
}

// A Watcher is told how an Ingest goes on. Both functions may be nil.
type Watcher struct {
	Progress func(in Input, s ingest.Stats, read, total int64) // at most ten times a second
	Note     func(in Input, at flow.Point, n flow.Note)        // what was refused, missing or could not be proved
}

// Ingest reads inputs into a store, one after the other, and returns what was read, also when an error ends it.
func Ingest(ctx context.Context, st store.Store, inputs []Input, w Watcher) (ingest.Stats, error) {
	var all ingest.Stats
	for _, in := range inputs {
		var config ingest.Config
		if w.Progress != nil {
			config.Progress = func(s ingest.Stats, read, total int64) { w.Progress(in, s, read, total) }
		}
		if w.Note != nil {
			config.Note = func(at flow.Point, n flow.Note) { w.Note(in, at, n) }
		}
		s, err := ingest.Run(ctx, in.Source, in.Decoder, st, config)
		all = all.Plus(s)
		if err != nil {
			return all, fmt.Errorf("%s: %w", in.Name, err)
		}
	}
	return all, nil
}
