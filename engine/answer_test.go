package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

const peelStory = `
chain eth
block 5 a time=2020-10-26T00:00:00Z
victim thief GOLD 100
block 7 b time=2020-10-26T01:00:00Z
thief shop GOLD 30
thief next GOLD 60
`

func outflow(t testing.TB, accounts ...string) (theft trace.Theft) {
	for _, a := range accounts {
		theft.Sources = append(theft.Sources, trace.Outflow{Account: account(t, a)})
	}
	return theft
}

// says reports whether one of the sentences has all these parts.
func says(a *Answer, parts ...string) bool {
	return slices.ContainsFunc(a.DoesNotKnow, func(s string) bool {
		for _, p := range parts {
			if !strings.Contains(s, p) {
				return false
			}
		}
		return true
	})
}

func TestTheAnswerSaysWhatItDoesNotKnow(t *testing.T) {
	s := story(t, peelStory, strings.Replace(evmStory, "block 10 aa", "block 10 aa coverage=logs", 1))
	a, err := Trace(t.Context(), s, outflow(t, "text:eth:thief", "text:eth:nobody", "text:mars:x", anEVM), trace.Options{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"Not traced: ", "never seen text:eth:nobody"},
		{"Not traced: ", "no block of text:mars"},
		{"Nothing before text:eth block 5", "of 2020-10-26 00:00:00 UTC"},
		{"Nothing after text:eth block 7", "of 2020-10-26 01:00:00 UTC"},
		{"1 block missing below it, in 1 run: "},
		{"Nothing after eip155:1 block 12"},
		{"On eip155:1 ", "by a call inside a transaction"}, {"On eip155:1 ", "every fee"}, {"On eip155:1 ", "no root could be recomputed"},
		{"A swap inside one transaction is followed"}, {"Other swaps, bridges and mixers are not followed"},
		{"No labels were given"},
	} {
		if !says(a, want...) {
			t.Errorf("nothing like %q in:\n%s", want, strings.Join(a.DoesNotKnow, "\n"))
		}
	}
	if says(a, "text:eth ", "by a call") || says(a, "tokens are complete") || says(a, "Cut short") || says(a, "refused") {
		t.Errorf("too much in:\n%s", strings.Join(a.DoesNotKnow, "\n"))
	}
	if len(a.Chains) != 2 || a.Chains[1].HoleBlocks != 1 || a.Chains[1].First.Height != 5 || a.Partial {
		t.Errorf("chains %+v, partial %v", a.Chains, a.Partial)
	}
}

func TestTheAnswerSaysWhatItKnowsOfLabels(t *testing.T) {
	s := story(t, peelStory)
	for _, c := range []struct {
		csv  string
		want []string
	}{
		{"address,label\n", []string{"No labels were given"}},
		{"address,label\ntext:eth:shop,S\n", []string{"1 label known, none of a service"}},
		{"address,label,is_service\ntext:eth:shop,S,1\ntext:eth:x,X,0\n", []string{"2 labels known; an account without one is unknown, not clean."}},
		{"address\nnobody\nnobody\n", []string{"2 rows of the labels refused", "l.csv:2"}},
	} {
		a, err := Trace(t.Context(), s, outflow(t, "text:eth:thief"), trace.Options{}, readLabels(t, c.csv), nil)
		if err != nil || !says(a, c.want...) {
			t.Errorf("%q: %v, %v; want %q", c.csv, a.DoesNotKnow, err, c.want)
		}
	}
	a, err := Trace(t.Context(), s, outflow(t, "text:eth:thief"), trace.Options{}, readLabels(t, "address,label,is_service\ntext:eth:shop,S,1\ntext:eth:x,X,0\n"), nil)
	if err != nil || len(a.Labels) != 1 || a.Labels["text:eth:shop"].Name != "S" || a.Services != 1 {
		t.Errorf("labels of the answer: %v, %v", a.Labels, err)
	}
}

func TestABudgetAndMissingDataMakeAnAnswerPartial(t *testing.T) {
	a, err := Trace(t.Context(), story(t, peelStory), outflow(t, "text:eth:thief"), trace.Options{Budget: trace.Budget{Transactions: 1}}, nil, nil)
	if err != nil || !a.Partial || !says(a, "Cut short: ") {
		t.Errorf("a small budget: partial %v, %v, %v", a.Partial, a.DoesNotKnow, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := len(a.DoesNotKnow); n != len(slices.Compact(slices.Sorted(slices.Values(a.DoesNotKnow)))) {
		t.Errorf("said twice: %v", a.DoesNotKnow)
	}
}

func TestAnInputThatWasNeverSeenMakesAnAnswerPartial(t *testing.T) {
	s := story(t, "chain regtest\nblock 1 b1\na1: - -> miner 50\nblock 2 b2\na2: a1:0, old:7 -> thief 70\n")
	b, err := s.Block(t.Context(), flow.BitcoinRegtest, 2)
	if err != nil {
		t.Fatal(err)
	}
	thief := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: b.Txs[0].Movements[0].Out[0].Account}}}
	a, err := Trace(t.Context(), s, thief, trace.Options{Backward: true}, nil, nil)
	if err != nil || !a.Partial {
		t.Errorf("partial %v, %v; want the unknown 20 to make it so", a.Partial, err)
	}
	if a, err = Trace(t.Context(), s, thief, trace.Options{}, nil, nil); err != nil || a.Partial {
		t.Errorf("forward, where nothing is missing: partial %v, %v", a.Partial, err)
	}
}

