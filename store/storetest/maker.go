package storetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// The chains that a Maker makes blocks for: two of accounts, one of outpoints, one of names.
var (
	Ethereum = flow.Ethereum
	BSC      = flow.EVMChain(56)
	Regtest  = flow.BitcoinRegtest
	Text     = must(flow.TextChain("maker"))
)

// Chains are the chains that a Maker makes blocks for.
func Chains() []flow.Chain { return []flow.Chain{Ethereum, BSC, Regtest, Text} }

// A Maker makes chains of random blocks, each valid on top of the one before, that hold everything that the nouns can
// say: issues and burns, self transfers, many legs, unknown inputs, 256-bit amounts, NFTs, logs, failed transactions, gaps
// in heights and in transaction indices, ids and addresses with equal first bytes. It is its own record of what it made.
type Maker struct {
	pick   func(n int) int
	made   map[flow.Chain][]flow.Block
	serial uint64
}

// NewMaker is a Maker that decides by pick, which returns a number from 0 to n-1.
func NewMaker(pick func(n int) int) *Maker {
	return &Maker{pick: pick, made: map[flow.Chain][]flow.Block{}}
}

// NewSeededMaker is a Maker that decides by a seeded generator.
func NewSeededMaker(seed uint64) *Maker { return NewMaker(rand.New(rand.NewPCG(seed, 1)).IntN) }

// Blocks are the blocks of c that were made and not taken back.
func (m *Maker) Blocks(c flow.Chain) []flow.Block { return slices.Clone(m.made[c]) }

// Next makes a block on top of c and remembers it.
func (m *Maker) Next(c flow.Chain) flow.Block {
	b := m.Propose(c)
	m.Push(b)
	return b
}

// Propose makes a block that would go on top of c, and does not remember it.
func (m *Maker) Propose(c flow.Chain) flow.Block {
	below := m.made[c]
	p := flow.Point{Chain: c, Height: uint64(m.pick(5)), Hash: m.hash(), Time: 1_500_000_000 + int64(m.pick(20))}
	b := flow.Block{Coverage: flow.Coverage(m.pick(1 << 10))}
	if len(below) > 0 {
		tip := below[len(below)-1].Point
		p.Height, p.Time = tip.Height+1, tip.Time+int64(m.pick(30))
		if c == Regtest && m.pick(6) == 0 { // Bitcoin's times may fall
			for _, b := range below {
				p.Time = max(p.Time, b.Point.Time)
			}
			p.Time -= int64(m.pick(7200))
		}
		switch m.pick(6) {
		case 0:
			p.Height += uint64(1 + m.pick(4)) // a hole
			if m.pick(2) == 0 {
				b.Parent = m.hash()
			}
		case 1: // a source that names no parents
		default:
			b.Parent = tip.Hash
		}
	} else if m.pick(2) == 0 {
		b.Parent = m.hash()
	}
	if c != Regtest && m.pick(16) == 0 {
		p.Hash = flow.Hash{}
	}
	b.Point = p
	m.fill(&b)
	if m.pick(4) == 0 {
		b.Notes = append(b.Notes, flow.Note{Kind: flow.NoteKind(1 + m.pick(3)), Where: fmt.Sprintf("row %d", m.pick(1000)),
			Reason: "Not a number.", Raw: "a;\x00\xff;c"[:m.pick(7)]})
	}
	return b
}

// fill gives a block transactions.
func (m *Maker) fill(b *flow.Block) {
	c, p := b.Point.Chain, b.Point
	index := uint32(m.pick(3))
	for range m.pick(4) {
		tx := flow.Tx{ID: m.hash(), Point: p, Index: index}
		if c == Regtest {
			tx.Movements = []flow.Movement{m.coins(*b)}
		} else {
			m.account(c, &tx)
		}
		b.Txs = append(b.Txs, tx)
		index += 1 + uint32(m.pick(3)*m.pick(3))
	}
}

