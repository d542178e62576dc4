package flow

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/address/v2/bech32"
)

// bitcoinNet holds the version bytes and the human-readable part of a network's addresses.
type bitcoinNet struct {
	pubKeyHash, scriptHash byte
	hrp                    string
}

func netOf(c Chain) bitcoinNet {
	switch c {
	case Bitcoin:
		return bitcoinNet{0x00, 0x05, "bc"}
	case BitcoinRegtest:
		return bitcoinNet{0x6f, 0xc4, "bcrt"}
	}
	return bitcoinNet{0x6f, 0xc4, "tb"} // the test networks share theirs
}

// A ScriptKind says what kind of output script pays a UTXO account.
type ScriptKind byte

// The kinds of output scripts. Witness covers every version: 0 (P2WPKH, P2WSH), 1 (taproot) and those to come.
const (
	PayToPubKeyHash ScriptKind = formP2PKH   // payload: hash160 of the key
	PayToScriptHash ScriptKind = formP2SH    // payload: hash160 of the script
	PayToWitness    ScriptKind = formWitness // payload: the version, then the program
	PayToPubKey     ScriptKind = formP2PK    // payload: hash160 of the key
	PayToScript     ScriptKind = formScript  // payload: sha256 of the whole script
)

// UTXOAccount is the account that an output script of that kind pays. It returns an error wrapping ErrAddress if the
// payload does not have the length of its kind.
func UTXOAccount(c Chain, kind ScriptKind, payload []byte) (Account, error) {
	if !c.IsUTXO() {
		return Account{}, fmt.Errorf("output script on %s: %w", c, ErrAddress)
	}
	return AccountFromKey(c, string(rune(kind))+string(payload))
}

const (
	pubKeyMark = "p2pk-"
	scriptMark = "script-"
)

func parseBitcoin(c Chain, s string) (string, error) {
	net := netOf(c)
	if text, ok := strings.CutPrefix(s, scriptMark); ok {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != 32 {
			return "", fmt.Errorf("%w: %s is followed by the 64 digits of a sha256", ErrAddress, scriptMark)
		}
		return string(rune(formScript)) + string(raw), nil
	}
	if text, ok := strings.CutPrefix(s, pubKeyMark); ok {
		key, err := parseBase58(net, text)
		if err != nil {
			return "", err
		}
		if key[0] != formP2PKH {
			return "", fmt.Errorf("%w: %s is followed by a P2PKH address", ErrAddress, pubKeyMark)
		}
		return string(rune(formP2PK)) + key[1:], nil
	}
	if len(s) > len(net.hrp) && strings.EqualFold(s[:len(net.hrp)+1], net.hrp+"1") {
		return parseWitness(net, s)
	}
	return parseBase58(net, s)
}

func parseBase58(net bitcoinNet, s string) (string, error) {
	if len(s) < 26 || len(s) > 40 { // bounds the work on hostile input, too
		return "", fmt.Errorf("%w: a base58 address has 26 to 35 digits", ErrAddress)
	}
	raw, version, err := base58.CheckDecode(s)
	switch {
	case err == base58.ErrChecksum:
		return "", fmt.Errorf("base58check: %w", ErrChecksum)
	case err != nil:
		return "", fmt.Errorf("%w: base58check: %w", ErrAddress, err)
	case len(raw) != 20:
		return "", fmt.Errorf("%w: %d bytes of payload, want 20", ErrAddress, len(raw))
	case version == net.pubKeyHash:
		return string(rune(formP2PKH)) + string(raw), nil
	case version == net.scriptHash:
		return string(rune(formP2SH)) + string(raw), nil
	}
	return "", fmt.Errorf("%w: version byte %#x is not of this network", ErrAddress, version)
}

// parseWitness reads a segwit address: bech32 for version 0 (BIP 173), bech32m for the others (BIP 350).
func parseWitness(net bitcoinNet, s string) (string, error) {
	if len(s) > 90 {
		return "", fmt.Errorf("%w: a segwit address has at most 90 digits", ErrAddress)
	}
	hrp, data, encoding, err := bech32.DecodeGeneric(s)
	if err != nil {
		if _, bad := err.(bech32.ErrInvalidChecksum); bad {
			return "", fmt.Errorf("bech32: %w", ErrChecksum)
		}
		return "", fmt.Errorf("%w: bech32: %w", ErrAddress, err)
	}
	if hrp != net.hrp || len(data) < 1 || data[0] > 16 {
		return "", fmt.Errorf("%w: bech32 prefix %q or witness version out of range", ErrAddress, hrp)
	}
	if (data[0] == 0) != (encoding == bech32.Version0) {
		return "", fmt.Errorf("bech32 variant does not fit witness version %d: %w", data[0], ErrChecksum)
	}
	program, err := bech32.ConvertBits(data[1:], 5, 8, false)
	if err != nil {
		return "", fmt.Errorf("%w: bech32: %w", ErrAddress, err)
	}
	if n := len(program); n < 2 || n > 40 || data[0] == 0 && n != 20 && n != 32 {
		return "", fmt.Errorf("%w: %d bytes of witness program", ErrAddress, n)
	}
	return string(rune(formWitness)) + string(data[:1]) + string(program), nil
}

func formatBitcoin(c Chain, form byte, payload string) string {
	net := netOf(c)
	switch form {
	case formP2PKH:
		return base58.CheckEncode([]byte(payload), net.pubKeyHash)
	case formP2SH:
		return base58.CheckEncode([]byte(payload), net.scriptHash)
	case formP2PK:
		return pubKeyMark + base58.CheckEncode([]byte(payload), net.pubKeyHash)
	case formWitness:
		data, err := bech32.ConvertBits([]byte(payload[1:]), 8, 5, true)
		if err != nil {
			panic("flow: witness program: " + err.Error())
		}
		data = append([]byte{payload[0]}, data...)
		encode := bech32.EncodeM
		if payload[0] == 0 {
			encode = bech32.Encode
		}
		text, err := encode(net.hrp, data)
		if err != nil {
			panic("flow: witness program: " + err.Error())
		}
		return text
	}
	return scriptMark + hex.EncodeToString([]byte(payload))
}
