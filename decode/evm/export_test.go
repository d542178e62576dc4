package evm

import (
	"encoding/json"
	"fmt"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// PlainCalls lists transaction and place of the calls in a raw block that are plain ones.
func PlainCalls(raw []byte) (map[string]bool, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	b := &builder{rules: execution.RulesOf(flow.Ethereum), in: &e, raw: raw}
	b.out.Point.Height, _ = e.Block.Number.uint64()
	if err := b.gather(); err != nil {
		return nil, err
	}
	if err := b.trace(); err != nil {
		return nil, err
	}
	plain := map[string]bool{}
	for _, tx := range b.txs {
		for _, c := range tx.calls {
			if c.Kind == execution.Plain {
				plain[fmt.Sprint(tx.id, c.Place)] = true
			}
		}
	}
	return plain, nil
}
