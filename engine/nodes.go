package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/decode"
	decbitcoin "github.com/spoor-dev/spoor/decode/bitcoin"
	decevm "github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/bitcoinrpc"
	"github.com/spoor-dev/spoor/source/evmrpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// Nodes are the live nodes of one chain, as one source. Every block is decoded, and its roots recomputed, before it is
// given.
type Nodes struct {
	Source  *follow.Source
	Decoder decode.Decoder
	Pending []Pending
	nodes   []liveNode
}

// Pending are the transactions that one node knows and no block holds.
type Pending interface {
	Name() string
	Pending(ctx context.Context, visit func(flow.Tx)) error
}

// A liveNode is a node that can be closed.
type liveNode interface {
	follow.Node
	Pending
	Close()
}

// OpenNodes prepares the nodes of a chain; nothing is asked of them yet. fc holds what the configuration does not: who is
// told, and how patient it is.
func OpenNodes(c config.Chain, fc follow.Config) (*Nodes, error) {
	n := &Nodes{}
	var all []follow.Node
	for i, nc := range c.Nodes {
		node, err := openNode(c, nc)
		if err != nil {
			n.Close()
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		n.nodes = append(n.nodes, node)
		all = append(all, node)
		if c.Pending {
			n.Pending = append(n.Pending, node)
		}
	}
	var plain decode.Decoder
	if c.Chain.IsEVM() {
		plain = decevm.New(c.Chain)
	} else {
		plain = decbitcoin.New(c.Chain)
	}
	decoder := newChecked(plain, proofs(c.Chain, c.Unproved))
	fc.Chain, fc.Check, fc.Poll, fc.Agree = c.Chain, decoder.check, time.Duration(c.Poll), c.Agree
	fc.Confirmations = int(min(c.Confirmations, math.MaxInt32))
	for _, nc := range c.Nodes {
		fc.Timeout = max(fc.Timeout, time.Duration(nc.Timeout))
	}
	if c.GiveUp != nil {
		fc.GiveUp = cmp.Or(time.Duration(*c.GiveUp), -1) // 0 waits for ever
	}
	if h, err := strconv.ParseUint(c.From, 10, 63); err == nil {
		fc.From = h
	} else {
		fc.FromHead = true
	}
	src, err := follow.New(all, fc)
	if err != nil {
		n.Close()
		return nil, err
	}
	n.Source, n.Decoder = src, decoder
	return n, nil
}

// Close ends the connections.
func (n *Nodes) Close() {
	for _, node := range n.nodes {
		node.Close()
	}
}

// Describe asks the first node for its chain, its head and one whole block, and says in a sentence what it gives and
// proves.
func (n *Nodes) Describe(ctx context.Context) (string, error) {
	node := n.nodes[0]
	chain, err := node.Chain(ctx)
	if err != nil {
		return "", err
	}
	if chain != n.Source.Chain() {
		return "", fmt.Errorf("%s serves %s and not %s", node.Name(), chain, n.Source.Chain())
	}
	head, err := node.Head(ctx)
	if err != nil {
		return "", err
	}
	raw, err := node.Block(ctx, head)
	if err != nil {
		return "", err
	}
	b, err := n.Decoder.Decode(raw.Point, raw.Parent, raw.Raw)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s serves %s, its head is block %d, which shows and proves %s", node.Name(), chain, head.Point.Height, strings.Join(b.Coverage.Names(), ", ")), nil
}

// openNode prepares one node.
func openNode(c config.Chain, n config.Node) (node liveNode, err error) {
	if n.URLFile != "" {
		if n.URL, err = readSecret(n.URLFile); err != nil {
			return nil, err
		}
	}
	if n.WSFile != "" {
		if n.WS, err = readSecret(n.WSFile); err != nil {
			return nil, err
		}
	}
	endpoint := rpc.Config{URL: n.URL, Socket: n.WS, User: n.User, Password: n.Password, CookieFile: n.CookieFile, BearerFile: n.BearerFile, HeaderFiles: n.HeaderFiles,
		Private: n.Private, Timeout: time.Duration(n.Timeout), MaxAnswer: int64(n.MaxAnswer)}
	if n.PasswordFile != "" {
		if endpoint.Password, err = readSecret(n.PasswordFile); err != nil {
			return nil, err
		}
	}
	if c.Chain.IsUTXO() {
		return bitcoinrpc.Open(bitcoinrpc.Config{Endpoint: endpoint, Chain: c.Chain})
	}
	e := evmrpc.Config{Endpoint: endpoint, Chain: c.Chain, MaxBlock: int64(n.MaxAnswer)}
	switch n.Traces {
	case "must":
		e.Traces = evmrpc.TracesDemanded
	case "never":
		e.Traces = evmrpc.TracesForbidden
	}
	if c.Finality == "safe" {
		e.Final = "safe"
	}
	evm, err := evmrpc.Open(e)
	if err != nil || c.Finality != "confirmations" {
		return evm, err
	}
	return unasked{evm}, nil
}

// unasked is a node whose word on what is final does not count.
type unasked struct{ liveNode }

// Final implements follow.Node.
func (unasked) Final(context.Context) (p flow.Point, ok bool, err error) { return p, false, nil }

// NodeChain asks a node, written evm-rpc:URL or bitcoin-rpc:URL, which chain it serves. The address is one that its user
// typed: it may be in a private network, and may hold a user and a password. Errors: ErrKind, and those of the node.
func NodeChain(ctx context.Context, spec string) (c config.Chain, err error) {
	kind, address, _ := strings.Cut(spec, ":")
	if !IsNodeKind(kind) {
		return c, fmt.Errorf("%.200q: %w", finding.Clean(kind, 40), ErrKind)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return c, fmt.Errorf("%s: what follows is no address such as http://127.0.0.1:8545", kind)
	}
	n := config.Node{Private: true, User: u.User.Username()}
	n.Password, _ = u.User.Password()
	u.User = nil
	if n.URL = u.String(); u.Scheme == "ws" || u.Scheme == "wss" {
		n.WS = n.URL
		u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
		n.URL = u.String()
	}
	chain := flow.Ethereum
	if kind == "bitcoin-rpc" {
		chain = flow.Bitcoin
	}
	node, err := openNode(config.Chain{Chain: chain}, n)
	if err != nil {
		return c, err
	}
	defer node.Close()
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	if chain, err = node.Chain(ctx); err != nil {
		return c, fmt.Errorf("ask node %s for its chain: %w", node.Name(), err)
	}
	return config.Chain{Chain: chain, Nodes: []config.Node{n}}, nil
}

// askFor is how long a node that was typed may take for its first answer.
const askFor = 20 * time.Second

// IsNodeKind reports whether a kind of input is a live node.
func IsNodeKind(kind string) bool { return kind == "evm-rpc" || kind == "bitcoin-rpc" }

// maxSecret bounds a file that holds a secret.
const maxSecret = 64 << 10

// readSecret reads the first line of a file. Errors name the file, never what is in it.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if line = strings.TrimSpace(line); line == "" || len(text) > maxSecret {
		return "", fmt.Errorf("%s: %w", path, errSecret)
	}
	return line, nil
}

var errSecret = errors.New("a secret is one line of text")
