package screen

import (
	"slices"
	"strconv"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/flow"
)

// A Cluster is what ties an account to others that are thought to have the same owner. It is a judgement of heuristics, and
// weaker than any label of the account itself.
type Cluster struct {
	Size     int    `json:"size"`               // accounts in it, with the one that is asked about
	Service  string `json:"service,omitempty"`  // whose cluster it is, where that is known
	Ties     []Tie  `json:"ties"`               // the surest first, at most MaxTies
	Omitted  int    `json:"omitted,omitempty"`  // ties that are not listed
	Withheld int    `json:"withheld,omitempty"` // members of a service's cluster whose own labels say nothing of the service
	Partial  bool   `json:"partial,omitempty"`  // too large to look at all members
}

// A Tie is a label of another account of the cluster, and why it may hold for the one that is asked about.
type Tie struct {
	Account    flow.Account       `json:"account"` // whose label it is
	Label      attribute.Label    `json:"label"`
	Disputed   bool               `json:"disputed,omitempty"` // another source says that the label is wrong
	Confidence int                `json:"confidence"`         // 0 to 100: no surer than the label, and no surer than the weakest link
	Weakest    int                `json:"weakest"`            // the least confidence among all links
	Links      []cluster.Evidence `json:"links"`              // from the account that is asked about on, at most MaxLinks
	Omitted    int                `json:"omitted,omitempty"`  // links that are not listed: they come after those that are
}

// Bounds of a Cluster in a verdict.
const (
	MaxTies  = 16
	MaxLinks = 8
)

// clusterFacts is what rules about clusters see.
type clusterFacts struct {
	category, source                  string
	confidence, labelConfidence, link int
	disputed, own                     bool
}

func (p *Policy) firedByTie(f clusterFacts) ([]int, error) {
	return p.ofTies.recall(f, func() ([]int, error) {
		return p.firedBy(facts{about: aboutCluster, category: f.category, source: f.source, confidence: f.confidence,
			labelConfidence: f.labelConfidence, link: f.link, disputed: f.disputed, own: f.own})
	})
}

// clusterOf is what ties an account to others, apart from labels that it has itself.
func (s *Screen) clusterOf(a flow.Account, q *Question, own []attribute.Label) (*Cluster, error) {
	c, err := s.Clusters.ClusterOf(a, q.AsOf, q.KnownAt)
	if err != nil || c == nil {
		return nil, err
	}
	shown := *c
	shown.Ties = slices.DeleteFunc(slices.Clone(c.Ties), func(t Tie) bool {
		return slices.ContainsFunc(own, func(l attribute.Label) bool { return l.Claim() == t.Label.Claim() })
	})
	if n := len(shown.Ties) - MaxTies; n > 0 {
		shown.Ties, shown.Omitted = shown.Ties[:MaxTies], shown.Omitted+n
	}
	if shown.Ties == nil {
		shown.Ties = []Tie{}
	}
	return &shown, nil
}

// judgeCluster lets the rules look at the labels that reach an account through its cluster.
func (s *Screen) judgeCluster(v *Verdict, a flow.Account, c *Cluster) error {
	if c == nil {
		return nil
	}
	for i := range c.Ties {
		t := &c.Ties[i]
		if t.Label.Stance != attribute.Asserts {
			continue
		}
		v.Touched = append(v.Touched, t.Account)
		f := clusterFacts{category: string(t.Label.Category), source: t.Label.Source.ID, confidence: t.Confidence,
			labelConfidence: t.Label.Confidence.Level(), link: t.Weakest, disputed: t.Disputed, own: a == v.Subject}
		yes, err := s.Policy.firedByTie(f)
		if err != nil {
			return err
		}
		for _, i := range yes {
			r := Reason{Rule: s.Policy.rules[i].ID, Decision: s.Policy.rules[i].Decision}
			r.Sentence = t.describe(s.Policy.rules[i].Says + ": ")
			if !f.own {
				r.Counterparty, r.Hops = a, 1
			}
			r.of(&t.Label)
			r.Via, r.Confidence = t.Account, t.Confidence
			v.Reasons = append(v.Reasons, r)
		}
	}
	if c.Partial {
		v.DoesNotKnow = append(v.DoesNotKnow, "The cluster of "+a.String()+" has "+strconv.Itoa(c.Size)+" accounts: not all of them were looked at.")
	}
	return nil
}

// toldLinks is how many links a sentence tells.
const toldLinks = 3

// describe is a tie in words, behind others: whose label it is, and by which evidence it reaches the account.
func (t *Tie) describe(says string) string {
	text := describe(says, &t.Label) + "; by cluster, through " + t.Account.String() + ": "
	for i, e := range t.Links {
		if i == toldLinks {
			break
		}
		if i > 0 {
			text += ", then "
		}
		text += e.Heuristic.String() + " " + strconv.Itoa(int(e.Confidence)) + " in " + clean(e.B.Chain().FormatHash(e.Tx), 80)
	}
	if n := len(t.Links) + t.Omitted - toldLinks; n > 0 {
		text += " and " + strconv.Itoa(n) + " more"
	}
	return text + "; weakest link " + strconv.Itoa(t.Weakest)
}
