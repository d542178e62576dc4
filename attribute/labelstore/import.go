package labelstore

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/attribute"
)

// Options are the configuration of an Import. Seen must be given.
type Options struct {
	Seen     int64 // when the listing came to be known, in seconds since 1970 UTC; later than the source's last import, see Replay
	Replay   bool  // Seen is of a history that is loaded; else it is now, and is moved behind an import of the same second
	Accept   bool  // a human has looked at the changes: no churn guard
	MaxChurn int   // percent of what the source said before that may change at once; 20 if 0
}

// DefaultMaxChurn is the churn in percent from which on a list waits for a human.
const DefaultMaxChurn = 20

// guarded is how many labels of a source must be in force before the churn guard minds its list: on a short list every change is large.
const guarded = 20

// A Report is what an import did, or would do. Rows = Taken + Other + Quarantined, and
// Labels = New + Changed + Unchanged + Repeated.
type Report struct {
	Source      attribute.Source `json:"source"`
	Seen        int64            `json:"seen"`
	Rows        int              `json:"rows"`        // that were read
	Taken       int              `json:"taken"`       // that gave labels
	Other       int              `json:"other"`       // that speak of nothing that has labels here
	Quarantined int              `json:"quarantined"` // that were refused, with a reason
	Refiled     int              `json:"refiled"`     // of those taken: filed otherwise than they say
	Labels      int              `json:"labels"`      // that the taken rows gave
	New         int              `json:"new"`
	Changed     int              `json:"changed"`
	Unchanged   int              `json:"unchanged"`
	Repeated    int              `json:"repeated"`
	Ended       int              `json:"ended"`  // labels that are on the list no more
	Before      int              `json:"before"` // labels of the source that held before
	Churn       int              `json:"churn_percent"`
	Held        bool             `json:"held"` // nothing was stored: the churn guard waits for a human
}

func report(l *attribute.Listing, p *attribute.Plan, seen int64) Report {
	return Report{
		Source: l.Source, Seen: seen, Rows: l.Rows, Taken: l.Taken, Other: l.Other, Quarantined: len(l.Refused), Refiled: len(l.Refiled),
		Labels: len(l.Labels), New: len(p.New), Changed: len(p.Changed), Unchanged: p.Unchanged, Repeated: p.Repeated,
		Ended: len(p.Ended), Before: p.Before, Churn: p.Churn(),
	}
}

// Diff says what importing a listing would change, and changes nothing.
func (s *Store) Diff(l *attribute.Listing, o Options) (*attribute.Plan, Report, error) {
	o, err := s.inOrder(l, o)
	if err != nil {
		return nil, Report{}, err
	}
	p, err := attribute.MakePlan(s.Book(), l, o.Seen)
	if err != nil {
		return nil, Report{}, fmt.Errorf("labels of %s: %w", l.Source.ID, err)
	}
	r := report(l, p, o.Seen)
	if o.MaxChurn == 0 {
		o.MaxChurn = DefaultMaxChurn
	}
	r.Held = !o.Accept && p.Before >= guarded && r.Churn > o.MaxChurn
	return p, r, nil
}

// inOrder makes sure that versions of a label follow each other in time: two imports of a source are never of the same second.
func (s *Store) inOrder(l *attribute.Listing, o Options) (Options, error) {
	last, err := s.feed(l.Source.ID)
	if err != nil || o.Seen > last.Seen {
		return o, err
	}
	if o.Replay || last.Seen-o.Seen > 1 {
		return o, fmt.Errorf("labels of %s: seen at %d, but the last list of the source was seen at %d already", l.Source.ID, o.Seen, last.Seen)
	}
	o.Seen = last.Seen + 1
	return o, nil
}

