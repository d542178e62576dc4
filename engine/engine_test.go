package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/internal/nodes"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

// sharedData is a file of the data which lie beside the repository; the test is skipped where they do not.
func sharedData(t *testing.T, name string) string {
	t.Helper()
	return measure.Path(t, "data/"+name)
}

func TestEveryKindOfInputOpensAndIsRead(t *testing.T) {
	transfers := "chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp\neip155:1,7,0,0x" + aHash + "," + anEVM + ",0x000000000000000000000000000000000000dEaD,ETH,5,1603680811\n"
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for kind, path := range map[string]func(t *testing.T) string{
		"text":           func(*testing.T) string { return write("c.txt", evmStory) },
		"transfers-csv":  func(*testing.T) string { return write("t.csv", transfers) },
		"bitcoin-blocks": func(t *testing.T) string { return sharedData(t, "onchain/bitcoin-blocks/blocks1-256.bz2") },
		"evm-recorded": func(t *testing.T) string {
			return sharedData(t, "onchain/evm-mainnet-blocks/mev-inspect/10921990.json.gz")
		},
		"ethereum-etl": func(t *testing.T) string {
			return sharedData(t, "onchain/evm-mainnet-blocks/ethereum-etl/test_export_blocks_job/blocks_with_transactions/expected_transactions.csv")
		},
		"heist-csv": func(t *testing.T) string { return sharedData(t, "onchain/ethereum-heist/bancor/all-tx.csv.gz") },
	} {
		t.Run(kind, func(t *testing.T) {
			in, err := Open(t.Context(), kind+":"+path(t), InputConfig{})
			if err != nil || !strings.HasPrefix(in.Name, kind+":") {
				t.Fatalf("%s, %v", in.Name, err)
			}
			told := 0
			stats, err := Ingest(t.Context(), memstore.New(), []Input{in}, Watcher{Progress: func(of Input, _ ingest.Stats, _, _ int64) {
				if told++; of.Name != in.Name {
					t.Errorf("progress of %s", of.Name)
				}
			}})
			if err != nil || stats.Blocks == 0 || told == 0 {
				t.Errorf("%+v, told %d times, %v", stats, told, err)
			}
		})
	}
	if len(Kinds) != 8 {
		t.Errorf("%d kinds: try the new one here, too", len(Kinds))
	}
}

// TestNodesAreInputs: a live node is read up to its head, and the next reading goes on from there, over a fork, too.
func TestNodesAreInputs(t *testing.T) {
	read := func(t *testing.T, spec string, st store.Store) int64 {
		in, err := Open(t.Context(), spec, InputConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		stats, err := Ingest(t.Context(), st, []Input{in}, Watcher{})
		if err != nil {
			t.Fatal(err)
		}
		return stats.Blocks - stats.Undone
	}
	t.Run("evm-rpc", func(t *testing.T) {
		node := nodes.Anvil(t)
		st := memstore.New()
		node.Mine(5)
		if n := read(t, "evm-rpc:"+node.URL, st); n != 6 {
			t.Errorf("%d blocks; want 6", n)
		}
		node.Reorg(3)
		node.Mine(1)
		if got, want := 6+read(t, "evm-rpc:"+node.URL, st), int64(node.Height()+1); got != want {
			t.Errorf("%d blocks over a fork of 3; want %d", got, want)
		}
		if n := read(t, "evm-rpc:"+node.URL, st); n != 0 {
			t.Errorf("%d blocks where nothing is new", n)
		}
	})
	t.Run("bitcoin-rpc", func(t *testing.T) {
		node := nodes.Btcd(t)
		st := memstore.New()
		node.Generate(4)
		if n := read(t, "bitcoin-rpc:"+strings.Replace(node.URL, "://", "://"+node.User+":"+node.Password+"@", 1), st); n != 5 {
			t.Errorf("%d blocks; want 5", n)
		}
	})
}

func TestInputsThatDoNotOpen(t *testing.T) {
	for _, spec := range []string{"", "text", "csv:x", ":x", "TEXT:x", strings.Repeat("x", 10_000)} {
		if _, err := Open(t.Context(), spec, InputConfig{}); !errors.Is(err, ErrKind) || len(err.Error()) > 300 {
			t.Errorf("Open(%.20q): %v; want a short ErrKind", spec, err)
		}
	}
	for _, k := range Kinds {
		if IsNodeKind(k.Name) {
			continue
		}
		if _, err := Open(t.Context(), k.Name+":/nowhere/at/all", InputConfig{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open(%s): %v; want ErrNotExist", k.Name, err)
		}
	}
}

func TestIngestStopsAtTheFirstInputThatFails(t *testing.T) {
	write := func(text string) Input {
		path := filepath.Join(t.TempDir(), "c.txt")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		in, err := Open(t.Context(), "text:"+path, InputConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	var notes []string
	inputs := []Input{write("block 1 a\neth:a eth:b X 1\nbad row\n"), write("block 1 other\neth:a eth:b X 1\nblock 2 two\nfinal two\nblock 3 x parent=other\n"), write("block 9 z\n")}
	stats, err := Ingest(t.Context(), memstore.New(), inputs, Watcher{Note: func(in Input, at flow.Point, n flow.Note) {
		notes = append(notes, in.Name+" "+n.Kind.String())
	}})
	if err == nil || !strings.HasPrefix(err.Error(), inputs[1].Name+": ") {
		t.Errorf("%v; want an error of the second input", err)
	}
	if stats.Quarantined != 1 || len(notes) != 1 || notes[0] != inputs[0].Name+" quarantined" {
		t.Errorf("%+v, notes %v", stats, notes)
	}
}

// Whatever the story and the theft: every rule accounts for every unit, forward and backward, and the same question has
// the same answer.
func TestEveryUnitIsAccountedForOnStoredChains(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := story(t, randomStory(rt)...)
		var theft trace.Theft
		whole := wholeChains(rt, s)
		for _, c := range s.Chains() {
			for _, tx := range whole[c] {
				if len(theft.Sources) == 0 && c.Namespace() == "text" && len(tx.Movements) > 0 && len(tx.Movements[0].Out) > 0 {
					l := tx.Movements[0].Out[0]
					theft.Sources = append(theft.Sources, trace.Outflow{Account: l.Account, From: tx.At()})
				}
				if c.IsUTXO() && len(theft.Sources) < 2 {
					l := tx.Movements[0].Out[0]
					if !l.Amount.IsZero() {
						theft.Sources = append(theft.Sources, trace.Coin{Outpoint: flow.Outpoint{Tx: tx.ID}, Account: l.Account, Asset: c.Native(), Amount: l.Amount})
					}
				}
			}
		}
		if len(theft.Sources) == 0 {
			return
		}
		o := trace.Options{Backward: rapid.Bool().Draw(rt, "backward"), Page: rapid.IntRange(1, 3).Draw(rt, "page"),
			Policies: []trace.Policy{trace.Haircut, trace.FIFO, trace.LIFO, trace.DirtyFirst, trace.CleanFirst, trace.Poison}}
		a, err := Trace(t.Context(), s, theft, o, nil, nil)
		if err != nil {
			rt.Fatal(err)
		}
		if broken := Broken(a.Report); len(broken) > 0 {
			rt.Fatal(broken)
		}
		o.Page = 0
		b, err := Trace(t.Context(), s, theft, o, nil, nil)
		if err != nil || a.Report.Hash != b.Report.Hash {
			rt.Fatalf("pages of %d give %s, of 1024 %s, %v", o.Page, a.Report.Hash, b.Report.Hash, err)
		}
	})
}
