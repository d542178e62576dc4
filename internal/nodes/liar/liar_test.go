package liar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/internal/nodes"
)

// node is a node with one answer to each question.
func node(t *testing.T, answers map[string]string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		questions, batch, ok := list[question](body)
		if !ok {
			t.Errorf("not a question: %s", body)
		}
		var out []string
		for _, q := range questions {
			a, ok := answers[q.Method+string(q.Params)]
			if !ok {
				a = answers[q.Method]
			}
			out = append(out, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, q.ID, a))
		}
		text := strings.Join(out, ",")
		if batch {
			text = "[" + text + "]"
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

// ask posts a question and returns the status and as much of the answer as came.
func ask(t *testing.T, ctx context.Context, url, body string) (int, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return resp.StatusCode, string(text), err
}

func TestLies(t *testing.T) {
	s := node(t, map[string]string{
		"eth_chainId":                          `"0x1"`,
		"eth_getBlockReceipts":                 `[{"logs":[]},{"logs":[{"data":"0x01"},{"data":"0x02"}],"logsBloom":"0x0"}]`,
		"eth_getTransactionReceipt":            `{"logs":[{"data":"0x01"}]}`,
		"eth_getLogs":                          `[{"data":"0x"},{"data":"0x05"}]`,
		`eth_getBlockByNumber["0x5",true]`:     `{"number":"0x5","parentHash":"0xabc","transactions":["0x11",{"value":"0x7b"}],"big":123456789012345678901}`,
		`eth_getBlockByHash["0xabc",true]`:     `{"number":"0x4","parentHash":"0xabb"}`,
		"eth_getBlockReceipts[\"0x4\"]":        `["the receipts of 4"]`,
		"getblockhash[0]":                      `"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"`,
		"getblockhash[6]":                      `"h6"`,
		"getblockhash[7]":                      `"h7"`,
		`getblockheader["h7",true]`:            `{"previousblockhash":"h6"}`,
		`getblock["h7",0]`:                     `"00112233445566778899aabbccddeeff"`,
		`getblock["h6",0]`:                     `"the block below"`,
		"getblockchaininfo":                    `{"chain":"regtest","blocks":3}`,
		"getrawmempool":                        `[]`,
		"eth_getTransactionByHash":             `{"value":"0x1"}`,
		`eth_getBlockByNumber["latest",false]`: `{"number":"0x9"}`,
	})
	for _, tt := range []struct {
		mode          Mode
		method, param string
		want          string // the result; empty where it is not touched
	}{
		{DropLogs, "eth_getBlockReceipts", `["0x5"]`, `[{"logs":[]},{"logs":[{"data":"0x01"}],"logsBloom":"0x0"}]`},
		{DropLogs, "eth_getTransactionReceipt", `["0x5"]`, `{"logs":[]}`},
		{DropLogs, "eth_getLogs", `[{}]`, `[{"data":"0x"}]`},
		{DropLogs, "eth_chainId", `[]`, ""},
		{DropReceipt, "eth_getBlockReceipts", `["0x5"]`, `[{"logs":[]}]`},
		{DropReceipt, "eth_getTransactionReceipt", `["0x5"]`, `null`},
		{ChangeValue, "eth_getBlockByNumber", `["0x5",true]`, `{"big":123456789012345678901,"number":"0x5","parentHash":"0xabc","transactions":["0x11",{"value":"0x71"}]}`},
		{ChangeValue, "eth_getTransactionByHash", `["0x5"]`, `{"value":"0x2"}`},
		{ChangeValue, "eth_getLogs", `[{}]`, `[{"data":"0x"},{"data":"0x01"}]`},
		{ChangeValue, "eth_getBlockReceipts", `["0x5"]`, `[{"logs":[]},{"logs":[{"data":"0x02"},{"data":"0x02"}],"logsBloom":"0x0"}]`},
		{ChangeValue, "getblock", `["h7",0]`, `"00112233445516778899aabbccddeeff"`},
		{ChangeValue, "getrawmempool", `[]`, ""},
		{OtherBlock, "eth_getBlockByNumber", `["0x5",true]`, `{"number":"0x5","parentHash":"0xabb"}`},
		{OtherBlock, "eth_getBlockReceipts", `["0x5"]`, `["the receipts of 4"]`},
		{OtherBlock, "getblockhash", `[7]`, `"h6"`},
		{OtherBlock, "getblockhash", `[0]`, ""},
		{OtherBlock, "getblock", `["h7",0]`, `"the block below"`},
		{WrongChain, "eth_chainId", `[]`, `"0x539fe"`},
		{WrongChain, "getblockhash", `[0]`, `"000000005a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"`},
		{WrongChain, "getblockhash", `[7]`, ""},
		{WrongChain, "getblockchaininfo", `[]`, `{"blocks":3,"chain":"other"}`},
	} {
		l := New(t, s.URL, "")
		q := fmt.Sprintf(`{"id":1,"method":%q,"params":%s}`, tt.method, tt.param)
		_, truth, err := ask(t, t.Context(), l.URL, q)
		if err != nil || l.Lies() != 0 {
			t.Fatalf("%s %s: honest: %s, %v, %d lies", tt.method, tt.param, truth, err, l.Lies())
		}
		l.Set(tt.mode)
		status, text, err := ask(t, t.Context(), l.URL, q)
		if err != nil || status != http.StatusOK {
			t.Fatalf("%s %s %s: status %d, %v", tt.mode, tt.method, tt.param, status, err)
		}
		var a answer
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatal(err)
		}
		switch {
		case tt.want == "" && (text != truth || l.Lies() != 0):
			t.Errorf("%s %s %s: %s, %d lies; want the truth", tt.mode, tt.method, tt.param, text, l.Lies())
		case tt.want != "" && (string(a.Result) != tt.want || l.Lies() != 1):
			t.Errorf("%s %s %s: %s, %d lies; want %s", tt.mode, tt.method, tt.param, a.Result, l.Lies(), tt.want)
		}
		if n := l.Asked(tt.method); n != 2 {
			t.Errorf("%s %s: asked %d times; want 2", tt.mode, tt.method, n)
		}
		l.Set(tt.mode, "another_method")
		if _, text, err = ask(t, t.Context(), l.URL, q); err != nil || text != truth {
			t.Errorf("%s %s: %s, %v; want the truth, for it is to lie about another method", tt.mode, tt.method, text, err)
		}
	}
}

