package attribute

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/address/v2/bech32"
	"golang.org/x/crypto/sha3"

	"github.com/spoor-dev/spoor/flow"
)

// A foreign chain is one whose blocks Spoor does not read, but whose addresses stand on lists.
type foreign struct {
	chain string // CAIP-2
	names string // tickers and names
	parse func(address string) (canonical string, err error)
}

// foreigns are the chains besides those of package flow. The references of bip122 are the first 32 digits of the genesis block's
// hash, that of Bitcoin Cash of the first block after the fork; Bitcoin Gold has none in CAIP-2 and is named by its coin type.
var foreigns = []foreign{
	{"bip122:12a765e31ffd4059bada1e25190f6e98", "litecoin ltc", base58OrSegwit("ltc", 48, 50)},
	{"bip122:000000000000000000651ef99cb9fcbe", "bitcoincash bch", parseCash},
	{"bip122:00000ffd590b1485b3caadc19b22e637", "dash", base58OrSegwit("", 76, 16)},
	{"bip122:1a91e3dace36e2be3bf030a65679fe82", "dogecoin doge", base58OrSegwit("", 30, 22)},
	{"bip122:00040fe8ec8471911baa1db1266ea15d", "zcash zec", parseZcash},
	{"slip44:156", "bitcoingold btg", base58OrSegwit("btg", 38, 23)},
	{"monero:418015bb9ae982a1975da7d79277c270", "monero xmr", parseMonero},
	{"xrpl:0", "ripple xrp", parseRipple},
	{"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "solana sol", parseSolana},
}

// ParseAddress reads an address in every form that flow.ParseAccount takes, and those of some chains whose blocks Spoor does not
// read: Litecoin, Bitcoin Cash, Dash, Dogecoin, Zcash, Bitcoin Gold, Monero, XRP Ledger, Solana. The form of the address
// decides the chain and never the ticker; of two chains that share a form (Litecoin's old "3…", Verge's "D…") the larger is
// taken. The key of an account of these chains is its text. Errors wrap flow.ErrChecksum or flow.ErrAddress; only Solana's
// addresses hold no checksum.
func ParseAddress(s string) (flow.Account, error) {
	s = strings.TrimSpace(s)
	if len(s) > 300 {
		return flow.Account{}, fmt.Errorf("account %.60q…: %w: too long", s, flow.ErrAddress)
	}
	bare := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		prefix := strings.ToLower(s[:i])
		bare = s[i+1:]
		for _, f := range foreigns {
			if strings.EqualFold(f.chain, prefix) { // CAIP-10 says which
				return f.account(bare)
			}
		}
		if strings.Contains(prefix, ":") {
			return flow.ParseAccount(s)
		}
		if !isNameOfChain(prefix) {
			if _, err := flow.ParseAccount(s); err == nil || !isTickerText(prefix) {
				return flow.ParseAccount(s)
			}
		}
		bare = strings.TrimPrefix(bare, "//")
		bare, _, _ = strings.Cut(bare, "?")
	}
	a, err := flow.ParseAccount(s)
	if err == nil {
		return a, nil
	}
	if bare != s && !errors.Is(err, flow.ErrChecksum) {
		if a, err2 := flow.ParseAccount(bare); err2 == nil {
			return a, nil
		}
	}
	for _, f := range foreigns {
		a, err2 := f.account(bare)
		if err2 == nil {
			return a, nil
		}
		if errors.Is(err2, flow.ErrChecksum) && !errors.Is(err, flow.ErrChecksum) {
			err = err2
		}
	}
	return flow.Account{}, err
}

func isNameOfChain(s string) bool {
	for _, f := range foreigns {
		for name := range strings.FieldsSeq(f.names) {
			if name == s {
				return true
			}
		}
	}
	return false
}

