package flow

import (
	"fmt"
	"strconv"
	"strings"
	"unique"
)

// An Asset is what moves, named by CAIP-19: "eip155:1/slip44:60" is ether, "eip155:1/erc20:0x…" a token. It is
// comparable; the zero value is no asset. An asset is its contract, never its symbol: symbols can be forged.
type Asset struct{ h unique.Handle[assetName] }

type assetName struct {
	chain Chain
	kind  string // slip44, erc20, erc721, erc1155, trc20, token
	ref   string // canonical: EVM and Tron contracts with their checksum
	token string // id inside an NFT contract, decimal; else empty
}

// nativeCoin holds the SLIP-44 coin type of chains whose coin is not the one that the chain's family suggests.
var nativeCoin = map[string]string{
	"eip155:1": "60", "eip155:10": "60", "eip155:8453": "60", "eip155:42161": "60", "eip155:11155111": "60",
	"eip155:56": "714", "eip155:137": "966", "eip155:43114": "9005",
	"bip122:000000000019d6689c085ae165831e93": "0",
	"tron:0x2b6653dc":                         "195",
}

// Native is the chain's own coin: its SLIP-44 number where it has one; for other EVM chains 2³¹ + chain id (ENSIP-11),
// for other UTXO chains 1 ("testnet, all coins"), else the token "native".
func (c Chain) Native() Asset {
	if n, ok := nativeCoin[c.String()]; ok {
		return makeAsset(c, "slip44", n, "")
	}
	switch {
	case c.IsEVM():
		id, err := strconv.ParseUint(c.Reference(), 10, 31)
		if err != nil { // beyond ENSIP-11: a name of its own
			return makeAsset(c, "token", "native", "")
		}
		return makeAsset(c, "slip44", strconv.FormatUint(1<<31+id, 10), "")
	case c.IsUTXO():
		return makeAsset(c, "slip44", "1", "")
	}
	return makeAsset(c, "token", "native", "")
}

func makeAsset(c Chain, kind, ref, token string) Asset {
	return Asset{unique.Make(assetName{c, kind, ref, token})}
}

// Token is the fungible token of a contract account: erc20 on EVM chains, trc20 on Tron. It panics on an account of
// a chain that has no token contracts.
func Token(contract Account) Asset {
	switch {
	case contract.chain.IsEVM():
		return makeAsset(contract.chain, "erc20", contract.Address(), "")
	case contract.chain.Namespace() == "tron":
		return makeAsset(contract.chain, "trc20", contract.Address(), "")
	}
	panic("flow: Token of " + contract.String())
}

// NFT is one token of an ERC-721 contract; its amount is always 1.
func NFT(contract Account, id Amount) Asset {
	return makeAsset(contract.chain, "erc721", contract.Address(), id.String())
}

// MultiToken is one id of an ERC-1155 contract.
func MultiToken(contract Account, id Amount) Asset {
	return makeAsset(contract.chain, "erc1155", contract.Address(), id.String())
}

// NamedAsset is an asset of a chain that names its assets freely (the text chain), CAIP-19 namespace "token".
func NamedAsset(c Chain, name string) (Asset, error) {
	if !isReference(name, 128) {
		return Asset{}, fmt.Errorf("asset %.80q: a name has 1 to 128 of the characters -_.%%a-zA-Z0-9", name)
	}
	return makeAsset(c, "token", name, ""), nil
}

// ParseAsset reads a CAIP-19 identifier and validates its contract by checksum.
func ParseAsset(s string) (Asset, error) {
	left, right, ok := strings.Cut(s, "/")
	if !ok {
		return Asset{}, fmt.Errorf("asset %.120q: not a CAIP-19 identifier (chain/namespace:reference)", s)
	}
	c, err := ParseChain(left)
	if err != nil {
		return Asset{}, fmt.Errorf("asset %.120q: %w", s, err)
	}
	return ParseAssetOn(c, right)
}

// ParseAssetOn reads the part of a CAIP-19 identifier after the chain ("erc20:0x…"), a bare token contract of that
// chain ("0x…"), or the word "native".
func ParseAssetOn(c Chain, s string) (Asset, error) {
	if strings.EqualFold(s, "native") {
		return c.Native(), nil
	}
	kind, ref, ok := strings.Cut(s, ":")
	if !ok {
		if c.IsEVM() || c.Namespace() == "tron" {
			a, err := ParseAccountOn(c, s)
			if err != nil {
				return Asset{}, fmt.Errorf("asset %.120q on %s: %w", s, c, err)
			}
			return Token(a), nil
		}
		return NamedAsset(c, s)
	}
	ref, token, hasToken := strings.Cut(ref, "/")
	switch kind {
	case "erc20", "trc20", "erc721", "erc1155":
		a, err := ParseAccountOn(c, ref)
		if err != nil {
			return Asset{}, fmt.Errorf("asset %.120q: %w", s, err)
		}
		if kind == "erc20" || kind == "trc20" {
			if !hasToken && (c.IsEVM() || c.Namespace() == "tron") {
				return Token(a), nil
			}
			break
		}
		id, err := ParseAmount(token)
		if err != nil || !hasToken {
			return Asset{}, fmt.Errorf("asset %.120q: an NFT ends in /id", s)
		}
		return makeAsset(c, kind, a.Address(), id.String()), nil
	case "slip44":
		if isDecimal(ref) && !hasToken {
			return makeAsset(c, kind, ref, ""), nil
		}
	case "token":
		if !hasToken {
			return NamedAsset(c, ref)
		}
	}
	return Asset{}, fmt.Errorf("asset %.120q: unknown form", s)
}

// IsZero reports whether a is no asset.
func (a Asset) IsZero() bool { return a == Asset{} }

// Chain is where the asset lives.
func (a Asset) Chain() Chain {
	if a.IsZero() {
		return Chain{}
	}
	return a.h.Value().chain
}

// Kind is the CAIP-19 namespace: slip44, erc20, erc721, erc1155, trc20 or token.
func (a Asset) Kind() string {
	if a.IsZero() {
		return ""
	}
	return a.h.Value().kind
}

// IsNative reports whether a is its chain's own coin.
func (a Asset) IsNative() bool { return !a.IsZero() && a == a.Chain().Native() }

// Contract is the token contract in its chain's own spelling; "" for coins.
func (a Asset) Contract() string {
	switch a.Kind() {
	case "erc20", "trc20", "erc721", "erc1155":
		return a.h.Value().ref
	}
	return ""
}

// Name is the CAIP-19 identifier without the chain, for example "erc20:0x…".
func (a Asset) Name() string {
	if a.IsZero() {
		return ""
	}
	n := a.h.Value()
	if n.token == "" {
		return n.kind + ":" + n.ref
	}
	return n.kind + ":" + n.ref + "/" + n.token
}

// String is the CAIP-19 identifier.
func (a Asset) String() string {
	if a.IsZero() {
		return ""
	}
	return a.Chain().String() + "/" + a.Name()
}

// Compare orders assets by their identifiers.
func (a Asset) Compare(o Asset) int {
	if a == o {
		return 0
	}
	return strings.Compare(a.String(), o.String())
}

// MarshalText writes the CAIP-19 identifier.
func (a Asset) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Asset) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Asset{}
		return nil
	}
	v, err := ParseAsset(string(b))
	if err != nil {
		return err
	}
	*a = v
	return nil
}
