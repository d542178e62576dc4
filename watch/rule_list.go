package watch

import "github.com/spoor-dev/spoor/finding"

// listGave is told once for each list and transaction.
var listGave = Rule{
	ID: "list-gave", Version: 1, Title: "A listed account gave", Severity: finding.Critical,
	Meaning: "Accounts of a watch list gave something that is worth something; what came back to them in the same movement is not counted.",
	Wrong:   "A token's log says who gave; tokens that nobody vouches for are not believed, and movements of nothing are not told.",
}

// listGot is told once for each list and transaction.
var listGot = Rule{
	ID: "list-got", Version: 1, Title: "A listed account got", Severity: finding.Critical,
	Meaning: "Accounts of a watch list got as much as the list asks for.",
	Wrong:   "Anybody can send anything to anybody: who was paid need not know who paid.",
}

// listDormant is told once for each list, account and transaction, besides listGave.
var listDormant = Rule{
	ID: "list-dormant", Version: 1, Title: "A listed account gave after a long rest", Severity: finding.Critical,
	Meaning: "An account of a watch list gave for the first time after as long as the list asks for.",
	Wrong:   "The store may not reach back to when it gave last. An account that never gave before is not told of.",
}
