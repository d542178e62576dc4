package bitcoin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spoor-dev/spoor/internal/packed"
)

const (
	// maxInMemory is how much of an unpacked file is kept in memory; a larger one goes to a temporary file.
	maxInMemory = 16 << 20
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
	p, err := packed.Open(path)
	if err != nil {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: cannot be unpacked from byte 0 on: %w", ErrDamaged, err)
	}
	defer p.Close()
	if p.IsPacked() {
		c, err := spill(p, most)
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w", path, err)
		}
		return c, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &content{ReaderAt: f, size: info.Size(), close: f.Close}, nil
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
	p, err := packed.Open(path)
	if err != nil {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			return nil, err
		}
		return nil, nil
	}
	defer p.Close()
	head := make([]byte, frameHead+headerSize)
	n, _ := io.ReadFull(p, head)
	return head[:n], nil
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
