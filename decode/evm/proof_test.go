package evm_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
)

const proved = flow.ProvedHash | flow.ProvedTxs

func TestRecordedBlocksAreProved(t *testing.T) {
	etl := "evm-mainnet-blocks/ethereum-etl/"
	for _, c := range []struct {
		name   string
		dirs   []string
		height uint64
		want   flow.Coverage
	}{
		{"genesis", []string{"test_export_blocks_job/block_without_transactions"}, 0, proved | flow.ProvedReceipts | flow.ProvedBloom},
		{"frontier", []string{"test_export_blocks_job/blocks_with_transactions"}, 47218, proved},
		{"empty", []string{"test_export_blocks_job/blocks_with_transactions"}, 47219, proved},
		{"logs", []string{"test_export_blocks_job/block_with_logs", "test_export_receipts_job"}, 483920,
			proved | flow.ProvedReceipts | flow.ProvedBloom | flow.SawLogs | flow.SawFees},
		{"stream-empty", []string{"test_stream/blocks_1755634_1755635"}, 1755634, proved | flow.ProvedReceipts | flow.ProvedBloom},
		{"stream", []string{"test_stream/blocks_1755634_1755635"}, 1755635,
			proved | flow.ProvedReceipts | flow.ProvedBloom | flow.SawLogs | flow.SawFees},
	} {
		t.Run(c.name, func(t *testing.T) {
			var paths []string
			for _, d := range c.dirs {
				paths = append(paths, shared(t, etl+d))
			}
			for _, b := range blocks(t, answers(t, paths)...) {
				if b.Point.Height == c.height {
					if !b.Coverage.Has(c.want) {
						t.Errorf("coverage %v; want %v", b.Coverage.Names(), c.want.Names())
					}
					return
				}
			}
			t.Errorf("block %d is not there", c.height)
		})
	}
}

// answers are the recorded answers in folders, without what is expected of them, and without the newest block of that
// day, whose transactions were cut out.
func answers(t testing.TB, dirs []string) []string {
	t.Helper()
	var all []string
	for _, d := range dirs {
		err := filepath.WalkDir(d, func(p string, e os.DirEntry, err error) error {
			if err == nil && strings.HasPrefix(e.Name(), "web3_response.") && !strings.Contains(e.Name(), "latest") {
				all = append(all, p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestBlockWithoutItsTransactionsIsRefused(t *testing.T) {
	path := shared(t, "evm-mainnet-blocks/ethereum-etl/test_stream/blocks_1755634_1755635/web3_response.eth_getBlockByNumber_latest_false.json")
	s := steps(t, nil, path)[0]
	_, err := evm.New(flow.Ethereum).Decode(s.Block.Point, s.Block.Parent, s.Block.Raw)
	if !errors.Is(err, evm.ErrRoot) || !strings.Contains(err.Error(), "transactions root") {
		t.Errorf("Decode: %v; want the transactions root", err)
	}
}

// TestChangedDigitsAreFound changes hexadecimal digits all over a block with its receipts, one at a time.
func TestChangedDigitsAreFound(t *testing.T) {
	dir := shared(t, "evm-mainnet-blocks/ethereum-etl/test_stream/blocks_1755634_1755635")
	all := steps(t, nil, answers(t, []string{dir})...)
	s := all[len(all)-1]
	testChanges(t, s.Block.Point, s.Block.Parent, s.Block.Raw)
}

// unused are the fields that follow from nothing else in a block, and from which Spoor takes nothing (the size, the sum of
// difficulties) or nothing but a burned amount (the price of blobs, whose formula changes with forks).
var unused = regexp.MustCompile(`"(size|totalDifficulty|blobGasPrice)"`)

// stride is how many digits testChanges passes over for each that it changes; at 1 it takes seconds.
const stride = 11

// testChanges fails for every digit of a text in raw that can be changed without an error.
func testChanges(t *testing.T, at flow.Point, parent flow.Hash, raw []byte) {
	t.Helper()
	d := evm.New(at.Chain)
	if _, err := d.Decode(at, parent, raw); err != nil {
		t.Fatal(err)
	}
	changed := 0
	for i := 1; i < len(raw); i++ {
		start := bytes.LastIndexByte(raw[:i], '"')
		digit := strings.IndexByte("0123456789abcdef", raw[i])
		if digit < 0 || i < start+3 || !bytes.HasPrefix(raw[start:], []byte(`"0x`)) {
			continue
		}
		key := raw[bytes.LastIndexByte(raw[:start], '\n')+1 : start]
		if unused.Match(key) {
			continue
		}
		if changed++; changed%stride != 0 {
			continue
		}
		bad := bytes.Clone(raw)
		bad[i] = "0123456789abcdef"[digit^1]
		if _, err := d.Decode(at, parent, bad); err == nil {
			t.Errorf("byte %d: no error for a change of %q", i, raw[max(0, i-60):i+1])
		}
	}
	if changed < 1000 {
		t.Errorf("only %d digits", changed)
	}
}
