package etl

import (
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// A row is the cells of one line by column. The first cell that cannot be read is kept as the reason to refuse the row.
type row struct {
	chain flow.Chain
	cells map[string]string
	err   error
}

// parse reads a line: a CSV record if there are columns, else a JSON object.
func parse(columns []string, text string) (map[string]string, error) {
	cells := make(map[string]string, len(columns))
	if len(columns) == 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			return nil, err
		}
		for name, v := range object {
			switch {
			case string(v) == "null":
			case v[0] == '"':
				var s string
				if err := json.Unmarshal(v, &s); err != nil {
					return nil, err
				}
				cells[name] = s
			default:
				cells[name] = string(v)
			}
		}
		return cells, nil
	}
	record := strings.Split(text, ",")
	if strings.Contains(text, `"`) {
		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = -1
		var err error
		if record, err = r.Read(); err != nil {
			return nil, err
		}
	}
	if len(record) != len(columns) {
		return nil, fmt.Errorf("%d columns, the header has %d", len(record), len(columns))
	}
	for i, c := range columns {
		cells[c] = strings.TrimSpace(record[i])
	}
	return cells, nil
}

func (r *row) fail(column string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", column, err)
	}
}

var errEmpty = errors.New("it is empty")

// number is a cell that holds a number of at most 64 bits; nil if it is empty.
func (r *row) number(column string) *uint64 {
	s := r.cells[column]
	if s == "" {
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		r.fail(column, err)
		return nil
	}
	return &n
}

// place is a cell that must hold a number of at most 31 bits.
func (r *row) place(column string) uint32 {
	n := r.number(column)
	switch {
	case n == nil:
		r.fail(column, errEmpty)
		return 0
	case *n >= 1<<31:
		r.fail(column, fmt.Errorf("%d is too large", *n))
		return 0
	}
	return uint32(*n)
}

// amount is a cell that holds an amount; nil if it is empty.
func (r *row) amount(column string) *flow.Amount {
	s := r.cells[column]
	if s == "" {
		return nil
	}
	v, err := flow.ParseAmount(s)
	if err != nil {
		r.fail(column, err)
		return nil
	}
	return &v
}

// needAmount is an amount that must be there.
func (r *row) needAmount(column string) flow.Amount {
	v := r.amount(column)
	if v == nil {
		r.fail(column, errEmpty)
		return flow.Amount{}
	}
	return *v
}

// address is a cell that holds an address; nil if it is empty.
func (r *row) address(column string) *execution.Address {
	s := r.cells[column]
	if s == "" {
		return nil
	}
	a, err := flow.ParseAccountOn(r.chain, s)
	if err != nil {
		r.fail(column, err)
		return nil
	}
	b, _ := a.EVMAddress()
	return &b
}

// needAddress is an address that must be there.
func (r *row) needAddress(column string) execution.Address {
	a := r.address(column)
	if a == nil {
		r.fail(column, errEmpty)
		return execution.Address{}
	}
	return *a
}

// hash is a cell that holds 32 bytes; zero if it is empty.
func (r *row) hash(column string) flow.Hash {
	s := r.cells[column]
	if s == "" {
		return flow.Hash{}
	}
	h, err := flow.ParseHash(s)
	if err != nil {
		r.fail(column, err)
	}
	return h
}

// needHash is a hash that must be there.
func (r *row) needHash(column string) flow.Hash {
	h := r.hash(column)
	if h.IsZero() {
		r.fail(column, errEmpty)
	}
	return h
}

// bytes is a cell that holds bytes after 0x; nil if it is empty.
func (r *row) bytes(column string) []byte {
	s := r.cells[column]
	if s == "" {
		return nil
	}
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		r.fail(column, errors.New("bytes begin with 0x"))
		return nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		r.fail(column, err)
		return nil
	}
	return append([]byte{}, b...)
}

// list is a cell that holds several texts: a JSON array, or texts with commas between them.
func (r *row) list(column string) []string {
	s := r.cells[column]
	switch {
	case s == "":
		return nil
	case s[0] != '[':
		return strings.Split(s, ",")
	}
	var elements []json.RawMessage
	if err := json.Unmarshal([]byte(s), &elements); err != nil {
		r.fail(column, err)
		return nil
	}
	out := make([]string, len(elements))
	for i, e := range elements {
		out[i] = strings.Trim(string(e), `"`)
	}
	return out
}
