package watch

import "github.com/spoor-dev/spoor/finding"

// liveBridge is told once for each case, transaction and bridge.
var liveBridge = Rule{
	ID: "live-bridge", Version: 1, Title: "Stolen money went into a bridge", Severity: finding.Critical,
	Meaning: "Claim of a case ended at an account that pays out on another chain.",
	Wrong:   "The label may be wrong; many bridges are ordinary swaps for their users. Where it comes out is not said here.",
}
