package attribute

import (
	"fmt"
	"strings"
)

// A Confidence is how sure a label is, as a level of the scale of GraphSense tag packs: each says how the label came about.
// The zero value is "unknown". The numbers are part of stored formats: never renumber.
type Confidence uint8

// The confidences, most sure last.
const (
	Unknown Confidence = iota
	Heuristic
	WebCrawl
	UntrustedTransaction
	Forensic
	ServiceData
	TrustedProvider
	AuthorityData
	ForensicInvestigation
	ServiceAPI
	ManualTransaction
	LedgerImmanent
	Ownership
	Override
)

// confidences are ids and levels of graphsense-tagpack-tool, confidence.csv (MIT).
var confidences = [...]struct {
	id    string
	level int
}{
	{"unknown", 5}, {"heuristic", 10}, {"web_crawl", 20}, {"untrusted_transaction", 40}, {"forensic", 50}, {"service_data", 50},
	{"trusted_provider", 50}, {"authority_data", 60}, {"forensic_investigation", 70}, {"service_api", 70},
	{"manual_transaction", 90}, {"ledger_immanent", 100}, {"ownership", 100}, {"override", 100},
}

// ParseConfidence reads the id of a level of the GraphSense scale; empty text is Unknown.
func ParseConfidence(s string) (Confidence, error) {
	if s == "" {
		return Unknown, nil
	}
	for i, c := range confidences {
		if strings.EqualFold(c.id, s) {
			return Confidence(i), nil
		}
	}
	return 0, fmt.Errorf("confidence %.60q: not on the GraphSense scale", s)
}

// Level is the confidence as a number from 5 to 100.
func (c Confidence) Level() int {
	if int(c) >= len(confidences) {
		return 0
	}
	return confidences[c].level
}

// String is the id on the GraphSense scale.
func (c Confidence) String() string {
	if int(c) >= len(confidences) {
		return fmt.Sprintf("confidence(%d)", uint8(c))
	}
	return confidences[c].id
}

// MarshalText writes the id.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads an id.
func (c *Confidence) UnmarshalText(b []byte) error {
	v, err := ParseConfidence(string(b))
	*c = v
	return err
}
