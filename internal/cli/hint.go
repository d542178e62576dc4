package cli

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/feed"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	decbitcoin "github.com/spoor-dev/spoor/decode/bitcoin"
	decetl "github.com/spoor-dev/spoor/decode/etl"
	decevm "github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/verdicts"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/source/bitcoin"
	"github.com/spoor-dev/spoor/source/etl"
	"github.com/spoor-dev/spoor/source/evm"
	"github.com/spoor-dev/spoor/source/table"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/trace/route"
)

// damaged is what to do about a block that contradicts itself.
const damaged = "the source is damaged or was changed: get it again; nothing of that block was stored, the blocks before it stand"

// hints says for every error that a user can meet what to do next. The first that fits is used.
var hints = []struct {
	err  error
	hint string
}{
	{context.Canceled, "run the same command again; an ingest goes on where it was"},
	{engine.ErrAbsent, "check --store, --chain and the time; \"spoor ingest --help\" shows how to read the blocks that hold it"},
	{verdicts.ErrInUse, "another spoor keeps verdicts there: wait until it ends, or name another folder with --verdicts"},
	{screen.ErrPolicy, "docs/formats/policy.md shows the form of a policy"},
	{engine.ErrNoGain, "name the account that the money left with --from, or another transaction"},
	{engine.ErrCoins, "name outputs with --tx HASH:INDEX, or all that leaves the account with --from ACCOUNT"},
	{engine.ErrAsset, "name it once: --asset takes a CAIP-19 identifier, a token contract, or the ticker of the chain's coin"},
	{route.ErrSize, "leave out --max-flow, or bound the question: --from \"ACCOUNT=AMOUNT ASSET@TIME\" and --until TIME"},
	{api.ErrOpen, "name the keys of those who may ask with --keys (--new-key makes one), or listen on 127.0.0.1"},
	{api.ErrKeys, "a line of a key file is NAME SCOPES sha256:HASH [RATE]; \"spoor serve --new-key NAME\" makes one"},
	{api.ErrDrain, "some requests got no answer; nothing was lost"},
	{syscall.EADDRINUSE, "another program listens there: choose another address with --listen"},
	{flow.ErrChecksum, "the address has a typing error: copy it again; a checksum is never ignored"},
	{flow.ErrAddress, "accepted are CAIP-10 (eip155:1:0x…), bare (0x…, bc1…, 1…, 3…, T…) and with a ticker (XBT:1…)"},
	{flow.ErrAmount, "amounts are whole numbers of the smallest unit: wei, satoshi, token base units"},
	{flow.ErrOutpoint, "write an outpoint as transaction:index, for example f4184fc5…9e16:1"},

	{bitcoin.ErrForm, "bitcoin-blocks reads blk*.dat files of a node, plain or obfuscated, and files with one raw block"},
	{bitcoin.ErrDamaged, "get the file again, or leave it out; the blocks before the damage are in the store"},
	{bitcoin.ErrHeight, "name the height of the first block with --height"},
	{bitcoin.ErrChain, "ingest the files of each network by themselves, or name the network with --chain (bitcoin, testnet, signet, regtest)"},
	{decbitcoin.ErrForm, damaged},
	{decbitcoin.ErrRoot, damaged},
	{decevm.ErrRoot, damaged},
	{decetl.ErrRoot, damaged},
	{evm.ErrEmpty, "evm-recorded reads answers of eth_getBlockByNumber, eth_getBlockReceipts and trace_block or debug_trace…, one or more in a file"},
	{evm.ErrBranches, "keep the files of one branch only; the message names the two blocks"},
	{etl.ErrNoTable, "name a folder or a file with tables as ethereum-etl writes them: their names or headers tell which they are; move other files out of the folder"},
	{etl.ErrOrder, "sort the table by block number, as ethereum-etl writes it"},
	{table.ErrOrder, "sort the rows by block_number, then log_index, as the chain has them"},
	{table.ErrChains, "name the chain to read with --chain, for example --chain eip155:1"},
	{text.ErrSyntax, "docs/formats/text-chain.md shows the form"},

	{labelstore.ErrChurn, "see what changes with \"spoor label diff\"; if it is right, import it with --accept"},
	{labelstore.ErrInUse, "another spoor has the labels open: wait until it ends"},
	{labelstore.ErrAbsent, "import some: spoor label import FILE, or spoor label import --shipped"},
	{labelstore.ErrFormat, "use the version of spoor that wrote these labels, or import the lists into a new folder"},
	{feed.ErrFormat, "name the format with --format; \"spoor label import --help\" lists them"},
	{feed.ErrSchema, "the file is not what its format says: get it again, or name the format with --format; nothing of it was stored"},
	{feed.ErrSize, "no honest list is that large: check the file"},
	{attribute.ErrSubject, "write an address, eip155:any:0x…, domain:NAME, actor:NAME, code:0x… or pkg:ecosystem/name"},

	{store.ErrFormat, "ingest into a new --store folder, or use the version of spoor that wrote this one"},
	{store.ErrFull, "free some room on the disk and run the same command again; nothing was lost"},
	{syscall.ENOSPC, "free some room on the disk and run the same command again"},
	{store.ErrFinal, "the source's chain left ours below a block that was final: check the source; if it is right, ingest into a new --store"},
	{store.ErrNotHead, "blocks of a chain go in by rising height: sort the input, or ingest it into a new --store"},
	{syscall.EAGAIN, "another spoor has this store open: wait until it ends, or use another --store"},
	{store.ErrNotFound, "ingest the blocks that hold it first; \"spoor ingest --help\" shows how"},
	{trace.ErrOrder, "the store is damaged: ingest the blocks into a new --store; please report it"},
	{trace.ErrGraph, "the store is damaged: ingest the blocks into a new --store; please report it"},
	{fs.ErrNotExist, "check the path; paths are relative to the folder where the command runs"},
	{fs.ErrPermission, "the folder must be readable and, for --store and --out, writable by you"},
	{syscall.ENOTDIR, "a part of the path is a file where a folder is needed"},
	{screen.ErrBlind, "nothing was decided, which is not allow: mend what the message names, and ask again"},
	{syscall.EISDIR, "name a file, not a folder"},
}

// hintFor is what to do next about an error; there is always something.
func hintFor(err error) string {
	return hintOr(err, "run the command with --help for its flags and examples")
}

// hintOr is what to do next about an error that a hint knows, else otherwise.
func hintOr(err error, otherwise string) string {
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return otherwise
}