func isTickerText(s string) bool {
	for i := range len(s) {
		if (s[i] < 'a' || s[i] > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 12
}

// keyOfName is the form byte of an account whose key is its text, see flow.AccountFromKey.
const keyOfName = "\x08"

func (f foreign) account(s string) (flow.Account, error) {
	c, err := flow.ParseChain(f.chain)
	if err != nil {
		return flow.Account{}, err
	}
	text, err := f.parse(s)
	if err != nil {
		return flow.Account{}, fmt.Errorf("account %.160q on %s: %w", s, c, err)
	}
	return flow.AccountFromKey(c, keyOfName+text)
}

// base58OrSegwit reads base58check with one of these version bytes and 20 bytes of payload, or a segwit address of that prefix.
func base58OrSegwit(hrp string, versions ...byte) func(string) (string, error) {
	return func(s string) (string, error) {
		if hrp != "" && len(s) > len(hrp) && strings.EqualFold(s[:len(hrp)+1], hrp+"1") {
			return parseSegwit(hrp, s)
		}
		if len(s) < 26 || len(s) > 40 {
			return "", fmt.Errorf("%w: wrong length", flow.ErrAddress)
		}
		raw, version, err := base58.CheckDecode(s)
		switch {
		case errors.Is(err, base58.ErrChecksum):
			return "", fmt.Errorf("base58check: %w", flow.ErrChecksum)
		case err != nil:
			return "", fmt.Errorf("%w: base58check: %w", flow.ErrAddress, err)
		}
		for _, v := range versions {
			if v == version && len(raw) == 20 {
				return s, nil
			}
		}
		return "", fmt.Errorf("%w: version byte %d is of another network", flow.ErrAddress, version)
	}
}

func parseSegwit(hrp, s string) (string, error) {
	if len(s) > 90 {
		return "", fmt.Errorf("%w: a segwit address has at most 90 digits", flow.ErrAddress)
	}
	got, data, variant, err := bech32.DecodeGeneric(s)
	var sum bech32.ErrInvalidChecksum
	switch {
	case errors.As(err, &sum):
		return "", fmt.Errorf("bech32: %w", flow.ErrChecksum)
	case err != nil:
		return "", fmt.Errorf("%w: bech32: %w", flow.ErrAddress, err)
	case got != hrp || len(data) < 1 || data[0] > 16:
		return "", fmt.Errorf("%w: bech32 of another network", flow.ErrAddress)
	case (data[0] == 0) != (variant == bech32.Version0):
		return "", fmt.Errorf("bech32 variant: %w", flow.ErrChecksum)
	}
	program, err := bech32.ConvertBits(data[1:], 5, 8, false)
	if err != nil || len(program) < 2 || len(program) > 40 {
		return "", fmt.Errorf("%w: witness program", flow.ErrAddress)
	}
	return strings.ToLower(s), nil
}

const bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// parseCash reads a CashAddr of Bitcoin Cash, with or without "bitcoincash:". The text is kept without.
func parseCash(s string) (string, error) {
	if s == strings.ToUpper(s) {
		s = strings.ToLower(s)
	}
	if len(s) != 42 || s[0] != 'q' && s[0] != 'p' {
		return "", fmt.Errorf("%w: a CashAddr has 42 digits and begins with q or p", flow.ErrAddress)
	}
	sum := uint64(1)
	step := func(digit byte) {
		top := byte(sum >> 35)
		sum = sum&0x07ffffffff<<5 ^ uint64(digit)
		for i, g := range [...]uint64{0x98f2bc8e61, 0x79b76d99e2, 0xf33e5fb3c4, 0xae2eabe2a8, 0x1e4f43e470} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for _, b := range []byte("bitcoincash") {
		step(b & 31)
	}
	step(0)
	for i := range len(s) {
		d := strings.IndexByte(bech32Digits, s[i])
		if d < 0 {
			return "", fmt.Errorf("%w: %q is no digit of a CashAddr", flow.ErrAddress, s[i])
		}
		step(byte(d))
	}
	if sum^1 != 0 {
		return "", fmt.Errorf("CashAddr: %w", flow.ErrChecksum)
	}
	return s, nil
}

// parseZcash reads a transparent address, with its two version bytes, or a Sapling address.
func parseZcash(s string) (string, error) {
	if lower := strings.ToLower(s); strings.HasPrefix(lower, "zs1") {
		hrp, data, variant, err := bech32.DecodeNoLimitWithVersion(s)
		var sum bech32.ErrInvalidChecksum
		if errors.As(err, &sum) || err == nil && variant != bech32.Version0 {
			return "", fmt.Errorf("bech32: %w", flow.ErrChecksum)
		}
		if err != nil || hrp != "zs" || len(data) != 69 {
			return "", fmt.Errorf("%w: a Sapling address is zs1 and 75 digits", flow.ErrAddress)
		}
		return lower, nil
	}
	if len(s) != 35 || s[0] != 't' {
		return "", fmt.Errorf("%w: a transparent Zcash address has 35 digits and begins with t", flow.ErrAddress)
	}
	raw, version, err := base58.CheckDecode(s)
	switch {
	case errors.Is(err, base58.ErrChecksum):
		return "", fmt.Errorf("base58check: %w", flow.ErrChecksum)
	case err != nil || version != 0x1c || len(raw) != 21 || raw[0] != 0xb8 && raw[0] != 0xbd:
		return "", fmt.Errorf("%w: no transparent Zcash address", flow.ErrAddress)
	}
	return s, nil
}

// parseMonero reads a standard address, an integrated one or a subaddress: base58 in blocks of 11 digits for 8 bytes, with
// 4 bytes of keccak-256 at the end.
func parseMonero(s string) (string, error) {
	if len(s) != 95 && len(s) != 106 || s[0] != '4' && s[0] != '8' {
		return "", fmt.Errorf("%w: a Monero address has 95 or 106 digits and begins with 4 or 8", flow.ErrAddress)
	}
	var raw []byte
	for rest := s; rest != ""; {
		digits, size := 11, 8
		if len(rest) < 11 {
			digits = len(rest)
			size = map[int]int{7: 5, 10: 7}[digits] // what is left of 69 and 77 bytes
		}
		block := base58.Decode(strings.TrimLeft(rest[:digits], "1"))
		if len(block) > size || len(block) == 0 && strings.Trim(rest[:digits], "1") != "" {
			return "", fmt.Errorf("%w: no base58 of Monero", flow.ErrAddress)
		}
		raw = append(append(raw, make([]byte, size-len(block))...), block...)
		rest = rest[digits:]
	}
	body := raw[:len(raw)-4]
	if body[0] != 18 && body[0] != 19 && body[0] != 42 {
		return "", fmt.Errorf("%w: not of Monero's main network", flow.ErrAddress)
	}
	h := sha3.NewLegacyKeccak256()
	h.Write(body)
	if string(h.Sum(nil)[:4]) != string(raw[len(raw)-4:]) {
		return "", fmt.Errorf("monero: %w", flow.ErrChecksum)
	}
	return s, nil
}

const (
	bitcoinDigits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	rippleDigits  = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
)

// parseRipple reads a classic address of the XRP Ledger: base58check with digits in an order of its own.
func parseRipple(s string) (string, error) {
	if len(s) < 25 || len(s) > 35 || s[0] != 'r' {
		return "", fmt.Errorf("%w: an address of the XRP Ledger has 25 to 35 digits and begins with r", flow.ErrAddress)
	}
	text := make([]byte, len(s))
	for i := range len(s) {
		d := strings.IndexByte(rippleDigits, s[i])
		if d < 0 {
			return "", fmt.Errorf("%w: %q is no digit of the XRP Ledger", flow.ErrAddress, s[i])
		}
		text[i] = bitcoinDigits[d]
	}
	raw, version, err := base58.CheckDecode(string(text))
	switch {
	case errors.Is(err, base58.ErrChecksum):
		return "", fmt.Errorf("base58check: %w", flow.ErrChecksum)
	case err != nil || version != 0 || len(raw) != 20:
		return "", fmt.Errorf("%w: no address of the XRP Ledger", flow.ErrAddress)
	}
	return s, nil
}

// parseSolana reads 32 bytes in base58. They hold no checksum, so shorter texts than usual are refused.
func parseSolana(s string) (string, error) {
	if len(s) < 43 || len(s) > 44 || len(base58.Decode(s)) != 32 {
		return "", fmt.Errorf("%w: a Solana address has 43 or 44 base58 digits of 32 bytes", flow.ErrAddress)
	}
	return s, nil
}
