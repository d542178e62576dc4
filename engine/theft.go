package engine

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// A TheftSource is one source of a theft as people write it, not yet looked up in a store.
type TheftSource struct {
	Account string      `json:"account"`
	Asset   string      `json:"asset,omitempty"`     // CAIP-19, a token contract, or a coin's ticker; every asset (or the coin, with an amount) if empty
	Amount  json.Number `json:"amount,omitempty"`    // in the smallest unit; all that leaves the account if empty
	Time    string      `json:"from_time,omitempty"` // RFC 3339 or seconds since 1970
	Block   string      `json:"from_block,omitempty"`
}

// A TheftFile describes a theft: what a --theft file holds.
type TheftFile struct {
	Name         string        `json:"name"`
	Sources      []TheftSource `json:"sources"`
	Transactions []string      `json:"transactions,omitempty"` // ids, or id:index for an output of a UTXO transaction
	Thieves      []string      `json:"thieves,omitempty"`      // of the transactions' gainers, only these
}

// maxTheftFile bounds a theft file, which is read whole.
const maxTheftFile = 64 << 20

// ReadTheft reads a theft file: JSON, a CSV with the columns address,start_block,start_timestamp (either may be empty),
// or a plain list of addresses. In the last two, all that leaves the addresses from then on is stolen.
func ReadTheft(name string, r io.Reader) (TheftFile, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTheftFile+1))
	if err != nil {
		return TheftFile{}, fmt.Errorf("theft %s: %w", name, err)
	}
	if len(text) > maxTheftFile {
		return TheftFile{}, fmt.Errorf("theft %s: larger than %d MB", name, maxTheftFile>>20)
	}
	trimmed := strings.TrimSpace(strings.TrimPrefix(string(text), "\ufeff"))
	t := TheftFile{Name: name}
	if strings.HasPrefix(trimmed, "{") {
		d := json.NewDecoder(strings.NewReader(trimmed))
		d.DisallowUnknownFields()
		if err := d.Decode(&t); err != nil {
			return TheftFile{}, fmt.Errorf("theft %s: %w", name, err)
		}
	} else if t.Sources, err = readTheftRows(trimmed); err != nil {
		return TheftFile{}, fmt.Errorf("theft %s: %w", name, err)
	}
	if len(t.Sources)+len(t.Transactions) == 0 {
		return TheftFile{}, fmt.Errorf("theft %s: names no source and no transaction", name)
	}
	return t, nil
}

func readTheftRows(text string) ([]TheftSource, error) {
	rows := csv.NewReader(strings.NewReader(text))
	rows.FieldsPerRecord = -1
	rows.Comment = '#'
	column := map[string]int{"address": 0}
	var sources []TheftSource
	for first := true; ; first = false {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return sources, nil
		}
		if err != nil {
			return nil, err
		}
		if first && strings.EqualFold(strings.TrimSpace(row[0]), "address") {
			for i, h := range row {
				column[strings.ToLower(strings.TrimSpace(h))] = i
			}
			continue
		}
		field := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		s := TheftSource{Account: field("address"), Block: field("start_block")}
		if s.Block == "" {
			s.Time = field("start_timestamp")
		}
		if s.Account != "" {
			sources = append(sources, s)
		}
	}
}

// ParseFrom reads ACCOUNT[=AMOUNT ASSET][@TIME], TIME being RFC 3339, seconds since 1970, or block:HEIGHT.
func ParseFrom(text string) (TheftSource, error) {
	var s TheftSource
	rest, when, hasTime := strings.Cut(text, "@")
	if hasTime {
		if height, ok := strings.CutPrefix(when, "block:"); ok {
			s.Block = height
		} else {
			s.Time = when
		}
	}
	account, what, hasAmount := strings.Cut(rest, "=")
	s.Account = strings.TrimSpace(account)
	if hasAmount {
		amount, asset, _ := strings.Cut(strings.TrimSpace(what), " ")
		s.Amount, s.Asset = json.Number(amount), strings.TrimSpace(asset)
		if _, err := flow.ParseAmount(amount); err != nil {
			return TheftSource{}, fmt.Errorf("theft source %.200q: %w", text, err)
		}
	}
	if _, err := flow.ParseAccount(s.Account); err != nil {
		return TheftSource{}, fmt.Errorf("theft source: %w", err)
	}
	return s, nil
}

