package evmrpc_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/nodes"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/evmrpc"
	"github.com/spoor-dev/spoor/source/follow"
)

func open(t testing.TB, c evmrpc.Config) *evmrpc.Node {
	t.Helper()
	n, err := evmrpc.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// anvil and geth start a node. The test's folder is made first, so that it is removed last, when the node has ended.
func anvil(t testing.TB, args ...string) *nodes.EVM {
	t.Helper()
	t.TempDir()
	return nodes.Anvil(t, args...)
}

func geth(t testing.TB, args ...string) *nodes.EVM {
	t.Helper()
	t.TempDir()
	return nodes.Geth(t, args...)
}

func endpoint(e *nodes.EVM) rpc.Config { return rpc.Config{URL: e.URL, Socket: e.WS, Private: true} }

// proved are what a block of a live node must show after it was decoded.
const proved = flow.SawLogs | flow.SawFees | flow.ProvedHash | flow.ProvedTxs | flow.ProvedReceipts | flow.ProvedBloom

// chainOf reads every block that the node has and decodes it.
func chainOf(t *testing.T, n *evmrpc.Node, want flow.Coverage) []flow.Block {
	t.Helper()
	ctx := t.Context()
	c, err := n.Chain(ctx)
	if err != nil {
		t.Fatal(err)
	}
	head, err := n.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	headers, err := n.Headers(ctx, 0, int(head.Point.Height)+5)
	if err != nil {
		t.Fatal(err)
	}
	if at := int(head.Point.Height); len(headers) <= at || headers[at] != head { // geth goes on by itself after a restart
		t.Fatalf("%d headers, the last %v; want up to %v", len(headers), headers[len(headers)-1].Point, head.Point)
	}
	d := evm.New(c)
	var blocks []flow.Block
	for i, h := range headers {
		if i > 0 && h.Parent != headers[i-1].Point.Hash {
			t.Fatalf("header %d is not linked", i)
		}
		raw, err := n.Block(ctx, h)
		if err != nil {
			t.Fatal(err)
		}
		if raw.Point != h.Point || raw.Parent != h.Parent {
			t.Fatalf("block %+v; want that of %+v", raw.Point, h)
		}
		b, err := d.Decode(raw.Point, raw.Parent, raw.Raw)
		if err != nil {
			t.Fatalf("%v\n%.2000s", err, raw.Raw)
		}
		if !b.Coverage.Has(want) {
			t.Errorf("block %d: coverage %v; want %v; notes %+v", i, b.Coverage.Names(), want.Names(), b.Notes)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// forwarder is a contract that sends on all coin that it gets to the address in the call's data.
func forwarder() []byte {
	return []byte{
		0x5f, 0x5f, 0x5f, 0x5f, // no data in, none out
		0x34,       // CALLVALUE
		0x5f, 0x35, // the first word of the data
		0x5a, 0xf1, // GAS, CALL
		0x00,
	}
}

func word(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(digits, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, 32-len(b)), b...)
}

const (
	transferTopic = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef" // Transfer(address,address,uint256)
	thief         = "0x00000000000000000000000000000000000007f1"
	shop          = "0x0000000000000000000000000000000000005409"
)

// theft makes a small story on a node: coin, a token, and coin that a contract sends on.
func theft(t *testing.T, e *nodes.EVM) {
	t.Helper()
	me := e.Accounts[0]
	e.Send(me, thief, 1000)
	token := e.Deploy(me, nodes.Crier())
	var data []byte
	for _, w := range []string{transferTopic, me, thief, "0x2a"} {
		if len(w)%2 == 1 {
			w = "0" + w
		}
		data = append(data, word(t, w)...)
	}
	e.SendData(me, token, 0, data)
	e.SendData(me, e.Deploy(me, forwarder()), 777, word(t, shop))
}

// told is every movement of a block except fees and rewards, in words.
func told(blocks []flow.Block) string {
	var b strings.Builder
	for _, block := range blocks {
		for _, tx := range block.Txs {
			for _, m := range tx.Movements {
				if m.Kind == flow.Fee || m.Kind == flow.Reward || len(m.In)+len(m.Out) != 2 {
					continue
				}
				b.WriteString(m.Kind.String() + " " + m.Out[0].Account.Address() + " " + m.Out[0].Amount.String() + "\n")
			}
		}
	}
	return b.String()
}

func checkTheft(t *testing.T, blocks []flow.Block, internal bool) {
	t.Helper()
	got := told(blocks)
	for want, must := range map[string]bool{
		"transfer 0x00000000000000000000000000000000000007F1 1000\n": true,
		"token 0x00000000000000000000000000000000000007F1 42\n":      true,
		"internal 0x0000000000000000000000000000000000005409 777\n":  internal,
	} {
		if strings.Contains(strings.ToLower(got), strings.ToLower(want)) != must {
			t.Errorf("movement %q: want %v; all:\n%s", want, must, got)
		}
	}
}

// watching collects what a node pushes until the test is over.
func watching(t *testing.T, n *evmrpc.Node) (woken <-chan struct{}, end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	wake := make(chan struct{}, 1000)
	var wait sync.WaitGroup
	var err error
	wait.Go(func() { err = n.Watch(ctx, func() { wake <- struct{}{} }) })
	return wake, func() error {
		cancel()
		wait.Wait()
		return err
	}
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was pushed for 30 s")
	}
}

// TestRealNodes follows one story on both: a theft is read and proved, blocks are pushed, the chain changes its mind, and
// the node dies and comes back.
func TestRealNodes(t *testing.T) {
	t.Run("anvil", func(t *testing.T) {
		e := anvil(t)
		n := open(t, evmrpc.Config{Endpoint: endpoint(e)})
		aTheft(t, e, n)
		if m := n.Modes(); m.Traces != "trace_block" || m.Receipts != "eth_getBlockReceipts" {
			t.Errorf("modes %+v", m)
		}
		aReorganisation(t, e, n)
	})
	t.Run("geth", func(t *testing.T) {
		e := geth(t)
		n := open(t, evmrpc.Config{Endpoint: endpoint(e), Traces: evmrpc.TracesDemanded})
		aTheft(t, e, n)
		if m := n.Modes(); m.Traces != "debug_traceBlockByHash" || m.Receipts != "eth_getBlockReceipts" {
			t.Errorf("modes %+v", m)
		}
		aReorganisation(t, e, n)
		aDeath(t, e, n)
	})
}

func aTheft(t *testing.T, e *nodes.EVM, n *evmrpc.Node) {
	theft(t, e)
	e.Mine(1)
	checkTheft(t, chainOf(t, n, proved|flow.SawTraces), true)
	if _, ok, err := n.Final(t.Context()); err != nil || ok != (n.Modes().Final == "finalized") {
		t.Errorf("final: %v, %v; modes %+v", ok, err, n.Modes())
	}
	blind := open(t, evmrpc.Config{Endpoint: endpoint(e), Traces: evmrpc.TracesForbidden})
	checkTheft(t, chainOf(t, blind, proved), false)
	if m := blind.Modes(); m.Traces != "none" || len(m.Missing) == 0 {
		t.Errorf("modes %+v do not say that traces are missing", m)
	}
}

func aReorganisation(t *testing.T, e *nodes.EVM, n *evmrpc.Node) {
	woken, end := watching(t, n)
	await(t, woken) // the subscription stands
	e.Mine(1)
	await(t, woken)
	e.Mine(3)
	old, err := n.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.Reorg(2, nodes.Payment{From: e.Accounts[0], To: thief, Wei: 5})
	blocks := chainOf(t, n, proved|flow.SawTraces)
	if at := blocks[old.Point.Height]; at.Point.Hash == old.Point.Hash {
		t.Error("the branch is the old one")
	}
	if !strings.Contains(told(blocks), " 5\n") {
		t.Errorf("the payment of the new branch is not there:\n%s", told(blocks))
	}
	b, err := n.Block(t.Context(), old) // a node may still have it, or not
	if err == nil && b.Point != old.Point || err != nil && !errors.Is(err, follow.ErrNotFound) && !errors.Is(err, evmrpc.ErrParts) {
		t.Errorf("the block of the old branch: %v, %v", b.Point, err)
	}
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("watch ended with %v", err)
	}
}

func aDeath(t *testing.T, e *nodes.EVM, n *evmrpc.Node) {
	genesis := chainOf(t, n, proved)[0]
	woken, end := watching(t, n)
	await(t, woken)
	e.Kill()
	if _, err := n.Head(t.Context()); err == nil || errors.Is(err, follow.ErrNotFound) {
		t.Errorf("head of a dead node: %v", err)
	}
	if err := end(); err == nil {
		t.Error("watch of a dead node ended without an error")
	}
	e.Restart()
	if after := chainOf(t, n, flow.ProvedHash); after[0].Point != genesis.Point {
		t.Error("after the restart it is another chain")
	}
}

func TestPendingOfRealNodes(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(testing.TB, ...string) *nodes.EVM
		flags []string
	}{
		{"anvil", anvil, []string{"--no-mining"}},
		{"geth", geth, []string{"--dev.period", "100"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := c.start(t, c.flags...)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			type reader struct {
				*evmrpc.Node
				by  string
				txs chan flow.Tx
				err error
			}
			var wait sync.WaitGroup
			var readers []*reader
			for _, by := range []string{"eth_subscribe", "eth_getFilterChanges"} {
				cfg := evmrpc.Config{Endpoint: endpoint(e), Poll: 5 * time.Millisecond}
				if by != "eth_subscribe" {
					cfg.Endpoint.Socket = ""
				}
				r := &reader{Node: open(t, cfg), by: by, txs: make(chan flow.Tx, 100)}
				readers = append(readers, r)
				wait.Go(func() { r.err = r.Pending(ctx, func(tx flow.Tx) { r.txs <- tx }) })
				for r.Pool().By == "" && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			}
			data := append([]byte{0xa9, 0x05, 0x9c, 0xbb}, append(word(t, shop), binary.BigEndian.AppendUint64(make([]byte, 24), 99)...)...) // transfer(address,uint256)
			var id string
			if err := e.Call(ctx, "eth_sendTransaction", []any{map[string]any{"from": e.Accounts[0], "to": thief, "value": "0x7",
				"input": "0x" + hex.EncodeToString(data), "gas": "0x200000"}}, &id); err != nil {
				t.Fatal(err)
			}
			for _, r := range readers {
				select {
				case tx := <-r.txs:
					got := told([]flow.Block{{Txs: []flow.Tx{tx}}})
					want := "transfer 0x00000000000000000000000000000000000007F1 7\ntoken 0x0000000000000000000000000000000000005409 99\n"
					if !strings.EqualFold(got, want) || "0x"+tx.ID.String() != id || !tx.Point.Hash.IsZero() || tx.Point.Chain.IsZero() {
						t.Errorf("%s: %+v of %s:\n%swant\n%s", r.by, tx.Point, tx.ID, got, want)
					}
				case <-ctx.Done():
					t.Errorf("%s: nothing pending; %+v", r.by, r.Pool())
				}
			}
			cancel()
			wait.Wait()
			for _, r := range readers {
				if p := r.Pool(); p.By != r.by || p.Visited != 1 || p.Refused != 0 || !errors.Is(r.err, context.Canceled) {
					t.Errorf("%s: pool %+v; ended with %v", r.by, p, r.err)
				}
			}
		})
	}
}

