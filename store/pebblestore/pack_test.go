package pebblestore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/storetest"
)

func TestAmounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w [4]uint64
		for i := range rapid.IntRange(0, 4).Draw(t, "words") {
			w[i] = rapid.Uint64().Draw(t, "word")
		}
		a := flow.AmountFromWords(w)
		if zeros := rapid.IntRange(0, 70).Draw(t, "zeros"); rapid.Bool().Draw(t, "round") {
			a, _ = flow.ParseAmount(fmt.Sprint(rapid.Uint32().Draw(t, "factor")) + string(bytes.Repeat([]byte("0"), min(zeros, 67))))
		}
		b := appendAmount(nil, a)
		r := &cursor{b: b}
		if got := r.amount(r.byte()); got != a || r.checkEnd() != nil {
			t.Fatalf("amount %s reads back as %s from %x: %v", a, got, b, r.checkEnd())
		}
		for n := range b {
			if r := (&cursor{b: b[:n]}); r.amount(r.byte()) == a && r.check() == nil {
				t.Fatalf("amount %s reads back from %d of its %d bytes", a, n, len(b))
			}
		}
	})
}

// Taking forms back leaves the others as they were.
func TestFormsCut(t *testing.T) {
	c := flow.Ethereum
	table := newFormTable()
	use := func(kind flow.Kind, asset flow.Asset) uint32 {
		f, err := table.use(c, kind, asset)
		if err != nil {
			t.Fatal(err)
		}
		return f.form
	}
	contract := flow.EVMAccount(c, [20]byte{1})
	none, coin := use(flow.NFTMove, flow.Asset{}), use(flow.Transfer, c.Native())
	if nft := use(flow.NFTMove, flow.NFT(contract, flow.NewAmount(7))); nft != 3 || use(flow.NFTMove, flow.NFT(contract, flow.NewAmount(8))) != nft {
		t.Fatalf("form of an NFT = %d; want 3, and the same for all of its contract", nft)
	}
	table.cut(2)
	if a, b := use(flow.NFTMove, flow.Asset{}), use(flow.Transfer, c.Native()); a != none || b != coin {
		t.Fatalf("forms after a cut = %d, %d; want %d, %d", a, b, none, coin)
	}
	if token := use(flow.TokenMove, flow.Token(contract)); token != 3 {
		t.Fatalf("next form after a cut = %d; want 3", token)
	}
}

func TestShortNumbers(t *testing.T) {
	var last []byte
	for _, v := range []uint32{0, 1, 247, 248, 255, 256, 65535, 65536, 1<<24 - 1, 1 << 24, 1<<32 - 1} {
		b := appendShort(nil, v)
		if got, rest, ok := readShort(append(b, 7)); got != v || !ok || len(rest) != 1 {
			t.Errorf("%d reads back as %d, %x, %v", v, got, rest, ok)
		}
		if bytes.Compare(last, b) >= 0 {
			t.Errorf("%d is written %x, which does not sort behind %x", v, b, last)
		}
		last = b
	}
}

func TestNameTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	table, want := newNameTable(), map[string]uint32{}
	for i := range uint32(20_000) {
		key := fmt.Sprintf("%x", rnd.Uint32N(30_000))
		if rnd.IntN(5) == 0 {
			table.remove(key, nameHash(key))
			delete(want, key)
		} else if want[key] == 0 {
			table.put(key, nameHash(key), i+1)
			want[key] = i + 1
		}
	}
	for i := range 30_000 {
		key := fmt.Sprintf("%x", i)
		if got := table.id(key, nameHash(key)); got != want[key] {
			t.Fatalf("id of %s = %d; want %d", key, got, want[key])
		}
	}
}

// seedBlocks are packed blocks of a chain for the fuzzers.
func seedBlocks(tb testing.TB, c flow.Chain) (*lane, []*block) {
	l := newLane(c, 0)
	m := storetest.NewSeededMaker(5)
	for range 30 {
		b := m.Next(c)
		head, err := l.make(&Store{}, &b)
		if err != nil {
			tb.Fatal(err)
		}
		l.push(head)
	}
	return l, l.blocks
}

// FuzzHead reads head blocks: what was read is written back the same, and everything in it can be read without harm.
func FuzzHead(f *testing.F) {
	for _, c := range storetest.Chains() {
		_, blocks := seedBlocks(f, c)
		for _, b := range blocks {
			f.Add(appendHead(nil, b), c == storetest.Regtest)
		}
	}
	f.Fuzz(func(t *testing.T, v []byte, utxo bool) {
		c := storetest.Ethereum
		if utxo {
			c = storetest.Regtest
		}
		b, err := readHead(v, c, 5)
		if err != nil {
			return
		}
		forms := append([]form{{kind: 1, asset: c.Native()}, {kind: 4, nft: true, name: "erc721:0x0000000000000000000000000000000000000001"}}, b.forms...)
		r := newRun([]*block{b}, forms, &secret{1, 2, 3, 4})
		if x, err := r.holders(); err == nil {
			e := entryReader{chain: c, forms: forms}
			for _, rec := range x.recs {
				var entry store.Entry
				_ = e.item(x.log[rec.at:], r.heights, &entry)
			}
		}
		r.txs()
		_, _ = r.spends()
		l := &looker{v: &view{chain: c, forms: forms, blocks: []*block{b}, nextID: 1 << 31}, accounts: map[uint32]flow.Account{}}
		for i, ch := range b.chunks {
			body, _ := b.chunk(i)
			for r := newBodyReader(body, ch.tx, forms); r.nextTx(); {
				if _, err := l.movements(&r); err != nil {
					break
				}
			}
		}
		again, err := readHead(appendHead(nil, b), c, 5)
		if err != nil || again.point != b.point || !bytes.Equal(again.body, b.body) || !bytes.Equal(again.ids, b.ids) || len(again.names) != len(b.names) {
			t.Fatalf("head block %x is not read back: %v", v, err)
		}
	})
}

