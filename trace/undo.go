package trace

import (
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// ErrUndo is returned where more is to be taken back than the undo log holds: restore a snapshot and go on from there.
var ErrUndo = errors.New("deeper than the undo log")

// A journal holds the way back: what each change has overwritten, and marks between the transactions. The changes lie in
// one list for each kind, and steps says in which order they came.
type journal struct {
	steps    []step
	stats    []oldStats
	got      []oldGot
	segments []oldSegment
	records  []*record
	rest     []func() // whatever is rare
	marks    []mark
	turn     uint64 // counts transactions: what was kept in this one need not be kept again
	depth    int
	off      bool // nothing is kept while a Graph is walked
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

// A mark is what stood before a transaction: the lengths of the lists, and what is counted or only grows.
type mark struct {
	at flow.Pos

	steps, stats, got, segments, records, rest int

	begun, followed, txs, lines, edges, assumed int
	begunAt                                     flow.Pos

	spent, started bool
	last           flow.Pos
}

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
		l.log.records = append(l.log.records, r)
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

// mark opens a transaction in the journal.
func (l *Ledger) mark(at flow.Pos) {
	j := l.log
	j.turn++
	j.marks = append(j.marks, mark{
		at:    at,
		steps: len(j.steps), stats: len(j.stats), got: len(j.got), segments: len(j.segments), records: len(j.records), rest: len(j.rest),
		begun: l.begun, begunAt: l.begunAt, followed: l.followed, txs: l.txs, lines: len(l.lines), edges: l.edges.n, assumed: len(l.assumed),
		spent: l.spent, started: l.started, last: l.last,
	})
}

// closeMark closes the transaction, forgets it if it changed nothing, and forgets the oldest ones when there are twice
// too many.
func (l *Ledger) closeMark() {
	j := l.log
	n := len(j.marks) - 1
	m := &j.marks[n]
	if m.steps == len(j.steps) && m.begun == l.begun && m.txs == l.txs && m.spent == l.spent {
		j.marks = j.marks[:n]
		return
	}
	if len(j.marks) > 2*j.depth {
		l.forget(len(j.marks) - j.depth)
	}
}

// forget drops the way back over the first n marks.
func (l *Ledger) forget(n int) {
	j := l.log
	l.firm, l.firmAt = true, j.marks[n-1].at
	to := mark{steps: len(j.steps), stats: len(j.stats), got: len(j.got), segments: len(j.segments), records: len(j.records), rest: len(j.rest)}
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

// Undo takes back every transaction at or after a place, as if the ledger had never seen it. Transactions that did not
// matter need no undo and left no trace. It changes nothing and returns an error wrapping ErrUndo if the undo log does
// not reach that far.
func (l *Ledger) Undo(from flow.Pos) error {
	if err := l.canUndo(from); err != nil {
		return err
	}
	l.fresh = l.fresh[:0]
	for n := len(l.log.marks); n > 0 && l.log.marks[n-1].at.Compare(from) >= 0; n-- {
		l.undoLast()
	}
	return nil
}

// undoLast takes back the last transaction of the journal.
func (l *Ledger) undoLast() {
	j := l.log
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
			l.unmake(pop(&j.records))
		case followBegan:
			l.count(pop(&j.records), -1)
		case followEnded:
			l.count(pop(&j.records), 1)
		case other:
			pop(&j.rest)()
		default:
			old := pop(&j.segments)
			old.state.back(what, old.i, old.segment)
		}
	}
	for l.edges.n > m.edges {
		l.edges.pop()
	}
	clear(l.assumed[m.assumed:])
	l.assumed, l.lines = l.assumed[:m.assumed], l.lines[:m.lines]
	l.begunAt = m.begunAt
	l.begun, l.followed, l.txs = m.begun, m.followed, m.txs
	l.spent, l.started, l.last = m.spent, m.started, m.last
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

// Final says that nothing before a place will be taken back: what an Undo to there would need is forgotten.
func (l *Ledger) Final(before flow.Pos) {
	n := 0
	for n < len(l.log.marks) && l.log.marks[n].at.Compare(before) < 0 {
		n++
	}
	switch {
	case n == 0:
	case n >= len(l.log.marks)/2: // what little there is beside more that stays is dropped with it later
		l.forget(n)
	default:
		l.firm, l.firmAt = true, l.log.marks[n-1].at
	}
}

func (l *Ledger) canUndo(from flow.Pos) error {
	if l.firm && from.Compare(l.firmAt) <= 0 {
		return fmt.Errorf("undo from %s: what stands up to %s cannot be taken back: %w", from, l.firmAt, ErrUndo)
	}
	return nil
}
