package attribute

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Book is labels in memory. It never changes once it is made and is safe for several goroutines; a nil Book is empty.
// It implements Reader.
type Book struct {
	of map[Subject][]Label
	n  int
}

// NewBook is a book of these labels, in any order.
func NewBook(labels []Label) *Book {
	b := &Book{of: map[Subject][]Label{}, n: len(labels)}
	for _, l := range labels {
		b.of[l.Subject] = append(b.of[l.Subject], l)
	}
	for _, ls := range b.of {
		slices.SortFunc(ls, Label.Compare)
	}
	return b
}

// Len is how many versions of labels the book holds.
func (b *Book) Len() int {
	if b == nil {
		return 0
	}
	return b.n
}

// Of implements Reader.
func (b *Book) Of(validAt, knownAt int64, of ...Subject) []Label {
	var out []Label
	for _, l := range b.History(of...) {
		if l.Seen > knownAt {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Claim() == l.Claim() {
			out = out[:n-1]
		}
		out = append(out, l)
	}
	return slices.DeleteFunc(out, func(l Label) bool { return l.Stance == Retracts || !l.ValidAt(validAt) })
}

// LabelsOf implements Reader.
func (b *Book) LabelsOf(a flow.Account, validAt, knownAt int64) []Label {
	if a.Chain().IsEVM() {
		return b.Of(validAt, knownAt, OfAccount(a), OfAnyEVM(a))
	}
	return b.Of(validAt, knownAt, OfAccount(a))
}

// History implements Reader.
func (b *Book) History(of ...Subject) []Label {
	if b == nil {
		return nil
	}
	var out []Label
	for _, s := range of {
		out = append(out, b.of[s]...)
	}
	slices.SortFunc(out, Label.Compare)
	return out
}
