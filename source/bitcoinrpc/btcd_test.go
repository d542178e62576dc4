package bitcoinrpc_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/decode/bitcoin"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/internal/nodes"
	"github.com/spoor-dev/spoor/internal/nodes/liar"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/bitcoinrpc"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// login is how a btcd is asked.
func login(b *nodes.Bitcoin) rpc.Config {
	return rpc.Config{User: b.User, Password: b.Password, Timeout: 5 * time.Second}
}

func check(_ context.Context, b source.Block) error {
	_, err := bitcoin.New(flow.BitcoinRegtest).Decode(b.Point, b.Parent, b.Raw)
	return err
}

// A reader follows nodes into a store until it is stopped.
type reader struct {
	st     store.Store
	stats  ingest.Stats
	err    error
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

func read(t *testing.T, list ...follow.Node) *reader {
	t.Helper()
	src, err := follow.New(list, follow.Config{Chain: flow.BitcoinRegtest, Check: check, Poll: 20 * time.Millisecond, Confirmations: 100, Timeout: 2 * time.Second,
		Patience: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{st: memstore.New(), cancel: cancel}
	r.wait.Go(func() {
		r.stats, r.err = ingest.Run(ctx, src, bitcoin.New(flow.BitcoinRegtest), r.st, ingest.Config{Delay: 5 * time.Millisecond})
	})
	return r
}

// stop ends it and waits until it has ended.
func (r *reader) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	r.wait.Wait()
	if !errors.Is(r.err, context.Canceled) {
		t.Errorf("ingest ended with %v", r.err)
	}
}

// until waits until the newest block of the store is that one.
func (r *reader) until(t *testing.T, hash string) {
	t.Helper()
	var tip flow.Point
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		s, err := r.st.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		tip, _ = s.Tip(flow.BitcoinRegtest)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if tip.Hash.String() == hash {
			return
		}
	}
	r.stop(t)
	t.Fatalf("the store is at %s; want %s", tip, hash)
}

// dump is all that the store holds; every input in it must have its owner.
func (r *reader) dump(t *testing.T) string {
	t.Helper()
	s, err := r.st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tip, _ := s.Tip(flow.BitcoinRegtest)
	spends := 0
	for h := range tip.Height + 1 {
		b, err := s.Block(t.Context(), flow.BitcoinRegtest, h)
		if err != nil {
			t.Fatal(err)
		}
		if !b.Coverage.Has(flow.ProvedHash | flow.ProvedTxs) {
			t.Errorf("block %d: coverage %v", h, b.Coverage.Names())
		}
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				spends += len(m.In)
				if !m.IsComplete() {
					t.Errorf("block %d: transaction %s has open inputs", h, tx.ID)
				}
			}
		}
	}
	if spends == 0 {
		t.Error("nothing was spent")
	}
	text, err := storetest.Dump(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fresh is what a store holds that reads the node from the beginning.
func fresh(t *testing.T, b *nodes.Bitcoin) string {
	t.Helper()
	r := read(t, open(t, b.URL, bitcoinrpc.Config{Endpoint: login(b)}))
	r.until(t, b.Hash(b.Height()))
	r.stop(t)
	return r.dump(t)
}

// What is followed through forks of every depth is what a fresh reader finds.
func TestForksOfBtcd(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("forks", func(t *testing.T) {
		b := nodes.Btcd(t)
		b.Generate(nodes.Maturity + 10)
		cfg := login(b)
		cfg.Socket = b.WS
		r := read(t, open(t, b.URL, bitcoinrpc.Config{Endpoint: cfg}))
		r.until(t, b.Hash(b.Height()))
		b.Pay(nodes.Miner, "thief", 40_0000_0000)
		b.Generate(1)
		b.Pay("thief", "hop", 15_0000_0000)
		b.Generate(1)
		b.Pay("hop", "exchange", 14_0000_0000)
		b.Generate(1)
		r.until(t, b.Hash(b.Height()))
		undone := int64(0)
		for _, depth := range []int{1, 7, 64} {
			b.Reorg(depth)
			r.until(t, b.Hash(b.Height()))
			undone += int64(depth)
			if got, want := r.dump(t), fresh(t, b); got != want {
				t.Errorf("a fork of depth %d: %s", depth, storetest.Difference(got, want))
			}
			b.Pay("thief", "shop", 1_0000_0000)
			b.Generate(1)
			r.until(t, b.Hash(b.Height()))
		}
		r.stop(t)
		if r.stats.Undone != undone || r.stats.Missing != 0 {
			t.Errorf("%+v; want %d blocks undone", r.stats, undone)
		}
	})
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 64<<10)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// A node that lies or fails is found out: its blocks do not decode, or there is an error. It takes no more time and memory
// than allowed.
func TestLies(t *testing.T) {
	b := nodes.Btcd(t)
	b.Generate(nodes.Maturity + 10)
	b.Pay(nodes.Miner, "thief", 40_0000_0000)
	b.Generate(3)
	l := liar.New(t, b.URL, "")
	cfg := login(b)
	cfg.Timeout = 300 * time.Millisecond
	lied := func(m liar.Mode) *bitcoinrpc.Node { // a new one each time, since one that was asked for patience grants it
		l.Set(liar.Honest)
		n := open(t, l.URL, bitcoinrpc.Config{Endpoint: cfg})
		if _, err := n.Chain(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Set(m)
		return n
	}
	headers, err := lied(liar.Honest).Headers(t.Context(), 100, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range liar.Modes() {
		switch mode {
		case liar.Honest, liar.DropLogs, liar.DropReceipt, liar.StaleHead, liar.WrongChain: // no lies about blocks
			continue
		}
		n, before := lied(mode), l.Lies()
		for _, h := range headers {
			raw, err := n.Block(t.Context(), h)
			if err == nil {
				raw.Point.Time = 0
				err = check(t.Context(), source.Block{Point: h.Point, Parent: h.Parent, Raw: raw.Raw})
			}
			if err == nil {
				t.Errorf("%s: block %d was taken", mode, h.Point.Height)
			}
			if mode == liar.Slow || mode == liar.Huge {
				break
			}
		}
		if _, err := n.Head(t.Context()); err == nil && !slices.Contains([]liar.Mode{liar.ChangeValue, liar.OtherBlock}, mode) {
			t.Errorf("%s: the head was taken", mode)
		}
		if got, err := n.Headers(t.Context(), 100, 5); err == nil && mode != liar.ChangeValue && slices.Equal(got, headers) {
			t.Errorf("%s: the headers were taken", mode)
		}
		if l.Lies() == before {
			t.Errorf("%s: it did not lie", mode)
		}
	}
	if c, err := lied(liar.WrongChain).Chain(t.Context()); err != nil || c == flow.BitcoinRegtest {
		t.Errorf("wrong chain: %s, %v", c, err)
	}
}

// Beside an honest node none that lies comes through.
func TestLiarsBesideAnHonestNode(t *testing.T) {
	b := nodes.Btcd(t)
	b.Generate(nodes.Maturity + 10)
	b.Pay(nodes.Miner, "thief", 40_0000_0000)
	b.Generate(1)
	want := fresh(t, b)
	for _, mode := range []liar.Mode{liar.ChangeValue, liar.OtherBlock, liar.WrongChain, liar.Cut, liar.Garbage, liar.Busy} {
		t.Run(string(mode), func(t *testing.T) {
			l := liar.New(t, b.URL, "")
			l.Set(mode)
			r := read(t, open(t, l.URL, bitcoinrpc.Config{Endpoint: login(b)}), open(t, b.URL, bitcoinrpc.Config{Endpoint: login(b)}))
			r.until(t, b.Hash(b.Height()))
			r.stop(t)
			if got := r.dump(t); got != want {
				t.Errorf("%s", storetest.Difference(got, want))
			}
			if l.Lies() == 0 {
				t.Error("it did not lie")
			}
		})
	}
}

// What is pending, with its witnesses or without, is what the next block then holds.
func TestPendingOfBtcd(t *testing.T) {
	const thief = nodes.SegWit + "thief"
	b := nodes.Btcd(t)
	b.Generate(nodes.SegWitHeight)
	n := open(t, b.URL, bitcoinrpc.Config{Endpoint: login(b), Poll: 2 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	txs := make(chan flow.Tx, 100)
	var wait sync.WaitGroup
	var err error
	wait.Go(func() { err = n.Pending(ctx, func(tx flow.Tx) { txs <- tx }) })
	sent := []string{b.Pay(nodes.Miner, thief, 10_0000_0000), b.Pay(thief, "hop", 5_0000_0000)}
	for i, id := range sent {
		select {
		case tx := <-txs:
			if tx.ID.String() != id || tx.Movements[0].IsComplete() || len(tx.Movements[0].Out) != 2 {
				t.Errorf("transaction %d: %+v; want %s", i, tx, id)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("transaction %d: nothing pending; %+v", i, n.Pool())
		}
	}
	b.Generate(1)
	cancel()
	wait.Wait()
	h, headErr := n.Head(t.Context())
	if headErr != nil {
		t.Fatal(headErr)
	}
	raw, blockErr := n.Block(t.Context(), h)
	if blockErr != nil {
		t.Fatal(blockErr)
	}
	block, decodeErr := bitcoin.New(flow.BitcoinRegtest).Decode(raw.Point, raw.Parent, raw.Raw)
	if decodeErr != nil || len(block.Txs) != 3 || !block.Coverage.Has(flow.ProvedWitness) {
		t.Errorf("%d transactions, coverage %v, %v; want 3 with their witnesses", len(block.Txs), block.Coverage.Names(), decodeErr)
	}
	if p := n.Pool(); !errors.Is(err, context.Canceled) || p.Visited != 2 || p.Refused != 0 || len(txs) != 0 {
		t.Errorf("%v, %+v", err, p)
	}
}

// btcd tells of new blocks over its socket; without one it is polled.
func TestWatchOfBtcd(t *testing.T) {
	b := nodes.Btcd(t)
	cfg := login(b)
	if err := open(t, b.URL, bitcoinrpc.Config{Endpoint: cfg}).Watch(t.Context(), func() {}); !errors.Is(err, follow.ErrNoPush) {
		t.Errorf("without a socket: %v; want ErrNoPush", err)
	}
	cfg.Socket = b.WS
	n := open(t, b.URL, bitcoinrpc.Config{Endpoint: cfg})
	ctx, cancel := context.WithCancel(t.Context())
	woken := make(chan struct{}, 100)
	var wait sync.WaitGroup
	var err error
	wait.Go(func() { err = n.Watch(ctx, func() { woken <- struct{}{} }) })
	for i := range 3 {
		select {
		case <-woken:
		case <-time.After(10 * time.Second):
			t.Fatalf("block %d: not woken", i)
		}
		b.Generate(1)
	}
	b.Kill()
	wait.Wait()
	cancel()
	if err == nil || errors.Is(err, follow.ErrNoPush) {
		t.Errorf("after the node has died: %v; want an error of the connection", err)
	}
}
