package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/engine/verdicts"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/store"
)

// ScreenConfig is the configuration of a Screener. The zero value is valid: it asks no chain and keeps no verdict.
type ScreenConfig struct {
	Policy   *screen.Policy   // screen.DefaultPolicy if nil
	Store    store.Store      // where exposure is looked for; nil asks the labels alone
	Record   *verdicts.Record // where verdicts are kept; nil keeps none
	Clusters *Clusters        // which accounts have one owner; nil asks none. They must not be written any more
	Look     screen.Look      // how far exposure is followed; its Labels, Minds, Floor and Before are filled in
	Cached   int              // how many exposures are remembered; 10,000 if 0
	Now      func() time.Time // the clock; time.Now if nil
}

// A Screener answers questions from labels, a store and a policy, and keeps what it answered. It is safe for several
// goroutines. The store and the record stay the caller's, to close after the last question.
type Screener struct {
	c     ScreenConfig
	now   func() time.Time
	view  atomic.Pointer[view]
	cache exposureCache

	setting sync.Mutex // held by who changes view

	again sync.Mutex
	asked asked // guarded by again
}

// A view is one state of all labels, and the question to it.
type view struct {
	labels   *bookLabels
	clusters *Clusters // nil where none are asked
	ask      screen.Screen
}

// NewScreener is a screener that knows the labels of these books.
func NewScreener(c ScreenConfig, books ...*attribute.Book) *Screener {
	if c.Policy == nil {
		c.Policy = screen.DefaultPolicy()
	}
	if c.Look.Swaps.Of == nil {
		c.Look.Swaps = NetSwaps()
	}
	s := &Screener{c: c, now: c.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.cache.room = cmp.Or(c.Cached, 10_000)
	s.SetLabels(books...)
	if c.Record != nil {
		s.asked = asked{s.view.Load(), s.now().Unix()}
	}
	return s
}

// SetClusters lets all later questions see labels through these clusters, which must not be written any more; nil asks none.
func (s *Screener) SetClusters(c *Clusters) {
	s.setting.Lock()
	defer s.setting.Unlock()
	s.setLocked(s.view.Load().labels, c)
}

// SetLabels lets all later questions be answered from these books. Rescreen says what that changes.
func (s *Screener) SetLabels(books ...*attribute.Book) {
	s.setting.Lock()
	defer s.setting.Unlock()
	clusters := s.c.Clusters
	if old := s.view.Load(); old != nil {
		clusters = old.clusters
	}
	s.setLocked(newBookLabels(books), clusters)
}

func (s *Screener) setLocked(labels *bookLabels, clusters *Clusters) {
	v := &view{labels: labels, clusters: clusters}
	v.ask = screen.Screen{Policy: s.c.Policy, Labels: v.labels, Version: Version}
	if clusters != nil {
		v.ask.Clusters = newTies(clusters, labels, s.c.Store)
	}
	if s.c.Store != nil {
		v.ask.Exposer = &storeExposer{s, v.labels}
	}
	s.view.Store(v)
}

// Policy is the policy by which questions are answered.
func (s *Screener) Policy() *screen.Policy { return s.c.Policy }

// LabelState is which labels are known now.
func (s *Screener) LabelState() screen.LabelState {
	state, _ := s.view.Load().labels.LabelState(s.now().Unix()) // books in memory can always be read
	return state
}

// Screen answers a question and keeps the verdict. A question without a moment asks of now. There is no verdict with an
// error, which must be taken for hold: it wraps screen.ErrBlind where something could not be read or kept, and
// screen.ErrQuestion where the question is at fault.
func (s *Screener) Screen(ctx context.Context, q screen.Question) (screen.Verdict, error) {
	v, err := s.Answer(ctx, q)
	if err == nil {
		err = s.Keep(ctx, v)
	}
	if err != nil {
		return screen.Verdict{}, err
	}
	return v, nil
}

// ScreenAll answers many questions, and keeps the verdicts together: errs[i] is nil where all[i] is a verdict.
func (s *Screener) ScreenAll(ctx context.Context, qs []screen.Question) (all []screen.Verdict, errs []error) {
	all, errs = make([]screen.Verdict, len(qs)), make([]error, len(qs))
	var good []screen.Verdict
	for i, q := range qs {
		if all[i], errs[i] = s.Answer(ctx, q); errs[i] == nil {
			good = append(good, all[i])
		}
	}
	if err := s.Keep(ctx, good...); err != nil { // what is not kept was not given
		for i := range qs {
			all[i], errs[i] = screen.Verdict{}, cmp.Or(errs[i], err)
		}
	}
	return all, errs
}

// Ask is Screen without keeping the verdict, and without its ID.
func (s *Screener) Ask(ctx context.Context, q screen.Question) (screen.Verdict, error) {
	if q.AsOf == 0 {
		q.AsOf = s.now().Unix()
	}
	return s.view.Load().ask.Ask(ctx, q)
}

// Answer is Screen without keeping the verdict, which must be kept before it is given: see Keep.
func (s *Screener) Answer(ctx context.Context, q screen.Question) (screen.Verdict, error) {
	v, err := s.Ask(ctx, q)
	if err != nil {
		return v, err
	}
	v.Given = s.now().Unix()
	return screen.Seal(v)
}

// Keep keeps verdicts, all or none. When it returns they survive a crash. Errors wrap screen.ErrBlind: what was not kept must
// not be given.
func (s *Screener) Keep(ctx context.Context, all ...screen.Verdict) error {
	if s.c.Record == nil || len(all) == 0 {
		return nil
	}
	if err := s.c.Record.Append(ctx, all...); err != nil {
		return fmt.Errorf("keep %s: %w: %w", Count(len(all), "verdict"), screen.ErrBlind, err)
	}
	return nil
}

// History lists at most n verdicts about an account that were given at or before a moment, the newest first.
func (s *Screener) History(ctx context.Context, a flow.Account, before int64, n int) ([]screen.Verdict, error) {
	if s.c.Record == nil {
		return nil, nil
	}
	return s.c.Record.Find(ctx, a, before, n)
}

// ParseAccount reads an address in any form; one without a chain is on the chain of its family which the store holds.
// Addresses of chains that only lists know are read, too. Errors wrap flow.ErrAddress, flow.ErrChecksum or screen.ErrBlind.
func (s *Screener) ParseAccount(text string) (a flow.Account, err error) {
	if a, err = attribute.ParseAddress(text); err != nil || s.c.Store == nil || !a.Chain().IsEVM() && !a.Chain().IsUTXO() {
		return a, err
	}
	snapshot, err := s.c.Store.Snapshot()
	if err != nil {
		return a, fmt.Errorf("%w: %w", screen.ErrBlind, err)
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	if here, err := accountIn(snapshot, text, flow.Chain{}); err == nil {
		return here, nil
	}
	return a, nil
}

// bookLabels lets screen ask books. It implements screen.Labels.
type bookLabels struct {
	books  []*attribute.Book
	hash   flow.Hash
	count  int
	dates  func() []int64 // when the lists were made whose age counts, rising
	bounds func() []int64 // the moments at which a label begins to hold, to be known, or ends
}

func newBookLabels(books []*attribute.Book) *bookLabels {
	b := &bookLabels{books: books}
	h := sha256.New()
	for _, book := range books {
		b.count += book.Len()
		one := book.Hash()
		h.Write(one[:])
	}
	h.Sum(b.hash[:0])
	b.dates = sync.OnceValue(b.listDates)
	b.bounds = sync.OnceValue(func() []int64 {
		all := map[int64]bool{}
		for _, book := range b.books {
			for l := range book.All() {
				all[l.ValidFrom], all[l.ValidTo], all[l.Seen] = true, true, true
			}
		}
		bounds := make([]int64, 0, len(all))
		for t := range all {
			bounds = append(bounds, t)
		}
		slices.Sort(bounds)
		return bounds
	})
	return b
}

// LabelsOf implements screen.Labels.
func (b *bookLabels) LabelsOf(a flow.Account, validAt, knownAt int64) ([]attribute.Label, error) {
	if len(b.books) == 1 {
		return b.books[0].LabelsOf(a, validAt, knownAt), nil
	}
	var all []attribute.Label
	for _, book := range b.books {
		all = append(all, book.LabelsOf(a, validAt, knownAt)...)
	}
	return all, nil
}

// LabelState implements screen.Labels. Hash and Count are of all versions of all labels, whenever they were known.
func (b *bookLabels) LabelState(knownAt int64) (screen.LabelState, error) {
	state := screen.LabelState{Hash: b.hash, Count: b.count}
	dates := b.dates()
	if i, _ := slices.BinarySearch(dates, knownAt+1); i > 0 {
		state.Newest = dates[i-1]
	}
	return state, nil
}

// listDates are the dates of the lists of nothing but sanctions, for it is their age that can clear whom it should not:
// a fresh list of exchanges does not make an old list of sanctions fresh. Where there are none, all lists count.
func (b *bookLabels) listDates() []int64 {
	dates, only := map[string]int64{}, map[string]bool{} // only: of nothing but sanctions, and of some
	for _, book := range b.books {
		if book == nil {
			continue
		}
		for _, source := range book.Sources() {
			dates[source.ID] = max(dates[source.ID], source.Date)
		}
		for l := range book.All() {
			so, seen := only[l.Source.ID]
			only[l.Source.ID] = l.Category == attribute.Sanction && (so || !seen)
		}
	}
	var sanctions, all []int64
	for id, date := range dates {
		if date <= 0 {
			continue
		}
		all = append(all, date)
		if only[id] {
			sanctions = append(sanctions, date)
		}
	}
	if len(sanctions) > 0 {
		all = sanctions
	}
	slices.Sort(all)
	return all
}

// epoch is a number for a moment: between two moments with the same number no label begins or ends.
func (b *bookLabels) epoch(t int64) int {
	i, _ := slices.BinarySearch(b.bounds(), t+1)
	return i
}
