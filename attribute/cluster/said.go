package cluster

import (
	"cmp"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Label is what a source says of an account: as much of it as has to be passed on.
type Label struct {
	Name       string `json:"name"`
	Category   string `json:"category"`
	Source     string `json:"source"`
	Confidence int    `json:"confidence"` // 0 to 100
}

// Labels is what is said of accounts themselves. Of returns them in an order that never changes.
type Labels interface {
	Of(a flow.Account) []Label
}

// A Said is a label that an account has through its cluster.
type Said struct {
	Label      Label        `json:"label"` // with its own confidence
	Via        flow.Account `json:"via"`   // the member that has it
	Proof      Proof        `json:"proof"` // from the account to that member
	Confidence int          `json:"confidence"`
}

// Through is what is said of the other members of a's cluster, and how sure it is that it holds for a: no surer than the
// label, and no surer than the weakest evidence on the surest way to that member. Where several members have one label
// of one source, the surest is given. The surest come first; members to which no way of at least the least confidence
// leads are left out. It asks for the labels of at most so many members, the surest, and says whether that were all.
func (f *Forest) Through(a flow.Account, labels Labels, least, most int) (said []Said, all bool) {
	start := f.lookup(a)
	if start == 0 {
		return nil, true
	}
	type key struct{ name, category, source string }
	best := map[key]int{}
	w := f.widen(start, least)
	all = true
	for n, width := range w.all() {
		if n == start {
			continue
		}
		if most--; most < 0 {
			all = false
			break
		}
		for _, l := range labels.Of(f.account(n)) {
			s := Said{Label: l, Via: f.account(n), Confidence: min(max(l.Confidence, 0), width)}
			k := key{l.Name, l.Category, l.Source}
			i, ok := best[k]
			switch {
			case s.Confidence < least:
				continue
			case !ok:
				best[k] = len(said)
				said = append(said, s)
			case s.surer(said[i]):
				said[i] = s
			}
		}
	}
	for i := range said {
		said[i].Proof = w.proof(f.lookup(said[i].Via))
	}
	slices.SortFunc(said, func(a, b Said) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Label.Category, b.Label.Category), cmp.Compare(a.Label.Name, b.Label.Name),
			cmp.Compare(a.Label.Source, b.Label.Source), a.Via.Compare(b.Via))
	})
	return said, all
}

func (s Said) surer(o Said) bool {
	return s.Confidence > o.Confidence || s.Confidence == o.Confidence && s.Via.Compare(o.Via) < 0
}
