package table

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rows"
)

// transferCols are the places of the columns of transfers-csv in a row; -1 for those that may be absent.
type transferCols struct {
	chain, block, index, tx, from, to, asset, amount, time int
	hash, parent, kind                                     int
	n                                                      int
}

func transferReader(header string) (func(*builder, rows.Row) error, error) {
	at, n, err := rows.Columns(header, rows.TransferColumns, rows.TransferOptional)
	if err != nil {
		return nil, err
	}
	c := transferCols{at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], at[9], at[10], at[11], n}
	return c.read, nil
}

// An indexed is a row and its log_index.
type indexed struct {
	index uint32
	row   rows.Row
}

// repeats returns an error for a row which stands in the table before, under the same log_index. Rows of one log_index
// follow each other, so that nearly always there is nothing to look up.
func (b *builder) repeats(index uint32, r rows.Row) error {
	if b.last.row.Line == 0 || b.last.index != index {
		b.last = indexed{index, r}
		clear(b.same)
		return nil
	}
	if b.same == nil {
		b.same = map[string]string{}
	}
	b.same[b.last.row.Text] = b.last.row.Where()
	if first, ok := b.same[r.Text]; ok {
		return fmt.Errorf("repeats %s", first)
	}
	b.last.row = r
	return nil
}

func (c transferCols) read(b *builder, r rows.Row) error {
	f, err := b.split(r, c.n)
	if err != nil {
		return err
	}
	if name := f[c.chain]; name != b.chain.String() {
		chain, err := flow.ParseChain(name)
		if err != nil {
			return err
		}
		if chain != b.chain {
			return fmt.Errorf("chain %s on %s: %w", chain, b.chain, ErrBlock)
		}
	}
	if err := b.checkBlock(f[c.block], f[c.time]); err != nil {
		return err
	}
	if err := c.checkHashes(b, f); err != nil {
		return err
	}
	index, err := parseUint("log_index", f[c.index], 32)
	if err != nil {
		return err
	}
	id, err := flow.ParseHash(f[c.tx])
	if err != nil {
		return fieldError("tx_hash", f[c.tx], err)
	}
	if id.IsZero() {
		return errors.New("tx_hash: all zero")
	}
	m, err := c.movement(b, f, uint32(index))
	if err != nil {
		return err
	}
	if err := b.repeats(m.Index, r); err != nil {
		return err
	}
	t := b.tx(id)
	b.block.Txs[t].Movements = append(b.block.Txs[t].Movements, m)
	return nil
}

// checkHashes compares the hashes that a row says with those of its block.
func (c transferCols) checkHashes(b *builder, f []string) error {
	check := func(column int, name string, want flow.Hash) error {
		if column < 0 || f[column] == "" {
			return nil
		}
		h, err := flow.ParseHash(f[column])
		if err != nil {
			return fieldError(name, f[column], err)
		}
		if !want.IsZero() && h != want {
			return fmt.Errorf("%s %s, but the block's is %s", name, h, want)
		}
		return nil
	}
	if err := check(c.hash, "block_hash", b.block.Point.Hash); err != nil {
		return err
	}
	return check(c.parent, "parent_hash", b.block.Parent)
}

func (c transferCols) movement(b *builder, f []string, index uint32) (flow.Movement, error) {
	asset, err := b.asset(f[c.asset])
	if err != nil {
		return flow.Movement{}, err
	}
	kind := defaultKind(asset)
	if c.kind >= 0 && f[c.kind] != "" {
		if kind, err = flow.ParseKind(f[c.kind]); err != nil {
			return flow.Movement{}, err
		}
	}
	v, err := parseAmount("amount_base_units", f[c.amount])
	if err != nil {
		return flow.Movement{}, err
	}
	from, to, err := b.sides(kind, asset, f[c.from], f[c.to])
	if err != nil {
		return flow.Movement{}, err
	}
	return flow.In1Out1(kind, asset, index, from, to, v), nil
}

// sides reads who gives and who takes. Nobody issues and burns: an empty field, and for tokens the zero address.
func (b *builder) sides(kind flow.Kind, asset flow.Asset, fromText, toText string) (from, to flow.Account, err error) {
	if fromText != "" {
		if from, err = b.account("from", fromText); err != nil {
			return from, to, err
		}
	}
	if toText != "" {
		if to, err = b.account("to", toText); err != nil {
			return from, to, err
		}
	}
	if asset != b.native {
		if isNobody(from) {
			from = flow.Account{}
		}
		if isNobody(to) {
			to = flow.Account{}
		}
	}
	coin := kind == flow.Transfer || kind == flow.Internal
	switch {
	case from.IsZero() && to.IsZero():
		err = errors.New("neither from nor to is anybody")
	case from.IsZero() && (coin || kind == flow.Fee || kind == flow.Unwrap):
		err = fmt.Errorf("from is empty, and the kind is %s", kind)
	case to.IsZero() && (coin || kind == flow.Reward || kind == flow.Wrap):
		err = fmt.Errorf("to is empty, and the kind is %s", kind)
	}
	return from, to, err
}

// coinSymbols are the symbols by which the asset column may name the coin of a chain. Elsewhere "native" does.
func isCoinSymbol(c flow.Chain, s string) bool {
	switch c.String() {
	case "eip155:1", "eip155:10", "eip155:8453", "eip155:42161", "eip155:11155111":
		return s == "ETH"
	case "eip155:56":
		return s == "BNB"
	case "eip155:137":
		return s == "POL" || s == "MATIC"
	case "eip155:43114":
		return s == "AVAX"
	}
	return c == flow.Tron && s == "TRX"
}

// asset reads the asset column: the coin's symbol, a token contract, or CAIP-19 with or without the chain.
func (b *builder) asset(s string) (flow.Asset, error) {
	if a, ok := b.assets[s]; ok {
		return a, nil
	}
	var a flow.Asset
	var err error
	switch {
	case isCoinSymbol(b.chain, s):
		a = b.native
	case strings.HasPrefix(s, b.chain.String()+"/"):
		a, err = flow.ParseAsset(s)
	default:
		a, err = flow.ParseAssetOn(b.chain, s)
	}
	if err != nil {
		return flow.Asset{}, err
	}
	b.assets[s] = a
	return a, nil
}

func defaultKind(a flow.Asset) flow.Kind {
	switch a.Kind() {
	case "erc721", "erc1155":
		return flow.NFTMove
	case "erc20", "trc20":
		return flow.TokenMove
	}
	return flow.Transfer
}

// parseAmount reads decimal digits and nothing else.
func parseAmount(name, s string) (flow.Amount, error) {
	if slices.ContainsFunc([]byte(s), func(c byte) bool { return c < '0' || c > '9' }) {
		return flow.Amount{}, fieldError(name, s, flow.ErrAmount)
	}
	v, err := flow.ParseAmount(s)
	if err != nil {
		return flow.Amount{}, fieldError(name, s, err)
	}
	return v, nil
}
