package engine

import (
	"context"
	"iter"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// An asked is the state of the labels by which everybody on record was last asked, and when, in seconds since 1970.
type asked struct {
	view *view
	at   int64
}

// Rescreen asks again about every account of the record, as the last verdict about it did, and yields the changes: of the
// decision or of what it rests on. New verdicts are kept before their change is yielded. It is to be run when nobody knows
// which labels have changed, and may be when blocks have come. What a vendor had said is carried over: none is asked.
func (s *Screener) Rescreen(ctx context.Context) iter.Seq2[finding.Finding, error] {
	return func(yield func(finding.Finding, error) bool) {
		if s.c.Record != nil {
			s.rescreenAll(ctx, s.c.Record.Newest(ctx), yield)
		}
	}
}

// RescreenChanged is Rescreen of those whom the changes of the labels and clusters can concern since it was last run to its
// end, or since the screener was made: those whose labels have changed, those in whose clusters they are, and those whose
// last verdict looked at one of them. Where the change concerns all, all are asked.
func (s *Screener) RescreenChanged(ctx context.Context) iter.Seq2[finding.Finding, error] {
	return func(yield func(finding.Finding, error) bool) {
		if s.c.Record == nil {
			return
		}
		s.again.Lock()
		defer s.again.Unlock()
		now := asked{s.view.Load(), s.now().Unix()}
		accounts, all, err := s.changed(s.asked, now)
		if err != nil {
			yield(finding.Finding{}, err)
			return
		}
		of := s.c.Record.Touching(ctx, accounts)
		if all {
			of = s.c.Record.Newest(ctx)
		}
		if s.rescreenAll(ctx, of, yield) {
			s.asked = now
		}
	}
}

// RescreenSince is Rescreen of those whom labels concern that came to be known, began to hold or ended after a moment, in
// seconds since 1970. Labels without a moment, from a user's own list, count always; what such a list holds no more is not seen.
func (s *Screener) RescreenSince(ctx context.Context, since int64) iter.Seq2[finding.Finding, error] {
	return func(yield func(finding.Finding, error) bool) {
		if s.c.Record == nil {
			return
		}
		now := asked{s.view.Load(), s.now().Unix()}
		var subjects []attribute.Subject
		for _, b := range now.view.labels.books {
			subjects = append(subjects, b.Between(since, now.at)...)
		}
		of := s.c.Record.Newest(ctx)
		if accounts, all := now.view.concerned(subjects); !all {
			of = s.c.Record.Touching(ctx, accounts)
		}
		s.rescreenAll(ctx, of, yield)
	}
}

// changed are the accounts whose labels may say something else now than they did; all says that everybody is concerned.
func (s *Screener) changed(before, now asked) (accounts []flow.Account, all bool, err error) {
	was, is := before.view.labels, now.view.labels
	a, err := was.LabelState(before.at)
	if err != nil {
		return nil, false, err
	}
	b, err := is.LabelState(now.at)
	if err != nil {
		return nil, false, err
	}
	same, err := s.c.Policy.SameOfAll(a, before.at, b, now.at)
	if err != nil || !same || before.view.clusters.Hash() != now.view.clusters.Hash() {
		return nil, true, err
	}
	var subjects []attribute.Subject
	for i := range max(len(was.books), len(is.books)) {
		var x, y *attribute.Book
		if i < len(was.books) {
			x = was.books[i]
		}
		if i < len(is.books) {
			y = is.books[i]
		}
		subjects = append(subjects, attribute.Differ(x, y)...)
		subjects = append(subjects, y.Between(before.at, now.at)...)
	}
	accounts, all = now.view.concerned(subjects)
	return accounts, all, nil
}

// mostConcerned bounds how many accounts of clusters are looked for by name: beyond it everybody is asked.
const mostConcerned = 1_000_000

// concerned are the accounts of subjects, and all accounts of their clusters. The record does not tell EVM chains apart.
func (v *view) concerned(subjects []attribute.Subject) (accounts []flow.Account, all bool) {
	for _, subject := range subjects {
		a, ok := subject.Account()
		if !ok {
			continue
		}
		accounts = append(accounts, a)
		if v.clusters == nil {
			continue
		}
		members := v.members(subject, a)
		if len(accounts)+len(members) > mostConcerned {
			return nil, true
		}
		accounts = append(accounts, members...)
	}
	return accounts, false
}

// members are the accounts of the clusters of a subject: an address on any EVM chain may be in one on each.
func (v *view) members(subject attribute.Subject, a flow.Account) []flow.Account {
	f := v.clusters.Forest
	if subject.Kind() != attribute.KindAnyEVM {
		return f.Members(a)
	}
	var all []flow.Account
	for _, p := range v.clusters.places {
		if on, err := a.On(p.Chain); err == nil && f.Size(on) > 1 {
			all = append(all, f.Members(on)...)
		}
	}
	return all
}

// rescreenAll asks again what verdicts answered, and reports whether it came to the end.
func (s *Screener) rescreenAll(ctx context.Context, of iter.Seq2[screen.Verdict, error], yield func(finding.Finding, error) bool) bool {
	for before, err := range of {
		var f finding.Finding
		changed := false
		if err == nil {
			f, changed, err = s.rescreen(ctx, before)
		}
		if (err != nil || changed) && !yield(f, err) || err != nil {
			return false
		}
	}
	return true
}

func (s *Screener) rescreen(ctx context.Context, before screen.Verdict) (finding.Finding, bool, error) {
	after, err := s.Ask(ctx, before.Again(s.now().Unix()))
	if err != nil {
		return finding.Finding{}, false, err
	}
	screen.Carry(before, &after)
	after.Given = s.now().Unix()
	if after, err = screen.Seal(after); err != nil {
		return finding.Finding{}, false, err
	}
	f, changed, err := screen.Change(before, after)
	if err != nil {
		return f, false, err
	}
	if !changed {
		return f, false, s.c.Record.Touch(after)
	}
	return f, true, s.Keep(ctx, after)
}
