package watch

import (
	"fmt"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/trace"
)

// liveBurn is told once for each case and transaction.
var liveBurn = Rule{
	ID: "live-burn", Version: 1, Title: "Stolen money was destroyed", Severity: finding.Info,
	Meaning: "Stolen tokens were destroyed by those who held them, or by their issuer.",
	Wrong:   "To burn a token is often to take something else out for it, on this chain or on another: the value may go on where the token ends.",
}

// burn says that claim was destroyed.
func (s *seat) burn(v *view) {
	var burnt []*hop
	for _, h := range v.led {
		if h.sink == trace.Burned {
			burnt = append(burnt, h)
		}
	}
	if len(burnt) == 0 {
		return
	}
	sums, share := s.moved(burnt)
	v.add(candidate{
		rule: liveBurn.ID, severity: liveBurn.Severity, weight: share, sums: sums,
		make: func() (finding.Finding, error) {
			text := fmt.Sprintf("%s, %s, was destroyed by %s.", total(v.world, sums), thousandths(share), names(v.world, givers(burnt)))
			return liveBurn.finding(s.draft(v, draft{severity: liveBurn.Severity, subjects: givers(burnt), evidence: facts(burnt), sentence: text}))
		},
	})
}
