package pebblestore

import (
	"fmt"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A view is what snapshots see of a lane besides the sorted tables. It never changes once it is shown.
type view struct {
	chain    flow.Chain
	lane     uint16
	segments []segment
	blocks   []*block // the head
	forms    []form
	tip      flow.Point
	nextID   uint32 // the first account id that was not given out
	runs     []*run // cover the head; nil until a snapshot needs them, then guarded by Store.mu
	extent
}

func (v *view) isEmpty() bool { return v.count == 0 && len(v.blocks) == 0 }

// An extent is what all segments of a lane hold together.
type extent struct {
	first, last uint64 // heights
	count       uint64 // blocks
	known       uint32 // the first account id that no segment knows; 1 if none is known
	late        bool   // there is a late one
}

// A lane is one chain of a store as its writer knows it.
type lane struct {
	chain    flow.Chain
	lane     uint16
	segments []segment
	base     flow.Point // the last block of the segments
	blocks   []*block   // the head; what views hold of it is never written over
	tip      flow.Point
	final    uint64 // height of the newest block that was declared final
	sealed   bool   // whether there is one
	synced   int    // how many of the head blocks are written as head records
	moves    int    // in the head
	bytes    int    // of bodies and ids in the head

	forms  formTable
	nextID uint32
	extent
	regularID uint32          // the first account id that no fold knows
	filledID  uint32          // ids below are never given again, because filled blocks have some of them
	tabled    int             // how many forms the tables know
	lent      map[uint32]bool // ids that head blocks brought and filled blocks have too, as far as met

	young *nameTable // accounts met lately: all of the head, some of the segments
	old   *nameTable // accounts met before that, all of the segments; nil if none
	whole bool       // young and old hold all accounts of the lane
	look  *looker    // reads the segments; nil until it is needed, and again when there is a new one

	// Room that is used again for every block.
	body   bodyWriter
	slab   []byte
	keys   []string
	hashes []uint64
	ids    []uint32
	refs   []uint32
}

func newLane(c flow.Chain, number uint16) *lane {
	return &lane{chain: c, lane: number, nextID: 1, regularID: 1, filledID: 1, extent: extent{known: 1}, lent: map[uint32]bool{},
		forms: newFormTable(), young: newNameTable(), whole: true}
}

func (l *lane) isEmpty() bool { return l.count == 0 && len(l.blocks) == 0 }

// view is what is to be shown of the lane now.
func (l *lane) view() *view {
	return &view{chain: l.chain, lane: l.lane, segments: l.segments, blocks: l.blocks, forms: l.forms.all, tip: l.tip, nextID: l.nextID,
		extent: l.extent}
}

// setTip finds the tip again.
func (l *lane) setTip() {
	l.tip = l.base
	if n := len(l.blocks); n > 0 {
		l.tip = l.blocks[n-1].point
	}
}

// isBlock reports whether p and q name the same block: times are not compared.
func isBlock(p, q flow.Point) bool {
	return p.Chain == q.Chain && p.Height == q.Height && p.Hash == q.Hash
}

// check says what is wrong with b itself, wherever it goes, but for its accounts.
func check(b *flow.Block) error {
	for i := range b.Txs {
		tx := &b.Txs[i]
		if tx.Point != b.Point {
			return fmt.Errorf("transaction %d says that it is in %s", tx.Index, tx.Point)
		}
		if i > 0 && tx.Index <= b.Txs[i-1].Index {
			return fmt.Errorf("transaction %d stands behind transaction %d", tx.Index, b.Txs[i-1].Index)
		}
		for k := range tx.Logs {
			if a := tx.Logs[k].Contract; a.IsZero() || a.Chain() != b.Point.Chain {
				return fmt.Errorf("transaction %d: log %d: %q is no contract of this chain", tx.Index, k, a)
			}
		}
	}
	return nil
}

// fits says whether b has to be put on top, or is there already.
func (l *lane) fits(b *flow.Block) (put bool, err error) {
	if err := check(b); err != nil {
		return false, err
	}
	if l.isEmpty() {
		return true, nil
	}
	switch {
	case isBlock(l.tip, b.Point):
		return false, nil
	case b.Point.Height <= l.tip.Height:
		return false, fmt.Errorf("%w: the tip is %s", store.ErrNotHead, l.tip)
	case b.Point.Height == l.tip.Height+1 && !b.Parent.IsZero() && !l.tip.Hash.IsZero() && b.Parent != l.tip.Hash:
		return false, fmt.Errorf("%w: its parent is %.12s…, the tip is %s", store.ErrNotHead, b.Parent, l.tip)
	}
	return true, nil
}

// make packs b into a head block, and gives ids to its new accounts and forms. On an error nothing has changed.
func (l *lane) make(s *Store, b *flow.Block) (_ *block, err error) {
	head := &block{point: b.Point, parent: b.Parent, coverage: b.Coverage, firstID: l.nextID, firstForm: uint32(len(l.forms.all)) + 1}
	if len(b.Notes) > 0 {
		head.notes = slices.Clone(b.Notes)
	}
	defer func() {
		if err != nil {
			l.forget(head)
		}
	}()
	if err := l.name(s, b, head); err != nil {
		return nil, err
	}
	w := &l.body
	w.common = l.forms.common
	err = w.pack(b, l.ids, func(m *flow.Movement) (formUse, error) { return l.forms.use(l.chain, m.Kind, m.Asset) })
	if err != nil {
		return nil, err
	}
	head.forms = l.forms.all[head.firstForm-1 : len(l.forms.all) : len(l.forms.all)]
	w.give(b, head, l.room(len(w.buf)+32*len(b.Txs)))
	return head, nil
}

// pack packs all transactions of b, whose legs have those ids in order.
func (w *bodyWriter) pack(b *flow.Block, ids []uint32, use func(m *flow.Movement) (formUse, error)) error {
	w.reset(b)
	at := 0
	for i := range b.Txs {
		tx := &b.Txs[i]
		w.tx(i, tx)
		for k := range tx.Movements {
			m := &tx.Movements[k]
			f, err := use(m)
			if err != nil {
				return fmt.Errorf("transaction %d: movement %d: %w", tx.Index, k, err)
			}
			n := at + len(m.In) + len(m.Out)
			w.move(uint32(k), m, f, ids[at:n])
			at = n
		}
	}
	if len(w.buf) > math.MaxInt32 {
		return fmt.Errorf("its transactions take %d bytes, which is too many", len(w.buf))
	}
	return nil
}

// give puts what was packed into head, in room that is large enough.
func (w *bodyWriter) give(b *flow.Block, head *block, room []byte) {
	head.chunks = slices.Clone(w.chunks)
	room = append(room, w.buf...)
	head.body = room[:len(room):len(room)]
	for i := range b.Txs {
		room = append(room, b.Txs[i].ID[:]...)
		head.moves += len(b.Txs[i].Movements)
	}
	head.ids = room[len(w.buf):]
}

// room is n bytes, empty, of a slab that many small blocks share.
func (l *lane) room(n int) []byte {
	const slab = 1 << 20
	if n > slab/4 {
		return make([]byte, 0, n)
	}
	if cap(l.slab)-len(l.slab) < n {
		l.slab = make([]byte, 0, slab)
	}
	at := len(l.slab)
	l.slab = l.slab[:at+n]
	return l.slab[at : at : at+n]
}

// name fills l.ids with the ids of all legs of b, in order, and gives ids to accounts that have none. The work goes in
// steps over the whole block, because the steps wait for memory, and many waits at once take little longer than one.
func (l *lane) name(s *Store, b *flow.Block, head *block) error {
	l.keys, l.hashes = l.keys[:0], l.hashes[:0]
	for i := range b.Txs {
		tx := &b.Txs[i]
		for k := range tx.Movements {
			m := &tx.Movements[k]
			for _, legs := range [2][]flow.Leg{m.In, m.Out} {
				for n := range legs {
					a := &legs[n].Account
					if !a.IsZero() && a.Chain() != l.chain {
						return fmt.Errorf("transaction %d: movement %d: %s is not of this chain", tx.Index, k, a)
					}
					l.keys = append(l.keys, a.Key())
				}
			}
		}
	}
	for _, k := range l.keys {
		l.hashes = append(l.hashes, nameHash(k))
	}
	n := len(l.keys)
	l.ids, l.refs = slices.Grow(l.ids[:0], n)[:n], slices.Grow(l.refs[:0], n)[:n]
	l.young.guess(l.hashes, l.refs)
	for i, k := range l.keys {
		if ref := l.refs[i]; ref != 0 && k != "" {
			if key, id := l.young.record(ref); string(key) == k {
				l.ids[i] = id
				continue
			}
		}
		id, err := l.id(s, k, l.hashes[i], head)
		if err != nil {
			return err
		}
		l.ids[i] = id
	}
	return nil
}

// id is the id of a key that may be new.
func (l *lane) id(s *Store, key string, hash uint64, head *block) (uint32, error) {
	if key == "" {
		return 0, nil
	}
	if id := l.young.id(key, hash); id != 0 {
		return id, nil
	}
	id := uint32(0)
	if l.old != nil {
		id = l.old.id(key, hash)
	}
	if id == 0 && !l.whole {
		if l.look == nil {
			l.look = &looker{v: l.view(), r: &tableReader{db: s.db, lane: l.lane}, secret: s.secret}
		}
		var err error
		if id, err = l.look.frozenID(key); err != nil {
			return 0, err
		}
	}
	if id == 0 {
		if l.nextID == math.MaxUint32 || len(key) > math.MaxUint8 {
			return 0, fmt.Errorf("account %x: the chain has %d accounts, or its key is too long", key, l.nextID-1)
		}
		id = l.nextID
		l.nextID++
		head.names = append(head.names, key)
	}
	l.young.put(key, hash, id)
	return id, nil
}

// forget takes back the ids that a block brought, which is the newest.
func (l *lane) forget(b *block) {
	for i, k := range b.names {
		if id := b.firstID + uint32(i); l.lent[id] {
			delete(l.lent, id) // the name stays at hand: the tables have it too
		} else {
			l.young.remove(k, nameHash(k))
		}
	}
	if l.filledID > b.firstID {
		l.whole = false // the tables may know an account that was lent before the store was opened
	}
	l.nextID = max(b.firstID, l.filledID)
	l.forms.cut(max(int(b.firstForm)-1, l.tabled))
}

// push puts a block on top.
func (l *lane) push(b *block) {
	l.blocks = append(l.blocks, b)
	l.moves += b.moves
	l.bytes += len(b.body) + len(b.ids)
	l.setTip()
}

// pop takes the top block off, which must be in the head.
func (l *lane) pop() {
	n := len(l.blocks) - 1
	b := l.blocks[n]
	l.forget(b)
	l.blocks = l.blocks[:n:n] // the next block is not written over the one that snapshots may still show
	l.moves -= b.moves
	l.bytes -= len(b.body) + len(b.ids)
	l.synced = min(l.synced, n)
	l.setTip()
}

// drop takes the first n blocks of the head off, which are folded into seg. names is the memory for account names.
func (l *lane) drop(n int, seg segment, names int) {
	l.base = l.blocks[n-1].point
	for _, b := range l.blocks[:n] {
		l.moves -= b.moves
		l.bytes -= len(b.body) + len(b.ids)
	}
	l.blocks = slices.Clone(l.blocks[n:])
	l.join(seg)
	l.tabled = max(l.tabled, int(seg.nextForm)-1)
	for id := range l.lent {
		if id < seg.nextID {
			delete(l.lent, id)
		}
	}
	l.synced = max(0, l.synced-n)
	if l.young.size() > names/2 {
		l.age()
	}
	l.setTip()
}

// join adds a segment.
func (l *lane) join(seg segment) {
	if !seg.late {
		seg.base = l.regularID - 1
		l.regularID = seg.nextID
	} else {
		l.late, l.filledID = true, max(l.filledID, seg.nextID)
	}
	l.segments = append(l.segments[:len(l.segments):len(l.segments)], seg)
	l.stretch(seg)
}

// stretch makes the extent of the lane hold a segment.
func (l *lane) stretch(seg segment) {
	l.known = max(l.known, seg.nextID)
	if seg.blocks == 0 {
		return
	}
	if l.count == 0 || seg.first < l.first {
		l.first = seg.first
	}
	l.last = max(l.last, seg.last)
	l.count += seg.blocks
}

// age makes the young names old, but for those that the segments do not know.
func (l *lane) age() {
	if l.old != nil {
		l.whole = false
	}
	l.old, l.young = l.young, newNameTable()
	for _, b := range l.blocks {
		for i, k := range b.names {
			l.old.remove(k, nameHash(k))
			l.young.put(k, nameHash(k), b.firstID+uint32(i))
		}
	}
}

// unlook lets go of the tables that the lane has read.
func (l *lane) unlook() error {
	if l.look == nil {
		return nil
	}
	r := l.look.r
	l.look = nil
	return r.close()
}
