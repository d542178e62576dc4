package flow

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseAccountForms(t *testing.T) {
	const (
		evm  = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
		evm1 = "eip155:1:" + evm
		btc  = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
		btc1 = "bip122:000000000019d6689c085ae165831e93:"
		test = "bip122:000000000933ea01ad0ee984209779ba:"
		usdt = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
		tron = "tron:0x2b6653dc:" + usdt
	)
	for _, c := range []struct{ in, want string }{
		{evm1, evm1},
		{evm, evm1},
		{strings.ToLower(evm), evm1},
		{"0x" + strings.ToUpper(evm[2:]), evm1},
		{"0X" + strings.ToUpper(evm[2:]), evm1},
		{evm[2:], evm1},
		{"  " + evm + "\n", evm1},
		{"ETH:" + evm, evm1},
		{"usdt:" + evm, evm1}, // the form decides: USDT is on Tron, and on Ethereum, too
		{"XBT:" + evm, evm1},
		{"ethereum:" + evm + "?value=1", evm1},
		{"ethereum://" + evm, evm1},
		{"bnb:" + evm, "eip155:56:" + evm},
		{"eip155:137:" + evm, "eip155:137:" + evm},
		{"FOO:" + evm, evm1},
		{btc, btc1 + btc},
		{"XBT:" + btc, btc1 + btc},
		{"BTC:" + btc, btc1 + btc},
		{"bitcoin:" + btc + "?amount=0.1&label=x", btc1 + btc},
		{"ETH:" + btc, btc1 + btc},
		{"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", btc1 + "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"},
		{"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", btc1 + "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"},
		{"BC1QAR0SRRR7XFKVY5L643LYDNW9RE59GTZZWF5MDQ", btc1 + "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"},
		{"p2pk-" + btc, btc1 + "p2pk-" + btc},
		{"script-" + strings.Repeat("ab", 32), btc1 + "script-" + strings.Repeat("ab", 32)},
		{"mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", test + "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"},
		{"2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", test + "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc"},
		{BitcoinSignet.String() + ":mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", BitcoinSignet.String() + ":mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"},
		{usdt, tron},
		{"USDT:" + usdt, tron},
		{"trx:" + usdt, tron},
		{"41a614f803b6fd780986a42c78ec9c7f77e6ded13c", tron},
		{"tron:0x2b6653dc:0x41a614f803b6fd780986a42c78ec9c7f77e6ded13c", tron},
		{"text:story:alice", "text:story:alice"},
	} {
		a, err := ParseAccount(c.in)
		if err != nil || a.String() != c.want {
			t.Errorf("ParseAccount(%q) = %s, %v; want %s", c.in, a, err, c.want)
			continue
		}
		if c := a.Chain().String() + ":" + a.Address(); c != a.String() {
			t.Errorf("chain and address of %s are %s", a, c)
		}
	}
}

