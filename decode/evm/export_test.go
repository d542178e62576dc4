package evm

import (
	"encoding/json"
	"fmt"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// PlainCalls lists transaction and place of the calls in a raw block that are plain ones.
func PlainCalls(raw []byte) (map[string]bool, error) {
	txs, err := traced(raw)
	plain := map[string]bool{}
	for _, tx := range txs {
		for _, c := range tx.calls {
			if c.Kind == execution.Plain {
				plain[fmt.Sprint(tx.id, c.Place)] = true
			}
		}
	}
	return plain, err
}

// Calls lists the calls of a raw block as text: kind, from, "to", to, value, failed.
func Calls(raw []byte) ([]string, error) {
	txs, err := traced(raw)
	var out []string
	for _, tx := range txs {
		for _, c := range tx.calls {
			kind := [...]string{"plain", "create", "destruct", "still"}[c.Kind]
			out = append(out, fmt.Sprintf("%s 0x%x to 0x%x %s %t", kind, c.From, c.To, c.Value, c.Failed))
		}
	}
	return out, err
}

func traced(raw []byte) ([]transaction, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	b := &builder{rules: execution.RulesOf(flow.Ethereum), in: &e, raw: raw}
	b.out.Point.Height, _ = e.Block.Number.uint64()
	if err := b.gather(); err != nil {
		return nil, err
	}
	return b.txs, b.trace()
}
