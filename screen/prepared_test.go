package screen

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// wholes are policies whose rules about the answer as a whole look at all that they can see, before and behind others.
func wholes(t *testing.T) []*Policy {
	t.Helper()
	texts := []string{small}
	for i, whole := range []string{
		"  - {id: old, about: all, decision: attention, when: list_age > 3, says: it is old, reason: a reason}\n",
		"  - {id: few, about: all, decision: block, when: labels < 2 && !seen, says: few, reason: a reason}\n" +
			"  - {id: paid, about: all, decision: allow, when: transfer, says: paid, reason: a reason}\n" +
			"  - {id: half, about: all, decision: hold, when: partial || unknown, says: half, reason: a reason}\n",
		"  - {id: tied, about: cluster, decision: hold, when: category in bad, says: it is tied, reason: a reason}\n" +
			"  - {id: also, about: label, decision: allow, when: confidence > 20, says: it is also, reason: a reason}\n",
	} {
		text := strings.Replace(small, "id: small", "id: whole-"+strconv.Itoa(i), 1) + whole
		texts = append(texts, strings.Replace(text, "unknown: {decision: hold", "unknown: {decision: "+Decision(i+1).String(), 1))
	}
	all := []*Policy{DefaultPolicy(), ListsPolicy()}
	for i, text := range texts {
		p, err := ParsePolicy("whole", []byte(text))
		if err != nil {
			t.Fatalf("policy %d: %v", i, err)
		}
		all = append(all, p)
	}
	return all
}

func drawLabel(t *rapid.T, name string) attribute.Label {
	l := said(rapid.SampledFrom([]attribute.Category{"", attribute.Sanction, attribute.Exchange, attribute.Hack, attribute.Scam, attribute.Mixing}).Draw(t, name),
		rapid.SampledFrom([]string{"s", "t", "ofac\n"}).Draw(t, "source"), attribute.Stance(rapid.IntRange(0, 1).Draw(t, "stance")),
		attribute.Confidence(rapid.IntRange(0, int(attribute.Override)).Draw(t, "confidence")))
	l.Name = rapid.StringN(0, 3, -1).Draw(t, "name") + strings.Repeat("n", rapid.SampledFrom([]int{0, 1, 119, 120, 121}).Draw(t, "long"))
	return l
}

// reasonsAfresh are the reasons for what a verdict holds, in the simplest way: nothing is remembered, shared or put in order
// before the end.
func reasonsAfresh(p *Policy, v *Verdict, q Question, seen bool, others map[flow.Account][]attribute.Label, ties map[flow.Account]*Cluster) ([]Reason, error) {
	var all []Reason
	var bad error
	fired := func(f facts) []int {
		yes, err := p.firedBy(f)
		bad = cmp.Or(bad, err)
		return yes
	}
	words := func(l attribute.Label) string {
		return fmt.Sprintf("%s (%s), says %s, confidence %d", finding.Clean(l.Name, 120), l.Category, finding.Clean(l.Source.ID, 80), l.Confidence.Level())
	}
	add := func(of flow.Account, i int, says string, l attribute.Label) *Reason {
		r := Reason{Rule: p.rules[i].ID, Decision: p.rules[i].Decision, Sentence: p.rules[i].Says + ": " + says, Category: string(l.Category), Entity: cmp.Or(l.Actor, l.Name),
			Source: l.Source.ID, List: l.Source.URI, Confidence: l.Confidence.Level(), AsOf: l.Seen, Evidence: l.Evidence}
		if of != v.Subject {
			r.Counterparty, r.Hops = of, 1
		}
		all = append(all, r)
		return &all[len(all)-1]
	}
	look := func(of flow.Account, labels []attribute.Label, c *Cluster) {
		for _, l := range labels {
			if l.Stance == attribute.Asserts {
				for _, i := range fired(facts{about: aboutLabel, category: string(l.Category), source: l.Source.ID, confidence: l.Confidence.Level(),
					disputed: isDisputed(&l, labels), own: of == v.Subject}) {
					add(of, i, words(l), l).Direct = true
				}
			}
		}
		if c == nil {
			return
		}
		for _, t := range c.Ties {
			if t.Label.Stance == attribute.Asserts {
				for _, i := range fired(facts{about: aboutCluster, category: string(t.Label.Category), source: t.Label.Source.ID, confidence: t.Confidence,
					labelConfidence: t.Label.Confidence.Level(), link: t.Weakest, disputed: t.Disputed, own: of == v.Subject}) {
					r := add(of, i, words(t.Label)+"; by cluster, through "+t.Account.String()+": ; weakest link "+strconv.Itoa(t.Weakest), t.Label)
					r.Via, r.Confidence = t.Account, t.Confidence
				}
			}
		}
	}
	look(v.Subject, v.Labels, v.Cluster)
	for _, a := range q.Counterparties {
		look(a, others[a], ties[a])
	}
	s := Screen{Policy: p}
	scratch := Verdict{Subject: v.Subject, Covered: v.Covered}
	for i := range v.Exposure {
		bad = cmp.Or(bad, s.judgeExposure(&scratch, &v.Exposure[i], &q))
	}
	all = append(all, scratch.Reasons...)
	for _, i := range fired(facts{about: aboutAll, unknown: v.Unknown, partial: v.Partial, seen: seen, transfer: !q.Amount.IsZero(), labels: v.LabelCount, listAge: v.ListAge}) {
		old := "not known"
		if v.ListAge >= 0 {
			old = fmt.Sprint(v.ListAge/86400, " days")
		}
		all = append(all, Reason{Rule: p.rules[i].ID, Decision: p.rules[i].Decision,
			Sentence: fmt.Sprintf("%s (%d labels, age of the newest list: %s)", p.rules[i].Says, v.LabelCount, old)})
	}
	if v.Partial {
		all = append(all, Reason{Rule: rulePartial, Decision: p.file.Partial.Decision, Sentence: "not all of the money could be followed"})
	}
	if v.Unknown {
		all = append(all, Reason{Rule: ruleUnknown, Decision: p.file.Unknown.Decision, Sentence: "nobody says who the account is: unknown, not clean"})
	}
	if len(all) == 0 {
		all = append(all, Reason{Rule: ruleNothing, Decision: p.file.Nothing.Decision, Sentence: "no rule has anything to say against it"})
	}
	slices.SortStableFunc(all, func(a, b Reason) int { return int(b.Decision) - int(a.Decision) })
	return all[:min(len(all), maxReasons)], bad
}

