package watch

import "github.com/spoor-dev/spoor/finding"

// liveMixer is told once for each case, transaction and mixer.
var liveMixer = Rule{
	ID: "live-mixer", Version: 1, Title: "Stolen money went into a mixer", Severity: finding.Critical,
	Meaning: "Claim of a case ended at a service whose payouts cannot be told apart.",
	Wrong:   "The label may be wrong. The trail ends there for this trace, which does not mean that it cannot be found.",
}
