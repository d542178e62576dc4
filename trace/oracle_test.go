package trace

import (
	"math/big"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// The oracle is a second, naive implementation: it replays whole chains from their first block and keeps every single
// unit of every account in a list (haircut: two numbers, divided as big.Rat). It knows no records, sinks or segments.
type oracle struct {
	policy Policy
	who    map[accountKey]*pile
	coins  map[flow.Outpoint]*pile
	leaky  map[flow.Account]bool
	sunk   map[Sink]int
	stolen int
	stop   func(flow.Account) (Stop, bool)
	swaps  oracleSwaps
}

// A pile is what one holder has: units in the order of their arrival, true if stolen; for haircut the counts alone.
type pile struct {
	units          []bool
	stolen, normal int
}

func newOracle(p Policy, stop func(flow.Account) (Stop, bool)) *oracle {
	return &oracle{policy: p, who: map[accountKey]*pile{}, coins: map[flow.Outpoint]*pile{}, leaky: map[flow.Account]bool{}, sunk: map[Sink]int{}, stop: stop}
}

func (o *oracle) pile(k accountKey) *pile {
	if o.who[k] == nil {
		o.who[k] = &pile{}
	}
	return o.who[k]
}

func (p *pile) dirt() int {
	n := p.stolen
	for _, u := range p.units {
		if u {
			n++
		}
	}
	return n
}

// floorOf is ⌊a·b/c⌋.
func floorOf(a, b, c int) int {
	if c == 0 {
		return 0
	}
	r := new(big.Rat).Mul(big.NewRat(int64(a), 1), big.NewRat(int64(b), int64(c)))
	return int(new(big.Int).Quo(r.Num(), r.Denom()).Int64())
}

// take lets v units leave the pile by the policy's rule.
func (o *oracle) take(p *pile, v int) []bool {
	out := []bool{}
	remove := func(i int) {
		out = append(out, p.units[i])
		p.units = slices.Delete(p.units, i, i+1)
	}
	if o.policy == Haircut {
		x := floorOf(p.stolen, v, p.stolen+p.normal)
		p.stolen, p.normal = p.stolen-x, p.normal-(v-x)
		for i := range v {
			out = append(out, i >= v-x)
		}
		return out
	}
	for range v {
		switch o.policy {
		case FIFO:
			remove(0)
		case LIFO:
			remove(len(p.units) - 1)
		default:
			if i := slices.Index(p.units, o.policy == DirtyFirst); i >= 0 {
				remove(i)
			} else {
				remove(0)
			}
		}
	}
	return out
}

func (o *oracle) give(p *pile, units []bool) {
	for _, u := range units {
		switch {
		case o.policy != Haircut:
			p.units = append(p.units, u)
		case u:
			p.stolen++
		default:
			p.normal++
		}
	}
}

// steal turns the newest clean units of an account into stolen ones.
func (o *oracle) steal(k accountKey, n int) {
	p := o.pile(k)
	o.stolen += n
	if o.policy == Haircut {
		p.normal, p.stolen = max(0, p.normal-n), p.stolen+n
		return
	}
	left := n
	for i := len(p.units) - 1; i >= 0 && left > 0; i-- {
		if !p.units[i] {
			p.units = slices.Delete(p.units, i, i+1)
			left--
		}
	}
	for range n {
		p.units = append(p.units, true)
	}
}

func small(a flow.Amount) int {
	n, _ := a.Uint64()
	return int(n)
}

// account is one movement of an account chain.
func (o *oracle) account(m *flow.Movement) {
	v := small(slices.Concat(m.In, m.Out)[0].Amount)
	units := make([]bool, v)
	fee := m.Kind == flow.Fee
	if fee {
		v = small(m.In[0].Amount)
	}
	switch {
	case len(m.In) == 0:
	case o.leaky[m.In[0].Account]:
		p := o.pile(accountKey{m.In[0].Account, m.Asset})
		back := min(v, p.dirt())
		new := v - back
		if fee {
			new = 0
		}
		o.stolen += new
		kept := p.dirt() - back
		*p = pile{}
		o.give(p, slices.Repeat([]bool{true}, kept))
		units = slices.Repeat([]bool{true}, back+new)
	default:
		units = o.take(o.pile(accountKey{m.In[0].Account, m.Asset}), v)
	}
	if !fee && len(m.In) > 0 {
		o.divert(accountKey{m.In[0].Account, m.Asset}, units)
	}
	if len(m.Out) == 0 {
		o.sink(Burned, units)
		return
	}
	if fee {
		o.sink(FeeSink, units)
		units = make([]bool, small(m.Out[0].Amount))
	}
	if _, ok := o.stop(m.Out[0].Account); ok {
		o.sink(Service, units)
		for i := range units {
			units[i] = false
		}
	}
	if o.leaky[m.Out[0].Account] {
		units = slices.DeleteFunc(units, func(u bool) bool { return !u })
	}
	o.give(o.pile(accountKey{m.Out[0].Account, m.Asset}), units)
}

func (o *oracle) sink(s Sink, units []bool) {
	for _, u := range units {
		if u {
			o.sunk[s]++
		}
	}
}

// coin is one transaction of a UTXO chain.
func (o *oracle) coin(id flow.Hash, m *flow.Movement) {
	var units []bool
	for n := range m.In {
		i := n
		if o.policy == LIFO { // the last coin is on top of the stack
			i = len(m.In) - 1 - n
		}
		l, p := m.In[i], o.coins[m.Spent[i]]
		if p == nil {
			units = append(units, make([]bool, small(l.Amount))...)
			continue
		}
		n := len(p.units) + p.stolen + p.normal
		units = append(units, o.take(p, n)...)
	}
	rooms := []int{}
	for _, l := range m.Out {
		rooms = append(rooms, small(l.Amount))
	}
	total := 0
	for _, r := range rooms {
		total += r
	}
	if len(m.In) == 0 {
		units = make([]bool, total)
	}
	rooms = append(rooms, len(units)-total)
	for i, r := range rooms {
		part := []bool{}
		dirt := 0
		for _, u := range units {
			if u {
				dirt++
			}
		}
		want := 0 // how many stolen units this output takes, where units have no order
		switch o.policy {
		case Haircut:
			want = floorOf(dirt, r, len(units))
		case DirtyFirst:
			want = min(dirt, r)
		case CleanFirst:
			want = max(0, r-(len(units)-dirt))
		}
		for range r {
			j := 0
			if o.policy == Haircut || o.policy == DirtyFirst || o.policy == CleanFirst {
				j = slices.Index(units, want > 0)
				want--
			}
			part = append(part, units[j])
			units = slices.Delete(units, j, j+1)
		}
		if i == len(rooms)-1 {
			o.sink(FeeSink, part)
			continue
		}
		p := &pile{}
		if _, ok := o.stop(m.Out[i].Account); ok {
			o.sink(Service, part)
			part = make([]bool, r)
		}
		o.give(p, part)
		o.coins[flow.Outpoint{Tx: id, Index: uint32(i)}] = p
	}
}

// world is a random chain, a theft on it, and where the trace stops.
type world struct {
	chain flow.Chain
	txs   []flow.Tx
	theft Theft
	stop  func(flow.Account) (Stop, bool)
	stops []flow.Account
	names []flow.Account
}

func pick[T any](t *rapid.T, from []T, what string) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, what)]
}

