package watch

import (
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// liveFrozen is told once for each case, account and event.
var liveFrozen = Rule{
	ID: "live-frozen", Version: 1, Title: "An issuer acted on a holder", Severity: finding.Medium,
	Meaning: "The issuer of a well-known token froze the tokens of an account that holds stolen money, let them go, or destroyed them. A freeze is good news (info); that one was taken back is medium.",
	Wrong:   "The issuer need not have acted because of this case, and freezes its own token alone.",
}

// listFrozen is liveFrozen for an account of a list.
var listFrozen = Rule{
	ID: "list-frozen", Version: 1, Title: "An issuer acted on a listed account", Severity: finding.Medium,
	Meaning: "The issuer of a well-known token froze the tokens of an account of a watch list, let them go, or destroyed them.",
	Wrong:   "The issuer freezes its own token alone.",
}

// An act is what an issuer did to an account.
type act struct {
	event flow.Event
	token flow.Asset
	what  string
	worst finding.Severity
	who   flow.Account
}

// freezes says what issuers did to those who are followed or listed.
func (b *block) freezes(tx *flow.Tx) {
	for i := range tx.Logs {
		a, ok := b.actOf(&tx.Logs[i])
		if !ok {
			continue
		}
		for _, id := range b.desk.Follows(a.who) {
			s := b.seats[id]
			b.group(s.open.ID, nil).add(b.acted(&liveFrozen, tx, a, "", func() string {
				stand, _ := s.ledger().Stand(trace.Holder{Account: a.who, Asset: a.token})
				if stand.Units.IsZero() {
					return "None of it is stolen, but the account holds stolen money in something else."
				}
				return fmt.Sprintf("%s there are stolen, as %s says.", amount(b.world, a.token, stand.Units), s.ledger().Policy())
			}))
		}
		b.found = b.lists.find(a.who, b.found[:0])
		for _, n := range b.found {
			l := b.lists.all[n]
			b.group(l.Name, l).add(b.acted(&listFrozen, tx, a, l.Contact, func() string { return fmt.Sprintf("It is on the list %s.", l.Name) }))
		}
	}
}

func (g *group) add(c candidate) { g.all = append(g.all, c) }

// acted is what there is to say of an act.
func (b *block) acted(r *Rule, tx *flow.Tx, a act, contact string, more func() string) candidate {
	return candidate{
		rule: r.ID, severity: a.worst, tx: tx, contact: contact,
		make: func() (finding.Finding, error) {
			symbol, _ := b.world.Name(a.token)
			chain := tx.Point.Chain
			return r.finding(draft{
				chain: chain, at: tx.Point, severity: a.worst, subjects: []flow.Account{a.who}, holds: tx.At(),
				basis:    []string{fmt.Sprintf("%s of %s in transaction %s", a.event.Signature, a.token, chain.FormatHash(tx.ID))},
				sentence: fmt.Sprintf("The issuer of %s %s %s. %s", symbol, a.what, name(b.world, a.who), more()),
				reason:   "not measured: the event is a fact, and its contract is that of the token",
			})
		},
	}
}

// actOf reads an issuer's event; ok is false for any other log, and for one of a contract that nobody vouches for. The
// account is a topic (USDC) or the first word of the data (USDT).
func (b *block) actOf(l *flow.Log) (a act, ok bool) {
	if len(l.Topics) == 0 {
		return a, false
	}
	if a.event, ok = flow.KnownEvent(l.Topics[0]); !ok {
		return a, false
	}
	switch a.event.Signature {
	case "AddedBlackList(address)", "Blacklisted(address)":
		a.what, a.worst = "froze the tokens of", finding.Info
	case "RemovedBlackList(address)", "UnBlacklisted(address)":
		a.what, a.worst = "took back the freeze of", finding.Medium
	case "DestroyedBlackFunds(address,uint256)":
		a.what, a.worst = "destroyed the frozen tokens of", finding.Info
	default:
		return a, false
	}
	c := l.Contract.Chain()
	if !c.IsEVM() && c.Namespace() != "tron" {
		return a, false
	}
	if a.token = flow.Token(l.Contract); !b.vouches(a.token) {
		return a, false
	}
	word := l.Data
	if len(l.Topics) == 2 {
		word = l.Topics[1][:]
	}
	if len(word) < 32 || slices.ContainsFunc(word[:12], func(x byte) bool { return x != 0 }) {
		return a, false
	}
	who, err := flow.AccountFromKey(c, l.Contract.Key()[:1]+string(word[12:32])) // of the contract's own form
	a.who = who
	return a, err == nil
}
