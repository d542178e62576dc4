package pebblestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sort"
	"sync"

	"github.com/spoor-dev/spoor/flow"
)

// A block is a block of the head. It never changes.
type block struct {
	point     flow.Point
	parent    flow.Hash
	coverage  flow.Coverage
	notes     []flow.Note
	firstID   uint32   // the id of names[0]
	names     []string // the keys of the accounts that appear first in this block
	firstForm uint32   // the number of forms[0]
	forms     []form   // the forms that appear first in this block
	chunks    []chunk
	body      []byte
	ids       []byte // 32 bytes for each transaction
	moves     int
}

func (b *block) txs() int { return len(b.ids) / len(flow.Hash{}) }

// chunk is the part of the body of chunk i, and the ids of its transactions.
func (b *block) chunk(i int) (body, ids []byte) {
	c := b.chunks[i]
	end, order := len(b.body), b.txs()
	if i+1 < len(b.chunks) {
		end, order = int(b.chunks[i+1].at), int(b.chunks[i+1].order)
	}
	return b.body[c.at:end], b.ids[32*c.order : 32*order]
}

// chunkOf is the chunk that would hold the transaction with that index; false where there is none.
func (b *block) chunkOf(tx uint32) (int, bool) {
	i := sort.Search(len(b.chunks), func(i int) bool { return b.chunks[i].tx > tx })
	return i - 1, i > 0
}

// A rec is the place of an item in a log, sortable by holder.
type rec struct {
	holder uint32
	at     uint32
}

// maxLog bounds a log: the places in a rec have 32 bits.
const maxLog = 1<<32 - 1

// logEntries appends the entries of blocks to a log, in chain order, and their places to recs.
func logEntries(log []byte, recs []rec, blocks []*block, forms []form, common uint32) ([]byte, []rec, error) {
	var m rawMove
	t := &tailWriter{common: common}
	for i, b := range blocks {
		for k, c := range b.chunks {
			body, _ := b.chunk(k)
			r := newBodyReader(body, c.tx, forms)
			for r.nextTx() {
				for place := range uint32(r.moves) {
					if !r.nextMove(place, &m) {
						break
					}
					t.tx, t.place, t.many = r.tx, place, m.isMany()
					var giver, taker uint32
					if len(m.in) == 1 {
						giver = m.in[0].account
					}
					if len(m.out) == 1 {
						taker = m.out[0].account
					}
					if len(log)+(len(m.in)+len(m.out))*(itemHead+maxTail) > maxLog {
						return nil, nil, fmt.Errorf("%s: more entries than one segment can hold", b.point)
					}
					for n := range m.in {
						if l := &m.in[n]; l.account != 0 {
							recs = append(recs, rec{l.account, uint32(len(log))})
							log = appendItem(log, uint32(i), t, &m, true, uint32(n), l, taker)
						}
					}
					for n := range m.out {
						if l := &m.out[n]; l.account != 0 {
							recs = append(recs, rec{l.account, uint32(len(log))})
							log = appendItem(log, uint32(i), t, &m, false, uint32(n), l, giver)
						}
					}
				}
			}
			if err := r.check(); err != nil {
				return nil, nil, fmt.Errorf("%s: transactions from %d on: %w", b.point, c.tx, err)
			}
		}
	}
	return log, recs, nil
}

// sortRecs sorts by holder and keeps the order of equal ones. It needs as much room again in spare, and returns the
// sorted records and the spare room.
func sortRecs(recs, spare []rec) (sorted, free []rec) {
	most := uint32(0)
	for _, r := range recs {
		most = max(most, r.holder)
	}
	if cap(spare) < len(recs) {
		spare = make([]rec, len(recs))
	}
	spare = spare[:len(recs)]
	const digit = 11
	var counts [1 << digit]uint32
	for shift := 0; shift < bits.Len32(most); shift += digit {
		clear(counts[:])
		for _, r := range recs {
			counts[r.holder>>shift&(1<<digit-1)]++
		}
		sum := uint32(0)
		for i, n := range counts {
			counts[i] = sum
			sum += n
		}
		for _, r := range recs {
			d := r.holder >> shift & (1<<digit - 1)
			spare[counts[d]] = r
			counts[d]++
		}
		recs, spare = spare, recs
	}
	return recs, spare
}

// A run is some blocks of the head that follow one another, with indexes that are made when they are first needed. It is
// safe for several goroutines.
type run struct {
	blocks  []*block
	heights []uint64
	forms   []form
	moves   int

	holders func() (*holderIndex, error)
	txs     func() *txIndex
	spends  func() (map[flow.Outpoint]flow.Pos, error)
	names   func() map[string]uint32
}

func newRun(blocks []*block, forms []form, secret *secret) *run {
	r := &run{blocks: blocks, forms: forms}
	for _, b := range blocks {
		r.heights = append(r.heights, b.point.Height)
		r.moves += b.moves
	}
	r.holders = sync.OnceValues(r.indexHolders)
	r.txs = sync.OnceValue(func() *txIndex { return newTxIndex(r.blocks, secret) })
	r.spends = sync.OnceValues(r.indexSpends)
	r.names = sync.OnceValue(func() map[string]uint32 {
		names := map[string]uint32{}
		for _, b := range r.blocks {
			for i, n := range b.names {
				names[n] = b.firstID + uint32(i)
			}
		}
		return names
	})
	return r
}

// runCommon is the form that costs nothing in the log of a run.
const runCommon = 1

// A holderIndex finds the items of a holder in a log.
type holderIndex struct {
	log   []byte
	recs  []rec    // by holder, then chain order
	start []uint32 // start[i] is the first of recs whose holder>>shift is i or more
	shift int
}

