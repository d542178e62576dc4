package flow

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseHash(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 4)
	for _, in := range []string{text, "0x" + text, "0X" + strings.ToUpper(text)} {
		if h, err := ParseHash(in); err != nil || h.String() != text || h.IsZero() {
			t.Errorf("ParseHash(%s) = %s, %v; want %s", in, h, err, text)
		}
	}
	for _, in := range []string{"", "0x", text[1:], text + "0", "g" + text[1:], "0x0x" + text[2:]} {
		if h, err := ParseHash(in); err == nil || !h.IsZero() {
			t.Errorf("ParseHash(%s) = %s; want an error", in, h)
		}
	}
}

func someHash() *rapid.Generator[Hash] {
	return rapid.Custom(func(t *rapid.T) Hash { return Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")) })
}

func TestOutpointsReadBackAndOrder(t *testing.T) {
	some := rapid.Custom(func(t *rapid.T) Outpoint {
		return Outpoint{rapid.SampledFrom([]Hash{{}, {1}, {0, 1}, {31: 1}}).Draw(t, "tx"), rapid.Uint32().Draw(t, "index")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := some.Draw(t, "a"), some.Draw(t, "b"), some.Draw(t, "c")
		if o, err := ParseOutpoint(a.String()); err != nil || o != a {
			t.Fatalf("ParseOutpoint(%s) = %s, %v", a, o, err)
		}
		if (a.Compare(b) == 0) != (a == b) || a.Compare(b) > 0 && b.Compare(a) >= 0 || a.Compare(b) < 0 && b.Compare(c) < 0 && a.Compare(c) >= 0 {
			t.Fatalf("order of %s, %s, %s", a, b, c)
		}
	})
	for _, in := range []string{"", ":", Hash{}.String(), Hash{}.String() + ":", Hash{}.String() + ":4294967296", Hash{}.String() + ":-1", "ab:1", Hash{}.String() + ":00000000001"} {
		if o, err := ParseOutpoint(in); !errors.Is(err, ErrOutpoint) || !o.IsZero() {
			t.Errorf("ParseOutpoint(%q) = %s, %v; want ErrOutpoint", in, o, err)
		}
	}
}

func TestPositionsAreInStrictOrder(t *testing.T) {
	some := rapid.Custom(func(t *rapid.T) Pos {
		word := rapid.SampledFrom([]uint32{0, 1, 2, 1<<32 - 1})
		return Pos{rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1}).Draw(t, "height"), word.Draw(t, "tx"), word.Draw(t, "movement")}
	})
	key := func(p Pos) [3]uint64 { return [3]uint64{p.Height, uint64(p.Tx), uint64(p.Movement)} }
	rapid.Check(t, func(t *rapid.T) {
		p, q := some.Draw(t, "p"), some.Draw(t, "q")
		want, a, b := 0, key(p), key(q)
		for i := range a {
			if want == 0 && a[i] < b[i] {
				want = -1
			} else if want == 0 && a[i] > b[i] {
				want = 1
			}
		}
		if got := p.Compare(q); got != want {
			t.Fatalf("%s compared to %s: %d; want %d", p, q, got, want)
		}
	})
}

func TestIn1Out1(t *testing.T) {
	a, b := EVMAccount(Ethereum, [20]byte{1}), EVMAccount(Ethereum, [20]byte{2})
	v := NewAmount(5)
	for _, c := range []struct {
		from, to Account
		in, out  []Leg
	}{
		{a, b, []Leg{{a, v}}, []Leg{{b, v}}},
		{a, a, []Leg{{a, v}}, []Leg{{a, v}}},
		{Account{}, b, nil, []Leg{{b, v}}},
		{a, Account{}, []Leg{{a, v}}, nil},
	} {
		m := In1Out1(Transfer, Ethereum.Native(), 3, c.from, c.to, v)
		if !reflect.DeepEqual(m.In, c.in) || !reflect.DeepEqual(m.Out, c.out) || m.Index != 3 || !m.IsComplete() {
			t.Errorf("from %s to %s: %+v", c.from, c.to, m)
		}
		_ = append(m.In, Leg{b, NewAmount(9)}) // must not reach the Out leg
		if !reflect.DeepEqual(m.Out, c.out) {
			t.Errorf("appending to In changed Out to %+v", m.Out)
		}
	}
	if (Movement{In: []Leg{{}}}).IsComplete() {
		t.Error("a movement of an unknown output is complete")
	}
}

func TestBlocksReadBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leg := rapid.Custom(func(t *rapid.T) Leg { return Leg{someAccount().Draw(t, "account"), someAmount().Draw(t, "amount")} })
		p := Point{Ethereum, rapid.Uint64().Draw(t, "height"), someHash().Draw(t, "hash"), rapid.Int64().Draw(t, "time")}
		b := Block{Point: p, Parent: someHash().Draw(t, "parent"), Coverage: Coverage(rapid.Uint16().Draw(t, "coverage")), Txs: []Tx{{
			ID: someHash().Draw(t, "id"), Point: p, Index: rapid.Uint32().Draw(t, "index"), Failed: rapid.Bool().Draw(t, "failed"),
		}}}
		for range rapid.IntRange(0, 3).Draw(t, "movements") {
			m := Movement{Kind: Kind(rapid.IntRange(1, 8).Draw(t, "kind")), Asset: someAsset().Draw(t, "asset"), Index: rapid.Uint32().Draw(t, "number")}
			m.In = append(m.In, rapid.SliceOfN(leg, 0, 2).Draw(t, "in")...)
			for range m.In {
				m.Spent = append(m.Spent, Outpoint{someHash().Draw(t, "spent"), rapid.Uint32().Draw(t, "output")})
			}
			m.Out = append(m.Out, rapid.SliceOfN(leg, 0, 2).Draw(t, "out")...)
			b.Txs[0].Movements = append(b.Txs[0].Movements, m)
		}
		for range rapid.IntRange(0, 2).Draw(t, "notes") {
			kind := NoteKind(rapid.IntRange(1, 3).Draw(t, "kind of note"))
			b.Notes = append(b.Notes, Note{kind, "a.csv:2", rapid.String().Draw(t, "reason"), rapid.String().Draw(t, "raw")})
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		var got Block
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, b) {
			t.Fatalf("%s\nreads back as %+v, %v;\nwant %+v", text, got, err, b)
		}
	})
}

