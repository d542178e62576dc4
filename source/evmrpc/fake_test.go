package evmrpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/evmrpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// A fake is a node whose answers are written down: for each method (and its first parameter, if that has an entry of its
// own) a result, or an error that begins with "!".
type fake struct {
	mu      sync.Mutex
	answers map[string]string // guarded by mu
	asked   map[string]int    // guarded by mu
	push    func(ctx context.Context, question string, say func(string))
}

func (f *fake) set(method, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[method] = answer
}

func (f *fake) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[method]
}

type question struct {
	ID     int               `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

func (f *fake) answer(q question) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[q.Method]++
	a, ok := f.answers[q.Method]
	if len(q.Params) > 0 {
		if own, has := f.answers[q.Method+" "+strings.Trim(string(q.Params[0]), `"`)]; has {
			a, ok = own, true
		}
	}
	if !ok {
		a = `!{"code":-32601,"message":"method not found"}`
	}
	if e, failed := strings.CutPrefix(a, "!"); failed {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":%s}`, q.ID, e)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, q.ID, a)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		_, q, err := c.Read(r.Context())
		if err != nil {
			return
		}
		ctx := c.CloseRead(r.Context())
		f.push(ctx, string(q), func(s string) { _ = c.Write(ctx, websocket.MessageText, []byte(s)) })
		return
	}
	body, _ := io.ReadAll(r.Body)
	var list []question
	if json.Unmarshal(body, &list) == nil {
		var out []string
		for _, q := range list {
			out = append(out, f.answer(q))
		}
		io.WriteString(w, "["+strings.Join(out, ",")+"]")
		return
	}
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		panic(err)
	}
	a := f.answer(q)
	if strings.HasSuffix(a, `"result":hang}`) {
		<-r.Context().Done()
		return
	}
	io.WriteString(w, a)
}

func hash(n int) string { return fmt.Sprintf("0x%064x", n) }

func mustHash(n int) flow.Hash {
	h, err := flow.ParseHash(hash(n))
	if err != nil {
		panic(err)
	}
	return h
}

const head = 7

// two is the header of the block that the fake tells of at length.
var two = follow.Header{Point: flow.Point{Chain: flow.EVMChain(5), Height: 2, Hash: mustHash(2), Time: 200}, Parent: mustHash(1)}

// newFake is a node of chain 5 whose block n has the hash n. Block 2 has the transactions 0x21 and 0x22.
func newFake(t *testing.T, c evmrpc.Config) (*fake, *evmrpc.Node) {
	t.Helper()
	f := &fake{answers: map[string]string{}, asked: map[string]int{}}
	f.answers["eth_chainId"] = `"0x5"`
	f.answers["eth_blockNumber"] = fmt.Sprintf(`"0x%x"`, head)
	for n := range head + 1 {
		b := fmt.Sprintf(`{"number":"0x%x","hash":%q,"parentHash":%q,"timestamp":"0x%x","transactions":[]}`, n, hash(n), hash(max(n-1, 0)), 100*n)
		f.answers[fmt.Sprintf("eth_getBlockByNumber 0x%x", n)] = b
		f.answers["eth_getBlockByHash "+hash(n)] = b
	}
	f.answers["eth_getBlockByNumber"] = `null`
	f.answers["eth_getBlockByHash"] = `null`
	f.answers["eth_getBlockByNumber latest"] = f.answers[fmt.Sprintf("eth_getBlockByNumber 0x%x", head)]
	f.answers["eth_getBlockByNumber finalized"] = f.answers["eth_getBlockByNumber 0x3"]
	f.answers["eth_getBlockByHash "+hash(2)] = block(0x21, 0x22)
	f.answers["eth_getBlockReceipts"] = `[]`
	f.answers["eth_getBlockReceipts "+hash(2)] = "[" + receipt(0x21, 2) + "," + receipt(0x22, 2) + "]"
	f.answers["trace_block"] = `[]`
	f.answers["trace_block 0x2"] = flat(2, 0x21, 0x22)
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	socket := c.Endpoint.Socket != ""
	c.Endpoint.URL, c.Endpoint.Private = s.URL, true
	if socket {
		c.Endpoint.Socket = "ws" + strings.TrimPrefix(s.URL, "http")
	}
	return f, open(t, c)
}