// TestFromHeadToWholeBlock measures how long a block of 300 transactions takes from the push of its header.
func TestFromHeadToWholeBlock(t *testing.T) {
	const txs = 300
	e := anvil(t, "--no-mining", "--gas-limit", "100000000")
	n := open(t, evmrpc.Config{Endpoint: endpoint(e)})
	token := nodes.Crier()
	var creation string
	if err := e.Call(t.Context(), "eth_sendTransaction", []any{map[string]any{"from": e.Accounts[0], "gas": "0x200000",
		"input": "0x61" + hex.EncodeToString([]byte{byte(len(token) >> 8), byte(len(token)), 0x80, 0x60, 10, 0x5f, 0x39, 0x5f, 0xf3}) + hex.EncodeToString(token)}}, &creation); err != nil {
		t.Fatal(err)
	}
	e.Mine(1)
	var receipt struct{ ContractAddress string }
	if err := e.Call(t.Context(), "eth_getTransactionReceipt", []any{creation}, &receipt); err != nil {
		t.Fatal(err)
	}
	var data []byte
	for _, w := range []string{transferTopic, e.Accounts[0], thief, "2a"} {
		data = append(data, word(t, w)...)
	}
	for i := range txs {
		tx := map[string]any{"from": e.Accounts[i%len(e.Accounts)], "to": thief, "value": "0x1", "gas": "0x10000"}
		if i%2 == 0 {
			tx["to"], tx["value"], tx["input"] = receipt.ContractAddress, "0x0", "0x"+hex.EncodeToString(data)
		}
		if err := e.Call(t.Context(), "eth_sendTransaction", []any{tx}, nil); err != nil {
			t.Fatal(err)
		}
	}
	heads := make(chan time.Time, 10)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { _ = n.Watch(ctx, func() { heads <- time.Now() }) })
	<-heads
	e.Mine(1)
	pushed := <-heads
	h, err := n.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	raw, err := n.Block(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	got := time.Now()
	b, err := evm.New(h.Point.Chain).Decode(raw.Point, raw.Parent, raw.Raw)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	wait.Wait()
	if len(b.Txs) < txs || !b.Coverage.Has(proved|flow.SawTraces) {
		t.Errorf("%d transactions, coverage %v", len(b.Txs), b.Coverage.Names())
	}
	t.Logf("%d transactions, %d bytes: push to header %v, to whole raw block %v, decoded after %v", len(b.Txs), len(raw.Raw),
		asked.Sub(pushed), got.Sub(pushed), time.Since(pushed))
}
