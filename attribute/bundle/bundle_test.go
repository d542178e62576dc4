package bundle

import (
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

func TestBundleReads(t *testing.T) {
	all, err := Listings()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, l := range all {
		if len(l.Labels) == 0 || l.Source.Licence == "" || l.Source.Date == 0 || l.Source.URI == "" {
			t.Errorf("%s: %d labels, licence %q, date %d, from %q", l.Source.ID, len(l.Labels), l.Source.Licence, l.Source.Date, l.Source.URI)
		}
		refused += len(l.Refused)
	}
	if refused != 2 { // the 64 digits under XMR, and a wrong EIP-55 sum
		t.Errorf("%d rows in quarantine; want 2", refused)
	}
	b, err := Book()
	if err != nil {
		t.Fatal(err)
	}
	date, err := SanctionsDate()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		address string
		want    attribute.Category
		service bool
	}{
		{"0x098B716B8Aaf21512996dC57EB0615e2383E2f96", attribute.Sanction, false}, // Ronin
		{"0x3f5CE5FBFe3E9af3971dD833D26bA9b5C936f0bE", attribute.Exchange, true},
		{"0x910Cbd523D972eb0a6f4cAe4618aD62622b39DbF", attribute.Mixing, true},
		{"3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG", "x:stolen_funds", false},
	} {
		a, err := flow.ParseAccount(c.address)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, l := range b.LabelsOf(a, date, 1<<40) {
			found = found || l.Category == c.want && l.Service == c.service
		}
		if !found {
			t.Errorf("%s: %v; want %s", c.address, b.LabelsOf(a, date, 1<<40), c.want)
		}
	}
}
