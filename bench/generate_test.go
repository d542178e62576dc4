package bench

import (
	"reflect"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

func TestGenerateIsReproducible(t *testing.T) {
	s := Shape{Seed: 7, Movements: 20_000, Hubs: 20, Theft: Theft{Chains: 3, Hops: 5}}
	var one, two Truth
	a, b := slices.Collect(Generate(s, &one)), slices.Collect(Generate(s, &two))
	if !reflect.DeepEqual(a, b) || !reflect.DeepEqual(one, two) {
		t.Error("the same Shape gave two chains")
	}
	s.Seed++
	if reflect.DeepEqual(a, slices.Collect(Generate(s, &two))) {
		t.Error("another seed gave the same chain")
	}
}

// The books of the generator itself: what the thief took is what lies at the ends, and each hop pays what it got.
func TestPlantedTheftAddsUp(t *testing.T) {
	var truth Truth
	shape := Shape{Seed: 1, Movements: 40_000, Hubs: 50, Theft: Theft{Chains: 10, Hops: 60}}
	net := map[flow.Account]int64{}
	seen, movements, height := 0, 0, -1
	for b := range Generate(shape, &truth) {
		if int(b.Point.Height) != height+1 {
			t.Fatalf("block %d after %d", b.Point.Height, height)
		}
		height++
		for _, tx := range b.Txs {
			movements += len(tx.Movements)
			if !truth.Illicit[tx.ID] && tx.ID != truth.TheftTx {
				continue
			}
			seen++
			for _, m := range tx.Movements {
				v, _ := m.In[0].Amount.Uint64()
				net[m.In[0].Account] -= int64(v)
				net[m.Out[0].Account] += int64(v)
			}
		}
	}
	if seen != 1811 || len(truth.Illicit) != 1810 {
		t.Errorf("%d planted transactions, %d of them illicit; want 1811 and 1810", seen, len(truth.Illicit))
	}
	if movements != 40_000+1811 {
		t.Errorf("%d movements; want 41811", movements)
	}
	atServices, resting := int64(0), int64(0)
	for a, v := range net {
		switch {
		case slices.Contains(truth.Services, a):
			atServices += v
		case truth.Holders[a]:
			if v < 0 {
				t.Errorf("%s paid more than it got: %d", a, v)
			}
			resting += v
		}
	}
	if stolen, _ := truth.Amount.Uint64(); atServices+resting != int64(stolen) {
		t.Errorf("services %d + resting %d; want %d", atServices, resting, stolen)
	}
}

func TestTrafficHasAPowerLaw(t *testing.T) {
	count := map[flow.Account]int{}
	n := 0
	for b := range Generate(Shape{Seed: 3, Movements: 500_000, Accounts: 50_000}, nil) {
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				count[m.In[0].Account]++
				n++
			}
		}
	}
	if n != 500_000 {
		t.Fatalf("%d movements; want 500000", n)
	}
	degrees := make([]int, 0, len(count))
	for _, c := range count {
		degrees = append(degrees, c)
	}
	slices.Sort(degrees)
	median, top := degrees[len(degrees)/2], degrees[len(degrees)-1]
	if median < 4 || median > 9 || top < 50*median {
		t.Errorf("median account pays %d times, busiest %d times: no power law", median, top)
	}
}
