// Package link says where value that leaves an asset inside one transaction arrives again.
package link

import "github.com/spoor-dev/spoor/flow"

// Version is the version of the rules: it rises when the same transaction can give other conversions.
const Version = 2

// A Rule says why something is taken for a conversion.
type Rule string

// The rules of the net. Both look at what each account gained and lost over the whole transaction, fees and rewards left out.
const (
	// OwnGain: the account lost one asset and gained another. It needs nobody else to be understood.
	OwnGain Rule = "own-gain"
	// SolePayer: the account lost an asset and gained none, it is the only such account, and what it paid went to somebody
	// who exchanged: those who gained without a loss took its output.
	SolePayer Rule = "sole-payer"
)

// A Part is an amount of an asset at an account.
type Part struct {
	Account flow.Account `json:"account"`
	Asset   flow.Asset   `json:"asset"`
	Amount  flow.Amount  `json:"amount"`
}

// A Conversion is an account's exchange of assets inside one transaction: a swap over any number of pools, a wrap, a
// deposit for shares, a purchase. It is a judgement, made by a rule from movements that are facts. Both sides of a trade
// converted: a pool's conversion is the mirror of its customer's.
type Conversion struct {
	Account flow.Account `json:"account"` // who paid
	Gives   []Part       `json:"gives"`   // what was converted, one part for each asset
	Takes   []Part       `json:"takes"`   // what it became, and whose it is
	Rest    []Part       `json:"rest"`    // what the account paid besides, in the assets of Gives: who has it now
	Rule    Rule         `json:"rule"`    // of several protocols, joined by "+"
	Version int          `json:"version"`
	// Confidence is what it rests on.
	Confidence Confidence `json:"confidence"`
	// Doubt is why to look again, in words; empty if nothing speaks against it.
	Doubt string `json:"doubt,omitempty"`
	// Strands tell what became what, where events do; else Passes divides.
	Strands []Pass `json:"strands,omitempty"`
}

// A Confidence says what a conversion rests on; the greater the surer.
type Confidence uint8

// The grounds of a conversion.
const (
	ByFlow Confidence = 1 // what can have flowed at most
	ByNet  Confidence = 2 // what each account gained and lost
	ByLogs Confidence = 3 // the events of pools, each borne out by transfers
)

// String is one lower-case word.
func (c Confidence) String() string {
	switch c {
	case ByFlow:
		return "flow"
	case ByNet:
		return "net"
	case ByLogs:
		return "logs"
	}
	return "none"
}

// MarshalText writes the word.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// A Pass is one strand of a conversion: Given units of the asset at From went the way of Taken units at To. In what came
// back, or went to others as it was, the assets are the same.
type Pass struct {
	From, To             flow.Account
	FromAsset, ToAsset   flow.Asset
	FromAmount, ToAmount flow.Amount
}

// Passes divides the conversion into strands. Without prices, several assets on one side count the same, and inside one
// asset the amounts decide. The strands of an asset given sum to all that the account gave of it in the transaction, but
// for what it only handed on. Where events tell what became what, nothing is divided.
func (c Conversion) Passes() []Pass {
	if len(c.Strands) > 0 {
		return c.Strands
	}
	assets := map[flow.Asset]int{} // -> its number among the assets taken
	var amounts [][]flow.Amount    // of the takes of each
	for _, t := range c.Takes {
		n, ok := assets[t.Asset]
		if !ok {
			n = len(amounts)
			assets[t.Asset] = n
			amounts = append(amounts, nil)
		}
		amounts[n] = append(amounts[n], t.Amount)
	}
	shares := make([][]flow.Amount, len(c.Takes)) // of each take, one for each give
	for j, t := range c.Takes {
		shares[j] = flow.Split(t.Amount, alike(len(c.Gives)))
	}
	var passes []Pass
	for i, g := range c.Gives {
		var parts [][]flow.Amount // of the give, for each asset taken
		for n, whole := range flow.Split(g.Amount, alike(len(amounts))) {
			parts = append(parts, flow.Split(whole, amounts[n]))
		}
		for j, t := range c.Takes {
			n := assets[t.Asset]
			part := parts[n][0]
			parts[n] = parts[n][1:]
			units := shares[j][i]
			if units.IsZero() {
				units = flow.NewAmount(1) // what cannot be divided, such as an NFT for two tokens
			}
			if !part.IsZero() {
				passes = append(passes, Pass{c.Account, t.Account, g.Asset, t.Asset, part, units})
			}
		}
		for _, r := range c.Rest {
			if r.Asset == g.Asset {
				passes = append(passes, Pass{c.Account, r.Account, g.Asset, r.Asset, r.Amount, r.Amount})
			}
		}
	}
	return passes
}

// alike is n equal weights.
func alike(n int) []flow.Amount {
	weights := make([]flow.Amount, n)
	for i := range weights {
		weights[i] = flow.NewAmount(1)
	}
	return weights
}

// Conversions finds the conversions of a whole transaction, in the order in which their accounts appear. What is not
// clear is left out: see docs/decisions/0003-swaps.md. UTXO transactions have none.
func Conversions(tx flow.Tx) []Conversion {
	if !mayConvert(tx) {
		return nil
	}
	b := read(tx)
	if b == nil {
		return nil
	}
	all := b.conversions()
	if len(tx.Logs) > 0 {
		all = b.believe(tx, all)
	}
	return b.contribute(tx, all)
}

// mayConvert is the cheap look: whether there are two assets at all.
func mayConvert(tx flow.Tx) bool {
	var first flow.Asset
	two := false
	for i := range tx.Movements {
		m := &tx.Movements[i]
		if len(m.Spent) > 0 || m.Asset.Chain().IsUTXO() {
			return false
		}
		if !counts(m) {
			continue
		}
		if first.IsZero() {
			first = m.Asset
		}
		two = two || m.Asset != first
	}
	return two && !tx.Failed
}

// counts reports whether a movement is a part of what people exchanged.
func counts(m *flow.Movement) bool {
	return m.Kind != flow.Fee && m.Kind != flow.Reward && len(m.In)+len(m.Out) > 0
}
