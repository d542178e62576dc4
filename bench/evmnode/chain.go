package evmnode

import (
	"crypto/ecdsa"
	"encoding/binary"
	"math/big"
	"math/rand/v2"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/spoor-dev/spoor/flow"
)

// A Shape describes an invented chain: the same Shape and the same calls give the same blocks, byte for byte. The zero
// value of a field takes the default that stands behind it.
type Shape struct {
	Seed    uint64
	Txs     int // transactions of ordinary traffic in a block; 300
	Thieves int // accounts that hold loot at first; 1
}

// Loot is what each thief has at first, in wei: 1,000 ether.
const Loot = "1000000000000000000000"

// A Hop is loot that goes from one account of a thief to the next, all of it but the fee.
type Hop struct {
	Thief int
	Tx    flow.Hash
}

// A Block is a block as a node tells of it.
type Block struct {
	Point  flow.Point
	Parent flow.Hash
	Hops   []Hop

	header, whole, receipts, traces []byte // answers of a node
}

// A Chain makes blocks of signed transactions: two fifths pay coin, two fifths pay a token, and the others trade through a
// router with five logs. Roots, receipts and blooms are right; states are not kept. It is for one goroutine.
type Chain struct {
	shape  Shape
	rng    *rand.Rand
	signer types.Signer
	payers []*key
	hands  []*key // who has the loot of each thief
	last   *types.Header
	past   []past // of the blocks that can be taken back, the newest last
	again  []*hop // that were taken back and come again
	fresh  uint64
}

// A past is what must be known to take a block back.
type past struct {
	below *types.Header
	hops  []*hop
}

// A hop is a Hop with all that it takes to send it again.
type hop struct {
	thief    int
	from, to *key
	tx       *types.Transaction
}

type key struct {
	secret  *ecdsa.PrivateKey
	address common.Address
	nonce   uint64
	wei     *big.Int // of thieves
}

const (
	payers  = 500
	users   = 200_000
	mostOff = 1000 // blocks that can be taken back
	first   = 1_700_000_000
	gwei    = 1_000_000_000
)

// NewChain is a chain that has no block yet.
func NewChain(s Shape) *Chain {
	if s.Txs == 0 {
		s.Txs = 300
	}
	if s.Thieves == 0 {
		s.Thieves = 1
	}
	c := &Chain{shape: s, rng: rand.New(rand.NewPCG(s.Seed, 0x0de)), signer: types.LatestSignerForChainID(big.NewInt(1))}
	for range payers {
		c.payers = append(c.payers, c.newKey())
	}
	loot, _ := new(big.Int).SetString(Loot, 10)
	for range s.Thieves {
		k := c.newKey()
		k.wei = loot
		c.hands = append(c.hands, k)
	}
	return c
}

func (c *Chain) newKey() *key {
	for {
		c.fresh++
		seed := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte("spoor bench "), c.shape.Seed), c.fresh)
		if secret, err := crypto.ToECDSA(crypto.Keccak256(seed)); err == nil { // one in 2^128 is no key
			return &key{secret: secret, address: crypto.PubkeyToAddress(secret.PublicKey)}
		}
	}
}

// Thief is the account that has the loot of thief i now.
func (c *Chain) Thief(i int) flow.Account { return flow.EVMAccount(flow.Ethereum, c.hands[i].address) }

// Has is how much thief i has now, in wei.
func (c *Chain) Has(i int) string { return c.hands[i].wei.String() }

// Stranger is account i of ordinary traffic, which takes and never gives.
func Stranger(i int) flow.Account { return flow.EVMAccount(flow.Ethereum, stranger(uint64(i))) }

func stranger(i uint64) (a common.Address) {
	h := crypto.Keccak256(binary.BigEndian.AppendUint64([]byte("stranger"), i))
	copy(a[:], h)
	return a
}

// Begin is the blocks with which the chain begins: those in which the thieves get their loot, between two empty ones.
func (c *Chain) Begin() []*Block {
	all := []*Block{c.seal(nil, nil)}
	for n := 0; n < len(c.hands); n += c.shape.Txs {
		var txs []made
		for _, k := range c.hands[n:min(n+c.shape.Txs, len(c.hands))] {
			txs = append(txs, c.pay(c.payers[0], k.address, k.wei))
		}
		all = append(all, c.seal(txs, nil))
	}
	return append(all, c.seal(nil, nil))
}

