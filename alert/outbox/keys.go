package outbox

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// The keys of the outbox; docs/formats/outbox.md describes them. Numbers are big-endian, texts before the end of a key are
// followed by a zero byte, which they never hold themselves. Values but 'f', 'n' and 'r' are JSON, or empty.
//
//	'f'                                  -> version of the format
//	'n'                                  -> the number that was given to a message last, 8 bytes
//	'r'                                  -> what the caller asked to remember, as it was given
//	'k' + key                            -> record: what is so under that key
//	'm' + number                         -> message: what was told, or will be
//	'c' + case + 0 + number              -> nothing: the messages of a case
//	'q' + sink + 0 + lane 1 + number     -> ticket: the sink is to be told this message
//	'd' + sink + 0 + number              -> letter: the sink will not be told this message, and why
//	's' + chain + 0 + height 8 + key     -> nothing: it stands, and rests on that block
//	'w' + chain + 0 + height 8 + key     -> nothing: it is doubtful, and rested on that block
//	'x' + case + 0 + tx 32 + kind + key  -> nothing: what was said of a transaction; kind is 'f' found or 'p' provisional
//	'l' + chain                          -> the newest final height, 8 bytes
const (
	formatKey     = "f"
	formatVersion = "1"
	numberKey     = "n"
	memoryKey     = "r"
	recordMark    = 'k'
	messageMark   = 'm'
	caseMark      = 'c'
	ticketMark    = 'q'
	letterMark    = 'd'
	standingMark  = 's'
	doubtfulMark  = 'w'
	saidMark      = 'x'
	finalMark     = 'l'

	saidFound       = 'f'
	saidProvisional = 'p'
)

// Of what strangers may have made a part of.
const maxKey = 1024 // bytes of an alert's key or case

// A lane orders the queue of a sink: 0 is the most severe.
type lane byte

const lanes = int(finding.Critical)

func laneOf(s finding.Severity) lane       { return lane(finding.Critical - s) }
func (l lane) severity() finding.Severity  { return finding.Critical - finding.Severity(l) }
func number(b []byte, n uint64) []byte     { return binary.BigEndian.AppendUint64(b, n) }
func named(mark byte, text string) []byte  { return append(append([]byte{mark}, text...), 0) }
func recordKey(key string) []byte          { return append([]byte{recordMark}, key...) }
func messageKey(n uint64) []byte           { return number([]byte{messageMark}, n) }
func caseKey(name string, n uint64) []byte { return number(named(caseMark, name), n) }
func laneKey(sink string, l lane) []byte   { return append(named(ticketMark, sink), byte(l)) }
func ticketKey(sink string, l lane, n uint64) []byte {
	return number(laneKey(sink, l), n)
}
func letterKey(sink string, n uint64) []byte { return number(named(letterMark, sink), n) }
func finalKey(c flow.Chain) []byte           { return append([]byte{finalMark}, c.String()...) }
func placeKey(mark byte, c flow.Chain, height uint64, key string) []byte {
	return append(number(named(mark, c.String()), height), key...)
}
func saidKey(name string, tx flow.Hash, kind byte, key string) []byte {
	return append(append(append(named(saidMark, name), tx[:]...), kind), key...)
}

// after is the first key behind all that begin with the prefix, whose last byte is not 255.
func after(prefix []byte) []byte {
	end := slices.Clone(prefix)
	end[len(end)-1]++
	return end
}

// lastNumber is the number at the end of a key.
func lastNumber(key []byte) (uint64, error) {
	if len(key) < 9 {
		return 0, fmt.Errorf("key %x: %w: no number", key, ErrDamaged)
	}
	return binary.BigEndian.Uint64(key[len(key)-8:]), nil
}

// splitNamed is the text of a key made by named, and what follows it.
func splitNamed(key []byte) (text string, rest []byte, err error) {
	if i := slices.Index(key, 0); i > 0 {
		return string(key[1:i]), key[i+1:], nil
	}
	return "", nil, fmt.Errorf("key %x: %w: its text does not end", key, ErrDamaged)
}

// splitPlace is the height and the alert's key in a key made by placeKey.
func splitPlace(k []byte) (height uint64, key string, err error) {
	_, rest, err := splitNamed(k)
	if err != nil || len(rest) < 9 {
		return 0, "", fmt.Errorf("key %x: %w: no place", k, ErrDamaged)
	}
	return binary.BigEndian.Uint64(rest), string(rest[8:]), nil
}

// A State is what holds of an alert.
type State string

// The states. They are part of the stored format.
const (
	Standing   State = "standing"   // it is so
	Doubtful   State = "doubtful"   // the block that it rests on is off, and the branch that won has not come so far
	Withdrawn  State = "withdrawn"  // it is not so any more
	Superseded State = "superseded" // a provisional one whose transaction is on the chain by now: other alerts say so
)

// A record is what is so under a key.
type record struct {
	State    State            `json:"state"`
	Kind     alert.Kind       `json:"kind"` // Found, Provisional or State
	Serial   int              `json:"serial"`
	Severity finding.Severity `json:"severity"`         // the most severe that was said
	Chain    flow.Chain       `json:"chain,omitzero"`   // of the place; zero where it rests on no block that could go
	Height   uint64           `json:"height,omitempty"` // of the place
	Replay   bool             `json:"replay,omitempty"` // it is doubtful because of a restart, and not of a fork
	Last     uint64           `json:"last,omitempty"`   // the newest message; 0 if none
	Told     []told           `json:"told,omitempty"`   // who is told what is said under the key
}

// told is a sink, and by which route messages go there.
type told struct {
	Sink  string `json:"sink"`
	Route string `json:"route"`
}

// A message is what was told, or will be.
type message struct {
	Alert  alert.Alert `json:"alert"`
	Before uint64      `json:"before,omitempty"` // the message under the same key before it; 0 if none
	At     int64       `json:"at"`               // when it was written down, in milliseconds since 1970
}

// A ticket stands in a queue.
type ticket struct {
	Key   string `json:"key"`
	Route string `json:"route"`
	At    int64  `json:"at"` // since when, in milliseconds since 1970
}

// A letter is a message that a sink will not be told.
type letter struct {
	Key    string           `json:"key"`
	Route  string           `json:"route"`
	Lane   finding.Severity `json:"lane"`
	At     int64            `json:"at"`    // when it was given up, in milliseconds since 1970
	Since  int64            `json:"since"` // when it was queued
	Reason string           `json:"reason"`
}

// parse reads a value that the outbox wrote under a key.
func parse[T record | message | ticket | letter](key, value []byte) (v T, err error) {
	if err := json.Unmarshal(value, &v); err != nil {
		return v, fmt.Errorf("key %.200q: %w: %w", key, ErrDamaged, err)
	}
	if r, ok := any(v).(record); ok {
		if err := r.check(); err != nil {
			return v, fmt.Errorf("key %.200q: %w: %w", key, ErrDamaged, err)
		}
	}
	return v, nil
}

func (r record) check() error {
	switch {
	case r.State != Standing && r.State != Doubtful && r.State != Withdrawn && r.State != Superseded:
		return fmt.Errorf("state %.40q", r.State)
	case r.Severity < finding.Info || r.Severity > finding.Critical:
		return fmt.Errorf("severity %d", r.Severity)
	case r.Serial < 0:
		return fmt.Errorf("serial %d", r.Serial)
	case r.State == Doubtful && r.Chain.IsZero():
		return fmt.Errorf("it is doubtful and rests on nothing")
	}
	return nil
}
