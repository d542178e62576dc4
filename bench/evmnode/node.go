// Package evmnode is a node of an invented Ethereum over real HTTP and WebSocket, to measure what reads from one.
package evmnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/spoor-dev/spoor/flow"
)

// A Node serves a branch of blocks over JSON-RPC. The blocks lie in a file, so that they take no memory from what is
// measured beside them. It is safe for several goroutines.
type Node struct {
	final    uint64 // how far below the head a block is final
	file     *os.File
	listener net.Listener
	server   *http.Server
	ended    chan struct{}

	mu       sync.Mutex // of what follows
	end      int64      // of the file
	blocks   map[flow.Hash]*placed
	branch   []flow.Hash // by height
	head     int         // the newest that was announced; -1 for none
	pushed   map[flow.Hash]time.Time
	answered map[flow.Hash]time.Time
	sockets  map[chan []byte]bool
}

// placed is where the answers about a block lie in the file.
type placed struct {
	height uint64
	parts  [4]span // header, whole, receipts, traces
}

type span struct {
	at int64
	n  int
}

// Start serves on a free port of the loopback, with a file in that folder. Blocks count as final that far below the head.
func Start(dir string, final uint64) (*Node, error) {
	file, err := os.Create(filepath.Join(dir, "blocks"))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	n := &Node{final: final, file: file, listener: listener, ended: make(chan struct{}), head: -1,
		blocks: map[flow.Hash]*placed{}, pushed: map[flow.Hash]time.Time{}, answered: map[flow.Hash]time.Time{}, sockets: map[chan []byte]bool{}}
	n.server = &http.Server{Handler: http.HandlerFunc(n.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(n.ended)
		n.server.Serve(listener) // ends with Close
	}()
	return n, nil
}

// URL is where it answers over HTTP.
func (n *Node) URL() string { return "http://" + n.listener.Addr().String() }

// WS is where it pushes.
func (n *Node) WS() string { return "ws://" + n.listener.Addr().String() }

// Close ends it.
func (n *Node) Close() error {
	err := n.server.Close()
	<-n.ended
	return errors.Join(err, n.file.Close())
}

// Hold puts a block in the place of those at its height and above, and tells nobody. It takes the answers out of b.
func (n *Node) Hold(b *Block) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &placed{height: b.Point.Height}
	for i, part := range [4][]byte{b.header, b.whole, b.receipts, b.traces} {
		if _, err := n.file.WriteAt(part, n.end); err != nil {
			return err
		}
		p.parts[i] = span{n.end, len(part)}
		n.end += int64(len(part))
	}
	if int(b.Point.Height) > len(n.branch) {
		return fmt.Errorf("block %d on %d blocks", b.Point.Height, len(n.branch))
	}
	n.branch = append(n.branch[:b.Point.Height], b.Point.Hash)
	n.head = min(n.head, len(n.branch)-1)
	n.blocks[b.Point.Hash] = p
	b.header, b.whole, b.receipts, b.traces = nil, nil, nil, nil
	return nil
}

// Push makes a height the head, and tells all who want to know. It returns when the block was pushed.
func (n *Node) Push(height uint64) (time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if int(height) >= len(n.branch) {
		return time.Time{}, fmt.Errorf("push block %d of %d", height, len(n.branch))
	}
	hash := n.branch[height]
	header, err := n.readLocked(hash, 0)
	if err != nil {
		return time.Time{}, err
	}
	n.head = int(height)
	now := time.Now()
	if len(n.pushed) >= mostTimes {
		clear(n.pushed)
		clear(n.answered)
	}
	n.pushed[hash] = now
	for s := range n.sockets {
		select {
		case s <- header:
		default: // it polls, too
		}
	}
	return now, nil
}

// mostTimes bounds the blocks whose times are known.
const mostTimes = 2000

// Times are when a block was pushed, and when the last part of it was answered.
func (n *Node) Times(of flow.Hash) (pushed, answered time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pushed[of], n.answered[of]
}

