package watch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/detect"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A Watch holds open cases and watch lists, and eats blocks. It is for one goroutine. The same blocks on the same state
// give the same news, and what is undone is as if it had never been.
type Watch struct {
	config  Config
	desk    *trace.Desk
	cases   map[string]*opened
	seats   map[string]*seat // by their names on the desk
	chains  map[flow.Chain]*chainState
	lists   lists
	dust    map[string]*dust // by the names of lists, of those that are gone, too
	told    map[string]bool  // what is set aside, by its name on the desk, if that was said
	all     map[flow.Account][]*opened
	pending pending
	stats   Stats
	vouched map[flow.Asset]bool // of the block at hand
}

// opened is a case that is followed.
type opened struct {
	Case
	seats []*seat // one for each chain
	named map[flow.Account][]flow.Asset
}

// A seat is one case on one chain.
type seat struct {
	open    *opened
	chain   flow.Chain
	id      string // on the desk
	c       *trace.Case
	ledgers []*trace.Ledger
	lead    int // the ledger that leads
	clean   int // the ledger that says the least, or lead

	last     map[trace.Holder]int64 // when claim last came or went
	detector *detect.Detector       // nil if habits are not looked for, after an error
	stale    bool                   // last and detector are to be made anew from the edges
	since    uint64                 // up to this block, last and detector cannot be taken back
}

// dust is what was counted and not told of one list.
type dust struct {
	total int64
	since int64 // since the last alert about it
}

// chainState is how far a chain is eaten.
type chainState struct {
	known bool
	tip   flow.Point // the newest block
	log   []*blockLog
	lost  uint64 // up to this block, nothing can be taken back here
	stale bool   // a seat is
}

// New is a Watch that holds nothing. On each chain it stands where the first case or the first block is.
func New(c Config) *Watch {
	return fresh(c, trace.NewDesk())
}

func fresh(c Config, d *trace.Desk) *Watch {
	if c.PerBlock <= 0 {
		c.PerBlock = 25
	}
	if c.Dormant <= 0 {
		c.Dormant = 30 * 24 * time.Hour
	}
	if c.UndoDepth <= 0 {
		c.UndoDepth = 10_000
	}
	if c.Pending <= 0 {
		c.Pending = 1 << 16
	}
	return &Watch{
		config: c, desk: d, cases: map[string]*opened{}, seats: map[string]*seat{}, chains: map[flow.Chain]*chainState{},
		dust: map[string]*dust{}, told: map[string]bool{}, all: map[flow.Account][]*opened{},
		pending: newPending(c.Pending), stats: Stats{Alerts: map[string]int64{}}, vouched: map[flow.Asset]bool{},
	}
}

func (w *Watch) chain(c flow.Chain) *chainState {
	ch := w.chains[c]
	if ch == nil {
		ch = &chainState{}
		w.chains[c] = ch
	}
	return ch
}

// Tips are the newest blocks that were eaten, in the order of their chains.
func (w *Watch) Tips() []flow.Point {
	var tips []flow.Point
	for _, ch := range w.chains {
		if ch.known {
			tips = append(tips, ch.tip)
		}
	}
	slices.SortFunc(tips, func(a, b flow.Point) int { return a.Chain.Compare(b.Chain) })
	return tips
}

// Cases are the IDs of the open cases, in order.
func (w *Watch) Cases() []string { return slices.Sorted(maps.Keys(w.cases)) }

// Case is the trace of an open case on a chain, as it stands; nil if there is none. It may be read, and not be fed.
func (w *Watch) Case(id string, c flow.Chain) *trace.Case {
	if s := w.seats[seatID(id, c)]; s != nil {
		return s.c
	}
	return nil
}

// Close ends a case. It reports whether there was one.
func (w *Watch) Close(id string) bool {
	o := w.cases[id]
	if o == nil {
		return false
	}
	delete(w.cases, id)
	for _, s := range o.seats {
		w.desk.Remove(s.id)
		delete(w.seats, s.id)
		delete(w.told, s.id)
	}
	for _, a := range o.All {
		w.all[a] = slices.DeleteFunc(w.all[a], func(other *opened) bool { return other == o })
		if len(w.all[a]) == 0 {
			delete(w.all, a)
		}
	}
	return true
}

