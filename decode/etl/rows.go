package etl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

// rows reads all rows. The row of the block comes first.
func (b *builder) rows() error {
	for _, blocks := range []bool{true, false} {
		for _, f := range b.in.Files {
			if (f.Table == "blocks") != blocks {
				continue
			}
			read := map[string]func(*row) error{"blocks": b.blockRow, "transactions": b.txRow, "receipts": b.receiptRow,
				"logs": b.logRow, "token_transfers": b.transferRow, "traces": b.traceRow}[f.Table]
			if read == nil {
				return fmt.Errorf("file %s: unknown table %q", f.File, f.Table)
			}
			for _, line := range f.Rows {
				where := fmt.Sprintf("%s:%d", f.File, line.Line)
				err := errors.New("the row is too long")
				if !line.Long {
					err = b.row(f.Table, f.Columns, line.Text, read)
				}
				var fatal *contradiction
				if errors.As(err, &fatal) {
					return fmt.Errorf("%s: %w", where, err)
				}
				if err != nil {
					b.refused[f.Table]++
					b.out.Notes = append(b.out.Notes, flow.Note{Kind: flow.Quarantined, Where: where, Reason: err.Error(),
						Raw: strings.ToValidUTF8(line.Text[:min(len(line.Text), 1000)], "")})
				}
			}
		}
	}
	return nil
}

// A contradiction is an error for which not the row is refused but the block.
type contradiction struct{ text string }

// Error implements error.
func (c *contradiction) Error() string { return c.text }

func (b *builder) row(table string, columns []string, text string, read func(*row) error) error {
	cells, err := parse(columns, text)
	if err != nil {
		return err
	}
	r := &row{chain: b.rules.Chain(), cells: cells}
	key := "block_number"
	if table == "blocks" {
		key = "number"
	}
	if n := r.number(key); n == nil || *n != b.in.Number {
		r.fail(key, fmt.Errorf("%q is not the block of the rows around it", cells[key]))
		return r.err
	}
	if h := r.hash("block_hash"); !h.IsZero() && table != "blocks" {
		if b.out.Point.Hash.IsZero() {
			b.out.Point.Hash = h
		} else if h != b.out.Point.Hash {
			return fmt.Errorf("block_hash: the row is of another block (%s)", h)
		}
	}
	if t := r.time("block_timestamp"); b.out.Point.Time == 0 {
		b.out.Point.Time = t
	}
	if r.err != nil {
		return r.err
	}
	if err := read(r); err != nil {
		return err
	}
	return r.err
}

// once refuses the second row about the same thing.
func (b *builder) once(what string) error {
	if b.seen[what] {
		return errors.New("a second row for the same thing")
	}
	b.seen[what] = true
	return nil
}

// time is a cell that holds a moment: seconds, or the text that BigQuery writes; 0 if it is empty.
func (r *row) time(column string) int64 {
	s := r.cells[column]
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	t, err := time.Parse("2006-01-02 15:04:05 MST", s)
	if err != nil {
		r.fail(column, err)
		return 0
	}
	return t.Unix()
}

func (b *builder) blockRow(r *row) error {
	h := &head{bloom: r.bytes("logs_bloom"), receipts: r.hash("receipts_root"), miner: r.address("miner"), base: r.amount("base_fee_per_gas"),
		count: r.number("transaction_count")}
	hash, parent, at := r.hash("hash"), r.hash("parent_hash"), r.time("timestamp")
	difficulty := r.amount("difficulty")
	paid, has, err := b.withdrawals(r)
	if err != nil {
		return err
	}
	if r.err != nil {
		return r.err
	}
	if err := b.once("block"); err != nil {
		return err
	}
	p := &b.out.Point
	switch {
	case !hash.IsZero() && !p.Hash.IsZero() && hash != p.Hash:
		return &contradiction{fmt.Sprintf("its hash is %s, the source says %s", hash, p.Hash)}
	case !parent.IsZero() && !b.out.Parent.IsZero() && parent != b.out.Parent:
		return &contradiction{fmt.Sprintf("its parent is %s, the source says %s", parent, b.out.Parent)}
	case at != 0 && p.Time != 0 && at != p.Time:
		return &contradiction{fmt.Sprintf("its time is %d, the source says %d", at, p.Time)}
	}
	if !hash.IsZero() {
		p.Hash = hash
	}
	if !parent.IsZero() {
		b.out.Parent = parent
	}
	if at != 0 {
		p.Time = at
	}
	b.head = h
	b.own = append(b.own, paid...)
	h.staked = difficulty != nil && difficulty.IsZero() && (has || r.cells["withdrawals_root"] == "")
	return nil
}