// Import takes a listing in: its labels, its quarantine and the note that it was read are stored all or none, and have survived
// a crash when Import returns. Then Book holds them. Errors: ErrChurn, with a report that is Held.
func (s *Store) Import(l *attribute.Listing, o Options) (Report, error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if id := l.Source.ID; id == "" || len(id) > 100 || strings.ContainsRune(id, 0) {
		return Report{}, fmt.Errorf("labels of %.100q: a source has an id of 1 to 100 bytes", id)
	}
	plan, r, err := s.Diff(l, o)
	if err != nil {
		return Report{}, err
	}
	if r.Held {
		return r, fmt.Errorf("labels of %s: %w: %d new, %d changed and %d ended beside %d that held, %d %%", l.Source.ID, ErrChurn, r.New, r.Changed, r.Ended, r.Before, r.Churn)
	}
	// What is seen in the second after this one must not be asked for before it: who screens now would not find it.
	if wait := time.Until(time.Unix(r.Seen, 0)); wait > 2*time.Second {
		return r, fmt.Errorf("labels of %s: seen at %d, which is in the future", l.Source.ID, r.Seen)
	} else if wait > 0 {
		time.Sleep(wait)
	}
	generation, err := s.generation()
	if err != nil {
		return r, err
	}
	if plan.Stored()+len(plan.Ended) == 0 { // the book stays as it is
		return r, s.commit(plan, l, r, generation)
	}
	if err := s.mark(); err != nil {
		return r, err
	}
	if err := s.commit(plan, l, r, generation+1); err != nil {
		return r, err
	}
	if err := s.rebuild(generation + 1); err != nil {
		return r, err
	}
	return r, s.unmark()
}

// batchRoom is about what a label takes in a batch, in bytes: a batch that grows is copied again and again.
const batchRoom = 128

func (s *Store) commit(plan *attribute.Plan, l *attribute.Listing, r Report, generation uint64) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("labels of %s: %w", l.Source.ID, err)
		}
	}()
	b := s.db.NewBatchWithSize(batchRoom * (plan.Stored() + len(plan.Ended)))
	defer b.Close()
	known := len(s.list)
	defer func() {
		if err != nil { // what was not stored has no number
			for _, source := range s.list[known:] {
				delete(s.sources, source)
			}
			s.list = s.list[:known]
		}
	}()
	var record []byte
	for _, part := range [][]attribute.Label{plan.New, plan.Changed, plan.Ended} {
		for _, label := range part {
			number, err := s.number(b, label.Source)
			if err != nil {
				return err
			}
			key, err := labelKey(label)
			if err != nil {
				return err
			}
			record = appendRecord(record[:0], label, number)
			if err := b.Set(key, record, nil); err != nil {
				return err
			}
		}
	}
	prefix := quarantineKeys(l.Source.ID)
	if err := b.DeleteRange([]byte(prefix), []byte(prefix[:len(prefix)-1]+"\x01"), nil); err != nil {
		return err
	}
	for i, refusal := range l.Refused {
		key := binary.BigEndian.AppendUint32([]byte(prefix), uint32(i))
		if err := setJSON(b, key, refusal); err != nil {
			return err
		}
	}
	if err := setJSON(b, []byte(feedPrefix+l.Source.ID), r); err != nil {
		return err
	}
	if err := b.Set([]byte(generationKey), binary.BigEndian.AppendUint64(nil, generation), nil); err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
}

// number is the number of a source, which is given out where it has none.
func (s *Store) number(b *pebble.Batch, source attribute.Source) (uint32, error) {
	if n, ok := s.sources[source]; ok {
		return n, nil
	}
	n := uint32(len(s.list))
	if err := setJSON(b, []byte(sourceKey(n)), source); err != nil {
		return 0, err
	}
	s.sources[source] = n
	s.list = append(s.list, source)
	return n, nil
}

func setJSON(b *pebble.Batch, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Set(key, text, nil)
}

// feed is the last import of a source, a zero Report where there was none.
func (s *Store) feed(source string) (r Report, err error) {
	text, err := s.get(feedPrefix + source)
	if err != nil || text == nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("last import of %s: %w: %w", source, errDamaged, err)
	}
	return r, nil
}

// Feeds are the last imports of all sources, in the order of their ids.
func (s *Store) Feeds() ([]Report, error) {
	var all []Report
	err := s.scan(feedPrefix, func(key, value []byte) error {
		var r Report
		if err := json.Unmarshal(value, &r); err != nil {
			return fmt.Errorf("last import of %s: %w: %w", key[1:], errDamaged, err)
		}
		all = append(all, r)
		return nil
	})
	return all, err
}

// Quarantine is what the last import of a source refused.
func (s *Store) Quarantine(source string) ([]attribute.Refusal, error) {
	var all []attribute.Refusal
	err := s.scan(quarantineKeys(source), func(key, value []byte) error {
		var r attribute.Refusal
		if err := json.Unmarshal(value, &r); err != nil {
			return fmt.Errorf("quarantine of %s: %w: %w", source, errDamaged, err)
		}
		all = append(all, r)
		return nil
	})
	return all, err
}
