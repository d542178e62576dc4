package watch

import (
	"fmt"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// pending remembers the pending transactions that were told, the last of them.
type pending struct {
	told map[string]bool // by key
	keys []string        // a ring once it is full
	next int
	most int
}

func newPending(most int) pending { return pending{told: map[string]bool{}, most: most} }

// first reports whether a key comes for the first time, and remembers it.
func (p *pending) first(key string) bool {
	if p.told[key] {
		return false
	}
	p.told[key] = true
	if len(p.keys) < p.most {
		p.keys = append(p.keys, key)
		return true
	}
	delete(p.told, p.keys[p.next])
	p.keys[p.next] = key
	p.next = (p.next + 1) % p.most
	return true
}

// Pending says what a transaction that is in no block would do, if its giver holds stolen money or is listed. It is told
// once; one that takes its place with a higher fee is another. Nothing that Forward says depends on it.
func (w *Watch) Pending(world World, tx flow.Tx, seen time.Time) []alert.Alert {
	type owner struct {
		id   string
		list *listed
	}
	gives := map[owner]*activity{}
	var order []owner
	give := func(o owner, m *flow.Movement, h hit) {
		a := gives[o]
		if a == nil {
			a = &activity{}
			gives[o] = a
			order = append(order, o)
		}
		a.add(&tx, m, h)
	}
	var found []int
	for i := range tx.Movements {
		m := &tx.Movements[i]
		if m.Kind == flow.Fee || !world.Vouched(m.Asset) {
			continue
		}
		for k, l := range m.In {
			h := hit{movement: i, leg: k, gives: true}
			if l.Amount.IsZero() && k >= len(m.Spent) {
				continue
			}
			var cases []string
			if k < len(m.Spent) {
				cases = append(cases, w.desk.FollowsCoin(tx.Point.Chain, m.Spent[k])...)
			}
			if !l.Account.IsZero() {
				cases = append(cases, w.desk.Follows(l.Account)...)
				found = w.lists.find(l.Account, found[:0])
				for _, n := range found {
					give(owner{w.lists.all[n].Name, w.lists.all[n]}, m, h)
				}
			}
			slices.Sort(cases)
			for _, id := range slices.Compact(cases) {
				give(owner{id: caseOf(id)}, m, h)
			}
		}
	}
	var alerts []alert.Alert
	for _, o := range order {
		key := "pending/" + o.id + "/" + tx.ID.String()
		if o.list != nil {
			key = "pending/list/" + o.id + "/" + tx.ID.String()
		}
		if !w.pending.first(key) {
			continue
		}
		a := alert.Alert{
			Key: key, Kind: alert.Provisional, Severity: finding.High, Case: o.id, Title: "Stolen money is about to move",
			Chain: tx.Point.Chain, Tx: tx.ID, Seen: seen,
		}
		who := "who holds money of this case"
		if o.list != nil {
			a.Severity, a.Title, a.Contact = o.list.Severity, "A listed account is about to give", o.list.Contact
			who = "of the list " + o.list.Name
		}
		if ch := w.chains[a.Chain]; ch != nil {
			a.At = ch.tip
		}
		act := gives[o]
		text := fmt.Sprintf("In a transaction that is in no block yet, %s, %s, gives %s", names(world, act.who), who, total(world, act.sums))
		if len(act.others) > 0 {
			text += " to " + names(world, act.others)
		}
		a.Text = finding.Clean(text+". It may never be on the chain, or be replaced.", 1000)
		alerts = append(alerts, a)
		w.stats.Alerts[string(alert.Provisional)]++
	}
	return alerts
}
