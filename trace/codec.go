package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/spoor-dev/spoor/flow"
)

// ErrSnapshot is returned for bytes that are no snapshot of this theft under this policy and these options.
var ErrSnapshot = errors.New("not a snapshot of this ledger")

// An encoder writes the one binary form that snapshots and hashes share: see docs/formats/trace-state.md. Whole numbers
// are uvarints; an account or an asset is written where it first appears and a number from then on.
type encoder struct {
	b        []byte
	accounts map[flow.Account]uint64
	assets   map[flow.Asset]uint64
}

func newEncoder() *encoder {
	return &encoder{accounts: map[flow.Account]uint64{}, assets: map[flow.Asset]uint64{}}
}

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

func (e *encoder) int(n int) { e.b = binary.AppendVarint(e.b, int64(n)) }

func (e *encoder) bool(v bool) {
	n := uint64(0)
	if v {
		n = 1
	}
	e.uint(n)
}

func (e *encoder) text(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) amount(a flow.Amount) {
	b := a.Bytes()
	i := 0
	for i < len(b) && b[i] == 0 {
		i++
	}
	e.text(string(b[i:]))
}

func (e *encoder) pos(p flow.Pos) {
	e.uint(p.Height)
	e.uint(uint64(p.Tx))
	e.uint(uint64(p.Movement))
}

func (e *encoder) time(t int64) { e.b = binary.AppendVarint(e.b, t) }

func (e *encoder) hash(h flow.Hash) { e.b = append(e.b, h[:]...) }

func (e *encoder) account(a flow.Account) {
	if a.IsZero() {
		e.uint(0)
		return
	}
	n, ok := e.accounts[a]
	if ok {
		e.uint(n)
		return
	}
	n = uint64(len(e.accounts)) + 1
	e.accounts[a] = n
	e.uint(n)
	e.text(a.Chain().String())
	e.text(a.Key())
}

func (e *encoder) asset(a flow.Asset) {
	if a.IsZero() {
		e.uint(0)
		return
	}
	n, ok := e.assets[a]
	if ok {
		e.uint(n)
		return
	}
	n = uint64(len(e.assets)) + 1
	e.assets[a] = n
	e.uint(n)
	e.text(a.String())
}

func (e *encoder) coin(o flow.Outpoint) {
	e.bool(!o.IsZero())
	if !o.IsZero() {
		e.hash(o.Tx)
		e.uint(uint64(o.Index))
	}
}

func (e *encoder) holder(h Holder) {
	e.account(h.Account)
	e.asset(h.Asset)
	e.coin(h.Outpoint)
}

// parameters are what a result depends on besides the chain: what a snapshot is only good for.
func (e *encoder) parameters(p Policy, c flow.Chain, sources []plainSource, o Options) {
	e.text("spoor trace 3")
	e.text(p.String())
	e.text(c.String())
	e.bool(o.Backward)
	e.source(sources)
	floors := o.floors()
	e.uint(uint64(len(floors)))
	for _, a := range floors {
		e.asset(a)
		e.amount(o.Dust[a])
	}
	e.int(int(o.DustShare))
	e.int(o.Crowd.Parties)
	e.int(int(o.Crowd.Stolen))
	e.int(o.Budget.Holders)
	e.int(o.Budget.Hops)
	e.text(o.Swaps.Rule)
	e.text(o.Follow.Rule)
}

func (e *encoder) source(sources []plainSource) {
	e.uint(uint64(len(sources)))
	for _, s := range sources {
		e.text(s.kind)
		e.account(s.account)
		e.asset(s.asset)
		e.coin(s.outpoint)
		e.amount(s.amount)
		e.pos(s.at)
	}
}

func (e *encoder) edges(n int, edges iter.Seq[*Edge]) {
	e.uint(uint64(n))
	for d := range edges {
		e.hash(d.Tx)
		e.pos(d.At)
		e.time(d.Time)
		e.uint(uint64(d.Index))
		e.account(d.From)
		e.coin(d.FromCoin)
		e.account(d.To)
		e.coin(d.ToCoin)
		e.asset(d.Asset)
		e.amount(d.Amount)
		e.amount(d.Units)
		e.amount(d.Claim)
		e.int(d.Line)
		e.text(string(d.Sink))
		e.text(string(d.Swap))
	}
}

func (e *encoder) assumptions(all []Assumption) {
	e.uint(uint64(len(all)))
	for _, a := range all {
		e.holder(a.Holder)
		e.amount(a.Amount)
		e.pos(a.At)
		e.text(a.Reason)
	}
}

