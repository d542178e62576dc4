// Package evm decodes blocks of EVM chains as nodes answer them: block, receipts and traces in one JSON object.
package evm

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// ErrRoot is returned for a block that is not what its own hashes say: something in it was changed, or is missing.
var ErrRoot = errors.New("the block contradicts its own hash")

// A Decoder decodes the blocks of one EVM chain. It is pure and safe for several goroutines.
type Decoder struct {
	rules execution.Rules
}

// New is the decoder of an EVM chain. It panics on any other chain.
func New(c flow.Chain) *Decoder { return &Decoder{execution.RulesOf(c)} }

// Decode reads one recorded block: {"chainId"?, "block", "receipts"?, "traces"?}, as docs/formats/input-evm.md says. What
// the input holds is checked against the hashes of the block; errors that wrap ErrRoot name the one that does not fit.
func (d *Decoder) Decode(at flow.Point, parent flow.Hash, raw []byte) (flow.Block, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return flow.Block{}, fmt.Errorf("block %d: %w", at.Height, where(err))
	}
	b := &builder{rules: d.rules, in: &e, raw: raw}
	if err := b.build(at, parent); err != nil {
		return flow.Block{}, fmt.Errorf("block %d: %w", at.Height, err)
	}
	return b.out, nil
}

// where adds the byte offset to the errors of package json that know it.
func where(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Errorf("byte %d: %w", kind.Offset, err)
	}
	return err
}

// A builder makes one block.
type builder struct {
	rules     execution.Rules
	in        *envelope
	raw       []byte
	out       flow.Block
	txs       []transaction
	index     map[flow.Hash]int // places in txs
	own       []flow.Movement   // of the block itself
	rewarded  bool              // a reward was among the traces
	partial   bool              // a trace did not say all that it should
	foreign   string            // why roots cannot be recomputed, "" if they can
	odd       int               // logs that are not understood
	logsSeen  uint32            // in receipts
	traceLogs uint32            // in traces
}

// A transaction is everything that the input says about one.
type transaction struct {
	id      flow.Hash
	index   uint32       // in the block
	tx      *txJSON      // nil if the block does not list its transactions
	receipt *receiptJSON // nil if there is none
	loose   []logJSON    // logs that came without a receipt
	calls   []execution.Call
	traced  bool // calls begin with the transaction itself
	fault   bool // the trace says that it failed
	// traceLogs are the logs that a tracer saw; ordered says that their places among the calls are known.
	traceLogs []execution.Log
	ordered   bool
}

func (b *builder) build(at flow.Point, parent flow.Hash) error {
	if b.in.Block == nil {
		return errors.New("the input has no block")
	}
	if err := b.place(at, parent); err != nil {
		return err
	}
	if err := b.header(); err != nil {
		return err
	}
	if err := b.gather(); err != nil {
		return err
	}
	if err := b.prove(); err != nil {
		return err
	}
	if err := b.trace(); err != nil {
		return err
	}
	return b.move()
}

// place fills the point, from the block and from what the source said; where both speak they must agree.
func (b *builder) place(at flow.Point, parent flow.Hash) error {
	j := b.in.Block
	if !at.Chain.IsZero() && at.Chain != b.rules.Chain() {
		return fmt.Errorf("it is said to be of %s, but read as one of %s", at.Chain, b.rules.Chain())
	}
	if id, ok := b.in.ChainID.uint64(); b.in.ChainID.ok && (!ok || flow.EVMChain(id) != b.rules.Chain()) {
		return fmt.Errorf("it says that it is of chain %s, but is read as one of %s", b.in.ChainID.v, b.rules.Chain())
	}
	height, ok := j.Number.uint64()
	switch {
	case j.Number.ok && !ok:
		return fmt.Errorf("number %s: too large", j.Number.v)
	case ok && height != at.Height:
		return fmt.Errorf("it says that it is block %d", height)
	}
	time, ok := j.Time.uint64()
	switch {
	case j.Time.ok && (!ok || time > 1<<62):
		return fmt.Errorf("timestamp %s: too large", j.Time.v)
	case ok && at.Time != 0 && at.Time != int64(time):
		return fmt.Errorf("it says that its time is %d, the source %d", time, at.Time)
	case ok:
		at.Time = int64(time)
	}
	var err error
	if at.Hash, err = agree("hash", at.Hash, j.Hash); err != nil {
		return err
	}
	if parent, err = agree("parentHash", parent, j.ParentHash); err != nil {
		return err
	}
	at.Chain = b.rules.Chain()
	b.out.Point, b.out.Parent = at, parent
	return nil
}

// agree is the hash that the source or the block says.
func agree(name string, said flow.Hash, has word) (flow.Hash, error) {
	switch {
	case !has.ok:
		return said, nil
	case !said.IsZero() && said != has.v:
		return said, fmt.Errorf("%s: it says %s, the source %s", name, has.v, said)
	}
	return has.v, nil
}

// note adds what is worth saying about the block.
func (b *builder) note(kind flow.NoteKind, place, reason string) {
	b.out.Notes = append(b.out.Notes, flow.Note{Kind: kind, Where: place, Reason: reason})
}

// name is how notes and errors name a transaction.
func (b *builder) name(i int) string {
	return fmt.Sprintf("transaction %d (%s)", i, b.rules.Chain().FormatHash(b.txs[i].id))
}
