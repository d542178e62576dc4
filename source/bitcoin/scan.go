package bitcoin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/spoor-dev/spoor/flow"
)

// A form is how a file holds its blocks.
type form byte

const (
	framed form = iota + 1 // magic, length, block; again and again; zeros may follow
	hidden                 // the same, every byte obscured with the key
	single                 // one block and nothing else
)

const (
	headerSize = 80
	frameHead  = 8
	maxBlock   = 4_000_000 // the weight limit of BIP 141
	minBlock   = headerSize + 1 + 60
)

// A block is what is kept in memory of each block in the files: its header, where it is, and its place in the tree.
type block struct {
	hash, prev flow.Hash
	off        int64
	work       weight // of the branch up to this block, once it is linked
	size       uint32
	time       uint32
	bits       uint32
	version    int32
	file       int32
	parent     int32 // index of the parent, or one of the no* values
	root       int32 // index of the first block of its tree
	depth      int32 // blocks below it in its tree; -1 while it is not linked
}

// A scan is the first pass over the files: all headers, and what stopped it in which file.
type scan struct {
	s       *Source
	shelf   *shelf
	blocks  []block
	trouble error // the first damage that was met

	bits   uint32 // targetOf and workOf of the last header, which are mostly those of the next
	target [32]byte
	work   weight
}

// files reads all headers. What is damaged ends its file and is kept as trouble; err is for what ends the scan.
func (x *scan) files(ctx context.Context) error {
	for i := range x.s.files {
		before := len(x.blocks)
		if err := x.file(ctx, int32(i)); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if x.trouble == nil {
				x.trouble = err
			}
		}
		x.s.files[i].lone = len(x.blocks) == before+1
	}
	if len(x.blocks) == 0 && x.trouble == nil {
		return fmt.Errorf("%s: no block in %d files: %w", x.s.files[0].path, len(x.s.files), ErrForm)
	}
	return nil
}

func (x *scan) file(ctx context.Context, i int32) error {
	f := &x.s.files[i]
	c, err := x.shelf.take(i)
	if err != nil {
		return err
	}
	w := &window{c: c}
	head, err := w.at(0, frameHead+headerSize)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := x.recognise(f, head, c); err != nil {
		return err
	}
	if f.form == single {
		err = x.single(i, c)
	} else {
		err = x.frames(ctx, i, c, w)
	}
	if err == nil && c.cut != nil {
		err = x.damage(f, c.size, "cannot be unpacked: %w", c.cut)
	}
	return err
}

// recognise finds out how a file holds its blocks.
func (x *scan) recognise(f *file, head []byte, c *content) error {
	f.mark = x.s.net.magic
	obscured, n, ok := magicOf(head, f.key)
	switch {
	case ok && n.chain != x.s.net.chain:
		return fmt.Errorf("%s: blocks of %s among those of %s: %w", f.path, n.chain, x.s.net.chain, ErrChain)
	case ok:
		f.form, f.mark = framed, n.magic
		if obscured {
			f.form = hidden
		}
		return nil
	case isZero(head): // set aside by the node and not yet written to
		f.form = framed
		return nil
	}
	if len(head) == frameHead+headerSize {
		if b, err := x.header(head[:headerSize]); err == nil && b != nil {
			f.form = single
			return nil
		}
		if !x.s.cfg.Chain.IsZero() { // its network is named, so that the magic may be one that is not known
			for _, try := range []form{framed, hidden} {
				plain := bytes.Clone(head)
				if try == hidden {
					reveal(plain, f.key, 0)
				}
				size := binary.LittleEndian.Uint32(plain[4:])
				if _, err := x.header(plain[frameHead:]); err == nil && size >= minBlock && size <= maxBlock {
					f.form, f.mark = try, [4]byte(plain)
					return nil
				}
			}
		}
	}
	if c.cut != nil {
		return x.damage(f, c.size, "cannot be unpacked: %w", c.cut)
	}
	return fmt.Errorf("%s: it begins with %x, which is neither a known magic nor a block header of %s: %w", f.path, head[:min(4, len(head))], x.s.net.chain, ErrForm)
}

// frames reads the headers of a file of frames. After a stretch of zeros there may be frames again.
func (x *scan) frames(ctx context.Context, i int32, c *content, w *window) error {
	f := &x.s.files[i]
	for off := int64(0); off < c.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, err := w.at(off, frameHead+headerSize)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		zeros := isZero(raw[:min(4, len(raw))])
		if f.form == hidden {
			raw = bytes.Clone(raw)
			reveal(raw, f.key, off)
		}
		switch {
		case len(raw) >= 4 && [4]byte(raw) == f.mark:
		case zeros:
			if off, err = w.skipZeros(ctx, off); err != nil {
				return fmt.Errorf("%s: %w", f.path, err)
			}
			continue
		case len(raw) < 4:
			return x.damage(f, off, "cut short: %d bytes that begin no frame", len(raw))
		default:
			return x.damage(f, off, "%x where a frame begins with %x", raw[:4], f.mark)
		}
		if len(raw) < frameHead+headerSize {
			return x.damage(f, off, "cut short: the frame's head and header need %d bytes and %d are left", frameHead+headerSize, len(raw))
		}
		size := binary.LittleEndian.Uint32(raw[4:])
		if size < minBlock || size > maxBlock {
			return x.damage(f, off+4, "a length of %d, and blocks have %d to %d bytes", size, minBlock, maxBlock)
		}
		if left := c.size - off - frameHead; int64(size) > left {
			return x.damage(f, off, "cut short: the block has %d bytes and %d are left", size, left)
		}
		b, err := x.header(raw[frameHead:])
		if err != nil {
			return x.damage(f, off+frameHead, "%w", err)
		}
		b.file, b.off, b.size = i, off+frameHead, size
		x.blocks = append(x.blocks, *b)
		off += frameHead + int64(size)
	}
	return nil
}

