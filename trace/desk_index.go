package trace

import (
	"hash/maphash"

	"github.com/spoor-dev/spoor/flow"
)

// An index says which seats of one chain follow an account or a coin. It keeps hashes alone: where two holders share
// one, a case is shown a transaction that does not matter to it, which changes nothing. So no answer depends on the
// seed, and nobody can choose addresses that share a hash.
type index struct {
	seed  maphash.Seed
	first map[uint64]ref   // almost every holder is followed by one case
	more  map[uint64][]ref // the cases beyond the first
	// filter has a bit set for every hash in first, and for some that were there; rarely for any other.
	filter []uint64
	stale  int // how many hashes have left first since the filter was made
}

// A ref says that a seat follows a hash, for so many reasons: that a ledger follows an account at all is one,
// each coin and each outflow of a ledger is another.
type ref struct{ seat, reasons uint32 }

const (
	leastFilter   = 1 << 6 // words; a power of two
	hashesForWord = 4      // of the filter: 16 bits or more for a hash, so that few others are looked up in vain
)

func newIndex() *index {
	return &index{seed: maphash.MakeSeed(), first: map[uint64]ref{}, more: map[uint64][]ref{}, filter: make([]uint64, leastFilter)}
}

func (x *index) account(a flow.Account) uint64 { return maphash.String(x.seed, a.Key()) }

func (x *index) coin(o *flow.Outpoint) uint64 {
	return maphash.Bytes(x.seed, o.Tx[:]) + (uint64(o.Index)+1)*0x9e3779b97f4a7c15
}

// mayHave reports whether anybody may follow a hash; no is certain.
func (x *index) mayHave(h uint64) bool {
	return x.filter[h>>6&uint64(len(x.filter)-1)]&(1<<(h&63)) != 0
}

func (x *index) mark(h uint64) { x.filter[h>>6&uint64(len(x.filter)-1)] |= 1 << (h & 63) }

// add lets a seat follow a hash for one more reason.
func (x *index) add(h uint64, seat uint32) {
	r, ok := x.first[h]
	switch {
	case !ok:
		x.first[h] = ref{seat, 1}
		if len(x.first) > hashesForWord*len(x.filter) {
			x.refilter()
		}
		x.mark(h)
		return
	case r.seat == seat:
		r.reasons++
		x.first[h] = r
		return
	}
	more := x.more[h]
	for i := range more {
		if more[i].seat == seat {
			more[i].reasons++
			return
		}
	}
	x.more[h] = append(more, ref{seat, 1})
}

// remove takes one of the reasons away.
func (x *index) remove(h uint64, seat uint32) {
	more := x.more[h]
	if r := x.first[h]; r.seat == seat {
		if r.reasons--; r.reasons > 0 {
			x.first[h] = r
			return
		}
		if len(more) == 0 {
			delete(x.first, h)
			if x.stale++; x.stale > hashesForWord*len(x.filter) {
				x.refilter()
			}
			return
		}
		last := len(more) - 1
		x.first[h] = more[last]
		x.shorten(h, more[:last])
		return
	}
	for i := range more {
		if more[i].seat != seat {
			continue
		}
		if more[i].reasons--; more[i].reasons == 0 {
			last := len(more) - 1
			more[i] = more[last]
			x.shorten(h, more[:last])
		}
		return
	}
}

func (x *index) shorten(h uint64, more []ref) {
	if len(more) == 0 {
		delete(x.more, h)
	} else {
		x.more[h] = more
	}
}

// refilter makes the filter anew, with room for twice as many hashes.
func (x *index) refilter() {
	words := leastFilter
	for hashesForWord*words < 2*len(x.first) {
		words *= 2
	}
	x.filter, x.stale = make([]uint64, words), 0
	for h := range x.first {
		x.mark(h)
	}
}