// Missing makes a block for a height that c has not: in a hole, or below its first block. It is linked to its neighbours,
// and an output of it may be what a later block spends. ok is false where there is no such height.
func (m *Maker) Missing(c flow.Chain) (b flow.Block, ok bool) {
	made := m.made[c]
	next := uint64(0) // the height behind the block before
	var at []int      // the blocks with a missing height below them
	for i, b := range made {
		if b.Point.Height > next {
			at = append(at, i)
		}
		next = b.Point.Height + 1
	}
	if len(at) == 0 {
		return b, false
	}
	i := at[m.pick(len(at))]
	above, low := made[i], uint64(0)
	p := flow.Point{Chain: c, Hash: m.hash(), Time: above.Point.Time}
	if i > 0 {
		below := made[i-1].Point
		low = below.Height + 1
		p.Time = min(p.Time, below.Time) + int64(m.pick(int(max(p.Time-below.Time, below.Time-p.Time))+1))
	} else {
		p.Time -= int64(m.pick(20))
	}
	from := uint64(m.pick(int(min(above.Point.Height-low, 1000))))
	if p.Height = low + from; m.pick(2) == 0 {
		p.Height = above.Point.Height - 1 - from
	}
	if i > 0 && p.Height == low && m.pick(4) > 0 {
		b.Parent = made[i-1].Point.Hash
	}
	if p.Height+1 == above.Point.Height && !above.Parent.IsZero() {
		p.Hash = above.Parent
	}
	b.Point = p
	m.fill(&b)
	if c == Regtest && len(b.Txs) > 0 && m.pick(2) == 0 {
		m.spendLater(&b.Txs[0], made[i:])
	}
	return b, true
}

// spendLater gives tx the id of a transaction whose output a later block spends without knowing it.
func (m *Maker) spendLater(tx *flow.Tx, later []flow.Block) {
	for _, b := range later {
		for _, by := range b.Txs {
			for _, v := range by.Movements {
				for k, o := range v.Spent {
					if v.In[k].Account.IsZero() && !m.has(o.Tx) {
						tx.ID = o.Tx
						return
					}
				}
			}
		}
	}
}

// has reports whether a transaction of the UTXO chain has that id.
func (m *Maker) has(id flow.Hash) bool {
	for _, b := range m.made[Regtest] {
		for _, tx := range b.Txs {
			if tx.ID == id {
				return true
			}
		}
	}
	return false
}

// Insert remembers b as a block at its height, which must be missing.
func (m *Maker) Insert(b flow.Block) {
	made := m.made[b.Point.Chain]
	i, _ := slices.BinarySearchFunc(made, b.Point.Height, func(b flow.Block, h uint64) int { return cmp.Compare(b.Point.Height, h) })
	m.made[b.Point.Chain] = slices.Insert(slices.Clone(made), i, b)
}

// Push remembers b as the block on top of its chain.
func (m *Maker) Push(b flow.Block) {
	made := m.made[b.Point.Chain]
	m.made[b.Point.Chain] = append(made[:len(made):len(made)], b)
}

// Pop takes the top block of c back; ok is false where there is none.
func (m *Maker) Pop(c flow.Chain) (p flow.Point, ok bool) {
	made := m.made[c]
	if len(made) == 0 {
		return flow.Point{}, false
	}
	m.made[c] = made[:len(made)-1]
	return made[len(made)-1].Point, true
}

// hash is a hash that was never made before; half of them share their first eight bytes.
func (m *Maker) hash() flow.Hash {
	m.serial++
	h := numbered(m.serial)
	if m.pick(2) == 0 {
		copy(h[:8], "same8888")
	}
	return h
}

func numbered(n uint64) flow.Hash {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
}

