package detect

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/spoor-dev/spoor/finding"
	"go.yaml.in/yaml/v3"
)

// A Rule says what a habit looks like and what it means. Its file in detect/rules says the same to people; the cases
// beside it are stories which it must tell apart.
type Rule struct {
	ID          string           `yaml:"id"`
	Version     int              `yaml:"version"` // rises when the same events and parameters can give other findings
	Title       string           `yaml:"title"`
	Meaning     string           `yaml:"meaning"`
	Severity    finding.Severity `yaml:"severity"`
	Parameters  []Parameter      `yaml:"parameters"`
	FalseAlarms []string         `yaml:"false_alarms"` // honest things that look the same
	Sources     []string         `yaml:"sources"`
	Measured    *Measurement     `yaml:"measured"` // nil: not measured
	Overridden  bool             `yaml:"-"`        // a parameter is not the one that the file names

	look look
}

// A Parameter is a number of a rule, with its reason.
type Parameter struct {
	Name   string `yaml:"name"`
	Value  int64  `yaml:"value"`
	Unit   string `yaml:"unit"`
	Least  int64  `yaml:"least"`
	Most   int64  `yaml:"most"`
	Reason string `yaml:"reason"`
}

// A Measurement is how often the rule was right with the parameters of its file, and on what.
type Measurement struct {
	True int    `yaml:"true_findings"`
	Of   int    `yaml:"findings"`
	On   string `yaml:"on"`
}

// A look is what a rule does: it looks at the newest transfer in the graph of what came before, or at an event that is in
// no graph, and says what it finds.
type look func(s *scene) []match

// looks are the rules there are, in the order in which they look. A file in detect/rules belongs to each.
func looks() []struct {
	id         string
	look       look
	parameters []string
} {
	return []struct {
		id         string
		look       look
		parameters []string
	}{
		{"automation-tempo", tempo, []string{"delays", "threshold", "cap", "fast_median", "fast_spread", "slow_median", "slow_spread", "hours_span", "hours_z"}},
		{"bipartite", bipartite, []string{"payers", "payees", "density", "window"}},
		{"consolidation", consolidation, []string{"thefts"}},
		{"cycle", cycle, []string{"shortest", "longest", "kept", "window"}},
		{"dormancy", dormancy, []string{"rest"}},
		{"fan-in", fanIn, []string{"payers", "piece", "window"}},
		{"fan-out", fanOut, []string{"payees", "moved", "piece", "window"}},
		{"gather-scatter", gatherScatter, []string{"payers", "payees", "moved", "piece", "window"}},
		{"peel-chain", peelChain, []string{"steps", "goes_on", "peels", "receipts", "hop_window"}},
		{"random", random, []string{"hops", "kept", "hop_window"}},
		{"scatter-gather", scatterGather, []string{"middles", "piece", "window"}},
		{"stack", stack, []string{"payers", "payees", "density", "window"}},
		{"swap-bridge", swapBridge, []string{"hops", "window"}},
	}
}

//go:embed rules/*.yaml
var files embed.FS

// Rules are the rules of Spoor with their own parameters, in the order of their names. They are the caller's to change.
func Rules() []Rule {
	rules := slices.Clone(shipped())
	for i := range rules {
		r := &rules[i]
		r.Parameters, r.FalseAlarms, r.Sources = slices.Clone(r.Parameters), slices.Clone(r.FalseAlarms), slices.Clone(r.Sources)
	}
	return rules
}

// shipped reads the rule files, once: a thousand open cases ask for them.
var shipped = sync.OnceValue(func() []Rule {
	var rules []Rule
	for _, l := range looks() {
		name := "rules/" + l.id + ".yaml"
		text, err := fs.ReadFile(files, name)
		if err != nil {
			panic("detect: " + err.Error())
		}
		r, err := parseRule(name, text)
		if err == nil && r.ID != l.id {
			err = fmt.Errorf("it is of %q", r.ID)
		}
		if err == nil && !slices.EqualFunc(r.Parameters, l.parameters, func(p Parameter, name string) bool { return p.Name == name }) {
			err = fmt.Errorf("its parameters are not %v", l.parameters)
		}
		if err != nil {
			panic("detect: " + name + ": " + err.Error())
		}
		r.look = l.look
		rules = append(rules, r)
	}
	return rules
})

