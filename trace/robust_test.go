package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// smallCase is a case with a little of everything in its state.
func smallCase(t testing.TB, o Options) (*Case, Theft, *memGraph) {
	txs := accountStory(`
		>thief 10
		victim>thief 100
		thief>a 40; a>exchange 5
		a> 3
		thief>b 60 
		b>c 1`)
	coins := coinStory(`
		t0: -> thief=60 a=40
		t1: ? t0.0 t0.1 -> b=50 c=40`)
	theft := Theft{"small", []Source{
		Holding{who(textChain, "thief"), coinAsset, num(100), flow.Pos{Height: 3}},
		Coin{coinNamed("t0.0"), who(utxoChain, "thief"), utxoChain.Native(), num(60)},
		Outflow{Account: who(textChain, "c")},
	}}
	o.Stop = stopAt(who(textChain, "exchange"))
	c, err := New(theft, o)
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(append(txs, coins...))
	if err := c.Walk(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	return c, theft, g
}

func TestSeveralChains(t *testing.T) {
	c, _, _ := smallCase(t, exact(FIFO, Haircut))
	r, err := c.Report()
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range r.Results {
		var lines []string
		for _, n := range res.Lines {
			lines = append(lines, n.Asset.String()+": "+n.String())
		}
		for _, e := range res.Edges {
			if res.Lines[e.Line-1].Asset != e.Asset {
				t.Errorf("%s: an edge in %s is of line %d", res.Policy, e.Asset, e.Line)
			}
		}
		if len(lines) != 2 || lines[0] != utxoChain.Native().String()+": 60 stolen = 60 held" && res.Policy == "fifo" {
			t.Errorf("%s: %q", res.Policy, lines)
		}
	}
	if len(c.Chains()) != 2 {
		t.Errorf("chains %v", c.Chains())
	}
}

func TestReportInJSON(t *testing.T) {
	c, _, _ := smallCase(t, Options{})
	r, err := c.Report()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := json.Marshal(Compare(nil)); err != nil || bytes.Contains(empty, []byte("null")) {
		t.Errorf("an empty table is %s, %v", empty, err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, again) {
		t.Error("JSON does not read back to what was written")
	}
	if bytes.Contains(text, []byte("null")) {
		t.Errorf("null instead of an empty list in %s", text)
	}
	for _, key := range []string{`"results"`, `"stolen"`, `"holders"`, `"sinks"`, `"disagreement"`, `"hash"`} {
		if !bytes.Contains(text, []byte(key)) {
			t.Errorf("no %s in %s", key, text)
		}
	}
}

func TestHashTellsAnswersApart(t *testing.T) {
	hash := func(change func(*Theft, *Options)) flow.Hash {
		txs := accountStory(`
			victim>thief 100
			thief>a 40
			a>b 39`)
		theft := Theft{"hash", []Source{Holding{who(textChain, "thief"), coinAsset, num(100), flow.Pos{Height: 2}}}}
		o := Options{}
		change(&theft, &o)
		return run(t, newGraph(txs), theft, o).Hash
	}
	seen := map[flow.Hash]string{}
	for name, change := range map[string]func(*Theft, *Options){
		"plain": func(*Theft, *Options) {},
		"name":  func(th *Theft, _ *Options) { th.Name = "other" },
		"amount": func(th *Theft, _ *Options) {
			th.Sources = []Source{Holding{who(textChain, "thief"), coinAsset, num(99), flow.Pos{Height: 2}}}
		},
		"policies":  func(_ *Theft, o *Options) { o.Policies = []Policy{FIFO} },
		"direction": func(_ *Theft, o *Options) { o.Backward = true },
		"dust":      func(_ *Theft, o *Options) { o.DustShare = 1 },
		"floor":     func(_ *Theft, o *Options) { o.Dust = map[flow.Asset]flow.Amount{coinAsset: num(1)} },
		"budget":    func(_ *Theft, o *Options) { o.Budget.Hops = 7 },
		"stop":      func(_ *Theft, o *Options) { o.Stop = stopAt(who(textChain, "b")) },
	} {
		h := hash(change)
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
		for range 5 {
			if hash(change) != h {
				t.Errorf("%s: the hash changes from run to run", name)
			}
		}
	}
}

func TestCompare(t *testing.T) {
	txs := accountStory(`
		>thief 100
		victim>thief 100
		thief>shop 60
		thief>friend 140`)
	theft := Theft{"compare", []Source{Holding{who(textChain, "thief"), coinAsset, num(100), flow.Pos{Height: 3}}}}
	r := run(t, newGraph(txs), theft, exact(CleanFirst, FIFO, Haircut, DirtyFirst, Poison))
	table := r.Disagreement
	if got := strings.Join(table.Policies, " "); got != "clean-first fifo haircut dirty-first poison" {
		t.Errorf("policies %s", got)
	}
	want := []Row{
		{Holder: Holder{Account: who(textChain, "friend"), Asset: coinAsset}, Stolen: coinAsset,
			Claims: []flow.Amount{num(100), num(100), num(70), num(40), num(100)}, Low: num(40), High: num(100), Differs: true},
		{Holder: Holder{Account: who(textChain, "shop"), Asset: coinAsset}, Stolen: coinAsset,
			Claims: []flow.Amount{{}, {}, num(30), num(60), num(60)}, High: num(60), Differs: true},
		{Holder: Holder{Account: who(textChain, "thief"), Asset: coinAsset}, Stolen: coinAsset,
			Claims: []flow.Amount{{}, {}, {}, {}, num(100)}},
	}
	if len(table.Rows) != len(want) {
		t.Fatalf("rows %+v", table.Rows)
	}
	for i, w := range want {
		g := table.Rows[i]
		if g.Holder != w.Holder || g.Low != w.Low || g.High != w.High || g.Differs != w.Differs || !slices.Equal(g.Claims, w.Claims) {
			t.Errorf("row %d is %+v; want %+v", i, g, w)
		}
	}
	c := table.Lines[0]
	if c.Amount != num(100) || c.Certain != num(40) || c.Differing != 2 || c.Places != 3 {
		t.Errorf("certainty %+v", c)
	}
}

func TestLiveViewOfALedger(t *testing.T) {
	txs := accountStory(`
		victim>thief 100
		thief>a 40
		a>b 40`)
	theft := Theft{"live", []Source{Holding{who(textChain, "thief"), coinAsset, num(100), flow.Pos{Height: 2}}, Outflow{Account: who(textChain, "x")}}}
	c, err := New(theft, exact(FIFO))
	if err != nil {
		t.Fatal(err)
	}
	l := c.Ledgers(textChain)[0]
	news := []string{}
	for _, tx := range txs {
		n := l.EdgeCount()
		if err := c.Apply(t.Context(), newGraph(txs), tx); err != nil {
			t.Fatal(err)
		}
		for e := range l.Edges(n) {
			news = append(news, e.From.Address()+">"+e.To.Address()+" "+e.Claim.String())
		}
	}
	if got, want := strings.Join(news, ", "), "thief>a 40, a>b 40"; got != want {
		t.Errorf("news %q; want %q", got, want)
	}
	following := []string{}
	for h := range l.Following() {
		following = append(following, h.Account.Address())
	}
	slices.Sort(following)
	if got, want := strings.Join(following, " "), "b thief x"; got != want {
		t.Errorf("following %q; want %q", got, want)
	}
	if l.Follows(who(textChain, "a")) || !l.Follows(who(textChain, "b")) || !l.Follows(who(textChain, "x")) || l.FollowsCoin(flow.Outpoint{}) {
		t.Error("Follows disagrees with Following")
	}
	if at, ok := l.Last(); !ok || at != (flow.Pos{Height: 3}) || l.Policy() != FIFO || l.Chain() != textChain {
		t.Errorf("last %s, %t", at, ok)
	}
}

func TestOrderIsKept(t *testing.T) {
	txs := accountStory(`
		victim>thief 100
		thief>a 40
		a>b 39`)
	theft := Theft{"order", []Source{Holding{who(textChain, "thief"), coinAsset, num(100), flow.Pos{Height: 2}}}}
	c, err := New(theft, exact(FIFO))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 2} {
		if err := c.Apply(t.Context(), nil, txs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Apply(t.Context(), nil, txs[2]); !errors.Is(err, ErrOrder) {
		t.Errorf("the same again: %v", err)
	}
	if err := c.Undo(textChain, flow.Pos{Height: 3}); !errors.Is(err, ErrUndo) {
		t.Errorf("undo without a log: %v", err)
	}
	if err := c.Undo(textChain, flow.Pos{Height: 4}); err != nil {
		t.Errorf("undo of nothing: %v", err)
	}
	o := exact(FIFO)
	o.Backward = true
	if c, err = New(theft, o); err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), nil, txs[0]); err == nil {
		t.Error("a backward ledger ate a transaction")
	}
}

// brokenGraph answers wrongly in one way.
type brokenGraph struct {
	*memGraph
	how string
}

func (g brokenGraph) After(ctx context.Context, asks []Ask) ([]Page, error) {
	pages, _ := g.memGraph.After(ctx, asks)
	switch g.how {
	case "error-after":
		return nil, errGraph
	case "few-pages":
		return pages[1:], nil
	case "empty-and-more":
		return make([]Page, len(asks), len(asks)+1), nil
	case "descending":
		for i := range pages {
			slices.Reverse(pages[i].Txs)
		}
	case "no-places":
		for i := range pages {
			for j := range pages[i].Txs {
				pages[i].Txs[j].Places = make([]uint32, 7)
			}
		}
	}
	return pages, nil
}

func (g brokenGraph) Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Tx, error) {
	txs, _ := g.memGraph.Spends(ctx, c, of)
	switch g.how {
	case "error-spends":
		return nil, errGraph
	case "few-spends":
		return txs[1:], nil
	case "other-tx":
		for i := range txs {
			txs[i] = g.txs[len(g.txs)-2]
		}
	}
	return txs, nil
}

