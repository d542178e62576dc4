package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

// town knows services by the numbers of their accounts: 90 to 94 are a bank, 95 to 99 an exchange, 80 to 89 contracts.
type town struct{}

func (town) Service(a flow.Account) string {
	b, _ := a.EVMAddress()
	switch n := b[3]; {
	case n >= 95 && n < 100:
		return "exchange"
	case n >= 90 && n < 95:
		return "bank"
	}
	return ""
}

func (town) IsContract(a flow.Account) bool {
	b, _ := a.EVMAddress()
	return b[3] >= 80 && b[3] < 90
}

const ether = 1_000_000_000_000_000_000

func pay(height uint64, from, to int, asset flow.Asset, amount uint64) flow.Tx {
	return flow.Tx{ID: flow.Hash{byte(height)}, Point: flow.Point{Chain: flow.Ethereum, Height: height},
		Movements: []flow.Movement{flow.In1Out1(flow.Transfer, asset, 0, whoever(from), whoever(to), flow.NewAmount(amount))}}
}

func TestDeposits(t *testing.T) {
	coin, token := flow.Ethereum.Native(), flow.Token(whoever(88))
	for name, tt := range map[string]struct {
		txs  []flow.Tx
		want string // sender, deposit account, confidence
	}{
		"at-once":           {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(10, 50, 95, coin, ether)}, "1>50 80"},
		"late":              {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(1610, 50, 95, coin, ether)}, "1>50 60"},
		"less":              {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(10, 50, 95, coin, ether-ether/100)}, "1>50 40"},
		"at-the-limit":      {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(3210, 50, 95, coin, ether)}, "1>50 40"},
		"too-late":          {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(3211, 50, 95, coin, ether)}, ""},
		"too-little":        {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(10, 50, 95, coin, ether-ether/100-1)}, ""},
		"more":              {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(10, 50, 95, coin, ether+1)}, ""},
		"token":             {[]flow.Tx{pay(10, 1, 50, token, 500), pay(11, 50, 95, token, 500)}, "1>50 79"},
		"token-is-whole":    {[]flow.Tx{pay(10, 1, 50, token, 500), pay(11, 50, 95, token, 499)}, ""},
		"another-asset":     {[]flow.Tx{pay(10, 1, 50, token, 500), pay(11, 50, 95, coin, 500)}, ""},
		"from-a-service":    {[]flow.Tx{pay(10, 91, 50, coin, ether), pay(11, 50, 95, coin, ether)}, ""},
		"from-a-contract":   {[]flow.Tx{pay(10, 81, 50, coin, ether), pay(11, 50, 95, coin, ether)}, ""},
		"through-contract":  {[]flow.Tx{pay(10, 1, 81, coin, ether), pay(11, 81, 95, coin, ether)}, ""},
		"pays-others":       {[]flow.Tx{pay(9, 50, 2, coin, 5), pay(10, 1, 50, coin, ether), pay(11, 50, 95, coin, ether)}, ""},
		"two-services":      {[]flow.Tx{pay(9, 50, 91, coin, 5), pay(10, 1, 50, coin, ether), pay(11, 50, 95, coin, ether)}, ""},
		"two-wallets-of-it": {[]flow.Tx{pay(9, 50, 96, coin, 5), pay(10, 1, 50, coin, ether), pay(11, 50, 95, coin, ether)}, "1>50 79"},
		"two-senders": {[]flow.Tx{pay(10, 1, 50, coin, ether), pay(10, 50, 95, coin, ether), pay(11, 2, 50, coin, 3), pay(11, 50, 95, coin, 3)},
			"1>50 80, 2>50 80"},
		"the-newest": {[]flow.Tx{pay(9, 1, 50, coin, ether), pay(10, 2, 50, coin, ether), pay(10, 50, 95, coin, ether)}, "2>50 80"},
		"nothing":    {[]flow.Tx{pay(10, 1, 50, coin, 0), pay(10, 50, 95, coin, 0)}, ""},
	} {
		d := NewDeposits(DepositRule{}, town{})
		got := ""
		for _, tx := range tt.txs {
			for _, e := range d.Eat(tx, 5) {
				if err := e.check(); err != nil || e.Seen != 5 || e.Tx != tx.ID {
					t.Errorf("%s: %+v: %v", name, e, err)
				}
				a, _ := e.A.EVMAddress()
				b, _ := e.B.EVMAddress()
				if got != "" {
					got += ", "
				}
				got += fmt.Sprintf("%d>%d %d", a[3], b[3], e.Confidence)
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %q; want %q", name, got, tt.want)
		}
	}
}

func TestDepositsOfACrowd(t *testing.T) {
	for _, senders := range []int{20, 21} {
		d := NewDeposits(DepositRule{}, town{})
		var found []Evidence
		for i := range senders {
			found = append(found, d.Eat(pay(10, i+1, 50, flow.Ethereum.Native(), ether), 0)...)
		}
		found = append(found, d.Eat(pay(11, 50, 95, flow.Ethereum.Native(), ether), 0)...)
		if want := b2i(senders <= 20); len(found) != want {
			t.Errorf("%d senders: %d pieces of evidence; want %d", senders, len(found), want)
		}
	}
}

