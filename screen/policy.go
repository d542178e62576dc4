package screen

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// A Policy says what a verdict decides on what it sees. It never changes and is safe for several goroutines. Its file is
// described in docs/formats/policy.md.
type Policy struct {
	file   policyFile
	hash   flow.Hash
	floors map[flow.Asset]flow.Amount
	minds  map[attribute.Category]bool // the categories of all groups
	groups map[string]any
	rules  []rule
	id     string

	nothing  []Reason // where there is no other; verdicts share it
	ofLabels memory[labelFacts, []int]
	ofTies   memory[clusterFacts, []int]
	ofAll    memory[wholeFacts, []Reason]
}

type policyFile struct {
	ID      string  `yaml:"id"`
	Version int     `yaml:"version"`
	Title   string  `yaml:"title"`
	Unknown *choice `yaml:"unknown"`
	Partial *choice `yaml:"partial"`
	Nothing *choice `yaml:"nothing"`
	Floors  struct {
		Reason string `yaml:"reason"`
		Of     []struct {
			Asset  string `yaml:"asset"`
			Amount string `yaml:"amount"`
		} `yaml:"of"`
	} `yaml:"floors"`
	Groups map[string]struct {
		Reason     string   `yaml:"reason"`
		Categories []string `yaml:"categories"`
	} `yaml:"groups"`
	Rules []ruleFile `yaml:"rules"`
}

// A choice is what a policy decides where no rule does.
type choice struct {
	Decision Decision `yaml:"decision"`
	Reason   string   `yaml:"reason"`
}

type ruleFile struct {
	ID       string   `yaml:"id"`
	About    string   `yaml:"about"`
	Decision Decision `yaml:"decision"`
	When     string   `yaml:"when"`
	Says     string   `yaml:"says"`
	Reason   string   `yaml:"reason"`
}

// Bounds of a policy file.
const (
	maxPolicy = 1 << 20 // bytes
	maxRules  = 200
	maxGroups = 50
	maxFloors = 10_000
	maxWhen   = 2000 // bytes of one expression
)

//go:embed policies/*.yaml
var policies embed.FS

// DefaultPolicy is the policy of Spoor.
func DefaultPolicy() *Policy { return shipped("default") }

// ListsPolicy allows whoever is on no list of sanctions.
func ListsPolicy() *Policy { return shipped("lists") }

func shipped(name string) *Policy {
	text, err := policies.ReadFile("policies/" + name + ".yaml")
	if err != nil {
		panic("screen: " + err.Error())
	}
	p, err := ParsePolicy(name, text)
	if err != nil {
		panic("screen: " + err.Error())
	}
	return p
}

// ParsePolicy reads a policy and compiles its rules; name is for messages. Unknown keys, groups and variables, missing
// reasons, and expressions that are no question of yes or no are errors. Errors wrap ErrPolicy.
func ParsePolicy(name string, text []byte) (*Policy, error) {
	p, err := parsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("policy %.200s: %w: %w", name, ErrPolicy, err)
	}
	return p, nil
}

func parsePolicy(text []byte) (*Policy, error) {
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(text), maxPolicy)
	}
	p := &Policy{hash: sha256.Sum256(text), floors: map[flow.Asset]flow.Amount{}, minds: map[attribute.Category]bool{}, groups: map[string]any{}}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&p.file); err != nil {
		return nil, err
	}
	var more yaml.Node
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	f := &p.file
	switch {
	case !isName(f.ID) || f.Version < 1 || f.Title == "":
		return nil, errors.New("id, version and title are needed")
	case len(f.Rules) == 0 || len(f.Rules) > maxRules || len(f.Groups) > maxGroups || len(f.Floors.Of) > maxFloors:
		return nil, fmt.Errorf("%d rules, %d groups, %d floors: at least one rule; at most %d, %d and %d",
			len(f.Rules), len(f.Groups), len(f.Floors.Of), maxRules, maxGroups, maxFloors)
	case f.Floors.Reason == "":
		return nil, errors.New("floors: a reason is needed")
	}
	for name, c := range map[string]*choice{"unknown": f.Unknown, "partial": f.Partial, "nothing": f.Nothing} {
		if c == nil || c.Decision == 0 || c.Reason == "" {
			return nil, fmt.Errorf("%s: a decision and a reason are needed", name)
		}
	}
	for i, fl := range f.Floors.Of {
		asset, err := flow.ParseAsset(fl.Asset)
		if err != nil {
			return nil, fmt.Errorf("floor %d: %w", i+1, err)
		}
		v, err := flow.ParseAmount(fl.Amount)
		if err != nil {
			return nil, fmt.Errorf("floor %d: %w", i+1, err)
		}
		if _, twice := p.floors[asset]; twice {
			return nil, fmt.Errorf("floor %d: %s is there twice", i+1, asset)
		}
		p.floors[asset] = v
	}
	for _, name := range slices.Sorted(maps.Keys(f.Groups)) {
		g := f.Groups[name]
		if !isName(name) || len(g.Categories) == 0 || g.Reason == "" {
			return nil, fmt.Errorf("group %.40q: a name in small letters, categories and a reason are needed", name)
		}
		for _, c := range g.Categories {
			if parsed := attribute.ParseCategory(c); string(parsed) != c {
				return nil, fmt.Errorf("group %s: %.60q is no category; is %q meant?", name, c, parsed)
			}
			p.minds[attribute.Category(c)] = true
		}
		p.groups[name] = g.Categories
	}
	p.id = fmt.Sprintf("%s/%d", f.ID, f.Version)
	p.nothing = []Reason{{Rule: ruleNothing, Decision: f.Nothing.Decision, Sentence: "no rule has anything to say against it"}}
	return p, p.compile()
}

// isName reports whether s is small letters, digits, - and _.
func isName(s string) bool {
	return s != "" && len(s) <= 60 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// ID names the policy and its version.
func (p *Policy) ID() string { return p.id }

// Title is the policy in one sentence.
func (p *Policy) Title() string { return p.file.Title }

// Hash is the sha256 of the policy's file.
func (p *Policy) Hash() flow.Hash { return p.hash }

// SameOfAll reports whether the rules about an answer as a whole, which look at how many labels there are and how old the
// newest list is, say the same of two states of the labels, each seen at a moment of its own.
func (p *Policy) SameOfAll(before LabelState, beforeAt int64, after LabelState, afterAt int64) (bool, error) {
	for bits := range 16 {
		f := wholeFacts{unknown: bits&1 != 0, partial: bits&2 != 0, seen: bits&4 != 0, transfer: bits&8 != 0}
		var yes [2][]int
		for i, s := range []LabelState{before, after} {
			var err error
			f.labels, f.listAge = s.Count, s.age([]int64{beforeAt, afterAt}[i])
			if yes[i], err = p.firedByWhole(f); err != nil {
				return false, err
			}
		}
		if !slices.Equal(yes[0], yes[1]) {
			return false, nil
		}
	}
	return true, nil
}

// Minds reports whether a rule may look at a category: a trail ends at accounts of it.
func (p *Policy) Minds(c attribute.Category) bool { return p.minds[c] }

// Floor is the least sum of an asset that counts; ok is false where the policy names none.
func (p *Policy) Floor(a flow.Asset) (v flow.Amount, ok bool) {
	v, ok = p.floors[a]
	return v, ok
}
