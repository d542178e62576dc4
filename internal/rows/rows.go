// Package rows is the form in which a table source hands the rows of one block to its decoder.
//
// A raw block is the magic line "spoor rows 1\n" and then items, each a tag and its fields. A text is its length in
// bytes as a uvarint, then the bytes:
//
//	'F' text text    the rows that follow come from this file, under this header line
//	'R' uvarint text a row: the number of its line in the file (the header is in line 1), and the row as it stands there
//	'C' uvarint text a row that was longer than MaxRow: its first bytes
//
// A row is a CSV record without its line end; line breaks inside quoted fields are kept.
package rows

import (
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// MaxRow is the most bytes that a row may have. Longer ones are cut, and refused by the decoders.
const MaxRow = 64 << 10

const magic = "spoor rows 1\n"

// ErrRaw is returned for bytes which are not a raw block of rows.
var ErrRaw = errors.New("not a raw block of rows")

// A Row is one record of a table.
type Row struct {
	File   string // as it was named on opening
	Header string // the file's header line
	Line   int    // line of the file, from 1
	Text   string
	Cut    bool // Text is only the beginning
}

// Where is "file:line".
func (r Row) Where() string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

// A Block collects the rows of one block. The zero value is empty.
type Block struct {
	raw          []byte
	file, header string
}

// Add appends a row.
func (b *Block) Add(file, header string, line int, text string, cut bool) {
	if len(b.raw) == 0 {
		b.raw = append(b.raw, magic...)
	}
	if file != b.file || header != b.header || len(b.raw) == len(magic) {
		b.file, b.header = file, header
		b.raw = append(b.raw, 'F')
		b.raw = appendText(b.raw, file)
		b.raw = appendText(b.raw, header)
	}
	tag := byte('R')
	if cut {
		tag = 'C'
	}
	b.raw = binary.AppendUvarint(append(b.raw, tag), uint64(line))
	b.raw = appendText(b.raw, text)
}

func appendText(raw []byte, s string) []byte {
	return append(binary.AppendUvarint(raw, uint64(len(s))), s...)
}

// Len is the size of the raw block so far in bytes.
func (b *Block) Len() int { return len(b.raw) }

// Take returns the raw block, which the caller owns from then on, and empties b.
func (b *Block) Take() []byte {
	raw := slices.Clone(b.raw)
	b.raw, b.file, b.header = b.raw[:0], "", ""
	return raw
}

// All yields the rows of a raw block in order. It ends after the first error, which wraps ErrRaw.
func All(raw []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		s := string(raw) // once, so that every text is a part of it
		s, ok := strings.CutPrefix(s, magic)
		if !ok {
			yield(Row{}, fmt.Errorf("byte 0: %w", ErrRaw))
			return
		}
		r := reader{s: s}
		var row Row
		inFile := false
		for len(r.s) > 0 && !r.bad {
			tag := r.s[0]
			r.s = r.s[1:]
			switch {
			case tag == 'F':
				row.File, row.Header, inFile = r.text(), r.text(), true
			case (tag == 'R' || tag == 'C') && inFile:
				row.Line, row.Text, row.Cut = r.number(1<<62), r.text(), tag == 'C'
				if !r.bad && !yield(row, nil) {
					return
				}
			default:
				r.bad = true
			}
		}
		if r.bad {
			yield(Row{}, fmt.Errorf("byte %d of %d: %w", len(raw)-len(r.s), len(raw), ErrRaw))
		}
	}
}

// A reader takes fields off the front of s; bad is set at the first that is not whole.
type reader struct {
	s   string
	bad bool
}

func (r *reader) number(most uint64) int {
	var n uint64
	for i := range min(len(r.s), binary.MaxVarintLen64) {
		b := r.s[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.s = r.s[i+1:]
			if n > most || i == binary.MaxVarintLen64-1 {
				r.bad = true
				return 0
			}
			return int(n)
		}
	}
	r.bad = true
	return 0
}

func (r *reader) text() string {
	n := r.number(uint64(len(r.s)))
	if r.bad || n > len(r.s) {
		r.bad = true
		return ""
	}
	t := r.s[:n]
	r.s = r.s[n:]
	return t
}

// Split appends the fields of a CSV record to dst. The fast way is for records without quotes.
func Split(dst []string, record string) ([]string, error) {
	if strings.IndexByte(record, '"') < 0 {
		for {
			i := strings.IndexByte(record, ',')
			if i < 0 {
				return append(dst, record), nil
			}
			dst = append(dst, record[:i])
			record = record[i+1:]
		}
	}
	if IsOpen(record) {
		return dst, errors.New("quoted field: does not end")
	}
	r := csv.NewReader(strings.NewReader(record))
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	if err != nil {
		if pe, ok := errors.AsType[*csv.ParseError](err); ok {
			err = pe.Err
		}
		return dst, fmt.Errorf("quoted field: %w", err)
	}
	if _, err := r.Read(); err != io.EOF {
		return dst, errors.New("two records in one row")
	}
	return append(dst, fields...), nil
}

// IsOpen reports whether a record ends inside a quoted field, so that its next line belongs to it.
func IsOpen[T string | []byte](record T) bool {
	const (
		start = iota
		bare
		quoted
		closed
	)
	state := start
	for i := range len(record) {
		b := record[i]
		switch state {
		case quoted:
			if b == '"' {
				state = closed
			}
			continue
		case closed:
			if b == '"' {
				state = quoted
				continue
			}
		case start:
			if b == '"' {
				state = quoted
				continue
			}
		}
		state = bare
		if b == ',' {
			state = start
		}
	}
	return state == quoted
}

// Columns finds names in a header line, in any order and without regard to case: the place of each in the row, -1 for
// one that is not there. n is the number of columns in all. A needed column that is missing, and one of the names that
// stands twice, is an error.
func Columns(header string, needed, optional []string) (at []int, n int, err error) {
	fields, err := Split(nil, header)
	if err != nil {
		return nil, 0, fmt.Errorf("header: %w", err)
	}
	var missing []string
	for i, name := range slices.Concat(needed, optional) {
		place := -1
		for j, f := range fields {
			if !strings.EqualFold(strings.TrimSpace(f), name) {
				continue
			}
			if place >= 0 {
				return nil, 0, fmt.Errorf("header: column %s stands there twice", name)
			}
			place = j
		}
		if place < 0 && i < len(needed) {
			missing = append(missing, name)
		}
		at = append(at, place)
	}
	if missing != nil {
		return nil, 0, fmt.Errorf("header %.200q: no column %s", header, strings.Join(missing, ", "))
	}
	return at, len(fields), nil
}
