package evmrpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// FuzzParts gives any text as a block, its receipts and its traces. What is taken must be about the block's own
// transactions, and the envelope must be JSON again.
func FuzzParts(f *testing.F) {
	id := fmt.Sprintf("0x%064x", 7)
	block := fmt.Sprintf(`{"number":"0x2","hash":%q,"parentHash":%q,"timestamp":"0xc8","transactions":[{"hash":%q}]}`, id, id, id)
	f.Add([]byte(block), []byte(fmt.Sprintf(`[{"transactionHash":%q,"blockHash":%q}]`, id, id)), []byte(fmt.Sprintf(`[{"action":{},"traceAddress":[],"transactionHash":%q,"blockHash":%q}]`, id, id)))
	f.Add([]byte(block), []byte(`[]`), []byte(`[{"result":{}}]`))
	f.Add([]byte(`{"transactions":[null]}`), []byte(`[null]`), []byte(`[null]`))
	f.Add([]byte(`null`), []byte(`{}`), []byte(`"x"`))
	f.Fuzz(func(t *testing.T, block, receipts, traces []byte) {
		known := func(err error) bool { return errors.Is(err, ErrParts) || errors.Is(err, rpc.ErrAnswer) }
		h, txs, err := readBlock(block, flow.Ethereum)
		if err != nil {
			if !known(err) {
				t.Errorf("block: %v", err)
			}
			return
		}
		errReceipts, errTraces := checkReceipts(receipts, h, txs), checkTraces(traces, h, txs)
		for _, err := range []error{errReceipts, errTraces} {
			if err != nil && !known(err) {
				t.Error(err)
			}
		}
		if errReceipts != nil || errTraces != nil {
			return
		}
		p := parts{head: h, txs: txs, block: block, receipts: receipts, traces: traces}
		if raw := p.envelope(flow.Ethereum); !json.Valid(raw) {
			t.Errorf("envelope %s", raw)
		}
	})
}

func FuzzPooled(f *testing.F) {
	f.Add([]byte(`"0x0000000000000000000000000000000000000000000000000000000000000001"`))
	f.Add([]byte(`{"hash":null}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := &Node{}
		q := &pendingQueue{waiting: make(chan json.RawMessage, 1), counts: &n.pool}
		q.put(raw)
		q.put(raw)
		p := n.Pool()
		_, err := idOf(raw)
		if err == nil && (p.Seen != 1 || len(q.waiting) != 1) || err != nil && (p.Refused != 2 || len(q.waiting) != 0) {
			t.Errorf("%q: %v: %+v, %d wait", raw, err, p, len(q.waiting))
		}
	})
}

var _ follow.Node = (*Node)(nil)