func TestParseAccountRefuses(t *testing.T) {
	for _, c := range []struct {
		in   string
		want error
	}{
		{"", ErrAddress},
		{":", ErrAddress},
		{"::", ErrAddress},
		{"alice", ErrAddress},
		{"0x", ErrAddress},
		{"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", ErrAddress},
		{"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd", ErrAddress},
		{"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", ErrChecksum},
		{"ETH:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", ErrChecksum},
		{"eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", ErrChecksum},
		{"eip155:x:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ErrAddress},
		{"eip155:1:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ErrAddress},
		{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", ErrChecksum},
		{"XBT:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", ErrChecksum},
		{"XBT:1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a", ErrAddress}, // 0 is no base58 digit
		{"p2pk-3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", ErrAddress},
		{"script-abcd", ErrAddress},
		{"TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6s", ErrChecksum},
		{Bitcoin.String() + ":mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", ErrAddress},
		{"not a ticker:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ErrAddress},
		{"text:story:al ice", ErrAddress},
		{"text:story:" + strings.Repeat("a", 129), ErrAddress},
		{strings.Repeat("1", 1<<20), ErrAddress},
	} {
		a, err := ParseAccount(c.in)
		if !errors.Is(err, c.want) || !a.IsZero() {
			t.Errorf("ParseAccount(%.100q) = %s, %v; want %v", c.in, a, err, c.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("ParseAccount(%.20q…): an error of %d bytes", c.in, len(err.Error()))
		}
	}
}

// The test vectors of EIP-55.
func TestEIP55(t *testing.T) {
	for _, want := range []string{
		"0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
		"0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		a, err := ParseAccount(strings.ToLower(want))
		if err != nil || a.Address() != want {
			t.Errorf("ParseAccount(%s) = %s, %v; want %s", strings.ToLower(want), a.Address(), err, want)
		}
	}
}

// The test vectors of BIP 173 as BIP 350 has amended them.
func TestSegwitAddresses(t *testing.T) {
	for in, script := range map[string]string{
		"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4":                                 "0014751e76e8199196d454941c45d1b3a323f1433bd6",
		"tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7":             "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
		"bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y": "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
		"BC1SW50QGDZ25J":                       "6002751e",
		"bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs": "5210751e76e8199196d454941c45d1b3a323",
		"tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy": "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
		"tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c": "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
	} {
		a, err := ParseAccount(in)
		if err != nil || a.Address() != strings.ToLower(in) {
			t.Errorf("ParseAccount(%s) = %s, %v", in, a, err)
			continue
		}
		want, err := hex.DecodeString(script)
		if err != nil {
			t.Fatal(err)
		}
		version := want[0]
		if version > 0x50 {
			version -= 0x50
		}
		if got := a.Key(); got != string(rune(formWitness))+string(version)+string(want[2:]) {
			t.Errorf("%s: key %x; want version %d and %x", in, got, version, want[2:])
		}
	}
	for _, in := range []string{
		"tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
		"tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
		"BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
		"tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
		"bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
		"BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
		"bc1pw5dgrnzv",
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
		"BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
		"tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
		"tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",
		"bc1gmk9yu",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", // a typing error
	} {
		if a, err := ParseAccount(in); err == nil {
			t.Errorf("ParseAccount(%s) = %s; want an error", in, a)
		}
	}
	if _, err := ParseAccount("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"); !errors.Is(err, ErrChecksum) {
		t.Errorf("one digit wrong: %v; want ErrChecksum", err)
	}
}

func TestAccountValues(t *testing.T) {
	var nobody Account
	if !nobody.IsZero() || nobody.String() != "" || nobody.Address() != "" || nobody.Key() != "" || !nobody.Chain().IsZero() {
		t.Errorf("nobody is %q on %q", nobody.String(), nobody.Chain())
	}
	address := [20]byte{1, 2, 3}
	a := EVMAccount(Ethereum, address)
	if got, ok := a.EVMAddress(); !ok || got != address {
		t.Errorf("EVMAddress() = %x, %t; want %x", got, ok, address)
	}
	b, err := a.On(EVMChain(56))
	if err != nil || b.Address() != a.Address() || b.Chain() != EVMChain(56) || b == a {
		t.Errorf("%s on BNB chain = %s, %v", a, b, err)
	}
	if c, err := a.On(Bitcoin); !errors.Is(err, ErrAddress) {
		t.Errorf("%s on Bitcoin = %s, %v; want ErrAddress", a, c, err)
	}
	tr := TronAccount(Tron, address)
	if _, ok := tr.EVMAddress(); ok || a.Compare(tr) >= 0 || tr.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Errorf("%s and %s: order or form", a, tr)
	}
	if _, err := UTXOAccount(Bitcoin, PayToPubKeyHash, make([]byte, 19)); !errors.Is(err, ErrAddress) {
		t.Errorf("19 bytes of hash160: %v; want ErrAddress", err)
	}
	if _, err := UTXOAccount(Ethereum, PayToPubKeyHash, make([]byte, 20)); !errors.Is(err, ErrAddress) {
		t.Errorf("output script on Ethereum: %v; want ErrAddress", err)
	}
	for name, f := range map[string]func(){"EVMAccount": func() { EVMAccount(Tron, address) }, "TronAccount": func() { TronAccount(Ethereum, address) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s on the wrong chain: no panic", name)
				}
			}()
			f()
		}()
	}
}

// someAccount draws an account of any form that Spoor knows.
func someAccount() *rapid.Generator[Account] {
	return rapid.Custom(func(t *rapid.T) Account {
		bytes := func(least, most int) []byte { return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, "payload") }
		utxo := rapid.SampledFrom([]Chain{Bitcoin, BitcoinTestnet3, BitcoinTestnet4, BitcoinSignet, BitcoinRegtest})
		var a Account
		var err error
		switch form := rapid.IntRange(formEVM, formName).Draw(t, "form"); form {
		case formEVM:
			a = EVMAccount(EVMChain(rapid.Uint64Range(1, 1<<40).Draw(t, "chain")), [20]byte(bytes(20, 20)))
		case formTron:
			a = TronAccount(Tron, [20]byte(bytes(20, 20)))
		case formName:
			chain, chainErr := TextChain("story")
			if chainErr != nil {
				t.Fatal(chainErr)
			}
			a, err = NewAccount(chain, rapid.StringMatching(`[-_.%a-zA-Z0-9]{1,128}`).Draw(t, "name"))
		case formWitness:
			version := rapid.ByteRange(0, 16).Draw(t, "version")
			program := bytes(2, 40)
			if version == 0 {
				program = bytes(20, 20)
				if rapid.Bool().Draw(t, "P2WSH") {
					program = bytes(32, 32)
				}
			}
			a, err = UTXOAccount(utxo.Draw(t, "chain"), PayToWitness, append([]byte{version}, program...))
		case formScript:
			a, err = UTXOAccount(utxo.Draw(t, "chain"), PayToScript, bytes(32, 32))
		default:
			a, err = UTXOAccount(utxo.Draw(t, "chain"), ScriptKind(form), bytes(20, 20))
		}
		if err != nil {
			t.Fatal(err)
		}
		return a
	})
}

func TestAccountsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := someAccount().Draw(t, "account")
		if b, err := ParseAccount(a.String()); err != nil || b != a {
			t.Fatalf("ParseAccount(%s) = %s, %v", a, b, err)
		}
		if b, err := ParseAccountOn(a.Chain(), a.Address()); err != nil || b != a {
			t.Fatalf("ParseAccountOn(%s, %s) = %s, %v", a.Chain(), a.Address(), b, err)
		}
		if b, err := AccountFromKey(a.Chain(), a.Key()); err != nil || b != a {
			t.Fatalf("AccountFromKey(%s, %x) = %s, %v", a.Chain(), a.Key(), b, err)
		}
		other := someAccount().Draw(t, "other")
		if (a == other) != (a.String() == other.String()) || (a.Compare(other) == 0) != (a == other) || a.Compare(other) != -other.Compare(a) {
			t.Fatalf("%s and %s: equality and order disagree", a, other)
		}
	})
}

