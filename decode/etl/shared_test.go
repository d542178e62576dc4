package etl_test

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/decode/etl"
	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/source"
	tables "github.com/spoor-dev/spoor/source/etl"
	recorded "github.com/spoor-dev/spoor/source/evm"
)

var _ decode.Decoder = (*etl.Decoder)(nil)

// shared finds a path of the measuring data, or skips the test by its name.
func shared(t testing.TB, path string) string {
	t.Helper()
	return measure.Path(t, "data/onchain/evm-mainnet-blocks/ethereum-etl/"+path)
}

func decodeAll(t testing.TB, s source.Source, d decode.Decoder) []flow.Block {
	t.Helper()
	var all []flow.Block
	for step, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.Decode(step.Block.Point, step.Block.Parent, step.Block.Raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

func fromTables(t testing.TB, paths ...string) []flow.Block {
	t.Helper()
	s, err := tables.Open(paths, tables.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return decodeAll(t, s, etl.New(flow.Ethereum))
}

// fromAnswers decodes the recorded answers in folders; the newest block of that day lacks its transactions and is left
// out.
func fromAnswers(t testing.TB, dirs ...string) []flow.Block {
	t.Helper()
	var paths []string
	for _, d := range dirs {
		all, err := filepath.Glob(filepath.Join(d, "web3_response.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if !strings.Contains(p, "latest") {
				paths = append(paths, p)
			}
		}
	}
	s, err := recorded.Open(paths, recorded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return decodeAll(t, s, evm.New(flow.Ethereum))
}

// TestTablesSayWhatTheAnswersSay compares what is decoded from the tables that ethereum-etl wrote with what is decoded
// from the answers that it wrote them from.
func TestTablesSayWhatTheAnswersSay(t *testing.T) {
	proved := flow.ProvedBloom | flow.ProvedReceipts | flow.SawLogs | flow.SawFees
	for _, c := range []struct {
		name    string
		tables  []string // files
		answers []string // folders
		blocks  int
		want    flow.Coverage // of the last block
		ids     bool          // the tables tell the hash of the block
	}{
		{"csv", []string{"test_export_blocks_job/block_with_logs/expected_blocks.csv", "test_export_blocks_job/block_with_logs/expected_transactions.csv",
			"test_export_receipts_job/receipts_with_logs/expected_receipts.csv", "test_export_receipts_job/receipts_with_logs/expected_logs.csv"},
			[]string{"test_export_blocks_job/block_with_logs", "test_export_receipts_job/receipts_with_logs"}, 1, proved, true},
		{"json", []string{"test_export_blocks_job/block_with_logs/expected_blocks.csv", "test_export_blocks_job/block_with_logs/expected_transactions.csv",
			"test_export_receipts_job/receipts_with_logs/expected_receipts.json", "test_export_receipts_job/receipts_with_logs/expected_logs.json"},
			[]string{"test_export_blocks_job/block_with_logs", "test_export_receipts_job/receipts_with_logs"}, 1, proved, true},
		{"without-receipts", []string{"test_export_blocks_job/blocks_with_transactions/expected_blocks.csv", "test_export_blocks_job/blocks_with_transactions/expected_transactions.csv"},
			[]string{"test_export_blocks_job/blocks_with_transactions"}, 2, 0, true},
		{"genesis", []string{"test_export_blocks_job/block_without_transactions/expected_blocks.csv"},
			[]string{"test_export_blocks_job/block_without_transactions"}, 1, 0, true},
		{"stream", []string{"test_stream/blocks_1755634_1755635/expected_blocks.json", "test_stream/blocks_1755634_1755635/expected_transactions.json",
			"test_stream/blocks_1755634_1755635/expected_logs.json"}, []string{"test_stream/blocks_1755634_1755635"}, 2, proved, true},
		{"stream-transfers", []string{"test_stream/blocks_1755634_1755635/expected_blocks.json", "test_stream/blocks_1755634_1755635/expected_transactions.json",
			"test_stream/blocks_1755634_1755635/expected_token_transfers.json"}, []string{"test_stream/blocks_1755634_1755635"}, 2, flow.SawFees, true},
		{"stream-traces", []string{"test_stream/blocks_508110_508110/expected_traces.json"}, []string{"test_stream/blocks_508110_508110"}, 1,
			flow.SawTraces | flow.SawRewards, true},
		{"stream-create", []string{"test_stream/blocks_2112234_2112234/expected_traces.json"}, []string{"test_stream/blocks_2112234_2112234"}, 1,
			flow.SawTraces | flow.SawRewards, true},
		{"token-transfers", []string{"test_export_token_transfers_job/block_with_transfers/expected_token_transfers.csv"},
			[]string{"test_export_token_transfers_job/block_with_transfers"}, 1, 0, false},
		{"create", []string{"test_export_traces_job/block_with_create/expected_traces.csv"}, []string{"test_export_traces_job/block_with_create"}, 1,
			flow.SawTraces | flow.SawRewards, false},
		{"error", []string{"test_export_traces_job/block_with_error/expected_traces.csv"}, []string{"test_export_traces_job/block_with_error"}, 1,
			flow.SawTraces | flow.SawRewards, false},
		{"subtraces", []string{"test_export_traces_job/block_with_subtraces/expected_traces.csv"}, []string{"test_export_traces_job/block_with_subtraces"}, 1,
			flow.SawTraces | flow.SawRewards, false},
		{"suicide", []string{"test_export_traces_job/block_with_suicide/expected_traces.csv"}, []string{"test_export_traces_job/block_with_suicide"}, 1,
			flow.SawTraces | flow.SawRewards, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var paths, dirs []string
			for _, p := range c.tables {
				paths = append(paths, shared(t, p))
			}
			for _, p := range c.answers {
				dirs = append(dirs, shared(t, p))
			}
			got, want := fromTables(t, paths...), fromAnswers(t, dirs...)
			if len(got) != c.blocks || len(want) != c.blocks {
				t.Fatalf("%d blocks from tables, %d from answers; want %d", len(got), len(want), c.blocks)
			}
			if cover := got[len(got)-1].Coverage; !cover.Has(c.want) {
				t.Errorf("coverage %v; want %v", cover.Names(), c.want.Names())
			}
			for i := range got {
				compare(t, got[i], want[i], c.ids)
			}
		})
	}
}

// compare compares the transactions of two blocks.
func compare(t *testing.T, got, want flow.Block, ids bool) {
	t.Helper()
	for _, n := range got.Notes {
		if n.Kind == flow.Quarantined {
			t.Errorf("refused: %+v", n)
		}
	}
	if ids && got.Point.Hash != want.Point.Hash {
		t.Errorf("%v; want %v", got.Point, want.Point)
	}
	if len(got.Txs) != len(want.Txs) {
		t.Fatalf("block %d: %d transactions; want %d", got.Point.Height, len(got.Txs), len(want.Txs))
	}
	for i, tx := range got.Txs {
		w := want.Txs[i]
		isBlock := w.ID == want.Point.Hash
		if tx.Index != w.Index || tx.Failed != w.Failed || tx.ID != w.ID && (ids || !isBlock) || !reflect.DeepEqual(tx.Movements, w.Movements) {
			t.Errorf("block %d:\ngot  %+v\nwant %+v", got.Point.Height, tx, w)
		}
	}
}

func TestTransfersAreThoseInLogs(t *testing.T) {
	dir := shared(t, "test_extract_token_transfers_job/logs")
	logs := fromTables(t, filepath.Join(dir, "logs.csv"))
	transfers := fromTables(t, filepath.Join(dir, "expected_token_transfers.csv"))
	var got, want []flow.Movement
	for _, tx := range logs[0].Txs {
		got = append(got, tx.Movements...)
	}
	for _, tx := range transfers[0].Txs {
		want = append(want, tx.Movements...)
	}
	if len(want) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestNoChangeIsSilent changes digits of the logs and receipts of a block, one at a time: the block is refused, or it is no
// longer said to be proved and a note tells of it.
func TestNoChangeIsSilent(t *testing.T) {
	s, err := tables.Open([]string{shared(t, "test_export_blocks_job/block_with_logs/expected_blocks.csv"), shared(t, "test_export_blocks_job/block_with_logs/expected_transactions.csv"),
		shared(t, "test_export_receipts_job/receipts_with_logs/expected_receipts.csv"), shared(t, "test_export_receipts_job/receipts_with_logs/expected_logs.csv")}, tables.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := etl.New(flow.Ethereum)
	for step, err := range s.Steps(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		raw := step.Block.Raw
		want, err := d.Decode(step.Block.Point, step.Block.Parent, raw)
		if err != nil {
			t.Fatal(err)
		}
		changed := 0
		for i := bytes.Index(raw, []byte(`"table":"receipts"`)); i < len(raw); i++ {
			digit := strings.IndexByte("0123456789abcdef", raw[i])
			if word := raw[bytes.LastIndexAny(raw[:i], `",`)+1 : i]; digit < 0 || len(word) < 3 || !bytes.HasPrefix(word, []byte("0x")) {
				continue
			}
			if changed++; changed%7 != 0 {
				continue
			}
			bad := bytes.Clone(raw)
			bad[i] = "0123456789abcdef"[digit^1]
			got, err := d.Decode(step.Block.Point, step.Block.Parent, bad)
			if err == nil && (got.Coverage.Has(flow.ProvedReceipts) || len(got.Notes) <= len(want.Notes)) {
				t.Errorf("byte %d: a change of %q is not told", i, raw[max(0, i-80):i+1])
			}
		}
		if changed < 700 {
			t.Errorf("only %d digits", changed)
		}
	}
}
