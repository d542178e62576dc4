package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Program is what the thief of a generated case does: steps that every parcel of the loot goes through in order. It is
// a description for a generator of test data; nothing in it names or reaches a real service.
type Program []Step

// A Step is one line of a Program. Which fields count depends on Op.
type Step struct {
	Op      Op
	N       int           // hop, peel: how many hops; split: how many ways; pattern: its width
	Amount  uint64        // steal: whole units
	Asset   string        // steal, swap: ETH, USDT or USDC
	Low     int           // peel: smallest share that is taken off, in per cent
	High    int           // peel: largest
	To      Op            // peel: where the peelings go: Deposit, Broker or Rest
	Median  time.Duration // dwell
	Sigma   float64       // dwell: standard deviation of the logarithm
	Own     int           // commingle: the share of own money in the balance, in per cent
	Rule    Rule          // pays
	Pattern string        // pattern: one of Patterns
}

// An Op is what a Step does.
type Op string

// The operations. Steal stands first in a program; Dwell and Pays hold for the steps behind them.
const (
	Steal     Op = "steal"     // steal AMOUNT ASSET
	DwellOp   Op = "dwell"     // dwell MEDIAN SIGMA: a lognormal wait before each payment
	Pays      Op = "pays"      // pays RULE: which coins a payment is made of, where own money lies beside the loot
	Hop       Op = "hop"       // hop N: on to a fresh account, N times
	Split     Op = "split"     // split N: on to N fresh accounts
	Peel      Op = "peel"      // peel N LOW..HIGH WHERE: N hops, each takes LOW to HIGH per cent off
	Swap      Op = "swap"      // swap ASSET: at a pool
	Bridge    Op = "bridge"    // bridge: to the other chain, and back
	Mix       Op = "mix"       // mix: notes of equal size through a mixer pool
	Commingle Op = "commingle" // commingle SHARE: own money comes to the account first
	Deposit   Op = "deposit"   // deposit: to a deposit address of an exchange, the end
	Broker    Op = "broker"    // broker: to somebody who buys from many, the end
	Rest      Op = "rest"      // rest: stays where it is, the end
	PatternOp Op = "pattern"   // pattern NAME K: one of the eight shapes of Patterns
)

// patternNames are the eight shapes of AMLworld (Altman et al., NeurIPS 2023). A shape which begins at many accounts is
// led to from one; the program goes on from each where it ends.
var patternNames = [...]string{"fan-out", "fan-in", "gather-scatter", "scatter-gather", "cycle", "random", "bipartite", "stack"}

// Patterns are the names of the shapes that a pattern step knows.
func Patterns() []string { return slices.Clone(patternNames[:]) }

// A Rule says which coins of a balance a payment is made of.
type Rule string

// The rules of payment.
const (
	StolenFirst Rule = "stolen-first"
	OwnFirst    Rule = "own-first"
	Mixed       Rule = "mixed"  // in proportion
	AnyRule     Rule = "random" // one of the three, drawn for each account
)

// The bounds of a program.
const (
	maxSteps    = 200
	maxWide     = 1000   // of one step
	maxPayments = 200000 // that a program may come to
	maxDwell    = 365 * 24 * time.Hour
)

// ErrProgram is returned for text that is no program.
var ErrProgram = errors.New("not a program of steps")

// ParseProgram reads a program: a step on each line, # begins a comment. Errors wrap ErrProgram and name the line.
func ParseProgram(text string) (Program, error) {
	var p Program
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(p) == maxSteps {
			return nil, fmt.Errorf("line %d: %w: more than %d steps", n, ErrProgram, maxSteps)
		}
		s, err := parseStep(Op(words[0]), words[1:])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %.100q: %w", n, ErrProgram, strings.TrimSpace(line), err)
		}
		p = append(p, s)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProgram, err)
	}
	return p, nil
}

func parseStep(op Op, args []string) (s Step, err error) {
	s.Op = op
	want := map[Op]int{Steal: 2, DwellOp: 2, Pays: 1, Hop: 1, Split: 1, Peel: 3, Swap: 1, Bridge: 0, Mix: 0, Commingle: 1, Deposit: 0,
		Broker: 0, Rest: 0, PatternOp: 2}
	k, ok := want[op]
	if !ok {
		return s, errors.New("no such step")
	}
	if len(args) != k {
		return s, fmt.Errorf("%d arguments, want %d", len(args), k)
	}
	switch op {
	case Steal:
		s.Asset = args[1]
		s.Amount, err = strconv.ParseUint(args[0], 10, 64)
	case Swap:
		s.Asset = args[0]
	case DwellOp:
		if s.Median, err = time.ParseDuration(args[0]); err == nil {
			s.Sigma, err = strconv.ParseFloat(args[1], 64)
		}
	case Pays:
		s.Rule = Rule(args[0])
	case Hop, Split:
		s.N, err = strconv.Atoi(args[0])
	case Peel:
		low, high, _ := strings.Cut(args[1], "..")
		s.N, err = strconv.Atoi(args[0])
		if err == nil {
			s.Low, err = strconv.Atoi(low)
		}
		if err == nil {
			s.High, err = strconv.Atoi(high)
		}
		s.To = Op(args[2])
	case Commingle:
		s.Own, err = strconv.Atoi(args[0])
	case PatternOp:
		s.Pattern = args[0]
		s.N, err = strconv.Atoi(args[1])
	}
	if err != nil {
		return s, err
	}
	return s, s.check()
}

