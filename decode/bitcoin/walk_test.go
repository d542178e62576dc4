package bitcoin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/spoor-dev/spoor/flow"
)

// A thousand bytes that claim to hold as many parts as wire admits get no room for them.
func TestClaimedCountsTakeNoMemory(t *testing.T) {
	head := make([]byte, headerSize)
	input := slices.Concat([]byte{1}, make([]byte, 32), []byte{0xff, 0xff, 0xff, 0xff}, []byte{0}, make([]byte, 4))
	output := slices.Concat([]byte{1}, make([]byte, 8), []byte{0})
	claim := func(n uint32) []byte { return binary.LittleEndian.AppendUint32([]byte{0xfe}, n) }
	d := New(flow.BitcoinSignet)
	if _, err := d.Decode(flow.Point{Height: 7}, flow.Hash{}, newDraft(7).commit().seal()); err != nil { // makes wire's buffer of 4 MiB
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		raw  []byte
		says string
	}{
		{"transactions", slices.Concat(head, claim(400_000)), "number of transactions: "},
		{"inputs", slices.Concat(head, []byte{1, 2, 0, 0, 0}, claim(800_000)), "number of inputs: "},
		{"script", slices.Concat(head, []byte{1, 2, 0, 0, 0}, input[:37], claim(3_900_000)), "input 0: "},
		{"outputs", slices.Concat(head, []byte{1, 2, 0, 0, 0}, input, claim(3_700_000)), "number of outputs: "},
		{"inputs-with-witnesses", slices.Concat(head, []byte{1, 2, 0, 0, 0, 0, 1}, claim(800_000)), "number of inputs: "},
		{"witness-items", slices.Concat(head, []byte{1, 2, 0, 0, 0, 0, 1}, input, output, claim(3_900_000)), "witness 0: "},
	} {
		raw := append(tt.raw, make([]byte, 1000-len(tt.raw))...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := d.Decode(flow.Point{}, flow.Hash{}, raw)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrForm) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "do not fit") {
			t.Errorf("%s: %v; want ErrForm: …%s… do not fit", tt.name, err, tt.says)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: 1000 bytes took %d bytes of memory", tt.name, n)
		}
	}
}

// FuzzWalk: a walk refuses nothing that wire reads, and ends where wire ends.
func FuzzWalk(f *testing.F) {
	for _, tx := range newDraft(7).commit().Transactions {
		var b bytes.Buffer
		if err := tx.Serialize(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:b.Len()-1])
	}
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0})    // flag 0
	f.Add([]byte{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}) // no inputs, so that there are no witnesses
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		var tx wire.MsgTx
		theirs := tx.Deserialize(r)
		w := newWalk(raw, 0)
		ours := w.transaction()
		switch {
		case theirs == nil && ours != nil:
			t.Errorf("wire reads it, the walk says %v", ours)
		case theirs == nil && w.r.Len() != r.Len():
			t.Errorf("the walk ends %d bytes before the end, wire %d", w.r.Len(), r.Len())
		case ours != nil && !errors.Is(ours, ErrForm):
			t.Errorf("an error of no kind: %v", ours)
		}
	})
}
