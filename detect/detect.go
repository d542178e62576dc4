// Package detect finds the habits of thieves in the movements of stolen money, as they come.
package detect

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// ErrOrder is returned for an event of a transaction before the newest one.
var ErrOrder = errors.New("not in the order of the chain")

// Options say how a Detector works. The zero value is valid.
type Options struct {
	Rules     []Rule // Rules() if empty
	UndoDepth int    // how many of the last events can be taken back; 4096 if 0
}

// A Detector eats the events of one chain in the order of its transactions and says what it finds. What it remembers is
// bounded: 65,536 stolen movements, of them 64 for each account, asset and direction; 65,536 accounts with the thefts
// that reached them; as many judgements. What is older is forgotten, and can then neither be found nor extended.
// It is for one goroutine. The same events give the same findings, in whatever portions they come.
type Detector struct {
	chain   flow.Chain
	rules   []Rule
	log     journal
	graph   graph
	started bool
	last    flow.Pos // the transaction of the newest event

	thefts *memory[flow.Account, []arrival] // who was reached by which thefts
	acts   *memory[flow.Account, int64]     // when an account last paid clean money, while it held stolen money
	tempos *memory[string, tempoState]      // by theft
	said   *memory[saidKey, said]
	told   []told // the newest findings, for Undo
}

// told is one finding that was handed out.
type told struct {
	id flow.Hash
	at flow.Pos // the transaction of the event with which it was
}

// A saidKey is what a judgement is about. There is one at a time.
type saidKey struct {
	rule    string
	subject string // of the rule's own making
}

// said is the newest judgement of a key.
type said struct {
	id   flow.Hash
	size int
	when int64
}

// A match is a rule's answer.
type match struct {
	subject  string // what it is about: the same habit going on has the same subject
	subjects []flow.Account
	evidence []*transfer
	omitted  int   // facts which are not in the evidence
	size     int   // how large it is; where it doubles it is said again
	score    int   // thousandths of what the rule asks for
	window   int64 // seconds after which the same is a new finding; 0: never
	each     bool  // say it again wherever it grows
	sentence string
}

// A scene is what a rule looks at.
type scene struct {
	*Detector
	rule *Rule
	e    *Event
	t    *transfer // e in the graph; nil if it is not there
}

// New makes the detector of one chain.
func New(c flow.Chain, o Options) (*Detector, error) {
	if len(o.Rules) == 0 {
		o.Rules = Rules()
	}
	if o.UndoDepth == 0 {
		o.UndoDepth = 4096
	}
	if o.UndoDepth < 0 || c.IsZero() {
		return nil, fmt.Errorf("detector on %s with an undo depth of %d", c, o.UndoDepth)
	}
	for _, r := range o.Rules {
		if r.look == nil {
			return nil, fmt.Errorf("rule %.80q: not one of Rules", r.ID)
		}
	}
	return &Detector{
		chain: c, rules: slices.Clone(o.Rules), log: journal{depth: o.UndoDepth},
		graph: graph{nodes: map[place]node{}}, tempos: newMemory[string, tempoState](maxThefts),
		thefts: newMemory[flow.Account, []arrival](maxKeys), acts: newMemory[flow.Account, int64](maxKeys),
		said: newMemory[saidKey, said](maxKeys),
	}, nil
}

