package trace

import "github.com/spoor-dev/spoor/flow"

// A Segment is a run of units of one origin inside a holder. Units are of the holder's asset, the claim is in units of
// the stolen asset of its line. The two are equal until value changes its asset.
type Segment struct {
	Line  int // 0 is clean money, else the number of the line from 1
	Units flow.Amount
	Claim flow.Amount // nothing for clean money
}

// split divides a segment into its first k units and the rest; the claim follows in proportion by the largest remainder.
func (s Segment) split(k flow.Amount) (first, rest Segment) {
	first, rest = Segment{Line: s.Line, Units: k}, Segment{Line: s.Line}
	rest.Units, _ = s.Units.Sub(k)
	switch {
	case s.Claim.IsZero():
	case s.Claim == s.Units:
		first.Claim, rest.Claim = first.Units, rest.Units
	default:
		parts := flow.Split(s.Claim, []flow.Amount{first.Units, rest.Units})
		first.Claim, rest.Claim = parts[0], parts[1]
	}
	return first, rest
}

// joins merges s behind t if nothing is forgotten by it: both clean, or of one line and with claims equal to units.
func (s Segment) joins(t Segment) (Segment, bool) {
	if s.Line != t.Line || s.Line != 0 && (s.Claim != s.Units || t.Claim != t.Units) {
		return s, false
	}
	units, ok := s.Units.Add(t.Units)
	if !ok {
		return s, false
	}
	if s.Line == 0 {
		return Segment{Units: units}, true
	}
	return Segment{s.Line, units, units}, true
}

// taints reports whether the segment is a part of the theft.
func (s Segment) taints() bool { return s.Line != 0 && !s.Units.IsZero() }

// A State is what one holder has: segments in an order that the policy gives a meaning.
type State struct {
	segs    []Segment
	head    int // segs[head:] are there
	tainted int // how many of them taint
	log     *journal
	made    uint64 // the turn of the journal in which there was nothing before; 0 if that does not matter
}

// Len is the number of segments.
func (s *State) Len() int { return len(s.segs) - s.head }

// At is segment i, counted from the head.
func (s *State) At(i int) Segment { return s.segs[s.head+i] }

// IsTainted reports whether any of it is stolen.
func (s *State) IsTainted() bool { return s.tainted > 0 }

// Push adds a segment at the tail.
func (s *State) Push(g Segment) {
	s.push(g)
	s.note(pushed, 0, Segment{})
}

// PushHead adds a segment at the head.
func (s *State) PushHead(g Segment) {
	s.pushHead(g)
	s.note(pushedHead, 0, Segment{})
}

// PopHead takes the first segment out.
func (s *State) PopHead() Segment {
	g := s.popHead()
	s.note(poppedHead, 0, g)
	return g
}

// PopTail takes the last segment out.
func (s *State) PopTail() Segment {
	g := s.popTail()
	s.note(popped, 0, g)
	return g
}

// Set replaces segment i.
func (s *State) Set(i int, g Segment) {
	s.note(replaced, i, s.set(i, g))
}

// clear takes everything out.
func (s *State) clear() {
	if s.Len() == 0 {
		return
	}
	if s.log == nil || s.log.off {
		s.segs, s.head, s.tainted = nil, 0, 0
		return
	}
	for s.Len() > 0 {
		s.PopTail()
	}
	s.segs = nil
}

// open puts clean money below all else, where an opening balance stands.
func (s *State) open(units flow.Amount) {
	switch {
	case units.IsZero():
	case s.Len() > 0 && s.At(0).Line == 0:
		s.Set(0, Segment{Units: addCapped(s.At(0).Units, units)})
	default:
		s.PushHead(Segment{Units: units})
	}
}

func (s *State) push(g Segment) {
	s.segs = append(s.segs, g)
	s.count(g, 1)
}

func (s *State) pushHead(g Segment) {
	if s.head == 0 { // leave room, so that many in a row cost as much as at the tail
		room := len(s.segs) + 1
		grown := make([]Segment, room+len(s.segs), 2*room+len(s.segs))
		copy(grown[room:], s.segs)
		s.segs, s.head = grown, room
	}
	s.head--
	s.segs[s.head] = g
	s.count(g, 1)
}

func (s *State) popHead() Segment {
	g := s.segs[s.head]
	s.head++
	if s.head == len(s.segs) {
		s.segs, s.head = s.segs[:0], 0
	} else if s.head > 64 && s.head > 2*len(s.segs)/3 {
		s.segs, s.head = append([]Segment(nil), s.segs[s.head:]...), 0
	}
	s.count(g, -1)
	return g
}

func (s *State) popTail() Segment {
	g := s.segs[len(s.segs)-1]
	s.segs = s.segs[:len(s.segs)-1]
	s.count(g, -1)
	if s.head == len(s.segs) {
		s.segs, s.head = s.segs[:0], 0
	}
	return g
}

func (s *State) set(i int, g Segment) (old Segment) {
	old = s.segs[s.head+i]
	s.segs[s.head+i] = g
	s.count(old, -1)
	s.count(g, 1)
	return old
}

func (s *State) count(g Segment, n int) {
	if g.taints() {
		s.tainted += n
	}
}

var most = flow.AmountFromWords([4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})

// addCapped is a+b, or the greatest amount. It is for clean money of tokens that lie about their balances, only.
func addCapped(a, b flow.Amount) flow.Amount {
	if sum, ok := a.Add(b); ok {
		return sum
	}
	return most
}
