package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// listing is a watch with one list.
func listing(t *testing.T, c Config, l List) *Watch {
	t.Helper()
	w := New(c)
	if err := w.SetLists([]List{l}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestListedAccountsAreTold(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:x eth:mine ETH 500
eth:other eth:y ETH 7
block 2 bb time=1700000060
eth:mine eth:shop ETH 100
eth:mine - ETH 2 fee
block 3 cc time=1700000120
eth:mine eth:mine2 ETH 30
`)...)
	w := listing(t, Config{}, List{Name: "mine", Accounts: []flow.Account{text("mine"), text("mine2"), text("mine")}, Severity: finding.High, Contact: "me"})
	want := []string{
		"high list-got: mine, of the list mine, got 500 ETH from x.\n",
		"high list-gave: mine, of the list mine, gave 100 ETH to shop.\n",
		"high list-gave: mine, of the list mine, gave 30 ETH to mine2.\nhigh list-got: mine2, of the list mine, got 30 ETH from mine.\n",
	}
	for i, b := range g.blocks {
		n := forward(t, w, g, b)
		if got := lines(n.Alerts); got != want[i] {
			t.Errorf("block %d: got %swant %s", i+1, got, want[i])
		}
		if a := n.Alerts[0]; a.Contact != "me" || a.Case != "mine" || !strings.HasPrefix(a.Key, "mine/list-") {
			t.Errorf("%+v", a)
		}
	}
	if s := w.Stats(); s.Lists != 1 || s.Accounts != 2 || s.Dust != 0 {
		t.Errorf("%+v", s)
	}
}

// Whoever floods a list with dust, with nothing, or with tokens of his own is counted and not told.
func TestPoisonIsCounted(t *testing.T) {
	g := newWorld(blocks(t, `
chain eip155:1
block 1 aa time=1700000000
x mine native 9999999999999999
x mine native 0
x mine TUSD 9999999
x mine FAKE 50000000000
mine x FAKE 50000000000
mine x TUSD 0
block 2 bb time=1700000060
x mine native 10000000000000000
x mine TUSD 10000000
`)...)
	g.fakes[flow.Token(evm("FAKE"))] = true
	g.names[flow.Token(evm("TUSD"))] = "TUSD"
	w := listing(t, Config{}, List{Name: "mine", Accounts: []flow.Account{evm("mine")}})
	w18 := decimals{g, map[flow.Asset]int{flow.Ethereum.Native(): 18}}
	first, err := w.Forward(t.Context(), w18, Seen{g.blocks[0], seenAt})
	if err != nil || len(first.Alerts) != 0 {
		t.Fatalf("%s, %v", lines(first.Alerts), err)
	}
	if n := w.Stats().Dust; n != 6 {
		t.Errorf("%d counted; want 6", n)
	}
	n, err := w.Forward(t.Context(), w18, Seen{g.blocks[1], seenAt})
	if err != nil || len(n.Alerts) != 2 {
		t.Fatalf("%s, %v", lines(n.Alerts), err)
	}
	if a := n.Alerts[0].Text; !strings.HasSuffix(a, "Besides, 6 movements of dust or of tokens that nobody vouches for were counted since the last alert about this list.") {
		t.Error(a)
	}
	if strings.Contains(n.Alerts[1].Text, "Besides") || w.dust["mine"].since != 0 || w.Stats().Dust != 6 {
		t.Errorf("it is said twice: %s", lines(n.Alerts))
	}
	w.Back(g.blocks[1].Point)
	again, err := w.Forward(t.Context(), w18, Seen{g.blocks[1], seenAt})
	if err != nil || lines(again.Alerts) != lines(n.Alerts) {
		t.Errorf("once more: %s, %v", lines(again.Alerts), err)
	}
}

// decimals is a world in which some assets have other decimals.
type decimals struct {
	*world
	of map[flow.Asset]int
}

func (d decimals) Name(a flow.Asset) (string, int) {
	s, n := d.world.Name(a)
	if m, ok := d.of[a]; ok {
		n = m
	}
	return s, n
}

func TestChangeIsNoPayment(t *testing.T) {
	g := newWorld(blocks(t, `
chain regtest
block 1 aa time=1700000000
tx mint
- -> mine 1000000 mine 500000 mine2 500000
block 2 bb time=1700000060
tx pay
mint:0 mine 1000000 mint:2 mine2 500000 -> shop 200000 mine 1290000
`)...)
	w := listing(t, Config{}, List{Name: "mine", Accounts: []flow.Account{script("mine"), script("mine2")}})
	forward(t, w, g, g.blocks[0])
	got := lines(forward(t, w, g, g.blocks[1]).Alerts)
	if !strings.Contains(got, "gave 210000 slip44:1") || strings.Contains(got, "list-got") {
		t.Error(got)
	}
}

func TestListedAccountThatRested(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:mine eth:x ETH 1
eth:new eth:x ETH 1
block 2 bb time=1700864000
tx once
eth:mine eth:x ETH 5
tx twice
eth:mine eth:x ETH 6
block 3 cc time=1700864060
eth:mine eth:x ETH 1
`)...)
	w := listing(t, Config{}, List{Name: "mine", Accounts: []flow.Account{text("mine"), text("new")}, Dormant: 10 * 24 * time.Hour})
	for i, want := range []int{0, 1, 0} {
		all := of(forward(t, w, g, g.blocks[i]).Alerts, "list-dormant")
		if len(all) != want {
			t.Errorf("block %d: %s", i+1, lines(all))
		}
		if want == 1 && lines(all) != "high list-dormant: mine, of the list mine, gave again after 10 days: 5 ETH.\n" {
			t.Error(lines(all))
		}
	}
	if g.asked != 4 {
		t.Errorf("the world was asked %d times; want 4", g.asked)
	}
}