// A decoder reads what an encoder wrote. After its first error it reads zeros.
type decoder struct {
	b        []byte
	at       int
	err      error
	accounts []flow.Account
	assets   []flow.Asset
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("snapshot byte %d: %s: %w", d.at, fmt.Sprintf(format, args...), ErrSnapshot)
	}
}

func (d *decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	n, w := binary.Uvarint(d.b[d.at:])
	if w <= 0 {
		d.fail("number cut short")
		return 0
	}
	d.at += w
	return n
}

func (d *decoder) time() int64 {
	if d.err != nil {
		return 0
	}
	n, w := binary.Varint(d.b[d.at:])
	if w <= 0 {
		d.fail("number cut short")
		return 0
	}
	d.at += w
	return n
}

func (d *decoder) int() int { return int(d.time()) }

func (d *decoder) small(what string, limit uint64) uint64 {
	n := d.uint()
	if n > limit {
		d.fail("%s is %d", what, n)
		return 0
	}
	return n
}

func (d *decoder) bool() bool { return d.small("flag", 1) == 1 }

// count reads a number of things of which each takes at least size bytes.
func (d *decoder) count(size int) int {
	return int(d.small("count", uint64((len(d.b)-d.at)/size)))
}

func (d *decoder) bytes(n int) []byte {
	if d.err != nil || n > len(d.b)-d.at {
		d.fail("%d bytes wanted", n)
		return nil
	}
	d.at += n
	return d.b[d.at-n : d.at]
}

func (d *decoder) text() string { return string(d.bytes(d.count(1))) }

func (d *decoder) amount() flow.Amount {
	b := d.bytes(d.count(1))
	a, err := flow.AmountFromBytes(b)
	if err != nil || len(b) > 0 && b[0] == 0 {
		d.fail("not an amount")
	}
	return a
}

func (d *decoder) pos() flow.Pos {
	return flow.Pos{Height: d.uint(), Tx: uint32(d.small("place", 1<<32-1)), Movement: uint32(d.small("place", 1<<32-1))}
}

func (d *decoder) hash() (h flow.Hash) {
	copy(h[:], d.bytes(len(h)))
	return h
}

func (d *decoder) account() flow.Account {
	n := d.small("account", uint64(len(d.accounts))+1)
	switch {
	case n == 0 || d.err != nil:
		return flow.Account{}
	case n <= uint64(len(d.accounts)):
		return d.accounts[n-1]
	}
	c, err := flow.ParseChain(d.text())
	if err != nil {
		d.fail("%v", err)
		return flow.Account{}
	}
	a, err := flow.AccountFromKey(c, d.text())
	if err != nil {
		d.fail("%v", err)
		return flow.Account{}
	}
	d.accounts = append(d.accounts, a)
	return a
}

func (d *decoder) asset() flow.Asset {
	n := d.small("asset", uint64(len(d.assets))+1)
	switch {
	case n == 0 || d.err != nil:
		return flow.Asset{}
	case n <= uint64(len(d.assets)):
		return d.assets[n-1]
	}
	a, err := flow.ParseAsset(d.text())
	if err != nil {
		d.fail("%v", err)
		return flow.Asset{}
	}
	d.assets = append(d.assets, a)
	return a
}

func (d *decoder) coin() (o flow.Outpoint) {
	if d.bool() {
		o = flow.Outpoint{Tx: d.hash(), Index: uint32(d.small("output", 1<<32-1))}
	}
	return o
}

func (d *decoder) holder() Holder { return Holder{d.account(), d.asset(), d.coin()} }

func (d *decoder) edges(edges *edgeList, ways *ways) {
	for n := d.count(40); n > 0 && d.err == nil; n-- {
		edge := Edge{
			Tx: d.hash(), At: d.pos(), Time: d.time(), Index: uint32(d.small("index", 1<<32-1)),
			From: d.account(), FromCoin: d.coin(), To: d.account(), ToCoin: d.coin(), Asset: d.asset(),
			Amount: d.amount(), Units: d.amount(), Claim: d.amount(), Line: d.int(), Sink: Sink(d.text()), Swap: SwapSide(d.text()),
		}
		c := carried{units: edge.Units, claim: edge.Claim}
		edge.Units, edge.Claim = flow.Amount{}, flow.Amount{}
		c.way = ways.of(&edge)
		edges.push(c)
	}
}

func (d *decoder) assumptions() []Assumption {
	all := make([]Assumption, 0, d.count(7))
	for n := cap(all); n > 0 && d.err == nil; n-- {
		all = append(all, Assumption{Holder: d.holder(), Amount: d.amount(), At: d.pos(), Reason: d.text()})
	}
	return all
}
