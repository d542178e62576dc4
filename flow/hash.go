package flow

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// A Hash names a block or a transaction. Its bytes stand in the order in which the chain's people print them, so for
// Bitcoin they are the reverse of the bytes on the wire. The zero Hash means "not known".
type Hash [32]byte

// ParseHash reads 64 hexadecimal digits, with or without 0x.
func ParseHash(s string) (Hash, error) {
	var h Hash
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	if len(digits) != 2*len(h) {
		return Hash{}, fmt.Errorf("hash %.80q: have %d digits, want 64", s, len(digits))
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return Hash{}, fmt.Errorf("hash %.80q: %w", s, err)
	}
	return h, nil
}

// IsZero reports whether h is not known.
func (h Hash) IsZero() bool { return h == Hash{} }

// Compare orders hashes by their printed form.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// String is the 64 digits without a prefix; Chain.FormatHash adds the one that its chain is used to.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText makes a Hash readable in JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	if err != nil {
		return err
	}
	*h = v
	return nil
}

// An Outpoint names one output of a UTXO transaction: the coin that a later input spends.
type Outpoint struct {
	Tx    Hash
	Index uint32
}

// ErrOutpoint is returned for text which is not "transaction:index".
var ErrOutpoint = errors.New("an outpoint is written transaction:index")

// ParseOutpoint reads "transaction:index".
func ParseOutpoint(s string) (Outpoint, error) {
	tx, index, ok := strings.Cut(s, ":")
	if !ok {
		return Outpoint{}, fmt.Errorf("%.80q: %w", s, ErrOutpoint)
	}
	h, err := ParseHash(tx)
	if err != nil {
		return Outpoint{}, fmt.Errorf("%w: %w", ErrOutpoint, err)
	}
	n, err := parseUint32(index)
	if err != nil {
		return Outpoint{}, fmt.Errorf("%.80q: %w", s, ErrOutpoint)
	}
	return Outpoint{h, n}, nil
}

func parseUint32(s string) (uint32, error) {
	if s == "" || len(s) > 10 {
		return 0, ErrOutpoint
	}
	var n uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, ErrOutpoint
		}
		n = n*10 + uint64(s[i]-'0')
	}
	if n > 1<<32-1 {
		return 0, ErrOutpoint
	}
	return uint32(n), nil
}

// IsZero reports whether o names no output.
func (o Outpoint) IsZero() bool { return o == Outpoint{} }

// Compare orders outpoints by transaction, then index.
func (o Outpoint) Compare(p Outpoint) int {
	if c := o.Tx.Compare(p.Tx); c != 0 {
		return c
	}
	return int(int64(o.Index) - int64(p.Index))
}

// String is "transaction:index".
func (o Outpoint) String() string { return fmt.Sprintf("%s:%d", o.Tx, o.Index) }

// MarshalText writes "transaction:index".
func (o Outpoint) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *Outpoint) UnmarshalText(b []byte) error {
	v, err := ParseOutpoint(string(b))
	if err != nil {
		return err
	}
	*o = v
	return nil
}
