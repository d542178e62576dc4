package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

// crowdStory is a chain on which the account x has its own traffic before and after a thief pays it. Names count up:
// "in 40 10" is 40 payments of 10 from c0, c1, …; "out 40 10" is 40 payments to d0, d1, ….
func crowdStory(lines ...string) []flow.Tx {
	story := ""
	for _, line := range lines {
		var n, v int
		switch {
		case scan(line, "fund %d %d", &n, &v):
			for i := range n {
				story += fmt.Sprintf(">c%d %d\n", i, v)
			}
		case scan(line, "in %d %d", &n, &v):
			for i := range n {
				story += fmt.Sprintf("c%d>x %d\n", i, v)
			}
		case scan(line, "out %d %d", &n, &v):
			for i := range n {
				story += fmt.Sprintf("x>d%d %d\n", i, v)
			}
		default:
			story += line + "\n"
		}
	}
	return accountStory(story)
}

func scan(line, form string, n, v *int) bool {
	k, err := fmt.Sscanf(line, form, n, v)
	return err == nil && k == 2
}

func TestCrowdStories(t *testing.T) {
	thief := []Source{Outflow{Account: who(textChain, "thief")}}
	for _, c := range []struct {
		name  string
		story []string
		crowd Crowd
		want  string // under every rule
		why   string // in the reason
	}{
		{
			name:  "a-crowd-before-the-claim-comes",
			story: []string{"fund 40 100", "in 40 100", "out 40 50", ">thief 9", "thief>x 9", "x>later 9"},
			want:  "service:x=9", why: "at least 32 payers and 32 payees, 0.22 % of what it received is stolen",
		},
		{
			name:  "a-crowd-that-comes-later-ends-what-still-rests-there",
			story: []string{"fund 40 100", "in 31 100", "out 32 50", ">thief 9", "thief>x 9", "c31>x 100", "x>later 1"},
			want:  "service:x=9", why: "at least 32 payers and 32 payees",
		},
		{
			name:  "claim-that-comes-twice-counts-twice-and-no-more",
			story: []string{"fund 40 100", "in 31 100", "out 32 50", ">thief 1800", "thief>x 900", "thief>x 900", "c31>x 100", "x>later 1"},
			want:  "service:x=1800", why: "36.00 % of what it received is stolen",
		},
		{
			name:  "few-payers",
			story: []string{"fund 31 100", "in 31 100", "out 40 50", ">thief 9", "thief>x 9"},
			want:  "x=9",
		},
		{
			name:  "few-payees",
			story: []string{"fund 40 100", "in 40 100", "out 31 50", ">thief 9", "thief>x 9"},
			want:  "x=9",
		},
		{
			name:  "a-mule-with-puppets-whose-money-is-small",
			story: []string{"fund 40 1", "in 40 1", "out 40 1", ">thief 41", "thief>x 41"},
			want:  "x=41",
		},
		{
			name:  "payments-of-nothing-are-no-crowd",
			story: []string{">rich 1000", "rich>x 1000", "in 40 0", "out 40 0", ">thief 9", "thief>x 9"},
			want:  "x=9",
		},
		{
			name:  "one-account-many-times-is-no-crowd",
			story: append(append([]string{">c0 1000"}, slices.Repeat([]string{"c0>x 10", "x>c0 1"}, 50)...), ">thief 9", "thief>x 9"),
			want:  "x=9",
		},
		{
			name:  "nobody-is-judged",
			story: []string{"fund 40 100", "in 40 100", "out 40 50", ">thief 9", "thief>x 9"},
			crowd: Crowd{Parties: -1},
			want:  "x=9",
		},
		{
			name:  "a-smaller-crowd-if-asked-for",
			story: []string{"fund 3 100", "in 3 100", "out 3 50", ">thief 9", "thief>x 9"},
			crowd: Crowd{Parties: 3},
			want:  "service:x=9", why: "at least 3 payers and 3 payees, 2.91 %",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			txs := crowdStory(c.story...)
			o := exact(Haircut, FIFO, LIFO, DirtyFirst, CleanFirst)
			o.Crowd = c.crowd
			r := run(t, newGraph(txs), Theft{c.name, thief}, o)
			for i := range r.Results {
				res := &r.Results[i]
				if got := claims(res, namesOf(txs, textChain)); got != c.want {
					t.Errorf("%s: got %q; want %q", res.Policy, got, c.want)
				}
				for _, k := range res.Sinks {
					if k.Rule != CrowdRule || !strings.Contains(k.Reason, c.why) || len(k.Txs) == 0 {
						t.Errorf("%s: it ends by rule %q because it %q (%d transactions); want %q", res.Policy, k.Rule, k.Reason, len(k.Txs), c.why)
					}
				}
			}
		})
	}
}

