package evm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// trace reads the calls of every transaction from whatever kind of traces there is, and the rewards of the block.
func (b *builder) trace() error {
	if b.in.Traces == nil {
		return nil
	}
	for i, t := range *b.in.Traces {
		if err := b.oneTrace(i, t); err != nil {
			return fmt.Errorf("trace %d: %w", i, err)
		}
	}
	for i := range b.txs {
		tx := &b.txs[i]
		if err := execution.Order(tx.calls); err != nil {
			return fmt.Errorf("traces of %s: %w", b.name(i), err)
		}
		if len(tx.calls) == 0 {
			continue
		}
		if tx.traced = len(tx.calls[0].Path) == 0; !tx.traced {
			b.note(flow.DataMissing, b.name(i), "its traces begin below the top")
			continue
		}
		root := tx.calls[0]
		tx.fault = root.Failed
		if j := tx.tx; j != nil && !j.bare && b.foreign == "" && root.Kind != execution.SelfDestruct {
			if j.From.ok && j.From.v != root.From || j.Value.ok && j.Value.v != root.Value || j.To.ok && j.To.v != root.To {
				return fmt.Errorf("traces of %s: they are of another transaction", b.name(i))
			}
		}
	}
	return nil
}

// oneTrace reads one element of the list of traces.
func (b *builder) oneTrace(i int, t traceJSON) error {
	if err := b.ofThisBlock(t.BlockHash, t.BlockNumber); err != nil {
		return err
	}
	if t.Action != nil && t.Type == "reward" {
		b.reward(t)
		return nil
	}
	tx, err := b.tracedTx(i, t)
	if err != nil {
		return err
	}
	switch {
	case t.Action != nil:
		return b.flat(tx, t)
	case t.Trace != nil:
		return b.flats(tx, t.Trace)
	case t.From.ok:
		return b.frames(tx, frameJSON{t.Type, t.From, t.To, t.Value, t.Input, t.Error, t.Calls, t.Logs})
	case len(t.Result) > 0 && t.Result[0] == '[':
		var list []traceJSON
		if err := json.Unmarshal(t.Result, &list); err != nil {
			return err
		}
		return b.flats(tx, list)
	case len(t.Result) > 0 && t.Result[0] == '{':
		var f frameJSON
		if err := json.Unmarshal(t.Result, &f); err != nil {
			return err
		}
		if !f.From.ok {
			return errors.New("the result of a tracer that does not tell calls")
		}
		return b.frames(tx, f)
	}
	b.note(flow.DataMissing, b.name(tx), "its trace is missing: "+t.Error)
	return nil
}

// tracedTx finds the transaction that a trace belongs to. Tracers that do not name it list one result for each.
func (b *builder) tracedTx(i int, t traceJSON) (int, error) {
	hash := t.TxHash
	if !hash.ok {
		hash = t.ShortHash
	}
	if hash.ok {
		if n, ok := b.index[hash.v]; ok {
			return n, nil
		}
		return 0, fmt.Errorf("the block has no transaction %s", hash.v)
	}
	if t.TxPosition.ok {
		at, _ := t.TxPosition.uint64()
		for n := range b.txs {
			if uint64(b.txs[n].index) == at {
				return n, nil
			}
		}
		return 0, fmt.Errorf("the block has no transaction %s", t.TxPosition.v)
	}
	if t.Action == nil && len(*b.in.Traces) == len(b.txs) {
		return i, nil
	}
	return 0, errors.New("it does not say of which transaction it is")
}

func (b *builder) flats(tx int, list []traceJSON) error {
	for _, t := range list {
		if t.Action == nil {
			return errors.New("a flat trace without an action")
		}
		if err := b.flat(tx, t); err != nil {
			return err
		}
	}
	return nil
}

