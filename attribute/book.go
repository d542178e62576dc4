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

	textAt, text       string
	subjectAt, subject string
	first, rows, slots string
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
		for i := range uint32(len(b.subjectAt)/4 - 1) {
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
		for i := range uint32(len(b.subjectAt)/4 - 1) {
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
			if b.time(next, 32) <= knownAt {
				last, found = next, true
			}
		}
		r = next
		if !found || Stance(b.rows[last*rowSize+44]) == Retracts {
			continue
		}
		if from, to := b.time(last, 16), b.time(last, 24); inForce && (from > validAt || to != 0 && validAt >= to) {
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
	mask := uint64(len(b.slots)/4 - 1)
	for at := hashKey(b.salt, byte(s.kind), chain, s.key) & mask; ; at = (at + 1) & mask {
		i := le32(b.slots[4*at:])
		if i == noSubject {
			return 0, false
		}
		t := b.subjectText(i)
		if t[0] == byte(s.kind) && uint16(t[1])|uint16(t[2])<<8 == chain && t[3:] == s.key {
			return i, true
		}
	}
}

func (b *Book) subjectText(i uint32) string {
	return b.subject[le32(b.subjectAt[4*i:]):le32(b.subjectAt[4*i+4:])]
}

func (b *Book) subjectAtIndex(i uint32) Subject {
	t := b.subjectText(i)
	return Subject{Kind(t[0]), b.chainOf[uint16(t[1])|uint16(t[2])<<8], t[3:]}
}

func (b *Book) firstRow(i uint32) uint32 { return le32(b.first[4*i:]) }

func (b *Book) time(row uint32, at uint32) int64 { return int64(le64(b.rows[row*rowSize+at:])) }

// sameClaim compares what a row of a subject says, apart from how sure it is and until when.
func (b *Book) sameClaim(r, o uint32) bool {
	x, y := b.rows[r*rowSize:(r+1)*rowSize], b.rows[o*rowSize:(o+1)*rowSize]
	sx, sy := le32(x[40:]), le32(y[40:])
	return x[:12] == y[:12] && x[16:24] == y[16:24] && (sx == sy || b.sources[sx].ID == b.sources[sy].ID)
}

func (b *Book) label(s Subject, row uint32) Label {
	r := b.rows[row*rowSize : (row+1)*rowSize]
	return Label{
		Subject: s,
		Name:    b.textOf(le32(r)), Actor: b.textOf(le32(r[4:])), Category: Category(b.textOf(le32(r[8:]))), Evidence: b.textOf(le32(r[12:])),
		ValidFrom: int64(le64(r[16:])), ValidTo: int64(le64(r[24:])), Seen: int64(le64(r[32:])),
		Source: b.sources[le32(r[40:])],
		Stance: Stance(r[44]), Confidence: Confidence(r[45]), Service: r[46] != 0,
	}
}

func (b *Book) textOf(i uint32) string { return b.text[le32(b.textAt[4*i:]):le32(b.textAt[4*i+4:])] }
