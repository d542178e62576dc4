package evmrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
)

// Block implements follow.Node. The block, its receipts and its traces are asked for at the same time, by the one hash
// wherever the node can be, and put together as they came, in the form that docs/formats/input-evm.md calls an envelope. Each part must say
// that it is of this block, and of each of its transactions; what they say besides is for the decoder to prove.
// Errors: follow.ErrNotFound, ErrParts, ErrTraces, rpc.ErrTooLarge, and those of the node.
func (n *Node) Block(ctx context.Context, h follow.Header) (source.Block, error) {
	c, err := n.served(ctx)
	if err != nil {
		return source.Block{}, err
	}
	parts, err := n.parts(ctx, c, h)
	if err != nil {
		return source.Block{}, fmt.Errorf("%s: block %d (%s): %w", n.Name(), h.Point.Height, c.FormatHash(h.Point.Hash), err)
	}
	return source.Block{Point: parts.head.Point, Parent: parts.head.Parent, Raw: parts.envelope(c)}, nil
}

// parts is what the node says of one block.
type parts struct {
	head                    follow.Header
	txs                     []flow.Hash
	block, receipts, traces json.RawMessage // traces is nil where there are none
}

// parts asks for everything. The whole block must come first where receipts are asked for one by one.
func (n *Node) parts(ctx context.Context, c flow.Chain, h follow.Header) (p parts, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wait sync.WaitGroup
	var receipts, traces json.RawMessage
	var errBlock, errReceipts, errTraces error
	ways := n.wayOf(&n.receipts)
	wait.Go(func() {
		if errBlock = n.whole(ctx, c, h, &p); errBlock != nil {
			cancel() // nothing else is of use then
		}
	})
	if ways != oneByOne {
		wait.Go(func() { receipts, errReceipts = n.blockReceipts(ctx, h) })
	}
	wait.Go(func() { traces, errTraces = n.blockTraces(ctx, h) })
	wait.Wait()
	if errBlock != nil {
		return p, errBlock
	}
	if ways == oneByOne || lacksReceipts(errReceipts) {
		if receipts, errReceipts = n.receiptsOneByOne(ctx, p.txs); errReceipts == nil && len(p.txs) > 0 && ways == unknown {
			n.settle(&n.receipts, oneByOne)
		}
	}
	if errReceipts != nil {
		return p, fmt.Errorf("receipts: %w", errReceipts)
	}
	if err := checkReceipts(receipts, h, p.txs); err != nil {
		return p, fmt.Errorf("receipts: %w", err)
	}
	p.receipts = receipts
	if p.traces, err = n.judgeTraces(traces, errTraces, h, p.txs); err != nil {
		return p, fmt.Errorf("traces: %w", err)
	}
	if size := int64(len(p.block) + len(p.receipts) + len(p.traces)); size > n.cfg.MaxBlock {
		return p, fmt.Errorf("%w: %d bytes, more than %d", rpc.ErrTooLarge, size, n.cfg.MaxBlock)
	}
	return p, nil
}

// envelope puts the parts together, as they came.
func (p parts) envelope(c flow.Chain) []byte {
	raw := make([]byte, 0, len(p.block)+len(p.receipts)+len(p.traces)+100)
	raw = append(raw, `{"chainId":"`...)
	raw = append(raw, c.Reference()...)
	raw = append(raw, `","block":`...)
	raw = append(raw, p.block...)
	raw = append(raw, `,"receipts":`...)
	raw = append(raw, p.receipts...)
	if p.traces != nil {
		raw = append(raw, `,"traces":`...)
		raw = append(raw, p.traces...)
	}
	return append(raw, '}')
}

// whole asks for the block with its transactions.
func (n *Node) whole(ctx context.Context, c flow.Chain, h follow.Header, p *parts) error {
	if err := n.rpc.CallMost(ctx, n.cfg.MaxBlock, "eth_getBlockByHash", []any{c.FormatHash(h.Point.Hash), true}, &p.block); err != nil {
		return err
	}
	if isNull(p.block) {
		return follow.ErrNotFound
	}
	var err error
	p.head, p.txs, err = readBlock(p.block, c)
	switch {
	case err != nil:
		return err
	case p.head.Point.Hash != h.Point.Hash || p.head.Point.Height != h.Point.Height:
		return fmt.Errorf("%w: asked for it, the node gives block %d (%s)", ErrParts, p.head.Point.Height, p.head.Point.Hash)
	case !h.Parent.IsZero() && p.head.Parent != h.Parent:
		return fmt.Errorf("%w: its parent is %s, its header said %s", ErrParts, p.head.Parent, h.Parent)
	}
	return nil
}