// A source is never taken for a service: it may be the robbed exchange.
func TestCrowdSparesSources(t *testing.T) {
	txs := crowdStory("fund 40 100", "in 40 100", "out 40 50", ">x 50", "x>thief 500")
	n := uint64(len(txs))
	r := run(t, newGraph(txs), Theft{"t", []Source{Holding{who(textChain, "x"), coinAsset, num(500), flow.Pos{Height: n}}}}, exact(FIFO, DirtyFirst))
	for i := range r.Results {
		if len(r.Results[i].Sinks) > 0 {
			t.Errorf("%s: %+v", r.Results[i].Policy, r.Results[i].Sinks)
		}
	}
}

// Whatever strangers can send to anybody leaves every forward answer as it is, to the byte: payments of nothing in anybody's
// name, tokens of their own making, and less than the floor.
func TestPoisoningChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		t.Log(w)
		for i, src := range w.theft.Sources { // every asset is every token's word for it
			if out, ok := src.(Outflow); ok && out.Asset.IsZero() {
				out.Asset = out.Account.Chain().Native()
				if out.Account.Chain() == textChain {
					out.Asset = coinAsset
				}
				w.theft.Sources[i] = out
			}
		}
		o := drawOptions(t, w)
		o.Dust = map[flow.Asset]flow.Amount{coinAsset: num(2)}
		o.Budget = Budget{}
		want, err := Run(t.Context(), w.graph(o), w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		names := append([]flow.Account{who(textChain, "lookalike")}, accountsOf(w.txs)...)
		pick := func(what string) flow.Account { return rapid.SampledFrom(names).Draw(t, what) }
		fake := must(flow.NamedAsset(textChain, "FAKE"))
		w.txs = slices.Clone(w.txs)
		for _, tx := range slices.Clone(w.txs) {
			if tx.Point.Chain != textChain || !rapid.Bool().Draw(t, "poison") {
				continue
			}
			tx.ID, tx.Index, tx.Movements = flow.Hash{1, byte(tx.Point.Height)}, 1, nil
			for range rapid.IntRange(1, 3).Draw(t, "pieces") {
				m := flow.In1Out1(flow.TokenMove, coinAsset, 0, pick("from"), pick("to"), num(0))
				switch rapid.IntRange(0, 2).Draw(t, "kind") {
				case 1:
					m.Asset, m.In[0].Amount, m.Out[0].Amount = fake, num(1000), num(1000)
				case 2:
					m = flow.In1Out1(flow.TokenMove, coinAsset, 0, who(textChain, "lookalike"), m.Out[0].Account, num(1))
				}
				tx.Movements = append(tx.Movements, m)
			}
			w.txs = append(w.txs, tx)
		}
		slices.SortFunc(w.txs, func(a, b flow.Tx) int { return a.At().Compare(b.At()) })
		got, err := Run(t.Context(), w.graph(o), w.theft, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.Results {
			if got.Results[i].Hash != want.Results[i].Hash {
				t.Errorf("%s: %+v\nwas %+v", got.Results[i].Policy, got.Results[i], want.Results[i])
			}
		}
	})
}

// accountsOf are the accounts of the text chain.
func accountsOf(txs []flow.Tx) []flow.Account {
	var all []flow.Account
	for _, tx := range txs {
		for _, m := range tx.Movements {
			for _, l := range slices.Concat(m.In, m.Out) {
				if l.Account.Chain() == textChain && !slices.Contains(all, l.Account) {
					all = append(all, l.Account)
				}
			}
		}
	}
	return all
}
