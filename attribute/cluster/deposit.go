package cluster

import (
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// Accounts is what the rules of EVM chains ask about accounts.
type Accounts interface {
	// Service is the name of the service that the account is known to belong to, such as an exchange; "" if none.
	Service(a flow.Account) string
	// IsContract reports whether there is code at the account, or may be: what is not known to be none counts as code. It is
	// asked of those who pay, of the transaction that is eaten.
	IsContract(a flow.Account) bool
}

const (
	depositVersion    = 1
	depositConfidence = 80 // of a sum that is passed on whole and at once
)

// DepositRule is when a payment to an account and a payment on to a service are one deposit. The zero value is valid. The
// defaults are those of Tutela, and of Victor (2020) for the difference.
type DepositRule struct {
	Blocks     uint64      // at most so many blocks lie between the two; 3,200 if 0
	Difference flow.Amount // at most so much less of the coin is passed on; 10¹⁶ wei (0.01 ether) if 0. Of tokens nothing may be missing
	Senders    int         // an account with more senders is a service of its own kind, not one user's deposit account; 20 if 0
	Undo       uint64      // so many blocks can be taken back; 256 if 0
}

func (r DepositRule) filled() DepositRule {
	if r.Blocks == 0 {
		r.Blocks = 3200
	}
	if r.Difference.IsZero() {
		r.Difference = flow.NewAmount(10_000_000_000_000_000)
	}
	if r.Senders == 0 {
		r.Senders = 20
	}
	if r.Undo == 0 {
		r.Undo = 256
	}
	return r
}

// Deposits finds deposit accounts in the transactions of one EVM chain as they come: somebody pays an account that is no
// contract, which passes the sum on to a service within some blocks, and pays nobody else. What the senders to one such
// account share is its user. Whatever is older than Blocks does not count, and is forgotten Undo blocks later.
type Deposits struct {
	rule     DepositRule
	accounts Accounts
	boxes    map[flow.Account]*box
	log      []entry // of all boxes, in the order of the chain
}

// A box is what an account did lately, each list in the order of the chain.
type box struct {
	got    []payment
	paid   []flow.Pos // to those who are no service
	passed []pass
}

type payment struct {
	at     flow.Pos
	from   flow.Account
	asset  flow.Asset
	amount flow.Amount
}

type pass struct {
	at      flow.Pos
	service string
}

// An entry says that a list of a box has one more element.
type entry struct {
	at   flow.Pos
	of   flow.Account
	list uint8
}

const (
	ofGot = iota
	ofPaid
	ofPassed
)

// mostPayments bounds the work for an account: who gets more in the time that a deposit may take is not one user.
const mostPayments = 1000

// NewDeposits waits for deposits to the services that accounts knows.
func NewDeposits(rule DepositRule, accounts Accounts) *Deposits {
	return &Deposits{rule: rule.filled(), accounts: accounts, boxes: map[flow.Account]*box{}}
}

// Eat takes the next transaction, in the order of the chain, and returns what it says about owners, without IDs: for a
// payment to a service, that whoever sent that sum owns the deposit account. seen is when it is read, in seconds since 1970.
func (d *Deposits) Eat(tx flow.Tx, seen int64) []Evidence {
	var found []Evidence
	for i, m := range tx.Movements {
		if len(m.In) != 1 || len(m.Out) != 1 || !m.Asset.Chain().IsEVM() || m.In[0].Amount.IsZero() || m.In[0].Account == m.Out[0].Account {
			continue
		}
		switch m.Kind {
		case flow.Transfer, flow.Internal, flow.TokenMove:
		default:
			continue
		}
		at := tx.At()
		at.Movement = uint32(i)
		p := payment{at, m.In[0].Account, m.Asset, m.In[0].Amount}
		if d.accounts.Service(p.from) != "" { // what a service pays out says nothing about its users' deposits
			continue
		}
		if to := m.Out[0].Account; d.accounts.Service(to) == "" {
			d.between(p, to)
		} else if !d.accounts.IsContract(p.from) {
			found = append(found, d.deposited(p, d.accounts.Service(to), tx.ID, seen)...)
		}
	}
	d.forget(tx.Point.Height)
	return found
}

// between notes a payment between two who are no services.
func (d *Deposits) between(p payment, to flow.Account) {
	if d.accounts.IsContract(p.from) {
		return
	}
	b := d.box(entry{p.at, p.from, ofPaid})
	b.paid = append(b.paid, p.at)
	b = d.box(entry{p.at, to, ofGot}) // whether it is a contract is asked when it pays
	b.got = append(b.got, p)
}

// box is the box of an entry that is made.
func (d *Deposits) box(e entry) *box {
	b := d.boxes[e.of]
	if b == nil {
		b = &box{}
		d.boxes[e.of] = b
	}
	d.log = append(d.log, e)
	return b
}

// deposited is what a payment to a service says: whose sum it passes on.
func (d *Deposits) deposited(p payment, service string, tx flow.Hash, seen int64) []Evidence {
	b := d.box(entry{p.at, p.from, ofPassed})
	b.passed = append(b.passed, pass{p.at, service})
	if n := len(b.paid); n > 0 && d.counts(b.paid[n-1], p.at) {
		return nil
	}
	for _, o := range slices.Backward(b.passed) {
		if !d.counts(o.at, p.at) {
			break
		}
		if o.service != service {
			return nil
		}
	}
	senders := map[flow.Account]bool{}
	var found []Evidence
	n := 0
	for _, got := range slices.Backward(b.got) {
		if !d.counts(got.at, p.at) {
			break
		}
		senders[got.from] = true
		if n++; n > mostPayments || len(senders) > d.rule.Senders {
			return nil
		}
		missing, ok := got.amount.Sub(p.amount)
		if found != nil || !ok || got.asset != p.asset { // the newest that fits
			continue
		}
		most := flow.Amount{}
		if got.asset.IsNative() {
			most = d.rule.Difference
		}
		if !most.Less(missing) {
			found = []Evidence{{A: got.from, B: p.from, Heuristic: DepositReuse, Version: depositVersion, Tx: tx, At: p.at, Seen: seen,
				Confidence: uint8(d.confidence(p.at.Height-got.at.Height, missing, most)), Amount: p.amount}}
		}
	}
	return found
}

// counts reports whether what happened at a place is young enough at a later one.
func (d *Deposits) counts(at, now flow.Pos) bool { return now.Height-at.Height <= d.rule.Blocks }

// confidence falls by half with the blocks between, and by half with what is missing (the mean of both, as in Tutela).
func (d *Deposits) confidence(age uint64, missing, most flow.Amount) int {
	const whole = 1_000_000
	late := int(age * whole / d.rule.Blocks)
	less := uint64(0)
	if !most.IsZero() {
		less, _ = flow.NewAmount(whole).Share(missing, most).Uint64()
	}
	return depositConfidence * (2*whole - late - int(less)) / (2 * whole)
}

// forget drops what will never count again, even if blocks are taken back.
func (d *Deposits) forget(height uint64) {
	n := 0
	for ; n < len(d.log) && d.log[n].at.Height+d.rule.Blocks+d.rule.Undo < height; n++ {
		b := d.boxes[d.log[n].of]
		switch d.log[n].list {
		case ofGot:
			b.got = b.got[1:]
		case ofPaid:
			b.paid = b.paid[1:]
		default:
			b.passed = b.passed[1:]
		}
		d.clean(d.log[n].of, b)
	}
	if d.log = d.log[n:]; cap(d.log) > 4*len(d.log)+1024 {
		d.log = slices.Clone(d.log)
	}
}

func (d *Deposits) clean(a flow.Account, b *box) {
	if len(b.got)+len(b.paid)+len(b.passed) == 0 {
		delete(d.boxes, a)
	}
}

// Undo takes back what was eaten from a place on, at most Undo blocks. The evidence of those blocks is withdrawn from the
// forest apart from that.
func (d *Deposits) Undo(from flow.Pos) {
	n := len(d.log)
	for ; n > 0 && d.log[n-1].at.Compare(from) >= 0; n-- {
		e := d.log[n-1]
		b := d.boxes[e.of]
		switch e.list {
		case ofGot:
			b.got = b.got[:len(b.got)-1]
		case ofPaid:
			b.paid = b.paid[:len(b.paid)-1]
		default:
			b.passed = b.passed[:len(b.passed)-1]
		}
		d.clean(e.of, b)
	}
	d.log = d.log[:n]
}
