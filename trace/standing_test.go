package trace

import (
	"slices"
	"testing"
)

func TestStandIsWhatAHolderHasNow(t *testing.T) {
	txs := accountStory(`
		>thief 100
		thief>a 60
		>a 40
		a>b 30
		thief>shop 40`)
	theft := Theft{Name: "x", Sources: []Source{Holding{who(textChain, "thief"), coinAsset, num(100), txs[1].At()}}}
	c := must(New(theft, Options{Policies: []Policy{DirtyFirst, CleanFirst}, DustShare: -1, UndoDepth: 9}))
	d := NewDesk(Place{textChain, txs[1].At()})
	if err := d.Add("x", c, Place{textChain, txs[1].At()}); err != nil {
		t.Fatal(err)
	}
	g := newGraph(txs)
	for _, tx := range txs[1:] {
		if _, err := d.Apply(t.Context(), g, tx); err != nil {
			t.Fatal(err)
		}
	}
	dirty, clean := c.Ledgers(textChain)[0], c.Ledgers(textChain)[1]
	for _, want := range []struct {
		l     *Ledger
		name  string
		units uint64
		hops  int
	}{{dirty, "a", 30, 1}, {dirty, "b", 30, 2}, {clean, "a", 60, 1}, {dirty, "shop", 40, 1}, {dirty, "thief", 0, 0}} {
		s, ok := want.l.Stand(Holder{Account: who(textChain, want.name), Asset: coinAsset})
		if !ok || s.Units != num(want.units) || s.Hops != want.hops || s.Source != (want.name == "thief") || s.Stopped {
			t.Errorf("%s of %s: %+v, %v; want %d units, %d hops", want.l.Policy(), want.name, s, ok, want.units, want.hops)
		}
	}
	if _, ok := clean.Stand(Holder{Account: who(textChain, "b"), Asset: coinAsset}); ok {
		t.Error("clean-first knows b, whom it has never reached")
	}
	if a, v, ok := dirty.Stolen(1); !ok || a != coinAsset || v != num(100) {
		t.Errorf("stolen: %s %s, %v", v, a, ok)
	}
	if _, _, ok := dirty.Stolen(2); ok {
		t.Error("there is a second line")
	}
	if n := dirty.Followed(); n != 4 {
		t.Errorf("%d followed; want 4", n)
	}
	for name, want := range map[string][]string{"a": {"x"}, "b": {"x"}, "thief": nil, "nobody": nil} {
		if got := d.Follows(who(textChain, name)); !slices.Equal(got, want) {
			t.Errorf("who follows %s: %q; want %q", name, got, want)
		}
	}
}

func TestDeskKnowsWhoFollowsACoin(t *testing.T) {
	txs := coinStory(`
		mint: -> victim=100
		theft: mint.0 -> thief=100
		split: theft.0 -> a=60 b=40`)
	at := txs[1].At()
	theft := Theft{Sources: []Source{Coin{coinNamed("theft.0"), who(utxoChain, "thief"), utxoChain.Native(), num(100)}}}
	c := must(New(theft, Options{Policies: []Policy{FIFO}, DustShare: -1}))
	d := NewDesk()
	if err := d.Add("x", c, Place{utxoChain, at}); err != nil {
		t.Fatal(err)
	}
	for _, tx := range txs[1:] {
		if _, err := d.Apply(t.Context(), nil, tx); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{"theft.0": nil, "split.0": {"x"}, "split.1": {"x"}, "mint.0": nil} {
		if got := d.FollowsCoin(utxoChain, coinNamed(name)); !slices.Equal(got, want) {
			t.Errorf("who follows %s: %q; want %q", name, got, want)
		}
	}
}
