// Package etl decodes the rows of ethereum-etl's tables, block by block.
package etl

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// ErrRoot is returned for a block whose rows are not what its own hashes say: rows were changed, or are missing.
var ErrRoot = errors.New("the block contradicts its own hash")

// A Decoder decodes the blocks of one EVM chain. It is pure and safe for several goroutines.
type Decoder struct {
	rules execution.Rules
}

// New is the decoder of an EVM chain. It panics on any other chain.
func New(c flow.Chain) *Decoder { return &Decoder{execution.RulesOf(c)} }

// rawBlock is the raw form of a block: the rows of each file that are of this block, as they stand there.
type rawBlock struct {
	Number uint64   `json:"number"`
	Tables []string `json:"tables"` // that the source has, also where they hold nothing of this block
	Files  []struct {
		Table   string   `json:"table"`
		File    string   `json:"file"`
		Columns []string `json:"columns"` // of CSV; rows without columns are JSON objects
		Rows    []struct {
			Line int    `json:"line"`
			Text string `json:"text"`
			Long bool   `json:"long"` // text is only the beginning
		} `json:"rows"`
	} `json:"files"`
}

// Decode reads the rows of one block, as docs/formats/input-ethereum-etl.md says. A row that is refused becomes a note.
// Where the tables hold what is needed, the logs bloom and the receipts root are recomputed; errors wrap ErrRoot.
func (d *Decoder) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	b := &builder{rules: d.rules, index: map[flow.Hash]*transaction{}, refused: map[string]int{}, seen: map[string]bool{}}
	if err := json.Unmarshal(raw, &b.in); err != nil {
		return flow.Block{}, fmt.Errorf("block %d: rows: %w", at.Height, err)
	}
	if err := b.build(at, parent); err != nil {
		return flow.Block{}, fmt.Errorf("block %d: %w", at.Height, err)
	}
	return b.out, nil
}

// A builder makes one block.
type builder struct {
	rules    execution.Rules
	in       rawBlock
	out      flow.Block
	head     *head // the row of table blocks
	txs      []*transaction
	index    map[flow.Hash]*transaction
	refused  map[string]int  // rows, by table
	seen     map[string]bool // what must be there only once
	own      []flow.Movement // of the block itself
	rewarded bool
	partial  bool // a trace did not say all that it should
	odd      int
}

// head is what the block itself says.
type head struct {
	bloom    []byte
	receipts flow.Hash
	miner    *execution.Address
	base     *flow.Amount
	count    *uint64 // of transactions
	staked   bool
}

// A transaction is everything that the tables say about one.
type transaction struct {
	id       flow.Hash
	index    uint32
	hasIndex bool
	tx       execution.Tx
	whole    bool // it has a row of its own
	kind     *uint64
	receipt  bool
	limit    *flow.Amount // of gas
	used     *flow.Amount
	price    *flow.Amount
	offer    *flow.Amount
	l1       flow.Amount
	total    *uint64 // gas used by the block up to here
	status   *uint64
	state    []byte
	made     *execution.Address
	logs     []execution.Log
	calls    []execution.Call
}

func (b *builder) build(at flow.Point, parent flow.Hash) error {
	if b.in.Number != at.Height {
		return fmt.Errorf("its rows are of block %d", b.in.Number)
	}
	if !at.Chain.IsZero() && at.Chain != b.rules.Chain() {
		return fmt.Errorf("it is said to be of %s, but read as one of %s", at.Chain, b.rules.Chain())
	}
	at.Chain = b.rules.Chain()
	b.out.Point, b.out.Parent = at, parent
	if err := b.rows(); err != nil {
		return err
	}
	if err := b.order(); err != nil {
		return err
	}
	if err := b.prove(); err != nil {
		return err
	}
	return b.move()
}

// has reports whether the source has a table.
func (b *builder) has(table string) bool { return slices.Contains(b.in.Tables, table) }

// of is the transaction with that id.
func (b *builder) of(id flow.Hash) *transaction {
	t := b.index[id]
	if t == nil {
		t = &transaction{id: id}
		b.index[id] = t
		b.txs = append(b.txs, t)
	}
	return t
}

// order puts transactions, logs and calls into order.
func (b *builder) order() error {
	for _, t := range b.txs {
		slices.SortStableFunc(t.logs, func(x, y execution.Log) int { return cmp.Compare(x.Index, y.Index) })
		if err := execution.Order(t.calls); err != nil {
			return fmt.Errorf("transaction %s: %w", t.id, err)
		}
	}
	next := uint32(0)
	for _, t := range b.txs {
		if t.hasIndex {
			next = max(next, t.index+1)
		}
	}
	slices.SortStableFunc(b.txs, func(x, y *transaction) int {
		switch {
		case x.hasIndex && y.hasIndex:
			return cmp.Compare(x.index, y.index)
		case x.hasIndex:
			return -1
		case y.hasIndex:
			return 1
		case len(x.logs) > 0 && len(y.logs) > 0: // a table of token transfers alone tells the order only by its logs
			return cmp.Compare(x.logs[0].Index, y.logs[0].Index)
		}
		return 0
	})
	for i, t := range b.txs {
		if !t.hasIndex {
			t.index, t.hasIndex = next, true
			next++
		}
		if i > 0 && b.txs[i-1].index == t.index {
			return fmt.Errorf("transaction %d: it is said to be %s and %s", t.index, b.txs[i-1].id, t.id)
		}
	}
	return nil
}

// prove recomputes the logs bloom and the receipts root from the rows, if none that counts is missing or was refused.
func (b *builder) prove() error {
	h := b.head
	if h == nil || !b.has("logs") || b.refused["logs"] > 0 {
		return nil
	}
	var all execution.Bloom
	receipts := make([]execution.Receipt, len(b.txs))
	whole := b.has("transactions") && b.refused["transactions"] == 0 && h.count != nil && *h.count == uint64(len(b.txs))
	for i, t := range b.txs {
		r := execution.Receipt{Logs: t.logs, State: t.state}
		all.Or(r.Bloom())
		if !t.whole || t.kind == nil || t.total == nil || t.status == nil && t.state == nil || t.index != uint32(i) {
			whole = false
			continue
		}
		if *t.kind > 4 {
			b.note(flow.Unproved, "receipts root", fmt.Sprintf("transaction %d has the type %d of another layer", t.index, *t.kind))
			whole = false
			continue
		}
		r.Type, r.Gas = uint8(*t.kind), *t.total
		if t.status != nil {
			r.Status = *t.status
		}
		receipts[i] = r
	}
	if len(h.bloom) == len(all) {
		if execution.Bloom(h.bloom) != all {
			return fmt.Errorf("logs bloom: %w: the table of logs lacks some of them, or holds others", ErrRoot)
		}
		b.out.Coverage |= flow.ProvedBloom
	}
	if !whole || h.receipts.IsZero() {
		return nil
	}
	if got := execution.ReceiptsRoot(receipts); got != h.receipts {
		return fmt.Errorf("receipts root: %w: recomputed %s, the block says %s", ErrRoot, got, h.receipts)
	}
	b.out.Coverage |= flow.ProvedReceipts
	return nil
}

// note adds what is worth saying about the block.
func (b *builder) note(kind flow.NoteKind, where, reason string) {
	b.out.Notes = append(b.out.Notes, flow.Note{Kind: kind, Where: where, Reason: reason})
}
