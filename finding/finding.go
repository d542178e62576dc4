// Package finding is a judgement: which rule says what about whom, on what evidence, how sure that is and what makes it void.
package finding

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Finding is a judgement of one rule. It is a value, made by New; it never changes, and no fact is ever changed by it.
// A later finding can replace it, and a fork below its place makes it void. Its JSON form is described in
// docs/formats/finding.md.
type Finding struct {
	ID         flow.Hash      `json:"id"` // see New
	Rule       string         `json:"rule"`
	Version    int            `json:"version"` // of the rule
	Parameters []Parameter    `json:"parameters"`
	Severity   Severity       `json:"severity"`
	Chain      flow.Chain     `json:"chain"`
	Subjects   []flow.Account `json:"subjects"`        // whom it is about, the most important first
	Holds      flow.Pos       `json:"holds"`           // the place from which on it holds: the last of its evidence
	Time       int64          `json:"time,omitempty"`  // of that place, seconds since 1970; 0 if not known
	Title      string         `json:"title"`           // the habit, in a few words
	Sentence   string         `json:"sentence"`        // what happened, for people
	Evidence   []Fact         `json:"evidence"`        // in the order of the chain
	Omitted    int            `json:"omitted"`         // how many more facts were seen than the evidence names
	Basis      []string       `json:"basis,omitempty"` // what it rests on besides facts, such as the IDs of two verdicts; may stand for evidence
	Score      int            `json:"score"`           // thousandths of what the rule asks for: 1000 is just enough
	Confidence Confidence     `json:"confidence"`
	Void       string         `json:"void"`              // what makes it void, in words; see VoidedBy
	Replaces   flow.Hash      `json:"replaces,omitzero"` // the finding that this one extends
}

// A Parameter is one number that the rule ran with.
type Parameter struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
	Unit  string `json:"unit"`
}

// A Fact names one movement, or one pair of its legs, without retelling it: the chain has it.
type Fact struct {
	Tx     flow.Hash    `json:"tx"`
	At     flow.Pos     `json:"at"`
	Time   int64        `json:"time,omitempty"` // of the block, seconds since 1970; 0 if not known
	Index  uint32       `json:"index"`          // the movement's own number: log index, or place among the traces
	From   flow.Account `json:"from"`
	To     flow.Account `json:"to"`
	Asset  flow.Asset   `json:"asset"`
	Amount flow.Amount  `json:"amount"` // of the whole leg, not of what is stolen of it
}

// Confidence is how often a rule with these parameters was right where the truth is known, and how that is known.
type Confidence struct {
	Measured bool   `json:"measured"`
	True     int    `json:"true"` // findings that were right, of Of
	Of       int    `json:"of"`
	Reason   string `json:"reason"` // on what it was measured, or why it was not
}

// Bounds of a finding; it is made of what strangers wrote.
const (
	maxSubjects = 256
	maxEvidence = 256
	maxBasis    = 16
	maxTitle    = 200  // characters
	maxSentence = 1000 // characters
	maxName     = 100  // characters
)

