package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// places are the places in the segments that an index has for a hash, newest first. Some may belong to another
// transaction.
func (l *looker) places(kind byte, hash uint64) ([]flow.Pos, error) {
	if len(l.v.segments) == 0 {
		return nil, nil
	}
	it, err := l.r.iter(kind)
	if err != nil {
		return nil, err
	}
	bucket, mark := bucketOf(hash)
	l.r.key = bucketKey(l.r.key[:0], kind, l.v.lane, bucket, 0)
	prefix := l.r.key[:laneKeySize+2]
	var at []flow.Pos
	for ok := it.SeekGE(l.r.key); ok && string(it.Key()[:len(prefix)]) == string(prefix); ok = it.Next() {
		n := lastNumber(it.Key())
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		if n == 0 || uint64(n) > uint64(len(l.v.segments)) {
			return nil, fmt.Errorf("%s: index of segment %d, which does not exist: %w", l.v.chain, n, errDamaged)
		}
		if at, err = readBucket(at, value, l.v.segments[n-1].first, mark); err != nil {
			return nil, fmt.Errorf("%s: index of segment %d: %w", l.v.chain, n, err)
		}
	}
	slices.Reverse(at)
	return at, it.Error()
}

// findID is the transaction with an id, and its place. Errors: store.ErrNotFound.
func (s *snapshot) findID(l *looker, id flow.Hash) (f foundTx, at flow.Pos, err error) {
	missing := func() error {
		return fmt.Errorf("%s transaction %s: %w", l.v.chain, l.v.chain.FormatHash(id), store.ErrNotFound)
	}
	if id.IsZero() {
		return f, at, missing()
	}
	for _, run := range slices.Backward(l.v.runs) {
		b, order, ok := run.txs().find(id)
		if !ok {
			continue
		}
		i := len(b.chunks) - 1
		for int(b.chunks[i].order) > order {
			i--
		}
		body, _ := b.chunk(i)
		r := newBodyReader(body, b.chunks[i].tx, l.v.forms)
		for k := int(b.chunks[i].order); r.nextTx(); k++ {
			if k == order {
				return foundTx{r, id}, flow.Pos{Height: b.point.Height, Tx: r.tx}, nil
			}
			if !r.skipMoves(&l.m) {
				break
			}
		}
		return f, at, fmt.Errorf("%s: %w", b.point, errDamaged)
	}
	places, err := l.places(keyTxPlace, s.secret.hash(id))
	if err != nil {
		return f, at, err
	}
	for _, at := range places {
		f, err := l.find(at)
		if err != nil {
			return f, at, err
		}
		if f.id == id {
			return f, at, nil
		}
	}
	return f, at, missing()
}

func (s *snapshot) Tx(_ context.Context, c flow.Chain, id flow.Hash) (tx flow.Tx, err error) {
	v := s.views[c]
	if v == nil {
		return flow.Tx{}, fmt.Errorf("%s transaction %s: %w", c, c.FormatHash(id), store.ErrNotFound)
	}
	err = s.look(v, func(l *looker) error {
		_, at, err := s.findID(l, id)
		if err == nil {
			tx, err = l.txAt(at)
		}
		return err
	})
	return tx, err
}

// byHash is the order in which to look n things up so that the index is read forwards.
func byHash(n int, hash func(i int) uint64) []int {
	type item struct {
		hash uint64
		i    int
	}
	items := make([]item, n)
	for i := range items {
		items[i] = item{hash(i), i}
	}
	slices.SortFunc(items, func(a, b item) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return a.i - b.i
	})
	order := make([]int, n)
	for k, it := range items {
		order[k] = it.i
	}
	return order
}

