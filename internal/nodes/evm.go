package nodes

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An EVM is a running anvil or geth with a chain of its own. Its methods end the test where the node refuses, and are
// for one goroutine, but for Call.
type EVM struct {
	*node
	URL string // JSON-RPC over HTTP
	WS  string // the same over WebSocket
	// Accounts are those that the node signs for, rich from the start; of geth there is one.
	Accounts []string
	isGeth   bool

	withdrawals uint64 // how many there were; each has its number
}

// A Payment is value that moves from one of the accounts.
type Payment struct {
	From, To string
	Wei      uint64
}

// Anvil starts anvil on a free port. It mines a block for each transaction. What it holds is written to its folder every
// second and read again by Restart. args are further flags.
func Anvil(tb testing.TB, args ...string) *EVM {
	tb.Helper()
	n := launch(tb, "anvil", "eth_chainId", 1, func(dir string, ports []string) []string {
		return append([]string{"--host", "127.0.0.1", "--port", ports[0], "--state", filepath.Join(dir, "state.json"), "--state-interval", "1"}, args...)
	}, "", "")
	e := &EVM{node: n, URL: n.url, WS: "ws" + strings.TrimPrefix(n.url, "http")}
	e.must("eth_accounts", nil, &e.Accounts)
	return e
}

// Geth starts geth's development chain on free ports. It mines a block for each transaction. args are further flags.
func Geth(tb testing.TB, args ...string) *EVM {
	tb.Helper()
	var ws string
	n := launch(tb, "geth", "eth_chainId", 3, func(dir string, ports []string) []string {
		const apis = "eth,net,web3,debug,txpool,dev,admin"
		ws = ports[1]
		return append([]string{"--dev", "--dev.period", "0", "--syncmode", "full", "--datadir", filepath.Join(dir, "data"), "--nodiscover", "--maxpeers", "0", "--port", "0",
			"--ipcdisable", "--txpool.nolocals", "--http", "--http.port", ports[0], "--http.api", apis, "--ws", "--ws.port", ports[1], "--ws.api", apis,
			"--authrpc.port", ports[2]}, args...)
	}, "", "")
	e := &EVM{node: n, URL: n.url, WS: "ws://127.0.0.1:" + ws, isGeth: true}
	e.must("eth_accounts", nil, &e.Accounts)
	return e
}

// Restart starts the node again on the same data and ports. After Stop it has all blocks that it had; after Kill anvil has
// those of a second before, and geth begins with none.
func (e *EVM) Restart() {
	e.tb.Helper()
	if err := e.start("eth_chainId"); err != nil {
		e.tb.Fatalf("start again: %v", err)
	}
}

// Height is the number of the newest block.
func (e *EVM) Height() uint64 {
	e.tb.Helper()
	var digits string
	e.must("eth_blockNumber", nil, &digits)
	h, err := strconv.ParseUint(strings.TrimPrefix(digits, "0x"), 16, 64)
	if err != nil {
		e.tb.Fatal(err)
	}
	return h
}

// Mine puts n blocks on top. Those of geth hold a withdrawal of 1 gwei each, and it may put an empty one between.
func (e *EVM) Mine(n int) {
	e.tb.Helper()
	if !e.isGeth {
		e.must("anvil_mine", []any{quantity(uint64(n))}, nil)
		return
	}
	for range n {
		before := e.Height()
		e.withdraw()
		e.wait("a block with a withdrawal", func() bool { return e.Height() > before })
	}
}

// Send pays from one of the Accounts and returns the transaction's hash once it is in a block, with 0x.
func (e *EVM) Send(from, to string, wei uint64) string {
	e.tb.Helper()
	return e.transact(map[string]any{"from": from, "to": to, "value": quantity(wei)})
}

// SendData calls a contract from one of the Accounts and returns the transaction's hash once it is in a block.
func (e *EVM) SendData(from, to string, wei uint64, data []byte) string {
	e.tb.Helper()
	return e.transact(map[string]any{"from": from, "to": to, "value": quantity(wei), "input": fmt.Sprintf("0x%x", data), "gas": "0x200000"})
}

