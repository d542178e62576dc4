package flow

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"strings"

	"github.com/holiman/uint256"
)

// An Amount is an exact whole number of an asset's smallest unit (satoshi, wei, token base unit), from 0 to 2²⁵⁶−1.
// It is comparable; the zero value is nothing.
type Amount struct{ v uint256.Int }

// ErrAmount is returned for text which is not a whole number from 0 to 2²⁵⁶−1.
var ErrAmount = errors.New("an amount is a whole number from 0 to 2^256-1")

// NewAmount is the Amount of n units.
func NewAmount(n uint64) Amount { return Amount{*uint256.NewInt(n)} }

// ParseAmount reads decimal digits, or hexadecimal ones after 0x. No sign, no exponent, no fraction.
func ParseAmount(s string) (Amount, error) {
	var a Amount
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		digits = strings.TrimLeft(digits, "0")
		if digits == "" && len(s) > 2 {
			return a, nil
		}
		if err := a.v.SetFromHex("0x" + digits); err != nil {
			return Amount{}, fmt.Errorf("%.90q: %w", s, ErrAmount)
		}
		return a, nil
	}
	digits := strings.TrimLeft(s, "0")
	if s == "" || len(digits) > 78 {
		return Amount{}, fmt.Errorf("%.90q: %w", s, ErrAmount)
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return Amount{}, fmt.Errorf("%.90q: %w", s, ErrAmount)
		}
	}
	if digits == "" {
		return a, nil
	}
	if err := a.v.SetFromDecimal(digits); err != nil {
		return Amount{}, fmt.Errorf("%.90q: %w", s, ErrAmount)
	}
	return a, nil
}

// AmountFromBytes reads a big-endian number of at most 32 bytes; longer input is an error unless its first bytes are 0.
func AmountFromBytes(b []byte) (Amount, error) {
	for len(b) > 32 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) > 32 {
		return Amount{}, fmt.Errorf("%d bytes: %w", len(b), ErrAmount)
	}
	var a Amount
	a.v.SetBytes(b)
	return a, nil
}

// AmountFromBig takes a big.Int, which must not be negative.
func AmountFromBig(b *big.Int) (Amount, error) {
	var a Amount
	if b.Sign() < 0 || a.v.SetFromBig(b) {
		return Amount{}, fmt.Errorf("%s: %w", b, ErrAmount)
	}
	return a, nil
}

// IsZero reports whether a is nothing.
func (a Amount) IsZero() bool { return a.v.IsZero() }

// Compare is -1, 0 or 1 as a is less than, equal to, or more than b.
func (a Amount) Compare(b Amount) int { return a.v.Cmp(&b.v) }

// Less reports whether a < b.
func (a Amount) Less(b Amount) bool { return a.v.Lt(&b.v) }

// Add is a+b; ok is false, and the sum meaningless, if it needs more than 256 bits.
func (a Amount) Add(b Amount) (sum Amount, ok bool) {
	_, over := sum.v.AddOverflow(&a.v, &b.v)
	return sum, !over
}

// Sub is a-b; ok is false, and the difference meaningless, if b > a.
func (a Amount) Sub(b Amount) (diff Amount, ok bool) {
	_, under := diff.v.SubOverflow(&a.v, &b.v)
	return diff, !under
}

// Min is the smaller of a and b.
func (a Amount) Min(b Amount) Amount {
	if b.Less(a) {
		return b
	}
	return a
}

// Share is a·part/whole rounded down, computed over 512 bits. It panics if whole is zero or part > whole.
func (a Amount) Share(part, whole Amount) Amount {
	if whole.IsZero() || whole.Less(part) {
		panic("flow: a share is a part of a whole")
	}
	var q Amount
	q.v.MulDivOverflow(&a.v, &part.v, &whole.v) // cannot overflow: part ≤ whole
	return q
}

// Uint64 is a as a machine word; ok is false if it does not fit.
func (a Amount) Uint64() (n uint64, ok bool) { return a.v.Uint64(), a.v.IsUint64() }

// Words are the four 64-bit words of a, least significant first.
func (a Amount) Words() [4]uint64 { return a.v }

// AmountFromWords is the inverse of Words.
func AmountFromWords(w [4]uint64) Amount { return Amount{uint256.Int(w)} }

// Big is a as a new big.Int.
func (a Amount) Big() *big.Int { return a.v.ToBig() }

// Bytes are the 32 big-endian bytes of a.
func (a Amount) Bytes() [32]byte { return a.v.Bytes32() }

// String is a in decimal digits.
func (a Amount) String() string { return a.v.Dec() }

