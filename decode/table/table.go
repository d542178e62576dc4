// Package table decodes the rows of CSV tables of transfers: every row that can be read is a movement, and every other
// becomes a note.
package table

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rows"
)

// A Decoder reads the raw blocks of source/table, in one of its forms.
type Decoder struct {
	chain flow.Chain
	heist bool
	last  atomic.Pointer[reader] // most blocks have the header of the one before
}

// A reader reads the rows under one header line.
type reader struct {
	header string
	read   func(*builder, rows.Row) error
}

var _ decode.Decoder = (*Decoder)(nil)

// NewTransfers is the decoder of the form transfers-csv on chain c.
func NewTransfers(c flow.Chain) *Decoder { return &Decoder{chain: c} }

// NewHeist is the decoder of the form heist-csv on chain c, an EVM chain; Ethereum if c is zero.
func NewHeist(c flow.Chain) *Decoder {
	if c.IsZero() {
		c = flow.Ethereum
	}
	return &Decoder{chain: c, heist: true}
}

// ErrBlock is returned for a raw block whose rows say that they belong to another block or chain.
var ErrBlock = errors.New("row of another block")

// Decode reads the rows of one block. Rows group into transactions by hash, in the order in which the transactions first
// appear. Coverage stays empty, because a table cannot say what it left out.
func (d *Decoder) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	if at.Chain != d.chain {
		return flow.Block{}, fmt.Errorf("%s given to the decoder of %s: %w", at, d.chain, ErrBlock)
	}
	b := newBuilder(d.chain, at, parent, len(raw))
	form := d.last.Load()
	for r, err := range rows.All(raw) {
		if err != nil {
			return flow.Block{}, fmt.Errorf("%s: %w", at, err)
		}
		if form == nil || r.Header != form.header {
			if form, err = d.reader(r.Header); err != nil {
				return flow.Block{}, fmt.Errorf("%s: %s:1: %w", at, r.File, err)
			}
		}
		if err = errCut; !r.Cut {
			err = form.read(b, r)
		}
		switch {
		case errors.Is(err, ErrBlock):
			return flow.Block{}, fmt.Errorf("%s: %s: %w", at, r.Where(), err)
		case err != nil:
			b.refuse(r, err)
		}
	}
	if d.heist {
		b.settleHeist()
	}
	return b.finish(), nil
}

func (d *Decoder) reader(header string) (*reader, error) {
	form := &reader{header: strings.Clone(header)}
	var err error
	if d.heist {
		form.read, err = heistReader(form.header)
	} else {
		form.read, err = transferReader(form.header)
	}
	if err != nil {
		return nil, err
	}
	d.last.Store(form)
	return form, nil
}

var (
	errCut    = fmt.Errorf("longer than %d bytes", rows.MaxRow)
	errNumber = errors.New("not a whole number")
)

// fieldError says which column could not be read.
func fieldError(name, value string, err error) error {
	if strings.Contains(err.Error(), strconv.Quote(value)) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s %.100q: %w", name, value, err)
}

func parseUint(name, value string, bits int) (uint64, error) {
	if value == "" || value[0] == '+' {
		return 0, fieldError(name, value, errNumber)
	}
	n, err := strconv.ParseUint(value, 10, bits)
	if err != nil {
		return 0, fieldError(name, value, errNumber)
	}
	return n, nil
}
