package attribute

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/spoor-dev/spoor/flow"
)

// AppendBinary appends the stored form of a subject, which sorts as Compare does and of which none is the beginning of
// another: kind, chain, a zero byte, length of the key in 2 bytes, key. It returns an error wrapping ErrSubject for nothing.
func (s Subject) AppendBinary(b []byte) ([]byte, error) {
	if s.IsZero() || len(s.key) > math.MaxUint16 {
		return b, fmt.Errorf("stored subject: %w", ErrSubject)
	}
	b = append(b, byte(s.kind))
	b = append(b, s.chain.String()...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.key)))
	return append(b, s.key...), nil
}

// SubjectFromBinary reads what AppendBinary wrote. Errors wrap ErrSubject or flow.ErrAddress.
func SubjectFromBinary(b []byte) (Subject, error) {
	bad := func() error { return fmt.Errorf("stored subject %x: %w", b, ErrSubject) }
	if len(b) < 4 {
		return Subject{}, bad()
	}
	kind := Kind(b[0])
	name, key, ok := bytes.Cut(b[1:], []byte{0})
	if !ok || len(key) < 2 || int(binary.BigEndian.Uint16(key)) != len(key)-2 {
		return Subject{}, bad()
	}
	s := Subject{kind: kind, key: string(key[2:])}
	switch kind {
	case KindAccount:
		c, err := flow.ParseChain(string(name))
		if err != nil {
			return Subject{}, fmt.Errorf("%w: %w", bad(), err)
		}
		a, err := flow.AccountFromKey(c, s.key)
		return OfAccount(a), err
	case KindAnyEVM:
		a, err := flow.AccountFromKey(flow.Ethereum, s.key)
		return OfAnyEVM(a), err
	case KindCode, KindDomain, KindPackage, KindActor:
		if len(name) == 0 && s.key != "" && (kind != KindCode || len(s.key) == 32) {
			return s, nil
		}
	}
	return Subject{}, bad()
}
