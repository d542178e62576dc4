package screen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// fakeLabels are labels that may refuse to be read.
type fakeLabels struct {
	of    map[flow.Account][]attribute.Label
	state LabelState
	err   error
}

func (f fakeLabels) LabelsOf(a flow.Account, _, _ int64) ([]attribute.Label, error) {
	return f.of[a], f.err
}
func (f fakeLabels) LabelState(int64) (LabelState, error) { return f.state, nil }

// fakeExposer is a chain that may refuse to be read.
type fakeExposer struct {
	exposed Exposed
	err     error
}

func (f fakeExposer) Expose(context.Context, Question) (Exposed, error) { return f.exposed, f.err }

func someone(n byte) flow.Account { return flow.EVMAccount(flow.Ethereum, [20]byte{n}) }

func said(category attribute.Category, source string, stance attribute.Stance, c attribute.Confidence) attribute.Label {
	return attribute.Label{Subject: attribute.OfAccount(someone(1)), Name: "Name", Category: category, Stance: stance, Confidence: c,
		Source: attribute.Source{ID: source}}
}

var errGone = errors.New("gone")

func TestAsk(t *testing.T) {
	dated := LabelState{Count: 1, Newest: 900}
	exposure := func(category string, direct, dust bool, share int64) Exposed {
		return Exposed{Seen: true, Exposure: []Exposure{{Category: category, Direction: In, Direct: direct, Asset: flow.Ethereum.Native(),
			Value: flow.NewAmount(uint64(share)), Share: share, Hops: 2, Confidence: 60, Dust: dust}},
			Covered: []Covered{{Direction: In, Asset: flow.Ethereum.Native(), Total: flow.NewAmount(billion)}}}
	}
	many := make([]attribute.Label, 1000)
	for i := range many {
		many[i] = said(attribute.Mixing, fmt.Sprint("s", i), attribute.Asserts, attribute.AuthorityData)
	}
	many[999] = said(attribute.Sanction, "last", attribute.Asserts, attribute.AuthorityData)
	for _, c := range []struct {
		name     string
		labels   []attribute.Label
		exposer  Exposer
		policy   *Policy
		decision Decision
		rule     string
		unknown  bool
	}{
		{"unknown", nil, nil, DefaultPolicy(), Attention, ruleUnknown, true},
		{"unknown-and-the-policy-says-allow", nil, nil, ListsPolicy(), Allow, ruleUnknown, true},
		{"known", []attribute.Label{said(attribute.Exchange, "a", attribute.Asserts, attribute.AuthorityData)}, nil, DefaultPolicy(), Allow, ruleNothing, false},
		{"only-disputed-is-unknown", []attribute.Label{said(attribute.Exchange, "a", attribute.Disputes, attribute.AuthorityData)}, nil, DefaultPolicy(), Attention, ruleUnknown, true},
		{"disputed-hack", []attribute.Label{said(attribute.Hack, "a", attribute.Asserts, attribute.AuthorityData), said(attribute.Hack, "b", attribute.Disputes, attribute.WebCrawl)},
			nil, DefaultPolicy(), Hold, "severe-itself-unsure", false},
		{"nobody-disputes-himself", []attribute.Label{said(attribute.Hack, "a", attribute.Asserts, attribute.AuthorityData), said(attribute.Hack, "a", attribute.Disputes, attribute.WebCrawl)},
			nil, DefaultPolicy(), Block, "severe-itself", false},
		{"the-last-of-many", many, nil, DefaultPolicy(), Block, "severe-itself", false},
		{"exposed", nil, fakeExposer{exposed: exposure("sanction", false, false, 1_000_000)}, DefaultPolicy(), Hold, "severe-indirect", true},
		{"dusted", []attribute.Label{said(attribute.Exchange, "a", attribute.Asserts, attribute.AuthorityData)}, fakeExposer{exposed: exposure("sanction", true, true, 5)}, DefaultPolicy(), Allow, ruleDust, false},
		{"partial", []attribute.Label{said(attribute.Exchange, "a", attribute.Asserts, attribute.AuthorityData)}, fakeExposer{exposed: Exposed{Partial: true}}, DefaultPolicy(), Attention, rulePartial, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Screen{Policy: c.policy, Labels: fakeLabels{of: map[flow.Account][]attribute.Label{someone(1): c.labels}, state: dated}, Exposer: c.exposer}
			v, err := s.Ask(t.Context(), Question{Account: someone(1), AsOf: 1000})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, r := range v.Reasons {
				found = found || r.Rule == c.rule
			}
			if v.Decision != c.decision || !found || v.Unknown != c.unknown || v.ListAge != 100 || len(v.Reasons) > maxReasons || v.KnownAt != 1000 {
				t.Errorf("%s, unknown %v, age %d, %d reasons: %+v; want %s by %s, unknown %v", v.Decision, v.Unknown, v.ListAge, len(v.Reasons), v.Reasons[0], c.decision, c.rule, c.unknown)
			}
		})
	}
}