// New makes a finding of a draft. It cleans the texts for terminals, keeps the first 256 subjects and facts, says what
// would make it void, and gives it its ID: the sha256 of rule, version, chain, subjects and the keys of the evidence. A
// key is what a fact keeps when a fork moves its transaction to another block: transaction, movement, from, to, asset
// and amount. So the same judgement on the same transactions has the same ID on every branch.
func New(f Finding) (Finding, error) {
	switch {
	case f.Rule == "" || f.Version < 1:
		return Finding{}, fmt.Errorf("finding of rule %.40q version %d: no such rule", f.Rule, f.Version)
	case f.Severity < Info || f.Severity > Critical:
		return Finding{}, fmt.Errorf("finding of rule %.40q: severity %d", f.Rule, f.Severity)
	case f.Chain.IsZero() || len(f.Subjects) == 0 || len(f.Evidence)+len(f.Basis) == 0:
		return Finding{}, fmt.Errorf("finding of rule %.40q: a chain, a subject and evidence or another basis are needed", f.Rule)
	case f.Omitted < 0 || f.Score < 0:
		return Finding{}, fmt.Errorf("finding of rule %.40q: a number below nothing", f.Rule)
	}
	if err := f.Confidence.check(); err != nil {
		return Finding{}, fmt.Errorf("finding of rule %.40q: %w", f.Rule, err)
	}
	for _, s := range f.Subjects {
		if s.Chain() != f.Chain {
			return Finding{}, fmt.Errorf("finding of rule %.40q on %s: subject %s is not on it", f.Rule, f.Chain, s)
		}
	}
	if n := len(f.Evidence) - maxEvidence; n > 0 {
		f.Omitted += n
		f.Evidence = f.Evidence[:maxEvidence]
	}
	f.Subjects = append([]flow.Account{}, f.Subjects[:min(len(f.Subjects), maxSubjects)]...)
	f.Evidence = append([]Fact{}, f.Evidence...)
	f.Basis = slices.Clone(f.Basis[:min(len(f.Basis), maxBasis)])
	for i := range f.Basis {
		f.Basis[i] = Clean(f.Basis[i], maxTitle)
	}
	f.Parameters = append([]Parameter{}, f.Parameters...)
	for i := range f.Parameters {
		p := &f.Parameters[i]
		p.Name, p.Unit = Clean(p.Name, maxName), Clean(p.Unit, maxName)
	}
	f.Rule, f.Title, f.Sentence = Clean(f.Rule, maxName), Clean(f.Title, maxTitle), Clean(f.Sentence, maxSentence)
	f.Confidence.Reason = Clean(f.Confidence.Reason, maxSentence)
	f.Void = fmt.Sprintf("void if block %d of %s, or one below it, is undone", f.Holds.Height, f.Chain)
	f.ID = f.id()
	return f, nil
}

// VoidedBy reports whether the finding is void once everything at and after a place of a chain is undone.
func (f Finding) VoidedBy(c flow.Chain, from flow.Pos) bool {
	return c == f.Chain && from.Compare(f.Holds) <= 0
}

// id is the digest that New describes; each text is written behind its length.
func (f *Finding) id() flow.Hash {
	b := []byte("spoor finding 1\n")
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	text(f.Rule)
	b = binary.AppendUvarint(b, uint64(f.Version))
	text(f.Chain.String())
	b = binary.AppendUvarint(b, uint64(len(f.Subjects)))
	for _, s := range f.Subjects {
		text(s.Key())
	}
	b = binary.AppendUvarint(b, uint64(len(f.Evidence)))
	for _, e := range f.Evidence {
		b = append(b, e.Tx[:]...)
		b = binary.AppendUvarint(b, uint64(e.At.Movement))
		text(e.From.Key())
		text(e.To.Key())
		text(e.Asset.String())
		amount := e.Amount.Bytes()
		b = append(b, amount[:]...)
	}
	for _, what := range f.Basis { // none of them, and the ID is what it was before there were any
		text(what)
	}
	return sha256.Sum256(b)
}

func (c Confidence) check() error {
	switch {
	case c.Reason == "":
		return errors.New("a confidence needs its reason")
	case c.True < 0 || c.Of < c.True || c.Measured != (c.Of > 0):
		return fmt.Errorf("confidence: %d true of %d, measured: %v", c.True, c.Of, c.Measured)
	}
	return nil
}

// String is for people: "41 of 44 were right (on …)".
func (c Confidence) String() string {
	if !c.Measured {
		return c.Reason
	}
	return fmt.Sprintf("%d of %d were right (%s)", c.True, c.Of, c.Reason)
}

// Standing are the findings that no later one of the list replaces, in their order.
func Standing(all []Finding) []Finding {
	replaced := map[flow.Hash]bool{}
	for _, f := range all {
		if !f.Replaces.IsZero() {
			replaced[f.Replaces] = true
		}
	}
	standing := []Finding{}
	for _, f := range all {
		if !replaced[f.ID] {
			standing = append(standing, f)
		}
	}
	return standing
}