func block(txs ...int) string {
	var list []string
	for _, id := range txs {
		list = append(list, fmt.Sprintf(`{"hash":%q,"blockHash":%q,"value":1.50E+3 }`, hash(id), hash(2)))
	}
	return fmt.Sprintf(`{"number":"0x2","hash":%q,"parentHash":%q,"timestamp":"0xc8","transactions":[%s]}`, hash(2), hash(1), strings.Join(list, ","))
}

func receipt(tx, block int) string {
	return fmt.Sprintf(`{"transactionHash":%q,"blockHash":%q}`, hash(tx), hash(block))
}

func flat(block int, txs ...int) string {
	var list []string
	for _, id := range txs {
		list = append(list, fmt.Sprintf(`{"type":"call","action":{},"traceAddress":[],"transactionHash":%q,"blockHash":%q}`, hash(id), hash(block)),
			fmt.Sprintf(`{"type":"call","action":{},"traceAddress":[0],"transactionHash":%q,"blockHash":%q}`, hash(id), hash(block)))
	}
	list = append(list, fmt.Sprintf(`{"type":"reward","action":{},"traceAddress":[],"transactionHash":null,"blockHash":%q}`, hash(block)))
	return "[" + strings.Join(list, ",") + "]"
}

func frames(txs ...int) string {
	var list []string
	for _, id := range txs {
		list = append(list, fmt.Sprintf(`{"txHash":%q,"result":{"type":"CALL"}}`, hash(id)))
	}
	return "[" + strings.Join(list, ",") + "]"
}

const noMethod = `!{"code":-32601,"message":"the method does not exist/is not available"}`

