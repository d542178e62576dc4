package watch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	srctext "github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/trace"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// world is a Graph over a list of blocks, and what is known besides.
type world struct {
	blocks  []flow.Block
	parties map[flow.Account]Party
	fakes   map[flow.Asset]bool
	names   map[flow.Asset]string
	fail    error // of LastGave and Balances
	asked   int   // how often LastGave was
}

func newWorld(blocks ...flow.Block) *world {
	return &world{blocks: blocks, parties: map[flow.Account]Party{}, fakes: map[flow.Asset]bool{}, names: map[flow.Asset]string{}}
}

func (w *world) txs(yield func(*flow.Tx) bool) {
	for i := range w.blocks {
		for k := range w.blocks[i].Txs {
			if !yield(&w.blocks[i].Txs[k]) {
				return
			}
		}
	}
}

func touches(tx *flow.Tx, a flow.Account) bool {
	return slices.ContainsFunc(tx.Movements, func(m flow.Movement) bool {
		return slices.ContainsFunc(slices.Concat(m.In, m.Out), func(l flow.Leg) bool { return l.Account == a })
	})
}

// After shows whole transactions.
func (w *world) After(_ context.Context, asks []trace.Ask) ([]trace.Page, error) {
	pages := make([]trace.Page, len(asks))
	for i, ask := range asks {
		for tx := range w.txs {
			last := tx.At()
			last.Movement = uint32(max(len(tx.Movements), 1) - 1)
			if tx.Point.Chain != ask.Account.Chain() || !touches(tx, ask.Account) || last.Compare(ask.From) < 0 {
				continue
			}
			if len(pages[i].Txs) == ask.Limit {
				pages[i].More = true
				break
			}
			pages[i].Txs = append(pages[i].Txs, trace.View{Tx: *tx})
		}
	}
	return pages, nil
}

func (w *world) Spends(_ context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(of))
	for i, o := range of {
		for tx := range w.txs {
			if tx.Point.Chain == c && slices.ContainsFunc(tx.Movements, func(m flow.Movement) bool { return slices.Contains(m.Spent, o) }) {
				txs[i] = *tx
			}
		}
	}
	return txs, nil
}

func (w *world) Balances(_ context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	if w.fail != nil {
		return nil, w.fail
	}
	all := make([]trace.Balance, len(of))
	for i, ask := range of {
		for tx := range w.txs {
			at := tx.At()
			for k, m := range tx.Movements {
				if at.Movement = uint32(k); at.Compare(ask.Before) >= 0 || m.Asset != ask.Asset {
					continue
				}
				for _, l := range m.In {
					if l.Account == ask.Account {
						all[i].Out = all[i].Out.Plus(l.Amount)
					}
				}
				for _, l := range m.Out {
					if l.Account == ask.Account {
						all[i].In = all[i].In.Plus(l.Amount)
					}
				}
			}
		}
	}
	return all, nil
}

func (w *world) Party(a flow.Account) (Party, bool) {
	p, ok := w.parties[a]
	return p, ok
}

func (w *world) Vouched(a flow.Asset) bool { return !w.fakes[a] }

func (w *world) LastGave(_ context.Context, a flow.Account, before flow.Pos) (last int64, err error) {
	w.asked++
	for tx := range w.txs {
		if tx.At().Compare(before) >= 0 || tx.Point.Chain != a.Chain() {
			continue
		}
		for _, m := range tx.Movements {
			if slices.ContainsFunc(m.In, func(l flow.Leg) bool { return l.Account == a }) {
				last = tx.Point.Time
			}
		}
	}
	return last, w.fail
}

func (w *world) Name(a flow.Asset) (string, int) {
	if n := w.names[a]; n != "" {
		return n, 6
	}
	return strings.TrimPrefix(a.Name(), "token:"), 0
}

// step is one step of a story: a block that comes, or one that goes.
type step struct {
	block flow.Block
	back  bool
}

