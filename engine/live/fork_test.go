package live_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/internal/nodes"
)

var depths = []int{1, 2, 3, 7, 16, 64}

// raw is a transaction as it was signed.
func (c *evmChain) raw(tx string) string {
	c.t.Helper()
	var raw string
	c.ask("eth_getRawTransactionByHash", []any{tx}, &raw)
	return raw
}

// fork replaces the newest blocks, depth of them, by others and one more; the signed transactions are in the first of
// them.
func (c *evmChain) fork(depth int, raws ...string) {
	c.t.Helper()
	var client string
	c.ask("web3_clientVersion", nil, &client)
	if strings.HasPrefix(client, "anvil") {
		other := map[string]any{"from": c.Accounts[1], "to": c.Accounts[2], "value": "0x1"} // without it the blocks may be the same
		txs := []any{[]any{other, 0}}
		for _, raw := range raws {
			txs = append(txs, []any{raw, 0})
		}
		c.ask("anvil_reorg", []any{depth, txs}, nil)
		c.Mine(1)
		return
	}
	top := c.Height()
	c.ask("debug_setHead", []any{fmt.Sprintf("0x%x", top-uint64(depth))}, nil)
	c.Mine(1)
	for _, raw := range raws {
		c.send(raw)
	}
	for c.Height() <= top {
		c.Mine(1)
	}
}

// send puts a signed transaction into a block.
func (c *evmChain) send(raw string) {
	c.t.Helper()
	var id string
	c.ask("eth_sendRawTransaction", []any{raw}, &id)
	for {
		var receipt *struct{ BlockNumber string }
		c.ask("eth_getTransactionReceipt", []any{id}, &receipt)
		if receipt != nil {
			return
		}
		if c.t.Context().Err() != nil {
			c.t.Fatal("no block with a transaction that was sent again")
		}
	}
}

// On a real node forks of every depth leave what a fresh store holds; what was told is corrected, told again, or left
// alone, as the branch that won says.
func forkEVM(t *testing.T, c *evmChain) {
	c.rich("thief", 9000)
	own := c.config(c.Height(), ", confirmations: 200", c.node(c.URL, c.WS, ""))
	r := newRig(t, setup{chains: own})
	r.theft("heist", fmt.Sprintf(`{"sources":[{"account":%q}]}`, c.caip("thief")))
	r.start()
	r.at(c.head)
	r.followed(1)
	undone := int64(0)
	for _, depth := range depths {
		stays := c.pay("thief", "a", 20+depth)
		signed := c.raw(stays)
		c.Mine(depth - 1)
		r.at(c.head)
		kept := r.told("heist", "live-move", stays)
		undone += int64(depth)
		c.fork(depth, signed)
		r.at(c.head)

		goes := c.pay("thief", "b", 30+depth)
		signed = c.raw(goes)
		c.Mine(depth - 1)
		r.at(c.head)
		first := r.told("heist", "live-move", goes)
		undone += int64(depth)
		c.fork(depth)
		r.at(c.head)
		r.said(first, alert.Correction, 1)
		r.isAsFresh(own, c.head, fmt.Sprintf("forks of depth %d", depth))
		c.send(signed)
		r.at(c.head)
		r.said(first, alert.Again, 2)
		c.Mine(3)
		r.at(c.head)
		if got := r.hook.all(func(m told) bool { return m.Key == kept.Key }); len(got) != 1 {
			t.Errorf("depth %d: %d messages about a move that stayed, the last %s; want one", depth, len(got), got[len(got)-1].ID)
		}
	}
	if got := r.state().Chains[0].Undone; got != undone {
		t.Errorf("%d blocks were undone; want %d", got, undone)
	}
	r.isAsFresh(own, c.head, "after all")
}

func TestForks(t *testing.T) {
	leaveNothing(t)
	t.Run("anvil", func(t *testing.T) {
		t.Parallel()
		forkEVM(t, newEVM(t, nodes.Anvil(t), 31337, "thief", "a", "b"))
	})
	t.Run("geth", func(t *testing.T) {
		t.Parallel()
		forkEVM(t, newEVM(t, nodes.Geth(t, "--state.scheme", "hash", "--gcmode", "archive"), 1337, "thief", "a", "b"))
	})
	t.Run("btcd", func(t *testing.T) {
		t.Parallel()
		forkBtcd(t, btcChain{nodes.Btcd(t), t})
	})
}

// The same on btcd, which puts the payments of a branch that lost into the one that won.
func forkBtcd(t *testing.T, c btcChain) {
	c.Generate(nodes.Maturity + 10)
	theft := c.move(nodes.Miner, "thief", 45*btc)
	r := newRig(t, setup{chains: c.own()})
	r.theft("heist", fmt.Sprintf(`{"transactions":[%q],"thieves":[%q]}`, theft, c.caip("thief")))
	r.start()
	r.at(c.head)
	r.followed(1)
	for _, depth := range depths {
		hop := c.move("thief", "a", btc)
		if depth > 1 {
			c.Generate(depth - 1)
		}
		r.at(c.head)
		r.told("heist", "live-move", hop)
		c.Reorg(depth) // the payment is pending again, and comes into the new branch
		r.at(c.head)
		r.isAsFresh(c.own(), c.head, fmt.Sprintf("a fork of depth %d", depth))
	}
	c.Generate(2)
	r.at(c.head)
	if got := r.hook.all(func(m told) bool { return m.Serial > 0 }); len(got) > 0 {
		t.Errorf("%s is a %s; every move stayed", got[0].ID, got[0].Kind)
	}

	// A branch without the payment comes from another miner, and is left again.
	other := nodes.Btcd(t)
	c.copyTo(other, 1, c.Height())
	hop := c.move("thief", "b", btc)
	c.Generate(2)
	r.at(c.head)
	first := r.told("heist", "live-move", hop)
	height := other.Height()
	lowest := other.Generate(4)[0]
	btcChain{other, t}.copyTo(c.Bitcoin, height+1, height+4)
	r.at(c.head)
	r.said(first, alert.Correction, 1)
	r.isAsFresh(c.own(), c.head, "a branch without the payment")
	c.InvalidateBlock(lowest)
	c.Generate(3)
	r.at(c.head)
	r.said(first, alert.Again, 2)
	r.isAsFresh(c.own(), c.head, "the first branch again")
}

// copyTo gives the blocks of some heights to another node.
func (c btcChain) copyTo(to *nodes.Bitcoin, from, last uint64) {
	c.t.Helper()
	for h := from; h <= last; h++ {
		var raw string
		err := c.Call(c.t.Context(), "getblock", []any{c.Hash(h), 0}, &raw)
		if err == nil {
			err = to.Call(c.t.Context(), "submitblock", []any{raw}, nil)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}