func TestNothingThatFailsIsAVerdict(t *testing.T) {
	good := Screen{Policy: ListsPolicy(), Labels: fakeLabels{state: LabelState{Count: 1}}}
	for _, c := range []struct {
		name string
		s    Screen
		q    Question
		want error
	}{
		{"labels", Screen{Policy: ListsPolicy(), Labels: fakeLabels{err: errGone}}, Question{Account: someone(1), AsOf: 1}, ErrBlind},
		{"chain", Screen{Policy: ListsPolicy(), Labels: fakeLabels{}, Exposer: fakeExposer{err: errGone}}, Question{Account: someone(1), AsOf: 1}, ErrBlind},
		{"nobody", good, Question{AsOf: 1}, ErrQuestion},
		{"no-moment", good, Question{Account: someone(1)}, ErrQuestion},
		{"direction", good, Question{Account: someone(1), AsOf: 1, Direction: "up"}, ErrQuestion},
		{"amount-of-nothing", good, Question{Account: someone(1), AsOf: 1, Amount: flow.NewAmount(1)}, ErrQuestion},
		{"asset-elsewhere", good, Question{Account: someone(1), AsOf: 1, Asset: flow.Bitcoin.Native()}, ErrQuestion},
		{"no-counterparty", good, Question{Account: someone(1), AsOf: 1, Counterparties: make([]flow.Account, 1)}, ErrQuestion},
		{"many-counterparties", good, Question{Account: someone(1), AsOf: 1, Counterparties: make([]flow.Account, MaxCounterparties+1)}, ErrQuestion},
	} {
		if v, err := c.s.Ask(t.Context(), c.q); !errors.Is(err, c.want) || v.Decision != 0 {
			t.Errorf("%s: %s, %v; want no decision and %v", c.name, v.Decision, err, c.want)
		}
	}
	// A question to the labels alone asks no chain, and says so.
	s := Screen{Policy: ListsPolicy(), Labels: fakeLabels{state: LabelState{Count: 1}}, Exposer: fakeExposer{err: errGone}}
	if v, err := s.Ask(t.Context(), Question{Account: someone(1), AsOf: 1, Direct: true}); err != nil || !v.Direct || v.Decision != Allow || !v.Unknown {
		t.Errorf("direct: %+v, %v", v, err)
	}
	var d Decision
	if b, err := json.Marshal(d); err != nil || string(b) != `"undecided"` || json.Unmarshal(b, &d) == nil {
		t.Errorf("no decision is written %s, %v, and must not be read", b, err)
	}
}

func TestVerdictsSurviveTheirJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawVerdict(t)
		sealed, err := Seal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := sealed.Check(); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(sealed)
		if err != nil {
			t.Fatal(err)
		}
		var back Verdict
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, sealed) {
			t.Fatalf("%+v\nis read back as\n%+v", sealed, back)
		}
		if err := back.Check(); err != nil {
			t.Fatal(err)
		}
		if back.Decision = back.Decision%4 + 1; back.Check() == nil {
			t.Fatal("another decision has the same ID")
		}
		sealed.Given++
		if err := sealed.Check(); err != nil {
			t.Fatal("the moment when it was given is part of the ID")
		}
	})
}

func drawVerdict(t *rapid.T) Verdict {
	account := rapid.Custom(func(t *rapid.T) flow.Account { return someone(rapid.Byte().Draw(t, "account")) })
	v := Verdict{Subject: account.Draw(t, "subject"), Decision: Decision(rapid.IntRange(1, 4).Draw(t, "decision")), Unknown: rapid.Bool().Draw(t, "unknown"),
		Given: rapid.Int64Range(0, 1<<40).Draw(t, "given"), AsOf: rapid.Int64Range(0, 1<<40).Draw(t, "as of"), ListAge: -1,
		Labels: []attribute.Label{}, Exposure: []Exposure{}, Covered: []Covered{}, DoesNotKnow: []string{}, Reasons: []Reason{}}
	for range rapid.IntRange(0, 3).Draw(t, "reasons") {
		v.Reasons = append(v.Reasons, Reason{Rule: rapid.StringMatching("[a-z]{1,8}").Draw(t, "rule"), Decision: Block, Sentence: rapid.String().Draw(t, "sentence"),
			Asset: flow.Ethereum.Native(), Amount: flow.NewAmount(rapid.Uint64().Draw(t, "amount")), Share: rapid.Int64Range(0, billion).Draw(t, "share"),
			Path: Path{Accounts: []flow.Account{account.Draw(t, "from"), account.Draw(t, "to")}, Txs: []flow.Hash{{1}}}})
	}
	if rapid.Bool().Draw(t, "exposed") {
		v.Exposure = append(v.Exposure, Exposure{Category: "scam", Direction: In, Asset: flow.Ethereum.Native(), Value: flow.NewAmount(7),
			Entities: []Entity{{Account: account.Draw(t, "entity"), Label: said("scam", "s", attribute.Asserts, attribute.Forensic)}}, TopPaths: []Path{}})
	}
	return v
}

func TestChange(t *testing.T) {
	verdict := func(d Decision, rule, source string) Verdict {
		v, err := Seal(Verdict{Subject: someone(1), Decision: d, Reasons: []Reason{{Rule: rule, Source: source, Sentence: "a sentence", Share: int64(len(rule))}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		name          string
		before, after Verdict
		want          finding.Severity // 0 for no finding
	}{
		{"same", verdict(Allow, "a", "s"), verdict(Allow, "a", "s"), 0},
		{"stricter", verdict(Allow, "a", "s"), verdict(Block, "b", "s"), finding.Critical},
		{"held", verdict(Attention, "a", "s"), verdict(Hold, "b", "s"), finding.High},
		{"cleared", verdict(Block, "a", "s"), verdict(Allow, "b", "s"), finding.Low},
		{"another-source", verdict(Block, "a", "s"), verdict(Block, "a", "t"), finding.Info},
	} {
		f, ok, err := Change(c.before, c.after)
		if err != nil || ok != (c.want != 0) || f.Severity != c.want {
			t.Errorf("%s: %v, %s, %v; want %s", c.name, ok, f.Severity, err, c.want)
		}
		if ok && (len(f.Basis) != 4 || f.Subjects[0] != someone(1)) {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}