// Resolve looks a theft up in a store: times become places, transactions become what their receivers gained. chain says
// where bare transaction ids and EVM addresses without a chain are, if the store holds several chains; zero means the
// only chain of its kind. gainers are the accounts that a named transaction gave a net gain, for the user to see.
func Resolve(ctx context.Context, s store.Snapshot, f TheftFile, chain flow.Chain, labels *Labels) (t trace.Theft, gainers []trace.Holding, err error) {
	t.Name = f.Name
	for _, src := range f.Sources {
		resolved, err := resolveSource(ctx, s, src, chain)
		if err != nil {
			return t, nil, fmt.Errorf("source %s: %w", src.Account, err)
		}
		t.Sources = append(t.Sources, resolved)
	}
	thieves := map[flow.Account]bool{}
	for _, text := range f.Thieves {
		a, err := accountIn(s, text, chain)
		if err != nil {
			return t, nil, err
		}
		thieves[a] = true
	}
	for _, id := range f.Transactions {
		sources, err := resolveTx(ctx, s, id, chain, thieves, labels)
		if err != nil {
			return t, nil, fmt.Errorf("transaction %s: %w", id, err)
		}
		for _, src := range sources {
			if h, ok := src.(trace.Holding); ok {
				gainers = append(gainers, h)
			}
			t.Sources = append(t.Sources, src)
		}
	}
	return t, gainers, nil
}

// accountIn parses an account and, where it was written without a chain, moves it to the chain of its family which the
// store holds.
func accountIn(s store.Snapshot, text string, chain flow.Chain) (flow.Account, error) {
	a, err := flow.ParseAccount(text)
	if err != nil || strings.Count(text, ":") > 0 {
		return a, err
	}
	if !chain.IsZero() {
		if moved, err := a.On(chain); err == nil {
			return moved, nil
		}
	}
	held := s.Chains()
	var fits []flow.Account
	for _, c := range held {
		if moved, err := a.On(c); err == nil {
			if c == a.Chain() {
				return a, nil
			}
			fits = append(fits, moved)
		}
	}
	if len(fits) == 1 {
		return fits[0], nil
	}
	return a, nil
}

func resolveSource(ctx context.Context, s store.Snapshot, src TheftSource, chain flow.Chain) (trace.Source, error) {
	a, err := accountIn(s, src.Account, chain)
	if err != nil {
		return nil, err
	}
	from, err := resolvePlace(ctx, s, a.Chain(), src)
	if err != nil {
		return nil, err
	}
	asset, err := resolveAsset(a.Chain(), src.Asset)
	if err != nil {
		return nil, err
	}
	if src.Amount == "" {
		return trace.Outflow{Account: a, Asset: asset, From: from}, nil
	}
	if asset.IsZero() {
		asset = a.Chain().Native()
	}
	amount, err := flow.ParseAmount(src.Amount.String())
	if err != nil {
		return nil, err
	}
	if src.Time == "" && src.Block == "" {
		if from, err = firstHeld(ctx, s, a, asset, amount); err != nil {
			return nil, err
		}
	}
	return trace.Holding{Account: a, Asset: asset, Amount: amount, At: from}, nil
}

// resolveAsset reads an asset as people write it: CAIP-19, a token contract, or the ticker of the chain's coin.
func resolveAsset(c flow.Chain, text string) (flow.Asset, error) {
	switch {
	case text == "":
		return flow.Asset{}, nil
	case strings.Contains(text, "/") && strings.Contains(text, ":"):
		return flow.ParseAsset(text)
	case (c.IsEVM() || c.IsUTXO()) && len(text) <= 5 && strings.EqualFold(text, coinTicker(c)):
		return c.Native(), nil
	}
	return flow.ParseAssetOn(c, text)
}

func coinTicker(c flow.Chain) string {
	if c.IsUTXO() {
		return "BTC"
	}
	return "ETH"
}

// resolvePlace turns a time or a block height into the first place of that block; neither means the chain's beginning.
func resolvePlace(ctx context.Context, s store.Snapshot, c flow.Chain, src TheftSource) (flow.Pos, error) {
	if src.Block != "" {
		h, err := strconv.ParseUint(src.Block, 10, 64)
		if err != nil {
			return flow.Pos{}, fmt.Errorf("block %.40q: not a height", src.Block)
		}
		return flow.Pos{Height: h}, nil
	}
	if src.Time == "" {
		return flow.Pos{}, nil
	}
	t, err := ParseTime(src.Time)
	if err != nil {
		return flow.Pos{}, err
	}
	p, err := s.FirstAt(ctx, c, t)
	if isNotFound(err) {
		tip, ok := s.Tip(c)
		if !ok {
			return flow.Pos{}, fmt.Errorf("chain %s: %w", c, store.ErrNotFound)
		}
		return flow.Pos{Height: tip.Height + 1}, nil // after all that the store holds
	}
	return flow.Pos{Height: p.Height}, err
}

// ParseTime reads RFC 3339, a day (2006-01-02, UTC), or seconds since 1970.
func ParseTime(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, fmt.Errorf("time %.40q: write RFC 3339 (2020-10-26T02:53:31Z), a day, or seconds since 1970", s)
}

// firstHeld is the first place before which the account held that amount.
func firstHeld(ctx context.Context, s store.Snapshot, a flow.Account, asset flow.Asset, amount flow.Amount) (flow.Pos, error) {
	ids, err := s.IDs(ctx, a.Chain(), []flow.Account{a})
	if err != nil {
		return flow.Pos{}, err
	}
	if ids[0] == 0 {
		return flow.Pos{}, fmt.Errorf("account %s: %w", a, store.ErrNotFound)
	}
	at, found := flow.Pos{}, false
	var in, out flow.Sum
	err = s.Entries(ctx, a.Chain(), []store.Ask{{Holder: ids[0]}}, func(_ int, es []store.Entry) error {
		for _, e := range es {
			if e.Asset != asset || found {
				continue
			}
			if e.Gives {
				out = out.Plus(e.Amount)
				continue
			}
			in = in.Plus(e.Amount)
			if held, ok := in.Minus(out); ok && !held.Less(amount) {
				at, found = after(e.Pos), true
			}
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("account %s never held %s of %s at once in what the store holds: %w", a, amount, asset, store.ErrNotFound)
	}
	return at, err
}

// after is the place right behind a movement.
func after(p flow.Pos) flow.Pos {
	if p.Movement < math.MaxUint32 {
		p.Movement++
		return p
	}
	return flow.Pos{Height: p.Height, Tx: p.Tx + 1}
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// ParseDust reads dust floors "AMOUNT ASSET"; an asset without a chain is on the chain of the theft.
func ParseDust(texts []string, theft trace.Theft) (map[flow.Asset]flow.Amount, error) {
	floors := map[flow.Asset]flow.Amount{}
	for _, text := range texts {
		amount, name, _ := strings.Cut(strings.TrimSpace(text), " ")
		v, err := flow.ParseAmount(amount)
		if err != nil {
			return nil, fmt.Errorf("dust %q: %w", text, err)
		}
		for _, c := range chainsOf(theft) {
			asset, err := resolveAsset(c, strings.TrimSpace(name))
			if err != nil {
				return nil, fmt.Errorf("dust %q: %w", text, err)
			}
			if asset.IsZero() {
				asset = c.Native()
			}
			floors[asset] = v
		}
	}
	return floors, nil
}

// Until is the last place of the theft's chain before a time, which bounds a trace; the zero Pos for an empty text.
func Until(ctx context.Context, s store.Snapshot, text string, theft trace.Theft) (flow.Pos, error) {
	if text == "" {
		return flow.Pos{}, nil
	}
	src := TheftSource{Time: text}
	if height, ok := strings.CutPrefix(text, "block:"); ok {
		src = TheftSource{Block: height}
	}
	chains := chainsOf(theft)
	if len(chains) != 1 {
		return flow.Pos{}, fmt.Errorf("a last time needs a theft on one chain, not on %d", len(chains))
	}
	p, err := resolvePlace(ctx, s, chains[0], src)
	if err != nil {
		return flow.Pos{}, err
	}
	return flow.Pos{Height: p.Height, Tx: math.MaxUint32, Movement: math.MaxUint32}, nil
}

// chainsOf lists the chains that the sources of a theft are on, in the order of the sources.
func chainsOf(theft trace.Theft) []flow.Chain {
	var chains []flow.Chain
	for _, src := range theft.Sources {
		var c flow.Chain
		switch src := src.(type) {
		case trace.Holding:
			c = src.Account.Chain()
		case trace.Coin:
			c = src.Account.Chain()
		case trace.Outflow:
			c = src.Account.Chain()
		}
		if !slices.Contains(chains, c) {
			chains = append(chains, c)
		}
	}
	return chains
}
