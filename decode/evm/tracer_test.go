package evm_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
)

// A tracerCase is one transaction that go-ethereum's tests run under a tracer.
type tracerCase struct {
	folder, name string
	Genesis      struct {
		Alloc map[string]struct {
			Balance string `json:"balance"`
		} `json:"alloc"`
	} `json:"genesis"`
	Input        string          `json:"input"`
	Result       json.RawMessage `json:"result"`
	TracerConfig struct {
		OnlyTopCall bool `json:"onlyTopCall"`
	} `json:"tracerConfig"`
}

func tracerCases(t *testing.T) []tracerCase {
	t.Helper()
	in, err := packed.Open(shared(t, "evm-mainnet-blocks/geth-measure-only/tracetest_testdata.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var all []tracerCase
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") {
			continue
		}
		c := tracerCase{folder: path.Dir(h.Name), name: path.Base(h.Name)}
		if err := json.NewDecoder(r).Decode(&c); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		all = append(all, c)
	}
}

// decode gives the result of a tracer to the decoder as the trace of a block with one transaction.
func (c tracerCase) decode(t *testing.T) flow.Block {
	t.Helper()
	hash := "0x" + strings.Repeat("01", 32)
	raw := fmt.Sprintf(`{"block":{"number":"0x1","transactions":[%q]},"traces":[{"txHash":%q,"result":%s}]}`, hash, hash, c.blockless(t))
	b, err := evm.New(flow.Ethereum).Decode(flow.Point{Height: 1}, flow.Hash{}, []byte(raw))
	if err != nil {
		t.Fatalf("%s/%s: %v", c.folder, c.name, err)
	}
	return b
}

