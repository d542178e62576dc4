package bitcoin

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// regtestMagic begins the frames of the blocks that the tests make.
var regtestMagic = []byte{0xfa, 0xbf, 0xb5, 0xda}

// A made is a block that a test made.
type made struct {
	height uint64
	hash   chainhash.Hash
	raw    []byte
}

func (m made) point() flow.Point {
	return flow.Point{Chain: flow.BitcoinRegtest, Height: m.height, Hash: printed(m.hash)}
}

func genesis(t testing.TB) made {
	t.Helper()
	return finish(t, 0, chaincfg.RegressionNetParams.GenesisBlock)
}

func finish(t testing.TB, height uint64, b *wire.MsgBlock) made {
	t.Helper()
	var buf bytes.Buffer
	if err := b.Serialize(&buf); err != nil {
		t.Fatal(err)
	}
	return made{height, b.BlockHash(), buf.Bytes()}
}

// on makes a regtest block on top of another: one coinbase that says its height and a word which tells branches apart.
func on(t testing.TB, parent made, word string) made {
	t.Helper()
	return onVersion(t, parent, word, 2)
}

func onVersion(t testing.TB, parent made, word string, version int32) made {
	t.Helper()
	height := parent.height + 1
	script, err := txscript.NewScriptBuilder().AddInt64(int64(height)).AddData([]byte(word + "...")).Script()
	if err != nil {
		t.Fatal(err)
	}
	coinbase := wire.NewMsgTx(1)
	coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, 1<<32-1), script, nil))
	coinbase.AddTxOut(wire.NewTxOut(50_0000_0000, []byte{txscript.OP_TRUE}))
	b := wire.NewMsgBlock(&wire.BlockHeader{
		Version:    version,
		PrevBlock:  parent.hash,
		MerkleRoot: coinbase.TxHash(),
		Timestamp:  time.Unix(1_400_000_000+int64(height)*600, 0),
		Bits:       0x207fffff,
	})
	if err := b.AddTransaction(coinbase); err != nil {
		t.Fatal(err)
	}
	for !hasWork(b.BlockHash()) {
		b.Header.Nonce++
	}
	return finish(t, height, b)
}

func hasWork(h chainhash.Hash) bool {
	p := printed(h)
	return new(big.Int).SetBytes(p[:]).Cmp(chaincfg.RegressionNetParams.PowLimit) <= 0
}

// grow makes n blocks on top of each other, and starts with the one that they stand on.
func grow(t testing.TB, from made, n int, word string) []made {
	t.Helper()
	list := []made{from}
	for range n {
		list = append(list, on(t, list[len(list)-1], word))
	}
	return list
}

func frame(blocks ...made) []byte {
	var b []byte
	for _, m := range blocks {
		b = append(b, regtestMagic...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(m.raw)))
		b = append(b, m.raw...)
	}
	return b
}

func write(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpen(t testing.TB, cfg Config, paths ...string) *Source {
	t.Helper()
	s, err := Open(paths, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A reader plays the part of a store: it holds a chain and refuses what cannot go on it.
type reader struct {
	points []flow.Point
	raws   [][]byte
	finals []uint64
	undone int
}

// known is the reader's blocks, newest first.
func (r *reader) known() []flow.Point {
	var list []flow.Point
	for i := len(r.points) - 1; i >= 0; i-- {
		list = append(list, r.points[i])
	}
	return list
}

// follow takes all steps of the source and returns the error that they end with.
func (r *reader) follow(t testing.TB, s *Source) error {
	t.Helper()
	for step, err := range s.Steps(t.Context(), r.known()) {
		if err != nil {
			return err
		}
		r.take(t, step)
	}
	return nil
}

func (r *reader) take(t testing.TB, step source.Step) {
	t.Helper()
	p := step.Block.Point
	top := len(r.points) - 1
	switch step.Op {
	case source.Add:
		if top >= 0 && p.Height <= r.points[top].Height {
			t.Fatalf("%v is added on %v", p, r.points[top])
		}
		if top >= 0 && p.Height == r.points[top].Height+1 && step.Block.Parent != r.points[top].Hash {
			t.Fatalf("%v is added on %v, which is not its parent", p, r.points[top])
		}
		r.points = append(r.points, p)
		r.raws = append(r.raws, step.Block.Raw)
	case source.Undo:
		if top < 0 || p.Hash != r.points[top].Hash || len(step.Block.Raw) > 0 {
			t.Fatalf("%v is undone; the top is %v", p, r.points[top])
		}
		r.points, r.raws = r.points[:top], r.raws[:top]
		r.undone++
		if len(r.finals) > 0 && r.finals[len(r.finals)-1] >= p.Height {
			t.Fatalf("%v is undone and was final", p)
		}
	case source.Final:
		if top < 0 || p.Height > r.points[top].Height {
			t.Fatalf("%v is final; the top is %d blocks", p, top+1)
		}
		r.finals = append(r.finals, p.Height)
	default:
		t.Fatalf("step %d", step.Op)
	}
}

// holds checks that the reader holds exactly these blocks.
func (r *reader) holds(t testing.TB, want []made) {
	t.Helper()
	if len(r.points) != len(want) {
		t.Fatalf("%d blocks; want %d", len(r.points), len(want))
	}
	for i, w := range want {
		if p := r.points[i]; p.Height != w.height || p.Hash != printed(w.hash) || p.Chain != flow.BitcoinRegtest {
			t.Fatalf("block %d is %v; want %v", i, p, w.point())
		}
		if r.raws[i] != nil && !bytes.Equal(r.raws[i], w.raw) {
			t.Fatalf("block %d has %d bytes, not those that were written", i, len(r.raws[i]))
		}
	}
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