// Deploy puts a contract on the chain that has this code, and returns its address.
func (e *EVM) Deploy(from string, code []byte) string {
	e.tb.Helper()
	size := len(code)
	// PUSH2 size, DUP1, PUSH1 offset, PUSH0, CODECOPY, PUSH0, RETURN: copy what follows to memory and return it.
	creator := []byte{0x61, byte(size >> 8), byte(size), 0x80, 0x60, 10, 0x5f, 0x39, 0x5f, 0xf3}
	id := e.transact(map[string]any{"from": from, "input": fmt.Sprintf("0x%x", append(creator, code...)), "gas": "0x200000"})
	var receipt struct{ ContractAddress string }
	e.must("eth_getTransactionReceipt", []any{id}, &receipt)
	return receipt.ContractAddress
}

// Crier is the code of a contract that emits, for every call, one log: its three topics are the first three words of the
// call's data, and its data the rest. With the topic of Transfer it looks like a token.
func Crier() []byte {
	return []byte{
		0x60, 0x60, 0x36, 0x03, // PUSH1 96, CALLDATASIZE, SUB: the bytes behind the topics
		0x60, 0x60, 0x5f, 0x37, // PUSH1 96, PUSH0, CALLDATACOPY: to memory
		0x60, 0x40, 0x35, 0x60, 0x20, 0x35, 0x5f, 0x35, // the third, second and first word
		0x60, 0x60, 0x36, 0x03, 0x5f, // how many bytes of memory, from 0 on
		0xa3, 0x00, // LOG3, STOP
	}
}

// Reorg replaces the newest blocks, depth of them, by as many others and at least one more. The payments are among the
// new ones; the transactions of the old ones are gone.
func (e *EVM) Reorg(depth int, payments ...Payment) {
	e.tb.Helper()
	top := e.Height()
	if !e.isGeth {
		txs := []any{}
		for _, p := range payments {
			txs = append(txs, []any{map[string]any{"from": p.From, "to": p.To, "value": quantity(p.Wei)}, 0})
		}
		e.must("anvil_reorg", []any{depth, txs}, nil)
		e.Mine(1)
		return
	}
	e.must("debug_setHead", []any{quantity(top - uint64(depth))}, nil)
	e.Mine(1) // now its pool of transactions knows, too
	for _, p := range payments {
		e.Send(p.From, p.To, p.Wei)
	}
	for e.Height() <= top {
		e.Mine(1)
	}
}

// transact sends a transaction and waits until it is in a block.
func (e *EVM) transact(tx map[string]any) string {
	e.tb.Helper()
	var nonce, id string
	e.must("eth_getTransactionCount", []any{tx["from"], "latest"}, &nonce) // geth's own count is wrong after a fork
	tx["nonce"] = nonce
	e.must("eth_sendTransaction", []any{tx}, &id)
	e.wait("a block with transaction "+id, func() bool {
		var receipt *struct{ BlockNumber string }
		err := e.Call(context.Background(), "eth_getTransactionReceipt", []any{id}, &receipt)
		if err != nil && !strings.Contains(err.Error(), "indexing is in progress") { // as geth says right after its start
			e.tb.Fatal(err)
		}
		return receipt != nil
	})
	return id
}

// wait asks again and again until what a node was told has happened.
func (e *EVM) wait(what string, done func() bool) {
	e.tb.Helper()
	begun := time.Now()
	for nudged := begun; !done(); time.Sleep(2 * time.Millisecond) {
		switch now := time.Now(); {
		case now.Sub(begun) > patience:
			e.tb.Fatalf("not in %s: %s", patience, what)
		case e.isGeth && now.Sub(nudged) > time.Second: // it can miss what it is told right after its start
			nudged = now
			e.withdraw()
		}
	}
}

// withdraw makes geth put a block on top.
func (e *EVM) withdraw() {
	e.tb.Helper()
	e.withdrawals++
	e.must("dev_addWithdrawal", []any{map[string]any{"index": quantity(e.withdrawals), "validatorIndex": "0x1", "amount": "0x1",
		"address": "0x00000000000000000000000000000000000000ee"}}, nil)
}

func quantity(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }
