package attribute

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestDifferFindsWhoseLabelsChanged holds Differ and Between against the labels one by one.
func TestDifferFindsWhoseLabelsChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawLabels(t)
		y := slices.Clone(x)
		for i := range y { // some change, some go, some come
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				y[i].Seen++
			case 1:
				y[i] = drawLabels(t).or(y[i])
			}
		}
		if len(y) > 0 && rapid.Bool().Draw(t, "less") {
			y = y[1:]
		}
		a, b := mustBook(t, x), mustBook(t, y)
		var want []Subject
		for _, s := range subjects() {
			if !slices.Equal(a.History(s), b.History(s)) {
				want = append(want, s)
			}
		}
		slices.SortFunc(want, Subject.Compare)
		if got := Differ(a, b); !slices.Equal(got, want) {
			t.Fatalf("Differ = %v; want %v", got, want)
		}
		if got := Differ(nil, b); len(got) != int(b.len()) || len(Differ(b, b)) != 0 {
			t.Fatalf("from nothing: %v", got)
		}
		after := rapid.Int64Range(0, 9).Draw(t, "after")
		until := rapid.Int64Range(0, 9).Draw(t, "until")
		var between []Subject
		for _, s := range subjects() {
			if slices.ContainsFunc(a.History(s), func(l Label) bool {
				return l.Seen == 0 || slices.ContainsFunc([]int64{l.Seen, l.ValidFrom, l.ValidTo}, func(t int64) bool { return t > after && t <= until })
			}) {
				between = append(between, s)
			}
		}
		slices.SortFunc(between, Subject.Compare)
		if got := a.Between(after, until); !slices.Equal(got, between) {
			t.Fatalf("Between(%d, %d) = %v; want %v", after, until, got, between)
		}
	})
}

// or is one of the labels, or the other where there are none.
func (p plain) or(l Label) Label {
	if len(p) > 0 {
		return p[0]
	}
	return l
}

func mustBook(t *rapid.T, labels []Label) *Book {
	b, err := NewBook(slices.Clone(labels))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
