package bench

import (
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/screen"
)

func TestScreenMeasuresWhatItSays(t *testing.T) {
	figures, err := Screen(t.Context(), t.TempDir()+"/screen", ScreenConfig{Seed: 1, Labels: 2000, Questions: 4000, Accounts: 5, Movements: 20_000}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(figures) != 3 || figures[0].Workload != "screen-ready" || figures[0].N != 2000 || figures[1].N != 4000 || figures[2].N != 5 {
		t.Errorf("figures %+v", figures)
	}
}

func BenchmarkScreenDirect(b *testing.B) {
	var labels []attribute.Label
	for n := range 100_000 {
		labels = append(labels, labelOf(1, n))
	}
	book, err := attribute.NewBook(labels)
	if err != nil {
		b.Fatal(err)
	}
	s := engine.NewScreener(engine.ScreenConfig{}, book)
	var questions []screen.Question
	for i := range 1 << 12 {
		n := uint64(i) | labelMark
		if i%2 == 1 {
			n |= 1 << 60
		}
		questions = append(questions, screen.Question{Account: account(1, n), AsOf: labelsFrom + 3600, Direct: true})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := s.Ask(b.Context(), questions[i%len(questions)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
