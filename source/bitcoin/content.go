package bitcoin

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const (
	// maxInMemory is how much of an unpacked file is kept in memory; a larger one goes to a temporary file.
	maxInMemory = 16 << 20
	// maxWindow is the largest window of past bytes that a compressed file may ask for.
	maxWindow = 256 << 20
	// maxOpen is how many files are kept open at once: blocks out of order stand in neighbouring files.
	maxOpen = 4
)

// A content is the bytes of a block file, unpacked.
type content struct {
	io.ReaderAt
	size  int64
	cut   error // why unpacking ended before the end, and after size good bytes; nil where it did not
	close func() error
}

// open opens a file whole.
func open(path string, most int64) (*content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, packed, err := unpack(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: byte 0: %w: cannot be unpacked: %w", path, ErrDamaged, err)
	}
	if !packed {
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		return &content{ReaderAt: f, size: info.Size(), close: f.Close}, nil
	}
	defer f.Close()
	defer r.Close()
	c, err := spill(r, most)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	return c, nil
}

// spill reads r to its end, or to where it is damaged, so that it can be read at any place.
func spill(r io.Reader, most int64) (*content, error) {
	var memory bytes.Buffer
	n, err := io.CopyN(&memory, r, min(maxInMemory, most+1))
	if err != nil { // the end, or damage
		return contentOf(bytes.NewReader(memory.Bytes()), n, err, func() error { return nil }, most)
	}
	f, err := os.CreateTemp("", "spoor-blocks-*")
	if err != nil {
		return nil, err
	}
	gone := os.Remove(f.Name()) == nil // where the system allows it the file cannot be left behind
	drop := func() error {
		err := f.Close()
		if !gone {
			err = errors.Join(err, os.Remove(f.Name()))
		}
		return err
	}
	if _, err = memory.WriteTo(f); err != nil {
		return nil, errors.Join(err, drop())
	}
	out := &keepError{w: f}
	more, err := io.CopyN(out, r, most+1-n)
	if out.err != nil {
		return nil, errors.Join(out.err, drop())
	}
	c, err := contentOf(f, n+more, err, drop, most)
	if err != nil {
		return nil, errors.Join(err, drop())
	}
	return c, nil
}

func contentOf(r io.ReaderAt, size int64, end error, drop func() error, most int64) (*content, error) {
	if size > most {
		return nil, fmt.Errorf("more than %d bytes: %w", most, ErrForm)
	}
	if end == io.EOF {
		end = nil
	}
	return &content{r, size, end, drop}, nil
}

// keepError tells an error of writing from one of reading.
type keepError struct {
	w   io.Writer
	err error
}

func (k *keepError) Write(b []byte) (n int, err error) {
	n, k.err = k.w.Write(b)
	return n, k.err
}

// readHead is the first bytes of a file, unpacked: enough for a frame's head and a block's header. Damage is left to be
// found when the file is read whole.
func readHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := unpack(f)
	if err != nil {
		return nil, nil
	}
	defer r.Close()
	head := make([]byte, frameHead+headerSize)
	n, _ := io.ReadFull(r, head)
	return head[:n], nil
}

// unpack finds out by the first bytes how f is compressed, and undoes it. f stays at its start where it is not.
func unpack(f *os.File) (r io.ReadCloser, packed bool, err error) {
	head := make([]byte, 64)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		g, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<16))
		return g, true, err
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(bufio.NewReaderSize(f, 1<<16))), true, nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		if n := xzWindow(head); n > maxWindow {
			return nil, true, fmt.Errorf("xz: a window of %d bytes, and at most %d are granted", n, int64(maxWindow))
		}
		x, err := xz.NewReader(bufio.NewReaderSize(f, 1<<16))
		if err != nil {
			return nil, true, err
		}
		return io.NopCloser(x), true, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, true, err
		}
		return z.IOReadCloser(), true, nil
	}
	return f, false, nil
}

// xzWindow is the size of the dictionary that the first block of an xz file asks for: the library allocates it unasked.
// It is 0 for a head that is not understood, which the library then refuses itself.
func xzWindow(head []byte) int64 {
	const streamHeader = 12
	if len(head) < streamHeader+2 {
		return 0
	}
	rest := head[streamHeader+2:]
	for _, size := range []byte{0x40, 0x80} { // the two numbers that may come before the filter
		if head[streamHeader+1]&size == 0 {
			continue
		}
		end := slices.IndexFunc(rest, func(b byte) bool { return b < 0x80 })
		if end < 0 {
			return 0
		}
		rest = rest[end+1:]
	}
	const lzma2 = 0x21
	if len(rest) < 3 || rest[0] != lzma2 || rest[1] != 1 {
		return 0
	}
	bits := rest[2] & 0x3f
	return int64(2|bits&1) << (bits/2 + 11)
}

// A shelf keeps the files that were last read open.
type shelf struct {
	files []file
	most  int64
	open  []shelved // the last used first
}

type shelved struct {
	file    int32
	content *content
}

func (s *shelf) take(i int32) (*content, error) {
	for at, o := range s.open {
		if o.file == i {
			copy(s.open[1:at+1], s.open[:at])
			s.open[0] = o
			return o.content, nil
		}
	}
	c, err := open(s.files[i].path, s.most)
	if err != nil {
		return nil, err
	}
	if len(s.open) == maxOpen {
		last := s.open[maxOpen-1]
		s.open = s.open[:maxOpen-1]
		if err := last.content.close(); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	s.open = append([]shelved{{i, c}}, s.open...)
	return c, nil
}

func (s *shelf) close() error {
	var errs []error
	for _, o := range s.open {
		errs = append(errs, o.content.close())
	}
	s.open = nil
	return errors.Join(errs...)
}

// readAt reads n bytes at a place of a file, its obfuscation undone.
func (s *shelf) readAt(i int32, off int64, n int) ([]byte, error) {
	c, err := s.take(i)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := c.ReadAt(b, off); err != nil {
		return nil, fmt.Errorf("%s: byte %d: %w: %w", s.files[i].path, off, ErrDamaged, err)
	}
	if s.files[i].form == hidden {
		reveal(b, s.files[i].key, off)
	}
	return b, nil
}

// reveal undoes the obfuscation of bytes that stand at an offset of their file.
func reveal(b []byte, key [8]byte, off int64) {
	for i := range b {
		b[i] ^= key[(off+int64(i))%int64(len(key))]
	}
}
