package trace

import (
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Crowd is the behaviour by which an account that no label names is taken for a service: many independent accounts pay
// it and are paid by it, and what it received is for the most part not stolen. It is a judgement from what was there at
// the moment of the claim: a claim that ends this way stands in the sink "service" under its rule and score.
//
// It is judged by account and asset, on account chains, and never for a source. Payments below the floor of
// Options.Dust, and payments of nothing, count for nothing: they are what strangers can send to anybody.
type Crowd struct {
	// Parties is how many distinct payers, none of whom holds claim, and how many distinct payees it takes; 32 if 0.
	// Nobody is judged if it is negative.
	Parties int
	// Stolen is the largest part of what the account received, in billionths, that may be stolen; half if 0.
	Stolen int64
}

// CrowdRule names the rule and its version.
const CrowdRule = "crowd/1"

func (c Crowd) withDefaults() (Crowd, error) {
	switch {
	case c.Parties < 0:
		return Crowd{Parties: -1}, nil
	case c.Stolen < 0 || c.Stolen > billion:
		return c, fmt.Errorf("options: a crowd of which %d billionths are stolen", c.Stolen)
	}
	if c.Parties == 0 {
		c.Parties = 32
	}
	if c.Stolen == 0 {
		c.Stolen = billion / 2
	}
	return c, nil
}

// crowd is what a record knows of those around its holder. It is copied for an undo, the lists are not.
type crowd struct {
	lists    [2]*parties // nil as long as nobody was met
	known    [2]int32    // how many of each list count
	received flow.Amount // all that ever came, capped
	stolen   flow.Amount // the part of it that was stolen, capped
}

// parties are distinct accounts in the order in which they came. The list only grows: records of several ledgers, and
// what they keep for an undo, share it and know more or less of it.
type parties struct{ accounts []flow.Account }

// The lists of a crowd.
const (
	payers = iota
	payees
)

// list is what is known of one of the lists.
func (c *crowd) list(which int) []flow.Account {
	if c.lists[which] == nil {
		return nil
	}
	return c.lists[which].accounts[:c.known[which]]
}

// add adds an account to one of the lists; last is the list that was begun last for that holder.
func (c *crowd) add(which int, a flow.Account, last **parties) {
	n := int(c.known[which])
	p := c.lists[which]
	if p == nil {
		p = *last
	}
	switch {
	case p != nil && n < len(p.accounts) && p.accounts[n] == a: // another ledger has met it
	case p != nil && n == len(p.accounts):
		p.accounts = append(p.accounts, a)
	default:
		p = &parties{append(slices.Clone(c.list(which)), a)}
		*last = p
	}
	c.lists[which] = p
	c.known[which]++
}

// judges reports whether the behaviour of a record is looked at.
func (l *Ledger) judges(r *record) bool {
	return l.options.Crowd.Parties > 0 && r.holder.Outpoint.IsZero() && !r.source && !r.frozen && !l.leaks(r.holder.Account, r.holder.Asset)
}

// watch counts the parties of an event for the records whose behaviour is judged.
func (l *Ledger) watch(e *event) {
	if e.utxo || e.fee || l.options.Crowd.Parties < 0 {
		return
	}
	floor := l.options.Dust[e.asset]
	clean := true
	for i := range e.givers {
		r := e.work.payers[i]
		if r == nil || !r.isLive() {
			continue
		}
		clean = false
		if !l.judges(r) {
			continue
		}
		for k := range e.takers {
			if t := &e.takers[k]; counted(t, floor) {
				l.meet(r, payees, t.account)
			}
		}
	}
	for i := range e.takers {
		t := &e.takers[i]
		r := l.legRecord(e, t)
		if r == nil || !r.isLive() || !l.judges(r) || !counted(t, floor) {
			continue
		}
		l.touch(r)
		r.crowd.received = addCapped(r.crowd.received, t.amount)
		for k := range e.givers {
			if g := &e.givers[k]; clean && counted(g, floor) {
				l.meet(r, payers, g.account)
			}
		}
	}
}

// counted reports whether a leg is a payment of somebody that counts.
func counted(g *leg, floor flow.Amount) bool {
	return !g.account.IsZero() && !g.amount.IsZero() && !g.amount.Less(floor)
}

// meet adds an account to one of the lists of a record, if it is new and there is room.
func (l *Ledger) meet(r *record, which int, a flow.Account) {
	c := &r.crowd
	n := int(c.known[which])
	if n >= l.options.Crowd.Parties || a == r.holder.Account || slices.Contains(c.list(which), a) {
		return
	}
	l.touch(r)
	c.add(which, a, &r.parties[which])
}

// recall lets a record know what its holder did before the claim came.
func (l *Ledger) recall(r *record, b Balance) {
	if !l.judges(r) {
		return
	}
	l.touch(r)
	received, ok := b.In.Amount()
	if !ok {
		received = most
	}
	r.crowd.received = addCapped(r.crowd.received, received)
	if len(b.Payers) == 0 && len(b.Payees) == 0 {
		return
	}
	since := r.crowd
	r.crowd.lists, r.crowd.known = [2]*parties{}, [2]int32{}
	for which, past := range [2][]flow.Account{payers: b.Payers, payees: b.Payees} {
		for _, a := range slices.Concat(past, since.list(which)) {
			l.meet(r, which, a)
		}
	}
}

// isCrowd judges a record.
func (l *Ledger) isCrowd(r *record) bool {
	c, n := &r.crowd, l.options.Crowd.Parties
	return l.judges(r) && int(c.known[payers]) >= n && int(c.known[payees]) >= n && c.stolenShare() <= l.options.Crowd.Stolen
}

// stolenShare is the stolen part of what came, in billionths.
func (c *crowd) stolenShare() int64 {
	if c.received.IsZero() {
		return billion
	}
	ppb, _ := flow.NewAmount(billion).Share(c.stolen.Min(c.received), c.received).Uint64()
	return int64(ppb)
}

// reason says in words why the account is taken for a service; it is what was known when the first claim ended there.
func (c *crowd) reason() string {
	return fmt.Sprintf("behaves like a service: at least %d payers and %d payees, %s of what it received is stolen",
		c.known[payers], c.known[payees], percent(c.stolenShare()))
}

// percent writes billionths with two digits behind the point.
func percent(ppb int64) string { return fmt.Sprintf("%d.%02d %%", ppb/10_000_000, ppb/100_000%100) }

// isService reports whether a taker is taken for a service, or becomes one now; r is its record, if there is one.
func (l *Ledger) isService(e *event, r *record, segs []Segment) bool {
	if r == nil || !l.judges(r) || !r.stopped && !r.isLive() {
		return false
	}
	if r.stopped {
		return true
	}
	l.touch(r)
	before := r.crowd.stolen
	for _, s := range segs {
		if s.taints() {
			r.crowd.stolen = addCapped(r.crowd.stolen, s.Units)
		}
	}
	if !l.isCrowd(r) {
		r.crowd.stolen = before // it is counted when it is received
		return false
	}
	l.stop(e, r)
	return true
}

// stopGivers judges those who are about to pay.
func (l *Ledger) stopGivers(e *event) {
	if e.utxo {
		return
	}
	for i := range e.givers {
		r := e.work.payers[i]
		if r != nil && r.isLive() && l.isCrowd(r) {
			l.stop(e, r)
		}
	}
}

// stop ends the claim that has come to rest with a holder which turns out to be a service; e is the event at hand.
func (l *Ledger) stop(e *event, r *record) {
	l.touch(r)
	was := r.isLive()
	r.stopped, r.unknown, r.carved = true, false, flow.Amount{}
	for i := range r.state.Len() {
		if s := r.state.At(i); s.taints() {
			l.sinkAt(e, r, s)
		}
	}
	r.state.clear()
	l.relive(r, was, flow.Pos{})
}

// sinkAt ends a claim at a holder that is taken for a service.
func (l *Ledger) sinkAt(e *event, r *record, s Segment) {
	l.sink(e, Service, r.holder.Account, s, r.crowd.reason())
	p := l.sinks[sinkKey{Service, r.holder.Account, r.holder.Asset, s.Line}]
	p.rule, p.score = CrowdRule, billion-r.crowd.stolenShare()
}