func TestBatch(t *testing.T) {
	s := node(t, map[string]string{"eth_chainId": `"0x1"`, "eth_getLogs": `[{"data":"0x05"}]`})
	l := New(t, s.URL, "")
	l.Set(DropLogs)
	const q = `[{"id":1,"method":"eth_chainId"},{"id":"b","method":"eth_getLogs","params":[{}]}]`
	const want = `[{"jsonrpc":"2.0","id":1,"result":"0x1"},{"jsonrpc":"2.0","id":"b","result":[]}]`
	if _, text, err := ask(t, t.Context(), l.URL, q); err != nil || text != want || l.Lies() != 1 {
		t.Errorf("%s, %v, %d lies; want %s", text, err, l.Lies(), want)
	}
	l.Set(Refuse, "eth_chainId")
	_, text, err := ask(t, t.Context(), l.URL, q)
	if err != nil || !strings.Contains(text, `"id":1,"error":{`) || !strings.Contains(text, `"data":"0x05"`) || l.Lies() != 2 {
		t.Errorf("%s, %v, %d lies", text, err, l.Lies())
	}
}

func TestStaleHead(t *testing.T) {
	var height atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":1,"result":%d}`, height.Add(1))
	}))
	defer s.Close()
	l := New(t, s.URL, "")
	head := func() string {
		t.Helper()
		_, text, err := ask(t, t.Context(), l.URL, `{"id":1,"method":"getblockcount","params":[]}`)
		if err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatal(err)
		}
		return string(a.Result)
	}
	got := []string{head(), head()}
	l.Set(StaleHead)
	got = append(got, head(), head())
	l.Set(Honest)
	got = append(got, head())
	if s := strings.Join(got, " "); s != "1 2 2 2 5" || l.Lies() != 2 {
		t.Errorf("heads %s, %d lies; want 1 2 2 2 5, 2 lies", s, l.Lies())
	}
}

