package trace

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Stand is what a ledger knows of one holder at the moment.
type Stand struct {
	Units   flow.Amount // stolen, in units of the holder's asset
	Hops    int         // the fewest movements by which claim came
	Source  bool        // a claim began there
	Stopped bool        // it turned out to be a service: what comes ends there
}

// Stand is what the ledger knows of a holder; ok is false for one that claim has never reached.
func (l *Ledger) Stand(h Holder) (s Stand, ok bool) {
	r := l.find(h)
	if r == nil {
		return s, false
	}
	s = Stand{Hops: r.hops, Source: r.source, Stopped: r.stopped && !r.source}
	for i := range r.state.Len() {
		if g := r.state.At(i); g.Line != 0 {
			s.Units = addCapped(s.Units, g.Units)
		}
	}
	return s, true
}

// Stolen is the asset of a line and how much of it was stolen so far. Lines count from 1, as those of edges do; ok is
// false behind the last.
func (l *Ledger) Stolen(line int) (a flow.Asset, v flow.Amount, ok bool) {
	if line < 1 || line > len(l.lines) {
		return a, v, false
	}
	return l.lines[line-1].asset, l.lines[line-1].stolen, true
}

// Followed is how many holders are followed so far.
func (l *Ledger) Followed() int { return l.followed }

// Follows lists the cases for which a payment by an account of a chain matters, in order. It costs a failed look-up where
// there is none.
func (d *Desk) Follows(a flow.Account) []string {
	return d.follow(a.Chain(), func(x *index) uint64 { return x.account(a) }, func(l *Ledger) bool { return l.Follows(a) })
}

// FollowsCoin is Follows for the spending of a coin.
func (d *Desk) FollowsCoin(c flow.Chain, o flow.Outpoint) []string {
	return d.follow(c, func(x *index) uint64 { return x.coin(&o) }, func(l *Ledger) bool { return l.FollowsCoin(o) })
}

// follow lists the cases in whose ledgers a hash stands for what is asked for, and not for another that shares it.
func (d *Desk) follow(c flow.Chain, hash func(*index) uint64, follows func(*Ledger) bool) []string {
	ch := d.chains[c]
	if ch == nil {
		return nil
	}
	var ids []string
	for _, p := range ch.parts {
		h := hash(p.index)
		if !p.index.mayHave(h) {
			continue
		}
		first, ok := p.index.first[h]
		if !ok {
			continue
		}
		for _, r := range append([]ref{first}, p.index.more[h]...) {
			if s := d.seats[r.seat]; slices.ContainsFunc(s.ledgers, follows) {
				ids = append(ids, s.folder.id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
