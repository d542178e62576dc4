package rank

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

func fromThief() trace.Theft {
	return trace.Theft{Sources: []trace.Source{trace.Outflow{Account: who("thief"), Asset: coin}}}
}

// of is an account of a ranking; a zero Ranked if it is not there.
func (r *Ranking) of(name string) Ranked {
	for _, a := range r.Accounts {
		if a.Account == who(name) {
			return a
		}
	}
	return Ranked{}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// Whatever the world and the options: nothing of the walk is made or lost, every share is a share, only visited accounts
// that are no stops were read, no more than the budget, and the order is best first.
func TestExploreLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, o, theft := drawWorld(t), drawOptions(t), drawTheft(t)
		r, err := Explore(context.Background(), w, theft, o)
		if err != nil {
			t.Fatal(err)
		}
		sum, waiting := r.Burned, 0.0
		visits := map[int]flow.Account{}
		for i, a := range r.Accounts {
			if !(a.Score >= 0 && a.Residual >= 0 && a.Came >= a.Score) || math.IsInf(a.Came, 0) {
				t.Errorf("%+v", a)
			}
			sum += a.Score + a.Residual
			if i > 0 && r.Accounts[i-1].Came < a.Came {
				t.Errorf("account %d came with %g after %g", i, a.Came, r.Accounts[i-1].Came)
			}
			if a.Visit > 0 {
				visits[a.Visit] = a.Account
			} else if !a.Stopped {
				waiting += a.Residual
			}
			if w.read[a.Account] != (a.Visit > 0) || a.Stopped && a.Visit > 0 {
				t.Errorf("%+v was read: %t", a, w.read[a.Account])
			}
			if a.Cut && !r.Partial {
				t.Errorf("%+v is cut, and the answer is not partial", a)
			}
		}
		if !near(sum, 1) {
			t.Errorf("scores, residuals and what was burned are %.12f", sum)
		}
		if r.Waiting < waiting-1e-9 {
			t.Errorf("waiting is %g, at those never visited alone %g", r.Waiting, waiting)
		}
		if len(visits) != len(r.Visited) || o.Visits > 0 && len(r.Visited) > o.Visits {
			t.Errorf("%d visits of %d, budget %d", len(visits), len(r.Visited), o.Visits)
		}
		for i, a := range r.Visited {
			if visits[i+1] != a {
				t.Errorf("visit %d: %s and %s", i+1, a, visits[i+1])
			}
		}
	})
}

// A budget that is not used up leaves nothing waiting above epsilon; one that is says so.
func TestExploreIsHonestAboutItsBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, o, theft := drawWorld(t), drawOptions(t), drawTheft(t)
		o.Payments = 0
		r, err := Explore(context.Background(), w, theft, o)
		if err != nil {
			t.Fatal(err)
		}
		all := o
		all.Visits = 1000
		free, err := Explore(context.Background(), w, theft, all)
		if err != nil {
			t.Fatal(err)
		}
		if free.Partial || free.Waiting > o.Epsilon*float64(len(free.Accounts)) {
			t.Errorf("without a budget: partial %t, waiting %g", free.Partial, free.Waiting)
		}
		if !r.Partial && !reflect.DeepEqual(r, free) {
			t.Errorf("not partial, but not the whole answer:\n%+v\n%+v", r, free)
		}
		if r.Partial && o.Visits == 0 {
			t.Error("partial without need")
		}
		if !slices.Equal(r.Visited, free.Visited[:len(r.Visited)]) {
			t.Errorf("a smaller budget visits %v, a larger one %v", r.Visited, free.Visited)
		}
	})
}

// The size of pages changes no answer, nor does asking again.
func TestExploreIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, o, theft := drawWorld(t), drawOptions(t), drawTheft(t)
		first, err := Explore(context.Background(), w, theft, o)
		if err != nil {
			t.Fatal(err)
		}
		w.page, o.Page = rapid.IntRange(0, 5).Draw(t, "other page"), rapid.IntRange(0, 40).Draw(t, "asked page")
		again, err := Explore(context.Background(), w, theft, o)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(first, again) {
			t.Errorf("pages of %d and %d changed the answer:\n%+v\n%+v", w.page, o.Page, first, again)
		}
	})
}

