package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// day is a time for stories: so many days after the theft.
const dayZero = 1700000000

// live lets a watch with the case of the heist eat a story, and returns the news of each block.
func live(t *testing.T, c Config, g *world, text string) (*Watch, []News) {
	t.Helper()
	g.blocks = blocks(t, text)
	w := New(c)
	opens(t, w, g, heist())
	var news []News
	for _, b := range g.blocks {
		news = append(news, forward(t, w, g, b))
	}
	return w, news
}

func TestEachHopIsToldOnce(t *testing.T) {
	_, news := live(t, Config{}, newWorld(), `
block 1 aa time=1700000000   # the theft
- eth:victim ETH 1000
tx theft
eth:victim eth:thief ETH 1000
block 2 bb time=1700000060   # somebody else
eth:x eth:y ETH 5
block 3 cc time=1700000120   # he peels
tx peel
eth:thief eth:shop ETH 5
eth:thief eth:next ETH 995
`)
	want := []string{
		"high live-move: 1000 ETH, all of the theft, moved from victim to thief, 1 hop from the theft. The new holder is watched from now on.\n",
		"",
		"high live-move: 1000 ETH, all of the theft, moved from thief to next and shop, 2 hops from the theft. The new holders are watched from now on.\n",
	}
	for i, n := range news {
		if got := lines(n.Alerts); got != want[i] {
			t.Errorf("block %d:\n%swant\n%s", i+1, got, want[i])
		}
	}
	a := news[2].Alerts[0]
	if f := a.Finding; f == nil || len(f.Subjects) != 2 || f.Subjects[0] != text("next") || len(f.Evidence) != 2 || a.Key != "heist/live-move/"+f.ID.String() ||
		a.Kind != alert.Found || a.Case != "heist" || a.Tx != f.Evidence[0].Tx || a.At.Height != 3 || !a.Seen.Equal(seenAt) || !a.Made.IsZero() {
		t.Errorf("%+v, finding %+v", a, a.Finding)
	}
}