// TestWaysToABlock tells of the nodes there are, and what becomes of their answers.
func TestWaysToABlock(t *testing.T) {
	byFlat := flat(2, 0x21, 0x22)
	for _, c := range []struct {
		name             string
		config           evmrpc.Config
		answers          map[string]string
		receipts, traces string // how it was asked
		raw              string // traces in the envelope, "" for none
		missing          int    // sentences, without the one on pushing
		is               error
	}{
		{name: "erigon", receipts: "eth_getBlockReceipts", traces: "trace_block", raw: byFlat},
		{name: "geth", answers: map[string]string{"trace_block 0x2": noMethod, "debug_traceBlockByHash": frames(0x21, 0x22)}, receipts: "eth_getBlockReceipts", traces: "debug_traceBlockByHash", raw: frames(0x21, 0x22)},
		{name: "geth-of-old", answers: map[string]string{"trace_block 0x2": noMethod, "debug_traceBlockByHash": `[{"result":{}},{"result":{}}]`}, receipts: "eth_getBlockReceipts", traces: "debug_traceBlockByHash", raw: `[{"result":{}},{"result":{}}]`},
		{name: "plain", answers: map[string]string{"trace_block 0x2": noMethod}, receipts: "eth_getBlockReceipts", traces: "none", missing: 1},
		{name: "plain-demanded", config: evmrpc.Config{Traces: evmrpc.TracesDemanded}, answers: map[string]string{"trace_block 0x2": noMethod}, is: evmrpc.ErrTraces},
		{name: "forbidden", config: evmrpc.Config{Traces: evmrpc.TracesForbidden}, receipts: "eth_getBlockReceipts", traces: "none", missing: 1},
		{name: "state-gone", answers: map[string]string{"trace_block 0x2": noMethod, "debug_traceBlockByHash": `!{"code":-32000,"message":"required historical state unavailable (reexec=128)"}`}, receipts: "eth_getBlockReceipts", missing: 1},
		{name: "state-gone-demanded", config: evmrpc.Config{Traces: evmrpc.TracesDemanded}, answers: map[string]string{"trace_block 0x2": `!{"code":-32000,"message":"missing trie node ab"}`}, is: evmrpc.ErrTraces},
		{name: "tracing-fails", answers: map[string]string{"trace_block 0x2": `!{"code":-32000,"message":"execution timeout"}`}, is: errAny},
		{name: "tracing-busy", answers: map[string]string{"trace_block 0x2": `!{"code":-32005,"message":"rate limit"}`}, is: rpc.ErrBusy},
		{name: "receipts-one-by-one", answers: map[string]string{"eth_getBlockReceipts " + hash(2): noMethod,
			"eth_getTransactionReceipt " + hash(0x21): receipt(0x21, 2), "eth_getTransactionReceipt " + hash(0x22): receipt(0x22, 2)}, receipts: "eth_getTransactionReceipt", traces: "trace_block", raw: byFlat, missing: 1},
		{name: "receipts-not-by-hash", answers: map[string]string{"eth_getBlockReceipts " + hash(2): `!{"code":-32602,"message":"invalid argument 0"}`,
			"eth_getTransactionReceipt " + hash(0x21): receipt(0x21, 2), "eth_getTransactionReceipt " + hash(0x22): receipt(0x22, 2)}, receipts: "eth_getTransactionReceipt", traces: "trace_block", raw: byFlat, missing: 1},
		{name: "one-receipt-absent", answers: map[string]string{"eth_getBlockReceipts " + hash(2): noMethod,
			"eth_getTransactionReceipt " + hash(0x21): receipt(0x21, 2), "eth_getTransactionReceipt": `null`}, is: follow.ErrNotFound},
		{name: "one-receipt-fails", answers: map[string]string{"eth_getBlockReceipts " + hash(2): noMethod, "eth_getTransactionReceipt": `!{"code":-32000,"message":"no"}`}, is: errAny},

		{name: "no-block", answers: map[string]string{"eth_getBlockByHash " + hash(2): `null`}, is: follow.ErrNotFound},
		{name: "no-receipts-yet", answers: map[string]string{"eth_getBlockReceipts " + hash(2): `null`}, is: follow.ErrNotFound},
		{name: "no-traces-yet", answers: map[string]string{"trace_block 0x2": `null`}, is: follow.ErrNotFound},
		{name: "another-block", answers: map[string]string{"eth_getBlockByHash " + hash(2): strings.ReplaceAll(block(), hash(2), hash(9))}, is: evmrpc.ErrParts},
		{name: "another-height", answers: map[string]string{"eth_getBlockByHash " + hash(2): strings.ReplaceAll(block(), `"0x2"`, `"0x3"`)}, is: evmrpc.ErrParts},
		{name: "another-parent", answers: map[string]string{"eth_getBlockByHash " + hash(2): strings.ReplaceAll(block(), hash(1), hash(9))}, is: evmrpc.ErrParts},
		{name: "transaction-of-another-block", answers: map[string]string{"eth_getBlockByHash " + hash(2): strings.ReplaceAll(block(0x21, 0x22), `"blockHash":"`+hash(2), `"blockHash":"`+hash(9))}, is: evmrpc.ErrParts},
		{name: "no-list", answers: map[string]string{"eth_getBlockByHash " + hash(2): strings.ReplaceAll(block(), `transactions`, `txs`)}, is: evmrpc.ErrParts},
		{name: "hashes-alone", answers: map[string]string{"eth_getBlockByHash " + hash(2): strings.ReplaceAll(block(), `[]`, `["`+hash(0x21)+`"]`)}, is: rpc.ErrAnswer},
		{name: "no-time", answers: map[string]string{"eth_getBlockByHash " + hash(2): strings.ReplaceAll(block(), `timestamp`, `t`)}, is: rpc.ErrAnswer},
		{name: "no-object", answers: map[string]string{"eth_getBlockByHash " + hash(2): `"block"`}, is: rpc.ErrAnswer},
		{name: "too-few-receipts", answers: map[string]string{"eth_getBlockReceipts " + hash(2): "[" + receipt(0x21, 2) + "]"}, is: evmrpc.ErrParts},
		{name: "too-many-receipts", answers: map[string]string{"eth_getBlockReceipts " + hash(2): "[" + receipt(0x21, 2) + "," + receipt(0x22, 2) + "," + receipt(0x23, 2) + "]"}, is: evmrpc.ErrParts},
		{name: "receipt-twice", answers: map[string]string{"eth_getBlockReceipts " + hash(2): "[" + receipt(0x21, 2) + "," + receipt(0x21, 2) + "]"}, is: evmrpc.ErrParts},
		{name: "receipt-of-another-block", answers: map[string]string{"eth_getBlockReceipts " + hash(2): "[" + receipt(0x21, 2) + "," + receipt(0x22, 3) + "]"}, is: evmrpc.ErrParts},
		{name: "receipt-of-nothing", answers: map[string]string{"eth_getBlockReceipts " + hash(2): `[{},{}]`}, is: evmrpc.ErrParts},
		{name: "receipts-no-list", answers: map[string]string{"eth_getBlockReceipts " + hash(2): `{}`}, is: rpc.ErrAnswer},
		{name: "traces-of-another-block", answers: map[string]string{"trace_block 0x2": flat(3, 0x21, 0x22)}, is: evmrpc.ErrParts},
		{name: "too-few-traces", answers: map[string]string{"trace_block 0x2": flat(2, 0x21)}, is: evmrpc.ErrParts},
		{name: "no-traces-at-all", answers: map[string]string{"trace_block 0x2": `[]`}, is: evmrpc.ErrParts},
		{name: "trace-twice", answers: map[string]string{"trace_block 0x2": flat(2, 0x21, 0x22, 0x22)}, is: evmrpc.ErrParts},
		{name: "frame-of-another", answers: map[string]string{"trace_block 0x2": noMethod, "debug_traceBlockByHash": frames(0x21, 0x23)}, is: evmrpc.ErrParts},
		{name: "frame-failed", answers: map[string]string{"trace_block 0x2": noMethod, "debug_traceBlockByHash": `[{"txHash":"` + hash(0x21) + `","error":"execution timeout"},{"result":{}}]`}, is: evmrpc.ErrParts},
		{name: "too-large", config: evmrpc.Config{MaxBlock: 700}, is: rpc.ErrTooLarge},
		{name: "part-too-large", config: evmrpc.Config{MaxBlock: 300}, is: rpc.ErrTooLarge},
		{name: "another-chain", config: evmrpc.Config{Chain: flow.Ethereum}, is: errAny},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, n := newFake(t, c.config)
			for method, a := range c.answers {
				f.set(method, a)
			}
			b, err := n.Block(t.Context(), two)
			if c.is != nil {
				if err == nil || c.is != errAny && !errors.Is(err, c.is) {
					t.Errorf("error %v; want %v\n%s", err, c.is, b.Raw)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			traces := ""
			if c.raw != "" {
				traces = `,"traces":` + c.raw
			}
			want := `{"chainId":"5","block":` + block(0x21, 0x22) + `,"receipts":[` + receipt(0x21, 2) + "," + receipt(0x22, 2) + "]" + traces + "}"
			if string(b.Raw) != want || b.Point != two.Point || b.Parent != two.Parent {
				t.Errorf("%+v\n%s\nwant\n%s", b.Point, b.Raw, want)
			}
			m := n.Modes()
			if m.Receipts != c.receipts || m.Traces != c.traces || len(m.Missing) != c.missing+1 {
				t.Errorf("modes %+v; want %s, %s, %d sentences", m, c.receipts, c.traces, c.missing+1)
			}
			if _, err := n.Block(t.Context(), two); err != nil {
				t.Errorf("the second time: %v", err)
			}
			if c.traces == "none" && f.count("trace_block") > 1 || c.receipts == "eth_getTransactionReceipt" && f.count("eth_getBlockReceipts") > 1 {
				t.Errorf("what the node does not offer is asked for again: %v", f.asked)
			}
		})
	}
}

