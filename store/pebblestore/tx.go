package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sort"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// A looker answers questions about transactions of one lane. One goroutine uses it.
type looker struct {
	v        *view
	r        *tableReader
	secret   *secret
	point    flow.Point // of the block that was asked for last
	wanted   []uint32   // account ids to be resolved
	accounts map[uint32]flow.Account
	m        rawMove
	ids      []uint32
}

// look runs f with a looker for a chain that has blocks.
func (s *snapshot) look(v *view, f func(l *looker) error) error {
	r, err := s.reader(v)
	if err != nil {
		return err
	}
	return errors.Join(f(&looker{v: v, r: r, secret: s.secret}), s.give(r))
}

// spread calls f with parts of a list of numbers, which it shares out between workers if there are many: each takes the next
// part, so that each reads forwards. f may keep things for the numbers apart without locks.
func (s *snapshot) spread(ctx context.Context, v *view, order []int, f func(l *looker, part []int) error) error {
	if len(order) <= fewAsks {
		return s.look(v, func(l *looker) error { return errors.Join(ctx.Err(), f(l, order)) })
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range max(runtime.GOMAXPROCS(0), min(workersPerCore*runtime.GOMAXPROCS(0), len(order)/1024)) { // an iterator costs something, too
		g.Go(func() error {
			return s.look(v, func(l *looker) error {
				for ctx.Err() == nil {
					from := int(next.Add(fewAsks)) - fewAsks
					if from >= len(order) {
						return nil
					}
					if err := f(l, order[from:min(from+fewAsks, len(order))]); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
		})
	}
	return g.Wait()
}

// chunkAt is the chunk that would hold a transaction: its body, its ids, and the index of its first transaction. They are
// valid until the next call. Errors: store.ErrNotFound.
func (l *looker) chunkAt(height uint64, tx uint32) (body, ids []byte, first uint32, err error) {
	missing := func() error {
		return fmt.Errorf("%s transaction %d of block %d: %w", l.v.chain, tx, height, store.ErrNotFound)
	}
	if b := l.v.head(height); b != nil {
		i, ok := b.chunkOf(tx)
		if !ok {
			return nil, nil, 0, missing()
		}
		body, ids = b.chunk(i)
		return body, ids, b.chunks[i].tx, nil
	}
	if !l.v.isFrozen(height) {
		return nil, nil, 0, missing()
	}
	for _, kind := range [...]byte{keyBody, keyTxIDs} {
		it, err := l.r.iter(kind)
		if err != nil {
			return nil, nil, 0, err
		}
		l.r.key = append(chunkKey(l.r.key[:0], kind, l.v.lane, height, tx), 0)
		if !it.SeekLT(l.r.key) || string(it.Key()[:laneKeySize+8]) != string(l.r.key[:laneKeySize+8]) {
			if err := it.Error(); err != nil {
				return nil, nil, 0, err
			}
			return nil, nil, 0, missing()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, 0, err
		}
		if kind == keyBody {
			body, first = value, lastNumber(it.Key())
		} else {
			ids = value
		}
	}
	return body, ids, first, nil
}

// A found transaction is a reader that stands at its first movement, and its id.
type foundTx struct {
	bodyReader
	id flow.Hash
}

// find is the transaction at a place. Errors: store.ErrNotFound.
func (l *looker) find(at flow.Pos) (f foundTx, err error) {
	body, ids, first, err := l.chunkAt(at.Height, at.Tx)
	if err != nil {
		return f, err
	}
	r := newBodyReader(body, first, l.v.forms)
	for order := 0; r.nextTx(); order++ {
		if r.tx == at.Tx {
			if len(ids) < 32*order+32 {
				r.bad = true
				break
			}
			return foundTx{r, flow.Hash(ids[32*order:])}, nil
		}
		if r.tx > at.Tx || !r.skipMoves(&l.m) {
			break
		}
	}
	if err := r.check(); err != nil {
		return f, fmt.Errorf("%s block %d: transactions from %d on: %w", l.v.chain, at.Height, first, err)
	}
	return f, fmt.Errorf("%s transaction %d of block %d: %w", l.v.chain, at.Tx, at.Height, store.ErrNotFound)
}

// want notes the accounts of a movement, to be resolved.
func (l *looker) want(m *rawMove) {
	for _, leg := range m.in {
		l.wanted = append(l.wanted, leg.account)
	}
	for _, leg := range m.out {
		l.wanted = append(l.wanted, leg.account)
	}
}

// resolve looks all wanted accounts up.
func (l *looker) resolve() error {
	slices.Sort(l.wanted)
	ids := slices.Compact(l.wanted)
	l.wanted = l.wanted[:0]
	if l.accounts == nil {
		l.accounts = make(map[uint32]flow.Account, len(ids))
	}
	for _, id := range ids {
		if _, ok := l.accounts[id]; ok || id == 0 {
			continue
		}
		a, err := l.account(id)
		if err != nil {
			return err
		}
		l.accounts[id] = a
	}
	return nil
}

// account is the account with an id. Errors: store.ErrNotFound.
func (l *looker) account(id uint32) (flow.Account, error) {
	switch {
	case id == 0:
		return flow.Account{}, nil
	case id >= l.v.nextID:
		return flow.Account{}, fmt.Errorf("%s account with id %d: %w", l.v.chain, id, store.ErrNotFound)
	case len(l.v.blocks) > 0 && id >= l.v.blocks[0].firstID:
		i := sort.Search(len(l.v.blocks), func(i int) bool { return l.v.blocks[i].firstID > id }) - 1
		if b := l.v.blocks[i]; id-b.firstID < uint32(len(b.names)) {
			return flow.AccountFromKey(l.v.chain, b.names[id-b.firstID])
		}
	}
	key, err := l.name(id)
	if err != nil {
		return flow.Account{}, err
	}
	return flow.AccountFromKey(l.v.chain, string(key))
}

// name is the key of an account of the segments. It is valid until the next call.
func (l *looker) name(id uint32) ([]byte, error) {
	it, err := l.r.iter(keyNames)
	if err != nil {
		return nil, err
	}
	l.r.key = append(numberKey(l.r.key[:0], keyNames, l.v.lane, id), 0)
	key, err := []byte(nil), error(nil)
	if it.SeekLT(l.r.key) {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			key, err = nameIn(value, id-lastNumber(it.Key()))
		}
	} else if err = it.Error(); err == nil && !l.v.late {
		err = errDamaged
	}
	if key == nil && err == nil {
		key, err = l.lentName(id)
	}
	if err != nil {
		return nil, fmt.Errorf("%s account with id %d: %w", l.v.chain, id, err)
	}
	return key, nil
}

// lentName is the key of an account that a filled block has and a head block brought. Errors: store.ErrNotFound.
func (l *looker) lentName(id uint32) ([]byte, error) {
	it, err := l.r.iter(keyLent)
	if err != nil {
		return nil, err
	}
	l.r.key = numberKey(l.r.key[:0], keyLent, l.v.lane, id)
	if !it.SeekGE(l.r.key) || string(it.Key()) != string(l.r.key) {
		return nil, errors.Join(it.Error(), store.ErrNotFound)
	}
	return it.ValueAndErr()
}

// nameIn is the n-th key of a list of account keys, nil where the list ends before it.
func nameIn(value []byte, n uint32) ([]byte, error) {
	r := cursor{b: value}
	for ; n > 0 && !r.bad && r.at < len(value); n-- {
		r.bytes(int(r.byte()))
	}
	if r.at == len(value) && !r.bad {
		return nil, nil
	}
	key := r.bytes(int(r.byte()))
	return key, r.check()
}

// movements reads the movements of the transaction that r stands at. Their accounts must be resolved.
func (l *looker) movements(r *bodyReader) ([]flow.Movement, error) {
	if r.moves == 0 {
		return nil, nil
	}
	moves := make([]flow.Movement, 0, min(r.moves, 1024))
	leg := func(raw *rawLeg) flow.Leg {
		a, ok := unpackAmount(raw.class, raw.amount)
		if !ok {
			r.bad = true
		}
		return flow.Leg{Account: l.accounts[raw.account], Amount: a}
	}
	for place := range uint32(r.moves) {
		if !r.nextMove(place, &l.m) {
			break
		}
		f := &l.v.forms[l.m.form-1]
		asset, err := f.assetOf(l.v.chain, l.m.token)
		if err != nil {
			return nil, err
		}
		m := flow.Movement{Kind: f.kind, Asset: asset, Index: l.m.index}
		legs := make([]flow.Leg, 0, len(l.m.in)+len(l.m.out))
		for i := range l.m.in {
			legs = append(legs, leg(&l.m.in[i]))
		}
		for i := range l.m.out {
			legs = append(legs, leg(&l.m.out[i]))
		}
		if n := len(l.m.in); n > 0 {
			m.In = legs[:n:n]
		}
		if n := len(l.m.in); n < len(legs) {
			m.Out = legs[n:]
		}
		if len(l.m.spent) > 0 {
			m.Spent = slices.Clone(l.m.spent)
		}
		moves = append(moves, m)
	}
	return moves, r.check()
}

// tx makes a transaction of what was found. Its accounts must be resolved.
func (l *looker) tx(f *foundTx, p flow.Point) (flow.Tx, error) {
	tx := flow.Tx{ID: f.id, Point: p, Index: f.tx, Failed: f.failed}
	var err error
	if len(f.logs) > 0 {
		tx.Logs, err = readLogs(f.logs, l.v.chain)
	}
	if err == nil {
		tx.Movements, err = l.movements(&f.bodyReader)
	}
	if err != nil {
		return flow.Tx{}, fmt.Errorf("%s transaction %d of block %d: %w", l.v.chain, f.tx, p.Height, err)
	}
	return tx, nil
}

// txAt is the transaction at a place. Errors: store.ErrNotFound.
func (l *looker) txAt(at flow.Pos) (flow.Tx, error) {
	f, err := l.find(at)
	if err != nil {
		return flow.Tx{}, err
	}
	ahead := f.bodyReader
	for place := range uint32(ahead.moves) {
		if !ahead.nextMove(place, &l.m) {
			break
		}
		l.want(&l.m)
	}
	if err := l.resolve(); err != nil {
		return flow.Tx{}, err
	}
	if l.point.Height != at.Height || l.point.IsZero() {
		if l.point, err = l.v.point(l.r.db, at.Height); err != nil {
			return flow.Tx{}, err
		}
	}
	return l.tx(&f, l.point)
}

func (s *snapshot) TxAt(ctx context.Context, c flow.Chain, at []flow.Pos) ([]flow.Tx, error) {
	txs := make([]flow.Tx, len(at))
	if len(at) == 0 {
		return txs, nil
	}
	v := s.views[c]
	if v == nil {
		return nil, fmt.Errorf("%s transaction %d of block %d: %w", c, at[0].Tx, at[0].Height, store.ErrNotFound)
	}
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int { return at[i].Compare(at[k]) })
	err := s.spread(ctx, v, order, func(l *looker, part []int) (err error) {
		for _, i := range part {
			if txs[i], err = l.txAt(at[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return txs, nil
}

func (s *snapshot) Block(_ context.Context, c flow.Chain, height uint64) (flow.Block, error) {
	missing := fmt.Errorf("%s block %d: %w", c, height, store.ErrNotFound)
	v := s.views[c]
	if v == nil {
		return flow.Block{}, missing
	}
	b := v.head(height)
	if b == nil {
		if !v.isFrozen(height) {
			return flow.Block{}, missing
		}
		value, err := get(s.db, heightKey(nil, keyBlock, v.lane, height))
		if err != nil {
			return flow.Block{}, fmt.Errorf("%s block %d: %w", c, height, err)
		}
		b = &block{}
		r := &cursor{b: value}
		readHeader(r, c, height, b)
		if err := r.checkEnd(); err != nil {
			return flow.Block{}, fmt.Errorf("%s block %d: %w", c, height, err)
		}
		if err := s.readChunks(v, b); err != nil {
			return flow.Block{}, fmt.Errorf("%s block %d: %w", c, height, err)
		}
	}
	out := flow.Block{Point: b.point, Parent: b.parent, Coverage: b.coverage, Notes: slices.Clone(b.notes)}
	err := s.look(v, func(l *looker) error { return l.txs(&out, b) })
	if err != nil {
		return flow.Block{}, fmt.Errorf("%s block %d: %w", c, height, err)
	}
	return out, nil
}

// readChunks fills the transactions of a block of the segments.
func (s *snapshot) readChunks(v *view, b *block) error {
	for _, kind := range [...]byte{keyBody, keyTxIDs} {
		lower := heightKey(nil, kind, v.lane, b.point.Height)
		upper := append(chunkKey(nil, kind, v.lane, b.point.Height, math.MaxUint32), 0)
		err := scan(s.db, lower, upper, func(key, value []byte) error {
			if kind == keyBody {
				b.chunks = append(b.chunks, chunk{tx: lastNumber(key), at: uint32(len(b.body))})
				b.body = append(b.body, value...)
				return nil
			}
			i, ok := b.chunkOf(lastNumber(key))
			if !ok || b.chunks[i].tx != lastNumber(key) {
				return errDamaged
			}
			b.chunks[i].order = uint32(b.txs())
			b.ids = append(b.ids, value...)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// txs adds the transactions of b to out.
func (l *looker) txs(out *flow.Block, b *block) error {
	for _, read := range []bool{false, true} {
		if read {
			if err := l.resolve(); err != nil {
				return err
			}
		}
		for i, c := range b.chunks {
			body, ids := b.chunk(i)
			r := newBodyReader(body, c.tx, l.v.forms)
			for order := 0; r.nextTx(); order++ {
				if !read {
					for place := range uint32(r.moves) {
						if !r.nextMove(place, &l.m) {
							break
						}
						l.want(&l.m)
					}
					continue
				}
				if len(ids) < 32*order+32 {
					return fmt.Errorf("ids of the transactions from %d on: %w", c.tx, errDamaged)
				}
				f := foundTx{r, flow.Hash(ids[32*order:])}
				tx, err := l.tx(&f, out.Point)
				if err != nil {
					return err
				}
				r = f.bodyReader
				out.Txs = append(out.Txs, tx)
			}
			if err := r.check(); err != nil {
				return fmt.Errorf("transactions from %d on: %w", c.tx, err)
			}
		}
	}
	return nil
}