// Next is the next block: ordinary traffic, one hop of each of these thieves, and hops that Back kept.
func (c *Chain) Next(thieves ...int) *Block {
	n := c.shape.Txs
	hops := c.again
	c.again = nil
	for _, h := range hops {
		c.hands[h.thief] = h.to
	}
	for _, thief := range thieves {
		h := c.hop(thief)
		c.hands[thief] = h.to
		hops = append(hops, h)
	}
	txs := make([]made, 0, n)
	for _, h := range hops {
		txs = append(txs, made{tx: h.tx, from: h.from.address, gas: 21000, calls: []call{{from: h.from.address, to: h.to.address, value: h.tx.Value()}}})
	}
	for len(txs) < n {
		txs = append(txs, c.traffic())
	}
	c.rng.Shuffle(len(txs), func(i, j int) {
		if i >= len(hops) && j >= len(hops) { // hops of one thief stay in order
			txs[i], txs[j] = txs[j], txs[i]
		}
	})
	return c.seal(txs, hops)
}

// Back takes the newest n blocks back. With keep their hops come again, the same transactions, in the next block; without
// it they never happened.
func (c *Chain) Back(n int, keep bool) {
	for range min(n, len(c.past)) {
		p := c.past[len(c.past)-1]
		c.past = c.past[:len(c.past)-1]
		for i := len(p.hops) - 1; i >= 0; i-- {
			c.hands[p.hops[i].thief] = p.hops[i].from
		}
		c.last = p.below
		if keep {
			c.again = append(append([]*hop{}, p.hops...), c.again...)
		}
	}
}

// hop moves all that a thief has to a new account.
func (c *Chain) hop(thief int) *hop {
	from, to := c.hands[thief], c.newKey()
	fee := big.NewInt(21000 * 2 * gwei)
	to.wei = new(big.Int).Sub(from.wei, fee)
	m := c.pay(from, to.address, to.wei)
	return &hop{thief, from, to, m.tx}
}

// made is a transaction with what became of it.
type made struct {
	tx    *types.Transaction
	from  common.Address
	gas   uint64 // used
	logs  []*types.Log
	calls []call
}

// A call is one flat trace.
type call struct {
	path     []int
	from, to common.Address
	value    *big.Int
	kind     string // call if empty
	input    []byte
}

func (c *Chain) sign(from *key, to common.Address, value *big.Int, gas uint64, data []byte) *types.Transaction {
	tx, err := types.SignNewTx(from.secret, c.signer, &types.DynamicFeeTx{
		ChainID: big.NewInt(1), Nonce: from.nonce, GasTipCap: big.NewInt(gwei), GasFeeCap: big.NewInt(3 * gwei), Gas: gas, To: &to, Value: value, Data: data,
	})
	if err != nil {
		panic("evmnode: " + err.Error()) // of our own key
	}
	from.nonce++
	return tx
}

func (c *Chain) pay(from *key, to common.Address, wei *big.Int) made {
	tx := c.sign(from, to, wei, 21000, nil)
	return made{tx: tx, from: from.address, gas: 21000, calls: []call{{from: from.address, to: to, value: wei}}}
}

var ( // facts of mainnet: the contracts of USDC, USDT, WETH and a router, and the signatures of their events
	tokens   = []common.Address{common.HexToAddress("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"), common.HexToAddress("0xdAC17F958D2ee523a2206206994597C13D831ec7"), common.HexToAddress("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")}
	router   = common.HexToAddress("0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D")
	transfer = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
	synced   = crypto.Keccak256Hash([]byte("Sync(uint112,uint112)"))
	swapped  = crypto.Keccak256Hash([]byte("Swap(address,uint256,uint256,uint256,uint256,address)"))
	paid     = crypto.Keccak256([]byte("transfer(address,uint256)"))[:4]
	traded   = crypto.Keccak256([]byte("swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"))[:4]
)