// drawAccounts makes an account chain on which nobody pays what he does not have; on a market, people exchange.
func drawAccounts(t *rapid.T, market bool) *world {
	w := &world{chain: textChain}
	least := 2
	if market {
		least = 3
	}
	for _, n := range []string{"a", "b", "c", "d", "e", "f"}[:rapid.IntRange(least, 6).Draw(t, "accounts")] {
		w.names = append(w.names, who(textChain, n))
	}
	assets := []flow.Asset{coinAsset, tokenAsset}[:rapid.IntRange(1, 2).Draw(t, "assets")]
	has := map[accountKey]int{}
	if market {
		w.openMarket(has)
		assets = []flow.Asset{coinAsset, tokenAsset}
	}
	type spot struct {
		at  flow.Pos
		key accountKey
		n   int
	}
	var spots []spot
	blocks := rapid.IntRange(4, 25).Draw(t, "transactions")
	for h := 1 + len(w.txs); h <= blocks; h++ {
		tx := flow.Tx{ID: txID(string(rune(h))), Point: flow.Point{Chain: textChain, Height: uint64(h), Time: int64(h)}}
		least := 1
		if market && rapid.Bool().Draw(t, "swap") {
			if k, n := w.drawSwap(t, &tx, has); n > 0 {
				spots = append(slices.Repeat([]spot{{tx.At(), k, n}}, 4), spots...) // thieves swap
				least = 0
			}
		}
		for range rapid.IntRange(least, 3).Draw(t, "movements") {
			i := len(tx.Movements)
			asset := pick(t, assets, "asset")
			from, to := pick(t, w.names, "from"), pick(t, w.names, "to")
			n := has[accountKey{from, asset}]
			at := flow.Pos{Height: uint64(h), Movement: uint32(i)}
			if n > 0 {
				spots = append(spots, spot{at, accountKey{from, asset}, n})
			}
			var m flow.Movement
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case n == 0 || kind == 0:
				v := rapid.IntRange(1, 12).Draw(t, "issue")
				m = flow.In1Out1(flow.TokenMove, asset, uint32(i), flow.Account{}, to, num(uint64(v)))
				has[accountKey{to, asset}] += v
			case kind == 1:
				v := rapid.IntRange(0, n).Draw(t, "burn")
				m = flow.In1Out1(flow.TokenMove, asset, uint32(i), from, flow.Account{}, num(uint64(v)))
				has[accountKey{from, asset}] -= v
			case kind == 2:
				v := rapid.IntRange(0, n).Draw(t, "fee")
				m = flow.In1Out1(flow.Fee, asset, 0, from, to, num(uint64(v)))
				m.Out[0].Amount = num(uint64(v / 2)) // the rest is burned
				has[accountKey{from, asset}] -= v
				has[accountKey{to, asset}] += v / 2
			default:
				v := rapid.IntRange(0, n).Draw(t, "pay")
				if rapid.IntRange(0, 3).Draw(t, "all") == 0 {
					v = n
				}
				m = flow.In1Out1(flow.TokenMove, asset, uint32(i), from, to, num(uint64(v)))
				has[accountKey{from, asset}] -= v
				has[accountKey{to, asset}] += v
			}
			tx.Movements = append(tx.Movements, m)
		}
		w.txs = append(w.txs, tx)
	}
	if len(spots) == 0 || rapid.IntRange(0, 4).Draw(t, "leak") == 0 {
		w.theft.Sources = append(w.theft.Sources, Outflow{Account: pick(t, w.names, "leaky"), From: flow.Pos{Height: uint64(rapid.IntRange(0, blocks).Draw(t, "leak from"))}})
	} else {
		for range rapid.IntRange(1, 3).Draw(t, "holdings") {
			s := pick(t, spots, "spot")
			least := 1
			if rapid.Bool().Draw(t, "all") {
				least = s.n
			}
			w.theft.Sources = append(w.theft.Sources, Holding{s.key.account, s.key.asset, num(uint64(rapid.IntRange(least, s.n).Draw(t, "stolen"))), s.at})
		}
	}
	w.drawStops(t)
	return w
}