// batch is the walk without a queue: every chip by itself, in the order of time. It knows no swaps and goes forward alone.
func batch(w *world, theft trace.Theft, o Options) map[flow.Account]float64 {
	type key struct {
		account flow.Account
		asset   flow.Asset
		from    flow.Pos
		units   float64
	}
	came := map[flow.Account]float64{}
	chips := map[key]float64{}
	sources := map[flow.Account]bool{}
	put := func(k key, share float64) {
		came[k.account] += share
		if _, stop := shop(k.account); !stop || sources[k.account] {
			chips[k] += share
		}
	}
	share := 1 / float64(len(theft.Sources))
	for _, s := range theft.Sources {
		switch s := s.(type) {
		case trace.Holding:
			sources[s.Account] = true
			put(key{s.Account, s.Asset, s.At, units(s.Amount)}, share)
		case trace.Outflow:
			sources[s.Account] = true
			if !s.Asset.IsZero() {
				put(key{s.Account, s.Asset, s.From, 0}, share)
				continue
			}
			pays := map[flow.Asset]bool{}
			each(w, func(p *payment) {
				if p.From == s.Account && p.At.Compare(s.From) >= 0 {
					pays[p.Asset] = true
				}
			})
			if len(pays) == 0 {
				put(key{s.Account, coin, s.From, 0}, share)
			}
			for a := range pays {
				put(key{s.Account, a, s.From, 0}, share/float64(len(pays)))
			}
		}
	}
	for len(chips) > 0 {
		var k key
		for c := range chips { // the earliest
			if k.account.IsZero() || c.from.Compare(k.from) < 0 {
				k = c
			}
		}
		moves := (1 - o.Alpha) * chips[k]
		delete(chips, k)
		var scale, whole, paid float64
		mine := func(p *payment) bool { return p.From == k.account && p.Asset == k.asset }
		later := func(p *payment) bool { return mine(p) && p.At.Compare(k.from) >= 0 }
		start := k.from
		each(w, func(p *payment) {
			if mine(p) && p.At.Compare(start) >= 0 {
				scale = max(scale, units(p.Amount))
			}
		})
		each(w, func(p *payment) {
			if later(p) {
				whole += o.Weight.of(units(p.Amount), scale)
				paid += units(p.Amount)
			}
		})
		if paid < k.units {
			moves *= paid / k.units
		}
		each(w, func(p *payment) {
			if later(p) && !p.To.IsZero() {
				put(key{p.To, p.Got, after(p.Landed), units(p.GotUnits)}, moves*o.Weight.of(units(p.Amount), scale)/whole)
			}
		})
	}
	return came
}

func each(w *world, visit func(*payment)) {
	l := lifter{}
	for i := range w.txs {
		l.view(&trace.View{Tx: w.txs[i]}, visit)
	}
}

// What came to each account differs from the walk in order of time by no more than what still waits can do.
func TestExploreAgreesWithABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, theft := drawWorld(t), drawTheft(t)
		o := Options{Alpha: rapid.SampledFrom([]float64{0.05, 0.3}).Draw(t, "alpha"), Epsilon: 1e-9, Stop: shop}
		r, err := Explore(context.Background(), w, theft, o)
		if err != nil {
			t.Fatal(err)
		}
		want := batch(w, theft, o)
		off := 0.0
		for _, a := range r.Accounts {
			off += math.Abs(a.Came - want[a.Account])
			delete(want, a.Account)
		}
		for _, share := range want {
			off += share
		}
		if most := r.Waiting/o.Alpha + 1e-9; off > most {
			t.Errorf("differs by %g, most is %g", off, most)
		}
	})
}

