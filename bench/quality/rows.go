package quality

import (
	"encoding/csv"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
)

// Bounds of what is read from outside: the truth is kept in memory.
const (
	maxRows     = 5_000_000
	maxRowBytes = 1 << 20
)

// pathOf finds a file of a folder, plain or compressed. Errors: fs.ErrNotExist.
func pathOf(dir, name string) (string, error) {
	for _, n := range []string{name, name + ".gz", name + ".zst"} {
		path := filepath.Join(dir, n)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", &fs.PathError{Op: "open", Path: filepath.Join(dir, name), Err: fs.ErrNotExist}
}

// open opens a file of a folder, plain or compressed. Errors: fs.ErrNotExist.
func open(dir, name string) (*packed.Reader, string, error) {
	path, err := pathOf(dir, name)
	if err != nil {
		return nil, "", err
	}
	r, err := packed.Open(path)
	return r, path, err
}

// isThere reports whether a folder has such a file, plain or compressed.
func isThere(dir, name string) bool {
	_, err := pathOf(dir, name)
	return err == nil
}

// A row is one record of a CSV file whose fields are found by name.
type row struct {
	column map[string]int
	fields []string
}

// text is a field without the blanks around it, "" where the file has no such column.
func (r row) text(name string) string {
	if i, ok := r.column[name]; ok && i < len(r.fields) {
		return strings.TrimSpace(r.fields[i])
	}
	return ""
}

func (r row) yes(name string) (bool, error) {
	switch s := r.text(name); s {
	case "1", "true":
		return true, nil
	case "0", "false", "":
		return false, nil
	default:
		return false, fmt.Errorf("%s %.40q: write 1 or 0", name, s)
	}
}

// transfer reads the columns tx_hash and log_index.
func (r row) transfer() (id TransferID, err error) {
	if id.Tx, err = flow.ParseHash(r.text("tx_hash")); err != nil {
		return id, fmt.Errorf("tx_hash: %w", err)
	}
	n, err := strconv.ParseUint(r.text("log_index"), 10, 32)
	if err != nil {
		return id, fmt.Errorf("log_index %.40q: not a number", r.text("log_index"))
	}
	id.Index = uint32(n)
	return id, nil
}

// readFile reads a CSV file of a folder row by row, plain or compressed.
func readFile(dir, name string, columns []string, visit func(row) error) error {
	f, path, err := open(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	return readRows(path, f, columns, visit)
}

// readRows reads a CSV with a header that has these columns and others. Errors name the line.
func readRows(name string, in io.Reader, columns []string, visit func(row) error) error {
	limited := &rowLimit{r: in, left: maxRowBytes}
	c := csv.NewReader(limited)
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	header, err := c.Read()
	if err != nil {
		return fmt.Errorf("%s: header: %w", name, err)
	}
	r := row{column: map[string]int{}}
	for i, h := range header {
		r.column[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))] = i
	}
	for _, want := range columns {
		if _, ok := r.column[want]; !ok {
			return fmt.Errorf("%s: the header has no column %q", name, want)
		}
	}
	for n := 0; ; n++ {
		limited.left = maxRowBytes
		r.fields, err = c.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n == maxRows {
			return fmt.Errorf("%s: more than %d rows", name, maxRows)
		}
		if err := visit(r); err != nil {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("%s: line %d: %w", name, line, err)
		}
	}
}

// A rowLimit is a reader that gives out no more than left bytes, which is filled up before each row.
type rowLimit struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (l *rowLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("a row of more than %d bytes: a quote that does not end?", maxRowBytes)
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
