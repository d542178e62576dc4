package detect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

func TestOverride(t *testing.T) {
	rules := Rules()
	got, err := Override(rules, "mine.yaml", []byte("fan-out:\n  payees: 3\n  window: 60\ncycle: {kept: 80}\n"))
	if err != nil {
		t.Fatal(err)
	}
	of := func(rules []Rule, id string) *Rule {
		return &rules[slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })]
	}
	if r := of(got, "fan-out"); r.number("payees") != 3 || r.number("window") != 60 || !r.Overridden || r.confidence().Measured {
		t.Errorf("overridden: %+v", r)
	}
	if r := of(got, "cycle"); r.Overridden {
		t.Error("the same value counts as another")
	}
	if r := of(rules, "fan-out"); r.number("payees") != 8 || r.Overridden {
		t.Error("the given rules were changed")
	}
	for _, c := range []struct{ text, want string }{
		{"fan-up: {payees: 3}", "fan-up"},
		{"fan-out: {payers: 3}", "no parameter"},
		{"fan-out: {payees: 1}", "not in 2 to 64"},
		{"fan-out: {payees: 3.5}", "not a whole number"},
		{"fan-out: {payees: \"3\"}", "not a whole number"},
		{"fan-out: {payees: 99999999999999999999}", "mine.yaml"},
		{"fan-out: {payees: many}", "not a whole number"},
		{"fan-out: {payees: 3, payees: 4}", "already defined"},
		{"fan-out: 3", "cannot unmarshal"},
		{"fan-out: {payees: 3}\n---\ncycle: {kept: 1}", "more than one document"},
		{"{", "mine.yaml"},
		{strings.Repeat("#", maxYAML+1), "at most"},
	} {
		if _, err := Override(rules, "mine.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Override(%.60q): %v; want an error with %q", c.text, err, c.want)
		}
	}
}

func TestRuleFilesAreStrict(t *testing.T) {
	good := "id: x\nversion: 1\ntitle: X\nmeaning: m\nseverity: low\nfalse_alarms: [a]\nsources: [s]\n" +
		"parameters:\n  - {name: n, value: 2, unit: u, least: 1, most: 3, reason: r}\n"
	if _, err := parseRule("x", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"version: 1", "version: 0"}, {"title: X\n", ""}, {"severity: low", "severity: urgent"}, {"[a]", "[]"}, {"[s]", "[]"}, {"value: 2", "value: 4"},
		{"reason: r", "reasons: r"}, {"unit: u", "unit: ''"}, {"id: x", "id: x\nmore: 1"}, {"parameters:", "measured: {true_findings: 2, findings: 1, on: y}\nparameters:"},
	} {
		if _, err := parseRule("x", []byte(strings.Replace(good, change[0], change[1], 1))); err == nil {
			t.Errorf("%q instead of %q was taken", change[1], change[0])
		}
	}
}

func FuzzOverride(f *testing.F) {
	f.Add([]byte("fan-out:\n  payees: 3\n"))
	f.Add([]byte("a: &x [1, *x]\n"))
	f.Add([]byte("fan-out: {payees: 99999999999999999999}"))
	rules := Rules()
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Override(rules, "f", text)
		if err != nil {
			return
		}
		for _, r := range got {
			for _, p := range r.Parameters {
				if p.Value < p.Least || p.Value > p.Most {
					t.Fatalf("%s: %s is %d", r.ID, p.Name, p.Value)
				}
			}
		}
	})
}

func TestEventsAreChecked(t *testing.T) {
	c, _ := flow.TextChain("eth")
	d, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	good := dust(1)[0]
	for name, change := range map[string]func(*Event){
		"another-chain": func(e *Event) { e.To, _ = flow.ParseAccount("0x0000000000000000000000000000000000000001") },
		"no-asset":      func(e *Event) { e.Asset = flow.Asset{} },
		"other-asset":   func(e *Event) { e.Asset = flow.Bitcoin.Native() },
		"more-stolen":   func(e *Event) { e.Units = flow.NewAmount(2) },
		"sink":          func(e *Event) { e.Sink = "attic" },
		"swap":          func(e *Event) { e.Swap = "sideways" },
	} {
		e := good
		change(&e)
		if _, err := d.Apply(e); err == nil || !strings.Contains(err.Error(), "event at") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d.started || len(d.log.marks) > 0 {
		t.Error("a refused event left a trace")
	}
}

func TestMeasureCounts(t *testing.T) {
	var events []Event
	c, _ := flow.TextChain("eth")
	for i, thief := range []string{"guilty", "innocent", "guilty2"} {
		for k, e := range dust(8) {
			e.From, e.To = must(flow.NewAccount(c, thief)), must(flow.NewAccount(c, fmt.Sprintf("%s-%d", thief, k)))
			e.At.Height, e.Tx[0] = uint64(10*i+k), byte(i+2)
			events = append(events, e)
		}
	}
	rates, err := Measure(func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}, Options{}, func(a flow.Account) bool { return strings.HasPrefix(a.Address(), "guilty") })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rates {
		want := Rate{Rule: r.Rule, Version: 1}
		if r.Rule == "fan-out" {
			want.True, want.False = 2, 1
		}
		if r != want {
			t.Errorf("%+v; want %+v", r, want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestLogarithmAndHours(t *testing.T) {
	for x, want := range map[int64]int64{1: 0, 2: 693147, 10: 2302585, 600: 6396929, 1_000_000_000: 20723265} {
		if got := ln(x); got < want-2 || got > want+2 {
			t.Errorf("ln(%d) = %d millionths; want %d", x, got, want)
		}
	}
	at := func(hours ...int64) (all []*transfer) {
		for day, h := range hours {
			all = append(all, &transfer{when: began + int64(day)*86400 + h*3600})
		}
		return all
	}
	for _, c := range []struct {
		all  []*transfer
		want string
	}{
		{at(9, 9, 9, 9, 9, 9), "bunched, as a person's are: somebody may start the program (Rayleigh R 0.999, n·R² 5.9)"},
		{at(0, 4, 8, 12, 16, 20), "spread evenly over the day, as a program's are (Rayleigh R 0.000, n·R² 0.0)"},
		{at(9, 10), "say nothing: all of it was within 25 hours"},
	} {
		if got := hours(c.all, 2*86400, 4600); !strings.Contains(got, c.want) {
			t.Errorf("hours: %q; want %q in it", got, c.want)
		}
	}
}