func TestMoneyOfUnknownOriginIsSaid(t *testing.T) {
	s := story(t, "block 1 a\neth:victim eth:thief GOLD 100\nblock 2 b\neth:thief eth:x GOLD 150\n")
	theft := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: account(t, "text:eth:victim")}}}
	a, err := Trace(t.Context(), s, theft, trace.Options{}, nil, nil)
	if err != nil || !says(a, "1 time an account had more than it is known to have received") {
		t.Errorf("%v, %v", a.DoesNotKnow, err)
	}
}

func TestAnAmountThatTheStoreDoesNotShowIsDoubted(t *testing.T) {
	s := story(t, peelStory)
	for amount, want := range map[string]string{
		"100 GOLD@block:7":  "",
		"101 GOLD@block:7":  "Not shown: thief is taken to have held 101 GOLD before 7/0/0; what the store shows that it received and paid leaves it 100 GOLD",
		"5 SILVER@block:7":  "leaves it 0 SILVER",
		"100 GOLD@block:5":  "leaves it 0 GOLD",
		"100 GOLD":          "",
		"1 GOLD@2020-10-26": "leaves it 0 GOLD", // before the first block
	} {
		src, err := ParseFrom("text:eth:thief=" + amount)
		if err != nil {
			t.Fatal(err)
		}
		theft, _, err := Resolve(t.Context(), s, TheftFile{Sources: []TheftSource{src}}, flow.Chain{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := Trace(t.Context(), s, theft, trace.Options{}, nil, nil)
		if err != nil || says(a, "Not shown") != (want != "") || want != "" && !says(a, want) {
			t.Errorf("=%s: %v, %v; want %q", amount, a.DoesNotKnow, err, want)
		}
	}
}

func TestManyMissingSourcesAreCounted(t *testing.T) {
	theft := outflow(t, "text:eth:thief")
	for i := range saidOfEach + 3 {
		theft.Sources = append(theft.Sources, trace.Outflow{Account: account(t, fmt.Sprintf("text:eth:stranger%d", i))})
	}
	a, err := Trace(t.Context(), story(t, peelStory), theft, trace.Options{}, nil, nil)
	if err != nil || !says(a, "Not traced: the same of 3 more sources.") || !says(a, "never seen text:eth:stranger7") || says(a, "stranger8") {
		t.Errorf("%v, %v", a.DoesNotKnow, err)
	}
}

func TestATheftOfWhichTheStoreHoldsNothingIsNotClean(t *testing.T) {
	s := story(t, peelStory, "chain regtest\nblock 1 b1\nc1: - -> miner 50\n")
	late := trace.Theft{Sources: []trace.Source{trace.Outflow{Account: account(t, "text:eth:thief"), From: flow.Pos{Height: 8}}}}
	for _, c := range []struct {
		theft trace.Theft
		want  string
	}{
		{outflow(t, "text:eth:nobody"), "never seen text:eth:nobody"},
		{outflow(t, "text:eth:nobody", "text:eth:x", "text:eth:x"), "and the same of 1 more"},
		{outflow(t, anEVM), "no block of eip155:1"},
		{late, "from block 8 on is behind the newest block, text:eth block 7"},
	} {
		_, err := Trace(t.Context(), s, c.theft, trace.Options{}, nil, nil)
		mention(t, fmt.Sprint(c.theft), err, c.want)
		if !errors.Is(err, ErrAbsent) {
			t.Errorf("%v; want ErrAbsent", err)
		}
	}
	// Backward, a place behind the newest block is the whole chain.
	late.Sources = []trace.Source{trace.Outflow{Account: account(t, "text:eth:thief"), From: flow.Pos{Height: 99}}}
	if a, err := Trace(t.Context(), s, late, trace.Options{Backward: true}, nil, nil); err != nil || len(a.Report.Disagreement.Lines) != 1 {
		t.Errorf("backward: %v", err)
	}
	// An account that is there and did nothing is an answer.
	if a, err := Trace(t.Context(), s, outflow(t, "text:eth:shop"), trace.Options{}, nil, nil); err != nil || len(a.Report.Disagreement.Lines) != 0 {
		t.Errorf("an account that kept all: %v", err)
	}
	if _, err := Trace(t.Context(), s, trace.Theft{}, trace.Options{}, nil, nil); err == nil || errors.Is(err, ErrAbsent) {
		t.Errorf("no theft at all: %v", err)
	}
}

func TestTheBarePublicKeyBehindAnAddressIsNamed(t *testing.T) {
	key := account(t, "p2pk-"+aBTC)
	st := memstore.New()
	_, err := st.Append(t.Context(), []flow.Block{{Point: flow.Point{Chain: flow.Bitcoin, Height: 0, Hash: flow.Hash{1}}, Txs: []flow.Tx{{
		ID: flow.Hash{2}, Point: flow.Point{Chain: flow.Bitcoin, Height: 0, Hash: flow.Hash{1}},
		Movements: []flow.Movement{{Kind: flow.Reward, Asset: flow.Bitcoin.Native(), Out: []flow.Leg{{Account: key, Amount: flow.NewAmount(50)}}}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Trace(t.Context(), s, outflow(t, aBTC), trace.Options{}, nil, nil)
	mention(t, aBTC, err, "the bare public key behind it, p2pk-"+aBTC)
	_, err = Trace(t.Context(), s, outflow(t, "12cbQLTFMXRnSzktFkuoG3eHoMeFtpTu3S"), trace.Options{}, nil, nil)
	if err == nil || strings.Contains(err.Error(), "bare public key") {
		t.Errorf("another address: %v", err)
	}
}

func TestHolesAreCountedAndFewAreListed(t *testing.T) {
	var b strings.Builder
	for i := range keptHoles + 50 {
		fmt.Fprintf(&b, "block %d b%d\neth:a eth:b GOLD 1\n", 3*i, i)
	}
	a, err := Trace(t.Context(), story(t, b.String()), outflow(t, "text:eth:a"), trace.Options{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := a.Chains[0]; c.HoleRuns != keptHoles+49 || c.HoleBlocks != 2*(keptHoles+49) || len(c.Holes) != keptHoles {
		t.Errorf("%d holes of %d blocks, %d listed", c.HoleRuns, c.HoleBlocks, len(c.Holes))
	}
	if !says(a, "298 blocks missing below it, in 149 runs: ") {
		t.Error(a.DoesNotKnow)
	}
}

func TestAnAnswerInJSONHasNoNull(t *testing.T) {
	a, err := Trace(t.Context(), story(t, "block 1 a\neth:a eth:b GOLD 1\n"), outflow(t, "text:eth:a"), trace.Options{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"chains", "bad_labels", "labels", "does_not_know", "report"} {
		if v, ok := keys[k]; !ok || string(v) == "null" {
			t.Errorf("%s is %s", k, v)
		}
	}
	if strings.Contains(string(keys["chains"]), "null") {
		t.Errorf("chains: %s", keys["chains"])
	}
}

func TestBrokenFindsALineThatDoesNotAddUp(t *testing.T) {
	labels := readLabels(t, "address,label,is_service\ntext:eth:shop,S,1\n")
	whole := func() *Answer {
		a, err := Trace(t.Context(), story(t, peelStory), outflow(t, "text:eth:thief"), trace.Options{
			Policies: []trace.Policy{trace.FIFO, trace.Poison},
		}, labels, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if got := Broken(whole().Report); len(got) > 0 {
		t.Fatalf("a sound report is broken: %v", got)
	}
	for name, breaks := range map[string]func(*trace.Result){
		"holder-lost": func(r *trace.Result) { r.Holders = r.Holders[1:] },
		"sink-lost":   func(r *trace.Result) { r.Sinks = nil },
		"one-more":    func(r *trace.Result) { r.Sinks[0].Claim, _ = r.Sinks[0].Claim.Add(flow.NewAmount(1)) },
		"stolen":      func(r *trace.Result) { r.Lines[0].Stolen = flow.NewAmount(91) },
	} {
		a := whole()
		breaks(&a.Report.Results[0])
		if got := Broken(a.Report); len(got) != 1 || !strings.HasPrefix(got[0], "fifo, text:eth/token:GOLD: ") {
			t.Errorf("%s: %v; want one broken line of fifo", name, got)
		}
	}
	a := whole()
	a.Report.Results[1].Holders = nil
	if got := Broken(a.Report); len(got) > 0 {
		t.Errorf("poison is a mark and is not conserved: %v", got)
	}
}

func TestCount(t *testing.T) {
	if got := Count(0, "row") + Count(1, "row") + Count(uint64(2), "row"); got != "0 rows1 row2 rows" {
		t.Error(got)
	}
}
