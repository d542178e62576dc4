package screen

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/spoor-dev/spoor/flow"
)

// What a rule is about.
const (
	aboutLabel    = "label"    // of the account, or of a counterparty that the question names
	aboutCluster  = "cluster"  // a label of another account that is thought to have the same owner
	aboutExposure = "exposure" // of the account's money
	aboutAll      = "all"      // the answer as a whole
)

// A rule is one expression of a policy, compiled.
type rule struct {
	ruleFile
	program cel.Program
}

// facts is all that an expression can see.
type facts struct {
	about string

	category   string
	confidence int
	disputed   bool
	source     string
	own        bool // the label is the account's own, and not a counterparty's

	labelConfidence int
	link            int

	direct     bool
	hops       int
	direction  string
	share      int64
	shareLow   int64
	shareHigh  int64
	value      string
	counts     bool
	floorKnown bool
	asset      string

	unknown  bool
	partial  bool
	seen     bool
	transfer bool
	labels   int
	listAge  int64
}

// variables are the names by which expressions see facts, by what a rule is about.
func variables(about string) map[string]*cel.Type {
	switch about {
	case aboutLabel:
		return map[string]*cel.Type{"category": cel.StringType, "confidence": cel.IntType, "disputed": cel.BoolType,
			"source": cel.StringType, "own": cel.BoolType}
	case aboutCluster:
		return map[string]*cel.Type{"category": cel.StringType, "confidence": cel.IntType, "label_confidence": cel.IntType,
			"link": cel.IntType, "disputed": cel.BoolType, "source": cel.StringType, "own": cel.BoolType}
	case aboutExposure:
		return map[string]*cel.Type{"category": cel.StringType, "confidence": cel.IntType, "disputed": cel.BoolType,
			"direct": cel.BoolType, "hops": cel.IntType, "direction": cel.StringType, "share": cel.IntType, "share_low": cel.IntType,
			"share_high": cel.IntType, "value": cel.StringType, "counts": cel.BoolType, "floor_known": cel.BoolType, "asset": cel.StringType,
			"transfer": cel.BoolType}
	}
	return map[string]*cel.Type{"unknown": cel.BoolType, "partial": cel.BoolType, "seen": cel.BoolType, "transfer": cel.BoolType,
		"labels": cel.IntType, "list_age": cel.IntType}
}

// activation is the facts and the groups under their names.
func (p *Policy) activation(f *facts) map[string]any {
	vars := map[string]any{"category": f.category, "confidence": f.confidence, "disputed": f.disputed, "source": f.source, "own": f.own,
		"label_confidence": f.labelConfidence, "link": f.link,
		"direct": f.direct, "hops": f.hops, "direction": f.direction, "share": f.share, "share_low": f.shareLow, "share_high": f.shareHigh,
		"value": f.value, "counts": f.counts, "floor_known": f.floorKnown, "asset": f.asset,
		"unknown": f.unknown, "partial": f.partial, "seen": f.seen, "transfer": f.transfer, "labels": f.labels, "list_age": f.listAge}
	maps.Copy(vars, p.groups)
	return vars
}

// maxCost bounds the work of one expression, in the steps that CEL counts. There are no loops in a policy: the longest
// list is a group.
const maxCost = 100_000

// compile makes programs of the rules.
func (p *Policy) compile() error {
	envs := map[string]*cel.Env{}
	for _, about := range []string{aboutLabel, aboutCluster, aboutExposure, aboutAll} {
		options := []cel.EnvOption{cel.ClearMacros(), atLeast()}
		names := variables(about)
		for name, t := range names {
			options = append(options, cel.Variable(name, t))
		}
		for name := range p.groups {
			if _, taken := names[name]; taken {
				return fmt.Errorf("group %s: the name is that of a variable", name)
			}
			options = append(options, cel.Variable(name, cel.ListType(cel.StringType)))
		}
		env, err := cel.NewEnv(options...)
		if err != nil {
			return err
		}
		envs[about] = env
	}
	ids := map[string]bool{}
	for i, r := range p.file.Rules {
		env := envs[r.About]
		switch {
		case !isName(r.ID) || ids[r.ID]:
			return fmt.Errorf("rule %d: the id %.60q is none, or is there twice", i+1, r.ID)
		case env == nil:
			return fmt.Errorf("rule %s: about %.40q: not one of label, cluster, exposure, all", r.ID, r.About)
		case r.Decision == 0 || r.Says == "" || r.Reason == "":
			return fmt.Errorf("rule %s: decision, says and reason are needed", r.ID)
		case len(r.When) > maxWhen:
			return fmt.Errorf("rule %s: when has %d bytes, at most %d are read", r.ID, len(r.When), maxWhen)
		}
		ids[r.ID] = true
		ast, issues := env.Compile(r.When)
		if err := issues.Err(); err != nil {
			return fmt.Errorf("rule %s: when: %w", r.ID, err)
		}
		if ast.OutputType() != cel.BoolType {
			return fmt.Errorf("rule %s: when is a %s, want yes or no", r.ID, ast.OutputType())
		}
		program, err := env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return fmt.Errorf("rule %s: %w", r.ID, err)
		}
		p.rules = append(p.rules, rule{r, program})
	}
	return nil
}

