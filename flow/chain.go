package flow

import (
	"fmt"
	"strings"
	"unique"
)

// A Chain is a ledger, named by CAIP-2: "eip155:1" is Ethereum, "bip122:000000000019d6689c085ae165831e93" Bitcoin.
// It is comparable; the zero value is no chain.
type Chain struct{ id unique.Handle[string] }

// The chains that have names of their own. The references of bip122 are the first 32 digits of the genesis block's
// hash, that of Tron its last 8 (CAIP-2 namespaces, chainagnostic.org).
var (
	Ethereum        = mustChain("eip155:1")
	Bitcoin         = mustChain("bip122:000000000019d6689c085ae165831e93")
	BitcoinTestnet3 = mustChain("bip122:000000000933ea01ad0ee984209779ba")
	BitcoinTestnet4 = mustChain("bip122:00000000da84f2bafbbc53dee25a72ae")
	BitcoinSignet   = mustChain("bip122:00000008819873e925422c1ff0f99f7c")
	BitcoinRegtest  = mustChain("bip122:0f9188f13cb7b2c71f2a335e3a4fc328")
	Tron            = mustChain("tron:0x2b6653dc")
)

// chainNames are the names that people and ticker prefixes use, besides CAIP-2.
var chainNames = map[string]Chain{
	"ethereum": Ethereum, "eth": Ethereum, "erc20": Ethereum, "usdc": Ethereum, "dai": Ethereum, "weth": Ethereum,
	"bitcoin": Bitcoin, "btc": Bitcoin, "xbt": Bitcoin,
	"testnet": BitcoinTestnet3, "tbtc": BitcoinTestnet3, "testnet4": BitcoinTestnet4, "signet": BitcoinSignet, "regtest": BitcoinRegtest,
	"tron": Tron, "trx": Tron, "trc20": Tron, "usdt": Tron,
	"optimism": mustChain("eip155:10"), "op": mustChain("eip155:10"),
	"bsc": mustChain("eip155:56"), "bnb": mustChain("eip155:56"),
	"polygon": mustChain("eip155:137"), "matic": mustChain("eip155:137"), "pol": mustChain("eip155:137"),
	"base":     mustChain("eip155:8453"),
	"arbitrum": mustChain("eip155:42161"), "arb": mustChain("eip155:42161"),
	"avalanche": mustChain("eip155:43114"), "avax": mustChain("eip155:43114"),
}

// ParseChain reads a CAIP-2 identifier, or one of the usual names (ethereum, btc, tron, bsc, …) in any case.
func ParseChain(s string) (Chain, error) {
	if c, ok := chainNames[strings.ToLower(s)]; ok {
		return c, nil
	}
	ns, ref, ok := strings.Cut(s, ":")
	if !ok || !isNamespace(ns) || !isReference(ref, 32) {
		return Chain{}, fmt.Errorf("chain %.80q: not a CAIP-2 identifier (namespace:reference) nor a known name", s)
	}
	if ns == "eip155" && !isDecimal(ref) {
		return Chain{}, fmt.Errorf("chain %.80q: an eip155 reference is a decimal number", s)
	}
	return Chain{unique.Make(s)}, nil
}

func mustChain(s string) Chain { return Chain{unique.Make(s)} }

// EVMChain is the EVM chain with that chain id.
func EVMChain(id uint64) Chain { return mustChain(fmt.Sprintf("eip155:%d", id)) }

// TextChain is an invented chain for tests and stories; its accounts are names.
func TextChain(name string) (Chain, error) { return ParseChain("text:" + name) }

// IsZero reports whether c is no chain.
func (c Chain) IsZero() bool { return c == Chain{} }

// String is the CAIP-2 identifier, or "" for no chain.
func (c Chain) String() string {
	if c.IsZero() {
		return ""
	}
	return c.id.Value()
}

// Namespace is the first part of the CAIP-2 identifier: eip155, bip122, tron, …
func (c Chain) Namespace() string {
	ns, _, _ := strings.Cut(c.String(), ":")
	return ns
}

// Reference is the second part of the CAIP-2 identifier.
func (c Chain) Reference() string {
	_, ref, _ := strings.Cut(c.String(), ":")
	return ref
}

// IsEVM reports whether accounts of c are 20-byte EVM addresses.
func (c Chain) IsEVM() bool { return strings.HasPrefix(c.String(), "eip155:") }

// IsUTXO reports whether value on c lives in outpoints and not in account balances.
func (c Chain) IsUTXO() bool { return strings.HasPrefix(c.String(), "bip122:") }

// FormatHash writes a hash as the people of c do: with 0x on EVM chains, bare elsewhere.
func (c Chain) FormatHash(h Hash) string {
	if c.IsEVM() {
		return "0x" + h.String()
	}
	return h.String()
}

// Compare orders chains by their identifiers.
func (c Chain) Compare(o Chain) int {
	if c == o {
		return 0
	}
	return strings.Compare(c.String(), o.String())
}

// MarshalText writes the CAIP-2 identifier.
func (c Chain) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Chain) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*c = Chain{}
		return nil
	}
	v, err := ParseChain(string(b))
	if err != nil {
		return err
	}
	*c = v
	return nil
}

// isNamespace checks the CAIP form [-a-z0-9]{3,8}.
func isNamespace(s string) bool {
	if len(s) < 3 || len(s) > 8 {
		return false
	}
	for i := range len(s) {
		if b := s[i]; b != '-' && (b < 'a' || b > 'z') && (b < '0' || b > '9') {
			return false
		}
	}
	return true
}

// isReference checks the CAIP form [-_.%a-zA-Z0-9]{1,most}.
func isReference(s string, most int) bool {
	if len(s) < 1 || len(s) > most {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if b != '-' && b != '_' && b != '.' && b != '%' && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') {
			return false
		}
	}
	return true
}

func isDecimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && (s[0] != '0' || s == "0")
}
