package trace

import (
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// ErrUndo is returned where more is to be taken back than the undo log holds: restore a snapshot and go on from there.
var ErrUndo = errors.New("deeper than the undo log")

// A journal holds the way back of all ledgers of a book: what each change has overwritten, and marks between the
// transactions. The changes lie in one list for each kind, and steps says in which order they came.
type journal struct {
	ledgers  []*Ledger
	steps    []step
	stats    []oldStats
	got      []oldGot
	segments []oldSegment
	records  []ledgerRecord
	rest     []func() // whatever is rare
	marks    []mark
	counts   []counts // one for each ledger and mark
	turn     uint64   // counts transactions: what was kept in this one need not be kept again
	depth    int
	off      bool // nothing is kept while a Graph is walked

	firm   bool
	firmAt flow.Pos // if firm: what stands up to here cannot be taken back
}

// A step is a kind of change.
type step uint8

const (
	statsChanged step = iota // stats
	gotChanged               // got
	pushed                   // segments, at the tail
	pushedHead
	popped
	poppedHead
	replaced
	recordMade  // records
	followBegan // records
	followEnded // records
	other       // rest
)

type oldStats struct {
	record *record
	stats  stats
}

type oldGot struct {
	record *record
	i      int // of got; as long as it was where something was added
	got    got
}

type oldSegment struct {
	state   *State
	i       int
	segment Segment
}

// A mark is where a transaction begins: the lengths of the lists.
type mark struct {
	at flow.Pos

	steps, stats, got, segments, records, rest int
}

// counts are what a ledger only counts: its totals, and the lengths of what only grows.
type counts struct {
	totals
	lines, edges, assumed int
}

func (l *Ledger) counts() counts { return counts{l.totals, len(l.lines), l.edges.n, len(l.assumed)} }

// note keeps a rare way back.
func (l *Ledger) note(f func()) {
	if !l.log.off {
		l.log.steps = append(l.log.steps, other)
		l.log.rest = append(l.log.rest, f)
	}
}

// noteRecord keeps that something became of a record.
func (l *Ledger) noteRecord(what step, r *record) {
	if !l.log.off {
		l.log.steps = append(l.log.steps, what)
		l.log.records = append(l.log.records, ledgerRecord{l, r})
	}
}

// touch keeps the stats of a record that is about to change, as they were before the transaction.
func (l *Ledger) touch(r *record) {
	if !l.log.off && r.kept != l.log.turn {
		r.kept = l.log.turn
		l.log.steps = append(l.log.steps, statsChanged)
		l.log.stats = append(l.log.stats, oldStats{r, r.stats})
	}
}

// touchGot keeps element i of what a record has received, or that there is none yet.
func (l *Ledger) touchGot(r *record, i int) {
	if l.log.off || r.state.made == l.log.turn {
		return
	}
	old := oldGot{record: r, i: i}
	if i < len(r.got) {
		old.got = r.got[i]
	}
	l.log.steps = append(l.log.steps, gotChanged)
	l.log.got = append(l.log.got, old)
}

// note keeps a change of a state; there is no journal behind a state that belongs to no ledger.
func (s *State) note(what step, i int, g Segment) {
	if s.log != nil && !s.log.off && s.made != s.log.turn {
		s.log.steps = append(s.log.steps, what)
		s.log.segments = append(s.log.segments, oldSegment{s, i, g})
	}
}

// lengths are those of the lists.
func (j *journal) lengths(at flow.Pos) mark {
	return mark{at, len(j.steps), len(j.stats), len(j.got), len(j.segments), len(j.records), len(j.rest)}
}

// open marks the beginning of a transaction.
func (j *journal) open(at flow.Pos) {
	j.turn++
	j.marks = append(j.marks, j.lengths(at))
	for _, l := range j.ledgers {
		j.counts = append(j.counts, l.counts())
	}
}

// close ends the transaction, forgets it if it changed nothing, and forgets the oldest ones when there are twice too
// many. It reports whether anything has changed.
func (j *journal) close() (changed bool) {
	n := len(j.marks) - 1
	changed = j.marks[n].steps != len(j.steps)
	before := j.counts[n*len(j.ledgers):]
	for i, l := range j.ledgers {
		changed = changed || before[i] != l.counts()
	}
	switch {
	case !changed:
		j.marks = j.marks[:n]
		j.counts = j.counts[:n*len(j.ledgers)]
	case len(j.marks) > 2*j.depth:
		j.forget(len(j.marks) - j.depth)
	}
	return changed
}

// forget drops the way back over the first n marks.
func (j *journal) forget(n int) {
	j.firm, j.firmAt = true, j.marks[n-1].at
	to := j.lengths(flow.Pos{})
	if n < len(j.marks) {
		to = j.marks[n]
	}
	j.steps = dropFirst(j.steps, to.steps)
	j.stats = dropFirst(j.stats, to.stats)
	j.got = dropFirst(j.got, to.got)
	j.segments = dropFirst(j.segments, to.segments)
	j.records = dropFirst(j.records, to.records)
	j.rest = dropFirst(j.rest, to.rest)
	j.marks = dropFirst(j.marks, n)
	j.counts = dropFirst(j.counts, n*len(j.ledgers))
	for i := range j.marks {
		m := &j.marks[i]
		m.steps, m.stats, m.got = m.steps-to.steps, m.stats-to.stats, m.got-to.got
		m.segments, m.records, m.rest = m.segments-to.segments, m.records-to.records, m.rest-to.rest
	}
}

// dropFirst is s without its first n elements, in the same memory.
func dropFirst[T any](s []T, n int) []T {
	left := copy(s, s[n:])
	clear(s[left:])
	return s[:left]
}

// pop takes the last element off and returns it.
func pop[T any](s *[]T) T {
	var none T
	last := len(*s) - 1
	v := (*s)[last]
	(*s)[last] = none
	*s = (*s)[:last]
	return v
}

// undo takes back every transaction at or after a place, as if the ledgers had never seen it. Transactions that did not
// matter need no undo and left no trace. It changes nothing and returns an error wrapping ErrUndo if the journal does not
// reach that far.
func (j *journal) undo(from flow.Pos) error {
	if j.firm && from.Compare(j.firmAt) <= 0 {
		return fmt.Errorf("undo from %s: what stands up to %s cannot be taken back: %w", from, j.firmAt, ErrUndo)
	}
	for n := len(j.marks); n > 0 && j.marks[n-1].at.Compare(from) >= 0; n-- {
		j.undoLast()
	}
	return nil
}

// undoLast takes back the last transaction.
func (j *journal) undoLast() {
	m := pop(&j.marks)
	for len(j.steps) > m.steps {
		switch what := pop(&j.steps); what {
		case statsChanged:
			old := pop(&j.stats)
			old.record.stats = old.stats
		case gotChanged:
			old := pop(&j.got)
			if r := old.record; old.i == len(r.got)-1 && old.got.line == 0 {
				r.got = r.got[:old.i]
			} else {
				r.got[old.i] = old.got
			}
		case recordMade:
			old := pop(&j.records)
			old.ledger.unmake(old.record)
		case followBegan:
			old := pop(&j.records)
			old.ledger.count(old.record, -1)
		case followEnded:
			old := pop(&j.records)
			old.ledger.count(old.record, 1)
		case other:
			pop(&j.rest)()
		default:
			old := pop(&j.segments)
			old.state.back(what, old.i, old.segment)
		}
	}
	before := j.counts[len(j.marks)*len(j.ledgers):]
	for i, l := range j.ledgers {
		l.goBack(before[i])
	}
	j.counts = j.counts[:len(j.marks)*len(j.ledgers)]
}

// goBack shortens what has grown since.
func (l *Ledger) goBack(to counts) {
	for l.edges.n > to.edges {
		l.edges.pop()
	}
	clear(l.assumed[to.assumed:])
	l.assumed, l.lines = l.assumed[:to.assumed], l.lines[:to.lines]
	l.totals = to.totals
	l.fresh = l.fresh[:0]
	l.transit = transit{}
}

// back takes one change of a state back.
func (s *State) back(what step, i int, g Segment) {
	switch what {
	case pushed:
		s.popTail()
	case pushedHead:
		s.popHead()
	case popped:
		s.push(g)
	case poppedHead:
		s.pushHead(g)
	case replaced:
		s.set(i, g)
	}
}

// hold says that what a ledger has eaten so far cannot be taken back.
func (j *journal) hold(l *Ledger) {
	if l.started && (!j.firm || j.firmAt.Compare(l.last) < 0) {
		j.firm, j.firmAt = true, l.last
	}
}

// final says that nothing before a place will be taken back: what an undo to there would need is forgotten.
func (j *journal) final(before flow.Pos) {
	n := 0
	for n < len(j.marks) && j.marks[n].at.Compare(before) < 0 {
		n++
	}
	switch {
	case n == 0:
	case n >= len(j.marks)/2: // what little there is beside more that stays is dropped with it later
		j.forget(n)
	default:
		j.firm, j.firmAt = true, j.marks[n-1].at
	}
}
