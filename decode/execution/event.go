package execution

import (
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// Events are the known events among the logs of a transaction, as they are, by index. One that no contract can have
// emitted, or that holds too much to be kept, becomes a note. A transaction that failed has none.
func (r Rules) Events(tx Tx) (events []flow.Log, notes []flow.Note) {
	if tx.Failed {
		return nil, nil
	}
	for _, l := range tx.Logs {
		if len(l.Topics) == 0 {
			continue
		}
		e, ok := flow.KnownEvent(l.Topics[0])
		switch {
		case !ok:
		case len(l.Topics) > flow.MaxTopics:
			notes = append(notes, r.odd(tx, l, fmt.Sprintf("an event with %d topics: %s", len(l.Topics), e.Signature)))
		case len(l.Data) > flow.MaxLogData:
			notes = append(notes, r.odd(tx, l, fmt.Sprintf("an event with %d bytes is not kept: %s", len(l.Data), e.Signature)))
		default:
			events = append(events, flow.Log{Index: l.Index, Contract: r.Account(l.Emit), Topics: slices.Clone(l.Topics), Data: slices.Clone(l.Data)})
		}
	}
	return events, notes
}