func TestASmallPartIsMedium(t *testing.T) {
	_, news := live(t, Config{}, newWorld(), `
block 1 aa time=1700000000
eth:victim eth:thief ETH 1000
block 2 bb time=1700000120
eth:thief eth:shop ETH 9
`)
	if got, want := lines(news[1].Alerts), "medium live-move: 9 ETH, 9 of 1000 parts of the theft, moved from thief to shop, 2 hops from the theft. The new holder is watched from now on.\n"; got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

func TestArrivalSaysHowMuchUnderEachRuleAndWhomToCall(t *testing.T) {
	g := newWorld()
	g.parties[text("exchange1")] = Party{"Kraken", "exchange", "security@kraken.example"}
	_, news := live(t, Config{}, g, `
block 1 aa time=1700000000
- eth:thief ETH 60
eth:victim eth:thief ETH 100
block 2 bb time=1700000120
eth:thief eth:exchange1 ETH 90
block 3 cc time=1700000180
eth:thief eth:bridge1 ETH 5
block 4 dd time=1700000240
eth:thief eth:mixer1 ETH 5
block 5 ee time=1700000300
eth:thief - ETH 60
`)
	want := []string{"",
		"critical live-arrival: 90 ETH, 900 of 1000 parts of the theft, arrived at exchange1 (Kraken, exchange) from thief. How much of it is stolen, by rule: " +
			"haircut 56 ETH, fifo 30 ETH, dirty-first 90 ETH, clean-first 30 ETH. Minutes count: ask the service to freeze it: security@kraken.example.\n",
		"critical live-bridge: 5 ETH, 50 of 1000 parts of the theft, arrived at bridge1 from thief. How much of it is stolen, by rule: " +
			"haircut 3 ETH, fifo 5 ETH, dirty-first 5 ETH, clean-first 5 ETH. It comes out on another chain: look for it there, and ask the bridge's operators to hold it.\n",
		"critical live-mixer: 5 ETH, 50 of 1000 parts of the theft, arrived at mixer1 from thief. How much of it is stolen, by rule: " +
			"haircut 3 ETH, fifo 5 ETH, dirty-first 5 ETH, clean-first 5 ETH. What leaves the mixer cannot be told apart by this trace: watch its payouts.\n",
		"", // under dirty-first nothing is left
	}
	for i := 1; i < len(want); i++ {
		if got := lines(news[i].Alerts); got != want[i] {
			t.Errorf("block %d:\n%swant\n%s", i+1, got, want[i])
		}
	}
	if a := news[1].Alerts[0]; a.Contact != "security@kraken.example" || a.Finding.Subjects[0] != text("exchange1") {
		t.Errorf("%+v", a)
	}
}

func TestArrivalThatOnlyAnotherRuleSees(t *testing.T) {
	_, news := live(t, Config{}, newWorld(), `
block 1 aa time=1700000000
- eth:thief ETH 60
eth:victim eth:thief ETH 100
block 2 bb time=1700000120
eth:thief eth:own ETH 100
block 3 cc time=1700000180
eth:thief eth:exchange1 ETH 60
`)
	want := "high live-arrival: 60 ETH, stolen as fifo says, arrived at exchange1 from thief. How much of it is stolen, by rule: " +
		"haircut 38 ETH, fifo 60 ETH, dirty-first 0 ETH, clean-first 60 ETH. Minutes count: ask the service to freeze it.\n"
	if got := lines(news[2].Alerts); got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

func TestBurnAndDormancy(t *testing.T) {
	_, news := live(t, Config{Dormant: 10 * 24 * time.Hour}, newWorld(), `
block 1 aa time=1700000000
eth:victim eth:thief ETH 100
block 2 bb time=1700860000   # not quite ten days
eth:thief eth:a ETH 50
block 3 cc time=1701724000   # ten days after that
eth:thief - ETH 50
`)
	if got := lines(news[1].Alerts); strings.Contains(got, "dormant") || strings.Contains(got, "burn") {
		t.Errorf("too early: %s", got)
	}
	want := "high live-dormant: 50 ETH, 500 of 1000 parts of the theft, left thief, where it had lain still for up to 10 days.\n" +
		"info live-burn: 50 ETH, 500 of 1000 parts of the theft, was destroyed by thief.\n"
	if got := lines(news[2].Alerts); got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

func TestWhatNeverMovedSinceTheTheft(t *testing.T) {
	bs := blocks(t, `
block 1 aa time=1700000000
- eth:thief ETH 100
block 2 bb time=1800000000
eth:thief eth:a ETH 50
`)
	for _, since := range []int64{0, dayZero} {
		g, w := newWorld(bs...), New(Config{})
		c := heist()
		c.Since = since
		c.Theft = trace.Theft{Sources: []trace.Source{trace.Holding{Account: text("thief"), Asset: token("ETH"), Amount: flow.NewAmount(100), At: flow.Pos{Height: 2}}}}
		opens(t, w, g, c, bs[0])
		if n := len(of(forward(t, w, g, bs[1]).Alerts, "live-dormant")); n != int(since/dayZero) {
			t.Errorf("stolen at %d: %d alerts about a rest", since, n)
		}
	}
}

func TestSwapKeepsTheHolder(t *testing.T) {
	g := newWorld()
	g.blocks = blocks(t, `
block 1 aa time=1700000000
- eth:pool DAI 9000
eth:victim eth:thief ETH 100
block 2 bb time=1700000060
tx swap
eth:thief eth:pool ETH 100
eth:pool eth:thief DAI 5000
`)
	c := heist()
	c.Options.Swaps = trace.Swaps{Rule: "test/1", Of: func(tx flow.Tx) []trace.Pass {
		if len(tx.Movements) != 2 || tx.Movements[0].In[0].Account != text("thief") {
			return nil
		}
		return []trace.Pass{{From: text("thief"), To: text("thief"), FromAsset: token("ETH"), ToAsset: token("DAI"), FromAmount: flow.NewAmount(100), ToAmount: flow.NewAmount(5000)}}
	}}
	w := New(Config{})
	opens(t, w, g, c)
	forward(t, w, g, g.blocks[0])
	got := lines(of(forward(t, w, g, g.blocks[1]).Alerts, "live-move"))
	want := "high live-move: 5000 DAI, all of the theft, moved through an exchange in one transaction from thief to thief, 2 hops from the theft. The new holder is watched from now on.\n"
	if got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

const freezeStory = `
chain eip155:1
block 1 aa time=1700000000
tx theft
victim thief TUSD 100
block 2 bb time=1700000060
tx freeze
emit TUSD 0xffa4e6181777692565cf28528fc88fd1516ea86b56da075235fa575af6a4b855 THIEF :
tx fake
emit FAKE 0xffa4e6181777692565cf28528fc88fd1516ea86b56da075235fa575af6a4b855 THIEF :
tx other
emit TUSD 0x42e160154868087d6bfdc0ca23d96a1c1cfa32f1b72ba9ba27b69b98a0d819dc : OTHER
block 3 cc time=1700000120
tx unfreeze
emit TUSD 0x117e3210bb9aa7d9baff172026820255c6f6c30ba8999d1c2fd88e2848137c4e THIEF :
tx again
emit TUSD 0x61e6e66b0d6339b2980aecc6ccc0039736791f0ccde9ed512e789a7fbdd698c6 : THIEF 100
`

func TestIssuersActs(t *testing.T) {
	number := func(name string) string {
		b, _ := evm(name).EVMAddress()
		return fmt.Sprintf("0x%x", b)
	}
	bs := blocks(t, strings.NewReplacer("THIEF", number("thief"), "OTHER", number("other")).Replace(freezeStory))
	g := newWorld(bs...)
	usd := flow.Token(evm("TUSD"))
	g.names[usd] = "TUSD"
	g.fakes[flow.Token(evm("FAKE"))] = true
	w := New(Config{})
	c := Case{ID: "heist", Options: options(), Theft: trace.Theft{Sources: []trace.Source{trace.Outflow{Account: evm("victim"), Asset: usd}}}}
	if _, err := w.Open(t.Context(), g, c, Start{Chain: flow.Ethereum}); err != nil {
		t.Fatal(err)
	}
	if err := w.SetLists([]List{{Name: "mine", Accounts: []flow.Account{evm("other")}, Contact: "me"}}); err != nil {
		t.Fatal(err)
	}
	forward(t, w, g, bs[0])
	thief, other := evm("thief").Address(), evm("other").Address()
	want := "info live-frozen: The issuer of TUSD froze the tokens of " + thief + ". 0.0001 TUSD there are stolen, as dirty-first says.\n" +
		"info list-frozen: The issuer of TUSD froze the tokens of " + other + ". It is on the list mine.\n"
	if got := lines(forward(t, w, g, bs[1]).Alerts); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	want = "medium live-frozen: The issuer of TUSD took back the freeze of " + thief + ". 0.0001 TUSD there are stolen, as dirty-first says.\n" +
		"info live-frozen: The issuer of TUSD destroyed the frozen tokens of " + thief + ". 0.0001 TUSD there are stolen, as dirty-first says.\n"
	if got := lines(forward(t, w, g, bs[2]).Alerts); got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

func TestStormIsSummedUp(t *testing.T) {
	var b strings.Builder
	b.WriteString("block 1 aa time=1700000000\neth:victim eth:thief ETH 100000\nblock 2 bb time=1700000060\n")
	for i := range 60 {
		fmt.Fprintf(&b, "eth:thief eth:n%d ETH %d\n", i, 1000+i)
	}
	b.WriteString("eth:thief eth:exchange1 ETH 10\n")
	w, news := live(t, Config{PerBlock: 5}, newWorld(), b.String())
	all := news[1].Alerts
	if len(all) != 6 || len(of(all, "live-arrival")) != 1 {
		t.Fatalf("%d alerts:\n%s", len(all), lines(all))
	}
	for _, a := range all[:4] {
		if a.Severity != finding.High || a.Finding.Evidence[0].Amount.Less(flow.NewAmount(1055)) && a.Finding.Rule == "live-move" {
			t.Errorf("not one of the largest: %s", a.Text)
		}
	}
	sum := all[5]
	if sum.Finding != nil || !strings.HasPrefix(sum.Key, "heist/summary/") || !strings.Contains(sum.Text, "× live-move") || !strings.Contains(sum.Text, "ETH") {
		t.Errorf("summary %+v", sum)
	}
	if s := w.Stats(); s.Withheld < 56 || s.Alerts["live-move"] != 1+3 && s.Alerts["live-move"] != 1+4 || s.Touches != 62 || s.Following != 62 || s.Blocks != 2 {
		t.Errorf("%+v", s)
	}
}

func TestHabitsAreTold(t *testing.T) {
	var b strings.Builder
	b.WriteString("block 1 aa time=1700000000\neth:victim eth:thief ETH 100000\n")
	for i := range 30 {
		fmt.Fprintf(&b, "block %d x%d time=%d\neth:thief eth:n%d ETH 3000\n", i+2, i, 1700000060+60*i, i)
	}
	_, news := live(t, Config{}, newWorld(), b.String())
	found := 0
	for _, n := range news {
		found += len(of(n.Alerts, "fan-out"))
	}
	if found == 0 {
		t.Error("a fan-out was not told")
	}
}

func TestOneCaseMeetsAnother(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 1000
eth:other eth:gang ETH 500
block 2 bb time=1700000060
eth:thief eth:gang ETH 1000
`)...)
	w := New(Config{})
	opens(t, w, g, heist())
	opens(t, w, g, Case{ID: "old", Options: options(), Theft: trace.Theft{Sources: []trace.Source{trace.Outflow{Account: text("other"), Asset: token("ETH")}}}})
	forward(t, w, g, g.blocks[0])
	if got := lines(forward(t, w, g, g.blocks[1]).Alerts); !strings.Contains(got, "Money of another case is there, too: old.") {
		t.Error(got)
	}
}

func TestOpenedCaseSaysWhereTheMoneyIs(t *testing.T) {
	bs := blocks(t, `
block 1 aa time=1700000000
- eth:thief ETH 50
eth:victim eth:thief ETH 100
block 2 bb time=1700000060
eth:thief eth:exchange1 ETH 60
block 3 cc time=1700000120
eth:thief eth:next ETH 50
block 4 dd time=1700000180
eth:next eth:later ETH 10
`)
	g := newWorld(bs...)
	g.parties[text("next")] = Party{Name: "Bob"}
	w := New(Config{})
	o := opens(t, w, g, heist(), bs[0], bs[1], bs[2])
	want := "100 ETH stolen; with holders 40 ETH (90 ETH if clean money was paid first); service 60 ETH (10 ETH if clean money was paid first). " +
		"The most is with next (Bob) 40 ETH (50 ETH if clean money was paid first). It is followed from now on; what is told here is not told again."
	if o.Alert.Text != want {
		t.Errorf("got\n%s\nwant\n%s", o.Alert.Text, want)
	}
	if len(o.Stolen) != 1 || len(o.Sinks) != 1 || len(o.Holders) != 1 || o.More != 0 || o.Alert.At != bs[2].Point || len(o.Partial) != 0 {
		t.Errorf("%+v", o)
	}
	if got := lines(forward(t, w, g, bs[3]).Alerts); !strings.HasPrefix(got, "high live-move: 10 ETH, 100 of 1000 parts of the theft, moved from next (Bob) to later, 3 hops") {
		t.Error(got)
	}
	again := New(Config{})
	if p := opens(t, again, g, heist(), bs...); p.Alert.Key != o.Alert.Key {
		t.Error("opened again later, it says so under another key")
	}
}

func TestOpenRefuses(t *testing.T) {
	bs := blocks(t, "block 1 aa time=1\neth:victim eth:thief ETH 100\nblock 2 bb time=2\neth:thief eth:a ETH 1\nblock 3 cc time=3\neth:thief eth:b ETH 1\n")
	g := newWorld(bs...)
	w := New(Config{})
	forward(t, w, g, bs[0])
	forward(t, w, g, bs[1])
	ctx := context.Background()
	ok := Start{Final: bs[0].Point, Rest: seq(bs[1:2])}
	poison := options()
	poison.Policies = []trace.Policy{trace.Poison}
	short := options()
	short.Budget.Until = flow.Pos{Height: 9}
	failed := Start{Final: bs[0].Point, Rest: func(yield func(flow.Block, error) bool) { yield(flow.Block{}, errWorld) }}
	for name, o := range map[string]struct {
		c    Case
		s    Start
		want error
	}{
		"no-name":   {Case{Theft: outflow()}, ok, nil},
		"a-slash":   {Case{ID: "a/b", Theft: outflow()}, ok, nil},
		"no-theft":  {Case{ID: "a"}, ok, nil},
		"poison":    {Case{ID: "a", Theft: outflow(), Options: poison}, ok, nil},
		"short":     {Case{ID: "a", Theft: outflow(), Options: short}, ok, nil},
		"no-start":  {heist(), Start{Chain: flow.Bitcoin}, nil},
		"too-low":   {heist(), Start{Final: bs[0].Point}, trace.ErrOrder},
		"too-high":  {heist(), Start{Final: bs[0].Point, Rest: seq(bs[1:])}, trace.ErrOrder},
		"disorder":  {heist(), Start{Final: bs[1].Point, Rest: seq(bs[:1])}, trace.ErrOrder},
		"no-blocks": {heist(), failed, errWorld},
	} {
		if _, err := w.Open(ctx, g, o.c, o.s); err == nil || o.want != nil && !errors.Is(err, o.want) {
			t.Errorf("%s: %v; want %v", name, err, o.want)
		}
	}
	if len(w.Cases()) != 0 {
		t.Errorf("open: %q", w.Cases())
	}
	if _, err := w.Open(ctx, g, heist(), ok); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Open(ctx, g, heist(), ok); !errors.Is(err, ErrOpen) {
		t.Errorf("twice: %v", err)
	}
	if w.Case("heist", textEth) == nil || w.Case("heist", flow.Bitcoin) != nil {
		t.Error("the case is not there, or where it is not")
	}
	if !w.Close("heist") || w.Close("heist") || len(w.Cases()) != 0 {
		t.Error("it cannot be closed, or twice")
	}
	if n := forward(t, w, g, bs[2]); len(n.Alerts) != 0 {
		t.Errorf("of a closed case: %s", lines(n.Alerts))
	}
}

// Who holds the money at the last final block, and goes on above it, is followed like everybody.
func TestOpenedInTheMiddleIsNotCut(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 100
block 2 bb time=1700000060
eth:thief eth:a ETH 40
`)...)
	coins := blocks(t, `
chain regtest
block 1 aa time=1700000000
tx mint
- -> thief 100
block 2 bb time=1700000060
tx spend
mint:0 thief 100 -> a 60 thief 40
`)
	g.blocks = append(g.blocks, coins...)
	c := heist()
	c.Theft.Sources = append(c.Theft.Sources, trace.Coin{
		Outpoint: flow.Outpoint{Tx: coins[0].Txs[0].ID}, Account: script("thief"), Asset: flow.BitcoinRegtest.Native(), Amount: flow.NewAmount(100),
	})
	w := New(Config{})
	o, err := w.Open(t.Context(), g, c, Start{Final: g.blocks[0].Point}, Start{Final: coins[0].Point})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Partial) != 0 || len(o.Holders) != 2 {
		t.Errorf("%+v", o)
	}
	for _, chain := range []flow.Chain{textEth, flow.BitcoinRegtest} {
		r := must(w.Case("heist", chain).Report())
		for _, h := range r.Results[0].Holders {
			if h.End != trace.Unspent && !h.Claim.IsZero() || r.Partial {
				t.Errorf("%s: %s ends with %q", chain, h.Holder, h.End)
			}
		}
	}
}

// crowded is a world in which everybody was paid by many and has paid many.
type crowded struct{ *world }

func (c crowded) Balances(ctx context.Context, of []trace.BalanceAsk) ([]trace.Balance, error) {
	all, err := c.world.Balances(ctx, of)
	for i := range all {
		all[i].Payers, all[i].Payees = []flow.Account{text("p"), text("q")}, []flow.Account{text("r"), text("s")}
	}
	return all, err
}

func TestWhoBehavesLikeAService(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
- eth:hub ETH 900
eth:victim eth:thief ETH 100
block 2 bb time=1700000060
eth:thief eth:hub ETH 40
`)...)
	c := heist()
	c.Options.Crowd = trace.Crowd{Parties: 2}
	w := New(Config{})
	opens(t, w, g, c)
	forward(t, w, g, g.blocks[0])
	n, err := w.Forward(t.Context(), crowded{g}, Seen{g.blocks[1], seenAt})
	if err != nil {
		t.Fatal(err)
	}
	want := "critical live-arrival: 40 ETH, 400 of 1000 parts of the theft, arrived at hub (nobody names it; it behaves like a service) from thief. " +
		"How much of it is stolen, by rule: haircut 40 ETH, fifo 40 ETH, dirty-first 40 ETH, clean-first 40 ETH. Minutes count: ask the service to freeze it.\n"
	if got := lines(n.Alerts); got != want {
		t.Errorf("got %swant %s", got, want)
	}
}
