package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/spoor-dev/spoor/flow"
)

var errDamaged = errors.New("damaged record")

// A cursor reads a stored value. It never reads beyond the end: the first thing that does not fit sets bad, and from
// then on everything is zero. The reader checks bad once where it matters.
type cursor struct {
	b   []byte
	at  int
	bad bool
}

// check is the error of the cursor, naming the byte.
func (c *cursor) check() error {
	if c.bad {
		return fmt.Errorf("byte %d of %d: %w", c.at, len(c.b), errDamaged)
	}
	return nil
}

// checkEnd is check, and that nothing is left over.
func (c *cursor) checkEnd() error {
	if c.at != len(c.b) {
		c.bad = true
	}
	return c.check()
}

func (c *cursor) byte() byte {
	if c.at >= len(c.b) {
		c.bad = true
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

func (c *cursor) bytes(n int) []byte {
	if c.bad || n < 0 || n > len(c.b)-c.at {
		c.bad = true
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at : c.at]
}

func (c *cursor) uint() uint64 {
	if c.at < len(c.b) && c.b[c.at] < 0x80 {
		c.at++
		return uint64(c.b[c.at-1])
	}
	return c.long()
}

// long reads a number of several bytes. It stays a call, so that uint is none.
//
//go:noinline
func (c *cursor) long() (v uint64) {
	b := c.b[min(c.at, len(c.b)):]
	for i, x := range b[:min(len(b), binary.MaxVarintLen64)] {
		if x < 0x80 {
			if i == binary.MaxVarintLen64-1 && x > 1 {
				break
			}
			c.at += i + 1
			return v | uint64(x)<<(7*i)
		}
		v |= uint64(x&0x7f) << (7 * i)
	}
	c.bad = true
	return 0
}

func (c *cursor) uint32() uint32 {
	v := c.uint()
	if v > math.MaxUint32 {
		c.bad = true
		return 0
	}
	return uint32(v)
}

// count is a number of things of which each takes at least size bytes of what is left, so that a damaged count cannot
// ask for memory.
func (c *cursor) count(size int) int {
	v := c.uint()
	if v > uint64((len(c.b)-c.at)/size) {
		c.bad = true
		return 0
	}
	return int(v)
}

func (c *cursor) int() int64 {
	return unzigzag(c.uint())
}

// zigzag makes small differences of either sign small numbers.
func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func (c *cursor) hash() (h flow.Hash) {
	copy(h[:], c.bytes(len(h)))
	return h
}

func (c *cursor) text() string { return string(c.bytes(c.count(1))) }

func appendInt(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, zigzag(v))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// An amount is a class from 0 to 15 and some bytes. Classes 0 to 8: so many bytes, little-endian. Classes 9 to 14: one
// byte with a power of ten k, then 1 to 6 bytes with a factor: the amount is factor·10^k. Class 15: a length, then so
// many bytes, little-endian.
const (
	classDecimal = 8 // + number of bytes of the factor
	classLong    = 15
)

// packAmount appends the bytes of an amount to dst and returns its class.
func packAmount(dst []byte, a flow.Amount) ([]byte, byte) {
	w := a.Words()
	if w[1]|w[2]|w[3] == 0 {
		v := w[0]
		if v&7 == 0 && v >= 1<<24 && v%1000 == 0 {
			k := byte(3)
			f := v / 1000
			for f%10 == 0 {
				f /= 10
				k++
			}
			if n := (bits.Len64(f) + 7) / 8; n+1 < (bits.Len64(v)+7)/8 && n <= 6 {
				return appendLittle(append(dst, k), f, n), classDecimal + byte(n)
			}
		}
		n := (bits.Len64(v) + 7) / 8
		return appendLittle(dst, v, n), byte(n)
	}
	if f, rest := divide(w, 1000); w[0]&7 == 0 && rest == 0 {
		k := byte(3)
		for {
			g, rest := divide(f, 10)
			if rest != 0 {
				break
			}
			f, k = g, k+1
		}
		if n := (bits.Len64(f[0]) + 7) / 8; f[1]|f[2]|f[3] == 0 && n <= 6 {
			return appendLittle(append(dst, k), f[0], n), classDecimal + byte(n)
		}
	}
	full := 3
	for w[full] == 0 {
		full--
	}
	n := (bits.Len64(w[full]) + 7) / 8
	dst = append(dst, byte(8*full+n))
	for _, v := range w[:full] {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return appendLittle(dst, w[full], n), classLong
}

func appendLittle(dst []byte, v uint64, n int) []byte {
	return binary.LittleEndian.AppendUint64(dst, v)[:len(dst)+n]
}

// divide is w/d and the rest.
func divide(w [4]uint64, d uint64) (q [4]uint64, rest uint64) {
	for i := 3; i >= 0; i-- {
		q[i], rest = bits.Div64(rest, w[i], d)
	}
	return q, rest
}

// amountBytes are the bytes of an amount of that class, not yet unpacked.
func (c *cursor) amountBytes(class byte) []byte {
	switch {
	case class <= classDecimal:
		return c.bytes(int(class))
	case class < classLong:
		return c.bytes(int(class) - classDecimal + 1)
	}
	if c.at >= len(c.b) {
		c.bad = true
		return nil
	}
	return c.bytes(1 + int(c.b[c.at]))
}

// unpackAmount is the amount that b holds; ok is false for bytes that packAmount does not make.
func unpackAmount(class byte, b []byte) (a flow.Amount, ok bool) {
	switch {
	case class <= classDecimal:
		return flow.NewAmount(little(b)), true
	case class < classLong:
		w, k := [4]uint64{little(b[1:])}, b[0]
		for ; k > 0; k -= min(k, 19) {
			if !multiply(&w, powers[min(k, 19)]) {
				return flow.Amount{}, false
			}
		}
		return flow.AmountFromWords(w), true
	}
	if b = b[1:]; len(b) > 32 {
		return flow.Amount{}, false
	}
	var w [4]uint64
	for i := range w {
		part := b[min(8*i, len(b)):min(8*i+8, len(b))]
		w[i] = little(part)
	}
	return flow.AmountFromWords(w), true
}

// powers are the powers of ten that fit a word.
var powers = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// multiply makes w·f of w; it returns false if that needs more than 256 bits.
func multiply(w *[4]uint64, f uint64) bool {
	carry := uint64(0)
	for i := range w {
		hi, lo := bits.Mul64(w[i], f)
		sum, c := bits.Add64(lo, carry, 0)
		w[i], carry = sum, hi+c
	}
	return carry == 0
}

func little(b []byte) (v uint64) {
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v
}

// amount reads an amount of that class.
func (c *cursor) amount(class byte) flow.Amount {
	b := c.amountBytes(class)
	if c.bad {
		return flow.Amount{}
	}
	a, ok := unpackAmount(class, b)
	if !ok {
		c.bad = true
	}
	return a
}

// appendAmount appends the class and the bytes of an amount.
func appendAmount(dst []byte, a flow.Amount) []byte {
	at := len(dst)
	dst, class := packAmount(append(dst, 0), a)
	dst[at] = class
	return dst
}
