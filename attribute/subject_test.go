package attribute

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

func TestParseSubject(t *testing.T) {
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{"0x098b716b8aaf21512996dc57eb0615e2383e2f96", "eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96", nil},
		{"BSC:0x098b716b8aaf21512996dc57eb0615e2383e2f96", "eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96", nil},
		{"EIP155:ANY:0x098b716b8aaf21512996dc57eb0615e2383e2f96", "eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96", nil},
		{"eip155:56:0x098b716b8aaf21512996dc57eb0615e2383e2f96", "eip155:56:0x098B716B8Aaf21512996dC57EB0615e2383E2f96", nil},
		{"eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f95", "", flow.ErrChecksum},
		{"eip155:any:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG", "", flow.ErrAddress},
		{"ETH:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG", "bip122:000000000019d6689c085ae165831e93:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG", nil},
		{"bitcoincash:qpf2cphc5dkuclkqur7lhj2yuqq9pk3hmukle77vhq", "bip122:000000000000000000651ef99cb9fcbe:qpf2cphc5dkuclkqur7lhj2yuqq9pk3hmukle77vhq", nil},
		{"bitcoincash:qpf2cphc5dkuclkqur7lhj2yuqq9pk3hmukle77vhp", "", flow.ErrChecksum},
		{"domain:Evil.Example.", "domain:evil.example", nil},
		{"domain:https://evil.example/x", "", ErrSubject},
		{"domain:localhost", "", ErrSubject},
		{"code:0x" + strings.Repeat("ab", 32), "code:0x" + strings.Repeat("ab", 32), nil},
		{"code:0xab", "", ErrSubject},
		{"pkg:npm/left-pad", "pkg:npm/left-pad", nil},
		{"pkg:npm", "", ErrSubject},
		{"actor:Lazarus Group (APT-38)", "actor:lazarus_group_apt_38", nil},
		{"actor:--", "", ErrSubject},
		{"", "", flow.ErrAddress},
	} {
		s, err := ParseSubject(c.in)
		if s.String() != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("ParseSubject(%q) = %s, %v; want %s, %v", c.in, s, err, c.want, c.err)
		}
	}
}

func TestCategoriesOfOtherLists(t *testing.T) {
	for in, want := range map[string]Category{
		"": "", "Exchange": Exchange, "CEX": Exchange, "mixer": Mixing, "phish-hack": Phishing, "x:drainer": Drainer, "black_list": BlackList,
		"x:exchange_like thing": "x:exchange_like_thing", "0x-protocol": "x:0x_protocol", "x:exchange": "x:exchange", "Ünï": "x:_n_",
		strings.Repeat("a", 100): Category("x:" + strings.Repeat("a", 60)),
	} {
		got := ParseCategory(in)
		if got != want || ParseCategory(string(got)) != got {
			t.Errorf("ParseCategory(%q) = %q, and of that %q; want %q", in, got, ParseCategory(string(got)), want)
		}
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, s := range []string{"0x098b716b8aaf21512996dc57eb0615e2383e2f96", "domain:a.b", "actor:x", "pkg:a/b", "code:00", "eip155:any:0x0", "q:r", "LTC:LNwgtMxcKUQ51dw7bQL1yPQjBVZh6QEqsd",
		"xrpl:0:rGeyCsqc6vKXuyTGF39WJxmTRemoV3c97h", "t1ZmpK4QFcvyQZ3ghTgSboBW8b4HgiZHQF9", "4" + strings.Repeat("1", 94), "monero:418015bb9ae982a1975da7d79277c270:8", "zs1", "bitcoincash:qq"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSubject(text)
		if err != nil {
			if !errors.Is(err, ErrSubject) && !errors.Is(err, flow.ErrAddress) && !errors.Is(err, flow.ErrChecksum) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if again, err := ParseSubject(s.String()); err != nil || again != s {
			t.Errorf("%q is %s; that is %s, %v", text, s, again, err)
		}
		stored, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := SubjectFromBinary(stored); err != nil || back != s {
			t.Errorf("%q stored as %x comes back as %s, %v", text, stored, back, err)
		}
		if o, err := SubjectFromBinary(slices.Concat(stored, []byte{0})); err == nil {
			t.Errorf("%x with a byte behind is %s", stored, o)
		}
	})
}
