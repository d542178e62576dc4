package text

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// row reads a movement in one of its two forms:
//
//	FROM TO ASSET AMOUNT [KIND] [index=N]
//	IN… -> OUT… of ASSET [KIND] [index=N]    (without "of ASSET" on UTXO chains)
func (b *builder) row(words []string) (flow.Movement, error) {
	c := b.block.Point.Chain
	words, m, err := endings(words)
	if err != nil {
		return m, err
	}
	arrow := slices.Index(words, "->")
	switch {
	case arrow >= 0:
		err = wide(c, &m, words[:arrow], words[arrow+1:])
	case c.IsUTXO():
		err = errors.New("on a UTXO chain a row is \"OUTPOINT… -> HOLDER AMOUNT…\"")
	case len(words) != 4:
		err = fmt.Errorf("a row is \"FROM TO ASSET AMOUNT\" and has 4 words, this one %d", len(words))
	default:
		err = narrow(c, &m, words)
	}
	if err != nil {
		return m, err
	}
	if m.Kind == 0 {
		m.Kind = flow.Transfer
		if c.IsUTXO() && len(m.In) == 0 {
			m.Kind = flow.Reward
		}
	}
	return m, balanced(m)
}

// endings takes the optional last words off: a kind and an index, in any order.
func endings(words []string) ([]string, flow.Movement, error) {
	var m flow.Movement
	indexed := false
	for len(words) > 0 {
		last := words[len(words)-1]
		if number, ok := strings.CutPrefix(last, "index="); ok && !indexed {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return nil, m, fmt.Errorf("%.40q is not a number below 2^32", last)
			}
			m.Index, indexed = uint32(n), true
		} else if k, ok := kindOf(last); ok && m.Kind == 0 {
			m.Kind = k
		} else {
			break
		}
		words = words[:len(words)-1]
	}
	return words, m, nil
}

func kindOf(word string) (flow.Kind, bool) {
	for k := flow.Transfer; k <= flow.Unwrap; k++ {
		if k.String() == word {
			return k, true
		}
	}
	return 0, false
}

// narrow reads FROM TO ASSET AMOUNT.
func narrow(c flow.Chain, m *flow.Movement, words []string) error {
	from, err := holder(c, words[0])
	if err != nil {
		return err
	}
	to, err := holder(c, words[1])
	if err != nil {
		return err
	}
	if from.IsZero() && to.IsZero() {
		return errors.New("a movement has a giver or a taker")
	}
	asset, err := assetOf(c, words[2])
	if err != nil {
		return err
	}
	v, err := flow.ParseAmount(words[3])
	if err != nil {
		return err
	}
	*m = flow.In1Out1(m.Kind, asset, m.Index, from, to, v)
	return nil
}

// wide reads what stands on the two sides of an arrow.
func wide(c flow.Chain, m *flow.Movement, left, right []string) error {
	var err error
	n := len(right)
	switch {
	case c.IsUTXO():
		m.Asset = c.Native()
		err = inputs(c, m, left)
	case n < 2 || right[n-2] != "of":
		err = errors.New("a row with an arrow ends in \"of ASSET\"")
	default:
		if m.Asset, err = assetOf(c, right[n-1]); err != nil {
			return err
		}
		right = right[:n-2]
		m.In, err = legs(c, left)
	}
	if err != nil {
		return err
	}
	if m.Out, err = legs(c, right); err != nil {
		return err
	}
	if len(m.In) == 0 && len(m.Out) == 0 {
		return errors.New("a movement has a giver or a taker")
	}
	return nil
}

