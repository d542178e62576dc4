package live_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/nodes"
)

// A purse is a contract that holds coin, and for each call pays what the pairs of words in its data say: to whom, and how
// much. Only traces show that.
func purse() []byte {
	return []byte{
		0x5f,                         // PUSH0: where in the data it is
		0x5b,                         // JUMPDEST
		0x36, 0x81, 0x10, 0x60, 0x0a, // CALLDATASIZE, DUP2, LT, PUSH1 10
		0x57, 0x00, 0x00, // JUMPI to go on, STOP where the data ends
		0x5b, 0x5f, 0x5f, 0x5f, 0x5f, // JUMPDEST; no data in, none out
		0x84, 0x60, 0x20, 0x01, 0x35, // DUP5, PUSH1 32, ADD, CALLDATALOAD: how much
		0x85, 0x35, // DUP6, CALLDATALOAD: to whom
		0x5a, 0xf1, 0x50, // GAS, CALL, POP
		0x60, 0x40, 0x01, 0x60, 0x01, 0x56, // PUSH1 64, ADD, PUSH1 1, JUMP
	}
}

const (
	usdc      = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	transfer  = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef" // Transfer(address,address,uint256)
	milliEth  = 1_000_000_000_000_000
	microUSDC = 1_000_000
)

// word is a number or an address as it stands in a call's data.
func word(of any) []byte {
	switch of := of.(type) {
	case int:
		return big.NewInt(int64(of)).FillBytes(make([]byte, 32))
	case *big.Int:
		return of.FillBytes(make([]byte, 32))
	case string:
		b, err := hex.DecodeString(strings.TrimPrefix(of, "0x"))
		if err != nil {
			panic("test: " + err.Error())
		}
		return append(make([]byte, 32-len(b)), b...)
	}
	panic(fmt.Sprintf("test: a word of %T", of))
}

// An evmChain is a node with purses that have names.
type evmChain struct {
	*nodes.EVM
	t     testing.TB
	chain flow.Chain
	purse map[string]string
}

func newEVM(t testing.TB, e *nodes.EVM, id uint64, purses ...string) *evmChain {
	t.Helper()
	c := &evmChain{EVM: e, t: t, chain: flow.EVMChain(id), purse: map[string]string{}}
	for _, name := range purses {
		c.purse[name] = e.Deploy(e.Accounts[0], purse())
	}
	return c
}

// rich gives coin to a purse.
func (c *evmChain) rich(name string, milli uint64) {
	c.t.Helper()
	for ; milli > 9000; milli -= 9000 {
		c.Send(c.Accounts[0], c.purse[name], 9000*milliEth)
	}
	c.Send(c.Accounts[0], c.purse[name], milli*milliEth)
}

// pay lets a purse pay others, in thousandths of a coin, in one transaction.
func (c *evmChain) pay(from string, pairs ...any) string {
	c.t.Helper()
	var data []byte
	for i := 0; i < len(pairs); i += 2 {
		v := new(big.Int).Mul(big.NewInt(int64(pairs[i+1].(int))), big.NewInt(milliEth))
		data = slices.Concat(data, word(c.purse[pairs[i].(string)]), word(v))
	}
	return c.SendData(c.Accounts[0], c.purse[from], 0, data)
}

// token lets a contract say that a token moved.
func (c *evmChain) token(contract, from, to string, amount *big.Int) string {
	c.t.Helper()
	return c.SendData(c.Accounts[0], contract, 0, slices.Concat(word(transfer), word(c.purse[from]), word(c.purse[to]), word(amount)))
}

func (c *evmChain) ask(method string, params []any, result any) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Call(ctx, method, params, result); err != nil {
		c.t.Fatal(err)
	}
}

// head is the hash of the newest block.
func (c *evmChain) head() string {
	c.t.Helper()
	var b struct{ Hash string }
	c.ask("eth_getBlockByNumber", []any{"latest", false}, &b)
	return b.Hash
}

