package trace

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// memGraph is a BackGraph over a list of transactions. It remembers who was read.
type memGraph struct {
	txs   []flow.Tx
	page  int  // movements per page; the Ask's limit if 0
	full  bool // show whole transactions, whatever the page
	whole bool // show whole transactions instead of the movements of the account alone
	read  map[flow.Account]bool
	asks  int
}

func newGraph(txs []flow.Tx) *memGraph { return &memGraph{txs: txs, read: map[flow.Account]bool{}} }

func touchesAccount(m *flow.Movement, a flow.Account) bool {
	for _, l := range slices.Concat(m.In, m.Out) {
		if l.Account == a {
			return true
		}
	}
	return false
}

func (g *memGraph) pages(asks []Ask, back bool) []Page {
	g.asks++
	pages := make([]Page, len(asks))
	for i, ask := range asks {
		g.read[ask.Account] = true
		limit, n := ask.Limit, 0
		if g.page > 0 {
			limit = g.page
		}
		txs := slices.Clone(g.txs)
		if back {
			slices.Reverse(txs)
		}
	scan:
		for _, tx := range txs {
			if tx.Point.Chain != ask.Account.Chain() {
				continue
			}
			v := View{Tx: tx}
			if g.full {
				first, last := tx.At(), tx.At()
				last.Movement = uint32(len(tx.Movements) - 1)
				if !slices.ContainsFunc(tx.Movements, func(m flow.Movement) bool { return touchesAccount(&m, ask.Account) }) ||
					!back && last.Compare(ask.From) < 0 || back && first.Compare(ask.From) > 0 {
					continue
				}
				if n == limit {
					pages[i].More = true
					break
				}
				n++
				pages[i].Txs = append(pages[i].Txs, v)
				continue
			}
			v.Tx.Movements = nil
			order := make([]int, len(tx.Movements))
			for j := range order {
				order[j] = j
			}
			if back {
				slices.Reverse(order)
			}
			any, cut := false, false
			for _, j := range order {
				at := tx.At()
				at.Movement = uint32(j)
				touches := touchesAccount(&tx.Movements[j], ask.Account)
				if c := at.Compare(ask.From); !back && c < 0 || back && c > 0 || !touches && !g.whole {
					continue
				}
				if touches && n == limit {
					cut = true
					break
				}
				if touches {
					n++
					any = true
				}
				v.Tx.Movements = append(v.Tx.Movements, tx.Movements[j])
				v.Places = append(v.Places, uint32(j))
			}
			if back {
				slices.Reverse(v.Tx.Movements)
				slices.Reverse(v.Places)
			}
			if any {
				pages[i].Txs = append(pages[i].Txs, v)
			}
			if cut {
				pages[i].More = true
				break scan
			}
		}
	}
	return pages
}

func (g *memGraph) After(_ context.Context, asks []Ask) ([]Page, error) {
	return g.pages(asks, false), nil
}

func (g *memGraph) Before(_ context.Context, asks []Ask) ([]Page, error) {
	return g.pages(asks, true), nil
}

func (g *memGraph) Spends(_ context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(of))
	for i, o := range of {
		for _, tx := range g.txs {
			for _, m := range tx.Movements {
				if tx.Point.Chain == c && slices.Contains(m.Spent, o) {
					txs[i] = tx
				}
			}
		}
	}
	return txs, nil
}

func (g *memGraph) Makers(_ context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(of))
	for i, o := range of {
		for _, tx := range g.txs {
			if tx.Point.Chain == c && tx.ID == o.Tx {
				txs[i] = tx
			}
		}
	}
	return txs, nil
}

func (g *memGraph) Balances(_ context.Context, of []BalanceAsk) ([]Balance, error) {
	all := make([]Balance, len(of))
	for i, ask := range of {
		for _, tx := range g.txs {
			for j, m := range tx.Movements {
				at := tx.At()
				at.Movement = uint32(j)
				if at.Compare(ask.Before) >= 0 || m.Asset != ask.Asset {
					continue
				}
				all[i].add(&ask, &m)
			}
		}
	}
	return all, nil
}

// add counts one movement.
func (b *Balance) add(ask *BalanceAsk, m *flow.Movement) {
	meet := func(list *[]flow.Account, others []flow.Leg, v flow.Amount) {
		if len(m.In) != 1 || len(m.Out) != 1 || v.IsZero() || v.Less(ask.Floor) || m.Kind == flow.Fee {
			return
		}
		a := others[0].Account
		if a != ask.Account && !a.IsZero() && len(*list) < ask.Parties && !slices.Contains(*list, a) {
			*list = append(*list, a)
		}
	}
	for _, l := range m.In {
		if l.Account == ask.Account {
			b.Out = b.Out.Plus(l.Amount)
			meet(&b.Payees, m.Out, l.Amount)
		}
	}
	for _, l := range m.Out {
		if l.Account == ask.Account && !l.Amount.Less(ask.Floor) {
			b.In = b.In.Plus(l.Amount)
			meet(&b.Payers, m.In, l.Amount)
		}
	}
}

// forwardGraph hides Before and Makers.
type forwardGraph struct{ Graph }

var textChain = must(flow.TextChain("story"))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func num(n uint64) flow.Amount { return flow.NewAmount(n) }