// account fills a transaction of an account chain.
func (m *Maker) account(c flow.Chain, tx *flow.Tx) {
	switch m.pick(12) {
	case 0:
		tx.Failed = true
		tx.Movements = []flow.Movement{flow.In1Out1(flow.Fee, c.Native(), 0, m.holder(c), flow.Account{}, m.amount())}
		return
	case 1:
		tx.ID = tx.Point.Hash // the block's own
	case 2:
		tx.ID = flow.Hash{} // a source that names no transactions
	}
	for range m.pick(4) {
		kind := flow.Kind(1 + m.pick(8))
		asset := m.asset(c)
		index := uint32(m.pick(40))
		if m.pick(20) == 0 {
			index = 1<<32 - 1
		}
		from, to := m.holder(c), m.holder(c)
		switch m.pick(8) {
		case 0:
			from = flow.Account{}
		case 1:
			to = flow.Account{}
		case 2:
			to = from
		case 3:
			many := flow.Movement{Kind: kind, Asset: asset, Index: index}
			for range 1 + m.pick(3) {
				many.In = append(many.In, flow.Leg{Account: m.holder(c), Amount: m.amount()})
			}
			for range 1 + m.pick(4) {
				many.Out = append(many.Out, flow.Leg{Account: m.holder(c), Amount: m.amount()})
			}
			tx.Movements = append(tx.Movements, many)
			continue
		}
		tx.Movements = append(tx.Movements, flow.In1Out1(kind, asset, index, from, to, m.amount()))
	}
	if m.pick(3) == 0 {
		m.logs(c, tx)
	}
}

// logs adds events of all sizes: words of small numbers of either sign, of large ones, and data that is not of whole words.
// Some are of a contract that holds nothing.
func (m *Maker) logs(c flow.Chain, tx *flow.Tx) {
	index := uint32(m.pick(40))
	for range 1 + m.pick(3) {
		l := flow.Log{Index: index, Contract: m.holder(c)}
		if m.pick(4) == 0 {
			l.Contract = holder(c, holders+m.pick(2))
		}
		for range m.pick(flow.MaxTopics + 1) {
			l.Topics = append(l.Topics, m.word())
		}
		for range m.pick(4) {
			w := m.word()
			l.Data = append(l.Data, w[:]...)
		}
		switch m.pick(8) {
		case 0:
			l.Data = append(l.Data, "half a word"...)
		case 1:
			l.Data = make([]byte, flow.MaxLogData)
		case 2:
			index = math.MaxUint32
		}
		tx.Logs = append(tx.Logs, l)
		index -= uint32(m.pick(3)) - 1 // in any order
	}
}

// word is 32 bytes as they stand in logs.
func (m *Maker) word() flow.Hash {
	switch m.pick(4) {
	case 0:
		return flow.Hash{}
	case 1:
		return m.hash()
	case 2:
		var h flow.Hash
		for i := range h {
			h[i] = 0xff
		}
		h[31] = byte(m.pick(256))
		return h
	}
	return flow.Hash(m.amount().Bytes())
}

// coins is the movement of a UTXO transaction that comes next in the block b.
func (m *Maker) coins(b flow.Block) flow.Movement {
	v := flow.Movement{Kind: flow.Transfer, Asset: Regtest.Native()}
	made := m.Blocks(Regtest)
	below := slices.IndexFunc(made, func(o flow.Block) bool { return o.Point.Height > b.Point.Height })
	if below < 0 {
		below = len(made)
	}
	free := unspent(append(made[:below:below], b), append(made, b))
	for range m.pick(4) {
		if m.pick(6) == 0 { // an output that no store has seen
			v.In = append(v.In, flow.Leg{})
			v.Spent = append(v.Spent, flow.Outpoint{Tx: m.hash(), Index: uint32(m.pick(3))})
			continue
		}
		if len(free) == 0 {
			continue
		}
		i := m.pick(len(free))
		v.In = append(v.In, free[i].leg)
		v.Spent = append(v.Spent, free[i].at)
		free = slices.Delete(free, i, i+1)
	}
	if len(v.In) == 0 {
		v.Kind = flow.Reward
	}
	for range 1 + m.pick(4) {
		v.Out = append(v.Out, flow.Leg{Account: m.holder(Regtest), Amount: m.amount()})
	}
	return v
}