// Money goes on after it came, by amount, within its asset; who keeps most of it hands on little.
func TestExploreFollowsTimeAndAmount(t *testing.T) {
	w := &world{txs: []flow.Tx{
		tx(1, move("a", "early", coin, 100)),
		tx(2, move("thief", "a", coin, 100)),
		tx(3, move("a", "b", coin, 30), move("a", "c", coin, 10), move("a", "d", dollar, 500)),
		tx(4, move("b", "e", coin, 3)),
		tx(5, fee("a", "miner", 60)),
	}}
	r := explore(t, w, fromThief(), Options{Alpha: 0.5})
	for name, want := range map[string]float64{
		"thief": 1, "a": 0.5, "b": 0.25 * 0.4 * 0.75, "c": 0.25 * 0.4 * 0.25, "e": 0.125 * 0.4 * 0.75 * 0.1, "early": 0, "d": 0, "miner": 0,
	} {
		if got := r.of(name).Came; !near(got, want) {
			t.Errorf("%s: %g came, want %g", name, got, want)
		}
	}
	if a := r.of("a"); !near(a.Score, 0.25) || !near(a.Residual, 0.15) || a.Hops != 1 {
		t.Errorf("a: %+v", a)
	}
	r = explore(t, w, fromThief(), Options{Alpha: 0.5, Beta: 0.5})
	if early := r.of("early").Came; early != 0 {
		t.Errorf("early got %g: before the theft, and no funder", early)
	}
}

// An account that less comes to, but earlier, is read again from there.
func TestExploreReadsAgainForAnEarlierPlace(t *testing.T) {
	w := &world{txs: []flow.Tx{
		tx(1, move("thief", "b", coin, 10)),
		tx(2, move("b", "a", coin, 10)),
		tx(3, move("a", "early", coin, 10)),
		tx(4, move("thief", "a", coin, 90)),
		tx(5, move("a", "late", coin, 90)),
	}}
	r := explore(t, w, fromThief(), Options{Alpha: 0.5})
	if got, want := r.of("early").Came, 0.0125*0.1; !near(got, want) {
		t.Errorf("early: %g came, want %g", got, want)
	}
	if got, want := r.of("late").Came, 0.225+0.0125*0.9; !near(got, want) {
		t.Errorf("late: %g came, want %g", got, want)
	}
}

// Backward the walk finds who funded an account, before the money came and not after.
func TestExploreFindsFunders(t *testing.T) {
	w := &world{txs: []flow.Tx{
		tx(1, move("gas", "a", coin, 5)),
		tx(2, move("thief", "a", coin, 100)),
		tx(3, move("late", "a", coin, 5)),
	}}
	r := explore(t, w, fromThief(), Options{Alpha: 0.5, Beta: 0.5})
	if gas, late := r.of("gas").Came, r.of("late").Came; gas <= 0 || late != 0 {
		t.Errorf("gas %g, late %g; want something and nothing", gas, late)
	}
	if _, err := Explore(t.Context(), struct{ trace.Graph }{w}, fromThief(), Options{Beta: 0.5}); err == nil {
		t.Error("a graph that cannot be read backward was read backward")
	}
}

// An exchange leads to what came out of it and not to its pool, at no cost in rank where the account stays the same.
func TestExploreGoesThroughSwaps(t *testing.T) {
	w := &world{whole: true, txs: []flow.Tx{
		tx(1, move("thief", "a", coin, 100)),
		tx(2, move("a", "pool", coin, 100), move("pool", "a", dollar, 900)),
		tx(3, move("a", "b", dollar, 900)),
		tx(4, move("pool", "c", coin, 100)),
	}}
	swaps := trace.Swaps{Rule: "test", Of: func(t flow.Tx) []trace.Pass {
		if t.Point.Height != 2 {
			return nil
		}
		return []trace.Pass{{From: who("a"), To: who("a"), FromAsset: coin, ToAsset: dollar, FromAmount: num(100), ToAmount: num(900)}}
	}}
	r := explore(t, w, fromThief(), Options{Alpha: 0.5, Swaps: swaps})
	if b, pool := r.of("b").Came, r.of("pool").Came; !near(b, 0.25) || pool != 0 {
		t.Errorf("b %g, pool %g; want 0.25 and nothing", b, pool)
	}
	r = explore(t, w, fromThief(), Options{Alpha: 0.5})
	if b, c := r.of("b").Came, r.of("c").Came; b != 0 || !near(c, 0.125) {
		t.Errorf("without swaps: b %g, c %g; want nothing and 0.125", b, c)
	}
}

// A service is ranked, but nobody sees its customers.
func TestExploreStopsAtServices(t *testing.T) {
	w := &world{txs: []flow.Tx{tx(1, move("thief", "shop", coin, 100)), tx(2, move("shop", "b", coin, 100))}}
	r := explore(t, w, fromThief(), Options{Stop: shop})
	if s := r.of("shop"); !s.Stopped || s.Stop.Reason != "a shop" || s.Visit != 0 || !near(s.Came, 0.95) || r.of("b").Came != 0 || w.read[who("shop")] {
		t.Errorf("shop %+v, b %+v, read %v", s, r.of("b"), w.read)
	}
}