// node is a node of the configuration at these addresses; ws may be empty.
func (c *evmChain) node(url, ws, keys string) string {
	if ws != "" {
		ws = fmt.Sprintf("ws: %q, ", ws)
	}
	return fmt.Sprintf("{url: %q, %sprivate: true, traces: must%s}", url, ws, keys)
}

// config is the chain from a height on, with nodes.
func (c *evmChain) config(from uint64, keys string, nodes ...string) string {
	return fmt.Sprintf("  - {chain: %q, poll: 50ms, finality: confirmations, from: \"%d\", nodes: [%s]%s}\n", c.chain, from, strings.Join(nodes, ", "), keys)
}

// own is the chain with its own node.
func (c *evmChain) own() string {
	return c.config(0, ", confirmations: 200", c.node(c.URL, c.WS, ""))
}

// caip is a purse as an account of its chain.
func (c *evmChain) caip(name string) string { return c.chain.String() + ":" + c.purse[name] }

// A planted is something that has to be told once.
type planted struct{ owner, rule, tx string }

func (p planted) String() string { return p.owner + " " + p.rule + " " + bare(p.tx) }

var moves = []string{"live-move", "live-arrival", "list-gave"}

// wasTold checks that all that was planted was told, once, and nothing else by these rules.
func (r *rig) wasTold(all []planted) {
	r.t.Helper()
	var want []string
	for _, p := range all {
		r.told(p.owner, p.rule, p.tx)
		want = append(want, p.String())
	}
	slices.Sort(want)
	if got := r.onlyFindings(moves...); !slices.Equal(got, want) {
		r.t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A theft on an EVM node is followed live, through contract calls that only traces show: splits, a case that is opened
// later, a list, another configuration while blocks go on, a restart.
func followEVM(t *testing.T, c *evmChain) (*rig, []planted) {
	c.rich("victim", 30_000)
	c.rich("cold", 2000)
	r := newRig(t, setup{chains: c.own(), contacts: "  Bourse: desk@bourse.example\n",
		lists: fmt.Sprintf("  - {name: treasury, accounts: [%q], contact: the treasurer}\n", c.caip("cold"))})
	r.labels = c.caip("bourse") + ",Bourse: hot wallet,exchange,1\n"
	r.theft("heist", fmt.Sprintf(`{"sources":[{"account":%q}]}`, c.caip("victim")))
	r.start()
	r.at(c.head)
	r.followed(1)

	var all []planted
	hop := func(rule, tx string, owners ...string) {
		for _, o := range owners {
			all = append(all, planted{o, rule, tx})
		}
	}
	theft := c.pay("victim", "thief", 9000)
	hop("live-move", theft, "heist")
	hop("live-move", c.pay("thief", "a", 5000, "b", 3900), "heist")
	hop("live-move", c.pay("a", "c", 3000, "d", 2000), "heist")
	hop("list-gave", c.pay("cold", "shop", 700), "treasury")
	r.at(c.head)
	r.wasTold(all)

	// The configuration changes while blocks go on: a case that is opened late, a list, a sink.
	second := newReceiver(t)
	r.theft("late", fmt.Sprintf(`{"transactions":[%q],"thieves":[%q]}`, theft, c.caip("thief")))
	r.setup.lists += fmt.Sprintf("  - {name: sleepers, accounts: [%q], severity: high}\n", c.caip("sleeper"))
	r.setup.sinks += second.config("second")
	config := r.config()
	reloaded := make(chan error, 1)
	go func() { reloaded <- r.Reload(t.Context(), config) }()
	for range 4 {
		c.Mine(1)
	}
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	hop("live-move", c.pay("b", "e", 3900), "heist", "late")
	hop("live-move", c.pay("c", "f", 2900), "heist", "late")
	c.rich("sleeper", 600)
	hop("list-gave", c.pay("sleeper", "shop", 500), "sleepers")
	r.at(c.head)
	r.wasTold(all)
	if got := second.all(func(m told) bool { return m.Case == "late" && m.rule() == "live-move" }); len(got) != 2 {
		t.Errorf("the sink that came later was told %d moves of the case that came later; want 2", len(got))
	}

	// It is not there while the money moves on.
	r.end()
	hop("live-move", c.pay("e", "g", 2500, "h", 1400), "heist", "late")
	c.Mine(1)
	r.start()
	r.at(c.head)
	r.until("open cases", func() bool { return r.state().Watching.Cases == 2 })
	hop("live-move", c.pay("g", "i", 2500), "heist", "late")
	arrival := c.pay("i", "bourse", 1000)
	hop("live-arrival", arrival, "heist", "late")
	hop("live-move", c.pay("i", "j", 1500), "heist", "late")
	r.at(c.head)
	r.wasTold(all)
	for _, owner := range []string{"heist", "late"} {
		m := r.told(owner, "live-arrival", arrival)
		if m.Contact != "desk@bourse.example" || !strings.Contains(m.Text, "desk@bourse.example") || m.Severity != finding.Critical {
			t.Errorf("the arrival says %q, contact %q, %s", m.Text, m.Contact, m.Severity)
		}
	}
	if m := r.told("treasury", "list-gave", all[3].tx); m.Contact != "the treasurer" {
		t.Errorf("the list says %q, contact %q", m.Text, m.Contact)
	}
	if n := len(r.hook.all(func(m told) bool { return m.Kind == alert.State && m.Title == "Case opened" })); n != 2 {
		t.Errorf("told %d times that a case was opened; want 2", n)
	}
	r.isAsFresh(c.own(), c.head, "after all")
	return r, all
}

var cast = []string{"victim", "thief", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "bourse", "cold", "sleeper", "shop"}

func TestAnvilIsFollowed(t *testing.T) {
	leaveNothing(t)
	c := newEVM(t, nodes.Anvil(t, "--chain-id", "1"), 1, cast...)
	r, all := followEVM(t, c)

	// A token that is vouched for, and a counterfeit of it.
	c.ask("anvil_setCode", []any{usdc, "0x" + hex.EncodeToString(nodes.Crier())}, nil)
	fake := c.Deploy(c.Accounts[0], nodes.Crier())
	c.token(usdc, "shop", "victim", big.NewInt(900*microUSDC))
	r.theft("coins", fmt.Sprintf(`{"sources":[{"account":%q,"asset":%q}]}`, c.caip("victim"), usdc))
	r.at(c.head)
	r.followed(3)
	for _, hop := range [][2]string{{"victim", "thief"}, {"thief", "a"}, {"a", "b"}} {
		c.token(fake, hop[0], hop[1], big.NewInt(900*microUSDC))
		all = append(all, planted{"coins", "live-move", c.token(usdc, hop[0], hop[1], big.NewInt(900*microUSDC))})
	}
	all = append(all, planted{"coins", "live-arrival", c.token(usdc, "b", "bourse", big.NewInt(900*microUSDC))})
	r.at(c.head)
	for _, p := range all {
		r.told(p.owner, p.rule, p.tx)
	}
	if got := r.hook.all(func(m told) bool {
		return m.Case == "coins" && m.Finding != nil && !strings.Contains(m.Text, "900 USDC")
	}); len(got) > 0 {
		t.Errorf("a counterfeit was told as real: %s", got[0].Text)
	}
}

func TestGethIsFollowed(t *testing.T) {
	leaveNothing(t)
	followEVM(t, newEVM(t, nodes.Geth(t), 1337, cast...))
}

// A btcChain is a btcd whose money moves between keys that have names.
type btcChain struct {
	*nodes.Bitcoin
	t testing.TB
}

// own is the chain with its own node.
func (c btcChain) own() string { return c.config(0, "", c.node(c.URL, c.WS, "")) }

// config is the chain from a height on, with nodes.
func (c btcChain) config(from uint64, keys string, nodes ...string) string {
	return fmt.Sprintf("  - {chain: %q, poll: 50ms, from: \"%d\", nodes: [%s]%s}\n", flow.BitcoinRegtest, from, strings.Join(nodes, ", "), keys)
}

// node is a node of the configuration at these addresses; ws may be empty.
func (c btcChain) node(url, ws, keys string) string {
	password := filepath.Join(c.t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(c.Password), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if ws != "" {
		ws = fmt.Sprintf("ws: %q, ", ws)
	}
	return fmt.Sprintf("{url: %q, %sprivate: true, user: %s, password_file: %q%s}", url, ws, c.User, password, keys)
}

// head is the hash of the newest block.
func (c btcChain) head() string {
	c.t.Helper()
	return c.Hash(c.Height())
}

func (c btcChain) caip(name string) string {
	return flow.BitcoinRegtest.String() + ":" + nodes.Address(name)
}

// move pays and puts that into a block; it returns the transaction.
func (c btcChain) move(from, to string, satoshi int64) string {
	c.t.Helper()
	id := c.Pay(from, to, satoshi)
	c.Generate(1)
	return id
}

const btc = 1_0000_0000

func TestBtcdIsFollowed(t *testing.T) {
	leaveNothing(t)
	c := btcChain{nodes.Btcd(t), t}
	c.Generate(nodes.Maturity + 10)
	c.move(nodes.Miner, "cold", 20*btc)
	theft := c.move(nodes.Miner, "thief", 45*btc)
	r := newRig(t, setup{chains: c.own(), contacts: "  Bourse: desk@bourse.example\n",
		lists: fmt.Sprintf("  - {name: treasury, accounts: [%q]}\n", c.caip("cold"))})
	r.labels = c.caip("bourse") + ",Bourse: deposits,exchange,1\n"
	r.theft("heist", fmt.Sprintf(`{"transactions":[%q],"thieves":[%q]}`, theft, c.caip("thief")))
	r.start()
	r.at(c.head)
	r.followed(1)
	var all []planted
	hop := func(rule, tx string, owners ...string) {
		for _, o := range owners {
			all = append(all, planted{o, rule, tx})
		}
	}
	hop("live-move", c.move("thief", "a", 20*btc), "heist") // the change stays with the thief
	hop("live-move", c.move("thief", "b", 24*btc), "heist")
	hop("live-move", c.move("a", "c", 12*btc), "heist")
	hop("list-gave", c.move("cold", "shop", 3*btc), "treasury")
	hop("live-move", c.move("b", "d", 10*btc), "heist")
	r.at(c.head)
	r.wasTold(all)
	r.theft("late", fmt.Sprintf(`{"transactions":[%q],"thieves":[%q]}`, theft, c.caip("thief")))
	r.followed(2)
	hop("live-move", c.move("c", "e", 11*btc), "heist", "late")
	r.at(c.head)
	r.wasTold(all)
	r.end()
	hop("live-move", c.move("d", "f", 9*btc), "heist", "late")
	first, second := c.Pay("e", "g", 10*btc), c.Pay("g", "h", 9*btc) // in one block
	c.Generate(1)
	hop("live-move", first, "heist", "late")
	hop("live-move", second, "heist", "late")
	r.start()
	r.at(c.head)
	arrival := c.move("h", "bourse", 8*btc)
	hop("live-arrival", arrival, "heist", "late")
	r.at(c.head)
	for _, owner := range []string{"heist", "late"} {
		if m := r.told(owner, "live-arrival", arrival); m.Contact != "desk@bourse.example" || m.Severity != finding.Critical {
			t.Errorf("the arrival says %q, contact %q, %s", m.Text, m.Contact, m.Severity)
		}
	}
	r.wasTold(all)
	r.isAsFresh(c.own(), c.head, "after all")
}
