package flow

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// An Account is who can hold value on a chain, named by CAIP-10: chain and address. It is comparable; the zero value is
// nobody, and stands for the other side of an issue or a burn, or for an input whose origin is not known.
//
// On UTXO chains an account is an output script. Scripts without an address form get one here, legal in CAIP-10:
// "p2pk-1A1zP1…" pays to a bare public key (its P2PKH address follows the dash), "script-<sha256 of the script, hex>"
// is any other.
type Account struct {
	chain Chain
	key   string // first byte the form, then the payload: see form*
}

// The forms of an address. They are part of stored formats: never renumber.
const (
	formEVM     = 1 // 20 bytes
	formP2PKH   = 2 // 20 bytes hash160 of the public key
	formP2SH    = 3 // 20 bytes hash160 of the script
	formWitness = 4 // witness version, then 2 to 40 bytes of program
	formP2PK    = 5 // 20 bytes hash160 of the bare public key
	formScript  = 6 // 32 bytes sha256 of the script
	formTron    = 7 // 20 bytes, without the leading 0x41
	formName    = 8 // an address of a chain whose checksum Spoor does not know, or an invented name
)

var (
	// ErrChecksum is returned for an address that has the form of one but whose checksum is wrong: a typing error,
	// or an attempt to slip past a list.
	ErrChecksum = errors.New("wrong checksum")
	// ErrAddress is returned for text which has the form of no address that Spoor knows.
	ErrAddress = errors.New("not an address")
)

// ParseAccount reads an address in any usual form: CAIP-10 ("eip155:1:0x…"), bare ("0x…", "1…", "3…", "bc1…", "T…") or
// with a ticker, chain name or URI scheme before it ("XBT:1…", "eth:0x…", "bitcoin:bc1…"). The form of the address
// decides the chain where the ticker contradicts it. A bare EVM address is taken to be on Ethereum; a testnet Bitcoin
// address on testnet3, unless CAIP-10 says which. Errors wrap ErrChecksum or ErrAddress.
func ParseAccount(s string) (Account, error) {
	s = strings.TrimSpace(s)
	ns, rest, ok := strings.Cut(s, ":")
	if !ok {
		return parseBare(s)
	}
	if ref, addr, ok := strings.Cut(rest, ":"); ok {
		c, err := ParseChain(ns + ":" + ref)
		if err != nil {
			return Account{}, fmt.Errorf("account %.160q: %w: %w", s, ErrAddress, err)
		}
		return ParseAccountOn(c, addr)
	}
	addr, _, _ := strings.Cut(rest, "?") // a payment URI may carry parameters
	addr = strings.TrimPrefix(addr, "//")
	if c, ok := chainNames[strings.ToLower(ns)]; ok {
		if a, err := ParseAccountOn(c, addr); err == nil || errors.Is(err, ErrChecksum) {
			return a, err
		}
	} else if !isTicker(ns) {
		return Account{}, fmt.Errorf("account %.160q: %w", s, ErrAddress)
	}
	return parseBare(addr)
}