// parseRule reads a rule file. Unknown keys are errors.
func parseRule(name string, text []byte) (Rule, error) {
	var r Rule
	if err := strict(text, &r); err != nil {
		return Rule{}, fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case r.ID == "" || r.Version < 1 || r.Title == "" || r.Meaning == "" || r.Severity == 0:
		return Rule{}, fmt.Errorf("%s: id, version, title, meaning and severity are needed", name)
	case len(r.FalseAlarms) == 0 || len(r.Sources) == 0:
		return Rule{}, fmt.Errorf("%s: a rule names its false alarms and its sources", name)
	case r.Measured != nil && (r.Measured.True < 0 || r.Measured.Of < 1 || r.Measured.True > r.Measured.Of || r.Measured.On == ""):
		return Rule{}, fmt.Errorf("%s: measured: %d of %d on %q", name, r.Measured.True, r.Measured.Of, r.Measured.On)
	}
	seen := map[string]bool{}
	for _, p := range r.Parameters {
		switch {
		case p.Name == "" || p.Unit == "" || p.Reason == "":
			return Rule{}, fmt.Errorf("%s: parameter %q: name, unit and reason are needed", name, p.Name)
		case seen[p.Name]:
			return Rule{}, fmt.Errorf("%s: parameter %q is there twice", name, p.Name)
		case p.Value < p.Least || p.Value > p.Most:
			return Rule{}, fmt.Errorf("%s: parameter %q is %d: not in %d to %d", name, p.Name, p.Value, p.Least, p.Most)
		}
		seen[p.Name] = true
	}
	return r, nil
}

// maxYAML bounds a file of overrides, in bytes.
const maxYAML = 1 << 20

// Override reads a user's own parameters and returns rules with them; the given ones stay as they are. The file is YAML:
// the name of a rule, below it parameter: whole number. A rule or a parameter that does not exist, one that is there
// twice, and a number out of its range are errors. An overridden rule counts as not measured.
func Override(rules []Rule, name string, text []byte) ([]Rule, error) {
	if len(text) > maxYAML {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are read", name, len(text), maxYAML)
	}
	var wanted map[string]map[string]whole
	if err := strict(text, &wanted); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out := slices.Clone(rules)
	ids := make([]string, len(out))
	for i := range out {
		ids[i] = out[i].ID
	}
	for _, id := range sortedKeys(wanted) {
		i := slices.Index(ids, id)
		if i < 0 {
			return nil, fmt.Errorf("%s: rule %.80q: not one of %s", name, id, strings.Join(ids, ", "))
		}
		r := &out[i]
		r.Parameters = slices.Clone(r.Parameters)
		for _, key := range sortedKeys(wanted[id]) {
			k := slices.IndexFunc(r.Parameters, func(p Parameter) bool { return p.Name == key })
			if k < 0 {
				return nil, fmt.Errorf("%s: rule %s has no parameter %.80q", name, id, key)
			}
			p := &r.Parameters[k]
			v := int64(wanted[id][key])
			if v < p.Least || v > p.Most {
				return nil, fmt.Errorf("%s: rule %s: %s is %d: not in %d to %d %s", name, id, key, v, p.Least, p.Most, p.Unit)
			}
			r.Overridden = r.Overridden || v != p.Value
			p.Value = v
		}
	}
	return out, nil
}

// whole is a whole number. The YAML library would cut 3.5 down to 3 for a plain one.
type whole int64

// UnmarshalYAML reads a whole number and nothing else.
func (w *whole) UnmarshalYAML(n *yaml.Node) error {
	if n.ShortTag() != "!!int" {
		return fmt.Errorf("line %d: %.40q is not a whole number", n.Line, n.Value)
	}
	return n.Decode((*int64)(w))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// strict reads one YAML document without unknown keys.
func strict(text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var more yaml.Node
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

// number is the value of a parameter, which the rule has.
func (r *Rule) number(name string) int64 {
	for i := range r.Parameters {
		if r.Parameters[i].Name == name {
			return r.Parameters[i].Value
		}
	}
	panic("detect: rule " + r.ID + " has no parameter " + name)
}

// confidence is what is known of how often the rule is right.
func (r *Rule) confidence() finding.Confidence {
	switch {
	case r.Overridden:
		return finding.Confidence{Reason: "not measured with these parameters"}
	case r.Measured == nil:
		return finding.Confidence{Reason: "not measured"}
	}
	return finding.Confidence{Measured: true, True: r.Measured.True, Of: r.Measured.Of, Reason: r.Measured.On}
}