// single reads a file of one block without a frame: to see where the block ends it must be read whole.
func (x *scan) single(i int32, c *content) error {
	f := &x.s.files[i]
	if c.size > maxBlock {
		return x.damage(f, maxBlock, "a single block of %d bytes, and blocks have at most %d", c.size, maxBlock)
	}
	raw := make([]byte, c.size)
	if _, err := c.ReadAt(raw, 0); err != nil && err != io.EOF {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	b, err := x.header(raw)
	if err != nil {
		return x.damage(f, 0, "%w", err)
	}
	r := bytes.NewReader(raw)
	var whole wire.MsgBlock
	if err := whole.Deserialize(r); err != nil {
		return x.damage(f, c.size-int64(r.Len()), "the block cannot be read to its end: %w", err)
	}
	if r.Len() > 0 {
		return x.damage(f, c.size-int64(r.Len()), "%d bytes after the block", r.Len())
	}
	b.file, b.size = i, uint32(c.size)
	x.blocks = append(x.blocks, *b)
	return nil
}

// header reads a header, whose hash must show the work that the header claims: random bytes do not.
func (x *scan) header(raw []byte) (*block, error) {
	first := sha256.Sum256(raw[:headerSize])
	b := &block{
		hash:    printed(sha256.Sum256(first[:])),
		prev:    printed([32]byte(raw[4:36])),
		version: int32(binary.LittleEndian.Uint32(raw)),
		time:    binary.LittleEndian.Uint32(raw[68:]),
		bits:    binary.LittleEndian.Uint32(raw[72:]),
		depth:   -1,
	}
	if b.bits != x.bits || x.bits == 0 {
		target, ok := targetOf(b.bits)
		if !ok || bytes.Compare(target[:], x.s.net.easiest[:]) > 0 {
			return nil, fmt.Errorf("no block header of %s: it claims a difficulty of %#08x", x.s.net.chain, b.bits)
		}
		x.bits, x.target, x.work = b.bits, target, workOf(target)
	}
	if bytes.Compare(b.hash[:], x.target[:]) > 0 {
		return nil, fmt.Errorf("no block header: its hash %s does not show the work that it claims", b.hash)
	}
	b.work = x.work
	return b, nil
}

func (x *scan) damage(f *file, off int64, format string, args ...any) error {
	return fmt.Errorf("%s: byte %d: %w: %w", f.path, off, ErrDamaged, fmt.Errorf(format, args...))
}

// coinbaseHeight is the height that a block's coinbase begins with, as BIP 34 has it for versions from 2 on.
func (x *scan) coinbaseHeight(b *block) (uint64, bool, error) {
	if b.version < 2 {
		return 0, false, nil
	}
	const enough = headerSize + 9 + 4 + 2 + 1 + 36 + 1 + 10 // up to the first push of the first input's script
	raw, err := x.shelf.readAt(b.file, b.off, int(min(b.size, enough)))
	if err != nil {
		return 0, false, err
	}
	r := bytes.NewReader(raw[headerSize:])
	if _, err := wire.ReadVarInt(r, 0); err != nil {
		return 0, false, nil
	}
	rest := raw[len(raw)-r.Len():]
	if len(rest) > 6 && rest[4] == 0 && rest[5] == 1 { // the form with witnesses
		rest = rest[2:]
	}
	const before = 4 + 1 + 36 + 1
	if len(rest) <= before {
		return 0, false, nil
	}
	script := txscript.MakeScriptTokenizer(0, rest[before:])
	if !script.Next() {
		return 0, false, nil
	}
	if op := script.Opcode(); txscript.IsSmallInt(op) {
		return uint64(txscript.AsSmallInt(op)), true, nil
	}
	n, err := txscript.MakeScriptNum(script.Data(), true, 5)
	if err != nil || len(script.Data()) == 0 || n < 0 {
		return 0, false, nil
	}
	return uint64(n), true, nil
}

// A window reads a file forwards in pieces, so that small blocks do not cost a read each.
type window struct {
	c   *content
	off int64
	buf []byte
}

const windowSize = 1 << 14

// at is n bytes from an offset on, fewer at the end of the file. They are good until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		if w.buf == nil {
			w.buf = make([]byte, windowSize)
		}
		got, err := w.c.ReadAt(w.buf[:windowSize], off)
		if err != nil && err != io.EOF {
			return nil, err
		}
		w.off, w.buf = off, w.buf[:got]
	}
	b := w.buf[off-w.off:]
	return b[:min(n, len(b))], nil
}

// skipZeros is the place of the next byte that is not zero, or the end.
func (w *window) skipZeros(ctx context.Context, off int64) (int64, error) {
	for {
		b, err := w.at(off, windowSize)
		if err != nil || len(b) == 0 {
			return off, err
		}
		if rest := bytes.TrimLeft(b, "\x00"); len(rest) > 0 {
			return off + int64(len(b)-len(rest)), nil
		}
		off += int64(len(b))
		if err := ctx.Err(); err != nil {
			return off, err
		}
	}
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
