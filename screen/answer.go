package screen

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// A Screen answers questions by labels, by the chain and by a policy. It is safe for several goroutines.
type Screen struct {
	Policy   *Policy
	Labels   Labels
	Clusters Clusters // nil where none are asked
	Exposer  Exposer  // nil where there is no chain to ask: then every question is a direct one
	Version  string   // of the program, for the verdict
}

// The rules that need no policy.
const (
	ruleUnknown = "unknown"
	rulePartial = "partial"
	ruleNothing = "nothing"
	ruleDust    = "dusting-guard"
)

const billion = 1_000_000_000

// Ask answers one question. Where the labels or the chain cannot be read the error wraps ErrBlind, and there is no verdict:
// nobody may go on as if there were. A question that makes no sense is an ErrQuestion. The ID of the verdict is not set:
// see Seal.
func (s *Screen) Ask(ctx context.Context, q Question) (v Verdict, err error) {
	if err := s.answer(ctx, &q, &v); err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// answer fills in a verdict, which is worth nothing where it returns an error.
func (s *Screen) answer(ctx context.Context, q *Question, v *Verdict) error {
	if err := q.check(); err != nil {
		return err
	}
	state, err := s.Labels.LabelState(q.KnownAt)
	if err != nil {
		return fmt.Errorf("labels: %w: %w", ErrBlind, err)
	}
	*v = Verdict{
		Subject: q.Account, Direction: q.Direction, Asset: q.Asset, Amount: q.Amount, Counterparties: q.Counterparties,
		AsOf: q.AsOf, KnownAt: q.KnownAt, ListAge: state.age(q.KnownAt), Direct: q.Direct || s.Exposer == nil,
		PolicyID: s.Policy.ID(), PolicyHash: s.Policy.Hash(), LabelHash: state.Hash, LabelCount: state.Count, Version: s.Version,
		Exposure: []Exposure{}, Covered: []Covered{}, DoesNotKnow: []string{}, Reasons: []Reason{},
	}
	if v.Labels, err = s.labelsOf(q.Account, q); err != nil {
		return err
	}
	v.Unknown = !names(v.Labels)
	if s.Clusters != nil {
		v.ClusterHash = s.Clusters.ClusterState()
		if v.Cluster, err = s.clusterOf(q.Account, q, v.Labels); err != nil {
			return fmt.Errorf("cluster of %s: %w: %w", q.Account, ErrBlind, err)
		}
	}
	seen := false
	if !v.Direct {
		e, err := s.Exposer.Expose(ctx, *q)
		if err != nil {
			return fmt.Errorf("exposure of %s: %w: %w", q.Account, ErrBlind, err)
		}
		v.Exposure = append(v.Exposure, e.Exposure...)
		v.Covered = append(v.Covered, e.Covered...)
		v.DoesNotKnow = append(v.DoesNotKnow, e.DoesNotKnow...)
		v.Partial, v.ChainTip, seen = e.Partial, e.Tip, e.Seen
		v.Touched = append(v.Touched, e.Touched...)
	}
	return s.decide(v, q, seen)
}

// check fills in what is not set and says what is wrong with a question.
func (q *Question) check() error {
	switch {
	case q.Account.IsZero():
		return fmt.Errorf("%w: no account", ErrQuestion)
	case q.Direction != Both && q.Direction != In && q.Direction != Out:
		return fmt.Errorf("%w: direction %.40q: want in, out, or none for both", ErrQuestion, q.Direction)
	case !q.Asset.IsZero() && q.Asset.Chain() != q.Account.Chain():
		return fmt.Errorf("%w: %s is not an asset on %s", ErrQuestion, q.Asset, q.Account.Chain())
	case q.Asset.IsZero() && !q.Amount.IsZero():
		return fmt.Errorf("%w: an amount needs its asset", ErrQuestion)
	case len(q.Counterparties) > MaxCounterparties:
		return fmt.Errorf("%w: %d counterparties, at most %d", ErrQuestion, len(q.Counterparties), MaxCounterparties)
	case q.AsOf <= 0 || q.KnownAt < 0:
		return fmt.Errorf("%w: it must say of which moment", ErrQuestion)
	}
	for _, a := range q.Counterparties {
		if a.IsZero() {
			return fmt.Errorf("%w: a counterparty is nobody", ErrQuestion)
		}
	}
	if q.KnownAt == 0 {
		q.KnownAt = q.AsOf
	}
	return nil
}

func (s *Screen) labelsOf(a flow.Account, q *Question) ([]attribute.Label, error) {
	labels, err := s.Labels.LabelsOf(a, q.AsOf, q.KnownAt)
	if err != nil {
		return nil, fmt.Errorf("labels of %s: %w: %w", a, ErrBlind, err)
	}
	if labels == nil {
		labels = []attribute.Label{}
	}
	return labels, nil
}

// names reports whether a label says who the account is.
func names(labels []attribute.Label) bool {
	for i := range labels {
		if labels[i].Stance == attribute.Asserts {
			return true
		}
	}
	return false
}

// isDisputed reports whether another source says that a label is wrong.
func isDisputed(l *attribute.Label, among []attribute.Label) bool {
	for i := range among {
		o := &among[i]
		if o.Stance == attribute.Disputes && o.Source.ID != l.Source.ID && (o.Category == l.Category || o.Category == "") {
			return true
		}
	}
	return false
}

// decide lets the rules look at all there is.
func (s *Screen) decide(v *Verdict, q *Question, seen bool) error {
	if err := s.judgeLabels(v, v.Subject, v.Labels); err != nil {
		return err
	}
	if err := s.judgeCluster(v, v.Subject, v.Cluster); err != nil {
		return err
	}
	for _, a := range q.Counterparties {
		if err := s.judgeCounterparty(v, a, q); err != nil {
			return err
		}
	}
	for i := range v.Exposure {
		if err := s.judgeExposure(v, &v.Exposure[i], q); err != nil {
			return err
		}
	}
	whole, err := s.Policy.reasonsOfWhole(wholeFacts{unknown: v.Unknown, partial: v.Partial, seen: seen, transfer: !q.Amount.IsZero(),
		labels: v.LabelCount, listAge: v.ListAge})
	if err != nil {
		return err
	}
	switch {
	case len(v.Reasons) == 0 && len(whole) == 0:
		v.Reasons = s.Policy.nothing
	case len(v.Reasons) == 0:
		v.Reasons = whole
	default:
		v.Reasons = append(v.Reasons, whole...)
		sortReasons(v.Reasons)
	}
	v.Decision = v.Reasons[0].Decision
	if n := len(v.Reasons) - maxReasons; n > 0 { // the strictest are kept
		v.Reasons = v.Reasons[:maxReasons:maxReasons]
		v.DoesNotKnow = append(v.DoesNotKnow, fmt.Sprintf("%d more reasons are not listed, none of them stricter.", n))
	}
	return nil
}

// sortReasons puts the strictest first and keeps the order of those that are as strict.
func sortReasons(all []Reason) {
	if len(all) > 1 {
		slices.SortStableFunc(all, func(a, b Reason) int { return cmp.Compare(b.Decision, a.Decision) })
	}
}

// judgeCounterparty lets the rules look at who else takes part in a transfer: at the labels, its own and those through its
// cluster.
func (s *Screen) judgeCounterparty(v *Verdict, a flow.Account, q *Question) error {
	labels, err := s.labelsOf(a, q)
	if err != nil {
		return err
	}
	v.Touched = append(v.Touched, a)
	if err := s.judgeLabels(v, a, labels); err != nil || s.Clusters == nil {
		return err
	}
	c, err := s.clusterOf(a, q, labels)
	if err != nil {
		return fmt.Errorf("cluster of %s: %w: %w", a, ErrBlind, err)
	}
	return s.judgeCluster(v, a, c)
}

func age(seconds int64) string {
	if seconds < 0 {
		return "not known"
	}
	return strconv.FormatInt(seconds/86400, 10) + " days"
}

// maxReasons bounds how many reasons a verdict lists; all are looked at.
const maxReasons = 200

// judgeLabels lets the rules look at the labels of an account: the subject or a counterparty.
func (s *Screen) judgeLabels(v *Verdict, a flow.Account, labels []attribute.Label) error {
	for i := range labels {
		l := &labels[i]
		if l.Stance != attribute.Asserts {
			continue
		}
		f := labelFacts{category: string(l.Category), source: l.Source.ID, confidence: l.Confidence.Level(), disputed: isDisputed(l, labels), own: a == v.Subject}
		yes, err := s.Policy.firedByLabel(f)
		if err != nil {
			return err
		}
		for _, i := range yes {
			rule := &s.Policy.rules[i]
			v.Reasons = append(v.Reasons, Reason{Rule: rule.ID, Decision: rule.Decision, Direct: true})
			r := &v.Reasons[len(v.Reasons)-1]
			r.Sentence = describe(rule.Says+": ", l)
			if !f.own {
				r.Counterparty, r.Hops = a, 1
			}
			r.of(l)
		}
	}
	return nil
}

// of fills in what a label says.
func (r *Reason) of(l *attribute.Label) {
	r.Category, r.Entity, r.Source, r.List = string(l.Category), entityOf(l), l.Source.ID, l.Source.URI
	r.Confidence, r.AsOf, r.Evidence = l.Confidence.Level(), l.Seen, l.Evidence
}

// entityOf is who stands behind a label.
func entityOf(l *attribute.Label) string {
	if l.Actor != "" {
		return l.Actor
	}
	return l.Name
}

// describe is a label in words, behind others. Labels come from outside.
func describe(says string, l *attribute.Label) string {
	return says + clean(l.Name, 120) + " (" + string(l.Category) + "), says " + clean(l.Source.ID, 80) +
		", confidence " + strconv.Itoa(l.Confidence.Level())
}

// clean is finding.Clean, which most names need not be sent through.
func clean(s string, most int) string {
	if len(s) > most {
		return finding.Clean(s, most)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return finding.Clean(s, most)
		}
	}
	return s
}

