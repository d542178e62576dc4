package finding

import (
	"fmt"
	"strings"
)

// A Severity says how soon people should look.
type Severity uint8

// The severities. They are part of stored formats: never renumber.
const (
	Info     Severity = 1 // context
	Low      Severity = 2 // seen in honest traffic as well
	Medium   Severity = 3 // worth a look today
	High     Severity = 4 // money is leaving reach, or a new link between cases
	Critical Severity = 5 // minutes count
)

var severityNames = [...]string{"", "info", "low", "medium", "high", "critical"}

// String is one lower-case word.
func (s Severity) String() string {
	if int(s) < len(severityNames) && s > 0 {
		return severityNames[s]
	}
	return fmt.Sprintf("severity%d", uint8(s))
}

// MarshalText writes the word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Severity) UnmarshalText(b []byte) error {
	for v, name := range severityNames {
		if name == string(b) && v > 0 {
			*s = Severity(v)
			return nil
		}
	}
	return fmt.Errorf("severity %.40q: not one of%s", b, strings.Join(severityNames[:], " "))
}
