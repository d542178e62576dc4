package watch

import (
	"fmt"

	"github.com/spoor-dev/spoor/finding"
)

// habits lets the rules of package detect look at the hops of the leading rule. A detector that cannot eat one is given
// up, and the error says so: nothing else of the case suffers.
func (s *seat) habits(v *view) error {
	if s.detector == nil {
		return nil
	}
	for _, h := range v.led {
		found, err := s.detector.Apply(s.event(h, v.world))
		if err != nil {
			s.detector = nil
			return fmt.Errorf("case %.80q: habits of thieves: %w", s.open.ID, err)
		}
		for _, f := range found {
			v.add(candidate{
				rule: f.Rule, severity: f.Severity, weight: uint64(f.Score),
				make: func() (finding.Finding, error) { return f, nil },
			})
		}
	}
	return nil
}
