package watch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/detect"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

func TestPendingIsToldOnce(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 100
block 2 bb
tx out
eth:thief eth:shop ETH 40
eth:thief eth:shop FAKE 40
tx poison
eth:thief eth:shop ETH 0
eth:thief eth:shop FAKE 7
eth:shop eth:thief ETH 7
eth:thief - ETH 1 fee
tx mine
eth:mine eth:shop ETH 3
`)...)
	g.fakes[token("FAKE")] = true
	w := listing(t, Config{Pending: 2}, List{Name: "mine", Accounts: []flow.Account{text("mine")}})
	opens(t, w, g, heist())
	forward(t, w, g, g.blocks[0])
	before := w.Snapshot()
	txs := g.blocks[1].Txs
	all := w.Pending(g, txs[0], seenAt)
	want := "high provisional: In a transaction that is in no block yet, thief, who holds money of this case, gives 40 ETH to shop. It may never be on the chain, or be replaced.\n"
	if got := lines(all); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	if a := all[0]; a.Key != "pending/heist/"+txs[0].ID.String() || a.Kind != alert.Provisional || a.At != g.blocks[0].Point || a.Case != "heist" {
		t.Errorf("%+v", a)
	}
	if again := w.Pending(g, txs[0], seenAt); len(again) != 0 {
		t.Errorf("again: %s", lines(again))
	}
	if poison := w.Pending(g, txs[1], seenAt); len(poison) != 0 {
		t.Errorf("of nothing: %s", lines(poison))
	}
	want = "medium provisional: In a transaction that is in no block yet, mine, of the list mine, gives 3 ETH to shop. It may never be on the chain, or be replaced.\n"
	if got := lines(w.Pending(g, txs[2], seenAt)); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	higher := txs[0]
	higher.ID = flow.Hash{9}
	if got := w.Pending(g, higher, seenAt); len(got) != 1 {
		t.Errorf("one in its place: %s", lines(got))
	}
	if got := w.Pending(g, txs[0], seenAt); len(got) != 1 { // two are remembered
		t.Errorf("what was forgotten: %s", lines(got))
	}
	if string(w.Snapshot()) != string(before) {
		t.Error("a pending transaction has changed something")
	}
}

func TestPendingCoins(t *testing.T) {
	g := newWorld(blocks(t, `
chain regtest
block 1 aa time=1700000000
tx mint
- -> thief 100 thief 50
block 2 bb
tx spend
mint:0 thief 100 -> a 99
tx own
mint:1 thief 50 -> a 49
`)...)
	w := New(Config{})
	mint := g.blocks[0].Txs[0].ID
	c := Case{ID: "heist", Options: options(), Theft: trace.Theft{Sources: []trace.Source{
		trace.Coin{Outpoint: flow.Outpoint{Tx: mint}, Account: script("thief"), Asset: flow.BitcoinRegtest.Native(), Amount: flow.NewAmount(100)},
	}}}
	b := g.blocks[0].Point
	if _, err := w.Open(t.Context(), g, c, Start{Final: b}); err != nil {
		t.Fatal(err)
	}
	if got := w.Pending(g, g.blocks[1].Txs[0], seenAt); len(got) != 1 {
		t.Errorf("the stolen coin: %s", lines(got))
	}
	if got := w.Pending(g, g.blocks[1].Txs[1], seenAt); len(got) != 0 {
		t.Errorf("another coin: %s", lines(got))
	}
}

func TestACaseThatIsSetAsideIsSaidOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("block 1 aa time=1700000000\neth:victim eth:thief ETH 1000\n")
	for i := range 5 {
		fmt.Fprintf(&b, "block %d x%d time=%d\neth:thief eth:n%d ETH 10\n", i+2, i, 1700000060+60*i, i)
	}
	g := newWorld(blocks(t, b.String())...)
	w := New(Config{})
	c := heist()
	c.Options.Budget.Transactions = 2
	opens(t, w, g, c)
	var told []string
	var again []Reopen
	for i, bl := range g.blocks {
		n := forward(t, w, g, bl)
		again = append(again, n.Reopen...)
		for _, a := range n.Alerts {
			if a.Kind == alert.State {
				told = append(told, fmt.Sprint(i+1, " ", a.Title))
			}
		}
	}
	if fmt.Sprint(told) != "[3 A case is no longer followed]" || len(again) != 1 || again[0].ID != "heist" || w.Stats().Aside != 1 {
		t.Errorf("%q, %+v, %+v", told, again, w.Stats())
	}
	w.Back(g.blocks[2].Point)
	if n := forward(t, w, g, g.blocks[2]); len(n.Reopen) != 1 || w.Stats().Aside != 1 {
		t.Errorf("once more: %s", lines(n.Alerts))
	}
}

// A case whose habits cannot be looked for is followed all the same.
func TestTroubleWithHabits(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 1000
block 2 bb time=1700000060
eth:thief eth:a ETH 100
block 3 cc time=1700000120
eth:thief eth:b ETH 100
`)...)
	w := New(Config{})
	opens(t, w, g, heist())
	forward(t, w, g, g.blocks[0])
	w.seats[seatID("heist", textEth)].detector = must(detect.New(flow.Bitcoin, detect.Options{}))
	n := forward(t, w, g, g.blocks[1])
	if len(n.Alerts) != 2 || n.Alerts[0].Finding == nil || n.Alerts[1].Title != "A case is followed in part" || n.Alerts[1].Tx != g.blocks[1].Txs[0].ID || len(n.Reopen) != 1 {
		t.Errorf("%s %+v", lines(n.Alerts), n.Reopen)
	}
	if n := forward(t, w, g, g.blocks[2]); len(n.Alerts) != 1 || len(n.Reopen) != 0 {
		t.Errorf("and then: %s", lines(n.Alerts))
	}
	w.Back(g.blocks[2].Point)
	if forward(t, w, g, g.blocks[2]); w.seats[seatID("heist", textEth)].detector == nil {
		t.Error("it was not made anew")
	}
}

