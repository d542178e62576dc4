package link

import "github.com/spoor-dev/spoor/flow"

// Contribution: the account sent the transaction, lost an asset and gained none, and is not the only such account. Of what others
// gained for nothing, so much is its own as can have flowed there from what it paid, at most: the smaller of their gain and the
// maximum flow, asset by asset through those who exchanged.
const Contribution Rule = "max-flow"

// A change is somebody who took one asset and gave another for it.
type change struct {
	in, out  flow.Asset
	took     flow.Amount
	gave     flow.Amount
	reached  flow.Amount // of gave, what the sender's payment can have bought
	settled  bool
	whoTakes int // holding of in
	whoGives int // holding of out
}

// sender is who paid for the inclusion of a transaction; zero if that is not known.
func sender(tx flow.Tx) flow.Account {
	for i := range tx.Movements {
		if m := &tx.Movements[i]; m.Kind == flow.Fee && len(m.In) == 1 {
			return m.In[0].Account
		}
	}
	return flow.Account{}
}

// contribute adds the conversion of the sender, where the others abstain.
func (b *book) contribute(tx flow.Tx, all []Conversion) []Conversion {
	from := sender(tx)
	n, ok := b.ids[party{account: from}]
	if from.IsZero() || !ok || b.loses[n] != 1 || b.gains[n] > 0 || b.closed[n] {
		return all
	}
	for _, c := range all {
		if c.Account == from {
			return all
		}
	}
	moves, ok := b.moves(tx)
	if !ok || len(moves) > maxMoves {
		return all
	}
	var paid *holding
	for _, i := range b.dealings[n] {
		if h := &b.holdings[i]; h.sign < 0 && !h.own {
			paid = h
		}
	}
	f := &flows{b: b, moves: moves, left: maxFlowWork}
	f.changes = b.changes(n)
	at := b.at(party{account: from}, paid.asset)
	f.reach(at, paid)
	c := f.conversion(from, at, paid) // of no use where the work ran out
	if f.left < 0 || len(c.Takes) == 0 {
		return all
	}
	return append(all, c)
}

// changes are those who took one asset and gave one other, its issuers among them, but not the sender.
func (b *book) changes(sender int) []change {
	var changes []change
	for n := range b.parties {
		if n == sender || !b.closed[n] {
			continue
		}
		var lost, gained []int
		for _, i := range b.dealings[n] {
			switch b.holdings[i].sign {
			case -1:
				lost = append(lost, i)
			case 1:
				gained = append(gained, i)
			}
		}
		if len(lost) == 1 && len(gained) == 1 {
			in, out := &b.holdings[gained[0]], &b.holdings[lost[0]]
			changes = append(changes, change{in: in.asset, out: out.asset, took: in.net, gave: out.net, whoTakes: gained[0], whoGives: lost[0]})
		}
	}
	return changes
}

// maxFlowWork bounds the steps of all maximum flows of a transaction.
const maxFlowWork = 1 << 18

// flows finds maximum flows in the movements of single assets.
type flows struct {
	b       *book
	moves   []move
	changes []change
	left    int // steps
}

// reach finds how much of what each change gave the payment can have bought. A change waits for those that give the asset
// that it takes; those that wait for each other are left out.
func (f *flows) reach(at int, paid *holding) {
	for range f.changes {
		for i := range f.changes {
			c := &f.changes[i]
			if c.settled || f.waits(i) {
				continue
			}
			c.settled = true
			into := f.most(f.sources(c.in, at, paid), c.whoTakes).Min(c.took)
			c.reached = c.gave.Share(into, c.took)
		}
	}
}

func (f *flows) waits(i int) bool {
	for k := range f.changes {
		if k != i && !f.changes[k].settled && f.changes[k].out == f.changes[i].in {
			return true
		}
	}
	return false
}

// sources are where money of the sender comes from in an asset, and how much.
func (f *flows) sources(a flow.Asset, at int, paid *holding) map[int]flow.Amount {
	from := map[int]flow.Amount{}
	if a == paid.asset {
		from[at] = paid.net
	}
	for _, c := range f.changes {
		if c.settled && c.out == a && !c.reached.IsZero() {
			from[c.whoGives], _ = from[c.whoGives].Add(c.reached)
		}
	}
	return from
}

