package trace

import (
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A Policy is the rule that says which part of a payment is stolen. It sees only that these legs give and those legs
// take, in this order; it never sees accounts, chains or times. A Policy has no state of its own.
type Policy interface {
	// String is the one word by which the policy is named and recorded.
	String() string
	// Put adds arriving segments, in their order, to what a holder has.
	Put(s *State, in []Segment)
	// Pay takes v units out of s and appends them to out, in the order in which they leave. If s has less, it takes all
	// and says how much was short.
	Pay(s *State, v flow.Amount, out []Segment) (paid []Segment, short flow.Amount)
	// Fill lays the given segments out over the takers in their order: put(i, g) says that taker i gets g. What is given
	// sums to what is taken.
	Fill(given []Segment, takers []flow.Amount, put func(i int, g Segment))
}

// The policies. Poison is a mark and not an amount: it conserves nothing. All others conserve every unit of claim.
var (
	// Poison taints whatever a tainted holder pays, for ever: an upper bound of who can be reached.
	Poison Policy = poison{}
	// Haircut mixes: every payment carries the share that is stolen. Rounded down, the rest stays.
	Haircut Policy = pool{"haircut", mixed}
	// DirtyFirst pays with stolen money as long as there is any: the upper bound of what left.
	DirtyFirst Policy = pool{"dirty-first", dirtyFirst}
	// CleanFirst pays with clean money as long as there is any: the lower bound of what left.
	CleanFirst Policy = pool{"clean-first", cleanFirst}
	// FIFO pays the oldest units first.
	FIFO Policy = queue{"fifo", false}
	// LIFO pays the newest units first.
	LIFO Policy = queue{"lifo", true}
)

// ParsePolicy finds a policy by its word: poison, haircut, dirty-first, clean-first, fifo, lifo.
func ParsePolicy(s string) (Policy, error) {
	for _, p := range []Policy{Poison, Haircut, DirtyFirst, CleanFirst, FIFO, LIFO} {
		if p.String() == s {
			return p, nil
		}
	}
	return nil, fmt.Errorf("policy %.40q: want poison, haircut, dirty-first, clean-first, fifo or lifo", s)
}

// queue is a policy that keeps units in the order of their arrival.
type queue struct {
	name  string
	stack bool // the newest leave first
}

func (q queue) String() string { return q.name }

func (q queue) Put(s *State, in []Segment) {
	for _, g := range in {
		if g.Units.IsZero() {
			continue
		}
		if n := s.Len(); n > 0 {
			if both, ok := s.At(n - 1).joins(g); ok {
				s.Set(n-1, both)
				continue
			}
		}
		s.Push(g)
	}
}

func (q queue) Pay(s *State, v flow.Amount, out []Segment) ([]Segment, flow.Amount) {
	for !v.IsZero() && s.Len() > 0 {
		end := 0
		if q.stack {
			end = s.Len() - 1
		}
		g := s.At(end)
		if v.Less(g.Units) {
			first, rest := g.split(v)
			s.Set(end, rest)
			return append(out, first), flow.Amount{}
		}
		if q.stack {
			s.PopTail()
		} else {
			s.PopHead()
		}
		v, _ = v.Sub(g.Units)
		out = append(out, g)
	}
	return out, v
}

func (q queue) Fill(given []Segment, takers []flow.Amount, put func(int, Segment)) {
	i := 0
	var g Segment
	for t, room := range takers {
		for !room.IsZero() {
			if g.Units.IsZero() {
				if i == len(given) {
					return
				}
				g = given[i]
				i++
				continue
			}
			first, rest := g, Segment{}
			if room.Less(g.Units) {
				first, rest = g.split(room)
			}
			put(t, first)
			room, _ = room.Sub(first.Units)
			g = rest
		}
	}
}

// pool is a policy that keeps numbers and no order: segment 0 of a State is the clean money, each line has one of the
// others.
type pool struct {
	name  string
	order mixture
}

// A mixture says which of the money in a pool leaves first.
type mixture uint8

const (
	mixed mixture = iota
	dirtyFirst
	cleanFirst
)

// rule is how much of v is stolen where stolen of all is; v is at most all.
func (p pool) rule(v, stolen, all flow.Amount) flow.Amount {
	switch {
	case all.IsZero():
		return flow.Amount{}
	case p.order == mixed:
		return stolen.Share(v, all)
	case p.order == dirtyFirst:
		return v.Min(stolen)
	}
	clean, _ := all.Sub(stolen)
	if x, ok := v.Sub(clean); ok {
		return x
	}
	return flow.Amount{}
}

func (p pool) String() string { return p.name }

func (p pool) Put(s *State, in []Segment) {
	if s.Len() == 0 {
		s.Push(Segment{})
	} else if s.At(0).Line != 0 {
		s.PushHead(Segment{})
	}
	for _, g := range in {
		switch {
		case g.Units.IsZero():
		case g.Line == 0:
			s.Set(0, Segment{Units: addCapped(s.At(0).Units, g.Units)})
		default:
			i := 1
			for i < s.Len() && s.At(i).Line != g.Line {
				i++
			}
			if i == s.Len() {
				s.Push(g)
				break
			}
			have := s.At(i)
			claim, ok := have.Claim.Add(g.Claim)
			if !ok {
				panic("trace: the claims of a line exceed what was stolen")
			}
			s.Set(i, Segment{g.Line, addCapped(have.Units, g.Units), claim})
		}
	}
}

func (p pool) Pay(s *State, v flow.Amount, out []Segment) ([]Segment, flow.Amount) {
	var clean, stolen flow.Amount
	for i := range s.Len() {
		if g := s.At(i); g.Line == 0 {
			clean = g.Units
		} else {
			stolen = addCapped(stolen, g.Units)
		}
	}
	room, _ := most.Sub(stolen)
	clean = clean.Min(room)
	all, _ := clean.Add(stolen)
	if short, ok := v.Sub(all); ok { // all of it leaves
		for i := range s.Len() {
			if g := s.At(i); !g.Units.IsZero() {
				out = append(out, g)
				s.Set(i, Segment{Line: g.Line})
			}
		}
		return out, short
	}
	x := p.rule(v, stolen, all)
	fromClean, _ := v.Sub(x)
	if !fromClean.IsZero() {
		left, _ := clean.Sub(fromClean)
		s.Set(0, Segment{Units: left})
		out = append(out, Segment{Units: fromClean})
	}
	for i := 0; i < s.Len() && !x.IsZero(); i++ {
		g := s.At(i)
		if !g.taints() {
			continue
		}
		k := x
		if g.Units.Less(stolen) {
			k = x.Share(g.Units, stolen)
		}
		x, _ = x.Sub(k)
		stolen, _ = stolen.Sub(g.Units)
		if k.IsZero() {
			continue
		}
		first, rest := g.split(k)
		s.Set(i, rest)
		out = append(out, first)
	}
	return out, flow.Amount{}
}

func (p pool) Fill(given []Segment, takers []flow.Amount, put func(int, Segment)) {
	if len(takers) == 1 {
		for _, g := range given {
			put(0, g)
		}
		return
	}
	var lines []Segment // what each line gives
	var stolen flow.Amount
	for _, g := range given {
		if !g.taints() {
			continue
		}
		stolen = addCapped(stolen, g.Units)
		i := 0
		for i < len(lines) && lines[i].Line != g.Line {
			i++
		}
		if i == len(lines) {
			lines = append(lines, Segment{Line: g.Line})
		}
		lines[i].Units = addCapped(lines[i].Units, g.Units)
		lines[i].Claim, _ = lines[i].Claim.Add(g.Claim)
	}
	rooms := p.rooms(stolen, takers)
	for i, t := range takers {
		if clean, _ := t.Sub(rooms[i]); !clean.IsZero() {
			put(i, Segment{Units: clean})
		}
	}
	for _, l := range lines {
		for i, k := range l.spread(rooms, stolen) {
			stolen, _ = stolen.Sub(k.Units)
			rooms[i], _ = rooms[i].Sub(k.Units)
			if !k.Units.IsZero() {
				put(i, k)
			}
		}
	}
}

// rooms says how much stolen money each taker gets. Each takes its part, by the rule, of what the takers before it left.
// So the parts sum to all, no part is below the exact share rounded down, and no part shrinks when more is stolen, which
// rounding by the largest remainder cannot promise.
func (p pool) rooms(stolen flow.Amount, takers []flow.Amount) []flow.Amount {
	var sum flow.Sum
	for _, t := range takers {
		sum = sum.Plus(t)
	}
	all, _ := sum.Amount()
	rooms := make([]flow.Amount, len(takers))
	for i, t := range takers {
		rooms[i] = p.rule(t, stolen, all)
		stolen, _ = stolen.Sub(rooms[i])
		all, _ = all.Sub(t)
	}
	return rooms
}

// spread divides a segment over rooms in proportion, in the same manner; whole is the sum of the rooms.
func (s Segment) spread(rooms []flow.Amount, whole flow.Amount) []Segment {
	parts := make([]Segment, len(rooms))
	for i, r := range rooms {
		k := s.Units
		if r.Less(whole) {
			k = k.Share(r, whole)
		}
		parts[i], s = s.split(k)
		whole, _ = whole.Sub(r)
	}
	return parts
}

// poison keeps one mark for each line: how many units were ever received from marked holders. It knows no clean money.
type poison struct{}

func (poison) String() string { return "poison" }

func (poison) Put(s *State, in []Segment) {
	for _, g := range in {
		if !g.taints() {
			continue
		}
		i := 0
		for i < s.Len() && s.At(i).Line != g.Line {
			i++
		}
		if i == s.Len() {
			s.Push(Segment{Line: g.Line, Units: g.Units})
		} else {
			s.Set(i, Segment{Line: g.Line, Units: addCapped(s.At(i).Units, g.Units)})
		}
	}
}

func (poison) Pay(s *State, v flow.Amount, out []Segment) ([]Segment, flow.Amount) {
	for i := range s.Len() {
		out = append(out, Segment{Line: s.At(i).Line, Units: v})
	}
	return out, flow.Amount{}
}

func (poison) Fill(given []Segment, takers []flow.Amount, put func(int, Segment)) {
	for i, t := range takers {
		for j, g := range given {
			known := false
			for _, e := range given[:j] {
				known = known || e.Line == g.Line
			}
			if g.Line != 0 && !known && !t.IsZero() {
				put(i, Segment{Line: g.Line, Units: t})
			}
		}
	}
}
