// Package table decodes the rows of CSV tables of transfers: every row that can be read is a movement, and every other
// becomes a note.
package table

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rows"
)

// A Decoder reads the raw blocks of source/table, in one of its forms.
type Decoder struct {
	chain flow.Chain
	heist bool
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
	b := newBuilder(d.chain, at, parent)
	var header string
	var err error
	var read func(*builder, rows.Row) error
	for r, rowErr := range rows.All(raw) {
		if rowErr != nil {
			return flow.Block{}, fmt.Errorf("%s: %w", at, rowErr)
		}
		if read == nil || r.Header != header {
			header = r.Header
			if d.heist {
				read, err = heistReader(header)
			} else {
				read, err = transferReader(header)
			}
			if err != nil {
				return flow.Block{}, fmt.Errorf("%s: %s:1: %w", at, r.File, err)
			}
		}
		err := errCut
		if !r.Cut {
			err = read(b, r)
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
