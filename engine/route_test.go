package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/trace/route"
	"pgregory.net/rapid"
)

const routeStory = `
block 1 aa time=1700000000
victim thief GOLD 100
block 2 bb time=1700000600
thief mule GOLD 60
thief desk GOLD 40
block 3 cc time=1700001200
mule shop GOLD 50
mule suspect GOLD 40
block 5 ee time=1700001800
desk suspect GOLD 35
shop suspect GOLD 5
`

func TestResolveRoute(t *testing.T) {
	s := story(t, routeStory, "chain regtest\nblock 1 u1\na: - -> thief 50\nb: a:0 -> suspect 50\n")
	coin := func(name string) string {
		c := flow.BitcoinRegtest
		tx, err := s.Block(t.Context(), c, 1)
		if err != nil {
			t.Fatal(err)
		}
		return tx.Txs[map[string]int{"thief": 0, "suspect": 1}[name]].Movements[0].Out[0].Account.String()
	}
	for _, c := range []struct {
		name, from, to, asset, until string
		want                         string // asset amount start end
		err                          error
	}{
		{"asset", "text:eth:thief", "text:eth:suspect", "GOLD", "", "text:eth/token:GOLD 0 0/0/0 0/0/0", nil},
		{"amount", "text:eth:thief=15 GOLD@block:2", "text:eth:suspect", "", "", "text:eth/token:GOLD 15 2/0/0 0/0/0", nil},
		{"amount-and-asset", "text:eth:thief=15@block:2", "text:eth:suspect", "GOLD", "", "text:eth/token:GOLD 15 2/0/0 0/0/0", nil},
		{"first-held", "text:eth:thief=15 GOLD", "text:eth:suspect", "", "", "text:eth/token:GOLD 15 1/0/1 0/0/0", nil},
		{"times", "text:eth:thief@1700000600", "text:eth:suspect", "GOLD", "1700001200", "text:eth/token:GOLD 0 2/0/0 4/4294967295/4294967295", nil},
		{"coins", coin("thief"), coin("suspect"), "", "", "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1 0 0/0/0 0/0/0", nil},
		{"amount-of-coins", coin("thief") + "=5", coin("suspect"), "", "", "", ErrCoins},
		{"no-asset", "text:eth:thief", "text:eth:suspect", "", "", "", ErrAsset},
		{"two-assets", "text:eth:thief=15 GOLD@block:2", "text:eth:suspect", "IRON", "", "", ErrAsset},
		{"stranger-from", "text:eth:stranger", "text:eth:suspect", "GOLD", "", "", ErrAbsent},
		{"stranger-to", "text:eth:thief", "text:eth:stranger", "GOLD", "", "", ErrAbsent},
		{"other-chain", "eip155:1:" + anEVM, "text:eth:suspect", "native", "", "", ErrAbsent},
		{"behind-the-end", "text:eth:thief@block:9", "text:eth:suspect", "GOLD", "", "", ErrAbsent},
		{"bad-address", "text:eth:thief", "0x12", "GOLD", "", "", flow.ErrAddress},
	} {
		from, err := ParseFrom(c.from)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		q, err := ResolveRoute(t.Context(), s, RouteAsk{From: from, To: c.to, Asset: c.asset, Until: c.until}, flow.Chain{})
		if !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s: error %v; want %v", c.name, err, c.err)
		}
		if got := strings.Join([]string{q.Asset.String(), q.Amount.String(), q.Start.String(), q.End.String()}, " "); err == nil && got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
}