// blockless is the result without the number and hash of a block, which differ from case to case.
func (c tracerCase) blockless(t *testing.T) json.RawMessage {
	if len(c.Result) == 0 || c.Result[0] != '[' {
		return c.Result
	}
	var list []map[string]any
	if err := json.Unmarshal(c.Result, &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		delete(m, "blockNumber")
		delete(m, "blockHash")
	}
	out, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTracersAgree: the flat tracer and the callTracer of go-ethereum tell the same movements of the same transaction,
// and no account gives more than it has by then.
func TestTracersAgree(t *testing.T) {
	byInput := map[string]tracerCase{}
	pairs, checked, moved := 0, 0, 0
	for _, c := range tracerCases(t) {
		if c.folder == "prestate_tracer" {
			continue
		}
		b := c.decode(t)
		checked++
		if !c.TracerConfig.OnlyTopCall {
			moved += affordable(t, c, b)
		}
		key := c.name + c.Input
		other, ok := byInput[key]
		byInput[key] = c
		if !ok || c.TracerConfig.OnlyTopCall {
			continue
		}
		pairs++
		want := other.decode(t)
		if !reflect.DeepEqual(coin(b), coin(want)) || b.Txs[0].Failed != want.Txs[0].Failed {
			t.Errorf("%s/%s and %s/%s:\n%+v\n%+v", c.folder, c.name, other.folder, other.name, coin(b), coin(want))
		}
	}
	t.Logf("%d cases, %d pairs, %d movements", checked, pairs, moved)
	if checked < 57 || pairs < 11 || moved < 12 {
		t.Error("too few of them: the data is not what it was")
	}
}

func coin(b flow.Block) []flow.Movement {
	var out []flow.Movement
	for _, m := range b.Txs[0].Movements {
		if m.Asset.IsNative() {
			m.Index = 0 // suicides and precompiled contracts are counted differently
			out = append(out, m)
		}
	}
	return out
}

// affordable checks that each account has what it gives, at the moment when it gives, and counts the movements.
func affordable(t *testing.T, c tracerCase, b flow.Block) int {
	t.Helper()
	balance := map[flow.Account]flow.Amount{}
	for a, v := range c.Genesis.Alloc {
		account, err := flow.ParseAccountOn(flow.Ethereum, a)
		if err != nil {
			t.Fatal(err)
		}
		if v.Balance != "" {
			if balance[account], err = flow.ParseAmount(v.Balance); err != nil {
				t.Fatal(err)
			}
		}
	}
	moves := coin(b)
	for _, m := range moves {
		left, ok := balance[m.In[0].Account].Sub(m.In[0].Amount)
		if !ok {
			t.Errorf("%s/%s: %s gives %s and has %s", c.folder, c.name, m.In[0].Account, m.In[0].Amount, balance[m.In[0].Account])
		}
		balance[m.In[0].Account] = left
		balance[m.Out[0].Account], _ = balance[m.Out[0].Account].Add(m.Out[0].Amount)
	}
	return len(moves)
}

// TestTracesAreThoseOfEthereumETL compares the calls that are read with the rows that ethereum-etl wrote, one by one.
func TestTracesAreThoseOfEthereumETL(t *testing.T) {
	total := 0
	for _, name := range []string{"block_with_create", "block_with_error", "block_with_subtraces", "block_with_suicide"} {
		flat := "evm-mainnet-blocks/ethereum-etl/test_export_traces_job/" + name
		tree := "evm-mainnet-blocks/ethereum-etl/test_extract_geth_traces_job/" + name
		want := rows(t, shared(t, flat)+"/expected_traces.csv")
		s := steps(t, nil, answers(t, []string{shared(t, flat)})...)[0]
		total += sameCalls(t, name, s.Block.Raw, want)
		// The frames do not name their transactions; the flat traces of the same block do.
		var hashes []string
		for _, r := range want {
			if h := r["transaction_hash"]; h != "" && (len(hashes) == 0 || hashes[len(hashes)-1] != h) {
				hashes = append(hashes, h)
			}
		}
		list, err := json.Marshal(hashes)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range framesOf(t, shared(t, tree)) {
			raw := fmt.Sprintf(`{"block":{"number":%q,"transactions":%s},"traces":%s}`, want[0]["block_number"], list, step)
			total += sameCalls(t, name+" of geth", []byte(raw), rows(t, shared(t, tree)+"/expected_traces.csv"))
		}
	}
	if total < 12 {
		t.Errorf("only %d rows", total)
	}
}

// framesOf are the lists of frames in a folder: as the node answered, and as ethereum-etl kept them.
func framesOf(t *testing.T, dir string) []json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	for _, p := range append(answers(t, []string{dir}), dir+"/geth_traces.json") {
		in, err := packed.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Result json.RawMessage `json:"result"`
			Frames json.RawMessage `json:"transaction_traces"`
		}
		err = json.NewDecoder(in).Decode(&v)
		in.Close()
		if err != nil {
			t.Fatal(err)
		}
		if v.Result == nil {
			v.Result = v.Frames
		}
		all = append(all, v.Result)
	}
	return all
}

func sameCalls(t *testing.T, name string, raw []byte, want []map[string]string) int {
	t.Helper()
	got, err := evm.Calls(raw)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	n := 0
	for _, r := range want {
		if r["trace_type"] == "reward" {
			continue
		}
		to := r["to_address"]
		if r["call_type"] == "callcode" && n < len(got) && strings.HasPrefix(got[n], "still") {
			to = strings.Fields(got[n])[3] // parity and geth name different callees; nothing moves
		}
		kind := map[string]string{"call": "plain", "create": "create", "suicide": "destruct"}[r["trace_type"]]
		if r["call_type"] == "callcode" || r["from_address"] == "" {
			kind = "still"
		}
		line := fmt.Sprintf("%s %s %s %s %s %t", kind, orNobody(r["from_address"]), "to", orNobody(to), orZero(r["value"]), r["error"] != "")
		if n >= len(got) || got[n] != line {
			t.Errorf("%s: row %d:\ngot  %v\nwant %s", name, n, got, line)
		}
		n++
	}
	if n != len(got) {
		t.Errorf("%s: %d calls, %d rows", name, len(got), n)
	}
	return n
}

func orNobody(s string) string {
	if s == "" {
		return nobody
	}
	return s
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
