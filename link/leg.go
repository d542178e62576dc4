package link

import (
	"fmt"
	"math"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// wrapped is the rule of a coin that was deposited for its token, or taken back for it.
const wrapped Rule = "wrap"

// A leg is what a pool took and what it gave for it, each a movement of the transaction: an event only says which of them
// belong together.
type leg struct {
	pool    flow.Account
	rules   []Rule
	in, out int // places among the moves
}

// A move is one movement that counts, with its parties as holdings of the book.
type move struct {
	from, to int // holdings
	asset    flow.Asset
	amount   flow.Amount
	index    uint32
	kind     flow.Kind
}

// moves are the movements of a transaction; ok is false where one has several givers or takers.
func (b *book) moves(tx flow.Tx) (all []move, ok bool) {
	for i := range tx.Movements {
		m := &tx.Movements[i]
		if !counts(m) {
			continue
		}
		if len(m.In) > 1 || len(m.Out) > 1 || len(m.In)+len(m.Out) == 2 && m.In[0].Amount != m.Out[0].Amount {
			return nil, false
		}
		from, to := issuer(m.Asset), issuer(m.Asset)
		var v flow.Amount
		if len(m.In) > 0 {
			from, v = party{account: m.In[0].Account}, m.In[0].Amount
		}
		if len(m.Out) > 0 {
			to, v = party{account: m.Out[0].Account}, m.Out[0].Amount
		}
		if !v.IsZero() && from != to {
			all = append(all, move{b.at(from, m.Asset), b.at(to, m.Asset), m.Asset, v, m.Index, m.Kind})
		}
	}
	return all, true
}

// at is the place of a holding.
func (b *book) at(p party, a flow.Asset) int {
	n, ok := b.ids[p]
	if !ok {
		return -1
	}
	i, ok := b.index[holdingKey{n, a}]
	if !ok {
		return -1
	}
	return i
}

// who is the party of a holding.
func (b *book) who(h int) party { return b.parties[b.holdings[h].party] }

// A matcher finds the legs of a transaction.
type matcher struct {
	b       *book
	moves   []move
	took    []bool // the move is what a leg took
	gave    []bool
	legs    []leg
	refused []string // what is not believed, and why
}

// maxEvents bounds how many events of exchanges are held against the movements.
const maxEvents = 128

// match finds the legs. An event is believed where the contract took and gave what it says, by the movements, and holds
// the difference afterwards.
func (b *book) match(tx flow.Tx, moves []move) *matcher {
	m := &matcher{b: b, moves: moves, took: make([]bool, len(moves)), gave: make([]bool, len(moves))}
	var all []said
	for _, l := range tx.Logs {
		if s, ok := readEvent(l); ok && len(b.dealingsOf(s.contract)) > 0 {
			all = append(all, s)
		}
	}
	if len(all) == 0 || len(all) > maxEvents {
		return m
	}
	slices.SortStableFunc(all, func(x, y said) int { return int(int64(x.index) - int64(y.index)) })
	m.matchEvents(all)
	m.dropUnborne()
	if len(m.legs) > 0 {
		m.matchWraps()
	}
	return m
}

// dealingsOf are the holdings of an account.
func (b *book) dealingsOf(a flow.Account) []int {
	if n, ok := b.ids[party{account: a}]; ok {
		return b.dealings[n]
	}
	return nil
}

// find is the move, not yet of a leg on that side, by which a contract took or gave an amount: of several the one that is nearest
// to the log, on the side of it where such a contract pays. Its asset is the one that is named, if any; it is -1 if there is none.
func (m *matcher) find(s said, takes bool, not flow.Asset) int {
	best, far := -1, int64(0)
	used, amount, asset := m.gave, s.out, s.outAsset
	if takes {
		used, amount, asset = m.took, s.in, s.inAsset
	}
	for i, v := range m.moves {
		h := v.from
		if takes {
			h = v.to
		}
		if used[i] || v.amount != amount || v.asset == not || !asset.IsZero() && v.asset != asset || m.b.who(h).account != s.contract {
			continue
		}
		d := int64(s.index) - int64(v.index)
		if s.rule == BalancerV2 || s.rule == UniswapV4 { // they settle when all is counted
			d = -d
		}
		if d < 0 {
			d = math.MaxUint32 - d
		}
		if best < 0 || d < far {
			best, far = i, d
		}
	}
	return best
}

// matchEvents makes legs of events. Contracts that hold many pools (Balancer's vault, V4's manager) do not move what goes from one
// of their pools into the next: where what one event says came out is what a later one of the same contract took, the two are one leg.
func (m *matcher) matchEvents(all []said) {
	done := make([]bool, len(all))
	for i, s := range all {
		if done[i] {
			continue
		}
		in := m.find(s, true, flow.Asset{})
		if in < 0 {
			continue
		}
		chain := []int{i}
		out := m.find(s, false, m.moves[in].asset)
		for out < 0 {
			last := all[chain[len(chain)-1]]
			next := -1
			for k := chain[len(chain)-1] + 1; k < len(all); k++ {
				s := all[k]
				if !done[k] && s.contract == last.contract && s.rule == last.rule && s.in == last.out &&
					(last.rule == BalancerV2 && s.inAsset == last.outAsset || last.rule == UniswapV4) {
					next = k
					break
				}
			}
			if next < 0 {
				break
			}
			chain = append(chain, next)
			out = m.find(all[next], false, m.moves[in].asset)
		}
		if out < 0 {
			continue
		}
		m.took[in], m.gave[out] = true, true
		for _, k := range chain {
			done[k] = true
		}
		m.legs = append(m.legs, leg{s.contract, []Rule{s.rule}, in, out})
	}
	for i, s := range all {
		if !done[i] {
			m.refuse(s.contract, fmt.Sprintf("log %d (%s) says %s for %s, and the transfers do not bear it out", s.index, s.rule, s.in, s.out))
		}
	}
}

func (m *matcher) refuse(a flow.Account, why string) {
	const most = 4
	if len(m.refused) < most {
		m.refused = append(m.refused, a.Address()+": "+why)
	}
}

// dropUnborne drops the legs of contracts that do not hold afterwards, within a hundredth, what their legs took and gave:
// one that only hands on what it took is no pool, whatever it emits.
func (m *matcher) dropUnborne() {
	type key struct {
		pool  flow.Account
		asset flow.Asset
	}
	took, gave := map[key]flow.Sum{}, map[key]flow.Sum{}
	for _, l := range m.legs {
		in, out := key{l.pool, m.moves[l.in].asset}, key{l.pool, m.moves[l.out].asset}
		took[in] = took[in].Plus(m.moves[l.in].amount)
		gave[out] = gave[out].Plus(m.moves[l.out].amount)
	}
	bad := map[flow.Account]bool{}
	for _, l := range m.legs {
		for _, i := range []int{l.in, l.out} {
			k := key{l.pool, m.moves[i].asset}
			h := &m.b.holdings[m.b.at(party{account: l.pool}, k.asset)]
			if !near(took[k].PlusSum(h.gave), gave[k].PlusSum(h.took), took[k].PlusSum(gave[k])) {
				bad[l.pool] = true
			}
		}
	}
	if len(bad) == 0 {
		return
	}
	kept := m.legs[:0]
	for _, l := range m.legs {
		if !bad[l.pool] {
			kept = append(kept, l)
			continue
		}
		m.took[l.in], m.gave[l.out] = false, false
		m.refuse(l.pool, fmt.Sprintf("its event (%s) says an exchange, and it does not hold what it took", l.rules[0]))
	}
	m.legs = kept
}

// near reports whether two sums differ by at most a hundredth of a third.
func near(x, y, of flow.Sum) bool {
	if x.Compare(y) < 0 {
		x, y = y, x
	}
	d, ok := x.Minus(y)
	if !ok {
		return false
	}
	if d.IsZero() {
		return true
	}
	var hundred flow.Sum
	for range 100 {
		hundred = hundred.Plus(d)
	}
	return hundred.Compare(of) <= 0
}

// matchWraps makes legs of the coin that was paid to a token's contract and the token that it issued to the payer, and of
// the token that was destroyed and the coin that its contract paid for it.
func (m *matcher) matchWraps() {
	for i, v := range m.moves {
		from, to := m.b.who(v.from), m.b.who(v.to)
		contract := issuer(v.asset)
		if contract.account.IsZero() || (from != contract) == (to != contract) || m.took[i] && to == contract || m.gave[i] && from == contract {
			continue
		}
		for k, c := range m.moves {
			if c.amount != v.amount || c.asset != v.asset.Chain().Native() {
				continue
			}
			switch {
			case from == contract && m.b.who(c.to) == contract && m.b.who(c.from) == to && !m.took[k] && !m.gave[i]:
				m.took[k], m.gave[i] = true, true
				m.legs = append(m.legs, leg{contract.account, []Rule{wrapped}, k, i})
			case to == contract && m.b.who(c.from) == contract && m.b.who(c.to) == from && !m.gave[k] && !m.took[i]:
				m.took[i], m.gave[k] = true, true
				m.legs = append(m.legs, leg{contract.account, []Rule{wrapped}, i, k})
			default:
				continue
			}
			break
		}
	}
}
