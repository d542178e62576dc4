package bitcoinrpc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/spoor-dev/spoor/decode/bitcoin"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/bitcoinrpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// sameAsCore compares all that a node says with the blocks behind it, and decodes them.
func sameAsCore(t *testing.T, n *bitcoinrpc.Node, c *core) {
	t.Helper()
	chain, err := n.Chain(t.Context())
	if err != nil || chain != flow.BitcoinRegtest {
		t.Fatalf("chain %s, %v; want %s", chain, err, flow.BitcoinRegtest)
	}
	head, err := n.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	headers, err := n.Headers(t.Context(), 0, 5000)
	if err != nil || len(headers) != len(c.blocks) {
		t.Fatalf("%d headers, %v; want %d", len(headers), err, len(c.blocks))
	}
	if head != headers[len(headers)-1] {
		t.Errorf("head %+v; the newest header is %+v", head, headers[len(headers)-1])
	}
	for height, b := range c.blocks {
		h := headers[height]
		if h.Point.Hash.String() != b.BlockHash().String() || h.Point.Height != uint64(height) || h.Point.Time != b.Header.Timestamp.Unix() || h.Point.Chain != chain ||
			h.Parent.String() != b.Header.PrevBlock.String() {
			t.Errorf("header %d: %+v; want %s", height, h, b.BlockHash())
		}
		got, err := n.Block(t.Context(), h)
		if height < c.pruned {
			if !errors.Is(err, follow.ErrNotFound) || !strings.Contains(err.Error(), "pruned data") {
				t.Errorf("block %d: %v; want not found, for it is pruned", height, err)
			}
			continue
		}
		if err != nil || got.Point != h.Point || got.Parent != h.Parent || digits(t, b) != hexOf(got.Raw) {
			t.Errorf("block %d: %+v, %v; want that of %+v", height, got.Point, err, h)
			continue
		}
		if _, err := bitcoin.New(chain).Decode(got.Point, got.Parent, got.Raw); err != nil {
			t.Errorf("block %d: %v", height, err)
		}
		if byHeight, err := n.Block(t.Context(), follow.Header{Point: flow.Point{Height: uint64(height)}}); err != nil || byHeight.Point != h.Point {
			t.Errorf("block %d by its height: %+v, %v", height, byHeight.Point, err)
		}
	}
	above := uint64(len(c.blocks))
	if _, err := n.Headers(t.Context(), above, 3); !errors.Is(err, follow.ErrNotFound) {
		t.Errorf("headers above the head: %v; want not found", err)
	}
	if _, err := n.Block(t.Context(), follow.Header{Point: flow.Point{Height: 1, Hash: flow.Hash{1}}}); !errors.Is(err, follow.ErrNotFound) {
		t.Errorf("a block that there is not: %v; want not found", err)
	}
	if _, ok, err := n.Final(t.Context()); ok || err != nil {
		t.Errorf("final: %v, %v; want that the node does not say", ok, err)
	}
}

func TestDialects(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*core)
	}{
		{"new", func(*core) {}},
		{"form-of-a-block-is-a-flag", func(c *core) { c.flags = true }},
		{"headers-are-objects", func(c *core) { c.objects = true }},
		{"no-blockchaininfo", func(c *core) { c.methods["getblockchaininfo"] = &coreError{-32601, "Method not found"} }},
		{"pruned", func(c *core) { c.pruned = 4 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := startCore(t)
			tt.change(c)
			c.mine(t, 5, "a", payment(1), payment(2))
			n := open(t, c.URL, bitcoinrpc.Config{})
			sameAsCore(t, n, c)
			c.drop(2)
			c.mine(t, 3, "b")
			sameAsCore(t, n, c)
		})
	}
}

