package trace

import (
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

func TestAccountStories(t *testing.T) {
	thief := who(textChain, "thief")
	holding := func(at uint64, amount uint64) []Source {
		return []Source{Holding{thief, coinAsset, num(amount), flow.Pos{Height: at}}}
	}
	for _, c := range []struct {
		name, story string
		sources     []Source
		stop        []string
		want        map[Policy]string
	}{
		{
			name: "mixed-with-own-money",
			story: `
				>thief 100      # the thief's own
				victim>thief 100
				thief>shop 60
				thief>friend 80`,
			sources: holding(3, 100),
			want: map[Policy]string{
				Haircut:    "friend=40 thief=30 shop=30",
				FIFO:       "thief=60 friend=40",
				LIFO:       "shop=60 friend=40",
				DirtyFirst: "shop=60 friend=40",
				CleanFirst: "thief=60 friend=40",
				Poison:     "thief=100 friend=80 shop=60",
			},
		},
		{
			name: "opening-balance-of-a-later-holder",
			story: `
				>friend 30
				victim>thief 10
				thief>friend 10
				friend>shop 20
				>friend 20
				friend>other 20`,
			sources: holding(3, 10),
			want: map[Policy]string{
				Haircut:    "shop=5 friend=3 other=2", // 10·20/40, then 5·20/40 rounded down
				FIFO:       "other=10",                // 30 clean units leave first
				LIFO:       "shop=10",
				DirtyFirst: "shop=10",
				CleanFirst: "friend=10",
			},
		},
		{
			name: "stop-at-a-service-and-burn",
			story: `
				victim>thief 100
				thief>exchange 70
				thief> 10
				exchange>stranger 500
				thief>mule 20`,
			sources: holding(2, 100),
			stop:    []string{"exchange"},
			want: map[Policy]string{
				Haircut:    "mule=20 service:exchange=70 burned:thief=10",
				FIFO:       "mule=20 service:exchange=70 burned:thief=10",
				CleanFirst: "mule=20 service:exchange=70 burned:thief=10",
			},
		},
		{
			name: "everything-that-leaves",
			story: `
				>thief 50
				thief>mule 30
				mule>thief 10   # comes back: paid out again before new claim is made
				thief>shop 30`,
			sources: []Source{Outflow{Account: thief}},
			want: map[Policy]string{
				Haircut:    "shop=30 mule=20",
				FIFO:       "shop=30 mule=20",
				DirtyFirst: "shop=30 mule=20",
				CleanFirst: "shop=30 mule=20",
				LIFO:       "shop=30 mule=20",
			},
		},
		{
			name: "chain-of-calls-in-one-transaction",
			story: `
				victim>thief 100
				thief>a 100; a>b 60; b>a 10; a>c 50`,
			sources: holding(2, 100),
			want: map[Policy]string{
				Haircut: "b=50 c=50",
				FIFO:    "b=50 c=50",
				LIFO:    "b=50 c=50",
			},
		},
		{
			name: "pays-itself",
			story: `
				>thief 10
				victim>thief 20
				thief>thief 30
				thief>shop 10`,
			sources: holding(3, 20),
			want: map[Policy]string{
				FIFO:       "thief=20",
				LIFO:       "thief=20", // what left newest first came back oldest on top
				DirtyFirst: "thief=10 shop=10",
				CleanFirst: "thief=20",
				Haircut:    "thief=14 shop=6",
			},
		},
		{
			name: "pays-more-than-is-known",
			story: `
				victim>thief 20
				thief>shop 50`,
			sources: holding(2, 20),
			want:    map[Policy]string{FIFO: "shop=20", Haircut: "shop=20", CleanFirst: "shop=20"},
		},
		{
			name: "two-holdings-in-one-account",
			story: `
				>thief 5
				victim>thief 20
				thief>a 5
				victim>thief 20
				thief>b 30`,
			sources: append(holding(3, 20), holding(5, 20)...),
			want: map[Policy]string{
				FIFO:       "b=30 thief=10",
				LIFO:       "b=30 thief=5 a=5",
				DirtyFirst: "b=30 thief=5 a=5",
				CleanFirst: "b=30 thief=10",
				Haircut:    "b=27 thief=9 a=4",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			txs := accountStory(c.story)
			o := exact()
			var stops []flow.Account
			for _, s := range c.stop {
				stops = append(stops, who(textChain, s))
			}
			o.Stop = stopAt(stops...)
			for p := range c.want {
				o.Policies = []Policy{p}
				r := run(t, newGraph(txs), Theft{c.name, c.sources}, o)
				if got := claims(&r.Results[0], namesOf(txs, textChain)); got != c.want[p] {
					t.Errorf("%s: got %q; want %q", p, got, c.want[p])
				}
			}
		})
	}
}

func TestCoinStories(t *testing.T) {
	thief := who(utxoChain, "thief")
	coin := func(name string, amount uint64) []Source {
		return []Source{Coin{coinNamed(name), thief, utxoChain.Native(), num(amount)}}
	}
	words := []string{"thief", "a", "b", "c", "shop", "exchange"}
	for _, c := range []struct {
		name, story string
		sources     []Source
		want        map[Policy]string
	}{
		{
			name: "two-inputs-two-outputs-and-a-fee",
			story: `
				t0: -> thief=60 a=40
				t1: t0.0 t0.1 -> b=50 c=40   # the fee is 10`,
			sources: coin("t0.0", 60),
			want: map[Policy]string{
				Haircut:    "b=30 c=24 fee=6",
				FIFO:       "b=50 c=10",
				DirtyFirst: "b=50 c=10",
				CleanFirst: "c=40 b=10 fee=10",
			},
		},
		{
			name: "clean-input-first",
			story: `
				t0: -> thief=60 a=40
				t1: t0.1 t0.0 -> b=50 c=40`,
			sources: coin("t0.0", 60),
			want:    map[Policy]string{FIFO: "c=40 b=10 fee=10"},
		},
		{
			name: "an-input-nobody-knows",
			story: `
				t0: -> thief=60
				t1: ? t0.0 -> b=50 c=50`,
			sources: coin("t0.0", 60),
			want:    map[Policy]string{FIFO: "c=50 b=10", LIFO: "b=50 c=10", Haircut: "c=30 b=30"},
		},
		{
			name: "part-of-a-coin",
			story: `
				t0: -> thief=60
				t1: t0.0 -> b=30 c=30`,
			sources: coin("t0.0", 20),
			want:    map[Policy]string{FIFO: "c=20", LIFO: "b=20", Haircut: "c=10 b=10", DirtyFirst: "b=20"},
		},
		{
			name: "more-than-the-coin-held",
			story: `
				t0: -> thief=60
				t1: t0.0 -> b=30 c=30`,
			sources: coin("t0.0", 70),
			want:    map[Policy]string{FIFO: "c=30 b=30 data-missing:thief=10", Haircut: "c=30 b=30 data-missing:thief=10"},
		},
		{
			name: "all-that-leaves-an-address",
			story: `
				t0: -> thief=60 thief=40
				t1: t0.0 -> b=30 thief=30
				t2: t0.1 t1.1 -> c=70
				t3: t1.0 -> shop=30`,
			sources: []Source{Outflow{Account: thief}},
			want:    map[Policy]string{FIFO: "c=70 shop=30", Haircut: "c=70 shop=30", CleanFirst: "c=70 shop=30"},
		},
		{
			name: "unspent-and-destroyed",
			story: `
				t0: -> thief=60
				t1: t0.0 -> `,
			sources: coin("t0.0", 60),
			want:    map[Policy]string{FIFO: "fee=60", Haircut: "fee=60"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			txs := coinStory(c.story)
			for p := range c.want {
				r := run(t, newGraph(txs), Theft{c.name, c.sources}, exact(p))
				if got := claims(&r.Results[0], namesOf(txs, utxoChain, words...)); got != c.want[p] {
					t.Errorf("%s: got %q; want %q", p, got, c.want[p])
				}
			}
		})
	}
}

func TestSourceOfFunds(t *testing.T) {
	txs := accountStory(`
		>old 100
		>rich 50
		old>a 60
		rich>a 40
		a>b 60
		a>c 40
		c>elsewhere 1`)
	back := func(name string, amount uint64, p Policy) string {
		o := exact(p)
		o.Backward = true
		theft := Theft{"where from", []Source{Holding{Account: who(textChain, name), Asset: coinAsset, Amount: num(amount), At: flow.Pos{Height: 7}}}}
		r := run(t, newGraph(txs), theft, o)
		if r.Results[0].Lines[0].String() == "" || r.Results[0].Partial {
			t.Errorf("%s: %v", name, r.Results[0].Lines)
		}
		return claims(&r.Results[0], namesOf(txs, textChain))
	}
	for _, c := range []struct {
		name   string
		amount uint64
		policy Policy
		want   string
	}{
		{"b", 60, FIFO, "issued=60"},
		{"c", 40, FIFO, "issued=40"},
		{"c", 40, Haircut, "issued=40"},
	} {
		if got := back(c.name, c.amount, c.policy); got != c.want {
			t.Errorf("%s of %s by %s: got %q; want %q", num(c.amount), c.name, c.policy, got, c.want)
		}
	}
	// Stopping at the two origins shows who they are.
	o := exact(FIFO, Haircut)
	o.Backward = true
	o.Stop = stopAt(who(textChain, "old"), who(textChain, "rich"))
	r := run(t, newGraph(txs), Theft{"c", []Source{Holding{Account: who(textChain, "c"), Asset: coinAsset, Amount: num(40), At: flow.Pos{Height: 7}}}}, o)
	for i, want := range []string{"service:rich=40", "service:old=24 service:rich=16"} {
		if got := claims(&r.Results[i], namesOf(txs, textChain)); got != want {
			t.Errorf("%s: got %q; want %q", r.Results[i].Policy, got, want)
		}
	}
	for _, e := range r.Results[0].Edges {
		if e.From == who(textChain, "c") {
			t.Errorf("edge %s>%s: a backward edge still points the way the money went", e.From, e.To)
		}
	}
	if _, err := Run(t.Context(), forwardGraph{newGraph(txs)}, Theft{"c", []Source{Outflow{Account: who(textChain, "c")}}}, o); err == nil {
		t.Error("a graph that cannot be read backward was read backward")
	}
	coins := coinStory(`
		t0: -> a=60 b=40
		t1: t0.0 t0.1 -> c=50 shop=40`)
	o = exact(FIFO, Haircut)
	o.Backward = true
	o.Stop = stopAt(who(utxoChain, "a"), who(utxoChain, "b"))
	r = run(t, newGraph(coins), Theft{"shop", []Source{Coin{coinNamed("t1.1"), who(utxoChain, "shop"), utxoChain.Native(), num(40)}}}, o)
	for i, want := range []string{"service:b=30 service:a=10", "service:a=24 service:b=16"} {
		if got := claims(&r.Results[i], namesOf(coins, utxoChain, "a", "b", "c", "shop")); got != want {
			t.Errorf("%s: got %q; want %q", r.Results[i].Policy, got, want)
		}
	}
}

func TestFeesAreNotFollowed(t *testing.T) {
	thief, miner := who(textChain, "thief"), who(textChain, "miner")
	txs := accountStory(`
		victim>thief 100
		thief>miner 9; thief>a 50
		miner>b 9
		a>thief 20
		thief>miner 9`)
	for _, i := range []int{1, 4} {
		txs[i].Movements[0].Kind = flow.Fee
		txs[i].Movements[0].Out = []flow.Leg{{Account: miner, Amount: num(4)}} // the other 5 are burned
	}
	for _, c := range []struct {
		source Source
		want   string
	}{
		{Holding{thief, coinAsset, num(100), flow.Pos{Height: 2}}, "thief=52 a=30 fee=18"},
		{Outflow{Account: thief}, "a=30 thief=11 fee=9"},
	} {
		r := run(t, newGraph(txs), Theft{"fees", []Source{c.source}}, exact(FIFO))
		if got := claims(&r.Results[0], namesOf(txs, textChain)); got != c.want {
			t.Errorf("%T: got %q; want %q", c.source, got, c.want)
		}
	}
}

func TestDust(t *testing.T) {
	txs := accountStory(`
		victim>thief 1000
		thief>a 5
		a>b 5
		thief>c 500`)
	theft := Theft{"dust", []Source{Holding{who(textChain, "thief"), coinAsset, num(1000), flow.Pos{Height: 2}}}}
	for _, o := range []Options{
		{Policies: []Policy{FIFO}, Dust: map[flow.Asset]flow.Amount{coinAsset: num(6)}},
		{Policies: []Policy{FIFO}, DustShare: 6_000_000}, // 6 of 1000
	} {
		r := run(t, newGraph(txs), theft, o)
		if got, want := claims(&r.Results[0], namesOf(txs, textChain)), "c=500 thief=495 dust:a=5"; got != want {
			t.Errorf("got %q; want %q", got, want)
		}
		if got, want := r.Results[0].Lines[0].String(), "1000 stolen = 995 held + 5 dust"; got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
	r := run(t, newGraph(txs), theft, Options{Policies: []Policy{FIFO}, DustShare: 5_000_000})
	if got, want := claims(&r.Results[0], namesOf(txs, textChain)), "c=500 thief=495 b=5"; got != want {
		t.Errorf("a piece of just the floor: got %q; want %q", got, want)
	}
}

func TestBudgetsAreHonest(t *testing.T) {
	txs := accountStory(`
		victim>thief 100
		thief>a 40
		thief>b 60
		a>c 40
		b>d 60
		d>e 60`)
	theft := Theft{"budget", []Source{Holding{who(textChain, "thief"), coinAsset, num(100), flow.Pos{Height: 2}}}}
	for _, c := range []struct {
		name   string
		budget Budget
		want   string
		hint   string
	}{
		{"none", Budget{}, "e=60 c=40", ""},
		{"hops", Budget{Hops: 1}, "d=60 c=40", "budget of hops"},
		{"holders", Budget{Holders: 2}, "b=60 c=40", "budget of holders"},
		{"transactions", Budget{Transactions: 3}, "b=60 c=40", "budget of transactions"},
		{"until", Budget{Until: flow.Pos{Height: 4, Tx: 9}}, "b=60 c=40", "last place to read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := exact(FIFO)
			o.Budget = c.budget
			r := run(t, newGraph(txs), theft, o)
			if got := claims(&r.Results[0], namesOf(txs, textChain)); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
			if r.Partial != (c.hint != "") || !strings.Contains(strings.Join(r.Results[0].Continue, "\n"), c.hint) {
				t.Errorf("partial %t, continue %q; want %q", r.Partial, r.Results[0].Continue, c.hint)
			}
			rest := r.Results[0].Rest()
			if (len(rest) > 0) != (c.hint != "") {
				t.Errorf("rest %v", rest)
			}
			if len(rest) > 0 { // going on from the rest arrives where a whole trace does
				more := run(t, newGraph(txs), Theft{"rest", rest}, exact(FIFO))
				got := claims(&more.Results[0], namesOf(txs, textChain))
				if !strings.Contains("e=60 c=40", got) {
					t.Errorf("rest: got %q", got)
				}
			}
		})
	}
}

func TestRestGoesOnBackward(t *testing.T) {
	txs := accountStory(`
		>a 100
		a>b 100
		b>c 100`)
	o := exact(FIFO)
	o.Backward = true
	o.Budget.Hops = 1
	from := []Source{Holding{Account: who(textChain, "c"), Asset: coinAsset, Amount: num(100)}}
	r := run(t, newGraph(txs), Theft{"c", from}, o)
	if got := claims(&r.Results[0], namesOf(txs, textChain)); got != "a=100" || !r.Partial {
		t.Fatalf("one hop back: %q, partial %t", got, r.Partial)
	}
	r = run(t, newGraph(txs), Theft{"rest", r.Results[0].Rest()}, o)
	if got := claims(&r.Results[0], namesOf(txs, textChain)); got != "issued=100" || r.Partial || len(r.Results[0].Assumed) > 0 {
		t.Errorf("the rest: %q, partial %t, assumed %v", got, r.Partial, r.Results[0].Assumed)
	}
}

func TestAssumptionsAreListed(t *testing.T) {
	txs := accountStory(`
		victim>thief 20
		thief>shop 50`)
	r := run(t, newGraph(txs), Theft{"more", []Source{Holding{who(textChain, "thief"), coinAsset, num(20), flow.Pos{Height: 2}}}}, exact(FIFO))
	a := r.Results[0].Assumed
	if len(a) != 1 || a[0].Amount != num(30) || a[0].At != (flow.Pos{Height: 2}) || a[0].Holder.Account != who(textChain, "thief") {
		t.Errorf("paid 30 more than known: %+v", a)
	}
	r = run(t, newGraph(txs), Theft{"more", []Source{Holding{who(textChain, "thief"), coinAsset, num(25), flow.Pos{Height: 2}}}}, exact(FIFO))
	if a := r.Results[0].Assumed; len(a) != 2 || a[0].Amount != num(5) || a[1].Amount != num(25) {
		t.Errorf("holds 5 more than known, then pays 25 more: %+v", a)
	}
	coins := coinStory(`
		t0: -> thief=60
		t1: ? t0.0 -> b=50 c=50`)
	r = run(t, newGraph(coins), Theft{"?", []Source{Coin{coinNamed("t0.0"), who(utxoChain, "thief"), utxoChain.Native(), num(60)}}}, exact(FIFO))
	if a := r.Results[0].Assumed; len(a) != 1 || a[0].Amount != num(40) {
		t.Errorf("an unknown input of 40: %+v", a)
	}
}

func TestUnknownRecordsAreRefused(t *testing.T) {
	a := who(textChain, "a")
	b := who(utxoChain, "b")
	for name, theft := range map[string]Theft{
		"no-sources":    {},
		"nil-source":    {Sources: []Source{nil}},
		"no-account":    {Sources: []Source{Outflow{}}},
		"no-asset":      {Sources: []Source{Holding{Account: a, Amount: num(1)}}},
		"no-amount":     {Sources: []Source{Holding{Account: a, Asset: coinAsset}}},
		"utxo-holding":  {Sources: []Source{Holding{Account: b, Asset: utxoChain.Native(), Amount: num(1)}}},
		"other-chain":   {Sources: []Source{Holding{Account: a, Asset: utxoChain.Native(), Amount: num(1)}}},
		"no-outpoint":   {Sources: []Source{Coin{Account: b, Asset: utxoChain.Native(), Amount: num(1)}}},
		"too-much":      {Sources: []Source{Holding{a, coinAsset, most, flow.Pos{}}, Holding{a, coinAsset, num(1), flow.Pos{}}}},
		"the-same-coin": {Sources: []Source{Coin{flow.Outpoint{Index: 1}, b, utxoChain.Native(), num(1)}, Coin{flow.Outpoint{Index: 1}, b, utxoChain.Native(), num(1)}}},
	} {
		if _, err := New(theft, Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	good := Theft{Sources: []Source{Outflow{Account: a}}}
	for name, o := range map[string]Options{
		"twice":    {Policies: []Policy{FIFO, FIFO}},
		"nil":      {Policies: []Policy{nil}},
		"negative": {Budget: Budget{Hops: -1}},
		"dust":     {DustShare: 2 * billion},
	} {
		if _, err := New(good, o); err == nil {
			t.Errorf("options %s: no error", name)
		}
	}
	both := Theft{Sources: []Source{Outflow{Account: a}, Outflow{Account: b}}}
	if _, err := New(both, Options{Budget: Budget{Until: flow.Pos{Height: 1}}}); err == nil {
		t.Error("one last place to read on two chains: no error")
	}
	for _, p := range everyPolicy {
		if q, err := ParsePolicy(p.String()); err != nil || q != p && p.String() != q.String() {
			t.Errorf("ParsePolicy(%q) = %v, %v", p, q, err)
		}
	}
	if _, err := ParsePolicy("guess"); err == nil {
		t.Error("ParsePolicy of an unknown word: no error")
	}
}
