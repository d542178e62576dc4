package table

import (
	"fmt"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rows"
)

const (
	maxNotes   = 1000 // of one block; one more says how many there would have been
	maxNoteRaw = 1000 // bytes of a refused row
)

// A builder collects the transactions and notes of one block.
type builder struct {
	chain  flow.Chain
	native flow.Asset
	block  flow.Block
	txs    map[flow.Hash]int // place in block.Txs
	assets map[string]flow.Asset
	fields []string
	notes  int               // also those beyond maxNotes
	heist  []heistTx         // beside block.Txs
	seen   map[string]string // heist: the fields of a row -> where it stands
	last   indexed           // transfers: the last row that was taken
	same   map[string]string // transfers: the rows of the last log_index, if more than one -> where they stand
}

// rowBytes is about what a row takes in a raw block.
const rowBytes = 220

func newBuilder(c flow.Chain, at flow.Point, parent flow.Hash, raw int) *builder {
	return &builder{chain: c, native: c.Native(), block: flow.Block{Point: at, Parent: parent, Txs: make([]flow.Tx, 0, min(raw/rowBytes+1, 4096))}, assets: map[string]flow.Asset{}}
}

// scanTxs is how many transactions are looked through one by one; with more, txs is built.
const scanTxs = 32

// tx is the place of the transaction with that hash, which is put on if it is new. Mostly it is the last.
func (b *builder) tx(id flow.Hash) int {
	n := len(b.block.Txs)
	if n <= scanTxs {
		for i := n - 1; i >= 0; i-- {
			if b.block.Txs[i].ID == id {
				return i
			}
		}
	} else if i, ok := b.txs[id]; ok {
		return i
	}
	b.block.Txs = append(b.block.Txs, flow.Tx{ID: id, Point: b.block.Point, Index: uint32(n)})
	switch {
	case n == scanTxs:
		b.txs = make(map[flow.Hash]int, 4*scanTxs)
		for i, t := range b.block.Txs {
			b.txs[t.ID] = i
		}
	case n > scanTxs:
		b.txs[id] = n
	}
	return n
}

// refuse notes a row that moved nothing.
func (b *builder) refuse(r rows.Row, reason error) { b.note(flow.Quarantined, r, reason) }

func (b *builder) note(kind flow.NoteKind, r rows.Row, reason error) {
	if b.notes++; b.notes > maxNotes {
		return
	}
	raw := r.Text
	if len(raw) > maxNoteRaw {
		raw = raw[:maxNoteRaw]
	}
	b.block.Notes = append(b.block.Notes, flow.Note{
		Kind: kind, Where: r.Where(), Reason: strings.ToValidUTF8(reason.Error(), "\uFFFD"), Raw: strings.ToValidUTF8(raw, "?"),
	})
}

func (b *builder) finish() flow.Block {
	if len(b.block.Txs) == 0 {
		b.block.Txs = nil
	}
	if more := b.notes - maxNotes; more > 0 {
		b.block.Notes = append(b.block.Notes, flow.Note{
			Kind: flow.Quarantined, Where: b.block.Point.String(), Reason: fmt.Sprintf("%d more rows of this block were refused or are not whole", more),
		})
	}
	return b.block
}

// checkBlock compares what a row says about its block with what the source said.
func (b *builder) checkBlock(number, seconds string) error {
	height, err := parseUint("block number", number, 64)
	if err != nil {
		return err
	}
	if height != b.block.Point.Height {
		return fmt.Errorf("block number %d in block %d: %w", height, b.block.Point.Height, ErrBlock)
	}
	if seconds == "" {
		return nil
	}
	t, err := parseUint("timestamp", seconds, 62)
	if err != nil {
		return err
	}
	if now := b.block.Point.Time; now != 0 && t != 0 && int64(t) != now {
		return fmt.Errorf("timestamp %d, but other rows of the block say %d", t, now)
	}
	return nil
}

func (b *builder) split(r rows.Row, columns int) ([]string, error) {
	fields, err := rows.Split(b.fields[:0], r.Text)
	b.fields = fields
	if err != nil {
		return nil, err
	}
	if len(fields) != columns {
		return nil, fmt.Errorf("%d fields, but the header has %d", len(fields), columns)
	}
	for i, f := range fields {
		fields[i] = strings.TrimSpace(f)
	}
	return fields, nil
}

// account reads an address. Most are lower-case hexadecimal, which needs no checksum.
func (b *builder) account(name, s string) (flow.Account, error) {
	if b.chain.IsEVM() {
		if raw, ok := lowerHexAddress(s); ok {
			return flow.EVMAccount(b.chain, raw), nil
		}
	}
	a, err := flow.ParseAccountOn(b.chain, s)
	if err != nil && strings.Contains(s, ":") {
		a, err = flow.ParseAccount(s)
		if err == nil && a.Chain() != b.chain {
			err = fmt.Errorf("is on %s, the row on %s", a.Chain(), b.chain)
		}
	}
	if err != nil {
		return flow.Account{}, fieldError(name, s, err)
	}
	return a, nil
}

func lowerHexAddress(s string) (raw [20]byte, ok bool) {
	if len(s) != 42 || s[0] != '0' || s[1] != 'x' {
		return raw, false
	}
	for i := range raw {
		hi, lo := hexDigit(s[2+2*i]), hexDigit(s[3+2*i])
		if hi > 15 || lo > 15 {
			return raw, false
		}
		raw[i] = hi<<4 | lo
	}
	return raw, true
}

// hexDigit is the value of a lower-case hexadecimal digit, 255 for anything else.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// isNobody reports whether a is the zero address, from which tokens are issued and to which they are burned.
func isNobody(a flow.Account) bool {
	if raw, ok := a.EVMAddress(); ok {
		return raw == [20]byte{}
	}
	return a.Chain().Namespace() == "tron" && strings.Count(a.Key()[1:], "\x00") == 20
}
