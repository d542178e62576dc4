package feed

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

func ofac(t *testing.T, file string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(string(open(t, "ofac-2025-01/"+file)))).ReadAll()
	if err != nil || len(rows) < 600 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows[1:]
}

// spellings are all ways in which people write an address.
func spellings(t *testing.T, address string, tickers []string) []string {
	a, err := attribute.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{address, " " + address + "\n", a.String(), a.Address()}
	if a.Chain().IsEVM() {
		digits := strings.ToLower(address[2:])
		out = append(out, "0x"+digits, "0x"+strings.ToUpper(digits), "0X"+strings.ToUpper(digits), digits, "eip155:any:0x"+digits, "eip155:56:"+a.Address())
	}
	if lower := strings.ToLower(address); strings.HasPrefix(lower, "bc1") {
		out = append(out, lower, strings.ToUpper(address))
	}
	for _, ticker := range append([]string{"XBT", "BTC", "ETH", "USDT", "TRX", "LTC", "XMR", "bitcoin", "ethereum", "tron", "DOGE"}, tickers...) {
		out = append(out, ticker+":"+address, strings.ToLower(ticker)+":"+address)
	}
	return out
}

func TestEveryFormOfEveryListedAddressIsFound(t *testing.T) {
	l := read(t, "ofac-2025-01/addresses.csv", Config{})
	p, err := attribute.MakePlan(nil, l, 1_800_000_000)
	if err != nil {
		t.Fatal(err)
	}
	b, err := attribute.NewBook(p.New)
	if err != nil {
		t.Fatal(err)
	}
	forms := 0
	for _, row := range ofac(t, "addresses.csv") {
		if row[3] == "INVALID" {
			if _, err := attribute.ParseSubject(row[0]); !errors.Is(err, flow.ErrAddress) {
				t.Errorf("ParseSubject(%q): %v; want ErrAddress", row[0], err)
			}
			continue
		}
		for _, form := range spellings(t, row[0], strings.Split(row[1], "|")) {
			forms++
			a, err := attribute.ParseAddress(strings.Replace(form, "eip155:any:", "", 1))
			if err != nil {
				t.Errorf("%q: %v", form, err)
				continue
			}
			was := b.LabelsOf(a, day0(t, row[4]), 1_800_000_000)
			if len(was) != 1 || was[0].Category != attribute.Sanction {
				t.Errorf("%q on the day of its listing: %v; want one sanction", form, was)
			}
			now := b.LabelsOf(a, 1_738_281_600, 1_800_000_000)
			if (len(now) == 1) != (row[6] == "current") {
				t.Errorf("%q at the end: %v; it is %s", form, now, row[6])
			}
		}
	}
	t.Logf("%d forms", forms)
}

func day0(t *testing.T, s string) int64 {
	seconds, ok := day(s)
	if !ok {
		t.Fatalf("%q is no day", s)
	}
	return seconds
}

// The list is replayed as it was seen, one import a day. Then every address is asked for at every change, as known on that
// day, and as known at the end, and a listing that came later must not be seen before.
func TestReplayOfTheSanctionsListIsRightAtEveryChange(t *testing.T) {
	events := ofac(t, "listing_events.csv")
	slices.SortStableFunc(events, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	under := map[attribute.Subject]map[string]bool{} // tickers, now
	ever := map[attribute.Subject]bool{}
	type state struct {
		at     int64
		listed map[attribute.Subject]bool
		ever   map[attribute.Subject]bool
	}
	var states []state
	var all []attribute.Label
	book, err := attribute.NewBook(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(events); {
		date := events[i][0]
		for ; i < len(events) && events[i][0] == date; i++ {
			s, err := attribute.ParseSubject(events[i][2])
			if err != nil {
				continue // the one that is no address
			}
			if under[s] == nil {
				under[s] = map[string]bool{}
			}
			if events[i][1] == "add" {
				under[s][events[i][3]], ever[s] = true, true
			} else {
				delete(under[s], events[i][3])
			}
		}
		at := day0(t, date)
		st := state{at, map[attribute.Subject]bool{}, map[attribute.Subject]bool{}}
		var list strings.Builder
		for s, tickers := range under {
			if len(tickers) > 0 {
				st.listed[s] = true
				a, _ := s.Account()
				fmt.Fprintln(&list, a.Address())
			}
		}
		for s := range ever {
			st.ever[s] = true
		}
		states = append(states, st)
		l, err := Read("sanctioned_addresses.txt", strings.NewReader(list.String()), Config{Format: "ofac-addresses", Source: attribute.Source{ID: "ofac", Date: at}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := attribute.MakePlan(book, l, at)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Labels()...)
		if book, err = attribute.NewBook(all); err != nil {
			t.Fatal(err)
		}
	}
	end := states[len(states)-1].at
	if len(states) < 15 || len(ever) != 649 {
		t.Fatalf("%d change points of %d addresses; want more of 649", len(states), len(ever))
	}
	verdicts := 0
	for _, st := range states {
		for s := range ever {
			for _, c := range []struct{ validAt, knownAt int64 }{{st.at, st.at}, {st.at, end}, {st.at + 86399, end}} {
				got := "never"
				for _, l := range book.Known(c.knownAt, s) {
					if l.ValidFrom <= c.validAt && got == "never" {
						got = "formerly"
					}
					if l.ValidAt(c.validAt) {
						got = "listed"
					}
				}
				want := "never"
				if st.listed[s] {
					want = "listed"
				} else if st.ever[s] {
					want = "formerly"
				}
				verdicts++
				if got != want {
					t.Errorf("%s at %d as known at %d: %s; want %s", s, c.validAt, c.knownAt, got, want)
				}
				if inForce := len(book.Of(c.validAt, c.knownAt, s)) == 1; inForce != (want == "listed") {
					t.Errorf("Of(%d, %d, %s): in force %v; want %s", c.validAt, c.knownAt, s, inForce, want)
				}
			}
		}
	}
	t.Logf("%d change points, %d verdicts, none wrong", len(states), verdicts)
}