// check says what is wrong with a step by itself.
func (s Step) check() error {
	wide := func() error {
		if s.N < 1 || s.N > maxWide {
			return fmt.Errorf("%d is not from 1 to %d", s.N, maxWide)
		}
		return nil
	}
	switch s.Op {
	case Steal, Swap:
		if _, ok := assetNumber[s.Asset]; !ok {
			return fmt.Errorf("asset %.20q is none of ETH, USDT, USDC", s.Asset)
		}
		if s.Op == Steal && (s.Amount < 1 || s.Amount > 1e9) {
			return fmt.Errorf("an amount of %d is not from 1 to a thousand million", s.Amount)
		}
	case DwellOp:
		if s.Median < time.Second || s.Median > maxDwell || !(s.Sigma >= 0 && s.Sigma <= 4) {
			return errors.New("a median is from 1s to a year, a sigma from 0 to 4")
		}
	case Pays:
		if !slices.Contains([]Rule{StolenFirst, OwnFirst, Mixed, AnyRule}, s.Rule) {
			return errors.New("the rules are stolen-first, own-first, mixed, random")
		}
	case Hop, Split:
		return wide()
	case Peel:
		if s.Low < 1 || s.High < s.Low || s.High > 50 {
			return errors.New("a share is LOW..HIGH with numbers from 1 to 50")
		}
		if s.To != Deposit && s.To != Broker && s.To != Rest {
			return errors.New("what is peeled goes to deposit, broker or rest")
		}
		return wide()
	case Commingle:
		if s.Own < 1 || s.Own > maxOwn {
			return fmt.Errorf("a share of own money is from 1 to %d per cent", maxOwn)
		}
	case PatternOp:
		if !slices.Contains(patternNames[:], s.Pattern) {
			return fmt.Errorf("the patterns are %s", strings.Join(patternNames[:], ", "))
		}
		if s.N < 2 || s.N > 30 {
			return errors.New("a pattern is from 2 to 30 wide")
		}
	}
	return nil
}

// check says what is wrong with the steps together.
func (p Program) check() error {
	thefts, parcels, payments := 0, 0, 0
	ended := false
	for i, s := range p {
		if err := s.check(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		if ended {
			return fmt.Errorf("step %d comes after the end", i+1)
		}
		if s.Op == Steal {
			if thefts != i {
				return fmt.Errorf("step %d: thefts stand first", i+1)
			}
			thefts++
			parcels++
			continue
		}
		switch s.Op {
		case Hop, Peel:
			payments += 2 * s.N * parcels
		case Split:
			parcels *= s.N
			payments += parcels
		case Mix:
			parcels *= mixAccounts
			payments += mixNotes * parcels
		case PatternOp:
			payments += parcels * 3 * s.N * s.N
			if k := s.Pattern; k != "fan-in" && k != "scatter-gather" && k != "cycle" {
				parcels *= s.N
			}
		case Deposit, Broker, Rest:
			payments += parcels
			ended = true
		case Swap, Bridge, Commingle:
			payments += parcels
		}
		if payments > maxPayments || parcels > maxPayments {
			return fmt.Errorf("step %d: more than %d payments", i+1, maxPayments)
		}
	}
	if thefts == 0 || thefts > maxThefts {
		return fmt.Errorf("%d thefts, want 1 to %d", thefts, maxThefts)
	}
	return nil
}

// has reports whether a step of that kind is in p.
func (p Program) has(op Op) bool {
	return slices.ContainsFunc(p, func(s Step) bool { return s.Op == op })
}

// String is the program as text, a step on each line.
func (p Program) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// String is the step as a line of text.
func (s Step) String() string {
	switch s.Op {
	case Steal:
		return fmt.Sprintf("steal %d %s", s.Amount, s.Asset)
	case DwellOp:
		return fmt.Sprintf("dwell %s %s", s.Median, strconv.FormatFloat(s.Sigma, 'f', -1, 64))
	case Pays:
		return "pays " + string(s.Rule)
	case Hop, Split:
		return fmt.Sprintf("%s %d", s.Op, s.N)
	case Peel:
		return fmt.Sprintf("peel %d %d..%d %s", s.N, s.Low, s.High, s.To)
	case Swap:
		return "swap " + s.Asset
	case Commingle:
		return fmt.Sprintf("commingle %d", s.Own)
	case PatternOp:
		return fmt.Sprintf("pattern %s %d", s.Pattern, s.N)
	}
	return string(s.Op)
}
