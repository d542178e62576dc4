package screen

import (
	"errors"

	"strings"
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

func TestShippedPolicies(t *testing.T) {
	for _, p := range []*Policy{DefaultPolicy(), ListsPolicy()} {
		if p.ID() == "" || p.Title() == "" || p.Hash().IsZero() {
			t.Errorf("%+v", p.file)
		}
	}
	if DefaultPolicy().file.Unknown.Decision != Attention || ListsPolicy().file.Unknown.Decision != Allow {
		t.Error("what the unknown are has changed")
	}
	if v, ok := DefaultPolicy().Floor(flow.Ethereum.Native()); !ok || v.IsZero() {
		t.Error("no floor for the coin of Ethereum")
	}
	for _, c := range []string{"sanction", "terrorism_financing", "child_sexual_abuse", "x:stolen_funds", "service_hack", "mixing_service", "scam"} {
		if !DefaultPolicy().Minds(attribute.Category(c)) {
			t.Errorf("the default policy does not mind %s", c)
		}
	}
}

// small is a policy that is right.
const small = `
id: small
version: 3
title: a policy
unknown: {decision: hold, reason: a reason}
partial: {decision: attention, reason: a reason}
nothing: {decision: allow, reason: a reason}
floors: {reason: a reason, of: [{asset: "eip155:1/slip44:60", amount: "5"}]}
groups:
  bad: {reason: a reason, categories: [sanction]}
rules:
  - {id: one, about: label, decision: block, when: category in bad, says: it is bad, reason: a reason}
  - {id: two, about: exposure, decision: hold, when: 'atLeast(value, "340282366920938463463374607431768211456")', says: much, reason: a reason}
`

func TestPolicyIsReadStrictly(t *testing.T) {
	if p, err := ParsePolicy("small", []byte(small)); err != nil || p.ID() != "small/3" {
		t.Fatalf("%v, %v", p, err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown-key", "title:", "titel:", "titel"},
		{"no-unknown", "unknown: {decision: hold, reason: a reason}\n", "", "unknown"},
		{"no-reason", "reason: a reason}\nnothing", "reason: ''}\nnothing", "partial"},
		{"no-such-decision", "decision: block", "decision: burn", "burn"},
		{"no-such-variable", "category in bad", "categories in bad", "one"},
		{"no-such-group", "category in bad", "category in good", "one"},
		{"not-a-question", "category in bad", "category", "yes or no"},
		{"of-another-room", "category in bad", "hops > 1", "one"},
		{"syntax", "category in bad", "category in (", "one"},
		{"loop", "category in bad", "'bad.exists(c, c == category)'", "one"},
		{"twice", "id: two", "id: one", "twice"},
		{"about-nothing", "about: label", "about: labels", "about"},
		{"no-category", "[sanction]", "[sanctions]", "sanction"},
		{"group-is-a-variable", "  bad:", "  share:", "share"},
		{"floor-of-nothing", "eip155:1/slip44:60", "ETH", "floor"},
		{"floor-is-no-amount", `amount: "5"`, `amount: "5.5"`, "floor"},
		{"no-rules", "rules:", "rulez:", "rulez"},
		{"two-documents", "id: small", "id: small\n---\nid: small", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(small, c.old, c.new, 1)
			if text == small {
				t.Fatalf("%q is not in the policy", c.old)
			}
			if _, err := ParsePolicy(c.name, []byte(text)); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one about %q", err, c.want)
			}
		})
	}
	if _, err := ParsePolicy("long", make([]byte, maxPolicy+1)); !errors.Is(err, ErrPolicy) {
		t.Errorf("a policy that is too long: %v", err)
	}
}

func TestAtLeastIsExact(t *testing.T) {
	p, err := ParsePolicy("small", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]int{"340282366920938463463374607431768211455": 0, "340282366920938463463374607431768211456": 1,
		"115792089237316195423570985008687907853269984665640564039457584007913129639935": 1, "0": 0} {
		if yes, err := p.firedBy(facts{about: aboutExposure, value: value}); err != nil || len(yes) != want {
			t.Errorf("atLeast(%s) fired %d rules, %v; want %d", value, len(yes), err, want)
		}
	}
	if _, err := p.firedBy(facts{about: aboutExposure, value: "much"}); !errors.Is(err, ErrPolicy) {
		t.Errorf("what is no amount is no error: %v", err)
	}
}