func isTicker(s string) bool {
	for i := range len(s) {
		if b := s[i] | 0x20; (b < 'a' || b > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 10
}

// parseBare finds the chain from the form of the address alone.
func parseBare(s string) (Account, error) {
	chains := []Chain{}
	lower := strings.ToLower(s)
	switch {
	case strings.HasPrefix(lower, "0x"):
		chains = append(chains, Ethereum)
	case strings.HasPrefix(lower, "bc1"):
		chains = append(chains, Bitcoin)
	case strings.HasPrefix(lower, "tb1"):
		chains = append(chains, BitcoinTestnet3)
	case strings.HasPrefix(lower, "bcrt1"):
		chains = append(chains, BitcoinRegtest)
	case strings.HasPrefix(s, "p2pk-"), strings.HasPrefix(s, "script-"):
		chains = append(chains, Bitcoin, BitcoinTestnet3)
	case len(s) == 42 && isHex(s) && strings.HasPrefix(s, "41"):
		chains = append(chains, Tron)
	case len(s) == 40 && isHex(s):
		chains = append(chains, Ethereum)
	default:
		chains = append(chains, Bitcoin, Tron, BitcoinTestnet3)
	}
	var first error
	for _, c := range chains {
		a, err := ParseAccountOn(c, s)
		if err == nil {
			return a, nil
		}
		if first == nil || errors.Is(err, ErrChecksum) && !errors.Is(first, ErrChecksum) {
			first = err
		}
	}
	return Account{}, first
}

// ParseAccountOn reads an address of that chain, without the chain before it. Errors wrap ErrChecksum or ErrAddress.
func ParseAccountOn(c Chain, s string) (Account, error) {
	var key string
	var err error
	switch {
	case c.IsZero():
		return Account{}, fmt.Errorf("account %.160q: %w: no chain", s, ErrAddress)
	case c.IsEVM():
		key, err = parseEVM(s)
	case c.IsUTXO():
		key, err = parseBitcoin(c, s)
	case c.Namespace() == "tron":
		key, err = parseTron(s)
	default:
		key, err = parseName(s)
	}
	if err != nil {
		return Account{}, fmt.Errorf("account %.160q on %s: %w", s, c, err)
	}
	return Account{c, key}, nil
}

func parseName(s string) (string, error) {
	if !isReference(s, 128) {
		return "", fmt.Errorf("%w: a name has 1 to 128 of the characters -_.%%a-zA-Z0-9", ErrAddress)
	}
	return string(rune(formName)) + s, nil
}

// NewAccount names an account of a chain whose addresses are free text (the text chain). Errors wrap ErrAddress.
func NewAccount(c Chain, name string) (Account, error) { return ParseAccountOn(c, name) }

// AccountFromKey is the inverse of Account.Key: it rebuilds an account from its stored form.
func AccountFromKey(c Chain, key string) (Account, error) {
	if key == "" && c.IsZero() {
		return Account{}, nil
	}
	ok := false
	if key != "" {
		n := len(key) - 1
		switch key[0] {
		case formEVM:
			ok = n == 20 && c.IsEVM()
		case formP2PKH, formP2SH, formP2PK:
			ok = n == 20 && c.IsUTXO()
		case formWitness:
			ok = n >= 3 && n <= 41 && key[1] <= 16 && (key[1] != 0 || n == 21 || n == 33) && c.IsUTXO()
		case formScript:
			ok = n == 32 && c.IsUTXO()
		case formTron:
			ok = n == 20 && c.Namespace() == "tron"
		case formName:
			ok = isReference(key[1:], 128)
		}
	}
	if !ok {
		return Account{}, fmt.Errorf("stored account %x on %s: %w", key, c, ErrAddress)
	}
	return Account{c, key}, nil
}

// Key is the account without its chain in a short binary form which is unique on that chain and orders accounts.
func (a Account) Key() string { return a.key }

// IsZero reports whether a is nobody.
func (a Account) IsZero() bool { return a.key == "" }

// Chain is where the account lives.
func (a Account) Chain() Chain { return a.chain }

// On is the same address on another chain of the same family; it returns an error where the form does not exist there.
func (a Account) On(c Chain) (Account, error) { return AccountFromKey(c, a.key) }

// EVMAddress is the 20 bytes of an EVM address; ok is false for accounts of other kinds.
func (a Account) EVMAddress() (b [20]byte, ok bool) {
	if a.key == "" || a.key[0] != formEVM {
		return b, false
	}
	copy(b[:], a.key[1:])
	return b, true
}

// Address is the account in its chain's own spelling, with the checksum: EIP-55, base58check, bech32, bech32m.
func (a Account) Address() string {
	if a.key == "" {
		return ""
	}
	payload := a.key[1:]
	switch a.key[0] {
	case formEVM:
		return formatEVM(payload)
	case formTron:
		return formatTron(payload)
	case formName:
		return payload
	}
	return formatBitcoin(a.chain, a.key[0], payload)
}

// String is the CAIP-10 identifier, or "" for nobody.
func (a Account) String() string {
	if a.IsZero() {
		return ""
	}
	return a.chain.String() + ":" + a.Address()
}

// Compare orders accounts by chain, then key.
func (a Account) Compare(b Account) int {
	if c := a.chain.Compare(b.chain); c != 0 {
		return c
	}
	return strings.Compare(a.key, b.key)
}

// MarshalText writes the CAIP-10 identifier.
func (a Account) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads any form that ParseAccount accepts; empty text is nobody.
func (a *Account) UnmarshalText(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		*a = Account{}
		return nil
	}
	v, err := ParseAccount(string(b))
	if err != nil {
		return err
	}
	*a = v
	return nil
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && s != ""
}
