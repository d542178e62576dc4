package flow

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseAssetForms(t *testing.T) {
	const usdt = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
	for in, want := range map[string]string{
		"eip155:1/slip44:60":                      "eip155:1/slip44:60",
		"eip155:1/native":                         "eip155:1/slip44:60",
		"eth/NATIVE":                              "eip155:1/slip44:60",
		"eip155:56/native":                        "eip155:56/slip44:714",
		"eip155:100/native":                       "eip155:100/slip44:2147483748",
		"eip155:99999999999/native":               "eip155:99999999999/token:native",
		"btc/native":                              Bitcoin.String() + "/slip44:0",
		"signet/native":                           BitcoinSignet.String() + "/slip44:1",
		"tron/native":                             "tron:0x2b6653dc/slip44:195",
		"text:story/native":                       "text:story/token:native",
		"text:story/gold":                         "text:story/token:gold",
		"text:story/token:gold":                   "text:story/token:gold",
		"eip155:1/erc20:" + usdt:                  "eip155:1/erc20:" + usdt,
		"eip155:1/" + strings.ToLower(usdt):       "eip155:1/erc20:" + usdt,
		"tron/TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t": "tron:0x2b6653dc/trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
		"eip155:1/erc721:" + usdt + "/007":        "eip155:1/erc721:" + usdt + "/7",
		"eip155:1/erc1155:" + usdt + "/0":         "eip155:1/erc1155:" + usdt + "/0",
	} {
		a, err := ParseAsset(in)
		if err != nil || a.String() != want {
			t.Errorf("ParseAsset(%q) = %s, %v; want %s", in, a, err, want)
		}
	}
	for _, in := range []string{
		"", "/", "eip155:1", "eip155:1/", "eip155:1/erc20:", "eip155:1/erc20:" + usdt + "/1", "eip155:1/erc721:" + usdt, "eip155:1/erc721:" + usdt + "/-1",
		"eip155:1/erc721:" + usdt + "/x", "eip155:1/slip44:06", "eip155:1/slip44:60/1", "eip155:1/token:a/b", "eip155:1/nep5:x", "x/slip44:60",
		Bitcoin.String() + "/erc20:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "text:story/a b", "text:story/" + strings.Repeat("a", 129),
	} {
		if a, err := ParseAsset(in); err == nil || !a.IsZero() {
			t.Errorf("ParseAsset(%q) = %s; want an error", in, a)
		}
	}
	if _, err := ParseAsset("eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831eC7"); !errors.Is(err, ErrChecksum) {
		t.Errorf("contract with a wrong checksum: %v; want ErrChecksum", err)
	}
}

func TestAssetValues(t *testing.T) {
	contract := EVMAccount(Ethereum, [20]byte{1})
	var none Asset
	if !none.IsZero() || none.String() != "" || none.Name() != "" || none.Kind() != "" || none.Contract() != "" || none.IsNative() || !none.Chain().IsZero() {
		t.Errorf("no asset is %q", none)
	}
	coin, token := Ethereum.Native(), Token(contract)
	if !coin.IsNative() || token.IsNative() || coin.Contract() != "" || token.Contract() != contract.Address() || token.Kind() != "erc20" || token.Chain() != Ethereum {
		t.Errorf("%s and %s: parts", coin, token)
	}
	if NFT(contract, NewAmount(7)) == NFT(contract, NewAmount(8)) || NFT(contract, NewAmount(7)) == MultiToken(contract, NewAmount(7)) {
		t.Error("different tokens of a contract are equal")
	}
	if Token(EVMAccount(EVMChain(10), [20]byte{1})) == token {
		t.Error("the same contract on two chains is one asset")
	}
	if coin.Compare(token) != -token.Compare(coin) || coin.Compare(coin) != 0 || coin.Compare(token) == 0 {
		t.Errorf("order of %s and %s", coin, token)
	}
	defer func() {
		if recover() == nil {
			t.Error("Token on Bitcoin: no panic")
		}
	}()
	Token(Account{Bitcoin, "x"})
}

func someAsset() *rapid.Generator[Asset] {
	return rapid.Custom(func(t *rapid.T) Asset {
		contract := EVMAccount(EVMChain(rapid.Uint64Range(1, 1<<40).Draw(t, "chain")), [20]byte(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "contract")))
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return contract.Chain().Native()
		case 1:
			return Token(contract)
		case 2:
			return NFT(contract, someAmount().Draw(t, "id"))
		case 3:
			return MultiToken(contract, someAmount().Draw(t, "id"))
		case 4:
			return rapid.SampledFrom([]Asset{Bitcoin.Native(), BitcoinRegtest.Native(), Tron.Native(), Token(TronAccount(Tron, [20]byte{1}))}).Draw(t, "other")
		}
		c, err := TextChain("story")
		if err != nil {
			t.Fatal(err)
		}
		a, err := NamedAsset(c, rapid.StringMatching(`[-_.%a-zA-Z0-9]{1,128}`).Draw(t, "name"))
		if err != nil {
			t.Fatal(err)
		}
		return a
	})
}

func TestAssetsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := someAsset().Draw(t, "asset")
		if b, err := ParseAsset(a.String()); err != nil || a != b {
			t.Fatalf("ParseAsset(%s) = %s, %v", a, b, err)
		}
		if a.Name() != "token:native" && strings.EqualFold(a.Name(), "native") {
			t.Fatalf("%s: the name reads as the coin", a)
		}
		if b, err := ParseAssetOn(a.Chain(), a.Name()); err != nil || a != b {
			t.Fatalf("ParseAssetOn(%s, %s) = %s, %v", a.Chain(), a.Name(), b, err)
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var b Asset
		if err := json.Unmarshal(text, &b); err != nil || a != b {
			t.Fatalf("%s reads back as %s, %v", text, b, err)
		}
	})
}

func TestParseChain(t *testing.T) {
	for in, want := range map[string]Chain{
		"eip155:1": Ethereum, "ETH": Ethereum, "Ethereum": Ethereum, "btc": Bitcoin, "XBT": Bitcoin, "signet": BitcoinSignet, "tron": Tron, "TRX": Tron,
		"bsc": EVMChain(56), "base": EVMChain(8453), "eip155:18446744073709551615": EVMChain(1<<64 - 1),
		"bip122:000000000019d6689c085ae165831e93": Bitcoin,
	} {
		if c, err := ParseChain(in); err != nil || c != want {
			t.Errorf("ParseChain(%q) = %s, %v; want %s", in, c, err, want)
		}
	}
	for _, in := range []string{"", ":", "eip155", "eip155:", "eip155:01", "eip155:-1", "eip155:x", "EIP155:1", "a:b", "namespace:b", "text:" + strings.Repeat("a", 33), "text:a:b", "text:a b"} {
		if c, err := ParseChain(in); err == nil || !c.IsZero() {
			t.Errorf("ParseChain(%q) = %s; want an error", in, c)
		}
	}
	var none Chain
	if none.String() != "" || none.Namespace() != "" || none.Reference() != "" || none.IsEVM() || none.IsUTXO() || !none.IsZero() {
		t.Errorf("no chain is %q", none)
	}
	if !Ethereum.IsEVM() || Ethereum.IsUTXO() || !Bitcoin.IsUTXO() || Bitcoin.IsEVM() || Tron.IsEVM() || Tron.IsUTXO() {
		t.Error("families of chains")
	}
	if Ethereum.Namespace() != "eip155" || Ethereum.Reference() != "1" || Bitcoin.Compare(Ethereum) >= 0 || Ethereum.Compare(Bitcoin) <= 0 || Tron.Compare(Tron) != 0 {
		t.Error("parts and order of chains")
	}
	h := Hash{0xab}
	if got := Ethereum.FormatHash(h); got != "0x"+h.String() {
		t.Errorf("hash on Ethereum %s", got)
	}
	if got := Bitcoin.FormatHash(h); got != h.String() {
		t.Errorf("hash on Bitcoin %s", got)
	}
}

func FuzzParseAsset(f *testing.F) {
	for _, s := range []string{"", "eip155:1/slip44:60", "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7", "tron/native", "text:a/b", "eth/erc721:0xdac17f958d2ee523a2206206994597c13d831ec7/0x10", "a/b/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAsset(s)
		if err != nil {
			return
		}
		if b, err := ParseAsset(a.String()); err != nil || a != b || a.IsZero() {
			t.Fatalf("ParseAsset(%q) = %s, which reads back as %s, %v", s, a, b, err)
		}
	})
}

func FuzzParseChain(f *testing.F) {
	for _, s := range []string{"", "eip155:1", "BTC", "text:a", "bip122:000000000019d6689c085ae165831e93", "::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseChain(s)
		if err != nil {
			return
		}
		if d, err := ParseChain(c.String()); err != nil || c != d || c.IsZero() {
			t.Fatalf("ParseChain(%q) = %s, which reads back as %s, %v", s, c, d, err)
		}
		if n := c.Native(); n.Chain() != c || !n.IsNative() {
			t.Fatalf("the coin of %s is %s", c, n)
		}
	})
}
