package cluster

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Moment says which evidence counts: what happened up to a place of its chain, was seen by then and not withdrawn by
// then. The zero Moment counts all that was ever seen and never withdrawn.
type Moment struct {
	Places map[flow.Chain]flow.Pos // the last place that counts, of the chains that are limited
	Seen   int64                   // seconds since 1970 UTC; 0 for no limit
}

func (m Moment) counts(f *Forest, id ID) bool {
	r := f.row(id)
	s := f.sources[r.source]
	if m.Seen != 0 && s.seen > m.Seen {
		return false
	}
	if w, ok := f.taken[id]; ok && (m.Seen == 0 || w.Seen <= m.Seen) {
		return false
	}
	last, limited := m.Places[f.account(r.b).Chain()]
	return !limited || s.at.Compare(last) <= 0
}

// A View is a forest as it was at a moment, under the marks and acceptances of today. It works out only what is asked
// for, one cluster at a time, and is void once the forest is written. It is for one goroutine.
type View struct {
	forest *Forest
	moment Moment
	part   *Forest // the forest around the accounts that were asked for last
	ids    []ID    // what the forest calls the evidence that part calls 1, 2, …
}

// AsOf is the forest as it was at a moment.
func (f *Forest) AsOf(m Moment) *View { return &View{forest: f, moment: m} }

// around is the part of the forest that what happened to a can depend on.
func (v *View) around(a flow.Account) *Forest {
	if v.part != nil && v.part.lookup(a) != 0 {
		return v.part
	}
	f := v.forest
	v.part, v.ids = New(f.guard), nil
	start := f.lookup(a)
	if start == 0 {
		return v.part
	}
	reach, met := []node{start}, map[node]bool{start: true}
	for i := 0; i < len(reach); i++ {
		n := reach[i]
		for id := f.at(n).first; id != 0; {
			r := f.row(id)
			if v.moment.counts(f, id) {
				if to := r.other(n); !met[to] {
					met[to] = true
					reach = append(reach, to)
				}
				if n == r.a {
					v.ids = append(v.ids, id)
				}
			}
			id = r.after(n)
		}
	}
	marks := map[flow.Account]string{}
	for _, n := range reach {
		if s, ok := f.marks[n]; ok {
			marks[f.account(n)] = s
		}
	}
	v.part.Mark(marks)
	v.part.node(a) // so that the part is known to be that of a, even if nothing joins it
	slices.Sort(v.ids)
	for i, id := range v.ids {
		if f.accepted[id] {
			v.part.accepted[ID(i+1)] = true
		}
		if _, _, err := v.part.Add(f.evidence(id)); err != nil {
			panic("cluster: evidence that was accepted once: " + err.Error())
		}
	}
	return v.part
}

// named gives the evidence of a proof the names of the whole forest.
func (v *View) named(p Proof, ok bool) (Proof, bool) {
	for i := range p.Evidence {
		p.Evidence[i].ID = v.ids[p.Evidence[i].ID-1]
	}
	return p, ok
}

// Same reports whether two accounts were in one cluster.
func (v *View) Same(a, b flow.Account) bool { return v.around(a).Same(a, b) }

// Members are the accounts of a's cluster, in order, a among them.
func (v *View) Members(a flow.Account) []flow.Account { return v.around(a).Members(a) }

// Explain is why two accounts were in one cluster; see Forest.Explain.
func (v *View) Explain(a, b flow.Account) (Proof, bool) { return v.named(v.around(a).Explain(a, b)) }

// Size is how many accounts a's cluster had.
func (v *View) Size(a flow.Account) int { return v.around(a).Size(a) }

// Through is what was said of the other members of a's cluster; see Forest.Through.
func (v *View) Through(a flow.Account, labels Labels, least, most int) (said []Said, all bool) {
	said, all = v.around(a).Through(a, labels, least, most)
	for i := range said {
		said[i].Proof, _ = v.named(said[i].Proof, true)
	}
	return said, all
}

// Strongest is the most certain reason why two accounts were in one cluster; see Forest.Strongest.
func (v *View) Strongest(a, b flow.Account) (Proof, bool) {
	return v.named(v.around(a).Strongest(a, b))
}