// story reads a text chain.
func story(t testing.TB, text string) []step {
	t.Helper()
	src, err := srctext.Parse("story", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	for s, err := range src.Steps(context.Background(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		switch s.Op {
		case source.Undo:
			steps = append(steps, step{flow.Block{Point: s.Block.Point}, true})
		case source.Add:
			b, err := dectext.New().Decode(s.Block.Point, s.Block.Parent, s.Block.Raw)
			if err != nil || len(b.Notes) > 0 {
				t.Fatalf("%v: %v %+v", s.Block.Point, err, b.Notes)
			}
			steps = append(steps, step{block: b})
		}
	}
	return steps
}

// blocks are those of a story without forks.
func blocks(t testing.TB, text string) []flow.Block {
	t.Helper()
	var all []flow.Block
	for _, s := range story(t, text) {
		all = append(all, s.block)
	}
	return all
}

func seq(all []flow.Block) iter.Seq2[flow.Block, error] {
	return func(yield func(flow.Block, error) bool) {
		for _, b := range all {
			if !yield(b, nil) {
				return
			}
		}
	}
}

var textEth = must(flow.TextChain("eth"))

func text(name string) flow.Account { return must(flow.NewAccount(textEth, name)) }

func token(name string) flow.Asset { return must(flow.NamedAsset(textEth, name)) }

// evm is the account that an invented name stands for on Ethereum.
func evm(name string) flow.Account {
	sum := sha256.Sum256([]byte(name))
	return must(flow.ParseAccountOn(flow.Ethereum, fmt.Sprintf("0x%x", sum[:20])))
}

func script(name string) flow.Account {
	sum := sha256.Sum256([]byte(name))
	return must(flow.UTXOAccount(flow.BitcoinRegtest, flow.PayToScript, sum[:]))
}

func options() trace.Options {
	return trace.Options{DustShare: -1, UndoDepth: 1000, Stop: func(a flow.Account) (trace.Stop, bool) {
		switch {
		case strings.HasPrefix(a.Address(), "exchange"), a == evm("exchange"):
			return trace.Stop{Reason: "Exchange (exchange)"}, true
		case strings.HasPrefix(a.Address(), "bridge"):
			return trace.Stop{Sink: trace.Bridge}, true
		case strings.HasPrefix(a.Address(), "mixer"):
			return trace.Stop{Sink: trace.Mixer}, true
		}
		return trace.Stop{}, false
	}}
}

// outflow is the theft of all ETH that leaves the victim.
func outflow() trace.Theft {
	return trace.Theft{Name: "heist", Sources: []trace.Source{trace.Outflow{Account: text("victim"), Asset: token("ETH")}}}
}

func heist() Case { return Case{ID: "heist", Theft: outflow(), Options: options()} }

var seenAt = time.Unix(1_700_000_000, 0).UTC()

// forward lets a watch eat a block of the world.
func forward(t testing.TB, w *Watch, g *world, b flow.Block) News {
	t.Helper()
	n, err := w.Forward(context.Background(), g, Seen{b, seenAt})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// opens opens a case on a chain of which only the blocks so far are known.
func opens(t testing.TB, w *Watch, g *world, c Case, so ...flow.Block) Opened {
	t.Helper()
	s := Start{Chain: textEth}
	if len(so) > 0 {
		s.Final, s.Rest = so[0].Point, seq(so[1:])
	}
	o, err := w.Open(context.Background(), g, c, s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// lines are alerts in short: severity, rule and text.
func lines(all []alert.Alert) string {
	var b strings.Builder
	for _, a := range all {
		rule := string(a.Kind)
		if a.Finding != nil {
			rule = a.Finding.Rule
		}
		fmt.Fprintf(&b, "%s %s: %s\n", a.Severity, rule, a.Text)
	}
	return b.String()
}

// of are the alerts of one rule.
func of(all []alert.Alert, rule string) []alert.Alert {
	return slices.DeleteFunc(slices.Clone(all), func(a alert.Alert) bool { return a.Finding == nil || a.Finding.Rule != rule })
}

var errWorld = errors.New("the disk is gone")

// stolenBy is the theft of all of an asset that leaves an account.
func stolenBy(a flow.Account, asset flow.Asset) trace.Theft {
	return trace.Theft{Sources: []trace.Source{trace.Outflow{Account: a, Asset: asset}}}
}