func (g brokenGraph) Balances(ctx context.Context, of []BalanceAsk) ([]Balance, error) {
	all, _ := g.memGraph.Balances(ctx, of)
	switch g.how {
	case "error-balances":
		return nil, errGraph
	case "few-balances":
		return all[1:], nil
	}
	return all, nil
}

func TestBrokenGraphs(t *testing.T) {
	_, theft, g := smallCase(t, exact(FIFO))
	for _, how := range []string{"error-after", "few-pages", "descending", "no-places", "error-spends", "few-spends", "other-tx", "error-balances", "few-balances"} {
		_, err := Run(t.Context(), brokenGraph{g, how}, theft, exact(FIFO))
		want := ErrGraph
		if strings.HasPrefix(how, "error") {
			want = errGraph
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", how, err, want)
		}
	}
	if _, err := Run(t.Context(), brokenGraph{g, "empty-and-more"}, theft, exact(FIFO)); err != nil {
		t.Errorf("empty pages are an answer: %v", err)
	}
	if _, err := Run(t.Context(), brokenMore{g}, theft, exact(FIFO)); !errors.Is(err, ErrGraph) {
		t.Errorf("empty pages with more behind them: %v", err)
	}
}

type brokenMore struct{ *memGraph }

func (brokenMore) After(_ context.Context, asks []Ask) ([]Page, error) {
	pages := make([]Page, len(asks))
	for i := range pages {
		pages[i].More = true
	}
	return pages, nil
}