func (n *Node) readLocked(of flow.Hash, part int) ([]byte, error) {
	p := n.blocks[of]
	if p == nil {
		return []byte("null"), nil
	}
	b := make([]byte, p.parts[part].n)
	_, err := n.file.ReadAt(b, p.parts[part].at)
	return b, err
}

type question struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

// mostAsked bounds one request.
const mostAsked = 1 << 20

func (n *Node) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		n.subscribe(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, mostAsked))
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var list []question
	if json.Unmarshal(body, &list) == nil {
		out := []byte("[")
		for i, q := range list {
			if i > 0 {
				out = append(out, ',')
			}
			answer, _ := n.answer(q)
			out = append(out, answer...)
		}
		w.Write(append(out, ']'))
		return
	}
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		http.Error(w, "not a question", http.StatusBadRequest)
		return
	}
	out, of := n.answer(q)
	w.Write(out)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	if !of.IsZero() {
		n.mu.Lock()
		n.answered[of] = time.Now()
		n.mu.Unlock()
	}
}

// answer answers one question; of is the block whose part it asks for, if it does.
func (n *Node) answer(q question) (out []byte, of flow.Hash) {
	result, of, err := n.result(q)
	out = append([]byte(`{"jsonrpc":"2.0","id":`), q.ID...)
	if err != nil {
		return fmt.Appendf(out, `,"error":{"code":-32601,"message":%q}}`, err.Error()), of
	}
	return append(append(append(out, `,"result":`...), result...), '}'), of
}

func (n *Node) result(q question) (result []byte, of flow.Hash, err error) {
	param := func(i int) string {
		if i < len(q.Params) {
			return strings.Trim(string(q.Params[i]), `"`)
		}
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	part := 0
	switch q.Method {
	case "eth_chainId":
		return []byte(`"0x1"`), of, nil
	case "eth_blockNumber":
		return fmt.Appendf(nil, `"%#x"`, max(n.head, 0)), of, nil
	case "eth_getBlockByNumber":
		of, ok := n.atLocked(param(0))
		if !ok {
			return []byte("null"), flow.Hash{}, nil
		}
		result, err = n.readLocked(of, 0)
		return result, flow.Hash{}, err
	case "eth_getBlockByHash":
		if of, err = flow.ParseHash(param(0)); param(1) == "true" {
			part = 1
		}
	case "eth_getBlockReceipts":
		of, err = flow.ParseHash(param(0))
		part = 2
	case "trace_block":
		var ok bool
		if of, ok = n.atLocked(param(0)); !ok {
			return []byte("null"), flow.Hash{}, nil
		}
		part = 3
	default:
		return nil, of, fmt.Errorf("the method %s does not exist", q.Method)
	}
	if err != nil {
		return nil, of, err
	}
	result, err = n.readLocked(of, part)
	return result, of, err
}

// atLocked is the announced block of a height or a tag.
func (n *Node) atLocked(name string) (of flow.Hash, ok bool) {
	height := n.head
	switch name {
	case "latest":
	case "finalized", "safe":
		height -= int(n.final)
	default:
		h, err := strconv.ParseInt(strings.TrimPrefix(name, "0x"), 16, 32)
		if err != nil {
			return of, false
		}
		height = int(h)
	}
	if height < 0 || height > n.head {
		return of, false
	}
	return n.branch[height], true
}

// subscribe tells of new heads over a WebSocket until it is closed.
func (n *Node) subscribe(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	_, body, err := c.Read(r.Context())
	var q question
	if err != nil || json.Unmarshal(body, &q) != nil {
		return
	}
	ctx := c.CloseRead(r.Context())
	say := func(text []byte) error {
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return c.Write(limited, websocket.MessageText, text)
	}
	if q.Method != "eth_subscribe" || len(q.Params) == 0 || string(q.Params[0]) != `"newHeads"` {
		_ = say(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such subscription"}}`, q.ID)) // it is gone then
		return
	}
	heads := make(chan []byte, 64)
	n.mu.Lock()
	n.sockets[heads] = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.sockets, heads)
		n.mu.Unlock()
	}()
	if say(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":"0x1"}`, q.ID)) != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case head := <-heads:
			if say(fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1","result":%s}}`, head)) != nil {
				return
			}
		}
	}
}
