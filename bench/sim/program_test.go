package sim

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestProgramsReadBack(t *testing.T) {
	for _, s := range Scenarios() {
		p, err := ParseProgram(s.Config.Program.String())
		if err != nil || !reflect.DeepEqual(p, s.Config.Program) {
			t.Errorf("%s reads back as %v, %v", s.Name, p, err)
		}
		if err := s.Config.withDefaults().check(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := someProgram().Draw(t, "program")
		q, err := ParseProgram("# a comment\n\n" + strings.ReplaceAll(p.String(), "\n", " # why\n"))
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%q reads back as %q, %v", p, q, err)
		}
	})
}

// someProgram draws programs that stay small.
func someProgram() *rapid.Generator[Program] {
	step := rapid.Custom(func(t *rapid.T) Step {
		op := rapid.SampledFrom([]Op{DwellOp, Pays, Hop, Split, Peel, Swap, Bridge, Mix, Commingle, PatternOp}).Draw(t, "op")
		s := Step{Op: op}
		switch op {
		case DwellOp:
			s.Median = time.Duration(rapid.IntRange(1, 1000).Draw(t, "seconds")) * time.Second
			s.Sigma = float64(rapid.IntRange(0, 20).Draw(t, "sigma")) / 10
		case Pays:
			s.Rule = rapid.SampledFrom([]Rule{StolenFirst, OwnFirst, Mixed, AnyRule}).Draw(t, "rule")
		case Hop, Split:
			s.N = rapid.IntRange(1, 3).Draw(t, "n")
		case Peel:
			s.N = rapid.IntRange(1, 4).Draw(t, "n")
			s.Low = rapid.IntRange(1, 50).Draw(t, "low")
			s.High = rapid.IntRange(s.Low, 50).Draw(t, "high")
			s.To = rapid.SampledFrom([]Op{Deposit, Broker, Rest}).Draw(t, "to")
		case Swap:
			s.Asset = rapid.SampledFrom([]string{"ETH", "USDT", "USDC"}).Draw(t, "asset")
		case Commingle:
			s.Own = rapid.IntRange(1, maxOwn).Draw(t, "own")
		case PatternOp:
			s.Pattern = rapid.SampledFrom(Patterns()).Draw(t, "pattern")
			s.N = rapid.IntRange(2, 3).Draw(t, "n")
		}
		return s
	})
	return rapid.Custom(func(t *rapid.T) Program {
		var p Program
		for range rapid.IntRange(1, 3).Draw(t, "thefts") {
			p = append(p, Step{Op: Steal, Amount: rapid.Uint64Range(1, 5000).Draw(t, "amount"),
				Asset: rapid.SampledFrom([]string{"ETH", "USDT", "USDC"}).Draw(t, "asset")})
		}
		p = append(p, rapid.SliceOfN(step, 0, 5).Draw(t, "steps")...)
		if end := rapid.SampledFrom([]Op{"", Deposit, Broker, Rest}).Draw(t, "end"); end != "" {
			p = append(p, Step{Op: end})
		}
		return p
	})
}

func TestParseProgramRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                  "0 thefts",
		"hop 1":                                             "0 thefts",
		"steal 0 ETH":                                       "line 1",
		"steal 1 DOGE":                                      "none of ETH",
		"steal -1 ETH":                                      "line 1",
		"steal 5 ETH\n\nhop":                                "line 3",
		"steal 5 ETH\nhop 0":                                "line 2",
		"steal 5 ETH\nhop 1001":                             "1 to 1000",
		"steal 5 ETH\nfly 1":                                "no such step",
		"steal 5 ETH\ndwell 1s NaN":                         "sigma",
		"steal 5 ETH\ndwell 99999h 1":                       "a year",
		"steal 5 ETH\ndwell -1s 1":                          "a year",
		"steal 5 ETH\npeel 3 0..5 rest":                     "LOW..HIGH",
		"steal 5 ETH\npeel 3 5 rest":                        "line 2",
		"steal 5 ETH\npeel 3 5..6 bridge":                   "deposit, broker or rest",
		"steal 5 ETH\npattern star 3":                       "fan-out",
		"steal 5 ETH\npattern cycle 99":                     "2 to 30",
		"steal 5 ETH\npays last":                            "own-first",
		"steal 5 ETH\ncommingle 91":                         "1 to 90",
		"steal 5 ETH\ndeposit\nhop 1":                       "after the end",
		"steal 5 ETH\nhop 1\nsteal 5 ETH":                   "stand first",
		strings.Repeat("steal 5 ETH\n", 9):                  "1 to 8",
		strings.Repeat("pays mixed\n", 999):                 "more than 200 steps",
		"steal 5 ETH\n" + strings.Repeat("split 1000\n", 3): "more than 200000 payments",
	} {
		p, err := ParseProgram(text)
		if !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseProgram(%.60q) = %v, %v; want ErrProgram with %q", text, p, err, want)
		}
	}
}

func FuzzParseProgram(f *testing.F) {
	for _, s := range Scenarios() {
		f.Add(s.Config.Program.String())
	}
	f.Add("steal 1 ETH\npeel 1 1..1 rest\ndwell 1e3h 1e-3\npays random # x\nmix\nbridge")
	f.Add("steal 18446744073709551615 USDT")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseProgram(text)
		if err != nil {
			if !errors.Is(err, ErrProgram) {
				t.Fatalf("%q: %v is not ErrProgram", text, err)
			}
			return
		}
		q, err := ParseProgram(p.String())
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%q reads back as %q, %v", p, q, err)
		}
	})
}

// Whatever the program: claims add up, and the world's own checks (nobody pays what he does not have) hold.
func TestAnyProgramKeepsItsBooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Seed: rapid.Uint64().Draw(t, "seed"), Program: someProgram().Draw(t, "program"), Accounts: 100, Transfers: 300, Days: 1,
			Commingle: rapid.IntRange(0, maxOwn).Draw(t, "commingle"), Ordinary: rapid.IntRange(0, 100).Draw(t, "ordinary"),
			Pays: rapid.SampledFrom([]Rule{StolenFirst, OwnFirst, Mixed, AnyRule}).Draw(t, "pays"),
			Dust: rapid.IntRange(0, 20).Draw(t, "dust"), Decoys: rapid.IntRange(0, 2).Draw(t, "decoys"), Duplicates: 50,
			Mule: rapid.IntRange(0, 20).Draw(t, "mule"), SmallHubs: rapid.Bool().Draw(t, "small"), Unlabelled: 40,
			FreshExchange: rapid.Bool().Draw(t, "fresh"),
		}.withDefaults()
		if err := c.check(); err != nil {
			t.Skip(err)
		}
		w := newWorld(c)
		if err := w.play(t.Context(), nil, func(int, []*row) error { return nil }); err != nil {
			t.Fatal(err)
		}
		claims := map[int]string{}
		for i := range w.truth.thefts {
			var all []lot
			for _, lots := range w.lots {
				all = append(all, lots...)
			}
			for _, l := range w.sinks {
				all = append(all, l)
			}
			var mine []lot
			for _, l := range all {
				if l.theft == i {
					mine = append(mine, l)
				}
			}
			claims[i] = claimOf(mine).String()
			if claims[i] != w.truth.thefts[i].amount.String() {
				t.Fatalf("theft %d: claims of %s; want %s", i, claims[i], w.truth.thefts[i].amount)
			}
		}
		for h := range w.lots {
			if w.balance[h].Less(w.stolen(h)) {
				t.Fatalf("account %x has %s, of which %s are stolen", h.who, w.balance[h], w.stolen(h))
			}
		}
	})
}