func TestHostileLegs(t *testing.T) {
	a, b := who(utxoChain, "a"), who(utxoChain, "b")
	coin := flow.Outpoint{Tx: txID("t0"), Index: 0}
	tx := flow.Tx{ID: txID("t1"), Point: flow.Point{Chain: utxoChain, Height: 1}, Movements: []flow.Movement{{
		Kind: flow.Transfer, Asset: utxoChain.Native(), Spent: []flow.Outpoint{coin},
		In: []flow.Leg{{Account: a, Amount: num(5)}}, Out: []flow.Leg{{Account: a, Amount: most}, {Account: b, Amount: most}},
	}}}
	theft := Theft{"hostile", []Source{Coin{coin, a, utxoChain.Native(), num(5)}}}
	if _, err := Run(t.Context(), newGraph([]flow.Tx{tx}), theft, Options{}); err == nil || !strings.Contains(err.Error(), "1/0/0") {
		t.Errorf("outputs beyond 2^256: %v", err)
	}
	// A token that pays out more than exists, again and again: a line holds no more than an amount can.
	txs := accountStory(strings.Repeat("thief>a "+most.String()+"\n", 4))
	r := run(t, newGraph(txs), Theft{"liar", []Source{Outflow{Account: who(textChain, "thief")}}}, exact(everyPolicy...))
	for _, res := range r.Results {
		if res.Policy != "poison" && (res.Lines[0].Stolen != most || res.Lines[0].Held != most || len(res.Assumed) == 0) {
			t.Errorf("%s: %s, assumed %v", res.Policy, res.Lines[0], res.Assumed)
		}
	}
	if sum := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)); most.Big().Cmp(sum) != 0 {
		t.Errorf("most is %s", most)
	}
}