// A coin is an output.
type coin struct {
	at  flow.Outpoint
	leg flow.Leg
}

// unspent are the outputs of UTXO blocks that no input of others takes, in order.
func unspent(blocks, by []flow.Block) []coin {
	spent := map[flow.Outpoint]bool{}
	for _, b := range by {
		for _, tx := range b.Txs {
			for _, v := range tx.Movements {
				for _, o := range v.Spent {
					spent[o] = true
				}
			}
		}
	}
	var all []coin
	for _, b := range blocks {
		for _, tx := range b.Txs {
			for _, v := range tx.Movements {
				for i, l := range v.Out {
					all = append(all, coin{flow.Outpoint{Tx: tx.ID, Index: uint32(i)}, l})
				}
			}
		}
	}
	return slices.DeleteFunc(all, func(c coin) bool { return spent[c.at] })
}

// amount is nothing, little, much, or almost too much.
func (m *Maker) amount() flow.Amount {
	switch m.pick(8) {
	case 0:
		return flow.Amount{}
	case 1:
		return flow.NewAmount(1)
	case 2:
		return flow.NewAmount(1<<64 - 1)
	case 3:
		return flow.AmountFromWords([4]uint64{0, 1})
	case 4:
		return flow.AmountFromWords([4]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1})
	case 5:
		return flow.AmountFromWords([4]uint64{uint64(m.pick(1000)), uint64(m.pick(1000)), uint64(m.pick(1000)), uint64(m.pick(1000))})
	}
	return flow.NewAmount(uint64(m.pick(1_000_000)))
}

// asset is one of a few assets of an account chain.
func (m *Maker) asset(c flow.Chain) flow.Asset {
	if c == Text {
		return []flow.Asset{c.Native(), must(flow.NamedAsset(c, "ETH")), must(flow.NamedAsset(c, "USDT"))}[m.pick(3)]
	}
	switch contract := m.holder(c); m.pick(6) {
	case 0, 1:
		return c.Native()
	case 2:
		return flow.NFT(contract, flow.NewAmount(uint64(m.pick(3))))
	case 3:
		return flow.MultiToken(contract, flow.AmountFromWords([4]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}))
	default:
		return flow.Token(contract)
	}
}

// holders is how many different accounts a Maker uses on each chain.
const holders = 14

// holder is one of the accounts of c.
func (m *Maker) holder(c flow.Chain) flow.Account { return holder(c, m.pick(holders)) }

// holder is the n-th invented account of c. Some differ in their last bytes only.
func holder(c flow.Chain, n int) flow.Account {
	h := numbered(uint64(1_000_000 + n))
	if n < holders/2 {
		copy(h[:8], "same8888")
	}
	switch {
	case c == Text:
		return must(flow.NewAccount(c, fmt.Sprintf("holder-%d", n)))
	case c != Regtest:
		return must(flow.ParseAccountOn(c, fmt.Sprintf("0x%x", h[:20])))
	}
	switch n % 7 {
	case 0:
		return must(flow.UTXOAccount(c, flow.PayToPubKeyHash, h[:20]))
	case 1:
		return must(flow.UTXOAccount(c, flow.PayToScriptHash, h[:20]))
	case 2:
		return must(flow.UTXOAccount(c, flow.PayToWitness, append([]byte{0}, h[:20]...)))
	case 3:
		return must(flow.UTXOAccount(c, flow.PayToWitness, append([]byte{1}, h[:32]...)))
	case 4:
		return must(flow.UTXOAccount(c, flow.PayToWitness, append([]byte{16}, h[:2]...)))
	case 5:
		return must(flow.UTXOAccount(c, flow.PayToPubKey, h[:20]))
	}
	return must(flow.UTXOAccount(c, flow.PayToScript, h[:]))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("storetest: " + err.Error())
	}
	return v
}
