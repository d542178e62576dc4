package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/attribute"
	dectext "github.com/spoor-dev/spoor/decode/text"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/source/text"
	"github.com/spoor-dev/spoor/store/memstore"
)

// A payment is one row of a random chain.
type payment struct {
	from, to int
	amount   uint64
}

// invented is account n of a random chain.
func invented(n int) flow.Account { return flow.EVMAccount(flow.Ethereum, [20]byte{0xaa, byte(n)}) }

// Whatever happens on a chain: what is named and what is not is all there was; an interval holds its value; every path was
// walked, in the order of time; and what a labelled account paid directly is exactly what its payments say.
func TestExposureHoldsOnAnyChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const accounts = 8
		payments := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) payment {
			return payment{rapid.IntRange(0, accounts-1).Draw(t, "from"), rapid.IntRange(0, accounts-1).Draw(t, "to"), uint64(rapid.IntRange(1, 1000).Draw(t, "amount"))}
		}), 1, 40).Draw(t, "payments")
		var b strings.Builder
		b.WriteString("chain eip155:1\n")
		for i, p := range payments {
			fmt.Fprintf(&b, "block %d b%d time=%d\n%s %s native %d\n", i+1, i+1, 1700000000+i*10, invented(p.from).Address(), invented(p.to).Address(), p.amount)
		}
		st := memstore.New()
		defer st.Close()
		src, err := text.Parse("chain.txt", strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Ingest(t.Context(), st, []Input{{Name: "text", Source: src, Decoder: dectext.New()}}, Watcher{}); err != nil {
			t.Fatal(err)
		}
		// Account 0 is asked about, the last two are named.
		book, err := attribute.NewBook([]attribute.Label{
			{Subject: attribute.OfAccount(invented(accounts - 1)), Name: "bad", Category: attribute.Sanction, Confidence: attribute.AuthorityData, Source: attribute.Source{ID: "l"}},
			{Subject: attribute.OfAccount(invented(accounts - 2)), Name: "exchange", Category: attribute.Exchange, Confidence: attribute.AuthorityData, Source: attribute.Source{ID: "l"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		until := rapid.IntRange(1, len(payments)).Draw(t, "until") // blocks that count
		now := int64(1700000000 + (until-1)*10)
		s := NewScreener(ScreenConfig{Store: st, Now: func() time.Time { return time.Unix(now, 0) }}, book)
		v, err := s.Ask(t.Context(), screen.Question{Account: invented(0), AsOf: now})
		if err != nil {
			t.Fatal(err)
		}
		checkCovered(t, v, payments[:until])
		for _, e := range v.Exposure {
			checkExposure(t, e, payments[:until], map[string]int{"sanction": accounts - 1, "exchange": accounts - 2}[e.Category])
		}
	})
}

func checkCovered(t *rapid.T, v screen.Verdict, payments []payment) {
	for _, c := range v.Covered {
		sum, ok := c.Named, true
		for _, e := range c.Ends {
			if sum, ok = sum.Add(e.Value); !ok {
				t.Fatal("more than there can be")
			}
		}
		if sum != c.Total {
			t.Fatalf("%s: %s named and %v are not %s", c.Direction, c.Named, c.Ends, c.Total)
		}
		if c.Direction != screen.In {
			continue // what comes back is paid out again before it counts
		}
		var came uint64
		for _, p := range payments {
			if p.to == 0 {
				came += p.amount
			}
		}
		if total, _ := c.Total.Uint64(); total > came {
			t.Fatalf("%d came, and %d is covered", came, total)
		}
	}
}

func checkExposure(t *rapid.T, e screen.Exposure, payments []payment, named int) {
	if e.Interval.High.Less(e.Value) || e.Value.Less(e.Interval.Low) || e.Share < 0 || e.Share > 1_000_000_000 {
		t.Fatalf("%s is not between %s and %s", e.Value, e.Interval.Low, e.Interval.High)
	}
	if e.Direct != (e.Hops == 1) {
		t.Fatalf("direct %v over %d hops", e.Direct, e.Hops)
	}
	if len(e.TopPaths) == 0 && !e.Value.IsZero() {
		t.Fatalf("%s came by no path: %+v", e.Value, e)
	}
	far, near := invented(named), invented(0)
	for _, p := range e.TopPaths {
		first, last := far, near
		if e.Direction == screen.Out {
			first, last = near, far
		}
		if len(p.Accounts) != len(p.Txs)+1 || p.Accounts[0] != first || p.Accounts[len(p.Accounts)-1] != last || e.Direct != (len(p.Txs) == 1) || len(p.Txs) < e.Hops || e.Value.Less(p.Amount) && !e.Value.IsZero() {
			t.Fatalf("path %+v of exposure %+v", p, e)
		}
		// Walk the payments in the order of time: each step must be a later payment between the two, and large enough.
		at := 0
		for i := range p.Txs {
			found := slices.IndexFunc(payments[at:], func(q payment) bool {
				v := flow.NewAmount(q.amount)
				return invented(q.from) == p.Accounts[i] && invented(q.to) == p.Accounts[i+1] && !v.Less(p.Amount)
			})
			if found < 0 {
				t.Fatalf("step %d of path %+v was not paid after the steps before it", i, p)
			}
			at += found + 1
		}
	}
	if e.Direct && e.Direction == screen.In {
		var paid uint64
		for _, p := range payments {
			if p.from == named && p.to == 0 {
				paid += p.amount
			}
		}
		if e.Interval.High.Compare(flow.NewAmount(paid)) > 0 {
			t.Fatalf("%d was paid, and at most %s is said", paid, e.Interval.High)
		}
	}
}