func TestUndoDepthIsBounded(t *testing.T) {
	txs := accountStory("victim>a 100\n" + strings.Repeat("a>b 1\n", 100))
	o := exact(FIFO)
	o.UndoDepth = 5
	theft := Theft{"undo", []Source{Holding{who(textChain, "a"), coinAsset, num(100), flow.Pos{Height: 2}}}}
	c, err := New(theft, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, tx := range txs {
		if err := c.Apply(t.Context(), newGraph(txs), tx); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.Ledgers(textChain)[0].log.marks); n < 5 || n > 11 {
		t.Errorf("%d transactions can be undone; want at least 5 and about as many", n)
	}
	before := c.Snapshot()
	if err := c.Undo(textChain, flow.Pos{Height: 50}); !errors.Is(err, ErrUndo) {
		t.Errorf("undo of 50: %v", err)
	}
	if !bytes.Equal(c.Snapshot(), before) {
		t.Error("a refused undo changed the state")
	}
	if err := c.Undo(textChain, txs[len(txs)-5].At()); err != nil {
		t.Errorf("undo of 5: %v", err)
	}
}

func TestSnapshotOfAnotherCaseIsRefused(t *testing.T) {
	c, theft, _ := smallCase(t, Options{})
	b := c.Snapshot()
	other := theft
	other.Sources = theft.Sources[:2]
	stop := Options{Stop: stopAt(who(textChain, "exchange"))}
	if _, err := Restore(theft, stop, b); err != nil {
		t.Fatal(err)
	}
	dust := stop
	dust.DustShare = 5
	for name, try := range map[string]func() (*Case, error){
		"theft":   func() (*Case, error) { return Restore(other, stop, b) },
		"options": func() (*Case, error) { return Restore(theft, dust, b) },
		"short":   func() (*Case, error) { return Restore(theft, stop, b[:len(b)-1]) },
		"long":    func() (*Case, error) { return Restore(theft, stop, append(b[:len(b):len(b)], 0)) },
		"empty":   func() (*Case, error) { return Restore(theft, stop, nil) },
	} {
		if _, err := try(); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever the bytes, a restored ledger conserves its claims and can be fed.
func FuzzRestore(f *testing.F) {
	o := exact(everyPolicy...)
	c, theft, g := smallCase(f, o)
	heads := [][]byte{}
	for _, chain := range c.Chains() {
		for _, l := range c.Ledgers(chain) {
			s := l.Snapshot()
			heads = append(heads, l.ident[:])
			f.Add(uint8(len(heads)-1), s[len(l.ident):])
		}
	}
	o.Stop = stopAt(who(textChain, "exchange"))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		fresh, err := New(theft, o)
		if err != nil {
			t.Fatal(err)
		}
		var ledgers []*Ledger
		for _, chain := range fresh.Chains() {
			ledgers = append(ledgers, fresh.Ledgers(chain)...)
		}
		l := ledgers[int(which)%len(ledgers)]
		if err := l.restore(append(slices.Clone(heads[int(which)%len(ledgers)]), b...)); err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Fatalf("%v does not wrap ErrSnapshot", err)
			}
			return
		}
		for _, tx := range g.txs {
			if tx.Point.Chain != l.chain {
				continue
			}
			if err := l.applyAlone(t.Context(), g, tx); err != nil && !errors.Is(err, ErrOrder) {
				t.Fatal(err)
			}
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
		}
		again := newLedger(l.policy, l.chain, theft.mustPlain(t), l.options)
		bind([]*Ledger{again}, 0)
		if err := again.restore(l.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
}

func (t Theft) mustPlain(tb testing.TB) []plainSource {
	plain, err := t.plain()
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

func TestACaseDoesNotMindOtherChains(t *testing.T) {
	txs := accountStory("victim>a 100\na>b 1\n")
	c, err := New(Theft{"here", []Source{Holding{who(textChain, "a"), coinAsset, num(100), flow.Pos{Height: 2}}}}, exact(FIFO))
	if err != nil {
		t.Fatal(err)
	}
	before := c.Snapshot()
	for _, tx := range txs {
		tx.Point.Chain = flow.Ethereum
		if err := c.Apply(t.Context(), nil, tx); err != nil {
			t.Error(err)
		}
	}
	c.Final(flow.Ethereum, flow.Pos{Height: 9})
	if err := c.Undo(flow.Ethereum, flow.Pos{}); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(c.Snapshot(), before) {
		t.Error("a transaction of another chain changed the case")
	}
}