// who is an account of the text chain, or, on a UTXO chain, a script of that name.
func who(c flow.Chain, name string) flow.Account {
	if name == "" {
		return flow.Account{}
	}
	if c.IsUTXO() {
		sum := sha256.Sum256([]byte(name))
		return must(flow.UTXOAccount(c, flow.PayToScript, sum[:]))
	}
	return must(flow.NewAccount(c, name))
}

var coinAsset = must(flow.NamedAsset(textChain, "COIN"))

func txID(name string) flow.Hash { return sha256.Sum256([]byte(name)) }

// accountStory reads a chain told in lines: "a>b 5" is a transfer, ">a 5" an issue, "a> 5" a burn; a semicolon parts
// the movements of one transaction, a number sign starts a comment. Each line is one block, from height 1 on.
func accountStory(story string) []flow.Tx {
	var txs []flow.Tx
	for text := range strings.Lines(story) {
		text, _, _ = strings.Cut(text, "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		h := uint64(len(txs) + 1)
		tx := flow.Tx{ID: txID(fmt.Sprint("tx", h)), Point: flow.Point{Chain: textChain, Height: h, Time: int64(h) * 10}}
		for i, part := range strings.Split(text, ";") {
			f := strings.Fields(part)
			from, to, _ := strings.Cut(f[0], ">")
			asset := coinAsset
			if len(f) > 2 {
				asset = must(flow.NamedAsset(textChain, f[2]))
			}
			tx.Movements = append(tx.Movements, flow.In1Out1(flow.TokenMove, asset, uint32(i),
				who(textChain, from), who(textChain, to), must(flow.ParseAmount(f[1]))))
		}
		txs = append(txs, tx)
	}
	return txs
}

var utxoChain = flow.BitcoinRegtest

// coinStory reads a UTXO chain told in lines: "t2: t1.0 t1.1 -> bob=60 carol=39" spends two outputs and pays 1 for the
// fee; without inputs it is a coinbase; "?" is an input that nobody knows.
func coinStory(story string) []flow.Tx {
	var txs []flow.Tx
	outs := map[flow.Outpoint]flow.Leg{}
	for text := range strings.Lines(story) {
		text, _, _ = strings.Cut(text, "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(text), ":")
		left, right, _ := strings.Cut(rest, "->")
		h := uint64(len(txs) + 1)
		tx := flow.Tx{ID: txID(name), Point: flow.Point{Chain: utxoChain, Height: h, Time: int64(h) * 10}}
		m := flow.Movement{Kind: flow.Transfer, Asset: utxoChain.Native()}
		for i, in := range strings.Fields(left) {
			if in == "?" {
				m.In, m.Spent = append(m.In, flow.Leg{}), append(m.Spent, flow.Outpoint{Tx: txID("?" + name), Index: uint32(i)})
				continue
			}
			o := coinNamed(in)
			m.In, m.Spent = append(m.In, outs[o]), append(m.Spent, o)
		}
		for i, out := range strings.Fields(right) {
			owner, amount, _ := strings.Cut(out, "=")
			l := flow.Leg{Account: who(utxoChain, owner), Amount: must(flow.ParseAmount(amount))}
			m.Out = append(m.Out, l)
			outs[flow.Outpoint{Tx: tx.ID, Index: uint32(i)}] = l
		}
		tx.Movements = []flow.Movement{m}
		txs = append(txs, tx)
	}
	return txs
}

func coinNamed(s string) flow.Outpoint {
	name, i, _ := strings.Cut(s, ".")
	return flow.Outpoint{Tx: txID(name), Index: uint32(must(strconv.Atoi(i)))}
}

var everyPolicy = []Policy{Haircut, FIFO, DirtyFirst, CleanFirst, Poison, LIFO}

// exact switches the dust floors off.
func exact(policies ...Policy) Options {
	return Options{Policies: policies, DustShare: -1}
}

// stopAt stops at these accounts.
func stopAt(accounts ...flow.Account) func(flow.Account) (Stop, bool) {
	return func(a flow.Account) (Stop, bool) { return Stop{Reason: "a service"}, slices.Contains(accounts, a) }
}

func run(t *testing.T, g Graph, theft Theft, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), g, theft, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// claims lists what a result says in short: "name=claim" for holders and "sink:name=claim", best first.
func claims(r *Result, names map[flow.Account]string) string {
	var list []string
	for _, s := range r.Holders {
		if !s.Claim.IsZero() {
			list = append(list, fmt.Sprintf("%s=%s", names[s.Account], s.Claim))
		}
	}
	for _, s := range r.Sinks {
		list = append(list, strings.TrimSuffix(fmt.Sprintf("%s:%s", s.Sink, names[s.Account]), ":")+"="+s.Claim.String())
	}
	return strings.Join(list, " ")
}

func namesOf(txs []flow.Tx, c flow.Chain, words ...string) map[flow.Account]string {
	names := map[flow.Account]string{}
	for _, w := range words {
		names[who(c, w)] = w
	}
	for _, tx := range txs {
		for _, m := range tx.Movements {
			for _, l := range slices.Concat(m.In, m.Out) {
				if l.Account.Chain() == textChain {
					names[l.Account] = l.Account.Address()
				}
			}
		}
	}
	return names
}

var errGraph = errors.New("the disk is gone")
