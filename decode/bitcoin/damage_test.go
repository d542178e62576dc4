package bitcoin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

// A draft is a block that a test makes; seal gives it its roots.
type draft struct{ wire.MsgBlock }

// newDraft is a block of a coinbase and three transactions, the second of them with witnesses.
func newDraft(height int64) *draft {
	d := &draft{wire.MsgBlock{Header: wire.BlockHeader{Version: 2, Timestamp: time.Unix(1_600_000_000, 0), Bits: 0x207fffff}}}
	script, err := txscript.NewScriptBuilder().AddInt64(height).AddData([]byte("made")).Script()
	if err != nil {
		panic(err)
	}
	d.add(wire.NewOutPoint(&chainhash.Hash{}, 1<<32-1), script, 50_0000_0000)
	for i := range uint32(3) {
		d.add(wire.NewOutPoint(&chainhash.Hash{byte(i + 1)}, i), []byte{1, byte(i)}, int64(i)*1000) // the first pays nothing
	}
	d.Transactions[2].TxIn[0].Witness = wire.TxWitness{[]byte("signature"), nil, []byte("key")}
	return d
}

func (d *draft) add(o *wire.OutPoint, script []byte, pays int64) {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(o, script, nil))
	tx.AddTxOut(wire.NewTxOut(pays, []byte{txscript.OP_TRUE}))
	d.Transactions = append(d.Transactions, tx)
}

// commit adds the output that commits to the witnesses.
func (d *draft) commit() *draft {
	coinbase := d.Transactions[0]
	coinbase.TxIn[0].Witness = wire.TxWitness{make([]byte, 32)}
	leaves := []chainhash.Hash{{}}
	for _, tx := range d.Transactions[1:] {
		leaves = append(leaves, chainhash.Hash(tx.WitnessHash()))
	}
	root := slowRoot(leaves)
	sum := chainhash.DoubleHashH(append(root[:], coinbase.TxIn[0].Witness[0]...))
	coinbase.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed}, make([]byte, 32)...))) // not the last: does not count
	coinbase.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed}, sum[:]...)))
	return d
}

// seal writes the block with the right merkle root.
func (d *draft) seal() []byte {
	var leaves []chainhash.Hash
	for _, tx := range d.Transactions {
		leaves = append(leaves, chainhash.Hash(tx.TxHash()))
	}
	d.Header.MerkleRoot = chainhash.Hash(slowRoot(leaves))
	var b bytes.Buffer
	if err := d.Serialize(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// slowRoot is the merkle root by its definition.
func slowRoot(leaves []chainhash.Hash) chainhash.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	if len(leaves)%2 == 1 {
		leaves = append(slices.Clone(leaves), leaves[len(leaves)-1])
	}
	var up []chainhash.Hash
	for i := 0; i < len(leaves); i += 2 {
		up = append(up, chainhash.DoubleHashH(slices.Concat(leaves[i][:], leaves[i+1][:])))
	}
	return slowRoot(up)
}

func TestMerkleRoot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(rt, "leaves")
		leaves := make([]chainhash.Hash, n)
		for i := range leaves {
			leaves[i] = chainhash.DoubleHashH(binary.AppendUvarint(nil, uint64(i)))
		}
		root, mutated := merkleRoot(leaves)
		if root != slowRoot(leaves) || mutated {
			rt.Fatalf("%d leaves: %x, %v; want %x", n, root, mutated, slowRoot(leaves))
		}
		// Repeating the end that a level with an odd number pairs with itself keeps the root, and must be seen.
		for size := 1; size <= n; size *= 2 {
			if n%size == 0 && n/size%2 == 1 && n > size {
				again, mutated := merkleRoot(slices.Concat(leaves, leaves[n-size:]))
				if again != root || !mutated {
					rt.Fatalf("%d leaves and the last %d again: %x, %v; want %x, true", n, size, again, mutated, root)
				}
			}
		}
	})
}

func TestCoverage(t *testing.T) {
	const always = flow.SawFees | flow.SawRewards | flow.ProvedHash | flow.ProvedTxs
	stripped := newDraft(7).commit()
	for _, tx := range stripped.Transactions {
		tx.TxIn[0].Witness = nil
	}
	plain := newDraft(7)
	plain.Transactions[2].TxIn[0].Witness = nil
	for _, tt := range []struct {
		name string
		raw  []byte
		want flow.Coverage
	}{
		{"witnesses", newDraft(7).commit().seal(), always | flow.ProvedWitness},
		{"commitment-without-witnesses", stripped.seal(), always},
		{"no-witnesses", plain.seal(), always},
	} {
		b, err := New(flow.BitcoinSignet).Decode(flow.Point{Height: 7}, flow.Hash{}, tt.raw)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if b.Coverage != tt.want || len(b.Notes) != 0 {
			t.Errorf("%s: %v, %v; want %v", tt.name, b.Coverage.Names(), b.Notes, tt.want.Names())
		}
		sameAsWire(t, b, tt.raw)
		if m := b.Txs[1].Movements[0]; len(m.Out) != 1 || !m.Out[0].Amount.IsZero() {
			t.Errorf("%s: an output of nothing became %v", tt.name, m.Out)
		}
	}
}