func TestACaseThatIsClosedWhileItIsAside(t *testing.T) {
	g := newWorld(blocks(t, "block 1 aa time=1\neth:victim eth:thief ETH 100\nblock 2 bb time=2\neth:thief eth:a ETH 1\nblock 3 cc time=3\neth:thief eth:a ETH 1\n")...)
	w := New(Config{})
	c := heist()
	c.Options.Budget.Transactions = 1
	opens(t, w, g, c)
	for _, b := range g.blocks {
		forward(t, w, g, b)
	}
	w.Close("heist")
	for _, back := range []int{2, 1} {
		w.Back(g.blocks[back].Point)
	}
	for _, b := range g.blocks[1:] {
		if n := forward(t, w, g, b); len(n.Alerts)+len(n.Reopen) != 0 {
			t.Errorf("of a closed case: %s", lines(n.Alerts))
		}
	}
}

func TestAnUndoThatIsTooDeep(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 1000
block 2 bb time=1700000060
eth:thief eth:a ETH 10
`)...)
	w := New(Config{})
	opens(t, w, g, heist(), g.blocks...) // walked to block 1, which is final
	w.Back(g.blocks[1].Point)
	w.Back(g.blocks[0].Point)
	n := forward(t, w, g, g.blocks[0])
	if len(n.Reopen) != 1 || len(n.Alerts) != 1 || n.Alerts[0].Kind != alert.State {
		t.Errorf("%s, %+v", lines(n.Alerts), n.Reopen)
	}
	w.Close("heist")
	o, err := w.Open(t.Context(), g, heist(), Start{Final: g.blocks[0].Point})
	if err != nil {
		t.Fatal(err)
	}
	if n := forward(t, w, g, g.blocks[1]); len(of(n.Alerts, "live-move")) != 1 || len(n.Reopen) != 0 {
		t.Errorf("opened anew at %v: %s", o.Alert.At, lines(n.Alerts))
	}
}

func TestAnAssetThatNobodyNamed(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 1000
eth:victim eth:thief FAKE 1000
block 2 bb time=1700000060
eth:victim eth:thief DAI 1000
eth:victim eth:thief DAI 1
`)...)
	g.fakes[token("FAKE")] = true
	w := New(Config{})
	c := heist()
	c.All = []flow.Account{text("victim")}
	opens(t, w, g, c)
	if n := forward(t, w, g, g.blocks[0]); len(n.Reopen) != 0 {
		t.Errorf("%+v", n.Reopen)
	}
	if n := forward(t, w, g, g.blocks[1]); len(n.Reopen) != 1 || n.Reopen[0].ID != "heist" || !strings.HasPrefix(n.Reopen[0].Reason, "victim gave DAI in transaction ") {
		t.Errorf("%+v", n.Reopen)
	}
}
