package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// pieces calls f for every piece of a bucket, older segments first.
func (l *looker) pieces(kind byte, bucket uint16, f func(segment uint32, piece []byte) error) error {
	if len(l.v.segments) == 0 {
		return nil
	}
	it, err := l.r.iter(kind)
	if err != nil {
		return err
	}
	l.r.key = bucketKey(l.r.key[:0], kind, l.v.lane, bucket, 0)
	prefix := l.r.key[:bucketKeySize]
	for ok := it.SeekGE(l.r.key); ok && string(it.Key()[:bucketKeySize]) == string(prefix); ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		group, rest, good := readShort(it.Key()[bucketKeySize:])
		r := cursor{b: value, bad: !good || len(rest) > 0}
		for r.at < len(value) && !r.bad {
			n, piece := r.piece(group, bucketGroupBits)
			if n == 0 || uint64(n) > uint64(len(l.v.segments)) {
				r.bad = true
			}
			if !r.bad {
				if err := f(n, piece); err != nil {
					return fmt.Errorf("%s: key %x: segment %d: %w", l.v.chain, it.Key(), n, err)
				}
			}
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("%s: key %x: %w", l.v.chain, it.Key(), err)
		}
	}
	return it.Error()
}

// places are the places in the segments that an index has for a hash, newest first. Some may belong to another
// transaction.
func (l *looker) places(kind byte, hash uint64) (at []flow.Pos, err error) {
	bucket, mark := bucketOf(hash)
	err = l.pieces(kind, bucket, func(n uint32, piece []byte) (err error) {
		at, err = readTxPiece(at, piece, l.v.segments[n-1].first, mark)
		return err
	})
	if l.v.late {
		slices.SortFunc(at, flow.Pos.Compare)
	}
	slices.Reverse(at)
	return at, err
}

// frozenID is the id that the segments have for an account key, 0 for none.
func (l *looker) frozenID(key string) (uint32, error) {
	bucket, mark := bucketOf(l.secret.key(key))
	l.ids = l.ids[:0]
	err := l.pieces(keyAccount, bucket, func(n uint32, piece []byte) (err error) {
		l.ids, err = readIDPiece(l.ids, piece, l.v.segments[n-1].base, mark)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, id := range l.ids {
		name, err := l.name(id)
		if err != nil {
			return 0, err
		}
		if string(name) == key {
			return id, nil
		}
	}
	return 0, nil
}

// findID is the transaction with an id, and its place. Errors: store.ErrNotFound.
func (s *snapshot) findID(l *looker, id flow.Hash) (f foundTx, at flow.Pos, err error) {
	missing := func() error {
		return fmt.Errorf("%s transaction %s: %w", l.v.chain, l.v.chain.FormatHash(id), store.ErrNotFound)
	}
	if id.IsZero() {
		return f, at, missing()
	}
	f, at, found, err := l.headTx(id)
	if err != nil || found && !l.v.late {
		return f, at, err
	}
	places, err := l.places(keyTxPlace, s.secret.hash(id))
	if err != nil {
		return f, at, err
	}
	for _, place := range places {
		if found && before(place, at) { // the newest of those with one id counts
			break
		}
		f, err := l.find(place)
		if err != nil {
			return f, place, err
		}
		if f.id == id {
			return f, place, nil
		}
	}
	if found {
		return f, at, nil
	}
	return f, at, missing()
}

// headTx is the newest transaction of the head with an id.
func (l *looker) headTx(id flow.Hash) (f foundTx, at flow.Pos, ok bool, err error) {
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
				return foundTx{r, id}, flow.Pos{Height: b.point.Height, Tx: r.tx}, true, nil
			}
			if !r.skipMoves(&l.m) {
				break
			}
		}
		return f, at, false, fmt.Errorf("%s: %w", b.point, errDamaged)
	}
	return f, at, false, nil
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
	order := byHash(len(of), func(i int) uint64 { return s.secret.hash(of[i].Tx) })
	err := s.spread(ctx, v, order, func(l *looker, part []int) (err error) {
		for _, i := range part {
			if owners[i], legs[i].Amount, err = s.output(l, of[i]); err != nil {
				return fmt.Errorf("output %s: %w", of[i], err)
			}
			l.wanted = append(l.wanted, owners[i])
		}
		if err := l.resolve(); err != nil {
			return err
		}
		for _, i := range part {
			legs[i].Account = l.accounts[owners[i]]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return legs, nil
}

// output is the owner and the amount of an outpoint; 0 where it is not known.
func (s *snapshot) output(l *looker, o flow.Outpoint) (owner uint32, amount flow.Amount, err error) {
	f, _, err := s.findID(l, o.Tx)
	if errors.Is(err, store.ErrNotFound) {
		return 0, amount, nil
	}
	if err != nil || f.moves == 0 {
		return 0, amount, err
	}
	if !f.nextMove(0, &l.m) {
		return 0, amount, f.check()
	}
	if uint64(o.Index) >= uint64(len(l.m.out)) {
		return 0, amount, nil
	}
	leg := &l.m.out[o.Index]
	amount, ok := unpackAmount(leg.class, leg.amount)
	if !ok {
		return 0, amount, errDamaged
	}
	return leg.account, amount, nil
}

func (s *snapshot) Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) (at []flow.Pos, ok []bool, err error) {
	at, ok = make([]flow.Pos, len(of)), make([]bool, len(of))
	v := s.views[c]
	if v == nil || len(of) == 0 {
		return at, ok, nil
	}
	order := byHash(len(of), func(i int) uint64 { return s.secret.outpoint(of[i]) })
	err = s.spread(ctx, v, order, func(l *looker, part []int) (err error) {
		for _, i := range part {
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
		if at, ok = spends[o]; ok {
			break
		}
	}
	if ok && !l.v.late {
		return at, true, nil
	}
	places, err := l.places(keySpends, s.secret.outpoint(o))
	if err != nil {
		return at, false, err
	}
	for _, p := range places {
		if ok && before(p, at) {
			break
		}
		f, err := l.find(p)
		if err != nil {
			return p, false, err
		}
		for place := range uint32(f.moves) {
			if !f.nextMove(place, &l.m) {
				return p, false, f.check()
			}
			if slices.Contains(l.m.spent, o) {
				return p, true, nil
			}
		}
	}
	return at, ok, nil
}

func (s *snapshot) IDs(ctx context.Context, c flow.Chain, accounts []flow.Account) ([]store.ID, error) {
	ids := make([]store.ID, len(accounts))
	v := s.views[c]
	if v == nil {
		return ids, nil
	}
	var frozen []int // to be looked up in the segments
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
		if ids[i] == 0 && v.known > 1 {
			frozen = append(frozen, i)
		}
	}
	if len(frozen) == 0 {
		return ids, ctx.Err()
	}
	order := byHash(len(frozen), func(k int) uint64 { return s.secret.key(accounts[frozen[k]].Key()) })
	err := s.spread(ctx, v, order, func(l *looker, part []int) error {
		for _, k := range part {
			i := frozen[k]
			id, err := l.frozenID(accounts[i].Key())
			if err != nil {
				return fmt.Errorf("id of %s: %w", accounts[i], err)
			}
			if id < v.nextID { // else it is of a block that is just being filled in
				ids[i] = store.ID(id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (s *snapshot) Accounts(ctx context.Context, c flow.Chain, ids []store.ID) ([]flow.Account, error) {
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
	order := byHash(len(ids), func(i int) uint64 { return uint64(ids[i]) })
	err := s.spread(ctx, v, order, func(l *looker, part []int) (err error) {
		for _, i := range part {
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
