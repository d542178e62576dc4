package attribute

import (
	"iter"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Book is labels in memory, in a packed form that is read in place. It never changes and is safe for several goroutines; a
// nil Book is empty. It implements Reader.
type Book struct {
	generation uint64
	hash       flow.Hash
	salt       uint64
	sources    []Source
	chainOf    []flow.Chain
	chains     map[flow.Chain]uint16

	text, places, subject, rows, slots string // see pack.go
	tags                               []byte // of each slot, see tagOf; they fit a processor's cache where slots do not
}

// Len is how many versions of labels the book holds.
func (b *Book) Len() int {
	if b == nil {
		return 0
	}
	return len(b.rows) / rowSize
}

// Hash is a digest of all versions of all labels: books with the same hash answer every question alike.
func (b *Book) Hash() flow.Hash {
	if b == nil {
		return flow.Hash{}
	}
	return b.hash
}

// Generation is the number that the book was packed with.
func (b *Book) Generation() uint64 {
	if b == nil {
		return 0
	}
	return b.generation
}

// Of implements Reader.
func (b *Book) Of(validAt, knownAt int64, of ...Subject) []Label {
	if b == nil {
		return nil
	}
	var out []Label
	for _, s := range of {
		out = b.appendOf(out, validAt, knownAt, s, true)
	}
	if len(of) > 1 && len(out) > 1 {
		slices.SortFunc(out, Label.Compare)
	}
	return out
}

// LabelsOf implements Reader.
func (b *Book) LabelsOf(a flow.Account, validAt, knownAt int64) []Label {
	if b == nil {
		return nil
	}
	out := b.appendOf(nil, validAt, knownAt, OfAccount(a), true)
	if a.Chain().IsEVM() {
		out = b.appendOf(out, validAt, knownAt, OfAnyEVM(a), true)
	}
	return out // of accounts of one chain before those of any: the order of Compare
}

// Known are the labels of these subjects as they were known at knownAt, whether they held then, before or later: of each claim
// the version seen last, without those that were taken back. A sanction that is over is among them.
func (b *Book) Known(knownAt int64, of ...Subject) []Label {
	if b == nil {
		return nil
	}
	var out []Label
	for _, s := range of {
		out = b.appendOf(out, 0, knownAt, s, false)
	}
	slices.SortFunc(out, Label.Compare)
	return out
}

// History implements Reader.
func (b *Book) History(of ...Subject) []Label {
	if b == nil {
		return nil
	}
	var out []Label
	for _, s := range of {
		if i, ok := b.find(s); ok {
			for r := b.firstRow(i); r < b.firstRow(i+1); r++ {
				out = append(out, b.label(s, r))
			}
		}
	}
	slices.SortFunc(out, Label.Compare)
	return out
}

// All are all versions of all labels in the order of Label.Compare.
func (b *Book) All() iter.Seq[Label] {
	return func(yield func(Label) bool) {
		if b == nil {
			return
		}
		for i := range b.subjects() {
			s := b.subjectAtIndex(i)
			for r := b.firstRow(i); r < b.firstRow(i+1); r++ {
				if !yield(b.label(s, r)) {
					return
				}
			}
		}
	}
}

// InForce are the labels of every subject which hold at validAt by what was known at knownAt, as by Of.
func (b *Book) InForce(validAt, knownAt int64) iter.Seq[Label] {
	return func(yield func(Label) bool) {
		if b == nil {
			return
		}
		var room []Label
		for i := range b.subjects() {
			room = b.appendRows(room[:0], validAt, knownAt, b.subjectAtIndex(i), i, true)
			for _, l := range room {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// Sources are the sources of the book, each list by its own date, in the order of their first label.
func (b *Book) Sources() []Source {
	if b == nil {
		return nil
	}
	return slices.Clone(b.sources)
}

func (b *Book) appendOf(out []Label, validAt, knownAt int64, s Subject, inForce bool) []Label {
	if i, ok := b.find(s); ok {
		return b.appendRows(out, validAt, knownAt, s, i, inForce)
	}
	return out
}

// appendRows appends of each claim of a subject the last version that was seen until knownAt, unless it was taken back; with
// inForce only those that hold at validAt. Versions of a claim lie beside each other, in the order in which they were seen.
func (b *Book) appendRows(out []Label, validAt, knownAt int64, s Subject, i uint32, inForce bool) []Label {
	end := b.firstRow(i + 1)
	for r := b.firstRow(i); r < end; {
		last, found := r, false
		next := r
		for ; next < end && (next == r || b.sameClaim(r, next)); next++ {
			if b.time(next, atSeen) <= knownAt {
				last, found = next, true
			}
		}
		r = next
		if !found || Stance(b.rows[last*rowSize+atStance]) == Retracts {
			continue
		}
		if from, to := b.time(last, atFrom), b.time(last, atTo); inForce && (from > validAt || to != 0 && validAt >= to) {
			continue
		}
		out = append(out, b.label(s, last))
	}
	return out
}

func (b *Book) find(s Subject) (uint32, bool) {
	chain, ok := b.chains[s.chain]
	if !ok || s.kind == 0 {
		return 0, false
	}
	mask := uint64(len(b.slots)/slotSize - 1)
	h := hashKey(b.salt, byte(s.kind), chain, s.key)
	tag := tagOf(uint32(h >> 32))
	for at := h & mask; ; at = (at + 1) & mask {
		if b.tags[at] == 0 {
			return 0, false
		}
		if b.tags[at] != tag {
			continue
		}
		slot := b.slots[slotSize*at:]
		i := le32(slot)
		if le32(slot[4:]) != uint32(h>>32) {
			continue
		}
		t := b.subjectText(i)
		if t[0] == byte(s.kind) && uint16(t[1])|uint16(t[2])<<8 == chain && t[3:] == s.key {
			return i, true
		}
	}
}

// tagOf is eight bits of the upper half of a hash, and never 0, which is that of a free slot.
func tagOf(upper uint32) byte { return byte(max(upper>>24, 1)) }

// subjects is how many subjects have labels.
func (b *Book) subjects() uint32 { return uint32(len(b.places)/placeSize - 1) }

// subjectText is kind, chain and key of a subject.
func (b *Book) subjectText(i uint32) string {
	place := b.places[placeSize*uint64(i):]
	return b.subject[le32(place):le32(place[placeSize:])]
}

func (b *Book) subjectAtIndex(i uint32) Subject {
	t := b.subjectText(i)
	return Subject{Kind(t[0]), b.chainOf[uint16(t[1])|uint16(t[2])<<8], t[3:]}
}

func (b *Book) firstRow(i uint32) uint64 { return uint64(le32(b.places[placeSize*uint64(i)+4:])) }

func (b *Book) time(row uint64, at uint64) int64 { return int64(le64(b.rows[row*rowSize+at:])) }

// sameClaim compares what two rows of a subject say, apart from how sure it is and until when. Equal texts have one place.
func (b *Book) sameClaim(r, o uint64) bool {
	x, y := b.rows[r*rowSize:(r+1)*rowSize], b.rows[o*rowSize:(o+1)*rowSize]
	sx, sy := le32(x[atSource:]), le32(y[atSource:])
	return x[:18] == y[:18] && x[atFrom:atTo] == y[atFrom:atTo] && (sx == sy || b.sources[sx].ID == b.sources[sy].ID)
}

func (b *Book) label(s Subject, row uint64) Label {
	r := b.rows[row*rowSize : (row+1)*rowSize]
	return Label{
		Subject: s,
		Name:    b.textOf(r), Actor: b.textOf(r[6:]), Category: Category(b.textOf(r[12:])), Evidence: b.textOf(r[18:]),
		ValidFrom: int64(le64(r[atFrom:])), ValidTo: int64(le64(r[atTo:])), Seen: int64(le64(r[atSeen:])),
		Source: b.sources[le32(r[atSource:])],
		Stance: Stance(r[atStance]), Confidence: Confidence(r[atConfidence]), Service: r[atService] != 0,
	}
}

// textOf is the text whose place and length these bytes say.
func (b *Book) textOf(r string) string {
	at := le32(r)
	return b.text[at : at+(uint32(r[4])|uint32(r[5])<<8)]
}
