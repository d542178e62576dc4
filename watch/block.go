package watch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A block is a block that is being eaten.
type block struct {
	*Watch
	ctx   context.Context
	world World
	seen  Seen
	log   *blockLog

	groups    []*group
	reopen    []Reopen
	touches   int64
	held      int64              // alerts that stand in a summary only
	troubles  map[string]trouble // of what goes wrong with cases, by name on the desk
	asked     map[flow.Account]bool
	hits      []hit
	found     []int
	dusty     []int64 // by list, what was counted and not told
	gave, got []sum   // of one transaction
}

// A group is what there is to say about one case or list.
type group struct {
	owner string
	list  *listed // nil for a case
	all   []candidate
}

func (b *block) group(owner string, l *listed) *group {
	for _, g := range b.groups {
		if g.owner == owner && g.list == l {
			return g
		}
	}
	g := &group{owner: owner, list: l}
	b.groups = append(b.groups, g)
	return g
}

func (b *block) eat() (News, error) {
	p := b.seen.Block.Point
	clear(b.vouched)
	touches, err := b.desk.ApplyBlock(b.ctx, b.world, b.seen.Block)
	if err != nil {
		return News{}, err
	}
	b.touches = int64(len(touches))
	txs := b.seen.Block.Txs
	for _, t := range touches {
		i, ok := slices.BinarySearchFunc(txs, t.At.Tx, func(tx flow.Tx, n uint32) int { return cmp.Compare(tx.Index, n) })
		if !ok {
			return News{}, errors.New("a transaction of the block has another place")
		}
		b.touch(t, &txs[i])
	}
	b.dusty = make([]int64, len(b.lists.all))
	for i := range txs {
		if err := b.scan(&txs[i]); err != nil {
			return News{}, err
		}
		b.freezes(&txs[i])
	}
	news := News{Reopen: b.reopen}
	b.countDust()
	slices.SortFunc(b.groups, func(x, y *group) int {
		switch {
		case x.list == nil && y.list != nil: // cases first
			return -1
		case x.list != nil && y.list == nil:
			return 1
		}
		return cmp.Compare(x.owner, y.owner)
	})
	for _, g := range b.groups {
		alerts, err := b.tell(g)
		if err != nil {
			return News{}, err
		}
		news.Alerts = append(news.Alerts, alerts...)
	}
	asides, again := b.asides(p)
	news.Alerts = append(news.Alerts, asides...)
	news.Reopen = append(news.Reopen, again...)
	return news, nil
}

// touch lets the rules look at what one transaction did to one case.
func (b *block) touch(t trace.Touch, tx *flow.Tx) {
	s := b.seats[t.ID]
	if t.Err != nil {
		b.fail(s, tx, t.Err)
	}
	g := b.group(s.open.ID, nil)
	v := &view{config: &b.config, desk: b.desk, world: b.world, log: b.log, tx: tx, hops: s.hopsOf(t)}
	v.add = func(c candidate) {
		c.tx = tx
		g.all = append(g.all, c)
	}
	for i := range v.hops {
		if h := &v.hops[i]; !h.units[s.lead].IsZero() {
			v.led = append(v.led, h)
		}
	}
	s.arrive(v)
	s.move(v)
	s.dormant(v)
	s.burn(v)
	if err := s.habits(v); err != nil {
		b.fail(s, tx, err)
	}
}

// A trouble is what goes wrong with a case in a block: the first that does.
type trouble struct {
	tx  flow.Hash // zero if it is of no transaction
	err error
}

func (b *block) fail(s *seat, tx *flow.Tx, err error) {
	t := trouble{err: err}
	if tx != nil {
		t.tx = tx.ID
	}
	if _, known := b.troubles[s.id]; !known {
		b.troubles[s.id] = t
	}
}

// vouches is World.Vouched, asked once for each asset of a block.
func (b *block) vouches(a flow.Asset) bool {
	v, ok := b.vouched[a]
	if !ok {
		v = b.world.Vouched(a)
		b.vouched[a] = v
	}
	return v
}

// asides says once which cases are set aside, or are not followed as they should be.
func (b *block) asides(p flow.Point) (alerts []alert.Alert, again []Reopen) {
	say := func(id string, severity finding.Severity, title string, t trouble) {
		owner, text := caseOf(id), finding.Clean(t.err.Error(), 500)
		key := t.tx.String()
		if t.tx.IsZero() { // the same trouble with a case that was opened anew is no news
			key = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		}
		alerts = append(alerts, alert.Alert{
			Key: owner + "/aside/" + p.Chain.String() + "/" + key, Kind: alert.State, Severity: severity, Case: owner,
			Title: title, Text: text + ". The case is to be opened anew.", Chain: p.Chain, At: p, Tx: t.tx, Seen: b.seen.At,
		})
		again = append(again, Reopen{owner, text})
	}
	aside := map[string]bool{}
	for _, a := range b.desk.Aside() {
		if a.Chain != p.Chain {
			continue
		}
		aside[a.ID] = true
		if !b.told[a.ID] {
			b.mark(a.ID, true)
			say(a.ID, finding.High, "A case is no longer followed", trouble{b.troubles[a.ID].tx, a.Err})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.told)) {
		if s := b.seats[id]; s != nil && b.told[id] && !aside[id] && s.chain == p.Chain {
			b.mark(id, false)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.troubles)) {
		if !aside[id] {
			say(id, finding.Medium, "A case is followed in part", b.troubles[id])
		}
	}
	return alerts, again
}

// mark remembers whether it was said that a case is set aside.
func (b *block) mark(id string, told bool) {
	old := b.told[id]
	b.told[id] = told
	b.log.undo = append(b.log.undo, func() { b.told[id] = old })
}

// count counts what was told.
func (b *block) count(n News) {
	b.stats.Blocks++
	b.stats.Touches += b.touches
	b.stats.Withheld += b.held
	for _, a := range n.Alerts {
		rule := string(a.Kind)
		if a.Finding != nil {
			rule = a.Finding.Rule
		}
		b.stats.Alerts[rule]++
	}
}
