// Package bitcoin decodes raw Bitcoin blocks, and recomputes their hash, merkle root and witness commitment.
package bitcoin

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"

	"github.com/spoor-dev/spoor/flow"
)

var (
	// ErrForm is returned for bytes which are not exactly one block: cut short, too long, or against the form.
	ErrForm = errors.New("not a Bitcoin block")
	// ErrRoot is returned for a block which has the form of one but not the hash, parent, time, height, merkle root or
	// witness commitment that it should have.
	ErrRoot = errors.New("the block does not verify")
)

const (
	headerSize = 80
	// maxBlock is the most bytes that a block can have: the weight limit of BIP 141, all of it witness.
	maxBlock = 4_000_000
	// maxMoney is all the satoshi that there can ever be; no output and no sum of outputs is above it.
	maxMoney = 21_000_000 * 100_000_000
)

// A Decoder decodes the blocks of one Bitcoin network. It holds no state.
type Decoder struct {
	chain flow.Chain
	bip34 uint64 // from this height on a coinbase must begin with its height; 0 where nothing demands it
}

// New is the decoder for the blocks of a Bitcoin network. It panics on a chain that is not a UTXO chain.
func New(c flow.Chain) *Decoder {
	if !c.IsUTXO() {
		panic("decode/bitcoin: New of " + c.String())
	}
	d := &Decoder{chain: c}
	switch c { // heights from BIP 90 and the networks' own rules; regtest has had several
	case flow.Bitcoin:
		d.bip34 = 227_931
	case flow.BitcoinTestnet3:
		d.bip34 = 21_111
	case flow.BitcoinTestnet4, flow.BitcoinSignet:
		d.bip34 = 1
	}
	return d
}

// Decode reads one serialised block: header, number of transactions, transactions, and not a byte more. Each
// transaction becomes one movement: a Transfer with its inputs in vin order (the outpoint in Spent, the leg empty) and
// its outputs in vout order, so that the position of an Out leg is its output index; the coinbase a Reward without In
// legs. The fee of a transaction is what its In legs hold more than its Out legs once they are filled.
//
// The block hash and the merkle root always agree in a block that is returned; the witness commitment does where
// Coverage has ProvedWitness, which is where the block holds a commitment and the witnesses to it. Errors wrap ErrForm,
// with the byte offset, or ErrRoot, and name the block.
func (d *Decoder) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	b, err := d.decode(at, parent, raw)
	if err != nil {
		at.Chain = d.chain
		if at.Hash.IsZero() && len(raw) >= headerSize {
			at.Hash = printed(chainhash.DoubleHashH(raw[:headerSize]))
		}
		return flow.Block{}, fmt.Errorf("%s: %w", at, err)
	}
	return b, nil
}

func (d *Decoder) decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	if len(raw) < headerSize {
		return flow.Block{}, fmt.Errorf("%w: %d bytes, and the header alone has %d", ErrForm, len(raw), headerSize)
	}
	if len(raw) > maxBlock {
		return flow.Block{}, fmt.Errorf("%w: %d bytes, and a block has at most %d", ErrForm, len(raw), maxBlock)
	}
	if !at.Chain.IsZero() && at.Chain != d.chain {
		return flow.Block{}, fmt.Errorf("%w: it is of chain %s", ErrRoot, at.Chain)
	}
	point := flow.Point{
		Chain:  d.chain,
		Height: at.Height,
		Hash:   printed(chainhash.DoubleHashH(raw[:headerSize])),
		Time:   int64(binary.LittleEndian.Uint32(raw[68:])),
	}
	var prev, root chainhash.Hash
	copy(prev[:], raw[4:])
	copy(root[:], raw[36:])
	switch {
	case !at.Hash.IsZero() && at.Hash != point.Hash:
		return flow.Block{}, fmt.Errorf("%w: the header hashes to %s", ErrRoot, point.Hash)
	case at.Time != 0 && at.Time != point.Time:
		return flow.Block{}, fmt.Errorf("%w: the header says time %d, the source %d", ErrRoot, point.Time, at.Time)
	case !parent.IsZero() && parent != printed(prev):
		return flow.Block{}, fmt.Errorf("%w: the header names the parent %s, the source %s", ErrRoot, printed(prev), parent)
	}
	p := parser{chain: d.chain, point: point, raw: raw}
	if err := p.parse(); err != nil {
		return flow.Block{}, err
	}
	if err := d.checkHeight(at.Height, p.coinbaseScript); err != nil {
		return flow.Block{}, err
	}
	got, mutated := merkleRoot(p.txids)
	switch {
	case mutated:
		return flow.Block{}, fmt.Errorf("%w: merkle root: transactions are repeated (CVE-2012-2459)", ErrRoot)
	case got != root:
		return flow.Block{}, fmt.Errorf("%w: merkle root: the header says %s, the transactions make %s", ErrRoot, printed(root), printed(got))
	}
	coverage := flow.SawFees | flow.SawRewards | flow.ProvedHash | flow.ProvedTxs
	proved, err := p.proveWitness()
	if err != nil {
		return flow.Block{}, err
	}
	if proved {
		coverage |= flow.ProvedWitness
	}
	return flow.Block{Point: point, Parent: printed(prev), Coverage: coverage, Txs: p.txs}, nil
}

// checkHeight compares the height with the one that the coinbase begins with, where BIP 34 makes it do so.
func (d *Decoder) checkHeight(height uint64, coinbase []byte) error {
	if d.bip34 == 0 || height < d.bip34 {
		return nil
	}
	said, ok := scriptHeight(coinbase)
	if !ok {
		return fmt.Errorf("%w: height: the coinbase does not say it, as it must from block %d on", ErrRoot, d.bip34)
	}
	if said != height {
		return fmt.Errorf("%w: height: the coinbase says %d", ErrRoot, said)
	}
	return nil
}

// scriptHeight is the number that a coinbase script begins with (BIP 34), in its shortest form.
func scriptHeight(script []byte) (uint64, bool) {
	t := txscript.MakeScriptTokenizer(0, script)
	if !t.Next() {
		return 0, false
	}
	if txscript.IsSmallInt(t.Opcode()) {
		return uint64(txscript.AsSmallInt(t.Opcode())), true
	}
	const longest = 5
	n, err := txscript.MakeScriptNum(t.Data(), true, longest)
	if err != nil || len(t.Data()) == 0 || n < 0 {
		return 0, false
	}
	return uint64(n), true
}