func TestRouteSaysWhatItDoesNotKnow(t *testing.T) {
	s := story(t, routeStory)
	labels := &Labels{}
	if err := labels.ReadLabels("labels.csv", strings.NewReader("address,label,category,is_service\ntext:eth:desk,A desk,exchange,1\ntext:eth:suspect,Suspect,,0\nnonsense,x,,0\n")); err != nil {
		t.Fatal(err)
	}
	q := route.Question{From: account(t, "text:eth:thief"), To: account(t, "text:eth:suspect"), Asset: mustAsset(t, "text:eth/token:GOLD"),
		Amount: flow.NewAmount(1000), Start: flow.Pos{Height: 2}}
	reads := int64(0)
	a, err := Route(t.Context(), s, q, route.Options{Exact: true}, labels, func(n int64) { reads = n })
	if err != nil {
		t.Fatal(err)
	}
	if a.Route.Max.String() != "45" || a.Partial || a.Labels["text:eth:suspect"].Name != "Suspect" || a.Labels["text:eth:desk"].Name != "A desk" || reads == 0 {
		t.Errorf("max %s, partial %t, labels %v, %d read; want 45, both labels", a.Route.Max, a.Partial, a.Labels, reads)
	}
	for _, want := range []string{"Not shown: thief is taken to have held 1000 GOLD", "1 block missing below it", "not what went", "1 such account met", "2 labels known", "1 row of the labels refused"} {
		if !slices.ContainsFunc(a.DoesNotKnow, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q is not said in %q", want, a.DoesNotKnow)
		}
	}
	if a, err = Route(t.Context(), s, q, route.Options{Budget: route.Budget{Transactions: 3}}, nil, nil); err != nil || !a.Partial {
		t.Fatalf("a budget of three transactions: %+v, %v", a, err)
	}
	if said := a.DoesNotKnow[len(a.DoesNotKnow)-1]; !strings.HasPrefix(said, "Cut short: the budget of 3 transactions") {
		t.Errorf("the last sentence is %q", said)
	}
}

// An input of unknown origin makes the answer partial: more may have gone.
func TestRouteWithUnknownInputs(t *testing.T) {
	s := story(t, "chain regtest\nblock 1 u1\na: - -> thief 50\nb: a:0, old:7 -> suspect 70\n")
	b, err := s.Block(t.Context(), flow.BitcoinRegtest, 1)
	if err != nil {
		t.Fatal(err)
	}
	q := route.Question{From: b.Txs[0].Movements[0].Out[0].Account, To: b.Txs[1].Movements[0].Out[0].Account, Asset: flow.BitcoinRegtest.Native()}
	a, err := Route(t.Context(), s, q, route.Options{Exact: true}, nil, nil)
	if err != nil || a.Route.Max.String() != "50" || !a.Partial || a.Route.Partial || a.Route.Unknown != 1 {
		t.Fatalf("%+v, %v; want 50 and one unknown input", a, err)
	}
}

func mustAsset(t testing.TB, text string) flow.Asset {
	t.Helper()
	a, err := flow.ParseAsset(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// aheadOnly hides that a graph can be read backward.
type aheadOnly struct{ trace.Graph }

// From one end or from both, in large pages or small ones, a store gives the same route.
func TestRoutesFromBothEnds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := story(t, randomStory(rt)...)
		for c, txs := range wholeChains(rt, s) {
			accounts := map[flow.Account]bool{}
			for _, tx := range txs {
				for _, m := range tx.Movements {
					for _, l := range slices.Concat(m.In, m.Out) {
						accounts[l.Account] = true
					}
				}
			}
			delete(accounts, flow.Account{})
			var all []flow.Account
			for a := range accounts {
				all = append(all, a)
			}
			slices.SortFunc(all, flow.Account.Compare)
			if len(all) < 2 {
				continue
			}
			q := route.Question{From: rapid.SampledFrom(all).Draw(rt, "from"), To: rapid.SampledFrom(all).Draw(rt, "to"), Asset: c.Native()}
			if q.From == q.To {
				continue
			}
			one, err := route.Find(context.Background(), aheadOnly{NewGraph(s)}, q, route.Options{Exact: true})
			if err != nil {
				rt.Fatal(err)
			}
			both, err := route.Find(context.Background(), NewGraph(s), q, route.Options{Exact: true, Page: 2})
			if err != nil {
				rt.Fatal(err)
			}
			if *one.Max != *both.Max || one.Greedy != both.Greedy || one.Out != both.Out || one.In != both.In || len(one.Paths) != len(both.Paths) {
				rt.Fatalf("from one end %+v; from both %+v", one, both)
			}
		}
	})
}