// hold enters a case that has its seats.
func (w *Watch) hold(o *opened) {
	w.cases[o.ID] = o
	for _, s := range o.seats {
		w.seats[s.id] = s
	}
	o.named = map[flow.Account][]flow.Asset{}
	for _, src := range o.Theft.Sources {
		if out, ok := src.(trace.Outflow); ok {
			o.named[out.Account] = append(o.named[out.Account], out.Asset)
		}
	}
	for _, a := range o.All {
		if !slices.Contains(w.all[a], o) {
			w.all[a] = append(w.all[a], o)
		}
	}
}

// seatID is the name of a case on a chain on the desk.
func seatID(id string, c flow.Chain) string { return id + "/" + c.String() }

// caseOf is the case behind a name on the desk.
func caseOf(seatID string) string {
	id, _, _ := strings.Cut(seatID, "/")
	return id
}

// checkName says what is wrong with the ID of a case or the name of a list.
func checkName(s string) error {
	switch {
	case s == "" || len(s) > 200:
		return fmt.Errorf("the name %.40q has not 1 to 200 bytes", s)
	case strings.Contains(s, "/"):
		return fmt.Errorf("the name %.40q has a slash", s)
	}
	return nil
}

// newSeat is the seat of a case, which follows its theft on one chain.
func newSeat(o *opened, chain flow.Chain, c *trace.Case) (*seat, error) {
	s := &seat{open: o, chain: chain, id: seatID(o.ID, chain), c: c, ledgers: c.Ledgers(chain), lead: -1, last: map[trace.Holder]int64{}}
	for i, l := range s.ledgers {
		switch p := l.Policy(); {
		case p == trace.DirtyFirst, p != trace.Poison && s.lead < 0:
			s.lead = i
		}
	}
	if s.lead < 0 {
		return nil, fmt.Errorf("case %.80q: a watched case needs a rule that counts, poison alone does not", o.ID)
	}
	s.clean = s.lead
	for i, l := range s.ledgers {
		if l.Policy() == trace.CleanFirst {
			s.clean = i
		}
	}
	return s, nil
}

// ledger is the one that leads.
func (s *seat) ledger() *trace.Ledger { return s.ledgers[s.lead] }

// remake makes last and the detector anew from the edges. After an error there is no detector.
func (s *seat) remake(w World) error {
	s.last, s.detector, s.stale = map[trace.Holder]int64{}, nil, false
	s.sourceTimes()
	d, err := detect.New(s.chain, detect.Options{})
	if err != nil {
		return err
	}
	var g hops
	flush := func() {
		for i := range g.all {
			h := &g.all[i]
			s.touch(nil, h)
			if err == nil {
				_, err = d.Apply(s.event(h, w))
			}
		}
		g.all = g.all[:0]
		clear(g.place)
	}
	for e := range s.ledger().Edges(0) {
		if n := len(g.all); n > 0 && g.all[n-1].tx != e.Tx {
			flush()
		}
		g.add(&e, s.lead, len(s.ledgers), true)
	}
	if flush(); err != nil {
		return fmt.Errorf("case %.80q: habits of thieves: %w", s.open.ID, err)
	}
	s.detector = d
	return nil
}

// Stats counts.
func (w *Watch) Stats() Stats {
	st := w.stats
	st.Alerts = maps.Clone(w.stats.Alerts)
	st.Cases, st.Lists, st.Accounts = len(w.cases), len(w.lists.all), w.lists.accounts
	for _, d := range w.dust {
		st.Dust += d.total
	}
	for _, s := range w.seats {
		st.Following += s.ledger().Followed()
	}
	aside := map[string]bool{}
	for _, a := range w.desk.Aside() {
		aside[caseOf(a.ID)] = true
	}
	st.Aside = len(aside)
	return st
}
