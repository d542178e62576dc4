package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/detect"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/trace"
)

// fanStory is a theft that is split over eight accounts, and another one that meets it at one of them.
func fanStory(times bool) string {
	at := func(n int) string {
		if !times {
			return ""
		}
		return fmt.Sprintf(" time=%d", 1_600_000_000+600*n)
	}
	s := "chain eth\nblock 1 a" + at(0) + "\nvictim thief GOLD 80\nother robber GOLD 50\n"
	for i := range 8 {
		s += fmt.Sprintf("block %d b%d%s\nthief m%d GOLD 10\n", i+2, i, at(i+1), i)
	}
	return s + "block 10 c" + at(9) + "\nrobber m3 GOLD 50\n"
}

func rulesOf(found []finding.Finding) string {
	var rules []string
	for _, f := range found {
		rules = append(rules, f.Rule+" "+f.Subjects[0].Address())
	}
	return strings.Join(rules, ", ")
}

func TestTheAnswerHasFindings(t *testing.T) {
	for _, c := range []struct {
		name     string
		times    bool
		options  trace.Options
		policy   string
		want     string
		doubtful bool
	}{
		{"all-rules", true, trace.Options{}, "dirty-first", "fan-out thief", false},
		{"one-rule", true, trace.Options{Policies: []trace.Policy{trace.Poison, trace.FIFO}}, "fifo", "fan-out thief", false},
		{"only-poison", true, trace.Options{Policies: []trace.Policy{trace.Poison}}, "", "", false},
		{"backward", true, trace.Options{Backward: true}, "", "", false},
		{"no-times", false, trace.Options{}, "dirty-first", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := Trace(t.Context(), story(t, fanStory(c.times)), outflow(t, "text:eth:thief"), c.options, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := rulesOf(a.Findings); got != c.want || a.FindingsPolicy != c.policy {
				t.Errorf("found %q by %q; want %q by %q", got, a.FindingsPolicy, c.want, c.policy)
			}
			if says(a, "No habits of thieves were looked for") != c.doubtful {
				t.Errorf("about times: %q", a.DoesNotKnow)
			}
			if a.Findings == nil {
				t.Error("findings are null, not an empty list")
			}
		})
	}
}

// Two thefts, traced by themselves, meet. Two without a name are two all the same.
func TestPatternsOfSeveralThefts(t *testing.T) {
	s := story(t, fanStory(true))
	for _, names := range [][2]string{{"alpha", "beta"}, {"", ""}} {
		var reports []*trace.Report
		for i, from := range []string{"text:eth:thief", "text:eth:robber"} {
			theft := outflow(t, from)
			theft.Name = names[i]
			a, err := Trace(t.Context(), s, theft, trace.Options{}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, a.Report)
		}
		found, err := Patterns(nil, reports...)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := rulesOf(found), "consolidation m3, fan-out thief"; got != want {
			t.Errorf("thefts %q: found %q; want %q", names, got, want)
		}
	}
}

func TestPatternSinks(t *testing.T) {
	labels := readLabels(t, "address,label,category,is_service\ntext:eth:a,A,Bridge,1\ntext:eth:b,B,coin mixer,1\ntext:eth:c,C,exchange,1\n")
	for _, c := range []struct {
		to   string
		sink trace.Sink
		want detect.Sink
	}{
		{"a", "", detect.Held}, {"a", trace.Service, detect.Bridge}, {"b", trace.Service, detect.Mixer}, {"c", trace.Service, detect.Service},
		{"d", trace.Service, detect.Service}, {"a", trace.DustSink, detect.Dust}, {"a", trace.Burned, detect.Burned},
		{"a", trace.FeeSink, detect.Lost}, {"a", trace.DataMissing, detect.Lost},
	} {
		e := &trace.Edge{To: account(t, "text:eth:"+c.to), Sink: c.sink}
		if got := patternSink(labels, e); got != c.want {
			t.Errorf("%s to %s: %q; want %q", c.sink, c.to, got, c.want)
		}
	}
}
