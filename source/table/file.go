package table

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/spoor-dev/spoor/internal/rows"
)

// A file is an open table behind its header line.
type file struct {
	path   string
	header string
	close  func()
	r      *bufio.Reader
	line   int // of the last line read
	buf    []byte
}

// A counter counts the bytes that pass, for Sizer.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// openFile opens a table, unpacks it by what its first bytes say, and reads the header. count, if any, is raised by
// every byte of the stored file.
func openFile(path string, count *atomic.Int64) (*file, error) {
	raw, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if count == nil {
		count = new(atomic.Int64)
	}
	unpacked, stop, err := unpack(bufio.NewReaderSize(counter{raw, count}, 64<<10))
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &file{path: path, r: bufio.NewReaderSize(unpacked, 64<<10)}
	f.close = func() { stop(); raw.Close() }
	if bom, _ := f.r.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		f.r.Discard(3)
	}
	text, _, cut, err := f.next()
	switch {
	case err == io.EOF:
		err = fmt.Errorf("%s: no header line", path)
	case err == nil && cut:
		err = fmt.Errorf("%s:1: header line longer than %d bytes", path, rows.MaxRow)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	f.header = string(text)
	return f, nil
}

// unpack tells the compression by its magic bytes. stop frees what the reader holds.
func unpack(r *bufio.Reader) (unpacked io.Reader, stop func(), err error) {
	nothing := func() {}
	magic, _ := r.Peek(6)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return z, nothing, err
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nothing, err
		}
		return z, z.Close, nil
	case bytes.Equal(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		z, err := xz.NewReader(r)
		return z, nothing, err
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(r), nothing, nil
	}
	return r, nothing, nil
}

// next reads one record: a line, or several where a quoted field holds line breaks. text is good until the next call;
// line is the record's first. A record longer than rows.MaxRow is cut. At the end the error is io.EOF.
func (f *file) next() (text []byte, line int, cut bool, err error) {
	for {
		text, cut, err = f.readLine(f.buf[:0])
		if err != nil {
			return nil, 0, false, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			break
		}
	}
	line = f.line
	for !cut && bytes.IndexByte(text, '"') >= 0 && rows.IsOpen(text) {
		text, cut, err = f.readLine(append(text, '\n'))
		if err == io.EOF || cut {
			return nil, 0, false, fmt.Errorf("%s:%d: a quoted field that begins here does not end within %d bytes", f.path, line, rows.MaxRow)
		}
		if err != nil {
			return nil, 0, false, err
		}
	}
	f.buf = text
	return text, line, cut, nil
}

// readLine appends the next line to text, without its end. What goes beyond rows.MaxRow is dropped, and cut set.
func (f *file) readLine(text []byte) (line []byte, cut bool, err error) {
	start := len(text)
	for {
		part, err := f.r.ReadSlice('\n')
		if room := rows.MaxRow + 2 - len(text); len(part) > room {
			part, cut = part[:room], true
		}
		text = append(text, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(text) == start:
			return nil, false, io.EOF
		case err != nil && err != io.EOF:
			return nil, false, fmt.Errorf("%s:%d: %w", f.path, f.line+1, err)
		}
		f.line++
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if cut = cut || len(text) > rows.MaxRow; cut {
			text = text[:rows.MaxRow]
		}
		return text, cut, nil
	}
}

// A record is one row as the source sees it: its place in the file, and its fields where it has as many as the header.
type record struct {
	f      *file
	line   int
	text   string
	cut    bool
	fields []string // nil if the row cannot be split as the header says; good until the next record
}

// records yields the records of all tables in order. each is called with every file before its first record.
func (s *Source) records(ctx context.Context, each func(*file) (columns int, err error)) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		for _, p := range s.paths {
			if !s.recordsOf(ctx, p, each, yield) {
				return
			}
		}
	}
}

func (s *Source) recordsOf(ctx context.Context, path string, each func(*file) (int, error), yield func(*record, error) bool) bool {
	f, err := openFile(path, &s.read)
	if err != nil {
		return yield(nil, err) && false
	}
	defer f.close()
	columns, err := each(f)
	if err != nil {
		return yield(nil, fmt.Errorf("%s:1: %w", path, err)) && false
	}
	var fields []string
	r := record{f: f}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return yield(nil, ctx.Err()) && false
		}
		text, line, cut, err := f.next()
		if err == io.EOF {
			return true
		}
		if err != nil {
			return yield(nil, err) && false
		}
		r.line, r.text, r.cut, r.fields = line, string(text), cut, nil
		if !cut {
			if fields, err = rows.Split(fields[:0], r.text); err == nil && len(fields) == columns {
				r.fields = fields
			}
		}
		if !yield(&r, nil) {
			return false
		}
	}
}