// errAny stands for an error of no kind of its own.
var errAny = errors.New("any")

// TestBehindOneName tells of an address behind which different nodes answer.
func TestBehindOneName(t *testing.T) {
	f, n := newFake(t, evmrpc.Config{})
	read := func() (source.Block, error) { return n.Block(t.Context(), two) }
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	f.set("eth_getBlockReceipts "+hash(2), noMethod)
	f.set("eth_getTransactionReceipt "+hash(0x21), receipt(0x21, 2))
	f.set("eth_getTransactionReceipt "+hash(0x22), receipt(0x22, 2))
	f.set("trace_block 0x2", noMethod)
	if b, err := read(); !errors.Is(err, rpc.ErrMethod) {
		t.Errorf("what was offered is not any more, and that is no error: %s, %v", b.Raw, err)
	}
	f.set("trace_block 0x2", flat(2, 0x21, 0x22))
	if b, err := read(); err != nil || n.Modes().Traces != "trace_block" || n.Modes().Receipts != "eth_getBlockReceipts" {
		t.Errorf("%s, %v, %+v", b.Raw, err, n.Modes())
	}
}

// TestSlowPartEndsWithItsCaller: nothing stays behind of a block whose node does not answer.
func TestSlowPartEndsWithItsCaller(t *testing.T) {
	for _, method := range []string{"eth_getBlockByHash " + hash(2), "eth_getBlockReceipts " + hash(2), "trace_block 0x2"} {
		f, n := newFake(t, evmrpc.Config{})
		f.set(method, "hang")
		if _, err := n.Chain(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.Close()
		before := runtime.NumGoroutine()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := n.Block(ctx, two)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", method, err)
		}
		n.Close()
		for try := 0; runtime.NumGoroutine() > before; try++ { // the connections' own end a moment later
			if try == 5000 {
				buf := make([]byte, 1<<16)
				t.Fatalf("%s: %d goroutines; before %d\n%s", method, runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// TestNothingToTrace: geth says of genesis by an error that there is nothing to trace.
func TestNothingToTrace(t *testing.T) {
	f, n := newFake(t, evmrpc.Config{Traces: evmrpc.TracesDemanded})
	f.set("trace_block", noMethod)
	f.set("debug_traceBlockByHash", `!{"code":-32000,"message":"genesis is not traceable"}`)
	if _, err := n.Block(t.Context(), follow.Header{Point: flow.Point{Chain: flow.EVMChain(5), Height: 1, Hash: mustHash(1)}}); err != nil {
		t.Error(err)
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name    string
		from    uint64
		n       int
		answers map[string]string
		want    int // how many
		is      error
	}{
		{name: "some", from: 2, n: 3, want: 3},
		{name: "up-to-the-end", from: 5, n: 10, want: 3},
		{name: "above", from: head + 1, n: 10, is: follow.ErrNotFound},
		{name: "none", from: 5, n: 0, want: 0},
		{name: "above-the-head-of-a-node-that-fell-back", from: 2, n: 10, answers: map[string]string{"eth_blockNumber": `"0x4"`}, want: 3},
		{name: "all-above-it", from: 5, n: 10, answers: map[string]string{"eth_blockNumber": `"0x4"`}, is: follow.ErrNotFound},
		{name: "another-height", from: 2, n: 3, answers: map[string]string{"eth_getBlockByNumber 0x3": block()}, is: rpc.ErrAnswer},
		{name: "no-hash", from: 2, n: 3, answers: map[string]string{"eth_getBlockByNumber 0x3": `{"number":"0x3"}`}, is: rpc.ErrAnswer},
		{name: "number-too-large", from: 2, n: 3, answers: map[string]string{"eth_getBlockByNumber 0x3": `{"number":"0x10000000000000000"}`}, is: rpc.ErrAnswer},
		{name: "one-busy", from: 2, n: 3, answers: map[string]string{"eth_getBlockByNumber 0x3": `!{"code":-32005,"message":"rate limit"}`}, is: rpc.ErrBusy},
		{name: "head-fails", from: 2, n: 3, answers: map[string]string{"eth_blockNumber": `!{"code":-32000,"message":"no"}`}, is: errAny},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, n := newFake(t, evmrpc.Config{})
			for method, a := range c.answers {
				f.set(method, a)
			}
			got, err := n.Headers(t.Context(), c.from, c.n)
			if c.is != nil {
				if err == nil || c.is != errAny && !errors.Is(err, c.is) || len(got) != 0 {
					t.Errorf("%d headers, %v; want %v", len(got), err, c.is)
				}
				return
			}
			if err != nil || len(got) != c.want {
				t.Fatalf("%d headers, %v; want %d", len(got), err, c.want)
			}
			for i, h := range got {
				at := int(c.from) + i
				want := follow.Header{Point: flow.Point{Chain: flow.EVMChain(5), Height: uint64(at), Hash: mustHash(at), Time: int64(100 * at)}, Parent: mustHash(at - 1)}
				if h != want {
					t.Errorf("header %d: %+v; want %+v", at, h, want)
				}
			}
		})
	}
}

func TestFinal(t *testing.T) {
	for _, c := range []struct {
		name, tag, answer string
		ok                bool
		is                error
	}{
		{name: "said", ok: true},
		{name: "safe", tag: "safe", answer: block(), ok: true},
		{name: "null", answer: `null`},
		{name: "geth-dev", answer: `!{"code":-39001,"message":"finalized block not found"}`},
		{name: "unknown-tag", answer: `!{"code":-32602,"message":"invalid argument 0: hex string without 0x prefix"}`},
		{name: "busy", answer: `!{"code":-32005,"message":"rate limit"}`, is: rpc.ErrBusy},
		{name: "damaged", answer: `{}`, is: rpc.ErrAnswer},
	} {
		f, n := newFake(t, evmrpc.Config{Final: c.tag})
		if c.answer != "" {
			tag := c.tag
			if tag == "" {
				tag = "finalized"
			}
			f.set("eth_getBlockByNumber "+tag, c.answer)
		}
		p, ok, err := n.Final(t.Context())
		if ok != c.ok || !errors.Is(err, c.is) || c.is == nil && err != nil || ok && p.Hash.IsZero() {
			t.Errorf("%s: %v, %v, %v; want %v, %v", c.name, p, ok, err, c.ok, c.is)
		}
	}
}

func TestWatchWithoutPush(t *testing.T) {
	_, n := newFake(t, evmrpc.Config{})
	if err := n.Watch(t.Context(), func() {}); !errors.Is(err, follow.ErrNoPush) {
		t.Errorf("no socket: %v", err)
	}
	f, n := newFake(t, evmrpc.Config{Endpoint: rpc.Config{Socket: "yes"}})
	f.push = func(_ context.Context, _ string, say func(string)) {
		say(`{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no \"newHeads\" subscription"}}`)
	}
	if err := n.Watch(t.Context(), func() {}); !errors.Is(err, follow.ErrNoPush) {
		t.Errorf("refused: %v", err)
	}
	f.push = func(context.Context, string, func(string)) {}
	if err := n.Watch(t.Context(), func() {}); err == nil || errors.Is(err, follow.ErrNoPush) {
		t.Errorf("lost: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := rpc.Config{URL: "http://node.example:8545/key"}
	for name, c := range map[string]evmrpc.Config{
		"no-address": {}, "chain": {Endpoint: good, Chain: flow.Bitcoin}, "tag": {Endpoint: good, Final: "latest"}, "traces": {Endpoint: good, Traces: 9},
	} {
		if _, err := evmrpc.Open(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	n := open(t, evmrpc.Config{Endpoint: good})
	if n.Name() != "node.example:8545" {
		t.Errorf("name %q", n.Name())
	}
}