// What a policy remembers and verdicts share changes no byte of an answer, whatever was asked before; and who writes behind
// the reasons of one verdict writes into no other.
func TestPreparedAnswersAreThoseMadeAfresh(t *testing.T) {
	policies := wholes(t)
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(policies).Draw(t, "policy")
		var given []Verdict
		var grown [][]Reason
		var texts [][]byte
		for range rapid.IntRange(1, 6).Draw(t, "questions") {
			labels := map[flow.Account][]attribute.Label{}
			ties := map[flow.Account]*Cluster{}
			for n := range byte(3) {
				for range rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "labels") {
					labels[someone(n)] = append(labels[someone(n)], drawLabel(t, "category"))
				}
				if rapid.Bool().Draw(t, "tied") {
					l := drawLabel(t, "tie")
					l.Subject = attribute.OfAccount(someone(50 + n))
					ties[someone(n)] = &Cluster{Size: 3, Ties: []Tie{{Account: someone(50 + n), Label: l, Confidence: 40, Weakest: rapid.SampledFrom([]int{50, 90}).Draw(t, "link")}}}
				}
			}
			s := Screen{Policy: p, Version: "v"}
			s.Labels = fakeLabels{of: labels, state: LabelState{Count: rapid.IntRange(0, 3).Draw(t, "count"), Newest: rapid.SampledFrom([]int64{0, 5, 100}).Draw(t, "newest")}}
			if rapid.Bool().Draw(t, "clusters") {
				s.Clusters = fakeClusters{of: ties}
			} else {
				ties = nil
			}
			seen := rapid.Bool().Draw(t, "seen")
			if rapid.Bool().Draw(t, "chain") {
				e := Exposed{Seen: seen, Partial: rapid.Bool().Draw(t, "partial")}
				if rapid.Bool().Draw(t, "exposed") {
					e.Exposure = []Exposure{{Category: "sanction", Direction: In, Direct: true, Asset: flow.Ethereum.Native(), Value: flow.NewAmount(7), Share: 70,
						Hops: 1, Confidence: 60, Dust: rapid.Bool().Draw(t, "dust")}}
				}
				s.Exposer = fakeExposer{exposed: e}
			}
			q := Question{Account: someone(0), AsOf: rapid.SampledFrom([]int64{1, 7, 9, 40 * 86400}).Draw(t, "as of"), Direct: rapid.Bool().Draw(t, "direct")}
			if rapid.Bool().Draw(t, "transfer") {
				q.Asset, q.Amount = flow.Ethereum.Native(), flow.NewAmount(1)
			}
			for n := range rapid.IntRange(0, 2).Draw(t, "counterparties") {
				q.Counterparties = append(q.Counterparties, someone(byte(n+1)))
			}
			v, err := s.Ask(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			seen = seen && !v.Direct
			afresh := v
			if afresh.Reasons, err = reasonsAfresh(p, &v, q, seen, labels, ties); err != nil {
				t.Fatal(err)
			}
			afresh.Decision = afresh.Reasons[0].Decision
			got, want := marshal(t, v), marshal(t, afresh)
			if string(got) != string(want) {
				t.Fatalf("%+v is answered\n%s; want\n%s", q, got, want)
			}
			given, texts = append(given, v), append(texts, got)
			grown = append(grown, append(v.Reasons, Reason{Share: int64(len(grown))}))
		}
		for i, v := range given {
			if got := marshal(t, v); string(got) != string(texts[i]) {
				t.Fatalf("verdict %d was\n%s, and has become\n%s", i, texts[i], got)
			}
			if n := grown[i][len(v.Reasons)].Share; n != int64(i) {
				t.Fatalf("what was written behind the reasons of verdict %d was overwritten behind those of verdict %d", i, n)
			}
		}
	})
}

func marshal(t *rapid.T, v Verdict) []byte {
	sealed, err := Seal(v)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A question to the labels alone about somebody whom nobody knows takes no memory.
func TestAStrangerTakesNoMemory(t *testing.T) {
	s := Screen{Policy: DefaultPolicy(), Labels: fakeLabels{state: LabelState{Count: 1, Newest: 900}}}
	q := Question{Account: someone(1), AsOf: 1000, Direct: true}
	if n := testing.AllocsPerRun(100, func() {
		if v, err := s.Ask(t.Context(), q); err != nil || !v.Unknown {
			t.Fatal(v.Unknown, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}
