package feed

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// A speaker is a contract whose events name accounts. What another contract emits under the same name is nobody's word.
type speaker struct {
	source   string
	name     string // of the labels
	category attribute.Category
}

// speakers are the contracts whose events are believed, by chain and address. The oracle's address is from Chainalysis'
// documentation, those of the tokens from their issuers'.
var speakers = func() map[string]speaker {
	usdc := speaker{"usdc-freeze", "USDC frozen by its issuer", attribute.BlackList}
	all := map[string]speaker{
		"eip155:1:0xdAC17F958D2ee523a2206206994597C13D831ec7":     {"usdt-freeze", "USDT frozen by its issuer", attribute.BlackList},
		"eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48":     usdc,
		"eip155:10:0x0b2C639c533813f4Aa9D7837CAf62653d097Ff85":    usdc,
		"eip155:137:0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359":   usdc,
		"eip155:8453:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913":  usdc,
		"eip155:42161:0xaf88d065e77c8cC2239327C5EDb3A432268e5831": usdc,
		"eip155:43114:0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E": usdc,
	}
	for _, id := range []uint64{1, 10, 56, 137, 250, 42161, 42220, 43114, 81457} {
		all[fmt.Sprintf("eip155:%d:0x40C57923924B5c5c5455c48D93317139ADDaC8fb", id)] = speaker{"chainalysis-oracle", "Chainalysis sanctions oracle", attribute.Sanction}
	}
	return all
}()

// Events collects what issuers of tokens and the sanctions oracle say on a chain about accounts: freezes, listings, and their
// end. Transactions must come in the order of the chain.
type Events struct {
	lists map[string]*lister
}

// NewEvents is a collector that has seen nothing.
func NewEvents() *Events { return &Events{lists: map[string]*lister{}} }

// Add reads the logs of a transaction.
func (e *Events) Add(tx flow.Tx) error {
	for _, log := range tx.Logs {
		event, ok := flow.KnownEvent(log.Topics[0])
		if !ok {
			continue
		}
		switch event.Signature {
		case "AddedBlackList(address)", "RemovedBlackList(address)", "DestroyedBlackFunds(address,uint256)", "Blacklisted(address)",
			"UnBlacklisted(address)", "SanctionedAddressesAdded(address[])", "SanctionedAddressesRemoved(address[])":
		default:
			continue
		}
		who, ok := speakers[log.Contract.String()]
		if !ok {
			continue
		}
		if err := e.list(who, log.Contract.Chain(), tx.Point).event(who, event.Signature, tx, log); err != nil {
			return err
		}
	}
	return nil
}

func (e *Events) list(who speaker, c flow.Chain, at flow.Point) *lister {
	id := who.source + "-" + c.String()
	l, ok := e.lists[id]
	if !ok {
		l = &lister{name: id, open: map[attribute.Subject]listing{}, config: Config{MaxLabels: 5_000_000}}
		l.Source = attribute.Source{ID: id, URI: c.String(), Licence: "public-ledger"}
		l.Partial = true // the store may begin in the middle of the chain
		e.lists[id] = l
	}
	l.Source.Date = max(l.Source.Date, at.Time)
	return l
}

// Listings are what each contract has said, in the order of the sources' ids. Every row is an account in an event.
func (e *Events) Listings() []*attribute.Listing {
	var all []*attribute.Listing
	for _, l := range e.lists {
		for i := range l.Labels {
			l.Labels[i].Source = l.Source
		}
		all = append(all, &l.Listing)
	}
	slices.SortFunc(all, func(a, b *attribute.Listing) int { return cmp.Compare(a.Source.ID, b.Source.ID) })
	return all
}

func (l *lister) event(who speaker, signature string, tx flow.Tx, log flow.Log) error {
	c := log.Contract.Chain()
	where := fmt.Sprintf("%s block %d log %d", c, tx.Point.Height, log.Index)
	accounts, ok := named(signature, log)
	if !ok {
		return l.refuse(where, signature, attribute.BadRow, "the arguments of %s do not have its form", signature)
	}
	at := tx.Point.Time
	if at <= 0 {
		for range accounts {
			if err := l.refuse(where, signature, attribute.BadRow, "the block does not say when it was"); err != nil {
				return err
			}
		}
		return nil
	}
	evidence := c.FormatHash(tx.ID)
	for _, address := range accounts {
		s := attribute.OfAnyEVM(flow.EVMAccount(c, address))
		label := attribute.Label{Subject: s, Name: who.name, Category: who.category, Confidence: attribute.LedgerImmanent, Evidence: evidence, ValidFrom: at}
		open, is := l.open[s]
		switch signature {
		case "AddedBlackList(address)", "Blacklisted(address)", "SanctionedAddressesAdded(address[])":
			if is { // said again
				l.Rows++
				l.Taken++
				continue
			}
			before := len(l.Labels)
			if err := l.take(where, s.String(), label); err != nil {
				return err
			}
			if len(l.Labels) > before {
				l.open[s] = listing{label: before}
			}
		case "DestroyedBlackFunds(address,uint256)":
			label.Name = "USDT frozen and destroyed by its issuer"
			if err := l.take(where, s.String(), label); err != nil {
				return err
			}
		default: // taken off
			if is {
				l.Labels[open.label].ValidTo = max(at, l.Labels[open.label].ValidFrom+1)
				delete(l.open, s)
				l.Rows++
				l.Taken++
				continue
			}
			label.ValidFrom, label.ValidTo = 0, at // it was on since before what was seen of the chain
			if err := l.take(where, s.String(), label); err != nil {
				return err
			}
		}
	}
	return nil
}

// named are the accounts that an event names. USDC's is a topic, the others' are in the data.
func named(signature string, log flow.Log) (accounts [][20]byte, ok bool) {
	word := func(b []byte) bool {
		if len(b) != 32 || slices.ContainsFunc(b[:12], func(x byte) bool { return x != 0 }) {
			return false
		}
		accounts = append(accounts, [20]byte(b[12:]))
		return true
	}
	data := log.Data
	switch {
	case signature == "SanctionedAddressesAdded(address[])" || signature == "SanctionedAddressesRemoved(address[])":
		if len(data) < 64 || len(data)%32 != 0 || number(data[:32]) != 32 || number(data[32:64]) != uint64(len(data)/32-2) {
			return nil, false
		}
		for at := 64; at < len(data); at += 32 {
			if !word(data[at : at+32]) {
				return nil, false
			}
		}
		return accounts, true
	case len(log.Topics) == 2:
		ok = word(log.Topics[1][:])
		return accounts, ok
	case len(log.Topics) == 1 && len(data) >= 32:
		ok = word(data[:32])
		return accounts, ok
	}
	return nil, false
}

// number is a 256-bit number that fits into 64 bits; the largest of those for others.
func number(b []byte) uint64 {
	for _, x := range b[:24] {
		if x != 0 {
			return 1<<64 - 1
		}
	}
	return binary.BigEndian.Uint64(b[24:])
}