// Of a hub only so much is read, and the answer says so.
func TestExploreCutsHubs(t *testing.T) {
	w := &world{txs: []flow.Tx{tx(1, move("thief", "a", coin, 100))}}
	for i := range uint64(300) {
		w.txs = append(w.txs, tx(2+i, move("a", fmt.Sprint("b", i), coin, 1)))
	}
	r := explore(t, w, fromThief(), Options{Payments: 100})
	if a := r.of("a"); !a.Cut || !r.Partial || r.Read != 101 || r.of("b0").Cut {
		t.Errorf("a %+v, partial %t, %d read", a, r.Partial, r.Read)
	}
	much := &world{txs: []flow.Tx{tx(1, move("thief", "a", coin, 100))}}
	for i := range uint64(300) {
		much.txs = append(much.txs, tx(2+i, move(fmt.Sprint("b", i), "a", coin, 1)))
	}
	if r := explore(t, much, fromThief(), Options{Payments: 100}); !r.of("a").Cut || r.Read != 101 {
		t.Errorf("who is paid by many: a %+v, %d read", r.of("a"), r.Read)
	}
	if r = explore(t, w, fromThief(), Options{Payments: 300}); r.of("a").Cut || r.Partial {
		t.Errorf("read to the end, and yet cut: %+v", r.of("a"))
	}
}

// Pieces of one collection count as one asset, so that worthless ones do not drown the rest.
func TestSourcesShareByContract(t *testing.T) {
	eth := flow.Ethereum
	at := func(n byte) flow.Account { return flow.EVMAccount(eth, [20]byte{n}) }
	w := &world{}
	for i := range uint64(9) {
		w.txs = append(w.txs, flow.Tx{Point: flow.Point{Chain: eth, Height: i + 1}, Movements: []flow.Movement{
			flow.In1Out1(flow.NFTMove, flow.NFT(at(9), num(i)), 0, at(1), at(2), num(1))}})
	}
	w.txs = append(w.txs, flow.Tx{Point: flow.Point{Chain: eth, Height: 10}, Movements: []flow.Movement{
		flow.In1Out1(flow.Transfer, eth.Native(), 0, at(1), at(3), num(1))}})
	r := explore(t, w, trace.Theft{Sources: []trace.Source{trace.Outflow{Account: at(1)}}}, Options{Alpha: 0.5})
	for _, a := range r.Accounts[1:] {
		if !near(a.Came, 0.25) {
			t.Errorf("%s: %g came, want 0.25", a.Account, a.Came)
		}
	}
}

// A coin goes on where it is spent, and not with other coins of its owner.
func TestExploreCoins(t *testing.T) {
	owner := func(n byte) flow.Account {
		return must(flow.UTXOAccount(flow.Bitcoin, flow.PayToPubKeyHash, slices.Repeat([]byte{n}, 20)))
	}
	btc := flow.Bitcoin.Native()
	spend := func(height uint64, from, to, change byte, of flow.Outpoint) flow.Tx {
		return flow.Tx{ID: flow.Hash{byte(height)}, Point: flow.Point{Chain: flow.Bitcoin, Height: height}, Movements: []flow.Movement{{
			Kind: flow.Transfer, Asset: btc, Spent: []flow.Outpoint{of}, In: []flow.Leg{{Account: owner(from), Amount: num(100)}},
			Out: []flow.Leg{{Account: owner(to), Amount: num(60)}, {Account: owner(change), Amount: num(20)}, {Account: owner(from), Amount: num(20)}}}}}
	}
	stolen := flow.Outpoint{Tx: flow.Hash{200}}
	w := &world{txs: []flow.Tx{spend(1, 1, 2, 3, flow.Outpoint{Tx: flow.Hash{100}}), spend(2, 1, 4, 5, stolen)}}
	theft := trace.Theft{Sources: []trace.Source{trace.Coin{Outpoint: stolen, Account: owner(1), Asset: btc, Amount: num(80)}}}
	r := explore(t, w, theft, Options{Alpha: 0.5})
	got := map[flow.Account]float64{}
	for _, a := range r.Accounts {
		got[a.Account] = a.Came
	}
	if !near(got[owner(4)], 0.375) || !near(got[owner(5)], 0.125) || got[owner(2)] != 0 || got[owner(1)] != 1 {
		t.Errorf("came %v", got)
	}
	theft.Sources[0] = trace.Coin{Outpoint: flow.Outpoint{Tx: flow.Hash{201}}, Account: owner(1), Asset: btc, Amount: num(80)}
	if r = explore(t, w, theft, Options{Alpha: 0.5}); len(r.Accounts) != 1 {
		t.Errorf("a coin that nobody spent went to %v", r.Accounts)
	}
}

