package api

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A Scope is what a key is for.
type Scope uint8

// The scopes.
const (
	ScopeScreen  Scope = 1 << iota // questions for verdicts, on every wire
	ScopeMetrics                   // GET /metrics
)

var scopeNames = []struct {
	scope Scope
	name  string
}{{ScopeScreen, "screen"}, {ScopeMetrics, "metrics"}}

// A Key lets one caller in. The secret itself is known to the caller alone.
type Key struct {
	Name   string // for logs and metrics; 1 to 40 of the characters a-z A-Z 0-9 - _ .
	Scopes Scope
	Rate   float64 // questions a second; 0 takes the server's
	hash   [sha256.Size]byte
}

// Keys are the callers of a server. The zero value lets nobody in.
type Keys struct{ keys []Key }

// ErrKeys is returned for a key file that cannot be read as one.
var ErrKeys = errors.New("not a key file")

const (
	maxKeys    = 10_000
	maxKeyLine = 1000
	maxSecret  = 512 // bytes of a presented key
)

// ParseKeys reads a key file: one key a line, `name scopes hash [rate]`, scopes joined by commas, the hash as
// "sha256:" and 64 hex digits, the rate in questions a second. Empty lines and those that begin with # are passed over.
// Errors wrap ErrKeys and name the line.
func ParseKeys(r io.Reader) (*Keys, error) {
	k := &Keys{}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxKeyLine), maxKeyLine)
	names := map[string]bool{}
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parseKey(strings.Fields(line))
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w: %w", n, ErrKeys, err)
		case names[key.Name]:
			return nil, fmt.Errorf("line %d: %w: a second key of the name %q", n, ErrKeys, key.Name)
		case len(k.keys) == maxKeys:
			return nil, fmt.Errorf("line %d: %w: more than %d keys", n, ErrKeys, maxKeys)
		}
		names[key.Name] = true
		k.keys = append(k.keys, key)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if len(k.keys) == 0 {
		return nil, fmt.Errorf("%w: it holds no key", ErrKeys)
	}
	return k, nil
}

func parseKey(f []string) (Key, error) {
	if len(f) < 3 || len(f) > 4 {
		return Key{}, errors.New("want: name scopes sha256:hash [rate]")
	}
	key := Key{Name: f[0]}
	if !isToken(key.Name, 40) {
		return Key{}, fmt.Errorf("the name %.40q", f[0])
	}
	for name := range strings.SplitSeq(f[1], ",") {
		known := false
		for _, s := range scopeNames {
			if s.name == name {
				key.Scopes, known = key.Scopes|s.scope, true
			}
		}
		if !known {
			return Key{}, fmt.Errorf("the scope %.40q; known are screen and metrics", name)
		}
	}
	digits, ok := strings.CutPrefix(f[2], "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(key.hash) {
		return Key{}, errors.New("the hash is not sha256: and 64 hex digits")
	}
	copy(key.hash[:], b)
	if len(f) == 4 {
		if key.Rate, err = strconv.ParseFloat(f[3], 64); err != nil || !(key.Rate > 0 && key.Rate <= 1e9) {
			return Key{}, fmt.Errorf("the rate %.40q", f[3])
		}
	}
	return key, nil
}

// NewKey makes a key of 256 random bits: the secret for the caller, and the line for the key file.
func NewKey(name string, scopes Scope) (secret, line string, err error) {
	if !isToken(name, 40) {
		return "", "", fmt.Errorf("the name %.40q: want 1 to 40 letters, digits, dots and dashes", name)
	}
	var b [32]byte
	rand.Read(b[:])
	secret = "spoor_" + base64.RawURLEncoding.EncodeToString(b[:])
	var names []string
	for _, s := range scopeNames {
		if scopes&s.scope != 0 {
			names = append(names, s.name)
		}
	}
	if len(names) == 0 {
		return "", "", errors.New("a key without a scope")
	}
	sum := sha256.Sum256([]byte(secret))
	return secret, fmt.Sprintf("%s %s sha256:%x", name, strings.Join(names, ","), sum), nil
}

// Find is the key that a secret belongs to. Every key is compared in full, whatever the first ones say, so the time
// tells nothing about them.
func (k *Keys) Find(secret string) (Key, bool) {
	if secret == "" || len(secret) > maxSecret {
		return Key{}, false
	}
	sum := sha256.Sum256([]byte(secret))
	at := -1
	for i := range k.keys {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], k.keys[i].hash[:]), i, at)
	}
	if at < 0 {
		return Key{}, false
	}
	return k.keys[at], true
}

// presented is the secret that a request comes with, at any of the places where clients of the vendors put it; body is
// the api_key of a MistTrack POST.
func presented(r *http.Request, body string) string {
	if a := r.Header.Get("Authorization"); a != "" {
		if scheme, rest, ok := strings.Cut(a, " "); ok && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(rest)
		}
		if user, _, ok := r.BasicAuth(); ok {
			return user
		}
		return a // some clients send the bare key
	}
	for _, h := range [...]string{"X-Api-Key", "Token"} {
		if v := r.Header.Get(h); v != "" {
			return v
		}
	}
	if body != "" {
		return body
	}
	if strings.Contains(r.URL.RawQuery, "api_key=") {
		return r.URL.Query().Get("api_key")
	}
	return ""
}

// isToken reports whether s is 1 to n of the characters that stand in logs and headers as they are.
func isToken(s string, n int) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-', b == '_', b == '.':
		default:
			return false
		}
	}
	return s != "" && len(s) <= n
}