// traffic is one transaction of somebody.
func (c *Chain) traffic() made {
	from, to := c.payers[c.rng.IntN(len(c.payers))], stranger(c.rng.Uint64N(users))
	switch v := 1 + c.rng.Uint64N(1_000_000_000); c.rng.IntN(5) {
	case 0, 1:
		return c.pay(from, to, new(big.Int).Mul(big.NewInt(int64(v)), big.NewInt(gwei)))
	case 2, 3:
		token := tokens[c.rng.IntN(len(tokens))]
		data := append(append(append([]byte{}, paid...), word(to.Bytes())...), word(big.NewInt(int64(v)).Bytes())...)
		tx := c.sign(from, token, new(big.Int), 65_000, data)
		return made{tx: tx, from: from.address, gas: 48_561, logs: []*types.Log{moved(token, from.address, to, v)}, calls: []call{
			{from: from.address, to: token, value: new(big.Int), input: data},
			{path: []int{0}, from: token, to: stranger(7), kind: "delegatecall", value: new(big.Int), input: data},
		}}
	default:
		pool, next := stranger(1_000_000+c.rng.Uint64N(50)), stranger(1_000_000+c.rng.Uint64N(50))
		data := append([]byte{}, traded...)
		for range 8 {
			data = append(data, word(stranger(c.rng.Uint64N(9)).Bytes())...)
		}
		tx := c.sign(from, router, new(big.Int), 250_000, data)
		m := made{tx: tx, from: from.address, gas: 181_234, calls: []call{{from: from.address, to: router, value: new(big.Int), input: data}}}
		m.logs = []*types.Log{moved(tokens[0], from.address, pool, v), moved(tokens[2], pool, next, 3*v), noted(pool, synced, 2), noted(pool, swapped, 4), moved(tokens[1], next, from.address, v+1)}
		for i := range 5 {
			m.calls = append(m.calls, call{path: []int{i}, from: router, to: pool, value: new(big.Int), input: data[:68]})
		}
		if v%3 == 0 {
			m.calls = append(m.calls, call{path: []int{5}, from: router, to: stranger(v % users), value: big.NewInt(int64(v))})
		}
		return m
	}
}

func word(b []byte) []byte { return common.LeftPadBytes(b, 32) }

func moved(token, from, to common.Address, v uint64) *types.Log {
	return &types.Log{Address: token, Topics: []common.Hash{transfer, common.BytesToHash(from.Bytes()), common.BytesToHash(to.Bytes())}, Data: word(big.NewInt(int64(v)).Bytes())}
}

func noted(by common.Address, topic common.Hash, words int) *types.Log {
	return &types.Log{Address: by, Topics: []common.Hash{topic}, Data: make([]byte, 32*words)}
}

// seal puts transactions into the next block.
func (c *Chain) seal(txs []made, hops []*hop) *Block {
	empty := common.Hash{}
	h := &types.Header{UncleHash: types.EmptyUncleHash, Root: types.EmptyRootHash, Difficulty: new(big.Int), Number: new(big.Int), GasLimit: 36_000_000, Time: first,
		BaseFee: big.NewInt(gwei), WithdrawalsHash: &types.EmptyWithdrawalsHash, BlobGasUsed: new(uint64), ExcessBlobGas: new(uint64), ParentBeaconRoot: &empty, RequestsHash: &types.EmptyRequestsHash,
		Coinbase: stranger(42)}
	if c.last != nil {
		h.ParentHash, h.Time = c.last.Hash(), c.last.Time+12
		h.Number.Add(c.last.Number, big.NewInt(1))
	}
	binary.BigEndian.PutUint64(h.MixDigest[:], c.rng.Uint64()) // branches differ
	list, receipts := make(types.Transactions, len(txs)), make(types.Receipts, len(txs))
	index := uint(0)
	for i, m := range txs {
		h.GasUsed += m.gas
		list[i] = m.tx
		receipts[i] = &types.Receipt{Type: m.tx.Type(), Status: 1, CumulativeGasUsed: h.GasUsed, Logs: m.logs}
		for _, l := range m.logs {
			l.Index = index
			index++
		}
		receipts[i].Bloom = types.CreateBloom(receipts[i])
	}
	h.TxHash = types.DeriveSha(list, trie.NewStackTrie(nil))
	h.ReceiptHash = types.DeriveSha(receipts, trie.NewStackTrie(nil))
	h.Bloom = types.MergeBloom(receipts)
	if c.past = append(c.past, past{c.last, hops}); len(c.past) > mostOff {
		c.past = append(c.past[:0], c.past[len(c.past)-mostOff/2:]...)
	}
	c.last = h
	b := &Block{Point: flow.Point{Chain: flow.Ethereum, Height: h.Number.Uint64(), Hash: flow.Hash(h.Hash()), Time: int64(h.Time)}, Parent: flow.Hash(h.ParentHash)}
	for _, hop := range hops {
		b.Hops = append(b.Hops, Hop{hop.thief, flow.Hash(hop.tx.Hash())})
	}
	b.tell(h, txs, receipts)
	return b
}
