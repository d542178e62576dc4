package sim

import (
	"container/heap"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// An account is the number of one; its address follows from the seed and the number.
type account uint64

// The marks keep the numbers of different kinds of accounts apart; users have none.
const (
	serviceMark account = 1 << 60
	depositMark account = 2 << 60
	attackMark  account = 3 << 60
	otherMark   account = 4 << 60 // puppets, spammers, payers of decoys, the distributor of poison
	assetMark   account = 5 << 60
	markMask    account = 15 << 60
	txMark              = 6 << 60
	poisonMark          = 7 << 60
)

// An asset is the number of one: its kind, and the chain above it.
type asset uint16

// The kinds of assets; the numbers from firstToken on are tokens that nobody prices.
const (
	ether asset = iota
	usdt
	usdc
	firstToken
	worthless = firstToken + tokenCount // the token of the puppets
	perChain  = 1024                    // assets of a chain
)

var assetNumber = map[string]asset{"ETH": ether, "USDT": usdt, "USDC": usdc}

// contracts are the addresses of the two tokens that have prices, on each chain: the real ones, so that tools know their
// decimals.
var contracts = [maxChains][3]string{
	{"ETH", "0xdac17f958d2ee523a2206206994597c13d831ec7", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"},
	{"ETH", "0x94b008aa00579c1307b0ef2c499ad98a8ce58e58", "0x0b2c639c533813f4aa9d7837caf62653d097ff85"},
}

func (a asset) chain() int         { return int(a / perChain) }
func (a asset) kind() asset        { return a % perChain }
func (a asset) on(chain int) asset { return a.kind() + asset(chain)*perChain }
func (a asset) priced() bool       { return a.kind() < firstToken }

// centsPerUnit and baseUnits are the price table: cents of a whole unit, and how many of the smallest units make one.
var (
	centsPerUnit = [firstToken]uint64{ether: 300_000, usdt: 100, usdc: 100}
	baseUnits    = [firstToken]uint64{ether: 1e18, usdt: 1e6, usdc: 1e6}
)

// cents is the value of an amount by the price table, rounded down; 0 for tokens without a price.
func (a asset) cents(v flow.Amount) flow.Amount {
	if !a.priced() {
		return flow.Amount{}
	}
	return times(v, centsPerUnit[a.kind()], baseUnits[a.kind()])
}

// ofCents is about how much of the asset is worth that much.
func (a asset) ofCents(cents flow.Amount) flow.Amount {
	return times(cents, baseUnits[a.kind()], centsPerUnit[a.kind()])
}

const (
	maxChains    = 2
	slotSeconds  = 12 // a slot is a height of every chain
	slotsPerDay  = 86400 / slotSeconds
	firstSeconds = 1_717_200_000 // 1 June 2024, 00:00 UTC
)

var (
	chainNames  = [maxChains]string{"eip155:1", "eip155:10"}
	firstHeight = [maxChains]uint64{20_000_000, 120_000_000}
)

// A row is a transfer of a block that is being made.
type row struct {
	tx       *tx
	from, to account
	asset    asset
	amount   flow.Amount
	index    uint32 // in its block, known when the block is closed
}

// A tx is a transaction that is being made. Its hash is of the generator's choosing.
type tx struct {
	hash  flow.Hash
	chain int
	slot  uint32
}

// A world is everything that goes on in a case, slot by slot.
type world struct {
	books
	cfg      Config
	rng      *rand.Rand // of ordinary traffic
	slot     uint32
	slots    uint32
	queue    queue
	blocks   [maxChains][]*row // rows of this slot
	chains   int
	txs      uint64
	others   uint64 // accounts of otherMark so far
	rows     int    // so far, without poison
	kinds    map[string]int
	opening  map[holding]flow.Amount // of services
	opened   func(holding, flow.Amount)
	crossed  func(crossing)
	services []*service
	pools    [maxChains]map[[2]asset][]*service
	sweeping map[holding]bool
	keepers  map[account]*service // of the deposit addresses that the thief used
	sinks    map[sink]lot
	truth    *truth
}

// A task is something that happens in a slot.
type task struct {
	slot uint32
	seq  uint64
	do   func()
}

// queue is a heap of tasks by slot, then in the order in which they were made.
type queue struct {
	tasks []task
	seq   uint64
}

func (q *queue) Len() int { return len(q.tasks) }
func (q *queue) Less(i, j int) bool {
	a, b := q.tasks[i], q.tasks[j]
	return a.slot < b.slot || a.slot == b.slot && a.seq < b.seq
}
func (q *queue) Swap(i, j int) { q.tasks[i], q.tasks[j] = q.tasks[j], q.tasks[i] }
func (q *queue) Push(x any)    { q.tasks = append(q.tasks, x.(task)) }
func (q *queue) Pop() any {
	last := len(q.tasks) - 1
	t := q.tasks[last]
	q.tasks[last] = task{}
	q.tasks = q.tasks[:last]
	return t
}

// at does something in a later slot; what would come after the last slot does not happen.
func (w *world) at(slot uint32, do func()) {
	if slot = max(slot, w.slot+1); slot < w.slots {
		w.queue.seq++
		heap.Push(&w.queue, task{slot, w.queue.seq, do})
	}
}

// after is at, so many seconds from now.
func (w *world) after(seconds float64, do func()) {
	w.at(w.slot+1+uint32(seconds/slotSeconds), do)
}

// runTasks does what is due in this slot.
func (w *world) runTasks() {
	for len(w.queue.tasks) > 0 && w.queue.tasks[0].slot <= w.slot {
		heap.Pop(&w.queue).(task).do()
	}
}

// tx begins a transaction on a chain.
func (w *world) tx(chain int) *tx {
	w.txs++
	return &tx{hash: hashOf(w.cfg.Seed, w.txs|txMark), chain: chain, slot: w.slot}
}

// move writes a transfer and keeps the books. kind is counted.
func (w *world) move(t *tx, from, to account, a asset, v flow.Amount, rule Rule, kind string) (*row, []lot) {
	lots := w.take(holding{from, a}, v, rule)
	w.give(holding{to, a}, v, lots)
	return w.write(t, from, to, a, v, kind), lots
}

// write writes a transfer and leaves the books alone.
func (w *world) write(t *tx, from, to account, a asset, v flow.Amount, kind string) *row {
	r := &row{tx: t, from: from, to: to, asset: a, amount: v}
	w.blocks[t.chain] = append(w.blocks[t.chain], r)
	w.rows++
	w.kinds[kind]++
	return r
}

// open lets a service or a treasury have had the units before the case begins that it needs to pay v of its own money.
func (w *world) open(h holding, v flow.Amount) {
	if own := w.own(h); own.Less(v) {
		short := minus(v, own)
		w.credit(h, short)
		w.opening[h] = plus(w.opening[h], short)
	}
}

// fund lets a user have v of its own money: what it has, else what it had before the case begins if it was never seen in
// the asset. It reports false where the user has to be paid first.
func (w *world) fund(h holding, v flow.Amount) bool {
	if !w.own(h).Less(v) {
		return true
	}
	if w.touched(h) {
		return false
	}
	had := plus(v, times(v, w.rng.Uint64N(100), 50))
	w.credit(h, had)
	w.opened(h, had)
	return true
}

// other is a new account that is neither user nor service nor the thief's.
func (w *world) other() account {
	w.others++
	return account(w.others) | otherMark
}

// address is the 20 bytes of an account. They look random and depend on seed and number alone.
func address(seed uint64, n account) [20]byte {
	var b [24]byte
	x := seed*0x9e3779b97f4a7c15 ^ mix64(uint64(n))
	for i := 0; i < 24; i += 8 {
		x = mix64(x + uint64(i) + 1)
		binary.LittleEndian.PutUint64(b[i:], x)
	}
	return [20]byte(b[:20])
}

func hashOf(seed, n uint64) flow.Hash {
	var h flow.Hash
	x := ^seed*0x9e3779b97f4a7c15 ^ mix64(n)
	for i := 0; i < 32; i += 8 {
		x = mix64(x + uint64(i) + 1)
		binary.LittleEndian.PutUint64(h[i:], x)
	}
	return h
}

// addressText is the address as the tables write it: lower case.
func (w *world) addressText(n account) string {
	b := address(w.cfg.Seed, n)
	return "0x" + hex.EncodeToString(b[:])
}

// assetText is the asset as the tables write it.
func (w *world) assetText(a asset) string {
	if a.priced() {
		return contracts[a.chain()][a.kind()]
	}
	return w.addressText(assetMark | account(a))
}

// closeBlock numbers the rows of this slot on a chain, and empties it.
func (w *world) closeBlock(chain int) []*row {
	rows := slices.Clone(w.blocks[chain])
	for i, r := range rows {
		r.index = uint32(i)
	}
	clear(w.blocks[chain])
	w.blocks[chain] = w.blocks[chain][:0]
	return rows
}
