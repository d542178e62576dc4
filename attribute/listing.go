package attribute

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// A Listing is one reading of one feed: what its source says now. It is what parsers give and what a Book is compared with.
type Listing struct {
	Source  Source    `json:"source"`
	Labels  []Label   `json:"labels"`  // Seen is filled in when they are stored; an empty Source is that of the listing
	Rows    int       `json:"rows"`    // rows, tags, entities or events that were read
	Taken   int       `json:"taken"`   // of these, those that gave at least one label
	Other   int       `json:"other"`   // of these, those that speak of nothing that has labels here
	Refused []Refusal `json:"refused"` // the rest, one each
	Refiled []Refusal `json:"refiled"` // rows that were taken, but not as they say
	Partial bool      `json:"partial"` // what is not in it still holds: events, additions
	Dated   bool      `json:"dated"`   // being on the list is what counts: a label that is new on it holds from the list's date on
}

// A Refusal is a row that was put in quarantine, or filed otherwise than it says.
type Refusal struct {
	Where  string `json:"where"` // file and line, or path inside the document
	Text   string `json:"text"`  // the beginning of what stood there
	Reason Reason `json:"reason"`
	Detail string `json:"detail"` // for people
}

// String is for people.
func (r Refusal) String() string { return fmt.Sprintf("%s: %s: %s", r.Where, r.Reason, r.Detail) }

// A Reason is why a row is in quarantine. Reasons are words that scripts may compare.
type Reason string

// The reasons.
const (
	BadChecksum Reason = "checksum"       // the form of an address, and a wrong checksum
	NotAddress  Reason = "not-an-address" // the form of no address that is known
	WrongTicker Reason = "wrong-ticker"   // the address is of another chain than the row says: filed by the address
	BadRow      Reason = "bad-row"        // the row breaks the schema of its format
	Warned      Reason = "warning-list"   // nobody is to call this address bad: burn addresses, well-known contracts
)

// Check reports whether every row is accounted for.
func (l *Listing) Check() error {
	if l.Rows != l.Taken+l.Other+len(l.Refused) {
		return fmt.Errorf("listing %s: %d rows are not %d taken, %d about other things and %d refused", l.Source.ID, l.Rows, l.Taken, l.Other, len(l.Refused))
	}
	return nil
}

// A Plan is what a listing changes in a book: the versions of labels to be stored, all with the same Seen.
type Plan struct {
	New       []Label // claims that were not there or did not hold any more
	Changed   []Label // the claim stands; how sure it is, why, until when or how the source stands to it has changed
	Ended     []Label // claims that held and are on the list no more
	Unchanged int     // labels of the listing that say what is stored already
	Repeated  int     // labels that stand more than once on the listing
	Before    int     // claims of the source that held before
}

// Stored is how many labels of the listing the plan stores.
func (p *Plan) Stored() int { return len(p.New) + len(p.Changed) }

// Labels are all versions that the plan stores.
func (p *Plan) Labels() []Label {
	return append(append(append([]Label(nil), p.New...), p.Changed...), p.Ended...)
}

// Churn is how much of what the source said before the plan changes, in percent, rounded up: the larger of what goes or turns
// into something else, and what comes. A source that said nothing before has none.
func (p *Plan) Churn() int {
	if p.Before == 0 {
		return 0
	}
	n := max(len(p.Ended)+len(p.Changed), len(p.New))
	return (100*n + p.Before - 1) / p.Before
}