// flat reads a trace of the flat kind.
func (b *builder) flat(tx int, t traceJSON) error {
	a := t.Action
	c := execution.Call{Path: t.TraceAddress, From: a.From.v, To: a.To.v, Value: a.Value.v, Input: a.Input, Failed: t.Error != ""}
	complete := a.From.ok && a.To.ok
	switch t.Type {
	case "call":
		if a.CallType != "" && a.CallType != "call" {
			c.Kind = execution.Still
		}
	case "create":
		c.Kind = execution.Create
		var result struct {
			Address address `json:"address"`
		}
		if len(t.Result) > 0 {
			if err := json.Unmarshal(t.Result, &result); err != nil {
				return err
			}
		}
		c.To, complete = result.Address.v, a.From.ok && (result.Address.ok || c.Failed)
	case "suicide", "selfdestruct":
		c.Kind = execution.SelfDestruct
		c.From, c.To, c.Value = a.Address.v, a.RefundAddress.v, a.Balance.v
		complete = a.Address.ok && a.RefundAddress.ok && a.Balance.ok
	default:
		return fmt.Errorf("unknown type %.20q", t.Type)
	}
	b.addCall(tx, c, complete)
	return nil
}

// addCall keeps a call; one whose sides are not known moves nothing, and the block says so.
func (b *builder) addCall(tx int, c execution.Call, complete bool) {
	if !complete {
		c.Kind = execution.Still
		b.partial = true
		b.note(flow.DataMissing, b.name(tx), fmt.Sprintf("the trace at %v does not say who gives to whom", c.Path))
	}
	b.txs[tx].calls = append(b.txs[tx].calls, c)
}

// frames reads a tree of calls.
func (b *builder) frames(tx int, f frameJSON) error {
	t := &b.txs[tx]
	if len(t.calls) > 0 {
		return errors.New("the transaction has another trace")
	}
	t.ordered = true
	return b.frame(tx, f, nil, false)
}

func (b *builder) frame(tx int, f frameJSON, path []uint32, failed bool) error {
	t := &b.txs[tx]
	failed = failed || f.Error != ""
	c := execution.Call{Path: path, From: f.From.v, To: f.To.v, Value: f.Value.v, Input: f.Input, Failed: failed, LogsBefore: len(t.traceLogs)}
	complete := f.From.ok && (f.To.ok || failed)
	switch kind := strings.ToUpper(f.Type); kind {
	case "CALL":
	case "CREATE", "CREATE2":
		c.Kind = execution.Create
	case "SELFDESTRUCT":
		c.Kind = execution.SelfDestruct
		complete = f.From.ok && f.To.ok && f.Value.ok
	case "DELEGATECALL", "STATICCALL", "CALLCODE":
		c.Kind = execution.Still
	default:
		return fmt.Errorf("unknown type %.20q", f.Type)
	}
	b.addCall(tx, c, complete)
	next := 0
	emit := func(calls int) error {
		for ; next < len(f.Logs); next++ {
			l := f.Logs[next]
			at, ok := l.Position.uint64()
			if !ok {
				t.ordered = t.ordered && len(f.Calls) == 0
			} else if at > uint64(calls) && calls < len(f.Calls) {
				return nil
			}
			if failed {
				continue
			}
			log, err := readLog(l)
			if err != nil {
				return err
			}
			log.Index = b.traceLogs
			b.traceLogs++
			t.traceLogs = append(t.traceLogs, log)
		}
		return nil
	}
	for i, sub := range f.Calls {
		if err := emit(i); err != nil {
			return err
		}
		if err := b.frame(tx, sub, append(path[:len(path):len(path)], uint32(i)), failed); err != nil {
			return err
		}
	}
	return emit(len(f.Calls))
}

func readLog(l logJSON) (execution.Log, error) {
	if !l.Address.ok {
		return execution.Log{}, errors.New("a log without an address")
	}
	log := execution.Log{Emit: l.Address.v, Topics: make([]flow.Hash, len(l.Topics)), Data: l.Data}
	for i, t := range l.Topics {
		if !t.ok {
			return log, errors.New("a log with an empty topic")
		}
		log.Topics[i] = t.v
	}
	return log, nil
}

// reward reads what the chain issued for the block.
func (b *builder) reward(t traceJSON) {
	a := t.Action
	if !a.Author.ok || !a.Value.ok {
		b.note(flow.DataMissing, "reward", "it does not say who takes how much")
		return
	}
	b.rewarded = true
	if !a.Value.v.IsZero() {
		b.own = append(b.own, flow.In1Out1(flow.Reward, b.rules.Chain().Native(), uint32(len(b.own)), flow.Account{}, b.rules.Account(a.Author.v), a.Value.v))
	}
}
