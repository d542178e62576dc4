package detect

import (
	"errors"

	"github.com/spoor-dev/spoor/flow"
)

// ErrUndo is returned where more is to be taken back than the detector remembers: begin anew from the start of the case.
var ErrUndo = errors.New("deeper than the undo log")

// A journal holds the way back: one small function for each change, and marks between the events.
type journal struct {
	undo  []func()
	marks []mark
	depth int
	lost  flow.Pos // the transaction of the last event whose way back was forgotten
	firm  bool     // there is one
}

type mark struct {
	at flow.Pos // of the event's transaction
	n  int      // length of undo before the event
}

func (j *journal) add(f func()) { j.undo = append(j.undo, f) }

// begin opens an event, and forgets the oldest ones when there are twice too many.
func (j *journal) begin(at flow.Pos) {
	j.marks = append(j.marks, mark{at, len(j.undo)})
	if len(j.marks) < 2*j.depth+1 {
		return
	}
	drop := len(j.marks) - j.depth
	n := j.marks[drop].n
	j.lost, j.firm = j.marks[drop-1].at, true
	j.undo = append([]func(){}, j.undo[n:]...)
	j.marks = append([]mark{}, j.marks[drop:]...)
	for i := range j.marks {
		j.marks[i].n -= n
	}
}

// back takes back all events of transactions at or after a place.
func (j *journal) back(from flow.Pos) {
	for n := len(j.marks); n > 0 && j.marks[n-1].at.Compare(from) >= 0; n-- {
		j.pop()
	}
}

// pop takes back the last event.
func (j *journal) pop() {
	last := len(j.marks) - 1
	m := j.marks[last]
	for i := len(j.undo) - 1; i >= m.n; i-- {
		j.undo[i]()
	}
	clear(j.undo[m.n:])
	j.undo, j.marks = j.undo[:m.n], j.marks[:last]
}

// set changes one value of a map. The values must not be changed in place.
func set[K comparable, V any](j *journal, m map[K]V, k K, v V) {
	old, had := m[k]
	m[k] = v
	j.add(func() {
		if had {
			m[k] = old
		} else {
			delete(m, k)
		}
	})
}

// remove takes one value out of a map.
func remove[K comparable, V any](j *journal, m map[K]V, k K) {
	if old, had := m[k]; had {
		delete(m, k)
		j.add(func() { m[k] = old })
	}
}

// A memory is a map that forgets the key which came first when it is full: what strangers send cannot make it grow.
type memory[K comparable, V any] struct {
	of   map[K]V
	keys []K // a ring once it is full
	next int // where the next key goes
	most int
}

func newMemory[K comparable, V any](most int) *memory[K, V] {
	return &memory[K, V]{of: map[K]V{}, most: most}
}

func (m *memory[K, V]) set(j *journal, k K, v V) {
	if _, ok := m.of[k]; !ok {
		m.enter(j, k)
	}
	set(j, m.of, k, v)
}

// enter puts a new key into the ring.
func (m *memory[K, V]) enter(j *journal, k K) {
	next := m.next
	j.add(func() { m.next = next })
	m.next = (next + 1) % m.most
	if len(m.keys) < m.most {
		m.keys = append(m.keys, k)
		j.add(func() { m.keys = m.keys[:len(m.keys)-1] })
		return
	}
	old := m.keys[next]
	remove(j, m.of, old)
	m.keys[next] = k
	j.add(func() { m.keys[next] = old })
}
