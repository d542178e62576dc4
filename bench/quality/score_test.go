package quality

import (
	"fmt"
	"math"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// named is an account of the text chain.
func named(t testing.TB, name string) flow.Account {
	t.Helper()
	a, err := flow.ParseAccount("text:eth:" + name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func coin(t testing.TB, name string) flow.Asset {
	t.Helper()
	c, err := flow.ParseChain("text:eth")
	if err != nil {
		t.Fatal(err)
	}
	a, err := flow.NamedAsset(c, name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func transfer(n byte) TransferID { return TransferID{flow.Hash{n}, uint32(n)} }

// smallTruth: the thief pays a 100 dollars in ether, a pays b 60 (the end) and a service 40 (the end); a gets 10 and b 20,
// in dollars, from accounts that nobody can reach.
func smallTruth(t testing.TB) Truth {
	eth, usd := coin(t, "ETH"), coin(t, "USD")
	x := func(cents int64, end, reachable bool, asset flow.Asset, units uint64) TrueTransfer {
		return TrueTransfer{Cents: cents, IntoEnd: end, Reachable: reachable, Asset: asset, Stolen: flow.NewAmount(units)}
	}
	return Truth{
		Transfers: map[TransferID]TrueTransfer{transfer(1): x(10000, false, true, eth, 50), transfer(2): x(6000, true, true, eth, 30),
			transfer(3): x(4000, true, true, eth, 20), transfer(4): x(1000, false, false, usd, 1000), transfer(5): x(2000, true, false, usd, 2000)},
		Neutral:  map[TransferID]bool{transfer(9): true},
		Find:     map[flow.Account]bool{named(t, "a"): true, named(t, "b"): true},
		Given:    map[flow.Account]bool{named(t, "thief"): true},
		Services: map[flow.Account]bool{named(t, "service"): true},
	}
}

func same(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 6e-7 {
		t.Errorf("%s = %v; want %v", what, got, want)
	}
}

func TestTransferScore(t *testing.T) {
	truth := smallTruth(t)
	eth, fish := coin(t, "ETH"), coin(t, "FISH")
	found := []Carried{
		{transfer(1), eth, flow.NewAmount(20)}, {transfer(1), eth, flow.NewAmount(20)}, // twice: one transfer, 40 of its 50
		{transfer(3), eth, flow.NewAmount(30)},   // more than it moved
		{transfer(9), eth, flow.NewAmount(5)},    // neutral
		{transfer(7), eth, flow.NewAmount(10)},   // wrong
		{transfer(8), fish, flow.NewAmount(1e9)}, // wrong, of unknown value
	}
	s := truth.transfers(found)
	same(t, "flow", s.Flow, 140.0/230)
	same(t, "flow of reachable", s.FlowReachable, 140.0/200)
	same(t, "terminus", s.Terminus, 40.0/120)
	same(t, "terminus of reachable", s.TerminusReachable, 40.0/100)
	same(t, "precision", s.Precision, 2.0/4)
	same(t, "recall", s.Recall, 2.0/5)
	same(t, "value precision", s.ValuePrecision, 140.0/160) // 80 + 60 of these and 20
	same(t, "value recall", s.ValueRecall, 120.0/230)       // 80 of 100, and of 40 no more than 40
	if s.Found != 5 || s.True != 2 || s.Neutral != 1 {
		t.Errorf("found %d, true %d, neutral %d; want 5, 2, 1", s.Found, s.True, s.Neutral)
	}
	if none := truth.transfers([]Carried{}); *none != (TransferScore{}) {
		t.Errorf("nothing found: %+v; want zeros", none)
	}
	if s := truth.transfers(nil); s != nil {
		t.Errorf("a method that knows no transfers: %+v; want none", s)
	}
	if s := (&Truth{}).transfers(found); s != nil {
		t.Errorf("a truth without transfers: %+v; want none", s)
	}
}

func TestNodeScore(t *testing.T) {
	truth := smallTruth(t)
	s := truth.nodes([]flow.Account{named(t, "thief"), named(t, "service"), named(t, "a"), named(t, "noise"), named(t, "a"), named(t, "b")})
	same(t, "precision", s.NodePrecision, 2.0/3)
	same(t, "recall", s.NodeRecall, 1)
	same(t, "AP", s.AveragePrecision, (1.0+2.0/3)/2)
	same(t, "P@10", s.AtBudget[0].Precision, 2.0/3) // of three, not of ten
	same(t, "R@10", s.AtBudget[0].Recall, 1)
	var long []flow.Account
	for i := range 30 {
		long = append(long, named(t, fmt.Sprintf("noise%d", i)))
	}
	s = truth.nodes(append(long[:20:20], named(t, "b")))
	same(t, "P@10 behind noise", s.AtBudget[0].Precision, 0)
	same(t, "P@25 behind noise", s.AtBudget[1].Precision, 1.0/21)
	same(t, "R@25 behind noise", s.AtBudget[1].Recall, 1.0/2)
	if s.NodesFound != 21 || s.NodesTrue != 1 || s.AtBudget[1].Budget != 25 {
		t.Errorf("found %d, true %d, second budget %d; want 21, 1, 25", s.NodesFound, s.NodesTrue, s.AtBudget[1].Budget)
	}
}

func TestClaimError(t *testing.T) {
	eth, usd := coin(t, "ETH"), coin(t, "USD")
	at := func(who string, asset flow.Asset, n uint64) Place {
		return Place{named(t, who), asset, flow.NewAmount(n)}
	}
	truth := Truth{Endings: []Place{at("a", eth, 60), at("b", eth, 30), at("b", eth, 10)}}
	for _, c := range []struct {
		name  string
		found []Place
		want  float64
	}{
		{"right", []Place{at("b", eth, 40), at("a", eth, 60)}, 0},
		{"nothing", []Place{}, 1},
		{"elsewhere", []Place{at("c", eth, 100)}, 2},
		{"partly", []Place{at("a", eth, 50), at("b", eth, 40), at("c", eth, 10)}, 0.2},
		{"another-asset-too", []Place{at("a", eth, 60), at("b", eth, 40), at("a", usd, 7)}, 0},
	} {
		if got := truth.claimError(c.found); got == nil || math.Abs(*got-c.want) > 1e-9 {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
	truth.Endings = append(truth.Endings, at("a", usd, 5))
	if got := truth.claimError([]Place{at("a", eth, 60), at("b", eth, 40)}); *got != 0.5 {
		t.Errorf("one of two assets missed: %v; want the mean of 0 and 1", *got)
	}
	if truth.claimError(nil) != nil || (&Truth{}).claimError([]Place{}) != nil {
		t.Error("an error of claims that nobody knows")
	}
}

// Shares are shares, whatever was found, and the truth itself scores 1.
func TestScoresAreShares(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		truth := smallTruth(t)
		ids := rapid.SliceOfN(rapid.ByteRange(0, 12), 0, 30).Draw(rt, "transfers")
		found := []Carried{}
		for _, n := range ids {
			v := flow.NewAmount(rapid.Uint64Range(0, 1000).Draw(rt, "amount"))
			found = append(found, Carried{transfer(n), rapid.SampledFrom([]flow.Asset{coin(t, "ETH"), coin(t, "USD"), coin(t, "FISH")}).Draw(rt, "asset"), v})
		}
		s := truth.transfers(found)
		for _, v := range []float64{s.Flow, s.FlowReachable, s.Terminus, s.TerminusReachable, s.Precision, s.Recall, s.ValuePrecision, s.ValueRecall} {
			if v < 0 || v > 1 || math.IsNaN(v) {
				rt.Fatalf("%+v", s)
			}
		}
		if s.ValueRecall > s.Flow+1e-6 {
			rt.Fatalf("value recall %v above the value of the transfers that were found, %v", s.ValueRecall, s.Flow)
		}
		for id, x := range truth.Transfers {
			found = append(found, Carried{id, x.Asset, x.Stolen})
		}
		if s = truth.transfers(found); s.Flow != 1 || s.Terminus != 1 || s.Recall != 1 {
			rt.Fatalf("everything found: %+v", s)
		}
	})
}
