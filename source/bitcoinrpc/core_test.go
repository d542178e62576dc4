package bitcoinrpc_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/spoor-dev/spoor/source/bitcoinrpc"
)

// A core is a node that answers as Bitcoin Core does, in one of the dialects of its versions.
type core struct {
	*httptest.Server

	mu      sync.Mutex
	blocks  []*wire.MsgBlock      // guarded by mu; by height
	pool    []*wire.MsgTx         // guarded by mu
	forged  map[string]string     // guarded by mu; answers for transactions, by hash
	asked   map[string]int        // guarded by mu
	changed chan struct{}         // guarded by mu; closed when there is a block
	methods map[string]*coreError // guarded by mu; errors instead of answers

	pruned  int  // blocks below are thrown away
	flags   bool // the form of a block is a flag and no number
	objects bool // headers come as objects whatever was asked for
	oneTip  bool // waitfornewblock takes one parameter
	hasty   bool // waitfornewblock does not wait
	cookie  string
}

// A coreError is what it answers instead of a result.
type coreError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// startCore starts one with the genesis block of regtest.
func startCore(t testing.TB) *core {
	c := &core{blocks: []*wire.MsgBlock{chaincfg.RegressionNetParams.GenesisBlock}, asked: map[string]int{}, changed: make(chan struct{}),
		methods: map[string]*coreError{}, forged: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(func() {
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

// mine puts n blocks on top. mark makes them differ from those of another branch.
func (c *core) mine(t testing.TB, n int, mark string, txs ...*wire.MsgTx) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		top := c.blocks[len(c.blocks)-1]
		script, err := txscript.NewScriptBuilder().AddInt64(int64(len(c.blocks))).AddData([]byte(mark)).Script()
		if err != nil {
			t.Fatal(err)
		}
		coinbase := wire.NewMsgTx(2)
		coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, wire.MaxPrevOutIndex), script, nil))
		coinbase.AddTxOut(wire.NewTxOut(50_0000_0000, []byte{txscript.OP_TRUE}))
		b := &wire.MsgBlock{Header: wire.BlockHeader{Version: 4, PrevBlock: top.BlockHash(), Bits: 0x207fffff, Timestamp: top.Header.Timestamp.Add(time.Minute)},
			Transactions: append([]*wire.MsgTx{coinbase}, txs...)}
		leaves := []chainhash.Hash{}
		for _, tx := range b.Transactions {
			leaves = append(leaves, tx.TxHash())
		}
		for len(leaves) > 1 {
			var up []chainhash.Hash
			for i := 0; i < len(leaves); i += 2 {
				other := leaves[min(i+1, len(leaves)-1)]
				up = append(up, chainhash.DoubleHashH(append(leaves[i][:], other[:]...)))
			}
			leaves = up
		}
		b.Header.MerkleRoot = leaves[0]
		c.blocks = append(c.blocks, b)
		txs = nil
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// drop takes the newest blocks off.
func (c *core) drop(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks = c.blocks[:len(c.blocks)-n]
}

// a payment is a transaction of nothing in particular.
func payment(n byte) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{n, 1}, 0), []byte{1, n}, nil))
	tx.AddTxOut(wire.NewTxOut(int64(n)*1000, []byte{txscript.OP_TRUE}))
	return tx
}

func digits(t testing.TB, v interface{ Serialize(io.Writer) error }) string {
	t.Helper()
	var b bytes.Buffer
	if err := v.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b.Bytes())
}

// fail makes it answer a method with an error; with nil it answers again.
func (c *core) fail(method string, e *coreError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.methods[method] = e
}

func (c *core) count(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[method]
}