func TestNamesOfKindsAndCoverage(t *testing.T) {
	seen := map[string]bool{}
	for k := Transfer; k <= Unwrap; k++ {
		if s := k.String(); s == "" || strings.HasPrefix(s, "kind") || seen[s] {
			t.Errorf("kind %d is called %q", k, s)
		}
		seen[k.String()] = true
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("ParseKind(%s) = %s, %v", k, got, err)
		}
	}
	if got := Kind(0).String() + Kind(200).String(); got != "kind0kind200" {
		t.Errorf("unknown kinds are called %q", got)
	}
	for _, in := range []string{"", "kind0", "Transfer", "gift"} {
		if k, err := ParseKind(in); err == nil {
			t.Errorf("ParseKind(%q) = %s; want an error", in, k)
		}
	}
	c := SawLogs | CallDataTokens
	if got := strings.Join(c.Names(), ","); got != "logs,tokens-from-call-data" || !c.Has(SawLogs) || c.Has(SawLogs|SawFees) || !c.Has(0) {
		t.Errorf("coverage %b: %s", c, got)
	}
	if got := len(Coverage(1<<16 - 1).Names()); got != 10 {
		t.Errorf("%d names of coverage; want one for each of the 10 bits", got)
	}
}

func FuzzParseOutpoint(f *testing.F) {
	f.Add(Hash{}.String() + ":0")
	f.Add("ab:1")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseOutpoint(s)
		if err != nil {
			return
		}
		if p, err := ParseOutpoint(o.String()); err != nil || o != p {
			t.Fatalf("ParseOutpoint(%q) = %s, which reads back as %s, %v", s, o, p, err)
		}
	})
}
