package bitcoin

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"io"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
)

// sharedFile is a file of the development data, unpacked. The test is skipped by name where the data is absent.
func sharedFile(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(measure.Path(t, "data/onchain/bitcoin-blocks/"+name))
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader
	switch {
	case strings.HasSuffix(name, ".bz2"):
		r = bzip2.NewReader(bytes.NewReader(raw))
	case strings.HasSuffix(name, ".gz"):
		if r, err = gzip.NewReader(bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	default:
		return raw
	}
	if raw, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return raw
}

// sample is the first 200 blocks of the main network, framed.
func sample(t testing.TB) []byte {
	t.Helper()
	packed, err := os.ReadFile("../../demo/bitcoin-blocks-0-199.dat.zst")
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	raw, err := z.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// frames are the blocks of a framed file, up to the zeros at its end.
func frames(t testing.TB, raw []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i := 0; len(raw) >= 8 && !bytes.Equal(raw[:4], make([]byte, 4)); i++ {
			if !bytes.Equal(raw[:4], []byte{0xf9, 0xbe, 0xb4, 0xd9}) {
				t.Fatalf("frame %d: magic %x", i, raw[:4])
			}
			n := binary.LittleEndian.Uint32(raw[4:])
			if !yield(i, raw[8:8+n]) {
				return
			}
			raw = raw[8+n:]
		}
	}
}

func bitcoinAt(height uint64) flow.Point { return flow.Point{Chain: flow.Bitcoin, Height: height} }

// paid is the sum of all outputs of a block.
func paid(b flow.Block) uint64 {
	var sum uint64
	for _, tx := range b.Txs {
		sum += out(tx)
	}
	return sum
}

func out(tx flow.Tx) uint64 {
	var sum uint64
	for _, m := range tx.Movements {
		for _, l := range m.Out {
			n, _ := l.Amount.Uint64()
			sum += n
		}
	}
	return sum
}