// readBlock reads where a block stands and which transactions it has.
func readBlock(raw json.RawMessage, c flow.Chain) (follow.Header, []flow.Hash, error) {
	var j struct {
		headerJSON
		Txs *[]struct {
			Hash      *flow.Hash `json:"hash"`
			BlockHash *flow.Hash `json:"blockHash"`
		} `json:"transactions"`
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		return follow.Header{}, nil, fmt.Errorf("%w: %w", rpc.ErrAnswer, err)
	}
	h, err := j.header(c)
	if err != nil {
		return h, nil, err
	}
	if j.Txs == nil {
		return h, nil, fmt.Errorf("%w: it has no list of transactions", ErrParts)
	}
	txs := make([]flow.Hash, 0, len(*j.Txs))
	for i, tx := range *j.Txs {
		if tx.Hash == nil {
			return h, nil, fmt.Errorf("%w: transaction %d has no hash", ErrParts, i)
		}
		if tx.BlockHash != nil && *tx.BlockHash != h.Point.Hash {
			return h, nil, fmt.Errorf("%w: transaction %d is of the block %s", ErrParts, i, tx.BlockHash)
		}
		txs = append(txs, *tx.Hash)
	}
	return h, txs, nil
}

// blockReceipts asks for all receipts at once.
func (n *Node) blockReceipts(ctx context.Context, h follow.Header) (json.RawMessage, error) {
	var raw json.RawMessage
	err := n.rpc.CallMost(ctx, n.cfg.MaxBlock, "eth_getBlockReceipts", []any{h.Point.Chain.FormatHash(h.Point.Hash)}, &raw)
	if err != nil {
		return nil, err
	}
	n.settle(&n.receipts, inBlock)
	if isNull(raw) {
		return nil, fmt.Errorf("the node has the block and not its receipts: %w", follow.ErrNotFound)
	}
	return raw, nil
}

// lacksReceipts reports whether the node cannot be asked for all receipts of a block by its hash.
func lacksReceipts(err error) bool {
	var said *rpc.Error
	return notOffered(err) || errors.As(err, &said) && said.Code == -32602
}

// receiptsOneByOne asks for the receipt of each transaction, in batches.
func (n *Node) receiptsOneByOne(ctx context.Context, txs []flow.Hash) (json.RawMessage, error) {
	list := make([]json.RawMessage, len(txs))
	calls := make([]rpc.Call, len(txs))
	for i, id := range txs {
		calls[i] = rpc.Call{Method: "eth_getTransactionReceipt", Params: []any{"0x" + id.String()}, Result: &list[i]}
	}
	if err := n.rpc.Batch(ctx, calls); err != nil {
		return nil, err
	}
	size := int64(2)
	for i := range calls {
		if err := calls[i].Err; err != nil {
			return nil, fmt.Errorf("of transaction %d: %w", i, err)
		}
		if isNull(list[i]) {
			return nil, fmt.Errorf("of transaction %d: %w", i, follow.ErrNotFound)
		}
		if size += int64(len(list[i])) + 1; size > n.cfg.MaxBlock {
			return nil, fmt.Errorf("%w: more than %d bytes", rpc.ErrTooLarge, n.cfg.MaxBlock)
		}
	}
	raw := append(make([]byte, 0, size), '[')
	for i, r := range list {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(raw, r...)
	}
	return append(raw, ']'), nil
}

// checkReceipts sees that there is one receipt of this block for each transaction, no more and no fewer.
func checkReceipts(raw json.RawMessage, h follow.Header, txs []flow.Hash) error {
	var list []struct {
		Tx    *flow.Hash `json:"transactionHash"`
		Block *flow.Hash `json:"blockHash"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("%w: %w", rpc.ErrAnswer, err)
	}
	if len(list) != len(txs) {
		return fmt.Errorf("%w: %d for %d transactions", ErrParts, len(list), len(txs))
	}
	missing := setOf(txs)
	for i, r := range list {
		switch {
		case r.Tx == nil || r.Block == nil:
			return fmt.Errorf("%w: number %d does not name its transaction and its block", ErrParts, i)
		case *r.Block != h.Point.Hash:
			return fmt.Errorf("%w: number %d is of the block %s", ErrParts, i, r.Block)
		case !missing[*r.Tx]:
			return fmt.Errorf("%w: number %d is of transaction %s, which the block does not have or which has one already", ErrParts, i, r.Tx)
		}
		delete(missing, *r.Tx)
	}
	return nil
}

func setOf(txs []flow.Hash) map[flow.Hash]bool {
	set := make(map[flow.Hash]bool, len(txs))
	for _, id := range txs {
		set[id] = true
	}
	return set
}

// stateGone are the words of nodes that trace, but not a block as old as this one.
var stateGone = []string{"missing trie node", "historical state", "state is not available", "state not available", "pruned", "required historical", "state unavailable"}

func isStateGone(err error) bool {
	var said *rpc.Error
	if !errors.As(err, &said) {
		return false
	}
	text := strings.ToLower(said.Message)
	for _, s := range stateGone {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
