package attribute

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A digest stands for a claim: two claims that differ anywhere, and be it in where one text ends and the next begins, have two.
func TestClaimsAreToldApartByTheirKeys(t *testing.T) {
	claim := rapid.Custom(func(t *rapid.T) Claim {
		text := rapid.SampledFrom([]string{"", "a", "aa", "a\x00", "\x01\x00\x00\x00a"})
		return Claim{text.Draw(t, "source"), rapid.SampledFrom(subjects()).Draw(t, "subject"), Category(text.Draw(t, "category")),
			text.Draw(t, "name"), text.Draw(t, "actor"), rapid.Int64Range(0, 2).Draw(t, "from")}
	})
	rapid.Check(t, func(t *rapid.T) {
		x, y := claim.Draw(t, "x"), claim.Draw(t, "y")
		if rapid.Bool().Draw(t, "the same") {
			y = x
		}
		a, room := x.key(nil)
		b, _ := y.key(room)
		if (a == b) != (x == y) {
			t.Fatalf("%+v and %+v: keys %x and %x", x, y, a, b)
		}
	})
}

// A list that says everything twice, and then again, changes nothing but the first time; what it leaves out ends.
func TestPlanOfALongList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := drawLabels(t)
		l := &Listing{Source: Source{ID: "s"}}
		claims := map[Claim]bool{}
		for _, label := range drawn {
			label.Source, label.ValidTo, label.Stance = Source{}, 0, Asserts
			l.Labels = append(l.Labels, label, label)
			claim := label.Claim()
			claim.Source = "s"
			claims[claim] = true
		}
		l.Rows, l.Taken = len(l.Labels), len(l.Labels)
		p, err := MakePlan(nil, l, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.New) != len(claims) || p.Repeated != len(l.Labels)-len(claims) || len(p.Changed)+len(p.Ended)+p.Unchanged > 0 {
			t.Fatalf("%d new, %d repeated of %d claims in %d labels", len(p.New), p.Repeated, len(claims), len(l.Labels))
		}
		b, err := NewBook(p.Labels())
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(l.Labels) // the first of a claim counts, and is another one now
		again, err := MakePlan(b, l, 11)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.New)+len(again.Ended) > 0 || again.Unchanged+len(again.Changed) != len(claims) || again.Before != len(claims) {
			t.Fatalf("again: %+v", again)
		}
		none, err := MakePlan(b, &Listing{Source: l.Source}, 11)
		if err != nil {
			t.Fatal(err)
		}
		if len(none.Ended) != len(claims) {
			t.Fatalf("an empty list ends %d of %d claims", len(none.Ended), len(claims))
		}
	})
}