func TestRefused(t *testing.T) {
	twice := wire.NewOutPoint(&chainhash.Hash{9}, 0)
	good := newDraft(7).commit().seal()
	for _, tt := range []struct {
		name string
		make func() []byte
		at   flow.Point
		want error
		says string
	}{
		{"merkle-root", func() []byte { b := slices.Clone(good); b[40] ^= 1; return b }, flow.Point{}, ErrRoot, "merkle root: the header says"},
		{"repeated-transactions", func() []byte {
			d := newDraft(7)
			d.Transactions = d.Transactions[:3]
			d.Transactions[2].TxIn[0].Witness = nil
			d.seal()
			d.Transactions = append(d.Transactions, d.Transactions[2]) // the header stays
			var b bytes.Buffer
			if err := d.Serialize(&b); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}, flow.Point{}, ErrRoot, "CVE-2012-2459"},
		{"witness", func() []byte {
			d := newDraft(7).commit()
			d.Transactions[2].TxIn[0].Witness[0] = []byte("signaturf")
			return d.seal()
		}, flow.Point{}, ErrRoot, "witness commitment: the coinbase says"},
		{"no-commitment", func() []byte { return newDraft(7).seal() }, flow.Point{}, ErrRoot, "does not commit"},
		{"no-reserved-value", func() []byte {
			d := newDraft(7).commit()
			d.Transactions[0].TxIn[0].Witness = nil
			return d.seal()
		}, flow.Point{}, ErrRoot, "reserved value"},
		{"two-reserved-values", func() []byte {
			d := newDraft(7).commit()
			d.Transactions[0].TxIn[0].Witness = wire.TxWitness{make([]byte, 32), make([]byte, 32)}
			return d.seal()
		}, flow.Point{}, ErrRoot, "reserved value"},
		{"hash", func() []byte { return good }, flow.Point{Height: 7, Hash: flow.Hash{1}}, ErrRoot, "hashes to"},
		{"time", func() []byte { return good }, flow.Point{Height: 7, Time: 1}, ErrRoot, "time"},
		{"height", func() []byte { return good }, flow.Point{Height: 8}, ErrRoot, "the coinbase says 7"},
		{"chain", func() []byte { return good }, flow.Point{Chain: flow.Bitcoin, Height: 7}, ErrRoot, "of chain"},
		{"trailing-byte", func() []byte { return append(slices.Clone(good), 0) }, flow.Point{}, ErrForm, "1 bytes after the last transaction"},
		{"empty", func() []byte { return nil }, flow.Point{}, ErrForm, "0 bytes"},
		{"header-only", func() []byte { return good[:80] }, flow.Point{}, ErrForm, "byte 80"},
		{"no-transactions", func() []byte { return append(slices.Clone(good[:80]), 0) }, flow.Point{}, ErrForm, "no transactions"},
		{"hostile-count", func() []byte {
			return append(slices.Clone(good[:80]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		}, flow.Point{}, ErrForm, "byte 80: 18446744073709551615 do not fit"},
		{"long-count", func() []byte { return slices.Concat(good[:80], []byte{0xfd, 4, 0}, good[81:]) }, flow.Point{}, ErrForm, "byte 80: ReadVarInt: non-canonical"},
		{"too-large", func() []byte { return append(slices.Clone(good), make([]byte, maxBlock)...) }, flow.Point{}, ErrForm, "at most 4000000"},
		{"no-coinbase", func() []byte {
			d := newDraft(7)
			d.Transactions = d.Transactions[1:2]
			return d.seal()
		}, flow.Point{}, ErrForm, "is no coinbase"},
		{"two-coinbases", func() []byte {
			d := newDraft(7)
			d.add(wire.NewOutPoint(&chainhash.Hash{}, 1<<32-1), []byte{1, 2}, 0)
			return d.seal()
		}, flow.Point{}, ErrForm, "only the coinbase may"},
		{"spent-twice", func() []byte {
			d := newDraft(7)
			d.Transactions[1].AddTxIn(wire.NewTxIn(twice, nil, nil))
			d.Transactions[1].AddTxIn(wire.NewTxIn(twice, nil, nil))
			return d.seal()
		}, flow.Point{}, ErrForm, "a second time"},
		{"spent-twice-among-many", func() []byte {
			d := newDraft(7)
			for i := range uint32(40) {
				d.Transactions[1].AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{9}, i%39), nil, nil))
			}
			return d.seal()
		}, flow.Point{}, ErrForm, "a second time"},
		{"no-outputs", func() []byte {
			d := newDraft(7)
			d.Transactions[3].TxOut = nil
			return d.seal()
		}, flow.Point{}, ErrForm, "no outputs"},
		{"negative", func() []byte { d := newDraft(7); d.Transactions[3].TxOut[0].Value = -1; return d.seal() }, flow.Point{}, ErrForm, "more than all there is"},
		{"more-than-all", func() []byte { d := newDraft(7); d.Transactions[3].TxOut[0].Value = maxMoney + 1; return d.seal() }, flow.Point{}, ErrForm, "more than all there is"},
		{"more-than-all-together", func() []byte {
			d := newDraft(7)
			d.Transactions[3].AddTxOut(wire.NewTxOut(maxMoney, nil))
			return d.seal()
		}, flow.Point{}, ErrForm, "more than all there is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := New(flow.BitcoinSignet).Decode(tt.at, flow.Hash{}, tt.make())
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v; want %v: …%s…", err, tt.want, tt.says)
			}
			if b.Txs != nil {
				t.Errorf("%d transactions came with the error", len(b.Txs))
			}
		})
	}
	if _, err := New(flow.BitcoinSignet).Decode(flow.Point{}, flow.Hash{1}, good); !errors.Is(err, ErrRoot) || !strings.Contains(err.Error(), "parent") {
		t.Errorf("another parent: %v; want ErrRoot", err)
	}
	// The form with witnesses needs one: without, the same transaction would have two serialisations.
	d := newDraft(7)
	d.Transactions[2].TxIn[0].Witness = nil
	raw := d.seal()
	tx := d.Transactions[2]
	var form bytes.Buffer
	if err := tx.Serialize(&form); err != nil {
		t.Fatal(err)
	}
	old := form.Bytes()
	odd := slices.Concat(old[:4], []byte{0, 1}, old[4:len(old)-4], []byte{0}, old[len(old)-4:])
	if _, err := New(flow.BitcoinSignet).Decode(flow.Point{}, flow.Hash{}, bytes.Replace(raw, old, odd, 1)); !errors.Is(err, ErrForm) || !strings.Contains(err.Error(), "no witnesses") {
		t.Errorf("empty witnesses: %v; want ErrForm", err)
	}
}

