package trace

import (
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// ErrUndo is returned where more is to be taken back than the undo log holds: restore a snapshot and go on from there.
var ErrUndo = errors.New("deeper than the undo log")

// A journal holds the way back: one small function for each change, and marks between the transactions.
type journal struct {
	undo  []func()
	marks []mark
	depth int
	off   bool // nothing is kept while a Graph is walked
}

type mark struct {
	at flow.Pos
	n  int // length of undo before the transaction
}

func (j *journal) add(f func()) {
	if !j.off {
		j.undo = append(j.undo, f)
	}
}

// note is add for a ledger that may keep no journal.
func (l *Ledger) note(f func()) {
	if l.log != nil {
		l.log.add(f)
	}
}

// begin opens a transaction in the journal.
func (j *journal) begin(at flow.Pos) { j.marks = append(j.marks, mark{at, len(j.undo)}) }

// end closes it, forgets it if it changed nothing, and forgets the oldest ones when there are twice too many. It
// reports the place of the last forgotten one.
func (j *journal) end() (lost flow.Pos, ok bool) {
	last := len(j.marks) - 1
	if j.marks[last].n == len(j.undo) {
		j.marks = j.marks[:last]
		return lost, false
	}
	if len(j.marks) < 2*j.depth+1 {
		return lost, false
	}
	drop := len(j.marks) - j.depth
	lost, n := j.marks[drop-1].at, j.marks[drop].n
	j.undo = append([]func(){}, j.undo[n:]...)
	j.marks = append([]mark{}, j.marks[drop:]...)
	for i := range j.marks {
		j.marks[i].n -= n
	}
	return lost, true
}

// Undo takes back every transaction at or after a place, as if the ledger had never seen it. Transactions that did not
// matter need no undo and left no trace. It changes nothing and returns an error wrapping ErrUndo if the undo log does
// not reach that far.
func (l *Ledger) Undo(from flow.Pos) error {
	if err := l.canUndo(from); err != nil {
		return err
	}
	if l.log == nil {
		return nil
	}
	l.fresh = l.fresh[:0]
	for n := len(l.log.marks); n > 0 && l.log.marks[n-1].at.Compare(from) >= 0; n-- {
		m := l.log.marks[n-1]
		for i := len(l.log.undo) - 1; i >= m.n; i-- {
			l.log.undo[i]()
		}
		clear(l.log.undo[m.n:])
		l.log.undo, l.log.marks = l.log.undo[:m.n], l.log.marks[:n-1]
	}
	return nil
}

func (l *Ledger) canUndo(from flow.Pos) error {
	if l.firm && from.Compare(l.firmAt) <= 0 {
		return fmt.Errorf("undo from %s: what stands up to %s cannot be taken back: %w", from, l.firmAt, ErrUndo)
	}
	return nil
}
