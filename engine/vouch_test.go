package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// evm is an Ethereum account of one repeated byte.
func evmAccount(t *testing.T, b byte) flow.Account {
	t.Helper()
	a, err := flow.ParseAccountOn(flow.Ethereum, fmt.Sprintf("0x%040x", b))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func evmToken(t *testing.T, contract string) flow.Asset {
	t.Helper()
	a, err := flow.ParseAsset("eip155:1/erc20:" + contract)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What is said to leave a thief in every asset is not what a token of somebody's own making says.
func TestCounterfeitsAreNoLoot(t *testing.T) {
	thief, victim, next, lookalike := evmAccount(t, 1), evmAccount(t, 2), evmAccount(t, 3), evmAccount(t, 4)
	ether := flow.Ethereum.Native()
	tether := evmToken(t, "0xdAC17F958D2ee523a2206206994597C13D831ec7")
	rare := evmToken(t, "0x00000000000000000000000000000000000000aa")
	fake := evmToken(t, "0x00000000000000000000000000000000000000bb")
	height := uint64(0)
	block := func(asset flow.Asset, from, to flow.Account, v uint64) flow.Block {
		height++
		p := flow.Point{Chain: flow.Ethereum, Height: height, Hash: flow.Hash{31: byte(height)}, Time: int64(height)}
		return flow.Block{Point: p, Txs: []flow.Tx{{ID: flow.Hash{0: byte(height)}, Point: p,
			Movements: []flow.Movement{flow.In1Out1(flow.TokenMove, asset, 0, from, to, flow.NewAmount(v))}}}}
	}
	st := memstore.New()
	if _, err := st.Append(t.Context(), []flow.Block{
		block(rare, victim, thief, 50), block(ether, thief, next, 1e15), block(tether, thief, next, 1_000_000),
		block(rare, thief, next, 50), block(fake, thief, lookalike, 1_000_000), block(fake, thief, lookalike, 1_000_000),
	}); err != nil {
		t.Fatal(err)
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ask := func(sources ...trace.Source) *Answer {
		a, err := Trace(t.Context(), s, trace.Theft{Name: "t", Sources: sources}, trace.Options{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	stolen := func(a *Answer) (assets []flow.Asset) {
		for _, l := range a.Report.Disagreement.Lines {
			assets = append(assets, l.Stolen)
		}
		slices.SortFunc(assets, flow.Asset.Compare)
		return assets
	}
	want := []flow.Asset{ether, tether, rare}
	slices.SortFunc(want, flow.Asset.Compare)
	a := ask(trace.Outflow{Account: thief})
	if got := stolen(a); !slices.Equal(got, want) {
		t.Errorf("stolen: %v; want %v", got, want)
	}
	if !says(a, "Not traced", fake.Name(), "a token can forge that") {
		t.Errorf("the counterfeit is not named: %q", a.DoesNotKnow)
	}
	if got := stolen(ask(trace.Outflow{Account: thief, Asset: fake})); !slices.Equal(got, []flow.Asset{fake}) {
		t.Errorf("named, it is traced: %v", got)
	}
	// The floors of well-known assets are among the parameters; what is given goes before them.
	floor := map[flow.Asset]flow.Amount{}
	for _, d := range a.Report.Dust {
		floor[d.Asset] = d.Floor
	}
	if floor[tether] != flow.NewAmount(10_000) || floor[ether] != flow.NewAmount(1e13) {
		t.Errorf("floors: %v", a.Report.Dust)
	}
}