// Forward and back is nothing, and what is forgotten no longer counts.
func TestDepositsForwardAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := DepositRule{Blocks: 6, Undo: 8, Senders: 2}
		draw := func(from uint64, n int) (txs []flow.Tx) {
			height := from
			for i := range n {
				height += uint64(rapid.IntRange(0, 2).Draw(t, "blocks"))
				who := rapid.SampledFrom([]int{1, 2, 3, 50, 51, 81, 91, 95})
				tx := pay(height, who.Draw(t, "from"), who.Draw(t, "to"), flow.Ethereum.Native(), uint64(rapid.IntRange(1, 2).Draw(t, "amount"))*ether)
				tx.Index = uint32(i)
				txs = append(txs, tx)
			}
			return txs
		}
		first := draw(1, rapid.IntRange(0, 30).Draw(t, "first"))
		fork := uint64(1)
		if len(first) > 0 {
			fork = first[len(first)-1].Point.Height + 1
		}
		lost := draw(fork, rapid.IntRange(0, 4).Draw(t, "lost")) // at most 8 blocks
		last := draw(fork, rapid.IntRange(0, 30).Draw(t, "last"))
		straight, there, unbounded := NewDeposits(rule, town{}), NewDeposits(rule, town{}), NewDeposits(DepositRule{Blocks: 6, Undo: 1 << 40, Senders: 2}, town{})
		eat := func(d *Deposits, txs []flow.Tx) (all []Evidence) {
			for _, tx := range txs {
				all = append(all, d.Eat(tx, 0)...)
			}
			return all
		}
		eat(straight, first)
		eat(there, first)
		eat(unbounded, first)
		eat(there, lost)
		there.Undo(flow.Pos{Height: fork})
		want := eat(unbounded, last)
		if a, b := eat(straight, last), eat(there, last); !reflect.DeepEqual(a, want) || !reflect.DeepEqual(b, want) {
			t.Fatalf("straight %+v\nwith a fork %+v\nforgetting nothing %+v", a, b, want)
		}
		if len(straight.log) > 0 {
			straight.forget(1 << 50)
		}
		if len(straight.boxes)+len(straight.log) != 0 {
			t.Fatalf("%d boxes, %d entries left after all is old", len(straight.boxes), len(straight.log))
		}
	})
}

func TestKeyOnTwoChains(t *testing.T) {
	base, err := whoever(1).On(flow.EVMChain(8453))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		a, b Presence
		want int // confidence; 0 for nothing
	}{
		"both-signed":   {Presence{Account: whoever(1), Signed: true}, Presence{Account: base, Signed: true}, 95},
		"one-signed":    {Presence{Account: whoever(1), Signed: true}, Presence{Account: base}, 70},
		"none-signed":   {Presence{Account: whoever(1)}, Presence{Account: base}, 0},
		"contract":      {Presence{Account: whoever(1), Signed: true, Contract: true}, Presence{Account: base, Signed: true}, 0},
		"contract-here": {Presence{Account: whoever(1), Signed: true}, Presence{Account: base, Signed: true, Contract: true}, 0},
	} {
		tt.b.At, tt.b.Tx = flow.Pos{Height: 7}, flow.Hash{7}
		e, ok, err := KeyOnTwoChains(tt.a, tt.b, 3)
		if err != nil || ok != (tt.want > 0) || int(e.Confidence) != tt.want {
			t.Errorf("%s: %+v, %v, %v; want %d", name, e, ok, err, tt.want)
		}
		if ok && (e.check() != nil || e.At != tt.b.At || e.Tx != tt.b.Tx || e.Seen != 3) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	for name, b := range map[string]flow.Account{"another-address": whoever(2), "one-chain": whoever(1), "no-evm": who(1)} {
		if _, ok, err := KeyOnTwoChains(Presence{Account: whoever(1), Signed: true}, Presence{Account: b, Signed: true}, 0); ok || !errors.Is(err, ErrEvidence) {
			t.Errorf("%s: %v, %v; want ErrEvidence", name, ok, err)
		}
	}
}

// tags are labels by account.
type tags map[flow.Account][]Label

func (l tags) Of(a flow.Account) []Label { return l[a] }

func TestThrough(t *testing.T) {
	f := New(Guard{})
	for _, e := range []Evidence{says(1, 2, 90), says(2, 3, 50), says(1, 3, 40), says(3, 4, 80), says(8, 9, 90)} {
		f.Add(e)
	}
	thief := Label{"Lazarus", "sanctions", "ofac", 100}
	rumour := Label{"Lazarus", "sanctions", "blog", 45}
	l := tags{who(1): {thief}, who(2): {thief}, who(3): {rumour}, who(4): {thief, {"shop", "service", "x", 20}}, who(9): {thief}}
	said, all := f.Through(who(1), l, 30, 10)
	var got []string
	for _, s := range said {
		got = append(got, fmt.Sprint(s.Label.Source, " ", s.Confidence, " via ", s.Via.Address(), " ", len(s.Proof.Evidence)))
		if p, ok := f.Strongest(who(1), s.Via); !ok || p.Weakest != s.Proof.Weakest || s.Confidence != min(s.Label.Confidence, p.Weakest) {
			t.Errorf("%+v: the strongest proof is %+v", s, p)
		}
	}
	if want := []string{"ofac 90 via a02 1", "blog 45 via a03 2"}; !all || !reflect.DeepEqual(got, want) {
		t.Errorf("said of a01: %v, %v; want %v", got, all, want)
	}
	if said, all := f.Through(who(4), l, 0, 2); all || len(said) != 2 {
		t.Errorf("said of a04 by two members: %+v, %v", said, all)
	}
	l[who(2)] = []Label{{"Lazarus", "sanctions", "ofac", 30}} // nearer, but less sure of itself
	l[who(1)], l[who(4)] = nil, nil
	l[who(3)] = []Label{{"Lazarus", "sanctions", "ofac", 100}}
	if said, _ := f.Through(who(1), l, 0, 10); len(said) != 1 || said[0].Via != who(3) || said[0].Confidence != 50 {
		t.Errorf("the surest of two who have one label: %+v", said)
	}
	if said, all := f.Through(who(7), l, 0, 2); !all || said != nil {
		t.Errorf("said of a stranger: %+v, %v", said, all)
	}
}
