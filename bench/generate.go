package bench

import (
	"encoding/binary"
	"iter"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Shape describes a generated chain: ordinary traffic, and optionally a theft planted in it. The same Shape gives the
// same blocks, byte for byte. The zero value of a field takes the default that stands behind it.
type Shape struct {
	Seed      uint64
	Movements int // of ordinary traffic; 1,000,000
	Accounts  int // ordinary users; a tenth of the movements
	PerBlock  int // mean movements in a block; 200 (4 if a theft is planted: a quarter of a million blocks)
	Hubs      int // services: a quarter of the traffic goes to them and a quarter comes from them; 0 for none
	Theft     Theft
}

// A Theft is a peel tree: the loot is split over chains; at each hop, after a wait, a few per cent are peeled off to a
// fresh deposit address, which forwards them to a service soon after, and the rest goes on to a fresh address.
type Theft struct {
	Chains int // 0 for no theft
	Hops   int
}

// Truth is what the generator did, kept apart from everything that a tracer is given.
type Truth struct {
	Thief    flow.Account
	Asset    flow.Asset
	Amount   flow.Amount // stolen: what the thief holds after the theft transaction
	TheftTx  flow.Hash
	Illicit  map[flow.Hash]bool    // transactions that carry the loot, the theft itself not counted
	Holders  map[flow.Account]bool // accounts that the loot passed through, services not counted
	Services []flow.Account        // what a list of labels would know
}

func (s Shape) withDefaults() Shape {
	if s.Movements == 0 {
		s.Movements = 1_000_000
	}
	if s.Accounts == 0 {
		s.Accounts = max(s.Movements/10, 100)
	}
	if s.PerBlock == 0 {
		s.PerBlock = 200
		if s.Theft.Chains > 0 {
			s.PerBlock = 4
		}
	}
	return s
}

// firstTime is the time of block 0 of a generated chain; blocks come every 12 seconds.
const firstTime = 1_600_000_000

// Generate yields the blocks of a Shape in order, and fills truth, which is whole after the last block.
func Generate(s Shape, truth *Truth) iter.Seq[flow.Block] {
	s = s.withDefaults()
	g := &generator{
		shape:  s,
		chain:  flow.Ethereum,
		rng:    rand.New(rand.NewPCG(s.Seed, 0x5900)),
		assets: []flow.Asset{flow.Ethereum.Native(), tokenOf(1), tokenOf(2), tokenOf(3)},
	}
	for i := range s.Hubs {
		g.hubs = append(g.hubs, account(s.Seed, uint64(i)|hubMark))
	}
	blocks := max(s.Movements/s.PerBlock, 1)
	if s.Theft.Chains > 0 {
		g.plant(uint64(blocks), truth)
	}
	return func(yield func(flow.Block) bool) {
		parent := flow.Hash{}
		left := s.Movements
		for h := range uint64(blocks) {
			n := left / (blocks - int(h)) // the rest, evenly
			if n > 1 && h+1 < uint64(blocks) {
				n = min(left, n/2+g.rng.IntN(n+1)) // uneven blocks, the same mean
			}
			left -= n
			b := g.block(h, n, parent)
			parent = b.Point.Hash
			if !yield(b) {
				return
			}
		}
	}
}

type generator struct {
	shape   Shape
	chain   flow.Chain
	rng     *rand.Rand
	assets  []flow.Asset
	hubs    []flow.Account
	planted []planted // sorted by height, the next one first
	nextTx  uint64
}

// planted is a movement of the theft, waiting for its block.
type planted struct {
	height   uint64
	from, to flow.Account
	v        flow.Amount
	id       flow.Hash
}

func (g *generator) block(h uint64, n int, parent flow.Hash) flow.Block {
	b := flow.Block{
		Point:    flow.Point{Chain: g.chain, Height: h, Hash: hash(g.shape.Seed, h|blockMark), Time: firstTime + 12*int64(h)},
		Parent:   parent,
		Coverage: flow.SawLogs,
		Txs:      make([]flow.Tx, 0, n+4),
	}
	movements := make([]flow.Movement, 0, n+4)
	legs := make([]flow.Leg, 0, 2*(n+4))
	index := uint32(0)
	add := func(from, to flow.Account, asset int, v flow.Amount) {
		kind := flow.TokenMove
		if asset == 0 {
			kind = flow.Transfer
		}
		legs = append(legs, flow.Leg{Account: from, Amount: v}, flow.Leg{Account: to, Amount: v})
		k := len(legs)
		movements = append(movements, flow.Movement{Kind: kind, Asset: g.assets[asset], Index: index,
			In: legs[k-2 : k-1 : k-1], Out: legs[k-1 : k : k]})
		index++
	}
	tx := func(id flow.Hash, from int) {
		b.Txs = append(b.Txs, flow.Tx{ID: id, Point: b.Point, Index: uint32(len(b.Txs)), Movements: movements[from:len(movements):len(movements)]})
	}
	for n > 0 {
		size := 1
		for size < n && size < 8 && g.rng.IntN(100) < 34 { // 1.5 movements in a transaction
			size++
		}
		first := len(movements)
		for range size {
			from, to := g.pair()
			asset, v := g.value()
			add(from, to, asset, v)
		}
		g.nextTx++
		tx(hash(g.shape.Seed, g.nextTx|txMark), first)
		n -= size
	}
	for len(g.planted) > 0 && g.planted[0].height == h {
		p := g.planted[0]
		g.planted = g.planted[1:]
		first := len(movements)
		add(p.from, p.to, 1, p.v)
		tx(p.id, first)
	}
	return b
}

// pair draws payer and payee.
func (g *generator) pair() (from, to flow.Account) {
	if len(g.hubs) > 0 {
		switch g.rng.IntN(4) {
		case 0:
			return g.hub(), g.uniform()
		case 1:
			return g.uniform(), g.hub()
		case 2:
			return g.uniform(), g.uniform()
		}
	}
	return g.skewed(), g.skewed()
}

func (g *generator) hub() flow.Account { return g.hubs[g.rng.IntN(len(g.hubs))] }

func (g *generator) uniform() flow.Account {
	return account(g.shape.Seed, uint64(g.rng.IntN(g.shape.Accounts)))
}

// skewed draws an account with probability ~ (rank+q)^-s, the Zipf-Mandelbrot law: for 20 M movements between 2 M
// accounts the busiest gets about 0.8 % of them, the median account about 6.
func (g *generator) skewed() flow.Account {
	const s, q = 0.75, 0.4
	low := math.Pow(q, 1-s)
	high := math.Pow(float64(g.shape.Accounts)+q, 1-s)
	x := g.rng.Float64()*(high-low) + low
	y := x * x
	rank := uint64(y*y - q) // x^(1/(1-s)) with s = 0.75
	return account(g.shape.Seed, min(rank, uint64(g.shape.Accounts-1)))
}

// value draws an asset and an amount: 40 % ether, of which six in ten are round sums as people send them and the others
// have all their digits (about 60 bits), else tokens of six decimals around 900 units (about 30 bits).
func (g *generator) value() (int, flow.Amount) {
	if g.rng.IntN(10) < 4 {
		digits := math.Exp(g.rng.NormFloat64()*2) * 1e17
		if g.rng.IntN(10) < 6 {
			return 0, flow.NewAmount((uint64(digits/1e14) + 1) * 1e14)
		}
		return 0, flow.NewAmount(uint64(digits) + g.rng.Uint64N(1e6))
	}
	return 1 + min(g.rng.IntN(6), 2), flow.NewAmount(1e6 + uint64(g.rng.ExpFloat64()*900e6))
}

// plant lays out the theft: 50,000,000 units of a token of six decimals.
func (g *generator) plant(blocks uint64, truth *Truth) {
	rng := rand.New(rand.NewPCG(g.shape.Seed, 0x7e1f))
	next := uint64(0)
	fresh := func() flow.Account { next++; return account(g.shape.Seed, next|freshMark) }
	id := func() flow.Hash { next++; return hash(g.shape.Seed, next|theftMark) }
	const stolen = 50_000_000_000_000
	victim, thief := fresh(), fresh()
	*truth = Truth{Thief: thief, Asset: g.assets[1], Amount: flow.NewAmount(stolen), TheftTx: id(),
		Illicit: map[flow.Hash]bool{}, Holders: map[flow.Account]bool{thief: true}, Services: g.hubs}
	start := blocks / 20
	g.planted = append(g.planted, planted{start, victim, thief, flow.NewAmount(stolen), truth.TheftTx})
	move := func(h uint64, from, to flow.Account, v uint64) {
		p := planted{h, from, to, flow.NewAmount(v), id()}
		truth.Illicit[p.id] = true
		g.planted = append(g.planted, p)
	}
	// Waits of 20 to 1,519 blocks, shortened where the chain is too short for that many hops.
	longest := max(min(1500, (blocks-start)*8/10/uint64(g.shape.Theft.Hops+1)), 1)
	wait := func() uint64 { return min(20, longest) + rng.Uint64N(longest) }
	share := uint64(stolen) / uint64(g.shape.Theft.Chains)
	for c := range g.shape.Theft.Chains {
		v := share
		if c == 0 {
			v = stolen - share*uint64(g.shape.Theft.Chains-1)
		}
		h := start + wait()
		at := fresh()
		truth.Holders[at] = true
		move(h, thief, at, v)
		for range g.shape.Theft.Hops {
			h += wait()
			peel := v / 1000 * (20 + rng.Uint64N(21)) // 2 to 4 %
			deposit, onward := fresh(), fresh()
			truth.Holders[deposit], truth.Holders[onward] = true, true
			move(h, at, deposit, peel)
			move(h, at, onward, v-peel)
			if len(g.hubs) > 0 {
				move(min(h+1+rng.Uint64N(10), blocks-1), deposit, g.hubs[rng.IntN(len(g.hubs))], peel)
			}
			v, at = v-peel, onward
		}
	}
	slices.SortStableFunc(g.planted, func(a, b planted) int { return int(int64(a.height) - int64(b.height)) })
}

// The marks keep the numbers of accounts, transactions and blocks apart.
const (
	hubMark   = 1 << 60
	freshMark = 2 << 60
	txMark    = 3 << 60
	blockMark = 4 << 60
	theftMark = 5 << 60
)

// account is the n-th account: its 20 bytes look random and depend on seed and n alone.
func account(seed, n uint64) flow.Account {
	var b [24]byte
	x := seed*0x9e3779b97f4a7c15 ^ mix(n)
	for i := 0; i < 24; i += 8 {
		x = mix(x + uint64(i) + 1)
		binary.LittleEndian.PutUint64(b[i:], x)
	}
	return flow.EVMAccount(flow.Ethereum, [20]byte(b[:20]))
}

func hash(seed, n uint64) flow.Hash {
	var h flow.Hash
	x := ^seed*0x9e3779b97f4a7c15 ^ mix(n)
	for i := 0; i < 32; i += 8 {
		x = mix(x + uint64(i) + 1)
		binary.LittleEndian.PutUint64(h[i:], x)
	}
	return h
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func tokenOf(n uint64) flow.Asset { return flow.Token(account(0, n|hubMark)) }