// Cut anywhere a block is refused, and the error names where it ends.
func TestCutAtEveryByte(t *testing.T) {
	raw := newDraft(7).commit().seal()
	d := New(flow.BitcoinSignet)
	for cut := range raw {
		_, err := d.Decode(flow.Point{Height: 7}, flow.Hash{}, raw[:cut])
		if !errors.Is(err, ErrForm) {
			t.Fatalf("cut at %d: %v; want ErrForm", cut, err)
		}
		if cut >= headerSize && !strings.Contains(err.Error(), "byte ") {
			t.Errorf("cut at %d: %v names no place", cut, err)
		}
	}
}

// No single bit can be wrong without being seen, except in the header, whose hash then is another.
func TestEveryBitIsProved(t *testing.T) {
	raw := newDraft(7).commit().seal()
	d := New(flow.BitcoinSignet)
	at := flow.Point{Height: 7, Hash: printed(chainhash.DoubleHashH(raw[:headerSize]))}
	for i := range raw {
		for bit := range 8 {
			broken := slices.Clone(raw)
			broken[i] ^= 1 << bit
			if _, err := d.Decode(at, flow.Hash{}, broken); !errors.Is(err, ErrForm) && !errors.Is(err, ErrRoot) {
				t.Fatalf("bit %d of byte %d is wrong: %v", bit, i, err)
			}
		}
	}
}

func TestHeightIsHeldAgainstTheCoinbase(t *testing.T) {
	raw := sharedFile(t, "block481815.dat")
	for _, height := range []uint64{481814, 481816, 227931} {
		if _, err := New(flow.Bitcoin).Decode(bitcoinAt(height), flow.Hash{}, raw); !errors.Is(err, ErrRoot) || !strings.Contains(err.Error(), "481815") {
			t.Errorf("block 481815 as %d: %v; want ErrRoot", height, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(newDraft(7).commit().seal())
	f.Add(newDraft(300).seal())
	n := 0
	for _, raw := range frames(f, sample(f)) {
		if n++; n > 171 {
			f.Add(raw)
		}
	}
	d := New(flow.Bitcoin)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := d.Decode(flow.Point{}, flow.Hash{}, raw); err != nil && !errors.Is(err, ErrForm) && !errors.Is(err, ErrRoot) {
			t.Fatalf("an error of no kind: %v", err)
		}
		// The roots keep the fuzzer out, so that the reading is compared without them.
		if len(raw) < headerSize {
			return
		}
		p := parser{chain: flow.Bitcoin, raw: raw}
		if p.parse() != nil {
			return
		}
		var prev chainhash.Hash
		copy(prev[:], raw[4:])
		sameAsWire(t, flow.Block{Point: flow.Point{Hash: printed(chainhash.DoubleHashH(raw[:headerSize]))}, Parent: printed(prev), Txs: p.txs}, raw)
	})
}
