package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Duration is written like 250ms, 30s, 5m, 72h or 30d.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	text := string(b)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("duration %.40q: write it like 250ms, 30s, 5m, 72h or 30d", text)
		}
		*d = Duration(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("duration %.40q: write it like 250ms, 30s, 5m, 72h or 30d", text)
	}
	*d = Duration(v)
	return nil
}

// String is the duration in the form in which it is written.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// A Size is a number of bytes, written like 512MiB, 2GiB or 1000000.
type Size uint64

var sizes = []struct {
	unit  string
	bytes uint64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	text, unit := strings.TrimSpace(string(b)), uint64(1)
	for _, u := range sizes {
		if digits, ok := strings.CutSuffix(text, u.unit); ok {
			text, unit = strings.TrimSpace(digits), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return fmt.Errorf("size %.40q: write it like 512MiB, 2GiB or 1000000", string(b))
	}
	*s = Size(n * unit)
	return nil
}

// String is the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizes[:4] {
		if s > 0 && uint64(s)%u.bytes == 0 {
			return fmt.Sprintf("%d%s", uint64(s)/u.bytes, u.unit)
		}
	}
	return strconv.FormatUint(uint64(s), 10)
}

// MarshalText writes the size.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
