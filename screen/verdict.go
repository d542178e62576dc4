package screen

import (
	"fmt"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// A Decision is what the caller should do. A larger one is stricter.
type Decision uint8

// The decisions. They are part of stored formats: never renumber. The zero Decision is none, so that what was never
// decided is never allowed.
const (
	Allow     Decision = 1
	Attention Decision = 2 // go on only after somebody has looked
	Hold      Decision = 3 // do not go on until somebody has decided
	Block     Decision = 4
)

var decisionNames = [...]string{"", "allow", "attention", "hold", "block"}

// String is one lower-case word; "undecided" for none.
func (d Decision) String() string {
	if int(d) < len(decisionNames) && d > 0 {
		return decisionNames[d]
	}
	return "undecided"
}

// ParseDecision reads the word of a decision.
func ParseDecision(s string) (Decision, error) {
	for d, name := range decisionNames {
		if name == s && d > 0 {
			return Decision(d), nil
		}
	}
	return 0, fmt.Errorf("decision %.40q: not one of allow, attention, hold, block", s)
}

// MarshalText writes the word.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDecision reads.
func (d *Decision) UnmarshalText(b []byte) error {
	v, err := ParseDecision(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// A Verdict is the answer to a Question, with all that is needed to say later why it was given. It is a judgement. Its
// slices may be shared with other verdicts: who changes one clones it first. Its JSON form is described in
// docs/formats/verdict.md.
type Verdict struct {
	ID             flow.Hash         `json:"id"`    // see Seal
	Given          int64             `json:"given"` // when it was given, seconds since 1970; no part of the ID
	Subject        flow.Account      `json:"address"`
	Decision       Decision          `json:"decision"`
	Reasons        []Reason          `json:"reasons"`           // the strictest first
	Unknown        bool              `json:"unknown"`           // nobody says who the account is: never "clean"
	Labels         []attribute.Label `json:"labels"`            // all that is said of the account, harmless or not
	Cluster        *Cluster          `json:"cluster,omitempty"` // accounts that are thought to have the same owner; nil if none are known
	Exposure       []Exposure        `json:"exposure"`
	Covered        []Covered         `json:"covered"` // how much of the money the exposure speaks of
	Partial        bool              `json:"partial"`
	DoesNotKnow    []string          `json:"does_not_know"` // sentences
	Direction      Direction         `json:"direction,omitempty"`
	Asset          flow.Asset        `json:"asset,omitzero"`
	Amount         flow.Amount       `json:"amount,omitzero"`
	Counterparties []flow.Account    `json:"counterparties,omitempty"`
	Direct         bool              `json:"direct,omitempty"` // the labels alone were asked
	AsOf           int64             `json:"as_of"`            // the moment it speaks of, seconds since 1970
	KnownAt        int64             `json:"known_at"`         // what was known then counted
	ListAge        int64             `json:"list_age"`         // seconds from the newest list of sanctions (of any, where there is none) to KnownAt; -1 if no list says when it was made
	PolicyID       string            `json:"policy_id"`
	PolicyHash     flow.Hash         `json:"policy_hash"`
	LabelHash      flow.Hash         `json:"label_hash"`
	LabelCount     int               `json:"label_count"`
	ClusterHash    flow.Hash         `json:"cluster_hash,omitzero"` // of all clusters; zero where none were asked
	ChainTip       flow.Point        `json:"chain_tip,omitzero"`    // the newest block that was seen; none where no chain was
	Version        string            `json:"version"`               // of the program
	Touched        []flow.Account    `json:"-"`                     // others whose labels or clusters were looked at; no part of the verdict
}

// A Reason is one rule that fired, and on what. The fields of what did not play a part are zero.
type Reason struct {
	Rule         string       `json:"rule"` // of the policy
	Decision     Decision     `json:"decision"`
	Sentence     string       `json:"sentence"` // for people, with the values that the rule saw
	Category     string       `json:"category,omitempty"`
	Direct       bool         `json:"direct"`              // the account itself or one that it dealt with, nobody between
	Hops         int          `json:"hops"`                // 0 is the account itself
	Direction    Direction    `json:"direction,omitempty"` // of the exposure
	Asset        flow.Asset   `json:"asset,omitzero"`
	Amount       flow.Amount  `json:"amount,omitzero"` // of the exposure, or of its part in the transfer that was asked about
	Share        int64        `json:"share"`           // billionths of what came in, or went out
	Interval     Interval     `json:"interval,omitzero"`
	Entity       string       `json:"entity,omitempty"`
	Counterparty flow.Account `json:"counterparty,omitzero"` // whose label it is, where it is not the subject's
	Via          flow.Account `json:"via,omitzero"`          // of the same cluster, whose label it is: see Cluster.Ties
	Source       string       `json:"source,omitempty"`
	List         string       `json:"list,omitempty"`
	Confidence   int          `json:"confidence"` // 0 to 100
	Path         Path         `json:"path,omitzero"`
	AsOf         int64        `json:"as_of"` // since when the label is known here, seconds since 1970
	Evidence     string       `json:"evidence,omitempty"`
}

// An Interval is what the rules of tracing disagree on: the least and the most that any of them says.
type Interval struct {
	Low  flow.Amount `json:"low"`
	High flow.Amount `json:"high"`
}

// An Exposure is how much of the money of one asset came from one category of accounts, or went there, either directly or
// through others.
type Exposure struct {
	Category   string      `json:"category"`
	Direction  Direction   `json:"direction"`
	Direct     bool        `json:"direct"`
	Asset      flow.Asset  `json:"asset"`
	Value      flow.Amount `json:"value"` // by haircut
	Share      int64       `json:"share"` // billionths of all of that asset that came in, or went out
	Hops       int         `json:"hops"`  // the fewest
	Interval   Interval    `json:"interval"`
	Confidence int         `json:"confidence"`     // of the surest label
	Disputed   bool        `json:"disputed"`       // every label of it is disputed by somebody
	Dust       bool        `json:"dust,omitempty"` // unsolicited and tiny: it is told and decides nothing
	Entities   []Entity    `json:"entities"`       // the most first, at most MaxEntities
	Omitted    int         `json:"omitted,omitempty"`
	TopPaths   []Path      `json:"top_paths"` // at most three, the most first
}

// MaxEntities bounds Exposure.Entities.
const MaxEntities = 16

// An Entity is an account that an exposure is about, with the label that puts it there.
type Entity struct {
	Account flow.Account    `json:"account"`
	Value   flow.Amount     `json:"value"`
	Label   attribute.Label `json:"label"`
}

// A Path is a way that money took, in the order of time.
type Path struct {
	Accounts []flow.Account `json:"accounts"` // the payer first; one more than there are transactions
	Txs      []flow.Hash    `json:"txs"`
	Amount   flow.Amount    `json:"amount"` // the least that the way carried at any place, by haircut
}

// Covered says of one asset and direction how much money there was and how much of it is accounted for by labels.
type Covered struct {
	Direction Direction   `json:"direction"`
	Asset     flow.Asset  `json:"asset"`
	Total     flow.Amount `json:"total"`
	Named     flow.Amount `json:"named"` // reached an account that somebody names
	Share     int64       `json:"share"` // billionths
	Ends      []End       `json:"ends"`  // where the rest ended
	Partial   bool        `json:"partial"`
}

// An End is money whose trail ended at no label.
type End struct {
	Why   string      `json:"why"` // unspent, budget, dust, fee, issued, data-missing, …
	Value flow.Amount `json:"value"`
}