func (s *snapshot) Outputs(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Leg, error) {
	legs := make([]flow.Leg, len(of))
	v := s.views[c]
	if v == nil || !c.IsUTXO() || len(of) == 0 {
		return legs, nil
	}
	owners := make([]uint32, len(of))
	err := s.look(v, func(l *looker) error {
		for _, i := range byHash(len(of), func(i int) uint64 { return s.secret.hash(of[i].Tx) }) {
			f, _, err := s.findID(l, of[i].Tx)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			if f.moves == 0 || !f.nextMove(0, &l.m) {
				if err := f.check(); err != nil {
					return fmt.Errorf("output %s: %w", of[i], err)
				}
				continue
			}
			if uint64(of[i].Index) >= uint64(len(l.m.out)) {
				continue
			}
			raw := &l.m.out[of[i].Index]
			a, ok := unpackAmount(raw.class, raw.amount)
			if !ok {
				return fmt.Errorf("output %s: %w", of[i], errDamaged)
			}
			owners[i], legs[i].Amount = raw.account, a
			l.wanted = append(l.wanted, raw.account)
		}
		if err := l.resolve(); err != nil {
			return err
		}
		for i, id := range owners {
			legs[i].Account = l.accounts[id]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return legs, nil
}

func (s *snapshot) Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) (at []flow.Pos, ok []bool, err error) {
	at, ok = make([]flow.Pos, len(of)), make([]bool, len(of))
	v := s.views[c]
	if v == nil || len(of) == 0 {
		return at, ok, nil
	}
	err = s.look(v, func(l *looker) error {
		for _, i := range byHash(len(of), func(i int) uint64 { return s.secret.outpoint(of[i]) }) {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if at[i], ok[i], err = s.spend(l, of[i]); err != nil {
				return fmt.Errorf("spend of %s: %w", of[i], err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return at, ok, nil
}

// spend is the place of the newest transaction that spends an outpoint.
func (s *snapshot) spend(l *looker, o flow.Outpoint) (at flow.Pos, ok bool, err error) {
	for _, run := range slices.Backward(l.v.runs) {
		spends, err := run.spends()
		if err != nil {
			return at, false, err
		}
		if at, ok := spends[o]; ok {
			return at, true, nil
		}
	}
	places, err := l.places(keySpends, s.secret.outpoint(o))
	if err != nil {
		return at, false, err
	}
	for _, at := range places {
		f, err := l.find(at)
		if err != nil {
			return at, false, err
		}
		for place := range uint32(f.moves) {
			if !f.nextMove(place, &l.m) {
				return at, false, f.check()
			}
			if slices.Contains(l.m.spent, o) {
				return at, true, nil
			}
		}
	}
	return at, false, nil
}

// frozenID is the id that the segments have for an account key, 0 for none.
func frozenID(db pebble.Reader, lane uint16, key string) (uint32, error) {
	value, closer, err := db.Get(append(laneKey(make([]byte, 0, laneKeySize+len(key)), keyAccount, lane), key...))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	id, n := binary.Uvarint(value)
	if err := closer.Close(); err != nil {
		return 0, err
	}
	if n <= 0 || id == 0 || id > 1<<32-1 {
		return 0, fmt.Errorf("id of account %x: %w", key, errDamaged)
	}
	return uint32(id), nil
}

func (s *snapshot) IDs(ctx context.Context, c flow.Chain, accounts []flow.Account) ([]store.ID, error) {
	ids := make([]store.ID, len(accounts))
	v := s.views[c]
	if v == nil {
		return ids, nil
	}
	for i, a := range accounts {
		if a.IsZero() || a.Chain() != c {
			continue
		}
		for _, run := range v.runs {
			if id := run.names()[a.Key()]; id != 0 {
				ids[i] = store.ID(id)
				break
			}
		}
		if ids[i] != 0 || v.frozenIDs() == 1 {
			continue
		}
		id, err := frozenID(s.db, v.lane, a.Key())
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		ids[i] = store.ID(id)
	}
	return ids, nil
}

func (s *snapshot) Accounts(_ context.Context, c flow.Chain, ids []store.ID) ([]flow.Account, error) {
	accounts := make([]flow.Account, len(ids))
	v := s.views[c]
	for _, id := range ids {
		if id != 0 && (v == nil || id >= store.ID(v.nextID)) {
			return nil, fmt.Errorf("%s account with id %d: %w", c, id, store.ErrNotFound)
		}
	}
	if v == nil {
		return accounts, nil
	}
	err := s.look(v, func(l *looker) error {
		for _, i := range byHash(len(ids), func(i int) uint64 { return uint64(ids[i]) }) {
			var err error
			if accounts[i], err = l.account(uint32(ids[i])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return accounts, nil
}
