package link_test

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/link"
	recorded "github.com/spoor-dev/spoor/source/evm"
)

// A poolCall is a call of swap(uint256,uint256,address,bytes), which is how Uniswap V2 is asked to pay, or of
// swap(address,bool,int256,uint160,bytes), to which Uniswap V3 answers what it took and paid.
type poolCall struct {
	pool       flow.Account
	out0, out1 flow.Amount
	answer     []byte // of V3
	index      uint32 // of the last call that it made
}

// poolCalls are the successful ones of a recorded block, by transaction.
func poolCalls(t *testing.T, path string) map[string][]poolCall {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var block struct {
		Traces []struct {
			Type   string `json:"type"`
			Error  string `json:"error"`
			Action struct {
				CallType string `json:"callType"`
				To       string `json:"to"`
				Input    string `json:"input"`
			} `json:"action"`
			Result struct {
				Output string `json:"output"`
			} `json:"result"`
			TraceAddress []uint32 `json:"trace_address"`
			Tx           string   `json:"transaction_hash"`
		} `json:"traces"`
	}
	if err := json.NewDecoder(z).Decode(&block); err != nil {
		t.Fatal(err)
	}
	paths := map[string][][]uint32{}
	for _, c := range block.Traces {
		paths[c.Tx] = append(paths[c.Tx], c.TraceAddress)
	}
	for _, all := range paths {
		slices.SortFunc(all, slices.Compare)
	}
	calls := map[string][]poolCall{}
	for _, c := range block.Traces {
		isV2, isV3 := strings.HasPrefix(c.Action.Input, "0x022c0d9f"), strings.HasPrefix(c.Action.Input, "0x128acb08")
		if c.Type != "call" || c.Action.CallType != "call" || c.Error != "" || !isV2 && !isV3 {
			continue
		}
		words, err := hex.DecodeString(c.Action.Input[10:])
		if err != nil || len(words) < 64 {
			continue
		}
		p := poolCall{}
		if isV3 {
			if p.answer, err = hex.DecodeString(strings.TrimPrefix(c.Result.Output, "0x")); err != nil || len(p.answer) != 64 {
				continue
			}
		}
		p.pool = must(flow.ParseAccountOn(flow.Ethereum, c.Action.To))
		p.out0, p.out1 = must(flow.AmountFromBytes(words[:32])), must(flow.AmountFromBytes(words[32:64]))
		for i, path := range paths[c.Tx] {
			if len(path) >= len(c.TraceAddress) && slices.Equal(path[:len(c.TraceAddress)], c.TraceAddress) {
				p.index = uint32(i)
			}
		}
		calls[c.Tx] = append(calls[c.Tx], p)
	}
	return calls
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// withEvents adds the events that the pools must have emitted: what they paid is in the call, what they took the last
// transfer to them before, of another token.
func withEvents(tx flow.Tx, calls []poolCall) flow.Tx {
	for _, c := range calls {
		if c.answer != nil {
			l := flow.Log{Index: c.index, Contract: c.pool, Topics: make([]flow.Hash, 3), Data: append(slices.Clone(c.answer), make([]byte, 96)...)}
			l.Topics[0] = must(flow.ParseHash("0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"))
			tx.Logs = append(tx.Logs, l)
			continue
		}
		paid := c.out0
		if paid.IsZero() {
			paid = c.out1
		}
		var asset flow.Asset
		for _, m := range tx.Movements {
			if len(m.In) == 1 && m.In[0].Account == c.pool && m.In[0].Amount == paid && m.Index <= c.index {
				asset = m.Asset
			}
		}
		var took flow.Amount
		for _, m := range tx.Movements {
			if m.Kind == flow.TokenMove && m.Asset != asset && len(m.Out) == 1 && m.Out[0].Account == c.pool && m.Index <= c.index {
				took = m.Out[0].Amount
			}
		}
		if asset.IsZero() || took.IsZero() || !c.out0.IsZero() && !c.out1.IsZero() {
			continue
		}
		words := []flow.Amount{took, {}, {}, paid}
		if c.out1.IsZero() {
			words = []flow.Amount{{}, took, paid, {}}
		}
		l := flow.Log{Index: c.index, Contract: c.pool, Topics: make([]flow.Hash, 3)}
		l.Topics[0] = must(flow.ParseHash("0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"))
		for _, w := range words {
			b := w.Bytes()
			l.Data = append(l.Data, b[:]...)
		}
		tx.Logs = append(tx.Logs, l)
	}
	return tx
}

// The recorded blocks have traces and no logs. Where their traces show that Uniswap V2, V3 or one of their like was asked to pay, the
// event that it must have emitted is put beside the real transfers. Nearly all are believed, and of the accounts that the net understands the
// events say the same; the pools of arbitrages paid together what the authors of the data state as profit.
func TestEventsOfRealSwaps(t *testing.T) {
	dir := measure.Path(t, "data/onchain/evm-mainnet-blocks/mev-inspect")
	paths, err := filepath.Glob(filepath.Join(dir, "[0-9]*.json.gz"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d blocks, %v", len(paths), err)
	}
	swaps, pools, payers, both, differ, doubted, silent := 0, 0, 0, 0, 0, 0, 0
	profits := map[string]string{}
	for _, path := range paths {
		calls := poolCalls(t, path)
		s, err := recorded.Open([]string{path}, recorded.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for step, err := range s.Steps(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			b, err := evm.New(flow.Ethereum).Decode(step.Block.Point, step.Block.Parent, step.Block.Raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, tx := range b.Txs {
				told := withEvents(tx, calls["0x"+tx.ID.String()])
				if len(told.Logs) == 0 {
					continue
				}
				swaps += len(told.Logs)
				net := map[flow.Account]link.Conversion{}
				for _, c := range link.Conversions(tx) {
					net[c.Account] = c
				}
				isPool := map[flow.Account]bool{}
				for _, l := range told.Logs {
					isPool[l.Contract] = true
				}
				all := link.Conversions(told)
				profits["0x"+tx.ID.String()] = profit(all, isPool)
				for i, c := range all {
					if i == 0 && strings.Contains(c.Doubt, "not believed") {
						doubted++
					}
					switch {
					case c.Confidence != link.ByLogs:
						silent++
						continue
					case isPool[c.Account]:
						pools++
						continue
					}
					payers++
					if _, ok := net[c.Account]; ok {
						both++
						if strings.Contains(c.Doubt, "the net of") {
							differ++
						}
					}
				}
			}
		}
	}
	t.Logf("%d swaps, %d pools and %d payers by events; of %d also by net %d differ; %d transactions with an event that is not believed; %d by net alone",
		swaps, pools, payers, both, differ, doubted, silent)
	if swaps < 400 || 100*pools < 95*swaps || 20*doubted > swaps || both < 300 || 20*differ > both {
		t.Error("too few are believed, or too many differ")
	}
	text, err := os.ReadFile(filepath.Join(dir, "expected_events.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts []struct {
		Kind   string
		Tx     string      `json:"transaction_hash"`
		Profit json.Number `json:"profit_amount"`
	}
	if err := json.Unmarshal(text, &facts); err != nil {
		t.Fatal(err)
	}
	stated := 0
	for _, f := range facts {
		if f.Kind == "arbitrage" {
			if stated++; profits[f.Tx] != f.Profit.String() {
				t.Errorf("arbitrage %s gained %q; want %s", f.Tx, profits[f.Tx], f.Profit)
			}
		}
	}
	if stated == 0 {
		t.Error("the data states no arbitrage")
	}
}

// profit is how much more ether pools paid than they took in their legs, wrapped or not; "" if not more.
func profit(all []link.Conversion, isPool map[flow.Account]bool) string {
	isEther := func(a flow.Asset) bool {
		return a == flow.Ethereum.Native() || a.Contract() == "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
	}
	var in, out flow.Sum
	for _, c := range all {
		for _, p := range c.Strands {
			switch {
			case !isPool[c.Account] || p.FromAsset == p.ToAsset:
			case isEther(p.FromAsset):
				out = out.Plus(p.FromAmount)
			case isEther(p.ToAsset):
				in = in.Plus(p.ToAmount)
			}
		}
	}
	if v, ok := out.Minus(in); ok && !v.IsZero() {
		return v.String()
	}
	return ""
}