// drawCoins makes a UTXO chain whose inputs are all known.
func drawCoins(t *rapid.T) *world {
	w := &world{chain: utxoChain}
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		w.names = append(w.names, who(utxoChain, n))
	}
	type coin struct {
		o flow.Outpoint
		l flow.Leg
	}
	var unspent, all []coin
	blocks := rapid.IntRange(3, 20).Draw(t, "transactions")
	for h := 1; h <= blocks; h++ {
		tx := flow.Tx{ID: txID(string(rune(h))), Point: flow.Point{Chain: utxoChain, Height: uint64(h), Time: int64(h)}}
		m := flow.Movement{Kind: flow.Transfer, Asset: utxoChain.Native()}
		total := rapid.IntRange(1, 30).Draw(t, "subsidy")
		if len(unspent) > 0 && rapid.IntRange(0, 4).Draw(t, "coinbase") > 0 {
			total = 0
			for range min(len(unspent), rapid.IntRange(1, 3).Draw(t, "inputs")) {
				i := rapid.IntRange(0, len(unspent)-1).Draw(t, "input")
				c := unspent[i]
				unspent = slices.Delete(unspent, i, i+1)
				m.In, m.Spent = append(m.In, c.l), append(m.Spent, c.o)
				total += small(c.l.Amount)
			}
			total -= rapid.IntRange(0, min(3, total)).Draw(t, "fee")
		}
		for i := 0; total > 0 || i == 0; i++ {
			v := total
			if i < 3 {
				v = rapid.IntRange(0, total).Draw(t, "output")
			}
			total -= v
			l := flow.Leg{Account: pick(t, w.names, "owner"), Amount: num(uint64(v))}
			m.Out = append(m.Out, l)
			if v > 0 {
				c := coin{flow.Outpoint{Tx: tx.ID, Index: uint32(i)}, l}
				unspent, all = append(unspent, c), append(all, c)
			}
		}
		tx.Movements = []flow.Movement{m}
		w.txs = append(w.txs, tx)
	}
	if len(all) == 0 || rapid.IntRange(0, 5).Draw(t, "leak") == 0 {
		w.theft.Sources = []Source{Outflow{Account: pick(t, w.names, "leaky"), From: flow.Pos{Height: uint64(rapid.IntRange(0, blocks).Draw(t, "leak from"))}}}
	} else {
		c := pick(t, all, "coin")
		n := small(c.l.Amount)
		if rapid.Bool().Draw(t, "part") {
			n = rapid.IntRange(1, n).Draw(t, "stolen")
		}
		w.theft.Sources = []Source{Coin{c.o, c.l.Account, utxoChain.Native(), num(uint64(n))}}
	}
	w.drawStops(t)
	return w
}

