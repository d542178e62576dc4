// Package text decodes the blocks of chains that are written down by hand; docs/formats/text-chain.md is the form.
package text

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/flow"
)

// ErrSyntax is returned for bytes that are not a block of a text chain.
var ErrSyntax = errors.New("not a block of a text chain")

// A Decoder reads the blocks that source/text yields. See decode.Decoder.
type Decoder struct{}

// New is a Decoder.
func New() *Decoder { return &Decoder{} }

// saw is what a text chain covers unless it says otherwise: all that moved is written down.
const saw = flow.SawLogs | flow.SawTraces | flow.SawFees | flow.SawRewards

// maxRaw is how much of a refused row a note keeps, in bytes.
const maxRaw = 1000

// Decode reads one block: a line with line number and file name, then the block's lines as they are in the file. Rows
// that cannot be read become notes.
func (*Decoder) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	head, lines, ok := bytes.Cut(raw, []byte("\n"))
	number, file, _ := strings.Cut(string(head), " ")
	line, err := strconv.Atoi(number)
	if !ok || err != nil || line < 0 {
		return flow.Block{}, fmt.Errorf("%.80q: %w: want a line number and a file name", head, ErrSyntax)
	}
	b := builder{file: file, line: line, block: flow.Block{Point: at, Parent: parent, Coverage: saw}, names: map[flow.Hash]bool{}}
	for text := range strings.Lines(string(lines)) {
		text = strings.TrimRight(text, "\r\n")
		bare := withoutComment(text)
		if b.name == "" {
			if err := b.open(strings.Fields(bare)); err != nil {
				return flow.Block{}, fmt.Errorf("%s: %w: %w", b.where(), ErrSyntax, err)
			}
		} else if words := strings.Fields(strings.ReplaceAll(bare, ",", " ")); len(words) > 0 {
			if err := b.take(words); err != nil {
				b.refuse(text, err)
			}
		}
		b.line++
	}
	if b.name == "" {
		return flow.Block{}, fmt.Errorf("%s: %w: no block line", b.where(), ErrSyntax)
	}
	return b.block, nil
}

// A builder makes one block from its lines.
type builder struct {
	file  string
	line  int
	name  string // of the block
	block flow.Block
	next  uint64             // the index of the next transaction
	names map[flow.Hash]bool // of the block's transactions
	group bool               // the rows belong to the last transaction of block
	lost  bool               // the rows belong to a transaction that was refused
}

func (b *builder) where() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// refuse notes a line that could not be read.
func (b *builder) refuse(text string, err error) {
	b.block.Notes = append(b.block.Notes, flow.Note{Kind: flow.Quarantined, Where: b.where(), Reason: sentence(err), Raw: text[:min(len(text), maxRaw)]})
}

func sentence(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// open reads the block line, which must agree with what the source said.
func (b *builder) open(words []string) error {
	if len(words) < 3 || words[0] != "block" {
		return errors.New("want a block line")
	}
	at := b.block.Point
	if words[1] != strconv.FormatUint(at.Height, 10) || hashOf(words[2]) != at.Hash {
		return fmt.Errorf("%.80q is not %s", strings.Join(words[:3], " "), at)
	}
	b.name = words[2]
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "time":
			if t, err := parseTime(value); err != nil || t != at.Time {
				return fmt.Errorf("%.80q is not the block's time %d", w, at.Time)
			}
		case "parent":
			if hashOf(value) != b.block.Parent {
				return fmt.Errorf("%.80q is not the block's parent %s", w, b.block.Parent)
			}
		case "coverage":
			if err := b.cover(strings.Split(value, ",")); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown word %.80q", w)
		}
	}
	return nil
}

// cover sets the coverage from the names of its bits; "none" is no bit.
func (b *builder) cover(names []string) error {
	b.block.Coverage = 0
	for _, name := range names {
		i := slices.Index((flow.Coverage(1<<16 - 1)).Names(), name)
		switch {
		case i >= 0:
			b.block.Coverage |= 1 << i
		case name != "none":
			return fmt.Errorf("unknown coverage %.40q", name)
		}
	}
	return nil
}

// take reads a tx line or a row.
func (b *builder) take(words []string) error {
	if words[0] == "tx" {
		return b.tx(words[1:])
	}
	if name, ok := strings.CutSuffix(words[0], ":"); ok && name != "" {
		b.group, b.lost = false, false
		return b.alone(name, words[1:])
	}
	if b.lost {
		return errors.New("its transaction was refused")
	}
	if isEvent(words) {
		return b.event(words[1:])
	}
	if !b.group {
		return b.alone(fmt.Sprintf("%s/%d", b.name, b.next), words)
	}
	m, err := b.row(words)
	if err != nil {
		return err
	}
	return b.join(m)
}

// alone reads a row that is a transaction of its own. One that is refused keeps its index, so that the names of the rows
// behind it stay what they are.
func (b *builder) alone(name string, words []string) error {
	m, err := b.row(words)
	if err == nil {
		err = b.begin(name, hashOf(name), flow.Tx{Movements: []flow.Movement{m}})
	}
	if err != nil {
		b.next++
	}
	return err
}

// tx reads "tx NAME [index=N] [failed]", or "tx -" after which every row is its own transaction again.
func (b *builder) tx(words []string) error {
	b.group, b.lost = false, true
	if len(words) == 0 {
		return errors.New("a tx line has a name")
	}
	if words[0] == "-" && len(words) == 1 {
		b.lost = false
		return nil
	}
	var tx flow.Tx
	for _, w := range words[1:] {
		number, isIndex := strings.CutPrefix(w, "index=")
		switch {
		case w == "failed":
			tx.Failed = true
		case isIndex:
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil || n < b.next {
				return fmt.Errorf("%.40q is not a number from %d on", w, b.next)
			}
			b.next = n
		default:
			return fmt.Errorf("unknown word %.40q", w)
		}
	}
	if err := b.begin(words[0], hashOf(words[0]), tx); err != nil {
		return err
	}
	b.group, b.lost = true, false
	return nil
}

// begin puts a transaction behind the others.
func (b *builder) begin(name string, id flow.Hash, tx flow.Tx) error {
	switch {
	case !id.IsZero() && b.names[id]:
		return fmt.Errorf("the block has a transaction %.80q already", name)
	case b.next > 1<<32-1:
		return errors.New("too many transactions")
	}
	b.names[id] = true
	tx.ID, tx.Point, tx.Index = id, b.block.Point, uint32(b.next)
	b.block.Txs = append(b.block.Txs, tx)
	b.next++
	return nil
}

// join adds a movement to the last transaction.
func (b *builder) join(m flow.Movement) error {
	tx := &b.block.Txs[len(b.block.Txs)-1]
	switch {
	case tx.Failed && m.Kind != flow.Fee:
		return errors.New("a transaction that failed moved nothing but its fee")
	case b.block.Point.Chain.IsUTXO() && len(tx.Movements) > 0:
		return errors.New("on a UTXO chain a transaction has one row")
	}
	tx.Movements = append(tx.Movements, m)
	return nil
}

// withoutComment cuts a line at the first # that stands at its beginning or after a space.
func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// hashOf is the hash that a name stands for: 64 hexadecimal digits are themselves, anything else its sha256.
func hashOf(name string) flow.Hash {
	if h, err := flow.ParseHash(name); err == nil {
		return h
	}
	return sha256.Sum256([]byte(name))
}

// parseTime reads seconds since 1970, or a time as RFC 3339 writes it.
func parseTime(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 63); err == nil && n >= 0 {
		return n, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.Unix(), err
}