// atLeast compares sums of the smallest unit, which have up to 256 bits: atLeast(value, "1000000").
func atLeast() cel.EnvOption {
	return cel.Function("atLeast", cel.Overload("at_least_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
		cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			var v [2]flow.Amount
			for i, s := range []ref.Val{a, b} {
				text, ok := s.Value().(string)
				if !ok {
					return types.MaybeNoSuchOverloadErr(s)
				}
				var err error
				if v[i], err = flow.ParseAmount(text); err != nil {
					return types.WrapErr(err)
				}
			}
			return types.Bool(!v[0].Less(v[1]))
		})))
}

// firedBy are the numbers of the rules that say yes to these facts, the strictest first.
func (p *Policy) firedBy(f facts) ([]int, error) {
	var yes []int
	vars := p.activation(&f)
	for i := range p.rules {
		r := &p.rules[i]
		if r.About != f.about {
			continue
		}
		v, _, err := r.program.Eval(vars)
		if err != nil {
			return nil, fmt.Errorf("policy %s: rule %s: %w: %w", p.ID(), r.ID, ErrPolicy, err)
		}
		if b, ok := v.Value().(bool); ok && b {
			yes = append(yes, i)
		}
	}
	slices.SortStableFunc(yes, func(a, b int) int { return int(p.rules[b].Decision) - int(p.rules[a].Decision) })
	return yes, nil
}

// labelFacts is what rules about labels see.
type labelFacts struct {
	category   string
	source     string
	confidence int
	disputed   bool
	own        bool
}

func (p *Policy) firedByLabel(f labelFacts) ([]int, error) {
	return p.ofLabels.recall(f, func() ([]int, error) {
		return p.firedBy(facts{about: aboutLabel, category: f.category, source: f.source, confidence: f.confidence, disputed: f.disputed, own: f.own})
	})
}

// wholeFacts is what rules about the answer as a whole see.
type wholeFacts struct {
	unknown, partial, seen, transfer bool
	labels                           int
	listAge                          int64
}

func (p *Policy) firedByWhole(f wholeFacts) ([]int, error) {
	return p.firedBy(facts{about: aboutAll, unknown: f.unknown, partial: f.partial, seen: f.seen, transfer: f.transfer, labels: f.labels, listAge: f.listAge})
}

// reasonsOfWhole are the reasons that rest on no label, no tie and no money, the strictest first. Verdicts share them: they
// must not be changed.
func (p *Policy) reasonsOfWhole(f wholeFacts) ([]Reason, error) {
	return p.ofAll.recall(f, func() ([]Reason, error) {
		yes, err := p.firedByWhole(f)
		if err != nil {
			return nil, err
		}
		var all []Reason
		for _, i := range yes {
			r := &p.rules[i]
			all = append(all, Reason{Rule: r.ID, Decision: r.Decision,
				Sentence: r.Says + " (" + strconv.Itoa(f.labels) + " labels, age of the newest list: " + age(f.listAge) + ")"})
		}
		if f.partial {
			all = append(all, Reason{Rule: rulePartial, Decision: p.file.Partial.Decision, Sentence: "not all of the money could be followed"})
		}
		if f.unknown {
			all = append(all, Reason{Rule: ruleUnknown, Decision: p.file.Unknown.Decision, Sentence: "nobody says who the account is: unknown, not clean"})
		}
		sortReasons(all)
		return slices.Clip(all), nil
	})
}

// memory is what a policy said to facts: few kinds of facts make up most questions. It is read without a lock, and forgets
// all at once when it is full.
type memory[F comparable, A any] struct {
	said atomic.Pointer[map[F]A]
	mu   sync.Mutex // held by who changes said
}

const remembered = 512

func (m *memory[F, A]) recall(f F, find func() (A, error)) (A, error) {
	if known := m.said.Load(); known != nil {
		if a, ok := (*known)[f]; ok {
			return a, nil
		}
	}
	a, err := find()
	if err != nil {
		return a, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := map[F]A{f: a}
	if known := m.said.Load(); known != nil && len(*known) < remembered {
		maps.Copy(next, *known)
	}
	m.said.Store(&next)
	return a, nil
}
