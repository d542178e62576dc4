// Package attribute is who is said to be behind a subject, by whom, how sure, since when, and since when that is known.
package attribute

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// A Label is what one source says about one subject. It is a judgement and never a fact: it carries its source. Times are
// seconds since 1970 UTC. A label has two times of its own: while it holds in the world (ValidFrom, ValidTo), and since when
// it is known here (Seen). What a source says later does not change a label: it is a later version of it, see Claim.
type Label struct {
	Subject    Subject    `json:"subject"`
	Name       string     `json:"name"`               // as the source writes it
	Actor      string     `json:"actor,omitempty"`    // who stands behind the subject, in the source's own spelling or id
	Category   Category   `json:"category,omitempty"` // what the subject is, or does
	Service    bool       `json:"service"`            // holds the money of many: a trace ends there
	Stance     Stance     `json:"stance"`
	Confidence Confidence `json:"confidence"`
	Source     Source     `json:"source"`
	Evidence   string     `json:"evidence,omitempty"` // where the source says why: a link, a transaction, a list entry
	ValidFrom  int64      `json:"valid_from"`         // 0 where it was always so, or nobody says since when
	ValidTo    int64      `json:"valid_to,omitempty"` // the first moment when it is so no more; 0 while it is so
	Seen       int64      `json:"seen"`               // when this version came to be known here
}

// A Source is who says so, and by which list.
type Source struct {
	ID      string `json:"id"`                // short and stable: "ofac-sdn"; what a later list of the same source replaces
	URI     string `json:"uri,omitempty"`     // where the list was taken from
	Licence string `json:"licence,omitempty"` // SPDX identifier where there is one
	Date    int64  `json:"date,omitempty"`    // of the list, in seconds since 1970 UTC; 0 where it does not say
}

// A Stance is how a source stands to what a label says.
type Stance uint8

// The stances.
const (
	Asserts  Stance = iota // it is so
	Disputes               // somebody else says so, and this source says that it is not so
	Retracts               // this source said so, and takes it back as never having been true
)

var stanceNames = [...]string{"asserts", "disputes", "retracts"}

// ParseStance reads the name of a stance.
func ParseStance(s string) (Stance, error) {
	for i, n := range stanceNames {
		if strings.EqualFold(s, n) {
			return Stance(i), nil
		}
	}
	return 0, fmt.Errorf("stance %.40q: it is asserts, disputes or retracts", s)
}

// String is the name of the stance.
func (s Stance) String() string {
	if int(s) >= len(stanceNames) {
		return fmt.Sprintf("stance(%d)", uint8(s))
	}
	return stanceNames[s]
}

// MarshalText writes the name of the stance.
func (s Stance) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a stance.
func (s *Stance) UnmarshalText(b []byte) error {
	v, err := ParseStance(string(b))
	*s = v
	return err
}

// ValidAt reports whether the label holds in the world at that moment, by its interval alone.
func (l Label) ValidAt(t int64) bool {
	return l.ValidFrom <= t && (l.ValidTo == 0 || t < l.ValidTo)
}

// A Claim names what is said, apart from how sure it is and until when: versions of one label share it, and of those the
// one that was seen last is what the source says now.
type Claim struct {
	Source    string
	Subject   Subject
	Category  Category
	Name      string
	Actor     string
	ValidFrom int64
}

// Claim is what the label says.
func (l Label) Claim() Claim {
	return Claim{l.Source.ID, l.Subject, l.Category, l.Name, l.Actor, l.ValidFrom}
}

// Compare orders labels by subject, source, category, name, actor, beginning, then by when they were seen.
func (l Label) Compare(o Label) int {
	if c := l.Subject.Compare(o.Subject); c != 0 {
		return c
	}
	return cmp.Or(
		strings.Compare(l.Source.ID, o.Source.ID),
		strings.Compare(string(l.Category), string(o.Category)),
		strings.Compare(l.Name, o.Name),
		strings.Compare(l.Actor, o.Actor),
		cmp.Compare(l.ValidFrom, o.ValidFrom),
		cmp.Compare(l.Seen, o.Seen),
	)
}

// A Reader answers who is behind a subject. It is safe for several goroutines; the answers are sorted by Label.Compare, hold
// what every source says and settle no conflict.
type Reader interface {
	// Of are the labels of these subjects which hold at validAt, by what was known at knownAt: of each claim the version
	// seen last until then, without those that were taken back.
	Of(validAt, knownAt int64, of ...Subject) []Label
	// LabelsOf are the labels of an account: its own, and those of its address on any EVM chain, as by Of.
	LabelsOf(a flow.Account, validAt, knownAt int64) []Label
	// History is every version of every label of these subjects, whenever it holds and whenever it was seen.
	History(of ...Subject) []Label
}