func TestFollow(t *testing.T) {
	w := &world{txs: []flow.Tx{tx(1, move("thief", "a", coin, 100)), tx(2, move("a", "b", coin, 90), move("a", "c", coin, 10))}}
	follow := explore(t, w, fromThief(), Options{}).Follow(3)
	for name, want := range map[string]bool{"thief": true, "a": true, "b": true, "c": false, "z": false} {
		if follow(who(name)) != want {
			t.Errorf("follow %s: %t, want %t", name, !want, want)
		}
	}
	if none := (&Ranking{}).Follow(5); none(who("a")) {
		t.Error("an empty ranking follows somebody")
	}
}

func TestExploreRefuses(t *testing.T) {
	w := &world{}
	for name, o := range map[string]Options{
		"alpha-1": {Alpha: 1}, "alpha-nan": {Alpha: math.NaN()}, "beta": {Beta: 1.5}, "epsilon": {Epsilon: -1},
		"visits": {Visits: -1}, "page": {Page: -1}, "payments": {Payments: -1}, "weight": {Weight: 9},
	} {
		if _, err := Explore(t.Context(), w, fromThief(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, theft := range []trace.Theft{{}, {Sources: []trace.Source{nil}}, {Sources: []trace.Source{trace.Outflow{}}}} {
		if _, err := Explore(t.Context(), w, theft, Options{}); err == nil {
			t.Errorf("%v: no error", theft)
		}
	}
	w.fail = errors.New("disk on fire")
	if _, err := Explore(t.Context(), w, fromThief(), Options{}); !errors.Is(err, w.fail) {
		t.Errorf("error %v, want %v", err, w.fail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Explore(ctx, &world{}, fromThief(), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after cancel", err)
	}
}

// lyingGraph breaks the contract.
type lyingGraph struct {
	trace.Graph
	pages []trace.Page
}

func (g lyingGraph) After(context.Context, []trace.Ask) ([]trace.Page, error) { return g.pages, nil }

func TestExploreDistrustsTheGraph(t *testing.T) {
	view := func(h uint64, places ...uint32) trace.View {
		return trace.View{Tx: tx(h, move("thief", "a", coin, 1)), Places: places}
	}
	for name, pages := range map[string][]trace.Page{
		"no-answer":     {},
		"empty-more":    {{More: true}},
		"no-movements":  {{Txs: []trace.View{{Tx: tx(1)}}}},
		"places":        {{Txs: []trace.View{view(1, 0, 1)}}},
		"falling":       {{Txs: []trace.View{view(2), view(1)}}},
		"twice":         {{Txs: []trace.View{view(2), view(2)}}},
		"for-ever-same": {{Txs: []trace.View{view(2)}, More: true}},
	} {
		if _, err := Explore(t.Context(), lyingGraph{pages: pages}, fromThief(), Options{}); !errors.Is(err, trace.ErrGraph) {
			t.Errorf("%s: error %v, want %v", name, err, trace.ErrGraph)
		}
	}
}

// The queue's top is always what a scan would find.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		values := make([]float64, 8)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.IntRange(0, len(values)-1).Draw(t, "number")
			values[n] = float64(rapid.IntRange(0, 3).Draw(t, "value"))
			q.set(n, values[n])
			best, left := 0, 0
			for i, v := range values {
				if v > values[best] {
					best = i
				}
				if v > 0 {
					left++
				}
			}
			if q.len() != left || left > 0 && q.top() != best {
				t.Fatalf("%v: the top of %d is %v, want %d of %d", values, q.len(), q.heap, best, left)
			}
		}
	})
}