// Apply eats one event and returns what is found with it. Events stand in the order of their transactions; inside one
// they may stand in any, but what goes into a swap before what comes out. An error leaves the detector as it was.
func (d *Detector) Apply(e Event) ([]finding.Finding, error) {
	if err := e.check(d.chain); err != nil {
		return nil, fmt.Errorf("event at %s of %s: %w", e.At, e.Tx, err)
	}
	at := txOf(e.At)
	if d.started && at.Compare(d.last) < 0 {
		return nil, fmt.Errorf("event at %s after %s: %w", e.At, d.last, ErrOrder)
	}
	d.log.begin(at)
	started, last := d.started, d.last
	d.log.add(func() { d.started, d.last = started, last })
	d.started, d.last = true, at
	s := scene{Detector: d, e: &e}
	s.t = d.transfer(e)
	var found []finding.Finding
	for i := range d.rules {
		s.rule = &d.rules[i]
		for _, m := range s.rule.look(&s) {
			f, ok, err := d.say(s.rule, &e, m)
			if err != nil {
				d.log.pop()
				return nil, fmt.Errorf("rule %s at %s: %w", s.rule.ID, e.At, err)
			}
			if ok {
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// txOf is the place of the transaction that a place is in.
func txOf(p flow.Pos) flow.Pos { return flow.Pos{Height: p.Height, Tx: p.Tx} }

// transfer puts the event into the graph, unless it is there from another theft.
func (d *Detector) transfer(e Event) *transfer {
	out := d.graph.of(e.From, e.Asset).out
	for i := len(out) - 1; i >= 0 && out[i].Tx == e.Tx && txOf(out[i].At) == txOf(e.At); i-- {
		if o := out[i]; o.At == e.At && o.To == e.To && o.Theft != e.Theft && o.Swap == e.Swap {
			return nil
		}
	}
	return d.graph.add(&d.log, e)
}

// say makes a finding of a match, unless it was said.
func (d *Detector) say(r *Rule, e *Event, m match) (f finding.Finding, ok bool, err error) {
	key := saidKey{r.ID, m.subject}
	old, known := d.lately(key, m.window)
	if known && (m.size <= old.size || !m.each && m.size/2 < old.size) {
		return f, false, nil
	}
	draft := finding.Finding{
		Rule: r.ID, Version: r.Version, Severity: r.Severity, Chain: d.chain, Subjects: m.subjects, Holds: e.At, Time: e.Time,
		Title: r.Title, Sentence: m.sentence, Omitted: m.omitted, Score: m.score, Confidence: r.confidence(),
	}
	if known {
		draft.Replaces = old.id
	}
	for _, p := range r.Parameters {
		draft.Parameters = append(draft.Parameters, finding.Parameter{Name: p.Name, Value: p.Value, Unit: p.Unit})
	}
	for _, t := range m.evidence {
		draft.Evidence = append(draft.Evidence, finding.Fact{
			Tx: t.Tx, At: t.At, Time: t.Time, Index: t.Index, From: t.From, To: t.To, Asset: t.Asset, Amount: t.Amount,
		})
		if t.At.Compare(draft.Holds) > 0 {
			draft.Holds = t.At
		}
	}
	slices.SortStableFunc(draft.Evidence, func(a, b finding.Fact) int { return a.At.Compare(b.At) })
	draft.Evidence = slices.Compact(draft.Evidence)
	if f, err = finding.New(draft); err != nil {
		return f, false, err
	}
	d.said.set(&d.log, key, said{f.ID, m.size, d.graph.when})
	d.tell(f.ID, txOf(e.At))
	return f, true, nil
}

// lately is the newest judgement of a key, if it was made within so many seconds; 0 is ever.
func (d *Detector) lately(key saidKey, window int64) (said, bool) {
	old, known := d.said.of[key]
	return old, known && (window == 0 || d.graph.when-old.when <= window)
}

// isSaid reports whether a match of at most that size would not be said, before the work of finding it.
func (s *scene) isSaid(subject string, most int, window int64) bool {
	old, known := s.lately(saidKey{s.rule.ID, subject}, window)
	return known && most/2 < old.size
}

// tell remembers a finding for Undo, as long as its event can be undone.
func (d *Detector) tell(id flow.Hash, at flow.Pos) {
	old := 0 // which no undo can reach
	for old < len(d.told) && d.log.firm && d.told[old].at.Compare(d.log.lost) < 0 {
		old++
	}
	if old > len(d.told)/2 {
		d.told = slices.Clone(d.told[old:])
	}
	d.told = append(d.told, told{id, at})
	d.log.add(func() { d.told = d.told[:len(d.told)-1] })
}

// Undo takes back all events of the transactions at or after a place (its Movement does not count), as if they had never
// been, and returns the IDs of the findings that are void by it. It changes nothing and returns an error wrapping ErrUndo
// if that is more than the detector can take back.
func (d *Detector) Undo(from flow.Pos) ([]flow.Hash, error) {
	from = txOf(from)
	if d.log.firm && from.Compare(d.log.lost) <= 0 {
		return nil, fmt.Errorf("undo from %s: what stands up to %s cannot be taken back: %w", from, d.log.lost, ErrUndo)
	}
	void := []flow.Hash{}
	for _, t := range d.told {
		if t.at.Compare(from) >= 0 {
			void = append(void, t.id)
		}
	}
	d.log.back(from)
	return void, nil
}

// Run is the findings of all events, which may be of several chains, each in the order of its transactions. It stops at
// the first error of the events.
func Run(events iter.Seq2[Event, error], o Options) ([]finding.Finding, error) {
	found := []finding.Finding{}
	detectors := map[flow.Chain]*Detector{}
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		c := e.Asset.Chain()
		d := detectors[c]
		if d == nil {
			if d, err = New(c, o); err != nil {
				return nil, err
			}
			detectors[c] = d
		}
		fs, err := d.Apply(e)
		if err != nil {
			return nil, err
		}
		found = append(found, fs...)
	}
	return found, nil
}

// words is a time in seconds as people say it.
func words(seconds int64) string {
	switch {
	case seconds >= 2*86400:
		return fmt.Sprintf("%d days", seconds/86400)
	case seconds >= 2*3600:
		return fmt.Sprintf("%d hours", seconds/3600)
	}
	return (time.Duration(seconds) * time.Second).String()
}

// span is the time from the first to the last of some transfers, in seconds.
func span(all []*transfer) int64 {
	first, last := all[0].when, all[0].when
	for _, t := range all {
		first, last = min(first, t.when), max(last, t.when)
	}
	return last - first
}
