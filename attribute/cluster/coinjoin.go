package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Mix is a way in which strangers sign one Bitcoin transaction together, or prepare to.
type Mix uint8

// The ways of mixing. They are part of stored formats: never renumber.
const (
	Wasabi1      Mix = 1
	Wasabi2      Mix = 2
	Whirlpool    Mix = 3
	WhirlpoolTx0 Mix = 4 // one owner cuts coins to the size of a pool, and pays for the mixes to come
	JoinMarket   Mix = 5
	EqualOutputs Mix = 6 // equal outputs for at least three whose software is not known
	Stonewall    Mix = 7 // two equal outputs and change: one owner who imitates a mix, or two who make one
)

var mixNames = [...]string{"", "wasabi-1", "wasabi-2", "whirlpool", "whirlpool-tx0", "joinmarket", "equal-outputs", "stonewall"}

// String is the way in a word.
func (m Mix) String() string {
	if int(m) < len(mixNames) && m > 0 {
		return mixNames[m]
	}
	return fmt.Sprintf("mix%d", uint8(m))
}

// MarshalText writes the word.
func (m Mix) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// A CoinJoin is what a transaction looks like that strangers may have signed together.
type CoinJoin struct {
	Mix          Mix         `json:"mix"`
	Confidence   int         `json:"confidence"`   // 0 to 100
	Participants int         `json:"participants"` // at least, as far as equal outputs say
	Denomination flow.Amount `json:"denomination"` // the most frequent value of an output, in satoshi
	Reasons      []string    `json:"reasons"`
}

// ManyOwners reports whether the inputs may have several owners. It is false only for a Tx0, which one owner signs.
func (c CoinJoin) ManyOwners() bool { return c.Mix != WhirlpoolTx0 }

// The heights from which on there was such software: Wasabi 1 and 2 (as in nopara73/Dumplings).
const (
	wasabi1Since = 530_500
	wasabi2Since = 741_213
)

// dustOutputs are values that outputs have for technical reasons: the least ones that nodes relay, and those of protocols
// that write on Bitcoin.
var dustOutputs = [...]uint64{294, 330, 546, 2730}

// A sheet is what the rules ask about a transaction.
type sheet struct {
	in, out   []leg
	early     func(since uint64) bool // whether the block is known to be older than that height
	distinct  int                     // accounts among the inputs
	apart     bool                    // no account takes two outputs
	common    uint64                  // the most frequent value among the outputs, the larger of equally frequent ones; no dust
	equal     int                     // how many outputs have it
	values    int                     // distinct values among the outputs
	notes     int                     // outputs that are worth nothing
	fee       uint64
	inTypes   map[script]bool
	allTypes  map[script]bool
	sortedIn  bool // from the largest to the smallest
	sortedOut bool
}

type leg struct {
	account flow.Account
	value   uint64
}

// newSheet reads the one movement of a Bitcoin transaction; ok is false where it is none, or an input is not known.
func newSheet(tx flow.Tx) (s sheet, ok bool) {
	if len(tx.Movements) != 1 || tx.Failed {
		return s, false
	}
	m := tx.Movements[0]
	if m.Kind != flow.Transfer || !m.Asset.Chain().IsUTXO() || len(m.In) == 0 || !m.IsComplete() {
		return s, false
	}
	s.inTypes, s.allTypes = map[script]bool{}, map[script]bool{}
	var in, out uint64
	if s.in, in, ok = s.legs(m.In); !ok {
		return s, false
	}
	for _, l := range s.in {
		s.inTypes[scriptOf(l.account)] = true
	}
	if s.out, out, ok = s.legs(m.Out); !ok || out > in {
		return s, false
	}
	s.fee = in - out
	s.early = func(since uint64) bool {
		return m.Asset.Chain() == flow.Bitcoin && tx.Point.Height > 0 && tx.Point.Height < since
	}
	accounts := map[flow.Account]bool{}
	for _, l := range s.in {
		accounts[l.account] = true
	}
	s.distinct = len(accounts)
	s.count()
	down := func(a, b leg) int { return cmp.Compare(b.value, a.value) }
	s.sortedIn, s.sortedOut = slices.IsSortedFunc(s.in, down), slices.IsSortedFunc(s.out, down)
	return s, true
}

// legs are the legs in numbers, and their sum; ok is false where they are more than there can be of any coin.
func (s *sheet) legs(of []flow.Leg) (legs []leg, sum uint64, ok bool) {
	const most = 1 << 60
	legs = make([]leg, len(of))
	for i, l := range of {
		v, ok := l.Amount.Uint64()
		if !ok || v > most || sum > most {
			return nil, 0, false
		}
		legs[i] = leg{l.Account, v}
		sum += v
		if v > 0 {
			s.allTypes[scriptOf(l.Account)] = true
		}
	}
	return legs, sum, true
}

// count finds the most frequent value.
func (s *sheet) count() {
	often, takers := map[uint64]int{}, map[flow.Account]bool{}
	s.apart = true
	for _, l := range s.out {
		if l.value == 0 {
			s.notes++
			continue
		}
		s.apart = s.apart && !takers[l.account]
		takers[l.account] = true
		often[l.value]++
	}
	s.values = len(often)
	for v, n := range often {
		if !slices.Contains(dustOutputs[:], v) && (n > s.equal || n == s.equal && v > s.common) {
			s.common, s.equal = v, n
		}
	}
}