func TestLogin(t *testing.T) {
	c := startCore(t)
	c.cookie = "__cookie__:first"
	file := filepath.Join(t.TempDir(), ".cookie")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(c.cookie)
	n := open(t, c.URL, bitcoinrpc.Config{Endpoint: rpc.Config{CookieFile: file}})
	if _, err := n.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.cookie = "__cookie__:second" // the node was started anew
	write(c.cookie)
	if _, err := n.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrong := open(t, c.URL, bitcoinrpc.Config{Endpoint: rpc.Config{User: "spoor", Password: "hunter2"}})
	if _, err := wrong.Head(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(wrong.Name(), "spoor") {
		t.Errorf("the wrong password: %v", err)
	}
}

func TestOtherChain(t *testing.T) {
	c := startCore(t)
	n := open(t, c.URL, bitcoinrpc.Config{Chain: flow.Bitcoin})
	if got, err := n.Chain(t.Context()); err != nil || got != flow.BitcoinRegtest {
		t.Errorf("chain %s, %v; want what the node serves", got, err)
	}
	if _, err := n.Head(t.Context()); err == nil || !strings.Contains(err.Error(), flow.BitcoinRegtest.String()) {
		t.Errorf("head of another chain: %v", err)
	}
	if _, err := bitcoinrpc.Open(bitcoinrpc.Config{Endpoint: rpc.Config{URL: c.URL}, Chain: flow.Ethereum}); err == nil {
		t.Error("a Bitcoin node of Ethereum was opened")
	}
	if _, err := bitcoinrpc.Open(bitcoinrpc.Config{Endpoint: rpc.Config{URL: c.URL, Timeout: time.Second}, Wait: time.Second}); err == nil {
		t.Error("a wait as long as the timeout was taken")
	}
}

// A node that fails is told from one that does not have it.
func TestErrors(t *testing.T) {
	c := startCore(t)
	c.mine(t, 2, "a")
	n := open(t, c.URL, bitcoinrpc.Config{})
	h, err := n.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		e        coreError
		notFound bool
		busy     bool
	}{
		{"warming-up", coreError{-28, "Loading block index…"}, false, true},
		{"pruned", coreError{-1, "Block not available (pruned data)"}, true, false},
		{"not-yet-downloaded", coreError{-1, "Block not available (not fully downloaded)"}, true, false},
		{"not-on-disk", coreError{-1, "Block not found on disk"}, true, false},
		{"btcd-height", coreError{-1, "Block number out of range"}, true, false},
		{"other", coreError{-32603, "internal error"}, false, false},
		{"parameter", coreError{-8, "blockhash must be of length 64"}, false, false},
	} {
		for _, m := range []string{"getblock", "getblockhash"} {
			c.fail(m, &tt.e)
			var err error
			if m == "getblock" {
				_, err = n.Block(t.Context(), h)
			} else {
				_, err = n.Headers(t.Context(), 0, 2)
			}
			if err == nil || errors.Is(err, follow.ErrNotFound) != tt.notFound || errors.Is(err, rpc.ErrBusy) != tt.busy || !strings.Contains(err.Error(), tt.e.Message[:5]) {
				t.Errorf("%s: %s: %v; want not found %v, busy %v", tt.name, m, err, tt.notFound, tt.busy)
			}
			c.fail(m, nil)
		}
	}
}

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		oneTip bool
	}{{"knows-the-tip", false}, {"takes-one-parameter", true}} {
		t.Run(tt.name, func(t *testing.T) {
			c := startCore(t)
			c.oneTip = tt.oneTip
			n := open(t, c.URL, bitcoinrpc.Config{Wait: 60 * time.Millisecond})
			ctx, cancel := context.WithCancel(t.Context())
			woken := make(chan struct{}, 100)
			var wait sync.WaitGroup
			var err error
			wait.Go(func() { err = n.Watch(ctx, func() { woken <- struct{}{} }) })
			<-woken // it has heard of the first
			for i := range 3 {
				c.mine(t, 1, "a")
				select {
				case <-woken:
				case <-time.After(5 * time.Second):
					t.Fatalf("block %d: not woken", i+1)
				}
			}
			cancel()
			wait.Wait()
			if !errors.Is(err, context.Canceled) || c.count("waitfornewblock") > 100 {
				t.Errorf("%v after %d questions", err, c.count("waitfornewblock"))
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		c := startCore(t)
		c.fail("waitfornewblock", &coreError{-32601, "Method not found"})
		if err := open(t, c.URL, bitcoinrpc.Config{}).Watch(t.Context(), func() {}); !errors.Is(err, follow.ErrNoPush) {
			t.Errorf("%v; want ErrNoPush", err)
		}
	})
	t.Run("does-not-wait", func(t *testing.T) {
		c := startCore(t)
		c.hasty = true
		woken := 0
		err := open(t, c.URL, bitcoinrpc.Config{}).Watch(t.Context(), func() { woken++ })
		if !errors.Is(err, follow.ErrNoPush) || woken != 1 || c.count("waitfornewblock") != 2 {
			t.Errorf("%v, woken %d times after %d questions; want ErrNoPush, 1, 2", err, woken, c.count("waitfornewblock"))
		}
	})
	t.Run("lost", func(t *testing.T) {
		c := startCore(t)
		n := open(t, c.URL, bitcoinrpc.Config{})
		err := n.Watch(t.Context(), func() {
			_ = c.Listener.Close()
			c.CloseClientConnections()
		})
		if err == nil || errors.Is(err, follow.ErrNoPush) {
			t.Errorf("%v; want an error of the connection", err)
		}
	})
}

func TestPending(t *testing.T) {
	c := startCore(t)
	forged := payment(9)
	c.pool = []*wire.MsgTx{payment(1), payment(2), payment(3), forged, payment(4)}
	c.forged[forged.TxHash().String()] = digits(t, payment(8))
	c.forged[payment(4).TxHash().String()] = "00zz"
	n := open(t, c.URL, bitcoinrpc.Config{Poll: time.Millisecond, Queue: 2})
	ctx, cancel := context.WithCancel(t.Context())
	txs := make(chan flow.Tx, 100)
	var wait sync.WaitGroup
	var err error
	wait.Go(func() { err = n.Pending(ctx, func(tx flow.Tx) { txs <- tx }) })
	for i := byte(1); i <= 3; i++ {
		tx := <-txs
		want := payment(i)
		m := tx.Movements[0]
		if tx.ID.String() != want.TxHash().String() || tx.Point != (flow.Point{Chain: flow.BitcoinRegtest}) || m.IsComplete() ||
			m.Spent[0].Tx.String() != want.TxIn[0].PreviousOutPoint.Hash.String() || m.Out[0].Amount != flow.NewAmount(uint64(i)*1000) {
			t.Errorf("transaction %d: %+v", i, tx)
		}
	}
	for n.Pool().Refused < 2 {
		time.Sleep(time.Millisecond)
	}
	c.mu.Lock()
	c.pool = []*wire.MsgTx{payment(3), payment(5)} // 1 is in a block
	c.mu.Unlock()
	if tx := <-txs; tx.ID.String() != payment(5).TxHash().String() {
		t.Errorf("then %s; want the new one alone", tx.ID)
	}
	c.mu.Lock()
	c.pool = []*wire.MsgTx{payment(3), payment(1)} // the block was undone
	c.mu.Unlock()
	if tx := <-txs; tx.ID.String() != payment(1).TxHash().String() {
		t.Errorf("then %s; want the one that came back", tx.ID)
	}
	cancel()
	wait.Wait()
	p := n.Pool()
	if !errors.Is(err, context.Canceled) || p.Visited != 5 || p.Refused != 2 || p.Late != 0 || p.Seen != 7 || len(txs) != 0 {
		t.Errorf("%v, %+v, %d more", err, p, len(txs))
	}
}

func TestPendingGone(t *testing.T) {
	c := startCore(t)
	c.pool = []*wire.MsgTx{payment(1)}
	c.fail("getrawtransaction", &coreError{-5, "No such mempool transaction"})
	n := open(t, c.URL, bitcoinrpc.Config{Poll: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() { _ = n.Pending(ctx, func(flow.Tx) {}) })
	for n.Pool().Polls < 3 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	wait.Wait()
	if p := n.Pool(); p.Late != 1 || p.Visited != 0 || p.Seen != 1 {
		t.Errorf("%+v; want one that is gone, asked for once", p)
	}
	c.Close()
	if err := n.Pending(t.Context(), func(flow.Tx) {}); err == nil {
		t.Error("a dead node")
	}
}
