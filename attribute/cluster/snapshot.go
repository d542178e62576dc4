package cluster

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A snapshot is, with numbers as uvarints (int64: zigzag) and texts behind their length:
//
//	"spoor clusters 1\n" Large Strong
//	chains: count, each a text
//	accounts: count, each the place of its chain and its key, in the order of their nodes
//	marks: count, each node and service, by node
//	sources: count, each tx (32 bytes) height tx movement seen
//	evidence: count, each a b source-as-difference heuristic version confidence amount (as a text of its big-endian bytes) fate
//	fate: 0, 1 accepted, 2 withdrawn, 3 both; then, if withdrawn, seen and reason
//	sha256 of all that
const magic = "spoor clusters 1\n"

// WriteTo writes the forest. The same state gives the same bytes.
func (f *Forest) WriteTo(w io.Writer) (int64, error) {
	e := &encoder{sum: sha256.New(), count: &counter{w: w}}
	e.w = bufio.NewWriterSize(io.MultiWriter(e.count, e.sum), 1<<16)
	e.raw([]byte(magic))
	e.uint(uint64(f.guard.Large))
	e.uint(uint64(f.guard.Strong))
	chains := map[flow.Chain]int{}
	for _, a := range f.accounts {
		if _, ok := chains[a.Chain()]; !ok {
			chains[a.Chain()] = len(chains)
		}
	}
	e.uint(uint64(len(chains)))
	for _, c := range slices.SortedFunc(maps.Keys(chains), func(a, b flow.Chain) int { return cmp.Compare(chains[a], chains[b]) }) {
		e.text(c.String())
	}
	e.uint(uint64(len(f.accounts)))
	for _, a := range f.accounts {
		e.uint(uint64(chains[a.Chain()]))
		e.text(a.Key())
	}
	e.uint(uint64(len(f.marks)))
	for _, n := range slices.Sorted(maps.Keys(f.marks)) {
		e.uint(uint64(n))
		e.text(f.marks[n])
	}
	e.uint(uint64(len(f.sources)))
	for _, s := range f.sources {
		e.raw(s.tx[:])
		e.uint(s.at.Height)
		e.uint(uint64(s.at.Tx))
		e.uint(uint64(s.at.Movement))
		e.int(s.seen)
	}
	e.uint(uint64(len(f.rows)))
	last := uint32(0)
	for i := range f.rows {
		e.row(f, ID(i+1), last)
		last = f.rows[i].source
	}
	if err := e.w.Flush(); err != nil {
		return e.count.n, err
	}
	_, err := e.count.Write(e.sum.Sum(nil))
	return e.count.n, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// An encoder writes; bufio keeps its first error until the flush.
type encoder struct {
	w     *bufio.Writer
	sum   hash.Hash
	count *counter
	b     [binary.MaxVarintLen64]byte
}

func (e *encoder) raw(b []byte)  { e.w.Write(b) }
func (e *encoder) uint(v uint64) { e.w.Write(binary.AppendUvarint(e.b[:0], v)) }
func (e *encoder) int(v int64)   { e.w.Write(binary.AppendVarint(e.b[:0], v)) }
func (e *encoder) text(s string) { e.uint(uint64(len(s))); e.w.WriteString(s) }

func (e *encoder) row(f *Forest, id ID, last uint32) {
	r := f.row(id)
	e.uint(uint64(r.a))
	e.uint(uint64(r.b))
	e.uint(uint64(r.source - last))
	e.uint(uint64(r.heuristic))
	e.uint(uint64(r.version))
	e.uint(uint64(r.confidence))
	v := f.evidence(id).Amount.Bytes()
	e.text(string(bytes.TrimLeft(v[:], "\x00")))
	fate := uint64(b2i(f.accepted[id]))
	w, ok := f.taken[id]
	e.uint(fate + 2*uint64(b2i(ok)))
	if ok {
		e.int(w.Seen)
		e.text(w.Reason)
	}
}

// Read reads what WriteTo wrote: the same forest, which answers every question in the same way. Bytes that are damaged
// are an error that wraps ErrFormat and names the offset; memory grows no faster than what is read.
func Read(r io.Reader) (*Forest, error) {
	d := &decoder{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	f := d.forest()
	if d.err == nil {
		d.sum.Write(d.read)
		want := d.sum.Sum(nil)
		d.read = d.read[:0]
		var got [sha256.Size]byte
		if d.raw(got[:]); d.err == nil && !bytes.Equal(got[:], want) {
			d.fail("the checksum does not fit")
		}
	}
	if _, err := d.r.ReadByte(); d.err == nil && err != io.EOF {
		d.fail("more bytes than a snapshot")
	}
	if d.err != nil {
		return nil, d.err
	}
	return f, nil
}

type decoder struct {
	r    *bufio.Reader
	sum  hash.Hash
	read []byte // what was read and is not in the sum yet
	at   int64
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("byte %d: %w: %s", d.at, ErrFormat, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) raw(b []byte) {
	if d.err != nil {
		return
	}
	n, err := io.ReadFull(d.r, b)
	d.took(b[:n])
	if err != nil {
		d.fail("cut short: %v", err)
	}
}

func (d *decoder) took(b []byte) {
	d.at += int64(len(b))
	if d.read = append(d.read, b...); len(d.read) > 1<<16 {
		d.sum.Write(d.read)
		d.read = d.read[:0]
	}
}

// ReadByte is for binary.ReadUvarint.
func (d *decoder) ReadByte() (byte, error) {
	b, err := d.r.ReadByte()
	if err != nil {
		d.fail("cut short: %v", err)
		return 0, d.err
	}
	d.took([]byte{b})
	return b, nil
}

func (d *decoder) uint(what string, most uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(d)
	if err != nil {
		d.fail("%s: %v", what, err)
	} else if v > most {
		d.fail("%s is %d, at most %d are possible", what, v, most)
	}
	if d.err != nil {
		return 0
	}
	return v
}

func (d *decoder) int(what string) int64 {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadVarint(d)
	if err != nil {
		d.fail("%s: %v", what, err)
	}
	return v
}

func (d *decoder) text(what string, most uint64) string {
	b := make([]byte, d.uint(what, most))
	d.raw(b)
	return string(b)
}

// longest text that a snapshot may hold, in bytes: names of services and reasons are short.
const longest = 1 << 16

func (d *decoder) forest() *Forest {
	head := make([]byte, len(magic))
	if d.raw(head); d.err == nil && string(head) != magic {
		d.fail("it begins with %q", head)
	}
	f := New(Guard{Large: int(d.uint("guard", math.MaxInt32)), Strong: int(d.uint("guard", math.MaxInt32))})
	var chains []flow.Chain
	for n := d.uint("chains", math.MaxUint32); n > 0 && d.err == nil; n-- {
		c, err := flow.ParseChain(d.text("chain", 100))
		if err != nil {
			d.fail("%v", err)
		}
		chains = append(chains, c)
	}
	for n := d.uint("accounts", math.MaxUint32-2); n > 0 && d.err == nil; n-- {
		c := d.uint("chain", uint64(max(len(chains), 1)-1))
		key := d.text("account", 200)
		if d.err != nil || len(chains) == 0 {
			d.fail("an account without a chain")
			break
		}
		a, err := flow.AccountFromKey(chains[c], key)
		if err != nil || f.lookup(a) != 0 {
			d.fail("account %x: unreadable or repeated", key)
			break
		}
		f.node(a)
	}
	d.marks(f)
	var sources []source
	for n := d.uint("sources", math.MaxUint32-1); n > 0 && d.err == nil; n-- {
		var s source
		d.raw(s.tx[:])
		s.at = flow.Pos{Height: d.uint("height", math.MaxUint64), Tx: uint32(d.uint("index", math.MaxUint32)), Movement: uint32(d.uint("movement", math.MaxUint32))}
		s.seen = d.int("time")
		sources = append(sources, s)
	}
	last := uint64(0)
	for n := d.uint("evidence", math.MaxUint32-1); n > 0 && d.err == nil; n-- {
		last = d.row(f, sources, last)
	}
	return f
}

func (d *decoder) marks(f *Forest) {
	marks := map[flow.Account]string{}
	last := uint64(0)
	for n := d.uint("marks", uint64(len(f.accounts))); n > 0 && d.err == nil; n-- {
		m := d.uint("account", uint64(len(f.accounts)))
		s := d.text("service", longest)
		if m <= last || s == "" {
			d.fail("a mark out of order, or of no service")
			return
		}
		marks[f.account(node(m))] = s
		last = m
	}
	f.Mark(marks)
}

// row adds one piece of evidence as it was added first.
func (d *decoder) row(f *Forest, sources []source, last uint64) uint64 {
	a, b := d.uint("account", uint64(len(f.accounts))), d.uint("account", uint64(len(f.accounts)))
	last += d.uint("source", math.MaxUint32)
	e := Evidence{Heuristic: Heuristic(d.uint("heuristic", math.MaxUint8)), Version: uint16(d.uint("version", math.MaxUint16)), Confidence: uint8(d.uint("confidence", 100))}
	amount, err := flow.AmountFromBytes([]byte(d.text("amount", 32)))
	fate := d.uint("fate", 3)
	if d.err != nil {
		return last
	}
	if err != nil || a == 0 || b == 0 || last >= uint64(len(sources)) {
		d.fail("evidence without accounts, source or amount")
		return last
	}
	s := sources[last]
	e.A, e.B, e.Amount, e.Tx, e.At, e.Seen = f.account(node(a)), f.account(node(b)), amount, s.tx, s.at, s.seen
	id := ID(len(f.rows) + 1)
	if fate&1 != 0 {
		f.accepted[id] = true
	}
	if fate&2 != 0 {
		f.taken[id] = Withdrawal{Seen: d.int("time"), Reason: d.text("reason", longest)}
	}
	if err := e.check(); err != nil {
		d.fail("%v", err)
	}
	if d.err == nil {
		f.add(node(a), node(b), e)
	}
	return last
}
