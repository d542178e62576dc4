package flow

// A Log is one event that a contract emitted, exactly as it is on the chain. Which events a Tx keeps is the table behind
// KnownEvent. A log is a fact, but what it says is only its contract's word: any contract can emit any event.
type Log struct {
	Index    uint32  `json:"index"`    // in its block
	Contract Account `json:"contract"` // who emitted it
	Topics   []Hash  `json:"topics"`   // 1 to MaxTopics; the first names the event
	Data     []byte  `json:"data,omitempty"`
}

// The bounds of a Log that is kept.
const (
	MaxTopics  = 4    // what the EVM allows
	MaxLogData = 4096 // bytes of Data
)

// An Event is a kind of log that says what value did, besides the movements that every token tells.
type Event struct {
	Topic     Hash   // the first topic: the keccak-256 of Signature
	Signature string // name and types of the arguments; the name alone where only the hash is known
	Protocol  string // and which side of it
}

// KnownEvent is the event whose logs have that first topic; ok is false for one that is not kept.
func KnownEvent(topic Hash) (e Event, ok bool) {
	i, ok := eventPlaces[topic]
	if !ok {
		return Event{}, false
	}
	return events[i], true
}

// KnownEvents lists the events that are kept.
func KnownEvents() []Event { return append([]Event(nil), events...) }

var eventPlaces = func() map[Hash]int {
	places := make(map[Hash]int, len(events))
	for i, e := range events {
		places[e.Topic] = i
	}
	return places
}()

func eventTopic(digits string) Hash {
	h, err := ParseHash(digits)
	if err != nil {
		panic("flow: " + err.Error())
	}
	return h
}
