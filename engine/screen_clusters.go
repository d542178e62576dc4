package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/store"
)

// Bounds of what is looked at for one question.
const (
	mostMembers = 2000 // of one cluster, the surest
	leastLink   = 1    // confidence of a tie
)

// ties lets screen ask clusters. It implements screen.Clusters.
type ties struct {
	clusters *Clusters
	labels   *bookLabels
	store    store.Store  // to place a moment of the past; may be nil
	newest   int64        // when the last evidence was learned
	tips     []flow.Point // up to which blocks the evidence reaches
}

func newTies(c *Clusters, labels *bookLabels, st store.Store) *ties {
	return &ties{clusters: c, labels: labels, store: st, newest: c.Forest.Newest(), tips: c.Places()}
}

// ClusterState implements screen.Clusters.
func (t *ties) ClusterState() flow.Hash { return t.clusters.Hash() }

// throughed is a forest, now or at a moment.
type throughed interface {
	Size(a flow.Account) int
	Through(a flow.Account, labels cluster.Labels, least, most int) (said []cluster.Said, all bool)
}

// ClusterOf implements screen.Clusters.
func (t *ties) ClusterOf(a flow.Account, validAt, knownAt int64) (*screen.Cluster, error) {
	f := t.clusters.Forest
	if f.Size(a) == 1 {
		// A smaller cluster of the past would be part of one that was split since: by a withdrawal or by a mark.
		if !t.isPast(validAt, knownAt) || len(f.Of(a)) == 0 {
			return nil, nil
		}
	}
	var in throughed = f
	if t.isPast(validAt, knownAt) {
		places, err := t.placesAt(validAt)
		if err != nil {
			return nil, err
		}
		if len(places) > 0 && t.store == nil {
			return &screen.Cluster{Size: f.Size(a), Partial: true}, nil // no store to say which blocks are too young
		}
		in = f.AsOf(cluster.Moment{Places: places, Seen: knownAt})
	}
	size := in.Size(a)
	if size == 1 {
		return nil, nil
	}
	members := &memberLabels{ties: t, validAt: validAt, knownAt: knownAt, service: f.Service(a), of: map[flow.Account][]attribute.Label{}}
	said, all := in.Through(a, members, leastLink, mostMembers)
	if members.err != nil {
		return nil, members.err
	}
	c := &screen.Cluster{Size: size, Service: members.service, Ties: make([]screen.Tie, 0, len(said)), Withheld: members.withheld, Partial: !all}
	for _, s := range said {
		c.Ties = append(c.Ties, members.tie(s))
	}
	return c, nil
}

// isPast reports whether some of the evidence may be too young for a question.
func (t *ties) isPast(validAt, knownAt int64) bool {
	return knownAt < t.newest || slices.ContainsFunc(t.tips, func(p flow.Point) bool { return p.Time > validAt })
}

// placesAt are the last places that count at a moment, of the chains that go on after it.
func (t *ties) placesAt(at int64) (places map[flow.Chain]flow.Pos, err error) {
	places = map[flow.Chain]flow.Pos{}
	for _, tip := range t.tips {
		if tip.Time <= at {
			continue
		}
		places[tip.Chain] = flow.Pos{}
		if t.store == nil {
			continue
		}
		s, err := t.store.Snapshot()
		if err != nil {
			return nil, err
		}
		p, err := s.FirstAt(context.Background(), tip.Chain, at+1)
		err = errors.Join(err, s.Close())
		if err != nil && !isNotFound(err) {
			return nil, fmt.Errorf("block after %d of %s: %w", at, tip.Chain, err)
		}
		switch {
		case err != nil: // the blocks that came after it are gone
			delete(places, tip.Chain)
		case p.Height > 0:
			places[tip.Chain] = flow.Pos{Height: p.Height - 1, Tx: math.MaxUint32, Movement: math.MaxUint32}
		}
	}
	return places, nil
}

// memberLabels are the labels of the members of one cluster. It implements cluster.Labels.
type memberLabels struct {
	*ties
	validAt, knownAt int64
	service          string
	of               map[flow.Account][]attribute.Label // what was asked
	withheld         int
	err              error
}

// Of implements cluster.Labels. Through the cluster of a service pass only the labels of those of its accounts that are
// labelled as a service's themselves: what one customer did says nothing about the others.
func (m *memberLabels) Of(a flow.Account) []cluster.Label {
	labels, err := m.labels.LabelsOf(a, m.validAt, m.knownAt)
	if err != nil {
		m.err = cmp.Or(m.err, fmt.Errorf("labels of %s: %w", a, err))
		return nil
	}
	if len(labels) == 0 {
		return nil
	}
	if m.service != "" && !slices.ContainsFunc(labels, func(l attribute.Label) bool { return l.Service && l.Stance == attribute.Asserts }) {
		m.withheld++
		return nil
	}
	m.of[a] = labels
	var out []cluster.Label
	for _, l := range labels {
		if l.Stance == attribute.Asserts {
			out = append(out, brief(&l))
		}
	}
	return out
}

// brief is as much of a label as clusters pass on.
func brief(l *attribute.Label) cluster.Label {
	return cluster.Label{Name: l.Name, Category: string(l.Category), Source: l.Source.ID, Confidence: l.Confidence.Level()}
}

// tie is what was said, for a verdict.
func (m *memberLabels) tie(s cluster.Said) screen.Tie {
	labels := m.of[s.Via]
	t := screen.Tie{Account: s.Via, Confidence: s.Confidence, Weakest: s.Proof.Weakest, Links: s.Proof.Evidence}
	for i := range labels {
		if l := &labels[i]; l.Stance == attribute.Asserts && brief(l) == s.Label {
			t.Label = *l
			break
		}
	}
	t.Disputed = slices.ContainsFunc(labels, func(o attribute.Label) bool {
		return o.Stance == attribute.Disputes && o.Source.ID != t.Label.Source.ID && (o.Category == t.Label.Category || o.Category == "")
	})
	if n := len(t.Links) - screen.MaxLinks; n > 0 {
		t.Links, t.Omitted = t.Links[:screen.MaxLinks], n
	}
	return t
}
