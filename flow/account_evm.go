package flow

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"golang.org/x/crypto/sha3"
)

// EVMAccount is the account with that address on an EVM chain. It panics if c is none.
func EVMAccount(c Chain, address [20]byte) Account {
	if !c.IsEVM() {
		panic("flow: EVM address on " + c.String())
	}
	var key [21]byte
	key[0] = formEVM
	copy(key[1:], address[:])
	return Account{c, string(key[:])}
}

// parseEVM accepts 40 hexadecimal digits, with or without 0x: all lower, all upper, or mixed with a right EIP-55 sum.
func parseEVM(s string) (string, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != 20 {
		return "", fmt.Errorf("%w: an EVM address has 40 hexadecimal digits after 0x", ErrAddress)
	}
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && formatEVM(string(raw))[2:] != digits {
		return "", fmt.Errorf("EIP-55: %w", ErrChecksum)
	}
	return string(rune(formEVM)) + string(raw), nil
}

// formatEVM writes an address with its EIP-55 checksum: a letter is upper case where the matching digit of the
// keccak-256 of the lower-case text is 8 or more.
func formatEVM(payload string) string {
	var text [42]byte
	copy(text[:], "0x")
	hex.Encode(text[2:], []byte(payload))
	h := sha3.NewLegacyKeccak256()
	h.Write(text[2:])
	var sum [32]byte
	h.Sum(sum[:0])
	for i := range 40 {
		nibble := sum[i/2] >> (4 * (1 - uint(i)%2)) & 15
		if c := text[2+i]; c >= 'a' && nibble >= 8 {
			text[2+i] = c - 32
		}
	}
	return string(text[:])
}

// tronPrefix is the version byte before the 20 bytes of a Tron address.
const tronPrefix = 0x41

// TronAccount is the account with those 20 bytes (without the leading 0x41) on a Tron chain. It panics if c is none.
func TronAccount(c Chain, address [20]byte) Account {
	if c.Namespace() != "tron" {
		panic("flow: Tron address on " + c.String())
	}
	return Account{c, string(rune(formTron)) + string(address[:])}
}

// parseTron accepts base58check ("T…") and hexadecimal with the 41 before it, with or without 0x.
func parseTron(s string) (string, error) {
	digits := strings.TrimPrefix(s, "0x")
	if len(digits) == 42 && isHex(digits) && strings.HasPrefix(digits, "41") {
		raw, _ := hex.DecodeString(digits)
		return string(rune(formTron)) + string(raw[1:]), nil
	}
	if len(s) < 26 || len(s) > 40 {
		return "", fmt.Errorf("%w: a Tron address is T and 33 base58 digits", ErrAddress)
	}
	raw, version, err := base58.CheckDecode(s)
	switch {
	case err == base58.ErrChecksum:
		return "", fmt.Errorf("base58check: %w", ErrChecksum)
	case err != nil:
		return "", fmt.Errorf("%w: base58check: %w", ErrAddress, err)
	case version != tronPrefix || len(raw) != 20:
		return "", fmt.Errorf("%w: a Tron address is T and 33 base58 digits", ErrAddress)
	}
	return string(rune(formTron)) + string(raw), nil
}

func formatTron(payload string) string { return base58.CheckEncode([]byte(payload), tronPrefix) }