// judgeExposure lets the rules look at one exposure.
func (s *Screen) judgeExposure(v *Verdict, e *Exposure, q *Question) error {
	r := Reason{Decision: Allow, Category: e.Category, Direct: e.Direct, Hops: e.Hops, Direction: e.Direction, Asset: e.Asset,
		Amount: e.Value, Share: e.Share, Interval: e.Interval}
	if len(e.Entities) > 0 {
		r.of(&e.Entities[0].Label)
	}
	r.Confidence = e.Confidence
	if len(e.TopPaths) > 0 {
		r.Path = e.TopPaths[0]
	}
	if !q.Amount.IsZero() && e.Share > 0 { // the part of the transfer that would be of it
		r.Amount = q.Amount.Share(flow.NewAmount(uint64(min(e.Share, billion))), flow.NewAmount(billion))
	}
	if e.Dust {
		if s.Policy.Minds(attribute.Category(e.Category)) {
			r.Rule = ruleDust
			r.Sentence = "somebody sent it a little that it did not ask for, which decides nothing: " + describeExposure(e)
			v.Reasons = append(v.Reasons, r)
		}
		return nil
	}
	floor, known := s.Policy.Floor(e.Asset)
	total := total(v.Covered, e)
	yes, err := s.Policy.firedBy(facts{
		about: aboutExposure, category: e.Category, confidence: e.Confidence, disputed: e.Disputed, direct: e.Direct, hops: e.Hops,
		direction: string(e.Direction), share: e.Share, shareLow: Billionths(e.Interval.Low, total), shareHigh: Billionths(e.Interval.High, total),
		value: r.Amount.String(), counts: known && !r.Amount.Less(floor), floorKnown: known, asset: e.Asset.String(), transfer: !q.Amount.IsZero(),
	})
	if err != nil {
		return err
	}
	for _, i := range yes {
		r.Rule, r.Decision = s.Policy.rules[i].ID, s.Policy.rules[i].Decision
		r.Sentence = s.Policy.rules[i].Says + ": " + describeExposure(e)
		v.Reasons = append(v.Reasons, r)
	}
	return nil
}

