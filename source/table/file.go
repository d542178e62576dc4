package table

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/spoor-dev/spoor/internal/packed"
	"github.com/spoor-dev/spoor/internal/rows"
)

// A file is an open table behind its header line.
type file struct {
	path   string
	header string
	packed *packed.Reader
	r      *bufio.Reader
	line   int // of the last line read
	buf    []byte
}

// openFile opens a table, packed or not, and reads the header.
func openFile(path string) (*file, error) {
	packed, err := packed.Open(path)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, packed: packed, r: bufio.NewReaderSize(packed, 64<<10)}
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
		f.packed.Close()
		return nil, err
	}
	f.header = string(text)
	return f, nil
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
	f, err := openFile(path)
	if err != nil {
		return yield(nil, err) && false
	}
	defer f.packed.Close()
	before := s.read.Load()
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
		if n%1024 == 0 || err != nil {
			s.read.Store(before + f.packed.Taken())
		}
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