// A script is the kind of an output script; of a witness program also its version and length.
type script struct {
	kind          flow.ScriptKind
	version, size byte
}

func scriptOf(a flow.Account) script {
	key := a.Key()
	switch {
	case key == "":
		return script{}
	case flow.ScriptKind(key[0]) == flow.PayToWitness:
		return script{flow.PayToWitness, key[1], byte(len(key) - 2)}
	}
	return script{kind: flow.ScriptKind(key[0])}
}

// isKey reports whether a key spends such a coin by segwit: of version 0, or with taproot also of version 1.
func (s script) isKey(alsoTaproot bool) bool {
	return s == script{flow.PayToWitness, 0, 20} || alsoTaproot && s == script{flow.PayToWitness, 1, 32}
}

// keys reports whether all coins, in and out, are ones that a key spends by segwit.
func (s *sheet) keys(alsoTaproot bool) bool {
	for t := range s.allTypes {
		if !t.isKey(alsoTaproot) {
			return false
		}
	}
	return true
}

// Detect says whether a transaction looks like a CoinJoin or its preparation: the first that fits of Whirlpool, its Tx0,
// Wasabi 2, Wasabi 1, JoinMarket, other equal outputs and Stonewall. It sees nothing but the transaction. ok is false for
// what looks like none, and for a transaction with an unknown input.
func Detect(tx flow.Tx) (c CoinJoin, ok bool) {
	s, ok := newSheet(tx)
	if !ok {
		return CoinJoin{}, false
	}
	return s.detect()
}

func (s *sheet) detect() (c CoinJoin, ok bool) {
	for _, rule := range []func() (CoinJoin, bool){s.whirlpool, s.tx0, s.wasabi2, s.wasabi1, s.joinMarket, s.equalOutputs, s.stonewall} {
		if c, ok = rule(); ok {
			c.Denomination = flow.NewAmount(s.common)
			return c, true
		}
	}
	return CoinJoin{}, false
}

// A pool is one of Whirlpool's, with what it costs to enter it; both in satoshi.
type pool struct{ value, fee uint64 }

var pools = [...]pool{{100_000, 5_000}, {1_000_000, 50_000}, {5_000_000, 175_000}, {50_000_000, 1_750_000}}

// What an entrant brings to a pool beyond its value, to pay the miner with: satoshi.
const (
	leastExtra = 100
	mostExtra  = 110_000
)

// whirlpool: as many outputs as inputs, all of a pool's value; of the inputs some have it too, and the others a little more.
func (s *sheet) whirlpool() (CoinJoin, bool) {
	n := len(s.in)
	if n < 5 || n > 10 || len(s.out) != n || s.equal != n || !s.apart || s.distinct != n || !s.keys(true) {
		return CoinJoin{}, false
	}
	i := slices.IndexFunc(pools[:], func(p pool) bool { return p.value == s.common })
	if i < 0 {
		return CoinJoin{}, false
	}
	old := 0
	for _, l := range s.in {
		switch extra := l.value - s.common; {
		case l.value == s.common:
			old++
		case l.value < s.common || extra < leastExtra || extra > mostExtra:
			return CoinJoin{}, false
		}
	}
	if old == 0 || old == n {
		return CoinJoin{}, false
	}
	return CoinJoin{Mix: Whirlpool, Confidence: 95, Participants: n, Reasons: []string{
		fmt.Sprintf("%d inputs and %d outputs, every output the %d satoshi of a Whirlpool pool", n, n, s.common),
		fmt.Sprintf("%d inputs come from the pool, %d bring the fee", old, n-old)}}, true
}

// tx0: a note, equal outputs a little above a pool's value, a payment near the pool's fee, and at most two others.
func (s *sheet) tx0() (CoinJoin, bool) {
	const mostPremix, mostOthers = 70, 2
	if s.notes != 1 {
		return CoinJoin{}, false
	}
	for _, p := range pools {
		often := map[uint64]int{}
		paid := 0
		for _, l := range s.out {
			if l.value >= p.value+leastExtra && l.value <= p.value+mostExtra {
				often[l.value]++
			} else if l.value >= p.fee/2 && l.value <= 3*p.fee {
				paid++
			}
		}
		var premix uint64
		for v, n := range often { // change may by chance be of that size, too
			if n > often[premix] || n == often[premix] && v > premix {
				premix = v
			}
		}
		cut := often[premix]
		if cut == 0 || paid == 0 || len(s.out)-s.notes-cut > 1+mostOthers || cut > mostPremix {
			continue
		}
		return CoinJoin{Mix: WhirlpoolTx0, Confidence: 60, Participants: 1, Reasons: []string{
			fmt.Sprintf("%d outputs of %d satoshi, %d more than a Whirlpool pool takes", cut, premix, premix-p.value),
			"a note, and a payment near the pool's fee"}}, true
	}
	return CoinJoin{}, false
}

