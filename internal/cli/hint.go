package cli

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// hints says for every error that a user can meet what to do next. The first that fits is used.
var hints = []struct {
	err  error
	hint string
}{
	{context.Canceled, "it was stopped; run the same command again and it goes on where it was"},
	{flow.ErrChecksum, "the address has a typing error: copy it again; a checksum is never ignored"},
	{flow.ErrAddress, "accepted are CAIP-10 (eip155:1:0x…), bare (0x…, bc1…, 1…, 3…, T…) and with a ticker (XBT:1…)"},
	{flow.ErrAmount, "amounts are whole numbers of the smallest unit: wei, satoshi, token base units"},
	{flow.ErrOutpoint, "write an outpoint as transaction:index, for example f4184fc5…9e16:1"},
	{store.ErrFormat, "ingest into a new --store folder, or use the version of spoor that wrote this one"},
	{store.ErrFull, "free some room on the disk and run the same command again; nothing was lost"},
	{store.ErrFinal, "the source's chain left ours below a block that was final: check the source; if it is right, ingest into a new --store"},
	{store.ErrNotHead, "blocks of a chain go in by rising height: sort the input, or ingest it into a new --store"},
	{store.ErrNotFound, "ingest the blocks that hold it first; \"spoor ingest --help\" shows how"},
	{fs.ErrNotExist, "check the path; paths are relative to the folder where the command runs"},
	{fs.ErrPermission, "the folder must be readable and, for --store and --out, writable by you"},
}

func hintFor(err error) string {
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return ""
}

// isMisuse reports errors of cobra itself, which have no type: a command that does not exist, a wrong number of arguments.
func isMisuse(err error) bool {
	for _, start := range []string{"unknown command", "accepts ", "requires ", "unknown flag", "unknown shorthand"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}
