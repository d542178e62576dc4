// Package liar stands between a program and a node, passes on what they say, and lies when a test tells it to.
package liar

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Mode is a way to lie.
type Mode string

// The modes. Where an answer holds nothing that a mode could change, it passes as it is and is not counted as a lie.
const (
	Honest      Mode = "honest"
	DropLogs    Mode = "drop-logs"    // one log less in receipts and lists of logs; hashes and status stay
	DropReceipt Mode = "drop-receipt" // one receipt less
	ChangeValue Mode = "change-value" // one digit of a transaction's value, of a log's data, or of a raw block
	StaleHead   Mode = "stale-head"   // the newest block is for ever the one that was told last
	OtherBlock  Mode = "other-block"  // the block below the one that was asked for, in its place
	WrongChain  Mode = "wrong-chain"  // a chain that the node does not serve
	Refuse      Mode = "refuse"       // a JSON-RPC error to every question
	Garbage     Mode = "garbage"      // random bytes, the same ones for the same question
	HTML        Mode = "html"         // a page for people
	Truncate    Mode = "truncate"     // the first half of the answer, as if it were all
	Cut         Mode = "cut"          // the first half of the answer, then the connection ends
	Slow        Mode = "slow"         // the answer byte by byte, with a pause after each; see Liar.Pause
	Huge        Mode = "huge"         // an answer without end
	Bomb        Mode = "bomb"         // a million brackets, one inside the other
	Broken      Mode = "broken"       // HTTP 500
	Busy        Mode = "busy"         // HTTP 429, come back in one second
)

// Modes lists the modes.
func Modes() []Mode {
	return []Mode{Honest, DropLogs, DropReceipt, ChangeValue, StaleHead, OtherBlock, WrongChain, Refuse, Garbage, HTML, Truncate, Cut, Slow, Huge, Bomb,
		Broken, Busy}
}

const (
	maxBody   = 64 << 20 // bytes of a question or an answer that are passed on
	bombDepth = 1_000_000
)

// A Liar is a proxy for JSON-RPC over HTTP. It is safe for several goroutines.
type Liar struct {
	URL string // where it listens, for HTTP
	WS  string // and for WebSocket, which it passes on as it is

	target string
	client *http.Client

	mu      sync.Mutex
	mode    Mode                       // guarded by mu
	only    []string                   // guarded by mu; the methods that it lies about, all if empty
	lies    int                        // guarded by mu
	asked   map[string]int             // guarded by mu; by method
	heads   map[string]json.RawMessage // guarded by mu; what was told last of the newest block, by question
	pause   time.Duration              // guarded by mu
	sockets bool                       // guarded by mu
}

// New starts an honest proxy for the node at these addresses; ws may be empty. It ends with the test.
func New(tb testing.TB, target, ws string) *Liar {
	tb.Helper()
	l := &Liar{target: target, client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}, mode: Honest,
		asked: map[string]int{}, heads: map[string]json.RawMessage{}, pause: 10 * time.Millisecond, sockets: ws != ""}
	var pass http.Handler = http.NotFoundHandler()
	if ws != "" {
		u, err := url.Parse("http" + strings.TrimPrefix(ws, "ws"))
		if err != nil {
			tb.Fatal(err)
		}
		pass = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.URL.Path = u.Path }}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			l.serve(w, r)
			return
		}
		l.mu.Lock()
		open := l.sockets
		l.mu.Unlock()
		if !open {
			http.Error(w, "no sockets", http.StatusForbidden)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	l.URL, l.WS = server.URL, "ws"+strings.TrimPrefix(server.URL, "http")
	tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		l.client.CloseIdleConnections()
	})
	return l
}

// Set makes it lie in that way from now on, about these methods only, about all if none is named.
func (l *Liar) Set(m Mode, methods ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mode, l.only = m, slices.Clone(methods)
}

// Pause is how long it waits after each byte when it is Slow; 10 ms at first.
func (l *Liar) Pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause = d
}

// Sockets says whether it lets WebSockets through; it does at first.
func (l *Liar) Sockets(open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets = open
}

// Lies is how many questions it has answered with a lie.
func (l *Liar) Lies() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lies
}

// Asked is how many questions of a method have come.
func (l *Liar) Asked(method string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[method]
}

// A question is one call as it comes in.
type question struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// An answer is one call as it goes out.
type answer struct {
	Version string          `json:"jsonrpc,omitempty"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// serve passes one request on, and lies about it.
func (l *Liar) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return // who asked has gone
	}
	questions, _, ok := list[question](body)
	if !ok {
		http.Error(w, "not JSON-RPC", http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	mode, pause := l.mode, l.pause
	meant := 0 // questions that it is to lie about
	for _, q := range questions {
		l.asked[q.Method]++
		if len(l.only) == 0 || slices.Contains(l.only, q.Method) {
			meant++
		}
	}
	if meant == 0 {
		mode = Honest
	}
	switch mode { // those that are lies whatever the answer is
	case Refuse, Garbage, HTML, Truncate, Cut, Slow, Huge, Bomb, Broken, Busy:
		l.lies += meant
	}
	l.mu.Unlock()
	if crude(w, r, mode, body) {
		return
	}
	status, text, err := l.forward(r.Context(), r.Header, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	text = l.twist(r, mode, questions, text)
	w.Header().Set("Content-Type", "application/json")
	switch mode {
	case Truncate:
		text = text[:len(text)/2]
	case Cut:
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		w.WriteHeader(status)
		_, _ = w.Write(text[:len(text)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the server's way to end a connection
	case Slow:
		w.WriteHeader(status)
		drip(w, r, text, pause)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // who asked may have gone
}

// forward asks the node.
func (l *Liar) forward(ctx context.Context, from http.Header, body []byte) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if v := from.Get("Authorization"); v != "" {
		r.Header.Set("Authorization", v)
	}
	resp, err := l.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, text, err
}

// crude answers in the modes that do not ask the node.
func crude(w http.ResponseWriter, r *http.Request, mode Mode, body []byte) bool {
	switch mode {
	case Garbage:
		seed := [32]byte{}
		copy(seed[:], body)
		text := make([]byte, 4096)
		_, _ = rand.NewChaCha8(seed).Read(text) // never fails
		_, _ = w.Write(text)
	case HTML:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title><p>Please sign in to go on.")
	case Huge:
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"`)
		digits := bytes.Repeat([]byte("0"), 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(digits); err != nil {
				break
			}
		}
	case Bomb:
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":0,"result":`+strings.Repeat("[", bombDepth)+strings.Repeat("]", bombDepth)+"}")
	case Broken:
		http.Error(w, "internal server error", http.StatusInternalServerError)
	case Busy:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	default:
		return false
	}
	return true
}

// drip writes byte by byte until who asked has gone.
func drip(w http.ResponseWriter, r *http.Request, text []byte, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := range text {
		if _, err := w.Write(text[i : i+1]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// list reads one JSON object, or a list of them.
func list[T any](body []byte) (all []T, batch, ok bool) {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) > 0 && body[0] == '[' {
		err := json.Unmarshal(body, &all)
		return all, true, err == nil
	}
	var one T
	err := json.Unmarshal(body, &one)
	return []T{one}, false, err == nil
}