// legs reads HOLDER AMOUNT pairs; "-" alone is none.
func legs(c flow.Chain, words []string) ([]flow.Leg, error) {
	if len(words) == 1 && words[0] == "-" {
		return nil, nil
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return nil, errors.New("a side of an arrow is \"HOLDER AMOUNT\", once or more often, or \"-\"")
	}
	var all []flow.Leg
	for i := 0; i < len(words); i += 2 {
		l, err := leg(c, words[i], words[i+1])
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func leg(c flow.Chain, who, much string) (flow.Leg, error) {
	a, err := holder(c, who)
	if err != nil {
		return flow.Leg{}, err
	}
	if a.IsZero() {
		return flow.Leg{}, errors.New("nobody cannot have an amount")
	}
	v, err := flow.ParseAmount(much)
	return flow.Leg{Account: a, Amount: v}, err
}

// inputs reads OUTPOINT [HOLDER AMOUNT], once or more often; "-" alone is none.
func inputs(c flow.Chain, m *flow.Movement, words []string) error {
	if len(words) == 1 && words[0] == "-" {
		return nil
	}
	if len(words) == 0 {
		return errors.New("the inputs are missing: write \"-\" for none")
	}
	spent := map[flow.Outpoint]bool{}
	for i := 0; i < len(words); i++ {
		o, ok := outpoint(words[i])
		switch {
		case !ok:
			return fmt.Errorf("%.80q is not an outpoint NAME:INDEX", words[i])
		case spent[o]:
			return fmt.Errorf("%.80q is spent twice", words[i])
		}
		spent[o] = true
		var l flow.Leg
		if i+2 < len(words) {
			if _, next := outpoint(words[i+1]); !next {
				var err error
				if l, err = leg(c, words[i+1], words[i+2]); err != nil {
					return err
				}
				i += 2
			}
		}
		m.In, m.Spent = append(m.In, l), append(m.Spent, o)
	}
	return nil
}

// outpoint reads NAME:INDEX, where NAME is that of a transaction.
func outpoint(word string) (flow.Outpoint, bool) {
	i := strings.LastIndexByte(word, ':')
	if i < 1 {
		return flow.Outpoint{}, false
	}
	n, err := strconv.ParseUint(word[i+1:], 10, 32)
	return flow.Outpoint{Tx: hashOf(word[:i]), Index: uint32(n)}, err == nil
}

// balanced refuses a movement that makes value of nothing. An issue has no In legs; open inputs may hold any amount.
func balanced(m flow.Movement) error {
	if len(m.In) == 0 || !m.IsComplete() {
		return nil
	}
	var in, out flow.Sum
	for _, l := range m.In {
		in = in.Plus(l.Amount)
	}
	for _, l := range m.Out {
		out = out.Plus(l.Amount)
	}
	if in.Compare(out) < 0 {
		return fmt.Errorf("the givers give %s, the takers take %s", in, out)
	}
	return nil
}

// maxWord is how long an invented name may be on a chain whose accounts have addresses: shorter than any of these.
const maxWord = 24

// holder reads an account: an address or an invented name, with or without its chain before it. "-" is nobody. On
// chains whose accounts have addresses a name stands for the address that is derived from its sha256.
func holder(c flow.Chain, word string) (flow.Account, error) {
	if word == "-" {
		return flow.Account{}, nil
	}
	name := strings.TrimPrefix(word, c.String()+":")
	name = strings.TrimPrefix(name, c.Reference()+":")
	if strings.Contains(name, ":") {
		return flow.Account{}, fmt.Errorf("%.80q is not on %s", word, c)
	}
	a, err := flow.ParseAccountOn(c, name)
	if err == nil || errors.Is(err, flow.ErrChecksum) {
		return a, err
	}
	if d, ok := derived(c, name); ok {
		return d, nil
	}
	return a, err
}

// derived is the account that an invented name stands for.
func derived(c flow.Chain, name string) (flow.Account, bool) {
	text, err := flow.TextChain("names")
	if err != nil || len(name) > maxWord || strings.HasPrefix(strings.ToLower(name), "0x") {
		return flow.Account{}, false
	}
	if _, err := flow.NewAccount(text, name); err != nil {
		return flow.Account{}, false
	}
	sum := sha256.Sum256([]byte(name))
	var a flow.Account
	switch {
	case c.IsUTXO():
		a, err = flow.UTXOAccount(c, flow.PayToScript, sum[:])
	case c.IsEVM():
		a, err = flow.ParseAccountOn(c, fmt.Sprintf("0x%x", sum[:20]))
	default:
		return flow.Account{}, false
	}
	return a, err == nil
}

// assetOf reads an asset: "native", its CAIP-19 name on the chain, or an invented name. On EVM chains that is the token
// of the contract with the invented name.
func assetOf(c flow.Chain, word string) (flow.Asset, error) {
	a, err := flow.ParseAssetOn(c, strings.TrimPrefix(word, c.String()+"/"))
	if err == nil || errors.Is(err, flow.ErrChecksum) {
		return a, err
	}
	if contract, ok := derived(c, word); ok && c.IsEVM() {
		return flow.Token(contract), nil
	}
	return a, err
}