// A single wrong digit is always found where the chain has a checksum.
func TestOneWrongDigitIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := someAccount().Filter(func(a Account) bool {
			k := a.Key()[0]
			return k == formP2PKH || k == formP2SH || k == formWitness || k == formTron
		}).Draw(t, "account")
		text := []byte(a.Address())
		i := rapid.IntRange(4, len(text)-1).Draw(t, "place")
		digits := "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
		if a.Key()[0] == formWitness {
			digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
			i = rapid.IntRange(max(4, strings.LastIndexByte(a.Address(), '1')+1), len(text)-1).Draw(t, "place in the data")
		}
		text[i] = rapid.SampledFrom([]byte(digits)).Filter(func(b byte) bool { return b != text[i] }).Draw(t, "digit")
		if b, err := ParseAccountOn(a.Chain(), string(text)); !errors.Is(err, ErrChecksum) {
			t.Fatalf("%s with another digit %d: %s, %v; want ErrChecksum", a, i, b, err)
		}
	})
}

func FuzzParseAccount(f *testing.F) {
	for _, s := range []string{
		"", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "eip155:1:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "XBT:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
		"BC1SW50QGDZ25J", "p2pk-1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "41a614f803b6fd780986a42c78ec9c7f77e6ded13c", "text:a:b", "bitcoin:?", "eip155:1:", "script-",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAccount(s)
		if err != nil {
			if !errors.Is(err, ErrChecksum) && !errors.Is(err, ErrAddress) {
				t.Fatalf("ParseAccount(%q): %v is neither ErrChecksum nor ErrAddress", s, err)
			}
			return
		}
		if b, err := ParseAccount(a.String()); err != nil || a != b || a.IsZero() {
			t.Fatalf("ParseAccount(%q) = %s, which reads back as %s, %v", s, a, b, err)
		}
	})
}

func FuzzAccountFromKey(f *testing.F) {
	f.Add("eip155:1", "\x01aaaaaaaaaaaaaaaaaaaa")
	f.Add(Bitcoin.String(), "\x04\x00aaaaaaaaaaaaaaaaaaaa")
	f.Add(Bitcoin.String(), "\x04\x00abc")
	f.Add("text:a", "\x08bob")
	f.Fuzz(func(t *testing.T, chain, key string) {
		c, err := ParseChain(chain)
		if err != nil {
			return
		}
		a, err := AccountFromKey(c, key)
		if err != nil {
			return
		}
		if b, err := ParseAccount(a.String()); err != nil || a != b {
			t.Fatalf("key %x on %s is %s, which reads back as %s, %v", key, c, a, b, err)
		}
	})
}
