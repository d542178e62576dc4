package evmnode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/core/types"
)

// tell writes the answers of a node about a block, in the form of geth; traces are flat, in that of erigon.
func (b *Block) tell(h *types.Header, txs []made, receipts types.Receipts) {
	hash, number := h.Hash(), h.Number.Uint64()
	head, err := json.Marshal(h)
	if err != nil {
		panic("evmnode: " + err.Error()) // of our own header
	}
	head = append(bytes.TrimSuffix(head, []byte("}")), `,"uncles":[],"withdrawals":[],"size":"0x1000","transactions":[`...)
	b.header, b.whole = head, bytes.Clone(head)
	b.receipts, b.traces = []byte("["), []byte("[")
	for i, m := range txs {
		id := m.tx.Hash()
		if i > 0 {
			b.header, b.whole = append(b.header, ','), append(b.whole, ',')
			b.receipts, b.traces = append(b.receipts, ','), append(b.traces, ',')
		}
		b.header = fmt.Appendf(b.header, `"%#x"`, id)
		place := fmt.Appendf(nil, `"blockHash":"%#x","blockNumber":"%#x","transactionHash":"%#x"`, hash, number, id)
		v, r, s := m.tx.RawSignatureValues()
		b.whole = fmt.Appendf(b.whole, `{"blockHash":"%#x","blockNumber":"%#x","from":"%#x","gas":"%#x","gasPrice":"%#x","maxPriorityFeePerGas":"%#x","maxFeePerGas":"%#x",`+
			`"hash":"%#x","input":"0x%x","nonce":"%#x","to":"%#x","transactionIndex":"%#x","value":"%#x","type":"0x2","accessList":[],"chainId":"0x1","v":"%#x","r":"%#x","s":"%#x","yParity":"%#x"}`,
			hash, number, m.from, m.tx.Gas(), 2*gwei, m.tx.GasTipCap(), m.tx.GasFeeCap(), id, m.tx.Data(), m.tx.Nonce(), *m.tx.To(), i, m.tx.Value(), v, r, s, v)
		b.receipts = fmt.Appendf(b.receipts, `{%s,"contractAddress":null,"cumulativeGasUsed":"%#x","effectiveGasPrice":"%#x","from":"%#x","gasUsed":"%#x","logs":[`,
			place, receipts[i].CumulativeGasUsed, 2*gwei, m.from, m.gas)
		for k, l := range m.logs {
			if k > 0 {
				b.receipts = append(b.receipts, ',')
			}
			b.receipts = fmt.Appendf(b.receipts, `{"address":"%#x","topics":[`, l.Address)
			for n, topic := range l.Topics {
				if n > 0 {
					b.receipts = append(b.receipts, ',')
				}
				b.receipts = fmt.Appendf(b.receipts, `"%#x"`, topic)
			}
			b.receipts = fmt.Appendf(b.receipts, `],"data":"0x%x",%s,"transactionIndex":"%#x","blockTimestamp":"%#x","logIndex":"%#x","removed":false}`, l.Data, place, i, h.Time, l.Index)
		}
		b.receipts = fmt.Appendf(b.receipts, `],"logsBloom":"%#x","status":"0x1","to":"%#x","transactionIndex":"%#x","type":"0x2"}`, receipts[i].Bloom, *m.tx.To(), i)
		for k, c := range m.calls {
			if k > 0 {
				b.traces = append(b.traces, ',')
			}
			below := 0
			if k == 0 {
				below = len(m.calls) - 1
			}
			kind := c.kind
			if kind == "" {
				kind = "call"
			}
			b.traces = fmt.Appendf(b.traces, `{"action":{"callType":"%s","from":"%#x","gas":"0x5208","input":"0x%x","to":"%#x","value":"%#x"},"blockHash":"%#x","blockNumber":%d,`+
				`"result":{"gasUsed":"0x5208","output":"0x"},"subtraces":%d,"traceAddress":[`, kind, c.from, c.input, c.to, c.value, hash, number, below)
			for n, p := range c.path {
				if n > 0 {
					b.traces = append(b.traces, ',')
				}
				b.traces = strconv.AppendInt(b.traces, int64(p), 10)
			}
			b.traces = fmt.Appendf(b.traces, `],"transactionHash":"%#x","transactionPosition":%d,"type":"call"}`, id, i)
		}
	}
	b.header, b.whole = append(b.header, "]}"...), append(b.whole, "]}"...)
	b.receipts, b.traces = append(b.receipts, ']'), append(b.traces, ']')
}