func TestCrude(t *testing.T) {
	s := node(t, map[string]string{"getblock": `"` + strings.Repeat("ab", 500) + `"`})
	l := New(t, s.URL, "")
	const q = `{"id":1,"method":"getblock","params":["h",0]}`
	_, truth, err := ask(t, t.Context(), l.URL, q)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		mode   Mode
		status int
		right  func(text string, err error) bool
	}{
		{Refuse, 200, func(text string, err error) bool { return err == nil && strings.Contains(text, `"error":{"code"`) }},
		{Garbage, 200, func(text string, err error) bool { return err == nil && len(text) == 4096 }},
		{HTML, 200, func(text string, err error) bool { return err == nil && strings.HasPrefix(text, "<!doctype html>") }},
		{Truncate, 200, func(text string, err error) bool { return err == nil && text == truth[:len(truth)/2] }},
		{Cut, 200, func(text string, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && text == truth[:len(truth)/2]
		}},
		{Huge, 200, func(text string, err error) bool { return err == nil && len(text) == 8<<20 }},
		{Bomb, 200, func(text string, err error) bool { return err == nil && strings.Count(text, "[") == bombDepth }},
		{Broken, 500, func(text string, err error) bool { return err == nil && text != "" }},
		{Busy, 429, func(text string, err error) bool { return err == nil && text != "" }},
	} {
		before := l.Lies()
		l.Set(tt.mode)
		status, text, err := ask(t, t.Context(), l.URL, q)
		if status != tt.status || !tt.right(text, err) || l.Lies() != before+1 {
			t.Errorf("%s: status %d, %.100q (%d bytes), %v, %d lies", tt.mode, status, text, len(text), err, l.Lies()-before)
		}
		l.Set(tt.mode, "another_method")
		if _, text, err := ask(t, t.Context(), l.URL, q); err != nil || text != truth {
			t.Errorf("%s: %.100q, %v; want the truth, for it is to lie about another method", tt.mode, text, err)
		}
	}
	l.Set(Slow)
	l.Pause(50 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
	defer cancel()
	if _, text, err := ask(t, ctx, l.URL, q); !errors.Is(err, context.DeadlineExceeded) || len(text) == 0 || len(text) > 4 {
		t.Errorf("slow: %q, %v; want a few bytes and the end of patience", text, err)
	}
}

func TestSockets(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" || r.Header.Get("Upgrade") == "" {
			t.Errorf("asked for %s, upgrade %q", r.URL.Path, r.Header.Get("Upgrade"))
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		_ = buf.Flush()
	}))
	defer s.Close()
	l := New(t, s.URL, "ws"+strings.TrimPrefix(s.URL, "http")+"/ws")
	dial := func() (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if status, text := dial(); status != http.StatusSwitchingProtocols || text != "hello" {
		t.Errorf("open: %d %q", status, text)
	}
	l.Sockets(false)
	if status, _ := dial(); status != http.StatusForbidden {
		t.Errorf("closed: %d", status)
	}
}

// Against a real node: what is dropped was there.
func TestAnvil(t *testing.T) {
	e := nodes.Anvil(t)
	contract := e.Deploy(e.Accounts[0], nodes.Crier())
	e.SendData(e.Accounts[0], contract, 0, make([]byte, 128))
	l := New(t, e.URL, e.WS)
	const q = `{"jsonrpc":"2.0","id":7,"method":"eth_getBlockReceipts","params":["latest"]}`
	_, truth, err := ask(t, t.Context(), l.URL, q)
	if err != nil {
		t.Fatal(err)
	}
	l.Set(DropLogs)
	_, told, err := ask(t, t.Context(), l.URL, q)
	if err != nil || strings.Count(truth, `"logIndex"`) != 1 || strings.Count(told, `"logIndex"`) != 0 || l.Lies() != 1 {
		t.Errorf("true %s\ntold %s\n%v, %d lies", truth, told, err, l.Lies())
	}
}

func FuzzTwist(f *testing.F) {
	f.Add("getblock", `["h",0]`, `{"id":1,"result":"00112233445566778899aabbccddeeff"}`)
	f.Add("eth_getBlockReceipts", `["0x5"]`, `[{"id":1,"result":[{"logs":[{"data":"0x01"}]}]}]`)
	f.Add("eth_getBlockByNumber", `["latest",true]`, `{"id":1,"result":{"transactions":[{"value":"0x"},{"value":null}]}}`)
	f.Fuzz(func(t *testing.T, method, params, text string) {
		l := &Liar{target: "http://127.0.0.1:0", client: http.DefaultClient, asked: map[string]int{}, heads: map[string]json.RawMessage{}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		q := []question{{ID: json.RawMessage("1"), Method: method, Params: json.RawMessage(params)}}
		for _, m := range Modes() {
			l.twist(r, m, q, []byte(text))
		}
		if got := l.twist(r, Honest, q, []byte(text)); string(got) != text {
			t.Fatalf("honest: %q; want %q", got, text)
		}
	})
}