// wasabi2: inputs and outputs from large to small, of keys only, most outputs of standard values. Rounds are large; the
// small ones of a private coordinator are told with less confidence.
func (s *sheet) wasabi2() (CoinJoin, bool) {
	const least = 5_000
	if len(s.in) < 5 || len(s.out) < 5 || !s.sortedIn || !s.sortedOut || s.early(wasabi2Since) || !s.keys(true) || s.distinct < 2 || s.values < 2 {
		return CoinJoin{}, false
	}
	standard, kinds := 0, map[uint64]bool{}
	for _, l := range s.out {
		if l.value < least {
			return CoinJoin{}, false
		}
		if isStandard(l.value) {
			standard++
			kinds[l.value] = true
		}
	}
	confidence := 0
	switch {
	case len(s.in) >= 50 && standard*10 > len(s.out)*8 && len(kinds) >= 3:
		confidence = 95
	case len(s.in) >= 20 && standard*10 > len(s.out)*5 && len(kinds) >= 3:
		confidence = 80
	case standard*2 >= len(s.out):
		confidence = 60
	default:
		return CoinJoin{}, false
	}
	return CoinJoin{Mix: Wasabi2, Confidence: confidence, Participants: max(s.equal, 2), Reasons: []string{
		fmt.Sprintf("%d of %d outputs have %d of the standard values of Wasabi 2", standard, len(s.out), len(kinds)),
		"inputs and outputs stand from large to small, all of them pay keys by segwit"}}, true
}

// isStandard reports whether Wasabi 2 cuts coins to that value: a power of 2, 3 or 10, or a 2·3ⁿ, 2·10ⁿ or 5·10ⁿ.
func isStandard(v uint64) bool {
	if v < 5_000 || v > 134_375_000_000 {
		return false
	}
	return v&(v-1) == 0 || isPower(v, 3) || v%2 == 0 && isPower(v/2, 3) || isPower(v, 10) || v%2 == 0 && isPower(v/2, 10) || v%5 == 0 && isPower(v/5, 10)
}

func isPower(v, of uint64) bool {
	for v > 1 && v%of == 0 {
		v /= of
	}
	return v == 1
}

// wasabi1: ten or more outputs of about a tenth of a bitcoin, change beside them, all paid to keys by native segwit.
func (s *sheet) wasabi1() (CoinJoin, bool) {
	const near, far = 8_000_000, 12_000_000
	if s.equal < 10 || s.common < near || s.common > far || len(s.in) < s.equal || s.values < 2 || s.early(wasabi1Since) || !s.keys(false) {
		return CoinJoin{}, false
	}
	// JoinMarket may deal in a tenth, too: one change for each, but perhaps one; and no output for a coordinator.
	if c, ok := s.joinMarket(); ok && s.values == len(s.out)-s.equal+1 && 2*s.equal-len(s.out) == 1 {
		return c, true
	}
	return CoinJoin{Mix: Wasabi1, Confidence: 90, Participants: s.equal, Reasons: []string{
		fmt.Sprintf("%d outputs of %d satoshi among %d, %d inputs, all of them pay keys by native segwit", s.equal, s.common, len(s.out), len(s.in))}}, true
}

// joinMarket: as many equal outputs as there are participants, three or more, at most one change for each, and inputs of
// at least so many accounts. Others make such transactions, too.
func (s *sheet) joinMarket() (CoinJoin, bool) {
	n, outs := s.equal, len(s.out)
	change := outs - n
	switch {
	case n < 3 || s.notes > 0 || change < 1 || change > n || n > s.distinct || !s.apart:
		return CoinJoin{}, false
	case len(s.in) >= 50 && (len(s.in) > 20*n || 10*outs < 17*n):
		return CoinJoin{}, false
	}
	return CoinJoin{Mix: JoinMarket, Confidence: 49, Participants: n, Reasons: []string{
		fmt.Sprintf("%d outputs of %d satoshi and %d others, as of %d who each take change but perhaps one; inputs of %d accounts", n, s.common, change, n, s.distinct)}}, true
}

// equalOutputs: three or more equal outputs, and inputs of at least as many accounts.
func (s *sheet) equalOutputs() (CoinJoin, bool) {
	if s.equal < 3 || s.equal > s.distinct {
		return CoinJoin{}, false
	}
	return CoinJoin{Mix: EqualOutputs, Confidence: 30, Participants: s.equal, Reasons: []string{
		fmt.Sprintf("%d equal outputs of %d satoshi, inputs of %d accounts", s.equal, s.common, s.distinct)}}, true
}

// stonewall: three or four outputs, exactly two of them equal. It vetoes a CoinJoin: nobody can say which it is.
func (s *sheet) stonewall() (CoinJoin, bool) {
	if s.equal != 2 || len(s.out)-s.notes < 3 || len(s.out)-s.notes > 4 || s.distinct < 2 {
		return CoinJoin{}, false
	}
	return CoinJoin{Mix: Stonewall, Confidence: 20, Participants: 1, Reasons: []string{
		fmt.Sprintf("two equal outputs of %d satoshi and change: one owner who imitates a CoinJoin, or two who make one", s.common)}}, true
}
