package etl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
)

// A row is one line of a table.
type row struct {
	file   int // of its table
	line   int // counted from 1
	text   []byte
	long   bool // text is only the beginning
	height uint64
	seq    int // place in the table
}

// A lines reader reads the rows of one file.
type lines struct {
	in      *packed.Reader
	r       *bufio.Reader
	most    int
	line    int
	columns []string // of a CSV file; nil for JSON lines
	key     string   // the column with the number of the block
	at      int      // its place in columns
}

// open opens a file of a table and reads its header line, if it has one.
func open(path, table string, most int) (*lines, error) {
	in, err := packed.Open(path)
	if err != nil {
		return nil, err
	}
	l := &lines{in: in, r: bufio.NewReaderSize(in, 256<<10), most: most, key: "block_number"}
	if table == "blocks" {
		l.key = "number"
	}
	if err := l.header(); err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func (l *lines) header() error {
	begin, err := l.r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(begin, []byte{0xef, 0xbb, 0xbf}) {
		if _, err := l.r.Discard(3); err != nil {
			return err
		}
		begin = begin[3:]
	}
	if trimmed := bytes.TrimLeft(begin, " \r\n\t"); len(trimmed) == 0 || trimmed[0] == '{' {
		return nil
	}
	text, long, err := l.next()
	if err != nil {
		return err
	}
	if long || len(text) > 64<<10 {
		return errors.New("line 1: the header is too long")
	}
	for _, c := range strings.Split(string(text), ",") {
		l.columns = append(l.columns, strings.ToLower(strings.Trim(strings.TrimSpace(c), `"`)))
	}
	if l.at = slices.Index(l.columns, l.key); l.at < 0 {
		return fmt.Errorf("line 1: the header has no column %s", l.key)
	}
	return nil
}

// next is the next line that is not empty, without its end; of one that is too long only the beginning. The end of the
// file is io.EOF.
func (l *lines) next() (text []byte, long bool, err error) {
	for {
		l.line++
		text, long = nil, false
		for {
			part, err := l.r.ReadSlice('\n')
			if !long {
				if len(text)+len(part) > l.most {
					long, part = true, part[:max(0, min(len(part), 1000-len(text)))]
				}
				text = append(text, part...)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil && (!errors.Is(err, io.EOF) || len(text) == 0) {
				return nil, false, err
			}
			break
		}
		if long {
			return slices.Clip(text[:min(len(text), 1000)]), true, nil
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			return slices.Clip(text), false, nil
		}
	}
}

// facts are what a row says about its block.
type facts struct {
	Number      scalar `json:"number"`
	BlockNumber scalar `json:"block_number"`
	Hash        scalar `json:"hash"`
	BlockHash   scalar `json:"block_hash"`
	ParentHash  scalar `json:"parent_hash"`
	Timestamp   scalar `json:"timestamp"`
	BlockTime   scalar `json:"block_timestamp"`
}

// A scalar is the text of a JSON string or number, "" for anything else.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '{' && b[0] != '[' && string(b) != "null" {
		*s = scalar(strings.Trim(string(b), `"`))
	}
	return nil
}

// height is the number of a row's block; ok is false for a row that does not say it.
func (l *lines) height(text []byte) (uint64, bool) {
	if l.columns != nil {
		return number(field(text, l.at))
	}
	var f facts
	if json.Unmarshal(text, &f) != nil {
		return 0, false
	}
	if l.key == "number" {
		return number(string(f.Number))
	}
	return number(string(f.BlockNumber))
}

func number(s string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 63)
	return n, err == nil
}

// point is what a row of that file says about its block besides the height; zero where it does not.
func point(table string, columns []string, text []byte) (p flow.Point, parent flow.Hash) {
	var f facts
	if columns == nil {
		if json.Unmarshal(text, &f) != nil {
			return p, parent
		}
	} else {
		for i, c := range columns {
			for name, to := range map[string]*scalar{"hash": &f.Hash, "block_hash": &f.BlockHash, "parent_hash": &f.ParentHash,
				"timestamp": &f.Timestamp, "block_timestamp": &f.BlockTime} {
				if c == name {
					*to = scalar(field(text, i))
				}
			}
		}
	}
	hash, at := f.BlockHash, f.BlockTime
	if table == "blocks" {
		hash, at = f.Hash, f.Timestamp
	}
	if h, err := flow.ParseHash(string(hash)); err == nil {
		p.Hash = h
	}
	if h, err := flow.ParseHash(string(f.ParentHash)); err == nil && table == "blocks" {
		parent = h
	}
	if n, ok := number(string(at)); ok {
		p.Time = int64(n)
	} else if t, err := time.Parse("2006-01-02 15:04:05 MST", string(at)); err == nil {
		p.Time = t.Unix()
	}
	return p, parent
}

// field is the i-th field of a CSV record, with its quotes taken off; "" if there is none.
func field(record []byte, i int) string {
	quoted, from := false, 0
	for at := 0; at <= len(record); at++ {
		switch {
		case at < len(record) && record[at] == '"':
			quoted = !quoted
		case at == len(record) || record[at] == ',' && !quoted:
			if i == 0 {
				f := record[from:at]
				if len(f) >= 2 && f[0] == '"' && f[len(f)-1] == '"' {
					f = bytes.ReplaceAll(f[1:len(f)-1], []byte(`""`), []byte(`"`))
				}
				return string(f)
			}
			i--
			from = at + 1
		}
	}
	return ""
}