func (w *world) drawStops(t *rapid.T) {
	w.theft.Name = "random"
	for _, a := range w.names {
		if rapid.IntRange(0, 5).Draw(t, "stop") == 0 {
			w.stops = append(w.stops, a)
		}
	}
	w.stop = stopAt(w.stops...)
}

func draw(t *rapid.T) *world {
	if rapid.Bool().Draw(t, "utxo") {
		return drawCoins(t)
	}
	return drawAccounts(t, rapid.Bool().Draw(t, "market"))
}

// replay runs the oracle.
func (w *world) replay(p Policy, swaps Swaps) *oracle {
	o := newOracle(p, w.stop)
	plain, _ := w.theft.plain()
	slices.SortStableFunc(plain, func(a, b plainSource) int { return a.at.Compare(b.at) })
	for _, tx := range w.txs {
		if w.chain != utxoChain && swaps.Of != nil {
			o.enter(swaps.Of(tx))
		}
		for i := range tx.Movements {
			at := tx.At()
			at.Movement = uint32(i)
			for len(plain) > 0 && plain[0].kind != "coin" && plain[0].at.Compare(at) <= 0 {
				s := plain[0]
				plain = plain[1:]
				if s.kind == "outflow" {
					o.leaky[s.account] = true
				} else {
					o.steal(accountKey{s.account, s.asset}, small(s.amount))
				}
			}
			m := &tx.Movements[i]
			if w.chain != utxoChain {
				o.account(m)
				continue
			}
			for j, l := range m.In {
				if p := o.coins[m.Spent[j]]; o.leaky[l.Account] && p != nil { // what leaves is stolen
					n := small(l.Amount)
					o.stolen += n - p.dirt()
					*p = pile{}
					o.give(p, slices.Repeat([]bool{true}, n))
				}
			}
			o.coin(tx.ID, m)
			if len(plain) > 0 && plain[0].kind == "coin" && plain[0].outpoint.Tx == tx.ID {
				n, k := small(plain[0].amount), plain[0].outpoint
				all := small(m.Out[k.Index].Amount)
				p := &pile{}
				o.give(p, make([]bool, all-n))
				o.give(p, slices.Repeat([]bool{true}, n))
				o.coins[k], o.stolen = p, n
			}
		}
		o.land()
	}
	return o
}