// MakePlan compares a listing with what the book holds of its source. seen is the moment at which the listing came to be known.
// A claim that the listing leaves out, unless it is Partial, ends at the list's date, or at seen where it has none; nothing is
// taken back in the past. Errors: a listing that was seen before what the book holds, or whose rows do not add up.
func MakePlan(b *Book, l *Listing, seen int64) (*Plan, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	date := l.Source.Date
	if date == 0 || date > seen {
		date = seen
	}
	p := &Plan{}
	done := make(map[claimKey]struct{}, len(l.Labels))
	var room []byte // of the claim at hand
	for _, label := range l.Labels {
		label.Seen = seen
		if label.Source == (Source{}) {
			label.Source = l.Source
		}
		if label.Source.ID != l.Source.ID {
			return nil, fmt.Errorf("label %q of %s: of source %q on a listing of %q", label.Name, label.Subject, label.Source.ID, l.Source.ID)
		}
		have, found := b.match(label, l.Dated)
		if found {
			label.ValidFrom = have.ValidFrom
		} else if label.ValidFrom == 0 && l.Dated {
			label.ValidFrom = date
		}
		claim := label.Claim()
		var key claimKey
		key, room = claim.key(room)
		if _, twice := done[key]; twice {
			p.Repeated++
			continue
		}
		done[key] = struct{}{}
		switch {
		case !found:
			if len(p.New) == cap(p.New) { // labels are large: move them few times
				p.New = slices.Grow(p.New, len(p.New)+1)
			}
			p.New = append(p.New, label)
		case have.Seen > seen:
			return nil, fmt.Errorf("label %q of %s: it was seen later already", label.Name, label.Subject)
		case label.says(have):
			p.Unchanged++
		default:
			p.Changed = append(p.Changed, label)
		}
	}
	for old := range b.lastOf(l.Source.ID) {
		if old.Stance == Retracts || old.ValidTo != 0 && old.ValidTo <= date {
			continue
		}
		p.Before++
		if l.Partial {
			continue
		}
		claim := old.Claim()
		var key claimKey
		key, room = claim.key(room)
		if _, named := done[key]; named {
			continue
		}
		if old.Seen > seen {
			return nil, fmt.Errorf("label %q of %s: it was seen later already", old.Name, old.Subject)
		}
		old.ValidTo, old.Seen = max(date, old.ValidFrom+1), seen
		old.Source.Date, old.Source.URI = l.Source.Date, l.Source.URI
		p.Ended = append(p.Ended, old)
	}
	return p, nil
}

// A claimKey is a digest of a claim, which stands for it where many are kept: claims are large.
type claimKey [16]byte

func (c *Claim) key(room []byte) (claimKey, []byte) {
	room = append(room[:0], byte(c.Subject.kind))
	for _, text := range [...]string{c.Subject.chain.String(), c.Subject.key, c.Source, string(c.Category), c.Name, c.Actor} {
		room = append(binary.LittleEndian.AppendUint32(room, uint32(len(text))), text...)
	}
	room = binary.LittleEndian.AppendUint64(room, uint64(c.ValidFrom))
	sum := sha256.Sum256(room)
	return claimKey(sum[:]), room
}

// says reports whether two versions of a claim say the same, whichever edition of the list they are from.
func (l Label) says(o Label) bool {
	return l.Claim() == o.Claim() && l.Service == o.Service && l.Stance == o.Stance && l.Confidence == o.Confidence &&
		l.Evidence == o.Evidence && l.ValidTo == o.ValidTo && l.Source.Licence == o.Source.Licence
}

// match finds the last version of the claim that a label of a listing makes. On a dated list a label goes on with the claim that
// has not ended, whatever either says of its beginning.
func (b *Book) match(l Label, dated bool) (have Label, found bool) {
	if b == nil {
		return have, false
	}
	for _, old := range b.appendOf(nil, 0, maxTime, l.Subject, false) {
		same := old.Claim()
		if dated {
			if old.ValidTo != 0 {
				continue
			}
			same.ValidFrom = l.ValidFrom
		}
		if same == l.Claim() {
			have, found = old, true
		}
	}
	return have, found
}

const maxTime = 1<<63 - 1

// lastOf are the last versions of all claims of a source.
func (b *Book) lastOf(source string) func(yield func(Label) bool) {
	return func(yield func(Label) bool) {
		if b == nil {
			return
		}
		var room []Label
		for i := range b.subjects() {
			room = b.appendRows(room[:0], 0, maxTime, b.subjectAtIndex(i), i, false)
			for _, l := range room {
				if l.Source.ID == source && !yield(l) {
					return
				}
			}
		}
	}
}
