package detect

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

//go:embed rules/*.cases
var caseFiles embed.FS

// A story is one case of a rule: events, and who is found. See detect/rules/README.md for how it is written.
type story struct {
	name   string
	line   int
	chain  flow.Chain
	with   map[string]int64
	events []Event
	want   []string // the subjects of each finding that stands
	wanted bool
	now    int64
	height uint64
	txs    map[string]Event
}

// began is the time at which stories begin: a Monday, 0:00 UTC.
const began = 1_600_041_600 // 2020-09-14

func readStories(name, text string) (all []*story, err error) {
	n := 0
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		n++
		line, _, _ := strings.Cut(s.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "case" {
			c, _ := flow.TextChain("eth")
			all = append(all, &story{name: strings.Join(words[1:], "-"), line: n, chain: c, now: began, txs: map[string]Event{}})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%s:%d: before the first case", name, n)
		}
		if err := all[len(all)-1].read(words); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return all, nil
}

func (c *story) read(words []string) error {
	switch words[0] {
	case "chain":
		c.chain = flow.BitcoinRegtest
		return nil
	case "with":
		c.with = map[string]int64{}
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return err
			}
			c.with[k] = n
		}
		return nil
	case "want":
		c.wanted = true
		if words[1] != "nothing" {
			c.want = append(c.want, strings.Join(expandAll(words[1:]), " "))
		}
		return nil
	}
	if len(words) < 5 {
		return fmt.Errorf("%q: TIME FROM TO ASSET AMOUNT", words)
	}
	from, to := expand(words[1]), expand(words[2])
	n := max(len(from), len(to))
	for i := range n {
		if err := c.event(words, from[min(i, len(from)-1)], to[min(i, len(to)-1)]); err != nil {
			return err
		}
	}
	return nil
}

// expand makes p1 p2 p3 of p1..p3.
func expand(word string) []string {
	first, last, ok := strings.Cut(word, "..")
	if !ok {
		return []string{word}
	}
	stem := strings.TrimRight(first, "0123456789")
	a, _ := strconv.Atoi(first[len(stem):])
	b, _ := strconv.Atoi(last[len(stem):])
	var all []string
	for i := a; i <= b; i++ {
		all = append(all, fmt.Sprintf("%s%d", stem, i))
	}
	return all
}

func expandAll(words []string) (all []string) {
	for _, w := range words {
		all = append(all, expand(w)...)
	}
	return all
}

func (c *story) account(name string) (flow.Account, error) {
	if name == "-" {
		return flow.Account{}, nil
	}
	if c.chain.IsUTXO() {
		sum := sha256.Sum256([]byte(name))
		return flow.UTXOAccount(c.chain, flow.PayToScript, sum[:])
	}
	return flow.NewAccount(c.chain, name)
}

func (c *story) event(words []string, from, to string) (err error) {
	if c.now, err = after(c.now, words[0]); err != nil {
		return err
	}
	e := Event{Theft: "theft", Time: c.now}
	if e.From, err = c.account(from); err != nil {
		return err
	}
	if e.To, err = c.account(to); err != nil {
		return err
	}
	e.Asset = c.chain.Native()
	if words[3] != "native" {
		if e.Asset, err = flow.NamedAsset(c.chain, words[3]); err != nil {
			return err
		}
	}
	if e.Amount, err = flow.ParseAmount(words[4]); err != nil {
		return err
	}
	e.Units = e.Amount
	tx := ""
	for _, w := range words[5:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "tx":
			tx = v
		case "theft":
			e.Theft = v
		case "sink":
			e.Sink = Sink(v)
		case "swap":
			e.Swap = Swap(v)
		case "stolen":
			if e.Units, err = flow.ParseAmount(v); err != nil {
				return err
			}
		case "clean":
			e.Units = flow.Amount{}
		case "untimed":
			e.Time = 0
		default:
			return fmt.Errorf("%q: not known", w)
		}
	}
	if before, ok := c.txs[tx]; ok && tx != "" {
		e.Tx, e.At, e.Time = before.Tx, before.At, before.Time
		e.At.Movement++
	} else {
		c.height++
		e.At = flow.Pos{Height: c.height}
		e.Tx = sha256.Sum256([]byte(fmt.Sprintf("%s %d", c.name, c.height)))
	}
	c.txs[tx] = e
	c.events = append(c.events, e)
	return nil
}

