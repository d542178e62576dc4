package sim

import (
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// The books against units that are kept one by one. Within one asset a stolen unit carries a claim of one unit.
func TestBooksAgreeWithSingleUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBooks()
		units := map[account][]int{} // stolen ones by theft, -1 for own; the stolen ones stand first, oldest first
		sortUnits := func(u []int) {
			slices.SortStableFunc(u, func(x, y int) int { return min(x+1, 1)*-1 + min(y+1, 1) })
		}
		for i := range 3 {
			who := account(i)
			n := rapid.IntRange(0, 30).Draw(t, "own")
			s := rapid.IntRange(1, 30).Draw(t, "stolen")
			b.credit(holding{who, usdt}, flow.NewAmount(uint64(n)))
			v := flow.NewAmount(uint64(s))
			b.give(holding{who, usdt}, v, []lot{{i, v, v}})
			for range s {
				units[who] = append(units[who], i)
			}
			for range n {
				units[who] = append(units[who], -1)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "payments") {
			from, to := account(rapid.IntRange(0, 4).Draw(t, "from")), account(rapid.IntRange(0, 4).Draw(t, "to"))
			have := units[from]
			n := rapid.IntRange(0, len(have)).Draw(t, "amount")
			rule := rapid.SampledFrom([]Rule{StolenFirst, OwnFirst, Mixed}).Draw(t, "rule")
			stolen := 0
			for _, u := range have {
				if u >= 0 {
					stolen++
				}
			}
			k := 0 // how many stolen units go
			switch rule {
			case StolenFirst:
				k = min(n, stolen)
			case OwnFirst:
				k = max(n-(len(have)-stolen), 0)
			case Mixed:
				if len(have) > 0 {
					k = n * stolen / len(have)
				}
			}
			goes := append(slices.Clone(have[:k]), have[stolen:stolen+n-k]...)
			units[from] = append(slices.Clone(have[k:stolen]), have[stolen+n-k:]...)
			units[to] = append(units[to], goes...)
			sortUnits(units[to])

			v := flow.NewAmount(uint64(n))
			lots := b.take(holding{from, usdt}, v, rule)
			if unitsOf(lots) != flow.NewAmount(uint64(k)) || claimOf(lots) != unitsOf(lots) {
				t.Fatalf("%s: %d of %d: %s stolen units with a claim of %s go; want %d", rule, n, len(have), unitsOf(lots), claimOf(lots), k)
			}
			b.give(holding{to, usdt}, v, lots)
			for who, u := range units {
				h := holding{who, usdt}
				var flat []int
				for _, l := range b.lots[h] {
					m, _ := l.units.Uint64()
					for range m {
						flat = append(flat, l.theft)
					}
				}
				s := 0
				for s < len(u) && u[s] >= 0 {
					s++
				}
				if b.balance[h] != flow.NewAmount(uint64(len(u))) || !slices.Equal(flat, u[:s]) {
					t.Fatalf("account %d has %s with %v; want %d with %v", who, b.balance[h], flat, len(u), u[:s])
				}
			}
		}
	})
}

func TestExchangedKeepsClaims(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lots []lot
		given := flow.Amount{}
		for i := range rapid.IntRange(0, 5).Draw(t, "lots") {
			u := flow.NewAmount(rapid.Uint64Range(1, 1e18).Draw(t, "units"))
			lots = append(lots, lot{i, u, flow.NewAmount(rapid.Uint64().Draw(t, "claim"))})
			given = plus(given, u)
		}
		given = plus(given, flow.NewAmount(rapid.Uint64Range(1, 1e18).Draw(t, "clean")))
		out := flow.NewAmount(rapid.Uint64().Draw(t, "out"))
		got := exchanged(lots, given, out)
		if claimOf(got) != claimOf(lots) || out.Less(unitsOf(got)) || len(lots) > 0 && unitsOf(got) != out.Share(unitsOf(lots), given) {
			t.Fatalf("%v of %s became %v of %s", lots, given, got, out)
		}
	})
}

func TestPayingWhatIsNotThereIsOurMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	b := newBooks()
	b.take(holding{1, ether}, flow.NewAmount(1), OwnFirst)
}