func total(covered []Covered, e *Exposure) flow.Amount {
	for _, c := range covered {
		if c.Asset == e.Asset && c.Direction == e.Direction {
			return c.Total
		}
	}
	return flow.Amount{}
}

// Billionths is part of whole in billionths, rounded down; all of it where part is more than whole or nothing is known of
// the whole.
func Billionths(part, whole flow.Amount) int64 {
	if part.IsZero() {
		return 0
	}
	if !part.Less(whole) {
		return billion
	}
	n, _ := flow.NewAmount(billion).Share(part, whole).Uint64()
	return int64(n)
}

// describeExposure is an exposure in words.
func describeExposure(e *Exposure) string {
	way, from := "directly", "from"
	if !e.Direct {
		way = fmt.Sprintf("over %d hops", e.Hops)
	}
	if e.Direction == Out {
		from = "to"
	}
	who := ""
	if len(e.Entities) > 0 {
		who = " " + clean(entityOf(&e.Entities[0].Label), 120)
	}
	return fmt.Sprintf("%s of %s (%s) %s%s (%s) %s, between %s and %s", e.Value, e.Asset, percent(e.Share), from, who, e.Category, way, e.Interval.Low, e.Interval.High)
}

// percent writes billionths with four digits behind the point.
func percent(ppb int64) string { return fmt.Sprintf("%d.%04d %%", ppb/10_000_000, ppb/1_000%10_000) }

// Seal gives a verdict its ID: the sha256 of its JSON form without one, and without the moment when it was given. The same question answered from the same state of
// the world has the same ID.
func Seal(v Verdict) (Verdict, error) {
	given := v.Given
	v.ID, v.Given = flow.Hash{}, 0
	b, err := json.Marshal(v)
	v.Given = given
	if err != nil {
		return v, fmt.Errorf("verdict about %s: %w", v.Subject, err)
	}
	v.ID = sha256.Sum256(b)
	return v, nil
}

// Check reports whether the ID of a verdict is that of its contents.
func (v Verdict) Check() error {
	sealed, err := Seal(v)
	if err == nil && sealed.ID != v.ID {
		err = errors.New("the verdict was changed after it was given")
	}
	return err
}