// after is a time behind a word: "+90m" after now, "3d4h" after the beginning.
func after(now int64, word string) (int64, error) {
	rest, relative := strings.CutPrefix(word, "+")
	base := int64(began)
	if relative {
		base = now
	}
	days := 0
	if d, r, ok := strings.Cut(rest, "d"); ok {
		var err error
		if days, err = strconv.Atoi(d); err != nil {
			return 0, err
		}
		rest = r
	}
	var more time.Duration
	if rest != "" {
		var err error
		if more, err = time.ParseDuration(rest); err != nil {
			return 0, err
		}
	}
	return base + int64(days)*86400 + int64(more/time.Second), nil
}

// found are the findings of one rule that stand, by their subjects.
func (c *story) found(t *testing.T, id string) []string {
	t.Helper()
	rules := Rules()
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
	rule := rules[i : i+1]
	if c.with != nil {
		text := id + ":\n"
		for k, v := range c.with {
			text += fmt.Sprintf("  %s: %d\n", k, v)
		}
		var err error
		if rule, err = Override(rule, c.name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	all := detectAll(t, c.events, Options{Rules: rule})
	names := map[flow.Account]string{}
	for _, n := range c.names() {
		a, err := c.account(n)
		if err != nil {
			t.Fatal(err)
		}
		names[a] = n
	}
	var got []string
	for _, f := range finding.Standing(all) {
		var subjects []string
		for _, s := range f.Subjects {
			subjects = append(subjects, names[s])
		}
		got = append(got, strings.Join(subjects, " "))
	}
	return got
}

// names are all names that the wanted findings can have.
func (c *story) names() []string {
	var all []string
	for _, w := range c.want {
		all = append(all, strings.Fields(w)...)
	}
	if !c.chain.IsUTXO() {
		for _, e := range c.events {
			all = append(all, e.From.Address(), e.To.Address())
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func detectAll(t testing.TB, events []Event, o Options) []finding.Finding {
	t.Helper()
	found, err := Run(func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every rule has cases, at least three where something is found and three where nothing is, and they hold.
func TestCases(t *testing.T) {
	for _, r := range Rules() {
		t.Run(r.ID, func(t *testing.T) {
			name := "rules/" + r.ID + ".cases"
			text, err := fs.ReadFile(caseFiles, name)
			if err != nil {
				t.Fatalf("a rule without cases: %v", err)
			}
			stories, err := readStories(name, string(text))
			if err != nil {
				t.Fatal(err)
			}
			yes, no := 0, 0
			for _, c := range stories {
				if !c.wanted || len(c.events) == 0 {
					t.Errorf("%s:%d: case %s: no events, or nothing said about what is wanted", name, c.line, c.name)
				}
				if len(c.want) > 0 {
					yes++
				} else {
					no++
				}
				if got := c.found(t, r.ID); !slices.Equal(got, c.want) {
					t.Errorf("%s:%d: case %s: found %q; want %q", name, c.line, c.name, got, c.want)
				}
			}
			if yes < 3 || no < 3 {
				t.Errorf("%d cases where something is found, %d where nothing is; want three of each", yes, no)
			}
		})
	}
}

// Every file of cases belongs to a rule.
func TestNoCasesWithoutARule(t *testing.T) {
	names, err := fs.Glob(caseFiles, "rules/*.cases")
	if err != nil || len(names) != len(Rules()) {
		t.Errorf("%d files of cases for %d rules: %v", len(names), len(Rules()), err)
	}
}
