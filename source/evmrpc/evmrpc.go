// Package evmrpc reads a chain from a live Ethereum-like node over JSON-RPC.
package evmrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
)

var (
	// ErrTraces is returned by Block where traces are demanded and the node does not give them.
	ErrTraces = errors.New("the node gives no traces")
	// ErrParts is returned by Block where what the node says of one block does not fit together: parts of another block, or
	// a part of the part missing.
	ErrParts = errors.New("the parts of the block do not fit together")
)

// A Traces says whether traces of calls are asked for. Without them coin that contracts move is not seen.
type Traces uint8

// What to do about traces.
const (
	TracesIfOffered Traces = iota // ask for them where the node offers them
	TracesDemanded                // a block without its traces is an error
	TracesForbidden               // never ask: they are the dearest of all answers
)

// Config is a node and how it is asked. Its Endpoint must be set; all else works as zero.
type Config struct {
	Endpoint rpc.Config // where the node is; with a Socket it pushes
	Chain    flow.Chain // which chain the node must serve; any EVM chain if zero
	Traces   Traces
	Final    string        // the block tag that people trust here: "finalized" if empty, or "safe"
	MaxBlock int64         // bytes of one whole raw block; 256 MiB if 0
	Queue    int           // pending transactions that wait to be visited; 4,096 if 0
	Poll     time.Duration // how often a node that does not push is asked what is pending; 1 s if 0
}

// Bounds of the small answers, in bytes.
const (
	mostHead   = 4 << 20  // one block with the hashes of its transactions
	mostSmall  = 64 << 10 // a number
	mostPooled = 64 << 20 // a node's whole pool
)

// A Node is one endpoint. It implements follow.Node, is safe for several goroutines and has none of its own.
type Node struct {
	cfg Config
	rpc *rpc.Client

	mu       sync.Mutex
	chain    flow.Chain // zero before it was asked; guarded by mu
	receipts way        // guarded by mu
	traces   way        // guarded by mu
	final    way        // guarded by mu

	bare atomic.Int64 // blocks that went without traces though the node offers them
	pool poolCounts
}

// A way is how a node is asked for something.
type way uint8

const (
	unknown  way = iota // not tried yet
	inBlock             // for a whole block: eth_getBlockReceipts, trace_block
	byTracer            // debug_traceBlockByHash
	oneByOne            // eth_getTransactionReceipt
	offered
	absent
)

// Open makes a node. Nothing is asked of it yet. Errors are about the configuration.
func Open(c Config) (*Node, error) {
	if !c.Chain.IsZero() && !c.Chain.IsEVM() {
		return nil, fmt.Errorf("a node of %s: not an EVM chain", c.Chain)
	}
	switch c.Final {
	case "":
		c.Final = "finalized"
	case "finalized", "safe":
	default:
		return nil, fmt.Errorf("final blocks by the tag %.20q: want finalized or safe", c.Final)
	}
	if c.Traces > TracesForbidden {
		return nil, fmt.Errorf("traces: no choice %d", c.Traces)
	}
	if c.MaxBlock <= 0 {
		c.MaxBlock = 256 << 20
	}
	if c.Queue <= 0 {
		c.Queue = 4096
	}
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	client, err := rpc.New(c.Endpoint)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: c, rpc: client}
	if c.Traces == TracesForbidden {
		n.traces = absent
	}
	return n, nil
}

// Close ends the idle connections.
func (n *Node) Close() { n.rpc.Close() }

// Name implements follow.Node.
func (n *Node) Name() string { return n.rpc.Name() }

// Modes are how the node is asked, as far as that is found out, in words for people: method names, and what is missing
// because of them.
type Modes struct {
	Receipts string   // the method; empty before the first block
	Traces   string   // the method; empty before the first block, "none" where there are none
	Push     bool     // a socket is configured
	Final    string   // the tag; empty before it was asked for, "none" where the node does not say
	Bare     int64    // blocks that went without traces because the node no longer holds their state
	Missing  []string // sentences: what is not seen, or slow
}

// Modes are how the node is asked now.
func (n *Node) Modes() Modes {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := Modes{Push: n.cfg.Endpoint.Socket != "", Bare: n.bare.Load()}
	miss := func(format string, args ...any) { m.Missing = append(m.Missing, fmt.Sprintf(format, args...)) }
	switch n.receipts {
	case inBlock:
		m.Receipts = "eth_getBlockReceipts"
	case oneByOne:
		m.Receipts = "eth_getTransactionReceipt"
		miss("receipts are asked for one by one: slow")
	}
	switch n.traces {
	case inBlock:
		m.Traces = "trace_block"
	case byTracer:
		m.Traces = "debug_traceBlockByHash"
	case absent:
		m.Traces = "none"
		miss("no traces: internal moves of coin are not seen")
	}
	if m.Bare > 0 {
		miss("no traces of %d blocks: the node no longer holds their state", m.Bare)
	}
	switch n.final {
	case offered:
		m.Final = n.cfg.Final
	case absent:
		m.Final = "none"
		miss("the node does not say which blocks are final")
	}
	if !m.Push {
		miss("no socket: the node is polled")
	}
	return m
}

// Chain implements follow.Node. Where Config.Chain says another than the node, it returns the node's: the caller
// compares.
func (n *Node) Chain(ctx context.Context) (flow.Chain, error) {
	var id quantity
	if err := n.rpc.CallMost(ctx, mostSmall, "eth_chainId", nil, &id); err != nil {
		return flow.Chain{}, err
	}
	c := flow.EVMChain(uint64(id))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.chain = c
	return c, nil
}

// served is the chain that the node serves, asked once; it must be the configured one.
func (n *Node) served(ctx context.Context) (flow.Chain, error) {
	n.mu.Lock()
	c := n.chain
	n.mu.Unlock()
	if c.IsZero() {
		var err error
		if c, err = n.Chain(ctx); err != nil {
			return c, err
		}
	}
	if want := n.cfg.Chain; !want.IsZero() && c != want {
		return c, fmt.Errorf("%s: it serves %s, not %s", n.Name(), c, want)
	}
	return c, nil
}

// settle remembers how the node is asked for something.
func (n *Node) settle(what *way, w way) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*what = w
}

func (n *Node) wayOf(what *way) way {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *what
}

// notOffered reports whether an error says that the node does not know the method, or does not let us use it.
func notOffered(err error) bool {
	var s *rpc.Status
	if errors.As(err, &s) {
		return s.Code == 403 || s.Code == 404 || s.Code == 405 || s.Code == 501
	}
	return errors.Is(err, rpc.ErrMethod)
}

// A quantity is a number of at most 64 bits, in hexadecimal digits after 0x, or in decimal ones.
type quantity uint64

// UnmarshalJSON reads a number.
func (q *quantity) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	base := 10
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		text, base = digits, 16
	}
	n, err := strconv.ParseUint(text, base, 64)
	if err != nil {
		return fmt.Errorf("%.40q is no number of 64 bits", b)
	}
	*q = quantity(n)
	return nil
}

func hexOf(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