// agree compares a result with the oracle.
func (o *oracle) agree(t *rapid.T, r *Result) {
	got := map[Holder]int{}
	sunk := map[Sink]int{}
	stolen := 0
	for _, s := range r.Holders {
		got[s.Holder] += small(s.Claim)
	}
	for _, s := range r.Sinks {
		sunk[s.Sink] += small(s.Claim)
	}
	for _, n := range r.Lines {
		stolen += small(n.Stolen)
	}
	if stolen != o.stolen {
		t.Errorf("%s: stolen %d; the oracle says %d", r.Policy, stolen, o.stolen)
	}
	for k, p := range o.who {
		h := Holder{k.account, k.asset, flow.Outpoint{}}
		if got[h] != p.dirt() {
			t.Errorf("%s: %s has %d; the oracle says %d", r.Policy, h, got[h], p.dirt())
		}
		delete(got, h)
	}
	for h, n := range got {
		if p := o.coins[h.Outpoint]; p == nil && n != 0 || p != nil && p.dirt() != n {
			t.Errorf("%s: %s has %d; the oracle disagrees", r.Policy, h, n)
		}
	}
	for k, p := range o.coins {
		found := false
		for _, s := range r.Holders {
			found = found || s.Outpoint == k
		}
		if !found && p.dirt() > 0 {
			t.Errorf("%s: coin %s has nothing; the oracle says %d", r.Policy, k, p.dirt())
		}
	}
	for _, s := range []Sink{Service, Burned, FeeSink} {
		if sunk[s] != o.sunk[s] {
			t.Errorf("%s: sink %s has %d; the oracle says %d", r.Policy, s, sunk[s], o.sunk[s])
		}
	}
}

func TestLedgerAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		o := exact(Haircut, FIFO, LIFO, DirtyFirst, CleanFirst)
		agreesWithOracle(t, w, o)
	})
}

func TestSwapsAgreeWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawAccounts(t, true)
		o := exact(Haircut, FIFO, LIFO, DirtyFirst, CleanFirst)
		o.Swaps = evenSwaps
		agreesWithOracle(t, w, o)
	})
}

func agreesWithOracle(t *rapid.T, w *world, o Options) {
	t.Log(w)
	o.Stop = w.stop
	r, err := Run(t.Context(), w.graph(o), w.theft, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range o.Policies {
		says := w.replay(p, o.Swaps)
		if says.swaps.odd || o.Swaps.Of != nil && len(r.Results[i].Lines) > 1 {
			continue // the oracle counts units, not the claims of several lines on them
		}
		if n := len(r.Results[i].Assumed); n > 0 && len(w.theft.Sources) > 1 {
			continue // two sources claim the same units: what is assumed for one payment is not known to the next
		} else if n > 0 {
			t.Errorf("%s: %d assumptions where all facts are known: %v", p, n, r.Results[i].Assumed)
		}
		says.agree(t, &r.Results[i])
	}
}

// String tells the world as a story, for failures.
func (w *world) String() string {
	s := ""
	for _, tx := range w.txs {
		s += tx.At().String() + ":"
		for _, m := range tx.Movements {
			s += " " + m.Asset.Name()
			for i, l := range m.In {
				s += " " + l.Account.Address() + "=" + l.Amount.String()
				if i < len(m.Spent) {
					s += "@" + m.Spent[i].String()[:6]
				}
			}
			s += " >"
			for _, l := range m.Out {
				s += " " + l.Account.Address() + "=" + l.Amount.String()
			}
			s += ";"
		}
		s += "\n"
	}
	for _, src := range w.theft.Sources {
		p := src.plain()
		s += p.kind + " " + p.account.Address() + " " + p.asset.Name() + " " + p.amount.String() + " at " + p.at.String() + "\n"
	}
	for _, a := range w.stops {
		s += "stop " + a.Address() + "\n"
	}
	return s
}
