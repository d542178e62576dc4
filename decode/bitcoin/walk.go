package bitcoin

import (
	"bytes"
	"fmt"
	"io"

	"github.com/btcsuite/btcd/wire/v2"
)

// The fewest bytes that a part can have.
const (
	minTx     = 4 + 1 + minInput + 1 + minOutput + 4
	minInput  = 36 + 1 + 4
	minOutput = 8 + 1
)

// A walk passes over a transaction before wire reads it. Wire makes room for all parts that a count claims before it
// reads the first of them: hundreds of megabytes for a few bytes. The walk refuses a count that the rest of the block has
// too few bytes for.
type walk struct {
	r     *bytes.Reader
	whole int // bytes of the block
	buf   [8]byte
}

// newWalk is a walk that begins at a place of the block.
func newWalk(raw []byte, off int) *walk {
	w := &walk{r: bytes.NewReader(raw), whole: len(raw)}
	w.to(off)
	return w
}

// off is the place in the block.
func (w *walk) off() int { return w.whole - w.r.Len() }

// to goes to a place in the block.
func (w *walk) to(off int) {
	if _, err := w.r.Seek(int64(off), io.SeekStart); err != nil {
		panic("decode/bitcoin: " + err.Error())
	}
}

// transaction goes to the end of a transaction, or to the place where wire will refuse it.
func (w *walk) transaction() error {
	if err := w.skip(4); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	ins, err := w.count(minInput)
	if err != nil {
		return fmt.Errorf("number of inputs: %w", err)
	}
	witnesses := ins == 0 // it was no number but the mark of the form with witnesses
	if witnesses {
		if flag, err := w.r.ReadByte(); err == nil && flag != wire.WitnessFlag {
			return nil
		}
		if ins, err = w.count(minInput); err != nil {
			return fmt.Errorf("number of inputs: %w", err)
		}
	}
	for j := range ins {
		if err := w.part(36, 4); err != nil { // outpoint, script, sequence
			return fmt.Errorf("input %d: %w", j, err)
		}
	}
	outs, err := w.count(minOutput)
	if err != nil {
		return fmt.Errorf("number of outputs: %w", err)
	}
	for j := range outs {
		if err := w.part(8, 0); err != nil { // value, script
			return fmt.Errorf("output %d: %w", j, err)
		}
	}
	if witnesses {
		for j := range ins {
			if err := w.witness(); err != nil {
				return fmt.Errorf("witness %d: %w", j, err)
			}
		}
	}
	if err := w.skip(4); err != nil {
		return fmt.Errorf("lock time: %w", err)
	}
	return nil
}

// witness passes over the items of one input's witness.
func (w *walk) witness() error {
	items, err := w.count(1)
	if err != nil {
		return err
	}
	for k := range items {
		if err := w.part(0, 0); err != nil {
			return fmt.Errorf("item %d: %w", k, err)
		}
	}
	return nil
}

// part passes over a length and the bytes that it counts, with so many bytes before and after them.
func (w *walk) part(before, after int) error {
	if err := w.skip(before); err != nil {
		return err
	}
	n, err := w.count(1)
	if err != nil {
		return err
	}
	return w.skip(n + after)
}

// count reads a number of parts of at least smallest bytes each, which the rest of the block must have room for.
func (w *walk) count(smallest int) (int, error) {
	at := w.off()
	n, err := wire.ReadVarIntBuf(w.r, 0, w.buf[:])
	if err != nil {
		return 0, fmt.Errorf("%w: byte %d: %w", ErrForm, at, err)
	}
	if left := w.r.Len(); n > uint64(left/smallest) {
		return 0, fmt.Errorf("%w: byte %d: %d do not fit the %d bytes left", ErrForm, at, n, left)
	}
	return int(n), nil
}

// skip passes over n bytes.
func (w *walk) skip(n int) error {
	if left := w.r.Len(); n > left {
		return fmt.Errorf("%w: byte %d: cut short: %d bytes are needed and %d are left", ErrForm, w.off(), n, left)
	}
	w.to(w.off() + n)
	return nil
}
