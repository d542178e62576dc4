package execution

import (
	"fmt"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// Known events are kept as they are; others, and those of a failed transaction, are not; hostile ones become notes.
func TestEventsAreKept(t *testing.T) {
	known := flow.KnownEvents()[0].Topic
	log := func(index uint32, topics, data int) Log {
		return Log{Index: index, Emit: token, Topics: append([]flow.Hash{known}, make([]flow.Hash, topics-1)...), Data: make([]byte, data)}
	}
	other := Log{Index: 9, Emit: token, Topics: []flow.Hash{eventTransfer, topicOf(ann), topicOf(ben)}, Data: wordOf(t, 5)}
	tx := Tx{Logs: []Log{log(1, 3, 64), other, {Index: 3, Emit: token, Data: make([]byte, 32)}, log(4, flow.MaxTopics, flow.MaxLogData),
		log(5, flow.MaxTopics+1, 0), log(6, 1, flow.MaxLogData+1), log(7, 5000, 1<<20)}}
	events, notes := rules.Events(tx)
	var kept []uint32
	for _, e := range events {
		kept = append(kept, e.Index)
		if e.Contract != rules.Account(token) || e.Topics[0] != known {
			t.Errorf("event %d is of %s with %v", e.Index, e.Contract, e.Topics)
		}
	}
	if fmt.Sprint(kept) != "[1 4]" || len(notes) != 3 {
		t.Errorf("kept %v with %d notes; want [1 4] with 3: %v", kept, len(notes), notes)
	}
	for _, n := range notes {
		if n.Kind != flow.Quarantined || len(n.Raw) > 1000 {
			t.Errorf("note %+v", n)
		}
	}
	before := slices.Clone(events[0].Data)
	tx.Logs[0].Data[0] = 1
	if !slices.Equal(events[0].Data, before) {
		t.Error("the event changes with the input")
	}
	tx.Failed = true
	if events, notes := rules.Events(tx); len(events)+len(notes) > 0 {
		t.Errorf("a failed transaction has events: %v %v", events, notes)
	}
}
