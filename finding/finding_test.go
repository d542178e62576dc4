package finding

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/spoor-dev/spoor/flow"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func text(name string) flow.Account {
	return must(flow.NewAccount(must(flow.TextChain("eth")), name))
}

func draft() Finding {
	c := must(flow.TextChain("eth"))
	fact := Fact{Tx: flow.Hash{1}, At: flow.Pos{Height: 7, Tx: 2, Movement: 1}, Time: 1000, Index: 4, From: text("thief"), To: text("shop"),
		Asset: c.Native(), Amount: flow.NewAmount(10)}
	return Finding{
		Rule: "fan-out", Version: 1, Parameters: []Parameter{{"payees", 8, "accounts"}}, Severity: High, Chain: c,
		Subjects: []flow.Account{text("thief")}, Holds: flow.Pos{Height: 7, Tx: 2, Movement: 1}, Time: 1000, Title: "Fan-out",
		Sentence: "thief paid 8 accounts.", Evidence: []Fact{fact}, Score: 1000, Confidence: Confidence{Reason: "not measured"},
	}
}

func TestIDIsOfTheJudgementAndNotOfTheBranch(t *testing.T) {
	want := must(New(draft())).ID
	for name, change := range map[string]func(*Finding){
		"another block":      func(f *Finding) { f.Holds.Height++; f.Evidence[0].At.Height++; f.Evidence[0].At.Tx++ },
		"another log index":  func(f *Finding) { f.Evidence[0].Index++ },
		"another time":       func(f *Finding) { f.Time++; f.Evidence[0].Time++ },
		"another sentence":   func(f *Finding) { f.Sentence += "!" },
		"another confidence": func(f *Finding) { f.Confidence.Reason = "nobody knows" },
		"what it replaces":   func(f *Finding) { f.Replaces = flow.Hash{9} },
	} {
		f := draft()
		change(&f)
		if got := must(New(f)).ID; got != want {
			t.Errorf("%s: the ID changed", name)
		}
	}
	for name, change := range map[string]func(*Finding){
		"rule":     func(f *Finding) { f.Rule = "fan-in" },
		"version":  func(f *Finding) { f.Version++ },
		"subject":  func(f *Finding) { f.Subjects[0] = text("other") },
		"tx":       func(f *Finding) { f.Evidence[0].Tx[5]++ },
		"movement": func(f *Finding) { f.Evidence[0].At.Movement++ },
		"amount":   func(f *Finding) { f.Evidence[0].Amount = flow.NewAmount(11) },
		"more":     func(f *Finding) { f.Evidence = append(f.Evidence, f.Evidence[0]) },
	} {
		f := draft()
		change(&f)
		if got := must(New(f)).ID; got == want {
			t.Errorf("another %s: the ID is the same", name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Finding){
		"no rule":            func(f *Finding) { f.Rule = "" },
		"no version":         func(f *Finding) { f.Version = 0 },
		"no severity":        func(f *Finding) { f.Severity = 0 },
		"a wild severity":    func(f *Finding) { f.Severity = 99 },
		"no chain":           func(f *Finding) { f.Chain = flow.Chain{} },
		"no subjects":        func(f *Finding) { f.Subjects = nil },
		"another chain":      func(f *Finding) { f.Chain = flow.Bitcoin },
		"no evidence":        func(f *Finding) { f.Evidence = nil },
		"no reason":          func(f *Finding) { f.Confidence = Confidence{} },
		"more true than all": func(f *Finding) { f.Confidence = Confidence{true, 3, 2, "on x"} },
		"measured on none":   func(f *Finding) { f.Confidence = Confidence{true, 0, 0, "on x"} },
		"a negative score":   func(f *Finding) { f.Score = -1 },
	} {
		f := draft()
		change(&f)
		if got, err := New(f); err == nil {
			t.Errorf("%s: made %v", name, got)
		}
	}
}

func TestNewCleansAndBounds(t *testing.T) {
	f := draft()
	f.Title = "a\x1b[31mred\u202e" + strings.Repeat("x", 500)
	f.Sentence = strings.Repeat("\x07", 2000)
	for range 1000 {
		f.Evidence = append(f.Evidence, f.Evidence[0])
		f.Subjects = append(f.Subjects, text("thief"))
	}
	f = must(New(f))
	for _, s := range []string{f.Title, f.Sentence} {
		if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || len([]rune(s)) > maxSentence+1 {
			t.Errorf("%q is not clean", s)
		}
	}
	if len(f.Evidence) != maxEvidence || f.Omitted != 1001-maxEvidence || len(f.Subjects) != maxSubjects {
		t.Errorf("%d facts, %d omitted, %d subjects", len(f.Evidence), f.Omitted, len(f.Subjects))
	}
}

func TestVoidedBy(t *testing.T) {
	f := must(New(draft()))
	for _, c := range []struct {
		chain flow.Chain
		from  flow.Pos
		want  bool
	}{
		{f.Chain, flow.Pos{Height: 7}, true}, {f.Chain, flow.Pos{}, true}, {f.Chain, f.Holds, true},
		{f.Chain, flow.Pos{Height: 8}, false}, {flow.Bitcoin, flow.Pos{}, false},
	} {
		if got := f.VoidedBy(c.chain, c.from); got != c.want {
			t.Errorf("VoidedBy(%s, %s) = %v; want %v", c.chain, c.from, got, c.want)
		}
	}
}

func TestStandingDropsWhatIsReplaced(t *testing.T) {
	a := must(New(draft()))
	b := draft()
	b.Evidence, b.Replaces = append(b.Evidence, b.Evidence[0]), a.ID
	b = must(New(b))
	if got := Standing([]Finding{a, b}); len(got) != 1 || got[0].ID != b.ID {
		t.Errorf("standing: %v", got)
	}
	if got := Standing([]Finding{a}); len(got) != 1 {
		t.Errorf("without its successor: %v", got)
	}
}

func TestParseReadsWhatWasWritten(t *testing.T) {
	f := must(New(draft()))
	b := must(json.Marshal(f))
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := must(json.Marshal(got)); string(again) != string(b) {
		t.Errorf("read back\n%s; want\n%s", again, b)
	}
	altered := strings.Replace(string(b), `"amount":"10"`, `"amount":"11"`, 1)
	if _, err := Parse([]byte(altered)); !errors.Is(err, ErrAltered) {
		t.Errorf("another amount: %v; want ErrAltered", err)
	}
	for _, bad := range []string{"", "{", "[]", string(b) + "{}", strings.Replace(string(b), `"rule"`, `"ruler":1,"rule"`, 1), strings.Repeat(" ", maxJSON+1)} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("Parse(%.60q) was taken", bad)
		}
	}
}

func TestSeverityWords(t *testing.T) {
	for s := Info; s <= Critical; s++ {
		var got Severity
		if err := got.UnmarshalText([]byte(s.String())); err != nil || got != s {
			t.Errorf("%s: read back as %s, %v", s, got, err)
		}
	}
	var s Severity
	if err := s.UnmarshalText([]byte("urgent")); err == nil {
		t.Error("urgent is a severity")
	}
}

func FuzzParse(f *testing.F) {
	whole := must(json.Marshal(must(New(draft()))))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"id":"00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Parse(again); err != nil || back.ID != got.ID {
			t.Fatalf("%s: read back with %v", again, err)
		}
	})
}

func ExampleNew() {
	f, err := New(draft())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Severity, f.Sentence)
	fmt.Println(f.Void)
	fmt.Println(f.Confidence)
	// Output:
	// high thief paid 8 accounts.
	// void if block 7 of text:eth, or one below it, is undone
	// not measured
}
