package attribute

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spoor-dev/spoor/flow"
)

// A Kind is what kind of thing a subject is. Kinds are part of stored formats: never renumber.
type Kind uint8

// The kinds of subjects.
const (
	KindAccount Kind = 1 // an account of one chain
	KindAnyEVM  Kind = 2 // an address, on whichever EVM chain
	KindCode    Kind = 3 // the code of contracts, by its keccak-256
	KindDomain  Kind = 4 // an internet domain
	KindPackage Kind = 5 // a software package
	KindActor   Kind = 6 // a person, group or company, by a name
)

// ErrSubject is returned for text that names no subject. Errors about addresses wrap flow.ErrAddress or flow.ErrChecksum
// instead.
var ErrSubject = errors.New("not a subject")

// A Subject is what a label is about. It is comparable; the zero value is nothing.
type Subject struct {
	kind  Kind
	chain flow.Chain // of accounts only
	key   string     // accounts: flow.Account.Key; code: 32 bytes; else lower-case text
}

// OfAccount is the subject that is this account, on its chain only.
func OfAccount(a flow.Account) Subject {
	if a.IsZero() {
		return Subject{}
	}
	return Subject{KindAccount, a.Chain(), a.Key()}
}

// OfAnyEVM is the subject that is the address of this account on every EVM chain: who has the key has it everywhere. An
// account of another family is returned on its own chain.
func OfAnyEVM(a flow.Account) Subject {
	if !a.Chain().IsEVM() {
		return OfAccount(a)
	}
	return Subject{KindAnyEVM, flow.Chain{}, a.Key()}
}

// OfCode is the subject that is all contracts whose code has this keccak-256.
func OfCode(h flow.Hash) Subject { return Subject{KindCode, flow.Chain{}, string(h[:])} }

const (
	anyEVMMark  = "eip155:any:"
	codeMark    = "code:"
	domainMark  = "domain:"
	packageMark = "pkg:"
	actorMark   = "actor:"
)

// ParseSubject reads what String writes, and an address in any form that ParseAddress takes. An EVM address without a chain,
// or with a ticker before it, is the address on every EVM chain; CAIP-10 names one chain.
func ParseSubject(s string) (Subject, error) {
	s = strings.TrimSpace(s)
	mark, rest, _ := strings.Cut(s, ":")
	switch strings.ToLower(mark) + ":" {
	case codeMark:
		h, err := hex.DecodeString(strings.TrimPrefix(rest, "0x"))
		if err != nil || len(h) != 32 {
			return Subject{}, fmt.Errorf("%.160q: %w: %s is followed by 64 hexadecimal digits", s, ErrSubject, codeMark)
		}
		return Subject{KindCode, flow.Chain{}, string(h)}, nil
	case domainMark:
		return ParseDomain(rest)
	case packageMark:
		if !isText(rest, 500) || !strings.Contains(rest, "/") {
			return Subject{}, fmt.Errorf("%.160q: %w: a package is pkg:ecosystem/name", s, ErrSubject)
		}
		return Subject{KindPackage, flow.Chain{}, rest}, nil
	}
	if strings.EqualFold(mark+":", actorMark) {
		return OfActor(rest)
	}
	if len(s) > len(anyEVMMark) && strings.EqualFold(s[:len(anyEVMMark)], anyEVMMark) {
		a, err := flow.ParseAccountOn(flow.Ethereum, s[len(anyEVMMark):])
		return OfAnyEVM(a), err
	}
	a, err := ParseAddress(s)
	if err != nil {
		return Subject{}, err
	}
	if a.Chain().IsEVM() && strings.Count(s, ":") < 2 {
		return OfAnyEVM(a), nil
	}
	return OfAccount(a), nil
}

// OfActor is the subject that is whoever goes by this name: letters and digits of the name in lower case, with "_" for what
// lies between them. It returns an error wrapping ErrSubject for a name without any.
func OfActor(name string) (Subject, error) {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	slug := strings.Join(words, "_")
	if slug == "" || len(slug) > 200 {
		return Subject{}, fmt.Errorf("actor %.160q: %w", name, ErrSubject)
	}
	return Subject{KindActor, flow.Chain{}, slug}, nil
}

// ParseDomain reads the name of a host: lower-cased, without a dot at its end. A scheme, port or path is an error.
func ParseDomain(s string) (Subject, error) {
	name := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "."))
	if !isText(name, 253) || strings.ContainsAny(name, "/:@?#\\[]%\"'<>*,;") || !strings.Contains(name, ".") || strings.Contains(name, "..") || name[0] == '.' {
		return Subject{}, fmt.Errorf("domain %.160q: %w", s, ErrSubject)
	}
	return Subject{KindDomain, flow.Chain{}, name}, nil
}

// isText reports whether s has 1 to most bytes and no blanks or control characters.
func isText(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// Kind is what kind of thing the subject is.
func (s Subject) Kind() Kind { return s.kind }

// IsZero reports whether s is nothing.
func (s Subject) IsZero() bool { return s.kind == 0 }

// Account is the account that the subject is; for an address on every EVM chain that on Ethereum. ok is false for others.
func (s Subject) Account() (a flow.Account, ok bool) {
	switch s.kind {
	case KindAccount:
	case KindAnyEVM:
		s.chain = flow.Ethereum
	default:
		return a, false
	}
	a, err := flow.AccountFromKey(s.chain, s.key)
	return a, err == nil
}

// String is CAIP-10 for accounts, "eip155:any:0x…", "code:0x…", "domain:example.org", "pkg:npm/name".
func (s Subject) String() string {
	switch s.kind {
	case KindAccount:
		a, _ := s.Account()
		return a.String()
	case KindAnyEVM:
		a, _ := s.Account()
		return anyEVMMark + a.Address()
	case KindCode:
		return codeMark + "0x" + hex.EncodeToString([]byte(s.key))
	case KindDomain:
		return domainMark + s.key
	case KindPackage:
		return packageMark + s.key
	case KindActor:
		return actorMark + s.key
	}
	return ""
}

// Compare orders subjects by kind, chain, length of the key, then key.
func (s Subject) Compare(o Subject) int {
	return cmp.Or(cmp.Compare(s.kind, o.kind), s.chain.Compare(o.chain), cmp.Compare(len(s.key), len(o.key)), strings.Compare(s.key, o.key))
}

// MarshalText writes String.
func (s Subject) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads any form that ParseSubject takes; empty text is nothing.
func (s *Subject) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = Subject{}
		return nil
	}
	v, err := ParseSubject(string(b))
	*s = v
	return err
}