// withdrawals reads the withdrawals from the beacon chain, in gwei. In CSV they are written as Python prints them.
func (b *builder) withdrawals(r *row) (moves []flow.Movement, has bool, err error) {
	s := r.cells["withdrawals"]
	if s == "" {
		return nil, false, nil
	}
	if s[0] != '[' {
		s = "[" + strings.ReplaceAll(s, "'", `"`) + "]"
	}
	var list []struct {
		Address string      `json:"address"`
		Amount  json.Number `json:"amount"`
	}
	if err := json.Unmarshal([]byte(s), &list); err != nil {
		return nil, false, fmt.Errorf("withdrawals: %w", err)
	}
	for i, w := range list {
		one := &row{chain: r.chain, cells: map[string]string{"address": w.Address, "amount": w.Amount.String()}}
		to, gwei := one.needAddress("address"), one.needAmount("amount")
		v, ok := execution.Total(execution.Fee{GasUsed: gwei, Price: flow.NewAmount(1_000_000_000)})
		if one.err != nil || !ok {
			return nil, false, fmt.Errorf("withdrawals: number %d: no address or no amount", i)
		}
		if !v.IsZero() {
			moves = append(moves, flow.In1Out1(flow.Reward, b.rules.Chain().Native(), uint32(i), flow.Account{}, b.rules.Account(to), v))
		}
	}
	return moves, true, nil
}

// at notes the place of a transaction; two places for one are an error.
func (t *transaction) at(r *row) error {
	if r.cells["transaction_index"] == "" {
		return nil
	}
	i := r.place("transaction_index")
	switch {
	case r.err != nil:
		return r.err
	case t.hasIndex && t.index != i:
		return fmt.Errorf("transaction_index: other rows say %d", t.index)
	}
	t.index, t.hasIndex = i, true
	return nil
}

func (b *builder) txRow(r *row) error {
	id, value, from, to := r.needHash("hash"), r.needAmount("value"), r.needAddress("from_address"), r.address("to_address")
	kind, offer, limit := r.number("transaction_type"), r.amount("gas_price"), r.amount("gas")
	if r.err != nil {
		return r.err
	}
	outcome, has := b.outcome(r, "receipt_")
	if r.err != nil {
		return r.err
	}
	if err := b.once("tx" + id.String()); err != nil {
		return err
	}
	t := b.of(id)
	if err := t.at(r); err != nil {
		return err
	}
	t.whole, t.kind, t.offer, t.limit = true, kind, offer, limit
	t.tx.Value, t.tx.From, t.tx.To = value, &from, to
	if has && !t.receipt {
		t.take(outcome)
	}
	return nil
}

func (b *builder) receiptRow(r *row) error {
	id := r.needHash("transaction_hash")
	outcome, _ := b.outcome(r, "")
	if r.err != nil {
		return r.err
	}
	if err := b.once("receipt" + id.String()); err != nil {
		return err
	}
	t := b.of(id)
	if err := t.at(r); err != nil {
		return err
	}
	t.take(outcome)
	return nil
}

// outcome reads the columns of a receipt; BigQuery and the stream have them in the table of transactions, with a prefix.
func (b *builder) outcome(r *row, prefix string) (o transaction, has bool) {
	o = transaction{used: r.amount(prefix + "gas_used"), price: r.amount(prefix + "effective_gas_price"), total: r.number(prefix + "cumulative_gas_used"),
		status: r.number(prefix + "status"), state: r.bytes(prefix + "root"), made: r.address(prefix + "contract_address")}
	if v := r.amount(prefix + "l1_fee"); v != nil {
		o.l1 = *v
	}
	if o.state != nil && len(o.state) != 32 {
		r.fail(prefix+"root", fmt.Errorf("%d bytes, want 32", len(o.state)))
	}
	if o.status != nil && *o.status > 1 {
		r.fail(prefix+"status", fmt.Errorf("%d is neither 0 nor 1", *o.status))
	}
	return o, o.used != nil
}

func (t *transaction) take(o transaction) {
	t.receipt = true
	t.used, t.price, t.total, t.status, t.state, t.made, t.l1 = o.used, o.price, o.total, o.status, o.state, o.made, o.l1
}