// FuzzValues reads the values of segments.
func FuzzValues(f *testing.F) {
	for _, c := range storetest.Chains() {
		l, blocks := seedBlocks(f, c)
		log, recs, err := logEntries(nil, nil, blocks, l.forms.all, 1)
		if err != nil {
			f.Fatal(err)
		}
		for _, rec := range recs {
			item := log[rec.at:]
			f.Add(append([]byte{3, 1}, item[itemHead:itemHead+int(item[itemHead-1])]...))
		}
		f.Add(appendHeader(nil, blocks[0]))
	}
	f.Add(appendMarks(nil, []hashed{{hash: 1 << 40}, {hash: 2 << 40}}))
	f.Add(appendSegment(nil, segment{first: 4, last: 9, blocks: 3, nextID: 7}))
	forms := []form{{kind: 1, asset: flow.Ethereum.Native()}, {kind: 4, nft: true, name: "erc721:0x0000000000000000000000000000000000000001"}}
	f.Fuzz(func(t *testing.T, v []byte) {
		x := entryReader{chain: flow.Ethereum, forms: forms}
		if entries, err := x.value(nil, v, &segment{first: 3, common: 1}, flow.Pos{}, 0); err == nil {
			if some, err := x.value(nil, v, &segment{first: 3, common: 1}, flow.Pos{}, 1); err != nil || len(some) != min(1, len(entries)) {
				t.Fatalf("%d entries in %x, of which at most 1 gives %d, %v", len(entries), v, len(some), err)
			}
		}
		_, _ = readTxPiece(nil, v, 3, 1)
		_, _ = readIDPiece(nil, v, 3, 1)
		if s, err := readSegment(v, 1); err == nil && s.last < s.first {
			t.Fatalf("segment %x ends before it begins", v)
		}
		_, _ = nameIn(v, 3)
		readHeader(&cursor{b: v}, flow.Ethereum, 1, &block{})
		_, _ = readForm(&cursor{b: v}, flow.Ethereum)
		for r := (&cursor{b: v}); r.at < len(v) && !r.bad; {
			r.piece(1, groupBits)
		}
		_, _ = segmentOfKey(v)
	})
}

// What logs take: nothing where there are none, and little more than their own digits where there are.
func TestRoomForLogs(t *testing.T) {
	tx := flow.Tx{Movements: []flow.Movement{flow.In1Out1(flow.Transfer, flow.Ethereum.Native(), 0, flow.EVMAccount(flow.Ethereum, [20]byte{1}), flow.EVMAccount(flow.Ethereum, [20]byte{2}), flow.NewAmount(5))}}
	size := func(tx flow.Tx) int {
		l := newLane(flow.Ethereum, 0)
		b, err := l.make(&Store{}, &flow.Block{Point: flow.Point{Chain: flow.Ethereum}, Txs: []flow.Tx{tx}})
		if err != nil {
			t.Fatal(err)
		}
		return len(b.body)
	}
	if got := size(tx); got != 7 { // rule, common form, head, flags, two accounts, amount
		t.Errorf("a transaction without logs takes %d bytes; want 7", got)
	}
	swap := flow.Log{Index: 7, Contract: flow.EVMAccount(flow.Ethereum, [20]byte{3}), Topics: make([]flow.Hash, 3), Data: make([]byte, 128)}
	for i := range 32 {
		swap.Topics[0][i] = byte(i + 1)
		swap.Topics[1][i] = byte(i / 12 * 7)
	}
	swap.Data[25], swap.Data[119] = 1, 1
	with := tx
	with.Logs = []flow.Log{swap}
	if got := size(with) - size(tx); got > 110 {
		t.Errorf("the log of a swap takes %d bytes; want at most 110 for its 244", got)
	}
}

// FuzzLogs reads logs: what was read is written and read again the same.
func FuzzLogs(f *testing.F) {
	m := storetest.NewSeededMaker(8)
	for range 60 {
		for _, tx := range m.Next(flow.Ethereum).Txs {
			if len(tx.Logs) > 0 {
				b := appendLogs(nil, tx.Logs)
				f.Add(b)
				f.Add(b[:len(b)-1])
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		logs, err := readLogs(b, flow.Ethereum)
		if err != nil {
			return
		}
		again, err := readLogs(appendLogs(nil, logs), flow.Ethereum)
		if err != nil || !reflect.DeepEqual(again, logs) {
			t.Fatalf("%x: %+v reads back as %+v, %v", b, logs, again, err)
		}
	})
}
