package engine

import (
	"encoding/csv"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/feed"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/screen"
)

func ofac(t *testing.T, name string) (rows [][]string, labels *attribute.Book) {
	t.Helper()
	f, err := os.Open(measure.Path(t, "data/intel/ofac-2025-01/"+name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := feed.Read(name, f, feed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Labels {
		if list.Labels[i].Source.ID == "" {
			list.Labels[i].Source = list.Source
		}
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if rows, err = csv.NewReader(f).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return rows[1:], book(t, list.Labels...)
}

// forms are the ways in which people write an address.
func forms(text string, a flow.Account) []string {
	all := []string{text, a.String(), " " + text + "\n", "XBT:" + text, "eth:" + text, "USDT:" + text, "DOGE:" + text}
	if a.Chain().IsEVM() {
		digits := strings.TrimPrefix(text, "0x")
		all = append(all, strings.ToLower(text), "0x"+strings.ToUpper(digits), "0X"+strings.ToUpper(digits), digits, a.Address(),
			"eip155:137:"+a.Address(), "eip155:1:"+strings.ToLower(text), "ETH:"+strings.ToLower(text))
	}
	if strings.HasPrefix(text, "bc1") {
		all = append(all, strings.ToUpper(text), "BTC:"+strings.ToUpper(text))
	}
	return all
}

func TestEveryFormOfAListedAddressIsBlocked(t *testing.T) {
	rows, labels := ofac(t, "addresses.csv")
	s := NewScreener(ScreenConfig{}, labels)
	asked, none := 0, 0
	for _, row := range rows {
		a, err := attribute.ParseAddress(row[0])
		if err != nil {
			none++
			continue
		}
		if row[6] != "current" {
			continue
		}
		for _, text := range forms(row[0], a) {
			asked++
			parsed, err := s.ParseAccount(text)
			if err != nil {
				t.Errorf("%q: %v", text, err)
				continue
			}
			v, err := s.Ask(t.Context(), screen.Question{Account: parsed, AsOf: time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC).Unix()})
			if err != nil || v.Decision != screen.Block {
				t.Errorf("%q is %s (%s), %v; want block", text, v.Decision, parsed, err)
			}
		}
	}
	if none != 1 || asked < 5000 {
		t.Errorf("%d rows are no address, want 1; %d forms asked", none, asked)
	}
}

func TestABrokenListedAddressIsAnError(t *testing.T) {
	rows, labels := ofac(t, "addresses.csv")
	s := NewScreener(ScreenConfig{}, labels)
	for _, row := range rows {
		if row[3] != "ok" {
			continue
		}
		for i := len(row[0]) - 1; i > len(row[0])-6; i-- {
			broken := []byte(row[0])
			switch c := broken[i]; {
			case c >= 'a' && c <= 'f' && strings.HasPrefix(row[0], "0x"):
				broken[i] = c - 32
			case c >= 'A' && c <= 'F' && strings.HasPrefix(row[0], "0x"):
				broken[i] = c + 32
			case strings.HasPrefix(row[0], "0x"):
				continue
			case c == 'q':
				broken[i] = 'p'
			default:
				broken[i] = 'q'
			}
			// A mixed case that became all lower or all upper is another legal spelling, and not broken.
			if digits := string(broken[2:]); strings.HasPrefix(row[0], "0x") && (digits == strings.ToLower(digits) || digits == strings.ToUpper(digits)) ||
				row[0] == strings.ToLower(row[0]) && strings.HasPrefix(row[0], "0x") {
				continue
			}
			if a, err := s.ParseAccount(string(broken)); !errors.Is(err, flow.ErrChecksum) && !errors.Is(err, flow.ErrAddress) {
				t.Errorf("%q is read as %s, %v; want an error", broken, a, err)
			}
		}
	}
}

func TestSanctionsAreRightAtEveryChangePoint(t *testing.T) {
	rows, labels := ofac(t, "listing_events.csv")
	s := NewScreener(ScreenConfig{}, labels)
	type change struct {
		day int64
		add bool
	}
	changes := map[flow.Account][]change{}
	var days []int64
	for _, row := range rows {
		a, err := attribute.ParseAddress(row[2])
		if err != nil {
			continue
		}
		day, err := time.Parse(time.DateOnly, row[0])
		if err != nil {
			t.Fatal(err)
		}
		changes[a] = append(changes[a], change{day.Unix(), row[1] == "add"})
		days = append(days, day.Unix())
	}
	slices.Sort(days)
	days = slices.Compact(days)
	asked, blocked, wrong := 0, 0, 0
	for a, events := range changes {
		slices.SortStableFunc(events, func(x, y change) int { return int(x.day - y.day) })
		for _, day := range days {
			for _, at := range []int64{day - 1, day, day + 86_399} {
				want := false
				for _, e := range events {
					if e.day <= at {
						want = e.add
					}
				}
				v, err := s.Ask(t.Context(), screen.Question{Account: a, AsOf: at, KnownAt: days[len(days)-1] + 86_400})
				if err != nil {
					t.Fatal(err)
				}
				asked++
				if got := v.Decision == screen.Block; got != want {
					if wrong++; wrong < 10 {
						t.Errorf("%s at %s is %s; want listed %v", a, time.Unix(at, 0).UTC(), v.Decision, want)
					}
				} else if got {
					blocked++
				}
			}
		}
	}
	if asked < 50_000 || blocked < 10_000 || wrong > 0 {
		t.Errorf("%d asked, %d blocked, %d wrong", asked, blocked, wrong)
	}
}
