package table

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rows"
)

// heistCols are the places of the columns of heist-csv in a row; -1 for those that may be absent.
type heistCols struct {
	hash, from, to, value, time, block, contract int
	symbol, isError, gasPrice, gasUsed           int
	n                                            int
}

func heistReader(header string) (func(*builder, rows.Row) error, error) {
	at, n, err := rows.Columns(header, rows.HeistColumns, rows.HeistOptional)
	if err != nil {
		return nil, err
	}
	c := heistCols{at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], at[9], at[10], n}
	return c.read, nil
}

// A heistTx is what the rows of one transaction say, until all rows of the block are read.
type heistTx struct {
	outer  *heistMove // the transaction itself, as its sender signed it
	inner  []heistMove
	fee    flow.Amount
	failed bool
}

// A heistMove is a row that may move something.
type heistMove struct {
	row   rows.Row
	kind  flow.Kind
	asset flow.Asset
	from  flow.Account
	to    flow.Account
	value flow.Amount
}

func (c heistCols) read(b *builder, r rows.Row) error {
	f, err := b.split(r, c.n)
	if err != nil {
		return err
	}
	if err := b.checkBlock(f[c.block], f[c.time]); err != nil {
		return err
	}
	id, err := flow.ParseHash(f[c.hash])
	if err != nil {
		return fieldError("hash", f[c.hash], err)
	}
	if id.IsZero() {
		return errors.New("hash: all zero")
	}
	failed, err := parseIsError(c.optional(f, c.isError))
	if err != nil {
		return err
	}
	m, err := c.move(b, f)
	if err != nil {
		return err
	}
	m.row = r
	if b.seen == nil {
		b.seen = map[string]string{}
	}
	key := strings.Join(f, ",")
	if first, ok := b.seen[key]; ok {
		return fmt.Errorf("repeats %s", first)
	}
	b.seen[key] = r.Where()
	t := b.tx(id)
	for len(b.heist) <= t {
		b.heist = append(b.heist, heistTx{})
	}
	tx := &b.heist[t]
	switch {
	case m.kind == flow.Transfer && tx.outer == nil:
		tx.outer, tx.failed = &m, failed
		if tx.fee, err = c.fee(f); err != nil {
			b.note(flow.DataMissing, r, fmt.Errorf("the fee is not known: %w", err))
		}
	case failed: // a call that failed inside a transaction which did not
	default:
		if m.kind == flow.Transfer {
			m.kind = flow.Internal
		}
		tx.inner = append(tx.inner, m)
	}
	return nil
}

func (c heistCols) optional(f []string, column int) string {
	if column < 0 {
		return ""
	}
	return f[column]
}

func (c heistCols) move(b *builder, f []string) (m heistMove, err error) {
	if m.value, err = wholeAmount("value", f[c.value]); err != nil {
		return m, err
	}
	contract, to := f[c.contract], f[c.to]
	if to == "" && c.optional(f, c.symbol) == "" { // a contract is created: there the contract is who takes
		contract, to = "", contract
	}
	if m.from, err = b.account("from", f[c.from]); err != nil {
		return m, err
	}
	if m.to, err = b.account("to", to); err != nil {
		return m, err
	}
	if contract == "" {
		m.kind, m.asset = flow.Transfer, b.native
		if c.gasPrice >= 0 && f[c.gasPrice] == "" {
			m.kind = flow.Internal
		}
		return m, nil
	}
	m.kind = flow.TokenMove
	if _, err := b.account("contractAddress", contract); err != nil {
		return m, err
	}
	if m.asset, err = b.asset(contract); err != nil {
		return m, err
	}
	if isNobody(m.from) {
		m.from = flow.Account{}
	}
	if isNobody(m.to) {
		m.to = flow.Account{}
	}
	if m.from.IsZero() && m.to.IsZero() {
		return m, errors.New("neither from nor to is anybody")
	}
	return m, nil
}

// fee is gas price times gas used, where the row says both.
func (c heistCols) fee(f []string) (flow.Amount, error) {
	price, used := c.optional(f, c.gasPrice), c.optional(f, c.gasUsed)
	if price == "" || used == "" {
		return flow.Amount{}, nil
	}
	p, err := wholeAmount("gasPrice", price)
	if err != nil {
		return flow.Amount{}, err
	}
	u, err := wholeAmount("gasUsed", used)
	if err != nil {
		return flow.Amount{}, err
	}
	return flow.AmountFromBig(new(big.Int).Mul(p.Big(), u.Big()))
}

// wholeAmount reads a whole number, also with the ".0" that data frames put behind numbers which were floating-point on
// the way. Up to 2⁵³ those are exact. Beyond, and with an exponent, the number may have been rounded: that is no fact.
func wholeAmount(name, s string) (flow.Amount, error) {
	digits, zeros, float := strings.Cut(s, ".")
	if strings.ContainsAny(s, "eE") || float && strings.Trim(zeros, "0") != "" {
		return flow.Amount{}, fieldError(name, s, errFloat)
	}
	v, err := parseAmount(name, digits)
	if n, small := v.Uint64(); err == nil && float && (!small || n > 1<<53) {
		return flow.Amount{}, fieldError(name, s, errFloat)
	}
	return v, err
}

var errFloat = errors.New("a fraction or a floating-point number, which may have been rounded")

func parseIsError(s string) (bool, error) {
	switch s {
	case "", "0", "0.0":
		return false, nil
	case "1", "1.0":
		return true, nil
	}
	return false, fmt.Errorf("isError %.40q: neither 0 nor 1", s)
}

// settleHeist writes the movements of every transaction: first its fee, then what it carries itself, then the rows of
// its calls and tokens as they stand in the table. A failed transaction moves its fee only.
func (b *builder) settleHeist() {
	var index uint32
	for i := range b.heist {
		tx, t := &b.block.Txs[i], &b.heist[i]
		put := func(kind flow.Kind, asset flow.Asset, from, to flow.Account, v flow.Amount) {
			tx.Movements = append(tx.Movements, flow.In1Out1(kind, asset, index, from, to, v))
			index++
		}
		tx.Failed = t.failed
		if t.outer != nil {
			if !t.fee.IsZero() {
				put(flow.Fee, b.native, t.outer.from, flow.Account{}, t.fee)
			}
			if !t.failed && !t.outer.value.IsZero() {
				put(flow.Transfer, t.outer.asset, t.outer.from, t.outer.to, t.outer.value)
			}
		}
		for _, m := range t.inner {
			switch {
			case t.failed:
				b.refuse(m.row, errors.New("its transaction failed"))
			case m.kind == flow.Internal && m.value.IsZero(): // a call that carries no coin
			default:
				put(m.kind, m.asset, m.from, m.to, m.value)
			}
		}
	}
}