func TestWhatTheWorldFailsAtIsTakenBack(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 100
block 2 bb time=1700864000
eth:thief eth:x ETH 5
eth:mine eth:x ETH 5
`)...)
	w := listing(t, Config{}, List{Name: "mine", Accounts: []flow.Account{text("mine")}, Dormant: time.Hour})
	opens(t, w, g, heist())
	forward(t, w, g, g.blocks[0])
	before := w.Snapshot()
	g.fail = errWorld
	if n, err := w.Forward(t.Context(), noBalances{g}, Seen{g.blocks[1], seenAt}); !errors.Is(err, errWorld) {
		t.Fatalf("%s, %v", lines(n.Alerts), err)
	}
	if string(w.Snapshot()) != string(before) {
		t.Error("something was eaten")
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	g.fail = nil
	if _, err := w.Forward(done, noBalances{g}, Seen{g.blocks[1], seenAt}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	} else if err == nil {
		w.Back(g.blocks[1].Point)
	}
	if n := forward(t, w, g, g.blocks[1]); len(n.Alerts) != 2 {
		t.Errorf("after that: %s", lines(n.Alerts))
	}
	if _, err := w.Forward(t.Context(), g, Seen{g.blocks[1], seenAt}); !errors.Is(err, trace.ErrOrder) {
		t.Errorf("the same again: %v", err)
	}
}

// noBalances is a world that knows all balances.
type noBalances struct{ *world }

func (noBalances) Balances(_ context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	return make([]trace.Balance, len(of)), nil
}

func TestSetListsRefuses(t *testing.T) {
	w := listing(t, Config{}, List{Name: "mine", Accounts: []flow.Account{text("mine")}})
	for name, all := range map[string][]List{
		"no-name":  {{}},
		"a-slash":  {{Name: "a/b"}},
		"twice":    {{Name: "a"}, {Name: "a"}},
		"severity": {{Name: "a", Severity: 99}},
	} {
		if err := w.SetLists(all); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if s := w.Stats(); s.Accounts != 1 {
		t.Errorf("the lists have changed: %+v", s)
	}
	if err := w.SetLists(nil); err != nil {
		t.Fatal(err)
	}
	g := newWorld(blocks(t, "block 1 aa time=1\neth:mine eth:x ETH 5\n")...)
	if n := forward(t, w, g, g.blocks[0]); len(n.Alerts) != 0 {
		t.Errorf("of a list that is gone: %s", lines(n.Alerts))
	}
}

func TestOneAccountOnManyLists(t *testing.T) {
	var all []List
	for i := range 300 {
		all = append(all, List{Name: fmt.Sprintf("l%03d", i), Accounts: []flow.Account{text("mine"), text(fmt.Sprintf("own%d", i))}})
	}
	w := New(Config{})
	if err := w.SetLists(all); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"mine": 300, "own7": 1, "nobody": 0} {
		if got := w.lists.find(text(name), nil); len(got) != want {
			t.Errorf("%s is on %d lists; want %d", name, len(got), want)
		}
	}
}

func TestListOfTheDefaultLeast(t *testing.T) {
	g := newWorld()
	names := map[string]int{"USDC": 6, "ETH": 18, "BTC": 8, "X": 0, "WILD": 300}
	for name, want := range map[string]string{"USDC": "10000000", "ETH": "10000000000000000", "BTC": "10000", "X": "0", "WILD": "0"} {
		if got := leastOf(token(name), decimals{g, map[flow.Asset]int{token(name): names[name]}}); got.String() != want {
			t.Errorf("least of %s: %s; want %s", name, got, want)
		}
	}
}