func (b *builder) logRow(r *row) error {
	id := r.needHash("transaction_hash")
	l := execution.Log{Index: r.place("log_index"), Emit: r.needAddress("address"), Data: r.bytes("data")}
	for _, s := range r.list("topics") {
		h, err := flow.ParseHash(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("topics: %w", err)
		}
		l.Topics = append(l.Topics, h)
	}
	if r.err != nil {
		return r.err
	}
	return b.addLog(r, id, l)
}

func (b *builder) addLog(r *row, id flow.Hash, l execution.Log) error {
	if err := b.once(fmt.Sprint("log", l.Index)); err != nil {
		return err
	}
	t := b.of(id)
	if err := t.at(r); err != nil {
		return err
	}
	t.logs = append(t.logs, l)
	return nil
}

// transferRow reads a token's transfer, where there is no table of logs: it is made the log that it was taken from.
func (b *builder) transferRow(r *row) error {
	id := r.needHash("transaction_hash")
	index, token, from, to, value := r.place("log_index"), r.needAddress("token_address"), r.needAddress("from_address"), r.needAddress("to_address"), r.needAmount("value")
	if r.err != nil {
		return r.err
	}
	if b.has("logs") {
		return nil
	}
	return b.addLog(r, id, execution.TokenTransfer(index, token, from, to, value))
}

func (b *builder) traceRow(r *row) error {
	what := r.cells["trace_type"]
	value := r.amount("value")
	switch what {
	case "reward", "genesis", "daofork":
		return b.ownTrace(r, what)
	}
	c := execution.Call{Input: r.bytes("input"), Failed: r.cells["error"] != "" || r.cells["status"] == "0"}
	for _, s := range r.list("trace_address") {
		n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
		if err != nil {
			return fmt.Errorf("trace_address: %w", err)
		}
		c.Path = append(c.Path, uint32(n))
	}
	from, to := r.address("from_address"), r.address("to_address")
	if r.err != nil {
		return r.err
	}
	complete := from != nil && to != nil && value != nil
	switch what {
	case "call":
		if k := r.cells["call_type"]; k != "" && k != "call" {
			c.Kind = execution.Still
		}
	case "create":
		c.Kind = execution.Create
		complete = from != nil && value != nil && (to != nil || c.Failed)
	case "suicide", "selfdestruct":
		c.Kind = execution.SelfDestruct
	default:
		return fmt.Errorf("trace_type: unknown: %.40q", what)
	}
	t, err := b.traced(r)
	if err != nil {
		return err
	}
	if err := b.once(fmt.Sprint("trace", t.id, c.Path)); err != nil {
		return err
	}
	if complete {
		c.From, c.Value = *from, *value
		if to != nil {
			c.To = *to
		}
	} else {
		c.Kind = execution.Still
		b.partial = true
		b.note(flow.DataMissing, fmt.Sprintf("transaction %s", t.id), fmt.Sprintf("the trace at %v does not say who gives to whom", c.Path))
	}
	t.calls = append(t.calls, c)
	return nil
}

// traced is the transaction of a trace. Traces that geth made name it only by its place.
func (b *builder) traced(r *row) (*transaction, error) {
	id := r.hash("transaction_hash")
	if r.err != nil {
		return nil, r.err
	}
	if !id.IsZero() {
		t := b.of(id)
		return t, t.at(r)
	}
	i := r.place("transaction_index")
	if r.err != nil {
		return nil, r.err
	}
	for _, t := range b.txs {
		if t.hasIndex && t.index == i {
			return t, nil
		}
	}
	return nil, fmt.Errorf("transaction_index: no table says which transaction is number %d", i)
}

// ownTrace reads what the block itself moved: its rewards, the first balances, the moves of the DAO fork.
func (b *builder) ownTrace(r *row, what string) error {
	to, value := r.needAddress("to_address"), r.needAmount("value")
	from := r.address("from_address")
	if r.err != nil {
		return r.err
	}
	if id := r.cells["trace_id"]; id != "" {
		if err := b.once(id); err != nil {
			return err
		}
	}
	b.rewarded = b.rewarded || what == "reward"
	if value.IsZero() {
		return nil
	}
	coin, index := b.rules.Chain().Native(), uint32(len(b.own))
	if what == "daofork" && from != nil {
		b.own = append(b.own, flow.In1Out1(flow.Internal, coin, index, b.rules.Account(*from), b.rules.Account(to), value))
		return nil
	}
	b.own = append(b.own, flow.In1Out1(flow.Reward, coin, index, flow.Account{}, b.rules.Account(to), value))
	return nil
}
