package link

import "github.com/spoor-dev/spoor/flow"

// A party is somebody who gave or took: an account, or nobody, for each asset that no account can issue.
type party struct {
	account flow.Account
	own     flow.Asset // of nobody: the asset
}

// A holding is a party's dealings in one asset.
type holding struct {
	party      int
	asset      flow.Asset
	own        bool // the party issues the asset: it does not hold it
	gave, took flow.Sum
	out        flow.Amount // given, and not come back later
	net        flow.Amount // the difference
	sign       int         // -1 lost, 1 gained
}

// A book is the net of one transaction.
type book struct {
	parties  []party
	dealings [][]int // of each party, into holdings
	holdings []holding
	gained   map[flow.Asset][]int // the holdings that gained
	lost     map[flow.Asset]flow.Sum
	loses    []int // how many assets that it does not issue each party lost
	gains    []int
	closed   []bool // the party lost something and gained something, issues counted
	ids      map[party]int
	index    map[holdingKey]int
}

type holdingKey struct {
	party int
	asset flow.Asset
}

// read nets a transaction. It is nil where a token lies about amounts so large that they do not fit.
func read(tx flow.Tx) *book {
	b := &book{
		gained: map[flow.Asset][]int{}, lost: map[flow.Asset]flow.Sum{}, ids: map[party]int{}, index: map[holdingKey]int{},
	}
	for i := range tx.Movements {
		m := &tx.Movements[i]
		if !counts(m) {
			continue
		}
		var in, out flow.Sum
		for _, l := range m.In {
			in = in.Plus(l.Amount)
			b.gives(party{account: l.Account}, m.Asset, l.Amount)
		}
		for _, l := range m.Out {
			out = out.Plus(l.Amount)
			b.takes(party{account: l.Account}, m.Asset, l.Amount)
		}
		if in.Compare(out) == 0 {
			continue
		}
		if rest, ok := out.Minus(in); ok { // an issue is given by who issues
			b.gives(issuer(m.Asset), m.Asset, rest)
		} else if rest, ok := in.Minus(out); ok { // and destroyed is what comes back to it
			b.takes(issuer(m.Asset), m.Asset, rest)
		}
	}
	return b.sum()
}

// issuer is who gives new units of an asset: its contract, or nobody.
func issuer(a flow.Asset) party {
	if c := a.Contract(); c != "" {
		if account, err := flow.ParseAccountOn(a.Chain(), c); err == nil {
			return party{account: account}
		}
	}
	return party{own: a}
}

func (b *book) holding(p party, a flow.Asset) *holding {
	n, ok := b.ids[p]
	if !ok {
		n = len(b.parties)
		b.ids[p] = n
		b.parties = append(b.parties, p)
		b.dealings = append(b.dealings, nil)
	}
	k := holdingKey{n, a}
	i, ok := b.index[k]
	if !ok {
		i = len(b.holdings)
		b.index[k] = i
		b.holdings = append(b.holdings, holding{party: n, asset: a})
		b.dealings[n] = append(b.dealings[n], i)
	}
	return &b.holdings[i]
}

func (b *book) gives(p party, a flow.Asset, v flow.Amount) {
	h := b.holding(p, a)
	h.gave = h.gave.Plus(v)
	if sum, ok := h.out.Add(v); ok {
		h.out = sum
	}
}

func (b *book) takes(p party, a flow.Asset, v flow.Amount) {
	h := b.holding(p, a)
	h.took = h.took.Plus(v)
	h.out, _ = h.out.Sub(h.out.Min(v))
}

// sum closes the book.
func (b *book) sum() *book {
	b.loses, b.gains, b.closed = make([]int, len(b.parties)), make([]int, len(b.parties)), make([]bool, len(b.parties))
	lost, gained := make([]bool, len(b.parties)), make([]bool, len(b.parties))
	for i := range b.holdings {
		h := &b.holdings[i]
		p := b.parties[h.party]
		h.own = p.account.IsZero() || h.asset.Contract() != "" && issuer(h.asset) == p
		if _, ok := h.gave.Amount(); !ok {
			return nil
		}
		if _, ok := h.took.Amount(); !ok {
			return nil
		}
		switch h.sign = h.took.Compare(h.gave); h.sign {
		case -1:
			h.net, _ = h.gave.Minus(h.took)
			b.lost[h.asset] = b.lost[h.asset].Plus(h.net)
			lost[h.party] = true
			if !h.own {
				b.loses[h.party]++
			}
		case 1:
			h.net, _ = h.took.Minus(h.gave)
			b.gained[h.asset] = append(b.gained[h.asset], i)
			gained[h.party] = true
			if !h.own {
				b.gains[h.party]++
			}
		}
	}
	for n := range b.parties {
		b.closed[n] = lost[n] && gained[n]
	}
	return b
}
