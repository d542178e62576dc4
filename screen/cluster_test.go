package screen

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/flow"
)

// fakeClusters are clusters that may refuse to be read.
type fakeClusters struct {
	of  map[flow.Account]*Cluster
	err error
}

func (f fakeClusters) ClusterOf(a flow.Account, _, _ int64) (*Cluster, error) { return f.of[a], f.err }
func (f fakeClusters) ClusterState() flow.Hash                                { return flow.Hash{9} }

// tie is a label of account 2 that reaches account 1 over a link of that confidence.
func tie(l attribute.Label, link uint8) Tie {
	l.Subject = attribute.OfAccount(someone(2))
	return Tie{Account: someone(2), Label: l, Confidence: min(int(link), l.Confidence.Level()), Weakest: int(link), Links: []cluster.Evidence{
		{ID: 7, A: someone(1), B: someone(2), Heuristic: cluster.MultiInput, Version: 1, Confidence: link, Tx: flow.Hash{3}}}}
}

func TestClustersAreWeakerThanLabels(t *testing.T) {
	sanction := said(attribute.Sanction, "list", attribute.Asserts, attribute.AuthorityData)
	harmless := said(attribute.Exchange, "a", attribute.Asserts, attribute.AuthorityData)
	own := func(l attribute.Label) attribute.Label { l.Subject = attribute.OfAccount(someone(2)); return l }
	for _, c := range []struct {
		name     string
		labels   []attribute.Label
		ties     []Tie
		policy   *Policy
		decision Decision
		rule     string
		unknown  bool
	}{
		{"sanctioned", []attribute.Label{harmless}, []Tie{tie(sanction, 90)}, DefaultPolicy(), Hold, "severe-cluster", false},
		{"a-tie-names-nobody", nil, []Tie{tie(harmless, 90)}, DefaultPolicy(), Attention, ruleUnknown, true},
		{"a-label-of-its-own-is-stronger", []attribute.Label{sanction}, []Tie{tie(sanction, 90)}, DefaultPolicy(), Block, "severe-itself", false},
		{"a-label-it-has-itself-is-no-tie", []attribute.Label{own(harmless)}, []Tie{tie(harmless, 90)}, DefaultPolicy(), Allow, ruleNothing, false},
		{"lists-ask-no-cluster", nil, []Tie{tie(sanction, 90)}, ListsPolicy(), Allow, ruleUnknown, true},
		{"who-disputes-asserts-nothing", []attribute.Label{harmless}, []Tie{tie(said(attribute.Sanction, "b", attribute.Disputes, attribute.AuthorityData), 90)}, DefaultPolicy(), Allow, ruleNothing, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Screen{Policy: c.policy, Labels: fakeLabels{of: map[flow.Account][]attribute.Label{someone(1): c.labels}, state: LabelState{Count: 1, Newest: 900}},
				Clusters: fakeClusters{of: map[flow.Account]*Cluster{someone(1): {Size: 2, Ties: c.ties}}}}
			v, err := s.Ask(t.Context(), Question{Account: someone(1), AsOf: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if v.Decision != c.decision || v.Reasons[0].Rule != c.rule || v.Unknown != c.unknown || v.ClusterHash != (flow.Hash{9}) || v.Cluster == nil {
				t.Errorf("%s by %s, unknown %v, %+v; want %s by %s, unknown %v", v.Decision, v.Reasons[0].Rule, v.Unknown, v.Cluster, c.decision, c.rule, c.unknown)
			}
		})
	}
}

func TestReasonByCluster(t *testing.T) {
	sanction := said(attribute.Sanction, "list", attribute.Asserts, attribute.AuthorityData)
	s := Screen{Policy: DefaultPolicy(), Labels: fakeLabels{state: LabelState{Count: 1, Newest: 900}},
		Clusters: fakeClusters{of: map[flow.Account]*Cluster{someone(1): {Size: 2, Ties: []Tie{tie(sanction, 90)}}}}}
	// The account itself, and as a counterparty of another.
	for _, q := range []Question{{Account: someone(1), AsOf: 1000}, {Account: someone(5), Counterparties: []flow.Account{someone(1)}, AsOf: 1000}} {
		v, err := s.Ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		r := v.Reasons[0]
		if v.Decision != Hold || r.Via != someone(2) || r.Direct || r.Confidence != 60 || (r.Counterparty == someone(1)) != (q.Account == someone(5)) {
			t.Errorf("%s: %s, %+v", q.Account, v.Decision, r)
		}
		for _, part := range []string{"by cluster", someone(2).String(), "multi-input 90 in", "weakest link 90"} {
			if !strings.Contains(r.Sentence, part) {
				t.Errorf("the sentence %q does not say %q", r.Sentence, part)
			}
		}
		sealed, err := Seal(v)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(sealed)
		if err != nil {
			t.Fatal(err)
		}
		var back Verdict
		if err := json.Unmarshal(text, &back); err != nil || back.Check() != nil || !reflect.DeepEqual(back.Cluster, sealed.Cluster) {
			t.Errorf("%s\nis read back as\n%+v, %v", text, back, err)
		}
	}
	s.Clusters = fakeClusters{err: errGone}
	if v, err := s.Ask(t.Context(), Question{Account: someone(1), AsOf: 1000}); !errors.Is(err, ErrBlind) || v.Decision != 0 {
		t.Errorf("clusters that cannot be read: %s, %v; want no decision and %v", v.Decision, err, ErrBlind)
	}
}