// conversion is what the sender's payment bought for others.
func (f *flows) conversion(from flow.Account, at int, paid *holding) Conversion {
	c := Conversion{Account: from, Rest: []Part{}, Rule: Contribution, Version: Version, Confidence: ByFlow}
	sources := map[flow.Asset]map[int]flow.Amount{}
	for i := range f.changes {
		out := f.changes[i].out
		if sources[out] == nil && out != paid.asset {
			sources[out] = f.sources(out, at, paid)
			c.Takes = append(c.Takes, f.takes(out, sources[out])...)
		}
	}
	if len(c.Takes) == 0 {
		return c
	}
	var into flow.Amount
	for i := range f.changes {
		if k := &f.changes[i]; k.in == paid.asset && !k.reached.IsZero() {
			part := f.most(map[int]flow.Amount{at: paid.net}, k.whoTakes).Min(k.took)
			if sum, ok := into.Add(part); ok {
				into = sum
			}
		}
	}
	if into = into.Min(paid.net); into.IsZero() {
		c.Takes = nil
		return c
	}
	plain, _ := paid.net.Sub(into)
	c.Rest = f.payees(paid, plain)
	if len(c.Rest) == 0 {
		into = paid.net
	}
	c.Gives = []Part{{from, paid.asset, into}}
	gave, _ := paid.gave.Amount()
	if back, _ := gave.Sub(paid.net); !back.IsZero() {
		c.Rest = append(c.Rest, Part{from, paid.asset, back})
	}
	c.doubt("several accounts paid: these are the most that this one can have bought")
	return c
}

// payees share what the sender paid without buying anything, by what they gained for nothing.
func (f *flows) payees(paid *holding, plain flow.Amount) []Part {
	parts := []Part{}
	var amounts []flow.Amount
	for _, i := range f.b.gained[paid.asset] {
		if h := &f.b.holdings[i]; !h.own && !f.b.closed[h.party] {
			parts = append(parts, Part{f.b.parties[h.party].account, paid.asset, h.net})
			amounts = append(amounts, h.net)
		}
	}
	if len(parts) == 0 || plain.IsZero() {
		return []Part{}
	}
	kept := parts[:0]
	for i, v := range flow.Split(plain, amounts) {
		if !v.IsZero() {
			parts[i].Amount = v
			kept = append(kept, parts[i])
		}
	}
	return kept
}

// takes are the contributions to all who gained an asset for nothing. Where they are more than what was bought, they share it.
func (f *flows) takes(a flow.Asset, sources map[int]flow.Amount) []Part {
	var bought flow.Sum
	for _, v := range sources {
		bought = bought.Plus(v)
	}
	most, ok := bought.Amount()
	if !ok || most.IsZero() {
		return nil
	}
	var parts []Part
	var amounts []flow.Amount
	var sum flow.Sum
	for _, i := range f.b.gained[a] {
		h := &f.b.holdings[i]
		if h.own || f.b.closed[h.party] {
			continue
		}
		if v := f.most(sources, i).Min(h.net); !v.IsZero() {
			parts = append(parts, Part{f.b.parties[h.party].account, a, v})
			amounts, sum = append(amounts, v), sum.Plus(v)
		}
	}
	if len(parts) > 0 && sum.Compare(bought) > 0 {
		kept := parts[:0]
		for i, v := range flow.Split(most, amounts) {
			if v = v.Min(amounts[i]); !v.IsZero() {
				parts[i].Amount = v
				kept = append(kept, parts[i])
			}
		}
		parts = kept
	}
	return fungible(parts)
}

// most is the maximum flow from the sources to a holding over the movements of its asset, by shortest paths that still have room.
// It is zero when the work is too much.
func (f *flows) most(sources map[int]flow.Amount, to int) flow.Amount {
	asset := f.b.holdings[to].asset
	f.left -= len(f.moves)
	type edge struct {
		to   int
		room flow.Amount
	}
	var edges []edge // 2k there, 2k+1 back
	next := map[int][]int{}
	add := func(from, to int, room flow.Amount) {
		next[from] = append(next[from], len(edges))
		edges = append(edges, edge{to, room})
		next[to] = append(next[to], len(edges))
		edges = append(edges, edge{from, flow.Amount{}})
	}
	for _, m := range f.moves {
		if m.asset == asset {
			add(m.from, m.to, m.amount)
		}
	}
	const start = -1
	for h := range f.b.holdings { // in order, so that the work is the same each time
		if v, ok := sources[h]; ok {
			if h == to {
				return flow.Amount{}
			}
			add(start, h, v)
		}
	}
	var total flow.Amount
	for f.left >= 0 {
		by := map[int]int{start: -1} // holding -> the edge that leads there
		queue := []int{start}
		for len(queue) > 0 {
			h := queue[0]
			queue = queue[1:]
			if h == to {
				break
			}
			for _, e := range next[h] {
				f.left--
				if _, seen := by[edges[e].to]; !seen && !edges[e].room.IsZero() {
					by[edges[e].to] = e
					queue = append(queue, edges[e].to)
				}
			}
		}
		if f.left < 0 {
			return flow.Amount{}
		}
		e, found := by[to]
		if !found {
			return total
		}
		room := edges[e].room
		for ; e >= 0; e = by[edges[e^1].to] {
			room = room.Min(edges[e].room)
		}
		for e = by[to]; e >= 0; e = by[edges[e^1].to] {
			edges[e].room, _ = edges[e].room.Sub(room)
			if back, ok := edges[e^1].room.Add(room); ok {
				edges[e^1].room = back
			}
		}
		sum, ok := total.Add(room)
		if !ok {
			return flow.Amount{}
		}
		total = sum
	}
	return flow.Amount{}
}