func TestRulesOfTheDefaultPolicy(t *testing.T) {
	p := DefaultPolicy()
	fired := map[string]bool{}
	for _, c := range []struct {
		name string
		f    facts
		want string // the strictest rule, "" for none
	}{
		{"sanction", facts{about: aboutLabel, category: "sanction", confidence: 60}, "severe-itself"},
		{"sanction-by-anybody", facts{about: aboutLabel, category: "sanction", confidence: 5}, "severe-itself"},
		{"sanction-disputed", facts{about: aboutLabel, category: "sanction", confidence: 60, disputed: true}, "severe-itself"},
		{"stolen", facts{about: aboutLabel, category: "service_hack", confidence: 50}, "severe-itself"},
		{"stolen-unsure", facts{about: aboutLabel, category: "service_hack", confidence: 20}, "severe-itself-unsure"},
		{"stolen-disputed", facts{about: aboutLabel, category: "service_hack", confidence: 90, disputed: true}, "severe-itself-unsure"},
		{"scam", facts{about: aboutLabel, category: "scam", confidence: 50}, "crime-itself"},
		{"scam-unsure", facts{about: aboutLabel, category: "scam", confidence: 10}, "crime-itself-unsure"},
		{"mixer", facts{about: aboutLabel, category: "mixing_service", confidence: 10}, "mixer-itself"},
		{"exchange", facts{about: aboutLabel, category: "exchange", confidence: 100}, ""},
		{"cluster-of-sanctioned", facts{about: aboutCluster, category: "sanction", confidence: 60, labelConfidence: 60, link: 90}, "severe-cluster"},
		{"cluster-of-sanctioned-disputed", facts{about: aboutCluster, category: "sanction", confidence: 5, labelConfidence: 5, link: 85, disputed: true}, "severe-cluster"},
		{"cluster-by-deposit", facts{about: aboutCluster, category: "sanction", confidence: 60, labelConfidence: 60, link: 80}, "severe-cluster-unsure"},
		{"cluster-by-change", facts{about: aboutCluster, category: "sanction", confidence: 50, labelConfidence: 60, link: 50}, "severe-cluster-unsure"},
		{"cluster-of-stolen", facts{about: aboutCluster, category: "exploit", confidence: 60, labelConfidence: 60, link: 90}, "severe-cluster"},
		{"cluster-of-stolen-unsure", facts{about: aboutCluster, category: "exploit", confidence: 20, labelConfidence: 20, link: 90}, "severe-cluster-unsure"},
		{"cluster-of-stolen-disputed", facts{about: aboutCluster, category: "exploit", confidence: 60, labelConfidence: 60, link: 90, disputed: true}, "severe-cluster-unsure"},
		{"cluster-of-scam", facts{about: aboutCluster, category: "scam", confidence: 60, labelConfidence: 60, link: 90}, "crime-cluster"},
		{"cluster-of-scam-by-change", facts{about: aboutCluster, category: "scam", confidence: 50, labelConfidence: 60, link: 50}, ""},
		{"cluster-of-exchange", facts{about: aboutCluster, category: "exchange", confidence: 60, labelConfidence: 60, link: 90}, ""},
		{"direct-one-unit", facts{about: aboutExposure, category: "sanction", direct: true, hops: 1, confidence: 60}, "severe-direct"},
		{"direct-unsure", facts{about: aboutExposure, category: "exploit", direct: true, hops: 1, confidence: 20}, "severe-direct-unsure"},
		{"indirect-at-a-thousandth", facts{about: aboutExposure, category: "sanction", hops: 2, share: 1_000_000}, "severe-indirect"},
		{"indirect-below", facts{about: aboutExposure, category: "sanction", hops: 2, share: 999_999, floorKnown: true}, ""},
		{"indirect-sum", facts{about: aboutExposure, category: "sanction", hops: 6, share: 1, counts: true, floorKnown: true}, "severe-indirect"},
		{"indirect-far", facts{about: aboutExposure, category: "sanction", hops: 7, share: billion, counts: true, floorKnown: true}, ""},
		{"scam-direct", facts{about: aboutExposure, category: "scam", direct: true, hops: 1, share: 10_000_000}, "fraud-direct"},
		{"scam-indirect", facts{about: aboutExposure, category: "scam", hops: 3, share: 10_000_000}, "fraud-indirect"},
		{"scam-indirect-below", facts{about: aboutExposure, category: "scam", hops: 3, share: 9_999_999}, ""},
		{"mixer-direct", facts{about: aboutExposure, category: "mixing_service", direct: true, hops: 1, counts: true, floorKnown: true}, "mixer-direct"},
		{"mixer-direct-below", facts{about: aboutExposure, category: "mixing_service", direct: true, hops: 1, share: billion, floorKnown: true}, ""},
		{"mixer-indirect", facts{about: aboutExposure, category: "mixing_service", hops: 2, share: 100_000_000}, "mixer-indirect"},
		{"mixer-indirect-below", facts{about: aboutExposure, category: "mixing_service", hops: 2, share: 99_999_999, counts: true}, ""},
		{"old", facts{about: aboutAll, labels: 10, listAge: 2_592_001}, "old-lists"},
		{"fresh", facts{about: aboutAll, labels: 10, listAge: 2_592_000}, ""},
		{"no-labels", facts{about: aboutAll, listAge: -1}, "undated-lists"},
	} {
		yes, err := p.firedBy(c.f)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(yes) > 0 {
			got = p.rules[yes[0]].ID
		}
		fired[got] = true
		if got != c.want {
			t.Errorf("%s: %q fired; want %q", c.name, got, c.want)
		}
	}
	for _, r := range p.rules {
		if !fired[r.ID] {
			t.Errorf("no case for rule %s", r.ID)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(small))
	for _, name := range []string{"default", "lists"} {
		text, err := policies.ReadFile("policies/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(strings.Replace(small, "category in bad", `category.matches("(a+)+$")`, 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePolicy("fuzz", text)
		if err != nil {
			if !errors.Is(err, ErrPolicy) || p != nil {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		for _, about := range []string{aboutLabel, aboutCluster, aboutExposure, aboutAll} {
			if _, err := p.firedBy(facts{about: about, category: "sanction", value: "1"}); err != nil && !errors.Is(err, ErrPolicy) {
				t.Fatal(err)
			}
		}
	})
}
