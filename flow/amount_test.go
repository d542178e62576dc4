package flow

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var limit = new(big.Int).Lsh(big.NewInt(1), 256)

// someAmount draws amounts of every size, often at the ends of their words.
func someAmount() *rapid.Generator[Amount] {
	return rapid.Custom(func(t *rapid.T) Amount {
		word := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 1 << 63, 1<<64 - 1}))
		var w [4]uint64
		for i := range rapid.IntRange(0, 4).Draw(t, "words") {
			w[i] = word.Draw(t, "word")
		}
		return AmountFromWords(w)
	})
}

func mustAmount(t testing.TB, s string) Amount {
	t.Helper()
	a, err := ParseAmount(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestParseAmount(t *testing.T) {
	const most = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
	for in, want := range map[string]string{
		"0": "0", "00": "0", "007": "7", "0x0": "0", "0x00ff": "255", "0xFF": "255", most: most,
		strings.Repeat("0", 1000) + "1": "1", "0x" + strings.Repeat("f", 64): most,
	} {
		if a, err := ParseAmount(in); err != nil || a.String() != want {
			t.Errorf("ParseAmount(%.90q) = %s, %v; want %s", in, a, err, want)
		}
	}
	for _, in := range []string{"", " ", "-1", "+1", "1.0", "1e3", "1_000", "1,000", "0x", "0xg", "x1", "٣", "1 ",
		"115792089237316195423570985008687907853269984665640564039457584007913129639936", strings.Repeat("9", 79), "0x1" + strings.Repeat("0", 64)} {
		if a, err := ParseAmount(in); !errors.Is(err, ErrAmount) || !a.IsZero() {
			t.Errorf("ParseAmount(%.90q) = %s, %v; want ErrAmount", in, a, err)
		}
	}
}

func TestArithmeticAgreesWithBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := someAmount().Draw(t, "a"), someAmount().Draw(t, "b")
		x, y := a.Big(), b.Big()
		if a.Compare(b) != x.Cmp(y) || a.Less(b) != (x.Cmp(y) < 0) || a.IsZero() != (x.Sign() == 0) {
			t.Fatalf("order of %s and %s", a, b)
		}
		if sum, ok := a.Add(b); ok != (new(big.Int).Add(x, y).Cmp(limit) < 0) || ok && sum.Big().Cmp(new(big.Int).Add(x, y)) != 0 {
			t.Fatalf("%s + %s = %s, %t", a, b, sum, ok)
		}
		if diff, ok := a.Sub(b); ok != (x.Cmp(y) >= 0) || ok && diff.Big().Cmp(new(big.Int).Sub(x, y)) != 0 {
			t.Fatalf("%s - %s = %s, %t", a, b, diff, ok)
		}
		if m := a.Min(b); m != a && m != b || a.Less(m) || b.Less(m) {
			t.Fatalf("min of %s and %s = %s", a, b, m)
		}
		part, whole := a.Min(b), a
		if a.Less(b) {
			whole = b
		}
		if !whole.IsZero() {
			c := someAmount().Draw(t, "c")
			want := new(big.Int).Mul(c.Big(), part.Big())
			want.Quo(want, whole.Big())
			if got := c.Share(part, whole); got.Big().Cmp(want) != 0 {
				t.Fatalf("%s · %s / %s = %s; want %s", c, part, whole, got, want)
			}
		}
		if n, ok := a.Uint64(); ok != x.IsUint64() || ok && n != x.Uint64() {
			t.Fatalf("%s as a word = %d, %t", a, n, ok)
		}
	})
}

func TestAmountsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := someAmount().Draw(t, "a")
		check := func(how string, b Amount, err error) {
			if err != nil || a != b {
				t.Fatalf("%s of %s reads back as %s, %v", how, a, b, err)
			}
		}
		b, err := ParseAmount(a.String())
		check("String", b, err)
		b, err = ParseAmount("0x" + a.Big().Text(16))
		check("hexadecimal", b, err)
		raw := a.Bytes()
		b, err = AmountFromBytes(append(make([]byte, rapid.IntRange(0, 40).Draw(t, "zeros")), raw[:]...))
		check("Bytes", b, err)
		b, err = AmountFromBig(a.Big())
		check("Big", b, err)
		check("Words", AmountFromWords(a.Words()), nil)
		text, err := json.Marshal(a)
		if err != nil || string(text) != `"`+a.String()+`"` {
			t.Fatalf("%s as JSON: %s, %v", a, text, err)
		}
		var c Amount
		check("JSON", c, json.Unmarshal(text, &c))
	})
	if _, err := AmountFromBytes(append([]byte{1}, make([]byte, 32)...)); !errors.Is(err, ErrAmount) {
		t.Errorf("33 bytes: %v; want ErrAmount", err)
	}
	for _, b := range []*big.Int{big.NewInt(-1), limit} {
		if _, err := AmountFromBig(b); !errors.Is(err, ErrAmount) {
			t.Errorf("AmountFromBig(%s): %v; want ErrAmount", b, err)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, c := range []struct {
		in       string
		decimals int
		want     string
	}{
		{"0", 18, "0"}, {"1", 0, "1"}, {"1", -3, "1"}, {"1", 18, "0.000000000000000001"}, {"1500000", 6, "1.5"}, {"1000000", 6, "1"},
		{"123", 2, "1.23"}, {"123", 3, "0.123"}, {"120", 3, "0.12"}, {"7", 300, "0." + strings.Repeat("0", 299) + "7"},
	} {
		if got := mustAmount(t, c.in).Decimal(c.decimals); got != c.want {
			t.Errorf("%s with %d decimals = %s; want %s", c.in, c.decimals, got, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		total   uint64
		weights []uint64
		want    []uint64
	}{
		{10, []uint64{1}, []uint64{10}},
		{10, []uint64{0}, []uint64{10}},
		{10, []uint64{0, 0}, []uint64{10, 0}},
		{10, []uint64{1, 1, 1}, []uint64{4, 3, 3}},
		{10, []uint64{0, 1, 2}, []uint64{0, 3, 7}},
		{2, []uint64{1, 1, 1}, []uint64{1, 1, 0}},
		{100, []uint64{335, 335, 330}, []uint64{34, 33, 33}}, // 33.5, 33.5, 33.0: the lower index first on a tie
		{0, []uint64{3, 4}, []uint64{0, 0}},
	} {
		weights := make([]Amount, len(c.weights))
		for i, w := range c.weights {
			weights[i] = NewAmount(w)
		}
		got := Split(NewAmount(c.total), weights)
		for i, w := range c.want {
			if n, ok := got[i].Uint64(); !ok || n != w {
				t.Errorf("Split(%d, %v) = %v; want %v", c.total, c.weights, got, c.want)
				break
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Split without weights: no panic")
		}
	}()
	Split(NewAmount(1), nil)
}

// Nothing is made or lost, and every part is its exact share rounded down or up, with the largest remainders up.
func TestSplitConserves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := someAmount().Draw(t, "total")
		weights := rapid.SliceOfN(someAmount(), 1, 12).Draw(t, "weights")
		parts := Split(total, weights)
		sum, whole := new(big.Int), new(big.Int)
		for i := range weights {
			whole.Add(whole, weights[i].Big())
			sum.Add(sum, parts[i].Big())
		}
		if len(parts) != len(weights) || sum.Cmp(total.Big()) != 0 {
			t.Fatalf("parts %v sum to %s; want %s", parts, sum, total)
		}
		if whole.Sign() == 0 {
			if parts[0] != total {
				t.Fatalf("no weight at all: %v; want all of %s in the first", parts, total)
			}
			return
		}
		var up, down []*big.Int // remainders
		for i, w := range weights {
			floor, rest := new(big.Int).QuoRem(new(big.Int).Mul(total.Big(), w.Big()), whole, new(big.Int))
			switch diff := new(big.Int).Sub(parts[i].Big(), floor); {
			case diff.Sign() == 0:
				down = append(down, rest)
			case diff.Cmp(big.NewInt(1)) == 0 && rest.Sign() > 0:
				up = append(up, rest)
			default:
				t.Fatalf("part %d is %s; its exact share rounded down is %s", i, parts[i], floor)
			}
		}
		for _, u := range up {
			for _, d := range down {
				if u.Cmp(d) < 0 {
					t.Fatalf("a remainder of %s was rounded up and one of %s was not", u, d)
				}
			}
		}
	})
}

func TestSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s, o Sum
		x, y := new(big.Int), new(big.Int)
		for _, a := range rapid.SliceOf(someAmount()).Draw(t, "amounts") {
			s, x = s.Plus(a), x.Add(x, a.Big())
		}
		for _, a := range rapid.SliceOf(someAmount()).Draw(t, "others") {
			o, y = o.Plus(a), y.Add(y, a.Big())
		}
		if s.Big().Cmp(x) != 0 || s.String() != x.String() || s.Compare(o) != x.Cmp(y) {
			t.Fatalf("sum is %s; want %s (compared to %s: %d)", s, x, o, s.Compare(o))
		}
		if both := s.PlusSum(o); both.Big().Cmp(new(big.Int).Add(x, y)) != 0 {
			t.Fatalf("%s + %s = %s", s, o, both)
		}
		if a, ok := s.Amount(); ok != (x.Cmp(limit) < 0) || ok && a.Big().Cmp(x) != 0 {
			t.Fatalf("%s as an amount: %s, %t", s, a, ok)
		}
		diff := new(big.Int).Sub(x, y)
		if a, ok := s.Minus(o); ok != (diff.Sign() >= 0 && diff.Cmp(limit) < 0) || ok && a.Big().Cmp(diff) != 0 {
			t.Fatalf("%s - %s = %s, %t; want %s", s, o, a, ok, diff)
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"", "0", "0x0", "18446744073709551616", "1e9", "-1", strings.Repeat("9", 78)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAmount(s)
		if err != nil {
			if !errors.Is(err, ErrAmount) {
				t.Fatalf("ParseAmount(%q): %v is not ErrAmount", s, err)
			}
			return
		}
		base := 10
		digits, ok := strings.CutPrefix(s, "0x")
		if ok {
			base = 16
		}
		want, ok := new(big.Int).SetString(digits, base)
		if !ok || strings.ContainsAny(s, "+-_") || want.Cmp(a.Big()) != 0 {
			t.Fatalf("ParseAmount(%q) = %s; want %s", s, a, want)
		}
		if b, err := ParseAmount(a.String()); err != nil || a != b {
			t.Fatalf("%s reads back as %s, %v", a, b, err)
		}
	})
}