// Decimal writes a with a decimal point before its last `decimals` digits and without trailing zeros, for display only.
func (a Amount) Decimal(decimals int) string {
	s := a.v.Dec()
	if decimals <= 0 {
		return s
	}
	if len(s) <= decimals {
		s = strings.Repeat("0", decimals-len(s)+1) + s
	}
	whole, part := s[:len(s)-decimals], strings.TrimRight(s[len(s)-decimals:], "0")
	if part == "" {
		return whole
	}
	return whole + "." + part
}

// MarshalText writes decimal digits: JSON numbers would lose some.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Amount) UnmarshalText(b []byte) error {
	v, err := ParseAmount(string(b))
	if err != nil {
		return err
	}
	*a = v
	return nil
}

// Split divides total into one part per weight, in proportion, by the largest remainder: each part is first rounded
// down, then the units left over go one each to the parts with the largest remainders, the lower index first on a tie.
// Nothing is made or lost: the parts sum to total. If all weights are zero the first part takes all; without weights
// Split panics. This is the only place in Spoor where shares of money are rounded.
func Split(total Amount, weights []Amount) []Amount {
	parts := make([]Amount, len(weights))
	switch {
	case len(weights) == 0:
		panic("flow: Split without weights")
	case len(weights) == 1:
		parts[0] = total
		return parts
	}
	sum := new(big.Int)
	for _, w := range weights {
		sum.Add(sum, w.v.ToBig())
	}
	if sum.Sign() == 0 {
		parts[0] = total
		return parts
	}
	left := total
	rests := make([]Amount, len(weights))
	whole, over := uint256.FromBig(sum)
	for i := range weights {
		if over { // only a hostile token's weights sum to more than 256 bits
			parts[i], rests[i] = divideBig(total, weights[i], sum)
		} else {
			parts[i].v.MulDivOverflow(&total.v, &weights[i].v, whole)
			rests[i].v.MulMod(&total.v, &weights[i].v, whole)
		}
		left, _ = left.Sub(parts[i])
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rests[b].Compare(rests[a]) })
	n, _ := left.Uint64() // fewer than len(weights)
	for _, i := range order[:n] {
		parts[i], _ = parts[i].Add(NewAmount(1))
	}
	return parts
}

// divideBig is total·weight/sum rounded down, and the remainder without the low bits that do not fit an Amount: it only
// decides who gets the units left over.
func divideBig(total, weight Amount, sum *big.Int) (part, rest Amount) {
	q, r := new(big.Int).QuoRem(new(big.Int).Mul(total.Big(), weight.Big()), sum, new(big.Int))
	part.v.SetFromBig(q)
	rest.v.SetFromBig(r.Rsh(r, uint(max(sum.BitLen()-256, 0))))
	return part, rest
}

// A Sum adds up to 2⁶⁴ amounts without overflow, so that even a hostile token's history can be totalled exactly.
// The zero value is nothing.
type Sum struct {
	low  uint256.Int
	high uint64
}

// Plus is s with a added.
func (s Sum) Plus(a Amount) Sum {
	_, over := s.low.AddOverflow(&s.low, &a.v)
	if over {
		s.high++
	}
	return s
}

// PlusSum is s with o added.
func (s Sum) PlusSum(o Sum) Sum {
	_, over := s.low.AddOverflow(&s.low, &o.low)
	carry := uint64(0)
	if over {
		carry = 1
	}
	s.high, _ = bits.Add64(s.high, o.high, carry)
	return s
}

// Compare is -1, 0 or 1 as s is less than, equal to, or more than o.
func (s Sum) Compare(o Sum) int {
	switch {
	case s.high < o.high:
		return -1
	case s.high > o.high:
		return 1
	}
	return s.low.Cmp(&o.low)
}

// Amount is s as an Amount; ok is false if it needs more than 256 bits.
func (s Sum) Amount() (a Amount, ok bool) { return Amount{s.low}, s.high == 0 }

// Big is s as a new big.Int.
func (s Sum) Big() *big.Int {
	b := new(big.Int).SetUint64(s.high)
	return b.Lsh(b, 256).Add(b, s.low.ToBig())
}

// String is s in decimal digits.
func (s Sum) String() string { return s.Big().String() }

// Minus is s-o if that is not negative and fits an Amount.
func (s Sum) Minus(o Sum) (a Amount, ok bool) {
	if s.Compare(o) < 0 {
		return Amount{}, false
	}
	_, under := s.low.SubOverflow(&s.low, &o.low)
	s.high -= o.high
	if under {
		s.high--
	}
	return s.Amount()
}
