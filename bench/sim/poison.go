package sim

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/spoor-dev/spoor/flow"
)

// A payment is what poison imitates: somebody paid somebody.
type payment struct {
	from, to account
	asset    asset
	amount   flow.Amount
}

// A poisoner adds transfers between holders and addresses that look like their counterparties. It reads the rows of the
// case and has its own chance and its own transactions, so that the case is the same without it.
type poisoner struct {
	w      *world
	rng    *rand.Rand
	recent []payment // a ring of what was paid last
	next   int
	done   int
	txs    uint64
}

// A poisonRow is one transfer of poison. Look-alike addresses belong to no account of the world.
type poisonRow struct {
	hash                flow.Hash
	from, to            [20]byte
	asset               string
	amount              flow.Amount
	kind                string
	holder, like, model [20]byte
}

const (
	recentPayments  = 4096
	burst           = 16                // rows that come together
	distributor     = otherMark | 1<<40 // pays for the poison that moves real units
	counterfeits    = 16                // contracts
	counterfeitMark = assetMark | 1<<30
)

// The means of the distributor, whether there is poison or not.
var distributorHolds = map[asset]flow.Amount{ether: scaled(1000, 1e18), usdt: scaled(1_000_000, 1e6)}

func newPoisoner(w *world) *poisoner {
	return &poisoner{w: w, rng: rand.New(rand.NewPCG(w.cfg.Seed, 0x901504))}
}

// slot learns from the rows of a slot and calls add for the rows of poison that are due by now.
func (p *poisoner) slot(rows []*row, add func(poisonRow)) {
	if p.w.cfg.Poison == 0 {
		return
	}
	for _, r := range rows {
		if !r.asset.priced() || r.amount.IsZero() {
			continue
		}
		m := payment{r.from, r.to, r.asset, r.amount}
		if len(p.recent) < recentPayments {
			p.recent = append(p.recent, m)
		} else {
			p.recent[p.next%recentPayments] = m
			p.next++
		}
	}
	due := int(uint64(p.w.cfg.Poison) * uint64(p.w.slot+1) / uint64(p.w.slots))
	if due-p.done < burst && p.w.slot+1 < p.w.slots {
		return
	}
	for len(p.recent) > 0 && p.done < due {
		p.txs++
		id := hashOf(p.w.cfg.Seed, p.txs|poisonMark)
		for range min(1+p.rng.IntN(8), due-p.done) {
			p.one(id, due-p.done, add)
		}
	}
}

// one imitates a payment, with at most that many rows.
func (p *poisoner) one(id flow.Hash, left int, add func(poisonRow)) {
	if left < 1 {
		return
	}
	m := p.recent[p.rng.IntN(len(p.recent))]
	seed := p.w.cfg.Seed
	holder, model := address(seed, m.from), address(seed, m.to)
	if p.rng.IntN(4) == 0 { // imitates the payer to the payee
		holder, model = model, holder
	}
	like := model
	binary.LittleEndian.PutUint64(like[3:], p.rng.Uint64())
	binary.LittleEndian.PutUint32(like[11:], p.rng.Uint32())
	r := poisonRow{hash: id, from: holder, to: like, holder: holder, like: like, model: model}
	token := m.asset.kind()
	if token == ether {
		token = usdt
	}
	x := p.rng.Float64()
	switch {
	case x < 0.5:
		r.kind, r.asset = "zero-value", p.w.assetText(token)
	case x < 0.75 || left < 2:
		r.kind, r.asset, r.amount = "counterfeit", p.w.addressText(counterfeitMark|account(p.rng.IntN(counterfeits))), m.amount
	default:
		as, v := usdt, flow.NewAmount(1+p.rng.Uint64N(9_999))
		if m.asset.kind() == ether {
			as, v = ether, flow.NewAmount(1+p.rng.Uint64N(3e12))
		}
		r.kind, r.asset, r.amount = "sub-cent", p.w.assetText(as), v
		r.from, r.to = address(seed, distributor), like
		add(r)
		p.done++
		r.from, r.to = like, holder
	}
	add(r)
	p.done++
}