func (r *run) indexHolders() (*holderIndex, error) {
	log, recs, err := logEntries(nil, nil, r.blocks, r.forms, runCommon)
	if err != nil {
		return nil, err
	}
	x := &holderIndex{log: log}
	x.recs, _ = sortRecs(recs, nil)
	if len(recs) == 0 {
		return x, nil
	}
	most := x.recs[len(recs)-1].holder
	x.shift = max(0, bits.Len32(most)-bits.Len(uint(len(recs))))
	x.start = make([]uint32, most>>x.shift+2)
	next := uint32(0)
	for i, rec := range x.recs {
		for ; next <= rec.holder>>x.shift; next++ {
			x.start[next] = uint32(i)
		}
	}
	x.start[next] = uint32(len(recs))
	return x, nil
}

// find are the records of a holder.
func (x *holderIndex) find(holder uint32) []rec {
	i := int(holder >> x.shift)
	if i+1 >= len(x.start) {
		return nil
	}
	recs := x.recs[x.start[i]:x.start[i+1]]
	from := sort.Search(len(recs), func(i int) bool { return recs[i].holder >= holder })
	to := from
	for to < len(recs) && recs[to].holder == holder {
		to++
	}
	return recs[from:to]
}

// before is how many of a holder's records stand before the transaction with index tx of a block.
func (x *holderIndex) before(recs []rec, heights []uint64, height, tx uint64) int {
	return sort.Search(len(recs), func(i int) bool {
		item := x.log[recs[i].at:]
		h := heights[binary.LittleEndian.Uint32(item)]
		return h > height || h == height && uint64(binary.LittleEndian.Uint32(item[4:])) >= tx
	})
}

// A txIndex finds the transactions of some blocks by id: a hash table of their numbers.
type txIndex struct {
	blocks []*block
	before []int    // how many transactions the blocks before each have
	slots  []uint32 // number + 1
	secret *secret
}

func newTxIndex(blocks []*block, secret *secret) *txIndex {
	x := &txIndex{blocks: blocks, secret: secret}
	n := 0
	for _, b := range blocks {
		x.before = append(x.before, n)
		n += b.txs()
	}
	x.slots = make([]uint32, 1<<bits.Len(uint(n+n/2+1)))
	n = 0
	for _, b := range blocks {
		for at := 0; at < len(b.ids); at += 32 {
			id := flow.Hash(b.ids[at:])
			n++
			if !id.IsZero() {
				x.slots[x.slot(id)] = uint32(n) // of several with one id the newest is found
			}
		}
	}
	return x
}

// slot is where id is, or would be.
func (x *txIndex) slot(id flow.Hash) int {
	mask := len(x.slots) - 1
	for i := int(x.secret.hash(id)) & mask; ; i = (i + 1) & mask {
		if x.slots[i] == 0 {
			return i
		}
		b, order := x.place(x.slots[i] - 1)
		if bytes.Equal(b.ids[32*order:32*order+32], id[:]) {
			return i
		}
	}
}

// place is the block of a transaction and how many it has before it.
func (x *txIndex) place(n uint32) (b *block, order int) {
	i := sort.Search(len(x.before), func(i int) bool { return x.before[i] > int(n) }) - 1
	return x.blocks[i], int(n) - x.before[i]
}

// find is the block of the transaction with that id and how many it has before it; ok is false where there is none.
func (x *txIndex) find(id flow.Hash) (b *block, order int, ok bool) {
	s := x.slots[x.slot(id)]
	if s == 0 || id.IsZero() {
		return nil, 0, false
	}
	b, order = x.place(s - 1)
	return b, order, true
}

// indexSpends maps outpoints to the places of the newest transactions that spend them.
func (r *run) indexSpends() (map[flow.Outpoint]flow.Pos, error) {
	spends := map[flow.Outpoint]flow.Pos{}
	err := eachSpend(r.blocks, r.forms, func(block int, tx uint32, o flow.Outpoint) {
		spends[o] = flow.Pos{Height: r.heights[block], Tx: tx}
	})
	return spends, err
}

// eachSpend calls f for every spent outpoint of some blocks in chain order.
func eachSpend(blocks []*block, forms []form, f func(block int, tx uint32, o flow.Outpoint)) error {
	var m rawMove
	for i, b := range blocks {
		for k, c := range b.chunks {
			body, _ := b.chunk(k)
			r := newBodyReader(body, c.tx, forms)
			for r.nextTx() {
				for place := range uint32(r.moves) {
					if !r.nextMove(place, &m) {
						break
					}
					for _, o := range m.spent {
						f(i, r.tx, o)
					}
				}
			}
			if err := r.check(); err != nil {
				return fmt.Errorf("%s: transactions from %d on: %w", b.point, c.tx, err)
			}
		}
	}
	return nil
}

// cover are the runs that cover blocks, given some which may cover the first of them. Runs at least double in size
// backwards, so that there are few and every block is indexed few times.
func cover(runs []*run, blocks []*block, forms []form, secret *secret) []*run {
	n, covered := 0, 0
	for _, r := range runs { // blocks may have been undone since
		if end := covered + len(r.blocks); end > len(blocks) || r.blocks[0] != blocks[covered] || r.blocks[len(r.blocks)-1] != blocks[end-1] {
			break
		}
		n++
		covered += len(r.blocks)
	}
	if covered == len(blocks) {
		return runs[:n:n]
	}
	moves := 0
	for _, b := range blocks[covered:] {
		moves += b.moves
	}
	for n > 0 && runs[n-1].moves <= 2*moves {
		n--
		moves += runs[n].moves
		covered -= len(runs[n].blocks)
	}
	return append(runs[:n:n], newRun(blocks[covered:], forms, secret))
}
