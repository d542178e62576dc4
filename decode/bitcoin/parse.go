package bitcoin

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// The fewest bytes that a part can have; a count which does not fit what is left is refused before anything is
// allocated for it.
const (
	minTx     = 4 + 1 + minInput + 1 + minOutput + 4
	minInput  = 36 + 1 + 4
	minOutput = 8 + 1
)

// A parser walks over one block. It copies nothing from raw but what the transactions hold.
type parser struct {
	chain flow.Chain
	point flow.Point
	raw   []byte
	off   int

	txs            []flow.Tx
	txids, wtxids  []digest
	hasWitness     bool
	coinbaseScript []byte
	commitment     []byte // 32 bytes; nil where the coinbase has none
	reserved       []byte // the only item of the coinbase's witness

	sha hash.Hash
}

// parse reads the number of transactions and the transactions, up to the last byte of the block.
func (p *parser) parse() error {
	n, err := p.count(minTx)
	if err != nil {
		return fmt.Errorf("number of transactions: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("%w: byte %d: no transactions", ErrForm, p.off)
	}
	p.sha = sha256.New()
	p.txs = make([]flow.Tx, n)
	p.txids = make([]digest, n)
	p.wtxids = make([]digest, n)
	movements := make([]flow.Movement, n)
	native := p.chain.Native()
	for i := range n {
		start := p.off
		m := &movements[i]
		m.Asset = native
		if err := p.transaction(i, m); err != nil {
			return fmt.Errorf("transaction %d from byte %d on: %w", i, start, err)
		}
		p.txs[i] = flow.Tx{
			ID:        printed(p.txids[i]),
			Point:     p.point,
			Index:     uint32(i),
			Movements: movements[i : i+1 : i+1],
		}
	}
	if p.off != len(p.raw) {
		return fmt.Errorf("%w: byte %d: %d bytes after the last transaction", ErrForm, p.off, len(p.raw)-p.off)
	}
	return nil
}

// transaction reads the i-th transaction into m and hashes it, with and without its witnesses.
func (p *parser) transaction(i int, m *flow.Movement) error {
	start := p.off
	if _, err := p.take(4); err != nil {
		return err
	}
	segwit := p.off+1 < len(p.raw) && p.raw[p.off] == 0 && p.raw[p.off+1] == 1
	if segwit {
		p.off += 2
	}
	body := p.off
	if err := p.inputs(i, m); err != nil {
		return err
	}
	if err := p.outputs(i, m); err != nil {
		return err
	}
	bodyEnd := p.off
	if segwit {
		if err := p.witnesses(i, max(1, len(m.In))); err != nil {
			return err
		}
	}
	lock, err := p.take(4)
	if err != nil {
		return err
	}
	if !segwit {
		p.txids[i] = doubleHash(p.raw[start:p.off])
		p.wtxids[i] = p.txids[i]
	} else {
		p.sha.Reset()
		p.sha.Write(p.raw[start : start+4])
		p.sha.Write(p.raw[body:bodyEnd])
		p.sha.Write(lock)
		var first digest
		p.sha.Sum(first[:0])
		p.txids[i] = sha256.Sum256(first[:])
		p.wtxids[i] = doubleHash(p.raw[start:p.off])
	}
	if i == 0 {
		p.wtxids[0] = digest{} // it holds the commitment and cannot be under it
	}
	return nil
}

// inputs reads the inputs of the i-th transaction. The coinbase has one that spends nothing, the others none such.
func (p *parser) inputs(i int, m *flow.Movement) error {
	n, err := p.count(minInput)
	if err != nil {
		return fmt.Errorf("number of inputs: %w", err)
	}
	if n == 0 || i == 0 && n != 1 {
		return fmt.Errorf("%w: byte %d: %d inputs", ErrForm, p.off, n)
	}
	m.Kind = flow.Transfer
	if i > 0 {
		m.In = make([]flow.Leg, n)
		m.Spent = make([]flow.Outpoint, n)
	}
	for j := range n {
		at := p.off
		outpoint, err := p.take(36)
		if err != nil {
			return fmt.Errorf("input %d: %w", j, err)
		}
		script, err := p.bytes()
		if err != nil {
			return fmt.Errorf("input %d: script: %w", j, err)
		}
		if _, err := p.take(4); err != nil {
			return fmt.Errorf("input %d: sequence: %w", j, err)
		}
		spent := flow.Outpoint{Tx: printed(digest(outpoint[:32])), Index: binary.LittleEndian.Uint32(outpoint[32:])}
		isNothing := spent == flow.Outpoint{Index: 1<<32 - 1}
		switch {
		case i == 0 && isNothing:
			m.Kind = flow.Reward
			p.coinbaseScript = script
		case i == 0:
			return fmt.Errorf("%w: byte %d: the first transaction spends %s and is no coinbase", ErrForm, at, spent)
		case isNothing:
			return fmt.Errorf("%w: byte %d: input %d spends nothing, which only the coinbase may", ErrForm, at, j)
		default:
			m.Spent[j] = spent
		}
	}
	return p.checkSpentOnce(m.Spent)
}

// checkSpentOnce refuses a transaction that spends an outpoint twice and so makes money (CVE-2018-17144).
func (p *parser) checkSpentOnce(spent []flow.Outpoint) error {
	var seen map[flow.Outpoint]bool
	if len(spent) > 16 {
		seen = make(map[flow.Outpoint]bool, len(spent))
	}
	for j, o := range spent {
		if seen[o] || seen == nil && slices.Contains(spent[:j], o) {
			return fmt.Errorf("%w: before byte %d: input %d spends %s a second time", ErrForm, p.off, j, o)
		}
		if seen != nil {
			seen[o] = true
		}
	}
	return nil
}

func (p *parser) outputs(i int, m *flow.Movement) error {
	n, err := p.count(minOutput)
	if err != nil {
		return fmt.Errorf("number of outputs: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("%w: byte %d: no outputs", ErrForm, p.off)
	}
	m.Out = make([]flow.Leg, n)
	var sum uint64
	for j := range n {
		at := p.off
		raw, err := p.take(8)
		if err != nil {
			return fmt.Errorf("output %d: value: %w", j, err)
		}
		value := binary.LittleEndian.Uint64(raw)
		if value > maxMoney || sum+value > maxMoney {
			return fmt.Errorf("%w: byte %d: output %d: %d satoshi is more than all there is", ErrForm, at, j, max(value, sum+value))
		}
		sum += value
		script, err := p.bytes()
		if err != nil {
			return fmt.Errorf("output %d: script: %w", j, err)
		}
		owner, err := account(p.chain, script)
		if err != nil {
			return fmt.Errorf("output %d: %w", j, err)
		}
		m.Out[j] = flow.Leg{Account: owner, Amount: flow.NewAmount(value)}
		if i == 0 && isCommitment(script) { // the last one counts
			p.commitment = script[len(commitmentMark) : len(commitmentMark)+sha256.Size]
		}
	}
	return nil
}

// witnesses reads one stack of items for each input, which is empty for an input without a witness. A transaction in
// the form with witnesses has at least one.
func (p *parser) witnesses(i, inputs int) error {
	empty := true
	for j := range inputs {
		n, err := p.count(1)
		if err != nil {
			return fmt.Errorf("witness %d: %w", j, err)
		}
		for k := range n {
			item, err := p.bytes()
			if err != nil {
				return fmt.Errorf("witness %d: item %d: %w", j, k, err)
			}
			if i == 0 && n == 1 {
				p.reserved = item
			}
		}
		empty = empty && n == 0
	}
	if empty {
		return fmt.Errorf("%w: byte %d: the form with witnesses, and all are empty", ErrForm, p.off)
	}
	p.hasWitness = true
	return nil
}

// count reads a number of parts of at least smallest bytes each, which the rest of the block must have room for.
func (p *parser) count(smallest int) (int, error) {
	at := p.off
	n, err := p.number()
	if err != nil {
		return 0, err
	}
	if left := len(p.raw) - p.off; n > uint64(left/smallest) {
		return 0, fmt.Errorf("%w: byte %d: %d do not fit the %d bytes left", ErrForm, at, n, left)
	}
	return int(n), nil
}

// number reads a CompactSize, which must stand in its shortest form.
func (p *parser) number() (uint64, error) {
	at := p.off
	first, err := p.take(1)
	if err != nil {
		return 0, err
	}
	var n, least uint64
	switch first[0] {
	case 0xfd:
		b, err := p.take(2)
		if err != nil {
			return 0, err
		}
		n, least = uint64(binary.LittleEndian.Uint16(b)), 0xfd
	case 0xfe:
		b, err := p.take(4)
		if err != nil {
			return 0, err
		}
		n, least = uint64(binary.LittleEndian.Uint32(b)), 1<<16
	case 0xff:
		b, err := p.take(8)
		if err != nil {
			return 0, err
		}
		n, least = binary.LittleEndian.Uint64(b), 1<<32
	default:
		return uint64(first[0]), nil
	}
	if n < least {
		return 0, fmt.Errorf("%w: byte %d: %d is not in its shortest form", ErrForm, at, n)
	}
	return n, nil
}

// bytes reads a length and so many bytes. They are part of raw.
func (p *parser) bytes() ([]byte, error) {
	n, err := p.count(1)
	if err != nil {
		return nil, err
	}
	return p.take(n)
}

// take reads n bytes. They are part of raw.
func (p *parser) take(n int) ([]byte, error) {
	if left := len(p.raw) - p.off; n > left {
		return nil, fmt.Errorf("%w: byte %d: cut short: %d bytes are needed and %d are left", ErrForm, p.off, n, left)
	}
	b := p.raw[p.off : p.off+n]
	p.off += n
	return b, nil
}