func (c *core) serve(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); c.cookie != "" && user+":"+password != c.cookie {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	type call struct {
		ID     json.RawMessage   `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	type reply struct { // as versions before 28 write it
		Result any             `json:"result"`
		Error  *coreError      `json:"error"`
		ID     json.RawMessage `json:"id"`
	}
	var calls []call
	batch := body[0] == '['
	if batch {
		err = json.Unmarshal(body, &calls)
	} else {
		calls = make([]call, 1)
		err = json.Unmarshal(body, &calls[0])
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var replies []reply
	for _, q := range calls {
		result, e := c.answer(r, q.Method, q.Params)
		replies = append(replies, reply{result, e, q.ID})
	}
	var out any = replies
	if !batch {
		out = replies[0]
		switch e := replies[0].Error; {
		case e == nil:
		case e.Code == -32601:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (c *core) answer(r *http.Request, method string, params []json.RawMessage) (any, *coreError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[method]++
	if e := c.methods[method]; e != nil {
		return nil, e
	}
	top := len(c.blocks) - 1
	var text string
	var number int
	if len(params) > 0 {
		_ = json.Unmarshal(params[0], &text)
		_ = json.Unmarshal(params[0], &number)
	}
	at := func() int {
		for h, b := range c.blocks {
			if b.BlockHash().String() == text {
				return h
			}
		}
		return -1
	}
	serialized := func(v interface{ Serialize(io.Writer) error }) string {
		var b bytes.Buffer
		_ = v.Serialize(&b) // to memory
		return hex.EncodeToString(b.Bytes())
	}
	switch method {
	case "getblockchaininfo":
		return map[string]any{"chain": "regtest", "blocks": top, "headers": top, "bestblockhash": c.blocks[top].BlockHash().String(), "pruned": c.pruned > 0}, nil
	case "getblockcount":
		return top, nil
	case "getblockhash":
		if number > top {
			return nil, &coreError{-8, "Block height out of range"}
		}
		return c.blocks[number].BlockHash().String(), nil
	case "getblockheader":
		h := at()
		if h < 0 {
			return nil, &coreError{-5, "Block not found"}
		}
		if !c.objects {
			return serialized(&c.blocks[h].Header), nil
		}
		o := map[string]any{"hash": text, "height": h, "time": c.blocks[h].Header.Timestamp.Unix(), "confirmations": top - h + 1}
		if h > 0 {
			o["previousblockhash"] = c.blocks[h-1].BlockHash().String()
		}
		return o, nil
	case "getblock":
		var flag bool
		if c.flags != (json.Unmarshal(params[1], &flag) == nil) {
			return nil, &coreError{-1, "JSON value is not of the expected type"}
		}
		switch h := at(); {
		case h < 0:
			return nil, &coreError{-5, "Block not found"}
		case h < c.pruned:
			return nil, &coreError{-1, "Block not available (pruned data)"}
		default:
			return serialized(c.blocks[h]), nil
		}
	case "waitfornewblock":
		if c.oneTip && len(params) > 1 {
			return nil, &coreError{-1, "waitfornewblock (timeout)\nWaits for a new block"}
		}
		var known string
		if len(params) > 1 {
			_ = json.Unmarshal(params[1], &known)
		} else if !c.hasty && c.asked[method] > 1 {
			known = c.blocks[top].BlockHash().String() // it waits for the next
		}
		if !c.hasty && known == c.blocks[top].BlockHash().String() {
			changed := c.changed
			c.mu.Unlock()
			timeout := time.NewTimer(time.Duration(number) * time.Millisecond)
			select {
			case <-changed:
			case <-timeout.C:
			case <-r.Context().Done():
			}
			timeout.Stop()
			c.mu.Lock()
			top = len(c.blocks) - 1
		}
		return map[string]any{"hash": c.blocks[top].BlockHash().String(), "height": top}, nil
	case "getrawmempool":
		ids := []string{}
		for _, tx := range c.pool {
			ids = append(ids, tx.TxHash().String())
		}
		return ids, nil
	case "getrawtransaction":
		if f, ok := c.forged[text]; ok {
			return f, nil
		}
		for _, tx := range c.pool {
			if tx.TxHash().String() == text {
				return serialized(tx), nil
			}
		}
		return nil, &coreError{-5, "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries."}
	}
	return nil, &coreError{-32601, "Method not found"}
}

// open makes a node of an address.
func open(t testing.TB, url string, cfg bitcoinrpc.Config) *bitcoinrpc.Node {
	t.Helper()
	cfg.Endpoint.URL, cfg.Endpoint.Private = url, true
	n, err := bitcoinrpc.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
