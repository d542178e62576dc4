package evmrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// blockTraces asks for the traces of a block, in the way that the node offers; it is found out with the first block. It
// returns errNotTraced where the node offers none.
func (n *Node) blockTraces(ctx context.Context, h follow.Header) (json.RawMessage, error) {
	w := n.wayOf(&n.traces)
	if w == absent {
		return nil, errNotTraced
	}
	var raw json.RawMessage
	if w == unknown || w == inBlock {
		// By number: not every node takes a hash here. Each trace says its block's hash, which is checked.
		err := n.rpc.CallMost(ctx, n.cfg.MaxBlock, "trace_block", []any{hexOf(h.Point.Height)}, &raw)
		if err == nil && !isNull(raw) {
			n.settle(&n.traces, inBlock)
			return raw, nil
		}
		if err != nil && !notOffered(err) {
			return nil, err
		}
		if err == nil {
			return nil, follow.ErrNotFound
		}
	}
	err := n.rpc.CallMost(ctx, n.cfg.MaxBlock, "debug_traceBlockByHash", []any{h.Point.Chain.FormatHash(h.Point.Hash),
		map[string]any{"tracer": "callTracer", "tracerConfig": map[string]any{"withLog": true}}}, &raw)
	switch {
	case err == nil && isNull(raw):
		return nil, follow.ErrNotFound
	case err == nil:
		n.settle(&n.traces, byTracer)
		return raw, nil
	case !notOffered(err):
		return nil, err
	case w != unknown: // it did before: another node may answer under the same name now and then
		n.settle(&n.traces, unknown)
		return nil, err
	case n.cfg.Traces == TracesIfOffered:
		n.settle(&n.traces, absent)
	}
	return nil, errNotTraced
}

// errNotTraced says that the node offers no traces.
var errNotTraced = errors.New("the node offers neither trace_block nor debug_traceBlockByHash")

// judgeTraces decides what is to become of an answer: traces that are whole, none (nil), or an error.
func (n *Node) judgeTraces(raw json.RawMessage, err error, h follow.Header, txs []flow.Hash) (json.RawMessage, error) {
	switch {
	case err == nil:
		if err := checkTraces(raw, h, txs); err != nil {
			return nil, err
		}
		return raw, nil
	case n.cfg.Traces == TracesForbidden:
		return nil, nil
	case len(txs) == 0 && !errors.Is(err, rpc.ErrBusy): // nothing to trace: geth says that of genesis by an error
		return nil, nil
	case n.cfg.Traces == TracesDemanded && (errors.Is(err, errNotTraced) || isStateGone(err)):
		return nil, fmt.Errorf("%w: %w", ErrTraces, err)
	case errors.Is(err, errNotTraced):
		return nil, nil
	case isStateGone(err):
		n.bare.Add(1)
		return nil, nil
	}
	return nil, err
}

// checkTraces sees that the traces are of this block and that every transaction has its own.
func checkTraces(raw json.RawMessage, h follow.Header, txs []flow.Hash) error {
	var list []struct {
		Tx     *flow.Hash      `json:"transactionHash"` // flat
		Block  *flow.Hash      `json:"blockHash"`
		Path   []uint32        `json:"traceAddress"`
		Type   string          `json:"type"`
		Short  *flow.Hash      `json:"txHash"` // of a tracer
		Result json.RawMessage `json:"result"`
		Error  string          `json:"error"`
		Action json.RawMessage `json:"action"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("%w: %w", rpc.ErrAnswer, err)
	}
	missing := setOf(txs)
	for i, t := range list {
		id := t.Tx
		switch {
		case t.Block != nil && *t.Block != h.Point.Hash:
			return fmt.Errorf("%w: number %d is of the block %s", ErrParts, i, t.Block)
		case t.Action != nil && t.Type == "reward":
			continue
		case t.Action == nil: // one result for each transaction, which old nodes do not name
			if id = t.Short; id == nil && len(list) == len(txs) {
				id = &txs[i]
			}
			if isNull(t.Result) {
				return fmt.Errorf("%w: number %d: the node could not trace it: %.200q", ErrParts, i, t.Error)
			}
		case len(t.Path) > 0:
			continue
		}
		if id == nil || !missing[*id] {
			return fmt.Errorf("%w: number %d is of no transaction of the block, or of one that has its own already", ErrParts, i)
		}
		delete(missing, *id)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %d of %d transactions are not among them", ErrParts, len(missing), len(txs))
	}
	return nil
}
